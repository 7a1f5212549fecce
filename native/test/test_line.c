/* Lines of the usual form give what was written into them; all others are left, whatever they are.
 */
#include "check.h"
#include "gw_line.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* From a block of exactly the line's size, so that the sanitizer sees a byte too many. */
static gw_line_form_t parse(const char *bytes, size_t length, gw_line_t *line, char **block) {
    *block = malloc(length + (length == 0));
    memcpy(*block, bytes, length);
    return gw_line_parse(*block, length, line);
}

static void check_text(gw_text_t text, const char *expected) {
    CHECK_EQUAL(text.at == NULL, expected == NULL);
    if (expected == NULL) return;
    CHECK_EQUAL(text.length, strlen(expected));
    CHECK(memcmp(text.at, expected, text.length) == 0);
}

#define TRADE "\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\""
#define QUOTE "\"channel\":\"bbo\",\"symbol\":\"A\",\"bid\":\"1\",\"bid_qty\":\"2\",\"ask\":\"3\","

typedef struct {
    const char *bytes;
    uint8_t kind;
    int64_t ts;
    const char *symbol, *texts[4];
} golden_t;

static void usual_lines(void) {
    static const golden_t cases[] = {
        {"{\"channel\":\"trade\",\"symbol\":\"SYM001\",\"price\":\"64250.10\",\"qty\":\"0.015\","
         "\"side\":\"buy\",\"id\":\"7\",\"ts\":1723161255342000000}",
         GW_TRADE, 1723161255342000000, "SYM001", {"64250.10", "0.015", "buy", "7"}},
        {"{" QUOTE "\"ask_qty\":\"4\",\"ts\":5}", GW_BBO, 5, "A", {"1", "2", "3", "4"}},
        {"{" QUOTE "\"ask_qty\":\"\"}", GW_BBO, 0, "A", {"1", "2", "3", ""}},
        {"{" TRADE "}", GW_TRADE, 0, "A", {"1", "2", "", ""}},
        {"{" TRADE ",\"ts\":999999999}", GW_TRADE, 999999999, "A", {"1", "2", "", ""}},
        {"{" TRADE ",\"ts\":1723161255}", GW_TRADE, 1723161255000000000, "A", {"1", "2", "", ""}},
        {"{" TRADE ",\"ts\":1723161255342}", GW_TRADE, 1723161255342000000, "A", {"1", "2", "", ""}},
        {"{" TRADE ",\"ts\":1723161255342001}", GW_TRADE, 1723161255342001000, "A", {"1", "2", "", ""}},
        {"{" TRADE ",\"side\":null,\"ts\":0}", GW_TRADE, 0, "A", {"1", "2", "", ""}},
        {"\t {\r\"side\" :\t\"sell\" , " TRADE " ,\"ts\" : 9223372036854775807 } \r", GW_TRADE,
         INT64_MAX, "A", {"1", "2", "sell", ""}},
        /* A symbol of any bytes: it is looked up. */
        {"{\"channel\":\"trade\",\"symbol\":\"\xe5\xb8\x81 \xff*\",\"price\":\"1\",\"qty\":\"2\"}", GW_TRADE, 0,
         "\xe5\xb8\x81 \xff*", {"1", "2", "", ""}},
        /* Numbers are taken by their digits. */
        {"{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":-0.50,\"qty\" : 1.9e-07 }", GW_TRADE, 0, "A",
         {"-0.50", "1.9e-07", "", ""}},
        /* A side of a quote may be null or absent. */
        {"{\"channel\":\"bbo\",\"symbol\":\"A\",\"bid\":null,\"bid_qty\": null,\"ask\":\"3\"}", GW_BBO, 0, "A",
         {NULL, NULL, "3", NULL}},
        {"{\"channel\":\"bbo\",\"symbol\":\"A\"}", GW_BBO, 0, "A", {NULL, NULL, NULL, NULL}},
        /* What decimals, ids and symbols must be is not this parser's business. */
        {"{" TRADE ",\"id\":\" }{,:~ \"}", GW_TRADE, 0, "A", {"1", "2", "", " }{,:~ "}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_line_t line;
        char *block;
        CHECK_EQUAL(parse(cases[i].bytes, strlen(cases[i].bytes), &line, &block), GW_LINE_USUAL);
        CHECK_EQUAL(line.kind, cases[i].kind);
        CHECK_EQUAL(line.ts, cases[i].ts);
        check_text(line.symbol, cases[i].symbol);
        for (int k = 0; k < 4; k++) check_text(line.texts[k], cases[i].texts[k]);
        free(block);
    }
}

static void blank_lines(void) {
    static const char *const cases[] = {"", " ", "\r", " \t\r\v\f\n"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_line_t line;
        CHECK_EQUAL(gw_line_parse(cases[i], strlen(cases[i]), &line), GW_LINE_BLANK);
    }
}

static void other_lines(void) {
    static const char *const cases[] = {
        "x", "{", "{}", "[]", "null", "\x1c", " {" TRADE, "{" TRADE "}}", "{" TRADE "}{" TRADE "}",
        "{" TRADE ",}", "{," TRADE "}", "{" TRADE ";}", "\v{" TRADE "}", "{" TRADE "}\f",
        "{\n" TRADE "}",
        /* escapes, other characters, members twice or unknown: good lines, some of them */
        "{" TRADE ",\"id\":\"\\n\"}", "{" TRADE ",\"id\":\"\xc3\xa9\"}",
        "{" TRADE ",\"id\":\"\x7f\"}", "{" TRADE ",\"id\":\"\t\"}", "{" TRADE ",\"price\":\"1\"}", "{" TRADE ",\"new\":1}",
        "{" TRADE ",\"bid\":\"1\"}", "{" TRADE ",\"channels\":\"1\"}", "{" TRADE ",\"\":\"1\"}",
        "{" QUOTE "\"ask_qty\":\"4\",\"side\":null}", "{" QUOTE "\"ask_qty\":\"4\",\"id\":\"\"}",
        /* values of another type, or outside what the type can be */
        "{" TRADE ",\"id\":7}", "{" TRADE ",\"id\":null}", "{" TRADE ",\"side\":\"\"}",
        "{" TRADE ",\"side\":\"BUY\"}", "{" TRADE ",\"side\":nul}", "{" TRADE ",\"side\":nullx}",
        "{" TRADE ",\"ts\":\"5\"}", "{" TRADE ",\"ts\":-1}", "{" TRADE ",\"ts\":-0}",
        "{" TRADE ",\"ts\":05}", "{" TRADE ",\"ts\":5.0}", "{" TRADE ",\"ts\":5e0}",
        /* a time of no unit, or after 2262 */
        "{" TRADE ",\"ts\":10000000000}", "{" TRADE ",\"ts\":999999999999}", "{" TRADE ",\"ts\":9300000000000}",
        "{" TRADE ",\"ts\":9300000000}", "{" TRADE ",\"ts\":999999999999999999}",
        "{" TRADE ",\"ts\":}", "{" TRADE ",\"ts\":9223372036854775808}",
        "{" TRADE ",\"ts\":18446744073709551617}", "{" TRADE ",\"ts\":99999999999999999999}",
        /* members missing, or no such channel */
        "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1\"}",
        "{\"channel\":\"trade\",\"price\":\"1\",\"qty\":\"2\"}", "{" QUOTE "\"ask_qty\":nul}",
        "{" TRADE ",\"price\":null}", "{" QUOTE "\"ask_qty\":01}", "{" QUOTE "\"ask_qty\":1.}",
        "{" QUOTE "\"ask_qty\":+1}", "{" QUOTE "\"ask_qty\":1e}", "{" QUOTE "\"ask_qty\":-}",
        "{" QUOTE "\"ask_qty\":true}", "{" QUOTE "\"ask_qty\":1x}", "{" QUOTE "\"ask_qty\":.5}",
        "{\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\"}",
        "{\"channel\":\"book\",\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\"}",
        "{\"channel\":\"bbo\",\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\"}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_line_t line;
        char *block;
        CHECK_EQUAL(parse(cases[i], strlen(cases[i]), &line, &block), GW_LINE_OTHER);
        free(block);
    }
    gw_line_t line;
    CHECK_EQUAL(gw_line_parse("{" TRADE "}\0", sizeof "{" TRADE "}", &line), GW_LINE_OTHER);
}

static uint64_t seed = 1;

/* xorshift64*. Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t draw(uint64_t below) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1dull >> 32) % below;
}

static size_t space_write(char *out) {
    size_t length = draw(3) == 0 ? (size_t)draw(4) : 0;
    for (size_t i = 0; i < length; i++) out[i] = " \t\r"[draw(3)];
    return length;
}

typedef struct {
    const char *name;
    char value[64]; /* without its quotes */
    bool bare, null, given;
} member_t;

