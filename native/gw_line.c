#include "gw_line.h"

#include <stdbool.h>
#include <string.h>

/* What a line has beside its fields, then the place of each field of each kind. A name that several kinds have has the
 * first one's place, and means the same in all. Only kinds below KINDS have usual lines: others come seldom. */
enum { CHANNEL, SYMBOL, TS, FIELDS, KINDS = GW_BBO + 1, OF_KIND = 4, MEMBERS = FIELDS + KINDS * OF_KIND };
#define BIT(member) ((uint64_t)1 << (member))
_Static_assert(MEMBERS <= 64, "a bit for each");

/* Padded with zeros, so that a name is compared as one word. */
static const char names[FIELDS][GW_FIELD_NAME_MAX] = {[CHANNEL] = "channel", [SYMBOL] = "symbol", [TS] = "ts"};

static const gw_text_t none = {"", 0};

typedef struct {
    const char *at, *end;
    uint64_t seen; /* BIT of each member so far */
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

/* The member of this name, MEMBERS where there is none; of a field what it is. */
static unsigned member_find(gw_text_t name, const gw_field_t **field) {
    char padded[GW_FIELD_NAME_MAX] = {0};
    if (name.length >= GW_FIELD_NAME_MAX) return MEMBERS;
    memcpy(padded, name.at, name.length);
    for (unsigned i = 0; i < FIELDS; i++)
        if (memcmp(names[i], padded, sizeof padded) == 0) return i;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (!gw_kinds[kind].fed) continue;
        for (unsigned i = 0; i < gw_kinds[kind].fields_count; i++) {
            *field = &gw_kinds[kind].fields[i];
            if (memcmp((*field)->name, padded, sizeof padded) == 0) return FIELDS + kind * OF_KIND + i;
        }
    }
    return MEMBERS;
}

/* A decimal, of which the optional ones may be none. */
static bool decimal_take(parse_t *p, gw_text_t *text, bool optional) {
    const char *from = p->at;
    if (text_take(p, text)) return true;
    p->at = from;
    if (number_take(p, text)) return true;
    p->at = from;
    *text = (gw_text_t){NULL, 0};
    return optional && null_take(p);
}

static bool member_take(parse_t *p) {
    gw_text_t name;
    const gw_field_t *field = NULL;
    if (!text_take(p, &name) || !mark_take(p, ':')) return false;
    unsigned member = member_find(name, &field);
    if (member == MEMBERS || (p->seen & BIT(member)) != 0) return false;
    p->seen |= BIT(member);
    gw_text_t *text = &p->texts[member];
    if (member == TS) return time_take(p, &p->ts);
    if (member == SYMBOL) return name_take(p, text);
    if (member == CHANNEL || field->type == GW_FIELD_ID) return text_take(p, text);
    return field->type == GW_FIELD_SIDE ? side_take(p, text) : decimal_take(p, text, gw_field_optional(field));
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

/* The text of the kind's i-th field, if it came or need not. What came in the field's own place is of its name. */
static bool field_make(const parse_t *p, uint8_t kind, unsigned i, uint64_t *all, gw_text_t *out) {
    const gw_field_t *f = &gw_kinds[kind].fields[i], *first;
    unsigned member = FIELDS + kind * OF_KIND + i;
    if (!(p->seen & BIT(member))) member = member_find((gw_text_t){f->name, strlen(f->name)}, &first);
    *all |= BIT(member);
    *out = f->type == GW_FIELD_DECIMAL ? (gw_text_t){NULL, 0} : none;
    if (p->seen & BIT(member)) *out = p->texts[member];
    else if (f->type == GW_FIELD_DECIMAL) return gw_field_optional(f);
    return true;
}

/* Takes what the members make, if they are those of the kind: all it must have, none it may not. */
static bool line_make(const parse_t *p, gw_line_t *line) {
    const uint64_t must = BIT(CHANNEL) | BIT(SYMBOL);
    uint64_t all = must | BIT(TS);
    uint8_t number = 0;
    if ((p->seen & must) != must) return false;
    while (number < KINDS && !(gw_kinds[number].fed && text_is(p->texts[CHANNEL], gw_kinds[number].name))) number++;
    if (number == KINDS) return false;
    for (unsigned i = 0; i < gw_kinds[number].fields_count; i++)
        if (!field_make(p, number, i, &all, &line->texts[i])) return false;
    line->kind = number;
    line->ts = p->ts;
    line->symbol = p->texts[SYMBOL];
    return (p->seen & ~all) == 0;
}

/* What bytes.isspace() says, by which the other decoder tells a blank line from a bad one. */
static bool blank(const char *at, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (at[i] != ' ' && (at[i] < '\t' || at[i] > '\r')) return false;
    return true;
}

gw_line_form_t gw_line_parse(const char *at, size_t length, gw_line_t *line) {
    parse_t p = {.at = at, .end = at + length};
    if (object_take(&p) && line_make(&p, line)) return GW_LINE_USUAL;
    return blank(at, length) ? GW_LINE_BLANK : GW_LINE_OTHER;
}
