/* Another right for a client that is there: what it withdraws ends before anything more is written, what it gives is
 * gained by patterns, and a name that it withdraws is told to the loop. */
#include "plane_replays.h"

enum { NARROW = 1, WIDE = 2, NOTHING = 3 };

static scene_t granted(uint64_t ring) {
    scene_t s = scene(ring, rig_options());
    gw_rule_t narrow[] = {rule(GW_CHANNELS, "A.SIM", true)};
    gw_rule_t wide[] = {rule(GW_CHANNELS, "*", true)};
    CHECK_EQUAL(gw_plane_grant(s.rig->plane, NARROW, narrow, 1, 0), 0);
    CHECK_EQUAL(gw_plane_grant(s.rig->plane, WIDE, wide, 1, 0), 0);
    CHECK_EQUAL(gw_plane_grant(s.rig->plane, NOTHING, NULL, 0, 0), 0);
    s.rig->grant = WIDE;
    rig_settle(s.rig);
    return s;
}

static void regrant(rig_t *rig, peer_t *peer, unsigned reply, uint32_t grant) {
    gw_command_t *x = rig_reply(GW_CMD_REGRANT, peer->handle, reply, 0);
    x->grant = grant;
    rig_post(rig, x);
}

/* Whether the peer is told anything of the name before the reply, or behind it. */
static void heard(peer_t *peer, const char *name, unsigned reply, unsigned *before, unsigned *behind) {
    frame_t f;
    *before = *behind = 0;
    for (unsigned *n = before; peer_frame(peer, &f);) {
        if (f.kind == REPLY && f.reply == reply) n = behind;
        if (f.kind != REPLY && !strcmp(f.name, name)) ++*n;
    }
}

static void drain(peer_t *peer) {
    frame_t f;
    while (peer_frame(peer, &f)) {}
}

static uint64_t told_forbidden(rig_t *rig) {
    uint64_t ids = 0;
    for (const gw_event_t *e; (e = gw_plane_take_event(rig->plane));)
        if (e->kind == GW_EVENT_FORBIDDEN) ids |= 1ull << e->token;
    return ids;
}

static void what_is_withdrawn_ends_before_anything_more_is_written(void) {
    for (int pattern = 0; pattern < 2; pattern++) {
        scene_t s = granted(RING);
        peer_t *peer = rig_connect(s.rig);
        gw_item_t items[] = {item(1, GW_TRADE, pattern ? "*" : "A.SIM", true, false), item(2, GW_TRADE, "B.SIM", true, false)};
        rig_subscribe(s.rig, peer, 1, items, pattern ? 1 : 2);
        rig_settle(s.rig);
        drain(peer);
        for (int i = 0; i < 20; i++) publish(&s, s.b, 1), publish(&s, s.a, 1);
        gw_plane_cycle(s.rig->plane); /* some of it is queued */
        regrant(s.rig, peer, 2, NARROW);
        rig_settle(s.rig);
        publish(&s, s.b, 5), publish(&s, s.a, 5);
        rig_settle(s.rig);
        unsigned before, behind;
        const uint64_t ids = told_forbidden(s.rig);
        CHECK_EQUAL(ids, pattern ? 0 : 1u << 2);
        CHECK_EQUAL(s.rig->stats->forbidden[0], !pattern);
        CHECK_EQUAL(s.rig->stats->links[0], 1);
        heard(peer, "B.SIM", 2, &before, &behind);
        CHECK_EQUAL(behind, 0);
        rig_check_balance(s.rig);
        end(&s);
    }
}

