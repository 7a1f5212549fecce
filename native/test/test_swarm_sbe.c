/* Binary frames: a swarm counts what it would have counted of the same messages in JSON, whatever bytes come. */
#include "gw_sbe.h"
#include "gw_swarm_sbe.h"
#include "swarm_rig.h"

#define T0 1714979289000000000
#define KEY ((gw_hash_key_t){1, 2})

enum { HEARTBEAT = 17, GAP = 32, EPOCH, RETIRED, REPLAY_COMPLETED, SLOW, CONFLATION, LIMIT, AUTH_EXPIRING, SHUTDOWN };

/* --- writing --------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t bytes[8192];
    size_t n;
} frame_t;

static void put(frame_t *f, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++) f->bytes[f->n++] = (uint8_t)(value >> 8 * i);
}

static void head(frame_t *f, unsigned block, unsigned template_id, unsigned schema) {
    put(f, block, 2);
    put(f, template_id, 2);
    put(f, schema, 2);
    put(f, 0, 2);
}

static void text(frame_t *f, const char *words) {
    put(f, strlen(words), 1);
    for (; *words; words++) put(f, (uint8_t)*words, 1);
}

static void topic(frame_t *f, uint32_t number, uint8_t channel, const char *name) {
    head(f, GW_SBE_TOPIC_BLOCK, GW_SBE_TOPIC, 1);
    put(f, number, 4);
    put(f, channel, 1);
    text(f, name);
}

typedef struct {
    uint8_t channel;
    bool snapshot;
    uint32_t topic;
    uint64_t seq, skipped;
    int64_t event_ns, recv_ns, send_ns;
} record_t;

/* With `more` bytes at the block's end, as of a newer version. */
static void record(frame_t *f, const record_t *r, unsigned more) {
    unsigned decimals = r->channel == GW_SBE_TRADE ? 2 : 4;
    head(f, (r->channel == GW_SBE_TRADE ? GW_SBE_TRADE_BLOCK : GW_SBE_BBO_BLOCK) + more, r->channel, 1);
    put(f, r->seq, 8);
    put(f, (uint64_t)r->event_ns, 8);
    put(f, (uint64_t)r->recv_ns, 8);
    put(f, (uint64_t)r->send_ns, 8);
    put(f, r->skipped, 8);
    put(f, r->topic, 4);
    put(f, r->snapshot, 1);
    if (r->channel == GW_SBE_TRADE) put(f, GW_SIDE_BUY, 1);
    for (unsigned i = 0; i < decimals; i++) {
        put(f, 6425010, 8);
        put(f, 0, 8);
        put(f, 0xfe, 1);
    }
    for (unsigned i = 0; i < more; i++) put(f, 0x5a, 1);
    if (r->channel == GW_SBE_TRADE) text(f, "17");
}

static record_t trade(uint32_t number, uint64_t seq) {
    return (record_t){GW_SBE_TRADE, false, number, seq, 0, T0, T0 + 100, T0 + 250};
}

static void give(rig_t *r, const frame_t *f) {
    uint8_t *exact = malloc(f->n + !f->n); /* so that a byte beyond it is seen */
    CHECK(exact != NULL);
    memcpy(exact, f->bytes, f->n);
    gw_swarm_binary(r->s, r->c, (const char *)exact, f->n);
    free(exact);
}

static rig_t rig_windowed(void) {
    gw_swarm_options_t o = rig_options();
    o.hash_key = KEY;
    o.ticks_tracked_max = 4096;
    rig_t r = rig_open(&o);
    r.s->window_start_ns = T0 - 1000;
    r.s->window_end_ns = T0 + 1000000;
    r.s->now_ns = T0 + 2000;
    r.s->kernel_ns = T0 + 1900;
    r.s->in_window = true;
    return r;
}

/* --- the same as JSON ------------------------------------------------------------------------------ */

static const char *const NAMES[] = {"AAA.SIM", "\345\270\201 \345\256\211.X", "BRK.B.XNAS"};
static const char *const CHANNELS[] = {NULL, "trade", "bbo"};

static void json(rig_t *r, const char *words) { gw_swarm_message(r->s, r->c, words, strlen(words)); }

