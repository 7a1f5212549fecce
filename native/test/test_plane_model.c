/* The plane under random operations, against a naive model: invariants I1 to I4, I6 and I7.
 * `test_plane_model SEED [STEPS]` repeats one run, `test_plane_model FROM-TO [STEPS]` makes several. */
#include "plane_world.h"
#include "seeds.h"

#define TENANTS 3 /* of every third seed */
#ifndef SEEDS
#define SEEDS 300
#endif
#define STEPS 1000 /* of each seed: half a minute in all, with the address checker */

static uint64_t downs, ups; /* of levels, over all runs */
static uint64_t local_frames, forbidden, filtered, replays_ended[GW_REPLAYS];

/* --- one cycle, and what follows from it ------------------------------------------------------ */

static client_t *client_of(gw_handle_t handle) {
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer && w.clients[i].peer->handle == handle) return &w.clients[i];
    CHECK(!"an event of nobody");
    return NULL;
}

static void read_all(client_t *c) {
    frame_t f;
    size_t left;
    while (left = c->peer->length - c->peer->read, c->begun_ns = c->begun_ns ? c->begun_ns : *c->now, peer_frame(c->peer, &f)) {
        read_frame(c, &f);
        c->begun_ns = 0;
        c->announced = false;
    }
    c->announced |= left && peer_whole(c->peer); /* what it is of began with it */
    if (peer_whole(c->peer) && !c->announced) c->begun_ns = 0;
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
        w.sum->filtered += e->rows[i].filtered;
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
    c->delayed = x->secure && x->secure->rest;
    for (unsigned t = 0; t < TOPICS && c->live; t++) {
        const gw_topic_t *topic = plane_topic(w.rig, t);
        const gw_link_t *l = topic ? gw_link_find(w.rig->plane, x, topic) : NULL;
        if (l && cut_of(x, l) > c->along[t]) c->along[t] = (uint16_t)cut_of(x, l);
    }
    if (x->active && x->flags & GW_CLIENT_DOOMED) c->live = false;
    CHECK(x->control_size <= (64u << 10) + GW_CONTROL_SLACK); /* I4 */
    CHECK(x->runs_size <= 16384 && (!x->rest.bytes || x->rest.length < 512));
}

/* Nothing is held beyond its time while the ring is empty, as after most cycles. Only those behind others
 * wait with them, for less than the interval; one that is the first only since this cycle is let go in the next. A
 * cycle without a send does not look at the clock again. */
static void check_holds(void) {
    const gw_plane_t *p = w.rig->plane;
    for (uint32_t i = 0; i < GW_INTERVALS; i++) {
        const gw_hold_t *first = p->holds[i].first;
        for (const gw_hold_t *h = first; h; h = h->after) {
            CHECK(h->due_ns <= w.rig->now + gw_intervals_ns[i]);
            CHECK(h->due_ns + (h == first && h == w.first[i] ? 0 : gw_intervals_ns[i]) > w.cycled_ns);
        }
        w.first[i] = first;
    }
    w.cycled_ns = w.rig->now;
}

/* Nor for longer than until the next cell of its rate. */
static void check_grids(int64_t cycled_ns) {
    for (int i = 0; i < CLIENTS; i++) {
        const client_t *c = &w.clients[i];
        for (const gw_hold_t *h = c->peer ? c->plane->grids : NULL; h; h = h->next)
            if (h->marks.first) CHECK(h->due_ns > cycled_ns && h->due_ns <= w.rig->now + h->grid_ms * INT64_C(1000000));
    }
}

static void cycle(void) {
    char epoch[GW_EPOCH_LENGTH + 1];
    memcpy(epoch, w.rig->plane->epoch, sizeof epoch);
    for (unsigned t = 0; t < TOPICS; t++) w.before[t] = plane_seq(w.rig, t);
    const int64_t looked_ns = w.rig->plane->now; /* not again in every cycle */
    gw_plane_cycle(w.rig->plane);
    model_cycle(memcmp(epoch, w.rig->plane->epoch, sizeof epoch) != 0);
    rig_check_balance(w.rig);
    if (looked_ns < w.cycled_ns) w.cycled_ns = looked_ns;
    if (gw_plane_takes(w.rig->plane)) w.cycled_ns = w.rig->now; /* a batch ends where the ring does */
    else if (!w.sliced) check_holds();
    check_grids(looked_ns);
    take_events();
    for (int i = 0; i < CLIENTS; i++)
        if (w.clients[i].peer) check_client(&w.clients[i]);
}

