/* How instruments do, as is seen from what was published: paces, silence, doubts, feeds that are not heard. */
#include "gw_clock.h"
#include "publisher_memory.h"

#define SECOND INT64_C(1000000000)
#define LOOK GW_CONDITION_LOOK_NS

enum { TRADES, QUOTES, BOOKS, STATUSES, HEALTH, OTHER, TOPICS };
static const uint8_t kinds[TOPICS] = {GW_TRADE, GW_BBO, GW_BOOK, GW_STATUS, GW_HEALTH, GW_TRADE};
static gw_conditions_t *c;
static gw_condition_row_t *row;

/* One instrument with a topic of each kind, of feed 3; another one of feed 4. */
static void rig(void) {
    publisher_new(1 << 20, TOPICS);
    c = &publisher.conditions;
    for (uint32_t i = 0; i < TOPICS; i++) {
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, kinds[i], i == OTHER ? "B.X" : "A.X", 3), i);
        gw_publisher_topic_begin(&publisher, i, kinds[i], i && i != OTHER ? TRADES + 1 : 0, i == OTHER ? 4 : 3);
    }
    row = gw_conditions_row(c, TRADES);
    CHECK_EQUAL(c->made, 2);
    CHECK(row && row == gw_conditions_row(c, HEALTH) && row != gw_conditions_row(c, OTHER));
}

/* Straight to the writer: the publisher would stamp the clock's time. */
static void record_at(uint32_t topic, int64_t at_ns, uint8_t flags) {
    gw_record_t r = {.h = {.kind = kinds[topic], .cells = GW_RECORD_CELLS, .topic = topic, .ts_recv = at_ns + 7,
                           .ts_publish = at_ns, .flags = flags}};
    gw_writer_publish(&publisher.writer, &r);
}

static gw_condition_t look(int64_t now_ns) {
    gw_condition_look(c, row, &publisher.writer, now_ns);
    return gw_condition_now(c, row, false, now_ns);
}

static const char *reason(gw_condition_t condition) {
    static char text[GW_REASON_MAX + 1];
    text[gw_condition_reason(row, condition, text)] = 0;
    return text;
}

/* Records at this distance for a while, looked at as the publisher's clock does; when the last one was. */
static int64_t steady(int64_t from_ns, int64_t apart_ns, unsigned count) {
    int64_t at_ns = from_ns, looked_ns = from_ns;
    for (unsigned i = 0; i < count; i++, at_ns += apart_ns) {
        for (; looked_ns + LOOK < at_ns; looked_ns += LOOK) look(looked_ns + LOOK);
        record_at(i % 2 ? QUOTES : TRADES, at_ns, 0);
    }
    look(at_ns - apart_ns + 1);
    return at_ns - apart_ns;
}

/* 10 times the pause that one in a hundred exceeds, but at least five seconds. */
static void an_instrument_is_quiet_by_its_own_pace(void) {
    static const struct { int64_t apart, least, most; } paces[] = {
        {SECOND / 1000, 5 * SECOND, 5 * SECOND},      {SECOND / 4, 5 * SECOND, 5 * SECOND},
        {SECOND, 10 * SECOND, 125 * SECOND / 10},     {7 * SECOND, 70 * SECOND, 175 * SECOND / 2},
        {100 * SECOND, 1000 * SECOND, 1250 * SECOND},
    };
    for (unsigned i = 0; i < sizeof paces / sizeof *paces; i++) {
        rig();
        const int64_t last_ns = steady(1000 * SECOND, paces[i].apart, 300), patience_ns = gw_condition_patience_ns(row);
        CHECK(patience_ns >= paces[i].least && patience_ns <= paces[i].most);
        CHECK_EQUAL(look(last_ns + patience_ns), GW_CONDITION_OK);
        CHECK_EQUAL(look(last_ns + patience_ns + 1), GW_CONDITION_QUIET);
        CHECK_EQUAL(row->last_real, last_ns + 7);
        record_at(QUOTES, last_ns + patience_ns + 2, 0);
        CHECK_EQUAL(look(last_ns + patience_ns + 3), GW_CONDITION_OK);
        publisher_end();
    }
}

