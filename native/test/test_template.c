/* Programs are loaded or refused, whatever their bytes; payloads stay within the room that was promised. */
#include "check.h"
#include "gw_frame.h"
#include "gw_template.h"
#include "bbo_program.h"
#include "trade_program.h"

#include <errno.h>
#include <string.h>

/* Loads from a block of exactly `size` bytes, so that the sanitizer sees a byte read too many. */
static int load(const void *program, size_t size, gw_template_t **out) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, program, size);
    int result = gw_template_load(copy, size, out);
    free(copy);
    return result;
}

static gw_template_t *load_trade(void) {
    gw_template_t *t;
    CHECK_EQUAL(load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &t), 0);
    return t;
}

/* The payload as a fresh string, encoded into exactly the room promised. */
static char *encode(const gw_template_t *t, const gw_record_t *record, const char *symbol) {
    size_t symbol_length = strlen(symbol), room = gw_template_size_max(t, symbol_length);
    char *out = malloc(room), *exact = malloc(symbol_length > 0 ? symbol_length : 1);
    memcpy(exact, symbol, symbol_length);
    gw_encode_t in = {record, exact, symbol_length, .ts_send = 1714979289123456796};
    size_t length = gw_template_encode(t, &in, out);
    CHECK(length <= room);
    char *told = malloc(room + GW_SPLICE_MAX);
    memcpy(told, out, length);
    CHECK(gw_template_tell(t, UINT64_MAX, told, length) <= room + GW_SPLICE_MAX);
    free(told);
    char *text = malloc(length + 1);
    memcpy(text, out, length);
    text[length] = 0;
    free(out);
    free(exact);
    return text;
}

static gw_record_t trade_record(const char *id) {
    gw_record_t r = {.h = {.kind = GW_TRADE, .topic_seq = 8813, .ts_event = 1714979289123456780,
                           .ts_recv = 1714979289123456789}};
    r.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15,
                             .qty_exponent = -3, .qty_digits = 4, .side = GW_SIDE_BUY,
                             .id_length = (uint8_t)strlen(id)};
    for (size_t i = 0; i < strlen(id); i++)
        *(i < GW_ID_INLINE ? &r.u.trade.id[i] : &r.tail.id[i - GW_ID_INLINE]) = id[i];
    return r;
}

static void a_trade_is_the_protocols_frame(void) {
    gw_template_t *t = load_trade();
    gw_record_t r = trade_record("381");
    char *text = encode(t, &r, "BTCUSDT.BINANCE");
    CHECK(strcmp(text, "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"BTCUSDT.BINANCE\",\"seq\":8813,"
                       "\"ts_event\":1714979289123456780,\"ts_recv\":1714979289123456789,"
                       "\"ts_send\":1714979289123456796,"
                       "\"data\":[{\"id\":\"381\",\"price\":\"64250.10\",\"qty\":\"0.015\",\"side\":\"buy\"}]}") == 0);
    CHECK_EQUAL(gw_template_kind(t), GW_TRADE);
    free(text);
    gw_template_free(t);
}

static void the_splice_stands_in_the_tails_place(void) {
    gw_template_t *t = load_trade();
    char *out = malloc(3 + GW_SPLICE_MAX);
    memcpy(out, "ab}", 3);
    size_t length = gw_template_tell(t, 42, out, 3);
    CHECK_EQUAL(length, strlen("ab,\"skipped\":42}"));
    CHECK(memcmp(out, "ab,\"skipped\":42}", length) == 0);
    CHECK_EQUAL(gw_template_tell(t, UINT64_MAX, out, 3), strlen("ab,\"skipped\":18446744073709551615}"));
    free(out);
    gw_template_free(t);
}

static void without_a_splice_nothing_is_told(void) {
    const char program[] = "\2\1\0\1}\0\1a";
    gw_template_t *t;
    CHECK_EQUAL(load(program, sizeof program - 1, &t), 0);
    char out[2 + GW_SPLICE_MAX] = "a}";
    CHECK_EQUAL(gw_template_tell(t, 42, out, 2), 2);
    CHECK(memcmp(out, "a}", 2) == 0);
    gw_template_free(t);
}

