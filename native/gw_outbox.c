/* One client's outbox: what waits for its socket, and what becomes of it when it can't.
 *
 * In the order in which bytes leave: the rest of a cut frame, the control queue, the queue of frame
 * indices (lossless data, and whatever an unblocked client gets), the dirty set (conflated topics,
 * rendered from the topic's state when the socket takes them). A client is *blocked* from a short
 * write until EPOLLOUT; meanwhile conflated topics only mark themselves dirty. */
#include "gw_plane_internal.h"
#include <stdio.h>
#include <string.h>

/* --- the queue of frame indices ------------------------------------------------------------------- */

static int runs_grow(gw_client_t *c) {
    uint64_t *runs = malloc(c->runs_size * 2 * sizeof *runs);
    if (!runs) return -ENOMEM;
    for (uint32_t i = 0; i < c->runs_count; i++)
        runs[i] = c->runs[(c->runs_head + i) & (c->runs_size - 1)];
    if (c->runs != c->runs_inline) free(c->runs);
    c->runs = runs;
    c->runs_head = 0;
    c->runs_size *= 2;
    return 0;
}

void gw_client_push(gw_plane_t *p, gw_client_t *c, uint64_t index) {
    if (!c->runs_count) {
        c->runs[c->runs_head] = index | GW_RUN_ONE;
        c->runs_count = c->queued = 1;
        if (!(c->flags & GW_CLIENT_BLOCKED)) gw_client_touch(p, c);
        return;
    }
    uint64_t *last = &c->runs[(c->runs_head + c->runs_count - 1) & (c->runs_size - 1)];
    if (GW_RUN_FIRST(*last) + GW_RUN_COUNT(*last) == index && GW_RUN_COUNT(*last) < GW_RUN_COUNT_MAX) {
        *last += GW_RUN_ONE;
        c->queued++;
        return;
    }
    if (c->runs_count == c->runs_size && runs_grow(c)) {
        gw_client_slow(p, c, "no memory for its queue");
        return;
    }
    c->runs[(c->runs_head + c->runs_count++) & (c->runs_size - 1)] = index | GW_RUN_ONE;
    c->queued++;
}

void gw_client_shrink(gw_client_t *c) {
    if (c->runs != c->runs_inline) free(c->runs);
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->runs_head = c->runs_count = c->queued = 0;
}

/* --- the dirty set --------------------------------------------------------------------------------- */

void gw_link_dirty(gw_plane_t *p, gw_link_t *l, int how) {
    gw_client_t *c = l->client;
    l->dirty = (uint8_t)how;
    l->dirty_previous = c->dirty_last;
    l->dirty_next = NULL;
    if (c->dirty_last) c->dirty_last->dirty_next = l;
    else c->dirty_first = l;
    c->dirty_last = l;
    c->flags |= GW_CLIENT_DIRTY;
    if (!(c->flags & GW_CLIENT_BLOCKED)) gw_client_touch(p, c);
}

void gw_link_clean(gw_plane_t *p, gw_link_t *l) {
    gw_client_t *c = l->client;
    if (!l->dirty) return;
    if (l->hold) {
        gw_link_unhold(p, l);
        l->dirty = GW_LINK_CLEAN;
        l->skipped = 0;
        return;
    }
    if (l->dirty_previous) l->dirty_previous->dirty_next = l->dirty_next;
    else c->dirty_first = l->dirty_next;
    if (l->dirty_next) l->dirty_next->dirty_previous = l->dirty_previous;
    else c->dirty_last = l->dirty_previous;
    if (!c->dirty_first) c->flags &= ~(uint32_t)GW_CLIENT_DIRTY;
    l->dirty = GW_LINK_CLEAN;
    l->skipped = 0;
}

/* One pending record gives way to a newer one, or to a snapshot that will show more than it. */
void gw_link_supersede(gw_plane_t *p, gw_link_t *l) {
    uint8_t channel = l->topic->channel;
    l->conflated++;
    gw_count(&p->stats->conflated[channel], 1);
    gw_count(&p->stats->class_conflated[l->priority], 1);
    gw_count(&p->stats->pending[channel], (uint64_t)-1);
    if (l->dirty != GW_LINK_SNAPSHOT) l->skipped++;
    if (l->hold) gw_link_held_more(p, l);
}

