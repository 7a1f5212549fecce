/* The plane without memory: each allocation of a scene fails once, and the counters balance all the same, nothing
 * is used that was freed, and nothing is kept for ever. The linker sends the core's allocations here (Makefile). */
#include "failing_memory.h"
#include "plane_text.h"

#define PEERS 4
#define NAMES 60

static peer_t *join(rig_t *rig) { return roomy(rig_connect(rig)); }

static unsigned named(rig_t *rig, const char *form, unsigned i) {
    return rig_named(rig, GW_TRADE, form, i);
}

/* Requests in turns and at once, queues in pieces, a full socket, a cut frame, another segment, the end. */
static void scene(int64_t units) {
    rig_t *rig = rig_new(rig_options());
    peer_t *peers[PEERS];
    gw_item_t items[NAMES];
    uint32_t ids[NAMES];
    rig_segment(rig, 1 << 20, 4096);
    turns(rig, 2);
    for (int i = 0; i < PEERS; i++) peers[i] = join(rig);
    for (unsigned i = 0; i < 20; i++) rig_publish(rig, named(rig, "S%u.SIM", i));
    turns(rig, 3);
    rig->plane->turn_units = units;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof name, i < 30 ? "S%u.SIM" : i < 50 ? "N%u.SIM" : "*%u*", i);
        items[i] = item(i + 1, GW_TRADE, name, i % 3 > 0, true);
        ids[i] = i + 1;
    }
    gw_item_t one = item(200, GW_TRADE, "S0.SIM", true, true), all = item(300, GW_TRADE, "S*", false, true);
    rig_subscribe(rig, peers[0], 1, items, NAMES);
    rig_subscribe(rig, peers[1], 1, &all, 1);
    rig_subscribe(rig, peers[1], 2, items, 5);
    for (int i = 1; i < PEERS; i++) rig_subscribe(rig, peers[i], 3, &one, 1);
    rig_query(rig, peers[0], 1);
    turns(rig, 10);
    for (unsigned i = 0; i < 200; i++) rig_publish(rig, i * 7 % 20);
    peers[1]->allowed = 777;
    peers[2]->allowed = 77;
    turns(rig, 5);
    rig_unsubscribe(rig, peers[0], 2, ids, 40);
    rig_segment(rig, 1 << 20, 4096);
    for (unsigned i = 0; i < 40; i++) rig_publish(rig, named(rig, i < 20 ? "S%u.SIM" : "N%u.SIM", i));
    turns(rig, 3);
    for (int i = 1; i < PEERS; i++) peers[i]->allowed = RIG_NO_LIMIT;
    turns(rig, 200);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 0);
    for (int i = 0; i < PEERS; i++) rig_remove(rig, peers[i]);
    turns(rig, 200);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK_EQUAL(rig->stats->clients[0], 0);
    CHECK_EQUAL(rig->wait.subscribed, 0);
    CHECK_EQUAL(rig->wait.backlogged, 0);
    rig_free(rig);
}

static void f55_each_allocation_may_fail(void) {
    static const int64_t units[] = {GW_UNITS_TURN, 200};
    for (int i = 0; i < 2; i++) {
        fails_at = allocations = 0;
        scene(units[i]);
        unsigned all = allocations;
        CHECK(all > 100);
        for (unsigned at = 1; at <= all; at++) {
            fails_at = at;
            allocations = 0;
            scene(units[i]);
        }
    }
}

/* One allocation fails while a client subscribes, and while topics come: it is closed, or has all it asked for; and a
 * topic is never nobody's. Whether an allocation failed. */
static bool told_or_whole(unsigned at) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 4096);
    for (unsigned i = 0; i < 20; i++) rig_publish(rig, named(rig, "S%u.SIM", i));
    peer_t *peer = join(rig);
    fails_at = 0;
    turns(rig, 5);
    gw_item_t items[] = {item(1, GW_TRADE, "NEW.SIM", true, true), item(2, GW_TRADE, "S*", true, true)};
    fails_at = at;
    allocations = 0;
    rig_subscribe(rig, peer, 1, items, 2);
    turns(rig, 10);
    for (unsigned i = 20; i < 40; i++) rig_publish(rig, named(rig, "S%u.SIM", i));
    turns(rig, 10);
    bool failed = allocations >= at;
    for (frame_t f; peer_frame(peer, &f);) CHECK(f.kind != LIMIT); /* memory is none */
    const unsigned closes = rig_events(rig, GW_EVENT_CLOSE);
    const gw_client_t *c = rig_client(rig, peer);
    if (!closes) {
        CHECK(gw_sub_find(rig->plane, c, 1) && gw_sub_find(rig->plane, c, 2));
        CHECK_EQUAL(rig->stats->links[0], 41);
    }
    CHECK(closes <= failed);
    for (uint32_t i = 0; i < 40; i++) CHECK(rig->plane->by_ring[i] && rig->plane->by_ring[i] != &gw_topic_none);
    rig_free(rig);
    return failed;
}

