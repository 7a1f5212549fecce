#include "gw_line.h"

#include <stdbool.h>
#include <string.h>

enum { CHANNEL, SYMBOL, TS, PRICE, QTY, SIDE, ID, BID, BID_QTY, ASK, ASK_QTY, MEMBERS };
#define BIT(member) (1u << (member))
#define SIDES (BIT(BID) | BIT(BID_QTY) | BIT(ASK) | BIT(ASK_QTY)) /* may be null or absent */
#define DECIMALS (BIT(PRICE) | BIT(QTY) | SIDES)

/* Padded with zeros, so that a name is compared as one word. */
#define NAME_MAX 8u
static const char names[MEMBERS][NAME_MAX] = {
    [CHANNEL] = "channel", [SYMBOL] = "symbol",   [TS] = "ts",   [PRICE] = "price",
    [QTY] = "qty",         [SIDE] = "side",       [ID] = "id",   [BID] = "bid",
    [BID_QTY] = "bid_qty", [ASK] = "ask",         [ASK_QTY] = "ask_qty",
};

/* Beside channel, symbol and ts. */
static const struct {
    const char *channel;
    uint32_t must, may;
    uint8_t kind, texts[4]; /* which members the payload is filled from */
} kinds[] = {
    {"trade", BIT(PRICE) | BIT(QTY), BIT(SIDE) | BIT(ID), GW_TRADE, {PRICE, QTY, SIDE, ID}},
    {"bbo", 0, SIDES, GW_BBO, {BID, BID_QTY, ASK, ASK_QTY}},
};

static const gw_text_t none = {"", 0};

typedef struct {
    const char *at, *end;
    uint32_t seen; /* BIT of each member so far */
    int64_t ts;
    gw_text_t texts[MEMBERS];
} parse_t;

static bool text_is(gw_text_t text, const char *other) {
    return text.length == strlen(other) && memcmp(text.at, other, text.length) == 0;
}

static void space_skip(parse_t *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) p->at++;
}

/* Takes one byte of the structure, and the white space before it. */
static bool mark_take(parse_t *p, char mark) {
    space_skip(p);
    if (p->at == p->end || *p->at != mark) return false;
    p->at++;
    return true;
}

static bool text_take(parse_t *p, gw_text_t *text) {
    if (!mark_take(p, '"')) return false;
    text->at = p->at;
    while (p->at < p->end && *p->at >= 0x20 && *p->at <= 0x7e && *p->at != '"' && *p->at != '\\')
        p->at++;
    text->length = (size_t)(p->at - text->at);
    return p->at < p->end && *p->at++ == '"';
}

/* The same with bytes beyond ASCII: whether they are UTF-8 is for whoever looks the text up. */
static bool name_take(parse_t *p, gw_text_t *text) {
    if (!mark_take(p, '"')) return false;
    text->at = p->at;
    for (; p->at < p->end && *p->at != '"' && *p->at != '\\'; p->at++) {
        unsigned char byte = (unsigned char)*p->at;
        if (byte < 0x20 || byte == 0x7f) return false;
    }
    text->length = (size_t)(p->at - text->at);
    return p->at < p->end && *p->at++ == '"';
}

static bool null_take(parse_t *p) {
    space_skip(p);
    if (p->end - p->at < 4 || memcmp(p->at, "null", 4) != 0) return false;
    p->at += 4;
    return true;
}

static bool digits_skip(parse_t *p) {
    const char *from = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') p->at++;
    return p->at > from;
}

static bool byte_skip(parse_t *p, const char *any) {
    bool found = p->at < p->end && *p->at != 0 && strchr(any, *p->at) != NULL;
    p->at += found;
    return found;
}

/* A number as JSON has them, by its text (RFC 8259, section 6). */
static bool number_take(parse_t *p, gw_text_t *text) {
    space_skip(p);
    text->at = p->at;
    (void)byte_skip(p, "-");
    if (!byte_skip(p, "0") && !digits_skip(p)) return false;
    if (byte_skip(p, ".") && !digits_skip(p)) return false;
    if (byte_skip(p, "eE")) {
        (void)byte_skip(p, "+-");
        if (!digits_skip(p)) return false;
    }
    text->length = (size_t)(p->at - text->at);
    return true;
}

