/* Who gets what: names, patterns, limits, laps, epochs, and what a subscription's rows say. */
#include "plane_reader.h"

static void expect(peer_t *peer, frame_kind_t kind, frame_t *f) {
    CHECK(peer_frame(peer, f));
    CHECK_EQUAL(f->kind, kind);
}

static void expect_data(peer_t *peer, const char *name, bool snapshot, uint64_t seq,
                        uint64_t skipped) {
    frame_t f;
    expect(peer, DATA, &f);
    CHECK(!strcmp(f.name, name));
    CHECK_EQUAL(f.snapshot, snapshot);
    CHECK_EQUAL(f.seq, seq);
    CHECK_EQUAL(f.skipped, skipped);
}

static void expect_nothing(peer_t *peer) { CHECK(peer_whole(peer)); }

static rig_t *rig_small(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 4096, 512); /* 31 records */
    return rig;
}

static peer_t *client(rig_t *rig) {
    frame_t f;
    peer_t *peer = rig_connect(rig);
    rig_settle(rig);
    expect(peer, REPLY, &f);
    return peer;
}

static void subscribe(rig_t *rig, peer_t *peer, gw_item_t x) {
    frame_t f;
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    while (peer->allowed && peer_frame(peer, &f) && f.kind != REPLY) continue;
}

static gw_row_t row(rig_t *rig, peer_t *peer, uint32_t id) {
    gw_row_t found = {0};
    const gw_event_t *e;
    rig_query(rig, peer, 7);
    gw_commands_run(rig->plane, 256);
    while ((e = gw_plane_take_event(rig->plane))) {
        CHECK(e->kind == GW_EVENT_STATS && e->token == 7);
        for (uint32_t i = 0; i < e->rows_count; i++)
            if (e->rows[i].id == id) found = e->rows[i];
    }
    CHECK_EQUAL(found.id, id);
    CHECK_EQUAL(found.routed, found.delivered + found.conflated + found.dropped + found.pending);
    return found;
}

static void a_pattern_has_a_new_topic_s_first_record(void) {
    rig_t *rig = rig_small();
    peer_t *peer = client(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "*.SIM", true, true));
    rig_publish(rig, rig_topic(rig, GW_TRADE, "NEW.SIM"));
    rig_publish(rig, rig_topic(rig, GW_TRADE, "NEW.VEN"));
    rig_publish(rig, rig_topic(rig, GW_BBO, "NEW.SIM"));
    rig_settle(rig);
    expect_data(peer, "NEW.SIM", false, 1, 0);
    expect_nothing(peer);
    rig_free(rig);
}

static void a_name_that_is_not_known_yet_waits(void) {
    rig_t *rig = rig_small();
    peer_t *peer = client(rig);
    gw_item_t x = item(1, GW_TRADE, "LATER.SIM", true, true);
    frame_t f;
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    expect(peer, REPLY, &f);
    CHECK_EQUAL(f.seqs[0], 0);
    CHECK_EQUAL(rig->plane->topics_waiting, 1);
    rig_publish(rig, rig_topic(rig, GW_TRADE, "LATER.SIM"));
    rig_settle(rig);
    expect_data(peer, "LATER.SIM", false, 1, 0);
    CHECK_EQUAL(rig->plane->topics_waiting, 0);
    rig_free(rig);
}

static void a_name_that_nobody_waits_for_is_forgotten(void) {
    rig_t *rig = rig_small();
    peer_t *peer = client(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "LATER.SIM", true, true));
    rig_unsubscribe(rig, peer, 2, (uint32_t[]){1}, 1);
    rig_settle(rig);
    CHECK_EQUAL(rig->plane->topics_waiting, 0);
    CHECK(!gw_topic_find(rig->plane, GW_TRADE, "LATER.SIM", 9));
    rig_free(rig);
}

