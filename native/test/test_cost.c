/* What a write costs, from looks with different loads: the line through them, and what it is while they are alike. */
#include "check.h"
#include "gw_cost.h"

#define FIXED 5000.0
#define EACH 150.0

static void look(gw_cost_t *k, uint64_t sends, uint64_t per_write) {
    gw_cost_add(k, sends, sends * per_write, (int64_t)((double)sends * (FIXED + EACH * (double)per_write)));
}

static int near(double value, double expected) { return value > expected * 0.99 && value < expected * 1.01; }

static void two_loads_tell_the_two_costs_apart(void) {
    gw_cost_t k = {0};
    for (int i = 0; i < 40; i++) look(&k, 100 + (uint64_t)i, i % 2 ? 1 : 20);
    CHECK(k.seen && near(k.fixed_ns, FIXED) && near(k.each_ns, EACH));
}

/* Nothing tells them apart: a guess, by which the cost of a write as it is comes out right. */
static void one_load_is_a_guess_that_adds_up(void) {
    gw_cost_t k = {0};
    for (int i = 0; i < 100; i++) look(&k, 1000, 1);
    CHECK(!k.seen && near(k.fixed_ns + k.each_ns, FIXED + EACH));
    CHECK(near(k.fixed_ns / k.each_ns, GW_COST_PARTS));
}

static void a_slope_that_was_seen_is_kept(void) {
    gw_cost_t k = {0};
    for (int i = 0; i < 40; i++) look(&k, 100, i % 2 ? 1 : 20);
    for (int i = 0; i < 2000; i++) look(&k, 100, 8);
    CHECK(near(k.fixed_ns, FIXED) && near(k.each_ns, EACH));
}

/* Dearer in the looks in which writes carry less, or far dearer where they carry more: no cost is below 0. */
static void no_cost_is_below_nothing(void) {
    gw_cost_t falling = {0}, steep = {0};
    for (int i = 0; i < 100; i++) {
        gw_cost_add(&falling, 100, i % 2 ? 100 : 2000, i % 2 ? 2000000 : 500000);
        gw_cost_add(&steep, 100, i % 2 ? 100 : 2000, i % 2 ? 100000 : 9000000);
    }
    CHECK(falling.each_ns >= 0 && near(falling.fixed_ns, falling.cost));
    CHECK(steep.fixed_ns >= 0 && near(steep.each_ns * steep.per_write + steep.fixed_ns, steep.cost));
}

/* Writes that carry no deliveries (replies, heartbeats) divide by nothing. */
static void writes_without_deliveries(void) {
    gw_cost_t k = {0};
    for (int i = 0; i < 50; i++) gw_cost_add(&k, 10, 0, 50000);
    CHECK(near(k.fixed_ns, 5000) && k.each_ns >= 0);
}

int main(void) {
    RUN(two_loads_tell_the_two_costs_apart);
    RUN(one_load_is_a_guess_that_adds_up);
    RUN(a_slope_that_was_seen_is_kept);
    RUN(no_cost_is_below_nothing);
    RUN(writes_without_deliveries);
    return 0;
}
