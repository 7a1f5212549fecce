/* Clients with a rate or a limit of age, for the tests of either. */
#ifndef PLANE_LIMITED_H
#define PLANE_LIMITED_H
#include "plane_scene.h"

#define SECOND (1000 * MS)

static unsigned replies; /* of one peer: texts must follow each other */

static inline gw_item_t limited(uint8_t channel, const char *name, uint8_t priority, unsigned interval_ms, unsigned age_ms) {
    gw_item_t x = item(channel * 2u + (name[0] == '*'), channel, name, false, false);
    x.priority = priority;
    x.interval_ms = (uint16_t)interval_ms;
    x.age_ms = age_ms;
    return x;
}

static inline peer_t *join_limited(scene_t *s, uint8_t channel, const char *name, uint8_t priority, unsigned interval_ms, unsigned age_ms) {
    peer_t *peer = rig_connect(s->rig);
    gw_item_t x = limited(channel, name, priority, interval_ms, age_ms);
    rig_subscribe(s->rig, peer, replies = 1, &x, 1);
    rig_settle(s->rig);
    expect_nothing(peer);
    return peer;
}

static inline void change(scene_t *s, peer_t *peer, gw_item_t x, uint8_t resync) {
    x.resync = resync;
    rig_subscribe(s->rig, peer, ++replies, &x, 1);
    gw_plane_cycle(s->rig->plane);
    gw_plane_cycle(s->rig->plane);
}

static inline const gw_hold_t *grid_of(const scene_t *s, const peer_t *peer) { return rig_client(s->rig, peer)->grids; }

/* By the definition, not by the plane's own sum. */
static inline int64_t cell_of(const gw_hold_t *h, int64_t ns) {
    int64_t ms = ns / MS, cell = 0;
    for (int64_t begins = h->phase_ms + ms / h->grid_ms * h->grid_ms - h->grid_ms; begins <= ms; begins += h->grid_ms) cell = begins;
    return cell;
}

/* Until this far into a cell, in small steps. */
static inline void into_cell(scene_t *s, const peer_t *peer, int64_t ns) {
    const gw_hold_t *h = grid_of(s, peer);
    const int64_t begins = (cell_of(h, s->rig->now) + h->grid_ms) * MS;
    pass(s, begins + ns - s->rig->now);
}

static inline unsigned frames(peer_t *peer, uint64_t *last) {
    unsigned n = 0;
    for (frame_t f; data(peer, &f, NULL); n++) {
        CHECK_EQUAL(f.seq, *last + 1 + f.skipped);
        *last = f.seq;
    }
    return n;
}

#endif
