/* Candles against the simplest computation: each is what the published trades of its time come to, and where it says that
 * it is complete, what the venue's come to. */
#ifndef SIMULATION_CANDLES_H
#define SIMULATION_CANDLES_H
#include "simulation_feed.h"

typedef struct {
    uint32_t trades;
    int64_t open, high, low, close, volume; /* in hundredths, in thousandths */
} naive_t;

static uint64_t candles_checked, candles_complete;

/* A field in units of that many decimals. */
static inline int64_t candle_units(const gw_record_t *r, unsigned field, unsigned decimals) {
    char text[GW_DECIMAL_TEXT_MAX + 1];
    text[gw_record_decimal(r, field, text)] = 0;
    char *point = strchr(text, '.');
    int64_t value = 0;
    for (const char *at = text; *at && *at != '.'; at++) value = value * 10 + (*at - '0');
    for (unsigned i = 0; i < decimals; i++) {
        const bool digit = point && point[1];
        value = value * 10 + (digit ? *++point - '0' : 0);
    }
    CHECK(!point || !point[1]);
    return value;
}

static inline void naive_add(naive_t *n, int64_t price, int64_t qty) {
    if (!n->trades++) n->open = n->high = n->low = price;
    if (price > n->high) n->high = price;
    if (price < n->low) n->low = price;
    n->close = price;
    n->volume += qty;
}

static inline bool naive_later(const void *a, const void *b) { /* by time, then by number */
    const gw_record_t *x = a, *y = b;
    if (x->h.ts_event != y->h.ts_event) return x->h.ts_event > y->h.ts_event;
    return strtoull(x->u.trade.id, NULL, 10) > strtoull(y->u.trade.id, NULL, 10);
}

/* Of what was published. Open and close are the first and the last trade by the venue's time. */
static inline naive_t naive_published(const line_t *trades, int64_t start, int64_t end) {
    naive_t n = {0};
    const gw_record_t *first = NULL, *last = NULL;
    for (uint64_t i = 0; i < trades->count; i++) {
        const gw_record_t *r = &trades->at[i].record;
        if (r->h.ts_event < start || r->h.ts_event >= end) continue;
        naive_add(&n, candle_units(r, 0, 2), candle_units(r, 1, 3));
        if (!first || naive_later(first, r)) first = r;
        if (!last || naive_later(r, last)) last = r;
    }
    if (first) n.open = candle_units(first, 0, 2), n.close = candle_units(last, 0, 2);
    return n;
}

static inline naive_t naive_venue(const instrument_t *x, int64_t start, int64_t end) {
    naive_t n = {0};
    for (uint32_t i = 0; i < x->trades_count; i++)
        if (x->trades[i].ts >= start && x->trades[i].ts < end) naive_add(&n, x->trades[i].price, x->trades[i].qty);
    return n;
}

static inline void candle_is(const gw_record_t *r, const naive_t *n) {
    CHECK_EQUAL(r->u.candle.trades, n->trades);
    CHECK_EQUAL(candle_units(r, 5, 3), n->volume);
    if (!n->trades) return;
    CHECK_EQUAL(candle_units(r, 1, 2), n->open);
    CHECK_EQUAL(candle_units(r, 2, 2), n->high);
    CHECK_EQUAL(candle_units(r, 3, 2), n->low);
    CHECK_EQUAL(candle_units(r, 4, 2), n->close);
}

/* The newest record of each candle of the epoch that is written now. `known_ts`: up to there no trade of the venue's is
 * missing that nobody knows of. */
static inline void candles_check(unsigned instrument, unsigned kind) {
    const epoch_t *e = epoch_now();
    const line_t *trades = &e->lines[topic_of(SIM_TRADE, instrument)], *line = &e->lines[topic_of(kind, instrument)];
    const int64_t length = gw_candle_length(sim_kinds[kind]);
    int64_t known_ts = 0;
    for (uint64_t i = 0; i < trades->count; i++)
        if (trades->at[i].record.h.ts_event > known_ts) known_ts = trades->at[i].record.h.ts_event;
    for (uint64_t i = 0; i < line->count; i++) {
        const gw_record_t *r = &line->at[i].record;
        const int64_t start = r->u.candle.start, end = start + length;
        bool newest = true, before = false;
        for (uint64_t k = i + 1; newest && k < line->count; k++) newest = line->at[k].record.u.candle.start != start;
        for (uint64_t k = i; !before && k > 0; k--) before = line->at[k - 1].record.u.candle.start == start - length;
        CHECK(start % length == 0 && (before || i == 0 || r->u.candle.flags & GW_CANDLE_PARTIAL ||
                                      start <= line->at[0].record.u.candle.start)); /* none is left out */
        if (!newest || !(r->u.candle.flags & GW_CANDLE_CLOSED)) continue; /* a running one is told now and then */
        const naive_t published = naive_published(trades, start, end);
        candle_is(r, &published);
        candles_checked++;
        if (r->u.candle.flags & GW_CANDLE_PARTIAL || end > known_ts) continue;
        const naive_t all = naive_venue(&venue.instruments[instrument], start, end);
        candle_is(r, &all);
        candles_complete++;
    }
}

static inline void candles_check_all(void) {
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++)
        for (unsigned kind = SIM_CANDLE; kind < SIM_KINDS; kind++) candles_check(i, kind);
}

#endif
