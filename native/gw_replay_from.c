/* Where a subscription that asks for what it missed begins: found in the step that answers it, by the topic's chain through
 * the ring or by the moment (gw_locate.h), so that the reply says whether all of it is there. */
#include "gw_plane_internal.h"
#include "gw_locate.h"
#include <string.h>

#define MARGIN_NS 1000000000

/* What a `from` comes to. */
typedef struct {
    int recovery;      /* GW_RECOVERY_* */
    uint64_t seq;      /* REPLAYING: it has all up to there */
    uint64_t position; /* of the first record behind that; GW_POSITION_NONE: there is none */
    uint64_t oldest;   /* INSUFFICIENT: from which seq on it could be had */
} start_t;

/* When the segment was made: its epoch is that, in milliseconds and base 36. */
static int64_t made_ns(const gw_plane_t *p) {
    int64_t ms = 0;
    for (unsigned i = 0; i < GW_EPOCH_LENGTH; i++) ms = ms * 36 + p->epoch[i] - (p->epoch[i] <= '9' ? '0' : 'a' - 10);
    return ms * 1000000;
}

static int is_overwritten(const gw_plane_t *p) {
    return GW_LOAD_ACQUIRE(p->reader.segment.tail) > p->reader.segment.capacity;
}

/* Whether the ring has all that was received from this moment on. */
static int has_since(const gw_plane_t *p, uint64_t ts) {
    uint64_t position;
    /* Before the segment there may have been another one; but clients ask for a second more than they need. */
    if (ts > INT64_MAX || !p->mapping || (int64_t)ts < made_ns(p) - MARGIN_NS) return 0;
    return gw_reader_locate_ts(&p->reader, (int64_t)ts, &position) == 1;
}

/* From which moment on all could be had. */
static uint64_t oldest_ns(const gw_plane_t *p) {
    return (uint64_t)(is_overwritten(p) ? gw_reader_oldest_ns(&p->reader) : made_ns(p));
}

uint8_t gw_from_begin(const gw_plane_t *p, const gw_item_t *item, gw_outcome_t *o) {
    uint8_t from = item->from;
    if (from == GW_FROM_SEQ && memcmp(item->from_epoch, p->epoch, GW_EPOCH_LENGTH)) from = GW_FROM_LOST;
    if (from == GW_FROM_TS && !has_since(p, item->from_value)) from = GW_FROM_LOST;
    if (!from) return from;
    o->recovery = from == GW_FROM_LOST ? GW_RECOVERY_INSUFFICIENT : GW_RECOVERY_REPLAYING;
    o->reach = UINT64_MAX;
    if (item->is_pattern && from == GW_FROM_LOST && p->mapping) o->reach = oldest_ns(p);
    return from;
}

static int found(const gw_plane_t *p, const gw_topic_t *t, const gw_sub_t *s, gw_found_t *f) {
    const gw_reader_t *r = &p->reader;
    if (s->from == GW_FROM_SEQ) return gw_reader_locate_seq(r, t->ring_id, s->from_value + 1, f);
    if (s->from == GW_FROM_TS) return gw_reader_locate_since(r, t->ring_id, (int64_t)s->from_value, f);
    const uint32_t last = s->from_value < UINT32_MAX ? (uint32_t)s->from_value : UINT32_MAX;
    return gw_reader_locate_last(r, t->ring_id, last, f);
}

static start_t locate(const gw_plane_t *p, const gw_topic_t *t, const gw_sub_t *s, int conflated) {
    start_t start = {.recovery = GW_RECOVERY_INSUFFICIENT, .oldest = t->seq + 1, .position = GW_POSITION_NONE, .seq = t->seq};
    gw_found_t f = {0};
    if (s->from == GW_FROM_LOST || (s->from == GW_FROM_SEQ && s->from_value > t->seq)) return start;
    if (!t->bound || !t->seq || (s->from == GW_FROM_SEQ && s->from_value == t->seq)) {
        start.recovery = GW_RECOVERY_REPLAYING;
        return start;
    }
    if (conflated && s->from != GW_FROM_TS) { /* its state is enough */
        start.seq = s->from == GW_FROM_SEQ ? s->from_value : t->seq - (s->from_value < t->seq ? s->from_value : t->seq);
        start.recovery = GW_RECOVERY_REPLAYING;
        return start;
    }
    const int got = found(p, t, s, &f);
    const int there = got && got != -EAGAIN && f.h.topic == t->ring_id && f.h.generation == (uint16_t)t->generation &&
                      f.h.origin == t->origin && f.position < GW_LOAD_ACQUIRE(p->reader.segment.tail);
    if (there && f.h.topic_seq && f.h.topic_seq <= t->seq) {
        start.seq = f.h.topic_seq - 1;
        start.position = f.position;
        start.oldest = f.h.topic_seq;
    }
    /* By the moment all of it is there, whether the topic's chain goes on before it or not, if the writer has not come so
     * far since the request began: a pattern's topics may take many turns. */
    const int whole = got == 0 || (got == 1 && there) ||
                      (got == -ENOENT && s->from == GW_FROM_TS && has_since(p, s->from_value));
    if (whole && (s->from != GW_FROM_SEQ || start.seq == s->from_value)) start.recovery = GW_RECOVERY_REPLAYING;
    return start;
}

