/* A scene for tests of replays: a ring with history, clients that ask for it, and what they have to get. */
#ifndef PLANE_REPLAYS_H
#define PLANE_REPLAYS_H
#include "plane_reader.h"

#define RING (1u << 20) /* 8,192 records */

typedef struct {
    rig_t *rig;
    unsigned a, b;
} scene_t;

static inline scene_t scene(uint64_t ring, gw_plane_options_t o) {
    scene_t s = {.rig = rig_new(o)};
    s.rig->paced = true; /* what is replayed is of no class */
    s.a = rig_topic(s.rig, GW_TRADE, "A.SIM");
    s.b = rig_topic(s.rig, GW_TRADE, "B.SIM");
    rig_segment(s.rig, ring, 64);
    rig_settle(s.rig);
    return s;
}

static inline void publish(scene_t *s, unsigned topic, unsigned n) {
    while (n--) {
        s->rig->now += 1000;
        rig_publish_header(s->rig, topic, (gw_header_t){.ts_recv = rig_realtime(s->rig)});
    }
}

/* Everything that there is is taken: no more than a batch at a time, so that the ring holds it. */
static inline void history(scene_t *s, unsigned topic, unsigned n) {
    for (; n > 500; n -= 500) publish(s, topic, 500), rig_settle(s->rig);
    publish(s, topic, n);
    rig_settle(s->rig);
}

static inline gw_item_t from(gw_item_t x, uint8_t kind, uint64_t value, const char *epoch) {
    x.from = kind;
    x.from_value = value;
    if (epoch) memcpy(x.from_epoch, epoch, GW_EPOCH_LENGTH);
    return x;
}

/* Subscribes and takes the reply. */
static inline frame_t ask(scene_t *s, peer_t *peer, gw_item_t x) {
    frame_t f;
    rig_subscribe(s->rig, peer, 1, &x, 1);
    for (int i = 0; i < 50; i++) {
        while (peer_frame(peer, &f))
            if (f.kind == REPLY && f.reply == 1) return f;
        s->rig->now += 200000;
        gw_plane_cycle(s->rig->plane);
    }
    CHECK(!"no reply");
    return f;
}

static inline frame_t ask_seq(scene_t *s, peer_t *peer, uint64_t seq) {
    return ask(s, peer, from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, seq, s->rig->plane->epoch));
}

static inline frame_t take(peer_t *peer) {
    frame_t f;
    do CHECK(peer_frame(peer, &f));
    while (f.kind == HEARTBEAT);
    return f;
}

static inline void nothing(peer_t *peer) {
    frame_t f;
    while (peer_frame(peer, &f)) CHECK_EQUAL(f.kind, HEARTBEAT);
}

static inline void expect_updates(peer_t *peer, uint64_t first, uint64_t last, bool replay) {
    for (uint64_t seq = first; seq <= last; seq++) {
        const frame_t f = take(peer);
        CHECK_EQUAL(f.kind, DATA);
        CHECK_EQUAL(f.seq, seq);
        CHECK(!f.snapshot && !f.skipped && f.replay == (replay && !peer->format));
    }
}

static inline void expect_completed(peer_t *peer, uint64_t first, uint64_t last) {
    const frame_t f = take(peer);
    CHECK_EQUAL(f.kind, REPLAYED);
    CHECK(!strcmp(f.name, "A.SIM"));
    CHECK_EQUAL(f.from, first);
    CHECK_EQUAL(f.to, last);
}

static inline void at_rest(scene_t *s) {
    rig_settle(s->rig);
    rig_check_balance(s->rig);
    CHECK_EQUAL(s->rig->stats->pending[GW_TRADE] + s->rig->stats->pending[GW_BBO], 0);
    CHECK_EQUAL(s->rig->plane->pass.count, 0);
    CHECK(!s->rig->plane->pass.members && !s->rig->plane->pass.queued);
}

static inline void end(scene_t *s) {
    at_rest(s);
    rig_free(s->rig);
}

#endif
