/* Names in a row, to be held against a pattern: by the plane in its steps, by the loop to count what a pattern
 * covers. Both do the same work for a name, so what the loop counted is what the plane will do. */
#ifndef GW_NAMES_H
#define GW_NAMES_H
#include "gw_pattern.h"
#include "gw_record.h"

/* A topic's channel and name by its number: what patterns are held against, without a look at the topic. */
typedef struct {
    uint64_t letters;        /* gw_letters */
    uint8_t channel, length; /* length: 0 where there is no topic */
    char text[GW_INSTRUMENT_MAX]; /* with GW_LITERAL_STAR */
} gw_name_t;

static inline void gw_name_fill(gw_name_t *n, uint8_t channel, const char *name, size_t length) {
    n->channel = channel;
    n->length = (uint8_t)length;
    for (size_t i = 0; i < length; i++) n->text[i] = name[i] == '*' ? GW_LITERAL_STAR : name[i];
    n->letters = gw_letters(n->text, length);
}

#define GW_NAME_STEPS 4u /* what a look at a name costs beside the characters compared */

static inline bool gw_name_matches(const gw_glob_t *g, uint64_t letters, uint8_t channel, const gw_name_t *n,
                                   uint32_t *steps) {
    if (channel != n->channel || !n->length || letters & ~n->letters) return false;
    return gw_glob_match_counted(g, n->text, n->length, steps);
}

/* How many of the names the pattern covers; `steps` is set to the work that this was: a step is about 1 ns. */
static inline uint32_t gw_names_count(const gw_name_t *names, uint32_t names_count, uint8_t channel,
                                      const gw_glob_t *g, uint64_t *steps) {
    const uint64_t letters = gw_letters(g->text, g->length);
    uint32_t matched = 0;
    *steps = (uint64_t)names_count * GW_NAME_STEPS;
    for (uint32_t i = 0; i < names_count; i++) {
        uint32_t more = 0;
        matched += gw_name_matches(g, letters, channel, &names[i], &more);
        *steps += more;
    }
    return matched;
}

#endif