/* Of a conflated topic the state, as an update of all since then; in the link's rate, where it has one. */
static void give_since(gw_plane_t *p, gw_link_t *l, uint64_t missed) {
    const gw_record_t *state = l->topic->state;
    const int64_t recv_ns = gw_record_published(state) - state->h.ingest_ns;
    gw_link_conflate(p, l, missed - 1);
    if (l->book) l->book->awaited = l->topic->seq + 1 - missed; /* in a snapshot: nobody knows how deep what it has is */
    if (!l->dirty && !l->sub->grid && !l->sub->age_ms && !l->book) {
        gw_client_push_record(p, l->client, l, gw_topic_since_frame(p, l->topic, gw_link_audience(l), missed - 1));
        return;
    }
    l->skipped = missed - 1;
    if (l->dirty) gw_link_remark(l, GW_LINK_RESYNC, recv_ns, p->taken_ns); /* it owes an end */
    else gw_link_wait(p, l, GW_LINK_UPDATE, recv_ns, p->taken_ns);
}

/* The link begins with what its subscription missed, which counts as routed to it; the state where that can't be had. */
void gw_link_recover(gw_plane_t *p, gw_link_t *l, gw_outcome_t *o) {
    gw_sub_t *s = l->sub;
    gw_topic_t *t = l->topic;
    const start_t start = locate(p, t, s, !l->lossless);
    if (!s->pattern) *o = (gw_outcome_t){.number = t->seq, .attached = o->attached, .recovery = (uint8_t)start.recovery,
                                         .reach = start.oldest};
    if (start.recovery == GW_RECOVERY_INSUFFICIENT) {
        if (s->pattern && o->recovery == GW_RECOVERY_REPLAYING) o->recovery = GW_RECOVERY_INSUFFICIENT, o->reach = oldest_ns(p);
        gw_count(&p->stats->replays[GW_REPLAY_INSUFFICIENT], 1);
        gw_link_snapshot(p, l);
        return;
    }
    const uint64_t missed = t->seq - start.seq;
    if (!s->pattern) o->number = start.seq, o->reach = t->seq, s->replay_told = 1, s->replay_first = start.seq + 1;
    l->attach -= missed;
    gw_count(&p->stats->routed[t->channel], missed);
    gw_count(&p->stats->pending[t->channel], missed);
    if (missed && l->lossless) {
        if (!gw_replay_open(p, l, missed, s)) gw_replay_place(l, start.position);
        return;
    }
    if (missed) give_since(p, l, missed);
    gw_refused_snapshot(p, l);
    if (!s->pattern) gw_replay_tell(p, s, t, t->seq);
    gw_guard(p);
}

/* Whether a pattern of the request gets the state after all, though some of its topics were to be replayed: the ring has
 * lost what a later one needs, while they were looked at. */
int gw_from_fails(const gw_plane_t *p, const gw_client_t *c, const gw_job_t *job) {
    for (uint32_t i = 0; i < job->command->items_count; i++) {
        const gw_item_t *item = &job->command->items[i];
        if (!item->is_pattern || job->outcomes[i].recovery != GW_RECOVERY_INSUFFICIENT) continue;
        const gw_sub_t *s = gw_sub_find(p, c, item->id);
        if (s && s->replays) return 1;
    }
    return 0;
}

/* A link of such a pattern gets the state, too. Nothing of it was replayed yet: its client waits for the reply. */
void gw_from_fail(gw_plane_t *p, gw_link_t *l, const gw_job_t *job) {
    const gw_sub_t *s = l->replay ? l->replay->sub : NULL;
    if (!s || !s->pattern || !s->from || job->outcomes[s->row].recovery != GW_RECOVERY_INSUFFICIENT) return;
    gw_replay_settle(p, l, NULL, 0, GW_REPLAY_INSUFFICIENT);
    gw_link_snapshot(p, l);
}

/* The reply has said what comes of it: of a pattern the end is told now, where nothing was missed. */
void gw_from_end(gw_plane_t *p, gw_sub_t *s, const gw_outcome_t *o) {
    s->from = GW_FROM_NONE;
    if (!s->pattern || o->recovery != GW_RECOVERY_REPLAYING) return;
    s->replay_told = 1;
    gw_replay_tell(p, s, NULL, 0);
}
