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

static const char *decimal_why(int error) {
    return error == -ERANGE ? "more than 18 digits" : "not a decimal";
}

const char *gw_trade_fill(gw_trade_t *trade, gw_text_t price, gw_text_t qty, gw_text_t side,
                          gw_text_t id) {
    gw_decimal_t p, q;
    int error = gw_decimal_parse(price.at, price.length, &p);
    if (error == 0) error = gw_decimal_parse(qty.at, qty.length, &q);
    if (error != 0) return decimal_why(error);
    uint8_t taker = GW_SIDE_NONE;
    if (side.length == 3 && memcmp(side.at, "buy", 3) == 0) taker = GW_SIDE_BUY;
    else if (side.length == 4 && memcmp(side.at, "sell", 4) == 0) taker = GW_SIDE_SELL;
    else if (side.length != 0) return "side is neither buy nor sell";
    if (id.length > GW_ID_MAX) return "id is longer than 36 characters";
    for (size_t i = 0; i < id.length; i++)
        if (id.at[i] < 0x20 || id.at[i] > 0x7e) return "id is not printable ASCII";
    *trade = (gw_trade_t){.price = p.mantissa,
                          .qty = q.mantissa,
                          .price_exponent = p.exponent,
                          .qty_exponent = q.exponent,
                          .price_digits = p.digits,
                          .qty_digits = q.digits,
                          .side = taker,
                          .id_length = (uint8_t)id.length};
    memcpy(trade->id, id.at, id.length);
    return NULL;
}

const char *gw_bbo_fill(gw_bbo_t *bbo, const gw_text_t sides[4]) {
    *bbo = (gw_bbo_t){0};
    for (int i = 0; i < 4; i++) {
        gw_decimal_t d;
        int error = gw_decimal_parse(sides[i].at, sides[i].length, &d);
        if (error != 0) return decimal_why(error);
        bbo->mantissa[i] = d.mantissa;
        bbo->exponent[i] = d.exponent;
        bbo->digits[i] = d.digits;
    }
    return NULL;
}

const char *gw_record_fill(gw_record_t *record, uint8_t kind, const gw_text_t texts[4]) {
    record->h.kind = kind;
    if (kind == GW_TRADE)
        return gw_trade_fill(&record->u.trade, texts[0], texts[1], texts[2], texts[3]);
    return gw_bbo_fill(&record->u.bbo, texts);
}
