/* What is too old for its client; and rates beside ladder, levels, laps, ends and full sockets. */
#include "plane_limited.h"

/* --- what is too old --------------------------------------------------------------------------------- */

static gw_row_t row_of(scene_t *s, peer_t *peer) {
    gw_row_t row = {0};
    rig_query(s->rig, peer, 1);
    for (int i = 0; i < 3; i++) gw_plane_cycle(s->rig->plane);
    for (const gw_event_t *e; (e = gw_plane_take_event(s->rig->plane));)
        if (e->kind == GW_EVENT_STATS) row = e->rows[0];
    CHECK_EQUAL(row.routed, row.delivered + row.conflated + row.filtered + row.dropped + row.pending);
    return row;
}

static void what_is_too_old_when_it_is_due_is_filtered(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 1000, 250);
    into_cell(&s, peer, 100 * MS);
    for (int i = 0; i < 4; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    expect(peer, 1, 0);
    into_cell(&s, peer, 0);
    expect_nothing(peer); /* 896 ms old */
    gw_row_t row = row_of(&s, peer);
    CHECK(row.routed == 4 && row.delivered == 1 && row.conflated == 2 && row.filtered == 1 && row.pending == 0);
    CHECK_EQUAL(s.rig->stats->filtered[GW_BBO], 1);
    CHECK_EQUAL(s.rig->stats->pending[GW_BBO], 0);
    pass(&s, 500 * MS);
    rig_publish(s.rig, s.bbo); /* nothing was sent in this cell: it goes at once, and covers all */
    pass(&s, MS);
    expect(peer, 5, 3);
    into_cell(&s, peer, 800 * MS);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(peer, 6, 0);
    rig_publish(s.rig, s.bbo);
    into_cell(&s, peer, 0);
    expect(peer, 7, 0); /* 199 ms */
    rig_free(s.rig);
}

static void without_a_rate_it_is_the_socket_that_makes_it_old(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "*", 1, 0, 100);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(peer, 1, 0);
    peer->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_publish(s.rig, s.other);
    pass(&s, 60 * MS);
    rig_publish(s.rig, s.other);
    pass(&s, 60 * MS);
    peer->allowed = RIG_NO_LIMIT;
    pass(&s, 30 * MS);
    expect(peer, 2, 1); /* of the other topic, 60 to 90 ms old */
    expect_nothing(peer);
    CHECK_EQUAL(s.rig->stats->filtered[GW_BBO], 1);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], 0);
    rig_publish(s.rig, s.bbo);
    pass(&s, 40 * MS);
    expect(peer, 3, 1);
    CHECK_EQUAL(rig_client(s.rig, peer)->stale, 0);
    rig_free(s.rig);
}

