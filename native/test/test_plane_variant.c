/* Audiences by format and variant: who gets which bytes, and how often they are encoded. */
#include "plane_scene.h"

static scene_t made(void) {
    gw_plane_options_t o = rig_options();
    o.variants_count = 2;
    return scene_with(o);
}

static void ask(rig_t *rig, peer_t *peer, unsigned reply, const char *name, unsigned variant, bool resync, bool snapshot) {
    gw_item_t x = item(1 + (name[0] == '*'), GW_BBO, name, false, snapshot);
    x.variant = (uint16_t)variant;
    x.resync = resync;
    rig_subscribe(rig, peer, reply, &x, 1);
    rig_settle(rig);
}

static void expect_variant(peer_t *peer, uint64_t seq, unsigned variant, bool snapshot) {
    frame_t f;
    do CHECK(peer_frame(peer, &f));
    while (f.kind != DATA);
    CHECK_EQUAL(f.seq, seq);
    CHECK_EQUAL(f.variant, variant);
    CHECK_EQUAL(f.snapshot, snapshot);
}

static void each_gets_the_variant_that_it_asked_for(void) {
    scene_t s = made();
    rig_publish(s.rig, s.bbo);
    peer_t *peers[6];
    for (unsigned i = 0; i < 6; i++) {
        peers[i] = rig_connect(s.rig);
        ask(s.rig, peers[i], 1, i % 3 ? "A.SIM" : "*", i % 2, true, true);
        expect_variant(peers[i], 1, i % 2, true);
    }
    const gw_topic_t *t = gw_topic_find(s.rig->plane, GW_BBO, "A.SIM", 5);
    CHECK_EQUAL(t->audiences_count, 2);
    const uint64_t index = s.rig->plane->lanes[0].log.index;
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->plane->lanes[0].log.index - index, 2); /* one frame for each variant */
    for (unsigned i = 0; i < 6; i++) expect_variant(peers[i], 2, i % 2, false);
    peers[0]->allowed = peers[1]->allowed = 0;
    for (int i = 0; i < 4; i++) rig_publish(s.rig, s.bbo), rig_settle(s.rig);
    peers[0]->allowed = peers[1]->allowed = RIG_NO_LIMIT; /* marks are rendered in it, too */
    rig_settle(s.rig);
    for (unsigned i = 0; i < 2; i++) {
        frame_t f;
        do CHECK(peer_frame(peers[i], &f));
        while (f.kind != DATA);
        CHECK(f.seq == 6 && f.skipped == 3 && f.variant == i);
    }
    rig_check_balance(s.rig);
    rig_free(s.rig);
}

static void it_changes_with_the_subscription_that_governs(void) {
    scene_t s = made();
    rig_publish(s.rig, s.bbo);
    peer_t *peer = rig_connect(s.rig);
    ask(s.rig, peer, 1, "*", 0, true, true);
    expect_variant(peer, 1, 0, true);
    ask(s.rig, peer, 2, "A.SIM", 1, true, true); /* a name wins over a pattern */
    expect_variant(peer, 1, 1, true);
    ask(s.rig, peer, 3, "A.SIM", 0, false, true); /* an update: from the next record on */
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    expect_variant(peer, 2, 0, false);
    ask(s.rig, peer, 4, "*", 1, false, true); /* of what it governs: nothing now, the topic once the name has ended */
    uint32_t id = 1;
    rig_unsubscribe(s.rig, peer, 5, &id, 1);
    rig_settle(s.rig);
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    expect_variant(peer, 3, 1, false);
    CHECK_EQUAL(s.rig->stats->links[0], 1);
    rig_check_balance(s.rig);
    rig_free(s.rig);
}

