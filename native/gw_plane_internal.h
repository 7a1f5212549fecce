/* Who does what to what the plane is made of (gw_plane_types.h), file by file. */
#ifndef GW_PLANE_INTERNAL_H
#define GW_PLANE_INTERNAL_H
#include "gw_account.h"
#include "gw_kind.h"
#include "gw_plane_book.h"
#include "gw_replay.h"
#include "gw_turn.h"

/* Off the usual way: inlined, its registers would be saved on the usual way, too. */
#define GW_APART __attribute__((noinline))

static inline uint64_t gw_link_key(const gw_client_t *clients, const gw_client_t *c, uint32_t number) {
    return (uint64_t)(c - clients) << 32 | number;
}

/* A frame of any format's log. */
static inline const gw_log_t *gw_log_of(const gw_plane_t *p, uint64_t index) {
    return &p->lanes[GW_INDEX_FORMAT(GW_RUN_FIRST(index))].log;
}

static inline const gw_frame_t *gw_frame_at(const gw_plane_t *p, uint64_t index) {
    return gw_log_frame(gw_log_of(p, index), index);
}

/* Whether clients of the format may subscribe to the channel. */
static inline int gw_format_has(const gw_plane_t *p, uint32_t format, uint8_t channel) {
    return p->o.formats[format].records[channel][GW_ENCODE_UPDATE] && gw_kinds[channel].state != GW_STATE_NONE;
}

/* Whether the channel is one of this plane's. */
static inline int gw_plane_has(const gw_plane_t *p, uint8_t channel) {
    for (uint32_t i = 0; i < p->o.formats_count; i++)
        if (gw_format_has(p, i, channel)) return 1;
    return 0;
}

/* Whether records of the channel name their topic by its number. */
static inline int gw_plane_announces(const gw_plane_t *p, uint32_t format, uint8_t channel) {
    return gw_template_opcode(p->o.formats[format].records[channel][GW_ENCODE_UPDATE]) == GW_OP_BINARY;
}

/* A record that came from the ring, to a link that was behind. */
static inline int gw_frame_replayed(const gw_frame_t *f) { return !(f->flags & GW_FRAME_NOTICE) && f->what == GW_FRAME_REPLAYED; }

/* Whom a frame of the client's queue goes to; NULL for none that lives. */
static inline gw_link_t *gw_frame_link(const gw_plane_t *p, const gw_client_t *c, const gw_frame_t *f) {
    return gw_map_get(&p->links, gw_link_key(p->clients, c, f->topic));
}

/* The i-th run of a circle of them. */
static inline uint64_t *gw_run_at(uint64_t *at, uint32_t head, uint32_t size, uint32_t i) { return &at[(head + i) & (size - 1)]; }

/* Bytes that the loop has posted for the client and that have not left. */
static inline uint64_t gw_client_control_used(const gw_client_t *c) {
    return GW_LOAD_RELAXED(&c->control_posted) - GW_LOAD_ACQUIRE(&c->control_done);
}

/* Whether records wait: in the batch or in the ring. */
static inline int gw_plane_takes(const gw_plane_t *p) {
    if (!p->mapping) return 0;
    return p->batch_at < p->batch_end || GW_LOAD_ACQUIRE(p->reader.segment.tail) != p->reader.cursor;
}

/* Whether it is a record of the topic's kind, and has a number; else it is counted, and skipped. Memory may say anything:
 * 0 is the seq of a topic without a state, UINT64_MAX that of an audience without a frame. */
static inline int gw_record_fits(gw_plane_t *p, const gw_topic_t *t, const gw_record_t *r) {
    if (r->h.kind == t->channel && r->h.topic_seq + 1 > 1) return 1;
    gw_count(&p->stats->wrong_kinds[0], 1);
    return 0;
}

static inline uint32_t gw_serial(gw_plane_t *p) {
    if (++p->serial == 0) p->serial = 1; /* 0 is no job's */
    return p->serial;
}

/* --- threads: what passes between the two ------------------------------------------------------------ */

