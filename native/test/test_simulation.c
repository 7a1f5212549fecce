/* The whole gateway below its sessions, in one thread, in virtual time, by a seed: a venue whose messages are lost, doubled,
 * overtaken, delayed and spoilt; a feed and its publisher, which die; a ring that laps; workers that stand still and die;
 * clients that are slow, cut off and come back asking for what they missed. Whatever happens, the invariants hold:
 *   I1 no seq goes back; I2 no skip of a lossless topic but behind a notice; I3 at rest everybody has the last value;
 *   I4 memory is bounded; I5 nobody reads what it may not; I6 a connection ends with one reason; I7 the counters balance;
 * and what clients have is byte by byte what was published, and candles are what their trades come to.
 *
 * `test_simulation SEED [STEPS]` repeats one run, `test_simulation FROM-TO [STEPS]` makes several. */
#include "seeds.h"
#include "simulation_candles.h"
#include "simulation_workers.h"

#define SEEDS 50
#define STEPS 500

static uint64_t restarts;

/* --- what happens ---------------------------------------------------------------------------------- */

static void venue_run(int64_t ns) {
    const uint32_t most = 1 + (uint32_t)(ns / (10 * MS));
    if (feed.fd < 0) return; /* it is not listened to */
    for (uint32_t n = below(most < 8 ? 8 : most < 60 ? most : 60); n > 0; n--) {
        const unsigned i = below(VENUE_INSTRUMENTS);
        const uint32_t what = below(3);
        if (what == 0) venue_trade(i, false);
        else if (what == 1) venue_quote(i, false);
        else venue_book(i);
    }
    if (chance(300)) venue_renumber(below(VENUE_INSTRUMENTS));
    if (chance(40))
        for (uint32_t n = 200 + below(500), i = below(VENUE_INSTRUMENTS); n > 0; n--) venue_quote(i, false);
}

/* The writer's process dies, and another one begins a little later. */
static void writer_dies(void) {
    if (feed.fd < 0 || feed.epochs_count == SIM_EPOCHS - 1) return;
    journal_read();
    candles_check_all();
    feed_close();
    venue.on_the_way = 0; /* its connection to the venue is gone */
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) venue_books[i].is_sent = false;
    restarts++;
}

static void writer_begins(void) {
    if (feed.fd >= 0) return;
    feed_open();
    for (unsigned i = 0; i < SIM_WORKERS; i++) workers[i].attach_ns = sim_now + (int64_t)below(chance(3) ? 500 : 10) * MS;
}

static void workers_attend(void) {
    for (unsigned i = 0; i < SIM_WORKERS; i++) {
        worker_t *k = &workers[i];
        if (feed.fd < 0 || k->follows == feed.epochs_count || k->attach_ns > sim_now) continue;
        if (!k->follows) worker_start(k);
        else worker_follow(k);
    }
}

static void clients_attend(void) {
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        client_t *c = &clients[i];
        if (!c->peer && c->until_ns <= sim_now && feed.fd >= 0) client_join(c);
        if (!c->peer || !c->live || !c->dying || c->until_ns > sim_now) continue;
        client_leave(c);
    }
}

static void change_socket(client_t *c) {
    const uint32_t what = below(20);
    if (!c->peer || c->dying) return;
    if (what < 8) c->peer->allowed = RIG_NO_LIMIT;
    else if (what < 16) c->peer->allowed = below(chance(2) ? 300 : 6000);
    else if (what < 19) c->peer->allowed = 0;
    else c->dying = true, c->peer->allowed = below(300), c->until_ns = sim_now + (int64_t)below(8000) * MS;
}

static void move_ladder(worker_t *k) {
    if (!course.ladder || !k->follows) return;
    gw_plane_t *p = k->rig->plane;
    for (unsigned i = 1; i < GW_CLASSES; i++) p->ladder.interval[i] = (uint8_t)(chance(2) ? 0 : below(GW_INTERVALS));
    if (chance(3)) p->ladder.interval[GW_CLASSES - 1] = GW_INTERVAL_PAUSED;
    for (uint32_t i = 0; i < p->clients_high; i++)
        if (p->clients[i].active) gw_client_refresh(p, &p->clients[i]);
}

static void query(client_t *c) {
    if (!c->live || !c->peer) return;
    rig_query(workers[c->worker].rig, c->peer, ++workers[c->worker].token);
}

