/* The glob, held against the obvious recursive one over every short pattern and name. */
#include "check.h"
#include "gw_pattern.h"

#include <errno.h>
#include <string.h>

static bool naive(const char *p, const char *n) {
    if (*p == '\0') return *n == '\0';
    if (*p == '*') return naive(p + 1, n) || (*n != '\0' && naive(p, n + 1));
    return *p == *n && naive(p + 1, n + 1);
}

static bool match(const char *p, const char *n) {
    return gw_pattern_match(p, strlen(p), n, strlen(n));
}

/* The same by the pattern taken apart, from blocks of exactly their size; and within its bound. */
static bool taken_apart(const char *p, const char *n) {
    size_t pattern_length = strlen(p), name_length = strlen(n);
    char *pattern = malloc(pattern_length + 1), *name = malloc(name_length + 1);
    memcpy(pattern + 1, p, pattern_length);
    memcpy(name + 1, n, name_length);
    gw_glob_t g;
    uint32_t steps = 0;
    CHECK_EQUAL(gw_glob_compile(&g, pattern + 1, pattern_length), 0);
    bool matches = gw_glob_match_counted(&g, name + 1, name_length, &steps);
    CHECK(steps <= pattern_length * name_length);
    CHECK(!matches || (gw_letters(p, pattern_length) & ~gw_letters(n, name_length)) == 0);
    free(pattern);
    free(name);
    return matches;
}

/* The i-th word over an alphabet, as digits of a number. */
static void word(unsigned i, const char *alphabet, size_t letters, char *out) {
    while (i > 0) {
        *out++ = alphabet[(i - 1) % letters];
        i = (i - 1) / (unsigned)letters;
    }
    *out = '\0';
}

static void every_short_pattern_agrees_with_the_naive_one(void) {
    char pattern[16], name[16];
    for (unsigned p = 0; p < 1093; p++) /* all words of up to 6 letters */
        for (unsigned n = 0; n < 127; n++) {
            word(p, "ab*", 3, pattern);
            word(n, "ab", 2, name);
            CHECK_EQUAL(match(pattern, name), naive(pattern, name));
            CHECK_EQUAL(taken_apart(pattern, name), naive(pattern, name));
        }
}

/* A pattern's parts, and which kind it is for them. */
static void patterns_are_taken_apart(void) {
    static const struct {
        const char *text;
        unsigned head, tail, least, kind;
    } ROWS[] = {
        {"", 0, 0, 0, GW_GLOB_NAME},          {"BTC", 3, 0, 3, GW_GLOB_NAME},
        {"*", 0, 0, 0, GW_GLOB_ENDS},         {"**", 0, 0, 0, GW_GLOB_ENDS},
        {"BTC*", 3, 0, 3, GW_GLOB_ENDS},      {"*.SIM", 0, 4, 4, GW_GLOB_ENDS},
        {"A**BC", 1, 2, 3, GW_GLOB_ENDS},     {"A*B*CD", 1, 2, 4, GW_GLOB_MIDDLES},
        {"*USDT*", 0, 0, 4, GW_GLOB_MIDDLES}, {"A**B*", 1, 0, 2, GW_GLOB_MIDDLES},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        gw_glob_t g;
        CHECK_EQUAL(gw_glob_compile(&g, ROWS[i].text, strlen(ROWS[i].text)), 0);
        CHECK_EQUAL(g.head, ROWS[i].head);
        CHECK_EQUAL(g.tail, ROWS[i].tail);
        CHECK_EQUAL(g.least, ROWS[i].least);
        CHECK_EQUAL(g.kind, ROWS[i].kind);
    }
}

static void a_text_that_is_too_long_is_refused(void) {
    char text[GW_GLOB_MAX + 1];
    gw_glob_t g;
    memset(text, '*', sizeof text);
    CHECK_EQUAL(gw_glob_compile(&g, text, GW_GLOB_MAX + 1), -EINVAL);
    CHECK_EQUAL(gw_glob_compile(&g, text, GW_GLOB_MAX), 0);
    CHECK(g.kind == GW_GLOB_ENDS && gw_glob_match(&g, "BTC", 3));
}

static void instruments(void) {
    CHECK(match("*.BINANCE", "BTCUSDT.BINANCE"));
    CHECK(!match("*.BINANCE", "BTCUSDT.BINANCE_USDM"));
    CHECK(match("BTC*", "BTCUSDT.BINANCE"));
    CHECK(match("*", "X.Y"));
    CHECK(match("BRK.B.XNAS", "BRK.B.XNAS"));
    CHECK(!match("BRK.B.XNA?", "BRK.B.XNAS"));
    CHECK(!match("", "X.Y"));
}

/* 32 stars over a name of 64 letters: exponential for a recursive glob. */
static void many_stars_stay_cheap(void) {
    char pattern[66], name[65];
    for (size_t i = 0; i < 64; i++) pattern[i] = i % 2 ? 'a' : '*';
    pattern[64] = 'b';
    pattern[65] = '\0';
    memset(name, 'a', 64);
    name[64] = '\0';
    for (int i = 0; i < 10000; i++) CHECK(!match(pattern, name));
    gw_glob_t g;
    uint32_t steps = 0;
    pattern[64] = '*'; /* the end says nothing: all literals have to be looked for */
    CHECK_EQUAL(gw_glob_compile(&g, pattern, 65), 0);
    CHECK(gw_glob_match_counted(&g, name, 64, &steps));
    CHECK_EQUAL(steps, 32 * 2);
    CHECK(!taken_apart("*aaaaaaaaaaaaaaab*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void) {
    RUN(every_short_pattern_agrees_with_the_naive_one);
    RUN(patterns_are_taken_apart);
    RUN(a_text_that_is_too_long_is_refused);
    RUN(instruments);
    RUN(many_stars_stay_cheap);
    return 0;
}
