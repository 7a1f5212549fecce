/* The queue of one client: which frames of the log it is still to get, as runs of neighbours.
 *
 * A job takes the whole queue out to sift it, some frames a turn: what it has looked at and kept is in
 * `kept`, what is still to be looked at in `old`, and what comes meanwhile in the client's own queue. All
 * three are pending, counted in `queued` and `waiting`, and in this order one queue again in the end.
 * Nothing is written to the client before that. */
#include "gw_plane_internal.h"
#include <string.h>

#define KEPT_FIRST 16u

static int runs_grow(gw_client_t *c) {
    uint64_t *runs = malloc(c->runs_size * 2 * sizeof *runs);
    if (!runs) return -ENOMEM;
    for (uint32_t i = 0; i < c->runs_count; i++) runs[i] = *gw_run_at(c->runs, c->runs_head, c->runs_size, i);
    if (c->runs != c->runs_inline) free(c->runs);
    c->runs = runs;
    c->runs_head = 0;
    c->runs_size *= 2;
    return 0;
}

/* Whether a frame is a record that its link was routed: no answer to a subscribe, and no notice. */
static int is_record(const gw_frame_t *f) { return !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE)); }

/* Without memory for its queue the client is let go, and the frame is lost. */
static void push_failed(gw_plane_t *p, gw_client_t *c, uint64_t index) {
    const gw_frame_t *f = gw_frame_at(p, index);
    gw_link_t *l = gw_frame_link(p, c, f);
    gw_client_slow(p, c, "no memory for its queue");
    if (l && is_record(f)) gw_link_settle(p, l, gw_client_loss(p, c));
}

static GW_APART void push_run(gw_plane_t *p, gw_client_t *c, uint64_t index) {
    if (c->runs_count == c->runs_size && runs_grow(c)) {
        push_failed(p, c, index);
        return;
    }
    *gw_run_at(c->runs, c->runs_head, c->runs_size, c->runs_count++) = index | GW_RUN_ONE;
    c->queued++;
}

void gw_client_push(gw_plane_t *p, gw_client_t *c, uint64_t index) {
    if (!c->runs_count) {
        c->runs[c->runs_head] = index | GW_RUN_ONE;
        c->runs_count = 1;
        c->queued++;
        if (!(c->flags & GW_CLIENT_WAITS)) gw_client_touch(p, c);
        return;
    }
    uint64_t *last = gw_run_at(c->runs, c->runs_head, c->runs_size, c->runs_count - 1);
    if (GW_RUN_FIRST(*last) + GW_RUN_COUNT(*last) != index || GW_RUN_COUNT(*last) == GW_RUN_COUNT_MAX) {
        push_run(p, c, index);
        return;
    }
    *last += GW_RUN_ONE;
    c->queued++;
}

void gw_client_push_record(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index) {
    if (l->unannounced) gw_link_announce(p, l);
    uint32_t queued = c->queued;
    gw_client_push(p, c, index);
    if (c->queued == queued || !(c->flags & GW_CLIENT_WAITS)) return;
    c->waiting[l->topic->channel]++;
    if (c->job && c->job->counting) gw_link_count(l, c->job->counting);
}

void gw_client_shrink(gw_client_t *c) {
    if (c->runs != c->runs_inline) free(c->runs);
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->runs_head = c->runs_count = 0;
}

/* Counts the records in the queue of a client that begins to wait. What is left of a batch, at most. */
void gw_client_count_waiting(const gw_plane_t *p, gw_client_t *c) {
    memset(c->waiting, 0, sizeof c->waiting);
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = *gw_run_at(c->runs, c->runs_head, c->runs_size, i);
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            const gw_frame_t *f = gw_frame_at(p, GW_RUN_FIRST(run) + k);
            c->waiting[f->channel] += is_record(f);
        }
    }
}

/* Drops the whole queue of a client that is let go: its links, which go too, are told nothing. */
void gw_client_drop_queue(gw_plane_t *p, gw_client_t *c) {
    uint64_t *reason = gw_client_loss(p, c);
    if (!(c->flags & GW_CLIENT_WAITS)) gw_client_count_waiting(p, c);
    for (uint32_t i = 0; i < GW_CHANNELS; i++) {
        uint64_t n = c->waiting[i];
        if (!n) continue;
        gw_count(&reason[i], n);
        if (reason == p->stats->dropped_slow)
            gw_count(&p->stats->class_dropped[gw_group_class(c, gw_class_group((uint8_t)i))], n);
        gw_count(&p->stats->pending[i], -n);
        c->waiting[i] = 0;
    }
    if (c->job) gw_job_drop_queue(c->job);
    gw_client_shrink(c);
    c->queued = 0;
    gw_client_backlog(p, c);
}

/* --- sifting ----------------------------------------------------------------------------------------- */

/* Takes the queue out of the client into the job's hands. From here on the job's count of each link's records
 * holds: those it finds in the old queue, and those that come. */