/* A record for a client that is blocked, doomed, or has a dirty set. */
void gw_client_take(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index) {
    int queues = c->flags & GW_CLIENT_BLOCKED && l->lossless && !l->dirty;
    if (queues && c->queued >= p->o.lossless_frames_max) gw_client_slow(p, c, "too many frames");
    if (c->flags & GW_CLIENT_DOOMED) {
        l->dropped++;
        gw_count(&p->stats->dropped_slow[l->topic->channel], 1);
        gw_count(&p->stats->class_dropped[l->priority], 1);
        gw_count(&p->stats->pending[l->topic->channel], (uint64_t)-1);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
    } else if ((c->flags & GW_CLIENT_BLOCKED) && !queues) {
        const gw_frame_t *f = gw_log_frame(&p->log, index);
        l->dirty_recv_ns = f->recv_ns;
        l->dirty_taken_ns = f->taken_ns;
        gw_link_dirty(p, l, gw_link_mark(l, f));
    } else if (!(c->flags & GW_CLIENT_HOLDS) || !gw_link_hold(p, l, gw_log_frame(&p->log, index))) {
        gw_client_push(p, c, index);
        if (!queues || c->queued <= GW_BACKLOG_FRAMES || c->backlogged) return;
        c->backlogged = 1;
        gw_count(&p->wait->backlogged, 1);
    }
}

/* --- the control queue ----------------------------------------------------------------------------- */

int gw_client_control(gw_plane_t *p, gw_client_t *c, const void *bytes, size_t length, int posted) {
    if (c->flags & GW_CLIENT_GONE) return -EPIPE;
    if (!length) return 0;
    size_t used = c->control_length - c->control_head;
    size_t room = (size_t)p->o.control_bytes_max + GW_CONTROL_SLACK + (c->closing ? GW_CLOSE_ROOM : 0);
    if (used + length > room) return -ENOSPC;
    if (c->control_head) {
        memmove(c->control, c->control + c->control_head, used);
        c->control_head = 0;
    }
    if (used + length > c->control_size) {
        uint8_t *bigger = realloc(c->control, used + length);
        if (!bigger) return -ENOMEM;
        c->control = bigger;
        c->control_size = (uint32_t)(used + length);
    }
    memcpy(c->control + used, bytes, length);
    c->control_length = (uint32_t)(used + length);
    c->flags |= GW_CLIENT_MORE;
    /* What the plane writes itself was never posted: its leaving must not count as done. */
    if (!posted) GW_STORE_RELAXED(&c->control_done, c->control_done - length);
    return 0;
}

int gw_client_control_text(gw_plane_t *p, gw_client_t *c, const char *payload, size_t length) {
    uint8_t frame[512 + GW_FRAME_HEADER_MAX];
    if (length > 512) return -EINVAL;
    size_t header = gw_frame_header(GW_OP_TEXT, length, frame);
    memcpy(frame + header, payload, length);
    return gw_client_control(p, c, frame, header + length, 0);
}

/* --- letting go ------------------------------------------------------------------------------------ */

static void settle(gw_plane_t *p, const gw_client_t *c, gw_link_t *l, uint8_t channel, uint64_t *reason) {
    if (l) l->dropped++;
    gw_count(&reason[channel], 1);
    if (reason == p->stats->dropped_slow || reason == p->stats->dropped_epoch) /* the client's loss, not its wish */
        gw_count(&p->stats->class_dropped[l ? l->priority : gw_client_class(c, channel)], 1);
    gw_count(&p->stats->pending[channel], (uint64_t)-1);
}

static void discard_mark(gw_plane_t *p, gw_link_t *l, uint64_t *reason) {
    if (l->dirty != GW_LINK_SNAPSHOT) settle(p, l->client, l, l->topic->channel, reason);
    gw_link_clean(p, l);
}

void gw_client_discard(gw_plane_t *p, gw_client_t *c, uint64_t *reason) {
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = c->runs[(c->runs_head + i) & (c->runs_size - 1)];
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            const gw_frame_t *f = gw_log_frame(&p->log, GW_RUN_FIRST(run) + k);
            if (!(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE)))
                settle(p, c, gw_frame_link(p, c, f), f->channel, reason);
        }
    }
    gw_client_shrink(c);
    while (c->dirty_first) discard_mark(p, c->dirty_first, reason);
    for (gw_hold_t *h = c->holds; h; h = h->next)
        while (h->first) discard_mark(p, h->first, reason);
    if (c->backlogged) {
        c->backlogged = 0;
        gw_count(&p->wait->backlogged, (uint64_t)-1);
    }
}

static void settle_marked(gw_plane_t *p, gw_link_t *l) {
    uint8_t channel = l->topic->channel;
    if (l->marked == GW_MARK_DROPPED) {
        settle(p, l->client, l, channel, p->stats->dropped_unsubscribed);
        return;
    }
    l->conflated++;
    gw_count(&p->stats->conflated[channel], 1);
    gw_count(&p->stats->class_conflated[l->priority], 1);
    gw_count(&p->stats->pending[channel], (uint64_t)-1);
}

/* Puts the queue through a sieve: frames that `keep` answers 1 to stay, in their order. The link is NULL
 * for a frame of nobody's. What `keep` does not keep, it settles. */
