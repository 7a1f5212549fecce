/* One record to all who take its topic. One rule for every record: seq <= state.seq is skipped, seq > state.seq + 1 is a
 * hole that the subscribers are told. */
#include "gw_plane_internal.h"

/* --- to one client ----------------------------------------------------------------------------------- */

/* The record in hand as a snapshot, for all who get their first one of this epoch. */
static uint64_t promised(gw_plane_t *p, gw_link_t *l) {
    gw_audience_t *a = gw_link_audience(l);
    if (!a->promised) a->promised = gw_topic_resync_frame(p, l->topic, a, 0) + 1; /* so that 0 is none */
    return a->promised - 1;
}

/* A record for a client that does not take the shortest way: it waits for its socket or for a job, has a dirty
 * set, may have to wait for its time, or takes nothing more. */
void gw_client_take(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index) {
    int first = 0; /* of this epoch: the snapshot that was promised has not been made */
    if (l->epoch != p->epochs) {
        gw_link_renew(p, l);
        first = !(gw_frame_at(p, index)->flags & GW_FRAME_RESYNC);
    }
    if (l->replay) { /* it comes from the ring, but where the topic has begun anew */
        if (gw_frame_at(p, index)->flags & GW_FRAME_RESYNC) gw_replay_break(p, l);
        return;
    }
    int queues = c->flags & GW_CLIENT_WAITS && l->lossless && !l->dirty;
    if (queues) gw_client_overflows(p, c);
    if (gw_link_follows(l) && !(c->flags & GW_CLIENT_DOOMED) && !gw_link_is_marked(l)) {
        const int anew = first || gw_frame_at(p, index)->flags & GW_FRAME_RESYNC;
        if (anew && c->rewind) gw_client_slow(p, c, "too far behind for a replay");
        if (!anew && gw_replay_follow(p, l)) return;
    }
    if (c->flags & GW_CLIENT_DOOMED) {
        gw_link_settle(p, l, gw_client_loss(p, c));
    } else if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty == GW_LINK_NOTICE) { /* the topic has come back */
        const gw_frame_t *f = gw_frame_at(p, index);
        gw_link_remark(l, GW_LINK_RESYNC, f->recv_ns, f->taken_ns);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
        if (gw_link_pends(l) && gw_frame_at(p, index)->flags & GW_FRAME_RESYNC) { /* the same, or another origin counts */
            l->dirty = GW_LINK_RESYNC;
            if (l->owes) l->skipped = 0, gw_link_stale(p, l, 0);
        }
    } else if ((c->flags & GW_CLIENT_WAITS) && !queues) {
        const gw_frame_t *f = gw_frame_at(p, index);
        gw_link_wait(p, l, first ? GW_LINK_RESYNC : gw_link_mark(l, f), f->recv_ns, f->taken_ns);
    } else if (!(c->flags & GW_CLIENT_HOLDS) || !gw_link_hold(p, l, gw_frame_at(p, index))) {
        gw_client_push_record(p, c, l, first ? promised(p, l) : index);
        if (queues) gw_client_backlog(p, c);
    }
}

/* --- to all ------------------------------------------------------------------------------------------ */

static void push(gw_plane_t *p, const gw_entry_t *e, const gw_entry_t *end, uint64_t index) {
    for (; e != end; e++) {
        gw_client_t *c = e->client;
        if (end - e > 4) __builtin_prefetch(e[4].client, 1);
        if (c->flags & (uint16_t)~GW_CLIENT_SECURE) gw_client_take(p, c, e->link, index);
        else gw_client_push(p, c, index);
    }
}

/* The topic's newest record to those who get the same bytes. Clients are served in the order in which they were
 * touched: the first is another one each time. */
static inline void route_audience(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, int renewed) {
    const uint32_t n = a->count;
    if (!n) return;
    a->promised = 0;
    uint64_t index = renewed ? gw_topic_resync_frame(p, t, a, 0) : gw_topic_frame(p, t, a, GW_ENCODE_UPDATE);
    const gw_entry_t *e = a->links;
    const uint32_t start = n > 1 ? p->rotation++ % n : 0;
    push(p, e + start, e + n, index);
    push(p, e, e + start, index);
}

/* The topic's newest record, the next after its last, to all who take it. */
void gw_topic_route(gw_plane_t *p, gw_topic_t *t) {
    const uint32_t n = t->links_count;
    const int renewed = t->renewed;
    t->renewed = 0;
    t->routed++;
    if (!n) return;
    if (t->urgent > p->control.audience) p->control.audience = t->urgent;
    gw_count(&p->stats->routed[t->channel], n);
    gw_count(&p->stats->pending[t->channel], n);
    for (uint32_t i = 0; i < t->audiences_count; i++) route_audience(p, t, &t->audiences[i], renewed);
}

/* --- holes ------------------------------------------------------------------------------------------- */

/* What those who take a topic without loss are sent after a hole: a notice, then the state. */
typedef struct {
    uint64_t lost;
    int first;   /* the topic has begun with it */
    int encoded; /* only once somebody needs them */
    uint64_t notice, state;
} hole_t;

