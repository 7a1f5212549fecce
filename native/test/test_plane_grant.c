/* Rights: what a client is told of, and never gets, of topics that are not granted to it. */
#include "plane_scene.h"

static rig_t *made(const gw_rule_t *rules, uint32_t count) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 64);
    CHECK_EQUAL(gw_plane_grant(rig->plane, 1, rules, count, 0), 0);
    rig->grant = 1;
    rig_settle(rig);
    return rig;
}

static frame_t ask(rig_t *rig, peer_t *peer, unsigned reply, const gw_item_t *items, uint32_t n) {
    frame_t f;
    gw_command_t *x = rig_reply(GW_CMD_SUBSCRIBE, peer->handle, reply, n);
    memcpy(x->items, items, n * sizeof *items);
    for (uint32_t i = 0; i < n; i++) /* as replies to patterns ask */
        if (items[i].is_pattern) x->fills[2 + i].kind = GW_FILL_MATCHED;
    rig_post(rig, x);
    rig_settle(rig);
    do CHECK(peer_frame(peer, &f));
    while (f.kind != REPLY || f.reply != reply);
    return f;
}

/* The ids that were refused so, in order; 0 behind the last. */
static const uint64_t *forbidden(rig_t *rig, const peer_t *peer) {
    static uint64_t ids[8];
    memset(ids, 0, sizeof ids);
    unsigned n = 0;
    for (const gw_event_t *e; (e = gw_plane_take_event(rig->plane));) {
        if (e->kind != GW_EVENT_FORBIDDEN) continue;
        CHECK(e->handle == peer->handle && n < 7);
        ids[n++] = e->token;
    }
    return ids;
}

static uint64_t publish(rig_t *rig, const char *name) {
    unsigned t = rig_topic(rig, GW_TRADE, name);
    rig_publish(rig, t);
    rig_settle(rig);
    return rig->topics[t].count;
}

static bool comes(peer_t *peer, const char *name) {
    frame_t f;
    bool found = false;
    while (peer_frame(peer, &f)) {
        CHECK(f.kind == HEARTBEAT || (f.kind == DATA && !strcmp(f.name, name)));
        found |= f.kind == DATA;
    }
    return found;
}

/* threat I1 */
static void a_name_that_is_not_granted_is_forbidden_whether_it_exists_or_not(void) {
    gw_rule_t rules[] = {rule(GW_TRADE, "A.SIM", true)};
    rig_t *rig = made(rules, 1);
    CHECK(publish(rig, "A.SIM") == 1 && publish(rig, "B.SIM") == 1);
    peer_t *peer = rig_connect(rig);
    gw_item_t items[] = {item(1, GW_TRADE, "A.SIM", true, true), item(2, GW_TRADE, "B.SIM", true, true),
                         item(3, GW_TRADE, "NONE.SIM", true, true), item(4, GW_BBO, "A.SIM", true, true)};
    const uint32_t waiting = rig->plane->topics_waiting;
    frame_t f = ask(rig, peer, 1, items, 4);
    CHECK(f.seqs[0] == 1 && f.seqs[1] == 0 && f.seqs[2] == 0 && f.seqs[3] == 0);
    const uint64_t *ids = forbidden(rig, peer);
    CHECK(ids[0] == 2 && ids[1] == 3 && ids[2] == 4 && ids[3] == 0);
    CHECK_EQUAL(rig->stats->forbidden[0], 3);
    CHECK_EQUAL(rig->stats->limits_met[0], 0);
    CHECK_EQUAL(rig->plane->topics_waiting, waiting); /* nobody waits for it */
    CHECK(comes(peer, "A.SIM"));
    publish(rig, "B.SIM"), publish(rig, "NONE.SIM");
    CHECK(!comes(peer, "A.SIM"));
    rig_query(rig, peer, 9);
    rig_settle(rig);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_STATS && e->rows_count == 1 && e->rows[0].id == 1);
    rig_check_balance(rig);
    rig_free(rig);
}

