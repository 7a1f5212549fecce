/* Topics of the plane alone: who gets which text, when, as what, and what it costs the others. */
#include "plane_scene.h"

static rig_t *made(gw_plane_options_t o) {
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 20, 64);
    return rig;
}

static void ask(rig_t *rig, peer_t *peer, unsigned reply, bool on) {
    gw_item_t x = item(7, GW_LOCAL, "framed", false, true);
    if (on) rig_subscribe(rig, peer, reply, &x, 1);
    else rig_unsubscribe(rig, peer, reply, &x.id, 1);
}

/* Turns with time between them, as long as a round may take. */
static void settle(rig_t *rig) {
    for (int i = 0; i < 200; i++) {
        rig->now += 200000;
        gw_plane_cycle(rig->plane);
    }
    rig_check_balance(rig);
}

static peer_t *follower(rig_t *rig) {
    peer_t *peer = rig_connect(rig);
    frame_t f;
    ask(rig, peer, 1, true);
    settle(rig);
    CHECK(peer_frame(peer, &f) && f.kind == REPLY && f.reply == 0);
    CHECK(peer_frame(peer, &f) && f.kind == REPLY && f.reply == 1);
    return peer;
}

/* The next but heartbeats. */
static bool next(peer_t *peer, frame_t *f) {
    do if (!peer_frame(peer, f)) return false;
    while (f->kind == HEARTBEAT);
    return true;
}

static void expect_local(peer_t *peer, unsigned long long n, bool snapshot) {
    frame_t f;
    CHECK(next(peer, &f) && f.kind == LOCAL);
    CHECK_EQUAL(f.seq, n);
    CHECK_EQUAL(f.snapshot, snapshot);
}

static void expect_none(peer_t *peer) {
    frame_t f;
    CHECK(!next(peer, &f));
}

static void say(rig_t *rig, unsigned long long n) {
    rig_local(rig, RIG_FRAMED, n);
    settle(rig);
}

static void all_are_told_the_first_as_a_snapshot_and_the_next_as_an_update(void) {
    rig_t *rig = made(rig_options());
    rig->mixed = true; /* text to the others, too */
    peer_t *one = follower(rig), *two = follower(rig);
    say(rig, 1);
    say(rig, 2);
    for (int i = 0; i < 2; i++) {
        expect_local(i ? two : one, 1, true);
        expect_local(i ? two : one, 2, false);
    }
    CHECK_EQUAL(rig->stats->routed[GW_LOCAL], 4);
    CHECK_EQUAL(rig->stats->delivered[GW_LOCAL], 4);
    CHECK_EQUAL(rig->stats->stage[GW_STAGE_FANOUT].count + rig->stats->stage[GW_STAGE_TOTAL].count, 0);
    peer_t *late = follower(rig); /* who comes later need not wait for the next */
    expect_local(late, 2, true);
    CHECK_EQUAL(rig->stats->snapshots[GW_LOCAL], 1);
    say(rig, 3);
    expect_local(late, 3, false);
    rig_free(rig);
}

static void what_is_said_again_is_sent_to_nobody(void) {
    rig_t *rig = made(rig_options());
    peer_t *one = follower(rig);
    say(rig, 1);
    say(rig, 1);
    expect_local(one, 1, true);
    expect_none(one);
    ask(rig, one, 2, true); /* who asks again is as if new */
    settle(rig);
    frame_t f;
    CHECK(next(one, &f) && f.kind == REPLY);
    expect_local(one, 1, true);
    rig_free(rig);
}