static void value_draw(char *out) {
    size_t length = (size_t)draw(20);
    for (size_t i = 0; i < length; i++)
        do out[i] = (char)(0x20 + draw(0x5f));
        while (out[i] == '"' || out[i] == '\\');
    out[length] = '\0';
}

/* A line of these members in this order, with white space wherever it may stand. */
static size_t line_write(const member_t *members, size_t count, char *out) {
    size_t at = space_write(out);
    char mark = '{';
    for (size_t i = 0; i < count; i++) {
        if (!members[i].given) continue;
        const char *quote = members[i].bare ? "" : "\"";
        out[at++] = mark;
        mark = ',';
        at += space_write(out + at);
        at += (size_t)sprintf(out + at, "\"%s\"", members[i].name);
        at += space_write(out + at);
        out[at++] = ':';
        at += space_write(out + at);
        at += (size_t)sprintf(out + at, "%s%s%s", quote, members[i].value, quote);
        at += space_write(out + at);
    }
    out[at++] = '}';
    return at + space_write(out + at);
}

static void shuffle(member_t *members, size_t count) {
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)draw(i);
        member_t other = members[i - 1];
        members[i - 1] = members[k];
        members[k] = other;
    }
}

static const char *value_of(const member_t *members, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].name, name) == 0)
            return members[i].given && !members[i].null ? members[i].value : "";
    return "";
}

