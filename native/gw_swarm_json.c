#include "gw_swarm_json.h"

#include <errno.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

const char *gw_swarm_json_start(const char *at, const char *end) {
    while (at < end && is_space(*at)) at++;
    return at < end ? at : NULL;
}

/* The quote that ends the string whose text starts at `at`; NULL: none does. */
static const char *string_end(const char *at, const char *end) {
    while (end - at >= 8) {
        uint64_t word = gw_swarm_load8(at);
        uint64_t found = gw_swarm_bytes_equal(word, '"') | gw_swarm_bytes_equal(word, '\\');
        if (!found) {
            at += 8;
            continue;
        }
        at += __builtin_ctzll(found) / 8;
        if (*at == '"') return at;
        if (end - at < 2) return NULL;
        at += 2;
    }
    for (; at < end; at++) {
        if (*at == '"') return at;
        if (*at == '\\' && ++at == end) return NULL;
    }
    return NULL;
}

/* Behind an object or an array. Which bracket closes which is not checked. */
static const char *container_end(const char *at, const char *end) {
    size_t depth = 0;
    for (; at < end; at++) {
        switch (*at) {
        case '"':
            at = string_end(at + 1, end);
            if (!at) return NULL;
            break;
        case '{':
        case '[': depth++; break;
        case '}':
        case ']':
            if (--depth == 0) return at + 1;
            break;
        default: break;
        }
    }
    return NULL;
}

/* Behind the value that starts at `at`; NULL: it does not end. */
static const char *value_end(const char *at, const char *end) {
    if (*at == '{' || *at == '[') return container_end(at, end);
    if (*at == '"') {
        at = string_end(at + 1, end);
        return at ? at + 1 : NULL;
    }
    const char *start = at;
    while (at < end && *at != ',' && *at != '}' && *at != ']' && *at != ':' && !is_space(*at)) at++;
    return at > start ? at : NULL;
}

bool gw_swarm_json_member(const char **at, const char *end, gw_swarm_member_t *m) {
    const char *p = gw_swarm_json_start(*at, end);
    if (p && *p == ',') p = gw_swarm_json_start(p + 1, end);
    if (!p || *p != '"') return false;
    m->key.at = p + 1;
    m->key.end = string_end(p + 1, end);
    if (!m->key.end) return false;
    p = gw_swarm_json_start(m->key.end + 1, end);
    if (!p || *p != ':') return false;
    m->value.at = gw_swarm_json_start(p + 1, end);
    if (!m->value.at) return false;
    m->value.end = value_end(m->value.at, end);
    *at = m->value.end;
    return m->value.end != NULL;
}

bool gw_swarm_json_item(const char **at, const char *end, gw_swarm_span_t *item) {
    const char *p = gw_swarm_json_start(*at, end);
    if (p && *p == ',') p = gw_swarm_json_start(p + 1, end);
    if (!p || *p == ']') return false;
    item->at = p;
    item->end = *at = value_end(p, end);
    return item->end != NULL;
}

gw_swarm_span_t gw_swarm_json_string(gw_swarm_span_t value) {
    if (!value.at || *value.at != '"') return (gw_swarm_span_t){NULL, NULL};
    return (gw_swarm_span_t){value.at + 1, value.end - 1};
}

/* Reads digits; the first byte behind them. `*out` stays below 10^19: false where there are more. */
static bool digits(const char **at, const char *end, uint64_t *out) {
    uint64_t value = 0;
    for (; *at < end && is_digit(**at); (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool gw_swarm_json_unsigned(gw_swarm_span_t value, uint64_t *out) {
    const char *at = value.at;
    return at && at < value.end && digits(&at, value.end, out) && at == value.end;
}

int gw_swarm_path_init(gw_swarm_path_t *path, gw_swarm_text_t text) {
    const char *at = text.bytes, *end = text.bytes + text.length;
    path->count = 0;
    for (;;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        gw_swarm_span_t name = {at, dot ? dot : end};
        if (path->count == GW_SWARM_PATH_MAX || name.at == name.end) return -EINVAL;
        uint64_t index;
        bool number = gw_swarm_json_unsigned(name, &index) && index <= INT32_MAX;
        path->steps[path->count].name = name;
        path->steps[path->count++].index = number ? (int64_t)index : -1;
        if (!dot) return 0;
        at = dot + 1;
    }
}

static gw_swarm_span_t member_find(gw_swarm_span_t object, gw_swarm_span_t name) {
    const char *at = object.at + 1;
    size_t length = (size_t)(name.end - name.at);
    gw_swarm_member_t m;
    while (gw_swarm_json_member(&at, object.end, &m))
        if ((size_t)(m.key.end - m.key.at) == length && !memcmp(m.key.at, name.at, length))
            return m.value;
    return (gw_swarm_span_t){NULL, NULL};
}

static gw_swarm_span_t item_find(gw_swarm_span_t array, int64_t index) {
    const char *at = array.at + 1;
    gw_swarm_span_t item;
    for (; index >= 0; index--)
        if (!gw_swarm_json_item(&at, array.end, &item)) return (gw_swarm_span_t){NULL, NULL};
    return item;
}

gw_swarm_span_t gw_swarm_path_find(const gw_swarm_path_t *path, const char *text, size_t length) {
    gw_swarm_span_t value = {gw_swarm_json_start(text, text + length), text + length};
    for (uint32_t i = 0; i < path->count && value.at; i++) {
        if (*value.at == '{') value = member_find(value, path->steps[i].name);
        else if (*value.at == '[' && path->steps[i].index >= 0)
            value = item_find(value, path->steps[i].index);
        else value.at = NULL;
    }
    return value;
}

int64_t gw_swarm_json_time(gw_swarm_span_t value) {
    if (!value.at) return 0;
    if (*value.at == '"') value = gw_swarm_json_string(value);
    const char *at = value.at;
    uint64_t whole, fraction = 0, scale;
    if (at == value.end || !is_digit(*at) || !digits(&at, value.end, &whole)) return 0;
    if (whole < 100000000000) scale = 1000000000;
    else if (whole < 100000000000000) scale = 1000000;
    else if (whole < 100000000000000000) scale = 1000;
    else scale = 1;
    if (whole > INT64_MAX / scale - 1) return 0;
    if (at < value.end && *at == '.') {
        uint64_t unit = scale;
        for (at++; at < value.end && is_digit(*at); at++) {
            unit /= 10;
            fraction += unit * (uint64_t)(*at - '0');
        }
    }
    return at == value.end ? (int64_t)(whole * scale + fraction) : 0;
}
