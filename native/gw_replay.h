/* Who does what to links that are behind, file by file, from the lowest layer on. */
#ifndef GW_REPLAY_H
#define GW_REPLAY_H
#include "gw_plane_types.h"

/* gw_replay.c */
/* What the link has still to get from the ring, in records; all of it is pending. */
static inline uint64_t gw_replay_left(const gw_link_t *l) { return l->replay ? l->topic->routed - l->replay->done : 0; }
/* Whether the next record of a link that is not behind comes from the ring all the same: what its client was too slow for
 * does, and of what it has without loss nothing overtakes that. */
static inline int gw_link_follows(const gw_link_t *l) {
    const gw_client_t *c = l->client;
    return l->lossless && (c->rewind || c->replays_slow) && !l->dirty && !l->stale;
}
/* Where the pass over the ring goes on. */
static inline uint64_t gw_pass_position(const gw_plane_t *p) {
    return p->pass.batch_at < p->pass.batch_end ? p->pass.reader.from + p->pass.batch_at : p->pass.reader.cursor;
}
void gw_replay_leave(gw_plane_t *p, gw_client_t *c);
void gw_replay_join(gw_plane_t *p, gw_client_t *c);
int gw_replay_open(gw_plane_t *p, gw_link_t *l, uint64_t left, gw_sub_t *sub);
int gw_replay_follow(gw_plane_t *p, gw_link_t *l);
void gw_replay_place(gw_link_t *l, uint64_t position);
int gw_replay_overwritten(const gw_plane_t *p, const gw_client_t *c);
void gw_replay_disown(gw_link_t *l);
void gw_replay_close(gw_plane_t *p, gw_link_t *l, int result);
uint64_t gw_replay_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason, int keep, int result);

/* gw_replay_end.c */
void gw_replay_tell(gw_plane_t *p, gw_sub_t *s, const gw_topic_t *t, uint64_t to);
int gw_replay_untell(gw_sub_t *s, uint64_t index);
void gw_replay_ends(gw_plane_t *p, const gw_client_t *c);
void gw_replay_adopt(gw_link_t *l);
void gw_replay_complete(gw_plane_t *p, gw_link_t *l);
void gw_replay_lose(gw_plane_t *p, gw_link_t *l);
void gw_replay_break(gw_plane_t *p, gw_link_t *l);

/* gw_replay_pass.c */
int gw_pass_run(gw_plane_t *p, int others);
void gw_pass_stop(gw_plane_t *p); /* another segment is followed */
void gw_pass_look(gw_plane_t *p); /* now and then */

/* gw_replay_from.c */
enum { GW_RECOVERY_NONE, GW_RECOVERY_REPLAYING, GW_RECOVERY_INSUFFICIENT };
uint8_t gw_from_begin(const gw_plane_t *p, const gw_item_t *item, gw_outcome_t *o); /* what the subscription goes by: GW_FROM_* */
void gw_link_recover(gw_plane_t *p, gw_link_t *l, gw_outcome_t *o);
void gw_from_end(gw_plane_t *p, gw_sub_t *s, const gw_outcome_t *o);
int gw_from_fails(const gw_plane_t *p, const gw_client_t *c, const gw_job_t *job);
void gw_from_fail(gw_plane_t *p, gw_link_t *l, const gw_job_t *job);

/* gw_rewind.c */
int gw_rewind_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget);

#endif
