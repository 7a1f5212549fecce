/* What `stats` is told, in steps: a row for each subscription, exact at one moment. */
#include "gw_job.h"

static int begin_query(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    free(job->event);
    job->event = gw_event_new(GW_EVENT_STATS, job->command->handle, c->subs_count);
    if (!job->event) {
        gw_job_no_memory(p, c);
        return 0;
    }
    job->event->token = job->command->token;
    job->at = job->item = 0;
    job->sub = c->subs[0];
    return 1;
}

/* A row a subscription; of names first (item 0), then of patterns. */
static int rows(gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->item < 2; job->sub = ++job->item < 2 ? c->subs[job->item] : NULL) {
        for (; job->sub; job->sub = job->sub->next) {
            if (*budget <= 0) return 0;
            *budget -= GW_UNITS_LOOK;
            gw_sub_t *s = job->sub;
            s->row = job->at;
            job->event->rows[job->at++] = (gw_row_t){.id = s->id, .routed = s->routed, .delivered = s->delivered,
                                                     .conflated = s->conflated, .filtered = s->filtered,
                                                     .dropped = s->dropped};
        }
    }
    return 1;
}

static int keep_all(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)p, (void)job, (void)l, (void)f, (void)index;
    return 1;
}

/* Each link adds what is so at this moment: its own sums are exact, so theirs are. */
static int add_links(gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        const gw_link_t *l = job->link;
        gw_row_t *row = &job->event->rows[l->sub->row];
        uint64_t routed = l->topic->routed - l->attach, pending = gw_job_link_pending(job, c, l);
        const uint64_t filtered = gw_link_filtered(l);
        row->routed += routed;
        row->conflated += l->conflated;
        row->filtered += filtered;
        row->dropped += l->dropped;
        row->pending += pending;
        row->delivered += routed - l->conflated - filtered - l->dropped - pending;
    }
    return 1;
}

int gw_query_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    switch (job->phase) {
    case GW_JOB_COVER: return begin_query(p, c, job) ? GW_JOB_ROWS : GW_JOB_COVER;
    case GW_JOB_ROWS:
        if (!rows(c, job, budget)) return GW_JOB_ROWS;
        gw_job_sift_begin(p, c, job);
        return GW_JOB_SIFT;
    case GW_JOB_SIFT:
        if (!gw_job_sift(p, c, job, keep_all, budget)) return GW_JOB_SIFT;
        job->link = c->links;
        return GW_JOB_LINKS;
    default:
        if (!add_links(c, job, budget)) return GW_JOB_LINKS;
        gw_event_put(p, job->event);
        job->event = NULL;
        return GW_JOB_DONE;
    }
}
