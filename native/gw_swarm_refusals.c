#include "gw_swarm_refusals.h"

#define HASH_SEED 0xcbf29ce484222325u /* FNV-1a: rows of equal hash are compared in full */
#define HASH_PRIME 0x100000001b3u

static uint64_t hash_byte(uint64_t hash, uint8_t byte) { return (hash ^ byte) * HASH_PRIME; }

static uint32_t length_of(gw_swarm_span_t s) { return s.at ? (uint32_t)(s.end - s.at) : 0; }

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* Whether the byte at `i` goes on with the number before it: 6.02 and 1,200 are one each. */
static int goes_on(const uint8_t *text, uint32_t n, uint32_t i) {
    if (is_digit(text[i])) return i > 0 && (is_digit(text[i - 1]) || (i > 1 && (text[i - 1] == '.' || text[i - 1] == ',') &&
                                                                      is_digit(text[i - 2])));
    return (text[i] == '.' || text[i] == ',') && i > 0 && i + 1 < n && is_digit(text[i - 1]) && is_digit(text[i + 1]);
}

/* The next byte of a text in which each number is one digit; -1 at its end. */
static int next_byte(const uint8_t *text, uint32_t n, uint32_t *at) {
    while (*at < n && goes_on(text, n, *at)) ++*at;
    if (*at == n) return -1;
    uint8_t byte = text[(*at)++];
    return is_digit(byte) ? '0' : byte;
}

static int alike(const uint8_t *a, uint32_t a_length, const uint8_t *b, uint32_t b_length) {
    uint32_t i = 0, k = 0;
    for (;;) {
        int x = next_byte(a, a_length, &i), y = next_byte(b, b_length, &k);
        if (x != y) return 0;
        if (x < 0) return 1;
    }
}

static int same_code(const gw_swarm_refusal_t *a, const gw_swarm_refusal_t *b) {
    return a->kind == b->kind && a->number == b->number && a->code_length == b->code_length &&
           !memcmp(a->code, b->code, a->code_length);
}

/* Copies at most `size` bytes, each run of spaces and control characters as one space, none at the ends. */
static uint32_t tidy(gw_swarm_span_t from, uint8_t *to, uint32_t size) {
    uint32_t n = 0;
    int space = 0;
    for (const char *at = from.at; at && at < from.end && n < size; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte <= ' ' || byte == 0x7f) {
            space = n > 0;
            continue;
        }
        if (space && n + 1 < size) to[n++] = ' ';
        space = 0;
        to[n++] = byte;
    }
    return n;
}

static uint64_t hash_of(const gw_swarm_refusal_t *r) {
    uint64_t hash = hash_byte(HASH_SEED, r->kind);
    for (int shift = 0; shift < 32; shift += 8) hash = hash_byte(hash, (uint8_t)(r->number >> shift));
    for (uint32_t i = 0; i < r->code_length; i++) hash = hash_byte(hash, r->code[i]);
    hash = hash_byte(hash, 0);
    uint32_t at = 0;
    for (int byte; (byte = next_byte(r->message, r->message_length, &at)) >= 0;) hash = hash_byte(hash, (uint8_t)byte);
    return hash;
}

static gw_swarm_refusal_t *find(gw_swarm_refusals_t *t, const gw_swarm_refusal_t *r, uint64_t hash) {
    for (uint32_t i = 0; i < t->count; i++) {
        gw_swarm_refusal_t *row = &t->rows[i];
        if (t->hashes[i] != hash || row->others != r->others || !same_code(row, r)) continue;
        if (alike(row->message, row->message_length, r->message, r->message_length)) return row;
    }
    return NULL;
}

static gw_swarm_refusal_t *add(gw_swarm_refusals_t *t, const gw_swarm_refusal_t *r, uint64_t hash) {
    if (t->count == GW_SWARM_REFUSALS_MAX) return NULL;
    t->hashes[t->count] = hash;
    t->rows[t->count] = *r;
    return &t->rows[t->count++];
}

/* The row for what is like nothing that is known. */
static gw_swarm_refusal_t *place(gw_swarm_refusals_t *t, gw_swarm_refusal_t *r, uint64_t hash) {
    uint32_t messages = 0;
    for (uint32_t i = 0; i < t->count; i++) messages += (uint32_t)(same_code(&t->rows[i], r) && !t->rows[i].others);
    gw_swarm_refusal_t *row = NULL;
    if (messages < GW_SWARM_REFUSAL_MESSAGES) row = add(t, r, hash);
    if (row) return row;
    r->others = 1;
    r->message_length = 0;
    hash = hash_of(r);
    row = find(t, r, hash);
    if (!row) row = add(t, r, hash);
    if (row) return row;
    t->rest[r->kind].kind = r->kind;
    t->rest[r->kind].others = 1;
    return &t->rest[r->kind];
}

void gw_swarm_refusals_note(gw_swarm_refusals_t *t, uint8_t kind, uint32_t number, gw_swarm_span_t code,
                            gw_swarm_span_t message) {
    gw_swarm_refusal_t r = {.kind = kind, .number = number};
    r.code_length = (uint8_t)tidy(code, r.code, sizeof r.code);
    r.message_length = (uint8_t)tidy(message, r.message, sizeof r.message);
    uint64_t hash = hash_of(&r);
    gw_swarm_refusal_t *row = find(t, &r, hash);
    if (!row) row = place(t, &r, hash);
    row->count++;
}

/* --- replies --------------------------------------------------------------------------------------- */

static int is(gw_swarm_span_t s, const char *text) {
    size_t n = strlen(text);
    return length_of(s) == n && !memcmp(s.at, text, n);
}

static int is_object(gw_swarm_span_t s) { return s.at && s.at < s.end && *s.at == '{'; }

/* Notes the error that an object has; whether it has one. */
static int object_error(gw_swarm_refusals_t *t, gw_swarm_span_t object) {
    const char *at = object.at + 1;
    gw_swarm_member_t m;
    while (gw_swarm_json_member(&at, object.end, &m)) {
        if (!is(m.key, "error") || !is_object(m.value)) continue;
        gw_swarm_span_t code = {NULL, NULL}, message = {NULL, NULL};
        const char *inner = m.value.at + 1;
        gw_swarm_member_t one;
        while (gw_swarm_json_member(&inner, m.value.end, &one)) {
            if (is(one.key, "code")) code = gw_swarm_json_string(one.value);
            else if (is(one.key, "message")) message = gw_swarm_json_string(one.value);
        }
        gw_swarm_refusals_note(t, GW_SWARM_REFUSAL_REPLY, 0, code, message);
        return 1;
    }
    return 0;
}

void gw_swarm_refusals_reply(gw_swarm_refusals_t *t, const char *bytes, size_t n) {
    const char *end = bytes + n, *start = gw_swarm_json_start(bytes, end);
    gw_swarm_span_t whole = {start, end};
    int found = 0;
    if (is_object(whole)) {
        found = object_error(t, whole);
        const char *at = start + 1;
        gw_swarm_member_t m;
        while (gw_swarm_json_member(&at, end, &m)) {
            if (!is(m.key, "results") || *m.value.at != '[') continue;
            const char *next = m.value.at + 1;
            gw_swarm_span_t item;
            while (gw_swarm_json_item(&next, m.value.end, &item))
                if (is_object(item)) found |= object_error(t, item);
        }
    }
    gw_swarm_span_t nothing = {NULL, NULL};
    if (!found) gw_swarm_refusals_note(t, GW_SWARM_REFUSAL_REPLY, 0, nothing, nothing);
}
