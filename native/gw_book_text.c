#include "gw_book_text.h"
#include "gw_book_internal.h"

#include <string.h>

typedef __uint128_t u128;

#define CHUNK_DIGITS 18u

/* A number as it is written: its digits, then zeros, `decimals` of all of them behind the point. */
typedef struct {
    u128 value;
    size_t zeros, decimals;
    bool negative;
} number_t;

/* --- texts to levels ------------------------------------------------------------------------- */

static u128 magnitude(const gw_decimal_t *d) {
    if (!(d->digits & GW_DIGITS_WIDE)) return d->mantissa < 0 ? 0 - (uint64_t)d->mantissa : (uint64_t)d->mantissa;
    u128 value = (u128)(uint64_t)d->high << 64 | (uint64_t)d->mantissa;
    return d->high < 0 ? 0 - value : value;
}

static bool negative(const gw_decimal_t *d) {
    return d->digits & GW_DIGITS_WIDE ? d->high < 0 : d->mantissa < 0;
}

static gw_book_refusal_t price_take(const gw_decimal_t *d, gw_book_level_t *out) {
    u128 value = magnitude(d);
    int exponent = d->exponent;
    if (exponent < -(int)GW_BOOK_PRICE_DECIMALS_MAX) return GW_BOOK_PRICE_DECIMALS;
    for (; exponent > 0 && value != 0 && value <= GW_BOOK_KEY_MAX; exponent--) value *= 10;
    if (value > GW_BOOK_KEY_MAX) return GW_BOOK_PRICE_WIDE;
    out->price = negative(d) ? -(int64_t)value : (int64_t)value;
    out->price_decimals = exponent > 0 ? 0 : (uint8_t)-exponent;
    return GW_BOOK_FINE;
}

static gw_book_refusal_t qty_take(const gw_decimal_t *d, gw_book_level_t *out) {
    u128 value = magnitude(d);
    size_t zeros = d->exponent > 0 ? (size_t)d->exponent : 0;
    if (value == 0) return GW_BOOK_FINE;
    if (negative(d)) return GW_BOOK_QTY_NEGATIVE;
    for (; value >> 64 != 0 && value % 10 == 0; zeros++) value /= 10;
    if (value >> 64 == 0) {
        uint64_t narrow = (uint64_t)value;
        for (; narrow % 10 == 0; zeros++) narrow /= 10;
        value = narrow;
    }
    if (zeros > GW_BOOK_QTY_ZEROS_MAX) return GW_BOOK_QTY_WIDE;
    bool wide = value > INT64_MAX;
    out->qty = (int64_t)(uint64_t)value;
    out->qty_high = wide ? (int64_t)(uint64_t)(value >> 64) : 0;
    out->qty_zeros = (uint8_t)(zeros | (wide ? GW_BOOK_LEVEL_WIDE : 0));
    out->qty_decimals = d->exponent > 0 ? 0 : (uint8_t)-d->exponent;
    return GW_BOOK_FINE;
}

gw_book_refusal_t gw_book_level_parse(uint8_t side, const char *price, size_t price_length, const char *qty,
                                      size_t qty_length, gw_book_level_t *out, gw_refusal_t *why) {
    gw_decimal_t decimal;
    *out = (gw_book_level_t){.side = side};
    *why = gw_decimal_parse(price, price_length, &decimal);
    if (*why != GW_FINE) return GW_BOOK_PRICE_REFUSED;
    gw_book_refusal_t refusal = price_take(&decimal, out);
    if (refusal != GW_BOOK_FINE) return refusal;
    *why = gw_decimal_parse(qty, qty_length, &decimal);
    if (*why != GW_FINE) return GW_BOOK_QTY_REFUSED;
    return qty_take(&decimal, out);
}

/* --- rows to texts --------------------------------------------------------------------------- */