static void incident(void) {
    client_t *c = &clients[below(SIM_CLIENTS)];
    worker_t *k = &workers[below(SIM_WORKERS)];
    const uint32_t what = below(100);
    if (what < 50) change_socket(c);
    else if (what < 60) query(c);
    else if (what < 70) c->peer ? client_leave(c) : (void)0;
    else if (what < 74) move_ladder(k);
    else if (what < 79 && k->stands_ns < sim_now) k->stands_ns = sim_now + (int64_t)below(1500) * MS, stands++;
    else if (what < 80) worker_kill((unsigned)(k - workers));
    else if (what < 81) writer_dies();
}

static void step(bool quiet) {
    static const int64_t lengths[] = {MS / 5, MS, 5 * MS, 20 * MS, 60 * MS, 300 * MS};
    const int64_t ns = lengths[below(6)];
    sim_now += ns;
    if (!quiet) venue_run(ns);
    feed_run();
    if (chance(3)) writer_begins();
    workers_attend();
    clients_attend();
    for (unsigned i = 0; i < SIM_WORKERS; i++) {
        for (uint32_t n = 1 + below(3); n > 0; n--) worker_cycle(i);
        if (workers[i].follows && chance(4)) rig_check_balance(workers[i].rig); /* I7 */
    }
}

/* --- rest ------------------------------------------------------------------------------------------ */

static bool is_busy(gw_plane_t *p) {
    return p->jobs.first || p->goodbyes.first || p->epoch_phase || p->mapping_next || p->batch_at < p->batch_end ||
           p->lap_next < p->lap_end || gw_wheel_due(p) < INT64_MAX || p->pass.count || !gw_turn_empty(p, GW_TURN_LIVE) ||
           gw_plane_takes(p) || gw_queue_ready(&p->commands);
}

/* I3: what each client has of a topic is the last of it. */
static void client_rest(client_t *c) {
    const rig_t *rig = workers[c->worker].rig;
    const gw_client_t *x = rig_client(rig, c->peer);
    CHECK(peer_whole(c->peer) && !x->runs_count && !x->marks.first && !x->held && !x->control);
    CHECK_EQUAL(c->epoch + 1, feed.epochs_count);
    for (unsigned i = 0; i < c->wants_count; i++) {
        const want_t *w = &c->wants[i];
        CHECK(w->acked);
        if (w->recovery == GW_RECOVERY_REPLAYING && !w->loose && !rig->stats->notices_left_out[GW_LEFT_REPLAYED]) CHECK(w->completed);
    }
    for (unsigned t = 0; t < SIM_TOPICS; t++) {
        const line_t *line = &epoch_now()->lines[t];
        const want_t *w = want_of(c, t);
        const char *name = venue_names[topic_instrument(t)];
        const gw_topic_t *topic = gw_topic_find(rig->plane, topic_kind(t), name, strlen(name));
        const gw_link_t *l = topic ? gw_link_find(rig->plane, x, topic) : NULL;
        if (!w || !line->count || (want_is_quiet(w) && !c->seen[t].known)) continue;
        CHECK(l && topic->seq == line->count);
        if (topic_kind(t) == GW_BOOK) { /* what is deeper than its own is not told */
            const book_client_t *b = &c->books[topic_instrument(t)];
            if (b->seq && !w->age_ms && !c->deaf) CHECK(shown_hash(b) == line->at[line->count - 1].book.hash[b->variant]);
        } else if (c->seen[t].known) CHECK_EQUAL(c->seen[t].last + l->stale, line->count);
        else CHECK(l->stale || topic->routed == l->attach); /* nothing has come since it was asked for */
    }
}

