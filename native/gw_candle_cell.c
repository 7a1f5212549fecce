#include "gw_candle_cell.h"

#include <string.h>

typedef __uint128_t u128;

#define NUMBER_DIGITS 18u /* of an id that is compared as a number: always below 2^63 */

/* --- decimals ------------------------------------------------------------------------------------------------- */

static u128 ten_to(unsigned power) {
    u128 value = 1;
    while (power--) value *= 10;
    return value;
}

static unsigned digits_of(u128 value) {
    unsigned digits = 1;
    for (; value >= 10; value /= 10) digits++;
    return digits;
}

static bool is_wide(const gw_decimal_t *d) { return (d->digits & GW_DIGITS_WIDE) != 0; }

static gw_wide_t value_of(const gw_decimal_t *d) {
    if (!is_wide(d)) return d->mantissa;
    return (gw_wide_t)((u128)(uint64_t)d->high << 64 | (uint64_t)d->mantissa);
}

static u128 magnitude(gw_wide_t value) { return value < 0 ? 0 - (u128)value : (u128)value; }

/* Of two values that are not zero: by where their first digit stands, then by their digits, which then are as many
 * in both once the coarser one is written with the exponent of the finer. */
static int magnitudes_compare(u128 a, int a_exponent, u128 b, int b_exponent) {
    const int a_first = (int)digits_of(a) + a_exponent, b_first = (int)digits_of(b) + b_exponent;
    if (a_first != b_first) return a_first < b_first ? -1 : 1;
    if (a_exponent > b_exponent) a *= ten_to((unsigned)(a_exponent - b_exponent));
    else b *= ten_to((unsigned)(b_exponent - a_exponent));
    return a < b ? -1 : a > b;
}

static int values_compare(const gw_decimal_t *a, const gw_decimal_t *b) {
    const gw_wide_t x = value_of(a), y = value_of(b);
    if (x == 0 || y == 0 || (x < 0) != (y < 0)) return x < y ? -1 : x > y;
    const int order = magnitudes_compare(magnitude(x), a->exponent, magnitude(y), b->exponent);
    return x < 0 ? -order : order;
}

int gw_decimal_compare(const gw_decimal_t *a, const gw_decimal_t *b) {
    if (__builtin_expect(a->exponent != b->exponent || is_wide(a) || is_wide(b), 0)) return values_compare(a, b);
    return a->mantissa < b->mantissa ? -1 : a->mantissa > b->mantissa;
}

/* Writes a value with a finer exponent; false where that has more digits than a decimal may. */
static bool rescale(gw_wide_t *value, int from, int to) {
    const unsigned power = (unsigned)(from - to);
    if (*value == 0) return true;
    if (digits_of(magnitude(*value)) + power > GW_DIGITS_MAX) return false;
    *value *= (gw_wide_t)ten_to(power);
    return true;
}

/* value * 10^exponent in the form in which it is written out. The value has at most GW_DIGITS_MAX digits. */
static gw_decimal_t decimal_make(gw_wide_t value, int exponent) {
    while (exponent > 0 && digits_of(magnitude(value)) < GW_DIGITS_MAX) value *= 10, exponent--;
    unsigned width = digits_of(magnitude(value));
    if (exponent < 0 && width < (unsigned)-exponent + 1) width = (unsigned)-exponent + 1; /* a zero before the point */
    const bool wide = width > GW_DIGITS_NARROW || exponent > 0;
    return (gw_decimal_t){.mantissa = (int64_t)(uint64_t)(u128)value,
                          .high = (int64_t)(uint64_t)((u128)value >> 64),
                          .width = (uint8_t)width,
                          .exponent = (int8_t)exponent,
                          .digits = (uint8_t)(wide ? GW_DIGITS_WIDE : width)};
}

/* --- trades ----------------------------------------------------------------------------------------------------- */

