/* The plane under random operations, against a naive model: invariants I1 to I4, I6 and I7.
 * `test_plane_model SEED [STEPS]` repeats one run, `test_plane_model FROM-TO [STEPS]` makes several. */
#include "plane_model.h"

#define CLIENTS 10
#define RING_BYTES 16384 /* 127 records: a burst laps the plane */
#define GRANTS 4
#define RULES 6
#define SEEDS 600
#define STEPS 1000 /* of each seed: half a minute in all, with the address checker */

typedef struct {
    rig_t *rig;
    client_t clients[CLIENTS];
    uint64_t before[TOPICS]; /* the plane's seq of each topic, before the cycle */
    uint64_t random, token;
    uint64_t pending[GW_CHANNELS]; /* of the client that was asked for, when it was */
    gw_row_t *sum;
    bool answered;
    uint64_t frames_gone, local_frames_gone; /* that clients read who are no more */
    unsigned long long said[RIG_LOCALS];
    gw_rule_t rules[GRANTS][RULES]; /* of grant 0 there are none */
    int64_t cycled_ns;
    bool calm; /* nothing ends and nobody goes: the rows sum to the totals */
    bool granted; /* clients have rights */
    bool restless; /* a new segment every few cycles, often before the one before was read to its end */
    bool sliced; /* the plane does so little in a turn that requests, epochs and laps take many */
} world_t;

static world_t w;
static unsigned long long running;
static unsigned running_steps;
static uint64_t downs, ups; /* of levels, over all runs */
static uint64_t ends;       /* of instruments */
static uint64_t local_frames, forbidden, regranted;

static uint32_t random_below(uint32_t n) {
    w.random ^= w.random << 13; /* xorshift64: Marsaglia, "Xorshift RNGs" */
    w.random ^= w.random >> 7;
    w.random ^= w.random << 17;
    return (uint32_t)((w.random >> 33) % n);
}

static bool chance(uint32_t one_in) { return random_below(one_in) == 0; }

/* --- operations ------------------------------------------------------------------------------- */

/* All that was asked for is done. Not where that takes many turns: then records come in between. */
static void commands_done(void) {
    gw_plane_t *p = w.rig->plane;
    if (w.sliced) return;
    for (int i = 0; i < 1000 && !p->epoch_phase; i++) {
        if (!gw_queue_ready(&p->commands) && !p->jobs.first && !p->goodbyes.first) break;
        gw_commands_run(p, 256);
        gw_goodbyes_run(p);
    }
}

static bool command_fits(const client_t *c) {
    return c->live && !c->closing && !c->removing && c->replies - c->read < LOG - 1 &&
           gw_plane_control_used(w.rig->plane, c->peer->handle) < 32768;
}

static void subscribe(client_t *c, bool update) {
    entry_t *x = &c->log[(c->replies + 1) % LOG];
    gw_item_t items[4];
    if (!command_fits(c)) return;
    *x = (entry_t){.kind = update ? UPDATE : SUBSCRIBE, .n = 1 + random_below(3)};
    for (unsigned i = 0; i < x->n; i++) {
        do x->ids[i] = random_below(IDS);
        while ((i > 0 && x->ids[i] == x->ids[0]) || (i > 1 && x->ids[i] == x->ids[1]));
        x->lossless[i] = chance(2);
        x->snapshot[i] = !chance(3);
        items[i] = item(x->ids[i], id_channel(x->ids[i]), id_string(x->ids[i]), x->lossless[i],
                        x->snapshot[i]);
        items[i].resync = !update;
        items[i].priority = (uint8_t)random_below(GW_CLASSES);
        x->variant[i] = w.rig->plane->o.variants_count > 1 && chance(3);
        items[i].variant = x->variant[i];
    }
    commands_done(); /* so that the model sees what waits at this moment */
    rig_subscribe(w.rig, c->peer, ++c->replies, items, x->n);
    model_command(w.rig, c, x);
    commands_done();
}

static void unsubscribe(client_t *c) {
    entry_t *x = &c->log[(c->replies + 1) % LOG];
    if (!command_fits(c) || w.calm) return;
    *x = (entry_t){.kind = UNSUBSCRIBE};
    unsigned from = random_below(IDS), most = 1 + random_below(4);
    for (unsigned i = 0; i < IDS && x->n < most; i++) {
        uint32_t id = (from + i) % IDS;
        if (c->subs[id].active) x->ids[x->n++] = id;
    }
    if (!x->n) return;
    commands_done(); /* so that the model sees what waits at this moment */
    rig_unsubscribe(w.rig, c->peer, ++c->replies, x->ids, x->n);
    model_command(w.rig, c, x);
    commands_done();
}

