#include "gw_kind.h"

#include <string.h>

typedef __uint128_t u128;

const char *gw_channel_name(uint8_t channel) {
    const gw_kind_t *kind = gw_kind(channel);
    return kind ? kind->name : "unknown";
}

/* --- decimals -------------------------------------------------------------------------------- */

#define POINT_NONE SIZE_MAX

/* A number's text taken apart. */
typedef struct {
    u128 value;      /* of the first GW_DIGITS_MAX significant digits */
    size_t digits;   /* all, leading zeros among them */
    size_t leading;  /* zeros before the first other digit */
    size_t beyond;   /* zeros behind the digits of `value` */
    size_t decimals; /* digits after the point */
    int exponent;
    bool negative, scientific;
} text_t;

/* Reads `[+-]?[0-9]+` to the end; beyond all limits it stays what it is. */
static bool exponent_take(const char *at, const char *end, int *out) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end) return false;
    for (*out = 0; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        if (*out <= GW_EXPONENT_MAX) *out = *out * 10 + (*at - '0');
    }
    if (negative) *out = -*out;
    return true;
}

static bool text_take(const char *at, size_t length, text_t *t) {
    const char *end = at + length;
    size_t point = POINT_NONE;
    *t = (text_t){.negative = length > 0 && *at == '-'};
    for (at += t->negative; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit <= 9) {
            t->leading += t->leading == t->digits && digit == 0;
            if (++t->digits - t->leading <= GW_DIGITS_MAX) t->value = t->value * 10 + digit;
            else t->beyond += digit == 0;
        } else if (*at == '.' && t->digits > 0 && point == POINT_NONE) {
            point = t->digits;
        } else if ((*at == 'e' || *at == 'E') && t->digits > 0) {
            t->scientific = true;
            if (!exponent_take(at + 1, end, &t->exponent)) return false;
            break;
        } else {
            return false;
        }
    }
    if (t->digits == 0 || point == t->digits) return false;
    t->decimals = point == POINT_NONE ? 0 : t->digits - point;
    return true;
}

/* The digits that are written out, and the power of ten behind them. */
static void exponent_apply(text_t *t, size_t *width, int *exponent) {
    size_t significant = t->digits - t->leading;
    *exponent = t->exponent - (int)t->decimals;
    if (*exponent < 0) {
        size_t least = (size_t)-*exponent + 1; /* a zero before the point */
        *width = significant > least ? significant : least;
    } else if (t->value == 0) {
        *width = 1;
        *exponent = 0;
    } else {
        *width = significant;
        for (; *exponent > 0 && *width < GW_DIGITS_MAX; --*exponent, ++*width) t->value *= 10;
    }
}

static gw_refusal_t any_parse(const char *text, size_t length, gw_decimal_t *out) {
    text_t t;
    if (!text_take(text, length, &t)) return GW_NO_DECIMAL;
    if (t.exponent > GW_EXPONENT_MAX || t.exponent < -GW_EXPONENT_MAX) return GW_EXPONENT_LARGE;
    /* A large exponent is written out with zeros, and is to be read again as it was written. */
    size_t zeros = t.scientific || t.decimals > 0 ? 0 : t.beyond;
    if (t.digits - t.leading - zeros > GW_DIGITS_MAX || zeros > GW_EXPONENT_MAX) return GW_DIGITS_MANY;
    if (t.decimals > GW_DECIMALS_MAX || (int)t.decimals - t.exponent > (int)GW_DECIMALS_MAX)
        return GW_DECIMALS_MANY;
    if (t.digits > GW_WIDTH_MAX) return GW_ZEROS_MANY;
    size_t width = t.digits - zeros;
    int exponent = (int)zeros - (int)t.decimals;
    if (t.scientific) exponent_apply(&t, &width, &exponent);
    bool wide = width > GW_DIGITS_NARROW || exponent > 0;
    u128 mantissa = t.negative ? 0 - t.value : t.value;
    *out = (gw_decimal_t){.mantissa = (int64_t)(uint64_t)mantissa,
                          .high = (int64_t)(uint64_t)(mantissa >> 64),
                          .width = (uint8_t)width,
                          .exponent = (int8_t)exponent,
                          .digits = (uint8_t)(wide ? GW_DIGITS_WIDE : width)};
    if (t.negative && t.value == 0) out->digits |= GW_DECIMAL_NEGATIVE_ZERO;
    return GW_FINE;
}

/* Usual values; with the first sign of another one, that starts over. */
gw_refusal_t gw_decimal_parse(const char *text, size_t length, gw_decimal_t *out) {
    size_t i = 0, point = 0, digits = 0;
    bool negative = length > 0 && text[0] == '-';
    uint64_t mantissa = 0;
    if (negative) i = 1;
    for (; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit <= 9) {
            if (++digits > GW_DIGITS_NARROW) return any_parse(text, length, out);
            mantissa = mantissa * 10 + digit;
        } else if (text[i] == '.' && digits > 0 && point == 0) {
            point = digits;
        } else {
            return any_parse(text, length, out);
        }
    }
    if (digits == 0 || point == digits) return GW_NO_DECIMAL;
    out->mantissa = negative ? -(int64_t)mantissa : (int64_t)mantissa;
    out->exponent = point == 0 ? 0 : (int8_t)((int)point - (int)digits);
    out->digits = (uint8_t)digits;
    if (negative && mantissa == 0) out->digits |= GW_DECIMAL_NEGATIVE_ZERO;
    return GW_FINE;
}

