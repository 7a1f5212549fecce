/* A right: rules in order, the first that covers a topic decides, and what none covers is denied. Rules may be of two
 * lists, of which each has to allow: the second one is a limit to what the first one may give. */
#ifndef GW_RIGHT_H
#define GW_RIGHT_H
#include "gw_names.h"

#define GW_RULES_MAX 1024u /* of one right */
#define GW_RULE_LISTS 2u
#define GW_RULE_NONE UINT32_MAX
#define GW_CHANNELS_ANY UINT32_MAX

typedef struct {
    uint32_t channels; /* a bit for each, the plane's own (GW_LOCAL) among them */
    uint8_t allow, is_pattern, length, list; /* list: below GW_RULE_LISTS */
    char name[GW_INSTRUMENT_MAX]; /* as an item's */
} gw_rule_t;

typedef struct {
    gw_glob_t glob;
    uint64_t letters;
    uint32_t channels;
    uint8_t allow, list;
    char text[GW_INSTRUMENT_MAX];
} gw_granted_t;

typedef struct {
    uint32_t count, lists; /* lists: a bit for each that has rules */
    gw_granted_t *rules;   /* the caller's, which is not moved */
} gw_right_t;

/* Fills `out` with so many rules; 0, or -EINVAL where one is out of bounds or they are too many. */
int gw_right_fill(gw_right_t *right, gw_granted_t *out, const gw_rule_t *rules, uint32_t count);
/* Whether it is granted. `found` has the place of the rule of each list that decided, or GW_RULE_NONE. */
int gw_right_decide(const gw_right_t *right, const gw_name_t *name, uint32_t found[GW_RULE_LISTS], uint32_t *steps);
/* As gw_names_count, of what is granted alone. */
uint32_t gw_right_count(const gw_right_t *right, const gw_name_t *names, uint32_t names_count, uint8_t channel,
                        const gw_glob_t *g, uint64_t *steps);

#endif
