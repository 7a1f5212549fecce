/* Input that was refused: who is told, when, in which place among the records, and how much of it. */
#include "plane_health.h"

static void expect(peer_t *peer, const char *start) {
    const char *text = next(peer);
    if (strncmp(text, start, strlen(start))) fprintf(stderr, "got %s\nfor %s\n", text, start);
    CHECK(!strncmp(text, start, strlen(start)));
}

static void expect_nothing(peer_t *peer) { CHECK_EQUAL(*next(peer), 0); }

#define GAP(channel, symbol)                                                                      \
    "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"" channel                  \
    "\",\"symbol\":\"" symbol "\",\"reason\":\"refused\"}]}"
#define DATA(channel, type) "{\"channel\":\"" channel "\",\"type\":\"" type "\","

static peer_t *client(rig_t *rig, uint8_t channel, const char *name, bool lossless) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1, channel, name, lossless, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    expect(peer, "{\"reply\":0");
    return peer;
}

static peer_t *subscriber(rig_t *rig, uint8_t channel, const char *name, bool lossless) {
    peer_t *peer = client(rig, channel, name, lossless);
    expect(peer, "{\"reply\":1");
    return peer;
}

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
    gw_client_t *c = &rig->plane->clients[(uint32_t)peer->handle];
    CHECK(c->control_length <= rig->plane->o.control_bytes_max / 4 && !c->queued);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(peer, GAP("bbo", "A.SIM"));
    unsigned notices = 1;
    const char *text = next(peer);
    for (; !strcmp(text, GAP("bbo", "A.SIM")); text = next(peer)) notices++;
    CHECK(notices > 10 && notices < 300);
    CHECK(!strncmp(text, DATA("bbo", "update"), 20)); /* of the other one */
    char untold[160];
    snprintf(untold, sizeof untold, NOTICES "\"value\":4096,\"refused\":%u}]}", 1001 - notices);
    expect(peer, untold);
    expect_nothing(peer);
    CHECK_EQUAL(rig->stats->limits_met[0], 1001 - notices);
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

/* A client that shows the state as good from the next update on: none of before the refusal comes behind the notice. */
static void a_state_that_waits_is_told_before_it_is_doubted(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *blocked = subscriber(rig, GW_BBO, "A.SIM", false), *held = rig_connect(rig);
    gw_item_t least = item(1, GW_BBO, "A.SIM", false, true);
    least.priority = 3;
    rig_subscribe(rig, held, 1, &least, 1);
    rig_settle(rig);
    expect(held, "{\"reply\":0");
    expect(held, "{\"reply\":1");
    rig->plane->ladder.interval[3] = 6; /* 250 ms */
    gw_client_refresh(rig->plane, &rig->plane->clients[(uint32_t)held->handle]);
    rig_publish(rig, bbo);
    rig_settle(rig);
    expect(blocked, DATA("bbo", "update"));
    expect(held, "{\"channel\":\"system\",\"type\":\"conflation\"");
    expect(held, DATA("bbo", "update")); /* the first one after a pause */
    blocked->allowed = 0;
    rig_publish(rig, bbo); /* found in the queue when the socket is full */
    rig_settle(rig);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    expect_nothing(held);
    blocked->allowed = RIG_NO_LIMIT;
    rig->now += 250000000;
    rig_settle(rig);
    for (int i = 0; i < 2; i++) {
        expect(i ? held : blocked, DATA("bbo", "update"));
        expect(i ? held : blocked, GAP("bbo", "A.SIM"));
        expect_nothing(i ? held : blocked);
    }
    CHECK_EQUAL(rig->stats->pending[GW_BBO], 0);

    /* Of a run that has ended there is nothing to say beside the newer state. */
    blocked->allowed = 0;
    rig_publish(rig, bbo);
    rig_settle(rig);
    health(rig, "A.SIM", 0);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 0);
    rig_settle(rig);
    blocked->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(blocked, DATA("bbo", "update"));
    expect_nothing(blocked);
    rig_free(rig);
}