static gw_decimal_t decimal_read(const gw_record_t *record, unsigned index, int64_t mantissa, int8_t exponent,
                                 uint8_t digits) {
    gw_decimal_t d = {.mantissa = mantissa, .exponent = exponent, .digits = digits};
    if (__builtin_expect(is_wide(&d), 0)) {
        d.high = record->tail.high[index];
        d.width = record->tail.width[index];
    }
    return d;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Never 0, which is that of no id. */
static uint64_t id_hash(const gw_record_t *record) {
    const gw_trade_t *t = &record->u.trade;
    const size_t length = t->id_length, inside = length < GW_ID_INLINE ? length : GW_ID_INLINE;
    uint64_t hash = length;
    for (size_t i = 0; i < inside; i += 8) { /* what lies behind an id is zero */
        uint64_t word;
        memcpy(&word, t->id + i, sizeof word);
        hash = mix(hash, word);
    }
    for (size_t i = GW_ID_INLINE; i < length; i++) hash = mix(hash, (uint8_t)record->tail.id[i - GW_ID_INLINE]);
    return hash | 1;
}

static uint64_t id_number(const gw_trade_t *t) {
    uint64_t number = 0;
    if (t->id_length > NUMBER_DIGITS) return 0;
    for (size_t i = 0; i < t->id_length; i++) {
        const unsigned digit = (unsigned)(unsigned char)t->id[i] - '0';
        if (digit > 9) return 0;
        number = number * 10 + digit;
    }
    return number;
}

void gw_candle_trade_read(const gw_record_t *record, gw_candle_trade_t *out) {
    const gw_trade_t *t = &record->u.trade;
    out->price = decimal_read(record, 0, t->price, t->price_exponent, t->price_digits);
    out->qty = decimal_read(record, 1, t->qty, t->qty_exponent, t->qty_digits);
    out->at.ts = record->h.ts_event;
    out->at.number = id_number(t);
    out->id = 0;
    if (t->id_length == 0) return;
    out->id = out->at.number ? mix(0, out->at.number) | 1 : id_hash(record);
}

/* --- cells ------------------------------------------------------------------------------------------------------ */

bool gw_candle_before(const gw_candle_at_t *a, const gw_candle_at_t *b) {
    if (a->ts != b->ts) return a->ts < b->ts;
    return a->number && b->number && a->number < b->number;
}

/* Adds value * 10^exponent to the volume. */
static bool volume_add(gw_candle_cell_t *cell, gw_wide_t value, int exponent) {
    gw_wide_t volume = cell->volume;
    int to = cell->volume_exponent;
    if (__builtin_expect(exponent != to, 0)) {
        const int finer = exponent < to ? exponent : to;
        if (!rescale(&volume, to, finer) || !rescale(&value, exponent, finer)) return false;
        to = finer;
    }
    volume += value; /* both have at most 38 digits: the sum fits 128 bits */
    if (__builtin_expect((int64_t)volume != volume, 0) && digits_of(magnitude(volume)) > GW_DIGITS_MAX) return false;
    cell->volume = volume;
    cell->volume_exponent = (int8_t)to;
    return true;
}

bool gw_candle_cell_add(gw_candle_cell_t *cell, const gw_candle_trade_t *trade) {
    if (cell->trades == 0) cell->volume = 0, cell->volume_exponent = trade->qty.exponent;
    if (!volume_add(cell, value_of(&trade->qty), trade->qty.exponent)) return false;
    if (cell->trades == 0) {
        for (int i = 0; i < GW_VOLUME; i++) cell->price[i] = trade->price;
        cell->first = cell->last = trade->at;
    } else {
        if (gw_decimal_compare(&trade->price, &cell->price[GW_HIGH]) > 0) cell->price[GW_HIGH] = trade->price;
        if (gw_decimal_compare(&trade->price, &cell->price[GW_LOW]) < 0) cell->price[GW_LOW] = trade->price;
        if (!gw_candle_before(&trade->at, &cell->last)) {
            cell->price[GW_CLOSE] = trade->price;
            cell->last = trade->at;
        } else if (gw_candle_before(&trade->at, &cell->first)) {
            cell->price[GW_OPEN] = trade->price;
            cell->first = trade->at;
        }
    }
    cell->trades += cell->trades < UINT32_MAX;
    return true;
}

bool gw_candle_cell_merge(gw_candle_cell_t *cell, const gw_candle_cell_t *later) {
    cell->flags |= later->flags & GW_CANDLE_PARTIAL;
    if (later->trades == 0) return true;
    if (cell->trades == 0) {
        memcpy(cell->price, later->price, sizeof cell->price);
        cell->first = later->first;
        cell->last = later->last;
        cell->volume = later->volume;
        cell->volume_exponent = later->volume_exponent;
        cell->trades = later->trades;
        return true;
    }
    if (!volume_add(cell, later->volume, later->volume_exponent)) return false;
    if (gw_decimal_compare(&later->price[GW_HIGH], &cell->price[GW_HIGH]) > 0) cell->price[GW_HIGH] = later->price[GW_HIGH];
    if (gw_decimal_compare(&later->price[GW_LOW], &cell->price[GW_LOW]) < 0) cell->price[GW_LOW] = later->price[GW_LOW];
    if (gw_candle_before(&later->first, &cell->first)) cell->price[GW_OPEN] = later->price[GW_OPEN], cell->first = later->first;
    if (!gw_candle_before(&later->last, &cell->last)) cell->price[GW_CLOSE] = later->price[GW_CLOSE], cell->last = later->last;
    cell->trades += later->trades < UINT32_MAX - cell->trades ? later->trades : UINT32_MAX - cell->trades;
    return true;
}

void gw_candle_cell_empty(gw_candle_cell_t *cell, const gw_decimal_t *price) {
    for (int i = 0; i < GW_VOLUME; i++) cell->price[i] = *price;
    cell->volume = 0;
    cell->volume_exponent = 0;
}

void gw_candle_cell_fill(const gw_candle_cell_t *cell, gw_record_t *record) {
    gw_candle_t *c = &record->u.candle;
    gw_decimal_t decimals[GW_CANDLE_DECIMALS];
    memcpy(decimals, cell->price, sizeof cell->price);
    decimals[GW_VOLUME] = decimal_make(cell->volume, cell->volume_exponent);
    memset(c, 0, sizeof *c);
    for (int i = 0; i < GW_CANDLE_DECIMALS; i++) {
        c->mantissa[i] = decimals[i].mantissa;
        c->exponent[i] = decimals[i].exponent;
        if (i < GW_VOLUME) c->digits[i] = decimals[i].digits;
        if (is_wide(&decimals[i])) c->extra = GW_EXTRA_TAIL;
    }
    c->volume_digits = decimals[GW_VOLUME].digits;
    c->flags = cell->flags;
    c->start = cell->start;
    c->trades = cell->trades;
    if (c->extra) gw_record_tail(record, decimals, GW_CANDLE_DECIMALS);
    record->h.cells = gw_record_cells(record);
}