/* Begins to follow a local topic, again, or ends it. */
static void follow(client_t *c) {
    entry_t *x = &c->log[(c->replies + 1) % LOG];
    unsigned local = random_below(RIG_LOCALS);
    uint32_t id = IDS + local;
    if (!command_fits(c)) return;
    const bool on = !c->locals[local].wants || chance(3);
    *x = (entry_t){.kind = on ? FOLLOW : LEAVE, .local = local};
    gw_item_t one = item(id, GW_LOCAL, local == RIG_PLAIN ? "plain" : "framed", false, true);
    if (on) rig_subscribe(w.rig, c->peer, ++c->replies, &one, 1);
    else rig_unsubscribe(w.rig, c->peer, ++c->replies, &id, 1);
    c->locals[local].wants = on && !c->local_denied[local];
    commands_done();
}

static void send_text(client_t *c) {
    if (!command_fits(c)) return;
    c->log[(c->replies + 1) % LOG] = (entry_t){.kind = OTHER};
    rig_text(w.rig, c->peer, ++c->replies);
}

/* The first rule that covers it. */
static bool allows(unsigned grant, uint8_t channel, const char *name) {
    if (!grant) return true;
    for (unsigned i = 0; i < RULES; i++) {
        const gw_rule_t *r = &w.rules[grant][i];
        char text[GW_INSTRUMENT_MAX + 1] = "";
        memcpy(text, r->name, r->length);
        if (r->channel != GW_CHANNELS && r->channel != channel) continue;
        if (naive_match(text, name)) return r->allow;
    }
    return false;
}

/* A new right that takes the place of one that no client has. */
static void grant(unsigned number) {
    for (unsigned i = 0; i < RULES; i++) {
        const uint8_t channel = chance(2) ? GW_CHANNELS : chance(2) ? GW_TRADE : GW_BBO;
        const char *name = i == RULES - 1 || chance(2) ? strings[NAMES + random_below(PATTERNS)] : strings[random_below(NAMES)];
        w.rules[number][i] = rule(channel, chance(8) ? "framed" : name, chance(2));
    }
    CHECK_EQUAL(gw_plane_grant(w.rig->plane, number, w.rules[number], RULES), 0);
}

static void join(client_t *c) {
    if (c->peer) return;
    w.rig->grant = w.granted ? random_below(GRANTS) : 0;
    *c = (client_t){.peer = rig_connect(w.rig), .live = true, .pure = true};
    for (unsigned t = 0; t < TOPICS; t++)
        c->denied |= (uint64_t)!allows(w.rig->grant, topic_channel(t), topic_name(t)) << t;
    for (unsigned i = 0; i < RIG_LOCALS; i++)
        c->local_denied[i] = !allows(w.rig->grant, GW_LOCAL, i == RIG_PLAIN ? "plain" : "framed");
}

static void leave(client_t *c) {
    if (!c->peer || c->removing || w.calm) return;
    if (chance(2) && !c->closing) {
        rig_close(w.rig, c->peer, 1000);
        c->closing = true;
    } else {
        rig_remove(w.rig, c->peer);
        c->removing = true;
    }
    c->live = false;
}

static void change_socket(client_t *c) {
    static const int errors[] = {EPIPE, ECONNRESET, ETIMEDOUT};
    if (!c->peer) return;
    uint32_t what = random_below(20);
    if (what < 6) c->peer->allowed = RIG_NO_LIMIT;
    else if (what < 16) c->peer->allowed = random_below(chance(2) ? 200 : 5000);
    else if (what < 19) c->peer->allowed = 0;
    else if (!w.calm && chance(4)) c->peer->error = errors[random_below(3)];
}

static void say(void) {
    unsigned local = random_below(RIG_LOCALS);
    rig_local(w.rig, local, w.said[local] += !chance(4));
}

static void publish(void) {
    unsigned n = chance(40) ? 100 + random_below(400) : 1 + random_below(12);
    unsigned from = random_below(TOPICS), most = 1 + random_below(TOPICS);
    while (n--) {
        unsigned t = (from + random_below(most)) % TOPICS;
        rig_publish(w.rig, t);
    }
}

