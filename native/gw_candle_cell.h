/* What trades add up to: open, high, low, close and volume of some span of time, exactly.
 *
 * Open and close are the first and the last trade by the venue's time, then by number where ids are numbers, then by
 * arrival: so trades may come in any order, and two cells of neighbouring trades may be merged. */
#ifndef GW_CANDLE_CELL_H
#define GW_CANDLE_CELL_H
#include "gw_record.h"

__extension__ typedef __int128 gw_wide_t;

/* When a trade was. */
typedef struct {
    int64_t ts;
    uint64_t number; /* its id, where that is a number below 2^63; else 0 */
} gw_candle_at_t;

typedef struct {
    gw_decimal_t price[GW_VOLUME]; /* by GW_OPEN, ...; mean something where there are trades */
    gw_wide_t volume;              /* times 10^volume_exponent */
    gw_candle_at_t first, last;
    int64_t start;
    uint32_t trades;
    int8_t volume_exponent;
    uint8_t flags; /* GW_CANDLE_CLOSED, ... */
} gw_candle_cell_t;

/* A trade as candles need it. */
typedef struct {
    gw_decimal_t price, qty;
    gw_candle_at_t at;
    uint64_t id; /* a hash of its id; 0: it has none */
} gw_candle_trade_t;

/* Whether `a` was before `b`; of one time and without numbers, neither was. */
bool gw_candle_before(const gw_candle_at_t *a, const gw_candle_at_t *b);
void gw_candle_trade_read(const gw_record_t *record, gw_candle_trade_t *out);

/* Adds one trade. False: the volume's digits would be more than a decimal has, and the cell is as it was. */
bool gw_candle_cell_add(gw_candle_cell_t *cell, const gw_candle_trade_t *trade);
/* Adds all that came later to what came before. False: as above. */
bool gw_candle_cell_merge(gw_candle_cell_t *cell, const gw_candle_cell_t *later);
/* One without trades: all prices are `price`. */
void gw_candle_cell_empty(gw_candle_cell_t *cell, const gw_decimal_t *price);
/* Fills cells and payload. */
void gw_candle_cell_fill(const gw_candle_cell_t *cell, gw_record_t *record);

/* Below 0, 0 or above it, as `a` is less than `b`, equal or greater. */
int gw_decimal_compare(const gw_decimal_t *a, const gw_decimal_t *b);

#endif