size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out) {
    bool negative = mantissa < 0 || (digits & GW_DECIMAL_NEGATIVE_ZERO) != 0;
    uint64_t rest = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    size_t width = digits & ~GW_DECIMAL_NEGATIVE_ZERO, fraction = (size_t)-exponent;
    /* Bounds come from shared memory: they are cut here, so that no value can write outside `out`.
     */
    if (width > GW_DIGITS_NARROW) width = GW_DIGITS_NARROW;
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

/* Writes the digits of a mantissa of 128 bits, the last `width` of them, and behind them zeros or, within
 * them, the point. Bounds come from shared memory, and are cut as above. */
static size_t wide_format(u128 value, bool negative, int exponent, size_t width, char *out) {
    if (width > GW_WIDTH_MAX) width = GW_WIDTH_MAX;
    size_t fraction = exponent < 0 && (size_t)-exponent < width ? (size_t)-exponent : 0;
    size_t zeros = exponent > 0 ? (size_t)exponent : 0;
    if (zeros > GW_WIDTH_MAX - width) zeros = GW_WIDTH_MAX - width;
    size_t length = negative + width + (fraction > 0);
    memset(out + length, '0', zeros);
    char *at = out + length;
    for (size_t i = 0; i < width; i++) {
        if (fraction > 0 && i == fraction) *--at = '.';
        *--at = (char)('0' + (unsigned)(value % 10));
        value /= 10;
    }
    if (negative) out[0] = '-';
    return length + zeros;
}

size_t gw_record_decimal(const gw_record_t *record, unsigned index, char *out) {
    const gw_kind_t *kind = gw_kind(record->h.kind);
    if (!kind || index >= kind->fields_count || kind->fields[index].type != GW_FIELD_DECIMAL) return 0;
    const gw_field_t *f = &kind->fields[index];
    const uint8_t *base = (const uint8_t *)record;
    int64_t mantissa;
    memcpy(&mantissa, base + f->at, sizeof mantissa);
    int8_t exponent = (int8_t)base[f->exponent];
    uint8_t digits = base[f->digits];
    if (digits & GW_DIGITS_NONE) return 0;
    if (!(digits & GW_DIGITS_WIDE)) return gw_decimal_format(mantissa, exponent, digits, out);
    int64_t high = record->tail.high[f->decimal];
    u128 value = (u128)(uint64_t)high << 64 | (uint64_t)mantissa;
    bool negative = high < 0 || (digits & GW_DECIMAL_NEGATIVE_ZERO) != 0;
    return wide_format(high < 0 ? 0 - value : value, negative, exponent, record->tail.width[f->decimal], out);
}

/* --- records --------------------------------------------------------------------------------- */

const char *gw_refusal_text(gw_refusal_t refusal) {
    static const char *const texts[GW_REFUSAL_END] = {
        [GW_NO_DECIMAL] = "not a decimal",
        [GW_DIGITS_MANY] = "more than 38 digits",
        [GW_DECIMALS_MANY] = "more than 127 digits after the point",
        [GW_EXPONENT_LARGE] = "an exponent beyond -100 to 100",
        [GW_SIDE_HALF] = "no value, but its side's other one has",
        [GW_ZEROS_MANY] = "more than 140 digits with its leading zeros",
        [GW_NO_SIDE] = "neither buy nor sell",
        [GW_ID_LONG] = "longer than 80 characters",
        [GW_ID_NO_TEXT] = "not printable ASCII",
        [GW_DIGITS_NARROW_ONLY] = "more than 18 digits",
        [GW_WORDS_LONG] = "too long",
        [GW_WORDS_NO_TEXT] = "not printable ASCII",
    };
    return refusal < GW_REFUSAL_END && texts[refusal] ? texts[refusal] : "well";
}

static gw_refusal_t side_take(gw_text_t text, uint8_t *side) {
    *side = GW_SIDE_NONE;
    if (text.length == 3 && memcmp(text.at, "buy", 3) == 0) *side = GW_SIDE_BUY;
    else if (text.length == 4 && memcmp(text.at, "sell", 4) == 0) *side = GW_SIDE_SELL;
    else if (text.length != 0) return GW_NO_SIDE;
    return GW_FINE;
}

/* Copies what the payload holds of an id; the rest is the tail's. */
static gw_refusal_t id_take(gw_text_t text, uint8_t *length, uint8_t *out) {
    if (text.length > GW_ID_MAX) return GW_ID_LONG;
    for (size_t i = 0; i < text.length; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e) return GW_ID_NO_TEXT;
    *length = (uint8_t)text.length;
    memcpy(out, text.at, text.length < GW_ID_INLINE ? text.length : GW_ID_INLINE);
    return GW_FINE;
}

static gw_refusal_t words_take(gw_text_t text, size_t room, uint8_t *length, uint8_t *out) {
    if (text.length > room) return GW_WORDS_LONG;
    for (size_t i = 0; i < text.length; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e) return GW_WORDS_NO_TEXT;
    *length = (uint8_t)text.length;
    if (text.length) memcpy(out, text.at, text.length);
    return GW_FINE;
}

/* A decimal without a value: the field that goes with it has none either. */
static gw_refusal_t decimal_none(gw_record_t *record, const gw_kind_t *kind, unsigned i, const gw_text_t *texts,
                                 gw_decimal_t *out) {
    const gw_field_t *f = &kind->fields[i];
    if (texts[i].at != NULL || !gw_field_optional(f)) return GW_NO_DECIMAL;
    if (texts[f->with].at != NULL) return GW_SIDE_HALF;
    *out = (gw_decimal_t){.exponent = GW_EXPONENT_NONE, .digits = GW_DIGITS_NONE};
    record->u.trade.extra |= f->none;
    return GW_FINE;
}

static gw_refusal_t decimal_take(gw_record_t *record, const gw_kind_t *kind, unsigned i, const gw_text_t *texts,
                                 gw_decimal_t *out) {
    const gw_field_t *f = &kind->fields[i];
    uint8_t *base = (uint8_t *)record;
    gw_refusal_t refusal = gw_decimal_parse(texts[i].at, texts[i].length, out);
    if (refusal == GW_NO_DECIMAL) refusal = decimal_none(record, kind, i, texts, out);
    if (refusal) return refusal;
    if (kind->tailed && out->digits & GW_DIGITS_WIDE) return GW_DIGITS_NARROW_ONLY;
    memcpy(base + f->at, &out->mantissa, sizeof out->mantissa);
    base[f->exponent] = (uint8_t)out->exponent;
    base[f->digits] = out->digits;
    return GW_FINE;
}

static void tail_decimal(gw_tail_t *tail, unsigned index, const gw_decimal_t *d) {
    bool wide = (d->digits & GW_DIGITS_WIDE) != 0;
    tail->high[index] = wide ? d->high : d->mantissa < 0 ? -1 : 0;
    tail->width[index] = wide ? d->width : d->digits & ~GW_DECIMAL_NEGATIVE_ZERO;
}

void gw_record_tail(gw_record_t *record, const gw_decimal_t *decimals, unsigned count) {
    record->u.trade.extra |= GW_EXTRA_TAIL;
    memset(&record->tail, 0, sizeof record->tail);
    for (unsigned i = 0; i < count; i++) tail_decimal(&record->tail, i, &decimals[i]);
}

/* What does not fit into the payload. */
static void tail_fill(gw_record_t *record, const gw_decimal_t *decimals, unsigned count, gw_text_t id) {
    gw_record_tail(record, decimals, count);
    if (id.length > GW_ID_INLINE)
        memcpy(record->tail.id, id.at + GW_ID_INLINE, id.length - GW_ID_INLINE);
}

gw_refusal_t gw_record_fill(gw_record_t *record, uint8_t number, const gw_text_t *texts, int *field) {
    const gw_kind_t *kind = &gw_kinds[number];
    uint8_t *base = (uint8_t *)record;
    gw_decimal_t decimals[GW_FIELDS_MAX];
    gw_text_t id = {"", 0};
    uint8_t digits = 0;
    record->h.kind = number;
    memset(&record->u, 0, sizeof record->u);
    if (kind->tailed) {
        memset(&record->tail, 0, sizeof record->tail);
        record->u.trade.extra = GW_EXTRA_TAIL;
    }
    for (unsigned i = 0; i < kind->fields_count; i++) {
        const gw_field_t *f = &kind->fields[i];
        gw_refusal_t refusal = GW_FINE;
        *field = (int)i;
        if (f->type == GW_FIELD_DECIMAL) refusal = decimal_take(record, kind, i, texts, &decimals[f->decimal]);
        else if (f->type == GW_FIELD_SIDE) refusal = side_take(texts[i], &base[f->at]);
        else if (f->type == GW_FIELD_ID) refusal = id_take(id = texts[i], &base[f->digits], &base[f->at]);
        else if (f->type == GW_FIELD_WORDS) refusal = words_take(texts[i], f->room, &base[f->digits], &base[f->at]);
        if (refusal) return refusal;
        if (f->type == GW_FIELD_DECIMAL) digits |= decimals[f->decimal].digits;
    }
    if (digits & GW_DIGITS_WIDE || id.length > GW_ID_INLINE) tail_fill(record, decimals, kind->decimals_count, id);
    record->h.cells = gw_record_cells(record);
    return GW_FINE;
}
