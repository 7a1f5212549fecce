/* A naive model of the plane: what each client is subscribed to, who governs which topic, how
 * many records each subscription was routed, and what each client's reader may see next. It
 * knows nothing of queues: strings are matched one by one, and counted one by one. */
#ifndef PLANE_MODEL_H
#define PLANE_MODEL_H
#include "plane_reader.h"

#define NAMES 14
#define PATTERNS 6
#define STRINGS (NAMES + PATTERNS)
#define IDS (2 * STRINGS) /* one subscription id for each string of each channel */
#define TOPICS (2 * NAMES)
#define LOG 512

static const char *const strings[STRINGS] = {
    "AA.SIM", "AB.SIM", "ABA.SIM", "BA.SIM", "BB.SIM", "BAB.SIM", "A.VEN", "B.VEN",
    "AB.VEN", "C.VEN",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.ABCDEFGHIJKLMNOP", "CC.SIM", "CA.VEN", "X.Y",
    "*", "A*", "*.SIM", "*B*", "*A*.*", "C*N"};

typedef struct {
    bool active, lossless, snapshot, variant;
    uint16_t interval_ms;
    uint32_t age_ms;
    uint64_t order;
} sub_t;

typedef struct {
    enum { SUBSCRIBE, UPDATE, UNSUBSCRIBE, FOLLOW, LEAVE, OTHER } kind;
    unsigned local; /* of FOLLOW and LEAVE */
    unsigned n;
    uint32_t ids[4];
    bool lossless[4], snapshot[4], variant[4], from[4];
    uint16_t interval_ms[4];
    uint32_t age_ms[4];
} entry_t;

static bool replays; /* clients ask for what they missed, or get it where they are slow: counts of a subscription are not known
                        beforehand then, but have to add up all the same */

/* What a client knows of a topic. */
typedef struct {
    bool known;     /* a frame has come since the last ack: the next one must continue it */
    bool told;      /* an ack named its seq: `base` */
    bool snapshot;  /* and promised a snapshot */
    bool renewed;   /* its numbering has restarted, or it has ended: the first frame is a snapshot */
    bool gap;       /* a gap notice was the last that came */
    bool turned;    /* since then it was conflated for a time: its state is merged with what followed */
    unsigned former; /* so often the variant was changed without a resync: frames of those before may be left */
    bool paced;     /* all of it that comes now is of the rate in force ... */
    int64_t cell;   /* ... whose last frame came in this one; -1: none has */
    uint64_t last, base, to;
} seen_t;

typedef struct {
    peer_t *peer;
    const gw_client_t *plane; /* the plane's side, for its phases alone */
    const int64_t *now;
    bool announced;   /* a topic, and its frame is still to come */
    int64_t begun_ns; /* when the first byte came of what is read next; 0: none has */
    uint16_t along[TOPICS]; /* the most of a topic that was being sent at a time */
    bool delayed;     /* some of what is read next was sealed in an earlier cycle: nobody knows when */
    bool live;    /* has not been doomed, closed or removed */
    bool pure;    /* never ended a subscription */
    bool closing, removing, gone, closed, shut, asked;
    unsigned replies, read;
    entry_t log[LOG];
    sub_t subs[IDS], told[IDS]; /* as the plane has them; as the client was told so far */
    uint64_t orders;
    uint64_t routed[IDS], attach[TOPICS];
    bool due[TOPICS]; /* a snapshot was promised when the state was not empty */
    seen_t seen[TOPICS];
    unsigned ended[TOPICS]; /* so often while it was subscribed, and it was not told yet */
    bool many[TOPICS];      /* of more than two at once, two are told */
    unsigned reborn[TOPICS], reborn_last[TOPICS]; /* replies of subscribes that came before its end was told: its
                                                     numbers may be lower from there */
    uint64_t epoch, updates, frames;
    struct {
        bool wants, follows, had; /* as the plane has it, as the client was told; and it was sent something since */
        unsigned long long last;
    } locals[RIG_LOCALS];
    uint64_t local_frames;
    uint64_t denied; /* a bit for each topic that its grant leaves out */
    bool local_denied[RIG_LOCALS];
} client_t;

