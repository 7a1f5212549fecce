/* One client: what it waits for in lists of work, its control queue, its oldest frame; and that it is let go. A client is
 * *doomed* wherever a limit is met, its socket fails, or the loop closes it: from then on it takes no data. That is noted
 * here and nothing else is done, so that anybody may doom anybody; what a doomed client has ends later (gw_goodbye.c). */
#include "gw_plane_internal.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define RUNS_SUMMED 256u /* more are not added up for the reason of a close */

/* Work for the client is done in turns from now on, until there is none. */
void gw_client_list(gw_plane_t *p, gw_client_t *c) {
    gw_list_t *list = c->flags & GW_CLIENT_DOOMED ? &p->goodbyes : &p->jobs;
    if (c->listed) return;
    c->listed = 1;
    c->jobs_next = NULL;
    if (list->last) list->last->jobs_next = c;
    else list->first = c;
    list->last = c;
}

gw_client_t *gw_client_unlist(gw_list_t *list) {
    gw_client_t *c = list->first;
    list->first = c->jobs_next;
    if (!list->first) list->last = NULL;
    c->listed = 0;
    return c;
}

/* --- its queues -------------------------------------------------------------------------------------- */

/* What a run of the client's queue takes in the log. */
static uint64_t run_bytes(const gw_plane_t *p, const gw_client_t *c, uint32_t i) {
    uint64_t run = *gw_run_at(c->runs, c->runs_head, c->runs_size, i);
    const gw_frame_t *last = gw_frame_at(p, GW_RUN_FIRST(run) + GW_RUN_COUNT(run) - 1);
    return last->position + last->length - gw_frame_at(p, run)->position;
}

/* The oldest frame that waits for the client; whether there is one. */
int gw_client_oldest(const gw_client_t *c, uint64_t *index) {
    const gw_job_t *job = c->job;
    if (job && job->kept.count) *index = GW_RUN_FIRST(job->kept.at[job->kept.head]);
    else if (job && job->old.count) *index = GW_RUN_FIRST(*gw_run_at(job->old.at, job->old.head, job->old.size, 0));
    else if (c->runs_count) *index = GW_RUN_FIRST(c->runs[c->runs_head]);
    else return 0;
    return 1;
}

/* Whether a feed that waits for slow queues has to wait for this one. Not for one that a request has emptied,
 * or that is half as long as when the waiting began. */
void gw_client_backlog(gw_plane_t *p, gw_client_t *c) {
    if (!c->backlogged) {
        if (c->queued <= GW_BACKLOG_FRAMES || !(c->flags & GW_CLIENT_BLOCKED)) return;
        c->backlogged = 1;
        gw_count(&p->wait->backlogged, 1);
    } else if (c->queued <= GW_BACKLOG_FRAMES / 2 || !(c->flags & GW_CLIENT_BLOCKED)) {
        c->backlogged = 0;
        gw_count(&p->wait->backlogged, (uint64_t)-1);
    }
}

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

/* Why the data of a client that is let go is dropped. */
uint64_t *gw_client_loss(const gw_plane_t *p, const gw_client_t *c) {
    return c->slow ? p->stats->dropped_slow : p->stats->dropped_closed;
}

/* Whether a client that is about to be let go for what waits for it, this frame before all, can have that from the ring
 * later: its lossless links replay it once its socket takes bytes again. What has been replayed is replayed again however
 * short the ring is, and what a feed paces waits. Noted here, and done by a job of its own (gw_rewind.c). */
int gw_client_rewind(gw_plane_t *p, gw_client_t *c, const gw_frame_t *f) {
    if (c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE)) return 0;
    if (c->rewind) return 1;
    if (p->epoch_phase || !(gw_frame_replayed(f) || (p->pass.deep && !(f->flags & GW_FRAME_PACED)))) return 0;
    c->rewind = GW_REWIND_NOTED;
    gw_client_list(p, c);
    return 1;
}

/* --- its end ----------------------------------------------------------------------------------------- */

void gw_client_doom(gw_plane_t *p, gw_client_t *c, int code, const char *reason) {
    if (c->flags & GW_CLIENT_DOOMED) return;
    c->flags |= GW_CLIENT_DOOMED;
    gw_client_list(p, c);
    gw_event_t *e = gw_event_new(GW_EVENT_CLOSE, gw_client_handle(p, c), 0);
    if (!e) { /* the loop will see its end */
        shutdown(c->fd, SHUT_RDWR);
        return;
    }
    e->code = code;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    gw_event_put(p, e);
}

int gw_client_full(gw_plane_t *p, gw_client_t *c) {
    uint64_t oldest;
    if (gw_client_oldest(c, &oldest) && gw_client_rewind(p, c, gw_frame_at(p, oldest))) return 0;
    gw_client_slow(p, c, "too many frames");
    return 1;
}

/* Of a client that is slow already nothing is looked up again: that it is doomed is all that matters. */
void gw_client_slow(gw_plane_t *p, gw_client_t *c, const char *what) {
    if (c->flags & GW_CLIENT_DOOMED) return;
    char reason[124];
    uint64_t oldest, bytes = c->rest.length - c->rest.sent + c->control_length - c->control_head;
    if (c->secure) bytes += c->secure->rest_length - c->secure->rest_sent;
    int64_t since = c->sent_ns;
    if (gw_client_oldest(c, &oldest)) since = gw_frame_at(p, oldest)->taken_ns;
    for (uint32_t i = 0; i < c->runs_count && i < RUNS_SUMMED; i++) bytes += run_bytes(p, c, i);
    snprintf(reason, sizeof reason, "slow consumer (%s): %s%llu bytes pending, age %lld ms; use mode=conflate",
             what, c->runs_count > RUNS_SUMMED ? "over " : "", (unsigned long long)bytes,
             (long long)((p->now - since) / 1000000));
    c->slow = 1;
    gw_client_doom(p, c, 4008, reason);
}

/* The last bytes that its socket will not take. */
void gw_client_drop_rest(gw_plane_t *p, gw_client_t *c) {
    if (!c->rest.bytes) return;
    if (c->rest.counts) {
        gw_count(&p->stats->dropped_closed[c->rest.channel], 1);
        gw_count(&p->stats->pending[c->rest.channel], (uint64_t)-1);
    }
    free(c->rest.bytes);
    c->rest = (gw_rest_t){0};
}
