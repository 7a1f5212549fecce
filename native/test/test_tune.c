/* What `tickgate tune` measures: every round is counted, under clocks of our own, and each measurement
 * ends by its rounds where the clock stands still and by its duration where it does not. */
#include "check.h"
#include "gw_tune.h"
#include "gw_tune_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    uint64_t now, step; /* atomic: each look moves the time on by `step` */
    uint64_t looks, jump_at, jump; /* REALTIME jumps at that look */
} clock_stub_t;

static int64_t stub_monotonic(void *self) {
    clock_stub_t *c = self;
    return (int64_t)__atomic_add_fetch(&c->now, c->step, __ATOMIC_RELAXED);
}

static int64_t stub_realtime(void *self) {
    clock_stub_t *c = self;
    int64_t now = 1000000000000 + (int64_t)GW_LOAD_RELAXED(&c->now);
    return ++c->looks >= c->jump_at ? now - (int64_t)c->jump : now;
}

static gw_tune_clocks_t clocks_of(clock_stub_t *c) { return (gw_tune_clocks_t){stub_monotonic, stub_realtime, c}; }

/* --- the clocks ------------------------------------------------------------------------------------ */

static void what_a_look_costs(void) {
    clock_stub_t c = {.step = 40, .jump_at = UINT64_MAX};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_clock_t out;
    gw_tune_clock(&clocks, INT64_MAX, 10, &out);
    CHECK_EQUAL(out.reads, 2560);
    CHECK(out.read_ns == 40.0);
    CHECK_EQUAL(out.steps, 0);
    CHECK_EQUAL(out.offset_ns, 1000000000000 - 20); /* read at the first of two looks, 40 ns apart */
}

static void a_step_is_seen_with_its_sign(void) {
    clock_stub_t c = {.step = 40, .jump_at = 5, .jump = 3000000};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_clock_t out;
    gw_tune_clock(&clocks, INT64_MAX, 10, &out);
    CHECK_EQUAL(out.steps, 1);
    CHECK_EQUAL(out.step_ns, -3000000);
}

static void a_clock_that_stands_still_ends_by_rounds(void) {
    clock_stub_t c = {.jump_at = UINT64_MAX};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_clock_t out;
    gw_tune_clock(&clocks, 1, 3, &out);
    CHECK_EQUAL(out.reads, 768);
    CHECK(out.read_ns == 0.0);
}

static void a_duration_ends_it(void) {
    clock_stub_t c = {.step = 10, .jump_at = UINT64_MAX};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_clock_t out;
    gw_tune_clock(&clocks, 257 * 10 * 2, UINT64_MAX, &out);
    CHECK_EQUAL(out.reads, 512);
    gw_tune_clock(&clocks, 0, UINT64_MAX, &out);
    CHECK_EQUAL(out.reads, 0);
}

/* --- quantiles ------------------------------------------------------------------------------------- */

static void quantiles_are_within_a_cell(void) {
    static gw_tune_taken_t taken;
    const gw_hdr_t *h = &taken.cells;
    CHECK_EQUAL(gw_tune_quantile(h, 0.5), 0);
    for (int64_t v = 1; v <= 100000; v++) gw_tune_take(&taken, v * 1000);
    static const double shares[] = {0.00001, 0.5, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double value = (double)gw_tune_quantile(h, shares[i]), exact = shares[i] * 1e8;
        CHECK(value >= exact - 1 && value <= exact * 1.001 + 1000); /* values are 1,000 apart */
    }
    double tail = (double)gw_tune_tail(h); /* of 99,001 to 100,000 us */
    CHECK(tail >= 99500500 && tail <= 99500500 * 1.001);
    gw_tune_times_t out;
    gw_tune_take(&taken, -5);
    gw_tune_times(&taken, &out);
    CHECK_EQUAL(out.count, 100000);
    CHECK_EQUAL(out.negative, 1);
    CHECK_EQUAL(out.max_ns, 100000000);
    CHECK(out.p50_ns < out.p99_ns && out.p99_ns < out.p999_ns && out.p999_ns <= out.max_ns);
}

static void the_tail_is_one_at_least(void) {
    static gw_hdr_t cells, *h = &cells;
    CHECK_EQUAL(gw_tune_tail(h), 0);
    gw_hdr_record(h, 100, 98);
    gw_hdr_record(h, 1500, 1);
    CHECK_EQUAL(gw_tune_tail(h), 1500);
    gw_hdr_record(h, 100, 2); /* 101: two of them */
    CHECK_EQUAL(gw_tune_tail(h), 800);
}

/* --- sends ----------------------------------------------------------------------------------------- */

static gw_tune_send_options_t sends(void) {
    return (gw_tune_send_options_t){.duration_ns = INT64_MAX, .rounds_max = 20, .slice_ns = 100000,
                                    .sockets = 7, .bytes = 160, .sender_cpu = -1, .reader_cpu = -1};
}

static void every_send_arrives_and_every_round_is_timed(void) {
    clock_stub_t c = {.step = 500};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_send_options_t o = sends();
    gw_tune_send_t out;
    const char *failed;
    CHECK_EQUAL(gw_tune_send(&clocks, &o, &out, &failed), 0);
    CHECK_EQUAL(out.sends, 20 * 7);
    CHECK_EQUAL(out.short_sends, 0);
    CHECK_EQUAL(out.bytes, 20 * 7 * 160);
    CHECK_EQUAL(out.round.count, 20);
    CHECK_EQUAL(out.round.max_ns, 500); /* two looks at the clock for each round, whatever it sends */
    CHECK_EQUAL(out.round.p50_ns, 500);
}

