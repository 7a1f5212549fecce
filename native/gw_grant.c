/* What clients may subscribe to. A grant is asked where a link is born, and nowhere else: of a name before it is
 * looked for, so that the answer does not tell whether there is such a topic; of what a pattern covers when the link
 * would be made, now or when the topic appears.
 *
 * The answer depends on channel and name alone. It is found by trying the rules in order the first time that a topic
 * is asked for under a grant, and is a bit by the topic's number from then on, until that is another topic's. A grant is
 * not changed while a client has it; a client that is given another one (GW_CMD_REGRANT) asks by that at once, and
 * gets nothing more before its links that are not granted any longer have ended (gw_request.c). */
#include "gw_plane_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD(bits, number) ((bits)[(number) / 64])
#define BIT(number) (1ull << (number) % 64)

/* --- asking ----------------------------------------------------------------------------------------- */

static int decide(const gw_grant_t *g, const gw_name_t *name, int64_t *budget) {
    uint32_t steps = 0, found[GW_RULE_LISTS];
    const int allow = gw_right_decide(&g->right, name, found, &steps);
    *budget -= GW_UNITS_TEST + steps / GW_PATTERN_UNIT_STEPS;
    return allow;
}

static int bits_grow(uint64_t **bits, uint32_t from, uint32_t to) {
    uint64_t *grown = realloc(*bits, to / 8);
    if (!grown) return -ENOMEM;
    memset(grown + from / 64, 0, (to - from) / 8);
    *bits = grown;
    return 0;
}

/* Room for all topics that there are; without memory each is decided anew. */
static int grow(gw_grant_t *g, uint32_t topics) {
    if (bits_grow(&g->known, g->size, topics) || bits_grow(&g->allowed, g->size, topics)) return -ENOMEM;
    g->size = topics;
    return 0;
}

int gw_grant_allows(gw_plane_t *p, uint32_t grant, const gw_topic_t *t, int64_t *budget) {
    gw_grant_t *g = p->grants[grant];
    const uint32_t n = t->number;
    gw_name_t name;
    if (!g) return 0;
    if (n < g->size && WORD(g->known, n) & BIT(n)) return (WORD(g->allowed, n) & BIT(n)) != 0;
    gw_name_fill(&name, t->channel, t->name, t->length);
    const int allow = decide(g, &name, budget);
    if (n >= p->topics_size || (n >= g->size && grow(g, p->topics_size))) return allow; /* a local topic's, or no memory */
    WORD(g->known, n) |= BIT(n);
    WORD(g->allowed, n) = (WORD(g->allowed, n) & ~BIT(n)) | (allow ? BIT(n) : 0);
    return allow;
}

int gw_grant_allows_name(gw_plane_t *p, uint32_t grant, const gw_item_t *item, int64_t *budget) {
    gw_name_t name;
    if (!p->grants[grant]) return 0;
    gw_name_fill(&name, item->channel, item->name, item->length);
    return decide(p->grants[grant], &name, budget);
}

void gw_grants_forget(gw_plane_t *p, uint32_t number) {
    for (uint32_t i = 0; i < p->grants_high; i++) {
        gw_grant_t *g = p->grants[i];
        if (g && number < g->size) WORD(g->known, number) &= ~BIT(number);
    }
}

/* --- loading ---------------------------------------------------------------------------------------- */

void gw_grant_free(gw_grant_t *g) {
    if (!g) return;
    free(g->known);
    free(g->allowed);
    free(g);
}

void gw_grant_load(gw_plane_t *p, const gw_command_t *x) {
    gw_grant_free(p->grants[x->grant]);
    p->grants[x->grant] = x->table;
    if (x->grant >= p->grants_high) p->grants_high = x->grant + 1;
}
