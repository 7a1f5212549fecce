/* What the pass over the ring may take of the plane's time and of the log, and links that change hands in the middle of it. */
#include "plane_replays.h"

#define CLIENTS 60
#define READ_NS 10000 /* what a look at the clock takes here: a slice is then as long */

static int64_t slow_clock(void *self) { return ((rig_t *)self)->now += READ_NS; }

static peer_t *follow(scene_t *s, const char *name) {
    peer_t *peer = rig_connect(s->rig);
    gw_item_t x = item(9, GW_TRADE, name, true, false);
    rig_subscribe(s->rig, peer, 1, &x, 1);
    rig_settle(s->rig);
    return peer;
}

static uint64_t replayed(const scene_t *s) { return s->rig->stats->replayed[GW_TRADE]; }

/* --- its part of the time ---------------------------------------------------------------------------- */

static void beside_others_it_has_a_twentieth_of_the_time(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 4000);
    peer_t *live = follow(&s, "B.SIM"), *peer = rig_connect(s.rig);
    s.rig->plane->io.monotonic = slow_clock;
    ask_seq(&s, peer, 0);
    int64_t first = 0, last = 0;
    unsigned slices = 0;
    for (int i = 0; i < 3000 && replayed(&s) < 4000; i++) {
        const uint64_t before = replayed(&s);
        const int64_t begun = s.rig->now;
        publish(&s, s.b, 1); /* there is always somebody else */
        gw_plane_cycle(s.rig->plane);
        if (replayed(&s) == before) continue;
        if (slices) CHECK(s.rig->now - last > 19 * READ_NS);
        first = slices++ ? first : begun;
        last = s.rig->now;
    }
    CHECK_EQUAL(replayed(&s), 4000); /* nor has it none */
    CHECK(slices > 5);
    const int64_t mean = (last - first) / (slices - 1);
    CHECK(mean >= 20 * READ_NS && mean <= 30 * READ_NS); /* a turn of this clock, too, is some reads long */
    s.rig->plane->io.monotonic = rig_monotonic;
    rig_settle(s.rig);
    expect_updates(peer, 1, 4000, true);
    while (live->read < live->length) take(live);

    peer_t *alone = rig_connect(s.rig); /* with nobody else it does not rest */
    s.rig->plane->io.monotonic = slow_clock;
    ask_seq(&s, alone, 0);
    const int64_t begun = s.rig->now;
    for (int i = 0; i < 200 && replayed(&s) < 8000; i++) gw_plane_cycle(s.rig->plane);
    CHECK_EQUAL(replayed(&s), 8000);
    CHECK((s.rig->now - begun) / READ_NS < 10 * slices);
    s.rig->plane->io.monotonic = rig_monotonic;
    end(&s);
}

/* Each send to who replays, and each slice of the pass, meets a trade that comes in the middle of it. */
static struct {
    scene_t *s;
    peer_t *live;
    unsigned waits, sends, slices;
    size_t longest;
} meets;

static void meet(void) {
    if (!meets.waits) publish(meets.s, meets.s->b, 1);
    meets.waits = 1;
}

static ssize_t send_met(void *self, int fd, const struct iovec *parts, int count) {
    const ssize_t n = rig_send(self, fd, parts, count);
    if (fd == meets.live->fds[0]) {
        meets.waits = 0;
        return n;
    }
    CHECK(!meets.waits); /* the trade before is sent first */
    meets.longest = (size_t)n > meets.longest ? (size_t)n : meets.longest;
    meets.sends++;
    ((rig_t *)self)->now += READ_NS; /* it takes its time: then it has to rest */
    meet();
    return n;
}

static int64_t stamp_met(void *self) {
    meets.slices++;
    ((rig_t *)self)->now += READ_NS;
    meet();
    return rig_realtime(self);
}

static void who_is_live_waits_for_one_send_at_most(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peers[CLIENTS];
    history(&s, s.a, 300);
    meets.s = &s;
    meets.live = follow(&s, "B.SIM");
    for (unsigned i = 0; i < CLIENTS; i++) peers[i] = rig_connect(s.rig);
    rig_settle(s.rig);
    for (unsigned i = 0; i < CLIENTS; i++) {
        gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, 0, s.rig->plane->epoch);
        rig_subscribe(s.rig, peers[i], 1, &x, 1);
    }
    for (int i = 0; i < 100 && s.rig->plane->pass.count < CLIENTS; i++) gw_plane_cycle(s.rig->plane); /* replies are not meant */
    s.rig->plane->io.send = send_met;
    for (int i = 0; i < 100000 && replayed(&s) < CLIENTS * 300; i++) {
        const uint64_t before = replayed(&s);
        const int others = meets.waits;
        s.rig->plane->io.realtime = gw_turn_empty(s.rig->plane, GW_TURN_REPLAY) && !others ? stamp_met : rig_realtime;
        s.rig->plane->pass.rest_ns = s.rig->now + 1000000; /* so that no slice is begun beside others */
        const unsigned slices = meets.slices;
        gw_plane_cycle(s.rig->plane);
        if (meets.slices != slices) CHECK(replayed(&s) - before <= CLIENTS);
        s.rig->now += 1000;
    }
    s.rig->plane->io.send = rig_send;
    s.rig->plane->io.realtime = rig_realtime;
    CHECK_EQUAL(replayed(&s), CLIENTS * 300);
    CHECK(meets.sends > 100 && meets.slices > 100);
    CHECK(meets.longest <= GW_ROOM_REPLAY);
    rig_settle(s.rig);
    for (unsigned i = 0; i < CLIENTS; i++) {
        while (peers[i]->read < peers[i]->length && take(peers[i]).seq != 1) continue; /* replies */
        expect_updates(peers[i], 2, 300, true);
    }
    while (meets.live->read < meets.live->length) take(meets.live);
    end(&s);
}