static inline uint8_t id_channel(unsigned id) { return id < STRINGS ? GW_TRADE : GW_BBO; }
static inline const char *id_string(unsigned id) { return strings[id % STRINGS]; }
static inline bool id_pattern(unsigned id) { return id % STRINGS >= NAMES; }
static inline uint8_t topic_channel(unsigned t) { return t < NAMES ? GW_TRADE : GW_BBO; }
static inline const char *topic_name(unsigned t) { return strings[t % NAMES]; }

static inline bool naive_match(const char *pattern, const char *name) {
    if (!*pattern) return !*name;
    if (*pattern == '*')
        return naive_match(pattern + 1, name) || (*name && naive_match(pattern, name + 1));
    return *pattern == *name && naive_match(pattern + 1, name + 1);
}

/* The id that governs a topic, or -1: a name over patterns, a later pattern over an earlier one. */
static inline int governs(const client_t *c, const sub_t *subs, unsigned topic) {
    int best = -1;
    if (c->denied >> topic & 1) return -1;
    for (unsigned id = 0; id < IDS; id++) {
        if (!subs[id].active || id_channel(id) != topic_channel(topic)) continue;
        if (!id_pattern(id) && id % STRINGS == topic % NAMES) return (int)id;
        if (!id_pattern(id) || !naive_match(id_string(id), topic_name(topic))) continue;
        if (best < 0 || subs[id].order > subs[best].order) best = (int)id;
    }
    return best;
}

/* A name that is not granted is no subscription. */
static inline bool id_denied(const client_t *c, unsigned id) {
    return !id_pattern(id) && c->denied >> (id < STRINGS ? id : NAMES + id - STRINGS) & 1;
}

static inline void apply(const client_t *c, sub_t *subs, const entry_t *x, uint64_t *orders) {
    for (unsigned i = 0; i < x->n; i++) {
        sub_t *s = &subs[x->ids[i]];
        if (x->kind == UNSUBSCRIBE) s->active = false;
        if (x->kind == UNSUBSCRIBE || (x->kind == UPDATE && !s->active) || id_denied(c, x->ids[i])) continue;
        s->lossless = x->lossless[i];
        s->snapshot = x->snapshot[i];
        s->variant = x->variant[i];
        s->interval_ms = x->interval_ms[i];
        s->age_ms = x->age_ms[i];
        if (x->kind == UPDATE) continue;
        s->active = true;
        s->order = ++*orders;
    }
}

static inline bool governed_by(const client_t *c, const sub_t *subs, unsigned topic, const entry_t *x) {
    int id = governs(c, subs, topic);
    for (unsigned i = 0; i < x->n; i++)
        if (id == (int)x->ids[i]) return true;
    return false;
}

static uint64_t paced_frames; /* of a rate, over all runs */
static uint64_t stale_at_rest;

/* --- the client's side ------------------------------------------------------------------------ */

static inline unsigned frame_topic(const frame_t *f) {
    for (unsigned t = 0; t < TOPICS; t++)
        if (topic_channel(t) == f->channel && !strcmp(topic_name(t), f->name)) return t;
    CHECK(!"a frame of an unknown topic");
    return 0;
}

/* In which variant the client gets the topic; -1: not at all. */
static inline int variant_of(const client_t *c, unsigned topic) {
    const int id = governs(c, c->told, topic);
    return id < 0 ? -1 : c->told[id].variant && topic_channel(topic) == GW_BBO && !c->peer->format;
}

/* Whether another of its subscriptions would have it in this variant: one whose link was there first had its state
 * queued before the one that governs. */
static inline bool variant_covers(const client_t *c, unsigned topic, unsigned variant) {
    for (unsigned id = 0; id < IDS; id++)
        if (c->told[id].active && c->told[id].variant == (bool)variant && id_channel(id) == topic_channel(topic) &&
            naive_match(id_string(id), topic_name(topic)))
            return true;
    return false;
}

