/* Patterns, each once for all who have it, and which of a client's cover a topic. */
#include "gw_plane_internal.h"
#include <string.h>

gw_pattern_t *gw_pattern_intern(gw_plane_t *p, const gw_item_t *item) {
    gw_pattern_node_t *known = gw_pattern_index_find(&p->patterns, item->channel, item->name, item->length);
    if (known) return (gw_pattern_t *)known;
    gw_pattern_t *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    memcpy(x->text, item->name, item->length);
    x->letters = gw_letters(item->name, item->length);
    if (!gw_pattern_index_add(&p->patterns, &x->node, item->channel, x->text, item->length)) return x;
    free(x);
    return NULL;
}

void gw_pattern_release(gw_plane_t *p, gw_pattern_t *x) {
    if (x->subs) return;
    gw_pattern_index_remove(&p->patterns, &x->node);
    free(x);
}

int gw_pattern_covers(const gw_pattern_t *x, const gw_name_t *n, int64_t *budget) {
    uint32_t steps = 0;
    *budget -= GW_UNITS_TEST;
    int covers = gw_name_matches(&x->node.glob, x->letters, x->node.channel, n, &steps);
    *budget -= steps / GW_PATTERN_UNIT_STEPS;
    return covers;
}

/* The client's pattern that governs what no name governs: the latest, but ending ones. */
gw_sub_t *gw_sub_pattern_covering(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t, int64_t *budget) {
    gw_sub_t *best = NULL;
    if (gw_topic_is_local(t)) return NULL;
    for (gw_sub_t *s = c->subs[1]; s; s = s->next) {
        if (s->ending || (best && s->order < best->order)) continue;
        if (gw_pattern_covers(s->pattern, &p->names[t->number], budget)) best = s;
    }
    return best;
}
