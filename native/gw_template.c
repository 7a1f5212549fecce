/* Loads template programs.
 *
 * A program is a header, then operations up to its end; numbers are bytes unless said otherwise:
 *
 *   version (2), kind, skip = text, tail = text, operation*
 *   kind      = of the records that it encodes, or GW_NOTICE_KIND + the notice
 *   text      = length, that many bytes
 *   operation = code, then its operands:
 *     LITERAL                text
 *     SYMBOL, SEQ, AGE_MS    nothing; the last is ts_send - ts_recv
 *     SYMBOL_SPELLED         bits: 1 leaves the venue out, 2 makes ASCII's capitals small
 *     TIME_NS to _RFC3339    one of ts_event, ts_recv, ts_send
 *     FIELD                  the index of one of the kind's fields (gw_kind.h); of a side three texts: none, buy, sell;
 *                            of a flag two: no, yes
 *     NUMBER, NUMBER_OR_NULL the index of one of the notice's numbers; UINT64_MAX is null
 *     WORD                   the index of one of the notice's words
 *     CHANNEL                nothing: the name of the topic's channel
 *     INTERVAL               two texts, written around the interval of the topic's channel; of others nothing is written
 *     INTEGER                what it is of (a time, topic, seq, channel, skipped, or 7 + a notice's number), its bytes
 *     FIELD_BINARY           as FIELD. A decimal is `low` u64, `high` i64, `exponent` i8, 127 where there is none;
 *                            a side or a flag is one byte of its text, a number 4 or 8 bytes; texts are a length u8 and their bytes, those of any
 *                            length a length u16 and their bytes
 *     SYMBOL_BINARY, WORD_BINARY   as SYMBOL and WORD: a length u8 and the bytes
 *     BOOK                   what of a book (GW_T_BIDS ...), two texts: where there is such a value they stand around it.
 *                            Of a side each level is a list of price and quantity; a part is its number, `,`, of how many
 *     BOOK_BINARY            what of a book: a side's levels, or its wide quantities, as a group (docs/sbe.md), depth, part and
 *                            parts u16, checksum u32, ids a length u8 and their bytes; of flags their byte without those of a book
 *     FLAGS                  bits of a byte; bit 1 + i is set where the record's decimal i is a zero with a minus sign
 *
 * Messages of programs with a binary operation are binary, others text. Binary integers are little-endian. The
 * payload is what the operations write, then the tail. Where updates were skipped, `skip`, the number and the tail
 * stand in the tail's place, or nothing is told where `skip` is empty; or, in a binary record always, the number is put
 * where INTEGER has a place for it, behind a literal and nothing but literals and integers. Loading checks everything
 * once and turns the operations into steps of one literal and one field each, with all literals in one padded pool, so
 * that running a step is a copy in blocks of 16 and one jump. */
#include "gw_book_record.h"
#include "gw_template_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "gw_frame.h"

enum { VERSION = 2 };
#define RFC3339_LENGTH 30u /* 2024-05-06T07:08:09.123456789Z */
#define DECIMAL_BYTES 17u

/* --- reading ----------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
} cursor_t;

static bool take(cursor_t *c, uint8_t *out) {
    if (c->at == c->end) return false;
    *out = *c->at++;
    return true;
}

static bool take_below(cursor_t *c, unsigned limit, uint8_t *out) { return take(c, out) && *out < limit; }

static bool take_text(cursor_t *c, gw_template_t *t, gw_template_text_t *out) {
    uint8_t length;
    if (!take(c, &length) || (size_t)(c->end - c->at) < length) return false;
    *out = (gw_template_text_t){.at = (uint16_t)t->pool_used, .length = length};
    memcpy(t->pool + t->pool_used, c->at, length);
    t->pool_used += length;
    c->at += length;
    return true;
}

/* From here on a payload's bytes are at another place in each. */
static void varies(gw_template_t *t, size_t most) {
    t->size_max += most;
    t->fixed = SIZE_MAX;
}

/* As many bytes in each payload: until something varies, the next ones are at the same place in all. */
static void stays(gw_template_t *t, size_t bytes) {
    t->size_max += bytes;
    if (t->fixed != SIZE_MAX) t->fixed += bytes;
}

static bool is_notice(const gw_template_t *t) { return t->kind >= GW_NOTICE_KIND; }

/* --- operations -------------------------------------------------------------------------------------- */

/* The texts of an operation, which may write all of them; of a binary one each is a byte. */
static bool take_texts(cursor_t *c, gw_template_t *t, gw_step_t *step, unsigned count, bool bytes) {
    step->texts = t->texts_used;
    for (unsigned i = 0; i < count; i++) {
        if (t->texts_used == GW_TEXTS_MAX) return false;
        gw_template_text_t *text = &t->texts[t->texts_used++];
        if (!take_text(c, t, text) || (bytes && text->length != 1)) return false;
        if (!bytes) varies(t, text->length);
    }
    if (bytes) stays(t, 1);
    return true;
}

