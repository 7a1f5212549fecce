/* Input that was refused: who is told, when, in which place among the records, and how much of it. */
#include "plane_rig.h"

static const char health_program[] =
    "\001\007"
    "\013,\"skipped\":"
    "\001}"
    "\000\020health snapshot \001"
    "\000\001 \002"
    "\000\001 \012\000"
    "\000\002 (\012\001"
    "\000\001)";

#define TEXT_MAX 512u

/* The next frame as text; an empty one where there is none. */
static const char *next(peer_t *peer) {
    static char text[TEXT_MAX];
    const uint8_t *at = peer->stream + peer->read;
    size_t left = peer->length - peer->read, header = 2;
    text[0] = 0;
    if (left < 2) return text;
    size_t length = at[1];
    if (length == 126) length = (size_t)at[2] << 8 | at[3], header = 4;
    CHECK(length < TEXT_MAX && left >= header + length);
    memcpy(text, at + header, length);
    text[length] = 0;
    peer->read += header + length;
    return text;
}

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

static rig_t *rig_of_health(void) {
    gw_plane_options_t o = rig_options();
    for (int i = 0; i < GW_ENCODES; i++)
        CHECK_EQUAL(gw_template_load((const uint8_t *)health_program, sizeof health_program - 1,
                                     &o.templates[GW_HEALTH][i]), 0);
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4096, 512); /* 31 records */
    rig_settle(rig);
    return rig;
}

/* The instrument's health, with these channels suspect. */
static void health(rig_t *rig, const char *name, uint8_t suspect) {
    unsigned topic = rig_topic(rig, GW_HEALTH, name);
    rig_register(rig, topic);
    gw_record_t r = {.h = {.kind = GW_HEALTH, .topic = (uint32_t)rig->topics[topic].id,
                           .ts_publish = rig->now}};
    r.u.health = (gw_health_t){.suspect = suspect, .state_length = 2, .reason_length = 3};
    memcpy(r.u.health.state, suspect ? "no" : "ok", 2);
    memcpy(r.u.health.reason, "a\"b", 3);
    gw_writer_publish(&rig->writer, &r);
}

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
        expect(peer, GAP("bbo", "A.SIM"));
        expect(peer, DATA("bbo", "snapshot"));
        expect_nothing(peer);
    }
    peer_t *trades = subscriber(rig, GW_TRADE, "A.SIM", true);
    expect_nothing(trades);
    health(rig, "A.SIM", 0);
    rig_settle(rig);
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    expect(peer, DATA("bbo", "snapshot"));
    expect_nothing(peer);
    rig_free(rig);
}

static void a_full_socket_gets_it_when_it_drains_and_no_more_than_its_part(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", false);
    rig_publish(rig, bbo);
    rig_settle(rig);
    expect(peer, DATA("bbo", "update"));
    peer->allowed = 0;
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO); /* one while it stands in the queue, many while it is blocked */
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
    CHECK(!strncmp(text, DATA("bbo", "update"), 20));
    expect_nothing(peer);
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
        const char *text = next(one); /* the pattern's link is made before the health is known */
        expect(one, strncmp(text, DATA("bbo", "snapshot"), 20) ? DATA("bbo", "snapshot") : GAP("bbo", "A.SIM"));
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
    RUN(an_epoch_begins_with_what_is_suspect);
    RUN(a_hole_or_a_new_beginning_of_numbers_is_told_before_its_record);
    RUN(a_new_beginning_reaches_a_full_socket_and_survives_a_lap);
    RUN(health_is_a_channel_and_a_pattern_s_snapshot_has_what_is_not_ok);
    return 0;
}
