#include "gw_record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char *gw_channel_name(uint8_t channel) {
    static const char *const names[GW_CHANNELS] = {[GW_TRADE] = "trade", [GW_BBO] = "bbo"};
    return channel < GW_CHANNELS && names[channel] ? names[channel] : "unknown";
}

int gw_decimal_parse(const char *text, size_t length, gw_decimal_t *out) {
    size_t i = 0, point = 0, digits = 0;
    bool negative = length > 0 && text[0] == '-';
    uint64_t mantissa = 0;
    if (negative) i = 1;
    for (; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit <= 9) {
            /* Counting goes on past the limit, so that a text wrong in both ways is named for its
             * grammar. */
            if (++digits <= GW_DIGITS_MAX) mantissa = mantissa * 10 + digit;
        } else if (text[i] == '.' && digits > 0 && point == 0) {
            point = digits;
        } else {
            return -EINVAL;
        }
    }
    if (digits == 0 || point == digits) return -EINVAL;
    if (digits > GW_DIGITS_MAX) return -ERANGE;
    out->mantissa = negative ? -(int64_t)mantissa : (int64_t)mantissa;
    out->exponent = point == 0 ? 0 : (int8_t)((int)point - (int)digits);
    out->digits = (uint8_t)digits;
    if (negative && mantissa == 0) out->digits |= GW_DECIMAL_NEGATIVE_ZERO;
    return 0;
}

size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out) {
    bool negative = mantissa < 0 || (digits & GW_DECIMAL_NEGATIVE_ZERO) != 0;
    uint64_t rest = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    size_t width = digits & ~GW_DECIMAL_NEGATIVE_ZERO, fraction = (size_t)-exponent;
    /* Bounds come from shared memory: they are cut here, so that no value can write outside `out`.
     */
    if (width > GW_DIGITS_MAX) width = GW_DIGITS_MAX;
    if (exponent > 0 || fraction >= width) fraction = 0;
    size_t length = negative + width + (fraction > 0);
    char *at = out + length;
    for (size_t i = 0; i < width; i++) {
        if (fraction > 0 && i == fraction) *--at = '.';
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (negative) out[0] = '-';
    return length;
}

const char *gw_refusal_text(gw_refusal_t refusal) {
    static const char *const texts[GW_REFUSALS] = {
        [GW_NO_DECIMAL] = "is not a decimal",
        [GW_DECIMAL_LONG] = "has more than 18 digits",
        [GW_NO_SIDE] = "is neither buy nor sell",
        [GW_ID_LONG] = "is longer than 80 characters",
        [GW_ID_NO_TEXT] = "is not printable ASCII",
    };
    return refusal < GW_REFUSALS && texts[refusal] ? texts[refusal] : "is well";
}

static gw_refusal_t decimal_take(gw_text_t text, gw_decimal_t *out) {
    int error = gw_decimal_parse(text.at, text.length, out);
    if (error == 0) return GW_FINE;
    return error == -ERANGE ? GW_DECIMAL_LONG : GW_NO_DECIMAL;
}

static gw_refusal_t id_check(gw_text_t id) {
    if (id.length > GW_ID_MAX) return GW_ID_LONG;
    for (size_t i = 0; i < id.length; i++)
        if (id.at[i] < 0x20 || id.at[i] > 0x7e) return GW_ID_NO_TEXT;
    return GW_FINE;
}

/* What does not fit into the payload. */
static void tail_fill(gw_record_t *record, gw_text_t id) {
    record->u.trade.extra |= GW_EXTRA_TAIL;
    record->tail = (gw_tail_t){.mark = GW_MARK};
    if (id.length > GW_ID_INLINE)
        memcpy(record->tail.id, id.at + GW_ID_INLINE, id.length - GW_ID_INLINE);
}

static gw_refusal_t trade_fill(gw_record_t *record, const gw_text_t texts[4], int *field) {
    enum { PRICE, QTY, SIDE, ID };
    gw_decimal_t p, q;
    gw_refusal_t refusal;
    gw_text_t side = texts[SIDE], id = texts[ID];
    if ((refusal = decimal_take(texts[*field = PRICE], &p))) return refusal;
    if ((refusal = decimal_take(texts[*field = QTY], &q))) return refusal;
    uint8_t taker = GW_SIDE_NONE;
    *field = SIDE;
    if (side.length == 3 && memcmp(side.at, "buy", 3) == 0) taker = GW_SIDE_BUY;
    else if (side.length == 4 && memcmp(side.at, "sell", 4) == 0) taker = GW_SIDE_SELL;
    else if (side.length != 0) return GW_NO_SIDE;
    *field = ID;
    if ((refusal = id_check(id))) return refusal;
    record->u.trade = (gw_trade_t){.price = p.mantissa,
                                   .qty = q.mantissa,
                                   .price_exponent = p.exponent,
                                   .qty_exponent = q.exponent,
                                   .price_digits = p.digits,
                                   .qty_digits = q.digits,
                                   .side = taker,
                                   .id_length = (uint8_t)id.length,
                                   .mark = GW_MARK};
    memcpy(record->u.trade.id, id.at, id.length < GW_ID_INLINE ? id.length : GW_ID_INLINE);
    if (id.length > GW_ID_INLINE) tail_fill(record, id);
    return GW_FINE;
}

static gw_refusal_t bbo_fill(gw_record_t *record, const gw_text_t sides[4], int *field) {
    gw_bbo_t *bbo = &record->u.bbo;
    *bbo = (gw_bbo_t){.mark = GW_MARK};
    for (int i = 0; i < 4; i++) {
        gw_decimal_t d;
        gw_refusal_t refusal = decimal_take(sides[*field = i], &d);
        if (refusal) return refusal;
        bbo->mantissa[i] = d.mantissa;
        bbo->exponent[i] = d.exponent;
        bbo->digits[i] = d.digits;
    }
    return GW_FINE;
}

gw_refusal_t gw_record_fill(gw_record_t *record, uint8_t kind, const gw_text_t texts[4], int *field) {
    record->h.kind = kind;
    return kind == GW_TRADE ? trade_fill(record, texts, field) : bbo_fill(record, texts, field);
}
