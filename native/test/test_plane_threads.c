/* The plane's thread, a writer's and the loop's at once, over real sockets: for the thread
 * checker, and for the ways of sleeping and waking that no single thread has. */
#include "plane_reader.h"
#include <poll.h>
#include <pthread.h>

#define CLIENTS 8
#define TOPICS 6
#define ROUNDS 150

typedef struct {
    peer_t *peer;
    bool hears, removing, closing, closed; /* hears: the far end reads */
    unsigned long long last[TOPICS], epoch, frames;
    unsigned replies;
} talker_t;

static rig_t *rig;
static talker_t talkers[CLIENTS];
static uint64_t writing, removed, frames, said; /* said: messages of clients over TLS */
static uint32_t dice = 12345;

static uint32_t below(uint32_t n) { /* the loop's */
    dice = dice * 1664525 + 1013904223; /* Numerical Recipes, ranqd1 */
    return (dice >> 8) % n;
}

static void *writer(void *argument) {
    (void)argument;
    for (unsigned i = 0; GW_LOAD_RELAXED(&writing); i++) {
        rig->now = gw_monotonic_ns();
        for (unsigned k = 0; k <= i % 7; k++) rig_publish(rig, (i + k) % TOPICS);
        gw_wait_ring(&rig->wait, rig->plane->o.event_fd);
        usleep(i % 5 ? 40 : 2000); /* now faster than it falls asleep, now slower */
    }
    return NULL;
}

static void read_data(talker_t *t, const frame_t *f) {
    unsigned topic = (unsigned)(f->name[0] - 'A');
    CHECK(topic < TOPICS);
    if (t->last[topic]) CHECK_EQUAL(f->seq, t->last[topic] + 1 + f->skipped);
    t->last[topic] = f->seq;
    t->frames++;
}