static void json_record(rig_t *r, const record_t *d, const char *name) {
    char words[600], rest[40] = "";
    if (d->skipped) snprintf(rest, sizeof rest, ",\"skipped\":%llu", (unsigned long long)d->skipped);
    snprintf(words, sizeof words,
             "{\"channel\":\"%s\",\"type\":\"%s\",\"symbol\":\"%s\",\"seq\":%llu,\"ts_event\":%lld,\"ts_recv\":%lld,"
             "\"ts_send\":%lld,\"data\":[{}]%s}",
             CHANNELS[d->channel], d->snapshot ? "snapshot" : "update", name, (unsigned long long)d->seq,
             (long long)d->event_ns, (long long)d->recv_ns, (long long)d->send_ns, rest);
    json(r, words);
}

static void gap(frame_t *f, uint64_t from, uint64_t to) {
    head(f, 26, GAP, 1);
    put(f, from, 8);
    put(f, to, 8);
    put(f, UINT64_MAX, 8);
    put(f, 1, 1);
    put(f, 1, 1);
    text(f, NAMES[0]);
}

/* The same notice in both. */
static void notice(rig_t *a, rig_t *b, unsigned which) {
    static const char *const TEXTS[] = {
        "{\"channel\":\"heartbeat\",\"n\":1,\"ts_send\":2}",
        "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"from\":4,\"to\":9,\"reason\":\"lapped\"}]}",
        "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"reason\":\"refused\"}]}",
        "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"from\":9,\"to\":4}]}",
        "{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"k\"}]}",
        "{\"channel\":\"system\",\"type\":\"retired\",\"data\":[{}]}",
        "{\"channel\":\"system\",\"type\":\"slow\",\"data\":[{}]}",
        "{\"channel\":\"system\",\"type\":\"conflation\",\"data\":[{},{}]}",
        "{\"channel\":\"system\",\"type\":\"limit_exceeded\",\"data\":[{}]}",
        "{\"channel\":\"system\",\"type\":\"auth_expiring\",\"data\":[{}]}",
        "{\"channel\":\"system\",\"type\":\"shutdown\",\"data\":[{}]}",
        "{\"channel\":\"system\",\"type\":\"replay_completed\",\"data\":[{}]}",
    };
    frame_t f = {.n = 0};
    json(a, TEXTS[which]);
    switch (which) {
    case 0: head(&f, 16, HEARTBEAT, 1), put(&f, 1, 8), put(&f, 2, 8); break;
    case 1: gap(&f, 4, 9); break;
    case 2: gap(&f, UINT64_MAX, UINT64_MAX); break;
    case 3: gap(&f, 9, 4); break;
    case 4: head(&f, 1, EPOCH, 1), put(&f, 255, 1), text(&f, "k"), text(&f, ""); break;
    case 5: head(&f, 1, RETIRED, 1), put(&f, 1, 1), text(&f, NAMES[1]); break;
    case 6: head(&f, 15, SLOW, 1), put(&f, 1, 8), put(&f, 2, 4), put(&f, 0x010203, 3); break;
    case 7:
        head(&f, 0, CONFLATION, 1), put(&f, 13, 2), put(&f, 2, 2);
        for (int i = 0; i < 2; i++) put(&f, 5, 8), put(&f, 7, 5);
        break;
    case 8: head(&f, 16, LIMIT, 1), put(&f, 1, 8), put(&f, 2, 8), text(&f, "topics"), text(&f, "*"); break;
    case 9: head(&f, 8, AUTH_EXPIRING, 1), put(&f, T0, 8); break;
    case 10: head(&f, 4, SHUTDOWN, 1), put(&f, 9, 4); break;
    default: head(&f, 17, REPLAY_COMPLETED, 1), put(&f, 1, 8), put(&f, 2, 8), put(&f, 1, 1), text(&f, "*");
    }
    give(b, &f);
}

