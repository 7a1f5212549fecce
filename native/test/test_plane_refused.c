/* Input that was refused: who is told, when, in which place among the records, and how much of it. */
#include "plane_health.h"

static void each_run_is_told_once_in_its_place(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "*", true)};
    peer_t *other = subscriber(rig, GW_TRADE, "A.SIM", true);
    for (int round = 0; round < 2; round++) {
        rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        health(rig, "A.SIM", 1 << GW_BBO); /* another reason: the same run */
        rig_publish(rig, bbo);
        health(rig, "A.SIM", 0);
        rig_settle(rig);
        for (int i = 0; i < 2; i++) {
            expect(peers[i], DATA("bbo", "update"));
            expect(peers[i], GAP("bbo", "A.SIM"));
            expect(peers[i], DATA("bbo", "update"));
            expect_nothing(peers[i]);
        }
    }
    health(rig, "A.SIM", 1 << GW_TRADE | 1 << GW_BBO); /* a name that has had no record */
    rig_settle(rig);
    expect(other, GAP("trade", "A.SIM"));
    expect_nothing(other);
    rig_free(rig);
}

static void a_late_subscriber_is_told_with_its_snapshot(void) {
    rig_t *rig = rig_of_health();
    rig_publish(rig, rig_topic(rig, GW_BBO, "A.SIM"));
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    for (int lossless = 0; lossless < 2; lossless++) {
        peer_t *peer = subscriber(rig, GW_BBO, "A*", lossless);
        expect(peer, DATA("bbo", "snapshot"));
        expect(peer, GAP("bbo", "A.SIM"));
        expect_nothing(peer);
    }
    peer_t *bare = rig_connect(rig); /* what it has from before is as old */
    gw_item_t item_bare = item(1, GW_BBO, "A.SIM", false, false);
    rig_subscribe(rig, bare, 1, &item_bare, 1);
    rig_settle(rig);
    expect(bare, "{\"reply\":0");
    expect(bare, "{\"reply\":1");
    expect(bare, GAP("bbo", "A.SIM"));
    expect_nothing(bare);
    peer_t *trades = subscriber(rig, GW_TRADE, "A.SIM", true);
    expect_nothing(trades);
    health(rig, "A.SIM", 0);
    rig_settle(rig);
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    expect(peer, DATA("bbo", "snapshot"));
    expect_nothing(peer);
    rig_free(rig);
}

/* A state has left with its own last byte, though of the notice behind it more is to come, or never will. */
static void a_state_is_sent_before_its_notice(void) {
    const size_t notice = strlen(GAP("bbo", "A.SIM")) + (strlen(GAP("bbo", "A.SIM")) < 126 ? 2 : 4);
    int64_t all = 0;
    for (int cut = 0; cut < 3; cut++) {
        rig_t *rig = rig_of_health();
        rig_publish(rig, rig_topic(rig, GW_BBO, "A.SIM"));
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
        peer_t *peer = rig_connect(rig);
        if (cut) peer->allowed = all - 1 - (cut == 2 ? (int64_t)notice : 0);
        const gw_item_t x = item(1, GW_BBO, "A.SIM", false, true);
        rig_subscribe(rig, peer, 1, &x, 1);
        rig_settle(rig);
        if (!cut) all = (int64_t)peer->length;
        CHECK_EQUAL(rig->stats->snapshots[GW_BBO], cut < 2);
        rig_free(rig);
    }
}

#define NOTICES "{\"channel\":\"system\",\"type\":\"limit_exceeded\",\"data\":[{\"limit\":\"notices\","

static void a_full_socket_gets_it_when_it_drains_and_no_more_than_its_part(void) {
    rig_t *rig = rig_of_health();
    peer_t *peer = subscriber(rig, GW_BBO, "*", false);
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM"), other = rig_topic(rig, GW_BBO, "OTHER.SIM");
    rig_publish(rig, bbo);
    rig_settle(rig);
    expect(peer, DATA("bbo", "update"));
    peer->allowed = 0;
    health(rig, "A.SIM", 1 << GW_BBO); /* one stands in the queue, the others come while it is blocked */
    rig_publish(rig, other);
    rig_settle(rig);
    for (int i = 0; i < 1000; i++) {
        health(rig, "A.SIM", 0);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
    }
    gw_client_t *c = rig_client(rig, peer);
    CHECK(c->control_length <= rig->plane->o.control_bytes_max / 4 && !c->queued);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(peer, GAP("bbo", "A.SIM"));
    unsigned notices = 1;
    const char *text = next(peer);
    for (; !strcmp(text, GAP("bbo", "A.SIM")); text = next(peer)) notices++;
    CHECK(notices > 10 && notices < 300);
    CHECK_EQUAL(rig->stats->notices_left_out[GW_LEFT_REFUSED], 1001 - notices);
    CHECK(!strncmp(text, DATA("bbo", "update"), 20)); /* of the other one */
    char untold[160];
    snprintf(untold, sizeof untold, NOTICES "\"value\":4096,\"refused\":%u}]}", 1001 - notices);
    expect(peer, untold);
    expect_nothing(peer);
    rig_free(rig);
}