static void f55_what_there_is_no_memory_for_is_told(void) {
    unsigned at = 1;
    while (told_or_whole(at)) at++;
    CHECK(at > 20);
}

static peer_t *alone(rig_t *rig) {
    fails_at = 0;
    rig_segment(rig, 1 << 20, 4096);
    rig_publish(rig, named(rig, "S%u.SIM", 1));
    peer_t *peer = join(rig);
    gw_item_t all = item(1, GW_TRADE, "S*", true, true);
    rig_subscribe(rig, peer, 1, &all, 1);
    turns(rig, 5);
    CHECK_EQUAL(rig->stats->links[0], 1);
    return peer;
}

/* While there is no memory for the event, the end is not over: else nobody would ever give the slot back. */
static void an_end_that_cannot_be_told_yet_is_told_later(void) {
    rig_t *rig = rig_new(rig_options());
    rig_remove(rig, alone(rig));
    all_fail = true;
    turns(rig, 50);
    CHECK(!gw_plane_take_event(rig->plane));
    CHECK(rig->stats->links[0] == 0 && rig->stats->clients[0] == 1);
    all_fail = false;
    turns(rig, 50);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_REMOVED), 1);
    CHECK_EQUAL(rig->stats->clients[0], 0);
    rig_free(rig);
}

/* The loop, which cannot be told that a client is to be closed, sees the end of its stream. */
static void who_cannot_be_closed_for_want_of_memory_is_cut_off(void) {
    rig_t *rig = rig_new(rig_options());
    peer_t *peer = alone(rig);
    gw_item_t more = item(2, GW_TRADE, "T*", true, true);
    uint8_t byte;
    rig_subscribe(rig, peer, 2, &more, 1);
    CHECK(read(peer->fds[0], &byte, 1) < 0);
    all_fail = true;
    turns(rig, 5);
    all_fail = false;
    CHECK_EQUAL(read(peer->fds[0], &byte, 1), 0);
    CHECK(!gw_plane_take_event(rig->plane));
    rig_remove(rig, peer);
    turns(rig, 5);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_REMOVED);
    rig_free(rig);
}

/* Who has stopped reading until the plane says so is told, or let go: nothing else would have it read again. */
static void who_waits_to_read_is_never_forgotten(void) {
    rig_t *rig = rig_new(rig_options());
    peer_t *peer = alone(rig);
    uint8_t byte;
    peer->allowed = 0;
    for (unsigned i = 0; gw_plane_control_used(rig->plane, peer->handle) <= rig->plane->o.control_bytes_max / 2; i++)
        rig_text(rig, peer, i);
    turns(rig, 5);
    CHECK_EQUAL(gw_plane_want_resume(rig->plane, peer->handle), 1);
    peer->allowed = RIG_NO_LIMIT;
    fails_at = 1;
    allocations = 0;
    turns(rig, 5);
    CHECK(allocations > 1);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_CLOSE && !gw_plane_take_event(rig->plane));
    CHECK(read(peer->fds[0], &byte, 1) < 0);
    rig_free(rig);
}

/* The same of one whose socket takes nothing more, though it can be read. */
static void who_is_gone_is_cut_off(void) {
    rig_t *rig = rig_new(rig_options());
    peer_t *peer = alone(rig);
    uint8_t byte;
    peer->error = EPIPE;
    rig_text(rig, peer, 1);
    all_fail = true;
    turns(rig, 5);
    all_fail = false;
    CHECK(!gw_plane_take_event(rig->plane));
    CHECK_EQUAL(read(peer->fds[0], &byte, 1), 0);
    rig_free(rig);
}

