#include "gw_book_record.h"
#include "gw_little.h"
#include "gw_sbe_book.h"

#include <math.h>
#include <stdlib.h>

typedef __uint128_t u128;

#define SIDE_NULL 255u
#define DECIMAL_SIZE 17u
#define EXACT_POWER 22          /* 10^22 is the last power of ten that a double holds exactly */
#define EXACT_MANTISSA (1ull << 53)

const char *gw_sbe_fault_text(gw_sbe_fault_t fault) {
    static const char *const texts[GW_SBE_FAULTS] = {
        [GW_SBE_OTHER] = "a message of another kind",
        [GW_SBE_CUT] = "the frame ends inside a message",
        [GW_SBE_FOREIGN] = "a message of another schema",
        [GW_SBE_BLOCK] = "a block that is shorter than its template's",
        [GW_SBE_DIGITS] = "a decimal of more than 38 digits",
        [GW_SBE_EXPONENT] = "a decimal's exponent beyond -127 to 100",
        [GW_SBE_NONE] = "a trade without a price or a quantity",
        [GW_SBE_SIDE] = "a side that is neither buy nor sell",
        [GW_SBE_ID] = "a trade's id that is not up to 80 characters of printable ASCII",
        [GW_SBE_NAME] = "a topic's name that is not 1 to 113 bytes",
        [GW_SBE_LACKS] = "a candle without a price or a volume",
        [GW_SBE_YES] = "a candle's yes or no that is neither",
        [GW_SBE_LEVEL] = "a level that no book can have",
        [GW_SBE_PART] = "a book's part that is none of its parts",
        [GW_SBE_NUMBER] = "a book's number that is not up to 24 characters of printable ASCII",
    };
    return fault < GW_SBE_FAULTS && texts[fault] ? texts[fault] : "well";
}

/* --- one message ----------------------------------------------------------------------------------- */

static u128 magnitude(const gw_sbe_decimal_t *d) {
    u128 value = (u128)(uint64_t)d->high << 64 | d->low;
    return d->high < 0 ? 0 - value : value;
}

static gw_sbe_fault_t decimal_load(const uint8_t *at, gw_sbe_decimal_t *d) {
    static const u128 beyond = (u128)10000000000000000000u * 10000000000000000000u; /* 10^GW_DIGITS_MAX */
    d->low = gw_little_load64(at);
    d->high = (int64_t)gw_little_load64(at + 8);
    d->exponent = (int8_t)at[16];
    if (d->exponent == GW_EXPONENT_NONE) return GW_SBE_FINE;
    if (d->exponent > GW_EXPONENT_MAX || d->exponent < -(int)GW_DECIMALS_MAX) return GW_SBE_EXPONENT;
    return d->high != 0 && magnitude(d) >= beyond ? GW_SBE_DIGITS : GW_SBE_FINE;
}

/* What all records begin with. */
static void head_load(const uint8_t *block, gw_sbe_message_t *out) {
    out->seq = gw_little_load64(block);
    out->ts_event = (int64_t)gw_little_load64(block + 8);
    out->ts_recv = (int64_t)gw_little_load64(block + 16);
    out->ts_send = (int64_t)gw_little_load64(block + 24);
    out->skipped = gw_little_load64(block + 32);
}

static gw_sbe_fault_t decimals_load(const uint8_t *at, unsigned decimals, gw_sbe_message_t *out) {
    for (unsigned i = 0; i < decimals; i++) {
        gw_sbe_decimal_t *d = &out->decimals[i];
        gw_sbe_fault_t fault = decimal_load(at + i * DECIMAL_SIZE, d);
        if (fault) return fault;
        d->negative_zero = (out->flags & GW_SBE_FLAG_NEGATIVE_ZERO << i) != 0 && !d->high && !d->low;
    }
    return GW_SBE_FINE;
}

/* The head of trades and quotes, and their decimals. */
static gw_sbe_fault_t record_load(const uint8_t *block, unsigned decimals_at, unsigned decimals, gw_sbe_message_t *out) {
    head_load(block, out);
    out->topic = gw_little_load32(block + 40);
    out->flags = block[44];
    return decimals_load(block + decimals_at, decimals, out);
}

static gw_sbe_fault_t candle_load(const uint8_t *block, gw_sbe_message_t *out) {
    head_load(block, out);
    out->start = (int64_t)gw_little_load64(block + 40);
    out->topic = gw_little_load32(block + 48);
    out->trades = gw_little_load32(block + 52);
    out->flags = block[56];
    out->closed = block[57];
    out->revised = block[58];
    out->complete = block[59];
    gw_sbe_fault_t fault = decimals_load(block + 60, GW_CANDLE_DECIMALS, out);
    if (fault) return fault;
    if (out->closed > 1 || out->revised > 1 || out->complete > 1) return GW_SBE_YES;
    for (unsigned i = 0; i < GW_CANDLE_DECIMALS; i++)
        if (out->decimals[i].exponent == GW_EXPONENT_NONE) return GW_SBE_LACKS;
    return GW_SBE_FINE;
}

