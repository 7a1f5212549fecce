/* A level is price and quantity as integers with their exponents. A quantity of more than 63 bits is null in its row, and
 * stands in a group of its own, in the order of the rows: such ones are rare, and all others 16 bytes shorter for it. */
#include "gw_sbe_book.h"
#include "gw_little.h"

#include <string.h>

typedef __uint128_t u128;

#define QTY_NULL INT64_MIN

static const u128 digits_beyond = (u128)10000000000000000000u * 10000000000000000000u; /* 10^GW_DIGITS_MAX */

/* --- reading --------------------------------------------------------------------------------------- */

/* False: no book has such a quantity. Zeros at its end are counted instead, as a book keeps it. */
static bool qty_take(u128 value, int exponent, gw_book_level_t *out) {
    if (exponent > GW_EXPONENT_MAX || exponent < -(int)GW_DECIMALS_MAX || value >= digits_beyond) return false;
    if (value == 0) return true;
    unsigned zeros = exponent > 0 ? (unsigned)exponent : 0;
    for (; value >> 64 != 0 && value % 10 == 0; zeros++) value /= 10;
    if (value >> 64 == 0) {
        uint64_t narrow = (uint64_t)value;
        for (; narrow % 10 == 0; zeros++) narrow /= 10;
        value = narrow;
    }
    if (zeros > GW_BOOK_QTY_ZEROS_MAX) return false;
    bool wide = value > INT64_MAX;
    out->qty = (int64_t)(uint64_t)value;
    out->qty_high = wide ? (int64_t)(uint64_t)(value >> 64) : 0;
    out->qty_zeros = (uint8_t)(zeros | (wide ? GW_BOOK_LEVEL_WIDE : 0));
    out->qty_decimals = exponent > 0 ? 0 : (uint8_t)-exponent;
    return true;
}

static bool level_take(const uint8_t *row, unsigned side, const gw_sbe_group_t *wides, uint32_t *used,
                       gw_book_level_t *out) {
    const int64_t price = (int64_t)gw_little_load64(row), qty = (int64_t)gw_little_load64(row + 8);
    const int price_exponent = (int8_t)row[16], qty_exponent = (int8_t)row[17];
    *out = (gw_book_level_t){.side = (uint8_t)side, .price = price};
    if (price > GW_BOOK_KEY_MAX || price < -GW_BOOK_KEY_MAX) return false;
    if (price_exponent > 0 || price_exponent < -(int)GW_BOOK_PRICE_DECIMALS_MAX) return false;
    out->price_decimals = (uint8_t)-price_exponent;
    if (qty >= 0) return qty_take((u128)(uint64_t)qty, qty_exponent, out);
    if (qty != QTY_NULL || *used == wides->count) return false;
    const uint8_t *wide = wides->at + (size_t)(*used)++ * wides->size;
    return qty_take((u128)gw_little_load64(wide + 8) << 64 | gw_little_load64(wide), qty_exponent, out);
}

/* All levels of a message, as levels, as rows or only checked. */
static gw_sbe_fault_t levels_take(const gw_sbe_message_t *m, uint32_t book, gw_book_level_t *out, gw_sbe_level_row_t *rows) {
    const gw_sbe_group_t *wides = &m->groups[GW_SBE_WIDES];
    uint32_t used = 0;
    gw_book_level_t one;
    for (unsigned side = GW_BOOK_BID; side < GW_BOOK_SIDES; side++) {
        const gw_sbe_group_t *g = &m->groups[side == GW_BOOK_BID ? GW_SBE_BIDS : GW_SBE_ASKS];
        for (uint32_t i = 0; i < g->count; i++) {
            gw_book_level_t *level = out ? out++ : &one;
            if (!level_take(g->at + (size_t)i * g->size, side, wides, &used, level)) return GW_SBE_LEVEL;
            if (rows) gw_sbe_level_row(level, book, rows++);
        }
    }
    return used == wides->count ? GW_SBE_FINE : GW_SBE_LEVEL;
}

gw_sbe_fault_t gw_sbe_book_levels(const gw_sbe_message_t *m, gw_book_level_t *out) {
    return levels_take(m, 0, out, NULL);
}

gw_sbe_fault_t gw_sbe_book_rows(const gw_sbe_message_t *m, uint32_t book, gw_sbe_level_row_t *out) {
    return levels_take(m, book, NULL, out);
}

