/* Candles of one instrument, fed with trades and turned by the clock; what they tell is kept. */
#ifndef CANDLE_SCENE_H
#define CANDLE_SCENE_H
#include "check.h"
#include "gw_candle.h"
#include "gw_kind.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define S INT64_C(1000000000)
#define T0 (INT64_C(1700006400) * S) /* begins a day */
#define ALL ((1u << GW_CANDLES) - 1)
#define TOLD_MAX 200000
#define LAG (S / 2)

static gw_candles_t candles;
static gw_record_t told[TOLD_MAX];
static unsigned told_count;

static inline void take(void *self, gw_record_t *record) {
    CHECK(self == &told_count && told_count < TOLD_MAX);
    told[told_count++] = *record;
}

static inline void begin(unsigned intervals, uint32_t instruments, int64_t update_ns) {
    static const uint32_t topics[GW_CANDLES] = {100, 101, 102, 103, 104, 105};
    told_count = 0;
    CHECK_EQUAL(gw_candles_init(&candles, intervals, instruments, 16, update_ns, take, &told_count), 0);
    CHECK(gw_candles_begin(&candles, 0, topics));
}

static inline void end(void) { gw_candles_free(&candles); }

static inline gw_record_t trade(const char *price, const char *qty, const char *id, int64_t ts) {
    gw_record_t r;
    int field;
    const gw_text_t texts[4] = {gw_text_of(price), gw_text_of(qty), gw_text_of("buy"), gw_text_of(id)};
    memset(&r, 0, sizeof r);
    CHECK_EQUAL(gw_record_fill(&r, GW_TRADE, texts, &field), GW_FINE);
    r.h.ts_event = ts;
    return r;
}

/* As its feed publishes it, when it comes. */
static inline void feed_at(gw_record_t r, int64_t real_ns) {
    r.h.ts_recv = real_ns;
    gw_candles_now(&candles, real_ns, real_ns);
    gw_candles_trade(&candles, &r, 3, true);
}

static inline void turn(int64_t venue_ns) {
    bool left = true;
    for (int i = 0; left; i++) {
        CHECK(i < 100000);
        gw_candles_now(&candles, venue_ns + LAG, venue_ns + LAG);
        left = gw_candles_step(&candles);
    }
}

/* One candle as text: kind, start in seconds, prices, volume, trades, flags. */
static inline const char *words(const gw_record_t *r) {
    static char out[1024];
    char text[GW_DECIMAL_TEXT_MAX];
    const gw_kind_t *kind = gw_kind(r->h.kind);
    CHECK(kind && gw_record_possible(r->h.kind, r->h.cells) && r->h.cells == gw_record_cells(r));
    CHECK_EQUAL(r->h.topic, 100 + r->h.kind - GW_CANDLE);
    const gw_candle_t *c = &r->u.candle;
    int n = snprintf(out, sizeof out, "%s %" PRId64, kind->interval, (c->start - T0) / S);
    for (unsigned i = 1; i <= GW_CANDLE_DECIMALS; i++) {
        size_t length = gw_record_decimal(r, i, text);
        n += snprintf(out + n, sizeof out - (size_t)n, " %.*s", (int)length, text);
    }
    snprintf(out + n, sizeof out - (size_t)n, " %u%s%s%s", c->trades, c->flags & GW_CANDLE_CLOSED ? " closed" : "",
             c->flags & GW_CANDLE_REVISED ? " revised" : "", c->flags & GW_CANDLE_PARTIAL ? " partial" : "");
    return out;
}

#endif
