/* What gw_work.c, which has the lists of jobs, gw_job.c, which carries them out, and gw_request.c, gw_regrant.c and gw_query.c,
 * which say what requests do, have in common. */
#ifndef GW_JOB_H
#define GW_JOB_H
#include "gw_plane_internal.h"

/* Where a job stands. A request begins at COVER, also when an epoch makes it begin again. */
enum {
    GW_JOB_COVER, GW_JOB_BEGIN, GW_JOB_ITEMS, GW_JOB_ENDS, GW_JOB_SCAN, GW_JOB_WALK, GW_JOB_SIFT_BEGIN, GW_JOB_SIFT,
    GW_JOB_FINISH, GW_JOB_GAIN, GW_JOB_END, GW_JOB_TURN_BEGIN, GW_JOB_TURN, GW_JOB_ROWS, GW_JOB_LINKS, GW_JOB_DONE
};

gw_job_t *gw_job_new(gw_plane_t *p, const gw_command_t *x);
void gw_job_free(gw_job_t *job);
void gw_client_make_busy(const gw_plane_t *p, gw_client_t *c); /* before its first job: its queue is counted from now on */
void gw_client_not_busy(gw_plane_t *p, gw_client_t *c);
/* The reply, its slots filled in, into the client's control queue; -ENOSPC: no room, and the client is doomed. */
int gw_job_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x, const gw_outcome_t *outcomes);
void gw_job_no_memory(gw_plane_t *p, gw_client_t *c);
/* Takes the client's queue out, to be sifted; then sifts some of it: 1 when done. */
void gw_job_sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job);
int gw_job_sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget);

/* How many of the link's records are pending now, as far as the job's count says. */
static inline uint64_t gw_job_link_pending(const gw_job_t *job, const gw_client_t *c, const gw_link_t *l) {
    uint64_t queued = job->counting && l->counted == job->counting ? l->waiting : 0;
    return queued + (uint64_t)gw_link_pends(l) + (c->rest.link == l) + l->sealed + gw_replay_left(l);
}

/* One step of a request, as far as the budget goes; where the job stands then. */
int gw_request_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget);
/* Links of what patterns cover and another grant gives, as far as the budget goes; whether that is all. */
int gw_regrant_gain(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget);
int gw_query_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget);

#endif
