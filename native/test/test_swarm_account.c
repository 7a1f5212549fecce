/* What records add up to: chains of seq, the window, histograms, and the two tables behind them. */
#include "swarm_rig.h"

#define T0 1714979289000000000
#define TOPIC_A "AAA.SIM"
#define TOPIC_B "BBB.SIM"
#define KEY ((gw_hash_key_t){1, 2})

/* --- tables ---------------------------------------------------------------------------------------- */

static void topics_keep_their_last(void) {
    gw_swarm_topics_t t = {.many = NULL};
    for (uint64_t i = 1; i <= 3000; i++) {
        gw_swarm_topic_t *e = gw_swarm_topics_get(&t, KEY, i * 0x9e3779b97f4a7c15u);
        CHECK(e && e->last == 0);
        e->last = i;
    }
    for (uint64_t i = 1; i <= 3000; i++)
        CHECK_EQUAL(gw_swarm_topics_get(&t, KEY, i * 0x9e3779b97f4a7c15u)->last, i);
    CHECK_EQUAL(t.count, 3000);
    gw_swarm_topics_free(&t);
    CHECK_EQUAL(t.count, 0);
    CHECK(gw_swarm_topics_get(&t, KEY, 7) == &t.one);
    gw_swarm_topics_free(&t);
}

static void topics_are_bounded(void) {
    gw_swarm_topics_t t = {.many = NULL};
    for (uint64_t i = 1; i <= GW_SWARM_TOPICS_MAX; i++) CHECK(gw_swarm_topics_get(&t, KEY, i) != NULL);
    CHECK(gw_swarm_topics_get(&t, KEY, GW_SWARM_TOPICS_MAX + 1) == NULL);
    CHECK(gw_swarm_topics_get(&t, KEY, GW_SWARM_TOPICS_MAX) != NULL);
    gw_swarm_topics_free(&t);
}

static void ticks_are_sampled_alike(void) {
    enum { TICKS = 100000, ROOM = 1000 };
    static uint64_t keys[TICKS];
    gw_swarm_ticks_t a, b;
    CHECK_EQUAL(gw_swarm_ticks_init(&a, ROOM), 0);
    CHECK_EQUAL(gw_swarm_ticks_init(&b, ROOM), 0);
    for (int i = 0; i < TICKS; i++) keys[i] = rig_random();
    for (int i = 0; i < TICKS; i++) /* b gets them in another order, after each other */
        for (int64_t k = 0; k < 3; k++) {
            gw_swarm_ticks_note(&a, keys[i], 1000 + k * (i % 7));
            if (k == 0) gw_swarm_ticks_note(&b, keys[TICKS - 1 - i], 5);
        }
    CHECK(a.sample_mask > 0 && a.sample_mask == b.sample_mask);
    uint64_t live = 0;
    for (int i = 0; i < TICKS; i++) {
        if (keys[i] & a.sample_mask) continue;
        const gw_swarm_tick_t *found = NULL;
        for (uint64_t s = 0; s <= a.slots_mask; s++)
            if (a.slots[s].key == keys[i]) {
                CHECK(!found);
                found = &a.slots[s];
            }
        CHECK(found != NULL);
        CHECK_EQUAL(found->deliveries, 3);
        CHECK_EQUAL(found->first_ns, 1000);
        CHECK_EQUAL(found->last_ns, 1000 + 2 * (i % 7));
        live++;
    }
    CHECK(live > ROOM / 4 && live < ROOM * 2);
    gw_swarm_ticks_free(&a);
    gw_swarm_ticks_free(&b);
}

/* --- records --------------------------------------------------------------------------------------- */

static void window(rig_t *r, int64_t start_ns, int64_t end_ns, int64_t now_ns) {
    r->s->window_start_ns = start_ns;
    r->s->window_end_ns = end_ns;
    r->s->now_ns = now_ns;
    r->s->in_window = now_ns >= start_ns && now_ns < end_ns;
}

static rig_t rig_windowed(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_open(&o);
    window(&r, T0, T0 + 1000000000, T0 + 1000);
    return r;
}

static void message(rig_t *r, const char *text) { gw_swarm_message(r->s, r->c, text, strlen(text)); }

static void record(rig_t *r, const char *type, const char *symbol, unsigned long long seq,
                   unsigned long long skipped, int64_t event_ns) {
    char text[512], rest[40] = "";
    if (skipped) snprintf(rest, sizeof rest, ",\"skipped\":%llu", skipped);
    snprintf(text, sizeof text,
             "{\"channel\":\"trade\",\"type\":\"%s\",\"symbol\":\"%s\",\"seq\":%llu,\"ts_event\":%lld,"
             "\"ts_recv\":%lld,\"ts_send\":%lld,\"data\":[{\"id\":\"1\"}]%s}",
             type, symbol, seq, (long long)event_ns, (long long)event_ns + 100, (long long)event_ns + 250, rest);
    message(r, text);
}