static bool printable(const char *text, unsigned length) {
    for (unsigned i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] > 0x7e) return false;
    return true;
}

/* A text of up to 255 bytes behind `used` of the message's. */
static gw_sbe_fault_t text_load(const uint8_t *at, size_t size, size_t used, gw_sbe_message_t *out) {
    if (size - used < 1) return GW_SBE_CUT;
    out->text_length = at[used];
    if (size - used - 1 < out->text_length) return GW_SBE_CUT;
    out->text = (const char *)at + used + 1;
    out->size = used + 1 + out->text_length;
    return GW_SBE_FINE;
}

static gw_sbe_fault_t trade_load(const uint8_t *at, size_t size, size_t used, gw_sbe_message_t *out) {
    gw_sbe_fault_t fault = record_load(at + GW_SBE_HEADER, 46, 2, out);
    if (!fault) fault = text_load(at, size, used, out);
    if (fault) return fault;
    uint8_t side = at[GW_SBE_HEADER + 45];
    out->side = side == SIDE_NULL ? GW_SIDE_NONE : side;
    if (side != SIDE_NULL && side != GW_SIDE_BUY && side != GW_SIDE_SELL) return GW_SBE_SIDE;
    if (out->decimals[0].exponent == GW_EXPONENT_NONE || out->decimals[1].exponent == GW_EXPONENT_NONE)
        return GW_SBE_NONE;
    return out->text_length > GW_ID_MAX || !printable(out->text, out->text_length) ? GW_SBE_ID : GW_SBE_FINE;
}

/* Rows of at least `least` bytes behind `*used` of the message's. */
static gw_sbe_fault_t group_load(const uint8_t *at, size_t size, size_t *used, unsigned least, gw_sbe_group_t *out) {
    if (size - *used < 4) return GW_SBE_CUT;
    *out = (gw_sbe_group_t){at + *used + 4, (uint16_t)gw_little_load16(at + *used), (uint16_t)gw_little_load16(at + *used + 2)};
    *used += 4;
    const size_t bytes = (size_t)out->size * out->count;
    if (size - *used < bytes) return GW_SBE_CUT;
    *used += bytes;
    return out->count > 0 && out->size < least ? GW_SBE_BLOCK : GW_SBE_FINE;
}

static gw_sbe_fault_t book_load(const uint8_t *at, size_t size, size_t used, gw_sbe_message_t *out) {
    static const unsigned least[GW_SBE_GROUPS] = {GW_SBE_LEVEL_BYTES, GW_SBE_LEVEL_BYTES, GW_SBE_WIDE_BYTES};
    const uint8_t *block = at + GW_SBE_HEADER;
    head_load(block, out);
    out->topic = gw_little_load32(block + 40);
    out->checksum = gw_little_load32(block + 44);
    out->depth = (uint16_t)gw_little_load16(block + 48);
    out->part = (uint16_t)gw_little_load16(block + 50);
    out->parts = (uint16_t)gw_little_load16(block + 52);
    out->flags = block[54];
    for (unsigned i = 0; i < GW_SBE_GROUPS; i++) {
        gw_sbe_fault_t fault = group_load(at, size, &used, least[i], &out->groups[i]);
        if (fault) return fault;
    }
    gw_sbe_message_t last;
    gw_sbe_fault_t fault = text_load(at, size, used, out);
    if (!fault) fault = text_load(at, size, out->size, &last);
    if (fault) return fault;
    out->last = last.text;
    out->last_length = last.text_length;
    out->size = last.size;
    if (out->text_length > GW_BOOK_ID_MAX || out->last_length > GW_BOOK_ID_MAX) return GW_SBE_NUMBER;
    if (!printable(out->text, out->text_length) || !printable(out->last, out->last_length)) return GW_SBE_NUMBER;
    return out->part > out->parts || (out->parts > 0 && out->part == 0) ? GW_SBE_PART : GW_SBE_FINE;
}

static gw_sbe_fault_t topic_load(const uint8_t *at, size_t size, size_t used, gw_sbe_message_t *out) {
    out->topic = gw_little_load32(at + GW_SBE_HEADER);
    out->channel = at[GW_SBE_HEADER + 4];
    gw_sbe_fault_t fault = text_load(at, size, used, out);
    if (fault) return fault;
    return out->text_length < 1 || out->text_length > GW_INSTRUMENT_MAX ? GW_SBE_NAME : GW_SBE_FINE;
}

