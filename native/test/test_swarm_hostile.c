/* Servers that mean harm: floods, endless numbers, answers that never end, extreme stamps. What a client
 * keeps for one stays bounded, and it goes on to count right. */
#include "gw_map.h"
#include "swarm_rig.h"

#include <arpa/inet.h>
#include <sys/resource.h>

#define T0 1714979289000000000
#define EPOCH "{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"k3fa\"}]}"

static rig_t rig_windowed(const gw_swarm_options_t *o) {
    rig_t r = rig_open(o);
    r.s->window_end_ns = INT64_MAX;
    r.s->in_window = true;
    r.s->now_ns = T0 + 1000;
    return r;
}

static size_t record_write(char *out, size_t room, const char *symbol, const char *seq, const char *event) {
    return (size_t)snprintf(out, room,
                            "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"%s\","
                            "\"seq\":%s,\"ts_event\":%s,\"ts_recv\":%s,\"ts_send\":%s,\"data\":[{\"id\":\"1\"}]}",
                            symbol, seq, event, event, event);
}

static void record(rig_t *r, const char *symbol, const char *seq, const char *event) {
    char text[600];
    gw_swarm_message(r->s, r->c, text, record_write(text, sizeof text, symbol, seq, event));
}

/* --- chosen names and stamps ----------------------------------------------------------------------- */

/* The farthest that a topic lies from where it belongs. */
static uint32_t topics_probes_max(const gw_swarm_topics_t *t, gw_hash_key_t key) {
    uint32_t most = 0;
    for (uint32_t i = 0; i <= t->mask; i++) {
        if (!t->many[i].topic) continue;
        uint32_t probes = (i - gw_swarm_topics_home(t, key, t->many[i].topic)) & t->mask;
        most = probes > most ? probes : most;
    }
    return most;
}

static void topics_of_equal_low_bits_are_spread(void) {
    gw_swarm_topics_t t = {.many = NULL};
    gw_hash_key_t key = {3, 4};
    for (uint64_t i = 1; i <= 3000; i++) CHECK(gw_swarm_topics_get(&t, key, i << 32) != NULL);
    CHECK(topics_probes_max(&t, key) < 100); /* 3,000 where the low bits are the place */
    gw_swarm_topics_free(&t);
}

/* The number whose gw_map_hash is `hash`. */
static uint64_t unhash(uint64_t hash) {
    uint64_t x = hash ^ hash >> 31 ^ hash >> 62;
    x *= 0x319642b2d24d8ec3u; /* inverses modulo 2^64 */
    x = x ^ x >> 27 ^ x >> 54;
    x *= 0x96de1b173f119089u;
    return x ^ x >> 30 ^ x >> 60;
}

/* By a hash that the server can compute all of these were sampled, and kept in one place. */
static void ticks_are_not_for_the_server_to_choose(void) {
    gw_swarm_options_t o = rig_options();
    o.stamp = GW_SWARM_STAMP_OFFSET;
    o.ticks_tracked_max = 4096;
    rig_t r = rig_windowed(&o);
    r.s->window_start_ns = INT64_MIN;
    uint64_t sent = 0;
    for (uint64_t i = 1; sent < 1000; i++) {
        uint64_t stamp = unhash(i << 40);
        CHECK(gw_map_hash(stamp) == i << 40);
        if (stamp > INT64_MAX) continue;
        gw_swarm_message(r.s, r.c, (const char *)&stamp, sizeof stamp);
        sent++;
    }
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), sent);
    CHECK_EQUAL(r.s->ticks.sample_mask, 0);
    CHECK_EQUAL(r.s->ticks.count, sent);
    rig_close(&r);
}

