/* One client's outbox: what waits for its socket, and what becomes of it when it can't.
 *
 * In the order in which bytes leave: the rest of a cut frame, the control queue, the queue of frame
 * indices (lossless data, and whatever an unblocked client gets), the dirty set (conflated topics,
 * rendered from the topic's state when the socket takes them). A client is *blocked* from a short
 * write until EPOLLOUT; meanwhile conflated topics only mark themselves dirty. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <string.h>

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
    if (!(c->flags & GW_CLIENT_WAITS)) gw_client_touch(p, c);
}

void gw_link_clean(gw_plane_t *p, gw_link_t *l) {
    gw_client_t *c = l->client;
    if (!l->dirty) return;
    if (l->hold) {
        gw_link_unhold(p, l);
        l->dirty = GW_LINK_CLEAN;
        l->skipped = 0;
        l->owes = 0;
        return;
    }
    if (l->dirty_previous) l->dirty_previous->dirty_next = l->dirty_next;
    else c->dirty_first = l->dirty_next;
    if (l->dirty_next) l->dirty_next->dirty_previous = l->dirty_previous;
    else c->dirty_last = l->dirty_previous;
    if (!c->dirty_first) c->flags &= ~(uint32_t)GW_CLIENT_DIRTY;
    l->dirty = GW_LINK_CLEAN;
    l->skipped = 0;
    l->owes = 0;
}

/* A mark that only owed a notice stands for a record, too, from now on. */
void gw_link_remark(gw_link_t *l, int how, int64_t recv_ns, int64_t taken_ns) {
    l->dirty = (uint8_t)how;
    l->dirty_recv_ns = recv_ns;
    l->dirty_taken_ns = taken_ns;
}

static void conflated(gw_plane_t *p, gw_link_t *l) {
    l->conflated++;
    gw_count(&p->stats->conflated[l->topic->channel], 1);
    if (l->priority < GW_CLASSES) gw_count(&p->stats->class_conflated[l->priority], 1);
    gw_count(&p->stats->pending[l->topic->channel], (uint64_t)-1);
}

/* One pending record gives way to a newer one, or to a snapshot that will show more than it. */
void gw_link_supersede(gw_plane_t *p, gw_link_t *l) {
    conflated(p, l);
    if (gw_link_pends(l)) l->skipped++;
    if (l->hold) gw_link_held_more(p, l);
}

/* One pending record of the link will not be delivered. */
void gw_link_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason) {
    uint8_t channel = l->topic->channel;
    l->dropped++;
    gw_count(&reason[channel], 1);
    const int loss = reason == p->stats->dropped_slow || reason == p->stats->dropped_epoch; /* not its client's wish */
    if (loss && l->priority < GW_CLASSES)
        gw_count(&p->stats->class_dropped[l->priority], 1);
    gw_count(&p->stats->pending[channel], (uint64_t)-1);
}

/* A record of a link that the job in hand chose: a snapshot will show more than it, or nobody wants it. */
void gw_link_settle_marked(gw_plane_t *p, gw_link_t *l) {
    if (l->marked == GW_MARK_DROPPED) gw_link_settle(p, l, p->stats->dropped_unsubscribed);
    else conflated(p, l);
}

/* Why the data of a client that is let go is dropped. */
uint64_t *gw_client_loss(const gw_plane_t *p, const gw_client_t *c) {
    return c->slow ? p->stats->dropped_slow : p->stats->dropped_closed;
}

/* The link's mark is of an epoch that has ended. */
void gw_link_renew(gw_plane_t *p, gw_link_t *l) {
    const uint8_t owes = l->owes;
    if (gw_link_pends(l)) gw_link_settle(p, l, p->stats->dropped_epoch);
    gw_link_clean(p, l);
    l->epoch = p->epochs;
    if (owes) gw_link_owe(p, l, owes);
}

/* --- announcements --------------------------------------------------------------------------------- */