static inline void read_reply(client_t *c, const frame_t *f) {
    static uint64_t orders; /* only its order counts */
    if (f->reply == 0) {
        c->epoch = f->epoch;
        return;
    }
    CHECK_EQUAL(f->reply, c->read + 1); /* in order, each once */
    c->read++;
    CHECK_EQUAL(f->epoch, c->epoch);
    const entry_t *x = &c->log[f->reply % LOG];
    int before[TOPICS]; /* the variants; -1: none */
    for (unsigned t = 0; t < TOPICS; t++) before[t] = variant_of(c, t);
    if (x->kind == FOLLOW || x->kind == LEAVE) {
        c->locals[x->local].follows = x->kind == FOLLOW && !c->local_denied[x->local];
        c->locals[x->local].had = false;
    }
    apply(c, c->told, x, &orders);
    for (unsigned i = 0; i < x->n; i++)
        if (x->kind == SUBSCRIBE && id_denied(c, x->ids[i])) CHECK_EQUAL(f->seqs[i], 0);
    for (unsigned t = 0; t < TOPICS; t++) {
        seen_t *s = &c->seen[t];
        int id = governs(c, c->told, t);
        if (id < 0) s->known = s->told = s->gap = s->renewed = false, s->last = 0;
        s->former += before[t] != variant_of(c, t) && before[t] >= 0;
        s->turned |= id >= 0 && !c->told[id].lossless;
        if (x->kind != SUBSCRIBE) s->paced = false; /* frames of before may be left */
        if (x->kind != SUBSCRIBE || !governed_by(c, c->told, t, x)) continue;
        s->paced = true;
        s->cell = -1;
        s->known = s->told = s->gap = s->renewed = false;
        s->former = 0;
        for (unsigned i = 0; i < x->n; i++)
            if (x->from[i] && (int)x->ids[i] == id) s->last = 0; /* it may begin behind what was had */
        if (c->many[t] || (c->reborn[t] <= f->reply && f->reply <= c->reborn_last[t])) s->last = 0;
        for (unsigned i = 0; i < x->n; i++) {
            if ((int)x->ids[i] != id || id_pattern(x->ids[i])) continue;
            s->told = true;
            s->base = f->seqs[i];
            s->snapshot = x->snapshot[i] && s->base;
            if (f->recovery[i]) s->snapshot = f->recovery[i] == GW_RECOVERY_INSUFFICIENT && s->base;
            CHECK(!x->from[i] || f->recovery[i]);
            if (f->recovery[i] == GW_RECOVERY_REPLAYING) {
                s->last = s->base;
                CHECK(f->reach[i] >= s->base);
            }
            CHECK(s->base >= s->last);
        }
    }
}

/* At most one frame in each cell of the rate in force; what answers a subscribe is one, but not one too many. */
static inline void read_cell(const client_t *c, seen_t *s, int id) {
    const uint16_t ms = c->told[id].interval_ms;
    const gw_hold_t *h = c->plane->grids;
    while (h && h->grid_ms != ms) h = h->next;
    if (!ms || !h || !s->paced || c->delayed) return;
    const int64_t cell = (c->begun_ns / 1000000 + ms - h->phase_ms) / ms;
    if (s->known) CHECK(cell > s->cell);
    paced_frames += s->known;
    s->cell = cell;
}