static void any_number_may_have_been_skipped(void) {
    static const char form[] = "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"A.B\",\"seq\":%d,\"ts_event\":%lld"
                               ",\"ts_recv\":%lld,\"ts_send\":%lld,\"data\":[{\"id\":\"1\"}],\"skipped\":%llu}";
    static const struct {
        long long before, after; /* stamps about the window's start */
        unsigned long long skipped, conflated;
    } ROWS[] = {
        {1, 2, UINT64_MAX, UINT64_MAX},
        {-10, 10, UINT64_MAX, 1ull << 63},
        {-1, 2, UINT64_MAX, UINT64_MAX / 3 * 2},
        {-9, 1, 5, 1}, /* the half counts whole */
        {5, 5, UINT64_MAX, UINT64_MAX},
        {-2, -1, UINT64_MAX, 0},
        {1 - T0, INT64_MAX - T0, UINT64_MAX, 15016785495709551616u},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char text[600];
        gw_swarm_options_t o = rig_options();
        rig_t r = rig_windowed(&o);
        r.s->window_start_ns = T0;
        for (int seq = 1; seq <= 2; seq++) {
            long long ns = T0 + (seq == 1 ? ROWS[i].before : ROWS[i].after);
            unsigned long long skipped = seq == 1 ? 0 : ROWS[i].skipped;
            int n = snprintf(text, sizeof text, form, seq, ns, ns, ns, skipped);
            gw_swarm_message(r.s, r.c, text, (size_t)n);
        }
        CHECK(RIG_COUNTER(&r, conflated) == ROWS[i].conflated);
        rig_close(&r);
    }
}

/* --- floods ---------------------------------------------------------------------------------------- */

static void pings_of_a_server_that_never_reads_are_not_hoarded(void) {
    static uint8_t pings[127 * 2000];
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_open(&o);
    uint8_t payload[125] = {0};
    size_t n = 0;
    while (n < sizeof pings) n += rig_frame(0x89, payload, sizeof payload, pings + n);
    for (int i = 0; i < 5; i++) rig_feed(&r, pings, sizeof pings, SIZE_MAX);
    CHECK_EQUAL(r.c->state, GW_SWARM_OPEN);
    CHECK(r.c->out.length > 0 && r.c->out.length <= GW_SWARM_OUT_BYTES_MIN);
    CHECK_EQUAL(r.c->rest.length, 0);
    /* What was queued comes whole once the server reads. */
    uint8_t sent[GW_CONTROL_BYTES_MAX + 6];
    size_t length;
    for (;;) {
        int opcode = rig_sent(&r, sent, &length);
        if (opcode < 0 && r.c->out.length == 0) break;
        if (opcode < 0) gw_swarm_flush(r.s, r.c);
        else CHECK(opcode == GW_OP_PONG && length == 125);
    }
    rig_close(&r);
}

static void a_million_symbols_are_bounded_and_all_delivered(void) {
    enum { SYMBOLS = 1000000 };
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_windowed(&o);
    for (int i = 0; i < SYMBOLS; i++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "S%d.SIM", i);
        record(&r, symbol, "7", "1714979289000000000");
    }
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), SYMBOLS);
    CHECK_EQUAL(RIG_COUNTER(&r, accounted), SYMBOLS);
    CHECK_EQUAL(RIG_COUNTER(&r, gaps) + RIG_COUNTER(&r, duplicates), 0);
    CHECK_EQUAL(r.c->topics.count, GW_SWARM_TOPICS_MAX);
    CHECK(r.c->topics.mask < 2 * GW_SWARM_TOPICS_MAX);
    rig_close(&r);
}

/* A frame of any number of fragments is bounded by their bytes; empty ones cost nothing. */
static void empty_fragments_are_a_message_of_nothing(void) {
    for (int stamp = GW_SWARM_STAMP_TICKGATE; stamp <= GW_SWARM_STAMP_AFTER; stamp++) {
        static uint8_t stream[20000];
        gw_swarm_options_t o = rig_options();
        o.stamp = stamp;
        o.stamp_path = (gw_swarm_text_t){"ts", 2};
        rig_t r = rig_windowed(&o);
        size_t n = rig_frame(0x01, NULL, 0, stream);
        while (n < sizeof stream - 2) n += rig_frame(0x00, NULL, 0, stream + n);
        n += rig_frame(0x80, NULL, 0, stream + n);
        rig_feed(&r, stream, n, 777);
        CHECK_EQUAL(RIG_COUNTER(&r, frames), 1);
        CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 1);
        CHECK_EQUAL(r.c->state, GW_SWARM_OPEN);
        rig_close(&r);
    }
}

/* --- numbers and stamps ----------------------------------------------------------------------------- */