static void what_is_left_out_is_counted_by_what_it_says(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM"), told[GW_GAPS] = {0};
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    peer->allowed = 0;
    for (int i = 0; i < 500; i++)
        for (uint8_t gap = GW_GAP_NONE + 1; gap < GW_GAPS; gap++) {
            rig_publish_header(rig, bbo, (gw_header_t){.gap = gap, .lost = 1});
            rig_settle(rig);
        }
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    for (const char *text; *(text = next(peer));) {
        told[GW_GAP_RESET] += !!strstr(text, "\"reason\":\"reset\"");
        told[GW_GAP_FEED] += !!strstr(text, "\"reason\":\"feed\"");
    }
    const uint64_t *left_out = rig->stats->notices_left_out;
    CHECK_EQUAL(left_out[GW_LEFT_REFUSED] + left_out[GW_LEFT_SLOW], 0);
    CHECK(left_out[GW_LEFT_RESET] > 100 && left_out[GW_LEFT_FEED] > 100);
    CHECK_EQUAL(left_out[GW_LEFT_RESET] + told[GW_GAP_RESET], 500);
    CHECK_EQUAL(left_out[GW_LEFT_FEED] + told[GW_GAP_FEED], 500);
    rig_free(rig);
}

static void a_lap_does_not_hide_it(void) {
    rig_t *rig = rig_of_health();
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    rig_publish(rig, rig_topic(rig, GW_BBO, "A.SIM"));
    rig_settle(rig);
    expect(peer, DATA("bbo", "update"));
    health(rig, "A.SIM", 1 << GW_BBO);
    for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect(peer, GAP("bbo", "A.SIM"));
    expect_nothing(peer);
    rig_free(rig);
}

/* Health's place comes before its topic's in the table, so a lap has it compared first, whichever was published first. */
static void after_a_lap_the_newer_of_the_two_counts(void) {
    for (int refused_last = 0; refused_last < 2; refused_last++) {
        rig_t *rig = rig_of_health();
        health(rig, "A.SIM", 0);
        const unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
        rig_publish(rig, bbo);
        rig_settle(rig);
        peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
        expect(peer, DATA("bbo", "snapshot"));
        if (refused_last) rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        if (!refused_last) rig_publish(rig, bbo);
        for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
        rig_settle(rig);
        CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
        expect(peer, GAP("bbo", "A.SIM"));
        expect(peer, DATA("bbo", "update"));
        if (refused_last) expect(peer, GAP("bbo", "A.SIM"));
        expect_nothing(peer);
        peer_t *late = subscriber(rig, GW_BBO, "A.SIM", false);
        expect(late, DATA("bbo", "snapshot"));
        if (refused_last) expect(late, GAP("bbo", "A.SIM"));
        expect_nothing(late);
        rig_publish(rig, bbo);
        rig_settle(rig);
        expect(peer, DATA("bbo", "update"));
        expect_nothing(peer);
        rig_free(rig);
    }
}

/* A worker that follows a segment in which a topic is suspect already, or another one. */
static void an_epoch_begins_with_what_is_suspect(void) {
    rig_t *rig = rig_of_health();
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false), *all = subscriber(rig, GW_BBO, "*", true);
    rig_segment(rig, 4096, 512);
    rig_publish(rig, rig_topic(rig, GW_BBO, "A.SIM"));
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    for (int i = 0; i < 2; i++) {
        peer_t *one = i ? all : peer;
        expect(one, "{\"channel\":\"system\",\"type\":\"epoch\"");
        expect(one, DATA("bbo", "snapshot"));
        expect(one, GAP("bbo", "A.SIM"));
        expect_nothing(one);
    }
    rig_free(rig);
}