/* What a variant leaves out is the format's own, and a topic has no more audiences than there are pairs. */
static void what_is_left_out_is_the_formats_own(void) {
    scene_t s = made();
    s.rig->mixed = true;
    rig_publish(s.rig, s.trade);
    for (unsigned i = 0; i < 12; i++) {
        peer_t *peer = rig_connect(s.rig);
        gw_item_t x = item(1, GW_TRADE, "A.SIM", true, true);
        x.variant = i / 2 % 2;
        rig_subscribe(s.rig, peer, 1, &x, 1);
        rig_settle(s.rig);
        expect_variant(peer, 1, 0, true);
    }
    CHECK_EQUAL(gw_topic_find(s.rig->plane, GW_TRADE, "A.SIM", 5)->audiences_count, 4);
    rig_check_balance(s.rig);
    rig_free(s.rig);
}

/* The topic has ended, and the round that ends links of patterns, from the last to the first, goes on in the audience
 * that this link leaves. */
static void a_link_that_goes_over_behind_a_round_is_not_missed(void) {
    scene_t s = made();
    rig_t *rig = s.rig;
    peer_t *first = NULL;
    rig_publish(rig, s.bbo);
    for (unsigned i = 0; i < 5; i++) {
        peer_t *peer = rig_connect(rig);
        ask(rig, peer, 1, "*", 0, true, false);
        if (!i) first = peer;
    }
    ask(rig, rig_connect(rig), 1, "*", 1, true, false);
    rig_retire(rig, s.bbo);
    rig_settle(rig);
    rig->plane->turn_units = 12;
    rig->now += 60 * MS;
    while (!rig->plane->retire_at || rig->stats->links[0] > 4) gw_plane_cycle(rig->plane);
    CHECK(rig->stats->links[0] > 1 && rig->plane->retire_place.audiences == 1);
    rig->plane->turn_units = GW_UNITS_TURN;
    ask(rig, first, 2, "*", 1, false, false);
    for (unsigned i = 0; i < 20; i++) pass(&s, 60 * MS);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK(!rig->plane->retiring);
    rig_free(rig);
}

static void what_there_is_not_is_refused(void) {
    scene_t s = made();
    peer_t *peer = rig_connect(s.rig);
    gw_item_t wrong[] = {item(1, GW_BBO, "A.SIM", false, true), item(1, GW_LOCAL, "plain", false, true)};
    wrong[0].variant = 2;
    wrong[1].variant = 1;
    for (unsigned i = 0; i < 2; i++) {
        gw_command_t *x = rig_reply(GW_CMD_SUBSCRIBE, peer->handle, 1, 1);
        x->items[0] = wrong[i];
        CHECK_EQUAL(gw_plane_post(s.rig->plane, x), -EINVAL);
    }
    rig_free(s.rig);
    for (int i = 0; i < 5; i++) {
        gw_plane_options_t o = rig_options();
        gw_format_t *f = &o.formats[0];
        gw_plane_t *plane;
        gw_stats_t *stats = calloc(1, sizeof *stats);
        o.stats = stats;
        o.variants_count = i == 3 ? GW_VARIANTS_MAX + 1 : 2;
        for (int k = 0; k < GW_ENCODES; k++) f->records[GW_BBO][k] = rig_template(GW_BBO, k ? "snapshot" : "update");
        for (int k = 0; k < GW_ENCODES; k++) {
            if (i == 0 && k) continue; /* half of it */
            const int channel = i == 1 ? GW_TRADE : GW_BBO, variant = i == 2; /* of a channel that there is not; beyond */
            f->variants[variant].records[channel][k] = rig_template_of((uint8_t)channel, k ? "snapshot" : "update", 1);
        }
        CHECK_EQUAL(gw_plane_create(&o, &plane), i == 4 ? 0 : -EINVAL);
        if (i == 4) gw_plane_destroy(plane);
        else gw_format_free(f);
        free(stats);
    }
}

int main(void) {
    RUN(each_gets_the_variant_that_it_asked_for);
    RUN(it_changes_with_the_subscription_that_governs);
    RUN(what_is_left_out_is_the_formats_own);
    RUN(a_link_that_goes_over_behind_a_round_is_not_missed);
    RUN(what_there_is_not_is_refused);
    return 0;
}
