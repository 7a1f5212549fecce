/* Clients that believe nothing. On a connection each knows what may come next, and whether it is what the journal has;
 * over all of its connections it knows what it has had, asks for the rest, and is told honestly what can't be had. */
#ifndef SIMULATION_CLIENT_H
#define SIMULATION_CLIENT_H
#include "simulation_format.h"

#define SIM_WANTS 6u
#define SIM_DENIED 0u /* the instrument that those of grant 1 may not read */

/* What a client subscribes to, on each of its connections, and what came of that on this one. */
typedef struct {
    uint8_t kind, priority;
    int instrument; /* -1: all of them, by a pattern */
    bool lossless, snapshot;
    uint16_t interval_ms;
    uint32_t age_ms;
    uint16_t variant; /* of a book: how deep */
    uint8_t from; /* GW_FROM_* */
    unsigned from_epoch;
    uint64_t from_value;
    bool acked, loose, completed; /* loose: its numbering has begun anew since */
    int recovery;
    uint64_t base, reach;
} want_t;

/* Of a topic, on this connection. */
typedef struct {
    bool known;   /* a frame has come: the next one continues it */
    bool renewed; /* the numbering has begun anew: the first frame is a snapshot */
    bool gap;     /* of ours, up to `to`: just told */
    uint64_t last, to, lost;
    unsigned told; /* gaps of the venue's since the last frame */
} seen_t;

/* Of a topic, over all connections. */
typedef struct {
    unsigned epoch;
    uint64_t last; /* 0: nothing of it */
} had_t;

typedef struct {
    uint64_t frames, replayed, snapshots, lapped, missed, completed, insufficient, doubles, renewals, recovered, books;
} tally_t;

typedef struct {
    unsigned worker;
    peer_t *peer; /* NULL: it has no connection */
    bool live;    /* neither it nor the plane has given the connection up */
    bool deaf;    /* it hears nothing of this connection any more */
    bool closing, removing, gone, shut, closed, asked, dying, lazy, greeted;
    bool denied;  /* grant 1 */
    unsigned epoch;
    unsigned wants_count;
    want_t wants[SIM_WANTS];
    seen_t seen[SIM_TOPICS];
    had_t had[SIM_TOPICS];
    book_client_t books[VENUE_INSTRUMENTS];
    bool wants_books;
    int64_t newest_ts[SIM_WANTS]; /* the greatest ts_recv up to which it has all */
    int64_t here_ts[SIM_WANTS];   /* the same, of this connection */
    int64_t until_ns; /* it comes back then, or, of a dying one, gives up */
} client_t;

static tally_t tally;

/* --- what it wants --------------------------------------------------------------------------------- */

static inline bool wants_topic(const client_t *c, const want_t *w, unsigned t) {
    if (w->kind != topic_kind(t) || (c->denied && topic_instrument(t) == SIM_DENIED)) return false;
    return w->instrument < 0 || (unsigned)w->instrument == topic_instrument(t);
}

static inline want_t *want_of(client_t *c, unsigned t) {
    for (unsigned i = 0; i < c->wants_count; i++)
        if (wants_topic(c, &c->wants[i], t)) return &c->wants[i];
    return NULL;
}

/* Healths of a pattern are told from the first that is not well on. */
static inline bool want_is_quiet(const want_t *w) { return w->kind == GW_HEALTH && w->instrument < 0; }

/* While what was missed comes, others of its topics are ahead of that. */
static inline bool want_replays(const want_t *w) { return w->recovery == GW_RECOVERY_REPLAYING && !w->completed && !w->loose; }

static inline void want_draw(want_t *w) {
    *w = (want_t){.kind = sim_kinds[below(SIM_KINDS)], .priority = (uint8_t)below(GW_CLASSES), .snapshot = !chance(4)};
    w->instrument = chance(3) ? -1 : (int)below(VENUE_INSTRUMENTS);
    if (w->kind == GW_BOOK) w->snapshot = true, w->variant = (uint16_t)below(GW_BOOK_DEPTHS);
    w->lossless = w->kind == GW_BOOK ? false : w->kind == GW_TRADE ? !chance(4) : chance(4);
    if (!w->lossless && chance(3)) w->interval_ms = (uint16_t[]){5, 50, 333}[below(3)];
    if (!w->lossless && chance(4)) w->age_ms = (uint32_t[]){20, 300}[below(2)];
}