/* gw_event.c */
static inline int gw_command_has_client(const gw_command_t *x) {
    return x->kind != GW_CMD_ATTACH && x->kind != GW_CMD_PUBLISH && x->kind != GW_CMD_GRANT && x->kind != GW_CMD_STOP;
}
gw_event_t *gw_event_new(gw_event_kind_t kind, gw_handle_t handle, uint32_t rows);
void gw_event_put(gw_plane_t *p, gw_event_t *e);

/* --- client: one of them: its lists, its queues, its end --------------------------------------------- */

/* gw_client.c */
/* Bytes that will never leave are done too. */
static inline void gw_client_lose(gw_client_t *c, const gw_command_t *x) {
    GW_STORE_RELEASE(&c->control_done, c->control_done + x->bytes_count);
}
void gw_client_list(gw_plane_t *p, gw_client_t *c);
gw_client_t *gw_client_unlist(gw_list_t *list);
int gw_client_oldest(const gw_client_t *c, uint64_t *index);
void gw_client_backlog(gw_plane_t *p, gw_client_t *c);
int gw_client_control(gw_plane_t *p, gw_client_t *c, const void *bytes, size_t length, int posted);
uint64_t *gw_client_loss(const gw_plane_t *p, const gw_client_t *c);
void gw_client_slow(gw_plane_t *p, gw_client_t *c, const char *what);
void gw_client_doom(gw_plane_t *p, gw_client_t *c, int code, const char *reason);
int gw_client_rewind(gw_plane_t *p, gw_client_t *c, const gw_frame_t *f);
int gw_client_full(gw_plane_t *p, gw_client_t *c);
/* Whether a frame more is too many for the client's queue; then it is let go, where it can't replay it later. */
static inline int gw_client_overflows(gw_plane_t *p, gw_client_t *c) {
    return c->flags & GW_CLIENT_WAITS && c->queued >= p->o.lossless_frames_max && gw_client_full(p, c);
}
void gw_client_drop_rest(gw_plane_t *p, gw_client_t *c);
static inline uint32_t gw_class_group(uint8_t channel) { return channel < GW_CANDLE ? channel : GW_CLASS_CANDLES; }
static inline uint32_t gw_group_class(const gw_client_t *c, uint32_t group) { return c->priorities >> 2 * group & 3u; }
/* The class of what a client gets of a channel, where all its links of it are of one; not of candles (GW_CLASS_CANDLES). */
static inline uint32_t gw_client_class(const gw_client_t *c, uint8_t channel) {
    return c->priorities >> 2 * channel & 3u;
}
static inline gw_handle_t gw_client_handle(const gw_plane_t *p, const gw_client_t *c) {
    return (uint64_t)c->generation << 32 | (uint64_t)(c - p->clients);
}

/* gw_account.c: gw_account.h */

/* --- frames: what is encoded ------------------------------------------------------------------------- */

/* gw_local.c */
static inline int gw_topic_is_local(const gw_topic_t *t) { return t->channel == GW_LOCAL; }
void gw_local_followed(gw_plane_t *p, gw_topic_t *t); /* a link of it has begun, or ended */
size_t gw_local_render(gw_plane_t *p, const gw_topic_t *t, int encode, uint8_t *out);
/* The link's mark has been sent: with the newest text, whether a round has come to it or not. */
static inline void gw_local_sent(gw_link_t *l) {
    if (gw_topic_is_local(l->topic)) l->had = (uint32_t)l->topic->seq;
}

/* gw_notice.c */
/* A frame of a notice at `out` (GW_NOTICE_MAX bytes), of a topic or of none (NULL); its length, 0 where the format does
 * not tell such a thing. */
size_t gw_notice_encode(const gw_plane_t *p, uint32_t format, gw_notice_kind_t kind, const gw_topic_t *t,
                        const gw_notice_t *notice, uint8_t *out);
/* The same of a link's topic, of a notice that has nothing but that. */
size_t gw_link_notice_encode(const gw_plane_t *p, const gw_link_t *l, gw_notice_kind_t kind, uint8_t *out);
/* A frame of a notice of no topic into the client's control queue: 0, -ENOSPC, -ENOMEM, -EPIPE. */
int gw_client_say(gw_plane_t *p, gw_client_t *c, gw_notice_kind_t kind, const gw_notice_t *notice);
/* A name or a pattern as requests write it, at `out` (two bytes for each of its own); its length. */
size_t gw_asked_for(const char *name, size_t length, int pattern, char *out);
void gw_limit_tell(gw_plane_t *p, gw_client_t *c, const char *limit, uint32_t value, const char *name, size_t length,
                   int pattern);
