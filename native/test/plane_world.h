/* A plane with random clients, rights, feeds and sockets beside its naive model, and what may happen to it: one
 * operation at a time, each chosen by the seed. test_plane_model.c drives it. */
#ifndef PLANE_WORLD_H
#define PLANE_WORLD_H
#include "plane_model.h"

#define CLIENTS 10
#define RING_BYTES 16384 /* 127 records: a burst laps the plane */
#define GRANTS 4
#define RULES 6

typedef struct {
    rig_t *rig;
    client_t clients[CLIENTS];
    uint64_t before[TOPICS]; /* the plane's seq of each topic, before the cycle */
    uint64_t random, token, ring_bytes;
    uint64_t pending[GW_CHANNELS]; /* of the client that was asked for, when it was */
    gw_row_t *sum;
    bool answered;
    uint64_t frames_gone, local_frames_gone; /* that clients read who are no more */
    unsigned long long said[RIG_LOCALS];
    gw_rule_t rules[GRANTS][RULES]; /* of grant 0 there are none */
    int64_t cycled_ns;
    const gw_hold_t *first[GW_INTERVALS]; /* of each interval's holds, after the cycle before */
    bool calm; /* nothing ends and nobody goes: the rows sum to the totals */
    bool granted; /* clients have rights */
    bool restless; /* a new segment every few cycles, often before the one before was read to its end */
    bool sliced; /* the plane does so little in a turn that requests, epochs and laps take many */
} world_t;

static world_t w;
static uint64_t ends; /* of instruments, over all runs */
static uint64_t regranted;

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

/* What was missed: some of it is not there any more, or never was. */
static void ask_from(entry_t *x, unsigned i, gw_item_t *one) {
    const unsigned t = x->ids[i] < STRINGS ? x->ids[i] : NAMES + x->ids[i] - STRINGS;
    const uint64_t seq = id_pattern(x->ids[i]) ? 0 : plane_seq(w.rig, t), back = random_below(chance(3) ? 400 : 40);
    one->from = id_pattern(x->ids[i]) ? GW_FROM_TS : (uint8_t)(1 + random_below(3));
    one->from_value = (uint64_t)rig_realtime(w.rig) - random_below(3000000);
    if (one->from == GW_FROM_LAST) one->from_value = 1 + back;
    if (one->from == GW_FROM_SEQ) one->from_value = chance(10) ? seq + random_below(2) : seq > back ? seq - back : 0;
    memcpy(one->from_epoch, chance(10) ? "e0000000" : w.rig->plane->epoch, GW_EPOCH_LENGTH);
    x->from[i] = true;
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
        if (!x->lossless[i] && chance(2)) x->interval_ms[i] = (uint16_t[]){1, 20, 50, 333}[random_below(4)];
        if (!x->lossless[i] && chance(3)) x->age_ms[i] = (uint32_t[]){1, 25, 300}[random_below(3)];
        items[i].interval_ms = x->interval_ms[i];
        items[i].age_ms = x->age_ms[i];
        x->variant[i] = w.rig->plane->o.variants_count > 1 && chance(3);
        items[i].variant = x->variant[i];
        if (replays && !update && chance(2)) ask_from(x, i, &items[i]);
    }
    commands_done(); /* so that the model sees what waits at this moment */
    rig_subscribe(w.rig, c->peer, ++c->replies, items, x->n);
    model_command(w.rig, c, x);
    commands_done();
    if (!w.sliced) model_recover(w.rig, c, x);
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
        if (!(r->channels & 1u << channel)) continue;
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
    CHECK_EQUAL(gw_plane_grant(w.rig->plane, number, w.rules[number], RULES, 0), 0);
}

static void join(client_t *c) {
    if (c->peer) return;
    w.rig->grant = w.granted ? random_below(GRANTS) : 0;
    w.rig->tenant = w.rig->plane->o.tenants_count ? random_below(w.rig->plane->o.tenants_count) : 0;
    *c = (client_t){.peer = rig_connect(w.rig), .live = true, .pure = true, .now = &w.rig->now};
    c->plane = rig_client(w.rig, c->peer);
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

static void read_all(client_t *c);

/* What has come so far came until now. */
static void read_everybody(void) {
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer) read_all(&w.clients[i]);
}

static void step_time(void) {
    read_everybody();
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
    read_everybody();
    w.rig->now += ns;
    w.rig->stopped += ns;
}

static void cycle(void); /* one of the plane, and what follows from it: test_plane_model.c */

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
        CHECK_EQUAL(gw_plane_grant(w.rig->plane, number, NULL, 0, 0), -EBUSY);
        return;
    }
    grant(number);
    regranted++;
}

static void move(const client_t *c) {
    if (!c->peer || !c->peer->handle) return;
    gw_command_t *x = rig_reply(GW_CMD_MOVE, c->peer->handle, 0, 0);
    x->tenant = random_below(w.rig->plane->o.tenants_count);
    rig_post(w.rig, x);
}

static void operate(void) {
    client_t *c = &w.clients[random_below(CLIENTS)];
    uint32_t what = random_below(100);
    if (w.rig->plane->o.tenants_count && chance(20)) move(c);
    if (w.restless && chance(20)) rig_segment(w.rig, w.ring_bytes, 64);
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
    else if (chance(4)) rig_segment(w.rig, w.ring_bytes, 64);
}

#endif