/* So that each topic is of one subscription. */
static inline bool want_meets(const client_t *c, const want_t *w) {
    for (unsigned i = 0; i < c->wants_count; i++) {
        const want_t *x = &c->wants[i];
        if (x->kind == w->kind && (w->instrument < 0 || x->instrument < 0 || x->instrument == w->instrument)) return true;
    }
    return false;
}

static inline void client_draw(client_t *c) {
    *c = (client_t){.denied = chance(4)};
    for (unsigned tries = 0; tries < 20 && c->wants_count < SIM_WANTS; tries++) {
        want_t w;
        want_draw(&w);
        if (want_meets(c, &w)) continue;
        c->wants[c->wants_count++] = w;
        c->wants_books |= w.kind == GW_BOOK;
        for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) {
            if (w.kind != GW_BOOK || (w.instrument >= 0 && w.instrument != (int)i)) continue;
            shown_open(&c->books[i]);
            c->books[i].variant = w.variant;
        }
    }
}

/* How it asks for what it has missed. */
static inline void want_ask(const client_t *c, unsigned i, want_t *w) {
    w->acked = w->loose = w->completed = false;
    w->recovery = GW_RECOVERY_NONE;
    w->base = w->reach = 0;
    w->from = GW_FROM_NONE;
    if (w->instrument < 0) { /* one that conflates has the present states, which tell more than those since some moment */
        if (!w->lossless || !c->newest_ts[i] || chance(8)) return;
        w->from = GW_FROM_TS;
        w->from_value = (uint64_t)(c->newest_ts[i] - SECOND);
        return;
    }
    const had_t *had = &c->had[topic_of(kind_index(w->kind), (unsigned)w->instrument)];
    if (chance(8)) return;
    if (!had->last || chance(8)) {
        w->from = GW_FROM_LAST;
        w->from_value = 1 + below(chance(3) ? 1000 : 20);
    } else if (chance(5)) {
        w->from = GW_FROM_TS;
        w->from_value = (uint64_t)(c->newest_ts[i] - SECOND);
    } else {
        w->from = GW_FROM_SEQ;
        w->from_epoch = had->epoch;
        w->from_value = had->last;
    }
}

static inline gw_item_t want_item(const want_t *w, unsigned i) {
    gw_item_t x = item(i, w->kind, w->instrument < 0 ? "*" : venue_names[w->instrument], w->lossless, w->snapshot);
    x.priority = w->priority;
    x.interval_ms = w->interval_ms;
    x.age_ms = w->age_ms;
    x.variant = w->variant;
    x.from = w->from;
    x.from_value = w->from_value;
    if (w->from == GW_FROM_SEQ) memcpy(x.from_epoch, feed.epochs[w->from_epoch].text, GW_EPOCH_LENGTH);
    return x;
}

/* --- what it is told ------------------------------------------------------------------------------- */

static inline unsigned epoch_index(const char *text) {
    for (unsigned i = 0; i < feed.epochs_count; i++)
        if (!strcmp(feed.epochs[i].text, text)) return i;
    CHECK(!"an epoch that never was");
    return 0;
}

/* Whether the ring has had the record so lately that nobody may say it is gone. */
static inline bool is_in_ring(unsigned epoch, unsigned t, uint64_t seq) {
    const line_t *line = &feed.epochs[epoch].lines[t];
    if (epoch + 1 != feed.epochs_count || feed.fd < 0 || !seq || seq > line->count) return false;
    return line->at[seq - 1].position + feed.ring_bytes / 2 > feed.publisher.writer.tail;
}