static void too_many_topics_are_told_once(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 2;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4096, 512);
    peer_t *peer = client(rig);
    frame_t f;
    subscribe(rig, peer, item(1, GW_TRADE, "*", true, true));
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "T%d.SIM", i);
        rig_publish(rig, rig_topic(rig, GW_TRADE, name));
        rig_settle(rig);
    }
    unsigned told = 0, data = 0;
    while (peer_frame(peer, &f)) told += f.kind == LIMIT, data += f.kind == DATA;
    CHECK_EQUAL(told, 1);
    CHECK_EQUAL(data, 2);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f33_too_many_waiting_names_are_told(void) {
    gw_plane_options_t o = rig_options();
    o.waiting_topics_max = 1;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4096, 512);
    peer_t *peer = client(rig);
    frame_t f;
    gw_item_t two[] = {item(1, GW_TRADE, "A.SIM", true, true),
                       item(2, GW_TRADE, "B.SIM", true, true)};
    rig_subscribe(rig, peer, 1, two, 2);
    rig_settle(rig);
    expect(peer, REPLY, &f);
    expect(peer, LIMIT, &f);
    expect_nothing(peer);
    CHECK_EQUAL(rig->stats->links[0], 1);
    rig_free(rig);
}

static void the_first_segment_brings_what_waited(void) {
    rig_t *rig = rig_new(rig_options());
    peer_t *peer = rig_connect(rig);
    rig_settle(rig);
    /* Not NULs: a hello has to be JSON. */
    CHECK(memmem(peer->stream, peer->length, "\"epoch\":\"00000000\"", 18) != NULL);
    peer->read = peer->length;
    gw_item_t two[] = {item(1, GW_TRADE, "A.SIM", true, true), item(2, GW_BBO, "*", false, true)};
    rig_subscribe(rig, peer, 1, two, 2);
    rig_settle(rig);
    peer->read = peer->length;
    rig_segment(rig, 4096, 512);
    for (int i = 0; i < 3; i++) {
        rig_publish(rig, rig_topic(rig, GW_TRADE, "A.SIM"));
        rig_publish(rig, rig_topic(rig, GW_BBO, "B.SIM"));
    }
    rig_settle(rig);
    frame_t f;
    expect(peer, EPOCH, &f);
    expect_data(peer, "A.SIM", true, 3, 0);
    expect_data(peer, "B.SIM", true, 3, 0);
    expect_nothing(peer);
    CHECK_EQUAL(row(rig, peer, 1).routed, 0); /* a snapshot is no delivery */
    rig_check_balance(rig);
    rig_free(rig);
}

static void f48_a_lap_is_told_and_resynced(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM"), b = rig_topic(rig, GW_BBO, "B.SIM");
    peer_t *peer = client(rig);
    frame_t f;
    subscribe(rig, peer, item(1, GW_TRADE, "A.SIM", true, true));
    subscribe(rig, peer, item(2, GW_BBO, "B.SIM", false, true));
    for (int i = 0; i < 40; i++) rig_publish(rig, a);
    for (int i = 0; i < 40; i++) rig_publish(rig, b);
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect(peer, GAP, &f);
    CHECK(f.from == 1 && f.to == 39 && !strcmp(f.name, "A.SIM"));
    expect_data(peer, "A.SIM", true, 40, 39);
    expect_data(peer, "B.SIM", true, 40, 39);
    expect_nothing(peer);
    gw_row_t r = row(rig, peer, 1);
    CHECK(r.routed == 40 && r.delivered == 1 && r.dropped == 39);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f48_a_lap_that_took_nothing_of_a_topic_is_an_update(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    peer_t *peer = client(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "A.SIM", true, true));
    rig_publish(rig, a);
    for (int i = 0; i < 100; i++) rig_publish(rig, b);
    rig_settle(rig);
    expect_data(peer, "A.SIM", false, 1, 0);
    expect_nothing(peer);
    rig_check_balance(rig);
    rig_free(rig);
}

static void no_gap_notice_follows_the_unsubscribe_s_reply(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    peer_t *peer = client(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "A.SIM", true, true));
    peer->allowed = 0;
    rig_publish(rig, a);
    rig_settle(rig);
    for (int i = 0; i < 100; i++) rig_publish(rig, a);
    rig_settle(rig);
    rig_unsubscribe(rig, peer, 2, (uint32_t[]){1}, 1);
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    frame_t f;
    expect(peer, REPLY, &f);
    expect_nothing(peer);
    CHECK_EQUAL(rig->stats->dropped_unsubscribed[GW_TRADE], 2);
    rig_check_balance(rig);
    rig_free(rig);
}

