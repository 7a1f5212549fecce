/* The ladder against a queue of its own: one server, records in order, deliveries of three classes. */
#include "check.h"
#include "gw_ladder.h"
#include <math.h>
#include <string.h>

#define TARGET_NS INT64_C(5000000)
#define LOOK_S 0.1
#define PER_S 1000000.0 /* deliveries at full load */
#define TOPIC_HZ 100.0  /* updates of a topic */

typedef struct {
    gw_ladder_t ladder;
    int64_t now;
    double backlog_s;           /* work that stands in the ring */
    double offered[GW_CLASSES]; /* parts of what the server can do */
    uint64_t count, late;       /* of class 0 and 1 */
    unsigned up, down, steps_max;
} world_t;

static world_t w;

static void make(int enforce) {
    w = (world_t){.now = 1};
    gw_ladder_init(&w.ladder, TARGET_NS, 10000, enforce);
}

/* What is left of a class at its interval: a topic's updates within it are one. */
static double kept(unsigned class) {
    uint8_t interval = w.ladder.interval[class];
    if (interval == GW_INTERVAL_PAUSED) return 0;
    double most = (double)gw_intervals_ns[interval] / 1e9 * TOPIC_HZ;
    return most > 1 ? 1 / most : 1;
}

/* 100 ms of the server's life, then the look. */
static int turn(const char **reason) {
    static char text[124];
    gw_look_t look = {0};
    double work = 0, before = w.backlog_s;
    for (unsigned i = 0; i < GW_CLASSES; i++) {
        look.links[i] = w.offered[i] > 0 ? 100 : 0;
        look.wanted[i] = (uint64_t)(w.offered[i] * PER_S * LOOK_S);
        look.delivered[i] = (uint64_t)((double)look.wanted[i] * kept(i));
        work += w.offered[i] * kept(i);
    }
    w.backlog_s = fmax(0, w.backlog_s + (work - 1) * LOOK_S);
    double busy = w.backlog_s > 0 ? 1 : work;
    /* Waiting times of M/M/1: those above x are exp(-x (1 - busy) / service), behind what stands there. */
    double mean_s = busy < 1 ? 0.0002 / (1 - busy) : 1, stands = fmin(before, w.backlog_s);
    look.count = look.delivered[0] + look.delivered[1];
    look.late_calm = (uint64_t)((double)look.count * exp(-fmax(0, 0.7 * TARGET_NS / 1e9 - stands) / mean_s));
    look.late_over = (uint64_t)((double)look.count * exp(-fmax(0, 0.8 * TARGET_NS / 1e9 - stands) / mean_s));
    w.late += (uint64_t)((double)look.count * exp(-fmax(0, TARGET_NS / 1e9 - stands) / mean_s));
    w.count += look.count;
    look.ring_age_ns = (int64_t)(stands * 1e9);
    look.busy_ppm = (uint32_t)(busy * 1e6);
    look.fan_out_ns = 400000;
    w.now += GW_LADDER_NS;
    int went = gw_ladder_look(&w.ladder, w.now, &look, text, sizeof text);
    w.up += went > 0;
    w.down += went < 0;
    if (w.ladder.step > w.steps_max) w.steps_max = w.ladder.step;
    if (went && reason) *reason = text;
    return went;
}

static void load(double trade, double bbo, double lowered) {
    w.offered[0] = trade;
    w.offered[1] = bbo;
    w.offered[2] = lowered;
}

static void run(double seconds) {
    for (int64_t end = w.now + (int64_t)(seconds * 1e9); w.now < end;) turn(NULL);
}

static void an_overload_is_met_within_300_ms_and_ends_within_10_s(void) {
    make(1);
    load(0.05, 0.1, 0.35);
    run(5);
    CHECK_EQUAL(w.ladder.step, 0);
    load(0.15, 0.25, 1.0);
    const char *reason = NULL;
    int64_t from = w.now;
    while (!w.ladder.step) turn(&reason);
    CHECK(w.now - from <= 300000000 && strstr(reason, "class 2 to 5 ms"));
    run(4.5);
    w.count = w.late = 0;
    run(2);
    CHECK(w.late * 100 <= w.count);             /* p99 is at most the target */
    CHECK(w.ladder.interval[1] == 0);           /* by class 2 alone */
    CHECK(kept(2) >= 0.05);
    CHECK(w.ladder.overload_since_ns == 0);
    load(0.05, 0.1, 0.35);
    for (from = w.now; w.ladder.step; ) turn(&reason);
    CHECK(w.now - from <= INT64_C(10000000000) && strstr(reason, "calm"));
}

