/* What may end, move or change while a request takes many turns, and what each step of it does at most. */
#include "plane_reader.h"

#define US INT64_C(1000)

/* A plane that does little in a turn. */
static rig_t *sliced(gw_plane_options_t o, int64_t units) {
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 20, 4096);
    rig_settle(rig);
    rig->plane->turn_units = units;
    return rig;
}

static int turn(rig_t *rig) {
    rig->now += 200 * US;
    int busy = gw_plane_cycle(rig->plane);
    rig_check_balance(rig);
    return busy;
}

static void settle(rig_t *rig) {
    for (int i = 0; i < 20000; i++)
        if (!turn(rig) && i > 2) return;
    CHECK(!"the plane never rests");
}

static gw_client_t *client(rig_t *rig, const peer_t *peer) { return &rig->plane->clients[(uint32_t)peer->handle]; }

static unsigned topic(rig_t *rig, const char *form, unsigned i) {
    char name[32];
    snprintf(name, sizeof name, form, i);
    return rig_topic(rig, GW_TRADE, name);
}

static gw_item_t numbered(const char *form, unsigned i, bool lossless, bool snapshot) {
    char name[32];
    snprintf(name, sizeof name, form, i);
    return item(i + 1, GW_TRADE, name, lossless, snapshot);
}

static unsigned read_data_of(peer_t *peer) {
    frame_t f;
    unsigned n = 0;
    while (peer_frame(peer, &f)) n += f.kind == DATA;
    return n;
}

/* Names that no directory has are forgotten with their last link; the request that ended them begins again. */
static void an_epoch_amid_an_unsubscribe_finds_no_topic_that_is_gone(void) {
    rig_t *rig = sliced(rig_options(), 64);
    peer_t *peer = rig_connect(rig);
    gw_item_t items[40];
    uint32_t ids[40];
    for (unsigned i = 0; i < 40; i++) {
        items[i] = numbered("N%u.SIM", i, true, true);
        ids[i] = i + 1;
    }
    rig_subscribe(rig, peer, 1, items, 40);
    settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 40);
    rig_unsubscribe(rig, peer, 2, ids, 40);
    while (rig->stats->links[0] == 40) turn(rig);
    CHECK(rig->stats->links[0] > 0);
    rig_segment(rig, 1 << 20, 4096);
    settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK_EQUAL(rig->wait.subscribed, 0);
    rig_free(rig);
}

/* Its socket says that it takes more while a request is under way, and a message of the plane touches it. */
static void a_blocked_client_s_socket_is_not_forgotten_for_a_message(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 1;
    rig_t *rig = sliced(o, 64);
    peer_t *peer = rig_connect(rig);
    for (unsigned i = 0; i < 300; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    gw_item_t first = numbered("S%u.SIM", 0, true, false), all = item(900, GW_TRADE, "*", true, false);
    rig_subscribe(rig, peer, 1, &first, 1);
    settle(rig);
    peer->allowed = 0;
    rig_publish(rig, 0);
    while (!rig->stats->clients_blocked[0]) turn(rig);
    rig_subscribe(rig, peer, 2, &all, 1); /* has no room for more than the one link: it will be told */
    peer->allowed = RIG_NO_LIMIT;
    while (!client(rig, peer)->late) turn(rig);
    settle(rig);
    CHECK_EQUAL(rig->stats->clients_blocked[0], 0);
    CHECK_EQUAL(read_data_of(peer), 1);
    rig_free(rig);
}

/* A busy client's records are counted from the beginning: a send that is cut counts nothing anew. */
static void a_client_that_is_let_go_amid_a_request_settles_all_it_had(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 2;
    o.lossless_frames_max = 60;
    rig_t *rig = sliced(o, 64);
    peer_t *peer = rig_connect(rig);
    unsigned a = topic(rig, "A%u.SIM", 0);
    gw_item_t name = item(1, GW_TRADE, "A0.SIM", true, false), pattern = item(2, GW_TRADE, "S*", true, false);
    rig_register(rig, a);
    for (unsigned i = 0; i < 300; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    rig_subscribe(rig, peer, 1, &name, 1);
    rig_subscribe(rig, peer, 2, &pattern, 1);
    settle(rig);
    gw_client_t *c = client(rig, peer);
    CHECK_EQUAL(c->links_count, 2);
    rig_subscribe(rig, peer, 3, &pattern, 1);
    turn(rig);
    for (int i = 0; i < 50; i++) rig_publish(rig, a);
    while (!c->job->old.count) turn(rig);
    rig_publish(rig, topic(rig, "S%u.SIM", 900)); /* it has no room for this one: a message touches it */
    for (int i = 0; i < 20; i++) rig_publish(rig, a);
    peer->allowed = 5;
    while (!(c->flags & GW_CLIENT_DOOMED)) turn(rig);
    CHECK(c->queued > 0 && c->flags & GW_CLIENT_BLOCKED);
    peer->allowed = RIG_NO_LIMIT;
    settle(rig);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 0);
    rig_free(rig);
}

/* What the last steps of a turn leave for a visit does not wait until something else wakes the plane. */
static void a_message_made_at_the_end_of_a_turn_is_sent_in_the_next(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 0;
    rig_t *rig = sliced(o, GW_UNITS_TURN);
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false);
    rig_subscribe(rig, peer, 1, &all, 1);
    settle(rig);
    rig_register(rig, topic(rig, "S%u.SIM", 0)); /* without a record: it is found by the clock */
    rig->now += 60000 * US;
    while (gw_plane_cycle(rig->plane)) {
    }
    CHECK(!client(rig, peer)->control && !client(rig, peer)->turn_next);
    rig_free(rig);
}

int main(void) {
    RUN(an_epoch_amid_an_unsubscribe_finds_no_topic_that_is_gone);
    RUN(a_blocked_client_s_socket_is_not_forgotten_for_a_message);
    RUN(a_client_that_is_let_go_amid_a_request_settles_all_it_had);
    RUN(a_message_made_at_the_end_of_a_turn_is_sent_in_the_next);
    return 0;
}
