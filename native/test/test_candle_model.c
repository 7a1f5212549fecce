/* Candles of random days against a naive model. */
#include "candle_scene.h"

#define TRADES_MAX 4000
#define BUCKETS 2000 /* seconds of a run */

typedef struct {
    int64_t ts;
    uint64_t number;
    char price[24];
    int64_t value, qty; /* in thousandths */
} naive_t;

static naive_t kept[TRADES_MAX];
static unsigned kept_count;
static uint64_t state;

static uint64_t any(uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static bool naive_before(const naive_t *a, const naive_t *b) {
    return a->ts != b->ts ? a->ts < b->ts : a->number < b->number;
}

static int64_t thousandths(const gw_record_t *r, unsigned field) {
    char text[GW_DECIMAL_TEXT_MAX + 1];
    text[gw_record_decimal(r, field, text)] = 0;
    char *point = strchr(text, '.');
    int64_t value = strtoll(text, NULL, 10) * 1000;
    if (point) {
        char digits[4] = "000";
        memcpy(digits, point + 1, strlen(point + 1));
        value += strtoll(digits, NULL, 10);
    }
    return value;
}

static void price_is(const gw_record_t *r, unsigned field, const char *text) {
    char is[GW_DECIMAL_TEXT_MAX + 1];
    is[gw_record_decimal(r, field, is)] = 0;
    if (strcmp(is, text)) fprintf(stderr, "%s: not %s\n", words(r), text);
    CHECK(!strcmp(is, text));
}

/* The newest record of the candle is what the trades of its time come to. */
static void candle_check(const gw_record_t *r) {
    const gw_candle_t *c = &r->u.candle;
    const naive_t *first = NULL, *last = NULL;
    int64_t high = INT64_MIN, low = INT64_MAX, volume = 0;
    unsigned trades = 0;
    for (unsigned i = 0; i < kept_count; i++) {
        const naive_t *t = &kept[i];
        if (t->ts < c->start || t->ts >= c->start + gw_candle_length(r->h.kind)) continue;
        if (!first || naive_before(t, first)) first = t;
        if (!last || !naive_before(t, last)) last = t;
        if (t->value > high) high = t->value;
        if (t->value < low) low = t->value;
        volume += t->qty;
        trades++;
    }
    CHECK_EQUAL(c->trades, trades);
    CHECK_EQUAL(thousandths(r, 5), volume);
    if (!trades) return;
    price_is(r, 1, first->price);
    CHECK_EQUAL(thousandths(r, 2), high);
    CHECK_EQUAL(thousandths(r, 3), low);
    price_is(r, 4, last->price);
}

static const gw_record_t *newest[GW_CANDLES][BUCKETS];

static void run_check(int64_t begun, int64_t clock) {
    memset(newest, 0, sizeof newest);
    for (unsigned i = 0; i < told_count; i++) {
        const gw_record_t *r = &told[i];
        const unsigned kind = r->h.kind - GW_CANDLE;
        const int64_t at = (r->u.candle.start - (begun - begun % gw_candle_length(r->h.kind))) / gw_candle_length(r->h.kind);
        CHECK(at >= 0 && at < BUCKETS);
        const gw_record_t *was = newest[kind][at];
        if (was) CHECK(!(was->u.candle.flags & GW_CANDLE_CLOSED) || r->u.candle.flags & GW_CANDLE_REVISED);
        newest[kind][at] = r;
    }
    for (unsigned kind = 0; kind < GW_CANDLES; kind++) {
        const int64_t length = gw_candle_length((uint8_t)(GW_CANDLE + kind)), from = begun - begun % length;
        const int64_t until = (clock - GW_CANDLE_DELAY_NS) - (clock - GW_CANDLE_DELAY_NS) % length;
        for (int64_t start = from, at = 0; start < until; start += length, at++) { /* none is missing */
            CHECK(newest[kind][at] && newest[kind][at]->u.candle.flags & GW_CANDLE_CLOSED);
            CHECK_EQUAL((newest[kind][at]->u.candle.flags & GW_CANDLE_PARTIAL) != 0, at == 0);
        }
        for (int at = 0; at < BUCKETS; at++)
            if (newest[kind][at]) candle_check(newest[kind][at]);
    }
}

static void random_run(uint64_t seed) {
    state = seed;
    const int64_t begun = T0 + (int64_t)any(86400) * S;
    int64_t clock = begun, newest_ts = 0, floor_ts = 0;
    uint64_t number = 1;
    kept_count = 0;
    begin(ALL, 4, any(2) ? 0 : (int64_t)any((uint64_t)(2 * S)));
    while (kept_count < TRADES_MAX - 1 && clock < begun + (BUCKETS - 20) * S) {
        clock += (int64_t)any((uint64_t)(any(20) ? S / 2 : 5 * S));
        if (any(3) == 0) { /* the clock turns */
            turn(clock);
            const int64_t closed = clock - GW_CANDLE_DELAY_NS;
            if (kept_count && closed - closed % S > floor_ts) floor_ts = closed - closed % S;
            continue;
        }
        naive_t t = {.ts = any(5) ? clock : clock - (int64_t)any((uint64_t)(14 * S)), .number = number++};
        if (t.ts < begun) continue;
        const int64_t value = 90000 + (int64_t)any(20000), digits = (int64_t)any(4);
        t.qty = 1 + (int64_t)any(5000);
        int64_t cut = digits == 0 ? 1000 : digits == 1 ? 100 : digits == 2 ? 10 : 1;
        t.value = value - value % cut;
        if (digits) snprintf(t.price, sizeof t.price, "%" PRId64 ".%0*" PRId64, t.value / 1000, (int)digits, t.value % 1000 / cut);
        else snprintf(t.price, sizeof t.price, "%" PRId64, t.value / 1000);
        char qty[48], id[24];
        snprintf(qty, sizeof qty, "%" PRId64 ".%03" PRId64, t.qty / 1000, t.qty % 1000);
        snprintf(id, sizeof id, "%" PRIu64, t.number);
        if (t.ts >= clock && kept_count) t.ts = clock;
        feed_at(trade(t.price, qty, id, t.ts), clock + LAG);
        const int64_t reference = newest_ts > floor_ts ? newest_ts : floor_ts;
        if (kept_count && t.ts < reference - GW_CANDLE_LATE_NS) continue;
        if (any(10) == 0) feed_at(trade(t.price, qty, id, t.ts), clock + LAG); /* it comes twice */
        if (kept_count && t.ts < begun) continue;
        kept[kept_count++] = t;
        if (t.ts > newest_ts) newest_ts = t.ts;
        if (t.ts - t.ts % S > floor_ts) floor_ts = t.ts - t.ts % S;
    }
    turn(clock + 2 * S);
    /* Its own first trade says when it began: what is older was before its first candles. */
    run_check(kept[0].ts, clock + 2 * S);
    end();
}

static void random_days_are_as_the_model_says(void) {
    for (uint64_t seed = 1; seed <= 60; seed++) random_run(seed);
}

int main(void) {
    RUN(random_days_are_as_the_model_says);
    return 0;
}