void gw_client_tell_untold(gw_plane_t *p, gw_client_t *c);
void gw_told_by_control(gw_plane_t *p, gw_client_t *c, const uint8_t *frame, size_t length, int what);
void gw_client_tell(gw_plane_t *p, gw_client_t *c);
void gw_epoch_notice(gw_plane_t *p, gw_client_t *c);

/* gw_encode.c */
size_t gw_payload_at(const gw_template_t *t); /* where a payload is written, so that its header fits in front */
size_t gw_payload_close(const gw_template_t *t, uint8_t *out, size_t payload); /* the header's length */
size_t gw_frame_tell(const gw_log_t *log, const gw_template_t *template, const gw_frame_t *f, uint64_t skipped, uint8_t *out);
uint64_t gw_frame_append(gw_plane_t *p, uint32_t format, const gw_frame_t *f, size_t length);
#define GW_REUSE_AGES 8 /* a frame is sent again up to this part of the age at which it is too old */
/* Whether a frame of the audience may be sent again. Its age counts as its client's: an old one would close it as slow. */
static inline int gw_frame_reusable(const gw_plane_t *p, const gw_audience_t *a, uint64_t index) {
    const gw_log_t *log = &p->lanes[a->format].log;
    return gw_log_fresh(log, index) &&
           p->taken_ns - gw_log_frame(log, index)->taken_ns <= p->o.lossless_max_age_ns / GW_REUSE_AGES;
}
uint64_t gw_topic_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, int encode);
uint64_t gw_topic_resync_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, uint64_t skipped);
uint64_t gw_topic_since_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, uint64_t skipped); /* the same as an update */
uint64_t gw_record_frame(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, const gw_record_t *r);
#define GW_FRAME_NONE UINT64_MAX
/* GW_FRAME_NONE where the audience's format does not tell such a thing. */
uint64_t gw_notice_frame(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, gw_notice_kind_t kind,
                         const gw_notice_t *notice, uint8_t flags, int what);
uint64_t gw_client_notice_frame(gw_plane_t *p, uint32_t format, const gw_topic_t *t, gw_notice_kind_t kind,
                                const gw_notice_t *notice);
size_t gw_topic_render(gw_plane_t *p, gw_link_t *l, int encode, uint8_t *out);
/* Either message with `skipped`, and the notices that may go with it. */
size_t gw_topic_render_max(const gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a);

/* --- conflation: marks, and when they may go --------------------------------------------------------- */

/* gw_grid.c */
gw_hold_t *gw_grid_join(gw_plane_t *p, gw_client_t *c, uint16_t interval_ms, const gw_hold_t *before);
void gw_grid_leave(gw_plane_t *p, gw_hold_t *h);        /* a subscription has another rate, or none */
void gw_grid_free(gw_plane_t *p, gw_hold_t *h);         /* nobody has it, and it holds nothing */
int gw_grid_idle(const gw_hold_t *h, int64_t now_ns);   /* no frame of it has left in this cell */
int64_t gw_grid_due(const gw_hold_t *h, int64_t now_ns); /* when the next cell begins */
gw_holds_t *gw_wheel_slot(const gw_plane_t *p, const gw_hold_t *h);
void gw_wheel_note(gw_plane_t *p, const gw_hold_t *h);  /* it has entered its slot, or left it */
gw_hold_t *gw_wheel_first(gw_plane_t *p);               /* one that is due; NULL: none is */
int64_t gw_wheel_due(gw_plane_t *p);                    /* INT64_MAX: it is empty */

