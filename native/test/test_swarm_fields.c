/* What messages say: the fast reader and the scanner against each other and against what was written; and
 * stamps of other protocols' messages. */
#include "check.h"
#include "gw_swarm_fields.h"
#include "gw_swarm_json.h"
#include "gw_record.h"

#include <errno.h>

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Both readers see a block of exactly this size, so that the sanitizer sees a byte read too many. */
static bool fast(const char *text, size_t length, gw_swarm_fields_t *f) {
    char *exact = malloc(length ? length : 1);
    memcpy(exact, text, length);
    memset(f, 0, sizeof *f);
    bool known = gw_swarm_fields_fast(exact, length, f);
    free(exact);
    return known;
}

static gw_swarm_fields_t scan(const char *text, size_t length) {
    char *exact = malloc(length ? length : 1);
    gw_swarm_fields_t f;
    memcpy(exact, text, length);
    gw_swarm_fields_scan(exact, length, &f);
    free(exact);
    return f;
}

static gw_swarm_fields_t scan_text(const char *text) { return scan(text, strlen(text)); }

static void check_same(const gw_swarm_fields_t *a, const gw_swarm_fields_t *b) {
    CHECK_EQUAL(a->kind, b->kind);
    CHECK_EQUAL(a->resync, b->resync);
    CHECK_EQUAL(a->failed, b->failed);
    CHECK(a->topic == b->topic);
    CHECK(a->seq == b->seq);
    CHECK(a->skipped == b->skipped);
    CHECK_EQUAL(a->ts_event, b->ts_event);
    CHECK_EQUAL(a->ts_recv, b->ts_recv);
    CHECK_EQUAL(a->ts_send, b->ts_send);
}

/* --- records --------------------------------------------------------------------------------------- */

typedef struct {
    const char *channel, *type, *data;
    char symbol[GW_INSTRUMENT_MAX + 1];
    unsigned long long seq, skipped;
    long long event, recv, send;
} record_t;

static record_t random_record(void) {
    static const char *const channels[] = {"trade", "bbo", "book", "candle", "status", "t", "sevenxx"};
    static const char *const datas[] = {
        "{\"id\":\"381\",\"price\":\"64250.10\",\"qty\":\"0.015\",\"side\":\"buy\"}",
        "{\"bid\":\"1\",\"bid_qty\":\"2\",\"ask\":\"3\",\"ask_qty\":\"4\"}",
        "{\"bid\":null,\"bid_qty\":null,\"ask\":\"0.00000000000000000000000000000000000001\",\"ask_qty\":\"0\"}",
        "{\"bid\":null,\"bid_qty\":null,\"ask\":null,\"ask_qty\":null}",
        "{\"bids\":[[\"1\",\"2\"]],\"asks\":[[\"3\",\"4\"],[\"5\",\"6\"]],\"checksum\":123}",
    };
    record_t r = {.channel = channels[next_random() % 7], .data = datas[next_random() % 5],
                  .type = next_random() % 4 ? "update" : "snapshot"};
    size_t length = 1 + next_random() % GW_INSTRUMENT_MAX;
    for (size_t i = 0; i < length; i++) r.symbol[i] = "ABCXYZ019./_-: *~\xe5\xb8\x81"[next_random() % 20];
    r.seq = next_random() >> (16 + next_random() % 47);
    r.skipped = next_random() % 3 ? 0 : 1 + (next_random() >> (8 + next_random() % 55));
    r.event = 1000000000000000000 + (long long)(next_random() % 8000000000000000000);
    r.recv = r.event + (long long)(next_random() % 1000000);
    r.send = r.recv + (long long)(next_random() % 1000000);
    return r;
}

/* As the gateway writes it. */
static size_t write_record(const record_t *r, char *out, size_t room) {
    char skipped[40] = "";
    if (r->skipped) snprintf(skipped, sizeof skipped, ",\"skipped\":%llu", r->skipped);
    return (size_t)snprintf(out, room,
                            "{\"channel\":\"%s\",\"type\":\"%s\",\"symbol\":\"%s\",\"seq\":%llu,\"ts_event\":%lld,"
                            "\"ts_recv\":%lld,\"ts_send\":%lld,\"data\":[%s]%s}",
                            r->channel, r->type, r->symbol, r->seq, r->event, r->recv, r->send, r->data, skipped);
}

