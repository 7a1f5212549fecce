/* Decimals come back digit for digit, and rows are refused for what is wrong with them. */
#include "check.h"
#include "gw_kind.h"
#include "gw_record.h"

#include <stdlib.h>
#include <string.h>

static gw_text_t text(const char *at) { return (gw_text_t){at, strlen(at)}; }

/* What a record says of a price. */
static size_t round_trip(const char *from, char *out) {
    gw_record_t r;
    int field;
    const gw_text_t texts[4] = {text(from), text("1"), text(""), text("")};
    CHECK_EQUAL(gw_record_fill(&r, GW_TRADE, texts, &field), GW_FINE);
    return gw_record_decimal(&r, 0, out);
}

static void decimals_come_back_as_they_were(void) {
    static const char *const texts[] = {
        "0", "1", "-1", "0.0", "-0", "-0.00", "007.50", "64250.10", "0.00000000000000001", "0.015",
        "999999999999999999", "-999999999999999999", "0.12345678901234567", "12345678901234567.8",
        "000000000000000000", "-0000000000000000.00",
        /* From here on they are wide. */
        "1234567890123456789", "0000000000000000000", "-0.0000000000000000000",
        "123456789012.00000000", "1234.567890123456789012", "0.000000000000123456",
        "18446744073709551615", "18446744073709551616", "-9223372036854775808",
        "99999999999999999999999999999999999999", "-99999999999999999999999999999999999999",
        "0.99999999999999999999999999999999999999", "-12345678901234567890123456789.012345678",
        "0000000000000000000000000000000000000000000000000000099999999999999999999999999999999999999",
        "100000000000000000000000000000000000000", "-00999999999999999999999999999999999999990000",
        "12345678901234567890123456789012345678000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000",
        "0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000001"};
    char out[GW_DECIMAL_TEXT_MAX];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t length = round_trip(texts[i], out);
        CHECK_EQUAL(length, strlen(texts[i]));
        CHECK(memcmp(out, texts[i], length) == 0);
    }
}

static void exponents_become_plain_digits(void) {
    static const char *const cases[][2] = {
        {"1.9e-07", "0.00000019"}, {"1E5", "100000"}, {"1e+05", "100000"}, {"-2.50e1", "-25.0"},
        {"12.5e0", "12.5"}, {"0e9", "0"}, {"-0e9", "-0"}, {"0e-3", "0.000"}, {"-0.0e-1", "-0.00"},
        {"0012e1", "120"}, {"000.5e1", "5"}, {"0.5e2", "50"}, {"1e18", "1000000000000000000"},
        {"1e37", "10000000000000000000000000000000000000"},
        {"12345678901234567890123456789012345678e-38", "0.12345678901234567890123456789012345678"},
        {"9e-17", "0.00000000000000009"}, {"9e-18", "0.000000000000000009"},
        {"-1.5e39", "-1500000000000000000000000000000000000000"}};
    char out[GW_DECIMAL_TEXT_MAX], hundred[] = "1e100", tiny[] = "-1e-100";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length = round_trip(cases[i][0], out);
        CHECK_EQUAL(length, strlen(cases[i][1]));
        CHECK(memcmp(out, cases[i][1], length) == 0);
    }
    CHECK_EQUAL(round_trip(hundred, out), 101);
    CHECK(out[0] == '1' && out[1] == '0' && out[100] == '0');
    CHECK_EQUAL(round_trip(tiny, out), 103);
    CHECK(memcmp(out, "-0.0", 4) == 0 && out[102] == '1');
    CHECK_EQUAL(round_trip("99999999999999999999999999999999999999e100", out), 138);
    CHECK_EQUAL(round_trip("1.234567890123456789012345678e-100", out), 129);
}