static void health_is_a_channel_and_a_pattern_s_snapshot_has_what_is_not_ok(void) {
    rig_t *rig = rig_of_health();
    health(rig, "A.SIM", 1 << GW_BBO);
    health(rig, "B.SIM", 1 << GW_BBO);
    health(rig, "B.SIM", 0);
    rig_settle(rig);
    peer_t *pattern = subscriber(rig, GW_HEALTH, "*.SIM", false);
    expect(pattern, "health snapshot A.SIM 1 no (a\\\"b)}");
    expect_nothing(pattern);
    peer_t *name = subscriber(rig, GW_HEALTH, "B.SIM", false);
    expect(name, "health snapshot B.SIM 2 ok (a\\\"b)}");
    health(rig, "B.SIM", 1 << GW_TRADE);
    rig_settle(rig);
    expect(pattern, "health snapshot B.SIM 3 no");
    expect(name, "health snapshot B.SIM 3 no");
    expect_nothing(name);

    /* One that was never suspect is well, once it exists; after a new epoch all are. */
    peer_t *nobody = subscriber(rig, GW_HEALTH, "C.SIM", false);
    expect_nothing(nobody);
    rig_publish(rig, rig_topic(rig, GW_BBO, "C.SIM"));
    rig_settle(rig);
    peer_t *well = subscriber(rig, GW_HEALTH, "C.SIM", false);
    expect(well, "health snapshot C.SIM 0 ok ()");
    health(rig, "C.SIM", 1 << GW_BBO);
    rig_settle(rig);
    expect(well, "health snapshot C.SIM 1 no");
    expect(nobody, "health snapshot C.SIM 1 no");
    rig_segment(rig, 4096, 512);
    rig_publish(rig, rig_topic(rig, GW_BBO, "C.SIM"));
    rig_settle(rig);
    expect(well, "{\"channel\":\"system\",\"type\":\"epoch\"");
    expect(well, "health snapshot C.SIM 0 ok ()");
    expect_nothing(well);
    rig_free(rig);
}

#define NUMBERS(channel, symbol, why)                                                             \
    "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"" channel                  \
    "\",\"symbol\":\"" symbol "\"," why "}]}"

/* The venue's own numbers: told before the record, to all who have the topic then and to nobody later. */
static void a_hole_or_a_new_beginning_of_numbers_is_told_before_its_record(void) {
    rig_t *rig = rig_of_health();
    unsigned trade = rig_topic(rig, GW_TRADE, "A.SIM"), bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_TRADE, "A.SIM", true), subscriber(rig, GW_TRADE, "*", false)};
    peer_t *other = subscriber(rig, GW_BBO, "A.SIM", false);
    rig_publish(rig, trade);
    rig_publish_header(rig, trade, (gw_header_t){.gap = GW_GAP_RESET});
    rig_publish_header(rig, trade, (gw_header_t){.gap = GW_GAP_FEED, .lost = UINT32_MAX});
    rig_publish_header(rig, trade, (gw_header_t){.gap = GW_GAPS}); /* of a writer that is newer than we */
    rig_publish(rig, bbo);
    rig_settle(rig);
    for (int i = 0; i < 2; i++) {
        expect(peers[i], DATA("trade", "update"));
        expect(peers[i], NUMBERS("trade", "A.SIM", "\"reason\":\"reset\""));
        expect(peers[i], DATA("trade", "update"));
        expect(peers[i], NUMBERS("trade", "A.SIM", "\"lost\":4294967295,\"reason\":\"feed\""));
        expect(peers[i], DATA("trade", "update"));
        expect(peers[i], DATA("trade", "update"));
        expect_nothing(peers[i]);
    }
    expect(other, DATA("bbo", "update"));
    expect_nothing(other);
    peer_t *late = subscriber(rig, GW_TRADE, "A.SIM", true);
    expect(late, DATA("trade", "snapshot"));
    expect_nothing(late);
    rig_free(rig);
}