static void step_time(void) {
    static const int64_t steps[] = {1000, 200000, 30000000, 400000000, 1100000000, 2500000000};
    /* While calm nobody is closed. */
    w.rig->now += steps[random_below(w.calm || chance(2) ? 3 : 6)];
}

/* The ladder somewhere else, as if the worker had been overloaded or calm for some time. */
static void move_ladder(void) {
    gw_plane_t *p = w.rig->plane;
    if (!p->o.enforce) return;
    for (unsigned k = 1; k < GW_CLASSES; k++)
        p->ladder.interval[k] = (uint8_t)(chance(2) ? 0 : random_below(GW_INTERVALS));
    if (chance(3)) p->ladder.interval[GW_CLASSES - 1] = GW_INTERVAL_PAUSED;
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer && w.clients[i].live && plane_client(w.rig, &w.clients[i])->active)
            gw_client_refresh(p, plane_client(w.rig, &w.clients[i]));
}

/* The process stands still, if only for as long as one must wait to be seen. */
static void halt(void) {
    int64_t ns = 90000000 + random_below(400) * 1000000;
    if (!w.rig->plane->o.target_ns) return;
    w.rig->now += ns;
    w.rig->stopped += ns;
}

static void cycle(void);

/* Whether the plane has taken all that the ring holds, and does nothing else first. */
static bool is_drained(void) {
    const gw_plane_t *p = w.rig->plane;
    return !gw_plane_takes(p) && !p->epoch_phase && !p->mapping_next && p->lap_next >= p->lap_end &&
           !gw_queue_ready(&p->commands);
}

/* An instrument ends. Its last records are taken before, so that the model sees how many there were; where it counts
 * none, the end stands among other records, and its place may be another's before it is taken. */
static void retire(void) {
    unsigned t = random_below(TOPICS);
    for (int i = 0; i < 2000 && !w.sliced && !is_drained(); i++) cycle();
    if (!w.sliced && !is_drained()) return;
    const gw_topic_t *topic = plane_topic(w.rig, t);
    const bool known = topic && topic->bound; /* one that was never bound ends without a word */
    if (!rig_retire(w.rig, t)) return;
    ends++;
    for (int i = 0; i < CLIENTS; i++) {
        client_t *c = &w.clients[i];
        if (w.sliced || (known && governs(c, c->subs, t) >= 0)) c->many[t] |= w.sliced || ++c->ended[t] > 2;
    }
    for (int i = 0; i < 2000 && !w.sliced && !is_drained(); i++) cycle();
}

static void regrant(void) {
    unsigned number = 1 + random_below(GRANTS - 1);
    if (w.rig->plane->grants_clients[number]) {
        CHECK_EQUAL(gw_plane_grant(w.rig->plane, number, NULL, 0), -EBUSY);
        return;
    }
    grant(number);
    regranted++;
}

static void operate(void) {
    client_t *c = &w.clients[random_below(CLIENTS)];
    uint32_t what = random_below(100);
    if (w.restless && chance(20)) rig_segment(w.rig, RING_BYTES, 64);
    if (what < 30) publish();
    else if (what < 45) subscribe(c, false);
    else if (what < 50) subscribe(c, true);
    else if (what < 58) unsubscribe(c);
    else if (what < 60) follow(c);
    else if (what < 62) chance(2) ? say() : send_text(c);
    else if (what < 80) change_socket(c);
    else if (what < 88) step_time();
    else if (what < 96) join(c);
    else if (what < 98) leave(c);
    else if (w.granted && chance(4)) regrant();
    else if (what < 99) chance(2) ? (void)rig_register(w.rig, random_below(TOPICS)) : retire();
    else if (chance(2)) move_ladder();
    else if (chance(3)) halt();
    else if (chance(4)) rig_segment(w.rig, RING_BYTES, 64);
}

/* --- one cycle, and what follows from it ------------------------------------------------------ */

static client_t *client_of(gw_handle_t handle) {
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer && w.clients[i].peer->handle == handle) return &w.clients[i];
    CHECK(!"an event of nobody");
    return NULL;
}

static void read_all(client_t *c) {
    frame_t f;
    while (peer_frame(c->peer, &f)) read_frame(c, &f);
}