static void decimals_outside_the_grammar_are_refused(void) {
    static const struct {
        const char *text;
        gw_refusal_t why;
    } cases[] = {{"", GW_NO_DECIMAL},
                 {"-", GW_NO_DECIMAL},
                 {".", GW_NO_DECIMAL},
                 {"1.", GW_NO_DECIMAL},
                 {".5", GW_NO_DECIMAL},
                 {"-.5", GW_NO_DECIMAL},
                 {"+1", GW_NO_DECIMAL},
                 {"1e", GW_NO_DECIMAL},
                 {"e5", GW_NO_DECIMAL},
                 {"1.e5", GW_NO_DECIMAL},
                 {"1e+", GW_NO_DECIMAL},
                 {"1e5.0", GW_NO_DECIMAL},
                 {"1e5e5", GW_NO_DECIMAL},
                 {"1e--5", GW_NO_DECIMAL},
                 {"-e5", GW_NO_DECIMAL},
                 {"1.2.3", GW_NO_DECIMAL},
                 {" 1", GW_NO_DECIMAL},
                 {"1 ", GW_NO_DECIMAL},
                 {"--1", GW_NO_DECIMAL},
                 {"1-", GW_NO_DECIMAL},
                 {"NaN", GW_NO_DECIMAL},
                 {"Infinity", GW_NO_DECIMAL},
                 {"0x1", GW_NO_DECIMAL},
                 {"1,5", GW_NO_DECIMAL},
                 {"123456789012345678901234567890123456789x", GW_NO_DECIMAL},
                 {"100000000000000000000000000000000000001", GW_DIGITS_MANY},
                 {"100000000000000000000000000000000000000.0", GW_DIGITS_MANY},
                 {"100000000000000000000000000000000000000e1", GW_DIGITS_MANY},
                 {"1000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                  "000000000000000000000000000000000000000000000000000000000",
                  GW_DIGITS_MANY},
                 {"0.123456789012345678901234567890123456789", GW_DIGITS_MANY},
                 {"1e101", GW_EXPONENT_LARGE},
                 {"1e-101", GW_EXPONENT_LARGE},
                 {"1e99999999999999999999", GW_EXPONENT_LARGE},
                 {"1.23456789012345678901234567890e-100", GW_DECIMALS_MANY},
                 {"0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                  "00000000000000000000000000000000000000000000000000000000001",
                  GW_ZEROS_MANY}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_decimal_t d;
        CHECK_EQUAL(gw_decimal_parse(cases[i].text, strlen(cases[i].text), &d), cases[i].why);
    }
}