void gw_link_announced(gw_link_t *l, int announced) {
    gw_client_t *c = l->client;
    c->unannounced += l->unannounced == announced ? (announced ? -1u : 1u) : 0;
    l->unannounced = !announced;
    if (c->unannounced) c->flags |= GW_CLIENT_ANNOUNCES;
    else c->flags &= (uint16_t)~GW_CLIENT_ANNOUNCES;
}

/* The announcement of the link's topic, in the log of its format. One that was made long ago would count as what the
 * client waits for. */
static uint64_t announcement(gw_plane_t *p, const gw_link_t *l) {
    gw_audience_t *a = gw_link_audience(l);
    const gw_notice_t notice = {{0}, {{0}}};
    const gw_log_t *log = &p->lanes[a->format].log;
    if (a->announcement && gw_log_fresh(log, a->announcement - 1) &&
        p->taken_ns - gw_log_frame(log, a->announcement - 1)->taken_ns <= p->o.lossless_max_age_ns / 8)
        return a->announcement - 1;
    /* One in front of a paced record is no older than that. */
    const uint8_t paced = l->topic->state->h.flags & GW_FLAG_PACED ? GW_FRAME_PACED : 0;
    uint64_t index = gw_notice_frame(p, l->topic, a, GW_NOTICE_TOPIC, &notice, GW_FRAME_ANNOUNCES | paced, 0);
    a->announcement = index + 1; /* so that 0 is none */
    return index;
}

void gw_link_announce(gw_plane_t *p, gw_link_t *l) {
    uint64_t index = announcement(p, l);
    if (index != GW_FRAME_NONE) gw_client_push(p, l->client, index);
    gw_link_announced(l, 1);
}

void gw_link_push(gw_plane_t *p, gw_link_t *l, uint64_t index) {
    if (l->unannounced) gw_link_announce(p, l);
    gw_client_push(p, l->client, index);
}

/* --- records --------------------------------------------------------------------------------------- */

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
    int queues = c->flags & GW_CLIENT_WAITS && l->lossless && !l->dirty;
    if (queues && c->queued >= p->o.lossless_frames_max) gw_client_slow(p, c, "too many frames");
    if (c->flags & GW_CLIENT_DOOMED) {
        gw_link_settle(p, l, gw_client_loss(p, c));
    } else if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty == GW_LINK_NOTICE) { /* the topic has come back */
        const gw_frame_t *f = gw_frame_at(p, index);
        gw_link_remark(l, GW_LINK_RESYNC, f->recv_ns, f->taken_ns);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
        if (l->owes && gw_link_pends(l) && gw_frame_at(p, index)->flags & GW_FRAME_RESYNC) { /* the same */
            l->dirty = GW_LINK_RESYNC;
            l->skipped = 0;
        }
    } else if ((c->flags & GW_CLIENT_WAITS) && !queues) {
        const gw_frame_t *f = gw_frame_at(p, index);
        l->dirty_recv_ns = f->recv_ns;
        l->dirty_taken_ns = f->taken_ns;
        gw_link_dirty(p, l, first ? GW_LINK_RESYNC : gw_link_mark(l, f));
    } else if (!(c->flags & GW_CLIENT_HOLDS) || !gw_link_hold(p, l, gw_frame_at(p, index))) {
        gw_client_push_record(p, c, l, first ? promised(p, l) : index);
        if (queues) gw_client_backlog(p, c);
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
        size_t size = used + length; /* the first is as long as it is, then it doubles: many may follow one another */
        if (size < 2 * (size_t)c->control_size) size = 2 * (size_t)c->control_size < room ? 2 * (size_t)c->control_size : room;
        uint8_t *bigger = realloc(c->control, size);
        if (!bigger) return -ENOMEM;
        c->control = bigger;
        c->control_size = (uint32_t)size;
    }
    memcpy(c->control + used, bytes, length);
    c->control_length = (uint32_t)(used + length);
    c->flags |= GW_CLIENT_MORE;
    /* What the plane writes itself was never posted: its leaving must not count as done. */
    if (!posted) GW_STORE_RELAXED(&c->control_done, c->control_done - length);
    return 0;
}
