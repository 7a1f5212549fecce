/* The controller in the plane: what it measures, what is a stall, whom it blames. */
#include "plane_scene.h"

/* --- stalls ---------------------------------------------------------------------------------------- */

static void a_stall_is_told_and_nobody_is_blamed(void) {
    scene_t s = scene(1);
    peer_t *slow = join(&s, GW_BBO, "A.SIM", 1), *whole = join(&s, GW_TRADE, "A.SIM", 0);
    slow->allowed = whole->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_publish(s.rig, s.trade);
    pass(&s, 40 * MS);
    for (int i = 0; i < 10; i++) stop(&s, 300 * MS); /* 3 s: longer than a lossless queue may wait */
    CHECK_EQUAL(s.rig->stats->plane_stalls[0], 10);
    CHECK_EQUAL(s.rig->stats->plane_stall_ns[0], 3000 * MS);
    CHECK_EQUAL(s.rig->stats->level_down[0], 0);
    gw_event_t e = event_of(&s, GW_EVENT_STALL);
    CHECK(e.token == 300 * MS && strstr(e.reason, "stood still for 300 ms"));
    CHECK(event_of(&s, GW_EVENT_CLOSE).kind != GW_EVENT_CLOSE);
    pass(&s, 1500 * MS); /* from now on the time is theirs */
    CHECK(event_of(&s, GW_EVENT_CLOSE).kind != GW_EVENT_CLOSE);
    CHECK_EQUAL(s.rig->stats->levels[3], 1);
    pass(&s, 700 * MS);
    CHECK_EQUAL(event_of(&s, GW_EVENT_CLOSE).kind, GW_EVENT_CLOSE);
    rig_free(s.rig);
}

static void hard_work_is_no_stall(void) {
    scene_t s = scene(1);
    pass(&s, 50 * MS);
    for (int i = 0; i < 10; i++) {
        s.rig->now += 300 * MS;
        gw_plane_cycle(s.rig->plane);
    }
    CHECK_EQUAL(s.rig->stats->plane_stalls[0], 0);
    rig_free(s.rig);
}

/* A busy plane has used its CPU until the moment in which it was stopped. */
static void a_stall_right_after_work_is_told(void) {
    scene_t s = scene(1);
    pass(&s, 195 * MS);
    stop(&s, 150 * MS);
    CHECK_EQUAL(s.rig->stats->plane_stalls[0], 1);
    rig_free(s.rig);
}

/* A short stop now and then does not keep one for ever who takes nothing. */
static void stalls_put_a_close_off_by_what_they_took(void) {
    gw_plane_options_t o = rig_options();
    o.enforce = 1;
    o.stall_max_ns = 20000 * MS;
    scene_t s = scene_with(o);
    peer_t *slow = join(&s, GW_BBO, "A.SIM", 1);
    slow->allowed = 0;
    int64_t from = s.rig->now;
    while (event_of(&s, GW_EVENT_CLOSE).kind != GW_EVENT_CLOSE) {
        rig_publish(s.rig, s.bbo);
        pass(&s, 1500 * MS);
        stop(&s, 500 * MS);
        CHECK(s.rig->now - from < 30000 * MS);
    }
    CHECK(s.rig->now - from > 25000 * MS);
    rig_free(s.rig);
}

/* The thread was stopped between two sends of a sweep: what came meanwhile is late, and through nobody. */
static void what_came_in_a_stall_is_no_overload(void) {
    scene_t s = scene(1);
    for (int i = 0; i < 10; i++) join(&s, GW_BBO, "A.SIM", 1);
    join(&s, GW_BBO, "A.SIM", 2);
    pass(&s, 300 * MS);
    for (int i = 0; i < 300; i++) {
        rig_publish(s.rig, s.bbo);
        s.rig->now += MS;
        s.rig->stopped += MS;
    }
    s.rig->plane->now = s.rig->now;
    gw_control(s.rig->plane);
    for (int i = 0; i < 50; i++) {
        pass(&s, 10 * MS);
        rig_publish(s.rig, s.bbo);
    }
    CHECK_EQUAL(s.rig->stats->plane_stalls[0], 1);
    CHECK_EQUAL(s.rig->stats->ladder_up[0], 0);
    CHECK_EQUAL(s.rig->stats->overload_since_ns[0], 0);
    rig_free(s.rig);
}

/* --- measures -------------------------------------------------------------------------------------- */

