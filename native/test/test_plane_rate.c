/* Rates that clients ask for: cells, phases, other parameters, the wheel and its bounds. */
#define RIG_PEERS 2100
#define RIG_FDS 8192
#define RIG_TOPICS 6000
#include "plane_limited.h"
#include <sys/resource.h>

/* --- cells ------------------------------------------------------------------------------------------- */

static void a_cell_has_one_frame_and_begins_at_its_phase(void) {
    scene_t s = scene(1);
    for (unsigned ms = 1; ms <= 100; ms += 33) {
        peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, ms, 0);
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
        uint64_t last = 0, got = 0, cells = 0;
        frame_t f;
        CHECK(data(peer, &f, NULL));
        last = f.seq;
        const gw_hold_t *h = grid_of(&s, peer);
        CHECK(h->grid_ms == ms && !h->next && s.rig->plane->wheel->rates[ms].clients == 1);
        into_cell(&s, peer, 0);
        rig_publish(s.rig, s.bbo);
        gw_plane_cycle(s.rig->plane);
        CHECK_EQUAL(frames(peer, &last), 1);
        for (int64_t before = cell_of(h, s.rig->now), i = 0; i < 3000; i++) {
            rig_publish(s.rig, s.bbo);
            s.rig->now += MS / 10;
            gw_plane_cycle(s.rig->plane);
            const int64_t cell = cell_of(h, s.rig->now);
            const unsigned n = frames(peer, &last);
            CHECK(n <= (cell > before)); /* as soon as it begins, and no other */
            if (cell > before) CHECK(n == 1 && s.rig->now / MS == cell);
            cells += cell > before;
            got += n;
            before = cell;
        }
        CHECK_EQUAL(got, cells);
        CHECK(got >= 300 / ms - 1 && got <= 300 / ms + 1);
        pass(&s, 200 * MS);
        frames(peer, &last);
        CHECK_EQUAL(last, s.rig->topics[s.bbo].count);
        CHECK_EQUAL(s.rig->stats->pending[GW_BBO], 0);
        CHECK_EQUAL(rig_client(s.rig, peer)->links->priority, 1); /* the class is another matter */
        rig_remove(s.rig, peer);
        pass(&s, 5 * MS);
        CHECK_EQUAL(s.rig->plane->wheel->rates[ms].clients, 0);
        CHECK_EQUAL(s.rig->plane->grids.count, 0);
    }
    rig_free(s.rig);
}

static void after_an_idle_cell_the_first_goes_at_once(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "*", 1, 100, 0);
    for (uint64_t i = 0; i < 5; i++) {
        into_cell(&s, peer, 60 * MS);
        rig_publish(s.rig, s.bbo);
        rig_publish(s.rig, s.other); /* of another topic: they leave together */
        uint64_t sends = peer->sends;
        gw_plane_cycle(s.rig->plane);
        expect(peer, 3 * i + 1, 0);
        expect(peer, i + 1, 0);
        CHECK_EQUAL(peer->sends, sends + 1);
        rig_publish(s.rig, s.bbo);
        rig_publish(s.rig, s.bbo);
        pass(&s, 39 * MS);
        expect_nothing(peer);
        pass(&s, MS);
        expect(peer, 3 * i + 3, 1);
        into_cell(&s, peer, 0); /* of which it was; then one without any */
    }
    rig_free(s.rig);
}

static void what_waits_leaves_in_one_send_and_is_shared(void) {
    scene_t s = scene(1);
    char name[32];
    for (unsigned i = 0; i < 98; i++) snprintf(name, sizeof name, "N%u.SIM", i), rig_topic(s.rig, GW_BBO, name);
    peer_t *peers[20];
    for (int i = 0; i < 20; i++) peers[i] = join_limited(&s, GW_BBO, "*", 1, 50, 0);
    for (unsigned i = 1; i < 100; i++) rig_publish(s.rig, i);
    pass(&s, 5 * MS);
    for (int i = 0; i < 20; i++) into_cell(&s, peers[i], 0);
    uint64_t sends = 0, encoded = s.rig->plane->lanes[0].log.index;
    for (int i = 0; i < 20; i++) sends += peers[i]->sends;
    for (unsigned i = 1; i < 100; i++) rig_publish(s.rig, i); /* which are encoded once: what goes at once, and what is due */
    pass(&s, 100 * MS);
    for (int i = 0; i < 20; i++) sends -= peers[i]->sends;
    CHECK(-sends <= 40);
    CHECK_EQUAL(s.rig->plane->lanes[0].log.index - encoded, 99);
    CHECK_EQUAL(s.rig->stats->delivered[GW_BBO], 2 * 99 * 20);
    rig_free(s.rig);
}

