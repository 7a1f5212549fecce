/* Templates of books in binary: what they write is read as what was shown, and has room whatever that is. */
#include "check.h"
#include "gw_book_record.h"
#include "gw_frame.h"
#include "gw_sbe_book.h"
#include "gw_template.h"

#include <errno.h>

enum { BOOK_BINARY = 21, INTEGER = 13, ROWS = 1024 };

/* As gateway/codec/sbe_templates.py has it; `flags` is the byte of flags. */
static size_t program(uint8_t *out, uint8_t flags) {
    const uint8_t head[] = {2, GW_BOOK, 0, 0, 0, 8, GW_SBE_BOOK_BLOCK, 0, GW_SBE_BOOK, 0, GW_SBE_SCHEMA, 0, 2, 0};
    static const uint8_t integers[][2] = {{4, 8}, {0, 8}, {1, 8}, {2, 8}, {6, 8}, {3, 4}}; /* seq, times, skipped, topic */
    static const uint8_t values[] = {6, 2, 7, 9};                                           /* checksum, depth, part, parts */
    static const uint8_t rest[] = {0, 1, 8, 3, 4};                                          /* groups, ids */
    uint8_t *at = out;
    memcpy(at, head, sizeof head);
    at += sizeof head;
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        *at++ = INTEGER;
        *at++ = integers[i][0];
        *at++ = integers[i][1];
    }
    for (size_t i = 0; i < sizeof values; i++) *at++ = BOOK_BINARY, *at++ = values[i];
    *at++ = BOOK_BINARY, *at++ = 10, *at++ = flags;
    for (size_t i = 0; i < sizeof rest; i++) *at++ = BOOK_BINARY, *at++ = rest[i];
    return (size_t)(at - out);
}

static gw_template_t *template_of(uint8_t flags) {
    uint8_t bytes[256];
    gw_template_t *t;
    CHECK_EQUAL(gw_template_load(bytes, program(bytes, flags), &t), 0);
    return t;
}

/* In a block of the size that it promises, so that the sanitizer sees a byte too many; its message. */
static size_t encode(const gw_template_t *t, const gw_book_view_t *view, gw_sbe_message_t *m, char **out) {
    gw_record_t record = {.h = {.kind = GW_BOOK, .topic_seq = 7, .ts_event = 1, .ts_recv = 2}};
    const gw_encode_t in = {.record = &record, .symbol = "A.X", .symbol_length = 3, .ts_send = 3, .topic = 11,
                            .channel = GW_BOOK, .book = view};
    *out = malloc(gw_template_size_max(t, 3));
    CHECK(*out);
    size_t length = gw_template_encode(t, &in, *out);
    length = gw_template_tell(t, 5, *out, length);
    CHECK(length + GW_FRAME_HEADER_MAX <= GW_BOOK_FRAME_MAX);
    CHECK_EQUAL(gw_sbe_read((const uint8_t *)*out, length, m), GW_SBE_FINE);
    CHECK_EQUAL(m->size, length);
    CHECK_EQUAL(m->kind, GW_SBE_BOOK);
    CHECK_EQUAL(m->seq, 7);
    CHECK_EQUAL(m->skipped, 5);
    CHECK_EQUAL(m->topic, 11);
    return length;
}

static gw_text_t text(const char *letters) { return (gw_text_t){letters, strlen(letters)}; }

static void what_is_said_of_a_book(void) {
    gw_template_t *t = template_of(1);
    CHECK_EQUAL(gw_template_opcode(t), GW_OP_BINARY);
    gw_book_row_t rows[3];
    gw_book_level_t levels[3] = {{.side = GW_BOOK_BID, .price = 5, .qty = 7}, {.side = GW_BOOK_ASK, .price = 6}, {.side = 1}};
    for (int i = 0; i < 2; i++) gw_book_level_row(&levels[i], &rows[i]);
    gw_book_view_t view = {.rows = rows, .count = {1, 1}, .depth = 1000, .part = 2, .parts = 300,
                           .checksum = 0xfedcba98u, .summed = true, .maybe_bad = true, .first = text("12"),
                           .last = text("123456789012345678901234")};
    gw_sbe_message_t m;
    char *out;
    encode(t, &view, &m, &out);
    CHECK_EQUAL(m.flags, 1 | GW_SBE_FLAG_MAYBE_BAD | GW_SBE_FLAG_CHECKSUM);
    CHECK_EQUAL(m.depth, 1000);
    CHECK_EQUAL(m.part, 2);
    CHECK_EQUAL(m.parts, 300);
    CHECK_EQUAL(m.checksum, 0xfedcba98u);
    CHECK_EQUAL(m.text_length, 2);
    CHECK_EQUAL(m.last_length, 24);
    CHECK_EQUAL(memcmp(m.last, "123456789012345678901234", 24), 0);
    CHECK_EQUAL(gw_sbe_book_count(&m), 2);
    CHECK_EQUAL(gw_sbe_book_levels(&m, levels), GW_SBE_FINE);
    CHECK_EQUAL(levels[0].qty, 7);
    CHECK_EQUAL(levels[1].side, GW_BOOK_ASK);
    free(out);
    view = (gw_book_view_t){.rows = rows, .checksum = 9};
    encode(t, &view, &m, &out);
    CHECK_EQUAL(m.flags, 1);
    CHECK_EQUAL(m.checksum, 0); /* there is none */
    CHECK_EQUAL(m.text_length, 0);
    CHECK_EQUAL(m.last_length, 0);
    CHECK_EQUAL(gw_sbe_book_count(&m), 0);
    free(out);
    gw_template_free(t);
}

