/* Runs template programs. */
#include "gw_little.h"
#include "gw_template_internal.h"

#include <assert.h>

/* --- running ----------------------------------------------------------------------------------------- */

static inline char *write_decimal(const gw_record_t *record, const gw_step_t *s, char *out) {
    const uint8_t *base = (const uint8_t *)record;
    int64_t mantissa;
    memcpy(&mantissa, base + s->at, sizeof mantissa);
    int8_t exponent = (int8_t)base[s->exponent];
    uint8_t digits = base[s->digits];
    if (__builtin_expect((digits & ~GW_DECIMAL_NEGATIVE_ZERO) > GW_DIGITS_NARROW, 0))
        return out + gw_record_decimal(record, s->source, out);
    return out + gw_text_decimal(mantissa, exponent, digits, out);
}

/* A byte of the result is not 0 where the byte of `word` is `c`; good for "is there one". The usual
 * test for a zero byte, on word ^ cccccccc. */
static inline uint64_t bytes_equal(uint64_t word, uint8_t c) {
    uint64_t x = word ^ 0x0101010101010101u * c;
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

static char *write_long_id(const gw_record_t *record, char *out) {
    size_t length = record->u.trade.id_length;
    if (length > GW_ID_MAX) length = GW_ID_MAX;
    out = gw_template_escape(record->u.trade.id, GW_ID_INLINE, out);
    return gw_template_escape(record->tail.id, length - GW_ID_INLINE, out);
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
    return special == 0 ? out + length : gw_template_escape(trade->id, length, out);
}
_Static_assert(offsetof(gw_trade_t, id) + (GW_ID_INLINE + 7) / 8 * 8 <= sizeof(gw_trade_t), "words stay inside");

/* Of words of a fixed room: it comes from shared memory, and is cut. */
static size_t words_length(const gw_record_t *record, const gw_step_t *s) {
    const size_t length = ((const uint8_t *)record)[s->digits];
    return length < s->room ? length : s->room;
}

static char *write_words(const gw_record_t *record, const gw_step_t *s, char *out) {
    return gw_template_escape((const char *)record + s->at, words_length(record, s), out);
}

/* The bytes of a text of any length, up to the room that the template was given for it and the end of the record. */
static uint16_t long_length(const gw_record_t *record, const gw_step_t *s) {
    const size_t end = record->h.cells * (size_t)GW_CELL;
    const size_t most = end > s->at ? end - s->at : 0;
    uint16_t length;
    memcpy(&length, (const char *)record + s->digits, sizeof length);
    if (length > s->room) length = s->room;
    return length < most ? length : (uint16_t)most;
}

static char *write_long(const gw_record_t *record, const gw_step_t *s, char *out) {
    return gw_template_escape((const char *)record + s->at, long_length(record, s), out);
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
    return out + 30;
}

static inline int64_t time_of(const gw_encode_t *in, uint8_t source) {
    if (source == GW_T_TS_EVENT) return in->record->h.ts_event;
    return source == GW_T_TS_RECV ? in->record->h.ts_recv : in->ts_send;
}

static uint8_t side_of(const gw_record_t *record, const gw_step_t *s) {
    uint8_t side = ((const uint8_t *)record)[s->at];
    return side <= GW_SIDE_SELL ? side : GW_SIDE_NONE;
}

static uint8_t flag_of(const gw_record_t *record, const gw_step_t *s) {
    return (((const uint8_t *)record)[s->at] & s->digits) != 0;
}

static int64_t number_of(const gw_record_t *record, const gw_step_t *s) {
    int64_t wide;
    uint32_t narrow;
    memcpy(&narrow, (const uint8_t *)record + s->at, sizeof narrow);
    if (s->room == sizeof narrow) return narrow;
    memcpy(&wide, (const uint8_t *)record + s->at, sizeof wide);
    return wide;
}

static char *write_interval(const gw_template_t *t, const gw_step_t *s, const gw_encode_t *in, char *out) {
    const gw_kind_t *kind = gw_kind(in->channel);
    if (!kind || !kind->interval) return out;
    const size_t length = strlen(kind->interval);
    out = gw_template_text(t, t->texts[s->texts], out);
    memcpy(out, kind->interval, length);
    return gw_template_text(t, t->texts[s->texts + 1], out + length);
}

/* --- of notices, and of binary formats ---------------------------------------------------------------- */

static char *write_number_or_null(uint64_t number, char *out) {
    if (number != UINT64_MAX) return out + gw_text_unsigned(number, out);
    memcpy(out, "null", 4);
    return out + 4;
}

static char *write_word(gw_text_t word, char *out) {
    size_t length = word.length < GW_NOTICE_WORD_MAX ? word.length : GW_NOTICE_WORD_MAX;
    if (length) memcpy(out, word.at, length);
    return out + length;
}

static uint64_t integer_of(const gw_step_t *s, const gw_encode_t *in) {
    switch (s->source) {
    case GW_T_OF_TOPIC: return in->topic;
    case GW_T_OF_SEQ: return in->record ? in->record->h.topic_seq : 0;
    case GW_T_OF_CHANNEL: return in->channel;
    case GW_T_OF_SKIPPED: return 0;
    default: break;
    }
    if (s->source >= GW_T_OF_NUMBER) return in->notice->numbers[s->source - GW_T_OF_NUMBER];
    return in->record || s->source == GW_T_TS_SEND ? (uint64_t)time_of(in, s->source) : 0;
}

/* Of a length in one byte and the bytes behind it, which have been written: the length. */
static char *close_length(char *out, char *end) {
    out[0] = (char)(uint8_t)(end - out - 1);
    return end;
}

static char *write_id_binary(const gw_record_t *record, const gw_step_t *s, char *out) {
    const char *base = (const char *)record;
    size_t length = (uint8_t)base[s->digits];
    if (length > GW_ID_MAX) length = GW_ID_MAX;
    size_t inside = length < GW_ID_INLINE ? length : GW_ID_INLINE;
    memcpy(out + 1, base + s->at, inside);
    memcpy(out + 1 + inside, record->tail.id, length - inside);
    return close_length(out, out + 1 + length);
}

static char *write_words_binary(const gw_record_t *record, const gw_step_t *s, char *out) {
    const size_t length = words_length(record, s);
    memcpy(out + 1, (const char *)record + s->at, length);
    return close_length(out, out + 1 + length);
}

static char *write_long_binary(const gw_record_t *record, const gw_step_t *s, char *out) {
    const uint16_t length = long_length(record, s);
    memcpy(out, &length, sizeof length); /* little-endian, as all that we run on */
    memcpy(out + sizeof length, (const char *)record + s->at, length);
    return out + sizeof length + length;
}

/* `low` u64, `high` i64, `exponent` i8; all zero and GW_EXPONENT_NONE where there is none. */
static char *write_decimal_binary(const gw_record_t *record, const gw_step_t *s, char *out) {
    const uint8_t *base = (const uint8_t *)record;
    int64_t low;
    memcpy(&low, base + s->at, sizeof low);
    uint8_t digits = base[s->digits];
    int64_t high = low < 0 ? -1 : 0;
    if (digits & GW_DIGITS_WIDE) high = record->tail.high[gw_kinds[record->h.kind].fields[s->source].decimal];
    if (digits & GW_DIGITS_NONE) low = high = 0;
    out = gw_little_store((uint64_t)low, 8, out);
    out = gw_little_store((uint64_t)high, 8, out);
    *out++ = (char)(digits & GW_DIGITS_NONE ? GW_EXPONENT_NONE : (int8_t)base[s->exponent]);
    return out;
}

static uint8_t zeros_negative(const gw_record_t *record) {
    const gw_kind_t *kind = &gw_kinds[record->h.kind];
    unsigned bits = 0;
    for (unsigned i = 0; i < kind->fields_count; i++) {
        const gw_field_t *f = &kind->fields[i];
        if (f->type != GW_FIELD_DECIMAL) continue;
        const uint8_t digits = ((const uint8_t *)record)[f->digits];
        bits |= (digits & GW_DECIMAL_NEGATIVE_ZERO ? 2u : 0u) << f->decimal;
    }
    return (uint8_t)bits;
}

static char *write_binary(const gw_template_t *t, const gw_step_t *s, const gw_encode_t *in, char *out) {
    switch (s->code) {
    case GW_T_INTEGER:
        return gw_little_store(integer_of(s, in), s->room, out);
    case GW_T_DECIMAL_BINARY:
        return write_decimal_binary(in->record, s, out);
    case GW_T_SIDE_BINARY:
        return gw_template_text(t, t->texts[s->texts + side_of(in->record, s)], out);
    case GW_T_FLAG_BINARY:
        return gw_template_text(t, t->texts[s->texts + flag_of(in->record, s)], out);
    case GW_T_NUMBER_BINARY:
        return gw_little_store((uint64_t)number_of(in->record, s), s->room, out);
    case GW_T_ID_BINARY:
        return write_id_binary(in->record, s, out);
    case GW_T_WORDS_BINARY:
        return write_words_binary(in->record, s, out);
    case GW_T_TEXT_BINARY:
        return write_long_binary(in->record, s, out);
    case GW_T_SYMBOL_BINARY:
        memcpy(out + 1, in->symbol, in->symbol_length);
        return close_length(out, out + 1 + in->symbol_length);
    case GW_T_FLAGS:
        *out = (char)(s->source | zeros_negative(in->record));
        return out + 1;
    case GW_T_BOOK_BINARY:
        return gw_template_book_binary(s, in->book, out);
    case GW_T_WORD_BINARY:
        return close_length(out, write_word(in->notice->words[s->source], out + 1));
    default:
        return out;
    }
}

/* As another gateway's clients know it: without the dot and the venue behind the last one, in small letters. */
static char *write_spelled(const gw_encode_t *in, uint8_t spelling, char *out) {
    size_t length = in->symbol_length;
    if (spelling & GW_T_BARE)
        for (size_t i = length; i-- > 0;)
            if (in->symbol[i] == '.') {
                length = i;
                break;
            }
    for (size_t i = 0; i < length; i++) {
        const char c = in->symbol[i];
        out[i] = (char)((spelling & GW_T_LOWER) && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return out + length;
}

/* --- a payload ----------------------------------------------------------------------------------------- */

static inline char *write_field(const gw_template_t *t, const gw_step_t *s, const gw_encode_t *in, char *out) {
    switch (s->code) {
    case GW_T_SYMBOL:
        gw_text_copy(out, in->symbol, in->symbol_length);
        return out + in->symbol_length;
    case GW_T_SEQ:
        return out + gw_text_unsigned(in->record->h.topic_seq, out);
    case GW_T_DECIMAL:
        return write_decimal(in->record, s, out);
    case GW_T_TIME_NS:
        return out + gw_text_signed(time_of(in, s->source), out);
    case GW_T_TIME_US:
        return out + gw_text_signed(floor_div(time_of(in, s->source), 1000), out);
    case GW_T_TIME_MS:
        return out + gw_text_signed(floor_div(time_of(in, s->source), 1000000), out);
    case GW_T_TIME_RFC3339:
        return write_rfc3339(time_of(in, s->source), out);
    case GW_T_ID:
        return write_id(in->record, out);
    case GW_T_SIDE:
        return gw_template_text(t, t->texts[s->texts + side_of(in->record, s)], out);
    case GW_T_FLAG:
        return gw_template_text(t, t->texts[s->texts + flag_of(in->record, s)], out);
    case GW_T_INTEGER_TEXT:
        if (s->digits && number_of(in->record, s) == GW_NUMBER_NONE) return write_number_or_null(UINT64_MAX, out);
        return out + gw_text_signed(number_of(in->record, s), out);
    case GW_T_INTERVAL:
        return write_interval(t, s, in, out);
    case GW_T_WORDS:
        return write_words(in->record, s, out);
    case GW_T_TEXT:
        return write_long(in->record, s, out);
    case GW_T_AGE_MS: {
        int64_t from = in->record->h.ts_recv; /* of shared memory: a signed difference may overflow */
        uint64_t age_ns = in->ts_send > from ? (uint64_t)in->ts_send - (uint64_t)from : 0;
        return out + gw_text_unsigned(age_ns / 1000000, out);
    }
    case GW_T_NUMBER:
        return out + gw_text_unsigned(in->notice->numbers[s->source], out);
    case GW_T_NUMBER_OR_NULL:
        return write_number_or_null(in->notice->numbers[s->source], out);
    case GW_T_WORD:
        return write_word(in->notice->words[s->source], out);
    case GW_T_SYMBOL_SPELLED:
        return write_spelled(in, s->source, out);
    case GW_T_BOOK:
        return gw_template_book(t, s, in->book, out);
    case GW_T_CHANNEL:
        return write_word(gw_text_of(gw_channel_name(in->channel)), out);
    default:
        return write_binary(t, s, in, out);
    }
}

/* A quote that lacks a side: `null` stands for each of its values, and for the quotes around it. */
static size_t encode_sparse(const gw_template_t *t, const gw_encode_t *in, char *out) {
    char *at = out;
    uint16_t cut = 0; /* of the next literal */
    for (const gw_step_t *s = t->steps, *end = s + t->steps_used; s <= end; s++) {
        gw_template_text_t literal = s < end ? s->literal : t->tail;
        if (cut > literal.length) cut = literal.length;
        at = gw_template_text(t, (gw_template_text_t){(uint16_t)(literal.at + cut), (uint16_t)(literal.length - cut)}, at);
        cut = 0;
        if (s == end) break;
        char *from = at;
        at = write_field(t, s, in, at);
        if (s->code != GW_T_DECIMAL || at != from) continue;
        cut = at > out && at[-1] == '"';
        memcpy(at - cut, "null", 4);
        at += 4 - cut;
    }
    return (size_t)(at - out);
}

static size_t encode(const gw_template_t *t, const gw_encode_t *in, char *out) {
    char *at = out;
    for (const gw_step_t *s = t->steps, *end = s + t->steps_used; s < end; s++) {
        at = gw_template_text(t, s->literal, at);
        at = write_field(t, s, in, at);
    }
    at = gw_template_text(t, t->tail, at);
    return (size_t)(at - out);
}

size_t gw_template_encode(const gw_template_t *t, const gw_encode_t *in, char *out) {
    assert(t->kind != GW_BOOK || in->book);
    assert(in->record ? in->record->h.kind == t->kind : t->kind >= GW_NOTICE_KIND);
    if (in->record && __builtin_expect(in->record->u.bbo.extra & GW_EXTRA_NO_SIDE, 0) && !t->binary)
        return encode_sparse(t, in, out);
    return encode(t, in, out);
}

size_t gw_template_tell(const gw_template_t *t, uint64_t skipped, char *payload, size_t length) {
    if (t->skipped_at) {
        gw_little_store(skipped, 8, payload + t->skipped_at);
        return length;
    }
    if (!t->skip.length) return length; /* such clients are not told */
    char *at = gw_template_text(t, t->skip, payload + length - t->tail.length);
    at += gw_text_unsigned(skipped, at);
    at = gw_template_text(t, t->tail, at);
    return (size_t)(at - payload);
}