/* The gaps between sends to who replays, while there is always somebody else. */
static struct {
    int64_t last;
    unsigned sends;
} gaps;

static ssize_t send_slowly(void *self, int fd, const struct iovec *parts, int count) {
    rig_t *rig = self;
    const ssize_t n = rig_send(self, fd, parts, count);
    const int replays = rig_client(rig, &rig->peers[rig->by_fd[fd] - 1])->flags & GW_CLIENT_REPLAYS;
    if (replays && gaps.sends++) CHECK(rig->now - gaps.last >= 19 * 3 * READ_NS);
    rig->now += replays ? 3 * READ_NS : READ_NS;
    if (replays) gaps.last = rig->now;
    return n;
}

static void nor_have_its_sends_more(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 2000);
    peer_t *live[CLIENTS], *peer = rig_connect(s.rig);
    for (unsigned i = 0; i < CLIENTS; i++) live[i] = follow(&s, "B.SIM");
    gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, 0, s.rig->plane->epoch);
    rig_subscribe(s.rig, peer, 1, &x, 1);
    while (!s.rig->plane->pass.count) gw_plane_cycle(s.rig->plane);
    gaps.sends = 0;
    s.rig->plane->io.send = send_slowly;
    for (int i = 0; i < 3000 && s.rig->plane->pass.count; i++) {
        publish(&s, s.b, 1);
        gw_plane_cycle(s.rig->plane);
    }
    s.rig->plane->io.send = rig_send;
    CHECK_EQUAL(s.rig->plane->pass.count, 0);
    CHECK(gaps.sends > 10);
    rig_settle(s.rig);
    for (unsigned i = 0; i < CLIENTS; i++)
        while (live[i]->read < live[i]->length) take(live[i]);
    end(&s);
}

/* --- its part of the log ------------------------------------------------------------------------------ */

static void it_stops_at_an_eighth_of_the_log(void) {
    const gw_plane_options_t o = rig_options();
    scene_t s = scene(RING, o);
    history(&s, s.a, 4000);
    for (unsigned i = 0; i < CLIENTS - 20; i++) follow(&s, "B.SIM"); /* more than a turn visits */
    peer_t *peers[20];
    for (unsigned i = 0; i < 20; i++) peers[i] = rig_connect(s.rig);
    rig_settle(s.rig);
    for (unsigned i = 0; i < 20; i++) {
        gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, 0, s.rig->plane->epoch);
        rig_subscribe(s.rig, peers[i], 1, &x, 1);
    }
    gw_plane_t *p = s.rig->plane;
    unsigned stops = 0;
    for (int i = 0; i < 20000 && replayed(&s) < 20 * 4000; i++) {
        const uint64_t before = replayed(&s), encoded = p->encoded, sent = p->pass.encoded;
        s.rig->now += 1000000;
        publish(&s, s.b, 1); /* beside others it may go on before all was sent */
        p->pass.sends_ns = i % 500 < 400 ? INT64_MAX : 0;
        gw_plane_cycle(s.rig->plane);
        const int waits = p->pass.encoded == sent && encoded - sent >= o.log_bytes / 8;
        if (waits) CHECK_EQUAL(replayed(&s), before);
        stops += (unsigned)waits;
    }
    CHECK_EQUAL(replayed(&s), 20 * 4000);
    CHECK(stops > 5); /* else none of it was tried */
    for (unsigned i = 0; i < 20; i++) CHECK_EQUAL(rig_client(s.rig, peers[i])->flags & GW_CLIENT_DOOMED, 0);
    end(&s);
}

/* --- other hands --------------------------------------------------------------------------------------- */

/* The pattern goes on with it; the end of what the name had asked for is nobody's news. */
static void a_link_that_changes_hands_is_replayed_on(void) {
    for (int back = 0; back < 2; back++) {
        scene_t s = scene(RING, rig_options());
        peer_t *peer = follow(&s, "*");
        history(&s, s.a, 900);
        while (peer->read < peer->length) take(peer);
        peer->allowed = 2000;
        ask_seq(&s, peer, 0);
        rig_settle(s.rig);
        CHECK_EQUAL(s.rig->plane->pass.count, 1);
        const uint32_t id = 7;
        rig_unsubscribe(s.rig, peer, 2, &id, 1);
        rig_settle(s.rig);
        rig_check_balance(s.rig);
        CHECK_EQUAL(s.rig->plane->pass.count, 1);
        if (back) { /* and so it does where that ends, too */
            const uint32_t all = 9;
            rig_unsubscribe(s.rig, peer, 3, &all, 1);
        }
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(s.rig);
        frame_t f;
        uint64_t seq = 0;
        while (peer_frame(peer, &f)) {
            CHECK(f.kind != REPLAYED);
            if (f.kind == DATA) CHECK_EQUAL(f.seq, ++seq);
        }
        CHECK(back ? seq < 900 : seq == 900);
        CHECK_EQUAL(s.rig->stats->replays[back ? GW_REPLAY_ENDED : GW_REPLAY_COMPLETED], 1);
        end(&s);
    }
}