static unsigned block_least(uint32_t template_id) {
    return template_id == GW_SBE_TRADE ? GW_SBE_TRADE_BLOCK
           : template_id == GW_SBE_BBO ? GW_SBE_BBO_BLOCK
           : template_id == GW_SBE_BOOK ? GW_SBE_BOOK_BLOCK
           : template_id == GW_SBE_CANDLE ? GW_SBE_CANDLE_BLOCK
           : template_id == GW_SBE_TOPIC ? GW_SBE_TOPIC_BLOCK
                                         : 0u;
}

gw_sbe_fault_t gw_sbe_read(const uint8_t *at, size_t size, gw_sbe_message_t *out) {
    if (size < GW_SBE_HEADER) return GW_SBE_CUT;
    uint32_t block = gw_little_load16(at), template_id = gw_little_load16(at + 2);
    if (gw_little_load16(at + 4) != GW_SBE_SCHEMA) return GW_SBE_FOREIGN;
    if (size - GW_SBE_HEADER < block) return GW_SBE_CUT;
    unsigned least = block_least(template_id);
    if (!least) return GW_SBE_OTHER;
    if (block < least) return GW_SBE_BLOCK;
    size_t used = GW_SBE_HEADER + block; /* a newer version's block may be longer */
    out->kind = (uint8_t)template_id;
    if (template_id == GW_SBE_TRADE) return trade_load(at, size, used, out);
    if (template_id == GW_SBE_BOOK) return book_load(at, size, used, out);
    if (template_id == GW_SBE_TOPIC) return topic_load(at, size, used, out);
    out->size = used;
    if (template_id == GW_SBE_CANDLE) return candle_load(at + GW_SBE_HEADER, out);
    return record_load(at + GW_SBE_HEADER, 45, 4, out);
}

/* --- decimals -------------------------------------------------------------------------------------- */

/* Writes the value's digits, at least `least` of them, so that they end before `end`. Returns where they begin. */
static char *digits_write(u128 value, size_t least, char *end) {
    char *at = end;
    uint64_t rest;
    for (; value >> 64; value /= 10) *--at = (char)('0' + (unsigned)(value % 10));
    for (rest = (uint64_t)value; rest; rest /= 10) *--at = (char)('0' + rest % 10);
    while ((size_t)(end - at) < least) *--at = '0';
    return at;
}

size_t gw_sbe_decimal_text(const gw_sbe_decimal_t *d, char *out) {
    if (d->exponent == GW_EXPONENT_NONE) return 0;
    char digits[GW_WIDTH_MAX], *end = digits + sizeof digits;
    u128 value = magnitude(d);
    size_t fraction = d->exponent < 0 ? (size_t)-d->exponent : 0, n = 0;
    const char *at = digits_write(value, fraction + 1, end);
    size_t whole = (size_t)(end - at) - fraction;
    if (d->high < 0 || d->negative_zero) out[n++] = '-';
    memcpy(out + n, at, whole);
    n += whole;
    if (fraction) {
        out[n++] = '.';
        memcpy(out + n, at + whole, fraction);
        return n + fraction;
    }
    size_t zeros = value ? (size_t)d->exponent : 0;
    memset(out + n, '0', zeros);
    return n + zeros;
}

/* By the C library, which rounds rightly. The text has no point, since that depends on the locale. */
static double double_parse(u128 value, int exponent) {
    char text[48] = {0}, *end = text + sizeof text - 6; /* 39 digits, e, a sign, 3 digits, NUL */
    const char *at = digits_write(value, 1, end);
    *end++ = 'e';
    *end++ = exponent < 0 ? '-' : '+';
    digits_write((u128)(unsigned)(exponent < 0 ? -exponent : exponent), 3, end + 3);
    return strtod(at, NULL);
}

double gw_sbe_decimal_double(const gw_sbe_decimal_t *d) {
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->exponent == GW_EXPONENT_NONE) return (double)NAN;
    u128 value = magnitude(d);
    int exponent = d->exponent;
    double number;
    /* Both numbers are exact, so that the one operation rounds once. */
    if (value <= EXACT_MANTISSA && exponent <= EXACT_POWER && exponent >= -EXACT_POWER)
        number = exponent < 0 ? (double)(uint64_t)value / powers[-exponent] : (double)(uint64_t)value * powers[exponent];
    else number = double_parse(value, exponent);
    return d->high < 0 || d->negative_zero ? -number : number;
}
