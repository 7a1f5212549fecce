/* A client that is too slow for its queue has it from the ring instead (gw_client_rewind said that the ring is long enough):
 * its lossless frames are dropped, the one that is cut is finished, and their links replay from the first dropped one on.
 *
 * From when that is noted on no record of these links is queued, so that what is found in the queue is all that there was
 * before the replay. What can't come again, an answer to a subscribe or what a hole is told with, has the client let go
 * as before; so has a ring that has no longer all of it. */
#include "gw_job.h"
#include "gw_locate.h"

/* Whether what tells the end of a replay is told later: records before it are replayed again. */
static int later_end(const gw_job_t *job, const gw_link_t *l, uint64_t index) {
    if (!l) return gw_replay_untell(job->sub, index);
    return l->replay && l->sub->replay_end == index + 1 && gw_replay_untell(l->sub, index);
}

/* A frame of the queue: of a record one more that is replayed. */
static int keep_other(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    if (f->flags & GW_FRAME_NOTICE && f->what == GW_LEFT_REPLAYED) return !later_end(job, l, index);
    if (!l || !l->lossless) return 1;
    if (f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_RESYNC | GW_FRAME_RETIRED) || !l->topic->bound || l->dirty || l->stale) {
        gw_client_slow(p, l->client, "too far behind for a replay");
        return 1;
    }
    /* A hole of the venue: its record is behind it, and is replayed with it. */
    if (f->flags & GW_FRAME_NOTICE && (f->what == GW_LEFT_FEED || f->what == GW_LEFT_RESET)) {
        l->counted = job->serial;
        return 0;
    }
    if (f->flags & GW_FRAME_NOTICE) return !l->replay;
    const int first = !l->replay || l->replay->position != GW_POSITION_NONE;
    if (!l->replay && gw_replay_open(p, l, 0, NULL)) return 1;
    if (first) l->replay->told = l->counted != job->serial;
    l->replay->done--;
    l->replay->position = GW_POSITION_NONE;
    return 0;
}

/* Finds where the links begin; whether all are found. */
static int place(gw_plane_t *p, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_link_t *l = job->link;
        if (l->replay) gw_replay_adopt(l);
        const gw_topic_t *t = l->topic;
        if (!l->replay || l->replay->position != GW_POSITION_NONE) continue;
        *budget -= GW_UNITS_LOCATE;
        gw_found_t f;
        const uint64_t next = t->seq + 1 - gw_replay_left(l);
        const int got = gw_reader_locate_seq(&p->reader, t->ring_id, next, &f);
        if (got == 1 && f.h.topic_seq == next && f.h.generation == (uint16_t)t->generation) gw_replay_place(l, f.position);
        else gw_replay_break(p, l);
        if (l->client->flags & GW_CLIENT_DOOMED) return 1;
    }
    return 1;
}

int gw_rewind_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    switch (job->phase) {
    case GW_JOB_TURN_BEGIN:
        gw_replay_leave(p, c);
        job->sub = c->subs[1]; /* the patterns */
        gw_job_sift_begin(p, c, job);
        return GW_JOB_TURN;
    case GW_JOB_TURN:
        if (!gw_job_sift(p, c, job, keep_other, budget)) return GW_JOB_TURN;
        c->rewind = GW_REWIND_NONE; /* records of links that had none there are queued again */
        job->link = c->links;
        return GW_JOB_LINKS;
    default:
        if (!place(p, job, budget)) return GW_JOB_LINKS;
        gw_replay_ends(p, c);
        return GW_JOB_DONE;
    }
}