static void what_was_said_before_the_first_came_is_old(void) {
    rig_t *rig = made(rig_options());
    say(rig, 1); /* nobody follows: it is not even kept */
    CHECK_EQUAL(rig->plane->locals[RIG_FRAMED].topic.seq, 0);
    peer_t *one = follower(rig);
    expect_none(one);
    say(rig, 2);
    expect_local(one, 2, true);
    ask(rig, one, 2, false);
    settle(rig);
    frame_t f;
    CHECK(next(one, &f) && f.kind == REPLY);
    say(rig, 3);
    ask(rig, one, 3, true);
    settle(rig);
    CHECK(next(one, &f) && f.kind == REPLY);
    expect_none(one);
    say(rig, 2); /* and not taken for the one that was encoded before */
    expect_local(one, 2, true);
    rig_free(rig);
}

static void a_slow_client_gets_the_newest_alone(void) {
    rig_t *rig = made(rig_options());
    peer_t *slow = follower(rig), *quick = follower(rig);
    slow->allowed = 10;
    for (unsigned long long n = 1; n <= 9; n++) say(rig, n);
    for (unsigned long long n = 1; n <= 9; n++) expect_local(quick, n, n == 1);
    expect_none(slow);
    const gw_client_t *c = rig_client(rig, slow);
    CHECK(c->rest.bytes && !c->queued && !c->control);
    CHECK_EQUAL(rig->stats->pending[GW_LOCAL], 2); /* the cut one, the newest */
    CHECK_EQUAL(rig->stats->conflated[GW_LOCAL], 7);
    CHECK_EQUAL(rig->stats->class_conflated[0], 0);
    slow->allowed = RIG_NO_LIMIT;
    settle(rig);
    expect_local(slow, 1, true);
    expect_local(slow, 9, false);
    CHECK_EQUAL(rig->stats->pending[GW_LOCAL], 0);
    rig_free(rig);
}

static uint64_t told(peer_t **peers, unsigned n) {
    uint64_t sends = 0;
    for (unsigned i = 0; i < n; i++) sends += peers[i]->sends;
    return sends;
}

/* Many are told in slices with rests between them, and a tick that comes meanwhile does not wait for them. */
static void a_round_is_made_in_slices(void) {
    enum { N = 60 };
    scene_t s = scene(0);
    peer_t *peers[N], *reader = join(&s, GW_TRADE, "A.SIM", 0);
    for (unsigned i = 0; i < N; i++) peers[i] = follower(s.rig);
    uint64_t before = told(peers, N), most = 0;
    rig_local(s.rig, RIG_FRAMED, 1);
    unsigned slices = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t was = told(peers, N);
        s.rig->now += 100000;
        gw_plane_cycle(s.rig->plane);
        gw_plane_cycle(s.rig->plane); /* those that a slice marked are visited in the next turn */
        uint64_t sent = told(peers, N) - was;
        slices += sent > 0;
        if (sent > most) most = sent;
        if (i == 2) { /* in front of what is left of the round */
            rig_publish(s.rig, s.trade);
            gw_plane_cycle(s.rig->plane);
            expect(reader, 1, 0);
            CHECK(told(peers, N) - before < N);
        }
    }
    CHECK(most <= 16 && slices >= N / 16);
    CHECK_EQUAL(told(peers, N) - before, N);
    /* A newer text in the middle of a round: all get it, nobody twice, and whom it met first not the older one. */
    rig_local(s.rig, RIG_FRAMED, 2);
    gw_plane_cycle(s.rig->plane);
    gw_plane_cycle(s.rig->plane);
    rig_local(s.rig, RIG_FRAMED, 3);
    settle(s.rig);
    unsigned both = 0;
    for (unsigned i = 0; i < N; i++) {
        frame_t f;
        expect_local(peers[i], 1, true);
        CHECK(next(peers[i], &f) && f.kind == LOCAL);
        if (f.seq == 2) both++, expect_local(peers[i], 3, false);
        else CHECK_EQUAL(f.seq, 3);
        expect_none(peers[i]);
    }
    CHECK_EQUAL(both, 16);
    rig_check_balance(s.rig);
    rig_free(s.rig);
}

