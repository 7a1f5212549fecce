/* One pass over the ring for all links that replay. A second cursor goes forward from the oldest record that somebody
 * wants, some records a slice; each is encoded once for all who get the same bytes, whoever they are and however many.
 *
 * A slice is done when nothing else is to do, and ends once a record comes; while others have work it is short, and comes
 * after a rest of 19 times as long as it took (5 %). So it is with its sends (serve_replays in gw_plane.c). There is never
 * more than an eighth of the log before all that came from it was sent. A client that takes no more frames leaves the pass
 * at the first record that it would get, and joins a later one. A link is live as soon as it has had all that
 * was routed: what comes next is pushed behind that. So nobody is left when the cursor reaches the plane's own; where
 * somebody is, the last value was ahead of the ring, and the pass follows until its record has come. */
#include "gw_plane_internal.h"
#include "gw_locate.h"

#define PASS_BYTES (2u * GW_RECORD_CELLS_MAX * GW_CELL) /* copied from the ring at once: at 10 GB/s, 13 us */
#define PASS_LINKS 8192u  /* pushes in a slice: at 10 ns, 80 us ... */
#define PASS_BESIDE 1024u /* ... and in one beside others, who wait for all of it */
#define PASS_RECORD 16u   /* what a record costs that somebody gets, in pushes */
#define PASS_LOOKS 8u     /* so many that nobody wants cost one */
#define PASS_REST 19      /* while others have work, for so many times as long as a slice took there is none */
#define GATHER_NS 20000000 /* a pass waits so long for requests that may ask for it */
#define PASS_LOG_PARTS 8u /* the part of the log that waits to be sent, at most */

/* --- one record -------------------------------------------------------------------------------------- */

/* A hole in the venue's own numbers is told to those who get the record behind it. */
static void tell_gap(gw_plane_t *p, gw_link_t *l, const gw_header_t *h) {
    if (h->gap == GW_GAP_NONE || h->gap >= GW_GAPS) return;
    const int reset = h->gap == GW_GAP_RESET;
    const gw_notice_t notice = {.numbers = {h->lost}};
    const uint64_t index = gw_notice_frame(p, l->topic, gw_link_audience(l), reset ? GW_NOTICE_RESET : GW_NOTICE_MISSED,
                                           &notice, GW_FRAME_TOLD, reset ? GW_LEFT_RESET : GW_LEFT_FEED);
    if (index != GW_FRAME_NONE) gw_link_push(p, l, index);
}

static void give(gw_plane_t *p, gw_replay_t *r, const gw_record_t *record, uint64_t *frame) {
    gw_link_t *l = r->link;
    gw_client_t *c = l->client;
    if (!r->told) tell_gap(p, l, &record->h);
    r->told = 0;
    if (!c->turn_next) gw_turn_wait(p, GW_TURN_REPLAY, c); /* those with news come first */
    if (!*frame) *frame = gw_record_frame(p, l->topic, gw_link_audience(l), record) + 1; /* so that 0 is none */
    gw_client_push_record(p, c, l, *frame - 1);
    r->done++;
    gw_count(&p->stats->replayed[l->topic->channel], 1);
    if (r->done == l->topic->routed) gw_replay_complete(p, l);
}

/* The record to all who have had all before it. How many links were looked at. */
static uint32_t record_replay(gw_plane_t *p, const gw_record_t *record) {
    gw_topic_t *t = record->h.topic < p->by_ring_count ? p->by_ring[record->h.topic] : NULL;
    uint64_t frames[GW_AUDIENCES_MAX] = {0};
    uint32_t looks = 0;
    if (!t || !t->replays || !gw_record_is_of(record, t->generation)) return 0;
    if (record->h.kind != t->channel || record->h.origin != t->origin || record->h.flags & GW_FLAG_RETIRED) return 0;
    for (gw_replay_t *r = t->replays, *next; r; r = next, looks++) {
        gw_link_t *l = r->link;
        gw_client_t *c = l->client;
        next = r->next;
        if (c->replay_pass != p->pass.number || l->epoch != p->epochs) continue;
        const uint64_t wanted = t->seq + 1 - gw_replay_left(l);
        if (record->h.topic_seq < wanted) continue;
        if (c->flags & (GW_CLIENT_WAITS | GW_CLIENT_DOOMED)) gw_replay_leave(p, c);
        else if (record->h.topic_seq > wanted) gw_replay_break(p, l);
        else give(p, r, record, &frames[l->audience]);
    }
    return looks;
}

/* --- a pass ------------------------------------------------------------------------------------------ */

static void begin(gw_plane_t *p) {
    gw_pass_t *pass = &p->pass;
    pass->number++;
    pass->active = 1;
    pass->members = pass->queued;
    pass->queued = 0;
    pass->reader = p->reader;
    pass->reader.cursor = pass->next;
    pass->next = GW_POSITION_NONE;
    pass->batch_at = pass->batch_end = 0;
}

void gw_pass_stop(gw_plane_t *p) {
    gw_pass_t *pass = &p->pass;
    pass->number += 2; /* who was in it, or in the next one, is in none */
    pass->active = 0;
    pass->members = pass->queued = 0;
    pass->next = GW_POSITION_NONE;
    pass->batch_at = pass->batch_end = 0;
    pass->lost_next = UINT32_MAX;
    pass->wanted_ns = 0;
}

/* Where the first record begins that has not been routed yet. */
static uint64_t routed_to(const gw_plane_t *p) {
    return p->batch_at < p->batch_end ? p->reader.from + p->batch_at : p->reader.cursor;
}

/* The writer has overtaken it. It goes on with what the ring will have for some time, after those were told who wanted
 * what is before that. */