/* The same in another order, with spaces and members that we do not know. */
static size_t write_other_record(const record_t *r, char *out, size_t room) {
    char skipped[40] = "";
    if (r->skipped) snprintf(skipped, sizeof skipped, "\"skipped\" : %llu ,", r->skipped);
    return (size_t)snprintf(out, room,
                            " { %s \"data\" : [ %s, {\"seq\":1,\"x\":\"]}\\\"\"} ] , \"ts_send\" :%lld,\n\"ts_recv\": %lld,"
                            "\"more\":null,\"ts_event\":%lld\t,\"seq\":%llu,\"seq\":7,\"symbol\":\"%s\",\"type\":\"%s\","
                            "\"channel\":\"%s\" } ",
                            skipped, r->data, r->send, r->recv, r->event, r->seq, r->symbol, r->type, r->channel);
}

static void check_record(const record_t *r, const gw_swarm_fields_t *f) {
    CHECK_EQUAL(f->kind, r->type[0] == 'u' ? GW_SWARM_UPDATE : GW_SWARM_SNAPSHOT);
    CHECK(f->seq == r->seq && f->skipped == r->skipped);
    CHECK_EQUAL(f->ts_event, r->event);
    CHECK_EQUAL(f->ts_recv, r->recv);
    CHECK_EQUAL(f->ts_send, r->send);
    CHECK(!f->resync && !f->failed && f->topic != 0);
}

static void both_readers_read_what_was_written(void) {
    char text[2048];
    int known = 0;
    for (int i = 0; i < 30000; i++) {
        record_t r = random_record();
        gw_swarm_fields_t f, other;
        size_t length = write_record(&r, text, sizeof text);
        gw_swarm_fields_t scanned = scan(text, length);
        check_record(&r, &scanned);
        if (fast(text, length, &f)) {
            check_same(&f, &scanned);
            known++;
        }
        length = write_other_record(&r, text, sizeof text);
        CHECK(!fast(text, length, &f));
        other = scan(text, length);
        check_same(&other, &scanned);
    }
    CHECK(known > 25000);
}

/* All that the fast reader leaves to the scanner are records that the gateway does not write. */
static void the_gateways_own_are_read_fast(void) {
    for (int i = 0; i < 20000; i++) {
        char text[1024];
        record_t r = random_record();
        gw_swarm_fields_t f;
        r.seq %= 1000000000000000;
        r.skipped %= 1000000;
        r.channel = next_random() % 2 ? "trade" : "bbo";
        CHECK(fast(text, write_record(&r, text, sizeof text), &f));
        check_record(&r, &f);
    }
}

static void topics_differ_by_channel_and_symbol(void) {
    enum { COUNT = 4000 };
    static uint64_t topics[COUNT];
    char text[1024];
    for (size_t i = 0; i < COUNT; i++) {
        record_t r = random_record();
        r.channel = i % 2 ? "trade" : "bbo";
        snprintf(r.symbol, sizeof r.symbol, "%s%zu.%s", i % 3 ? "SYM" : "LONGERSYMBOL", i / 2, "SIM");
        topics[i] = scan(text, write_record(&r, text, sizeof text)).topic;
        for (size_t k = 0; k < i; k++) CHECK(topics[k] != topics[i]);
    }
}

/* Where one byte is another, both readers agree, or the fast one leaves it to the scanner. `data` and
 * the end are not changed: the fast reader relies on them. */
static void they_agree_on_damaged_records(void) {
    static const char bytes[] = "\"\\{}[],:0123456789 aut\t\0\x80\xff-.e";
    char text[1024];
    int known = 0;
    for (int i = 0; i < 60000; i++) {
        record_t r = random_record();
        size_t length = write_record(&r, text, sizeof text), head = (size_t)(strstr(text, ",\"data\"") - text);
        for (uint64_t n = 1 + next_random() % 2; n > 0; n--)
            text[next_random() % head] = bytes[next_random() % (sizeof bytes - 1)];
        gw_swarm_fields_t f, scanned = scan(text, length);
        if (!fast(text, length, &f)) continue;
        check_same(&f, &scanned);
        known++;
    }
    CHECK(known > 1000); /* digits and letters of symbols may change */
}