/* I6: at most one of each, REMOVED last, and a stream that was shut is whole and closed. */
static void removed(client_t *c) {
    CHECK(c->removing);
    read_all(c);
    if (c->shut) CHECK(peer_whole(c->peer) && c->closed);
    w.frames_gone += c->frames;
    w.local_frames_gone += c->local_frames;
    rig_forget(w.rig, c->peer);
    c->peer = NULL;
    c->live = false;
}

/* The rows that a query was answered with. */
static void answer(client_t *c, const gw_event_t *e) {
    if (e->token != w.token) return;
    CHECK(!w.answered);
    w.answered = true;
    model_rows(c, e, w.pending, !w.sliced);
    for (uint32_t i = 0; i < e->rows_count; i++) {
        if (e->rows[i].id >= IDS) continue;
        w.sum->routed += e->rows[i].routed;
        w.sum->delivered += e->rows[i].delivered;
        w.sum->conflated += e->rows[i].conflated;
        w.sum->dropped += e->rows[i].dropped;
        w.sum->pending += e->rows[i].pending;
    }
}

static void event(const gw_event_t *e) {
    if (e->kind == GW_EVENT_FORBIDDEN) {
        const client_t *c = client_of(e->handle);
        CHECK(e->token < IDS ? id_denied(c, (unsigned)e->token) : c->local_denied[e->token - IDS]);
        forbidden++;
        return;
    }
    if (e->kind == GW_EVENT_LADDER || e->kind == GW_EVENT_STALL || e->kind == GW_EVENT_LOCAL) return;
    client_t *c = client_of(e->handle);
    if (e->kind == GW_EVENT_STATS) {
        answer(c, e);
        return;
    }
    if (e->kind == GW_EVENT_GONE) {
        CHECK(!c->gone && c->peer->error == e->error);
        c->gone = true;
    } else if (e->kind == GW_EVENT_CLOSE) {
        CHECK(!c->asked && e->code == 4008 && strstr(e->reason, "use mode=conflate"));
        c->asked = true;
        if (!c->closing && !c->removing) rig_close(w.rig, c->peer, e->code);
        c->closing = true;
    } else if (e->kind == GW_EVENT_SHUT) {
        CHECK(!c->shut && c->closing);
        c->shut = true;
    } else if (e->kind == GW_EVENT_REMOVED) {
        removed(c);
        return;
    }
    /* One has gone: the rows of those who stay no longer sum to the totals. */
    if (e->kind == GW_EVENT_GONE || e->kind == GW_EVENT_CLOSE) w.calm = false;
    if (e->kind != GW_EVENT_GONE && e->kind != GW_EVENT_SHUT) return;
    if (!c->removing) rig_remove(w.rig, c->peer);
    c->removing = true;
}

static void take_events(void) {
    const gw_event_t *e;
    while ((e = gw_plane_take_event(w.rig->plane))) event(e);
}

/* What the cycle routed, by the model; the switch to another epoch routes nothing. */
static void model_cycle(bool switched) {
    for (unsigned t = 0; t < TOPICS; t++) {
        uint64_t now = plane_seq(w.rig, t), new = switched ? 0 : now - w.before[t];
        const bool ended = !switched && now < w.before[t];
        for (int i = 0; i < CLIENTS; i++) {
            client_t *c = &w.clients[i];
            int id = c->live ? governs(c, c->subs, t) : -1;
            if (id >= 0 && !ended) c->routed[id] += new;
            if (switched || ended) c->attach[t] = now, c->due[t] = now > 0;
        }
    }
}

static void check_client(client_t *c) {
    const gw_client_t *x = plane_client(w.rig, c);
    read_all(c);
    if (x->active && x->flags & GW_CLIENT_DOOMED) c->live = false;
    CHECK(x->control_size <= (64u << 10) + GW_CONTROL_SLACK); /* I4 */
    CHECK(x->runs_size <= 16384 && (!x->rest.bytes || x->rest.length < 512));
}

/* Nothing is held beyond its time while the ring is empty, as after most cycles. Only those behind others
 * wait with them, for less than the interval. A cycle without a send does not look at the clock again. */
