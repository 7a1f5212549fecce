/* Numbers of a book: texts to levels and back, digit for digit; what is refused; and no row makes a text too long. */
#include "book_model.h"
#include "gw_book_internal.h"
#include "gw_book_text.h"

typedef struct {
    char price[GW_BOOK_PRICE_TEXT_MAX + GW_TEXT_SLACK], qty[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK];
} texts_t;

static gw_book_refusal_t parse(unsigned side, const char *price, const char *qty, gw_book_level_t *out) {
    gw_refusal_t why;
    return gw_book_level_parse((uint8_t)side, price, strlen(price), qty, strlen(qty), out, &why);
}

/* The row that a book would have of a level, at a scale. */
static gw_book_row_t row_of(const gw_book_level_t *l, unsigned scale) {
    int64_t price = l->price * gw_book_power(scale - l->price_decimals);
    gw_book_row_t row = {.key = l->side ? -price : price, .qty = l->qty, .qty_high = l->qty_high, .side = l->side};
    row.digits = gw_book_digits(l->price_decimals, l->qty_decimals, l->qty_zeros & ~GW_BOOK_LEVEL_WIDE);
    return row;
}

static void texts_of(const gw_book_row_t *row, unsigned scale, texts_t *t) {
    size_t n = gw_book_price_text(row, scale, t->price);
    CHECK(n <= GW_BOOK_PRICE_TEXT_MAX);
    CHECK_EQUAL(gw_book_price_size(row, scale), n);
    t->price[n] = 0;
    n = gw_book_qty_text(row, t->qty);
    CHECK(n <= GW_BOOK_QTY_TEXT_MAX);
    CHECK_EQUAL(gw_book_qty_size(row), n);
    t->qty[n] = 0;
}

static void texts_come_back_as_they_were(void) {
    static const char *const prices[] = {"64250.10", "0.01", "0", "0.000", "-37.63", "-0.05", "7", "123456789012345678",
                                         "0.000000000000000000000000000000000000000000000000000000000000123",
                                         "1000", "0.100000000000000000", "99999999999.9999999"};
    static const char *const quantities[] = {
        "3.78826000", "0.00000001", "1", "1000", "100000000000000000000000", "123456789012.000000000000000000",
        "0.000000000000000000000000000000000000000000000000000000000012300", "9223372036854775807",
        "9223372036854775808", "99999999999999999999999999999999999999", "1234567890123456789.0123456789012345678",
        "18446744073709551616.50", "120.0"};
    for (size_t p = 0; p < sizeof prices / sizeof prices[0]; p++) {
        for (size_t q = 0; q < sizeof quantities / sizeof quantities[0]; q++) {
            for (unsigned side = 0; side < 2; side++) {
                gw_book_level_t l;
                texts_t t;
                CHECK_EQUAL(parse(side, prices[p], quantities[q], &l), GW_BOOK_FINE);
                gw_book_row_t row = row_of(&l, l.price_decimals);
                texts_of(&row, l.price_decimals, &t);
                CHECK(strcmp(t.price, prices[p]) == 0);
                CHECK(strcmp(t.qty, quantities[q]) == 0);
            }
        }
    }
}

/* Random digits, at a scale that is finer than the level's. */
static void any_digits_come_back(void) {
    for (uint64_t i = 0; i < 100000; i++) {
        char price[64], qty[64];
        unsigned decimals = (unsigned)draw(9), more = (unsigned)draw(4);
        int64_t value = (int64_t)draw((uint64_t)gw_book_power(1 + (unsigned)draw(13)));
        int64_t one = gw_book_power(decimals);
        snprintf(price, sizeof price, decimals ? "%s%lld.%0*lld" : "%s%lld", draw(8) || value == 0 ? "" : "-",
                 (long long)(value / one), (int)decimals, (long long)(value % one));
        uint64_t amount = draw((uint64_t)gw_book_power(1 + (unsigned)draw(17))) + 1;
        int zeros = (int)draw(12);
        if (draw(2)) snprintf(qty, sizeof qty, "%llu%.*s", (unsigned long long)amount, zeros, "000000000000");
        else snprintf(qty, sizeof qty, "%llu.1%.*s", (unsigned long long)amount, zeros, "000000000000");
        gw_book_level_t l;
        texts_t t;
        CHECK_EQUAL(parse(i % 2, price, qty, &l), GW_BOOK_FINE);
        gw_book_row_t row = row_of(&l, decimals + more);
        texts_of(&row, decimals + more, &t);
        CHECK(strcmp(t.price, price) == 0);
        CHECK(strcmp(t.qty, qty) == 0);
    }
}