static const char *const trade_names[] = {"price", "qty", "side", "id", "channel", "symbol", "ts"};
static const char *const quote_names[] = {"bid",     "bid_qty", "ask", "ask_qty",
                                          "channel", "symbol",  "ts"};
#define COUNT 7u

static void members_draw(bool trade, const char *const *names, member_t *members, int64_t *ts) {
    static const char *const sides[] = {"buy", "sell", "null"};
    for (size_t i = 0; i < COUNT; i++) {
        members[i] = (member_t){.name = names[i], .given = true};
        value_draw(members[i].value);
    }
    strcpy(members[4].value, trade ? "trade" : "bbo");
    *ts = (int64_t)(draw(1ull << 32) << 31 | draw(1ull << 31)) >> draw(63);
    if (*ts >= 1000000000 && *ts < 1000000000000000000) *ts %= 1000000000; /* of another unit, or of none */
    sprintf(members[6].value, "%" PRId64, *ts);
    members[6].bare = true;
    members[6].given = draw(4) > 0;
    if (!members[6].given) *ts = 0;
    if (!trade) return;
    strcpy(members[2].value, sides[draw(3)]);
    members[2].bare = members[2].null = strcmp(members[2].value, "null") == 0;
    members[2].given = draw(4) > 0;
    members[3].given = draw(4) > 0;
}

/* Every line that the form allows is taken, with the values that it was written from; with a byte
 * changed, left out or doubled, it is whatever it is, but read within its bounds. */
static void random_lines_come_back(void) {
    static char bytes[2048];
    gw_line_t line;
    char *block;
    for (int round = 0; round < 50000; round++) {
        bool trade = draw(2) == 0;
        const char *const *names = trade ? trade_names : quote_names;
        member_t members[COUNT];
        int64_t ts;
        members_draw(trade, names, members, &ts);
        shuffle(members, COUNT);
        size_t length = line_write(members, COUNT, bytes);
        CHECK_EQUAL(parse(bytes, length, &line, &block), GW_LINE_USUAL);
        CHECK_EQUAL(line.kind, trade ? GW_TRADE : GW_BBO);
        CHECK_EQUAL(line.ts, ts);
        check_text(line.symbol, value_of(members, COUNT, "symbol"));
        for (int k = 0; k < 4; k++)
            check_text(line.texts[k], value_of(members, COUNT, names[k]));
        free(block);

        size_t at = (size_t)draw(length), kind = (size_t)draw(3);
        if (kind == 0) bytes[at] = (char)draw(256);
        else memmove(bytes + at + (kind == 1), bytes + at + (kind == 2), length - at - (kind == 2));
        length += kind == 1;
        length -= kind == 2;
        gw_line_form_t form = parse(bytes, length, &line, &block);
        if (form == GW_LINE_USUAL)
            for (int k = 0; k < 4; k++)
                CHECK(line.texts[k].length == 0
                      || (line.texts[k].at > block
                          && line.texts[k].at + line.texts[k].length < block + length));
        free(block);
    }
}

static void random_bytes_are_left(void) {
    static const char alphabet[] = "{}:,\"\\ \t\r0159-.etradbosynulipcq_k";
    char bytes[80], *block;
    gw_line_t line;
    for (int round = 0; round < 200000; round++) {
        size_t length = 1 + (size_t)draw(sizeof bytes - 1);
        for (size_t i = 0; i < length; i++) bytes[i] = alphabet[draw(sizeof alphabet - 1)];
        bytes[0] = '{';
        CHECK_EQUAL(parse(bytes, length, &line, &block), GW_LINE_OTHER);
        free(block);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 0) | 1;
    RUN(usual_lines);
    RUN(blank_lines);
    RUN(other_lines);
    RUN(random_lines_come_back);
    RUN(random_bytes_are_left);
    return 0;
}
