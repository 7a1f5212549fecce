/* Names that cannot come: feeds have all the topics that they may have (ring.topics_max).
 *
 * Who asks for such a name now is refused by its request. Those who wait for one already are told here, once for
 * each link, a slice of them in a turn. A client whose control queue has no room is told in a later round. */
#include "gw_plane_internal.h"

#define CONTROL_PARTS 32u /* of a client's control queue: less than notices of limits have */

/* How many topics feeds may have, where all are taken; else 0. */
uint32_t gw_full(const gw_plane_t *p) {
    return p->mapping && !p->epoch_phase ? gw_directory_full(&p->reader.segment) : 0;
}

/* Begins a round where the table has become full, or where some could not be told. */
void gw_full_look(gw_plane_t *p) {
    const uint32_t full = gw_full(p);
    if (full && (!p->full || p->full_again) && p->full_next >= p->topics_count) {
        p->full_again = 0;
        p->full_next = 0;
        p->full_link = gw_walk_begin();
    }
    p->full = full;
}

static void tell(gw_plane_t *p, gw_link_t *l) {
    gw_client_t *c = l->client;
    if (l->hopeless || l->sub->pattern || c->flags & GW_CLIENT_DOOMED) return;
    if (c->control_length - c->control_head > p->o.control_bytes_max / CONTROL_PARTS) {
        p->full_again = 1;
        return;
    }
    l->hopeless = 1;
    gw_limit_tell(p, c, "ring.topics_max", p->full, l->topic->name, l->topic->length, 0);
}

/* A slice of the round; whether it goes on. */
int gw_full_tell(gw_plane_t *p) {
    int64_t budget = p->turn_units;
    for (; p->full && p->full_next < p->topics_count; p->full_next++, p->full_link = gw_walk_begin()) {
        const gw_topic_t *t = p->topics[p->full_next];
        if (budget <= 0) return 1;
        budget -= GW_UNITS_LOOK;
        if (!t || t->bound || t->channel == GW_HEALTH) continue;
        for (gw_link_t *l; budget > 0 && (l = gw_walk_next(t, &p->full_link)); budget -= GW_UNITS_LINK) tell(p, l);
        if (budget <= 0) return 1;
    }
    p->full_next = UINT32_MAX;
    return 0;
}