/* gw_mark.c */
void gw_link_owe(gw_plane_t *p, gw_link_t *l, unsigned times);
/* Whether the link's mark stands for a record that is pending. */
static inline int gw_link_pends(const gw_link_t *l) { return l->dirty == GW_LINK_UPDATE || l->dirty == GW_LINK_RESYNC; }
void gw_link_dirty(gw_plane_t *p, gw_link_t *l, int how);
void gw_link_clean(gw_plane_t *p, gw_link_t *l);
void gw_link_sent(gw_plane_t *p, gw_link_t *l);    /* its mark has left */
int gw_link_withhold(gw_plane_t *p, gw_link_t *l); /* is due, and too old: whether nothing is left of the mark */
void gw_link_stale(gw_plane_t *p, gw_link_t *l, uint64_t stale);
void gw_link_remark(gw_link_t *l, int how, int64_t recv_ns, int64_t taken_ns);
void gw_link_supersede(gw_plane_t *p, gw_link_t *l); /* a pending record gives way to a newer one */
void gw_link_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason);
void gw_link_settle_marked(gw_plane_t *p, gw_link_t *l);
void gw_link_renew(gw_plane_t *p, gw_link_t *l);
void gw_link_park(gw_link_t *l);
void gw_link_unpark(gw_plane_t *p, gw_link_t *l);
void gw_link_again(gw_plane_t *p, gw_link_t *l);
void gw_client_refresh(gw_plane_t *p, gw_client_t *c);
int gw_link_hold(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f);
void gw_link_wait(gw_plane_t *p, gw_link_t *l, int how, int64_t recv_ns, int64_t taken_ns);
void gw_link_rehold(gw_plane_t *p, gw_link_t *l);
void gw_link_due(gw_plane_t *p, gw_link_t *l);
void gw_hold_postpone(gw_plane_t *p, gw_hold_t *h, int64_t due_ns);
void gw_link_ready(gw_plane_t *p, gw_link_t *l);
void gw_client_holds_free(gw_client_t *c);
/* How a mark is told that takes the place of a frame: by a snapshot to the slowest, and where the frame is one. */
static inline uint8_t gw_link_mark(const gw_link_t *l, const gw_frame_t *f) {
    const int whole = l->client->level == GW_LEVELS - 1 || l->renews || (l->lossless && l->stale);
    return whole || f->flags & GW_FRAME_RESYNC ? GW_LINK_RESYNC : GW_LINK_UPDATE;
}

/* gw_hold.c */
uint32_t gw_holds_release(gw_plane_t *p);
int64_t gw_holds_due(const gw_plane_t *p);

/* --- queues: frames that wait for a client ----------------------------------------------------------- */

/* gw_runs.c */
/* One more record of the link, found in the queue by the count of this serial. */
static inline void gw_link_count(gw_link_t *l, uint32_t counting) {
    if (l->counted != counting) l->waiting = 0;
    l->counted = counting;
    l->waiting++;
}
void gw_client_push(gw_plane_t *p, gw_client_t *c, uint64_t index);
void gw_client_push_record(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index); /* slow path of routing */
void gw_client_shrink(gw_client_t *c); /* an empty queue's memory goes back */
void gw_client_count_waiting(const gw_plane_t *p, gw_client_t *c);
void gw_client_drop_queue(gw_plane_t *p, gw_client_t *c);
int gw_sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job);
int gw_sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget);
int gw_sift_undo(gw_client_t *c, gw_job_t *job);
void gw_job_drop_queue(gw_job_t *job);
void gw_link_push(gw_plane_t *p, gw_link_t *l, uint64_t index); /* a frame of the link's topic, announced if need be */
void gw_link_announce(gw_plane_t *p, gw_link_t *l); /* one that is unannounced */
void gw_link_announced(gw_link_t *l, int announced);

/* gw_guard.c */
#define GW_GUARD_SLICES 64u                   /* all clients are looked through in so many slices ... */
#define GW_GUARD_PARTS (16u * GW_GUARD_SLICES) /* ... one for each such part of a log: in a sixteenth of it */
void gw_log_guard(gw_plane_t *p);
int gw_plane_far(const gw_plane_t *p); /* so much was encoded since the oldest touch that visits must come first */
/* Nobody waits for a frame that is about to be overwritten. To be called between any two units of work that encode (a
 * record, a topic of a lap, a link, a visit), and nowhere inside of one: it may doom any client. */
static inline void gw_guard(gw_plane_t *p) {
    if (p->unguarded >= p->guard_every) gw_log_guard(p);
}

/* --- pressure: who gets less ------------------------------------------------------------------------- */