static void loss_before_a_change_to_lossless_is_told_by_a_snapshot(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peer = client(rig);
    frame_t f;
    gw_item_t x = item(1, GW_BBO, "A.SIM", false, false);
    subscribe(rig, peer, x);
    peer->allowed = 0;
    for (int i = 0; i < 3; i++, rig_settle(rig)) rig_publish(rig, a);
    x.lossless = 1;
    x.resync = 0;
    rig_subscribe(rig, peer, 2, &x, 1);
    rig_settle(rig);
    rig_publish(rig, a);
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(peer, REPLY, &f);
    expect_data(peer, "A.SIM", true, 4, 3);
    rig_publish(rig, a);
    rig_settle(rig);
    expect_data(peer, "A.SIM", false, 5, 0);
    rig_check_balance(rig);
    rig_free(rig);
}

static void a_pattern_asked_again_between_epochs_governs_as_it_says(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    peer_t *peer = client(rig);
    rig_publish(rig, a);
    subscribe(rig, peer, item(1, GW_TRADE, "A*", false, false));
    rig_segment(rig, 4096, 512); /* its directory does not have A.SIM yet */
    rig_settle(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "A*", true, false));
    CHECK_EQUAL(rig_client(rig, peer)->links->lossless, 1);
    rig_free(rig);
}

static void a_cut_frame_stays_pending_when_its_client_subscribes_again(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    peer_t *peer = client(rig);
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, false);
    subscribe(rig, peer, x);
    peer->allowed = 10;
    rig_publish(rig, a);
    rig_settle(rig);
    CHECK_EQUAL(row(rig, peer, 1).pending, 1);
    rig_subscribe(rig, peer, 2, &x, 1);
    CHECK_EQUAL(row(rig, peer, 1).pending, 1);
    rig_segment(rig, 4096, 512);
    rig_settle(rig);
    CHECK_EQUAL(row(rig, peer, 1).pending, 1); /* nor does another epoch change that */
    rig_publish(rig, a);
    rig_settle(rig);
    gw_row_t r = row(rig, peer, 1);
    CHECK(r.routed == 2 && r.pending == 2 && r.delivered == 0);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    r = row(rig, peer, 1);
    CHECK(r.routed == 2 && r.pending == 0 && r.delivered == 2);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f49_a_name_listed_twice_counts_once(void) {
    rig_t *rig = rig_small();
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    rig_register(rig, a);
    CHECK_EQUAL(gw_writer_topic_add(&rig->writer, GW_TRADE, "A.SIM", 5), 1);
    rig_settle(rig);
    rig->topics[a].id = 1;
    rig_publish(rig, a); /* of the second, which counts for nothing */
    rig_settle(rig);
    rig_segment(rig, 4096, 512);
    rig_settle(rig);
    CHECK_EQUAL(rig->plane->topics_waiting, 0);
    rig_free(rig);
}

static void what_is_no_segment_is_refused(void) {
    rig_t *rig = rig_small();
    peer_t *peer = client(rig);
    subscribe(rig, peer, item(1, GW_TRADE, "A.SIM", true, true));
    gw_command_t *x = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    x->mapping_size = 4096;
    x->mapping = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    rig_post(rig, x);
    rig_settle(rig);
    expect_nothing(peer);
    rig_segment(rig, 4096, 512);
    rig_publish(rig, rig_topic(rig, GW_TRADE, "A.SIM"));
    rig_settle(rig);
    frame_t f;
    expect(peer, EPOCH, &f);
    expect_data(peer, "A.SIM", true, 1, 0);
    rig_segment(rig, 4096, 512); /* never taken: the plane unmaps it in the end */
    rig_free(rig);
}

int main(void) {
    RUN(a_pattern_has_a_new_topic_s_first_record);
    RUN(a_name_that_is_not_known_yet_waits);
    RUN(a_name_that_nobody_waits_for_is_forgotten);
    RUN(too_many_topics_are_told_once);
    RUN(f33_too_many_waiting_names_are_told);
    RUN(the_first_segment_brings_what_waited);
    RUN(f48_a_lap_is_told_and_resynced);
    RUN(f48_a_lap_that_took_nothing_of_a_topic_is_an_update);
    RUN(no_gap_notice_follows_the_unsubscribe_s_reply);
    RUN(loss_before_a_change_to_lossless_is_told_by_a_snapshot);
    RUN(a_pattern_asked_again_between_epochs_governs_as_it_says);
    RUN(a_cut_frame_stays_pending_when_its_client_subscribes_again);
    RUN(f49_a_name_listed_twice_counts_once);
    RUN(what_is_no_segment_is_refused);
    return 0;
}