static void clients_of_a_rate_have_few_phases_and_share_them_evenly(void) {
    scene_t s = scene(1);
    unsigned counts[50] = {0}, used = 0, most = 0;
    gw_item_t x = limited(GW_BBO, "A.SIM", 1, 50, 0);
    for (int i = 0; i < 2000; i++) {
        peer_t *peer = rig_connect(s.rig);
        rig_subscribe(s.rig, peer, 1, &x, 1);
        if (i % 100 == 99) rig_settle(s.rig);
        if (i == 499) /* 500 x 7 us in 250 us: 14, and at least 16 */
            for (uint32_t k = 0; k < 500; k++) CHECK_EQUAL(s.rig->plane->clients[k].grids->phase_ms, k % 16 * 50 / 16);
    }
    rig_settle(s.rig);
    for (uint32_t k = 0; k < 2000; k++) counts[s.rig->plane->clients[k].grids->phase_ms]++;
    for (int i = 0; i < 50; i++) used += counts[i] > 0, most = counts[i] > most ? counts[i] : most;
    CHECK_EQUAL(used, 50); /* no more than there are milliseconds */
    CHECK(most <= 80); /* evenly: 40 */
    for (int i = 0; i < 260; i++) {
        if (i < 200 && i % 5 == 0) rig_publish(s.rig, s.bbo);
        s.rig->now += MS;
        for (int k = 0; gw_plane_cycle(s.rig->plane); k++) CHECK(k < 400);
    }
    CHECK_EQUAL(s.rig->stats->pending[GW_BBO], 0);
    CHECK(s.rig->stats->delivered[GW_BBO] >= 2000 * 4 && s.rig->stats->delivered[GW_BBO] <= 2000 * 6);
    rig_free(s.rig);
}

/* 500 clients at 20 Hz and a record each millisecond: what goes at once after an idle cell goes once, then each millisecond has
 * one phase's sends or none. */
static void no_millisecond_has_the_sends_of_two_phases(void) {
    enum { PEERS = 500 };
    static peer_t *peers[PEERS];
    scene_t s = scene(1);
    gw_item_t x = limited(GW_BBO, "A.SIM", 1, 50, 0);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = rig_connect(s.rig);
        rig_subscribe(s.rig, peers[i], 1, &x, 1);
        if (i % 100 == 99) rig_settle(s.rig);
    }
    uint64_t before = 0, all = 0;
    for (int i = 0; i < 500; i++) {
        uint64_t sends = 0;
        rig_publish(s.rig, s.bbo);
        s.rig->now += MS;
        for (int k = 0; gw_plane_cycle(s.rig->plane); k++) CHECK(k < 400);
        for (int k = 0; k < PEERS; k++) sends += peers[k]->sends;
        if (i >= 100) CHECK(sends - before <= (PEERS + 15) / 16);
        if (i >= 100) all += sends - before;
        before = sends;
    }
    CHECK_EQUAL(all, PEERS * 400 / 50);
    rig_free(s.rig);
}

/* --- other parameters -------------------------------------------------------------------------------- */

static void another_rate_counts_at_once_and_is_no_frame_more(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 100, 0);
    uint64_t last = 0;
    into_cell(&s, peer, MS);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    change(&s, peer, limited(GW_BBO, "A.SIM", 1, 1000, 0), 0); /* what is held is held on */
    CHECK(grid_of(&s, peer)->grid_ms == 1000 && s.rig->plane->grids.count == 1);
    const int64_t begins = cell_of(grid_of(&s, peer), s.rig->now) + 1000;
    for (int i = 0; i < 50; i++) {
        if (s.rig->now >= begins * MS) break;
        CHECK_EQUAL(frames(peer, &last), 0);
        rig_publish(s.rig, s.bbo);
        pass(&s, begins * MS - s.rig->now < 20 * MS ? begins * MS - s.rig->now : 20 * MS);
    }
    CHECK_EQUAL(frames(peer, &last), 1);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK_EQUAL(frames(peer, &last), 0);
    change(&s, peer, limited(GW_BBO, "A.SIM", 1, 0, 0), 0);
    CHECK_EQUAL(frames(peer, &last), 1); /* no rate: what was held goes */
    CHECK(!grid_of(&s, peer) && !rig_client(s.rig, peer)->limited && !s.rig->plane->holds_count);
    for (int i = 0; i < 10; i++) {
        rig_publish(s.rig, s.bbo);
        gw_plane_cycle(s.rig->plane);
        CHECK_EQUAL(frames(peer, &last), 1);
    }
    rig_free(s.rig);
}

