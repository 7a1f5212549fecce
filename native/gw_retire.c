/* Topics that have ended: their subscribers are told, in the order of the data, and links of patterns end.
 *
 * A feed's last record of a topic bears GW_FLAG_RETIRED. The plane lets go of the topic's place in the directory at
 * once, and tells each link: by a notice behind the frames in its client's queue, or, where the link has a mark or
 * its client takes no frames, by the mark: the notice is *owed*, and rendered with it. The topic is then a name that
 * is waited for, as before its first record. Links of names stay, links of patterns end once all that was pending of
 * them and the notice have left; topics with such links are in plane->retiring, and a round looks at them, a slice
 * in a turn. Should the name come back meanwhile the topic leaves that list, and its links go on: what is owed is
 * told before the first record, which comes as a snapshot. */
#include "gw_plane_internal.h"

/* A link begins anew, by a request of its client: that its topic has ended is news only while it has not come back. */
void gw_retire_resume(gw_plane_t *p, gw_link_t *l) {
    if (!l->owes) return;
    gw_link_clean(p, l);
    l->owes = 0;
    if (!l->topic->bound) gw_link_owe(p, l, 1);
}

static void tell(gw_plane_t *p, gw_link_t *l, uint64_t *notice) {
    gw_client_t *c = l->client;
    if (c->flags & GW_CLIENT_DOOMED) return;
    if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        l->owes = l->chosen != NULL;
        return;
    }
    if (l->dirty || (!l->lossless && c->flags & GW_CLIENT_BLOCKED)) {
        gw_link_owe(p, l, l->owes + 1u);
        return;
    }
    if (gw_client_overflows(p, c)) return;
    if (*notice == GW_FRAME_NONE) {
        const gw_notice_t n = {.numbers = {0}};
        *notice = gw_notice_frame(p, l->topic, gw_link_audience(l), GW_NOTICE_RETIRED, &n, GW_FRAME_RETIRED, 0);
    }
    if (*notice != GW_FRAME_NONE) gw_client_push(p, c, *notice);
}

/* The topic has ended, `lost` records of it were overwritten before they were taken. Returns the links concerned. */
uint32_t gw_topic_retire(gw_plane_t *p, gw_topic_t *t, uint64_t lost) {
    const uint32_t links = t->links_count;
    int patterns = 0;
    t->routed += lost;
    gw_count(&p->stats->routed[t->channel], links * lost);
    gw_count(&p->stats->dropped_lapped[t->channel], links * lost);
    for (uint32_t i = 0; i < t->audiences_count; i++) {
        uint64_t notice = GW_FRAME_NONE;
        for (uint32_t k = 0; k < t->audiences[i].count; k++) {
            gw_link_t *l = t->audiences[i].links[k].link;
            l->dropped += lost;
            gw_count(&p->stats->class_dropped[l->priority], lost);
            if (l->replay) l->replay->done += lost;
            gw_replay_break(p, l);
            patterns |= l->sub->pattern != NULL;
            l->hopeless = 0;
            l->client->names_waiting += !l->awaits;
            l->awaits = 1;
            tell(p, l, &notice);
            if (!gw_link_pends(l)) gw_link_stale(p, l, 0); /* no frame follows that would be of this numbering */
        }
    }
    p->ends = 1;
    p->full = 0; /* those who wait for it now are told, should the table be full */
    t->attached = 0;
    for (uint32_t i = 0; i < t->audiences_count; i++) t->audiences[i].notice = 0;
    if (patterns) gw_retire_list(p, t);
    gw_topic_unbind(p, t);
    return links;
}

/* The topic's last record, which says that it has ended. */
uint32_t gw_topic_over(gw_plane_t *p, gw_topic_t *t, const gw_record_t *last) {
    p->by_ring[t->ring_id] = NULL;
    p->bind_changes = UINT64_MAX; /* its name may have another place already */
    return gw_topic_retire(p, t, last->h.topic_seq - 1 - gw_topic_before(t, &last->h));
}

/* Whether nothing of the topic is left for the link's client: neither data nor the notice. */
static int settled(const gw_topic_t *t, const gw_link_t *l) {
    const gw_client_t *c = l->client;
    uint64_t oldest;
    if (c->job || l->dirty || l->owes || c->rest.link == l || l->sealed) return 0;
    return !gw_client_oldest(c, &oldest) || oldest >= t->audiences[l->audience].retired_index;
}

/* Clients whose sockets are full keep theirs waiting, however many: no round begins before a rest of so many times as
 * long as the last one took. */
#define REST 4

void gw_retire_begin(gw_plane_t *p) {
    if (p->retire_at || !p->retiring || p->now < p->retire_ns) return;
    p->retire_begun_ns = p->now;
    p->retire_at = p->retiring;
    p->retire_place = gw_walk_begin();
}

/* A slice of the round over links that are to end, from a topic's last to its first; whether it goes on. */
int gw_retire_round(gw_plane_t *p) {
    int64_t budget = p->turn_units;
    while (p->retire_at) {
        gw_topic_t *t = p->retire_at;
        if (gw_walk_begins(&p->retire_place)) t->retiring = 1; /* 2: a link that is to end is still there */
        for (gw_link_t *l; budget > 0 && (l = gw_walk_next(t, &p->retire_place));) {
            budget -= GW_UNITS_LOOK;
            if (!l->sub->pattern || l->client->flags & GW_CLIENT_DOOMED) continue;
            if (!settled(t, l)) {
                t->retiring = 2;
                continue;
            }
            budget -= GW_UNITS_LINK;
            const int last = t->links_count == 1;
            gw_link_drop(p, l); /* the last one takes the topic with it, off this list */
            if (last) break;
        }
        if (p->retire_at != t) continue;
        if (budget <= 0) return 1;
        budget -= GW_UNITS_TOPIC;
        if (t->retiring == 1) gw_retire_unlist(p, t);
        else p->retire_at = t->retiring_next, p->retire_place = gw_walk_begin();
    }
    p->retire_ns = p->now + (p->now - p->retire_begun_ns) * REST;
    return 0;
}