static void lapped(gw_plane_t *p, uint64_t at) {
    gw_pass_t *pass = &p->pass;
    gw_reader_rewind(&pass->reader, p->reader.segment.capacity);
    pass->lost_at = at;
    pass->lost_next = 0;
}

static int is_lost(const gw_plane_t *p, const gw_replay_t *r) {
    const gw_client_t *c = r->link->client;
    const uint64_t safe = p->pass.reader.cursor;
    uint64_t wants = c->replay_at;
    if (c->replay_pass == p->pass.number && wants < p->pass.lost_at) wants = p->pass.lost_at;
    if (r->position > wants) wants = r->position;
    return wants < safe && r->link->epoch == p->epochs;
}

/* A slice of telling what was lost; a topic with all its links at a time. */
static void lose(gw_plane_t *p, int64_t budget) {
    gw_pass_t *pass = &p->pass;
    for (; pass->lost_next < p->topics_count && budget > 0; pass->lost_next++, budget--) {
        gw_topic_t *t = p->topics[pass->lost_next];
        for (gw_replay_t *r = t ? t->replays : NULL, *next; r; r = next, budget -= GW_UNITS_LINK) {
            next = r->next;
            if (!is_lost(p, r)) continue;
            gw_replay_break(p, r->link);
            gw_guard(p);
        }
    }
    if (pass->lost_next >= p->topics_count) pass->lost_next = UINT32_MAX;
}

static int take_batch(gw_plane_t *p) {
    gw_pass_t *pass = &p->pass;
    if (pass->batch_at < pass->batch_end) return 1;
    const uint64_t at = pass->reader.cursor;
    if (at >= routed_to(p)) return 0;
    const int64_t bytes = gw_reader_poll(&pass->reader, pass->batch, PASS_BYTES);
    pass->batch_at = 0;
    pass->batch_end = bytes > 0 ? (size_t)bytes : 0;
    if (bytes < 0) lapped(p, at);
    return bytes > 0;
}

/* Records as far as a slice goes, or until others come; whether there may be more. */
static int replay(gw_plane_t *p, int others) {
    gw_pass_t *pass = &p->pass;
    const uint64_t routed = routed_to(p);
    uint32_t work = 0, n = 0;
    p->taken_ns = p->now;
    p->send_ns = 0;
    const uint32_t most = others ? PASS_BESIDE : PASS_LINKS;
    while (work < most && pass->members && (others || !gw_plane_takes(p)) && take_batch(p)) {
        if (pass->reader.from + pass->batch_at >= routed) return 0;
        const gw_record_t *record = (const gw_record_t *)(const void *)(pass->batch + pass->batch_at);
        const uint32_t links = record_replay(p, record);
        pass->batch_at += (size_t)record->h.cells * GW_CELL;
        work += links ? links + PASS_RECORD : n++ % PASS_LOOKS == 0;
        if (links) gw_guard(p);
    }
    return pass->members && (pass->lost_next != UINT32_MAX || pass->batch_at < pass->batch_end || pass->reader.cursor < routed);
}

/* Whether a slice may be done now. */
static int may(gw_plane_t *p, int others) {
    if (p->epoch_phase || !p->mapping || p->lap_next < p->lap_end) return 0;
    if (gw_turn_empty(p, GW_TURN_REPLAY)) p->pass.encoded = p->encoded;
    else if (!others || p->encoded - p->pass.encoded >= p->o.log_bytes / PASS_LOG_PARTS) return 0;
    return !others || p->now >= p->pass.rest_ns;
}

/* Whether the next pass had better wait for requests that are under way: who has come by then is in it. */
static int gather(gw_plane_t *p) {
    if (p->epoch_phase || !p->mapping) return 1;
    if (!p->pass.wanted_ns) p->pass.wanted_ns = p->now;
    if ((gw_queue_ready(&p->commands) || p->jobs.first) && p->now - p->pass.wanted_ns < GATHER_NS) return 1;
    p->pass.wanted_ns = 0;
    return 0;
}

/* A slice, where it is time for one; `others`: there is other work. Whether there is more. */
int gw_pass_run(gw_plane_t *p, int others) {
    gw_pass_t *pass = &p->pass;
    if (pass->lost_next == UINT32_MAX && (!pass->active || !pass->members)) {
        pass->active = 0;
        if (pass->next == GW_POSITION_NONE) return 0;
        if (!pass->batch && !(pass->batch = aligned_alloc(GW_CELL, PASS_BYTES))) return 0; /* later, perhaps */
        if (gather(p)) return 1;
        begin(p);
    }
    if (!may(p, others)) return 1;
    const int64_t begun = p->now = p->io.monotonic(p->io.self);
    int more = 1;
    if (!p->begun_ns) p->begun_ns = begun;
    if (pass->lost_next != UINT32_MAX) lose(p, p->turn_units);
    else more = replay(p, others);
    p->now = p->io.monotonic(p->io.self);
    pass->rest_ns = p->now + (p->now - begun) * PASS_REST;
    pass->rested = 0;
    if (more) gw_count(&p->stats->steps_resumed[GW_STEP_REPLAY], 1);
    return more || pass->next != GW_POSITION_NONE;
}

/* Whether the ring holds as much as a slow client needs to replay. */
void gw_pass_look(gw_plane_t *p) {
    const gw_segment_t *s = &p->reader.segment;
    uint64_t position;
    p->pass.deep = 0;
    if (!p->o.replay_depth_ns || !p->mapping || p->epoch_phase) return;
    const int64_t since = p->io.realtime(p->io.self) - p->o.replay_depth_ns;
    p->pass.deep = GW_LOAD_ACQUIRE(s->tail) <= s->capacity || gw_reader_locate_ts(&p->reader, since, &position) == 1;
}