/* threat I2 */
static void a_pattern_covers_what_is_granted_alone_now_and_later(void) {
    gw_rule_t rules[] = {rule(GW_TRADE, "AX*", false), rule(GW_CHANNELS, "A*.SIM", true)};
    rig_t *rig = made(rules, 2);
    publish(rig, "A1.SIM"), publish(rig, "AX1.SIM"), publish(rig, "B1.SIM");
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, true);
    CHECK_EQUAL(ask(rig, peer, 1, &all, 1).seqs[0], 1); /* matched */
    CHECK(comes(peer, "A1.SIM"));
    publish(rig, "AX1.SIM"), publish(rig, "AX2.SIM"), publish(rig, "B2.SIM");
    CHECK(!comes(peer, ""));
    publish(rig, "A2.SIM");
    CHECK(comes(peer, "A2.SIM"));
    CHECK_EQUAL(rig->stats->links[0], 2);
    CHECK(!*forbidden(rig, peer)); /* of a pattern that is no error */
    rig->grant = 0;
    peer_t *free_one = rig_connect(rig);
    CHECK_EQUAL(ask(rig, free_one, 1, &all, 1).seqs[0], 6);
    rig_free(rig);
}

/* Another topic may have the number of one that was asked for. */
static void an_answer_goes_with_its_topic(void) {
    gw_rule_t rules[] = {rule(GW_CHANNELS, "OLD.SIM", true)};
    rig_t *rig = made(rules, 1);
    publish(rig, "OLD.SIM");
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false);
    CHECK_EQUAL(ask(rig, peer, 1, &all, 1).seqs[0], 1);
    const uint32_t number = gw_topic_find(rig->plane, GW_TRADE, "OLD.SIM", 7)->number;
    CHECK(rig_retire(rig, rig_topic(rig, GW_TRADE, "OLD.SIM")));
    for (int i = 0; i < 20; i++) rig->now += 100 * MS, rig_settle(rig);
    publish(rig, "NEW.SIM");
    CHECK_EQUAL(gw_topic_find(rig->plane, GW_TRADE, "NEW.SIM", 7)->number, number);
    frame_t f;
    while (peer_frame(peer, &f)) CHECK(strcmp(f.name, "NEW.SIM"));
    rig_free(rig);
}

static void the_first_rule_decides_and_none_denies(void) {
    gw_rule_t rules[] = {rule(GW_CHANNELS, "A.SIM", true), rule(GW_CHANNELS, "A*", false), rule(GW_BBO, "*", true),
                         rule(GW_CHANNELS, "S~R.SIM", true), rule(GW_LOCAL, "framed", true)};
    rules[3].name[1] = '*'; /* a name whose star is itself */
    rig_t *rig = made(rules, 5);
    static const struct {
        uint8_t channel;
        const char *name;
        int allowed;
    } cases[] = {{GW_TRADE, "A.SIM", 1}, {GW_TRADE, "AB.SIM", 0}, {GW_BBO, "AB.SIM", 0}, {GW_BBO, "B.SIM", 1},
                 {GW_TRADE, "B.SIM", 0}, {GW_TRADE, "S*R.SIM", 1}, {GW_TRADE, "SXR.SIM", 0}, {GW_LOCAL, "framed", 1},
                 {GW_LOCAL, "plain", 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_item_t x = item(1, cases[i].channel, cases[i].name, false, true);
        int64_t budget = 1000;
        CHECK_EQUAL(gw_grant_allows_name(rig->plane, 1, &x, &budget), cases[i].allowed);
        CHECK(budget < 1000);
        gw_topic_t *t = gw_topic_find(rig->plane, cases[i].channel, cases[i].name, strlen(cases[i].name));
        if (!t) t = gw_topic_make(rig->plane, cases[i].channel, cases[i].name, strlen(cases[i].name));
        for (int again = 0; again < 2; again++) {
            int64_t left = 1000;
            CHECK_EQUAL(gw_grant_allows(rig->plane, 1, t, &left), cases[i].allowed);
            if (again && cases[i].channel != GW_LOCAL) CHECK_EQUAL(left, 1000); /* one bit, no rule */
        }
    }
    int64_t budget = 0;
    CHECK(!gw_grant_allows(rig->plane, 2, rig->plane->topics[0], &budget)); /* a grant that there is not */
    rig_free(rig);
}

/* threat I3 */
static void limits_tell_nothing_of_what_is_not_granted(void) {
    gw_rule_t rules[] = {rule(GW_CHANNELS, "A*", true)};
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 1;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 20, 64);
    CHECK_EQUAL(gw_plane_grant(rig->plane, 1, rules, 1, 0), 0);
    rig->grant = 1;
    rig_settle(rig);
    publish(rig, "A1.SIM"), publish(rig, "B1.SIM");
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false), other = item(2, GW_TRADE, "B1.SIM", true, false);
    ask(rig, peer, 1, &all, 1);
    publish(rig, "B2.SIM");
    ask(rig, peer, 2, &other, 1);
    CHECK_EQUAL(rig->stats->limits_met[0], 0);
    CHECK_EQUAL(forbidden(rig, peer)[0], 2);
    publish(rig, "A2.SIM");
    CHECK_EQUAL(rig->stats->limits_met[0], 1);
    rig_free(rig);
}