static void check_holds(void) {
    const gw_plane_t *p = w.rig->plane;
    for (uint32_t i = 0; i < GW_INTERVALS; i++) {
        const gw_hold_t *first = p->holds[i].first;
        for (const gw_hold_t *h = first; h; h = h->after) {
            CHECK(h->due_ns <= w.rig->now + gw_intervals_ns[i]);
            CHECK(h->due_ns + (h == first ? 0 : gw_intervals_ns[i]) > w.cycled_ns);
        }
    }
    w.cycled_ns = w.rig->now;
}

static void cycle(void) {
    char epoch[GW_EPOCH_LENGTH + 1];
    memcpy(epoch, w.rig->plane->epoch, sizeof epoch);
    for (unsigned t = 0; t < TOPICS; t++) w.before[t] = plane_seq(w.rig, t);
    gw_plane_cycle(w.rig->plane);
    model_cycle(memcmp(epoch, w.rig->plane->epoch, sizeof epoch) != 0);
    rig_check_balance(w.rig);
    if (gw_plane_takes(w.rig->plane)) w.cycled_ns = w.rig->now; /* a batch ends where the ring does */
    else if (!w.sliced) check_holds();
    take_events();
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer) check_client(&w.clients[i]);
}

/* Asks between two cycles, so that what is pending can be walked at the same moment. */
static void query(client_t *c, gw_row_t *sum) {
    if (!c->live || !plane_client(w.rig, c)->active) return;
    const gw_client_t *x = plane_client(w.rig, c);
    commands_done();
    take_events();
    if (!c->live) return;
    memset(w.pending, 0, sizeof w.pending);
    walk_client(w.rig->plane, x, w.pending);
    /* A cut frame of a subscription that has ended is still to be sent, and in nobody's row. */
    if (x->rest.bytes && x->rest.counts && !x->rest.link) w.pending[x->rest.channel]--;
    w.sum = sum;
    w.answered = false;
    rig_query(w.rig, c->peer, ++w.token);
    commands_done();
    take_events();
    for (int i = 0; w.sliced && i < 10000 && c->live && !w.answered; i++) cycle();
    CHECK(w.answered || (w.sliced && !c->live));
}

static uint64_t total(const uint64_t *counter) { return counter[GW_TRADE] + counter[GW_BBO]; }

static void check_sums(void) {
    gw_row_t sum = {0};
    const gw_stats_t *s = w.rig->stats;
    for (int i = 0; i < CLIENTS; i++) query(&w.clients[i], &sum);
    if (!w.calm || w.sliced) return;
    CHECK_EQUAL(sum.routed, total(s->routed));
    CHECK_EQUAL(sum.delivered, total(s->delivered));
    CHECK_EQUAL(sum.conflated, total(s->conflated));
    CHECK_EQUAL(sum.dropped, stats_dropped(s, GW_TRADE) + stats_dropped(s, GW_BBO));
    CHECK_EQUAL(sum.pending, total(s->pending));
}

/* Everybody reads and nobody publishes: I3, and nothing is pending. */
static void rest(void) {
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer) w.clients[i].peer->allowed = RIG_NO_LIMIT;
    gw_plane_t *p = w.rig->plane;
    for (int calm = 0, i = 0; calm < 60 && i < 20000; i++) {
        memset(p->ladder.interval, 0, sizeof p->ladder.interval); /* what is paused goes on, whatever it says meanwhile */
        w.rig->now += p->o.enforce ? 12000000 : 200000; /* nothing is held for longer than a quarter of a second */
        cycle();
        int works = p->jobs.first || p->goodbyes.first || p->epoch_phase || p->batch_at < p->batch_end || p->lap_next < p->lap_end;
        works |= p->locals_walking > 0;
        works |= !gw_turn_empty(p, GW_TURN_LIVE); /* the last steps of a turn may touch a client */
        calm = works ? 0 : calm + 1;
    }
    uint64_t frames = w.frames_gone, locals = w.local_frames_gone;
    for (int i = 0; i < CLIENTS; i++) {
        client_t *c = &w.clients[i];
        if (c->peer) frames += c->frames, locals += c->local_frames;
        if (c->live) model_rest(w.rig, c, !w.sliced);
    }
    CHECK_EQUAL(total(w.rig->stats->pending) + w.rig->stats->pending[GW_LOCAL], 0);
    CHECK_EQUAL(w.rig->stats->clients_blocked[0], 0);
    CHECK_EQUAL(frames, total(w.rig->stats->delivered) + total(w.rig->stats->snapshots));
    CHECK_EQUAL(locals, w.rig->stats->delivered[GW_LOCAL] + w.rig->stats->snapshots[GW_LOCAL]);
    local_frames += locals;
}