/* A record whose announcement found memory and itself none is counted as lost, once. */
static void a_record_behind_its_announcement_may_find_no_memory(void) {
    rig_t *rig = rig_new(rig_options());
    rig->mixed = true;
    rig_segment(rig, 1 << 20, 4096);
    const unsigned a = named(rig, "A%u.SIM", 1), b = named(rig, "B%u.SIM", 1);
    rig_publish(rig, a);
    rig_publish(rig, b);
    join(rig);
    peer_t *peer = join(rig);
    CHECK_EQUAL(peer->format, 1);
    const gw_item_t items[] = {item(1, GW_TRADE, "A1.SIM", true, true), item(2, GW_TRADE, "B1.SIM", true, false)};
    rig_subscribe(rig, peer, 1, items, 2);
    turns(rig, 5);
    peer->allowed = 0;
    rig_publish(rig, a);
    turns(rig, 5);
    const gw_client_t *c = rig_client(rig, peer);
    CHECK_EQUAL(c->unannounced, 1);
    CHECK_EQUAL(c->runs_count, c->runs_size - 1); /* room for the announcement alone */
    static char fill[65536];
    while (write(peer->fds[0], fill, sizeof fill) > 0) {} /* nor does the close frame leave */
    fails_at = 1;
    allocations = 0;
    rig_publish(rig, b);
    counts = true;
    rig->now += 200000;
    gw_plane_cycle(rig->plane);
    counts = false;
    fails_at = 0;
    CHECK(allocations > 0);
    CHECK(c->flags & GW_CLIENT_DOOMED);
    CHECK_EQUAL(c->waiting[GW_TRADE], 0);
    turns(rig, 50);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 0);
    rig_free(rig);
}

/* The first long record of a topic waits in the ring until there is room for it, and those behind it with it. */
static void a_longer_record_waits_for_memory(void) {
    rig_t *rig = long_rig(1 << 20);
    const unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    peer_t *peer = roomy(reader_of(rig, "A.SIM", true));
    static const size_t lengths[] = {SHORT, LONG, SHORT};
    all_fail = true;
    for (int i = 0; i < 3; i++) publish_text(rig, a, lengths[i], (gw_header_t){0});
    turns(rig, 20);
    all_fail = false;
    expect_text(peer, "update", 1, SHORT, "");
    CHECK(peer_whole(peer));
    turns(rig, 20);
    for (int i = 1; i < 3; i++) expect_text(peer, "update", (uint64_t)i + 1, lengths[i], "");
    CHECK(peer_whole(peer));
    rig_free(rig);
}

/* One of another origin does not begin its topic before there is room for it: who asks meanwhile finds no state. */
static void so_does_one_of_another_origin(void) {
    rig_t *rig = long_rig(1 << 20);
    const unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    turns(rig, 5);
    rig->writer.chains[rig->topics[a].id].seq = 4;
    publish_text(rig, a, LONG, (gw_header_t){.origin = 1});
    all_fail = true;
    turns(rig, 1);
    all_fail = false;
    peer_t *peer = reader_of(rig, "A.SIM", true);
    expect_text(peer, "snapshot", 5, LONG, "");
    CHECK(peer_whole(peer));
    rig_free(rig);
}

/* After a lap, too: else nobody would learn what a topic without a further record has come to. */
static void a_lap_waits_for_memory(void) {
    rig_t *rig = long_rig(1 << 16);
    const unsigned a = rig_topic(rig, GW_TEST, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    publish_text(rig, a, SHORT, (gw_header_t){0});
    rig_settle(rig);
    peer_t *peer = roomy(reader_of(rig, "A.SIM", false));
    expect_text(peer, "snapshot", 1, SHORT, "");
    for (int i = 0; i < 600; i++) rig_publish(rig, b);
    publish_text(rig, a, LONG, (gw_header_t){0});
    all_fail = true;
    turns(rig, 5);
    all_fail = false;
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    turns(rig, 5);
    expect_text(peer, "update", 2, LONG, "");
    CHECK(peer_whole(peer));
    rig_free(rig);
}

int main(void) {
    RUN(f55_each_allocation_may_fail);
    RUN(f55_what_there_is_no_memory_for_is_told);
    RUN(an_end_that_cannot_be_told_yet_is_told_later);
    RUN(who_cannot_be_closed_for_want_of_memory_is_cut_off);
    RUN(who_waits_to_read_is_never_forgotten);
    RUN(who_is_gone_is_cut_off);
    RUN(a_record_behind_its_announcement_may_find_no_memory);
    RUN(a_longer_record_waits_for_memory);
    RUN(so_does_one_of_another_origin);
    RUN(a_lap_waits_for_memory);
    return 0;
}