/* Requests that were asked before it take turns; between them the client gets what waits, but not now. */
static void nothing_is_written_between_the_requests_before_it(void) {
    scene_t s = granted(RING);
    for (unsigned i = 0; i < 40; i++) rig_named(s.rig, GW_BBO, "Q%u.SIM", i);
    rig_settle(s.rig);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t names[] = {item(1, GW_TRADE, "A.SIM", true, false), item(2, GW_TRADE, "B.SIM", true, false)};
    gw_item_t all = item(3, GW_BBO, "*", false, true);
    rig_subscribe(s.rig, peer, 1, names, 2);
    rig_settle(s.rig);
    drain(peer);
    const int64_t units = s.rig->plane->turn_units;
    s.rig->plane->turn_units = 8; /* each request takes many turns */
    rig_subscribe(s.rig, peer, 2, &all, 1);
    rig_query(s.rig, peer, 7);
    rig_text(s.rig, peer, 3);
    regrant(s.rig, peer, 4, NARROW);
    for (int i = 0; i < 6; i++) s.rig->now += 200000, gw_plane_cycle(s.rig->plane);
    CHECK(rig_client(s.rig, peer)->job != NULL);
    CHECK_EQUAL(rig_client(s.rig, peer)->grant, NARROW); /* swapped, though it is not its turn */
    publish(&s, s.b, 20), publish(&s, s.a, 1);
    for (int i = 0; i < 20; i++) s.rig->now += 200000, gw_plane_cycle(s.rig->plane);
    CHECK(rig_client(s.rig, peer)->job != NULL);
    s.rig->plane->turn_units = units;
    rig_settle(s.rig);
    unsigned before, behind;
    heard(peer, "B.SIM", 4, &before, &behind);
    CHECK_EQUAL(before + behind, 0);
    CHECK(!rig_client(s.rig, peer)->regrants);
    rig_check_balance(s.rig);
    end(&s);
}

/* A socket that takes nothing: all of it waits, and goes. */
static void what_waits_for_a_slow_client_is_purged(void) {
    scene_t s = granted(RING);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t items[] = {item(1, GW_TRADE, "*", true, false)};
    rig_subscribe(s.rig, peer, 1, items, 1);
    rig_settle(s.rig);
    drain(peer);
    peer->allowed = 0;
    publish(&s, s.a, 3), publish(&s, s.b, 50);
    rig_settle(s.rig);
    rig_query(s.rig, peer, 7); /* a request that is answered first */
    regrant(s.rig, peer, 2, NARROW);
    rig_settle(s.rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    unsigned before, behind;
    heard(peer, "B.SIM", 2, &before, &behind);
    CHECK_EQUAL(before + behind, 0);
    CHECK_EQUAL(s.rig->stats->pending[GW_TRADE], 0);
    rig_check_balance(s.rig);
    end(&s);
}

static void a_replay_of_what_is_withdrawn_stops(void) {
    scene_t s = granted(RING);
    history(&s, s.b, 3000);
    peer_t *peer = rig_connect(s.rig);
    const gw_item_t b = item(7, GW_TRADE, "B.SIM", true, true);
    ask(&s, peer, from(b, GW_FROM_LAST, UINT64_MAX, NULL));
    regrant(s.rig, peer, 2, NARROW);
    rig_settle(s.rig);
    unsigned before, behind;
    heard(peer, "B.SIM", 2, &before, &behind);
    CHECK_EQUAL(behind, 0);
    CHECK_EQUAL(told_forbidden(s.rig), 1u << 7);
    CHECK_EQUAL(s.rig->stats->links[0], 0);
    rig_check_balance(s.rig);
    end(&s);
}

static void patterns_gain_what_is_given(void) {
    scene_t s = granted(RING);
    s.rig->grant = NOTHING;
    history(&s, s.a, 3), history(&s, s.b, 3);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, true);
    rig_subscribe(s.rig, peer, 1, &all, 1);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->links[0], 0);
    regrant(s.rig, peer, 2, NARROW);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->links[0], 1);
    regrant(s.rig, peer, 3, 0); /* everything */
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->links[0], 2);
    publish(&s, s.b, 1);
    rig_settle(s.rig);
    unsigned before, behind;
    heard(peer, "B.SIM", 3, &before, &behind);
    CHECK_EQUAL(before, 0);
    CHECK_EQUAL(behind, 2); /* its state, then news */
    rig_check_balance(s.rig);
    end(&s);
}