/* --- lost at an end ------------------------------------------------------------------------------------- */

static void what_a_lap_took_before_an_end_is_lost_once(void) {
    scene_t s = scene(1u << 17, rig_options());
    peer_t *live = follow(&s, "A.SIM"), *peer;
    history(&s, s.a, 900);
    peer = rig_connect(s.rig);
    peer->allowed = 2000;
    ask_seq(&s, peer, 0);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 1);
    publish(&s, s.a, 700);
    rig_retire(s.rig, s.a);
    publish(&s, s.b, 2000); /* nothing of the topic is left, nor of its end but in the directory */
    rig_settle(s.rig);
    rig_check_balance(s.rig);
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 1);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f;
    uint64_t seq = 0;
    unsigned ends = 0;
    while (peer_frame(peer, &f)) {
        if (f.kind == DATA && !f.snapshot) CHECK_EQUAL(f.seq, ++seq);
        ends += f.kind == RETIRED;
    }
    CHECK(seq > 0 && seq < 900 && ends == 1);
    while (live->read < live->length) take(live);
    CHECK(s.rig->stats->dropped_lapped[GW_TRADE] >= 1400); /* 700 of each of the two, and what was left of the replay */
    end(&s);
}

/* The ring loses what a later topic of the pattern needs, while the pattern is held against them: then nothing of any is
 * replayed, whether it was found before or behind that one. */
static void a_pattern_that_lacks_one_gets_the_state_of_all(void) {
    scene_t s = scene(1u << 16, rig_options()); /* 512 records */
    const unsigned other = rig_topic(s.rig, GW_BBO, "O.SIM");
    const unsigned c = rig_topic(s.rig, GW_TRADE, "C.SIM"), d = rig_topic(s.rig, GW_TRADE, "D.SIM");
    const unsigned order[] = {s.a, c, s.b, d}; /* in which they are looked at */
    for (int i = 0; i < 4; i++) publish(&s, order[i], 1);
    rig_settle(s.rig);
    const uint64_t since = (uint64_t)rig_realtime(s.rig) + 1;
    history(&s, s.b, 100);
    history(&s, s.a, 40);
    history(&s, c, 40);
    history(&s, d, 40);
    peer_t *peer = rig_connect(s.rig);
    const gw_item_t x = from(item(7, GW_TRADE, "*.SIM", true, true), GW_FROM_TS, since, NULL);
    rig_subscribe(s.rig, peer, 1, &x, 1);
    s.rig->plane->turn_units = 64; /* less than a topic takes */
    for (int i = 0; i < 2000 && !rig_client(s.rig, peer)->replays; i++) s.rig->now += 100000, gw_plane_cycle(s.rig->plane);
    CHECK(rig_client(s.rig, peer)->replays <= 2);
    publish(&s, other, 400);
    for (int i = 0; i < 2000; i++) s.rig->now += 100000, gw_plane_cycle(s.rig->plane);
    s.rig->plane->turn_units = GW_UNITS_TURN;
    rig_settle(s.rig);
    CHECK_EQUAL(take(peer).reply, 0); /* to its coming */
    frame_t f = take(peer);
    CHECK(f.kind == REPLY && f.recovery[0] == GW_RECOVERY_INSUFFICIENT && f.reach[0] > since);
    uint64_t seqs[4] = {0};
    for (int i = 0; i < 4; i++) {
        f = take(peer);
        CHECK(f.kind == DATA && f.snapshot && !f.replay && !f.skipped);
        seqs[f.name[0] - 'A'] = f.seq;
    }
    CHECK(seqs[0] == 41 && seqs[1] == 101 && seqs[2] == 41 && seqs[3] == 41);
    nothing(peer);
    CHECK_EQUAL(s.rig->stats->replays[GW_REPLAY_INSUFFICIENT], 4);
    CHECK_EQUAL(s.rig->stats->replayed[GW_TRADE], 0);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    f = take(peer);
    CHECK(f.kind == DATA && !f.snapshot && f.seq == 42);
    end(&s);
}

int main(void) {
    RUN(beside_others_it_has_a_twentieth_of_the_time);
    RUN(who_is_live_waits_for_one_send_at_most);
    RUN(nor_have_its_sends_more);
    RUN(it_stops_at_an_eighth_of_the_log);
    RUN(a_link_that_changes_hands_is_replayed_on);
    RUN(what_a_lap_took_before_an_end_is_lost_once);
    RUN(a_pattern_that_lacks_one_gets_the_state_of_all);
    return 0;
}
