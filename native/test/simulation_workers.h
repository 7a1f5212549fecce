/* The gateway's second half: workers, each a plane with its own clients; what the loop does with their events; deaths,
 * standstills, and who follows which segment. */
#ifndef SIMULATION_WORKERS_H
#define SIMULATION_WORKERS_H
#include "simulation_client.h"

#define SIM_WORKERS 3u
#define SIM_CLIENTS 14u

typedef struct {
    rig_t *rig;
    unsigned follows; /* so many epochs were given to it; 0: it is not there */
    int64_t attach_ns; /* it is given the newest one then */
    int64_t stands_ns; /* it does nothing until then */
    uint64_t frames;   /* of records, that its clients' sockets took whole */
    uint64_t token;
    uint64_t answered;
} worker_t;

static worker_t workers[SIM_WORKERS];
static client_t clients[SIM_CLIENTS];
static uint64_t deaths, slow_closes, stands;

/* What this seed has. */
static struct {
    bool ladder, sliced, shallow, hasty;
} course;

/* --- a worker -------------------------------------------------------------------------------------- */

static inline void worker_follow(worker_t *k) {
    gw_command_t *x = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    x->mapping = mmap(NULL, feed.size, PROT_READ, MAP_SHARED, feed.fd, 0);
    x->mapping_size = feed.size;
    CHECK(x->mapping != MAP_FAILED);
    rig_post(k->rig, x);
    k->follows = feed.epochs_count;
}

static inline void worker_start(worker_t *k) {
    gw_plane_options_t o = rig_options();
    rig_t *rig = calloc(1, sizeof *rig);
    CHECK(rig != NULL && (rig->stats = calloc(1, sizeof *rig->stats)) != NULL);
    *k = (worker_t){.rig = rig};
    sim_formats(&o);
    o.books = gw_segment_books(SIM_TOPICS_MAX, SIM_BOOK_LEVELS);
    o.clients_max = SIM_CLIENTS;
    o.locals_count = 0;
    o.target_ns = course.ladder ? MS : 0;
    o.enforce = course.ladder;
    o.replay_depth_ns = course.shallow ? 0 : 1;
    if (course.hasty) o.lossless_max_age_ns = 300 * MS; /* who is slow is so soon */
    o.stats = rig->stats;
    o.wait = &rig->wait;
    o.io = (gw_io_t){rig_send, rig_monotonic, rig_realtime, rig_cpu, rig_yield, rig};
    rig->now = sim_now;
    rig->paced = true; /* what is replayed is of no class */
    CHECK_EQUAL(gw_plane_create(&o, &rig->plane), 0);
    if (course.sliced) rig->plane->turn_units = 64 + (int64_t)below(400);
    const gw_rule_t rules[] = {rule(GW_CHANNELS, venue_names[SIM_DENIED], false), rule(GW_CHANNELS, "*", true)};
    CHECK_EQUAL(gw_plane_grant(rig->plane, 1, rules, 2, 0), 0);
    worker_follow(k);
    for (int i = 0; i < 100; i++) gw_plane_cycle(rig->plane); /* nobody is let in before it follows */
}

/* --- a client's connection --------------------------------------------------------------------------- */

/* Reads what has come. */
static inline void client_read(client_t *c) {
    worker_t *k = &workers[c->worker];
    sim_frame_t f;
    while (sim_frame(c->peer, &f)) {
        k->frames += f.kind == SIM_DATA;
        read_message(c, &f);
        if (c->deaf || !c->dying || !chance(20)) continue;
        c->deaf = true; /* the way is cut: what comes behind is lost */
    }
}

static inline void client_join(client_t *c) {
    worker_t *k;
    c->worker = below(SIM_WORKERS);
    k = &workers[c->worker];
    if (!k->follows || k->stands_ns > sim_now) return;
    k->rig->grant = c->denied;
    k->rig->mixed = !c->wants_books;
    c->peer = rig_connect(k->rig);
    c->live = true;
    c->deaf = c->closing = c->removing = c->gone = c->shut = c->closed = c->asked = c->dying = c->greeted = false;
    c->lazy = chance(3);
    memset(c->seen, 0, sizeof c->seen);
    memset(c->here_ts, 0, sizeof c->here_ts);
    gw_item_t items[SIM_WANTS];
    for (unsigned i = 0; i < c->wants_count; i++) {
        want_ask(c, i, &c->wants[i]);
        items[i] = want_item(&c->wants[i], i);
    }
    rig_subscribe(k->rig, c->peer, 1, items, c->wants_count);
}

