/* Fault 40: a socket that takes k bytes and then nothing, or then breaks, for every k. */
#include "plane_reader.h"

enum { MODE_BLOCKS, MODE_BREAKS };

/* What a client of one lossless and one conflated topic was sent, by frame. */
typedef struct {
    unsigned replies, updates[2], snapshots[2];
    unsigned long long last[2], skipped[2];
} got_t;

static void read_all(peer_t *peer, got_t *got) {
    frame_t f;
    while (peer_frame(peer, &f)) {
        int conflated = f.kind == DATA && f.channel == GW_BBO;
        got->replies += f.kind == REPLY;
        if (f.kind != DATA) continue;
        if (got->last[conflated]) CHECK_EQUAL(f.seq, got->last[conflated] + 1 + f.skipped);
        CHECK(conflated || !f.skipped);
        got->last[conflated] = f.seq;
        got->skipped[conflated] += f.skipped;
        if (f.snapshot) got->snapshots[conflated]++;
        else got->updates[conflated]++;
    }
}

/* One batch as it can be: a reply in the control queue, two snapshots, lossless and conflated
 * frames between those of topics that this client does not take. All of it waits for one send of
 * `allowed`. */
static size_t hello; /* bytes that went before */

static rig_t *batch(int64_t allowed, int mode, peer_t **out) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 65536, 16);
    unsigned trade = rig_topic(rig, GW_TRADE, "A.SIM"), bbo = rig_topic(rig, GW_BBO, "A.SIM");
    unsigned other = rig_topic(rig, GW_TRADE, "B.SIM");
    peer_t *peer = *out = rig_connect(rig), *all = rig_connect(rig);
    gw_item_t both[] = {item(1, GW_TRADE, "A.SIM", true, true),
                        item(2, GW_BBO, "A.SIM", false, true)};
    gw_item_t rest = item(1, GW_TRADE, "*", true, true);
    rig_publish(rig, trade);
    rig_publish(rig, bbo);
    rig_subscribe(rig, all, 1, &rest, 1);
    rig_settle(rig);
    peer->allowed = 0; /* blocked from its reply on: everything gathers */
    rig_subscribe(rig, peer, 1, both, 2);
    gw_plane_cycle(rig->plane);
    for (int i = 0; i < 3; i++) {
        rig_publish(rig, trade);
        rig_publish(rig, other);
        rig_publish(rig, bbo);
    }
    gw_plane_cycle(rig->plane);
    rig_check_balance(rig);
    hello = peer->taken;
    peer->allowed = allowed;
    rig->now += 200000;
    gw_plane_cycle(rig->plane);
    if (mode == MODE_BREAKS) peer->error = EPIPE;
    rig_check_balance(rig);
    return rig;
}

static size_t batch_bytes(void) {
    peer_t *peer;
    rig_t *rig = batch(RIG_NO_LIMIT, MODE_BLOCKS, &peer);
    size_t bytes = peer->taken - hello;
    rig_free(rig);
    return bytes;
}

static void f40_partial_write_at_every_byte_offset(void) {
    size_t bytes = batch_bytes();
    CHECK(bytes > 500);
    for (size_t k = 0; k < bytes; k++) {
        peer_t *peer;
        got_t got = {0};
        rig_t *rig = batch((int64_t)k, MODE_BLOCKS, &peer);
        read_all(peer, &got);
        /* More comes for the cut client, of both kinds, and in a second cut. */
        rig_publish(rig, rig_topic(rig, GW_TRADE, "A.SIM"));
        rig_publish(rig, rig_topic(rig, GW_BBO, "A.SIM"));
        peer->allowed = (int64_t)(k % 97);
        rig_settle(rig);
        rig_check_balance(rig);
        read_all(peer, &got);
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(rig);
        rig_check_balance(rig);
        read_all(peer, &got);
        CHECK(peer_whole(peer));
        CHECK_EQUAL(got.replies, 2); /* hello's place, and the ack */
        CHECK_EQUAL(got.updates[0], 4);
        CHECK_EQUAL(got.snapshots[0], 1);
        CHECK_EQUAL(got.snapshots[1], 1);
        CHECK_EQUAL(got.last[0], 5);
        CHECK_EQUAL(got.last[1], 5);
        const gw_stats_t *s = rig->stats;
        CHECK_EQUAL(s->pending[GW_TRADE] + s->pending[GW_BBO], 0);
        CHECK_EQUAL(s->delivered[GW_BBO], got.updates[1]);
        CHECK_EQUAL(s->conflated[GW_BBO], 4 - got.updates[1]);
        CHECK_EQUAL(s->delivered[GW_TRADE], 4 + 4 + 3);
        rig_free(rig);
    }
}

static void f40_epipe_after_every_byte_offset(void) {
    size_t bytes = batch_bytes();
    for (size_t k = 0; k < bytes; k++) {
        peer_t *peer;
        got_t got = {0};
        rig_t *rig = batch((int64_t)k, MODE_BREAKS, &peer);
        unsigned gone = 0;
        const gw_event_t *e;
        rig_settle(rig);
        while ((e = gw_plane_take_event(rig->plane))) {
            CHECK(e->kind == GW_EVENT_GONE && e->error == EPIPE && e->handle == peer->handle);
            gone++;
        }
        CHECK_EQUAL(gone, 1);
        rig_check_balance(rig);
        read_all(peer, &got); /* a cut frame ends the stream, and counts for nothing */
        const gw_stats_t *s = rig->stats;
        CHECK_EQUAL(s->pending[GW_TRADE] + s->pending[GW_BBO], 0);
        CHECK_EQUAL(s->delivered[GW_BBO], got.updates[1]);
        CHECK_EQUAL(s->delivered[GW_TRADE], got.updates[0] + 3 + 3);
        CHECK_EQUAL(s->dropped_closed[GW_TRADE], 3 - got.updates[0]);
        CHECK_EQUAL(gw_plane_control_used(rig->plane, peer->handle), 0);
        rig_remove(rig, peer);
        rig_settle(rig);
        CHECK_EQUAL(rig_events(rig, GW_EVENT_REMOVED), 1);
        rig_check_balance(rig);
        CHECK_EQUAL(s->clients[0], 1);
        rig_free(rig);
    }
}

/* A reset between any two sends of a client that is drained by a few bytes at a time. */
static void f40_reset_between_small_writes(void) {
    for (int64_t step = 1; step < 40; step++) {
        peer_t *peer;
        got_t got = {0};
        rig_t *rig = batch(0, MODE_BLOCKS, &peer);
        for (int64_t i = 0; i < step; i++) {
            peer->allowed = step;
            rig->now += 200000;
            gw_plane_cycle(rig->plane);
            rig_check_balance(rig);
        }
        peer->error = ECONNRESET;
        rig_settle(rig);
        rig_check_balance(rig);
        read_all(peer, &got);
        CHECK_EQUAL(rig->stats->pending[GW_TRADE] + rig->stats->pending[GW_BBO], 0);
        CHECK_EQUAL(rig->stats->delivered[GW_TRADE], got.updates[0] + 3 + 3);
        rig_free(rig);
    }
}

int main(void) {
    RUN(f40_partial_write_at_every_byte_offset);
    RUN(f40_epipe_after_every_byte_offset);
    RUN(f40_reset_between_small_writes);
    return 0;
}
