/* The guard of the frame logs: nobody keeps a frame that is overwritten, however much one step encodes. A turn has no
 * budget here, so that a step which leaves the guard out encodes more than a whole log. */
#define RIG_TOPICS 16384
#include "plane_reader.h"

#define TOPICS 16000
#define NAMES 1000 /* of one request */

static void topics(rig_t *rig, const char *form) {
    for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, rig_named(rig, GW_BBO, form, i));
}

static peer_t *subscriber(rig_t *rig, const char *name, bool snapshot) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1000, GW_BBO, name, true, snapshot);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    return peer;
}

/* A client whose socket is full, and whose queue begins with the log's first frame: half of the log lies behind it. */
static rig_t *scene(peer_t **waits) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = TOPICS;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 23, RIG_TOPICS);
    topics(rig, "S%u.SIM");
    rig_settle(rig);
    *waits = subscriber(rig, "S0.SIM", false);
    (*waits)->allowed = 0;
    rig_publish(rig, 0);
    rig_settle(rig);
    rig->plane->turn_units = INT64_MAX / 4;
    return rig;
}

/* One who takes everything, and whose socket is full: it has a cut frame, and nothing in the log. */
static peer_t *taker(rig_t *rig) {
    peer_t *all = subscriber(rig, "*", false);
    all->allowed = 10;
    rig_publish(rig, 1);
    rig_settle(rig);
    return all;
}

static void fill(rig_t *rig) {
    const gw_log_t *log = &rig->plane->lanes[0].log;
    while (log->index < log->count / 2 - 64) rig_filler(rig->plane, 60);
}

/* Every frame that somebody waits for is still in its log. */
static void check_queues(const rig_t *rig) {
    const gw_plane_t *p = rig->plane;
    for (uint32_t i = 0; i < p->clients_high; i++) {
        const gw_client_t *c = &p->clients[i];
        uint64_t oldest;
        if (!c->active || !gw_client_oldest(c, &oldest)) continue;
        const gw_log_t *log = gw_log_of(p, oldest);
        CHECK(log->index - oldest < log->count);
        CHECK(gw_log_frame(log, oldest)->position + log->size >= log->position);
    }
}

/* The step was a long one, and the one who waited was let go meanwhile. */
static void expect(const rig_t *rig, uint64_t before) {
    const gw_plane_t *p = rig->plane;
    CHECK(p->lanes[0].log.index - before >= p->lanes[0].log.count / 2 - 64);
    CHECK(p->clients[0].flags & GW_CLIENT_DOOMED && p->clients[0].slow);
    check_queues(rig);
    rig_check_balance(rig);
}

static void snapshots_of_a_request(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    peer_t *asks = rig_connect(rig);
    gw_item_t x = item(1000, GW_BBO, "*", true, true);
    asks->allowed = 0;
    rig_settle(rig);
    fill(rig);
    uint64_t before = rig->plane->lanes[0].log.index;
    rig_subscribe(rig, asks, 1, &x, 1);
    gw_plane_cycle(rig->plane);
    expect(rig, before);
    rig_free(rig);
}

static void states_after_a_lap(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    taker(rig);
    for (unsigned k = 0; k < 5; k++)
        for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, i);
    fill(rig);
    uint64_t before = rig->plane->lanes[0].log.index;
    gw_plane_cycle(rig->plane);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect(rig, before);
    rig_free(rig);
}

/* What was overwritten are the ends of topics, and the ends are all that is encoded: their places are others', which have
 * had no record yet. */
