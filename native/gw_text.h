/* Text written fast: digits, and copies of a few bytes.
 *
 * Digits come eight at a time out of multiplications (no table, no loop over digits): a word holds eight
 * ASCII digits, the most significant in its lowest byte, which on a little-endian machine is the first in
 * memory. Whole words are stored, so a writer may touch up to GW_TEXT_SLACK bytes after what it wrote; in
 * exchange there is no branch per digit, and nothing is read back that was just stored. */
#ifndef GW_TEXT_H
#define GW_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gw_record.h"

#define GW_TEXT_SLACK 16u      /* bytes that a writer may touch after its text */
#define GW_TEXT_INTEGER_MAX 20u /* a sign and 19 digits, or 20 digits */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words of digits are stored as they are: little-endian machines only"
#endif

static inline void gw_text_store8(char *out, uint64_t word) { memcpy(out, &word, 8); }

/* The eight digits of value < 10^8. Halves, quarters, then single digits, all lanes at once: x/100 is
 * x * 10486 >> 20 for x < 10^4, and x/10 is x * 103 >> 10 for x < 100 (test_text.c tries them all). */
static inline uint64_t gw_text_eight(uint64_t value) {
    uint64_t high = value / 10000;
    uint64_t lanes = high | (value - high * 10000) << 32;
    uint64_t tens = (lanes * 10486 >> 20) & 0x0000007f0000007f;
    lanes = tens | (lanes - tens * 100) << 16;
    tens = (lanes * 103 >> 10) & 0x000f000f000f000f;
    lanes = tens | (lanes - tens * 10) << 8;
    return lanes | 0x3030303030303030;
}

/* The last 24 digits of a number, in words of eight; those above `width` may be left out. */
typedef struct {
    uint64_t low, middle, high;
} gw_digits_t;

static inline gw_digits_t gw_text_split(uint64_t value, size_t width) {
    if (width <= 8) return (gw_digits_t){.low = gw_text_eight(value % 100000000)};
    uint64_t rest = value / 100000000;
    gw_digits_t d = {.low = gw_text_eight(value - rest * 100000000)};
    d.middle = gw_text_eight(rest % 100000000);
    if (width > 16) d.high = gw_text_eight(rest / 100000000);
    return d;
}

/* Drops all but the last `count` (0 to 8) digits of a word. */
static inline uint64_t gw_text_last(uint64_t word, size_t count) {
    unsigned half = 4 * (8 - (unsigned)count);
    return word >> half >> half; /* twice, as a shift by 64 is undefined */
}

/* Writes the last `count` digits (at most the width they were split with). */
static inline void gw_text_digits(const gw_digits_t *d, size_t count, char *out) {
    if (count <= 8) {
        gw_text_store8(out, gw_text_last(d->low, count));
    } else if (count <= 16) {
        gw_text_store8(out, gw_text_last(d->middle, count - 8));
        gw_text_store8(out + count - 8, d->low);
    } else {
        gw_text_store8(out, gw_text_last(d->high, count - 16));
        gw_text_store8(out + count - 16, d->middle);
        gw_text_store8(out + count - 8, d->low);
    }
}

/* How many digits `value` has without leading zeros; 1 for 0. log10(2) is about 1233 / 4096. */
static inline size_t gw_text_width(uint64_t value) {
    static const uint64_t powers[20] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000,
        100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
        10000000000000000, 100000000000000000, 1000000000000000000, 10000000000000000000u};
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned guess = bits * 1233 >> 12;
    return guess + (value >= powers[guess]);
}

/* Writes an integer; its length, at most GW_TEXT_INTEGER_MAX. */
static inline size_t gw_text_unsigned(uint64_t value, char *out) {
    size_t width = gw_text_width(value);
    gw_digits_t d = gw_text_split(value, width);
    gw_text_digits(&d, width, out);
    return width;
}

static inline size_t gw_text_signed(int64_t value, char *out) {
    out[0] = '-';
    bool negative = value < 0;
    return negative + gw_text_unsigned(negative ? 0 - (uint64_t)value : (uint64_t)value, out + negative);
}

/* Writes what gw_decimal_format writes. All digits are stored first; then the point, and the fraction's
 * digits once more behind it. `width` has at most GW_DIGITS_NARROW beside its top bit; `exponent` is cut to
 * what a record can hold, as it comes from shared memory. */
static inline size_t gw_text_decimal(int64_t mantissa, int8_t exponent, uint8_t width, char *out) {
    bool negative = mantissa < 0 || (width & GW_DECIMAL_NEGATIVE_ZERO) != 0;
    uint64_t value = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    size_t count = width & ~GW_DECIMAL_NEGATIVE_ZERO, fraction = (size_t)-exponent;
    out[0] = '-';
    out += negative;
    gw_digits_t d = gw_text_split(value, count);
    gw_text_digits(&d, count, out);
    if (exponent >= 0 || fraction >= count) return negative + count;
    out += count - fraction;
    out[0] = '.';
    gw_text_digits(&d, fraction, out + 1);
    return negative + count + 1;
}

/* memcpy for a few bytes, of exactly `size`: overlapping blocks instead of a call. */
static inline void gw_text_copy(char *out, const char *from, size_t size) {
    if (size >= 16) {
        for (size_t i = 0; i + 16 <= size; i += 16) memcpy(out + i, from + i, 16);
        memcpy(out + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        memcpy(out, from, 8);
        memcpy(out + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        memcpy(out, from, 4);
        memcpy(out + size - 4, from + size - 4, 4);
    } else if (size > 0) {
        out[0] = from[0];
        out[size / 2] = from[size / 2];
        out[size - 1] = from[size - 1];
    }
}

#endif
