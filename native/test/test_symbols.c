/* The table of symbols against a plain list. */
#include "check.h"
#include "gw_symbols.h"

#define SYMBOLS 3000u

static gw_text_t text(const char *at) { return (gw_text_t){at, strlen(at)}; }

static void every_symbol_is_found_and_no_other(void) {
    gw_symbols_t s;
    char names[SYMBOLS][16];
    CHECK_EQUAL(gw_symbols_init(&s, 4), 0);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        sprintf(names[i], "%.*s%u", (int)(i % 9), "ABCDEFGHI", i);
        CHECK_EQUAL(gw_symbols_find(&s, GW_TRADE, text(names[i])), -ENOENT);
        CHECK_EQUAL(gw_symbols_put(&s, GW_TRADE, text(names[i]), 2 * i), 0);
        if (i % 2 == 0) continue;
        CHECK_EQUAL(gw_symbols_put(&s, GW_BBO, text(names[i]), 2 * i + 1), 0);
    }
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        CHECK_EQUAL(gw_symbols_find(&s, GW_TRADE, text(names[i])), 2 * i);
        int64_t quote = i % 2 ? (int64_t)i * 2 + 1 : -ENOENT;
        CHECK_EQUAL(gw_symbols_find(&s, GW_BBO, text(names[i])), quote);
        gw_text_t cut = {names[i], strlen(names[i]) - 1};
        int64_t topic = gw_symbols_find(&s, GW_TRADE, cut);
        CHECK(topic == -ENOENT || strncmp(names[topic / 2], cut.at, cut.length) == 0);
    }
    CHECK_EQUAL(s.count, SYMBOLS + SYMBOLS / 2);
    CHECK(s.mask + 1 <= 4 * s.count);
    gw_symbols_free(&s);
}

static void one_put_twice_is_replaced(void) {
    gw_symbols_t s;
    CHECK_EQUAL(gw_symbols_init(&s, 4), 0);
    for (uint32_t topic = 0; topic < 10; topic++) {
        CHECK_EQUAL(gw_symbols_put(&s, GW_TRADE, text("A"), topic), 0);
        CHECK_EQUAL(gw_symbols_find(&s, GW_TRADE, text("A")), topic);
    }
    CHECK_EQUAL(s.count, 1);
    gw_symbols_free(&s);
}

/* From blocks of exactly their size, so that the sanitizer sees a byte too many. */
static void lengths_up_to_the_longest(void) {
    gw_symbols_t s;
    CHECK_EQUAL(gw_symbols_init(&s, 4), 0);
    for (size_t length = 0; length <= GW_SYMBOL_MAX + 1; length++) {
        char *block = malloc(length + (length == 0));
        memset(block, '~', length);
        gw_text_t symbol = {block, length};
        int error = length == 0 || length > GW_SYMBOL_MAX ? -EINVAL : 0;
        CHECK_EQUAL(gw_symbols_find(&s, GW_BBO, symbol), -ENOENT);
        CHECK_EQUAL(gw_symbols_put(&s, GW_BBO, symbol, (uint32_t)length), error);
        CHECK_EQUAL(gw_symbols_find(&s, GW_BBO, symbol), error == 0 ? (int)length : -ENOENT);
        free(block);
    }
    CHECK_EQUAL(gw_symbols_put(&s, 0, text("A"), 1), -EINVAL);
    gw_symbols_free(&s);
}

int main(void) {
    RUN(every_symbol_is_found_and_no_other);
    RUN(one_put_twice_is_replaced);
    RUN(lengths_up_to_the_longest);
    return 0;
}