/* All that a payload's bytes can say, most of which no parser makes. */
static void no_number_writes_outside_its_text(void) {
    char *out = malloc(GW_DECIMAL_TEXT_MAX);
    static const int64_t mantissas[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    gw_record_t r = {.h.kind = GW_TRADE};
    for (int exponent = -128; exponent <= 127; exponent++)
        for (int digits = 0; digits <= 255; digits++)
            for (size_t i = 0; i < 5; i++) {
                r.u.trade.price = mantissas[i];
                r.u.trade.price_exponent = (int8_t)exponent;
                r.u.trade.price_digits = (uint8_t)digits;
                r.tail.high[0] = mantissas[(i + (size_t)digits) % 5];
                r.tail.width[0] = (uint8_t)(digits * 37);
                CHECK(gw_record_decimal(&r, 0, out) <= GW_DECIMAL_TEXT_MAX);
            }
    free(out);
}

/* The tail has the whole of each number, wide or not: 128 bits and their sign. */
static void a_wide_number_takes_a_third_cell(void) {
    gw_record_t r;
    int field;
    const gw_text_t sides[4] = {text("-18446744073709551617"), text("-1.5"), text("3"),
                                text("0.00000000000000000012")};
    memset(&r, 0xee, sizeof r);
    CHECK_EQUAL(gw_record_fill(&r, GW_BBO, sides, &field), GW_FINE);
    CHECK_EQUAL(gw_record_cells(&r), 3);
    CHECK_EQUAL(r.u.bbo.mantissa[GW_BID], -1);
    CHECK_EQUAL(r.tail.high[GW_BID], -2);
    CHECK_EQUAL(r.tail.width[GW_BID], 20);
    CHECK_EQUAL(r.u.bbo.digits[GW_BID_QTY], 2);
    CHECK_EQUAL(r.tail.high[GW_BID_QTY], -1);
    CHECK_EQUAL(r.tail.high[GW_ASK], 0);
    CHECK_EQUAL(r.tail.width[GW_ASK_QTY], 21);
    CHECK_EQUAL(r.u.bbo.exponent[GW_ASK_QTY], -20);
    for (unsigned i = 0; i < 4; i++) {
        char out[GW_DECIMAL_TEXT_MAX];
        CHECK_EQUAL(gw_record_decimal(&r, i, out), sides[i].length);
        CHECK(memcmp(out, sides[i].at, sides[i].length) == 0);
    }
}

static gw_refusal_t trade_fill(gw_record_t *r, gw_text_t price, gw_text_t qty, gw_text_t side,
                               gw_text_t id, int *field) {
    const gw_text_t texts[4] = {price, qty, side, id};
    return gw_record_fill(r, GW_TRADE, texts, field);
}

static void a_trade_takes_what_a_feed_gives(void) {
    gw_record_t r;
    int field;
    const char *id = "1234567890123456789012345678901234567890";
    CHECK_EQUAL(trade_fill(&r, text("64250.10"), text("0.015"), text("sell"), text(id), &field), 0);
    const gw_trade_t *trade = &r.u.trade;
    CHECK_EQUAL(r.h.kind, GW_TRADE);
    CHECK_EQUAL(trade->price, 6425010);
    CHECK_EQUAL(trade->price_exponent, -2);
    CHECK_EQUAL(trade->qty, 15);
    CHECK_EQUAL(trade->qty_digits, 4);
    CHECK_EQUAL(trade->side, GW_SIDE_SELL);
    CHECK_EQUAL(trade->id_length, 40);
    CHECK(memcmp(trade->id, id, 40) == 0);
    CHECK_EQUAL(gw_record_cells(&r), 2);
    CHECK_EQUAL(trade_fill(&r, text("1"), text("2"), text(""), text("a\"\\ b"), &field), 0);
    CHECK_EQUAL(trade->side, GW_SIDE_NONE);
}

/* From byte 41 on an id lies in the tail; a record filled after it has none. */
static void a_long_id_takes_a_third_cell(void) {
    gw_record_t r;
    int field;
    char id[GW_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    gw_text_t one = text("1"), none = text("");
    for (size_t length = 0; length <= GW_ID_MAX; length++) {
        memset(&r, 0xee, sizeof r);
        CHECK_EQUAL(trade_fill(&r, one, one, none, (gw_text_t){id, length}, &field), GW_FINE);
        CHECK_EQUAL(r.u.trade.id_length, length);
        CHECK_EQUAL(gw_record_cells(&r), length <= GW_ID_INLINE ? 2 : 3);
        if (length <= GW_ID_INLINE) continue;
        CHECK(memcmp(r.tail.id, id, length - GW_ID_INLINE) == 0);
    }
    CHECK_EQUAL(trade_fill(&r, one, one, none, (gw_text_t){id, GW_ID_MAX + 1}, &field), GW_ID_LONG);
}

/* Both values of a side are there or neither is. */
static void a_quote_may_lack_a_side(void) {
    gw_record_t r;
    int field;
    char out[GW_DECIMAL_TEXT_MAX];
    const gw_text_t one = text("1"), wide = text("0.0000000000000000001"), none = {NULL, 0};
    for (unsigned there = 0; there < 16; there++) {
        gw_text_t sides[4];
        for (unsigned i = 0; i < 4; i++) sides[i] = there >> i & 1 ? i % 2 ? wide : one : none;
        gw_refusal_t refusal = gw_record_fill(&r, GW_BBO, sides, &field);
        bool bid_half = (there & 3) == 1 || (there & 3) == 2, ask_half = there >> 2 == 1 || there >> 2 == 2;
        CHECK_EQUAL(refusal, bid_half || ask_half ? GW_SIDE_HALF : GW_FINE);
        if (refusal) {
            CHECK(sides[field].at == NULL && sides[field ^ 1].at != NULL);
            continue;
        }
        uint8_t extra = r.u.bbo.extra;
        CHECK_EQUAL(extra & GW_EXTRA_NO_BID, there & 3 ? 0 : GW_EXTRA_NO_BID);
        CHECK_EQUAL(extra & GW_EXTRA_NO_ASK, there >> 2 ? 0 : GW_EXTRA_NO_ASK);
        CHECK_EQUAL(gw_record_cells(&r), there ? 3 : 2);
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQUAL(gw_record_decimal(&r, i, out), sides[i].length);
            CHECK_EQUAL(r.u.bbo.exponent[i] == GW_EXPONENT_NONE, sides[i].at == NULL);
        }
    }
    const gw_text_t zeros[4] = {text("0"), text("0"), text(""), text("")};
    CHECK_EQUAL(gw_record_fill(&r, GW_BBO, zeros, &field), GW_NO_DECIMAL);
    CHECK_EQUAL(field, 2);
}

static void an_instrument_takes_two_cells_of_payload(void) {
    static const uint8_t numbers[] = {2, 3, 6, 7}; /* fields without a text */
    gw_record_t r;
    gw_text_t texts[10];
    int field;
    memset(&r, 0xaa, sizeof r);
    for (unsigned i = 0; i < 10; i++) texts[i] = text("sixteen-letters!");
    for (unsigned i = 0; i < 4; i++) texts[numbers[i]] = (gw_text_t){NULL, 0};
    texts[GW_TICK] = text("0.01");
    texts[GW_LOT] = (gw_text_t){NULL, 0};
    texts[8] = text("delisted");
    texts[9] = text("forty-eight letters of a venue's own long symbol");
    CHECK_EQUAL(gw_record_fill(&r, GW_INSTRUMENT, texts, &field), GW_FINE);
    CHECK(r.h.cells == GW_RECORD_CELLS_TAIL && gw_record_cells(&r) == GW_RECORD_CELLS_TAIL);
    CHECK(gw_record_possible(GW_INSTRUMENT, 3) && !gw_record_possible(GW_INSTRUMENT, 2) && !gw_record_possible(GW_INSTRUMENT, 4));
    CHECK(r.u.instrument.price_digits == 0 && r.u.instrument.flags == 0);
    CHECK_EQUAL(r.u.instrument.extra, GW_EXTRA_TAIL | GW_EXTRA_NO_LOT);
    char out[GW_DECIMAL_TEXT_MAX];
    CHECK(gw_record_decimal(&r, 0, out) == 4 && !memcmp(out, "0.01", 4));
    CHECK_EQUAL(gw_record_decimal(&r, 1, out), 0);
    CHECK(!memcmp(r.u.instrument.base, "sixteen-letters!", 16) && !memcmp(r.instrument_more.quote, "sixteen-letters!", 16));
    CHECK(r.instrument_more.own[47] == 'l' && r.u.instrument.own_length == 48 && r.u.instrument.status_length == 8);
    texts[GW_LOT] = text("1234567890123456789"); /* there is no tail for the upper half */
    CHECK_EQUAL(gw_record_fill(&r, GW_INSTRUMENT, texts, &field), GW_DIGITS_NARROW_ONLY);
    CHECK_EQUAL(field, GW_LOT);
    texts[GW_LOT] = text("123456789012345678");
    texts[4] = text("seventeen-letters");
    CHECK_EQUAL(gw_record_fill(&r, GW_INSTRUMENT, texts, &field), GW_WORDS_LONG);
    CHECK_EQUAL(field, 4);
}

static void a_bad_row_says_why(void) {
    gw_record_t r;
    int field = -1;
    gw_text_t one = text("1"), none = text(""), many = text("1234567890123456789012345678901234567890");
    CHECK_EQUAL(trade_fill(&r, text("x"), one, none, none, &field), GW_NO_DECIMAL);
    CHECK_EQUAL(field, 0);
    CHECK_EQUAL(trade_fill(&r, one, many, none, none, &field), GW_DIGITS_MANY);
    CHECK_EQUAL(field, 1);
    CHECK_EQUAL(trade_fill(&r, one, one, text("BUY"), none, &field), GW_NO_SIDE);
    CHECK_EQUAL(field, 2);
    CHECK_EQUAL(trade_fill(&r, one, one, none, text("a\n"), &field), GW_ID_NO_TEXT);
    CHECK_EQUAL(field, 3);
    CHECK_EQUAL(trade_fill(&r, one, one, none, text("\xc3\xa9"), &field), GW_ID_NO_TEXT);
    gw_text_t sides[4] = {one, one, one, text("-")};
    CHECK_EQUAL(gw_record_fill(&r, GW_BBO, sides, &field), GW_NO_DECIMAL);
    CHECK_EQUAL(field, 3);
    sides[GW_ASK_QTY] = text("-0.0");
    CHECK_EQUAL(gw_record_fill(&r, GW_BBO, sides, &field), GW_FINE);
    CHECK_EQUAL(r.u.bbo.digits[GW_ASK_QTY], 2 | GW_DECIMAL_NEGATIVE_ZERO);
    CHECK(strstr(gw_refusal_text(GW_ID_LONG), "80"));
    CHECK(strstr(gw_refusal_text(GW_DIGITS_MANY), "38"));
    for (int i = 1; i < GW_REFUSAL_END; i++) CHECK(strcmp(gw_refusal_text(i), "well") != 0);
}

int main(void) {
    RUN(decimals_come_back_as_they_were);
    RUN(exponents_become_plain_digits);
    RUN(decimals_outside_the_grammar_are_refused);
    RUN(no_number_writes_outside_its_text);
    RUN(a_wide_number_takes_a_third_cell);
    RUN(a_trade_takes_what_a_feed_gives);
    RUN(a_long_id_takes_a_third_cell);
    RUN(a_quote_may_lack_a_side);
    RUN(an_instrument_takes_two_cells_of_payload);
    RUN(a_bad_row_says_why);
    return 0;
}