static void update(rig_t *r, const char *symbol, unsigned long long seq, unsigned long long skipped) {
    record(r, "update", symbol, seq, skipped, T0);
}

#define CHECK_COUNTERS(r, delivered_, gaps_, events_, duplicates_, conflated_, span_, accounted_)      \
    do {                                                                                           \
        CHECK_EQUAL(RIG_COUNTER((r), delivered), delivered_);                                      \
        CHECK_EQUAL(RIG_COUNTER((r), gaps), gaps_);                                                \
        CHECK_EQUAL(RIG_COUNTER((r), gap_events), events_);                                        \
        CHECK_EQUAL(RIG_COUNTER((r), duplicates), duplicates_);                                    \
        CHECK_EQUAL(RIG_COUNTER((r), conflated), conflated_);                                      \
        CHECK_EQUAL(RIG_COUNTER((r), first_last_span), span_);                                     \
        CHECK_EQUAL(RIG_COUNTER((r), accounted), accounted_);                                      \
    } while (0)

static void chains_are_of_a_topic(void) {
    rig_t r = rig_windowed();
    for (unsigned long long seq = 5; seq < 10; seq++) {
        update(&r, TOPIC_A, seq, 0);
        update(&r, TOPIC_B, seq * 7, seq == 5 ? 0 : 6);
    }
    CHECK_COUNTERS(&r, 10, 0, 0, 0, 24, 5 + 29, 5 + 29);
    rig_close(&r);
}

static void gaps_duplicates_and_skips_are_counted(void) {
    rig_t r = rig_windowed();
    update(&r, TOPIC_A, 10, 0);
    CHECK_COUNTERS(&r, 1, 0, 0, 0, 0, 1, 1);
    update(&r, TOPIC_A, 14, 0); /* 11, 12, 13 are missing */
    CHECK_COUNTERS(&r, 2, 3, 1, 0, 0, 5, 2);
    update(&r, TOPIC_A, 14, 0);
    update(&r, TOPIC_A, 3, 0);
    CHECK_COUNTERS(&r, 2, 3, 1, 2, 0, 5, 2);
    update(&r, TOPIC_A, 20, 4); /* 15 to 18 were skipped, 19 is missing */
    CHECK_COUNTERS(&r, 3, 4, 2, 2, 4, 11, 7);
    update(&r, TOPIC_A, 21, 3); /* says more than there is */
    CHECK_COUNTERS(&r, 4, 4, 3, 2, 7, 12, 8);
    CHECK_EQUAL(RIG_COUNTER(&r, received), 4);
    rig_close(&r);
}

static void a_snapshot_goes_on_with_the_chain(void) {
    rig_t r = rig_windowed();
    record(&r, "snapshot", TOPIC_A, 10, 0, T0);
    update(&r, TOPIC_A, 11, 0);
    CHECK_COUNTERS(&r, 1, 0, 0, 0, 0, 1, 1);
    record(&r, "snapshot", TOPIC_A, 15, 3, T0); /* 12, 13, 14 are told */
    update(&r, TOPIC_A, 16, 0);
    CHECK_COUNTERS(&r, 2, 0, 0, 0, 3, 6, 6);
    record(&r, "snapshot", TOPIC_A, 90, 0, T0); /* 17 to 89 are missing, and nobody said so */
    update(&r, TOPIC_A, 91, 0);
    CHECK_COUNTERS(&r, 3, 73, 1, 0, 3, 81, 8);
    record(&r, "snapshot", TOPIC_A, 1, 0, T0); /* back: nothing is missing */
    update(&r, TOPIC_A, 2, 0);
    CHECK_COUNTERS(&r, 4, 73, 1, 0, 3, 82, 9);
    CHECK_EQUAL(RIG_COUNTER(&r, snapshots), 4);
    CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_age].count, 4);
    rig_close(&r);
}