/* Ages are differences of any two stamps: before, after and far off, and none of them overflows. */
static void extreme_stamps_are_ages_too(void) {
    static const char *const events[] = {"1", "9223372036854775806", "9223372036854775807",
                                         "1714979289000000000", "0", "-9223372036854775808",
                                         "9223372036854775808"};
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_windowed(&o);
    r.s->window_start_ns = INT64_MIN;
    static const int64_t times[][2] = {{T0, T0}, {1, 0}, {INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        r.s->now_ns = times[i][0];
        r.s->kernel_ns = r.s->since_ns = times[i][1];
        for (size_t k = 0; k < sizeof events / sizeof *events; k++) record(&r, "A.B", "7", events[k]);
        gw_swarm_message(r.s, r.c, EPOCH, sizeof EPOCH - 1);
    }
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 3 * 3);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 3);
    rig_close(&r);
}

static void numbers_without_end_are_no_numbers(void) {
    char digits[401];
    memset(digits, '9', 400);
    digits[400] = '\0';
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_windowed(&o);
    char text[2000];
    record(&r, "A.B", "18446744073709551615", "1714979289000000000");
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"A.B\",\"seq\":%s,"
                                "\"ts_event\":1714979289000000000}", digits);
    gw_swarm_message(r.s, r.c, text, n);
    n = (size_t)snprintf(text, sizeof text, "{\"method\":\"subscribe\",\"failed\":%s}", digits);
    gw_swarm_message(r.s, r.c, text, n);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 1);
    CHECK_EQUAL(RIG_COUNTER(&r, control), 1);
    rig_close(&r);
}

/* A million brackets, a string without end, a symbol of a megabyte. */
static void long_texts_are_read_once(void) {
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 200);
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_windowed(&o);
    static const char *const starts[] = {"{\"a\":[", "{\"a\":{", "{\"a\":\"", "[[", "{\"a\":\\"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]);
        memset(text, starts[i][n - 1], SIZE);
        memcpy(text, starts[i], n);
        gw_swarm_message(r.s, r.c, text, SIZE);
    }
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 5);
    char *symbol = malloc(SIZE + 1);
    memset(symbol, 'S', SIZE);
    symbol[SIZE] = '\0';
    for (int seq = 1; seq <= 2; seq++) {
        size_t n = record_write(text, SIZE + 200, symbol, seq == 1 ? "1" : "2", "1714979289000000000");
        CHECK(n < SIZE + 200);
        gw_swarm_message(r.s, r.c, text, n);
    }
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 2);
    CHECK_EQUAL(RIG_COUNTER(&r, accounted), 2);
    free(symbol);
    free(text);
    rig_close(&r);
}

/* --- epochs ------------------------------------------------------------------------------------------ */

/* What an epoch ends is forgotten: a storm of them costs what the records between them did. */
static void a_storm_of_epochs_keeps_nothing(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_windowed(&o);
    for (int i = 0; i < 50000; i++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "S%d.SIM", i);
        record(&r, symbol, "7", "1714979289000000000");
    }
    for (int i = 0; i < 20000; i++) {
        gw_swarm_message(r.s, r.c, EPOCH, sizeof EPOCH - 1);
        record(&r, "A.B", i % 2 ? "1" : "900", "1714979289000000000");
        record(&r, "C.D", "3", "1714979289000000000");
    }
    CHECK_EQUAL(r.c->topics.count, 2);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 50000 + 2 * 20000);
    CHECK_EQUAL(RIG_COUNTER(&r, gaps) + RIG_COUNTER(&r, duplicates), 0);
    rig_close(&r);
}

/* --- time -------------------------------------------------------------------------------------------- */