void gw_client_sift(gw_plane_t *p, gw_client_t *c,
                    int (*keep)(gw_plane_t *, gw_link_t *, const gw_frame_t *)) {
    uint32_t runs = c->runs_count, head = c->runs_head, size = c->runs_size;
    uint64_t *old = c->runs, inline_copy[GW_RUNS_INLINE];
    if (!runs) return;
    if (old == c->runs_inline) old = memcpy(inline_copy, c->runs_inline, sizeof inline_copy);
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->runs_head = c->runs_count = c->queued = 0;
    for (uint32_t i = 0; i < runs; i++) {
        uint64_t run = old[(head + i) & (size - 1)];
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            uint64_t index = GW_RUN_FIRST(run) + k;
            const gw_frame_t *f = gw_log_frame(&p->log, index);
            if (keep(p, gw_frame_link(p, c, f), f)) gw_client_push(p, c, index);
        }
    }
    if (old != inline_copy) free(old);
}

static int keep_unmarked(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    if (!l || !l->marked) return 1;
    if (!(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE))) settle_marked(p, l);
    return 0;
}

/* Takes what waits for the links in plane->work out of the outbox; the frames of others keep their order. */
void gw_client_purge(gw_plane_t *p, gw_client_t *c) {
    for (uint32_t i = 0; i < p->work_count; i++) {
        gw_link_t *l = p->work[i];
        if (l->dirty && l->dirty != GW_LINK_SNAPSHOT) settle_marked(p, l);
        gw_link_clean(p, l);
    }
    if (p->work_count) gw_client_sift(p, c, keep_unmarked);
}

void gw_client_count_pending(gw_plane_t *p, gw_client_t *c) {
    for (gw_link_t *l = c->links; l; l = l->next)
        l->pending = l->dirty == GW_LINK_UPDATE || l->dirty == GW_LINK_RESYNC;
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = c->runs[(c->runs_head + i) & (c->runs_size - 1)];
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            const gw_frame_t *f = gw_log_frame(&p->log, GW_RUN_FIRST(run) + k);
            if (f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE)) continue;
            gw_link_t *l = gw_frame_link(p, c, f);
            if (l) l->pending++;
        }
    }
    if (c->rest.link) c->rest.link->pending++;
}

void gw_client_detach(gw_plane_t *p, gw_client_t *c) {
    while (c->links) {
        c->links->pending = 0;
        gw_link_drop(p, c->links);
    }
    for (int kind = 0; kind < 2; kind++)
        while (c->subs[kind]) gw_sub_drop(p, c->subs[kind]);
}

/* --- slow consumers -------------------------------------------------------------------------------- */

void gw_client_doom(gw_plane_t *p, gw_client_t *c, int code, const char *reason) {
    if (c->flags & GW_CLIENT_DOOMED) return;
    c->flags |= GW_CLIENT_DOOMED;
    c->doomed_next = p->doomed;
    p->doomed = c;
    gw_event_t *e = gw_event_new(GW_EVENT_CLOSE, gw_client_handle(p, c), 0);
    if (!e) return;
    e->code = code;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    gw_event_put(p, e);
}

void gw_client_slow(gw_plane_t *p, gw_client_t *c, const char *what) {
    char reason[124];
    uint64_t bytes = c->rest.length - c->rest.sent + c->control_length - c->control_head;
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = c->runs[(c->runs_head + i) & (c->runs_size - 1)];
        const gw_frame_t *last = gw_log_frame(&p->log, GW_RUN_FIRST(run) + GW_RUN_COUNT(run) - 1);
        bytes += last->position + last->length - gw_log_frame(&p->log, GW_RUN_FIRST(run))->position;
    }
    int64_t age = c->runs_count
        ? p->now - gw_log_frame(&p->log, GW_RUN_FIRST(c->runs[c->runs_head]))->taken_ns : p->now - c->sent_ns;
    snprintf(reason, sizeof reason, "slow consumer (%s): %llu bytes pending, age %lld ms; use mode=conflate",
             what, (unsigned long long)bytes, (long long)(age / 1000000));
    gw_client_doom(p, c, 4008, reason);
}

void gw_doomed_bury(gw_plane_t *p) {
    while (p->doomed) {
        gw_client_t *c = p->doomed;
        p->doomed = c->doomed_next;
        gw_client_discard(p, c, p->stats->dropped_slow);
        gw_client_detach(p, c);
    }
}

void gw_client_free(gw_plane_t *p, gw_client_t *c) {
    gw_client_shrink(c);
    gw_client_holds_free(c);
    free(c->rest.bytes);
    free(c->control);
    c->rest = (gw_rest_t){0};
    c->control = NULL;
    c->control_head = c->control_length = c->control_size = 0;
    c->flags &= ~(uint32_t)GW_CLIENT_MORE;
    gw_client_untouch(p, c);
}