static inline void read_data(client_t *c, const frame_t *f) {
    unsigned t = frame_topic(f);
    seen_t *s = &c->seen[t];
    int id = governs(c, c->told, t);
    CHECK(id >= 0); /* nothing precedes its ack, nothing follows the unsubscribe's reply */
    CHECK_EQUAL(f->epoch, c->epoch);
    CHECK(f->seq > s->last || (!s->known && f->snapshot && f->seq == s->last)); /* I1 */
    if (s->known) CHECK_EQUAL(f->seq, s->last + 1 + f->skipped);
    else if (s->told && s->snapshot) CHECK(f->snapshot && !f->skipped && f->seq >= s->base);
    else if (s->told) CHECK_EQUAL(f->seq, s->base + 1 + f->skipped);
    if (s->renewed) CHECK(f->snapshot);
    if (s->gap) CHECK(f->snapshot && (f->seq == s->to + 1 || s->turned));
    if (c->told[id].lossless && f->skipped) CHECK(f->snapshot || replays); /* I2; or it was conflated when it asked */
    read_cell(c, s, id);
    if ((int)f->variant == variant_of(c, t)) s->former -= s->former == 1; /* it may be the one of two changes ago */
    else CHECK(s->former || (f->snapshot && variant_covers(c, t, f->variant)));
    s->known = true;
    s->told = s->gap = s->renewed = false;
    s->last = f->seq;
    c->frames++;
    c->updates += !f->snapshot || f->skipped;
}

/* Each of a local topic is newer than the one before; but the first, which is its present state. */
static inline void read_local(client_t *c, const frame_t *f) {
    CHECK(f->channel < RIG_LOCALS && c->locals[f->channel].follows);
    if (f->channel == RIG_FRAMED && !c->locals[f->channel].had) CHECK(f->snapshot);
    CHECK(f->seq >= c->locals[f->channel].last + c->locals[f->channel].had);
    c->locals[f->channel].had = true;
    c->locals[f->channel].last = f->seq;
    c->local_frames++;
}

static inline void read_frame(client_t *c, const frame_t *f) {
    CHECK(!c->closed); /* nothing follows a close frame */
    if (f->kind == REPLY) read_reply(c, f);
    if (f->kind == DATA) read_data(c, f);
    if (f->kind == LOCAL) read_local(c, f);
    if (f->kind == CLOSE) c->closed = true;
    CHECK(f->kind != LIMIT);
    if (f->kind == EPOCH) {
        CHECK(f->epoch > c->epoch);
        c->epoch = f->epoch;
        for (unsigned t = 0; t < TOPICS; t++)
            c->seen[t] = (seen_t){.renewed = c->seen[t].known || c->seen[t].renewed, .former = c->seen[t].former};
    }
    if (f->kind == RETIRED) {
        unsigned t = frame_topic(f);
        CHECK(governs(c, c->told, t) >= 0);
        CHECK(c->ended[t] || c->many[t]);
        c->ended[t] -= c->ended[t] > 0;
        c->seen[t] = (seen_t){.renewed = true, .former = c->seen[t].former}; /* should it come back, then as another one */
    }
    if (f->kind == GAP) {
        unsigned t = frame_topic(f);
        CHECK(governs(c, c->told, t) >= 0);
        if (c->seen[t].known) CHECK_EQUAL(f->from, c->seen[t].last + 1);
        c->seen[t].gap = true;
        c->seen[t].turned = !c->told[governs(c, c->told, t)].lossless;
        c->seen[t].to = f->to;
    }
}

/* --- the plane's side ------------------------------------------------------------------------- */

static inline gw_client_t *plane_client(const rig_t *rig, const client_t *c) {
    return rig_client(rig, c->peer);
}

static inline const gw_topic_t *plane_topic(const rig_t *rig, unsigned t) {
    const char *name = topic_name(t);
    return gw_topic_find(rig->plane, topic_channel(t), name, strlen(name));
}

static inline uint64_t plane_seq(const rig_t *rig, unsigned t) {
    const gw_topic_t *x = plane_topic(rig, t);
    return x ? x->seq : 0;
}

/* How many records of a link are being sent. */
static inline uint64_t cut_of(const gw_client_t *x, const gw_link_t *l) { return (x->rest.link == l) + l->sealed; }

static inline bool is_cut(const gw_client_t *x) { return x->rest.bytes || (x->secure && x->secure->rest); }