static void hole_encode(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, hole_t *h) {
    const gw_notice_t notice = {.numbers = {t->seq - h->lost, t->seq - 1}};
    h->notice = gw_notice_frame(p, t, a, GW_NOTICE_LAPPED, &notice, 0, 0);
    h->state = gw_topic_resync_frame(p, t, a, h->lost);
    h->encoded = 1;
}

/* Settles one link of a topic that went to the record at hand with `lost` records between. */
static void link_jump(gw_plane_t *p, gw_link_t *l, hole_t *hole) {
    gw_client_t *c = l->client;
    const gw_record_t *state = l->topic->state;
    if (l->replay) { /* nothing of that is left in the ring but the state */
        gw_replay_break(p, l);
        return;
    }
    if (c->rewind) gw_replay_break(p, l);
    gw_link_lose(p, l, hole->lost, p->stats->dropped_lapped);
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    if (c->flags & GW_CLIENT_DOOMED) {
        gw_link_settle(p, l, gw_client_loss(p, c));
    } else if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty == GW_LINK_NOTICE) {
        l->skipped = hole->lost;
        gw_link_remark(l, GW_LINK_RESYNC, gw_record_published(state) - state->h.ingest_ns, p->taken_ns);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
        if (l->dirty == GW_LINK_SNAPSHOT) return;
        if (l->owes && hole->first) l->skipped = 0, gw_link_stale(p, l, 0);
        l->skipped += hole->lost;
        l->dirty = GW_LINK_RESYNC;
    } else if (l->lossless && !l->stale) {
        if (!hole->encoded) hole_encode(p, l->topic, gw_link_audience(l), hole);
        if (hole->notice != GW_FRAME_NONE) gw_link_push(p, l, hole->notice);
        gw_client_push_record(p, c, l, hole->state);
    } else {
        l->skipped = hole->lost;
        gw_link_wait(p, l, GW_LINK_RESYNC, gw_record_published(state) - state->h.ingest_ns, p->taken_ns);
    }
}

/* The links that it concerned. */
uint32_t gw_topic_jump(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest, uint64_t position, uint8_t before) {
    hole_t hole = {.lost = newest->h.topic_seq - gw_topic_before(t, &newest->h) - 1, .first = !t->seq};
    const uint32_t told = gw_gap_route(p, t, &newest->h);
    gw_topic_take(t, newest, position);
    uint32_t links = told + t->links_count + gw_refused_route(p, t, before);
    if (!hole.lost) { /* of this topic the lap took nothing */
        gw_topic_route(p, t);
        return t->suspect ? links + gw_refused_recover(p, t) : links;
    }
    t->renewed = 0;
    t->routed += hole.lost + 1;
    gw_count(&p->stats->routed[t->channel], t->links_count * (hole.lost + 1));
    gw_count(&p->stats->pending[t->channel], t->links_count * (hole.lost + 1));
    for (uint32_t i = 0; i < t->audiences_count; i++) {
        hole.encoded = 0;
        for (uint32_t k = 0; k < t->audiences[i].count; k++) link_jump(p, t->audiences[i].links[k].link, &hole);
    }
    return t->suspect ? links + gw_refused_recover(p, t) : links;
}

/* --- a record ---------------------------------------------------------------------------------------- */

/* How many links it went to; -1 where it has to wait: its topic is not bound yet, or there is no memory for it. */
int64_t gw_record_route(gw_plane_t *p, const gw_record_t *r, int64_t *budget) {
    gw_topic_t *t = r->h.topic < p->by_ring_count ? p->by_ring[r->h.topic] : NULL;
    if ((!t || !gw_record_is_of(r, t->generation)) && !(t = gw_topic_of_ring(p, r->h.topic, r, budget))) return -1;
    if (t == &gw_topic_none || !gw_record_fits(p, t, r)) return 0;
    if (__builtin_expect(r->h.cells > t->state_cells, 0)) {
        if (gw_topic_is_book(t)) return gw_book_route(p, t, r, p->reader.from + p->batch_at, budget);
        if (gw_topic_reserve(t, r->h.cells)) return -1;
    }
    const uint8_t before = gw_topic_suspects(t);
    if (!gw_topic_awaits(t, r)) return 0; /* another origin begins the topic anew: from here on there is a record for it */
    if (r->h.flags & GW_FLAG_RETIRED) return gw_topic_over(p, t, r);
    const uint64_t position = p->reader.from + p->batch_at;
    if (r->h.topic_seq > t->seq + 1) return gw_topic_jump(p, t, r, position, before);
    uint32_t told = r->h.gap ? gw_gap_route(p, t, &r->h) : 0;
    gw_topic_take(t, r, position);
    gw_topic_route(p, t);
    if (t->suspect) told += gw_refused_recover(p, t);
    return told + t->links_count + (t->channel == GW_HEALTH ? gw_refused_route(p, t, before) : 0);
}