static void end(void) {
    w.calm = false;
    for (int i = 0; i < CLIENTS; i++) {
        client_t *c = &w.clients[i];
        if (c->peer && !c->removing) rig_remove(w.rig, c->peer);
        c->removing = true;
        c->live = false;
    }
    const gw_plane_t *p = w.rig->plane;
    for (int i = 0; i < 10 || (w.sliced && i < 20000 && (p->jobs.first || p->goodbyes.first)); i++) cycle();
    for (int i = 0; i < CLIENTS; i++) CHECK(!w.clients[i].peer);
    CHECK_EQUAL(w.rig->stats->clients[0], 0);
    CHECK_EQUAL(w.rig->stats->links[0], 0);
    CHECK_EQUAL(total(w.rig->stats->pending) + w.rig->stats->pending[GW_LOCAL], 0);
    CHECK_EQUAL(w.rig->wait.subscribed, 0);
    CHECK_EQUAL(w.rig->wait.backlogged, 0);
    downs += w.rig->stats->level_down[0];
    ups += w.rig->stats->level_up[0];
    rig_free(w.rig);
}

static void run(uint64_t seed, unsigned steps) {
    gw_plane_options_t options = rig_options();
    options.clients_max = CLIENTS;
    options.variants_count = seed % 4 < 2 ? 2 : 0;
    options.target_ns = seed % 3 ? 1000000 : 0;
    options.enforce = seed % 3 == 1;
    if (seed % 11 == 5) options.lossless_frames_max = 30; /* clients are let go in the middle of whatever it is */
    running = seed;
    running_steps = steps;
    w = (world_t){.rig = rig_new(options), .random = seed * 0x9e3779b97f4a7c15ull + 1};
    w.rig->tails = 3;
    w.rig->mixed = seed % 2;
    w.calm = seed % 4 == 0;
    w.sliced = seed % 5 == 2 || seed % 5 == 4;
    w.restless = seed % 7 == 3 || seed % 7 == 6;
    if (w.sliced) w.rig->plane->turn_units = (seed % 5 == 4 ? 16 : 64) + (int64_t)random_below(seed % 2 ? 64 : 400);
    w.granted = seed % 3 == 2;
    for (unsigned i = 1; w.granted && i < GRANTS; i++) grant(i);
    for (unsigned t = 0; t < TOPICS; t++) rig_topic(w.rig, topic_channel(t), topic_name(t));
    rig_segment(w.rig, RING_BYTES, 64);
    cycle();
    for (unsigned i = 0; i < steps; i++) {
        for (unsigned k = random_below(4); k > 0; k--) operate();
        cycle();
        gw_row_t ignored;
        if (chance(4)) query(&w.clients[random_below(CLIENTS)], &ignored);
        if (chance(60)) check_sums();
        if (chance(200)) rest();
    }
    rest();
    check_sums();
    end();
    running = 0;
}

static void say_seed(void) {
    if (running) fprintf(stderr, "test_plane_model %llu %u\n", running, running_steps);
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

int main(int argc, char **argv) {
    uint64_t from = 1, to = SEEDS;
    unsigned steps = STEPS;
    const char *chosen = argc > 1 ? argv[1] : getenv("GW_TEST_SEED");
    if (chosen) {
        char *end;
        from = to = strtoull(chosen, &end, 10);
        if (*end == '-') to = strtoull(end + 1, &end, 10);
        CHECK(!*end && from > 0 && from <= to);
    }
    if (argc > 2) steps = (unsigned)strtoul(argv[2], NULL, 10);
#ifdef __SANITIZE_THREAD__
    to = from; /* one thread: the checker can find nothing here */
#endif
    atexit(say_seed);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(say_seed);
#endif
    for (uint64_t seed = from; seed <= to; seed++) run(seed, steps);
    if (to - from > 30) CHECK(downs > 100 && ups > 20 && ends > 2 * (to - from) && local_frames > 20 * (to - from) &&
                            forbidden > to - from && regranted > (to - from) / 4); /* else nothing of it was tried */
    printf("ok the_plane_is_its_naive_model: %llu seeds of %u steps\n",
           (unsigned long long)(to - from + 1), steps);
    return 0;
}