/* Everything arrives, everybody reads, and nothing new is made. */
static void rest(void) {
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) venue_trade(i, true); /* so that what is missing before is known */
    for (int i = 0; i < 200 && (venue.on_the_way || feed.fd < 0); i++) step(true);
    for (unsigned i = 0; i < SIM_WORKERS; i++) workers[i].stands_ns = 0, workers[i].attach_ns = 0;
    for (int calm = 0, i = 0; calm < 40 && i < 4000; i++) {
        sim_now += 12 * MS; /* nothing is held for longer than a third of a second */
        workers_attend();
        calm++;
        for (unsigned n = 0; n < SIM_CLIENTS; n++) {
            client_t *c = &clients[n];
            if (c->peer) c->peer->allowed = RIG_NO_LIMIT, c->dying = c->lazy = false;
            if (!c->peer) c->until_ns = sim_now, client_join(c), calm = 0;
        }
        for (unsigned n = 0; n < SIM_WORKERS; n++) {
            memset(workers[n].rig->plane->ladder.interval, 0, sizeof workers[n].rig->plane->ladder.interval);
            worker_cycle(n);
            if (is_busy(workers[n].rig->plane)) calm = 0;
        }
    }
    for (unsigned n = 0; n < SIM_CLIENTS; n++)
        if (clients[n].live) client_rest(&clients[n]);
    for (unsigned n = 0; n < SIM_WORKERS; n++) {
        const gw_stats_t *s = workers[n].rig->stats;
        uint64_t frames = 0;
        rig_check_balance(workers[n].rig);
        for (unsigned k = 0; k < GW_CHANNELS; k++) {
            CHECK_EQUAL(s->pending[k], 0);
            frames += s->delivered[k] + s->snapshots[k];
        }
        CHECK_EQUAL(frames, workers[n].frames); /* what was counted as sent is what came */
        CHECK(workers[n].answered <= workers[n].token && workers[n].answered + 20 > workers[n].token); /* but of those who went */
    }
}

/* --- a run ----------------------------------------------------------------------------------------- */

static void run(uint64_t seed, unsigned steps) {
    sim_state = seed * 0x9e3779b97f4a7c15ull + 1;
    sim_now = RIG_START_NS + (int64_t)below(86400) * SECOND;
    course.ladder = seed % 3 == 1;
    course.sliced = seed % 5 == 2;
    course.shallow = seed % 4 == 3;
    course.hasty = seed % 2;
    memset(venue_books, 0, sizeof venue_books);
    venue_open(seed % 10 == 0 ? 0 : seed % 4 ? 100 : 20);
    feed.ring_bytes = seed % 3 == 0 ? 1 << 15 : seed % 3 == 1 ? 1 << 17 : 1 << 20;
    CHECK((feed.stats = calloc(1, sizeof *feed.stats)) != NULL);
    feed_open();
    for (unsigned i = 0; i < SIM_WORKERS; i++) worker_start(&workers[i]);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) client_draw(&clients[i]);
    for (unsigned i = 0; i < steps; i++) {
        if (chance(2)) incident();
        step(false);
        if (chance(150)) rest();
    }
    rest();
    candles_check_all();
    for (unsigned i = 0; i < SIM_WORKERS; i++) worker_kill(i);
    feed_close();
    feed_forget();
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
        for (unsigned n = 0; n < VENUE_INSTRUMENTS; n++) book_client_close(&clients[i].books[n]);
    venue_close();
}

int main(int argc, char **argv) {
    const seeds_t s = seeds_wanted("test_simulation", argc, argv, (seeds_t){1, SEEDS, STEPS});
    seeds_run(&s, run);
    const tally_t *y = &tally;
    if (s.to - s.from > 40) { /* else nothing of it was tried */
        CHECK(y->recovered > 20000 && y->doubles > 5000 && y->lapped > 300 && y->missed > 5000 && y->completed > 3000);
        CHECK(y->insufficient > 1000 && y->renewals > 500 && y->books > 20000 && deaths > 100 && restarts > 50);
        CHECK(stands > 200 && slow_closes > 200 && candles_checked > 3000 && candles_complete > 1500);
    }
    printf("ok the_gateway_in_virtual_time: %llu seeds of %u steps\n", (unsigned long long)(s.to - s.from + 1), s.steps);
    printf("  %llu frames, %llu replayed, %llu recovered, %llu twice, %llu snapshots, %llu laps, %llu gaps, %llu completed, %llu refused,"
           " %llu renewed\n", (unsigned long long)y->frames, (unsigned long long)y->replayed, (unsigned long long)y->recovered,
           (unsigned long long)y->doubles, (unsigned long long)y->snapshots, (unsigned long long)y->lapped,
           (unsigned long long)y->missed, (unsigned long long)y->completed, (unsigned long long)y->insufficient,
           (unsigned long long)y->renewals);
    printf("  %llu books, each what it was\n", (unsigned long long)y->books);
    printf("  %llu deaths, %llu restarts, %llu standstills, %llu slow, candles: %llu, %llu of them complete\n",
           (unsigned long long)deaths, (unsigned long long)restarts, (unsigned long long)stands, (unsigned long long)slow_closes,
           (unsigned long long)candles_checked, (unsigned long long)candles_complete);
    return 0;
}