/* gw_level.c */
void gw_blocked_begin(gw_plane_t *p); /* a round over those whose sockets are full */
int gw_blocked_round(gw_plane_t *p);  /* a slice of it; whether it goes on */
void gw_levels_up_begin(gw_plane_t *p);
int gw_levels_up(gw_plane_t *p);      /* a slice of the round over those who get less; whether it goes on */
void gw_level_forget(gw_plane_t *p, gw_client_t *c);

/* gw_control.c */
void gw_control_init(gw_plane_t *p);
void gw_control(gw_plane_t *p);        /* in every cycle */
int gw_control_refresh(gw_plane_t *p); /* a slice of taking a step to the clients; whether more is to be done */
void gw_control_swept(gw_plane_t *p, uint32_t clients, int64_t took_ns); /* at the end of a round of visits */
void gw_control_thread(gw_plane_t *p); /* in the plane's own thread, once */
void gw_control_free(gw_plane_t *p);

/* --- topics: names, patterns, links ------------------------------------------------------------------ */

/* gw_grant.c */
int gw_grant_allows(gw_plane_t *p, uint32_t grant, const gw_topic_t *t, int64_t *budget);
int gw_grant_allows_name(gw_plane_t *p, uint32_t grant, const gw_item_t *item, int64_t *budget);
void gw_grants_forget(gw_plane_t *p, uint32_t number); /* it will be another topic's */
void gw_grant_load(gw_plane_t *p, const gw_command_t *x);
void gw_grant_free(gw_grant_t *g);
static inline int gw_granted(gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t, int64_t *budget) {
    return !c->grant || gw_grant_allows(p, c->grant, t, budget);
}

/* gw_state.c */
int gw_topic_reserve(gw_topic_t *t, unsigned cells); /* room for one of so many; -ENOMEM */
void gw_topic_frames_forget(gw_topic_t *t); /* its state is encoded anew, whatever its seq */
void gw_topic_reset(gw_topic_t *t, const gw_record_t *r); /* another origin counts from here on */
uint64_t gw_topic_before(const gw_topic_t *t, const gw_header_t *h); /* the number before those of which this one is the next */
/* What the segment has of the topic at this place: its last value, or of a longer record what the ring still has, until
 * the next batch is taken. NULL: nothing. */
const gw_record_t *gw_topic_last(gw_plane_t *p, uint32_t id, uint64_t *position, int64_t *budget);
/* The record, which begins there in the ring, becomes the topic's state; there is room for it. */
static inline void gw_topic_take(gw_topic_t *t, const gw_record_t *r, uint64_t position) {
    memcpy(t->state, r, GW_RECORD_CELLS * GW_CELL);
    if (__builtin_expect(r->h.cells > GW_RECORD_CELLS, 0)) memcpy(t->state, r, r->h.cells * (size_t)GW_CELL);
    t->seq = r->h.topic_seq;
    t->position = position;
}
/* Whether it is newer than what the topic has: by (origin, seq). Another origin always is; then the topic begins anew, so
 * this is asked only of what will be taken. */
static inline int gw_topic_awaits(gw_topic_t *t, const gw_record_t *r) {
    if (__builtin_expect(r->h.origin != t->origin, 0)) gw_topic_reset(t, r);
    return r->h.topic_seq > t->seq;
}

/* gw_topic.c */
const gw_topic_t *gw_topic_health(const gw_plane_t *p, const gw_topic_t *t); /* its instrument's; NULL: none */
gw_topic_t *gw_topic_find(const gw_plane_t *p, uint8_t channel, const char *name, size_t length);
void gw_topic_fill(gw_topic_t *t, uint8_t channel, const char *name, size_t length); /* one of zeros, without a number */
gw_topic_t *gw_topic_make(gw_plane_t *p, uint8_t channel, const char *name, size_t length);
void gw_topics_free(gw_plane_t *p); /* the tables, not the topics */
int gw_topic_file(gw_plane_t *p, gw_topic_t *t);
void gw_topic_clear(gw_topic_t *t); /* its audiences */
void gw_topic_free(gw_topic_t *t);
gw_walk_t gw_walk_begin(void);
static inline int gw_walk_begins(const gw_walk_t *w) { return w->audiences == UINT32_MAX; }
gw_link_t *gw_walk_next(const gw_topic_t *t, gw_walk_t *w);
void gw_topic_release(gw_plane_t *p, gw_topic_t *t); /* frees it when nobody waits and it is not bound */
void gw_topic_unbind(gw_plane_t *p, gw_topic_t *t); /* no directory has it now: it is a name that is waited for, or freed */
int gw_topic_troubled(const gw_topic_t *t);     /* of a topic of health: the instrument is not ok */
uint8_t gw_topic_suspects(const gw_topic_t *t); /* of a topic of health: the channels that are suspect, a bit each */
uint8_t gw_refused_known(const gw_plane_t *p, const gw_topic_t *t); /* of a topic that is made */
void gw_retire_list(gw_plane_t *p, gw_topic_t *t);
void gw_retire_unlist(gw_plane_t *p, gw_topic_t *t);