static void who_only_watches_takes_no_step(void) {
    make(0);
    load(0.15, 0.25, 1.0);
    run(3);
    CHECK_EQUAL(w.ladder.step, 0);
    CHECK(w.ladder.overload_since_ns > 0);
    CHECK(w.late * 2 > w.count);
}

static void class_3_pauses_first_and_class_1_comes_last(void) {
    make(1);
    load(0.4, 0.9, 0.3);
    w.offered[3] = 0.2;
    const char *reason = NULL;
    while (turn(&reason) != GW_LADDER_UP) CHECK(w.now < INT64_C(5000000000));
    CHECK_EQUAL(w.ladder.interval[3], GW_INTERVAL_PAUSED);
    CHECK(strstr(reason, "class 3 to paused"));
    run(3);
    CHECK(w.ladder.interval[2] > 1);
    CHECK_EQUAL(w.ladder.interval[0], 0);
    CHECK(gw_intervals_ns[w.ladder.interval[1]] <= TARGET_NS / 2);
    load(0.1, 0.1, 0.1);
    run(20);
    CHECK_EQUAL(w.ladder.step, 0);
}

/* At the highest once no step would help: whom it serves decides, not how many steps there were. */
static void the_highest_is_where_no_step_helps(void) {
    make(1);
    load(0.4, 0.9, 0.3);
    w.offered[3] = 0.2;
    turn(NULL);
    CHECK(!w.ladder.highest);
    run(20);
    CHECK(w.ladder.highest);
    CHECK_EQUAL(w.ladder.interval[3], GW_INTERVAL_PAUSED);
    CHECK(gw_intervals_ns[w.ladder.interval[1] + 1] > TARGET_NS / 2);
    load(0.1, 0.1, 0.1);
    run(20);
    CHECK(!w.ladder.step && !w.ladder.highest);
    make(1);
    load(1.2, 0, 0); /* class 0 alone: there is nothing to degrade */
    turn(NULL);
    CHECK(w.ladder.highest && !w.ladder.step);
    load(1.2, 0, 0.001); /* too little of class 2 to be a gain */
    run(1);
    CHECK(w.ladder.highest);
    load(1.2, 0, 0.5);
    turn(NULL);
    CHECK(!w.ladder.highest);
}

static void infeasible_is_told_and_no_step_is_taken(void) {
    gw_look_t look = {.count = 10000, .late_calm = 9000, .late_over = 9000, .fan_out_ns = TARGET_NS + 1,
                      .busy_ppm = 900000, .delivered = {5000, 5000, 5000}, .wanted = {5000, 5000, 5000},
                      .links = {10, 10, 10}};
    char reason[124];
    make(1);
    for (int i = 0; i < 50; i++) CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    CHECK(w.ladder.infeasible);
    look.fan_out_ns = TARGET_NS / 10 * 9 + 1; /* a little less: still */
    gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason);
    CHECK(w.ladder.infeasible && !w.ladder.step);
    look.fan_out_ns = TARGET_NS / 2;
    CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), GW_LADDER_UP);
}

static void a_few_late_ones_are_no_overload(void) {
    gw_look_t look = {.count = 20, .late_calm = 10, .late_over = 10, .links = {1, 1, 1}, .delivered = {10, 10, 10}};
    char reason[124];
    make(1);
    look.late_over = look.late_calm = 2; /* ten in half a second may be chance */
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), GW_LADDER_UP);
}

/* A millisecond in which nothing went on is more than 1 % of one look, and less of a second. */
static void one_bad_look_is_no_overload(void) {
    gw_look_t look = {.count = 2000, .links = {1, 1, 1}, .delivered = {1000, 1000, 1000}};
    char reason[124];
    make(1);
    for (int i = 0; i < 200; i++) {
        look.late_calm = look.late_over = i % 10 == 0 ? 60 : 0;
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    }
}