static void one_without_a_rate_may_be_given_one(void) {
    scene_t s = scene(0); /* nobody enforces anything: the rate counts all the same */
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    uint64_t last = 0;
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    replies = 1;
    change(&s, peer, limited(GW_BBO, "A.SIM", 1, 500, 0), 0);
    into_cell(&s, peer, MS);
    for (int i = 0; i < 100; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    rig_free(s.rig);
}

static void a_name_has_its_own_rate_and_a_later_pattern_another(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "*", 1, 200, 0);
    gw_item_t name = limited(GW_BBO, "A.SIM", 1, 20, 0);
    change(&s, peer, name, 1);
    into_cell(&s, peer, 0);
    unsigned of_name = 0, of_pattern = 0;
    for (int i = 0; i < 400; i++) {
        rig_publish(s.rig, s.bbo);
        rig_publish(s.rig, s.other);
        pass(&s, MS);
        for (frame_t f; data(peer, &f, NULL);) *(f.name[0] == 'A' ? &of_name : &of_pattern) += 1;
    }
    CHECK(of_name >= 19 && of_name <= 21 && of_pattern >= 2 && of_pattern <= 3);
    rig_unsubscribe(s.rig, peer, ++replies, &name.id, 1); /* the pattern's again, with what is pending */
    for (int i = 0; i < 400; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
        for (frame_t f; data(peer, &f, NULL);) of_name += f.name[0] == 'A';
    }
    CHECK(of_name <= 21 + 4);
    CHECK_EQUAL(s.rig->plane->grids.count, 1);
    rig_free(s.rig);
}

static void lossless_or_too_slow_a_rate_is_refused(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    gw_item_t bad[4] = {limited(GW_BBO, "A.SIM", 1, GW_RATE_MS_MAX + 1, 0), limited(GW_BBO, "A.SIM", 1, 50, 0),
                        limited(GW_BBO, "A.SIM", 1, 0, 50), item(9, GW_LOCAL, "plain", false, true)};
    bad[1].lossless = bad[2].lossless = 1;
    bad[3].interval_ms = 50;
    for (int i = 0; i < 4; i++) {
        gw_command_t *x = rig_reply(GW_CMD_SUBSCRIBE, peer->handle, 1, 1);
        x->items[0] = bad[i];
        CHECK_EQUAL(gw_plane_post(s.rig->plane, x), -EINVAL);
    }
    rig_free(s.rig);
}

/* --- bounds ------------------------------------------------------------------------------------------ */

/* 60 clients of 200 topics, all due in one millisecond: 12,000 updates, of which a turn lets go 4,096. */
static void what_is_due_is_let_go_some_at_a_time(void) {
    scene_t s = scene(1);
    char name[32];
    peer_t *peers[60];
    for (unsigned i = 0; i < 197; i++) snprintf(name, sizeof name, "N%u.SIM", i), rig_topic(s.rig, GW_BBO, name);
    for (int i = 0; i < 60; i++) peers[i] = join_limited(&s, GW_BBO, "*", 1, 500, 0);
    for (int i = 0; i < 60; i++) rig_client(s.rig, peers[i])->grids->phase_ms = 0;
    into_cell(&s, peers[0], 10 * MS);
    for (int k = 0; k < 2; k++) { /* one at once, one that waits */
        for (unsigned i = 1; i < 200; i++) rig_publish(s.rig, i);
        for (int i = 0; i < 300; i++) gw_plane_cycle(s.rig->plane);
    }
    uint64_t left = 0, before, turns = 0;
    for (int i = 0; i < 60; i++) left += rig_client(s.rig, peers[i])->held;
    CHECK_EQUAL(left, 60 * 199);
    s.rig->now += 500 * MS;
    do {
        before = left;
        gw_plane_cycle(s.rig->plane);
        rig_check_balance(s.rig);
        left = 0;
        for (int i = 0; i < 60; i++) left += rig_client(s.rig, peers[i])->held;
        CHECK(before - left <= 4096);
        CHECK(++turns < 100);
        rig_publish(s.rig, s.bbo); /* who has had its frame in this cell gets none more, though others are still due */
    } while (left > 60);
    CHECK(turns >= 3);
    for (int i = 0; i < 20; i++) gw_plane_cycle(s.rig->plane);
    for (int i = 0; i < 60; i++) {
        unsigned n = 0;
        for (frame_t f; data(peers[i], &f, NULL);) n += !strcmp(f.name, "A.SIM");
        CHECK_EQUAL(n, 2);
    }
    rig_free(s.rig);
}