static void acks_and_epochs_start_anew(void) {
    static const char *const resets[] = {
        "{\"method\":\"subscribe\",\"req_id\":1,\"success\":true,\"failed\":0}",
        "{\"method\":\"unsubscribe\",\"req_id\":1,\"success\":true,\"failed\":0}",
        "{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"k3fa\"}]}"};
    rig_t r = rig_windowed();
    update(&r, TOPIC_A, 100, 0);
    for (unsigned i = 0; i < 3; i++) {
        message(&r, resets[i]);
        update(&r, TOPIC_A, 7 + 20 * i, 0);
    }
    CHECK_COUNTERS(&r, 4, 0, 0, 0, 0, 4, 4);
    CHECK_EQUAL(RIG_COUNTER(&r, control), 3);
    message(&r, "{\"method\":\"ping\",\"req_id\":1,\"success\":true,\"t0\":1}");
    update(&r, TOPIC_A, 90, 0);
    CHECK_COUNTERS(&r, 5, 42, 1, 0, 0, 47, 5);
    rig_close(&r);
}

#define NOTICE(type, data) "{\"channel\":\"system\",\"type\":\"" type "\",\"data\":[" data "]}"

static void notices_are_counted_by_what_they_say(void) {
    static const char *const strange[] = {
        NOTICE("gap", ""), NOTICE("gap", "{\"from\":1,\"to\""), NOTICE("hello", "{\"from\":1,\"to\":2}"),
        "{\"channel\":\"system\",\"type\":\"gap\",\"data\":3}", "{\"channel\":\"system\",\"type\":\"gap\"}",
        "{\"channel\":\"slo\",\"type\":\"slow\",\"data\":[]}"};
    rig_t r = rig_windowed();
    update(&r, TOPIC_A, 1, 0);
    message(&r, NOTICE("slow", "{\"level\":1,\"was\":0,\"action\":\"conflate\",\"interval_ms\":20}"));
    message(&r, NOTICE("slow", "{\"level\":0,\"was\":1,\"action\":\"live\",\"interval_ms\":0}"));
    CHECK_EQUAL(RIG_COUNTER(&r, slow_notices), 2);
    CHECK_EQUAL(RIG_COUNTER(&r, slow_clients), 1);
    message(&r, NOTICE("conflation", "{\"class\":2,\"interval_ms\":20,\"was_ms\":10,\"step\":4}"));
    CHECK_EQUAL(RIG_COUNTER(&r, conflation_notices), 1);
    message(&r, NOTICE("gap", "{\"channel\":\"trade\",\"symbol\":\"A\",\"from\":2,\"to\":4,\"reason\":\"lapped\"},"
                              "{\"from\":9,\"to\":9}, {\"from\":8,\"to\":2}, {\"to\":5}, 7, {}"));
    CHECK_EQUAL(RIG_COUNTER(&r, lost), 4);
    for (unsigned i = 0; i < sizeof strange / sizeof *strange; i++) message(&r, strange[i]);
    CHECK_EQUAL(RIG_COUNTER(&r, lost), 4);
    CHECK_EQUAL(RIG_COUNTER(&r, slow_notices), 2);
    CHECK_EQUAL(RIG_COUNTER(&r, control), 10);
    update(&r, TOPIC_A, 2, 0); /* no notice starts a chain anew */
    CHECK_COUNTERS(&r, 2, 0, 0, 0, 0, 2, 2);
    rig_close(&r);
}

static void only_stamps_in_the_window_count(void) {
    rig_t r = rig_windowed();
    record(&r, "update", TOPIC_A, 1, 0, T0 - 1);
    record(&r, "update", TOPIC_A, 5, 1, T0 - 1); /* a hole, before the window */
    record(&r, "update", TOPIC_A, 6, 0, T0);
    record(&r, "update", TOPIC_A, 7, 0, T0 + 999999999);
    record(&r, "update", TOPIC_A, 9, 0, T0 + 1000000000);
    CHECK_COUNTERS(&r, 2, 0, 0, 0, 0, 2, 2);
    CHECK_EQUAL(RIG_COUNTER(&r, received), 5);
    CHECK_EQUAL(RIG_COUNTER(&r, window_frames), 5);
    window(&r, T0, T0 + 1000000000, T0 + 2000000000); /* late, and all the same of the window */
    record(&r, "update", TOPIC_A, 10, 0, T0);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 3);
    CHECK_EQUAL(RIG_COUNTER(&r, received), 5);
    CHECK_EQUAL(RIG_COUNTER(&r, frames), 6);
    CHECK_EQUAL(RIG_COUNTER(&r, window_frames), 5);
    rig_close(&r);
}

