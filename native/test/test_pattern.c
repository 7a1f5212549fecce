/* The glob, held against the obvious recursive one over every short pattern and name. */
#include "check.h"
#include "gw_pattern.h"

#include <string.h>

static bool naive(const char *p, const char *n) {
    if (*p == '\0') return *n == '\0';
    if (*p == '*') return naive(p + 1, n) || (*n != '\0' && naive(p, n + 1));
    return *p == *n && naive(p + 1, n + 1);
}

static bool match(const char *p, const char *n) {
    return gw_pattern_match(p, strlen(p), n, strlen(n));
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
        }
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
}

int main(void) {
    RUN(every_short_pattern_agrees_with_the_naive_one);
    RUN(instruments);
    RUN(many_stars_stay_cheap);
    return 0;
}