/* Pauses between bursts count as what they are, and one in a hundred may be longer. */
static void a_pace_is_that_of_nearly_all_pauses(void) {
    rig();
    int64_t at_ns = 1000 * SECOND;
    for (int burst = 0; burst < 100; burst++, at_ns += 3 * SECOND) { /* 4 records, then 3 s of nothing: one pause in 4 */
        for (int i = 0; i < 4; i++) record_at(TRADES, at_ns + i, 0);
        for (int64_t ns = 1; ns < 3 * SECOND; ns += LOOK) look(at_ns + ns);
    }
    const int64_t patience_ns = gw_condition_patience_ns(row);
    CHECK(patience_ns >= 275 * SECOND / 10 && patience_ns <= 36 * SECOND);
    steady(at_ns, SECOND / 1000, 2 * GW_CONDITION_FADE); /* then a lively hour: the old ones fade */
    for (int i = 0; i < 12; i++) at_ns = steady(at_ns + 10 * SECOND, SECOND / 1000, GW_CONDITION_FADE);
    CHECK_EQUAL(gw_condition_patience_ns(row), 5 * SECOND);
    publisher_end();
}

static void of_few_records_no_pace_is_known(void) {
    rig();
    CHECK_EQUAL(look(1000 * SECOND), GW_CONDITION_OK); /* nothing came yet: there is nothing to doubt */
    const int64_t last_ns = steady(2000 * SECOND, SECOND / 10, 3);
    CHECK_EQUAL(look(last_ns + GW_CONDITION_UNKNOWN_NS), GW_CONDITION_OK);
    CHECK_EQUAL(look(last_ns + GW_CONDITION_UNKNOWN_NS + 1), GW_CONDITION_QUIET);
    CHECK(!strcmp(reason(GW_CONDITION_QUIET), "silent for longer than 60.0 s"));
    /* What waits for its readers is never quiet. */
    record_at(TRADES, last_ns + 70 * SECOND, GW_FLAG_PACED);
    CHECK_EQUAL(look(last_ns + 70 * SECOND), GW_CONDITION_OK);
    CHECK_EQUAL(look(last_ns + 7000 * SECOND), GW_CONDITION_OK);
    publisher_end();
}

static void a_book_that_says_nothing_while_trades_go_on_is_suspect(void) {
    rig();
    int64_t at_ns = 1000 * SECOND;
    for (unsigned i = 0; i < 100; i++) record_at(TRADES, at_ns += SECOND, 0);
    CHECK_EQUAL(look(at_ns), GW_CONDITION_OK); /* there is no book yet */
    record_at(BOOKS, at_ns, 0);
    CHECK_EQUAL(look(at_ns), GW_CONDITION_OK);
    for (unsigned i = 0; i < GW_CONDITION_TRADES; i++) {
        CHECK_EQUAL(look(at_ns), GW_CONDITION_OK);
        record_at(TRADES, at_ns += SECOND, 0);
    }
    CHECK_EQUAL(look(at_ns), GW_CONDITION_BOOK_SILENT);
    CHECK_EQUAL(gw_condition_state(GW_CONDITION_BOOK_SILENT), GW_HEALTH_SUSPECT);
    CHECK(!strcmp(reason(GW_CONDITION_BOOK_SILENT), "16 trades, and the book is silent"));
    record_at(BOOKS, at_ns, 0);
    CHECK_EQUAL(look(at_ns), GW_CONDITION_OK);
    for (unsigned i = 0; i < 1000; i++) record_at(TRADES, at_ns + i, 0); /* many at once are one order's */
    CHECK_EQUAL(look(at_ns + SECOND), GW_CONDITION_OK);
    publisher_end();
}