/* One client of 5,000 topics: some have had the cell's frame while others are still to be let go. */
static void who_has_had_the_cells_frame_does_not_join_those_still_due(void) {
    scene_t s = scene(1);
    char name[32];
    rig_segment(s.rig, 1 << 20, 8192);
    peer_t *peer = join_limited(&s, GW_BBO, "*", 1, 500, 0);
    gw_link_t *first;
    for (unsigned i = 0; i < 5000; i++) snprintf(name, sizeof name, "N%u.SIM", i), rig_topic(s.rig, GW_BBO, name);
    for (int k = 0; k < 2; k++) {
        for (unsigned i = 3; i < 5003; i++) rig_publish(s.rig, i);
        for (int i = 0; i < 2000; i++) gw_plane_cycle(s.rig->plane);
        if (!k) into_cell(&s, peer, MS);
        if (!k) rig_publish(s.rig, 3), gw_plane_cycle(s.rig->plane); /* the cell is used: all else waits */
    }
    CHECK_EQUAL(rig_client(s.rig, peer)->held, 5000);
    for (frame_t f; peer_frame(peer, &f);) {}
    s.rig->now = grid_of(&s, peer)->due_ns;
    first = grid_of(&s, peer)->marks.first;
    unsigned n = 0, turns = 0;
    for (frame_t f; rig_client(s.rig, peer)->held > 1 || turns < 40; turns++) {
        snprintf(name, sizeof name, "%.*s", (int)first->topic->length, first->topic->name);
        rig_publish(s.rig, rig_topic(s.rig, GW_BBO, name));
        gw_plane_cycle(s.rig->plane);
        while (peer_frame(peer, &f)) n += !strcmp(f.name, name);
        CHECK(turns < 100);
    }
    CHECK_EQUAL(n, 1);
    into_cell(&s, peer, MS);
    for (frame_t f; peer_frame(peer, &f);) n += !strcmp(f.name, name);
    CHECK_EQUAL(n, 2);
    rig_free(s.rig);
}