static void skips_count_for_their_part_in_the_window(void) {
    rig_t r = rig_windowed();
    int64_t end = T0 + 1000000000;
    record(&r, "update", TOPIC_A, 10, 0, T0 - 300);
    record(&r, "update", TOPIC_A, 20, 9, T0 + 100); /* a quarter of the time was in it */
    CHECK_EQUAL(RIG_COUNTER(&r, conflated), 2);
    record(&r, "update", TOPIC_A, 30, 9, T0 + 200);
    CHECK_EQUAL(RIG_COUNTER(&r, conflated), 11);
    record(&r, "update", TOPIC_A, 31, 0, end - 200);
    record(&r, "snapshot", TOPIC_A, 42, 10, end + 200); /* stamped behind it, and half of what it replaces not */
    CHECK_EQUAL(RIG_COUNTER(&r, conflated), 16);
    record(&r, "update", TOPIC_A, 50, 7, end + 900);
    CHECK_EQUAL(RIG_COUNTER(&r, conflated), 16);
    record(&r, "update", TOPIC_B, 7, 3, T0 - 100);
    record(&r, "update", TOPIC_B, 500, 400, end + 300); /* all of it lies between, and more */
    CHECK(RIG_COUNTER(&r, conflated) == 16 + 400);
    record(&r, "update", TOPIC_B, 510, 4, end - 900); /* time goes back: its own stamp decides */
    CHECK_EQUAL(RIG_COUNTER(&r, conflated), 16 + 400 + 4);
    rig_close(&r);
}

/* --- histograms ------------------------------------------------------------------------------------ */

static void check_one(const rig_t *r, int histogram, int64_t value) {
    const gw_hdr_t *h = gw_swarm_histogram(r->s, 0, histogram);
    CHECK_EQUAL(h->count, 1);
    CHECK_EQUAL(h->sum, value);
    CHECK_EQUAL(h->counts[gw_hdr_index((uint64_t)value)], 1);
}

static void each_stage_is_the_difference_of_its_stamps(void) {
    rig_t r = rig_windowed();
    window(&r, T0, T0 + 1000000000, T0 + 2000);
    r.s->kernel_ns = r.s->since_ns = T0 + 1500;
    update(&r, TOPIC_A, 1, 0);
    check_one(&r, GW_SWARM_HISTOGRAM_age, 2000);
    check_one(&r, GW_SWARM_HISTOGRAM_arrival, 1500);
    check_one(&r, GW_SWARM_HISTOGRAM_own, 500);
    check_one(&r, GW_SWARM_HISTOGRAM_wire, 100);
    check_one(&r, GW_SWARM_HISTOGRAM_server, 150);
    check_one(&r, GW_SWARM_HISTOGRAM_delivery, 1750);
    r.s->kernel_ns = 0; /* the kernel gave none */
    update(&r, TOPIC_A, 2, 0);
    CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_age].count, 2);
    CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_own].count, 1);
    gw_swarm_tick_t ticks[4];
    uint64_t mask;
    CHECK_EQUAL(gw_swarm_ticks(r.s, ticks, 4, &mask), 2);
    CHECK_EQUAL(mask, 0);
    CHECK(ticks[0].first_ns == T0 + 2000 && ticks[0].deliveries == 1);
    rig_close(&r);
}

/* Of a read's records all but the newest may have come since the socket was seen empty, but not before
 * they were sent, nor after the newest. */
static void older_records_count_from_when_they_may_have_come(void) {
    static const struct {
        int64_t since_ns, own_ns;
    } cases[] = {{0, 1750}, {249, 1750}, {1000, 1000}, {1500, 500}, {1700, 500}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_t r = rig_windowed();
        window(&r, T0, T0 + 1000000000, T0 + 2000);
        r.s->kernel_ns = T0 + 1500;
        r.s->since_ns = T0 + cases[i].since_ns;
        update(&r, TOPIC_A, 1, 0);
        check_one(&r, GW_SWARM_HISTOGRAM_own, cases[i].own_ns);
        check_one(&r, GW_SWARM_HISTOGRAM_arrival, 2000 - cases[i].own_ns);
        rig_close(&r);
    }
}

/* The newest is the one that a read ends with. */
static void the_last_record_of_a_read_is_the_newest(void) {
    for (int whole = 0; whole < 2; whole++) {
        uint8_t bytes[600];
        char text[300];
        size_t n = 0;
        rig_t r = rig_windowed();
        for (int seq = 1; seq <= 2; seq++) {
            int length = snprintf(text, sizeof text,
                                  "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"A.B\",\"seq\":%d,"
                                  "\"ts_event\":%lld}",
                                  seq, (long long)T0);
            n += rig_frame(0x81, text, (size_t)length, bytes + n);
        }
        window(&r, T0, T0 + 1000000000, T0 + 2000);
        r.s->kernel_ns = T0 + 1500;
        r.s->since_ns = T0 + 1000;
        if (!whole) n += rig_frame(0x81, text, 0, bytes + n) - 1; /* the beginning of a third */
        rig_feed(&r, bytes, n, SIZE_MAX);
        CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_own].count, 2);
        CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_own].sum, whole ? 1000 + 500 : 1000 + 1000);
        rig_close(&r);
    }
}