static void filtered_then_lossless(bool blocked) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 500, 50);
    frame_t f;
    into_cell(&s, peer, 100 * MS);
    for (int i = 0; i < 2; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    expect(peer, 1, 0);
    into_cell(&s, peer, 0);
    CHECK_EQUAL(rig_client(s.rig, peer)->stale, 1);
    gw_item_t x = limited(GW_BBO, "A.SIM", 1, 0, 0);
    x.lossless = 1;
    change(&s, peer, x, 0);
    peer->allowed = blocked ? 0 : RIG_NO_LIMIT;
    if (blocked) rig_text(s.rig, peer, ++replies);
    if (blocked) pass(&s, MS);
    for (int i = 0; i < 2; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    peer->allowed = RIG_NO_LIMIT;
    pass(&s, 30 * MS);
    CHECK(data(peer, &f, NULL) && f.snapshot && f.seq == 3u + blocked && f.skipped == 1u + blocked);
    if (!blocked) expect(peer, 4, 0);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(peer, 5, 0);
    CHECK_EQUAL(rig_client(s.rig, peer)->stale, 0);
    rig_free(s.rig);
}

static void what_was_filtered_is_told_by_a_snapshot_where_loss_has_to_be(void) {
    for (int blocked = 0; blocked < 2; blocked++) filtered_then_lossless(blocked);
}

static void an_end_a_new_epoch_and_a_new_subscription_owe_nothing_of_before(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 500, 50);
    frame_t f;
    for (int k = 0; k < 3; k++) {
        into_cell(&s, peer, 100 * MS);
        for (int i = 0; i < 2; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
        into_cell(&s, peer, 0);
        while (data(peer, &f, NULL)) {}
        CHECK_EQUAL(rig_client(s.rig, peer)->stale, 1);
        if (k == 2) CHECK(rig_retire(s.rig, s.bbo));
        else if (k) rig_segment(s.rig, 1 << 20, 4096);
        else change(&s, peer, limited(GW_BBO, "A.SIM", 1, 500, 50), 1);
        pass(&s, 20 * MS);
        CHECK_EQUAL(rig_client(s.rig, peer)->stale, 0);
        rig_publish(s.rig, s.bbo);
        into_cell(&s, peer, 400 * MS);
        while (data(peer, &f, NULL)) CHECK(f.skipped == 0);
    }
    rig_free(s.rig);
}

/* --- beside everything else -------------------------------------------------------------------------- */

static void its_own_rate_is_nobodys_lateness(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 1000, 0);
    for (int i = 0; i < 3000; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    const gw_stats_t *st = s.rig->stats;
    CHECK_EQUAL(s.rig->plane->ladder.step, 0);
    CHECK(st->stage[GW_STAGE_TOTAL + 1].count >= 3 && st->class_conflated[1] > 2900);
    CHECK(st->stage[GW_STAGE_TOTAL + 1].sum < 4 * 2 * MS && st->stage[GW_STAGE_FANOUT].sum < 4 * 2 * MS);
    for (uint32_t i = 0; i < s.rig->plane->ladder.looks_count; i++)
        CHECK(s.rig->plane->ladder.looks[i].wanted[1] <= 3); /* no step of the ladder kept them back */
    (void)peer;
    rig_free(s.rig);
}

static void the_ladder_and_a_level_have_it_wait_longer(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 2, 20, 0);
    uint64_t last = 0;
    set_interval(&s, 2, 6); /* 250 ms, and 20 times as many updates: its own rate has given up more than the floor */
    unsigned n = 0;
    for (int i = 0; i < 1000; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
        n += frames(peer, &last);
    }
    CHECK(n >= 4 && n <= 5);
    set_interval(&s, 2, 1); /* 5 ms: its own is longer */
    n = 0;
    for (int i = 0; i < 1000; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
        n += frames(peer, &last);
    }
    CHECK(n >= 49 && n <= 51);
    set_interval(&s, 2, 0);
    for (int i = 0; i < 4; i++) join(&s, GW_BBO, "B.SIM", 1);
    peer->allowed = 0;
    for (int i = 0; i < 600; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    CHECK_EQUAL(s.rig->stats->levels[3], 1); /* 250 ms */
    peer->allowed = RIG_NO_LIMIT;
    pass(&s, 30 * MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    n = 0;
    for (int i = 0; i < 900; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
        n += frames(peer, &last);
    }
    CHECK(n >= 3 && n <= 4);
    rig_free(s.rig);
}

static void a_shorter_interval_does_not_hold_again_what_is_due(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "*", 2, 20, 0);
    set_interval(&s, 2, 1); /* 5 ms */
    into_cell(&s, peer, MS);
    for (int i = 0; i < 2; i++) rig_publish(s.rig, s.bbo), rig_publish(s.rig, s.other), pass(&s, MS);
    frame_t f;
    while (data(peer, &f, NULL)) {}
    const uint64_t sends = peer->sends;
    into_cell(&s, peer, 0);
    expect(peer, 2, 0);
    expect(peer, 2, 0);
    CHECK_EQUAL(peer->sends, sends + 1);
    rig_free(s.rig);
}

static void under_pressure_what_is_due_comes_last_all_the_same(void) {
    scene_t s = scene(1);
    peer_t *quick = join(&s, GW_BBO, "A.SIM", 1), *screens[30];
    uint64_t last[30] = {0}, newest = 0;
    for (int i = 0; i < 30; i++) screens[i] = join_limited(&s, GW_BBO, "A.SIM", 2, 40, 0);
    for (int i = 0; i < 30; i++) rig_client(s.rig, screens[i])->grids->phase_ms = 0;
    into_cell(&s, screens[0], 0);
    for (int i = 0; i < 5; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    for (int i = 0; i < 30; i++) CHECK(frames(screens[i], &last[i]) == 1 && grid_of(&s, screens[i])->marks.first);
    frames(quick, &newest);
    rig_publish(s.rig, s.bbo);
    s.rig->now = grid_of(&s, screens[0])->due_ns; /* it has stood in the ring for most of the cell */
    gw_plane_cycle(s.rig->plane);
    CHECK(s.rig->plane->pressed && frames(quick, &newest) == 1);
    CHECK(s.rig->plane->holds[0].first && s.rig->plane->wheel->next_ms == INT64_MAX);
    pass(&s, 5 * MS);
    for (int i = 0; i < 30; i++) CHECK(frames(screens[i], &last[i]) == 1 && last[i] == newest);
    rig_free(s.rig);
}

/* A frame leaves, the socket is full, and takes more in the same cell. */
static void a_full_socket_is_no_way_around_the_rate(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 500, 0);
    uint64_t last = 0;
    into_cell(&s, peer, 10 * MS);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    peer->allowed = 0;
    rig_text(s.rig, peer, ++replies);
    pass(&s, MS);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], 1);
    rig_publish(s.rig, s.bbo);
    pass(&s, 30 * MS);
    peer->allowed = RIG_NO_LIMIT;
    pass(&s, 60 * MS);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], 0);
    CHECK_EQUAL(frames(peer, &last), 0);
    peer->allowed = 0;
    rig_text(s.rig, peer, ++replies);
    pass(&s, MS);
    into_cell(&s, peer, 200 * MS); /* is due, and leaves late in its cell: the next one waits for the next */
    peer->allowed = RIG_NO_LIMIT;
    pass(&s, 60 * MS);
    CHECK_EQUAL(frames(peer, &last), 1);
    rig_publish(s.rig, s.bbo);
    pass(&s, 200 * MS);
    CHECK_EQUAL(frames(peer, &last), 0);
    into_cell(&s, peer, 0);
    CHECK_EQUAL(frames(peer, &last), 1);
    rig_free(s.rig);
}