/* The reply says that what was missed can't be had: it could not. */
static inline void read_refusal(const client_t *c, const want_t *w, unsigned t) {
    const line_t *line = &feed.epochs[c->epoch].lines[t];
    tally.insufficient++;
    if (w->from == GW_FROM_SEQ && w->from_epoch == c->epoch && w->from_value <= w->base) { /* else this worker is behind */
        CHECK(!is_in_ring(c->epoch, t, w->from_value + 1));
        CHECK(w->reach > w->from_value && w->reach <= line->count + 1); /* the oldest there is */
    }
    if (w->from == GW_FROM_LAST) CHECK(!is_in_ring(c->epoch, t, w->base > w->from_value ? w->base + 1 - w->from_value : 1));
}

static inline void read_recovery(const client_t *c, const want_t *w, unsigned t) {
    const had_t *had = &c->had[t];
    if (w->recovery == GW_RECOVERY_INSUFFICIENT) {
        read_refusal(c, w, t);
        return;
    }
    CHECK(w->reach >= w->base && w->reach <= feed.epochs[c->epoch].lines[t].count);
    if (w->from == GW_FROM_SEQ) {
        CHECK_EQUAL(w->from_epoch, c->epoch); /* numbers of another epoch are no numbers of this one */
        CHECK_EQUAL(w->base, w->from_value);
    }
    if (w->from == GW_FROM_LAST) { /* the last of the ring, which may be ahead of the worker */
        CHECK(w->base <= w->reach && w->base + w->from_value >= w->reach);
        CHECK(!w->base || w->base + w->from_value <= feed.epochs[c->epoch].lines[t].count);
    }
    if (w->from == GW_FROM_TS && had->epoch == c->epoch && had->last) CHECK(w->base <= had->last);
}

/* What is not replayed begins anew. */
static inline void want_begins(client_t *c, const want_t *w) {
    for (unsigned t = 0; t < SIM_TOPICS; t++)
        if (w->recovery != GW_RECOVERY_REPLAYING && !c->deaf && wants_topic(c, w, t)) {
            c->had[t].last = 0;
            if (w->kind == GW_BOOK) c->books[topic_instrument(t)].seq = 0;
        }
}

static inline void read_reply(client_t *c, const sim_frame_t *f) {
    if (f->reply == 0) {
        CHECK(!c->greeted);
        c->greeted = true;
        c->epoch = epoch_index(f->epoch);
        return;
    }
    CHECK(c->greeted && f->items == c->wants_count);
    CHECK_EQUAL(epoch_index(f->epoch), c->epoch);
    for (unsigned i = 0; i < c->wants_count; i++) {
        want_t *w = &c->wants[i];
        CHECK(!w->acked);
        w->acked = true;
        w->base = f->seqs[i];
        w->recovery = f->recovery[i];
        w->reach = f->reach[i];
        if (c->denied && w->instrument == (int)SIM_DENIED) {
            CHECK(!w->base && !w->recovery);
            continue;
        }
        CHECK_EQUAL(w->from != GW_FROM_NONE, w->recovery != GW_RECOVERY_NONE);
        want_begins(c, w);
        if (w->recovery && w->instrument >= 0) read_recovery(c, w, topic_of(kind_index(w->kind), (unsigned)w->instrument));
    }
}

/* The first frame of a topic is what the reply promised. */
static inline void read_first(const client_t *c, const want_t *w, const seen_t *s, const sim_frame_t *f) {
    const had_t *had = &c->had[f->topic];
    if (s->renewed) {
        CHECK(f->snapshot || want_is_quiet(w) || (w->kind == GW_HEALTH && f->seq == f->skipped + 1)); /* it was well until then */
    } else if (w->loose) {
        return;
    } else if (w->instrument < 0) {
        if (w->recovery != GW_RECOVERY_REPLAYING || had->epoch != c->epoch || !had->last) return;
        CHECK(f->seq - f->skipped <= had->last + 1); /* it goes on from what it had, or before that */
    } else if (w->kind == GW_BOOK && f->snapshot && !f->skipped) {
        CHECK(f->seq >= w->base); /* the state is where the numbers count from */
    } else if (w->recovery != GW_RECOVERY_REPLAYING && (w->snapshot || w->recovery) &&
               (w->base || (w->kind == GW_HEALTH && f->snapshot && !f->skipped))) {
        CHECK(f->snapshot && !f->skipped && f->seq >= w->base);
    } else {
        CHECK_EQUAL(f->seq, w->base + 1 + f->skipped);
    }
}

