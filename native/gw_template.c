/* The template interpreter.
 *
 * A program is a header, then operations up to its end; numbers are bytes unless said otherwise:
 *
 *   version (1), kind (GW_TRADE, GW_BBO, GW_HEALTH), skip = text, tail = text, operation*
 *   text      = length, that many bytes
 *   operation = code, then for LITERAL a text; for DECIMAL and the times a source; for SIDE three texts
 *               (none, buy, sell); for WORDS (of a health record) 0, the state, or 1, the reason;
 *               for SYMBOL, SEQ, ID and AGE_MS (ts_send - ts_recv) nothing
 *
 * The payload is what the operations write, then the tail; where updates were skipped, `skip`, the number
 * and the tail stand in the tail's place. Loading checks everything once and turns the operations into
 * steps of one literal and one field each, with all literals in one padded pool, so that running a step is
 * a copy in blocks of 16 and one jump. */
#include "gw_template.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "gw_frame.h"
#include "gw_text.h"

enum { VERSION = 1, PROGRAM_MAX = 4096, STEPS_MAX = 64 };

enum { LITERAL, SYMBOL, SEQ, DECIMAL, TIME_NS, TIME_US, TIME_MS, TIME_RFC3339, ID, SIDE, WORDS, AGE_MS, CODES };
enum { TS_EVENT, TS_RECV, TS_SEND, TIMES };
#define RFC3339_LENGTH 30u /* 2024-05-06T07:08:09.123456789Z */

typedef struct {
    uint16_t mantissa, exponent, digits; /* offsets in the record */
    uint16_t index;                      /* in the payload's order */
} decimal_t;