/* A restarted worker goes on counting where the last one stood; none of it was done in its first 100 ms. */
static void what_an_earlier_process_counted_is_no_load(void) {
    scene_t s = scene(1);
    gw_stats_t *stats = s.rig->stats;
    stats->routed[GW_BBO] = stats->delivered[GW_BBO] = stats->sends[0] = 1000000000;
    stats->stage[GW_STAGE_TOTAL + 1].count = 1000000000;
    pass(&s, 1000 * MS);
    CHECK_EQUAL(stats->delivered_per_s[0], 0);
    CHECK_EQUAL(stats->delivery_cost_ns[0], 0);
    CHECK(s.rig->plane->ladder.delivered[1] < 1);
    rig_free(s.rig);
}

static void gauges_of_an_earlier_process_are_gone(void) {
    gw_stats_t *stats = calloc(1, sizeof *stats);
    gw_plane_options_t o = rig_options();
    gw_plane_t *p;
    o.stats = stats;
    stats->ladder_step[0] = stats->infeasible[0] = stats->overload_since_ns[0] = 7;
    stats->conflation_interval_ns[2] = 5 * MS;
    stats->levels[1] = stats->class_links[2] = stats->ladder_up[0] = 3;
    CHECK_EQUAL(gw_plane_create(&o, &p), 0);
    CHECK(!stats->ladder_step[0] && !stats->infeasible[0] && !stats->overload_since_ns[0]);
    CHECK(!stats->conflation_interval_ns[2] && !stats->levels[1] && !stats->class_links[2]);
    CHECK_EQUAL(stats->ladder_up[0], 3); /* a count, which goes on */
    gw_plane_destroy(p);
    free(stats);
}

/* So many deliveries that their cost is looked at. */
static void deliver(scene_t *s, int count) {
    for (int i = 0; i < count; i++) rig_publish(s->rig, s->bbo);
    s->rig->cost_ns = MS / 2;
    gw_plane_cycle(s->rig->plane);
    s->rig->cost_ns = 0;
}

static void a_stall_makes_no_delivery_dear(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    pass(&s, 150 * MS);
    deliver(&s, 100);
    pass(&s, 150 * MS);
    uint64_t cost = s.rig->stats->delivery_cost_ns[0];
    CHECK(cost > 0 && cost < 100000);
    deliver(&s, 100);
    rig_text(s.rig, peer, 2);
    s.rig->cost_ns = s.rig->cost_stopped_ns = 3000 * MS; /* stopped in the middle of a cycle */
    gw_plane_cycle(s.rig->plane);
    s.rig->cost_ns = s.rig->cost_stopped_ns = 0;
    pass(&s, 150 * MS);
    CHECK_EQUAL(s.rig->stats->plane_stalls[0], 1);
    CHECK(s.rig->stats->delivery_cost_ns[0] <= cost);
    CHECK(!s.rig->stats->infeasible[0]);
    rig_free(s.rig);
}

/* A sweep takes longer than the time between two looks: each sees the part of it that was its own. */
static void a_look_within_a_cycle_counts_its_work(void) {
    scene_t s = scene(1);
    pass(&s, 150 * MS);
    gw_plane_t *p = s.rig->plane;
    p->begun_ns = p->now;
    p->now = s.rig->now += 150 * MS;
    gw_control(p);
    CHECK(s.rig->stats->plane_busy_ppm[0] > 500000);
    rig_free(s.rig);
}

/* A sweep is as long as its deliveries see it: one over many clients is that of many. */
static void a_sweep_counts_by_its_clients(void) {
    scene_t s = scene(1);
    for (int i = 0; i < 9; i++) join(&s, GW_BBO, "A.SIM", 1);
    join(&s, GW_BBO, "B.SIM", 1);
    pass(&s, 150 * MS);
    s.rig->cost_ns = 10000;
    for (int i = 0; i < 20; i++) {
        rig_publish(s.rig, i % 2 ? s.bbo : s.other);
        gw_plane_cycle(s.rig->plane);
    }
    s.rig->cost_ns = 0;
    CHECK_EQUAL(s.rig->stats->sweep_ns[0], 0); /* nobody has looked yet */
    pass(&s, 150 * MS);
    CHECK_EQUAL(s.rig->stats->sweep_clients[0], (9 * 9 + 1 * 1) / 10);
    CHECK_EQUAL(s.rig->stats->sweep_ns[0], (9 * 90000 + 1 * 10000) / 10);
    CHECK_EQUAL(s.rig->stats->delivered_per_s[0], 750); /* a look at 1,000 a second, then one at none */
    rig_free(s.rig);
}