/* What was lost before the record at its venue was told before it. */
static inline void read_gaps(const client_t *c, const want_t *w, seen_t *s, const sim_frame_t *f, const gw_record_t *r) {
    if (!f->snapshot && w->lossless && r->h.gap != GW_GAP_NONE && !c->peer->format) {
        CHECK_EQUAL(s->told, 1);
        CHECK_EQUAL(s->lost, r->h.lost);
    }
    s->told = 0;
    s->lost = 0;
}

static inline void had_take(client_t *c, const want_t *w, const sim_frame_t *f) {
    had_t *had = &c->had[f->topic];
    int64_t *newest = &c->newest_ts[w - c->wants];
    if (c->deaf) return;
    /* Its newest moment less a second is from where a pattern asks: nothing without loss may come that is older. */
    int64_t *here = &c->here_ts[w - c->wants];
    const bool all = w->instrument < 0 && w->lossless && !w->loose && w->recovery != GW_RECOVERY_INSUFFICIENT && !want_replays(w);
    if (all && !f->snapshot) CHECK((int64_t)f->ts_recv + SECOND >= *here);
    if ((int64_t)f->ts_recv > *here && !want_replays(w) && !f->snapshot) *here = (int64_t)f->ts_recv;
    if ((int64_t)f->ts_recv > *newest && !want_replays(w)) *newest = (int64_t)f->ts_recv;
    if (had->epoch == c->epoch && f->seq <= had->last) {
        CHECK(f->snapshot || w->from != GW_FROM_SEQ || w->recovery == GW_RECOVERY_INSUFFICIENT); /* else it is had twice */
        tally.doubles++;
        return;
    }
    tally.recovered += f->replay && had->epoch == c->epoch && had->last;
    *had = (had_t){.epoch = c->epoch, .last = f->seq};
}

/* An instrument of which nothing was ever refused is well. */
static inline void read_presumed(seen_t *s, const want_t *w, const sim_frame_t *f) {
    CHECK(f->snapshot && !f->skipped && !s->known && w->instrument >= 0);
    s->known = true;
    s->renewed = false;
    tally.snapshots++;
}

/* The book is what it was at that seq, as deep as it was asked for. */
static inline void read_book(client_t *c, const sim_frame_t *f, const book_truth_t *truth) {
    book_client_t *b = &c->books[topic_instrument(f->topic)];
    if (c->deaf) return;
    shown_frame(b, f->data, f->snapshot);
    b->seq = f->seq;
    CHECK(shown_hash(b) == truth->hash[b->variant]);
    CHECK_EQUAL(strstr(f->data, "\"maybe_bad\":true") != NULL, truth->bad);
    const uint64_t last_id = number_after(f->data, "\"last_id\":\"");
    CHECK(last_id && last_id <= f->seq * 10 && last_id % 10 == 0); /* less where it says no more than a doubt */
    tally.books++;
}