static void an_unmeasured_group_only_counts(void) {
    gw_swarm_group_options_t group = {.values = {[GW_SWARM_GROUP_text_off] = -1}};
    gw_swarm_options_t o = rig_options();
    gw_swarm_tick_t tick;
    uint64_t mask;
    o.groups = &group;
    rig_t r = rig_open(&o);
    window(&r, T0, T0 + 1000000000, T0 + 1000);
    update(&r, TOPIC_A, 1, 0);
    CHECK_COUNTERS(&r, 1, 0, 0, 0, 0, 1, 1);
    for (int i = 0; i < GW_SWARM_HISTOGRAM_handshake; i++) CHECK_EQUAL(r.g->histograms[i].count, 0);
    CHECK_EQUAL(r.g->histograms[GW_SWARM_HISTOGRAM_handshake].count, 1);
    CHECK_EQUAL(gw_swarm_ticks(r.s, &tick, 1, &mask), 0);
    rig_close(&r);
}

static void other_protocols_have_a_stamp_alone(void) {
    static const char text[] = "{\"data\":[{\"E\":1714979289000.5}]}";
    gw_swarm_options_t o = rig_options();
    o.stamp = GW_SWARM_STAMP_JSON;
    o.stamp_path = (gw_swarm_text_t){"data.0.E", 8};
    rig_t r = rig_open(&o);
    window(&r, T0, T0 + 1000000000, T0 + 1000000);
    message(&r, text);
    message(&r, "{\"result\":null}");
    CHECK_COUNTERS(&r, 1, 0, 0, 0, 0, 0, 0);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 1);
    check_one(&r, GW_SWARM_HISTOGRAM_age, 500000);
    rig_close(&r);

    uint8_t binary[12] = {1, 2, 3, 4};
    uint64_t stamp = T0 + 7;
    memcpy(binary + 4, &stamp, 8);
    o.stamp = GW_SWARM_STAMP_OFFSET;
    o.stamp_offset = 4;
    r = rig_open(&o);
    window(&r, T0, T0 + 1000000000, T0 + 1007);
    gw_swarm_message(r.s, r.c, (const char *)binary, 12);
    gw_swarm_message(r.s, r.c, (const char *)binary, 11);
    memset(binary, 255, sizeof binary);
    gw_swarm_message(r.s, r.c, (const char *)binary, 12);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 2);
    check_one(&r, GW_SWARM_HISTOGRAM_age, 1000);
    rig_close(&r);
}

static void options_are_checked(void) {
    static const int32_t rows[][3] = {{1, 0, -1}, {-1, 0, -1}, {0, 1, -1}, {0, -1, -1}, {0, 0, 0}, {0, 0, -2}};
    gw_swarm_options_t good = rig_options(), o = good;
    gw_swarm_group_options_t group = *good.groups;
    gw_swarm_t *s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        o.clients = rows[i];
        CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
    }
    for (int k = 0; k < GW_SWARM_GROUP_COUNT; k++) {
        o = good;
        group = *good.groups;
        group.values[k] = k == GW_SWARM_GROUP_text_off ? 0 : -1;
        o.groups = &group;
        CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
    }
    o = good;
    o.stamp = GW_SWARM_STAMP_JSON;
    o.stamp_path = (gw_swarm_text_t){"a..b", 4};
    CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
    o = good;
    o.frame_bytes_max = 0;
    CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
}

int main(void) {
    RUN(topics_keep_their_last);
    RUN(topics_are_bounded);
    RUN(ticks_are_sampled_alike);
    RUN(chains_are_of_a_topic);
    RUN(gaps_duplicates_and_skips_are_counted);
    RUN(a_snapshot_goes_on_with_the_chain);
    RUN(acks_and_epochs_start_anew);
    RUN(notices_are_counted_by_what_they_say);
    RUN(only_stamps_in_the_window_count);
    RUN(skips_count_for_their_part_in_the_window);
    RUN(each_stage_is_the_difference_of_its_stamps);
    RUN(older_records_count_from_when_they_may_have_come);
    RUN(the_last_record_of_a_read_is_the_newest);
    RUN(an_unmeasured_group_only_counts);
    RUN(other_protocols_have_a_stamp_alone);
    RUN(options_are_checked);
    return 0;
}