static void a_feed_whose_heartbeat_is_missing_twice_is_stale(void) {
    rig();
    record_at(TRADES, 100 * SECOND, 0);
    look(100 * SECOND);
    c->feeds[3] = (gw_condition_feed_t){.interval_ns = 2 * SECOND, .heard_ns = 101 * SECOND};
    static const struct { int64_t now; gw_condition_t is; } times[] = {
        {103, GW_CONDITION_OK}, {105, GW_CONDITION_OK}, {106, GW_CONDITION_HEARTBEAT}};
    for (unsigned i = 0; i < 3; i++) {
        gw_conditions_round(c, times[i].now * SECOND);
        CHECK_EQUAL(look(times[i].now * SECOND), times[i].is);
        CHECK_EQUAL(gw_condition_now(c, gw_conditions_row(c, OTHER), false, times[i].now * SECOND), GW_CONDITION_OK);
    }
    record_at(QUOTES, 107 * SECOND, 0); /* whatever comes of the feed says that it lives: from the next round on */
    look(107 * SECOND);
    gw_conditions_round(c, 107 * SECOND);
    CHECK_EQUAL(look(107 * SECOND), GW_CONDITION_OK);
    publisher_end();
}

/* Each is told until a worse one holds. */
static void the_worst_is_told(void) {
    rig();
    record_at(TRADES, 100 * SECOND, 0);
    const int64_t now_ns = 200 * SECOND;
    CHECK_EQUAL(look(now_ns), GW_CONDITION_QUIET);
    row->silent = 1;
    CHECK_EQUAL(gw_condition_now(c, row, false, now_ns), GW_CONDITION_BOOK_SILENT);
    row->differs = 1;
    CHECK_EQUAL(gw_condition_now(c, row, false, now_ns), GW_CONDITION_TOP_DIFFERS);
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_REFUSED);
    gw_condition_doubt(row, GW_CONDITION_RESYNC, gw_text_of("one"), 1);
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_RESYNC);
    gw_condition_doubt(row, GW_CONDITION_CROSSED, gw_text_of("two"), 2);
    gw_condition_doubt(row, GW_CONDITION_RESYNC, gw_text_of("three"), 3);
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_CROSSED);
    CHECK(!strcmp(reason(GW_CONDITION_CROSSED), "two") && row->since_real == 2);
    gw_condition_lose(row, 12, now_ns);
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_LOST);
    CHECK(!strcmp(reason(GW_CONDITION_LOST), "12 trades are missing"));
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns + GW_CONDITION_GAP_NS), GW_CONDITION_CROSSED);
    gw_condition_doubt(row, GW_CONDITION_GAP, gw_text_of("a hole"), 4);
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_GAP);
    c->feeds[3].late = true;
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_HEARTBEAT);
    c->down = 1u << 3;
    CHECK_EQUAL(gw_condition_now(c, row, true, now_ns), GW_CONDITION_DOWN);
    c->down = 0;
    c->feeds[3].late = false;
    gw_condition_doubt(row, GW_CONDITION_OK, gw_text_of(""), 5);
    CHECK_EQUAL(gw_condition_now(c, row, false, now_ns + 2 * SECOND), GW_CONDITION_TOP_DIFFERS);
    static const unsigned states[GW_CONDITIONS] = {
        GW_HEALTH_OK, GW_HEALTH_QUIET, GW_HEALTH_SUSPECT, GW_HEALTH_SUSPECT, GW_HEALTH_SUSPECT, GW_HEALTH_RESYNC,
        GW_HEALTH_CROSSED, GW_HEALTH_GAP, GW_HEALTH_GAP, GW_HEALTH_STALE, GW_HEALTH_STALE};
    for (unsigned i = 0; i < GW_CONDITIONS; i++) CHECK_EQUAL(gw_condition_state(i), states[i]);
    publisher_end();
}

/* The next record of the ring, which is one of health. */
static gw_record_t told(const char *state) {
    gw_record_t got;
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), GW_RECORD_CELLS * GW_CELL);
    CHECK_EQUAL(got.h.kind, GW_HEALTH);
    CHECK_EQUAL(got.h.ingest_ns, 0); /* whatever its age is, it is no delay of ours */
    CHECK(got.u.health.state_length == strlen(state) && !memcmp(got.u.health.state, state, strlen(state)));
    CHECK_EQUAL(got.u.health.troubled, strcmp(state, "ok") != 0);
    return got;
}

static bool round_told(uint64_t down, uint32_t *wants) {
    uint8_t left = 1;
    uint32_t count = 0;
    while (left) count += gw_publisher_conditions_step(&publisher, down, wants + count, &left);
    return count;
}

