/* Work for one client that may take more than one turn, as lists of jobs: what there is to do, in which order, and that it is
 * given up. How it is done: gw_job.c. */
#include "gw_job.h"
#include "gw_text.h"
#include <stdio.h>
#include <string.h>

void gw_job_free(gw_job_t *job) {
    gw_job_drop_queue(job);
    free(job->outcomes);
    free(job->work);
    free(job->event);
    if (job->owns) free(job->command);
    free(job);
}

/* What had to wait while the client was busy goes its way. */
void gw_client_not_busy(gw_plane_t *p, gw_client_t *c) {
    c->flags &= (uint16_t)~GW_CLIENT_BUSY;
    if (c->late && c->flags & GW_CLIENT_BLOCKED) { /* its socket has said meanwhile that it takes more, once */
        gw_turn_later(p, c);
    }
    c->late = 0;
    gw_replay_join(p, c);
}

/* The client is let go: what it has asked for is not done. Its part of the queue must be settled by then. */
void gw_jobs_abort(gw_plane_t *p, gw_client_t *c) {
    if (c->job && c->queued) gw_client_drop_queue(p, c);
    while (c->job) {
        gw_job_t *job = c->job;
        c->job = job->next;
        if (job->command && !job->replied) c->cut = 1, gw_client_lose(c, job->command);
        gw_job_free(job);
    }
    c->job_last = NULL;
    gw_client_not_busy(p, c);
}

void gw_job_no_memory(gw_plane_t *p, gw_client_t *c) { gw_client_slow(p, c, "no memory for its request"); }

/* The first job of a client whose queue is counted from now on. */
void gw_client_make_busy(const gw_plane_t *p, gw_client_t *c) {
    if (!(c->flags & GW_CLIENT_WAITS)) gw_client_count_waiting(p, c);
    c->flags |= GW_CLIENT_BUSY;
}

gw_job_t *gw_job_new(gw_plane_t *p, const gw_command_t *x) {
    gw_job_t *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->serial = gw_serial(p);
    job->command = (gw_command_t *)(uintptr_t)x;
    if (!x || !x->items_count) return job;
    job->outcomes = calloc(x->items_count, sizeof *job->outcomes);
    if (job->outcomes) return job;
    free(job);
    return NULL;
}

/* Puts a job before all others of the client. */
static void put_first(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    job->next = c->job;
    c->job = job;
    if (!c->job_last) c->job_last = job;
    gw_client_list(p, c);
}

/* Its socket takes no more, and its queue is long: frames of conflated topics become marks in turns that follow.
 * Nothing of the queue could be written meanwhile anyway. */
void gw_job_conflate(gw_plane_t *p, gw_client_t *c) {
    gw_job_t *job = gw_job_new(p, NULL);
    if (!job) {
        gw_job_no_memory(p, c);
        return;
    }
    job->conflates = 1;
    job->phase = GW_JOB_TURN_BEGIN;
    gw_client_make_busy(p, c);
    put_first(p, c, job);
}

/* What the client is too slow for is replayed later: it has no other job. */
void gw_job_rewind(gw_plane_t *p, gw_client_t *c) {
    gw_job_t *job = gw_job_new(p, NULL);
    if (!job) {
        gw_job_no_memory(p, c);
        return;
    }
    c->rewind = GW_REWIND_BEGUN;
    job->rewinds = 1;
    job->phase = GW_JOB_TURN_BEGIN;
    gw_client_make_busy(p, c);
    c->job = c->job_last = job;
}

/* Makes the client's next job one that brings it to the epoch followed now, before it goes on with its own. */
void gw_job_renew(gw_plane_t *p, gw_client_t *c) {
    gw_job_t *job = gw_job_new(p, NULL);
    if (!job || (c->job && gw_sift_undo(c, c->job))) {
        if (job) gw_job_free(job);
        gw_job_no_memory(p, c);
        return;
    }
    c->rewind = GW_REWIND_NONE;
    if (!c->job) {
        gw_client_make_busy(p, c);
    } else if (c->job->command && !c->job->replied) {
        c->job->phase = GW_JOB_COVER; /* it begins again */
    } else { /* it was still on its way to the epoch before, or looked for frames that go now */
        gw_job_t *old = c->job;
        c->job = old->next;
        if (c->job_last == old) c->job_last = NULL;
        gw_job_free(old);
    }
    put_first(p, c, job);
}

/* --- sifting ----------------------------------------------------------------------------------------- */

/* Sifting, for the phases GW_JOB_SIFT and GW_JOB_TURN: 1 when done. */
int gw_job_sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget) {
    int done = gw_sift(p, c, job, keeps, budget);
    if (done < 0) gw_job_no_memory(p, c);
    return done == 1;
}

void gw_job_sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    if (gw_sift_begin(p, c, job)) gw_job_no_memory(p, c);
}

/* --- replies ----------------------------------------------------------------------------------------- */

/* The digits, then spaces. */
static void fill_number(uint8_t *out, uint64_t value) {
    char text[GW_FILL_WIDTH + GW_TEXT_SLACK];
    size_t length = gw_text_unsigned(value, text);
    memset(out, ' ', GW_FILL_WIDTH);
    memcpy(out, text, length);
}

/* What came of a `from`, as members of the result. */
static void fill_recovery(uint8_t *out, const gw_outcome_t *o) {
    char text[GW_FILL_RECOVERY_WIDTH + 1] = "";
    const unsigned long long reach = o ? o->reach : 0;
    const int recovery = o ? o->recovery : GW_RECOVERY_NONE, replays = recovery == GW_RECOVERY_REPLAYING;
    memset(out, ' ', GW_FILL_RECOVERY_WIDTH);
    if (recovery == GW_RECOVERY_NONE) return;
    const char *words = replays ? ",\"recovery\":\"replaying\"" : ",\"recovery\":\"insufficient_state\"";
    int n = snprintf(text, sizeof text, "%s", words);
    if (reach != UINT64_MAX) n = snprintf(text, sizeof text, "%s,\"%s\":%llu", words, replays ? "to" : "oldest", reach);
    memcpy(out, text, (size_t)n < GW_FILL_RECOVERY_WIDTH ? (size_t)n : GW_FILL_RECOVERY_WIDTH);
}

static void fill(gw_plane_t *p, const gw_command_t *x, const gw_outcome_t *outcomes) {
    for (uint32_t i = 0; i < x->fills_count; i++) {
        const gw_fill_t *f = &x->fills[i];
        uint8_t *at = x->bytes + f->offset;
        if (f->kind == GW_FILL_EPOCH) memcpy(at, p->epoch, GW_EPOCH_LENGTH);
        else if (f->kind == GW_FILL_RECOVERY) fill_recovery(at, outcomes ? &outcomes[f->arg] : NULL);
        else if (f->kind == GW_FILL_TIME) fill_number(at, (uint64_t)p->io.realtime(p->io.self));
        else fill_number(at, outcomes ? outcomes[f->arg].number : 0);
    }
}

int gw_job_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x, const gw_outcome_t *outcomes) {
    fill(p, x, outcomes);
    if (!gw_client_control(p, c, x->bytes, x->bytes_count, 1)) return 0;
    gw_client_lose(c, x);
    gw_client_slow(p, c, "control queue");
    return -ENOSPC;
}

int gw_client_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) { return gw_job_reply(p, c, x, NULL); }