static void check_same(const rig_t *a, const rig_t *b) {
    for (int i = 0; i < GW_SWARM_COUNTERS_COUNT; i++)
        if (i != GW_SWARM_COUNTER_bytes) CHECK_EQUAL(a->g->counters[i], b->g->counters[i]);
    for (int i = 0; i < GW_SWARM_HISTOGRAMS_COUNT; i++) {
        if (i == GW_SWARM_HISTOGRAM_handshake) continue;
        CHECK_EQUAL(a->g->histograms[i].count, b->g->histograms[i].count);
        CHECK_EQUAL(a->g->histograms[i].sum, b->g->histograms[i].sum);
    }
    CHECK_EQUAL(a->s->ticks.count, b->s->ticks.count);
    for (uint64_t i = 0; i <= a->s->ticks.slots_mask; i++)
        CHECK_EQUAL(a->s->ticks.slots[i].key, b->s->ticks.slots[i].key);
}

static void counts_are_those_of_json(void) {
    rig_t a = rig_windowed(), b = rig_windowed();
    uint64_t last[2][3] = {{0}};
    bool announced[2][3] = {{false}};
    for (int i = 0; i < 20000; i++) {
        if (rig_random() % 20 == 0) {
            notice(&a, &b, rig_random() % 12);
            continue;
        }
        unsigned channel = rig_random() % 2, name = rig_random() % 3;
        record_t d = trade(channel * 3 + name + 1000000, 0);
        d.channel = channel ? GW_SBE_BBO : GW_SBE_TRADE;
        d.skipped = rig_random() % 4 ? 0 : rig_random() % 5;
        d.snapshot = rig_random() % 8 == 0;
        d.seq = last[channel][name] + 1 + d.skipped;
        if (rig_random() % 10 == 0) d.seq += rig_random() % 6;
        if (rig_random() % 10 == 0 && d.seq > 4) d.seq -= rig_random() % 4;
        last[channel][name] = d.seq;
        d.event_ns += (int64_t)(rig_random() % 1200000) - 10000; /* some of it out of the window */
        if (rig_random() % 50 == 0) d.event_ns = 0;
        json_record(&a, &d, NAMES[name]);
        frame_t f = {.n = 0};
        if (!announced[channel][name] || rig_random() % 100 == 0) topic(&f, d.topic, d.channel, NAMES[name]);
        announced[channel][name] = true;
        record(&f, &d, rig_random() % 10 ? 0 : 3);
        give(&b, &f);
    }
    CHECK(RIG_COUNTER(&a, delivered) > 1000 && RIG_COUNTER(&a, gaps) > 100 && RIG_COUNTER(&a, duplicates) > 100);
    CHECK(RIG_COUNTER(&a, conflated) > 100 && RIG_COUNTER(&a, lost) > 100 && RIG_COUNTER(&a, unstamped) > 100);
    check_same(&a, &b);
    rig_close(&a);
    rig_close(&b);
}

static void a_frame_may_hold_several(void) {
    rig_t r = rig_windowed();
    frame_t f = {.n = 0};
    record_t one = trade(7, 1), two = trade(7, 2), other = trade(8, 5);
    other.channel = GW_SBE_BBO;
    topic(&f, 7, 1, "A.X");
    record(&f, &one, 0);
    gap(&f, 1, 3);
    topic(&f, 8, 2, "A.X");
    record(&f, &other, 0);
    head(&f, 16, HEARTBEAT, 1), put(&f, 1, 8), put(&f, 2, 8);
    record(&f, &two, 0);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, frames), 1);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 3);
    CHECK_EQUAL(RIG_COUNTER(&r, lost), 3);
    CHECK_EQUAL(RIG_COUNTER(&r, heartbeats), 1);
    CHECK_EQUAL(RIG_COUNTER(&r, gaps), 0);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 0);
    rig_close(&r);
}

/* --- connections ----------------------------------------------------------------------------------- */