/* Asks between two cycles, so that what is pending can be walked at the same moment. */
static void query(client_t *c, gw_row_t *sum) {
    for (int i = 0; i < 1000 && !w.sliced && w.rig->plane->epoch_phase; i++) cycle(); /* nothing is answered meanwhile */
    if (!c->live || !plane_client(w.rig, c)->active) return;
    const gw_client_t *x = plane_client(w.rig, c);
    commands_done();
    take_events();
    if (!c->live || x->flags & GW_CLIENT_DOOMED) return; /* a replay may have been found to be overwritten */
    read_all(c); /* between two requests it was sent what waited for it */
    memset(w.pending, 0, sizeof w.pending);
    walk_client(w.rig->plane, x, w.pending);
    /* A cut frame of a subscription that has ended is still to be sent, and in nobody's row. */
    if (x->rest.bytes && x->rest.counts && !x->rest.link) w.pending[x->rest.channel]--;
    for (uint32_t i = 0; x->secure && i < x->secure->stubs_count; i++)
        w.pending[x->secure->stubs[i].channel] -= x->secure->stubs[i].counts && !x->secure->stubs[i].link;
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
    /* Who asks is sent what waits for it, behind the answer: of what is replayed a turn leaves some. */
    for (int i = 0; i < CLIENTS && w.calm && !w.sliced; i++) query(&w.clients[i], &sum);
    sum = (gw_row_t){0};
    for (int i = 0; i < CLIENTS; i++) query(&w.clients[i], &sum);
    if (!w.calm || w.sliced) return;
    CHECK_EQUAL(sum.routed, total(s->routed));
    CHECK_EQUAL(sum.delivered, total(s->delivered));
    CHECK_EQUAL(sum.conflated, total(s->conflated));
    CHECK_EQUAL(sum.filtered, total(s->filtered));
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
        w.rig->now += p->o.enforce || p->holds_count ? 12000000 : 200000; /* nothing is held for longer than a third of a second */
        cycle();
        int works = p->jobs.first || p->goodbyes.first || p->epoch_phase || p->batch_at < p->batch_end || p->lap_next < p->lap_end;
        works |= p->locals_walking > 0 || gw_wheel_due(p) < INT64_MAX || p->pass.count > 0;
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
    for (unsigned i = 0; i < TENANTS; i++) CHECK_EQUAL(w.rig->stats->tenant_clients[i], 0);
    CHECK_EQUAL(w.rig->stats->links[0], 0);
    CHECK_EQUAL(total(w.rig->stats->pending) + w.rig->stats->pending[GW_LOCAL], 0);
    CHECK_EQUAL(w.rig->wait.subscribed, 0);
    CHECK_EQUAL(w.rig->wait.backlogged, 0);
    filtered += total(w.rig->stats->filtered);
    for (unsigned i = 0; i < GW_REPLAYS; i++) replays_ended[i] += w.rig->stats->replays[i];
    CHECK_EQUAL(p->pass.count + p->pass.members + p->pass.queued, 0);
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
    replays = seed % 2 ? seed % 8 < 5 : seed % 16 > 10;
    options.replay_depth_ns = replays && seed % 3 ? 1 : 0;
    if (seed % 11 == 5) options.lossless_frames_max = 30; /* clients are let go in the middle of whatever it is */
    const int slow = options.replay_depth_ns && seed % 4; /* clients replay what they are too slow for: some get it all */
    if (slow) options.lossless_frames_max = 30;
    options.tenants_count = seed % 6 == 1 || seed % 6 == 4 ? TENANTS : 0;
    for (unsigned i = 0; i < TENANTS; i++) options.tenant_weights[i] = (uint16_t)(1 + 3 * i);
    w = (world_t){.rig = rig_new(options), .random = seed * 0x9e3779b97f4a7c15ull + 1};
    w.ring_bytes = RING_BYTES << 2 * slow;
    w.rig->tails = 3;
    w.rig->paced = replays;
    w.rig->mixed = seed % 2;
    w.calm = seed % 4 == 0;
    w.sliced = seed % 5 == 2 || seed % 5 == 4;
    w.restless = seed % 7 == 3 || seed % 7 == 6;
    if (w.sliced) w.rig->plane->turn_units = (seed % 5 == 4 ? 16 : 64) + (int64_t)random_below(seed % 2 ? 64 : 400);
    w.granted = seed % 3 == 2;
    for (unsigned i = 1; w.granted && i < GRANTS; i++) grant(i);
    for (unsigned t = 0; t < TOPICS; t++) rig_topic(w.rig, topic_channel(t), topic_name(t));
    rig_segment(w.rig, w.ring_bytes, 64);
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
}

int main(int argc, char **argv) {
    seeds_t s = seeds_wanted("test_plane_model", argc, argv, (seeds_t){1, SEEDS, STEPS});
#ifdef __SANITIZE_THREAD__
    s.to = s.from; /* one thread: the checker can find nothing here */
#endif
    seeds_run(&s, run);
    const uint64_t more = s.to - s.from;
    if (more > 30) /* else nothing of it was tried */
        CHECK(downs > 100 && ups > 20 && ends > 2 * more && local_frames > 20 * more && forbidden > more &&
              regranted > more / 4 && paced_frames > 10 * more && filtered > 10 * more && stale_at_rest > more);
    for (unsigned i = 0; more > 30 && i < GW_REPLAYS; i++) CHECK(replays_ended[i] > more / 4);
    printf("ok the_plane_is_its_naive_model: %llu seeds of %u steps\n", (unsigned long long)(more + 1), s.steps);
    return 0;
}