/* A sweep that was interrupted makes its whole audience late. Again and again is a load, however short it is
 * each time: three times in 5 s. */
static void a_large_audience_late_once_is_no_overload(void) {
    gw_look_t look = {.count = 2000, .links = {1, 1, 1}, .delivered = {1000, 1000, 1000}};
    char reason[124];
    make(1);
    for (int i = 0; i < 200; i++) {
        look.late_calm = look.late_over = i % 25 == 0 ? 1000 : 0;
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    }
    CHECK_EQUAL(w.ladder.overload_since_ns, 0);
    int steps = 0;
    for (int i = 0; i < 21; i++) { /* a burst of a tenth of a second, each second */
        look.late_calm = look.late_over = i % 10 == 0 ? 1000 : 0;
        steps += gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason) == GW_LADDER_UP;
    }
    CHECK_EQUAL(steps, 1);
}

static void what_was_seen_before_a_stall_is_forgotten(void) {
    gw_look_t look = {.count = 2000, .late_calm = 20, .late_over = 20, .links = {1, 1, 1}, .delivered = {10, 10, 10}};
    char reason[124];
    make(1);
    gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason);
    gw_ladder_forget(&w.ladder);
    look.late_over = look.late_calm = 0;
    look.count = 10;
    CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    CHECK_EQUAL(w.ladder.overload_since_ns, 0);
}

/* Others use the CPU: less to send would not make it earlier. Where the plane itself is busy it would. */
static void who_waits_for_a_cpu_takes_no_step(void) {
    gw_look_t look = {.count = 10000, .late_calm = 900, .late_over = 900, .busy_ppm = 100000, .waited_ppm = 200000,
                      .links = {1, 1, 1}, .delivered = {10, 10, 10}};
    char reason[124];
    make(1);
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    CHECK_EQUAL(w.ladder.overload_since_ns, 0);
    gw_look_t unexplained = look; /* late more often than it waited */
    unexplained.late_calm = unexplained.late_over = 4100;
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, i % 2 ? &look : &unexplained, reason, sizeof reason), 0);
    CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &unexplained, reason, sizeof reason), GW_LADDER_UP);
    gw_ladder_forget(&w.ladder);
    look.busy_ppm = 700000;
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), 0);
    CHECK_EQUAL(gw_ladder_look(&w.ladder, w.now += GW_LADDER_NS, &look, reason, sizeof reason), GW_LADDER_UP);
}

/* An hour of waves around what the server can do: few changes, and each of them listed. */
static void an_hour_of_waves(double period_s, unsigned changes_max) {
    make(1);
    printf("   waves of %.0f s:", period_s);
    unsigned listed = 0;
    for (unsigned i = 0; i < 36000; i++) {
        double level = 1 + 0.3 * sin(2 * M_PI * i * LOOK_S / period_s);
        load(0.1 * level, 0.2 * level, 0.7 * level);
        int went = turn(NULL);
        if (went && listed++ < 24) printf(" %.1f%c%u", i * LOOK_S, went > 0 ? '+' : '-', w.ladder.step);
    }
    printf("%s\n   %u up, %u down, at most %u steps; %.3f %% of class 0 and 1 late\n", listed > 24 ? " ..." : "", w.up,
           w.down, w.steps_max, 100.0 * (double)w.late / (double)w.count);
    CHECK(w.up + w.down <= changes_max);
    CHECK(w.up >= 1);
}

static void no_flapping(void) {
    an_hour_of_waves(600, 250);
    an_hour_of_waves(60, 720);
    an_hour_of_waves(10, 1000);
    an_hour_of_waves(1, 400);
}

int main(void) {
    RUN(an_overload_is_met_within_300_ms_and_ends_within_10_s);
    RUN(who_only_watches_takes_no_step);
    RUN(class_3_pauses_first_and_class_1_comes_last);
    RUN(the_highest_is_where_no_step_helps);
    RUN(infeasible_is_told_and_no_step_is_taken);
    RUN(a_few_late_ones_are_no_overload);
    RUN(one_bad_look_is_no_overload);
    RUN(a_large_audience_late_once_is_no_overload);
    RUN(what_was_seen_before_a_stall_is_forgotten);
    RUN(who_waits_for_a_cpu_takes_no_step);
    RUN(no_flapping);
    return 0;
}
