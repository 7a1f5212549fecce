/* The digit writers against printf, and against the plain loop of gw_decimal_format. */
#include "check.h"
#include "gw_text.h"

#include <inttypes.h>
#include <string.h>

/* Writes into a block of exactly the room that is asked for, so that the sanitizer sees a byte too many. */
static void check_integers(int64_t value) {
    char expected[32];
    char *out = malloc(GW_TEXT_INTEGER_MAX + GW_TEXT_SLACK);
    int length = snprintf(expected, sizeof expected, "%" PRIu64, (uint64_t)value);
    CHECK_EQUAL(gw_text_unsigned((uint64_t)value, out), length);
    CHECK(memcmp(out, expected, (size_t)length) == 0);
    length = snprintf(expected, sizeof expected, "%" PRId64, value);
    CHECK_EQUAL(gw_text_signed(value, out), length);
    CHECK(memcmp(out, expected, (size_t)length) == 0);
    free(out);
}

static void eight_digits_at_once(void) {
    for (unsigned i = 0; i < 10000; i++) {
        unsigned values[] = {i, i * 10000, i * 10000 + i, i * 10000 + 9999 - i};
        for (size_t k = 0; k < 4; k++) {
            char out[8], expected[16];
            gw_text_store8(out, gw_text_eight(values[k]));
            snprintf(expected, sizeof expected, "%08u", values[k]);
            CHECK(memcmp(out, expected, 8) == 0);
        }
    }
}

static void integers_of_every_width(void) {
    uint64_t power = 1;
    for (int i = 0; i < 20; i++, power *= 10)
        for (int d = -2; d <= 2; d++) check_integers((int64_t)(power + (uint64_t)d));
    for (int bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) check_integers((int64_t)((1ull << bit) + (uint64_t)d));
}

/* All exponents that a byte can hold, most of which no parser makes: they are cut alike. */
static void decimals_as_the_plain_loop_writes_them(void) {
    static const int64_t mantissas[] = {0, 1, -1, 6425010, -6425010, 99999999, 100000000, 123456789012345678,
                                        -999999999999999999, INT64_MAX, INT64_MIN};
    char expected[GW_DECIMAL_TEXT_MAX];
    char *out = malloc(GW_DECIMAL_TEXT_MAX + GW_TEXT_SLACK);
    for (size_t i = 0; i < sizeof mantissas / sizeof *mantissas; i++)
        for (int exponent = -128; exponent < 128; exponent++)
            for (unsigned digits = 0; digits <= UINT8_MAX; digits++) {
                if ((digits & ~GW_DECIMAL_NEGATIVE_ZERO) > GW_DIGITS_NARROW) continue;
                size_t length = gw_decimal_format(mantissas[i], (int8_t)exponent, (uint8_t)digits, expected);
                size_t got = gw_text_decimal(mantissas[i], (int8_t)exponent, (uint8_t)digits, out);
                CHECK_EQUAL(got, length);
                CHECK(memcmp(out, expected, length) == 0);
            }
    free(out);
}

static void copies_are_exact(void) {
    for (size_t size = 0; size <= 100; size++) {
        char *from = malloc(size + 1), *out = malloc(size + 1);
        for (size_t i = 0; i < size; i++) from[i] = (char)(i * 7 + 1);
        out[size] = 'x';
        gw_text_copy(out, from, size);
        CHECK(memcmp(out, from, size) == 0);
        CHECK(out[size] == 'x');
        free(from);
        free(out);
    }
}

int main(void) {
    RUN(eight_digits_at_once);
    RUN(integers_of_every_width);
    RUN(decimals_as_the_plain_loop_writes_them);
    RUN(copies_are_exact);
    return 0;
}