static void ends_that_a_lap_hides(void) {
    static gw_item_t items[NAMES];
    peer_t *waits;
    rig_t *rig = scene(&waits);
    for (unsigned k = 0; k < TOPICS / NAMES; k++) {
        peer_t *names = rig_connect(rig);
        for (unsigned i = 0; i < NAMES; i++) {
            char name[32];
            snprintf(name, sizeof name, "S%u.SIM", k * NAMES + i);
            items[i] = item(1 + i, GW_BBO, name, true, false);
        }
        rig_subscribe(rig, names, 1, items, NAMES);
        rig_settle(rig);
        names->allowed = 10;
        rig_publish(rig, k * NAMES + 1);
        rig_settle(rig);
    }
    fill(rig);
    for (unsigned k = 0; k < 5; k++)
        for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, i);
    for (unsigned i = 0; i < TOPICS; i++) rig_retire(rig, i);
    rig->now += GW_RETIRED_WAIT_NS;
    for (unsigned i = 0; i < TOPICS; i++) {
        char name[32];
        const int length = snprintf(name, sizeof name, "N%u.SIM", i);
        CHECK(gw_writer_topic_reuse(&rig->writer, GW_BBO, name, (size_t)length, 0, rig->now) >= 0);
    }
    gw_plane_t *p = rig->plane;
    uint64_t before = p->lanes[0].log.index;
    CHECK_EQUAL(gw_reader_poll(&p->reader, p->batch, GW_BATCH_BYTES), GW_POLL_LAPPED);
    gw_epoch_lapped(p);
    gw_epoch_lap_step(p, p->turn_units); /* alone: what the turn does besides looks, too */
    expect(rig, before);
    rig_free(rig);
}

/* Their links begin with a state, since the segment had one before it was followed. */
static void topics_of_another_segment(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    peer_t *all = rig_connect(rig);
    gw_item_t x = item(1000, GW_BBO, "T*", true, true);
    rig_subscribe(rig, all, 1, &x, 1);
    rig_settle(rig);
    all->allowed = 0;
    rig_segment(rig, 1 << 23, RIG_TOPICS);
    rig->topics_count = 1;
    topics(rig, "T%u.SIM");
    fill(rig);
    uint64_t before = rig->plane->lanes[0].log.index;
    for (int i = 0; i < 10 && (!i || rig->plane->epoch_phase); i++) gw_plane_cycle(rig->plane), check_queues(rig);
    expect(rig, before);
    rig_free(rig);
}

static void states_of_another_epoch(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    taker(rig);
    rig_segment(rig, 1 << 23, RIG_TOPICS);
    topics(rig, "S%u.SIM");
    uint64_t before = rig->plane->lanes[0].log.index;
    for (int i = 0; i < 10; i++) gw_plane_cycle(rig->plane), check_queues(rig);
    CHECK(rig->plane->lanes[0].log.index - before >= rig->plane->lanes[0].log.count / 2);
    CHECK(rig->plane->clients[1].flags & GW_CLIENT_DOOMED && rig->plane->clients[1].slow);
    rig_check_balance(rig);
    rig_free(rig);
}

static void records_for_clients_that_take_none(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    taker(rig);
    fill(rig);
    uint64_t before = rig->plane->lanes[0].log.index;
    for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, i);
    for (int i = 0; i < 100; i++) gw_plane_cycle(rig->plane), check_queues(rig);
    expect(rig, before);
    rig_free(rig);
}

/* A client that reads again has a mark for each topic, and visits alone encode their states. */
static void marks_that_are_visited(void) {
    peer_t *waits;
    rig_t *rig = scene(&waits);
    peer_t *reads = rig_connect(rig);
    gw_item_t x = item(1000, GW_BBO, "*", false, true);
    reads->allowed = 0;
    rig_subscribe(rig, reads, 1, &x, 1);
    rig_settle(rig);
    fill(rig);
    uint64_t before = rig->plane->lanes[0].log.index;
    CHECK(!(rig->plane->clients[0].flags & GW_CLIENT_DOOMED) && rig->plane->clients[1].marks.first);
    reads->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(rig, before);
    rig_free(rig);
}

int main(void) {
    RUN(snapshots_of_a_request);
    RUN(states_after_a_lap);
    RUN(ends_that_a_lap_hides);
    RUN(topics_of_another_segment);
    RUN(states_of_another_epoch);
    RUN(records_for_clients_that_take_none);
    RUN(marks_that_are_visited);
    return 0;
}