static void any_time_may_be_asked_for(void) {
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1};
    gw_swarm_group_options_t group = {.values = {[GW_SWARM_GROUP_text_off] = -1}};
    for (int k = 0; k < GW_SWARM_GROUP_text_off; k++) group.values[k] = 1000000000;
    gw_swarm_options_t o = rig_options();
    o.groups = &group;
    o.clock_offset_ns = INT64_MIN;
    gw_swarm_t *s;
    CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
    o.clock_offset_ns = -(INT64_C(1) << 60);
    rig_t r = rig_open(&o);
    gw_swarm_drop(r.s, r.c);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        gw_swarm_go(r.s, times[i]);
        gw_swarm_window(r.s, times[i], times[i]);
        CHECK_EQUAL(gw_swarm_run(r.s, times[i]), 0);
        CHECK_EQUAL(gw_swarm_connect(r.s, times[i]), 0);
    }
    gw_swarm_stop(r.s);
    gw_swarm_go(r.s, INT64_MAX);
    CHECK_EQUAL(gw_swarm_run(r.s, INT64_MAX), 0);
    CHECK_EQUAL(gw_swarm_connect(r.s, INT64_MAX), 0);
    rig_close(&r);
}

static void an_answer_that_drips_is_not_waited_for(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_shaking(&o);
    r.c->due_ns = 1000;
    for (int64_t ns = 100; ns < 1000; ns += 100) {
        CHECK_EQUAL(send(r.peer, "H", 1, 0), 1);
        r.s->monotonic_ns = ns;
        gw_swarm_readable(r.s, r.c);
        gw_swarm_timers(r.s);
        CHECK_EQUAL(r.c->state, GW_SWARM_SHAKING);
    }
    r.s->monotonic_ns = 1000;
    gw_swarm_timers(r.s);
    CHECK_EQUAL(r.c->state, GW_SWARM_IDLE);
    CHECK_EQUAL(r.s->refusals[ETIMEDOUT], 1);
    CHECK_EQUAL(r.s->shaking_count, 0);
    rig_close(&r);
}

/* --- the kernel -------------------------------------------------------------------------------------- */

static uint64_t refused(const gw_swarm_options_t *o, int why) {
    gw_swarm_t *s;
    CHECK_EQUAL(gw_swarm_create(o, &s), 0);
    CHECK_EQUAL(gw_swarm_connect(s, gw_monotonic_ns() + 20000000000), 0);
    uint64_t count = gw_swarm_refused(s)[why];
    CHECK_EQUAL(gw_swarm_counters(s, 0)[GW_SWARM_COUNTER_refused], count);
    CHECK_EQUAL(s->shaking_count, 0);
    gw_swarm_destroy(s);
    return count;
}

static void what_the_kernel_refuses_is_told(void) {
    enum { CLIENTS = 50 };
    static int32_t clients[CLIENTS][3];
    struct rlimit before, low;
    gw_swarm_target_t target = {.address = {127, 0, 0, 1}, .port = 1, .request = {"GET", 3}};
    uint32_t source = htonl(0xc0000201); /* 192.0.2.1, RFC 5737 */
    gw_swarm_options_t o = rig_options();
    for (int i = 0; i < CLIENTS; i++) clients[i][2] = -1;
    o.clients = &clients[0][0];
    o.clients_count = CLIENTS;
    o.targets = &target;
    o.connecting_max = CLIENTS;
    o.sources = &source;
    o.sources_count = 1;
    CHECK_EQUAL(refused(&o, EADDRNOTAVAIL), CLIENTS);
    o.sources_count = 0;
    CHECK_EQUAL(refused(&o, ECONNREFUSED), CLIENTS);
    int next = dup(0);
    close(next);
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)next + 3, before.rlim_max}; /* epoll, the wake-up's, schedstat */
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &low), 0);
    CHECK_EQUAL(refused(&o, EMFILE), CLIENTS);
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    int same = dup(0); /* nothing was left open */
    CHECK_EQUAL(same, next);
    close(same);
}

int main(void) {
    RUN(topics_of_equal_low_bits_are_spread);
    RUN(ticks_are_not_for_the_server_to_choose);
    RUN(any_number_may_have_been_skipped);
    RUN(pings_of_a_server_that_never_reads_are_not_hoarded);
    RUN(a_million_symbols_are_bounded_and_all_delivered);
    RUN(empty_fragments_are_a_message_of_nothing);
    RUN(extreme_stamps_are_ages_too);
    RUN(numbers_without_end_are_no_numbers);
    RUN(long_texts_are_read_once);
    RUN(a_storm_of_epochs_keeps_nothing);
    RUN(any_time_may_be_asked_for);
    RUN(an_answer_that_drips_is_not_waited_for);
    RUN(what_the_kernel_refuses_is_told);
    return 0;
}