/* gw_cover.c */
gw_pattern_t *gw_pattern_intern(gw_plane_t *p, const gw_item_t *item);
void gw_pattern_release(gw_plane_t *p, gw_pattern_t *x); /* frees it when nobody has it */
int gw_pattern_covers(const gw_pattern_t *x, const gw_name_t *n, int64_t *budget);
gw_sub_t *gw_sub_pattern_covering(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t, int64_t *budget);

/* gw_link.c */
gw_link_t *gw_link_find(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t);
gw_link_t *gw_link_make(gw_plane_t *p, gw_client_t *c, gw_topic_t *t, gw_sub_t *s);
void gw_link_drop(gw_plane_t *p, gw_link_t *l); /* nothing of it may be pending but a cut frame */
void gw_link_prioritise(gw_plane_t *p, gw_link_t *l, uint8_t priority);
void gw_link_govern(gw_plane_t *p, gw_link_t *l, gw_sub_t *s, uint64_t pending); /* folds into the old one */
void gw_link_adopt(gw_plane_t *p, gw_link_t *l);
gw_sub_t *gw_sub_find(const gw_plane_t *p, const gw_client_t *c, uint32_t id);
gw_sub_t *gw_sub_make(gw_plane_t *p, gw_client_t *c, const gw_item_t *item);
int gw_sub_limit(gw_plane_t *p, gw_sub_t *s, uint16_t interval_ms, uint32_t age_ms); /* -ENOMEM */
void gw_sub_drop(gw_plane_t *p, gw_sub_t *s);
uint32_t gw_links_max(const gw_plane_t *p, const gw_client_t *c);
int gw_links_full(const gw_plane_t *p, const gw_client_t *c);
void gw_links_full_tell(gw_plane_t *p, gw_client_t *c, gw_sub_t *s);

/* --- news: what a topic's links are told ------------------------------------------------------------- */

/* gw_refused.c */
uint32_t gw_refused_route(gw_plane_t *p, const gw_topic_t *health, uint8_t before);
uint32_t gw_refused_recover(gw_plane_t *p, gw_topic_t *t); /* a suspect one has had a record */
void gw_refused_snapshot(gw_plane_t *p, gw_link_t *l);
int gw_health_presume(gw_plane_t *p, gw_topic_t *health);
uint32_t gw_gap_route(gw_plane_t *p, gw_topic_t *t, const gw_header_t *h); /* before its record; the links told */

/* gw_snapshot.c */
void gw_link_snapshot(gw_plane_t *p, gw_link_t *l); /* the state now, as the answer to a subscribe */
void gw_link_begin(gw_plane_t *p, gw_link_t *l);    /* the same where the subscription wants it */

/* gw_retire.c */
uint32_t gw_topic_retire(gw_plane_t *p, gw_topic_t *t, uint64_t lost);
uint32_t gw_topic_over(gw_plane_t *p, gw_topic_t *t, const gw_record_t *last);
void gw_retire_begin(gw_plane_t *p);
void gw_retire_resume(gw_plane_t *p, gw_link_t *l);
int gw_retire_round(gw_plane_t *p);

/* gw_full.c */
uint32_t gw_full(const gw_plane_t *p);
void gw_full_look(gw_plane_t *p);
int gw_full_tell(gw_plane_t *p);