/* Its price at the level's own decimals. What a row says of itself may come from shared memory: it is cut. */
static number_t price_number(const gw_book_row_t *row, unsigned scale) {
    uint64_t key = row->key < 0 ? 0 - (uint64_t)row->key : (uint64_t)row->key;
    unsigned decimals = gw_book_price_decimals(row->digits);
    if (scale > GW_BOOK_PRICE_DECIMALS_MAX) scale = GW_BOOK_PRICE_DECIMALS_MAX;
    if (decimals > scale) decimals = scale;
    unsigned finer = scale - decimals;
    bool below = row->side == GW_BOOK_ASK ? row->key > 0 : row->key < 0;
    if (finer > 0) key /= (uint64_t)gw_book_power(finer);
    return (number_t){key, 0, decimals, below && key != 0};
}

static number_t qty_number(const gw_book_row_t *row) {
    u128 value = (u128)(uint64_t)row->qty_high << 64 | (uint64_t)row->qty;
    return (number_t){value, gw_book_qty_zeros(row->digits), gw_book_qty_decimals(row->digits), false};
}

static size_t value_width(u128 value) {
    size_t width = 0;
    for (; value >> 64 != 0; width += CHUNK_DIGITS) value /= (uint64_t)gw_book_power(CHUNK_DIGITS);
    return width + gw_text_width((uint64_t)value);
}

/* All digits that are written, those before the point at least one. */
static size_t number_width(const number_t *n) {
    size_t width = value_width(n->value) + n->zeros;
    return width > n->decimals ? width : n->decimals + 1;
}

static size_t number_size(const number_t *n) { return number_width(n) + (n->decimals > 0) + n->negative; }

/* Writes digits, with zeros in front up to `width`, from the last one on. */
static void digits_write(u128 value, size_t width, char *out) {
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
}

/* The long way, for any number. */
static size_t number_write_any(const number_t *n, char *out) {
    size_t width = number_width(n), before = width - n->decimals;
    char digits[GW_BOOK_QTY_TEXT_MAX];
    digits_write(n->value, width - n->zeros, digits);
    memset(digits + width - n->zeros, '0', n->zeros);
    char *at = out;
    if (n->negative) *at++ = '-';
    memcpy(at, digits, before);
    at += before;
    if (n->decimals == 0) return (size_t)(at - out);
    *at++ = '.';
    memcpy(at, digits + before, n->decimals);
    return (size_t)(at - out) + n->decimals;
}

static size_t number_write(const number_t *n, char *out) {
    size_t width = number_width(n);
    if (width > CHUNK_DIGITS) return number_write_any(n, out);
    int64_t value = (int64_t)((uint64_t)n->value * (uint64_t)gw_book_power((unsigned)n->zeros));
    return gw_text_decimal(n->negative ? -value : value, (int8_t)-(int)n->decimals, (uint8_t)width, out);
}

size_t gw_book_price_text(const gw_book_row_t *row, unsigned scale, char *out) {
    number_t n = price_number(row, scale);
    return number_write(&n, out);
}

size_t gw_book_qty_text(const gw_book_row_t *row, char *out) {
    number_t n = qty_number(row);
    if (n.value == 0) n.zeros = n.decimals = 0;
    return number_write(&n, out);
}

size_t gw_book_price_size(const gw_book_row_t *row, unsigned scale) {
    number_t n = price_number(row, scale);
    return number_size(&n);
}

size_t gw_book_qty_size(const gw_book_row_t *row) {
    number_t n = qty_number(row);
    if (n.value == 0) n.zeros = n.decimals = 0;
    return number_size(&n);
}

static size_t significant_write(const number_t *n, char *out) {
    static const char zeros[GW_TEXT_SLACK] = "0000000000000000";
    if (n->value == 0) return 0;
    out[0] = '-';
    size_t length = n->negative;
    if (n->value >> 64 == 0) {
        length += gw_text_unsigned((uint64_t)n->value, out + length);
    } else {
        size_t width = value_width(n->value);
        digits_write(n->value, width, out + length);
        length += width;
    }
    if (n->zeros <= sizeof zeros) memcpy(out + length, zeros, sizeof zeros);
    else memset(out + length, '0', n->zeros);
    return length + n->zeros;
}

size_t gw_book_price_digits(const gw_book_row_t *row, unsigned scale, char *out) {
    number_t price = price_number(row, scale);
    return significant_write(&price, out);
}

size_t gw_book_qty_digits(const gw_book_row_t *row, char *out) {
    number_t qty = qty_number(row);
    return significant_write(&qty, out);
}