static void a_grant_limits_topics(void) {
    scene_t s = granted(RING);
    gw_rule_t wide[] = {rule(GW_CHANNELS, "*", true)};
    CHECK_EQUAL(gw_plane_grant(s.rig->plane, 4, wide, 1, 1), 0);
    s.rig->grant = 4;
    history(&s, s.a, 1), history(&s, s.b, 1);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, true);
    rig_subscribe(s.rig, peer, 1, &all, 1);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->links[0], 1);
    CHECK_EQUAL(s.rig->stats->limits_met[0], 1);
    end(&s);
}

/* The old one may be loaded anew as soon as nobody has it; the new one may not. */
static void counts_of_who_has_a_grant_follow(void) {
    scene_t s = granted(RING);
    gw_plane_t *p = s.rig->plane;
    gw_rule_t rules[] = {rule(GW_CHANNELS, "*", true)};
    peer_t *peer = rig_connect(s.rig);
    CHECK_EQUAL(gw_plane_grant(p, WIDE, rules, 1, 0), -EBUSY);
    regrant(s.rig, peer, 1, NARROW);
    CHECK_EQUAL(gw_plane_grant(p, WIDE, rules, 1, 0), 0);
    CHECK_EQUAL(gw_plane_grant(p, NARROW, rules, 1, 0), -EBUSY);
    gw_command_t *x = rig_reply(GW_CMD_REGRANT, peer->handle, 2, 0);
    x->grant = 9; /* one that was never loaded */
    CHECK_EQUAL(gw_plane_post(p, x), -EINVAL);
    rig_settle(s.rig);
    end(&s);
}

/* Both lists have to allow. */
static void a_second_list_is_a_limit(void) {
    gw_rule_t rules[] = {rule(GW_CHANNELS, "A*", true), rule(GW_CHANNELS, "*", true), rule(GW_BBO, "AB", true),
                         rule(GW_CHANNELS, "A*", true)};
    rules[2].list = rules[3].list = 1;
    rules[0].channels = 1u << GW_TRADE | 1u << GW_BOOK;
    gw_granted_t room[4];
    gw_right_t right;
    CHECK_EQUAL(gw_right_fill(&right, room, rules, 4), 0);
    static const struct {
        uint8_t channel;
        const char *name;
        int allowed;
        uint32_t found[2];
    } cases[] = {{GW_TRADE, "AB", 1, {0, 3}}, {GW_BBO, "AB", 1, {1, 2}}, {GW_BOOK, "B", 0, {1, GW_RULE_NONE}},
                 {GW_LOCAL, "A", 1, {1, 3}}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_name_t name;
        uint32_t found[GW_RULE_LISTS], steps = 0;
        gw_name_fill(&name, cases[i].channel, cases[i].name, strlen(cases[i].name));
        CHECK_EQUAL(gw_right_decide(&right, &name, found, &steps), cases[i].allowed);
        CHECK(found[0] == cases[i].found[0] && found[1] == cases[i].found[1]);
    }
    gw_right_t none;
    gw_name_t name;
    uint32_t found[GW_RULE_LISTS], steps = 0;
    gw_name_fill(&name, GW_TRADE, "A", 1);
    CHECK_EQUAL(gw_right_fill(&none, room, NULL, 0), 0);
    CHECK(!gw_right_decide(&none, &name, found, &steps));
    rules[0].channels = 0;
    CHECK_EQUAL(gw_right_fill(&right, room, rules, 1), -EINVAL);
}

int main(void) {
    RUN(what_is_withdrawn_ends_before_anything_more_is_written);
    RUN(nothing_is_written_between_the_requests_before_it);
    RUN(what_waits_for_a_slow_client_is_purged);
    RUN(a_replay_of_what_is_withdrawn_stops);
    RUN(patterns_gain_what_is_given);
    RUN(a_grant_limits_topics);
    RUN(counts_of_who_has_a_grant_follow);
    RUN(a_second_list_is_a_limit);
    return 0;
}