/* The publisher tells changes, each once, and asks for a topic of health where there is none. */
static void changes_are_told_once(void) {
    uint32_t wants[GW_CONDITION_TOLD * 2];
    gw_record_t got;
    rig();
    CHECK(!round_told(0, wants));
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), 0);
    CHECK(!round_told(1u << 3, wants));
    told("stale");
    CHECK(!round_told(1u << 3, wants));
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), 0);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_STALE], 1);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_OK], 1);
    CHECK(round_told(1u << 4, wants));
    told("ok");
    CHECK_EQUAL(wants[0], OTHER);
    gw_publisher_condition_tell(&publisher, wants[0]); /* none was to be had: it asks for none any more */
    CHECK(!round_told(1u << 4, wants));
    gw_publisher_doubt(&publisher, BOOKS, GW_CONDITION_GAP, gw_text_of("the venue's numbers have a hole"), 77);
    CHECK_EQUAL(told("gap").h.ts_recv, 77);
    gw_publisher_doubt(&publisher, BOOKS, GW_CONDITION_OK, gw_text_of(""), 78);
    told("ok");
    gw_publisher_lost(&publisher, TRADES, 3);
    told("gap");
    gw_publisher_differs(&publisher, BOOKS, true);
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), 0); /* the gap is worse */
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_GAP], 1);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_OK], 1);
    publisher_end();
}

/* What was refused and what else is the matter: one record says both, the plane goes by the bits. */
static void refusals_keep_their_bits_whatever_is_told(void) {
    rig();
    gw_publisher_doubt(&publisher, BOOKS, GW_CONDITION_GAP, gw_text_of("a hole"), 1);
    CHECK_EQUAL(told("gap").u.health.suspect, 0);
    CHECK(gw_publisher_suspect(&publisher, QUOTES, GW_BBO, HEALTH, gw_text_of("bad"), 1, gw_monotonic_ns()));
    gw_record_t got;
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), GW_RECORD_CELLS * GW_CELL);
    CHECK_EQUAL(got.u.health.suspect, 1 << GW_BBO);
    CHECK(got.u.health.state_length == 3 && !memcmp(got.u.health.state, "gap", 3));
    gw_publisher_doubt(&publisher, BOOKS, GW_CONDITION_OK, gw_text_of(""), 2);
    got = told("suspect");
    CHECK(got.u.health.reason_length == 3 && !memcmp(got.u.health.reason, "bad", 3));
    publisher_end();
}

static void an_instrument_ends_with_its_last_topic(void) {
    rig();
    uint32_t wants[GW_CONDITION_TOLD * 2];
    round_told(1u << 3, wants);
    for (uint32_t i = 0; i < OTHER; i++) {
        CHECK(gw_conditions_row(c, i) == row);
        gw_publisher_topic_retire(&publisher, i, kinds[i]);
        CHECK(!gw_conditions_row(c, i));
    }
    CHECK_EQUAL(c->counts[GW_HEALTH_STALE], 0);
    CHECK_EQUAL(c->left_count, 1);
    round_told(1u << 3, wants);
    CHECK_EQUAL(c->counts[GW_HEALTH_STALE], 0);
    gw_publisher_topic_begin(&publisher, TRADES, GW_TRADE, 0, 5); /* the row is another instrument's now */
    CHECK(gw_conditions_row(c, TRADES) == row && row->told == GW_CONDITION_OK && row->feed == 5);
    CHECK_EQUAL(c->counts[GW_HEALTH_OK], 2);
    publisher_end();
}

static void status_at(const char *status) {
    int field;
    gw_record_t r = {.h = {.topic = STATUSES}};
    gw_text_t texts[2] = {gw_text_of(status), gw_text_of("")};
    CHECK_EQUAL(gw_record_fill(&r, GW_STATUS, texts, &field), GW_FINE);
    gw_writer_publish(&publisher.writer, &r);
}