static void other_spellings_are_the_same_level(void) {
    gw_book_level_t a, b;
    CHECK_EQUAL(parse(0, "1.9e3", "1.5e-7", &a), GW_BOOK_FINE);
    CHECK_EQUAL(parse(0, "1900", "0.00000015", &b), GW_BOOK_FINE);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK_EQUAL(parse(0, "0064250.10", "05", &a), GW_BOOK_FINE);
    CHECK_EQUAL(parse(0, "64250.10", "5", &b), GW_BOOK_FINE);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK_EQUAL(parse(0, "5", "0.00000000", &a), GW_BOOK_FINE);
    CHECK(a.qty == 0 && a.qty_decimals == 0);
    CHECK_EQUAL(parse(0, "5", "-0", &a), GW_BOOK_FINE);
    CHECK_EQUAL(a.qty, 0);
}

static void what_a_level_cannot_say_is_refused(void) {
    gw_book_level_t l;
    CHECK_EQUAL(parse(0, "", "1", &l), GW_BOOK_PRICE_REFUSED);
    CHECK_EQUAL(parse(0, "1,5", "1", &l), GW_BOOK_PRICE_REFUSED);
    CHECK_EQUAL(parse(0, "1", "x", &l), GW_BOOK_QTY_REFUSED);
    CHECK_EQUAL(parse(0, "1", "", &l), GW_BOOK_QTY_REFUSED);
    CHECK_EQUAL(parse(0, "1", "-1", &l), GW_BOOK_QTY_NEGATIVE);
    CHECK_EQUAL(parse(0, "1", "-100000000000000000000", &l), GW_BOOK_QTY_NEGATIVE);
    CHECK_EQUAL(parse(0, "1000000000000000000", "1", &l), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(parse(0, "1e50", "1", &l), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(parse(0, "1e-64", "1", &l), GW_BOOK_PRICE_DECIMALS);
    CHECK_EQUAL(parse(0, "1e-63", "1", &l), GW_BOOK_FINE);
    CHECK_EQUAL(parse(0, "1", "1e100", &l), GW_BOOK_FINE);
}

/* Rows may come from memory that is shared: whatever they say, their texts have bounds. */
static void no_row_makes_a_text_too_long(void) {
    for (uint64_t i = 0; i < 200000; i++) {
        gw_book_row_t row = {.key = (int64_t)draw(UINT64_MAX), .qty = (int64_t)draw(UINT64_MAX),
                             .digits = draw(UINT64_MAX), .side = (uint8_t)draw(2)};
        if (draw(2)) row.qty_high = (int64_t)draw(UINT64_MAX);
        if (draw(4) == 0) row.digits |= UINT64_MAX << 43;
        texts_t t;
        char digits[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK];
        unsigned scale = (unsigned)draw(256);
        texts_of(&row, scale, &t);
        CHECK(gw_book_price_digits(&row, scale, digits) <= 21);
        CHECK(gw_book_qty_digits(&row, digits) <= GW_BOOK_QTY_TEXT_MAX);
    }
}

int main(void) {
    RUN(texts_come_back_as_they_were);
    RUN(any_digits_come_back);
    RUN(other_spellings_are_the_same_level);
    RUN(what_a_level_cannot_say_is_refused);
    RUN(no_row_makes_a_text_too_long);
    return 0;
}
