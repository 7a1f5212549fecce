/* Work for one client that may take more than one turn: its requests (gw_request.c), its change of epoch, a long
 * queue that its socket does not take, and its end.
 *
 * A client's requests are done in their order, one job at a time; clients take turns, a quantum of units each, so
 * one that asks for little does not wait for one that asks for much. From a job's first step to its last its
 * client is *busy*: nothing is written to it, so what it gets looks as if all had been done at once, at the moment
 * of the last step. Records that come meanwhile queue up, or become marks, as if its socket were full. Between two
 * requests it is visited.
 *
 * A job *chooses* links (gw_link_t.marked, chosen), sifts the queue once all are chosen, and then *finishes* each:
 * the link passes to another subscription or ends. Records of a link that is chosen to be dropped or conflated
 * are settled as they come, so nothing of it is in the queue when it is finished. A job that a new epoch
 * interrupts begins again: each step finds what it has done before and leaves it. */
#include "gw_job.h"
#include <string.h>

static gw_command_t *command_copy(const gw_command_t *x) {
    gw_command_t *own = gw_command_new(x->kind, x->items_count, x->fills_count, x->bytes_count);
    if (!own) return NULL;
    own->handle = x->handle;
    own->token = x->token;
    memcpy(own->items, x->items, x->items_count * sizeof *x->items);
    memcpy(own->fills, x->fills, x->fills_count * sizeof *x->fills);
    memcpy(own->bytes, x->bytes, x->bytes_count);
    return own;
}

static int own_command(gw_job_t *job) {
    gw_command_t *own = command_copy(job->command);
    if (!own) return -ENOMEM;
    job->command = own;
    job->owns = 1;
    return 0;
}

static void job_advance(gw_plane_t *p, gw_client_t *c, int64_t *budget);

/* Begins a request at once, and leaves what it takes longer for to later turns. */
void gw_job_add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    gw_job_t *job = gw_job_new(p, x);
    if (!job || (c->job && own_command(job))) {
        if (job) gw_job_free(job);
        gw_client_lose(c, x);
        gw_job_no_memory(p, c);
        return;
    }
    if (c->job) {
        c->job_last->next = job;
        c->job_last = job;
        return;
    }
    gw_client_make_busy(p, c);
    c->job = c->job_last = job;
    int64_t quantum = GW_UNITS_QUANTUM < p->turn_units ? GW_UNITS_QUANTUM : p->turn_units, left = quantum;
    job_advance(p, c, &left);
    p->turn_left -= quantum - left;
    if (c->job && !(c->flags & GW_CLIENT_DOOMED) && own_command(c->job)) gw_job_no_memory(p, c);
    if (c->flags & GW_CLIENT_DOOMED) gw_jobs_abort(p, c); /* now: the command is the queue's */
    else if (c->job) gw_client_list(p, c);
}

/* --- another epoch ----------------------------------------------------------------------------------- */

static int keep_renewed(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)job;
    if (index >= p->lanes[GW_INDEX_FORMAT(index)].epoch_index || (l && f->flags & GW_FRAME_RETIRED)) return 1;
    if (l && !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE))) gw_link_settle(p, l, p->stats->dropped_epoch);
    return 0;
}

/* What is marked of the epoch before goes, and the state of the new one, where there is one, is promised. */
static int renew_links(gw_plane_t *p, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_link_t *l = job->link;
        if (gw_topic_is_local(l->topic)) l->epoch = p->epochs; /* no segment numbers it */
        if (l->epoch == p->epochs) continue; /* a record that came first has told it all */
        gw_link_renew(p, l);
        if (!l->topic->seq && !l->topic->suspect && l->topic->channel != GW_HEALTH) continue;
        *budget -= GW_UNITS_LINK;
        gw_link_snapshot(p, l);
    }
    return 1;
}

/* --- steps ----------------------------------------------------------------------------------------- */