static void fragments_are_of_their_first_frame_s_kind(void) {
    rig_t r = rig_windowed();
    frame_t f = {.n = 0};
    record_t one = trade(7, 1);
    topic(&f, 7, 1, "A.X");
    record(&f, &one, 0);
    uint8_t wire[1024];
    size_t n = rig_frame(GW_OP_BINARY, f.bytes, 40, wire);
    n += rig_frame(0x89, "ping", 4, wire + n);
    n += rig_frame(0x80, f.bytes + 40, f.n - 40, wire + n);
    static const char words[] = "{\"channel\":\"heartbeat\",\"n\":1}";
    n += rig_frame(GW_OP_TEXT, words, 10, wire + n);
    n += rig_frame(0x80, words + 10, sizeof words - 11, wire + n);
    for (size_t chunk = 1; chunk < n; chunk += 7) rig_feed(&r, wire, n, chunk);
    r.s->in_window = true;
    CHECK(RIG_COUNTER(&r, heartbeats) == (n + 5) / 7 && RIG_COUNTER(&r, unstamped) == 0);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered) + RIG_COUNTER(&r, duplicates), (n + 5) / 7);
    rig_close(&r);
}

static void another_connection_s_numbers_are_its_own(void) {
    rig_t r = rig_windowed();
    frame_t f = {.n = 0}, again = {.n = 0};
    record_t one = trade(7, 1), two = trade(7, 2);
    topic(&f, 7, 1, "A.X");
    record(&f, &one, 0);
    record(&again, &two, 0);
    give(&r, &f);
    give(&r, &again);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 2);
    gw_swarm_lose(r.s, r.c);
    give(&r, &again);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 2);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 1);
    rig_close(&r);
}

static void other_servers_binary_frames_are_read_by_their_stamp(void) {
    gw_swarm_options_t o = rig_options();
    o.stamp = GW_SWARM_STAMP_OFFSET;
    rig_t r = rig_open(&o);
    r.s->window_end_ns = INT64_MAX;
    int64_t stamp = T0;
    gw_swarm_binary(r.s, r.c, (const char *)&stamp, sizeof stamp);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 1);
    rig_close(&r);
}

/* --- hostile --------------------------------------------------------------------------------------- */

static void bad_frames_are_counted(void) {
    rig_t r = rig_windowed();
    frame_t f = {.n = 0};
    record_t one = trade(7, 1);
    uint64_t bad = 0;
    give(&r, &f); /* empty */
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), ++bad);
    record(&f, &one, 0); /* not announced; what follows is read */
    topic(&f, 7, 2, "A.X");
    record(&f, &one, 0); /* announced as another channel */
    give(&r, &f);
    bad += 2;
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), bad);
    f.n = 0;
    topic(&f, 7, 1, "A.X");
    head(&f, 80, GW_SBE_TRADE, 2); /* another schema: nothing behind it can be read */
    record(&f, &one, 0);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), ++bad);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 0);
    f.n = 0;
    head(&f, 4, 15, 1), put(&f, 1, 4); /* a template of a newer version: neither */
    record(&f, &one, 0);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), bad);
    CHECK_EQUAL(RIG_COUNTER(&r, control), 1);
    f.n = 0;
    head(&f, 79, GW_SBE_TRADE, 1); /* a shorter block */
    for (int i = 0; i < 100; i++) put(&f, 1, 1);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), ++bad);
    f.n = 0;
    one.event_ns = -1;
    record(&f, &one, 0);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), ++bad);
    one = trade(7, 1);
    f.n = 0;
    record(&f, &one, 200); /* a longer block of a newer version is none */
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), bad);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 1);
    f.n = 0;
    head(&f, 0, CONFLATION, 1), put(&f, 0, 2), put(&f, 65535, 2); /* rows without bytes */
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), ++bad);
    rig_close(&r);
}

static size_t everything(frame_t *f) {
    record_t one = trade(7, 1), two = trade(8, 1);
    two.channel = GW_SBE_BBO;
    f->n = 0;
    topic(f, 7, 1, "A.X");
    topic(f, 8, 2, "B.X");
    record(f, &one, 0);
    record(f, &two, 2);
    gap(f, 1, 2);
    head(f, 1, EPOCH, 1), put(f, 255, 1), text(f, "k"), text(f, "V");
    head(f, 0, CONFLATION, 1), put(f, 13, 2), put(f, 1, 2), put(f, 5, 8), put(f, 7, 5);
    head(f, 16, LIMIT, 1), put(f, 1, 8), put(f, 2, 8), text(f, "topics"), text(f, "*");
    head(f, 16, HEARTBEAT, 1), put(f, 1, 8), put(f, 2, 8);
    return f->n;
}