/* A sweep of several turns, with a look in the middle, is one. */
static void a_sweep_is_one_whoever_looks_meanwhile(void) {
    scene_t s = scene(1);
    gw_plane_t *p = s.rig->plane;
    for (int i = 0; i < 20; i++) join(&s, GW_BBO, "A.SIM", 1);
    pass(&s, 150 * MS);
    s.rig->cost_ns = 10 * MS;
    rig_publish(s.rig, s.bbo);
    gw_plane_cycle(p); /* sixteen visits, and then a look */
    CHECK_EQUAL((int64_t)p->control.swept, 0);
    gw_plane_cycle(p);
    CHECK_EQUAL((int64_t)p->control.swept, 20);
    CHECK_EQUAL((int64_t)(p->control.swept_ns / p->control.swept), 200 * MS);
    rig_free(s.rig);
}

/* A write costs more the more it carries, but not by much: both are told apart once loads have differed. */
static void what_a_write_carries_is_told_from_the_write(void) {
    scene_t s = scene(1);
    gw_stats_t *stats = s.rig->stats;
    for (int i = 0; i < 10; i++) join(&s, GW_BBO, "A.SIM", 1);
    pass(&s, 150 * MS);
    for (int look = 0; look < 60; look++) {
        int carried = look % 2 ? 20 : 5;
        for (int i = 0; i < 10; i++) {
            for (int k = 0; k < carried; k++) rig_publish(s.rig, s.bbo);
            s.rig->cost_ns = 5000 + 100 * carried;
            gw_plane_cycle(s.rig->plane);
            s.rig->cost_ns = 0;
        }
        pass(&s, 101 * MS);
    }
    CHECK(stats->write_fixed_ns[0] > 4900 && stats->write_fixed_ns[0] < 5100);
    CHECK(stats->write_each_ps[0] > 95000 && stats->write_each_ps[0] < 105000);
    rig_free(s.rig);
}

/* What a level holds back is old because its client is slow; the ladder is for when we are. */
static void a_slow_client_is_not_the_ladders(void) {
    scene_t s = scene(1);
    peer_t *peers[10];
    for (int i = 0; i < 10; i++) peers[i] = join(&s, GW_BBO, "A.SIM", 1);
    join(&s, GW_BBO, "A.SIM", 2);
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 4; k++) peers[k]->allowed = i % 20 < 8 ? 0 : RIG_NO_LIMIT;
        for (int k = 0; k < 6; k++) {
            rig_publish(s.rig, s.bbo);
            pass(&s, 5 * MS);
        }
    }
    CHECK(s.rig->stats->level_down[0] > 0);
    CHECK_EQUAL(s.rig->stats->ladder_up[0], 0);
    rig_free(s.rig);
}

/* --- the whole ------------------------------------------------------------------------------------- */

/* Every record stands in the ring for longer than the target: steps are taken, told, shown, taken back. */
static void the_ladder_acts_in_the_plane(void) {
    scene_t s = scene(1);
    peer_t *quick = join(&s, GW_BBO, "A.SIM", 1), *screen = join(&s, GW_BBO, "A.SIM", 2);
    frame_t f, told = {.kind = DATA};
    for (int i = 0; i < 160; i++) {
        for (int k = 0; k < 3; k++) rig_publish(s.rig, s.bbo);
        s.rig->now += 2 * TARGET_NS;
        gw_plane_cycle(s.rig->plane);
        s.rig->now += MS;
        gw_plane_cycle(s.rig->plane);
    }
    rig_check_balance(s.rig);
    CHECK(s.rig->stats->ladder_step[0] >= 2 && s.rig->stats->ladder_up[0] >= 2);
    CHECK_EQUAL(s.rig->stats->ladder_highest[0], (uint64_t)s.rig->plane->ladder.highest);
    CHECK(s.rig->stats->conflation_interval_ns[2] >= 10 * (uint64_t)MS);
    CHECK(s.rig->stats->overload_since_ns[0] > 0);
    gw_event_t e = event_of(&s, GW_EVENT_LADDER);
    CHECK(e.handle == 0 && e.code == 1 && e.error == 0 && strstr(e.reason, "class 2 to 5 ms"));
    while (data(screen, &f, &told)) {}
    CHECK(told.kind == CONFLATION && told.interval_ms[2] >= 5);
    while (data(quick, &f, &told)) CHECK(!f.skipped);
    for (int i = 0; i < 1000; i++) {
        if (i % 5 == 0) rig_publish(s.rig, s.bbo);
        pass(&s, 10 * MS);
    }
    CHECK_EQUAL(s.rig->stats->ladder_step[0], 0);
    CHECK_EQUAL(s.rig->stats->ladder_down[0], s.rig->stats->ladder_up[0]);
    CHECK_EQUAL(s.rig->stats->overload_since_ns[0], 0);
    CHECK(s.rig->stats->delivered_per_s[0] > 0 && s.rig->stats->audience_max[0] == 1);
    rig_free(s.rig);
}

