/* Links that are behind: what they have not had yet they get from the ring, and are live once they have it all.
 *
 * A client asks for that (`from`, gw_replay_from.c), or is too slow to be live (gw_rewind.c). Records of its topic that are
 * routed meanwhile pass such a link by: what is left to it is computed, the topic's count of records routed less `done`,
 * and all of it is pending. It has no mark, and no frame in its client's queue but those that it was replayed.
 *
 * One *pass* over the ring (gw_replay_pass.c) serves all. A client takes part in it as a whole, or does not: it is in the
 * pass under way, where all that it wants is still to come; or in the next one, which begins with the oldest that
 * somebody there wants; or in none, while its socket is full or a request of it is under way. `replay_pass` says which, by
 * number, so that who waits for the next one is in it when it begins, without anybody looking for them. */
#include "gw_plane_internal.h"
#include <errno.h>

/* The count of the pass that the client is in; NULL: in none. */
static uint64_t *set_of(gw_plane_t *p, const gw_client_t *c) {
    if (c->replay_pass == p->pass.number + 1) return &p->pass.queued;
    return c->replay_pass && c->replay_pass == p->pass.number ? &p->pass.members : NULL;
}

/* The client gets no more of this pass, or of the next one, until it joins again: from here on. */
void gw_replay_leave(gw_plane_t *p, gw_client_t *c) {
    uint64_t *set = set_of(p, c);
    if (!set) return;
    *set -= c->replays;
    c->replay_pass = 0;
    if (set == &p->pass.members && c->replay_at < gw_pass_position(p)) c->replay_at = gw_pass_position(p);
}

/* A client that takes frames again has the pass go on with it. */
void gw_replay_join(gw_plane_t *p, gw_client_t *c) {
    if (!(c->flags & GW_CLIENT_REPLAYS) || c->flags & (GW_CLIENT_WAITS | GW_CLIENT_DOOMED) || set_of(p, c)) return;
    gw_pass_t *pass = &p->pass;
    const int now = pass->active && pass->lost_next == UINT32_MAX && c->replay_at >= gw_pass_position(p);
    c->replay_pass = pass->number + !now;
    *set_of(p, c) += c->replays;
    if (!now && c->replay_at < pass->next) pass->next = c->replay_at;
}

/* The last `left` records of the link's topic come from the ring; for a subscription that asked for it, or for none.
 * Where they begin is said by gw_replay_place. -ENOMEM: the client is let go. */
int gw_replay_open(gw_plane_t *p, gw_link_t *l, uint64_t left, gw_sub_t *sub) {
    gw_client_t *c = l->client;
    gw_topic_t *t = l->topic;
    gw_replay_t *r = calloc(1, sizeof *r);
    if (!r) {
        gw_client_slow(p, c, "no memory for a replay");
        return -ENOMEM;
    }
    if (!c->replays) c->replay_at = GW_POSITION_NONE;
    gw_replay_leave(p, c);
    *r = (gw_replay_t){.link = l, .sub = sub, .next = t->replays, .done = t->routed - left,
                       .position = GW_POSITION_NONE, .slow = !sub};
    if (r->next) r->next->previous = r;
    t->replays = l->replay = r;
    if (sub) sub->replays++;
    c->replays++;
    c->replays_slow += r->slow;
    c->flags |= GW_CLIENT_REPLAYS;
    p->pass.count++;
    return 0;
}

void gw_replay_place(gw_link_t *l, uint64_t position) {
    l->replay->position = position;
    if (position < l->client->replay_at) l->client->replay_at = position;
}

/* The link's newest record comes from the ring, behind what its client's others have still to get; what is queued of the
 * link before that, where something is, is found by the rewind. 0: no memory, the client is let go. */
int gw_replay_follow(gw_plane_t *p, gw_link_t *l) {
    if (gw_replay_open(p, l, 1, NULL)) return 0;
    gw_replay_place(l, l->topic->position);
    gw_replay_join(p, l->client);
    return 1;
}

/* Whether the client was too slow, and the ring has no longer what it has to go on with once its socket takes bytes. */
int gw_replay_overwritten(const gw_plane_t *p, const gw_client_t *c) {
    if (!c->replays_slow || c->replay_pass || !p->mapping || p->epoch_phase) return 0;
    const uint64_t end = GW_LOAD_RELAXED(p->reader.segment.tail_intent);
    return end > c->replay_at && end - c->replay_at > p->reader.segment.capacity;
}

/* Nobody is told its end. */
void gw_replay_disown(gw_link_t *l) {
    if (l->replay->sub) l->replay->sub->replays--;
    l->replay->sub = NULL;
}

/* The link is live; what was left is the caller's. */
void gw_replay_close(gw_plane_t *p, gw_link_t *l, int result) {
    gw_client_t *c = l->client;
    gw_replay_t *r = l->replay;
    uint64_t *set = set_of(p, c);
    if (set) --*set;
    gw_replay_disown(l);
    if (r->previous) r->previous->next = r->next;
    else l->topic->replays = r->next;
    if (r->next) r->next->previous = r->previous;
    l->replay = NULL;
    c->replays_slow -= r->slow;
    free(r);
    p->pass.count--;
    gw_count(&p->stats->replays[result], 1);
    if (--c->replays) return;
    c->flags &= (uint16_t)~GW_CLIENT_REPLAYS;
    c->replay_pass = 0;
}

/* What is left is dropped for this reason, or conflated (NULL), but for the newest record where that is kept. How much it
 * was, the newest among it. */
uint64_t gw_replay_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason, int keep, int result) {
    const uint64_t left = gw_replay_left(l), n = left - (keep && left);
    if (reason) gw_link_lose(p, l, n, reason);
    else gw_link_conflate(p, l, n);
    gw_replay_close(p, l, result);
    return left;
}