/* Records of one topic that wait for a client. */
static inline uint64_t waiting(const rig_t *rig, const client_t *c, unsigned t) {
    const gw_plane_t *p = rig->plane;
    const gw_client_t *x = plane_client(rig, c);
    const gw_topic_t *topic = plane_topic(rig, t);
    uint64_t n = 0;
    for (uint32_t i = 0; topic && i < x->runs_count; i++) {
        uint64_t run = x->runs[(x->runs_head + i) & (x->runs_size - 1)];
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            const gw_frame_t *f = gw_frame_at(p, GW_RUN_FIRST(run) + k);
            n += f->topic == topic->number && !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE));
        }
    }
    for (const gw_link_t *l = x->marks.first; l; l = l->dirty_next)
        n += l->topic == topic && gw_link_pends(l);
    for (int own = 0; own < 2; own++)
        for (const gw_hold_t *h = own ? x->grids : x->holds; h; h = h->next)
            for (const gw_link_t *l = h->marks.first; l; l = l->dirty_next)
                n += l->topic == topic && gw_link_pends(l);
    const gw_link_t *l = topic ? gw_link_find(p, x, topic) : NULL;
    return n + (l ? cut_of(x, l) : 0);
}

/* A subscription begins anew: an end that has not been told yet is told once, if the instrument has not come back. */
static inline void model_resume(const rig_t *rig, client_t *c, unsigned t) {
    if (!c->ended[t]) return;
    if (is_cut(plane_client(rig, c))) c->many[t] = true; /* it may be cut: that is told all the same */
    const gw_topic_t *topic = plane_topic(rig, t);
    c->many[t] |= rig->plane->mapping_next || rig->plane->epoch_phase; /* whose directory is looked at? */
    c->ended[t] = rig->topics[t].id < 0 && !(topic && topic->bound);
    if (c->reborn_last[t] <= c->read) c->reborn[t] = c->replies;
    c->reborn_last[t] = c->replies;
}

/* What the command in hand changes for a client, before the records of its cycle. */
static inline void model_command(const rig_t *rig, client_t *c, const entry_t *x) {
    sub_t before[IDS];
    memcpy(before, c->subs, sizeof before);
    apply(c, c->subs, x, &c->orders);
    for (unsigned i = 0; i < x->n; i++)
        if (!before[x->ids[i]].active || !c->subs[x->ids[i]].active) c->routed[x->ids[i]] = 0;
    for (unsigned t = 0; t < TOPICS && x->kind == SUBSCRIBE; t++) {
        if (!governed_by(c, c->subs, t, x)) continue;
        int old = governs(c, before, t), new = governs(c, c->subs, t);
        const gw_topic_t *topic = plane_topic(rig, t);
        const gw_link_t *l = topic ? gw_link_find(rig->plane, plane_client(rig, c), topic) : NULL;
        if (old >= 0 && old != new && l) {
            const uint64_t cut = cut_of(plane_client(rig, c), l);
            c->routed[old] -= cut; /* a frame that is being sent is pending, and goes along */
            c->routed[new] += cut;
        }
        model_resume(rig, c, t);
        c->attach[t] = plane_seq(rig, t);
        c->due[t] = c->subs[new].snapshot && c->attach[t];
    }
    for (unsigned t = 0; t < TOPICS && x->kind == UNSUBSCRIBE; t++) {
        int old = governs(c, before, t), new = governs(c, c->subs, t);
        c->pure = false;
        if (new < 0) c->attach[t] = 0, c->due[t] = false;
        if (new < 0 && c->ended[t] && is_cut(plane_client(rig, c))) c->many[t] = true; /* it may be cut */
        if (new < 0) c->ended[t] = 0;
        /* What waits for a topic goes over to the pattern that covers it from now on. */
        else if (new != old) c->routed[new] += waiting(rig, c, t);
    }
}

