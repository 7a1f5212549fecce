/* A plane with the kind that has texts of any length, and what its clients get of them. */
#ifndef PLANE_TEXT_H
#define PLANE_TEXT_H
#define TEXT_MAX 8192u
#include "plane_health.h"
#include "plane_reader.h"

#include <stddef.h>

enum { SHORT = 100, LONG = 2900 };

/* {"channel":"test","type":...,"symbol":...,"seq":...,"text":...} */
static inline gw_template_t *text_template(const char *type) {
    static const uint8_t splice[] = "\013,\"skipped\":\001}";
    uint8_t program[256], *at = program;
    char head[64];
    *at++ = 2;
    *at++ = GW_TEST;
    memcpy(at, splice, sizeof splice - 1);
    snprintf(head, sizeof head, "{\"channel\":\"test\",\"type\":\"%s\",\"symbol\":\"", type);
    at = program_text(at + sizeof splice - 1, head);
    *at++ = 1;
    at = program_text(at, "\",\"seq\":");
    *at++ = 2;
    at = program_text(at, ",\"text\":\"");
    *at++ = 8;
    *at++ = 0;
    at = program_text(at, "\"");
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

static inline rig_t *long_rig(uint64_t capacity) {
    gw_plane_options_t o = rig_options();
    gw_format_t *json = &o.formats[0];
    o.lossless_max_age_ns = INT64_C(1) << 60;
    json->records[GW_TEST][GW_ENCODE_UPDATE] = text_template("update");
    json->records[GW_TEST][GW_ENCODE_SNAPSHOT] = text_template("snapshot");
    for (int i = 0; i < GW_ENCODES; i++) /* so that rig_make adds no format that lacks this channel */
        CHECK_EQUAL(gw_template_load((const uint8_t *)health_program, sizeof health_program - 1,
                                     &json->records[GW_HEALTH][i]), 0);
    rig_t *rig = rig_new(o);
    rig_segment(rig, capacity, 64);
    return rig;
}

static inline unsigned publish_text(rig_t *rig, unsigned topic, size_t length, gw_header_t header) {
    static union {
        gw_record_t record;
        uint8_t bytes[GW_CELL * GW_RECORD_CELLS_MAX];
    } u;
    rig_register(rig, topic);
    const size_t end = GW_CELL + offsetof(gw_test_t, text) + length, cells = (end + GW_CELL - 1) / GW_CELL;
    memset(u.bytes, 0, sizeof u.bytes);
    u.record.h = header;
    u.record.h.kind = GW_TEST;
    u.record.h.cells = (uint16_t)(cells < 2 ? 2 : cells);
    u.record.h.topic = (uint32_t)rig->topics[topic].id;
    u.record.h.ts_publish = rig->now;
    gw_test_t *payload = (gw_test_t *)(void *)(u.bytes + GW_CELL);
    payload->length = (uint16_t)length;
    for (size_t i = 0; i < length; i++) payload->text[i] = i % 50 ? (char)('a' + (length + i) % 26) : '"';
    gw_writer_publish(&rig->writer, &u.record);
    rig->published[GW_TEST]++;
    return u.record.h.cells;
}

static inline peer_t *reader_of(rig_t *rig, const char *name, bool lossless) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(7, GW_TEST, name, lossless, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    const char *text = next(peer);
    while (*text && !strstr(text, "\"reply\":1")) text = next(peer);
    CHECK(*text);
    return peer;
}

static inline void expect_text(peer_t *peer, const char *type, uint64_t seq, size_t length, const char *skipped) {
    static char expected[3 * LONG];
    int n = snprintf(expected, sizeof expected, "{\"channel\":\"test\",\"type\":\"%s\",\"symbol\":\"A.SIM\",\"seq\":%llu,\"text\":\"",
                     type, (unsigned long long)seq);
    for (size_t i = 0; i < length; i++) {
        if (i % 50 == 0) expected[n++] = '\\';
        expected[n++] = i % 50 ? (char)('a' + (length + i) % 26) : '"';
    }
    snprintf(expected + n, sizeof expected - (size_t)n, "\"%s}", skipped);
    const char *got = next(peer);
    if (strcmp(got, expected)) fprintf(stderr, "got %s\nfor %s\n", got, expected);
    CHECK(!strcmp(got, expected));
}

#endif