/* By a target of 1 s that load is none; by the scene's it is, and by one of 1 s it is over again. */
static void another_objective_judges_from_the_next_look_on(void) {
    scene_t s = scene(1);
    gw_stats_t *stats = s.rig->stats;
    join(&s, GW_BBO, "A.SIM", 1);
    join(&s, GW_BBO, "A.SIM", 2);
    for (int round = 0; round < 3; round++) {
        uint64_t steps = stats->ladder_step[0];
        gw_plane_objective(s.rig->plane, round == 1 ? TARGET_NS : 1000 * MS, round == 1 ? 10000 : 1000);
        for (int i = 0; i < 160; i++) {
            for (int k = 0; k < 3; k++) rig_publish(s.rig, s.bbo);
            s.rig->now += 2 * TARGET_NS;
            gw_plane_cycle(s.rig->plane);
            s.rig->now += MS;
            gw_plane_cycle(s.rig->plane);
            if (round == 1 && !i) CHECK_EQUAL(stats->ladder_step[0], 0); /* what it was judged by is past */
        }
        rig_check_balance(s.rig);
        CHECK_EQUAL(s.rig->plane->ladder.late_ppm, round == 1 ? 10000 : 1000);
        CHECK_EQUAL(s.rig->plane->control.edge_over_ns, (round == 1 ? TARGET_NS : 1000 * MS) / 10 * 8);
        if (round == 1) CHECK(stats->ladder_step[0] >= 2 && stats->overload_since_ns[0] > 0);
        else CHECK(stats->overload_since_ns[0] == 0 && stats->ladder_step[0] <= steps);
    }
    rig_free(s.rig);
}

/* --- what comes at full speed ----------------------------------------------------------------------- */

/* A replay that its readers slow down: alone, in a run, as a mark and cut by a short write. */
static void what_is_paced_is_no_business_of_the_objective(void) {
    scene_t s = scene(1);
    peer_t *fast = join(&s, GW_TRADE, "A.SIM", 0), *slow = join(&s, GW_BBO, "A.SIM", 1);
    gw_stats_t *stats = s.rig->stats;
    for (int i = 1; i <= 3; i++) {
        slow->allowed = i < 3 ? 0 : 10; /* then a part of a frame */
        for (int k = 0; k < i; k++) {
            rig_publish_flags(s.rig, s.trade, GW_FLAG_PACED);
            rig_publish_flags(s.rig, s.bbo, GW_FLAG_PACED);
        }
        s.rig->now += 300 * MS;
        rig_settle(s.rig);
        slow->allowed = RIG_NO_LIMIT;
        rig_settle(s.rig);
    }
    CHECK(fast->length > 0);
    CHECK_EQUAL(stats->delivered[GW_TRADE], 6);
    CHECK_EQUAL(stats->delivered[GW_BBO] + stats->conflated[GW_BBO], 6);
    for (unsigned k = 0; k < GW_CLASSES; k++) CHECK_EQUAL(stats->stage[GW_STAGE_TOTAL + k].count, 0);
    CHECK_EQUAL(s.rig->plane->control.look.count, 0);
    rig_publish(s.rig, s.trade);
    rig_settle(s.rig);
    CHECK_EQUAL(stats->stage[GW_STAGE_TOTAL].count, 1);
    rig_free(s.rig);
}

int main(void) {
    RUN(a_stall_is_told_and_nobody_is_blamed);
    RUN(hard_work_is_no_stall);
    RUN(a_stall_right_after_work_is_told);
    RUN(stalls_put_a_close_off_by_what_they_took);
    RUN(what_came_in_a_stall_is_no_overload);
    RUN(what_an_earlier_process_counted_is_no_load);
    RUN(gauges_of_an_earlier_process_are_gone);
    RUN(a_stall_makes_no_delivery_dear);
    RUN(a_look_within_a_cycle_counts_its_work);
    RUN(a_sweep_counts_by_its_clients);
    RUN(a_sweep_is_one_whoever_looks_meanwhile);
    RUN(what_a_write_carries_is_told_from_the_write);
    RUN(a_slow_client_is_not_the_ladders);
    RUN(the_ladder_acts_in_the_plane);
    RUN(another_objective_judges_from_the_next_look_on);
    RUN(what_is_paced_is_no_business_of_the_objective);
    return 0;
}