static void trading_is_what_the_status_says(void) {
    static const struct { const char *status; bool trading; } cases[] = {
        {"halted", false}, {"auction", false}, {"trading", true}, {"closed", false}};
    rig();
    CHECK(gw_publisher_trading(&publisher, BOOKS)); /* nobody has said anything else */
    CHECK(gw_publisher_trading(&publisher, TOPICS + 9));
    for (unsigned i = 0; i < 4; i++) {
        status_at(cases[i].status);
        CHECK_EQUAL(gw_publisher_trading(&publisher, BOOKS), cases[i].trading);
    }
    publisher_end();
}

static void quote_at(int64_t at_ns, const char *bid, const char *ask, uint8_t flags) {
    int field;
    gw_record_t r = {.h = {.topic = QUOTES, .ts_publish = at_ns, .ts_recv = at_ns, .flags = flags}};
    const gw_text_t one = gw_text_of("1"), none = {NULL, 0};
    gw_text_t texts[4] = {bid ? gw_text_of(bid) : none, bid ? one : none, ask ? gw_text_of(ask) : none, ask ? one : none};
    CHECK_EQUAL(gw_record_fill(&r, GW_BBO, texts, &field), GW_FINE);
    gw_writer_publish(&publisher.writer, &r);
}

/* Crossed, whatever the digits are, for longer than a second of trading; where there is a book, that tells. */
static void a_quote_that_stays_crossed_is_told(void) {
    static const struct { const char *bid, *ask; bool crossed; } cases[] = {
        {"2", "1", true}, {"1.0", "1", true}, {"0.99", "1", false}, {"10", "9.99", true}, {NULL, "1", false}, {"1", NULL, false},
        {"18446744073709551616", "5", true}, /* 2^64 */
        {"1000000000000000000000001", "1000000000000000000000000", true},
        {"1000000000000000000000000", "1000000000000000000000001", false}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig();
        gw_conditions_end(c, BOOKS, GW_BOOK);
        const int64_t at_ns = 100 * SECOND;
        quote_at(at_ns, cases[i].bid, cases[i].ask, 0);
        CHECK_EQUAL(look(at_ns + LOOK), GW_CONDITION_OK);
        CHECK_EQUAL(look(at_ns + SECOND), GW_CONDITION_OK);
        CHECK_EQUAL(look(at_ns + SECOND + 1), cases[i].crossed ? GW_CONDITION_CROSSED : GW_CONDITION_OK);
        CHECK(!strcmp(reason(GW_CONDITION_CROSSED), "the quote's bid is not below its ask"));
        if (!cases[i].crossed) { publisher_end(); continue; }
        CHECK_EQUAL(gw_condition_now(c, row, true, at_ns), GW_CONDITION_CROSSED);
        quote_at(at_ns + 2 * SECOND, "3", "2", 0); /* another one is no end */
        CHECK_EQUAL(look(at_ns + 2 * SECOND), GW_CONDITION_CROSSED);
        CHECK_EQUAL(row->crossed_ns, at_ns);
        status_at("auction"); /* there it may be, and a second long behind it */
        CHECK_EQUAL(look(at_ns + 3 * SECOND), GW_CONDITION_OK);
        status_at("trading");
        CHECK_EQUAL(look(at_ns + 4 * SECOND), GW_CONDITION_OK);
        CHECK_EQUAL(look(at_ns + 4 * SECOND + 1), GW_CONDITION_CROSSED);
        quote_at(at_ns + 5 * SECOND, "1", "2", 0);
        CHECK_EQUAL(look(at_ns + 5 * SECOND), GW_CONDITION_OK);
        quote_at(at_ns + 6 * SECOND, "2", "1", GW_FLAG_PACED); /* in no time */
        look(at_ns + 6 * SECOND);
        CHECK_EQUAL(look(at_ns + 9 * SECOND), GW_CONDITION_OK);
        gw_conditions_end(c, QUOTES, GW_BBO);
        CHECK_EQUAL(row->crossed_ns, 0);
        publisher_end();
    }
    rig();
    quote_at(100 * SECOND, "2", "1", 0);
    look(100 * SECOND);
    CHECK_EQUAL(look(102 * SECOND), GW_CONDITION_OK);
    publisher_end();
}

