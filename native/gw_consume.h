/* What a send took, mapped back to what the client's queues have: the rest of a cut frame, replies, frames, marks. Over TLS
 * that is what was `sealed`; where the socket did not take all of that, its frames are not delivered yet: each leaves a stub
 * with the sealed rest (gw_secure.c). Inline: the usual way has none of it. */
#ifndef GW_CONSUME_H
#define GW_CONSUME_H
#include "gw_secure.h"
#include "gw_visit.h"

static inline int gw_rest_done(gw_plane_t *p, gw_client_t *c, const int sealed) {
    gw_rest_t *r = &c->rest;
    int error = 0;
    if (sealed) error = gw_secure_stub(c, &(gw_stub_t){r->recv_ns, r->taken_ns, r->link, r->channel, r->flags, r->counts, r->priority});
    else if (r->counts) gw_delivered(p, r->channel, r->priority, r->flags, r->recv_ns, r->taken_ns);
    else if (r->flags & GW_FRAME_SNAPSHOT) gw_count(&p->stats->snapshots[r->channel], 1);
    free(r->bytes);
    r->bytes = NULL;
    r->link = NULL;
    if (!c->control) c->flags &= ~(uint32_t)GW_CLIENT_MORE;
    return error;
}

static inline size_t gw_consume_control(gw_client_t *c, size_t bytes) {
    size_t used = c->control_length - c->control_head;
    size_t n = bytes < used ? bytes : used;
    c->control_head += (uint32_t)n;
    if (n == used) {
        free(c->control);
        c->control = NULL;
        c->control_head = c->control_length = c->control_size = 0;
        if (!c->rest.bytes) c->flags &= ~(uint32_t)GW_CLIENT_MORE;
    }
    GW_STORE_RELEASE(&c->control_done, c->control_done + n);
    return bytes - n;
}

static inline int gw_consume_queue(gw_plane_t *p, gw_client_t *c, size_t *bytes, const int sealed) {
    const gw_log_t *log = &p->lanes[c->format].log;
    while (c->runs_count && *bytes) {
        uint64_t *run = &c->runs[c->runs_head];
        uint64_t first = GW_RUN_FIRST(*run), count = GW_RUN_COUNT(*run), whole = 0;
        size_t length = gw_run_length(log, *run);
        if (length && length <= *bytes) {
            whole = count;
            *bytes -= length;
        } else {
            while (whole < count && gw_log_frame(log, first + whole)->length <= *bytes)
                *bytes -= gw_log_frame(log, first + whole++)->length;
        }
        if (!sealed) gw_delivered_run(p, c, log, first, whole);
        else if (gw_secure_stub_run(p, c, log, first, whole)) return -ENOMEM;
        c->queued -= (uint32_t)whole;
        *run = (first + whole) | (count - whole) << GW_RUN_BITS;
        if (whole < count && *bytes) {
            const gw_frame_t *f = gw_log_frame(log, first + whole);
            if (gw_rest_keep(c, gw_log_bytes(log, f), f->length, (uint32_t)*bytes)) return -ENOMEM;
            c->rest.recv_ns = f->recv_ns;
            c->rest.taken_ns = f->taken_ns;
            c->rest.channel = f->channel;
            c->rest.priority = (uint8_t)gw_frame_class(p, c, f);
            c->rest.flags = f->flags;
            c->rest.counts = !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE));
            c->rest.link = c->rest.counts ? gw_frame_link(p, c, f) : NULL;
            if (c->flags & GW_CLIENT_BLOCKED) c->waiting[f->channel] -= c->rest.counts;
            c->queued--;
            *run += 1 - GW_RUN_ONE;
            *bytes = 0;
        }
        if (GW_RUN_COUNT(*run)) break;
        c->runs_head = (c->runs_head + 1) & (c->runs_size - 1);
        c->runs_count--;
    }
    return 0;
}

typedef int (*gw_consume_queue_t)(gw_plane_t *p, gw_client_t *c, size_t *bytes);

static inline int gw_consume(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g, size_t bytes, const int sealed,
                             const gw_consume_queue_t queue) {
    if (c->rest.bytes) {
        size_t left = c->rest.length - c->rest.sent, n = bytes < left ? bytes : left;
        c->rest.sent += (uint32_t)n;
        bytes -= n;
        if (n == left && gw_rest_done(p, c, sealed)) return -ENOMEM;
    }
    if (c->control) bytes = gw_consume_control(c, bytes);
    if (queue(p, c, &bytes)) return -ENOMEM;
    return gw_consume_marks(p, c, g, bytes, sealed);
}

#endif
