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

static unsigned closes(scene_t *s) {
    unsigned n = 0;
    for (const gw_event_t *e; (e = gw_plane_take_event(s->rig->plane));) n += e->kind == GW_EVENT_CLOSE && e->code == 4008;
    return n;
}

/* Whether before the job has begun, or in its middle. */
static void a_lap_during_it_closes(void) {
    unsigned begun = 0;
    for (int steps = 0; steps < 150; steps++) {
        gw_plane_options_t o = deep();
        o.lossless_frames_max = 100;
        scene_t s = scene(1u << 17, o);
        peer_t *peer = live(&s, "*"), *other = live(&s, "A.SIM");
        gw_client_t *c = rig_client(s.rig, peer);
        peer->allowed = 1000;
        s.rig->plane->turn_units = 4;
        for (int i = 0; i < 300 && !c->rewind; i++) publish(&s, i % 2 ? s.a : s.b, 1), wait_ms(&s, 10);
        CHECK_EQUAL(c->rewind, GW_REWIND_NOTED);
        for (int i = 0; i < steps; i++) gw_plane_cycle(s.rig->plane);
        begun += c->rewind == GW_REWIND_BEGUN;
        publish(&s, s.a, 2000); /* more than the ring holds */
        for (int i = 0; i < steps % 2 * 20; i++) gw_plane_cycle(s.rig->plane); /* or the lap itself a step at a time */
        s.rig->plane->turn_units = GW_UNITS_TURN;
        rig_check_balance(s.rig);
        rig_settle(s.rig);
        rig_check_balance(s.rig);
        wait_ms(&s, 200);
        CHECK_EQUAL(s.rig->stats->ring_lapped[0], 1);
        CHECK_EQUAL(closes(&s), 1);
        CHECK(c->flags & GW_CLIENT_DOOMED);
        frame_t f;
        uint64_t seq = 0;
        while (peer_frame(other, &f)) /* who was not slow is told what the lap took */
            if (f.kind == DATA) seq = f.seq;
        CHECK_EQUAL(seq, s.rig->topics[s.a].count);
        rig_remove(s.rig, peer);
        end(&s);
    }
    CHECK(begun > 5 && begun < 150);
}

/* Its first record would be a snapshot: as an update it would seem to go on with what has ended. */
static void what_begins_anew_during_it_closes(void) {
    gw_plane_options_t o = deep();
    o.lossless_frames_max = 100;
    scene_t s = scene(RING, o);
    peer_t *peer = live(&s, "*");
    gw_client_t *c = rig_client(s.rig, peer);
    frame_t f;
    publish(&s, s.a, 5);
    rig_settle(s.rig);
    CHECK(rig_retire(s.rig, s.a));
    rig_settle(s.rig);
    unsigned ended = 0;
    while (peer_frame(peer, &f)) ended += f.kind == RETIRED;
    CHECK_EQUAL(ended, 1);
    peer->allowed = 1000;
    s.rig->plane->turn_units = 4;
    for (int i = 0; i < 300 && !c->rewind; i++) publish(&s, s.b, 1), wait_ms(&s, 10);
    CHECK_EQUAL(c->rewind, GW_REWIND_NOTED);
    publish(&s, s.a, 1);
    for (int i = 0; i < 50 && !(c->flags & GW_CLIENT_DOOMED); i++) gw_plane_cycle(s.rig->plane);
    s.rig->plane->turn_units = GW_UNITS_TURN;
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    rig_check_balance(s.rig);
    while (peer_frame(peer, &f)) CHECK(f.kind != DATA || f.name[0] == 'B');
    CHECK_EQUAL(closes(&s), 1);
    rig_remove(s.rig, peer);
    end(&s);
}

/* The plane itself keeps up, but when it is looked for the first record is no longer there. */
static void what_is_overwritten_during_it_closes(void) {
    gw_plane_options_t o = deep();
    o.lossless_frames_max = 100;
    scene_t s = scene(1u << 17, o);
    peer_t *peer = live(&s, "*");
    gw_client_t *c = rig_client(s.rig, peer);
    peer->allowed = 1000;
    s.rig->plane->turn_units = 4;
    for (int i = 0; i < 300 && !c->rewind; i++) publish(&s, i % 2 ? s.a : s.b, 1), wait_ms(&s, 10);
    for (int i = 0; i < 4; i++) publish(&s, s.a, 500), gw_plane_cycle(s.rig->plane);
    CHECK(c->rewind);
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 0);
    s.rig->plane->turn_units = GW_UNITS_TURN;
    rig_settle(s.rig);
    rig_check_balance(s.rig);
    CHECK_EQUAL(closes(&s), 1);
    rig_remove(s.rig, peer);
    end(&s);
}