/* --- a quantity's digits --------------------------------------------------------------------------- */

typedef struct {
    u128 value;
    int exponent;
} qty_t;

/* With the venue's digits, as far as 38 of them have room: behind those there are but zeros. */
static qty_t qty_from(u128 value, unsigned zeros, unsigned decimals) {
    qty_t q = {value, 0};
    if (q.value == 0) return q;
    for (; zeros > 0 && q.value < digits_beyond / 10; zeros--) q.value *= 10;
    q.exponent = (int)zeros - (int)decimals;
    return q;
}

static qty_t qty_of(const gw_book_row_t *row) {
    return qty_from((u128)(uint64_t)row->qty_high << 64 | (uint64_t)row->qty, gw_book_qty_zeros(row->digits),
                    gw_book_qty_decimals(row->digits));
}

void gw_sbe_level_row(const gw_book_level_t *level, uint32_t book, gw_sbe_level_row_t *out) {
    const u128 bare = (level->qty_zeros & GW_BOOK_LEVEL_WIDE ? (u128)(uint64_t)level->qty_high << 64 : 0) | (uint64_t)level->qty;
    const qty_t qty = qty_from(bare, level->qty_zeros & ~GW_BOOK_LEVEL_WIDE, level->qty_decimals);
    const gw_sbe_decimal_t decimals[2] = {
        {.low = (uint64_t)level->price, .high = level->price < 0 ? -1 : 0, .exponent = (int8_t)-level->price_decimals},
        {.low = (uint64_t)qty.value, .high = (int64_t)(uint64_t)(qty.value >> 64), .exponent = (int8_t)qty.exponent}};
    *out = (gw_sbe_level_row_t){.book = book, .side = level->side == GW_BOOK_BID ? GW_SIDE_BUY : GW_SIDE_SELL};
    for (unsigned i = 0; i < 2; i++) {
        out->mantissa[i] = (gw_sbe_mantissa_t){decimals[i].low, decimals[i].high};
        out->number[i] = gw_sbe_decimal_double(&decimals[i]);
        out->exponent[i] = decimals[i].exponent;
    }
}

/* --- writing --------------------------------------------------------------------------------------- */

static char *dimensions(unsigned bytes, uint32_t count, char *out) {
    return gw_little_store(count, 2, gw_little_store(bytes, 2, out));
}

char *gw_sbe_book_group(const gw_book_row_t *rows, uint32_t count, unsigned scale, char *out) {
    out = dimensions(GW_SBE_LEVEL_BYTES, count, out);
    for (const gw_book_row_t *row = rows; row < rows + count; row++) {
        const qty_t qty = qty_of(row);
        gw_book_level_t level;
        gw_book_level_from(row, scale, &level);
        out = gw_little_store((uint64_t)level.price, 8, out);
        out = gw_little_store(qty.value > INT64_MAX ? (uint64_t)QTY_NULL : (uint64_t)qty.value, 8, out);
        *out++ = (char)(-(int)level.price_decimals);
        *out++ = (char)qty.exponent;
    }
    return out;
}

char *gw_sbe_book_wides(const gw_book_row_t *rows, uint32_t count, char *out) {
    char *const start = out;
    uint32_t wides = 0;
    out = dimensions(GW_SBE_WIDE_BYTES, 0, out);
    for (const gw_book_row_t *row = rows; row < rows + count; row++) {
        const u128 value = qty_of(row).value;
        if (value <= INT64_MAX) continue;
        out = gw_little_store((uint64_t)(value >> 64), 8, gw_little_store((uint64_t)value, 8, out));
        wides++;
    }
    dimensions(GW_SBE_WIDE_BYTES, wides, start);
    return out;
}

uint32_t gw_sbe_book_fit(const gw_book_row_t *rows, uint32_t count, size_t bytes) {
    if (count <= bytes / (GW_SBE_LEVEL_BYTES + GW_SBE_WIDE_BYTES)) return count;
    for (uint32_t i = 0; i < count; i++) {
        const size_t size = GW_SBE_LEVEL_BYTES + (qty_of(&rows[i]).value > INT64_MAX ? GW_SBE_WIDE_BYTES : 0);
        if (size > bytes) return i;
        bytes -= size;
    }
    return count;
}