static void each_cut_is_bad_but_between_messages(void) {
    frame_t f;
    size_t whole = everything(&f), fine = 0;
    for (size_t n = 0; n <= whole; n++) {
        rig_t r = rig_windowed();
        f.n = n;
        give(&r, &f);
        fine += RIG_COUNTER(&r, unstamped) == 0;
        CHECK(RIG_COUNTER(&r, unstamped) <= 1);
        rig_close(&r);
    }
    CHECK_EQUAL(fine, 9); /* messages */
}

static void any_bytes_are_taken(void) {
    rig_t r = rig_windowed();
    frame_t f;
    for (int i = 0; i < 200000; i++) {
        everything(&f);
        for (uint64_t k = rig_random() % 6; k > 0; k--) f.bytes[rig_random() % f.n] = (uint8_t)rig_random();
        if (rig_random() % 2) f.n = rig_random() % (f.n + 1);
        give(&r, &f);
    }
    CHECK_EQUAL(RIG_COUNTER(&r, frames), 200000);
    CHECK(RIG_COUNTER(&r, unstamped) > 1000 && RIG_COUNTER(&r, delivered) > 10);
    rig_close(&r);
}

static void numbers_are_bounded(void) {
    rig_t r = rig_windowed();
    frame_t f;
    for (uint32_t i = 0; i < GW_SWARM_NUMBERS_MAX + 10; i++) {
        record_t one = trade(i * 65537u, 1);
        char name[32];
        snprintf(name, sizeof name, "S%u.X", i);
        f.n = 0;
        topic(&f, one.topic, 1, name);
        record(&f, &one, 0);
        give(&r, &f);
    }
    CHECK_EQUAL(r.c->numbers.count, GW_SWARM_NUMBERS_MAX);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), GW_SWARM_NUMBERS_MAX);
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 20); /* the announcement, and its record */
    f.n = 0;
    topic(&f, 65537, 2, "S1.X"); /* those that are known may still be announced anew */
    record_t quote = trade(65537, 1);
    quote.channel = GW_SBE_BBO;
    record(&f, &quote, 0);
    give(&r, &f);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), GW_SWARM_NUMBERS_MAX + 1);
    rig_close(&r);
}

static void numbers_are_what_was_said_last(void) {
    gw_swarm_numbers_t t = {.many = NULL};
    CHECK(gw_swarm_numbers_get(&t, KEY, 0) == NULL);
    for (uint64_t round = 1; round <= 2; round++)
        for (uint32_t i = 0; i < 3000; i++) CHECK(gw_swarm_numbers_put(&t, KEY, (gw_swarm_number_t){round + i, i, 1}));
    CHECK_EQUAL(t.count, 3000);
    for (uint32_t i = 0; i < 3000; i++) CHECK_EQUAL(gw_swarm_numbers_get(&t, KEY, i)->topic, i + 2);
    CHECK(gw_swarm_numbers_get(&t, KEY, 3000) == NULL);
    gw_swarm_numbers_free(&t);
    CHECK(gw_swarm_numbers_put(&t, KEY, (gw_swarm_number_t){5, UINT32_MAX, 2}) && t.many == NULL);
    CHECK(gw_swarm_numbers_put(&t, KEY, (gw_swarm_number_t){6, UINT32_MAX, 1}) && t.many == NULL);
    CHECK_EQUAL(gw_swarm_numbers_get(&t, KEY, UINT32_MAX)->topic, 6);
    CHECK(gw_swarm_numbers_get(&t, KEY, 0) == NULL);
    gw_swarm_numbers_free(&t);
}

int main(void) {
    RUN(counts_are_those_of_json);
    RUN(a_frame_may_hold_several);
    RUN(fragments_are_of_their_first_frame_s_kind);
    RUN(another_connection_s_numbers_are_its_own);
    RUN(other_servers_binary_frames_are_read_by_their_stamp);
    RUN(bad_frames_are_counted);
    RUN(each_cut_is_bad_but_between_messages);
    RUN(any_bytes_are_taken);
    RUN(numbers_are_bounded);
    RUN(numbers_are_what_was_said_last);

    return 0;
}