static void a_new_beginning_reaches_a_full_socket_and_survives_a_lap(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    peer->allowed = 0;
    rig_publish_header(rig, bbo, (gw_header_t){.gap = GW_GAP_RESET}); /* stands in the queue, then becomes a mark */
    rig_settle(rig);
    rig_publish_header(rig, bbo, (gw_header_t){.gap = GW_GAP_RESET}); /* while it is blocked */
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    for (int i = 0; i < 2; i++) expect(peer, NUMBERS("bbo", "A.SIM", "\"reason\":\"reset\""));
    expect(peer, DATA("bbo", "update"));
    expect_nothing(peer);
    rig_publish_header(rig, bbo, (gw_header_t){.gap = GW_GAP_RESET});
    for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect(peer, NUMBERS("bbo", "A.SIM", "\"reason\":\"reset\""));
    expect(peer, DATA("bbo", "update"));
    expect_nothing(peer);
    rig_free(rig);
}

/* Its first record says what is well, as each later one does. */
static void another_origin_ends_what_the_one_before_said(void) {
    for (int lapped = 0; lapped < 2; lapped++) {
        rig_t *rig = rig_of_health();
        unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM"), other = rig_topic(rig, GW_TRADE, "B.SIM");
        rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_publish(rig, other);
        rig_settle(rig);
        gw_topic_t *t = gw_topic_find(rig->plane, GW_BBO, "A.SIM", 5);
        CHECK(t->suspect);
        rig->writer.chains[rig->topics[rig_topic(rig, GW_HEALTH, "A.SIM")].id].seq = 0;
        health_of(rig, "A.SIM", 0, 1);
        for (int i = 0; i < 100 * lapped; i++) rig_publish(rig, other);
        rig_settle(rig);
        CHECK_EQUAL(rig->stats->ring_lapped[0], (unsigned)lapped);
        CHECK(!t->suspect);
        rig_free(rig);
    }
}

/* Health that was never told has no seq, and no frame of a moment ago: least of all the log's first one. */
static void health_that_is_presumed_is_its_topic_s(void) {
    for (int quick = 0; quick < 2; quick++) {
        rig_t *rig = rig_of_health();
        unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
        peer_t *other = subscriber(rig, GW_BBO, "A.SIM", true);
        rig_register(rig, bbo);
        for (int i = 0; i < 3; i++) {
            if (i) rig_publish(rig, bbo);
            rig_settle(rig);
            if (!quick) rig->now += rig->plane->o.lossless_max_age_ns;
            peer_t *peer = subscriber(rig, GW_HEALTH, "A.SIM", true);
            expect(peer, "health snapshot A.SIM 0 ok ()");
            expect_nothing(peer);
            if (i) expect(other, DATA("bbo", "update"));
        }
        rig_free(rig);
    }
}

/* What is replayed shows no doubt: that is told once the state it is about has come. */
static void who_replays_is_told_at_the_end(void) {
    rig_t *rig = rig_of_health();
    const unsigned trade = rig_topic(rig, GW_TRADE, "A.SIM");
    rig->paced = true;
    for (int i = 0; i < 3; i++) rig_publish(rig, trade);
    rig_settle(rig);
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, true);
    x.from = GW_FROM_LAST;
    x.from_value = 2;
    rig_subscribe(rig, peer, 1, &x, 1);
    health(rig, "A.SIM", 1 << GW_TRADE);
    rig_settle(rig);
    expect(peer, "{\"reply\":0");
    expect(peer, "{\"reply\":1");
    expect(peer, DATA("trade", "update"));
    expect(peer, DATA("trade", "update"));
    expect(peer, GAP("trade", "A.SIM"));
    expect(peer, "{\"channel\":\"system\",\"type\":\"replay_completed\"");
    expect_nothing(peer);
    rig_free(rig);
}

int main(void) {
    RUN(who_replays_is_told_at_the_end);
    RUN(each_run_is_told_once_in_its_place);
    RUN(a_late_subscriber_is_told_with_its_snapshot);
    RUN(a_state_is_sent_before_its_notice);
    RUN(a_full_socket_gets_it_when_it_drains_and_no_more_than_its_part);
    RUN(what_is_left_out_is_counted_by_what_it_says);
    RUN(a_lap_does_not_hide_it);
    RUN(after_a_lap_the_newer_of_the_two_counts);
    RUN(an_epoch_begins_with_what_is_suspect);
    RUN(a_hole_or_a_new_beginning_of_numbers_is_told_before_its_record);
    RUN(a_new_beginning_reaches_a_full_socket_and_survives_a_lap);
    RUN(another_origin_ends_what_the_one_before_said);
    RUN(health_that_is_presumed_is_its_topic_s);
    RUN(health_is_a_channel_and_a_pattern_s_snapshot_has_what_is_not_ok);
    return 0;
}