/* What shared memory says of a name is not taken for one with a venue. */
static void a_symbol_is_spelled_as_its_clients_know_it(void) {
    static const struct {
        char spelling;
        const char *name, *text;
    } cases[] = {
        {0, "BRK.B.XNAS", "BRK.B.XNAS"}, {1, "BRK.B.XNAS", "BRK.B"},  {2, "BRK.B.XNAS", "brk.b.xnas"},
        {3, "BRK.B.XNAS", "brk.b"},      {3, "AZ[@az.V", "az[@az"},   {3, "\xc3\x84" "A.V", "\xc3\x84" "a"},
        {3, "NODOT", "nodot"},           {1, ".V", ""},               {3, "", ""},
    };
    gw_record_t r = trade_record("1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char program[] = "\2\1\0\1>\22?";
        program[6] = cases[i].spelling;
        gw_template_t *t;
        CHECK_EQUAL(load(program, sizeof program - 1, &t), 0);
        CHECK_EQUAL(gw_template_opcode(t), GW_OP_TEXT);
        char *text = encode(t, &r, cases[i].name), expected[GW_INSTRUMENT_MAX + 2];
        snprintf(expected, sizeof expected, "%s>", cases[i].text);
        CHECK(strcmp(text, expected) == 0);
        free(text);
        gw_template_free(t);
    }
}

static void ids_are_escaped_wherever_the_quote_is(void) {
    gw_template_t *t = load_trade();
    for (size_t length = 1; length <= GW_ID_MAX; length++)
        for (size_t at = 0; at < length; at++) {
            char id[GW_ID_MAX + 1], expected[2 * GW_ID_MAX];
            memset(id, 'a', length);
            id[length] = 0;
            id[at] = at % 2 ? '"' : '\\';
            snprintf(expected, sizeof expected, "\"id\":\"%.*s\\%s\",", (int)at, id, id + at);
            gw_record_t r = trade_record(id);
            char *text = encode(t, &r, "A.B");
            CHECK(strstr(text, expected) != NULL);
            free(text);
        }
    gw_template_free(t);
}

/* What shared memory says of an id's length is cut to what a record holds. */
static void an_id_that_lies_is_cut(void) {
    gw_template_t *t = load_trade();
    gw_record_t r = trade_record("381");
    memset(r.tail.id, 'z', sizeof r.tail.id);
    r.u.trade.id_length = UINT8_MAX;
    free(encode(t, &r, "A.B"));
    gw_template_free(t);
}

static void the_longest_payload_fits(void) {
    gw_template_t *t = load_trade();
    char id[GW_ID_MAX + 1], symbol[GW_INSTRUMENT_MAX + 1];
    memset(id, '"', sizeof id - 1);
    memset(symbol, 'S', sizeof symbol - 1);
    id[sizeof id - 1] = symbol[sizeof symbol - 1] = 0;
    gw_record_t r = trade_record(id);
    r.h.topic_seq = UINT64_MAX;
    r.h.ts_event = r.h.ts_recv = INT64_MIN;
    r.u.trade.price = r.u.trade.qty = INT64_MIN;
    r.tail.high[0] = r.tail.high[1] = INT64_MIN;
    r.tail.width[0] = r.tail.width[1] = UINT8_MAX;
    r.u.trade.price_exponent = r.u.trade.qty_exponent = -1;
    r.u.trade.price_digits = r.u.trade.qty_digits = GW_DIGITS_WIDE;
    r.u.trade.side = GW_SIDE_SELL;
    free(encode(t, &r, symbol));
    r.u.trade.price_exponent = r.u.trade.qty_exponent = INT8_MAX;
    free(encode(t, &r, symbol));
    gw_template_free(t);
}

/* Over as many cells as it needs; as JSON escaped, in a binary message behind its length. What it says of its length is
 * cut at the record's end. */
