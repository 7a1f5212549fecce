/* Which patterns match a name, without trying each; and one node for each text. gw_pattern_index.c
 * says how, and what a name costs. One owner, no threads. */
#ifndef GW_PATTERN_INDEX_H
#define GW_PATTERN_INDEX_H
#include "gw_hash.h"
#include "gw_map.h"
#include "gw_pattern.h"

/* A unit of work is a lookup, a pattern tried, or so many steps of trying it. */
#define GW_PATTERN_UNIT_STEPS 64u

/* Embedded in what the caller keeps of a pattern; the text lives as long as it is in the index. */
typedef struct gw_pattern_node gw_pattern_node_t;
struct gw_pattern_node {
    gw_pattern_node_t *previous, *next; /* filed under the same literals */
    gw_pattern_node_t *next_text;       /* of the same hash of its text */
    gw_glob_t glob;
    uint32_t filed; /* of the first in its chain: how many the chain has */
    uint8_t channel;
    uint8_t middle, middle_length; /* the literal between stars that it is filed under */
};

/* A name on its way through the index. Copied, so that the name may go meanwhile. */
typedef struct gw_pattern_cursor gw_pattern_cursor_t;
struct gw_pattern_cursor {
    gw_pattern_cursor_t *previous, *next; /* of the index, while it is under way */
    gw_pattern_node_t *node;              /* next to be tried, of the chain in hand */
    uint64_t tails, middles;              /* classes of lengths in use, under the ends in hand */
    uint64_t head_key, ends_key;
    uint16_t head, tail, middle, at;      /* lengths in hand, and the middle's place in the name */
    uint16_t tail_next, middle_next, at_next;
    uint8_t kind, step, channel, length;
    char name[GW_GLOB_MAX];
    uint64_t hashes[GW_GLOB_MAX + 1];     /* of the name's first bytes, by their number */
};

typedef struct {
    gw_map_t texts;  /* hash of channel and text -> the first node of it */
    gw_map_t chains; /* key of the literals -> the first node filed under them */
    gw_map_t levels; /* key of a head, or of both ends -> lengths in use of the next literal */
    gw_map_t counts; /* key of those and a class of lengths -> how many patterns use it */
    gw_hash_key_t key;
    uint64_t base, powers[GW_GLOB_MAX + 1]; /* of the rolling hash */
    uint32_t heads[GW_GLOBS][GW_GLOB_MAX + 1]; /* patterns by kind and length of the head */
    uint32_t count;
    gw_pattern_cursor_t *cursors;
} gw_pattern_index_t;

/* -ENOMEM: there is nothing to free. */
int gw_pattern_index_init(gw_pattern_index_t *x);
void gw_pattern_index_free(gw_pattern_index_t *x); /* not the nodes, which are the caller's */

/* The node of this text; NULL: there is none. */
gw_pattern_node_t *gw_pattern_index_find(const gw_pattern_index_t *x, uint8_t channel,
                                         const char *text, size_t length);

/* -EEXIST: the text is there already, -EINVAL: too long, -ENOMEM; the index is then as it was. */
int gw_pattern_index_add(gw_pattern_index_t *x, gw_pattern_node_t *node, uint8_t channel,
                         const char *text, size_t length);
void gw_pattern_index_remove(gw_pattern_index_t *x, gw_pattern_node_t *node);

/* Begins with a name; the cursor must not be under way, and stays where it is in memory until it has
 * finished or gw_pattern_index_end. One of zeros has finished. -EINVAL: the name is too long. */
int gw_pattern_index_begin(gw_pattern_cursor_t *c, gw_pattern_index_t *x, uint8_t channel,
                           const char *name, size_t length);

/* The next pattern that matches; NULL: none within the budget, or none any more, which
 * gw_pattern_cursor_finished tells. Takes what it did from the budget; the pattern tried last may cost
 * up to length * name_length / GW_PATTERN_UNIT_STEPS units more than there were.
 *
 * Between two calls patterns may come and go, also the one returned last. A pattern that is there from
 * begin to the end is returned exactly once. One that comes or goes meanwhile is returned at most once
 * for each time that it was added, perhaps never, and not while it is gone. So a caller that adds a
 * pattern while a name is under way tries that name itself. */
gw_pattern_node_t *gw_pattern_index_next(gw_pattern_cursor_t *c, gw_pattern_index_t *x,
                                         uint32_t *budget);
bool gw_pattern_cursor_finished(const gw_pattern_cursor_t *c);

/* Gives a name up, at any point. */
void gw_pattern_index_end(gw_pattern_cursor_t *c, gw_pattern_index_t *x);

#endif