/* The connection is over. */
static inline void client_left(client_t *c) {
    c->peer = NULL;
    c->live = false;
    c->until_ns = sim_now + (int64_t)below(chance(3) ? 3000 : 200) * MS;
}

/* It goes: politely, or its loop sees the end of its stream, or the kernel does in a send. */
static inline void client_leave(client_t *c) {
    rig_t *rig = workers[c->worker].rig;
    if (!c->live) return;
    for (sim_frame_t f; !c->deaf && sim_frame(c->peer, &f);) {
        workers[c->worker].frames += f.kind == SIM_DATA;
        read_message(c, &f);
        c->deaf = chance(30);
    }
    c->deaf = true;
    if (chance(3)) {
        c->peer->error = ECONNRESET;
        return;
    }
    c->live = false;
    if (chance(2)) rig_close(rig, c->peer, 1000), c->closing = true;
    else rig_remove(rig, c->peer), c->removing = true;
}

/* --- what planes say --------------------------------------------------------------------------------- */

static inline client_t *client_of(unsigned worker, gw_handle_t handle) {
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
        if (clients[i].peer && clients[i].worker == worker && clients[i].peer->handle == handle) return &clients[i];
    CHECK(!"an event of nobody");
    return NULL;
}

static inline void read_rows(const gw_event_t *e) {
    for (uint32_t i = 0; i < e->rows_count; i++) {
        const gw_row_t *r = &e->rows[i];
        CHECK(r->id < SIM_WANTS);
        CHECK_EQUAL(r->routed, r->delivered + r->conflated + r->filtered + r->dropped + r->pending); /* I7 */
    }
}

/* I6: each connection ends with one reason. */
static inline void worker_event(unsigned worker, const gw_event_t *e) {
    worker_t *k = &workers[worker];
    if (e->kind == GW_EVENT_LADDER || e->kind == GW_EVENT_STALL || e->kind == GW_EVENT_LOCAL || e->kind == GW_EVENT_LEVEL) return;
    client_t *c = client_of(worker, e->handle);
    switch (e->kind) {
    case GW_EVENT_FORBIDDEN: CHECK(c->denied && c->wants[e->token].instrument == (int)SIM_DENIED); return;
    case GW_EVENT_STATS: read_rows(e), k->answered++; return;
    case GW_EVENT_GONE:
        CHECK(!c->gone && c->peer->error == e->error);
        c->gone = true;
        break;
    case GW_EVENT_CLOSE:
        CHECK(!c->asked && !c->gone && e->code == 4008 && strstr(e->reason, "use mode=conflate"));
        c->asked = true;
        slow_closes++;
        if (!c->closing && !c->removing) rig_close(k->rig, c->peer, e->code);
        c->closing = true;
        c->live = false;
        return;
    case GW_EVENT_SHUT:
        CHECK(!c->shut && c->closing);
        c->shut = true;
        break;
    case GW_EVENT_REMOVED:
        CHECK(c->removing);
        client_read(c);
        if (c->shut) CHECK(peer_whole(c->peer) && c->closed);
        rig_forget(k->rig, c->peer);
        client_left(c);
        return;
    default: return;
    }
    c->live = false;
    if (!c->removing) rig_remove(k->rig, c->peer);
    c->removing = true;
}

/* I4 */
static inline void client_check(const client_t *c) {
    const gw_client_t *x = rig_client(workers[c->worker].rig, c->peer);
    CHECK(x->control_size <= (64u << 10) + GW_CONTROL_SLACK);
    CHECK(x->runs_size <= 1u << 16 && (!x->rest.bytes || x->rest.length <= GW_BOOK_FRAME_MAX));
}

static inline void worker_cycle(unsigned worker) {
    worker_t *k = &workers[worker];
    if (!k->follows || k->stands_ns > sim_now) return;
    k->rig->now = sim_now;
    gw_plane_cycle(k->rig->plane);
    for (const gw_event_t *e; (e = gw_plane_take_event(k->rig->plane));) worker_event(worker, e);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        client_t *c = &clients[i];
        if (!c->peer || c->worker != worker) continue;
        client_check(c);
        if (!c->lazy || chance(4)) client_read(c);
    }
}

/* The worker is killed: what its sockets took may have come, nothing else will. */
static inline void worker_kill(unsigned worker) {
    worker_t *k = &workers[worker];
    if (!k->follows) return;
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        client_t *c = &clients[i];
        if (!c->peer || c->worker != worker) continue;
        c->dying = true;
        client_read(c);
        client_left(c);
    }
    rig_free(k->rig);
    *k = (worker_t){.attach_ns = sim_now + (int64_t)below(1000) * MS};
    deaths++;
}

#endif