static void a_text_of_any_length_is_written_whole(void) {
    static const char text_program[] = "\2\6\0\0\0\1{\10\0\0\1}", binary_program[] = "\2\6\0\0\0\1R\15\6\10\16\0";
    gw_template_t *text, *binary;
    CHECK_EQUAL(load(text_program, sizeof text_program - 1, &text), 0);
    CHECK_EQUAL(load(binary_program, sizeof binary_program - 1, &binary), 0);
    CHECK_EQUAL(gw_template_opcode(text), GW_OP_TEXT);
    CHECK_EQUAL(gw_template_opcode(binary), GW_OP_BINARY);
    const size_t at = GW_CELL + offsetof(gw_test_t, text);
    for (uint16_t cells = 2; cells < 60; cells++) {
        const size_t room = cells * (size_t)GW_CELL - at, whole = room < 3000 ? room : 3000; /* the field's room */
        gw_record_t *record = calloc(cells, GW_CELL);
        CHECK(record != NULL);
        record->h.kind = GW_TEST;
        record->h.cells = cells;
        gw_test_t *test = (gw_test_t *)(void *)((uint8_t *)record + GW_CELL);
        for (size_t i = 0; i < room; i++) test->text[i] = i % 7 ? (char)('a' + i % 26) : '"';
        for (size_t length = 0; length <= room + 900; length += 1 + length / 5) {
            const size_t shown = length < whole ? length : whole;
            test->length = (uint16_t)length;
            char *json = encode(text, record, ""), *next = json + 1;
            CHECK(json[0] == '{');
            for (size_t i = 0; i < shown; i++) {
                if (i % 7 == 0) CHECK(*next++ == '\\');
                CHECK(*next++ == test->text[i]);
            }
            CHECK(!strcmp(next, "}"));
            free(json);
            char *bytes = encode(binary, record, "");
            CHECK(bytes[0] == 'R' && (uint8_t)bytes[9] == shown % 256 && (uint8_t)bytes[10] == shown / 256);
            CHECK(!memcmp(bytes + 11, test->text, shown));
            free(bytes);
        }
        free(record);
    }
    gw_template_free(text);
    gw_template_free(binary);
}