/* A time in s, ms or us since 1970 becomes ns, as gateway/feeds/stamps.py has it; false: it is a time in no unit.
 * What is less than all of these passes as it is. */
static bool time_scale(int64_t *time) {
    static const struct {
        int64_t first, end, unit;
    } units[] = {{1000000000, 10000000000, 1000000000},
                 {1000000000000, 10000000000000, 1000000},
                 {1000000000000000, 10000000000000000, 1000}};
    if (*time < units[0].first || *time >= 1000000000000000000) return true;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (*time < units[i].first || *time >= units[i].end) continue;
        if (*time > (INT64_MAX - units[i].unit + 1) / units[i].unit) return false;
        *time *= units[i].unit;
        return true;
    }
    return false;
}

/* Digits of a time that is not negative; what follows them is looked at by the caller. */
static bool time_take(parse_t *p, int64_t *out) {
    space_skip(p);
    const char *from = p->at;
    uint64_t value = 0;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
        unsigned digit = (unsigned)(*p->at - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (p->at == from || (*from == '0' && p->at - from > 1)) return false;
    *out = (int64_t)value;
    return time_scale(out);
}

static bool side_take(parse_t *p, gw_text_t *side) {
    *side = none;
    if (null_take(p)) return true;
    return text_take(p, side) && (text_is(*side, "buy") || text_is(*side, "sell"));
}

/* The member of this name, MEMBERS where there is none. */
static unsigned member_find(gw_text_t name) {
    char padded[NAME_MAX] = {0};
    if (name.length >= NAME_MAX) return MEMBERS;
    memcpy(padded, name.at, name.length);
    unsigned member = 0;
    while (member < MEMBERS && memcmp(names[member], padded, NAME_MAX) != 0) member++;
    return member;
}

static bool member_take(parse_t *p) {
    gw_text_t name;
    if (!text_take(p, &name) || !mark_take(p, ':')) return false;
    unsigned member = member_find(name);
    if (member == MEMBERS || (p->seen & BIT(member)) != 0) return false;
    p->seen |= BIT(member);
    if (member == TS) return time_take(p, &p->ts);
    if (member == SYMBOL) return name_take(p, &p->texts[SYMBOL]);
    if (member == SIDE) return side_take(p, &p->texts[SIDE]);
    const char *from = p->at;
    gw_text_t *text = &p->texts[member];
    if (text_take(p, text)) return true;
    p->at = from;
    if ((BIT(member) & DECIMALS) != 0 && number_take(p, text)) return true;
    p->at = from;
    *text = (gw_text_t){NULL, 0};
    return (BIT(member) & SIDES) != 0 && null_take(p);
}

static bool object_take(parse_t *p) {
    if (!mark_take(p, '{')) return false;
    do {
        if (!member_take(p)) return false;
    } while (mark_take(p, ','));
    if (!mark_take(p, '}')) return false;
    space_skip(p);
    return p->at == p->end;
}

/* Takes what the members make, if they are those of the kind: all it must have, none it may not. */
static bool line_make(const parse_t *p, gw_line_t *line) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint32_t must = kinds[i].must | BIT(CHANNEL) | BIT(SYMBOL);
        uint32_t all = must | kinds[i].may | BIT(TS);
        if (!text_is(p->texts[CHANNEL], kinds[i].channel)) continue;
        if ((p->seen & must) != must || (p->seen & ~all) != 0) return false;
        line->kind = kinds[i].kind;
        line->ts = p->ts;
        line->symbol = p->texts[SYMBOL];
        for (int k = 0; k < 4; k++) line->texts[k] = p->texts[kinds[i].texts[k]];
        return true;
    }
    return false;
}

/* What bytes.isspace() says, by which the other decoder tells a blank line from a bad one. */
static bool blank(const char *at, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (at[i] != ' ' && (at[i] < '\t' || at[i] > '\r')) return false;
    return true;
}

gw_line_form_t gw_line_parse(const char *at, size_t length, gw_line_t *line) {
    parse_t p = {.at = at, .end = at + length};
    p.texts[CHANNEL] = p.texts[SIDE] = p.texts[ID] = none;
    if (object_take(&p) && line_make(&p, line)) return GW_LINE_USUAL;
    return blank(at, length) ? GW_LINE_BLANK : GW_LINE_OTHER;
}