int gw_sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    job->counting = gw_serial(p);
    if (!c->runs_count) return 0;
    uint64_t *runs = c->runs;
    if (runs == c->runs_inline) {
        runs = malloc(sizeof c->runs_inline);
        if (!runs) return -ENOMEM;
        memcpy(runs, c->runs_inline, sizeof c->runs_inline);
    }
    job->old = (gw_runs_t){.at = runs, .head = c->runs_head, .count = c->runs_count, .size = c->runs_size};
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->runs_head = c->runs_count = 0;
    return 0;
}

static int keep(gw_runs_t *kept, uint64_t index, uint64_t n) {
    if (kept->count) {
        uint64_t *last = &kept->at[kept->count - 1];
        if (GW_RUN_FIRST(*last) + GW_RUN_COUNT(*last) == index && GW_RUN_COUNT(*last) + n <= GW_RUN_COUNT_MAX) {
            *last += n * GW_RUN_ONE;
            return 0;
        }
    }
    if (kept->count == kept->size) {
        uint32_t size = kept->size ? kept->size * 2 : KEPT_FIRST;
        uint64_t *at = realloc(kept->at, size * sizeof *at);
        if (!at) return -ENOMEM;
        kept->at = at;
        kept->size = size;
    }
    kept->at[kept->count++] = index | n * GW_RUN_ONE;
    return 0;
}

/* Makes one queue of the three again. */
static int join(gw_client_t *c, gw_job_t *job) {
    gw_runs_t *kept = &job->kept;
    for (uint32_t i = 0; i < job->old.count; i++) { /* nothing is left of it, but where a job begins again */
        uint64_t run = *gw_run_at(job->old.at, job->old.head, job->old.size, i);
        if (keep(kept, GW_RUN_FIRST(run), GW_RUN_COUNT(run))) return -ENOMEM;
    }
    free(job->old.at);
    job->old = (gw_runs_t){0};
    if (!kept->count) return 0;
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = *gw_run_at(c->runs, c->runs_head, c->runs_size, i);
        if (keep(kept, GW_RUN_FIRST(run), GW_RUN_COUNT(run))) return -ENOMEM;
    }
    gw_client_shrink(c);
    c->runs = kept->at;
    c->runs_count = kept->count;
    c->runs_size = kept->size;
    *kept = (gw_runs_t){0};
    return 0;
}

/* Puts frames of the job's old queue through a sieve, as far as the budget goes: those that `keeps` answers 1
 * to stay, in their order; what it does not keep, it settles. The link is NULL for a frame of nobody's. 1 when
 * the queue is whole again, 0 when there is more to do, or -ENOMEM. */
int gw_sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget) {
    gw_runs_t *old = &job->old;
    while (old->count) {
        if (*budget <= 0) return 0;
        uint64_t *run = gw_run_at(old->at, old->head, old->size, 0), index = GW_RUN_FIRST(*run);
        const gw_frame_t *f = gw_frame_at(p, index);
        gw_link_t *l = gw_frame_link(p, c, f);
        const uint8_t channel = f->channel;
        const int record = is_record(f), announces = f->flags & GW_FRAME_ANNOUNCES;
        *budget -= GW_UNITS_FRAME;
        /* Records that come meanwhile stand behind an announcement, but where they become marks or are settled. */
        const int stands = announces && l && l->lossless && !job->rewinds && (!gw_link_is_marked(l) || l->marked == GW_MARK_MOVED);
        if (stands || keeps(p, job, l, f, index)) {
            if (keep(&job->kept, index, 1)) return -ENOMEM;
            if (l && record) gw_link_count(l, job->counting);
        } else {
            c->queued--;
            c->waiting[channel] -= (uint32_t)record;
            if (l && l->book && record) gw_book_link_back(p, l, index);
            if (l && announces) gw_link_announced(l, 0);
        }
        *run += 1 - GW_RUN_ONE;
        if (GW_RUN_COUNT(*run)) continue;
        old->head++;
        old->count--;
    }
    return join(c, job) ? -ENOMEM : 1;
}

/* A job that begins again gives the queue back as it is. */
int gw_sift_undo(gw_client_t *c, gw_job_t *job) {
    job->counting = 0;
    return job->old.count || job->kept.count ? join(c, job) : 0;
}

/* The job's part of the queue goes, settled or not. */
void gw_job_drop_queue(gw_job_t *job) {
    free(job->old.at);
    free(job->kept.at);
    job->old = job->kept = (gw_runs_t){0};
}

/* --- announcements ----------------------------------------------------------------------------------- */

void gw_link_announced(gw_link_t *l, int announced) {
    gw_client_t *c = l->client;
    c->unannounced += l->unannounced == announced ? (announced ? -1u : 1u) : 0;
    l->unannounced = !announced;
    if (c->unannounced) c->flags |= GW_CLIENT_ANNOUNCES;
    else c->flags &= (uint16_t)~GW_CLIENT_ANNOUNCES;
}

/* The announcement of the link's topic, in the log of its format. */
static uint64_t announcement(gw_plane_t *p, const gw_link_t *l) {
    gw_audience_t *a = gw_link_audience(l);
    const gw_notice_t notice = {.numbers = {0}};
    if (a->announcement && gw_frame_reusable(p, a, a->announcement - 1)) return a->announcement - 1;
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