#define TRADE_DECIMAL(i, f) \
    {offsetof(gw_record_t, u.trade.f), offsetof(gw_record_t, u.trade.f##_exponent), \
     offsetof(gw_record_t, u.trade.f##_digits), i}
#define BBO_DECIMAL(i) \
    {offsetof(gw_record_t, u.bbo.mantissa[i]), offsetof(gw_record_t, u.bbo.exponent[i]), \
     offsetof(gw_record_t, u.bbo.digits[i]), i}

static const decimal_t trade_decimals[] = {TRADE_DECIMAL(0, price), TRADE_DECIMAL(1, qty)};
static const decimal_t bbo_decimals[] = {BBO_DECIMAL(GW_BID), BBO_DECIMAL(GW_BID_QTY), BBO_DECIMAL(GW_ASK),
                                         BBO_DECIMAL(GW_ASK_QTY)};

typedef struct {
    uint16_t at, length; /* in the pool */
} text_t;

typedef struct {
    text_t literal; /* written before the field */
    uint8_t code;   /* LITERAL: no field */
    uint8_t source; /* of a time, or of words */
    decimal_t decimal;
} step_t;

struct gw_template {
    uint8_t kind;
    unsigned steps_used, symbols;
    size_t size_max; /* without symbols */
    size_t frame_max;
    text_t skip, tail, sides[3];
    step_t steps[STEPS_MAX];
    size_t pool_used;
    char pool[PROGRAM_MAX + GW_TEXT_SLACK];
};

/* --- loading ----------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
} cursor_t;

static bool take(cursor_t *c, uint8_t *out) {
    if (c->at == c->end) return false;
    *out = *c->at++;
    return true;
}

static bool take_text(cursor_t *c, gw_template_t *t, text_t *out) {
    uint8_t length;
    if (!take(c, &length) || (size_t)(c->end - c->at) < length) return false;
    *out = (text_t){.at = (uint16_t)t->pool_used, .length = length};
    memcpy(t->pool + t->pool_used, c->at, length);
    t->pool_used += length;
    c->at += length;
    return true;
}

static bool take_decimal(cursor_t *c, uint8_t kind, decimal_t *out) {
    uint8_t source;
    if (kind == GW_HEALTH) return false;
    size_t count = kind == GW_TRADE ? sizeof trade_decimals / sizeof *trade_decimals
                                    : sizeof bbo_decimals / sizeof *bbo_decimals;
    if (!take(c, &source) || source >= count) return false;
    *out = kind == GW_TRADE ? trade_decimals[source] : bbo_decimals[source];
    return true;
}

/* Reads one field's operands; its longest text is added to `size_max`. */
static bool take_field(cursor_t *c, gw_template_t *t, step_t *step) {
    switch (step->code) {
    case SYMBOL:
        t->symbols++;
        return true;
    case SEQ:
        t->size_max += GW_TEXT_INTEGER_MAX;
        return true;
    case DECIMAL:
        t->size_max += GW_DECIMAL_TEXT_MAX;
        return take_decimal(c, t->kind, &step->decimal);
    case TIME_NS:
    case TIME_US:
    case TIME_MS:
    case TIME_RFC3339:
        t->size_max += RFC3339_LENGTH;
        return take(c, &step->source) && step->source < TIMES;
    case ID:
        t->size_max += 2 * GW_ID_MAX;
        return t->kind == GW_TRADE;
    case SIDE: /* one a template, as its texts are the template's */
        if (t->kind != GW_TRADE || t->sides[0].at != 0) return false;
        for (int i = 0; i < 3; i++)
            if (!take_text(c, t, &t->sides[i])) return false;
        t->size_max += UINT8_MAX;
        return true;
    case WORDS:
        t->size_max += 2 * GW_REASON_MAX;
        return t->kind == GW_HEALTH && take(c, &step->source) && step->source < 2;
    case AGE_MS:
        t->size_max += GW_TEXT_INTEGER_MAX;
        return true;
    default:
        return false;
    }
}

static bool take_header(cursor_t *c, gw_template_t *t) {
    uint8_t version;
    t->pool_used = 1; /* so that a text that was read never lies at 0 */
    if (!take(c, &version) || version != VERSION || !take(c, &t->kind)) return false;
    if (!gw_record_possible(t->kind, GW_RECORD_CELLS)) return false;
    if (!take_text(c, t, &t->skip) || !take_text(c, t, &t->tail)) return false;
    t->size_max = t->tail.length + GW_TEXT_SLACK;
    return t->skip.length + GW_TEXT_INTEGER_MAX + t->tail.length + GW_TEXT_SLACK <= GW_SPLICE_MAX;
}

static bool take_step(cursor_t *c, gw_template_t *t) {
    step_t *step = &t->steps[t->steps_used];
    if (t->steps_used == STEPS_MAX || !take(c, &step->code)) return false;
    step->literal.at = (uint16_t)t->pool_used;
    while (step->code == LITERAL) { /* neighbours in the program are neighbours in the pool */
        text_t text;
        if (!take_text(c, t, &text)) return false;
        step->literal.length = (uint16_t)(step->literal.length + text.length);
        if (c->at == c->end) break;
        step->code = *c->at++;
    }
    t->steps_used++;
    t->size_max += step->literal.length;
    return step->code == LITERAL || take_field(c, t, step);
}

int gw_template_load(const uint8_t *program, size_t size, gw_template_t **out) {
    if (size == 0 || size >= PROGRAM_MAX) return -EINVAL;
    gw_template_t *t = calloc(1, sizeof *t);
    if (t == NULL) return -ENOMEM;
    cursor_t c = {program, program + size};
    bool good = take_header(&c, t);
    while (good && c.at < c.end) good = take_step(&c, t);
    t->frame_max = gw_template_size_max(t, GW_INSTRUMENT_MAX) + GW_FRAME_HEADER_MAX + GW_SPLICE_MAX;
    if (!good || t->frame_max > GW_FRAME_MAX) {
        free(t);
        return good ? -EMSGSIZE : -EINVAL;
    }
    *out = t;
    return 0;
}

void gw_template_free(gw_template_t *t) { free(t); }

uint8_t gw_template_kind(const gw_template_t *t) { return t->kind; }

size_t gw_template_size_max(const gw_template_t *t, size_t symbol_length) {
    return t->size_max + t->symbols * symbol_length;
}

size_t gw_template_frame_max(const gw_template_t *t) { return t->frame_max; }

/* --- running ----------------------------------------------------------------------------------------- */

/* May write up to 15 bytes more; the pool is padded for reading them. */
static inline char *write_text(const gw_template_t *t, text_t text, char *out) {
    const char *from = t->pool + text.at;
    for (size_t i = 0; i < text.length; i += 16) memcpy(out + i, from + i, 16);
    return out + text.length;
}

static inline char *write_decimal(const gw_record_t *record, decimal_t d, char *out) {
    const char *base = (const char *)record;
    int64_t mantissa;
    int8_t exponent;
    uint8_t digits;
    memcpy(&mantissa, base + d.mantissa, sizeof mantissa);
    memcpy(&exponent, base + d.exponent, sizeof exponent);
    memcpy(&digits, base + d.digits, sizeof digits);
    if (__builtin_expect((digits & ~GW_DECIMAL_NEGATIVE_ZERO) > GW_DIGITS_NARROW, 0))
        return out + gw_record_decimal(record, d.index, out);
    return out + gw_text_decimal(mantissa, exponent, digits, out);
}

/* A byte of the result is not 0 where the byte of `word` is `c`; good for "is there one". The usual
 * test for a zero byte, on word ^ cccccccc. */
static inline uint64_t bytes_equal(uint64_t word, uint8_t c) {
    uint64_t x = word ^ 0x0101010101010101u * c;
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

/* Ids are printable ASCII (checked when published), so JSON escapes only the quote and the backslash. */
static char *escape_id(const char *id, size_t length, char *out) {
    for (size_t i = 0; i < length; i++) {
        if (id[i] == '"' || id[i] == '\\') *out++ = '\\';
        *out++ = id[i];
    }
    return out;
}

static char *write_long_id(const gw_record_t *record, char *out) {
    size_t length = record->u.trade.id_length;
    if (length > GW_ID_MAX) length = GW_ID_MAX;
    out = escape_id(record->u.trade.id, GW_ID_INLINE, out);
    return escape_id(record->tail.id, length - GW_ID_INLINE, out);
}

/* Whole words are read, past the id's end but inside the record; what lies there can only make an id
 * take the slow path for nothing. */
static char *write_id(const gw_record_t *record, char *out) {
    const gw_trade_t *trade = &record->u.trade;
    size_t length = trade->id_length;
    uint64_t special = 0;
    if (length > GW_ID_INLINE) return write_long_id(record, out);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word;
        memcpy(&word, trade->id + i, 8);
        special |= bytes_equal(word, '"') | bytes_equal(word, '\\');
        gw_text_store8(out + i, word);
    }
    return special == 0 ? out + length : escape_id(trade->id, length, out);
}
_Static_assert(offsetof(gw_trade_t, id) + (GW_ID_INLINE + 7) / 8 * 8 <= sizeof(gw_trade_t), "words stay inside");

/* State or reason of a health record, escaped. Lengths come from shared memory, and are cut. */
static char *write_words(const gw_health_t *h, uint8_t source, char *out) {
    const char *at = source == 0 ? h->state : h->reason;
    size_t length = source == 0 ? h->state_length : h->reason_length;
    size_t most = source == 0 ? GW_STATE_MAX : GW_REASON_MAX;
    for (size_t i = 0; i < (length < most ? length : most); i++) {
        if (at[i] == '"' || at[i] == '\\') *out++ = '\\';
        *out++ = at[i];
    }
    return out;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static void write_padded(uint64_t value, size_t width, char *out) {
    gw_digits_t d = gw_text_split(value, width);
    gw_text_digits(&d, width, out);
}

/* `2024-05-06T07:08:09.123456789Z`. The civil date is counted in eras of 400 years that start on 1 March,
 * so that the leap day is the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). An int64 of nanoseconds spans the years 1677 to 2262: always four digits. Each part is
 * written over what the part before it left behind its end. */
static char *write_rfc3339(int64_t ns, char *out) {
    int64_t days = floor_div(ns, 86400000000000);
    uint64_t of_day = (uint64_t)ns - (uint64_t)days * 86400000000000u;
    uint64_t second = of_day / 1000000000;
    uint64_t from_march = (uint64_t)(days + 719468); /* since 1 March of the year 0 */
    uint64_t era = from_march / 146097, day = from_march % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153; /* 0 is March */
    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10);
    write_padded(year, 4, out);
    out[4] = '-';
    write_padded(month < 10 ? month + 3 : month - 9, 2, out + 5);
    out[7] = '-';
    write_padded(day + 1, 2, out + 8);
    out[10] = 'T';
    write_padded(second / 3600, 2, out + 11);
    out[13] = ':';
    write_padded(second / 60 % 60, 2, out + 14);
    out[16] = ':';
    write_padded(second % 60, 2, out + 17);
    out[19] = '.';
    write_padded(of_day % 1000000000, 9, out + 20);
    out[29] = 'Z';
    return out + RFC3339_LENGTH;
}

static inline int64_t time_of(const gw_encode_t *in, uint8_t source) {
    if (source == TS_EVENT) return in->record->h.ts_event;
    return source == TS_RECV ? in->record->h.ts_recv : in->ts_send;
}

static inline char *write_field(const gw_template_t *t, const step_t *s, const gw_encode_t *in, char *out) {
    const gw_trade_t *trade = &in->record->u.trade;
    switch (s->code) {
    case SYMBOL:
        gw_text_copy(out, in->symbol, in->symbol_length);
        return out + in->symbol_length;
    case SEQ:
        return out + gw_text_unsigned(in->record->h.topic_seq, out);
    case DECIMAL:
        return write_decimal(in->record, s->decimal, out);
    case TIME_NS:
        return out + gw_text_signed(time_of(in, s->source), out);
    case TIME_US:
        return out + gw_text_signed(floor_div(time_of(in, s->source), 1000), out);
    case TIME_MS:
        return out + gw_text_signed(floor_div(time_of(in, s->source), 1000000), out);
    case TIME_RFC3339:
        return write_rfc3339(time_of(in, s->source), out);
    case ID:
        return write_id(in->record, out);
    case SIDE:
        return write_text(t, t->sides[trade->side <= GW_SIDE_SELL ? trade->side : GW_SIDE_NONE], out);
    case WORDS:
        return write_words(&in->record->u.health, s->source, out);
    case AGE_MS: {
        int64_t from = in->record->h.ts_recv; /* of shared memory: a signed difference may overflow */
        uint64_t age_ns = in->ts_send > from ? (uint64_t)in->ts_send - (uint64_t)from : 0;
        return out + gw_text_unsigned(age_ns / 1000000, out);
    }
    default:
        return out;
    }
}

/* A quote that lacks a side: `null` stands for each of its values, and for the quotes around it. */
static size_t encode_sparse(const gw_template_t *t, const gw_encode_t *in, char *out) {
    char *at = out;
    uint16_t cut = 0; /* of the next literal */
    for (const step_t *s = t->steps, *end = s + t->steps_used; s <= end; s++) {
        text_t literal = s < end ? s->literal : t->tail;
        if (cut > literal.length) cut = literal.length;
        at = write_text(t, (text_t){(uint16_t)(literal.at + cut), (uint16_t)(literal.length - cut)}, at);
        cut = 0;
        if (s == end) break;
        char *from = at;
        at = write_field(t, s, in, at);
        if (s->code != DECIMAL || at != from) continue;
        cut = at > out && at[-1] == '"';
        memcpy(at - cut, "null", 4);
        at += 4 - cut;
    }
    return (size_t)(at - out);
}

size_t gw_template_encode(const gw_template_t *t, const gw_encode_t *in, char *out) {
    assert(in->record->h.kind == t->kind);
    if (__builtin_expect(in->record->u.bbo.extra & GW_EXTRA_NO_SIDE, 0)) return encode_sparse(t, in, out);
    char *at = out;
    for (const step_t *s = t->steps, *end = s + t->steps_used; s < end; s++) {
        at = write_text(t, s->literal, at);
        at = write_field(t, s, in, at);
    }
    at = write_text(t, t->tail, at);
    return (size_t)(at - out);
}

size_t gw_template_tail_length(const gw_template_t *t) { return t->tail.length; }

size_t gw_template_splice(const gw_template_t *t, uint64_t skipped, char *out) {
    char *at = write_text(t, t->skip, out);
    at += gw_text_unsigned(skipped, at);
    at = write_text(t, t->tail, at);
    return (size_t)(at - out);
}
