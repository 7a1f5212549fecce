/* A plane with the channel of instruments' health, and its frames as text. */
#ifndef PLANE_HEALTH_H
#define PLANE_HEALTH_H
#include "plane_rig.h"

static const char health_program[] =
    "\002\007"
    "\013,\"skipped\":"
    "\001}"
    "\000\020health snapshot \001"
    "\000\001 \002"
    "\000\001 \010\000"
    "\000\002 (\010\001"
    "\000\001)";

#ifndef TEXT_MAX
#define TEXT_MAX 512u
#endif

/* The next frame as text; an empty one where there is none. */
static inline const char *next(peer_t *peer) {
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

static inline rig_t *rig_of_health(void) {
    gw_plane_options_t o = rig_options();
    for (int i = 0; i < GW_ENCODES; i++)
        CHECK_EQUAL(gw_template_load((const uint8_t *)health_program, sizeof health_program - 1,
                                     &o.formats[0].records[GW_HEALTH][i]), 0);
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4096, 512); /* 31 records */
    rig_settle(rig);
    return rig;
}

/* The instrument's health, with these channels suspect; as an origin says. */
static inline void health_of(rig_t *rig, const char *name, uint8_t suspect, uint8_t origin) {
    unsigned topic = rig_topic(rig, GW_HEALTH, name);
    rig_register(rig, topic);
    gw_record_t r = {.h = {.kind = GW_HEALTH, .cells = GW_RECORD_CELLS, .topic = (uint32_t)rig->topics[topic].id,
                           .ts_publish = rig->now, .origin = origin}};
    r.u.health = (gw_health_t){.suspect = suspect, .state_length = 2, .reason_length = 3};
    memcpy(r.u.health.state, suspect ? "no" : "ok", 2);
    memcpy(r.u.health.reason, "a\"b", 3);
    gw_writer_publish(&rig->writer, &r);
}

static inline void health(rig_t *rig, const char *name, uint8_t suspect) { health_of(rig, name, suspect, 0); }

static GW_APART __attribute__((unused)) void expect(peer_t *peer, const char *start) {
    const char *text = next(peer);
    if (strncmp(text, start, strlen(start))) fprintf(stderr, "got %s\nfor %s\n", text, start);
    CHECK(!strncmp(text, start, strlen(start)));
}

static inline void expect_nothing(peer_t *peer) { CHECK_EQUAL(*next(peer), 0); }

#define GAP(channel, symbol)                                                                      \
    "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"" channel                  \
    "\",\"symbol\":\"" symbol "\",\"reason\":\"refused\"}]}"
#define DATA(channel, type) "{\"channel\":\"" channel "\",\"type\":\"" type "\","

static inline peer_t *client(rig_t *rig, uint8_t channel, const char *name, bool lossless) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1, channel, name, lossless, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    expect(peer, "{\"reply\":0");
    return peer;
}

static inline peer_t *subscriber(rig_t *rig, uint8_t channel, const char *name, bool lossless) {
    peer_t *peer = client(rig, channel, name, lossless);
    expect(peer, "{\"reply\":1");
    return peer;
}

#endif