static inline void read_data(client_t *c, const sim_frame_t *f) {
    want_t *w = f->topic < SIM_TOPICS ? want_of(c, f->topic) : NULL;
    char expected[512];
    CHECK(w && w->acked); /* I5; and nothing precedes its reply */
    seen_t *s = &c->seen[f->topic];
    const line_t *line = &feed.epochs[c->epoch].lines[f->topic];
    if (f->topic / VENUE_INSTRUMENTS == SIM_HEALTH && !f->seq) {
        read_presumed(s, w, f);
        return;
    }
    CHECK(f->seq >= 1 && f->seq <= line->count);
    const gw_record_t *r = &line->at[f->seq - 1].record;
    if (r->h.kind == GW_BOOK) read_book(c, f, &line->at[f->seq - 1].book);
    const size_t length = r->h.kind == GW_BOOK ? 0 : c->peer->format ? sim_expect_binary(r, expected) : sim_expect_text(r, expected);
    CHECK(length == f->data_length && !memcmp(expected, f->data, length));
    CHECK(r->h.kind == GW_BOOK || (int64_t)f->ts_recv == r->h.ts_recv);
    if (s->known) CHECK_EQUAL(f->seq, s->last + 1 + f->skipped); /* I1 */
    else read_first(c, w, s, f);
    if (s->gap) CHECK(f->snapshot && (!w->lossless || f->seq == s->to + 1));
    if (w->lossless && f->skipped) CHECK(f->snapshot && s->gap); /* I2 */
    CHECK(!f->replay || (w->recovery == GW_RECOVERY_REPLAYING && !w->completed) || w->lossless);
    read_gaps(c, w, s, f, r);
    had_take(c, w, f);
    s->known = true;
    s->renewed = s->gap = false;
    s->last = f->seq;
    tally.frames++;
    tally.replayed += f->replay;
    tally.snapshots += f->snapshot;
}

static inline void read_lapped(client_t *c, const sim_frame_t *f) {
    want_t *w = want_of(c, f->topic);
    CHECK(w && w->acked && f->from <= f->to);
    seen_t *s = &c->seen[f->topic];
    if (s->known) CHECK_EQUAL(f->from, s->last + 1);
    s->gap = true;
    s->to = f->to;
    tally.lapped++;
}

static inline void read_replayed(client_t *c, const sim_frame_t *f) {
    want_t *w = NULL;
    for (unsigned i = 0; i < c->wants_count; i++) {
        want_t *x = &c->wants[i];
        const int of = f->topic == SIM_TOPICS ? -1 : (int)topic_instrument(f->topic);
        if (x->kind == f->channel && x->instrument == of) w = x;
    }
    CHECK(w && w->acked && !w->completed && w->recovery == GW_RECOVERY_REPLAYING);
    w->completed = true;
    tally.completed++;
    if (w->instrument < 0 || w->loose) return;
    const seen_t *s = &c->seen[f->topic];
    CHECK_EQUAL(f->from, w->base + 1);
    CHECK(f->to >= w->reach);
    if (w->lossless) CHECK_EQUAL(s->known ? s->last : w->base, f->to);
}

static inline void read_epoch(client_t *c, const sim_frame_t *f) {
    const unsigned epoch = epoch_index(f->epoch);
    CHECK(epoch > c->epoch);
    c->epoch = epoch;
    for (unsigned t = 0; t < SIM_TOPICS; t++) c->seen[t] = (seen_t){.renewed = c->seen[t].known || c->seen[t].renewed};
    for (unsigned i = 0; i < c->wants_count; i++) c->wants[i].loose = true;
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) c->books[i].seq = 0;
    tally.renewals++;
}

static inline void read_message(client_t *c, const sim_frame_t *f) {
    CHECK(!c->closed);
    if (f->topic < SIM_TOPICS && f->kind != SIM_OTHER) CHECK(!c->denied || topic_instrument(f->topic) != SIM_DENIED); /* I5 */
    if (f->kind == SIM_REPLY) read_reply(c, f);
    if (f->kind == SIM_DATA) read_data(c, f);
    if (f->kind == SIM_LAPPED) read_lapped(c, f);
    if (f->kind == SIM_REPLAYED) read_replayed(c, f);
    if (f->kind == SIM_EPOCH) read_epoch(c, f);
    if (f->kind == SIM_CLOSE) c->closed = true;
    if (f->kind == SIM_MISSED || f->kind == SIM_RESET) {
        CHECK(f->topic < SIM_TOPICS && want_of(c, f->topic));
        c->seen[f->topic].told++;
        c->seen[f->topic].lost += f->skipped;
        tally.missed++;
    }
}

#endif
