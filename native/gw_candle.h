/* Candles: what the trades of an instrument add up to in each second, minute, ... of the venue's time.
 *
 * They are made beside the publisher, under its lock. A trade is added to what came since its instrument's candles were
 * last told (one addition, however many intervals there are); that is merged into the candle of each interval once they
 * are due again, or once another candle of the shortest interval begins. All intervals are multiples of the next
 * shorter one, so what lies in one candle of the shortest lies in one of each.
 *
 * A candle is closed by the first trade of a later one, or by the clock half a second after its end: by the venue's
 * clock, that is ours less the least time that a trade of the feed took to us in the last minute. Both go through
 * `advance`. One without trades closes with the price of the one before. Of trades that come up to ten seconds late a
 * closed candle is told again. A trade of any other time is counted and left out; where nothing else comes of an
 * instrument, its candles begin anew with it (a capture that is played again begins again).
 *
 * Bounded: rows for `instruments_max` instruments, made at once and touched on use. One trade adds to or closes one
 * candle of each interval and, of those that were passed over, tells at most GW_CANDLE_EMPTIES a batch: more are left
 * out and counted. The clock's part is done by gw_candles_step, so many looks and candles at a time. */
#ifndef GW_CANDLE_H
#define GW_CANDLE_H
#include "gw_candle_cell.h"

#define GW_CANDLE_DELAY_NS INT64_C(500000000)  /* after a candle's end, by the venue's clock, the clock closes it */
#define GW_CANDLE_LATE_NS INT64_C(10000000000) /* a trade may come so late, or be so far ahead of both clocks */
#define GW_CANDLE_JUMP_NS INT64_C(60000000000) /* what is played again has jumped back where it goes so far */
#define GW_CANDLE_TS_END (INT64_MAX / 2)       /* no trade is so late in time: the year 2116 */
#define GW_CANDLE_ODD_RUN 256u   /* so many trades of another time in a row: the venue's clock was set */
#define GW_CANDLE_EMPTIES 64u    /* without trades, told by one batch */
#define GW_CANDLE_BEHIND 64      /* candles of the shortest interval: what is further behind is passed over */
#define GW_CANDLE_LOOKS 1024u    /* rows looked at by one step */
#define GW_CANDLE_TOLD 64u       /* candles of each interval that one step may tell */
#define GW_CANDLE_IDS 128u       /* ids of an instrument that are remembered */
#define GW_CANDLE_WAYS 4u
#define GW_CANDLE_FEEDS 64u
#define GW_CANDLE_LAGS 6         /* spans of GW_CANDLE_LAG_NS whose least lag is known: a minute */
#define GW_CANDLE_LAG_NS INT64_C(10000000000)
#define GW_CANDLE_NO_LAG INT64_MAX

typedef struct {
    uint64_t told;       /* records of candles */
    uint64_t revised;    /* of them those that were told again */
    uint64_t late, ahead;        /* trades of no candle: too late, too far ahead */
    uint64_t duplicates, unprinted, unfit; /* trades left out: their id came before; no market's; too many digits */
    uint64_t left_out;   /* candles without trades that were not told */
    uint64_t restarts;   /* instruments that began anew */
    uint64_t full;       /* instruments that found no row */
} gw_candle_counts_t;

typedef struct gw_candle_row gw_candle_row_t;

/* Publishes a record of a candle, all but its stamps of publishing filled. */
typedef void gw_candle_emit_t(void *self, gw_record_t *record);

/* The least lag of a feed's trades (ts_recv - ts_event), by the span of time in which they came. */
typedef struct {
    int64_t least[GW_CANDLE_LAGS];
    int64_t now; /* the least of all: GW_CANDLE_NO_LAG before the first trade */
} gw_candle_lag_t;

typedef struct {
    uint8_t intervals;      /* how many there are */
    uint8_t kinds[GW_CANDLES];
    uint32_t instruments_max, used; /* rows; `used` ever */
    uint32_t free;          /* the first row given back, plus 1 */
    uint32_t topics_max;
    uint32_t *rows_of;      /* by topic of trades: its row, plus 1 */
    uint8_t *rows;
    size_t row_bytes;
    int64_t update_ns;      /* least time between two updates of a running candle */
    gw_candle_emit_t *emit;
    void *self;
    gw_candle_lag_t lags[GW_CANDLE_FEEDS];
    int64_t lags_ns;        /* when the present span began, MONOTONIC */
    uint32_t lags_at;
    uint32_t cursor;        /* the row that the next step looks at first */
    uint32_t empties_left;  /* of the batch */
    int64_t real_ns, mono_ns; /* now, as the caller said last */
    gw_candle_counts_t counts;
} gw_candles_t;

/* Nanoseconds of the kind's interval; 0: it is no candle. */
int64_t gw_candle_length(uint8_t kind);

/* `intervals` has bit i for kind GW_CANDLE + i; 0: there are no candles, and nothing is allocated. 0 or -ENOMEM. */
int gw_candles_init(gw_candles_t *c, unsigned intervals, uint32_t instruments_max, uint32_t topics_max, int64_t update_ns,
                    gw_candle_emit_t *emit, void *self);
void gw_candles_free(gw_candles_t *c);
/* Bytes of one instrument. */
size_t gw_candles_row_bytes(unsigned intervals);

/* From now on the topic's trades make candles, on topics by kind (those of other intervals are not looked at). False: all rows are taken. */
bool gw_candles_begin(gw_candles_t *c, uint32_t trades, const uint32_t *topics);
/* Not any more. */
void gw_candles_end(gw_candles_t *c, uint32_t trades);

/* A batch is published now. */
static inline void gw_candles_now(gw_candles_t *c, int64_t real_ns, int64_t mono_ns) {
    c->empties_left = GW_CANDLE_EMPTIES;
    c->real_ns = real_ns;
    c->mono_ns = mono_ns;
}
/* A trade was published; `wire`: its lag is that of the way to us. */
void gw_candles_trade(gw_candles_t *c, const gw_record_t *record, uint32_t feed, bool wire);
/* A trade of this topic was refused: the candle lacks it. */
void gw_candles_refused(gw_candles_t *c, uint32_t trades);
/* Closes and tells what is due by the clock. False: it has looked at every row since the call that began with the first
 * one, so that nothing is left for now. */
bool gw_candles_step(gw_candles_t *c);

static inline bool gw_candles_on(const gw_candles_t *c) { return c->intervals != 0; }

#endif