static void hear(talker_t *t) {
    uint8_t bytes[65536];
    frame_t f;
    ssize_t n;
    while (t->hears && (n = recv(t->peer->fds[1], bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        if (t->peer->far) rig_far_take(t->peer, bytes, (size_t)n);
        else peer_keep(t->peer, bytes, (size_t)n);
    while (peer_frame(t->peer, &f)) {
        CHECK(!t->closed);
        t->closed = f.kind == CLOSE;
        if (f.kind == REPLY && f.reply) CHECK_EQUAL(f.reply, ++t->replies);
        if (f.kind == DATA) read_data(t, &f);
        /* A reply that subscribes starts anew; here every one does. */
        if (f.kind == EPOCH || (f.kind == REPLY && f.reply)) memset(t->last, 0, sizeof t->last);
    }
}

static void join(talker_t *t) {
    *t = (talker_t){.peer = rig_connect(rig), .hears = true};
}

static void act(talker_t *t, unsigned *reply) {
    if (t->closing || t->removing) return;
    gw_item_t x = item(1, GW_TRADE, "*", below(2), below(2));
    x.priority = (uint8_t)below(GW_CLASSES);
    rig_far_say(t->peer, "a message");
    switch (below(12)) {
    case 0:
        t->hears = !t->hears;
        break;
    case 1:
        rig_close(rig, t->peer, 1000);
        t->closing = true;
        break;
    case 2:
        shutdown(t->peer->fds[1], SHUT_RDWR); /* the plane's next send fails */
        t->hears = false;
        break;
    case 3:
        rig_query(rig, t->peer, 1);
        break;
    default:
        if (gw_plane_control_used(rig->plane, t->peer->handle) > 30000) {
            gw_plane_want_resume(rig->plane, t->peer->handle);
            break;
        }
        rig_subscribe(rig, t->peer, ++*reply, &x, 1);
    }
    CHECK(gw_plane_sent_ns(rig->plane, t->peer->handle) >= 0);
    (void)gw_plane_blocked(rig->plane, t->peer->handle);
}

static void event(const gw_event_t *e) {
    talker_t *t = talkers;
    if (e->kind == GW_EVENT_LADDER || e->kind == GW_EVENT_STALL) return; /* nobody's */
    while (!t->peer || t->peer->handle != e->handle) CHECK(++t < talkers + CLIENTS);
    if (e->kind == GW_EVENT_CLOSE && !t->closing) rig_close(rig, t->peer, e->code);
    if (e->kind == GW_EVENT_CLOSE) t->closing = true;
    if ((e->kind == GW_EVENT_GONE || e->kind == GW_EVENT_SHUT) && !t->removing) {
        rig_remove(rig, t->peer);
        t->removing = true;
    }
    if (e->kind == GW_EVENT_DATA && !t->removing) {
        said += e->code == 1;
        rig_want(rig, t->peer);
    }
    if (e->kind != GW_EVENT_REMOVED) return;
    hear(t);
    frames += t->frames;
    removed++;
    rig_forget(rig, t->peer);
    t->peer = NULL;
}

static void loop_once(int timeout_ms) {
    struct pollfd p = {.fd = gw_plane_events_fd(rig->plane), .events = POLLIN};
    const gw_event_t *e;
    gw_plane_wake(rig->plane); /* once for all that this turn posted */
    if (poll(&p, 1, timeout_ms) > 0)
        while ((e = gw_plane_take_event(rig->plane))) event(e);
    for (int i = 0; i < CLIENTS; i++)
        if (talkers[i].peer) hear(&talkers[i]);
}

static void remove_all(void) {
    for (int i = 0; i < CLIENTS; i++) {
        if (!talkers[i].peer || talkers[i].removing) continue;
        rig_remove(rig, talkers[i].peer);
        talkers[i].removing = true;
    }
    for (int i = 0; i < 500; i++) {
        int left = 0;
        for (int k = 0; k < CLIENTS; k++) left += talkers[k].peer != NULL;
        if (!left) return;
        loop_once(20);
    }
    CHECK(!"a client was not removed");
}

static void three_threads(void) {
    gw_plane_options_t o = rig_options();
    unsigned replies[CLIENTS] = {0}, joined = 0;
    o.clients_max = CLIENTS;
    o.target_ns = 100000; /* so little that records stand in the ring, and some are held */
    o.enforce = 1;
    rig = rig_make(o, true);
    for (int i = 0; i < TOPICS; i++)
        rig_topic(rig, GW_TRADE, (char[]){(char)('A' + i), '.', 'S', 0});
    CHECK_EQUAL(gw_plane_start(rig->plane), 0);
    for (int epoch = 0; epoch < 3; epoch++) {
        pthread_t thread;
        rig_segment(rig, 16384, 16);
        gw_plane_objective(rig->plane, 100000 + epoch, 10000); /* as little, from the loop's thread */
        GW_STORE_RELAXED(&writing, 1);
        CHECK_EQUAL(pthread_create(&thread, NULL, writer, NULL), 0);
        for (int round = 0; round < ROUNDS; round++) {
            int i = (int)below(CLIENTS);
            if (talkers[i].peer) act(&talkers[i], &replies[i]);
            else join(&talkers[i]), replies[i] = 0, joined++;
            loop_once(1);
        }
        GW_STORE_RELAXED(&writing, 0);
        pthread_join(thread, NULL);
    }
    remove_all();
    gw_plane_stop(rig->plane);
    CHECK_EQUAL(removed, joined);
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 0);
    CHECK_EQUAL(rig->stats->clients[0], 0);
    CHECK_EQUAL(rig->wait.subscribed, 0);
    CHECK(frames > 100);
    if (rig->secure) CHECK(said > 20);
    CHECK(frames <= rig->stats->delivered[GW_TRADE] + rig->stats->snapshots[GW_TRADE]);
    printf("   %u clients, %llu frames read, %llu wake-ups, %llu epochs\n", joined,
           (unsigned long long)frames, (unsigned long long)rig->stats->wakeups[0],
           (unsigned long long)rig->stats->epochs[0]);
    rig_free(rig);
}

int main(void) {
    RUN(three_threads);
    return 0;
}