/* One whose texts come faster than a round is made holds up no other, and who leaves amid a round makes none miss it. */
static void rounds_take_turns(void) {
    enum { N = 60 };
    rig_t *rig = made(rig_options());
    peer_t *peers[N];
    unsigned had = 0;
    for (unsigned i = 0; i < N; i++) {
        const gw_item_t other = item(8, GW_LOCAL, "plain", false, true);
        peers[i] = follower(rig);
        rig_subscribe(rig, peers[i], 2, &other, 1);
    }
    settle(rig);
    rig_local(rig, RIG_PLAIN, 1);
    for (unsigned long long n = 1; n <= 2 * N / 16 + 3; n++) {
        rig_local(rig, RIG_FRAMED, n);
        if (n == 3) rig_remove(rig, peers[0]);
        rig->now += 1250000;
        gw_plane_cycle(rig->plane);
        gw_plane_cycle(rig->plane);
    }
    CHECK(rig->plane->locals[RIG_FRAMED].walking);
    for (unsigned i = 1; i < N; i++)
        for (frame_t f; next(peers[i], &f);) had += f.kind == LOCAL && f.channel == RIG_PLAIN;
    CHECK_EQUAL(had, N - 1);
    settle(rig);
    for (unsigned i = 1; i < N; i++) {
        const gw_link_t *l = gw_link_find(rig->plane, rig_client(rig, peers[i]), &rig->plane->locals[RIG_FRAMED].topic);
        CHECK_EQUAL(l->had, rig->plane->locals[RIG_FRAMED].topic.seq);
    }
    rig_free(rig);
}

static unsigned changes(rig_t *rig, int *last) {
    unsigned n = 0;
    for (const gw_event_t *e; (e = gw_plane_take_event(rig->plane));) {
        if (e->kind != GW_EVENT_LOCAL) continue;
        CHECK_EQUAL(e->token, RIG_FRAMED);
        *last = e->code;
        n++;
    }
    return n;
}

static void the_first_and_the_last_are_told_to_the_loop(void) {
    rig_t *rig = made(rig_options());
    int last = -1;
    peer_t *one = follower(rig);
    CHECK(changes(rig, &last) == 1 && last == 1);
    peer_t *two = follower(rig);
    CHECK_EQUAL(gw_plane_followers(rig->plane, RIG_FRAMED), 2);
    CHECK_EQUAL(gw_plane_followers(rig->plane, RIG_PLAIN), 0);
    CHECK_EQUAL(gw_plane_followers(rig->plane, RIG_LOCALS), 0);
    CHECK_EQUAL(rig->wait.subscribed, 0); /* a replay that waits for subscribers does not wait for these */
    ask(rig, one, 2, false);
    settle(rig);
    CHECK_EQUAL(changes(rig, &last), 0);
    rig_remove(rig, two);
    settle(rig);
    CHECK(changes(rig, &last) == 1 && last == 0);
    CHECK_EQUAL(gw_plane_followers(rig->plane, RIG_FRAMED), 0);
    rig_free(rig);
}

static void no_segment_and_no_pattern_has_them(void) {
    scene_t s = scene(0);
    peer_t *one = follower(s.rig), *all = rig_connect(s.rig);
    gw_item_t star = item(8, GW_TRADE, "*", true, true);
    rig_subscribe(s.rig, all, 1, &star, 1);
    say(s.rig, 1);
    expect_local(one, 1, true);
    rig_segment(s.rig, 1 << 20, 64);
    settle(s.rig);
    frame_t f;
    CHECK(next(one, &f) && f.kind == EPOCH);
    expect_none(one); /* it is not said again for that */
    say(s.rig, 2);
    expect_local(one, 2, false);
    while (next(all, &f)) CHECK(f.kind != LOCAL);
    rig_free(s.rig);
}