static void numbers_out_of_range_are_no_stamps(void) {
#define STAMPED(seq, event)                                                                        \
    "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"A.B\",\"seq\":" seq ",\"ts_event\":" event     \
    ",\"ts_recv\":1714979289123456789,\"ts_send\":1714979289123456789,\"data\":[{\"id\":\"381\",\"price\":\"64250.10\"}]}"
    static const struct {
        const char *text;
        int kind;
    } cases[] = {
        {STAMPED("1", "1714979289123456789"), GW_SWARM_UPDATE},
        {STAMPED("1", "9223372036854775807"), GW_SWARM_UPDATE},
        {STAMPED("1", "9223372036854775808"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "9999999999999999999"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "17149792891234567890"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "99999999999999999999999"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "0000000000000000000"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "-714979289123456789"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "1714979289123456.89"), GW_SWARM_UNSTAMPED},
        {STAMPED("1", "\"1714979289123456\""), GW_SWARM_UNSTAMPED},
        {STAMPED("18446744073709551615", "1714979289123456789"), GW_SWARM_UPDATE},
        {STAMPED("18446744073709551616", "1714979289123456789"), GW_SWARM_UNSTAMPED},
        {STAMPED("", "1714979289123456789"), GW_SWARM_UNSTAMPED},
        {STAMPED("x", "1714979289123456789"), GW_SWARM_UNSTAMPED},
        {STAMPED("null", "1714979289123456789"), GW_SWARM_UNSTAMPED},
    };
#undef STAMPED
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_swarm_fields_t f, scanned = scan_text(cases[i].text);
        CHECK_EQUAL(scanned.kind, cases[i].kind);
        bool known = fast(cases[i].text, strlen(cases[i].text), &f);
        if (known) check_same(&f, &scanned);
        CHECK(known || i > 1); /* the first two are plain enough */
    }
}

