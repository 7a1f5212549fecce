/* What is delivered, counted: by channel, by class, and for the controller; and what is not. */
#include "gw_plane_internal.h"

/* Whether the controller looks at the ages of a class: of the urgent ones, where the client in hand
 * neither let us wait nor gets less for that. */
static inline uint64_t watched(const gw_plane_t *p, uint32_t priority) { return priority < 2 && !p->behind; }

/* `flags` of its frame. What is paced came as fast as its readers take it: its age is theirs, and no business of the
 * objective or the controller. */
void gw_delivered(gw_plane_t *p, uint8_t channel, uint32_t priority, uint8_t flags, int64_t recv_ns, int64_t taken_ns) {
    int64_t age = p->now - recv_ns;
    uint64_t counts = watched(p, priority);
    gw_look_t *look = &p->control.look;
    gw_count(&p->stats->delivered[channel], 1);
    gw_count(&p->stats->pending[channel], (uint64_t)-1);
    if (flags & GW_FRAME_PACED) { /* all of a local topic are */
        if (channel != GW_LOCAL) gw_hdr_record(&p->stats->stage[GW_STAGE_FANOUT], p->now - taken_ns, 1);
        return;
    }
    gw_hdr_record(&p->stats->stage[GW_STAGE_FANOUT], p->now - taken_ns, 1);
    gw_hdr_record(&p->stats->stage[GW_STAGE_TOTAL + priority], age, 1);
    look->count += counts;
    if (age <= p->control.edge_calm_ns || recv_ns < p->resumed_ns) return; /* from before a stall: nobody's doing */
    look->late_calm += counts;
    look->late_over += age > p->control.edge_over_ns ? counts : 0;
}

uint32_t gw_frame_class(const gw_plane_t *p, const gw_client_t *c, const gw_frame_t *f) {
    if (c->flags & GW_CLIENT_MIXED) {
        const gw_link_t *l = gw_frame_link(p, c, f);
        if (l) return l->priority;
        if (f->channel >= GW_CANDLE) return gw_group_class(c, GW_CLASS_CANDLES);
    }
    return gw_client_class(c, f->channel);
}

/* So many of what `head` is the first of: of one channel, taken in one batch. */
static void delivered_same(gw_plane_t *p, gw_client_t *c, const gw_frame_t *head, uint64_t same, int64_t now) {
    if (c->flags & GW_CLIENT_BLOCKED) c->waiting[head->channel] -= (uint32_t)same;
    gw_count(&p->stats->delivered[head->channel], same);
    gw_count(&p->stats->pending[head->channel], -same);
    gw_hdr_record(&p->stats->stage[GW_STAGE_FANOUT], now - head->taken_ns, same);
}

/* The usual run: a tick that finds the client idle. */
void gw_delivered_one(gw_plane_t *p, gw_client_t *c, const gw_frame_t *f) {
    if (f->flags & GW_FRAME_NOTICE) return;
    if (f->flags & GW_FRAME_SNAPSHOT) {
        gw_count(&p->stats->snapshots[f->channel], 1);
        return;
    }
    if (c->flags & GW_CLIENT_BLOCKED) c->waiting[f->channel]--;
    uint32_t priority = c->flags & GW_CLIENT_MIXED ? gw_frame_class(p, c, f) : gw_client_class(c, f->channel);
    gw_delivered(p, f->channel, priority, f->flags, f->recv_ns, f->taken_ns);
}

/* What the frames share is counted once. */
static GW_APART void delivered_many(gw_plane_t *p, gw_client_t *c, const gw_log_t *log, uint64_t first, uint64_t count) {
    const int64_t now = p->now, edge_calm = p->control.edge_calm_ns, edge_over = p->control.edge_over_ns;
    const int mixed = c->flags & GW_CLIENT_MIXED;
    uint64_t same = 0, counts = 0, counted = 0, late_calm = 0, late_over = 0;
    const gw_frame_t *head = NULL;
    gw_hdr_t *total = NULL;
    const gw_frame_t *const frames = log->frames; /* looked up once: counters are written in between */
    const uint64_t mask = log->count - 1;
    for (uint64_t i = 0; i < count; i++) {
        const gw_frame_t *f = &frames[(first + i) & mask];
        if (f->flags & GW_FRAME_NOTICE) continue;
        if (f->flags & GW_FRAME_SNAPSHOT) {
            gw_count(&p->stats->snapshots[f->channel], 1);
            continue;
        }
        int other = !head || head->channel != f->channel || head->taken_ns != f->taken_ns;
        if (other || mixed) {
            uint32_t priority = gw_frame_class(p, c, f);
            total = &p->stats->stage[GW_STAGE_TOTAL + priority];
            counts = watched(p, priority);
        }
        int64_t age = now - f->recv_ns;
        if (!(f->flags & GW_FRAME_PACED)) {
            gw_hdr_record(total, age, 1);
            counted += counts;
            if (age > edge_calm && f->recv_ns >= p->resumed_ns) {
                late_calm += counts;
                late_over += age > edge_over ? counts : 0;
            }
        }
        same++;
        if (!other) continue;
        if (head) delivered_same(p, c, head, same - 1, now);
        head = f;
        same = 1;
    }
    if (!head) return;
    delivered_same(p, c, head, same, now);
    p->control.look.count += counted;
    p->control.look.late_calm += late_calm;
    p->control.look.late_over += late_over;
}

/* Frames of one run whose last bytes the kernel has just taken. */
void gw_delivered_run(gw_plane_t *p, gw_client_t *c, const gw_log_t *log, uint64_t first, uint64_t count) {
    if (count == 1) gw_delivered_one(p, c, gw_log_frame(log, first));
    else delivered_many(p, c, log, first, count);
}

/* So many pending records of the link will not be delivered. */
void gw_link_lose(gw_plane_t *p, gw_link_t *l, uint64_t n, uint64_t *reason) {
    const gw_stats_t *s = p->stats;
    const uint8_t channel = l->topic->channel;
    /* Not its client's wish. */
    const int loss = reason == s->dropped_slow || reason == s->dropped_epoch || reason == s->dropped_lapped;
    l->dropped += n;
    gw_count(&reason[channel], n);
    if (loss && l->priority < GW_CLASSES) gw_count(&p->stats->class_dropped[l->priority], n);
    gw_count(&p->stats->pending[channel], -n);
}

/* One pending record of the link is not sent, as its client wants it. */
void gw_link_filter(gw_plane_t *p, gw_link_t *l) {
    l->filtered++;
    gw_count(&p->stats->filtered[l->topic->channel], 1);
    gw_count(&p->stats->pending[l->topic->channel], (uint64_t)-1);
}
