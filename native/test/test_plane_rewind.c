/* Lossless clients that are too slow for their queue: they replay from the ring, as long as that holds what they want. */
#include "plane_replays.h"

static gw_plane_options_t deep(void) {
    gw_plane_options_t o = rig_options();
    o.replay_depth_ns = 8000000000;
    return o;
}

static peer_t *live(scene_t *s, const char *name) {
    peer_t *peer = rig_connect(s->rig);
    gw_item_t x = item(7, GW_TRADE, name, true, false);
    rig_subscribe(s->rig, peer, 1, &x, 1);
    rig_settle(s->rig);
    frame_t f;
    while (peer_frame(peer, &f)) {}
    return peer;
}

static void wait_ms(scene_t *s, int ms) {
    for (int i = 0; i < ms / 10; i++) {
        s->rig->now += 10000000;
        gw_plane_cycle(s->rig->plane);
    }
}

static void who_is_too_slow_replays_instead_of_being_closed(void) {
    for (int kind = 0; kind < 4; kind++) {
        const int by_count = kind % 2;
        gw_plane_options_t o = deep();
        if (by_count) o.lossless_frames_max = 100;
        scene_t s = scene(RING, o);
        s.rig->mixed = kind > 1; /* then announcements are among what is dropped */
        if (kind > 1) rig_connect(s.rig);
        history(&s, s.a, 10);
        peer_t *peer = live(&s, "*");
        peer->allowed = 1000;
        for (int i = 0; i < 30; i++) {
            publish(&s, s.a, 20);
            publish(&s, s.b, 5);
            wait_ms(&s, by_count ? 20 : 200);
            rig_check_balance(s.rig);
        }
        CHECK_EQUAL(rig_client(s.rig, peer)->replays, 2);
        CHECK(rig_client(s.rig, peer)->queued <= 100);
        CHECK_EQUAL(rig_events(s.rig, GW_EVENT_CLOSE), 0);
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(s.rig);
        uint64_t next[2] = {11, 1};
        frame_t f;
        while (peer_frame(peer, &f)) {
            if (f.kind == HEARTBEAT) continue;
            CHECK(f.kind == DATA && !f.snapshot && !f.skipped);
            CHECK_EQUAL(f.seq, next[f.name[0] == 'B']++);
        }
        CHECK(next[0] == 611 && next[1] == 151);
        CHECK(s.rig->stats->replays[GW_REPLAY_CAUGHT_UP] >= 2);
        end(&s);
    }
}

static void it_is_closed_once_the_ring_has_lapped_it(void) {
    scene_t s = scene(1u << 16, deep());
    peer_t *peer = live(&s, "A.SIM");
    peer->allowed = 1000;
    publish(&s, s.a, 100);
    wait_ms(&s, 3000);
    CHECK_EQUAL(rig_client(s.rig, peer)->replays, 1);
    history(&s, s.a, 1000); /* it need not even read on */
    wait_ms(&s, 100);
    const gw_event_t *e;
    int closes = 0;
    while ((e = gw_plane_take_event(s.rig->plane))) closes += e->kind == GW_EVENT_CLOSE && e->code == 4008;
    CHECK_EQUAL(closes, 1);
    rig_remove(s.rig, peer);
    end(&s);
}

static void a_shallow_ring_closes_as_before(void) {
    scene_t s = scene(1u << 16, deep());
    history(&s, s.a, 1000); /* in a millisecond: it holds less than eight seconds */
    peer_t *peer = live(&s, "A.SIM");
    peer->allowed = 1000;
    publish(&s, s.a, 100);
    wait_ms(&s, 3000);
    CHECK_EQUAL(rig_events(s.rig, GW_EVENT_CLOSE), 1);
    CHECK_EQUAL(s.rig->plane->pass.count, 0);
    rig_remove(s.rig, peer);
    end(&s);
}

int main(void) {
    RUN(who_is_too_slow_replays_instead_of_being_closed);
    RUN(it_is_closed_once_the_ring_has_lapped_it);
    RUN(a_shallow_ring_closes_as_before);
    return 0;
}