static uint64_t seed = 1;

/* xorshift64*. Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t draw(uint64_t below) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1dull >> 32) % below;
}

/* Rows of a book of scale 3, bids first; `wide` of a hundred do not fit 63 bits. */
static void rows_draw(gw_book_row_t *rows, gw_book_level_t *levels, uint32_t count, unsigned wide) {
    for (uint32_t i = 0; i < count; i++) {
        gw_book_level_t *l = &levels[i];
        *l = (gw_book_level_t){.side = i >= count / 2, .price = (int64_t)draw(1000000) - 500000, .price_decimals = 3};
        if (draw(100) < wide) {
            l->qty = INT64_MAX - 2, l->qty_zeros = (uint8_t)draw(20), l->qty_decimals = (uint8_t)draw(100);
            if (!l->qty_zeros) l->qty_high = 5, l->qty_zeros |= GW_BOOK_LEVEL_WIDE;
        } else if (draw(4)) {
            l->qty = (int64_t)(1 + 10 * draw(1000)), l->qty_zeros = (uint8_t)draw(6), l->qty_decimals = 5;
        }
        gw_book_level_row(l, &rows[i]);
    }
}

static void levels_have_room_and_come_back(void) {
    static gw_book_row_t rows[ROWS];
    static gw_book_level_t levels[ROWS], back[ROWS];
    gw_template_t *t = template_of(0);
    size_t longest = 0;
    for (int round = 0; round < 2000; round++) {
        const uint32_t count = (uint32_t)draw(ROWS + 1);
        const uint32_t half = count / 2;
        rows_draw(rows, levels, count, (unsigned[]){0, 3, 50, 100}[round % 4]);
        const uint32_t fit = gw_sbe_book_fit(rows, count, GW_BOOK_LEVELS_BYTES);
        CHECK(fit <= count && (fit == count || fit >= GW_BOOK_LEVELS_BYTES / (GW_SBE_LEVEL_BYTES + GW_SBE_WIDE_BYTES)));
        if (fit < count) CHECK_EQUAL(gw_sbe_book_fit(rows, fit + 1, GW_BOOK_LEVELS_BYTES), fit);
        const uint32_t bids = fit < half ? fit : half;
        const gw_book_view_t view = {.rows = rows, .count = {bids, fit - bids}, .scale = 3, .summed = true,
                                     .first = text("123456789012345678901234"), .last = text("123456789012345678901234")};
        gw_sbe_message_t m;
        char *out;
        const size_t length = encode(t, &view, &m, &out);
        if (length > longest) longest = length;
        CHECK_EQUAL(gw_sbe_book_count(&m), fit);
        CHECK_EQUAL(gw_sbe_book_levels(&m, back), GW_SBE_FINE);
        for (uint32_t i = 0; i < fit; i++) CHECK_EQUAL(memcmp(&levels[i], &back[i], sizeof levels[i]), 0);
        free(out);
    }
    CHECK(longest > GW_BOOK_LEVELS_BYTES);
    gw_template_free(t);
}

static void bad_programs_are_refused(void) {
    static const struct {
        const char *program;
        size_t size;
    } cases[] = {
#define CASE(text) {text, sizeof text - 1}
        CASE("\2\1\0\0\15\6\10\25\0"),           /* not of a book */
        CASE("\2\3\0\0\0\1a\15\6\10\25"),        /* cut */
        CASE("\2\3\0\0\0\1a\15\6\10\25\13"),     /* no such value */
        CASE("\2\3\0\0\0\1a\15\6\10\25\5"),      /* what is a flag's */
        CASE("\2\3\0\0\0\1a\15\6\10\25\12"),     /* of which flags */
        CASE("\2\3\0\0\0\1a\15\6\10\25\0\25\0"), /* bids twice */
        CASE("\2\3\0\0\0\1a\25\0\25\1"),         /* skipped has no place */
#undef CASE
    };
    gw_template_t *t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQUAL(gw_template_load((const uint8_t *)cases[i].program, cases[i].size, &t), -EINVAL);
    CHECK_EQUAL(gw_template_load((const uint8_t *)"\2\3\0\0\0\1a\15\6\10\25\0\25\1", 14, &t), 0);
    gw_template_free(t);
}

int main(void) {
    RUN(what_is_said_of_a_book);
    RUN(levels_have_room_and_come_back);
    RUN(bad_programs_are_refused);
    return 0;
}