static void a_round_that_lasts_ends_by_the_clock(void) {
    clock_stub_t c = {.step = 1000};
    gw_tune_clocks_t clocks = clocks_of(&c);
    gw_tune_send_options_t o = sends();
    gw_tune_send_t out;
    const char *failed;
    o.rounds_max = UINT64_MAX;
    o.duration_ns = 3000 * 4; /* three looks a round */
    CHECK_EQUAL(gw_tune_send(&clocks, &o, &out, &failed), 0);
    CHECK_EQUAL(out.round.count, 4);
}

static void what_does_not_fit_the_options_is_refused(void) {
    static const uint32_t bad[][2] = {{0, 160}, {GW_TUNE_SOCKETS_MAX + 1, 160}, {1, 0}, {1, GW_TUNE_BYTES_MAX + 1}};
    gw_tune_send_t out;
    const char *failed;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gw_tune_send_options_t o = sends();
        o.sockets = bad[i][0];
        o.bytes = bad[i][1];
        CHECK_EQUAL(gw_tune_send(&gw_tune_host_clocks, &o, &out, &failed), -EINVAL);
        CHECK(strcmp(failed, "the options") == 0);
    }
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += dup2(fd, fd) == fd;
    return count;
}

/* The limit under which so many descriptors are to be had. */
static rlim_t limit_with(rlim_t room) {
    rlim_t limit = 0;
    for (; room > 0 || dup2((int)limit, (int)limit) >= 0; limit++) room -= dup2((int)limit, (int)limit) < 0;
    return limit;
}

static void no_descriptors_left_is_said_and_nothing_leaks(void) {
    struct rlimit before, few;
    gw_tune_send_options_t o = sends();
    gw_tune_wake_options_t w = {.duration_ns = INT64_MAX, .rounds_max = 1, .cpu = -1, .ringer_cpu = -1};
    gw_tune_send_t sent;
    gw_tune_wake_t woken;
    const char *failed;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    int open = open_descriptors();
    for (rlim_t room = 0; room < 9; room++) { /* of 16 that it takes */
        few = before;
        few.rlim_cur = limit_with(room);
        CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
        CHECK_EQUAL(gw_tune_send(&gw_tune_host_clocks, &o, &sent, &failed), -EMFILE);
        CHECK(failed[0] == 'a');
        CHECK_EQUAL(sent.sends, 0);
        if (room < 2) CHECK_EQUAL(gw_tune_wake(&gw_tune_host_clocks, &w, &woken, &failed), -EMFILE);
        CHECK_EQUAL(open_descriptors(), open);
    }
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* --- wake-ups -------------------------------------------------------------------------------------- */

static void each_ring_is_answered_once(void) {
    for (int busy = 0; busy < 2; busy++) {
        clock_stub_t c = {.step = 1};
        gw_tune_clocks_t clocks = clocks_of(&c);
        gw_tune_wake_options_t o = {.duration_ns = INT64_MAX, .rounds_max = 3 * GW_TUNE_STAMPS, .slice_ns = 100000,
                                    .cpu = -1, .ringer_cpu = -1, .busy = busy};
        gw_tune_wake_t out;
        const char *failed;
        CHECK_EQUAL(gw_tune_wake(&clocks, &o, &out, &failed), 0);
        CHECK_EQUAL(out.rung + out.skipped, 3 * GW_TUNE_STAMPS);
        CHECK(out.rung >= GW_TUNE_STAMPS);
        CHECK_EQUAL(out.delay.count, out.rung);
        CHECK_EQUAL(out.delay.negative, 0);
        CHECK(out.delay.max_ns >= out.delay.p999_ns && out.delay.p50_ns > 0);
    }
}

static void rings_end_by_the_clock(void) {
    gw_tune_wake_options_t o = {.duration_ns = 20000000, .interval_ns = 1000000, .rounds_max = UINT64_MAX,
                                .cpu = -1, .ringer_cpu = -1};
    gw_tune_wake_t out;
    const char *failed;
    CHECK_EQUAL(gw_tune_wake(&gw_tune_host_clocks, &o, &out, &failed), 0);
    CHECK(out.rung >= 1 && out.rung <= 21); /* a pause of a millisecond is never shorter */
    CHECK_EQUAL(out.delay.count + out.delay.negative, out.rung);
}

int main(void) {
    RUN(what_a_look_costs);
    RUN(a_step_is_seen_with_its_sign);
    RUN(a_clock_that_stands_still_ends_by_rounds);
    RUN(a_duration_ends_it);
    RUN(quantiles_are_within_a_cell);
    RUN(the_tail_is_one_at_least);
    RUN(every_send_arrives_and_every_round_is_timed);
    RUN(a_round_that_lasts_ends_by_the_clock);
    RUN(what_does_not_fit_the_options_is_refused);
    RUN(no_descriptors_left_is_said_and_nothing_leaks);
    RUN(each_ring_is_answered_once);
    RUN(rings_end_by_the_clock);
    return 0;
}