/* As its messages say; nothing needs to come behind the one that crosses it. */
static void a_book_that_crosses_and_says_nothing_more_is_told(void) {
    rig();
    record_at(BOOKS, 100 * SECOND, 0);
    gw_condition_crosses(row, true, 100 * SECOND);
    CHECK_EQUAL(look(101 * SECOND), GW_CONDITION_OK);
    CHECK_EQUAL(look(101 * SECOND + 1), GW_CONDITION_CROSSED);
    CHECK(!strcmp(reason(GW_CONDITION_CROSSED), "its best bid is not below its best ask"));
    gw_condition_doubt(row, GW_CONDITION_RESYNC, gw_text_of("one"), 1);
    CHECK_EQUAL(gw_condition_now(c, row, false, 101 * SECOND + 1), GW_CONDITION_RESYNC); /* what it was says nothing more */
    gw_condition_doubt(row, GW_CONDITION_OK, gw_text_of(""), 1);
    gw_condition_crosses(row, false, 102 * SECOND);
    CHECK_EQUAL(look(102 * SECOND), GW_CONDITION_OK);
    gw_condition_crosses(row, true, 103 * SECOND);
    gw_conditions_end(c, BOOKS, GW_BOOK);
    CHECK_EQUAL(look(105 * SECOND), GW_CONDITION_OK);
    /* Its age is since then. */
    uint32_t wants[GW_CONDITION_TOLD * 2];
    record_at(TRADES, gw_monotonic_ns(), 0);
    const int64_t since_ns = gw_monotonic_ns() - 3 * SECOND, real_ns = gw_realtime_ns();
    gw_publisher_topic_begin(&publisher, BOOKS, GW_BOOK, TRADES + 1, 3);
    gw_condition_crosses(row, true, since_ns);
    CHECK(!round_told(0, wants));
    gw_record_t got;
    do CHECK(gw_reader_poll(&reader, &got, sizeof got) > 0);
    while (got.h.kind != GW_HEALTH);
    CHECK(got.u.health.state_length == 7 && !memcmp(got.u.health.state, "crossed", 7));
    CHECK(got.h.ts_recv >= real_ns - 3 * SECOND - SECOND / 10 && got.h.ts_recv <= gw_realtime_ns() - 3 * SECOND + SECOND / 10);
    publisher_end();
}

/* Its numbers go on, and none of them is of a record that came now. */
static void a_name_that_comes_back_has_no_record_yet(void) {
    rig();
    const int64_t at_ns = 1000 * SECOND;
    record_at(QUOTES, at_ns, 0);
    look(at_ns);
    gw_conditions_end(c, TRADES, GW_TRADE);
    gw_publisher_topic_continue(&publisher, TRADES, 1000);
    gw_publisher_topic_begin(&publisher, TRADES, GW_TRADE, QUOTES + 1, 3);
    CHECK(row == gw_conditions_row(c, TRADES));
    look(at_ns + 7 * SECOND);
    CHECK_EQUAL(row->last_ns, at_ns);
    CHECK_EQUAL(row->pauses_count, 0);
    record_at(TRADES, at_ns + 8 * SECOND, 0);
    look(at_ns + 8 * SECOND);
    CHECK_EQUAL(row->last_ns, at_ns + 8 * SECOND);
    CHECK_EQUAL(row->pauses_count, 1);
    publisher_end();
}

int main(void) {
    RUN(an_instrument_is_quiet_by_its_own_pace);
    RUN(a_pace_is_that_of_nearly_all_pauses);
    RUN(of_few_records_no_pace_is_known);
    RUN(a_book_that_says_nothing_while_trades_go_on_is_suspect);
    RUN(a_feed_whose_heartbeat_is_missing_twice_is_stale);
    RUN(the_worst_is_told);
    RUN(changes_are_told_once);
    RUN(refusals_keep_their_bits_whatever_is_told);
    RUN(an_instrument_ends_with_its_last_topic);
    RUN(trading_is_what_the_status_says);
    RUN(a_quote_that_stays_crossed_is_told);
    RUN(a_book_that_crosses_and_says_nothing_more_is_told);
    RUN(a_name_that_comes_back_has_no_record_yet);
    return 0;
}
