/* A plane with the controller, a trade topic and two bbo topics, and time that passes in small steps. */
#ifndef PLANE_SCENE_H
#define PLANE_SCENE_H
#include "plane_reader.h"

#define MS INT64_C(1000000)
#define TARGET_NS (4 * MS)

typedef struct {
    rig_t *rig;
    unsigned trade, bbo, other;
} scene_t;

static inline scene_t scene_with(gw_plane_options_t o) {
    o.target_ns = TARGET_NS;
    scene_t s = {.rig = rig_new(o)};
    rig_segment(s.rig, 1 << 20, 4096);
    s.trade = rig_topic(s.rig, GW_TRADE, "A.SIM");
    s.bbo = rig_topic(s.rig, GW_BBO, "A.SIM");
    s.other = rig_topic(s.rig, GW_BBO, "B.SIM");
    return s;
}

static inline scene_t scene(int enforce) {
    gw_plane_options_t o = rig_options();
    o.enforce = enforce;
    return scene_with(o);
}

static inline void subscribe(scene_t *s, peer_t *peer, uint8_t channel, const char *name, uint8_t priority) {
    gw_item_t x = item(channel * 2u + (name[0] == '*'), channel, name, channel == GW_TRADE, false);
    x.priority = priority;
    rig_subscribe(s->rig, peer, 1, &x, 1);
}

static inline peer_t *join(scene_t *s, uint8_t channel, const char *name, uint8_t priority) {
    peer_t *peer = rig_connect(s->rig);
    frame_t f;
    subscribe(s, peer, channel, name, priority);
    rig_settle(s->rig);
    while (peer_frame(peer, &f)) CHECK(f.kind == REPLY);
    return peer;
}

static inline void pass(scene_t *s, int64_t ns) {
    for (; ns > 0; ns -= MS) { /* cycles are never far apart */
        s->rig->now += ns < MS ? ns : MS;
        gw_plane_cycle(s->rig->plane);
    }
    rig_check_balance(s->rig);
}

/* The thread is stopped for a time, then goes on. */
static inline void stop(scene_t *s, int64_t ns) {
    s->rig->now += ns;
    s->rig->stopped += ns;
    gw_plane_cycle(s->rig->plane);
}

/* The next data frame; messages of the plane go to `told`. */
static inline bool data(peer_t *peer, frame_t *f, frame_t *told) {
    while (peer_frame(peer, f)) {
        if (f->kind == DATA) return true;
        if ((f->kind == CONFLATION || f->kind == SLOW) && told) *told = *f;
    }
    return false;
}

static inline void expect(peer_t *peer, uint64_t seq, uint64_t skipped) {
    frame_t f;
    CHECK(data(peer, &f, NULL));
    CHECK_EQUAL(f.seq, seq);
    CHECK_EQUAL(f.skipped, skipped);
}

static inline void expect_nothing(peer_t *peer) {
    frame_t f;
    CHECK(!data(peer, &f, NULL));
}

static inline void set_interval(scene_t *s, unsigned class, uint8_t interval) {
    gw_plane_t *p = s->rig->plane;
    p->ladder.interval[class] = interval;
    for (uint32_t i = 0; i < p->clients_high; i++)
        if (p->clients[i].active) gw_client_refresh(p, &p->clients[i]);
}

static inline gw_event_t event_of(scene_t *s, gw_event_kind_t kind) {
    gw_event_t found = {.kind = (gw_event_kind_t)-1};
    const gw_event_t *e;
    while (found.kind != kind && (e = gw_plane_take_event(s->rig->plane))) memcpy(&found, e, sizeof found);
    return found;
}

#endif
