/* Just enough JSON to find a member and read a number, in any text whatever: no tree, no recursion, no
 * byte beyond the end. What is not JSON is an end, never an error of its own. */
#ifndef GW_SWARM_JSON_H
#define GW_SWARM_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gw_swarm.h"

static inline uint64_t gw_swarm_load8(const char *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* The high bit of each byte that equals `byte`; only the lowest one found is certain.
 * Source: Anderson, Bit Twiddling Hacks, "Determine if a word has a zero byte". */
static inline uint64_t gw_swarm_bytes_equal(uint64_t word, uint8_t byte) {
    uint64_t x = word ^ 0x0101010101010101u * byte;
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

/* The number that eight ASCII digits make, the first in the lowest byte; false: not all are digits. Pairs,
 * then fours, then all eight are joined by one multiplication each. */
static inline bool gw_swarm_eight(uint64_t word, uint64_t *value) {
    uint64_t high = word & 0xf0f0f0f0f0f0f0f0u;
    if ((high | ((word + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) >> 4) != 0x3333333333333333u)
        return false;
    word = (word & 0x0f0f0f0f0f0f0f0fu) * (1 + (10u << 8)) >> 8;
    word = (word & 0x00ff00ff00ff00ffu) * (1 + (100u << 16)) >> 16;
    *value = (word & 0x0000ffff0000ffffu) * (1 + ((uint64_t)10000 << 32)) >> 32;
    return true;
}

typedef struct {
    const char *at, *end; /* at: NULL where there is none */
} gw_swarm_span_t;

typedef struct {
    gw_swarm_span_t key, value; /* a string's quotes are outside a key, and inside a value */
} gw_swarm_member_t;

/* The first byte of the text's value that is no space; NULL at the end. */
const char *gw_swarm_json_start(const char *at, const char *end);
/* The next member of an object; `*at` stands behind its brace or the member before, and is moved. False
 * where there is none, or no JSON. */
bool gw_swarm_json_member(const char **at, const char *end, gw_swarm_member_t *m);
/* The same of an array's items. */
bool gw_swarm_json_item(const char **at, const char *end, gw_swarm_span_t *item);
/* A string's text between its quotes, escapes as they are. Empty and NULL where it is none. */
gw_swarm_span_t gw_swarm_json_string(gw_swarm_span_t value);
/* A plain unsigned integer up to 2^64 - 1; false where it is none. */
bool gw_swarm_json_unsigned(gw_swarm_span_t value, uint64_t *out);

/* A path, split at its dots; a number is an index into an array, or a name in an object. */
typedef struct {
    struct {
        gw_swarm_span_t name;
        int64_t index; /* -1: no number */
    } steps[GW_SWARM_PATH_MAX];
    uint32_t count;
} gw_swarm_path_t;

/* `text` must outlive the path. -EINVAL: no step, an empty one, or more than GW_SWARM_PATH_MAX. */
int gw_swarm_path_init(gw_swarm_path_t *path, gw_swarm_text_t text);
/* The value that the path leads to in this text. */
gw_swarm_span_t gw_swarm_path_find(const gw_swarm_path_t *path, const char *text, size_t length);
/* A time since the epoch in ns, from a number or a string of one, in s, ms, us or ns by its size, with
 * decimals or without; 0: it is none, or not within 64 bits. */
int64_t gw_swarm_json_time(gw_swarm_span_t value);

#endif