/* They are always to be had: topics that the client has already are no reason. */
static void a_full_client_may_follow(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 1;
    rig_t *rig = made(o);
    gw_item_t both[] = {item(1, GW_TRADE, "A.SIM", true, false), item(7, GW_LOCAL, "framed", false, true)};
    peer_t *peer = rig_connect(rig);
    rig_subscribe(rig, peer, 1, both, 2);
    settle(rig);
    CHECK_EQUAL(gw_plane_followers(rig->plane, RIG_FRAMED), 1);
    CHECK_EQUAL(rig->stats->limits_met[0], 0);
    rig_free(rig);
}

static void what_is_no_local_topic_is_refused(void) {
    rig_t *rig = made(rig_options());
    peer_t *peer = rig_connect(rig);
    gw_item_t wrong[] = {item(7, GW_LOCAL, "frame", false, true), item(7, GW_LOCAL, "framed", true, true),
                         item(7, GW_LOCAL, "framed", false, false), item(7, GW_LOCAL, "*", false, true)};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gw_command_t *x = rig_reply(GW_CMD_SUBSCRIBE, peer->handle, 1, 1);
        x->items[0] = wrong[i];
        CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
    }
    gw_command_t *x = gw_command_new(GW_CMD_PUBLISH, 0, 0, 1);
    x->local = RIG_LOCALS;
    CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
    x = gw_command_new(GW_CMD_PUBLISH, 0, 0, GW_LOCAL_TEXT_MAX + 1);
    CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
    rig_free(rig);
}

static void what_can_be_no_local_topic_is_refused(void) {
    for (int i = 0; i < 5; i++) {
        gw_plane_options_t o = {.formats_count = 1, .clients_max = 8, .log_bytes = 8 << 20, .event_fd = -1, .cpu = -1};
        gw_plane_t *plane;
        o.stats = calloc(1, sizeof *o.stats);
        for (int k = 0; k < GW_ENCODES; k++) o.formats[0].records[GW_BBO][k] = rig_template(GW_BBO, k ? "snapshot" : "update");
        o.locals_count = i == 3 ? GW_LOCALS_MAX + 1 : 1;
        gw_local_form_t *f = &o.locals[0];
        memset(f->name, 'n', sizeof f->name - (i != 0)); /* without an end */
        if (i == 1) f->name[0] = 0;
        if (i == 2) f->before[GW_ENCODE_UPDATE][0] = '{'; /* half a form */
        CHECK_EQUAL(gw_plane_create(&o, &plane), i == 4 ? 0 : -EINVAL);
        if (i == 4) gw_plane_destroy(plane);
        else gw_format_free(&o.formats[0]);
        free(o.stats);
    }
}

/* The longest text fits a visit of a client that catches up. */
static void a_long_text_gets_through(void) {
    rig_t *rig = made(rig_options());
    peer_t *slow = follower(rig);
    slow->allowed = 0;
    gw_command_t *x = gw_command_new(GW_CMD_PUBLISH, 0, 0, GW_LOCAL_TEXT_MAX);
    x->local = RIG_FRAMED;
    memset(x->bytes, '7', GW_LOCAL_TEXT_MAX);
    rig_post(rig, x);
    settle(rig);
    slow->allowed = RIG_NO_LIMIT;
    settle(rig);
    CHECK(slow->length > GW_LOCAL_TEXT_MAX);
    CHECK_EQUAL(rig->stats->pending[GW_LOCAL], 0);
    rig_free(rig);
}

int main(void) {
    RUN(all_are_told_the_first_as_a_snapshot_and_the_next_as_an_update);
    RUN(what_is_said_again_is_sent_to_nobody);
    RUN(what_was_said_before_the_first_came_is_old);
    RUN(a_slow_client_gets_the_newest_alone);
    RUN(a_round_is_made_in_slices);
    RUN(rounds_take_turns);
    RUN(the_first_and_the_last_are_told_to_the_loop);
    RUN(no_segment_and_no_pattern_has_them);
    RUN(a_full_client_may_follow);
    RUN(what_is_no_local_topic_is_refused);
    RUN(what_can_be_no_local_topic_is_refused);
    RUN(a_long_text_gets_through);
    return 0;
}
