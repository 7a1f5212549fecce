/* The glob of subscriptions: `*` is any run of characters, also none; everything else is itself. A star
 * that is itself is GW_LITERAL_STAR, in a pattern and in the names that it is held against. */
#ifndef GW_PATTERN_H
#define GW_PATTERN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GW_LITERAL_STAR '\1' /* a control character, which no name has */
#define GW_GLOB_MAX 255u /* bytes of a pattern, and of a name */

/* Whether the pattern covers the whole name. At most pattern_length * name_length steps, no
 * recursion. */
bool gw_pattern_match(const char *pattern, size_t pattern_length, const char *name,
                      size_t name_length);

/* How much of a pattern its ends decide. */
enum {
    GW_GLOB_NAME,    /* no star: the pattern is a name */
    GW_GLOB_ENDS,    /* what stands before the first star and behind the last one decides */
    GW_GLOB_MIDDLES, /* there are literals between stars, too */
    GW_GLOBS
};

/* A pattern taken apart, so that two bytes refuse most names. */
typedef struct {
    const char *text; /* the caller's, for as long as this is used */
    uint8_t length;
    uint8_t head;  /* bytes before the first star */
    uint8_t tail;  /* bytes behind the last star */
    uint8_t least; /* bytes that a name must have */
    uint8_t kind;  /* GW_GLOB_* */
} gw_glob_t;

/* -EINVAL: the text is longer than GW_GLOB_MAX. */
int gw_glob_compile(gw_glob_t *g, const char *text, size_t length);

/* The literals between the stars, in a name whose ends fit. Each is looked for behind the one before
 * it and taken where it stands first, so no place is ever returned to: at most length * name_length
 * steps, which are added to `steps`. */
bool gw_glob_middles(const gw_glob_t *g, const char *name, size_t name_length, uint32_t *steps);

/* The same as gw_pattern_match. Any name up to GW_GLOB_MAX; a refusal is mostly two comparisons. */
static inline bool gw_glob_match_counted(const gw_glob_t *g, const char *name, size_t name_length,
                                         uint32_t *steps) {
    if (name_length < g->least) return false;
    size_t head = g->head, tail = g->tail;
    const char *name_tail = name + name_length - tail, *text_tail = g->text + g->length - tail;
    if (head && (name[0] != g->text[0] || memcmp(name, g->text, head) != 0)) return false;
    if (tail
        && (name_tail[tail - 1] != text_tail[tail - 1] || memcmp(name_tail, text_tail, tail) != 0))
        return false;
    if (g->kind == GW_GLOB_ENDS) return true;
    if (g->kind == GW_GLOB_NAME) return name_length == g->length;
    return gw_glob_middles(g, name, name_length, steps);
}

static inline bool gw_glob_match(const gw_glob_t *g, const char *name, size_t name_length) {
    uint32_t steps = 0;
    return gw_glob_match_counted(g, name, name_length, &steps);
}

/* Which characters occur, but stars, by their low six bits. A pattern whose letters are not all among
 * a name's does not match it: kept beside the names, one word refuses most patterns of several
 * stars. */
static inline uint64_t gw_letters(const char *text, size_t length) {
    uint64_t letters = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] != '*') letters |= 1ull << ((uint8_t)text[i] & 63);
    return letters;
}

#endif
