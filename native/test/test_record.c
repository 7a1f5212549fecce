/* Decimals come back digit for digit, and rows are refused for what is wrong with them. */
#include "check.h"
#include "gw_record.h"

#include <errno.h>
#include <string.h>

static gw_text_t text(const char *at) { return (gw_text_t){at, strlen(at)}; }

static void decimals_come_back_as_they_were(void) {
    static const char *const texts[] = {"0",
                                        "1",
                                        "-1",
                                        "0.0",
                                        "-0",
                                        "-0.00",
                                        "007.50",
                                        "64250.10",
                                        "0.00000000000000001",
                                        "0.015",
                                        "999999999999999999",
                                        "-999999999999999999",
                                        "0.12345678901234567",
                                        "12345678901234567.8",
                                        "000000000000000000",
                                        "-0000000000000000.00"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gw_decimal_t d;
        char out[GW_DECIMAL_TEXT_MAX];
        int error = gw_decimal_parse(texts[i], strlen(texts[i]), &d);
        CHECK_EQUAL(error, 0);
        size_t length = gw_decimal_format(d.mantissa, d.exponent, d.digits, out);
        CHECK_EQUAL(length, strlen(texts[i]));
        CHECK(memcmp(out, texts[i], length) == 0);
    }
}

static void decimals_outside_the_grammar_are_refused(void) {
    static const struct {
        const char *text;
        int error;
    } cases[] = {{"", -EINVAL},
                 {"-", -EINVAL},
                 {".", -EINVAL},
                 {"1.", -EINVAL},
                 {".5", -EINVAL},
                 {"-.5", -EINVAL},
                 {"+1", -EINVAL},
                 {"1e5", -EINVAL},
                 {"1.2.3", -EINVAL},
                 {" 1", -EINVAL},
                 {"1 ", -EINVAL},
                 {"--1", -EINVAL},
                 {"1-", -EINVAL},
                 {"NaN", -EINVAL},
                 {"0x1", -EINVAL},
                 {"1,5", -EINVAL},
                 {"1234567890123456789", -ERANGE},
                 {"0.123456789012345678", -ERANGE},
                 {"0000000000000000001", -ERANGE},
                 {"123456789012345678901234567890x", -EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_decimal_t d;
        CHECK_EQUAL(gw_decimal_parse(cases[i].text, strlen(cases[i].text), &d), cases[i].error);
    }
}

static void no_number_writes_outside_its_text(void) {
    char out[GW_DECIMAL_TEXT_MAX + 1];
    static const int64_t mantissas[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    for (int exponent = -128; exponent <= 127; exponent++)
        for (int digits = 0; digits <= 255; digits++)
            for (size_t i = 0; i < 5; i++) {
                out[GW_DECIMAL_TEXT_MAX] = 'x';
                size_t length =
                    gw_decimal_format(mantissas[i], (int8_t)exponent, (uint8_t)digits, out);
                CHECK(length <= GW_DECIMAL_TEXT_MAX);
                CHECK(out[GW_DECIMAL_TEXT_MAX] == 'x');
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
        CHECK_EQUAL(r.u.trade.mark, GW_MARK);
        if (length <= GW_ID_INLINE) continue;
        CHECK_EQUAL(r.tail.mark, GW_MARK);
        CHECK(memcmp(r.tail.id, id, length - GW_ID_INLINE) == 0);
    }
    CHECK_EQUAL(trade_fill(&r, one, one, none, (gw_text_t){id, GW_ID_MAX + 1}, &field), GW_ID_LONG);
}

static void a_bad_row_says_why(void) {
    gw_record_t r;
    int field = -1;
    gw_text_t one = text("1"), none = text(""), many = text("1234567890123456789");
    CHECK_EQUAL(trade_fill(&r, text("x"), one, none, none, &field), GW_NO_DECIMAL);
    CHECK_EQUAL(field, 0);
    CHECK_EQUAL(trade_fill(&r, one, many, none, none, &field), GW_DECIMAL_LONG);
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
    CHECK(strstr(gw_refusal_text(GW_DECIMAL_LONG), "18"));
    for (int i = 1; i < GW_REFUSALS; i++) CHECK(strcmp(gw_refusal_text(i), "is well") != 0);
}

int main(void) {
    RUN(decimals_come_back_as_they_were);
    RUN(decimals_outside_the_grammar_are_refused);
    RUN(no_number_writes_outside_its_text);
    RUN(a_trade_takes_what_a_feed_gives);
    RUN(a_long_id_takes_a_third_cell);
    RUN(a_bad_row_says_why);
    return 0;
}