/* gw_local_round.c */
int gw_locals_valid(const gw_plane_options_t *o);
int gw_locals_init(gw_plane_t *p);
void gw_locals_free(gw_plane_t *p);
void gw_local_publish(gw_plane_t *p, const gw_command_t *x);
void gw_locals_round(gw_plane_t *p);                  /* a slice of it, while locals_walking */
int64_t gw_locals_due(const gw_plane_t *p);

/* --- routing: from the directory and the ring to the links ------------------------------------------- */

/* gw_bind.c */
extern gw_topic_t gw_topic_none;
/* The topic at this place has ended, and how was overwritten; the links concerned. */
uint32_t gw_topic_gone(gw_plane_t *p, uint32_t id);
/* The topic at this place of the directory: of the record in hand, or NULL: whichever lives there now. */
gw_topic_t *gw_topic_of_ring(gw_plane_t *p, uint32_t id, const gw_record_t *r, int64_t *budget);
int gw_cover(gw_plane_t *p, int64_t *budget);
int gw_cover_done(gw_plane_t *p);
gw_topic_t *gw_cover_undo(gw_plane_t *p);

/* gw_route.c */
int64_t gw_record_route(gw_plane_t *p, const gw_record_t *r, int64_t *budget);
void gw_client_take(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index); /* slow path of routing */
/* `before`: what was suspect before the record was looked at. */
uint32_t gw_topic_jump(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest, uint64_t position, uint8_t before);
void gw_topic_route(gw_plane_t *p, gw_topic_t *t);

/* --- work: jobs, and other segments ------------------------------------------------------------------ */

/* gw_work.c */
void gw_job_renew(gw_plane_t *p, gw_client_t *c);
void gw_job_conflate(gw_plane_t *p, gw_client_t *c);
void gw_job_rewind(gw_plane_t *p, gw_client_t *c);
void gw_jobs_abort(gw_plane_t *p, gw_client_t *c);
int gw_client_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x);
static inline int gw_link_is_marked(const gw_link_t *l) {
    return l->marked && l->client->job && l->job == l->client->job->serial;
}

/* gw_epoch.c */
void gw_epoch_begin(gw_plane_t *p);                   /* the old ring has been read to its end */
void gw_epoch_step(gw_plane_t *p, int64_t budget);    /* while epoch_phase */
/* Populates a little of what the plane will touch next: the frame log, its mapping of the ring. */
void gw_plane_ahead(gw_plane_t *p);
void gw_epoch_lapped(gw_plane_t *p);
void gw_epoch_lap_step(gw_plane_t *p, int64_t budget); /* while lap_next < lap_end */
void gw_epoch_unmap(gw_plane_t *p, size_t bytes);

/* --- visits: one client's socket --------------------------------------------------------------------- */

/* gw_flush.c */
size_t gw_client_flush(gw_plane_t *p, gw_client_t *c); /* one visit; the bytes that it offered to the kernel */
size_t gw_client_flush_within(gw_plane_t *p, gw_client_t *c, size_t room); /* ... of about so many */
void gw_client_unblock(gw_plane_t *p, gw_client_t *c);
void gw_client_unwatch(gw_plane_t *p, gw_client_t *c);
int gw_keep_lossless(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index);
size_t gw_gather_size(void);

/* --- requests: what clients ask for ------------------------------------------------------------------ */

/* gw_job.c */
void gw_job_add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x); /* the command is copied if it has to wait */
void gw_jobs_run(gw_plane_t *p, int64_t budget);

/* --- ends: letting go of clients --------------------------------------------------------------------- */

/* gw_goodbye.c */
int gw_client_bury(gw_plane_t *p, gw_client_t *c, int64_t *budget);
int gw_goodbyes_run(gw_plane_t *p);
int64_t gw_goodbyes_due(const gw_plane_t *p);
void gw_client_free(gw_plane_t *p, gw_client_t *c);

/* --- cycle: what happens when ------------------------------------------------------------------------ */

/* gw_command.c */
int gw_commands_run(gw_plane_t *p, int limit);
void gw_commands_free(gw_plane_t *p);

/* gw_plane.c */
int gw_plane_rests(const gw_plane_t *p); /* whether all that is left to do is jobs, which others need not wait for */

#endif