static int renew_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    switch (job->phase) {
    case GW_JOB_COVER: /* the notice comes before all that it is about */
        *budget -= GW_UNITS_LINK;
        gw_epoch_notice(p, c);
        gw_job_sift_begin(p, c, job);
        return GW_JOB_SIFT;
    case GW_JOB_SIFT:
        if (!gw_job_sift(p, c, job, keep_renewed, budget)) return GW_JOB_SIFT;
        job->link = c->links;
        return GW_JOB_LINKS;
    default: return renew_links(p, job, budget) ? GW_JOB_DONE : GW_JOB_LINKS;
    }
}

static int conflate_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    if (job->phase == GW_JOB_TURN_BEGIN) gw_job_sift_begin(p, c, job);
    return gw_job_sift(p, c, job, gw_keep_lossless, budget) ? GW_JOB_DONE : GW_JOB_TURN;
}

static int simple_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    *budget -= GW_UNITS_LINK;
    job->replied = 1;
    gw_client_reply(p, c, job->command);
    return GW_JOB_DONE;
}

/* The client has no job any more. */
static void idle(gw_plane_t *p, gw_client_t *c) {
    gw_client_not_busy(p, c);
    if (c->flags & GW_CLIENT_BLOCKED) return;
    if (c->runs_count || c->control || c->rest.bytes || (c->flags & GW_CLIENT_DIRTY)) gw_client_touch(p, c);
}

/* Between two requests the client gets what waits for it: else one that always asks for more would get nothing. */
static void breathe(gw_plane_t *p, gw_client_t *c, int64_t *budget) {
    if (c->flags & GW_CLIENT_BLOCKED && !c->late) return;
    if (c->regrants) return; /* its queue may hold what is no longer granted */
    *budget -= GW_UNITS_SEND + c->queued / GW_UNITS_QUEUE;
    c->flags &= (uint16_t)~GW_CLIENT_BUSY;
    c->late = 0;
    gw_client_flush(p, c);
    gw_client_make_busy(p, c);
}

/* The client's first job, as far as the budget goes. */
static void job_advance(gw_plane_t *p, gw_client_t *c, int64_t *budget) {
    while (c->job && *budget > 0 && !(c->flags & GW_CLIENT_DOOMED)) {
        gw_job_t *job = c->job;
        int phase, kind = job->command ? (int)job->command->kind : -1;
        *budget -= GW_UNITS_LOOK;
        if (job->rewinds) phase = gw_rewind_step(p, c, job, budget);
        else if (job->conflates) phase = conflate_step(p, c, job, budget);
        else if (kind < 0) phase = renew_step(p, c, job, budget);
        else if (kind == GW_CMD_QUERY) phase = gw_query_step(p, c, job, budget);
        else if (kind == GW_CMD_SEND) phase = simple_step(p, c, job, budget);
        else phase = gw_request_step(p, c, job, budget);
        job->phase = (uint8_t)phase;
        if (phase != GW_JOB_DONE) continue;
        c->regrants -= kind == GW_CMD_REGRANT;
        c->job = job->next;
        if (!c->job) c->job_last = NULL;
        gw_job_free(job);
        gw_client_backlog(p, c);
        if (c->job && kind >= 0 && !(c->flags & GW_CLIENT_DOOMED)) breathe(p, c, budget);
    }
    if (!c->job) idle(p, c);
}

/* Goes on with the work of clients, each for its quantum. One that was doomed meanwhile is listed anew. */
void gw_jobs_run(gw_plane_t *p, int64_t budget) {
    while (p->jobs.first && budget > 0) {
        gw_client_t *c = gw_client_unlist(&p->jobs);
        const int doomed = c->flags & GW_CLIENT_DOOMED;
        int64_t quantum = GW_UNITS_QUANTUM < budget ? GW_UNITS_QUANTUM : budget, left = quantum;
        left -= GW_UNITS_LOOK;
        if (!doomed && !c->job && c->rewind == GW_REWIND_NOTED) gw_job_rewind(p, c);
        if (!doomed) job_advance(p, c, &left);
        budget -= quantum - left;
        if (doomed || c->job || c->rewind) gw_client_list(p, c);
    }
}