/* It had got some of what it had asked for when it became too slow: it goes on with what it did not get, in another pass. */
static void in_the_middle_of_a_pass_it_leaves_that(void) {
    scene_t s = scene(RING, deep());
    gw_plane_t *p = s.rig->plane;
    history(&s, s.a, 3000);
    peer_t *peer = rig_connect(s.rig), *other = rig_connect(s.rig);
    gw_client_t *c = rig_client(s.rig, peer);
    rig_settle(s.rig);
    for (int i = 0; i < 2; i++) {
        gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, 0, p->epoch);
        rig_subscribe(s.rig, i ? other : peer, 1, &x, 1);
    }
    const uint64_t *replayed = &s.rig->stats->replayed[GW_TRADE];
    peer->allowed = 2000;
    for (int i = 0; i < 50 && !*replayed; i++) s.rig->now += 100000, gw_plane_cycle(p);
    CHECK(*replayed && c->replays == 1 && c->replay_pass == p->pass.number);
    p->pass.rest_ns = INT64_MAX; /* beside others it stands still */
    for (int i = 0; i < 400 && !c->rewind; i++) publish(&s, s.b, 1), s.rig->now += 10000000, gw_plane_cycle(p);
    CHECK(c->rewind);
    CHECK_EQUAL(c->replay_pass, p->pass.number);
    for (int i = 0; i < 50 && c->rewind; i++) publish(&s, s.b, 1), gw_plane_cycle(p);
    CHECK(!c->rewind && !c->job);
    CHECK_EQUAL(c->replay_pass, 0);
    rig_check_balance(s.rig);
    p->pass.rest_ns = 0;
    peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 5; i++) rig_settle(s.rig);
    for (int i = 0; i < 2; i++) {
        frame_t f;
        uint64_t next = 1;
        while (peer_frame(i ? other : peer, &f)) {
            if (f.kind != DATA) continue;
            CHECK(!f.snapshot && !f.skipped);
            CHECK_EQUAL(f.seq, next++);
        }
        CHECK_EQUAL(next, 3001);
    }
    CHECK_EQUAL(closes(&s), 0);
    end(&s);
}

/* Frames of both topics come in the order in which their records were published. */
static void nothing_overtakes_what_is_replayed(void) {
    scene_t s = scene(RING, deep());
    peer_t *peer = live(&s, "*");
    history(&s, s.a, 1);
    history(&s, s.b, 1);
    peer->allowed = 1000;
    for (int i = 0; i < 30; i++) publish(&s, s.a, 20), wait_ms(&s, 200);
    CHECK_EQUAL(rig_client(s.rig, peer)->replays, 1);
    publish(&s, s.b, 5);
    rig_settle(s.rig);
    CHECK_EQUAL(rig_client(s.rig, peer)->replays, 2);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f;
    uint64_t last = 0;
    while (peer_frame(peer, &f)) {
        if (f.kind != DATA) continue;
        if (f.name[0] == 'A') last = f.seq;
        else if (f.seq > 1) CHECK_EQUAL(last, 601);
    }
    CHECK_EQUAL(last, 601);
    publish(&s, s.b, 1); /* and live it is again */
    rig_settle(s.rig);
    CHECK_EQUAL(rig_client(s.rig, peer)->replays, 0);
    CHECK(peer_frame(peer, &f) && f.kind == DATA && f.seq == 7 && !f.replay);
    end(&s);
}

/* Wherever the queue begins: with the notice, with its record, or in the middle of either. */
static void a_hole_of_the_venue_is_told_once(void) {
    unsigned again = 0;
    for (int64_t allowed = 0; allowed < 1500; allowed += 11) {
        scene_t s = scene(RING, deep());
        peer_t *peer = live(&s, "A.SIM");
        peer->allowed = allowed;
        for (int i = 0; i < 10; i++) {
            rig_publish_header(s.rig, s.a, (gw_header_t){.gap = GW_GAP_FEED, .lost = 3, .ts_recv = rig_realtime(s.rig)});
            wait_ms(&s, 400);
        }
        again += rig_client(s.rig, peer)->replays;
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(s.rig);
        frame_t f;
        unsigned told = 0;
        uint64_t next = 1;
        while (peer_frame(peer, &f)) {
            if (f.kind == GAP) told++;
            if (f.kind != DATA) continue;
            CHECK_EQUAL(f.seq, next++);
            CHECK_EQUAL(told, f.seq);
        }
        CHECK_EQUAL(next, 11);
        end(&s);
    }
    CHECK(again > 50);
}