static void a_lap_and_an_end_wait_for_their_cell(void) {
    scene_t s = scene(1);
    peer_t *peer = join_limited(&s, GW_BBO, "A.SIM", 1, 500, 0);
    frame_t f;
    into_cell(&s, peer, 10 * MS);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(peer, 1, 0);
    for (int i = 0; i < 10000; i++) rig_publish(s.rig, s.bbo); /* more than the ring holds */
    pass(&s, 400 * MS);
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 1);
    expect_nothing(peer);
    into_cell(&s, peer, 0);
    CHECK(data(peer, &f, NULL) && f.snapshot && f.seq == 10001 && f.skipped == 9999);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK(rig_retire(s.rig, s.bbo));
    pass(&s, 300 * MS);
    CHECK(!peer_frame(peer, &f));
    into_cell(&s, peer, 0);
    expect(peer, 10002, 0);
    CHECK(peer_frame(peer, &f) && f.kind == RETIRED);
    rig_publish(s.rig, s.bbo); /* it is back */
    into_cell(&s, peer, 10 * MS);
    CHECK(data(peer, &f, NULL) && f.snapshot && f.seq == 1 && !f.skipped);
    rig_free(s.rig);
}

static void a_snapshot_is_a_cells_frame_too(void) {
    scene_t s = scene(1);
    frame_t f;
    for (int i = 0; i < 3; i++) rig_publish(s.rig, s.bbo), pass(&s, MS);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t x = limited(GW_BBO, "A.SIM", 1, 5000, 0);
    x.snapshot = 1;
    rig_subscribe(s.rig, peer, 1, &x, 1);
    for (int i = 0; i < 3; i++) gw_plane_cycle(s.rig->plane);
    CHECK(data(peer, &f, NULL) && f.snapshot && f.seq == 3);
    rig_publish(s.rig, s.bbo);
    gw_plane_cycle(s.rig->plane);
    expect_nothing(peer);
    into_cell(&s, peer, 0);
    expect(peer, 4, 0);
    rig_free(s.rig);
}

int main(void) {
    RUN(what_is_too_old_when_it_is_due_is_filtered);
    RUN(without_a_rate_it_is_the_socket_that_makes_it_old);
    RUN(what_was_filtered_is_told_by_a_snapshot_where_loss_has_to_be);
    RUN(an_end_a_new_epoch_and_a_new_subscription_owe_nothing_of_before);
    RUN(its_own_rate_is_nobodys_lateness);
    RUN(the_ladder_and_a_level_have_it_wait_longer);
    RUN(a_shorter_interval_does_not_hold_again_what_is_due);
    RUN(under_pressure_what_is_due_comes_last_all_the_same);
    RUN(a_full_socket_is_no_way_around_the_rate);
    RUN(a_lap_and_an_end_wait_for_their_cell);
    RUN(a_snapshot_is_a_cells_frame_too);
    return 0;
}