/* A good record and another refusal are lost in a lap: the state that stands for the record ends the first run. */
static void a_lap_tells_anew_what_is_still_refused(void) {
    for (int health_first = 0; health_first < 2; health_first++) {
        rig_t *rig = rig_of_health();
        if (health_first) health(rig, "A.SIM", 0);
        unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
        peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
        rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
        for (int i = 0; i < 2; i++) {
            expect(peers[i], DATA("bbo", "update"));
            expect(peers[i], GAP("bbo", "A.SIM"));
        }
        for (int again = 0; again < 2; again++) { /* still refused; then no more */
            rig_publish(rig, bbo);
            rig_publish(rig, bbo);
            health(rig, "A.SIM", 0);
            if (!again) health(rig, "A.SIM", 1 << GW_BBO);
            for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
            rig_settle(rig);
            CHECK_EQUAL(rig->stats->ring_lapped[0], 1 + again);
            expect(peers[1], "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"bbo\",\"symbol\":\"A.SIM\",\"from\"");
            for (int i = 0; i < 2; i++) {
                expect(peers[i], DATA("bbo", "snapshot"));
                if (!again) expect(peers[i], GAP("bbo", "A.SIM"));
                expect_nothing(peers[i]);
            }
        }
        rig_free(rig);
    }
}

/* The lap compares the health after it has come from a refusal behind records that are still to be taken. */
static void a_record_from_before_the_refusal_does_not_end_it(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 0);
    for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
    rig->plane->turn_units = 1;
    for (int i = 0; i < 20 && rig->plane->lap_next != 1; i++) gw_plane_cycle(rig->plane);
    CHECK(rig->plane->lap_next == 1 && rig->plane->lap_end == 3);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig->plane->turn_units = GW_UNITS_TURN;
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    for (int i = 0; i < 2; i++) {
        expect(peers[i], DATA("bbo", "update"));
        expect(peers[i], GAP("bbo", "A.SIM"));
        expect(peers[i], DATA("bbo", "update"));
        expect(peers[i], GAP("bbo", "A.SIM"));
        expect_nothing(peers[i]);
    }
    rig_free(rig);
}

/* What was encoded for the epoch before goes with that, however new it is. */
static void a_new_epoch_that_is_refused_at_once_is_told(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
    for (int epoch = 0; epoch < 3; epoch++) {
        if (epoch) rig_segment(rig, 4096, 512);
        if (epoch < 2) rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
        for (int i = 0; i < 2; i++) {
            if (epoch) expect(peers[i], "{\"channel\":\"system\",\"type\":\"epoch\"");
            if (epoch < 2) expect(peers[i], epoch ? DATA("bbo", "snapshot") : DATA("bbo", "update"));
            expect(peers[i], GAP("bbo", "A.SIM"));
            expect_nothing(peers[i]);
        }
    }
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
    rig_publish_header(rig, trade, (gw_header_t){.gap = GW_GAP_FEED, .lost = UINT64_MAX});
    rig_publish_header(rig, trade, (gw_header_t){.gap = GW_GAPS}); /* of a writer that is newer than we */
    rig_publish(rig, bbo);
    rig_settle(rig);
    for (int i = 0; i < 2; i++) {
        expect(peers[i], DATA("trade", "update"));
        expect(peers[i], NUMBERS("trade", "A.SIM", "\"reason\":\"reset\""));
        expect(peers[i], DATA("trade", "update"));
        expect(peers[i], NUMBERS("trade", "A.SIM", "\"lost\":18446744073709551615,\"reason\":\"feed\""));
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

int main(void) {
    RUN(each_run_is_told_once_in_its_place);
    RUN(a_late_subscriber_is_told_with_its_snapshot);
    RUN(a_full_socket_gets_it_when_it_drains_and_no_more_than_its_part);
    RUN(a_lap_does_not_hide_it);
    RUN(a_state_that_waits_is_told_before_it_is_doubted);
    RUN(a_lap_tells_anew_what_is_still_refused);
    RUN(a_record_from_before_the_refusal_does_not_end_it);
    RUN(a_new_epoch_that_is_refused_at_once_is_told);
    RUN(an_epoch_begins_with_what_is_suspect);
    RUN(a_hole_or_a_new_beginning_of_numbers_is_told_before_its_record);
    RUN(a_new_beginning_reaches_a_full_socket_and_survives_a_lap);
    RUN(health_is_a_channel_and_a_pattern_s_snapshot_has_what_is_not_ok);
    return 0;
}