/* Ten seconds is the longest; the plane stands still for two turns of the wheel, and after that two moments share a slot. */
static void the_wheel_turns_and_stands_still(void) {
    scene_t s = scene(1);
    peer_t *slow = join_limited(&s, GW_BBO, "A.SIM", 1, 10000, 0), *quick = join_limited(&s, GW_BBO, "A.SIM", 1, 7, 0);
    uint64_t last[2] = {0, 0}, got = 0;
    for (int i = 0; i < 2; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    frames(slow, &last[0]);
    frames(quick, &last[1]);
    for (int64_t i = 0; i < 40 * SECOND; i += 5 * MS) {
        rig_publish(s.rig, s.bbo);
        s.rig->now += 5 * MS;
        gw_plane_cycle(s.rig->plane);
        got += frames(slow, &last[0]);
        CHECK(frames(quick, &last[1]) <= 1);
        if (i % SECOND == 0) rig_check_balance(s.rig);
    }
    CHECK(got >= 3 && got <= 5);
    rig_publish(s.rig, s.bbo);
    gw_plane_cycle(s.rig->plane);
    CHECK_EQUAL(s.rig->plane->holds_count, 2);
    s.rig->now += 2 * GW_WHEEL_MS * MS - 7000 * MS; /* and a record is there when it wakes up */
    rig_publish(s.rig, s.bbo);
    for (int i = 0; i < 4; i++) gw_plane_cycle(s.rig->plane);
    CHECK_EQUAL(frames(slow, &last[0]), 1);
    CHECK(frames(quick, &last[1]) >= 1);
    rig_publish(s.rig, s.bbo);
    pass(&s, 11 * SECOND);
    CHECK(frames(slow, &last[0]) == 1 && frames(quick, &last[1]) == 1);
    CHECK_EQUAL(last[0], s.rig->topics[s.bbo].count);
    CHECK_EQUAL(s.rig->plane->wheel->next_ms, INT64_MAX);
    rig_free(s.rig);
}

/* Marks that go with their client leave the plane nothing to wake up for, now or when they would have been due. */
static void nobody_is_woken_for_who_has_gone(void) {
    scene_t s = scene(1);
    gw_plane_t *p = s.rig->plane;
    peer_t *soon = join_limited(&s, GW_BBO, "A.SIM", 1, 100, 0), *late = join_limited(&s, GW_BBO, "A.SIM", 1, 333, 0);
    for (int i = 0; i < 2; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    CHECK_EQUAL(p->holds_count, 2);
    const int64_t due = grid_of(&s, late)->due_ns;
    CHECK(gw_wheel_due(p) == grid_of(&s, soon)->due_ns && gw_wheel_due(p) < due);
    rig_remove(s.rig, soon);
    for (int i = 0; i < 5; i++) gw_plane_cycle(p);
    CHECK_EQUAL(gw_wheel_due(p), due);
    rig_remove(s.rig, late);
    for (int i = 0; i < 5; i++) gw_plane_cycle(p);
    CHECK_EQUAL(p->holds_count, 0);
    CHECK_EQUAL(gw_wheel_due(p), INT64_MAX);
    pass(&s, SECOND);
    CHECK_EQUAL(gw_wheel_due(p), INT64_MAX);
    rig_free(s.rig);
}

/* A slot that holds what is due now, and behind it what is due a whole turn later. */
static void a_slot_may_hold_what_is_due_a_turn_later(void) {
    scene_t s = scene(1);
    peer_t *a = join_limited(&s, GW_BBO, "A.SIM", 1, 1024, 0), *b = join_limited(&s, GW_BBO, "B.SIM", 1, 1024, 0);
    for (int i = 0; i < 2; i++) rig_publish(s.rig, s.bbo), rig_publish(s.rig, s.other), pass(&s, MS);
    gw_hold_t *h = rig_client(s.rig, b)->grids;
    CHECK(h->marks.first && grid_of(&s, a)->marks.first);
    h->phase_ms = grid_of(&s, a)->phase_ms;
    gw_hold_postpone(s.rig->plane, h, grid_of(&s, a)->due_ns + GW_WHEEL_MS * MS);
    CHECK(gw_wheel_slot(s.rig->plane, h) == gw_wheel_slot(s.rig->plane, grid_of(&s, a)));
    uint64_t last[2] = {0, 0};
    s.rig->now = grid_of(&s, a)->due_ns;
    pass(&s, GW_WHEEL_MS * MS / 2);
    CHECK(frames(a, &last[0]) == 2 && frames(b, &last[1]) == 1 && h->marks.first);
    pass(&s, GW_WHEEL_MS * MS / 2 - MS);
    CHECK(h->marks.first);
    pass(&s, MS);
    CHECK(!h->marks.first && frames(b, &last[1]) == 1);
    rig_free(s.rig);
}

int main(void) {
    struct rlimit files = {RIG_FDS, RIG_FDS};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &files), 0);
    RUN(a_cell_has_one_frame_and_begins_at_its_phase);
    RUN(after_an_idle_cell_the_first_goes_at_once);
    RUN(what_waits_leaves_in_one_send_and_is_shared);
    RUN(clients_of_a_rate_have_few_phases_and_share_them_evenly);
    RUN(no_millisecond_has_the_sends_of_two_phases);
    RUN(another_rate_counts_at_once_and_is_no_frame_more);
    RUN(one_without_a_rate_may_be_given_one);
    RUN(a_name_has_its_own_rate_and_a_later_pattern_another);
    RUN(lossless_or_too_slow_a_rate_is_refused);
    RUN(what_is_due_is_let_go_some_at_a_time);
    RUN(who_has_had_the_cells_frame_does_not_join_those_still_due);
    RUN(the_wheel_turns_and_stands_still);
    RUN(nobody_is_woken_for_who_has_gone);
    RUN(a_slot_may_hold_what_is_due_a_turn_later);
    return 0;
}