static void other_messages_are_told_apart(void) {
    static const struct {
        const char *text;
        int kind;
        bool resync, failed;
    } cases[] = {
        {"{\"channel\":\"heartbeat\",\"n\":42,\"ts_send\":1}", GW_SWARM_HEARTBEAT, false, false},
        {"{\"channel\":\"system\",\"type\":\"hello\",\"data\":[{}]}", GW_SWARM_CONTROL, false, false},
        {"{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{}]}", GW_SWARM_CONTROL, true, false},
        {"{\"channel\":\"slo\",\"type\":\"update\",\"ts_send\":1,\"data\":[]}", GW_SWARM_CONTROL, false, false},
        {"{\"method\":\"subscribe\",\"success\":true,\"failed\":0}", GW_SWARM_CONTROL, true, false},
        {"{\"method\":\"subscribe\",\"success\":true,\"failed\":2}", GW_SWARM_CONTROL, true, true},
        {"{\"method\":\"unsubscribe\",\"success\":false}", GW_SWARM_CONTROL, true, true},
        {"{\"method\":\"ping\",\"success\":true,\"t0\":1}", GW_SWARM_CONTROL, false, false},
        {"{\"channel\":\"trade\",\"type\":\"other\",\"symbol\":\"A.B\",\"seq\":1,\"ts_event\":1}",
         GW_SWARM_UNSTAMPED, false, false},
        {"", GW_SWARM_UNSTAMPED, false, false}, {"[]", GW_SWARM_UNSTAMPED, false, false},
        {"{", GW_SWARM_UNSTAMPED, false, false}, {"hello", GW_SWARM_UNSTAMPED, false, false},
        {"{\"channel\":7}", GW_SWARM_UNSTAMPED, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_swarm_fields_t f = scan_text(cases[i].text), quick;
        CHECK_EQUAL(f.kind, cases[i].kind);
        CHECK_EQUAL(f.resync, cases[i].resync);
        CHECK_EQUAL(f.failed, cases[i].failed);
        CHECK(!fast(cases[i].text, strlen(cases[i].text), &quick));
    }
}

/* --- stamps of others ------------------------------------------------------------------------------ */

static int64_t time_at(const char *path, const char *text) {
    gw_swarm_path_t p;
    size_t length = strlen(text);
    CHECK_EQUAL(gw_swarm_path_init(&p, (gw_swarm_text_t){path, strlen(path)}), 0);
    char *exact = malloc(length ? length : 1);
    memcpy(exact, text, length);
    int64_t ns = gw_swarm_json_time(gw_swarm_path_find(&p, exact, length));
    free(exact);
    return ns;
}

static void paths_lead_to_stamps(void) {
    static const struct {
        const char *path, *text;
        int64_t ns;
    } cases[] = {
        {"E", "{\"e\":\"trade\",\"E\":1714979289123}", 1714979289123000000},
        {"data.0.E", "{\"data\":[{\"x\":[1,{\"E\":2}],\"E\":1714979289}]}", 1714979289000000000},
        {"data.1.E", "{ \"data\" : [ {\"E\":1} , {\"E\" : \"1714979289\"} ] }", 1714979289000000000},
        {"data.2", "{\"data\":[[],\"a,]\",1714979289123456]}", 1714979289123456000},
        {"data.3", "{\"data\":[1,2,3]}", 0},
        {"data.0", "{\"data\":[]}", 0},
        {"0", "[1714979289123456789]", 1714979289123456789},
        {"0", "{\"0\":1714979289123456789}", 1714979289123456789},
        {"1", "[\"\\\"\",7]", 7000000000}, {"1", "[\"\\\\\",7]", 7000000000},
        {"a.b", "{\"a\":{\"c\":1,\"b\":1714979289.123456789}}", 1714979289123456789},
        {"a.b", "{\"a\":7}", 0},
        {"a", "{\"a\\\"\":1,\"b\":{\"a\":2},\"a\":\"1714979289123.25\"}", 1714979289123250000},
        {"a", "{\"a\":1714979289123456.1234}", 1714979289123456123},
        {"a", "{\"a\":9223372036854775807}", 0}, /* no room for a fraction */
        {"a", "{\"a\":9223372036854775806}", 9223372036854775806},
        {"a", "{\"a\":9999999999999999999}", 0}, {"a", "{\"a\":99999999999999999999999}", 0},
        {"a", "{\"a\":99999999999}", 0}, /* no time in seconds within 64 bits */
        {"a", "{\"a\":-1714979289}", 0}, {"a", "{\"a\":1.7e9}", 0}, {"a", "{\"a\":\"\"}", 0},
        {"a", "{\"a\":\"2024-05-06\"}", 0}, {"a", "{\"a\":null}", 0}, {"a", "{\"a\":[1714979289]}", 0},
        {"a", "{\"a\"", 0}, {"a", "{\"a\":", 0}, {"a", "{\"a\":\"17", 0}, {"a", "", 0}, {"a", "{\"b\\", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQUAL(time_at(cases[i].path, cases[i].text), cases[i].ns);
}

static void bad_paths_are_refused(void) {
    static const char *const paths[] = {"", ".", "a.", ".a", "a..b", "a.b.c.d.e.f.g.h.i"};
    gw_swarm_path_t p;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        CHECK_EQUAL(gw_swarm_path_init(&p, (gw_swarm_text_t){paths[i], strlen(paths[i])}), -EINVAL);
    CHECK_EQUAL(gw_swarm_path_init(&p, (gw_swarm_text_t){"a.b.c.d.e.f.g.h", 15}), 0);
}

static void any_text_has_an_end(void) {
    static const char bytes[] = "{}[]\",:\\0123 aseq\"\"\"::\x80";
    gw_swarm_path_t p;
    CHECK_EQUAL(gw_swarm_path_init(&p, (gw_swarm_text_t){"a.0.s", 5}), 0);
    for (int i = 0; i < 60000; i++) {
        size_t length = next_random() % 200;
        char *text = malloc(length ? length : 1);
        gw_swarm_fields_t f;
        for (size_t k = 0; k < length; k++)
            text[k] = i % 2 ? (char)next_random() : bytes[next_random() % (sizeof bytes - 1)];
        gw_swarm_fields_scan(text, length, &f);
        (void)gw_swarm_fields_fast(text, length, &f);
        (void)gw_swarm_json_time(gw_swarm_path_find(&p, text, length));
        free(text);
    }
}

int main(void) {
    RUN(both_readers_read_what_was_written);
    RUN(the_gateways_own_are_read_fast);
    RUN(topics_differ_by_channel_and_symbol);
    RUN(they_agree_on_damaged_records);
    RUN(numbers_out_of_range_are_no_stamps);
    RUN(other_messages_are_told_apart);
    RUN(paths_lead_to_stamps);
    RUN(bad_paths_are_refused);
    RUN(any_text_has_an_end);
    return 0;
}