static void a_side_that_is_not_there_is_null(void) {
    gw_template_t *t;
    CHECK_EQUAL(gw_template_load(BBO_PROGRAM, BBO_PROGRAM_SIZE, &t), 0);
    static const struct {
        uint8_t extra;
        const char *data;
    } cases[] = {
        {0, "{\"bid\":\"1\",\"bid_qty\":\"1\",\"ask\":\"1\",\"ask_qty\":\"1\"}]}"},
        {GW_EXTRA_NO_BID, "{\"bid\":null,\"bid_qty\":null,\"ask\":\"1\",\"ask_qty\":\"1\"}]}"},
        {GW_EXTRA_NO_ASK, "{\"bid\":\"1\",\"bid_qty\":\"1\",\"ask\":null,\"ask_qty\":null}]}"},
        {GW_EXTRA_NO_SIDE, "{\"bid\":null,\"bid_qty\":null,\"ask\":null,\"ask_qty\":null}]}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_text_t one = {"1", 1}, none = {NULL, 0};
        gw_text_t bid = cases[i].extra & GW_EXTRA_NO_BID ? none : one;
        gw_text_t ask = cases[i].extra & GW_EXTRA_NO_ASK ? none : one;
        const gw_text_t sides[4] = {bid, bid, ask, ask};
        gw_record_t r = {0};
        int field;
        CHECK_EQUAL(gw_record_fill(&r, GW_BBO, sides, &field), 0);
        char *text = encode(t, &r, "A.B");
        const char *data = strstr(text, "\"data\":[");
        CHECK(data && strcmp(data + 8, cases[i].data) == 0);
        free(text);
    }
    gw_template_free(t);
}

/* What a record says of itself is anybody's: any bytes become a payload within its room. */
static void a_record_of_any_bytes_fits(void) {
    gw_template_t *templates[2] = {load_trade()};
    CHECK_EQUAL(load(BBO_PROGRAM, BBO_PROGRAM_SIZE, &templates[1]), 0);
    uint64_t words[sizeof(gw_record_t) / 8], state = 1;
    for (unsigned round = 0; round < 40000; round++) {
        gw_record_t r;
        for (size_t i = 0; i < sizeof words / 8; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            words[i] = state ^ state >> 29;
        }
        memcpy(&r, words, sizeof r);
        r.h.kind = round % 2 ? GW_BBO : GW_TRADE;
        if (round % 3 == 0) memset(r.u.trade.id, '"', sizeof r.u.trade.id);
        free(encode(templates[round % 2], &r, "A.SIM"));
    }
    gw_template_free(templates[0]);
    gw_template_free(templates[1]);
}

static void bad_programs_are_refused(void) {
#define CASE(text) {text, sizeof text - 1}
    static const struct {
        const char *program;
        size_t size;
    } cases[] = {
        CASE(""),
        CASE("\2"),
        CASE("\1\1\0\0"),                                                     /* another version */
        CASE("\2\0\0\0"), CASE("\2\16\0\0"), CASE("\2\223\0\0"),            /* no such kind or notice */
        CASE("\2\1\5abc"), CASE("\2\1\0\5abc"),                               /* cut texts */
        CASE("\2\1\035xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0"),                      /* a splice too long */
        CASE("\2\1\0\0\25"), CASE("\2\1\0\0\377"),                            /* no such operation */
        CASE("\2\1\0\0\24\0\0\0"), CASE("\2\3\0\0\24\10\0\0"), CASE("\2\3\0\0\24\0\1"), /* no book; no value; cut */
        CASE("\2\3\0\0\24\0\0\0\24\0\0\0"),                           /* bids twice */
        CASE("\2\1\0\0\23"), CASE("\2\1\0\0\23\0"),                          /* an interval: between which texts? */
        CASE("\2\1\0\0\22"), CASE("\2\1\0\0\22\4"),                          /* a symbol spelled: how? */
        CASE("\2\1\0\0\0"), CASE("\2\1\0\0\0\2a"),                            /* a cut literal */
        CASE("\2\1\0\0\10"), CASE("\2\1\0\0\10\4"), CASE("\2\2\0\0\10\4"),    /* no such field */
        CASE("\2\1\0\0\3"), CASE("\2\1\0\0\3\3"),                             /* no such time */
        CASE("\2\1\0\0\10\2\0\0"), CASE("\2\10\0\0\10\7\0"),          /* a side, a flag: cut */
        /* more texts than there is room for */
        CASE("\2\1\0\0\10\2\0\0\0\10\2\0\0\0\10\2\0\0\0\10\2\0\0\0\10\2\0\0\0\10\2\0\0\0"),
        CASE("\2\1\0\0\11\0"), CASE("\2\1\0\0\13\0"),                        /* a record has no numbers or words */
        CASE("\2\200\0\0\10\0"), CASE("\2\200\0\0\2"), CASE("\2\200\0\0\3\0"), /* nor a notice fields, a seq, ts_event */
        CASE("\2\200\0\0\11\5"), CASE("\2\200\0\0\13\2"),                      /* more than there are */
        CASE("\2\1\0\0\15\7\1"), CASE("\2\1\0\0\15\4\3"), CASE("\2\1\0\0\15\4\0"), /* of what; how many bytes */
        CASE("\2\1\0\0\15\6\4"), CASE("\2\1\0\0\2\15\6\10"),                /* skipped: too short; no place of its own */
        CASE("\2\1\0\0\16\2\2ab\1b\1c"),                                    /* a side of two bytes */
    };
#undef CASE
    gw_template_t *t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQUAL(load(cases[i].program, cases[i].size, &t), -EINVAL);
    uint8_t program[4096] = {2, 1, 0, 0};
    memset(program + 4, 1, 65);
    CHECK_EQUAL(load(program, 4 + 64, &t), 0);
    gw_template_free(t);
    CHECK_EQUAL(load(program, 4 + 65, &t), -EINVAL); /* more steps than there is room for */
    memset(program + 4, 0, sizeof program - 4);      /* empty literals */
    CHECK_EQUAL(load(program, 4094, &t), 0);
    gw_template_free(t);
    CHECK_EQUAL(load(program, 4096, &t), -EINVAL);
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Whatever the program's bytes and whatever the record's: loaded or -EINVAL, and the room suffices. */
static void try_program(const uint8_t *program, size_t size) {
    gw_template_t *t;
    gw_record_t r;
    int result = load(program, size, &t);
    if (result != 0) {
        CHECK(result == -EINVAL || result == -EMSGSIZE);
        return;
    }
    for (size_t i = 0; i < sizeof r; i += 8) {
        uint64_t word = next_random();
        memcpy((char *)&r + i, &word, 8);
    }
    r.h.kind = gw_template_kind(t);
    if (r.h.kind < GW_NOTICE_KIND) free(encode(t, &r, next_random() % 2 ? "" : "BTCUSDT.BINANCE"));
    gw_template_free(t);
}

static void any_bytes_are_loaded_or_refused(void) {
    uint8_t program[sizeof trade_program];
    for (size_t size = 0; size < TRADE_PROGRAM_SIZE; size++) try_program(TRADE_PROGRAM, size);
    for (int i = 0; i < 30000; i++) { /* ours, with a few bytes changed */
        memcpy(program, trade_program, TRADE_PROGRAM_SIZE);
        for (uint64_t n = 1 + next_random() % 4; n > 0; n--)
            program[next_random() % TRADE_PROGRAM_SIZE] = (uint8_t)(next_random() % 16);
        try_program(program, TRADE_PROGRAM_SIZE);
    }
    for (int i = 0; i < 30000; i++) { /* small bytes after a good header: mostly operations */
        size_t size = 4 + next_random() % 60;
        memcpy(program, "\2\1\0\0", 4);
        program[1] = "\1\2\7"[next_random() % 3];
        for (size_t k = 4; k < size; k++) program[k] = (uint8_t)(next_random() % 20);
        try_program(program, size);
    }
    for (int i = 0; i < 30000; i++) { /* anything */
        size_t size = next_random() % sizeof program;
        for (size_t k = 0; k < size; k++) program[k] = (uint8_t)next_random();
        try_program(program, size);
    }
}

/* Identifiers may double when escaped: 160 bytes each. The last one that fits, and one more. */
static void a_template_of_too_long_messages_is_refused(void) {
    uint8_t program[4096] = {2, GW_TRADE, 0, 0};
    size_t size = 4;
    gw_template_t *t;
    for (int i = 0; i < 13; i++) { /* one literal of 3,315 bytes */
        program[size++] = 0;
        program[size++] = 255;
        memset(program + size, 'x', 255);
        size += 255;
    }
    for (int i = 0; i < 29; i++) {
        program[size++] = 8; /* FIELD: the id */
        program[size++] = 3;
    }
    CHECK_EQUAL(load(program, size, &t), 0);
    size_t longest = gw_template_frame_max(t);
    gw_template_free(t);
    CHECK(longest <= GW_FRAME_MAX && longest + 255 > GW_FRAME_MAX);
    memmove(program + 4 + 257, program + 4, size - 4);
    program[4] = 0;
    program[5] = 255;
    memset(program + 6, 'x', 255);
    CHECK_EQUAL(load(program, size + 257, &t), -EMSGSIZE);
}

int main(void) {
    RUN(a_trade_is_the_protocols_frame);
    RUN(the_splice_stands_in_the_tails_place);
    RUN(without_a_splice_nothing_is_told);
    RUN(a_symbol_is_spelled_as_its_clients_know_it);
    RUN(ids_are_escaped_wherever_the_quote_is);
    RUN(an_id_that_lies_is_cut);
    RUN(the_longest_payload_fits);
    RUN(a_text_of_any_length_is_written_whole);
    RUN(a_side_that_is_not_there_is_null);
    RUN(a_record_of_any_bytes_fits);
    RUN(bad_programs_are_refused);
    RUN(a_template_of_too_long_messages_is_refused);
    RUN(any_bytes_are_loaded_or_refused);
    return 0;
}