static void a_grant_does_not_change_under_those_who_have_it(void) {
    gw_rule_t rules[] = {rule(GW_CHANNELS, "A*", true), rule(GW_CHANNELS, "*", true)};
    rig_t *rig = made(rules, 1);
    gw_plane_t *p = rig->plane;
    peer_t *peer = rig_connect(rig);
    CHECK_EQUAL(gw_plane_grant(p, 1, rules, 2, 0), -EBUSY);
    CHECK_EQUAL(gw_plane_grant(p, 2, rules, 2, 0), 0);
    rig_remove(rig, peer);
    rig_settle(rig);
    CHECK_EQUAL(gw_plane_grant(p, 1, rules, 2, 0), -EBUSY); /* until that was taken */
    while (gw_plane_take_event(p)) {}
    CHECK_EQUAL(gw_plane_grant(p, 1, rules, 2, 0), 0);
    rig_forget(rig, peer);
    CHECK_EQUAL(gw_plane_grant(p, 0, rules, 1, 0), -EINVAL);
    CHECK_EQUAL(gw_plane_grant(p, GW_GRANTS_MAX, rules, 1, 0), -EINVAL);
    CHECK_EQUAL(gw_plane_grant(p, 1, rules, GW_RULES_MAX + 1, 0), -EINVAL);
    gw_rule_t empty = rule(GW_CHANNELS, "", true), strange = rule(GW_TRADE, "A", true);
    strange.list = GW_RULE_LISTS;
    CHECK_EQUAL(gw_plane_grant(p, 1, &empty, 1, 0), -EINVAL);
    CHECK_EQUAL(gw_plane_grant(p, 1, &strange, 1, 0), -EINVAL);
    gw_command_t *x = rig_reply(GW_CMD_ADD, gw_plane_slot(p), 0, 0); /* one that was never loaded */
    x->grant = 3;
    CHECK_EQUAL(gw_plane_post(p, x), -EINVAL);
    rig_free(rig); /* with a command that was never taken */
}

int main(void) {
    RUN(a_name_that_is_not_granted_is_forbidden_whether_it_exists_or_not);
    RUN(a_pattern_covers_what_is_granted_alone_now_and_later);
    RUN(an_answer_goes_with_its_topic);
    RUN(the_first_rule_decides_and_none_denies);
    RUN(limits_tell_nothing_of_what_is_not_granted);
    RUN(a_grant_does_not_change_under_those_who_have_it);
    return 0;
}