/* What was replayed is replayed again, and then the end is told: of a name, of a pattern. */
static void the_end_is_told_behind_what_comes_again(void) {
    unsigned again = 0;
    for (int64_t allowed = 0; allowed < 600; allowed += 7) {
        scene_t s = scene(RING, deep());
        history(&s, s.a, 5);
        peer_t *peer = rig_connect(s.rig);
        gw_item_t x = item(7, GW_TRADE, allowed % 2 ? "A.SIM" : "*", true, true);
        if (allowed % 2) ask_seq(&s, peer, 0);
        else ask(&s, peer, from(x, GW_FROM_TS, (uint64_t)rig_realtime(s.rig) - 1000000, NULL));
        peer->allowed = allowed;
        wait_ms(&s, 4000);
        again += rig_client(s.rig, peer)->replays;
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(s.rig);
        expect_updates(peer, 1, 5, true);
        const frame_t f = take(peer);
        CHECK_EQUAL(f.kind, REPLAYED);
        if (allowed % 2) CHECK(f.from == 1 && f.to == 5);
        nothing(peer);
        end(&s);
    }
    CHECK(again > 20);
}

/* A pattern's topics take many turns: what the ring loses meanwhile is not passed over in silence. */
static void a_pattern_that_the_writer_overtakes_is_told_so(void) {
    unsigned refused = 0, served = 0;
    for (int steps = 0; steps < 60; steps++) {
        scene_t s = scene(1u << 16, deep());
        for (unsigned i = 0; i < 40; i++) rig_register(s.rig, rig_named(s.rig, GW_TRADE, "T%u.SIM", i));
        history(&s, s.a, 5);
        history(&s, s.b, 5);
        peer_t *peer = rig_connect(s.rig);
        rig_settle(s.rig);
        s.rig->plane->turn_units = 16;
        gw_item_t x = from(item(7, GW_TRADE, "*", true, true), GW_FROM_TS, (uint64_t)rig_realtime(s.rig) - 3000000, NULL);
        rig_subscribe(s.rig, peer, 1, &x, 1);
        for (int i = 0; i < steps; i++) s.rig->now += 1000, gw_plane_cycle(s.rig->plane);
        publish(&s, rig_topic(s.rig, GW_TRADE, "T0.SIM"), 600); /* more than the ring has */
        s.rig->plane->turn_units = 1000;
        rig_settle(s.rig);
        frame_t f;
        int recovery = 0;
        uint64_t next[2] = {1, 1}; /* of a and of b */
        while (peer_frame(peer, &f)) {
            if (f.kind == REPLY && f.reply == 1) recovery = f.recovery[0];
            if (f.kind == DATA && f.name[0] != 'T' && !f.snapshot) CHECK_EQUAL(f.seq, next[f.name[0] == 'B']++);
            if (f.kind == GAP) next[f.name[0] == 'B'] = 6; /* a lap in the middle says so */
        }
        refused += recovery == GW_RECOVERY_INSUFFICIENT;
        served += recovery == GW_RECOVERY_REPLAYING;
        if (recovery == GW_RECOVERY_REPLAYING) CHECK(next[0] == 6 && next[1] == 6);
        end(&s);
    }
    CHECK(refused > 2 && served > 2);
}

int main(void) {
    RUN(who_is_too_slow_replays_instead_of_being_closed);
    RUN(it_is_closed_once_the_ring_has_lapped_it);
    RUN(a_shallow_ring_closes_as_before);
    RUN(a_lap_during_it_closes);
    RUN(what_begins_anew_during_it_closes);
    RUN(what_is_overwritten_during_it_closes);
    RUN(in_the_middle_of_a_pass_it_leaves_that);
    RUN(nothing_overtakes_what_is_replayed);
    RUN(a_hole_of_the_venue_is_told_once);
    RUN(the_end_is_told_behind_what_comes_again);
    RUN(a_pattern_that_the_writer_overtakes_is_told_so);
    return 0;
}