/* What was asked for has been found: it is due. */
static inline void model_recover(const rig_t *rig, client_t *c, const entry_t *x) {
    bool from = false;
    for (unsigned i = 0; i < x->n; i++) from |= x->from[i];
    for (unsigned t = 0; from && t < TOPICS; t++) {
        const gw_topic_t *topic = plane_topic(rig, t);
        const gw_link_t *l = topic ? gw_link_find(rig->plane, plane_client(rig, c), topic) : NULL;
        if (!governed_by(c, c->subs, t, x)) continue;
        c->due[t] = l && topic->routed - l->attach > cut_of(plane_client(rig, c), l); /* a cut frame goes along */
    }
}

/* The rows of a query: one for each subscription, exact to the record where it was answered at once. */
static inline void model_rows(client_t *c, const gw_event_t *e, const uint64_t *pending, bool at_once) {
    unsigned active = 0;
    uint64_t waiting[GW_CHANNELS] = {0}, delivered = 0;
    for (unsigned id = 0; id < IDS; id++) active += c->subs[id].active;
    for (unsigned i = 0; i < RIG_LOCALS; i++) active += c->locals[i].wants;
    CHECK_EQUAL(e->rows_count, active);
    for (uint32_t i = 0; i < e->rows_count; i++) {
        const gw_row_t *r = &e->rows[i];
        CHECK(r->id < IDS ? c->subs[r->id].active : c->locals[r->id - IDS].wants);
        if (at_once && r->id < IDS && !replays) CHECK_EQUAL(r->routed, c->routed[r->id]);
        CHECK_EQUAL(r->routed, r->delivered + r->conflated + r->filtered + r->dropped + r->pending);
        CHECK(r->delivered <= r->routed && r->conflated <= r->routed && r->dropped <= r->routed);
        waiting[r->id < IDS ? id_channel(r->id) : GW_LOCAL] += r->pending;
        if (r->id < IDS) delivered += r->delivered;
    }
    if (!at_once) return;
    for (int i = 0; i < GW_CHANNELS; i++) CHECK_EQUAL(waiting[i], pending[i]);
    const bool cut = is_cut(c->plane); /* of a state and what is told behind it the state may have come */
    CHECK(delivered <= c->frames && (!c->pure || delivered + cut >= c->updates));
}

/* What was published last, by its text. */
static inline unsigned long long local_newest(const gw_local_t *x) {
    char text[64] = "";
    memcpy(text, x->text, x->length);
    const char *n = strstr(text, "\"n\":");
    return strtoull(n ? n + 4 : text, NULL, 10);
}

/* I3: at rest a client holds the last value of each topic that it was to get. */
static inline void model_rest(const rig_t *rig, const client_t *c, bool at_once) {
    const gw_client_t *x = plane_client(rig, c);
    CHECK(!x->runs_count && !x->marks.first && !x->held && !is_cut(x) && !x->control);
    CHECK(peer_whole(c->peer));
    for (unsigned i = 0; i < RIG_LOCALS; i++) {
        const gw_local_t *local = &rig->plane->locals[i];
        if (c->locals[i].wants && local->topic.seq) CHECK_EQUAL(c->locals[i].last, local_newest(local));
    }
    for (unsigned t = 0; t < TOPICS; t++) {
        uint64_t seq = plane_seq(rig, t);
        int id = governs(c, c->subs, t);
        if (at_once) CHECK(!c->ended[t] || c->many[t]);
        if (id < 0 || (seq == c->attach[t] && !c->due[t])) continue;
        /* What was asked for may have begun later than it was asked: then nothing has been routed since, but what
         * was being sent at that moment. */
        const gw_topic_t *topic = plane_topic(rig, t);
        const gw_link_t *l = topic ? gw_link_find(rig->plane, x, topic) : NULL;
        if (!at_once && !c->seen[t].known && l && topic->routed - l->attach <= c->along[t]) continue;
        /* What was too old when it was due is not had, but counted: the next frame says so. */
        stale_at_rest += l && l->stale;
        if (l && l->stale && !c->seen[t].known) continue;
        CHECK(c->seen[t].known);
        CHECK_EQUAL(c->seen[t].last + (l ? l->stale : 0), seq);
    }
}

#endif