static bool take_field(cursor_t *c, gw_template_t *t, gw_step_t *step) {
    const bool binary = step->code == GW_T_FIELD_BINARY;
    const gw_kind_t *kind = is_notice(t) ? NULL : gw_kind(t->kind);
    if (!kind || !take_below(c, kind->fields_count, &step->source)) return false;
    const gw_field_t *f = &kind->fields[step->source];
    step->code = (uint8_t)(f->type - GW_FIELD_DECIMAL + (binary ? GW_T_DECIMAL_BINARY : GW_T_DECIMAL));
    step->at = f->at;
    step->exponent = f->exponent;
    step->digits = f->digits;
    step->room = f->room;
    switch (f->type) {
    case GW_FIELD_DECIMAL: varies(t, binary ? DECIMAL_BYTES : GW_DECIMAL_TEXT_MAX); return true;
    case GW_FIELD_SIDE: return take_texts(c, t, step, 3, binary);
    case GW_FIELD_FLAG: step->digits = f->none; return take_texts(c, t, step, 2, binary);
    case GW_FIELD_NUMBER: step->digits = f->none; binary ? stays(t, f->room) : varies(t, GW_TEXT_INTEGER_MAX); return true;
    case GW_FIELD_ID: varies(t, 2 * GW_ID_MAX); return true;
    default: varies(t, 2u * f->room); return true;
    }
}

/* Each once, as its texts are the template's. */
static bool take_book(cursor_t *c, gw_template_t *t, gw_step_t *step) {
    static const uint16_t most[GW_T_OF_BOOK] = {
        [GW_T_DEPTH] = GW_TEXT_INTEGER_MAX, [GW_T_FIRST_ID] = 2 * GW_ID_MAX, [GW_T_LAST_ID] = 2 * GW_ID_MAX,
        [GW_T_CHECKSUM] = GW_TEXT_INTEGER_MAX, [GW_T_PART] = 2 * GW_TEXT_INTEGER_MAX + 1};
    const uint8_t sides = 1u << GW_T_BIDS | 1u << GW_T_ASKS;
    if (t->kind != GW_BOOK || !take_below(c, GW_T_OF_BOOK, &step->source)) return false;
    const uint8_t bit = (uint8_t)(1u << step->source);
    if (t->book_read & bit) return false;
    varies(t, bit & sides && !(t->book_read & sides) ? GW_BOOK_LEVELS_BYTES : most[step->source]);
    t->book_read |= bit;
    for (int i = 0; i < 2; i++) {
        if (!take_text(c, t, &t->book[step->source][i])) return false;
        t->size_max += t->book[step->source][i].length;
    }
    return true;
}

/* Likewise: the levels of a side, the first one that is read, have the room of all. */
static bool take_book_binary(cursor_t *c, gw_template_t *t, gw_step_t *step) {
    static const uint8_t fixed[GW_T_OF_BOOK_BINARY] = {
        [GW_T_DEPTH] = 2, [GW_T_PART] = 2, [GW_T_PARTS] = 2, [GW_T_CHECKSUM] = 4, [GW_T_BOOK_FLAGS] = 1};
    const uint16_t sides = 1u << GW_T_BIDS | 1u << GW_T_ASKS | 1u << GW_T_WIDES;
    if (t->kind != GW_BOOK || !take_below(c, GW_T_OF_BOOK_BINARY, &step->source)) return false;
    const uint16_t bit = (uint16_t)(1u << step->source);
    uint8_t base = 0;
    if (t->book_read & bit || step->source == GW_T_MAYBE_BAD) return false;
    if (step->source == GW_T_BOOK_FLAGS && !take(c, &base)) return false;
    step->room = base;
    if (fixed[step->source]) stays(t, fixed[step->source]);
    else if (bit & sides) varies(t, 4u + (t->book_read & sides ? 0u : GW_BOOK_LEVELS_BYTES));
    else varies(t, 1 + GW_BOOK_ID_MAX);
    t->book_read |= bit;
    return true;
}

static bool take_integer(cursor_t *c, gw_template_t *t, gw_step_t *step) {
    const unsigned sources = is_notice(t) ? GW_T_OF_NUMBER + GW_NOTICE_NUMBERS : GW_T_OF_NUMBER;
    uint8_t bytes;
    if (!take_below(c, sources, &step->source) || !take_below(c, 9, &bytes)) return false;
    step->room = bytes;
    if (step->room & (step->room - 1) || !step->room) return false; /* 1, 2, 4 or 8 */
    if (step->source == GW_T_OF_SKIPPED) {
        if (t->fixed == SIZE_MAX || !t->fixed || t->skipped_at || step->room != 8) return false;
        t->skipped_at = t->fixed;
    }
    stays(t, step->room);
    return true;
}

/* Reads an operation's operands; its longest text is added to `size_max`. */
static bool take_operands(cursor_t *c, gw_template_t *t, gw_step_t *step) {
    if (step->code >= GW_T_INTEGER && step->code <= GW_T_FLAGS) t->binary = 1;
    if (step->code == GW_T_BOOK_BINARY) t->binary = 1;
    switch (step->code) {
    case GW_T_SYMBOL:
    case GW_T_SYMBOL_BINARY:
        t->symbols++;
        varies(t, 1);
        return true;
    case GW_T_SYMBOL_SPELLED:
        t->symbols++;
        varies(t, 0);
        return take_below(c, GW_T_SPELLINGS, &step->source);
    case GW_T_SEQ:
    case GW_T_AGE_MS:
        varies(t, GW_TEXT_INTEGER_MAX);
        return !is_notice(t);
    case GW_T_TIME_NS:
    case GW_T_TIME_US:
    case GW_T_TIME_MS:
    case GW_T_TIME_RFC3339:
        varies(t, RFC3339_LENGTH);
        return take_below(c, GW_T_TIMES, &step->source) && (!is_notice(t) || step->source == GW_T_TS_SEND);
    case GW_T_FIELD:
    case GW_T_FIELD_BINARY:
        return take_field(c, t, step);
    case GW_T_NUMBER:
    case GW_T_NUMBER_OR_NULL:
        varies(t, GW_TEXT_INTEGER_MAX);
        return is_notice(t) && take_below(c, GW_NOTICE_NUMBERS, &step->source);
    case GW_T_WORD:
    case GW_T_WORD_BINARY:
        varies(t, 1 + GW_NOTICE_WORD_MAX);
        return is_notice(t) && take_below(c, GW_NOTICE_WORDS, &step->source);
    case GW_T_CHANNEL:
        varies(t, GW_CHANNEL_NAME_MAX);
        return true;
    case GW_T_INTERVAL:
        varies(t, GW_CHANNEL_NAME_MAX);
        return take_texts(c, t, step, 2, false);
    case GW_T_BOOK:
        return take_book(c, t, step);
    case GW_T_BOOK_BINARY:
        return take_book_binary(c, t, step);
    case GW_T_INTEGER:
        return take_integer(c, t, step);
    case GW_T_FLAGS:
        stays(t, 1);
        return !is_notice(t) && take(c, &step->source);
    default:
        return false;
    }
}

static bool take_header(cursor_t *c, gw_template_t *t) {
    uint8_t version;
    t->pool_used = 1; /* so that a text that was read never lies at 0 */
    if (!take(c, &version) || version != VERSION || !take(c, &t->kind)) return false;
    if (is_notice(t) ? t->kind - GW_NOTICE_KIND >= GW_NOTICES : !gw_kind(t->kind)) return false;
    if (!take_text(c, t, &t->skip) || !take_text(c, t, &t->tail)) return false;
    t->size_max = t->tail.length + GW_TEXT_SLACK;
    return t->skip.length + GW_TEXT_INTEGER_MAX + t->tail.length + GW_TEXT_SLACK <= GW_SPLICE_MAX;
}

static bool take_step(cursor_t *c, gw_template_t *t) {
    gw_step_t *step = &t->steps[t->steps_used];
    if (t->steps_used == GW_STEPS_MAX || !take(c, &step->code)) return false;
    step->literal.at = (uint16_t)t->pool_used;
    while (step->code == GW_T_LITERAL) { /* neighbours in the program are neighbours in the pool */
        gw_template_text_t text;
        if (!take_text(c, t, &text)) return false;
        step->literal.length = (uint16_t)(step->literal.length + text.length);
        if (c->at == c->end) break;
        step->code = *c->at++;
    }
    t->steps_used++;
    stays(t, step->literal.length);
    return step->code == GW_T_LITERAL || take_operands(c, t, step);
}

int gw_template_load(const uint8_t *program, size_t size, gw_template_t **out) {
    if (size == 0 || size >= GW_PROGRAM_MAX) return -EINVAL;
    gw_template_t *t = calloc(1, sizeof *t);
    if (t == NULL) return -ENOMEM;
    cursor_t c = {program, program + size};
    bool good = take_header(&c, t);
    while (good && c.at < c.end) good = take_step(&c, t);
    good = good && (is_notice(t) || !t->binary || t->skipped_at); /* else it would be told in digits */
    t->frame_max = gw_template_size_max(t, GW_INSTRUMENT_MAX) + GW_FRAME_HEADER_MAX + GW_SPLICE_MAX;
    const size_t most = is_notice(t) ? GW_NOTICE_MAX : t->kind == GW_BOOK ? GW_BOOK_FRAME_MAX : GW_FRAME_MAX;
    if (!good || t->frame_max > most) {
        free(t);
        return good ? -EMSGSIZE : -EINVAL;
    }
    *out = t;
    return 0;
}

void gw_template_free(gw_template_t *t) { free(t); }

uint8_t gw_template_kind(const gw_template_t *t) { return t->kind; }

uint8_t gw_template_opcode(const gw_template_t *t) { return t->binary ? GW_OP_BINARY : GW_OP_TEXT; }

size_t gw_template_size_max(const gw_template_t *t, size_t symbol_length) {
    return t->size_max + t->symbols * symbol_length;
}

size_t gw_template_frame_max(const gw_template_t *t) { return t->frame_max; }
