/* Frames of the log: each state of a topic is encoded at most once per kind of message. */
#include "gw_plane_internal.h"
#include <string.h>

#define HEADER_USUAL 4u /* of payloads from 126 to 65,535 bytes */

/* Every frame of the log is appended here, so nobody keeps one that a later one overwrites. */
static uint64_t append(gw_plane_t *p, const gw_frame_t *f, size_t length) {
    uint64_t index = gw_log_commit(&p->log, f, length);
    gw_log_guard(p);
    return index;
}

/* Puts the header in front of a payload written at out + HEADER_USUAL; returns its length. */
static size_t frame_close(uint8_t *out, size_t payload) {
    size_t header = gw_frame_header_size(payload);
    if (header != HEADER_USUAL) memmove(out + header, out + HEADER_USUAL, payload);
    return gw_frame_header(GW_OP_TEXT, payload, out);
}

uint64_t gw_topic_frame(gw_plane_t *p, gw_topic_t *t, int encode) {
    if (t->frame_seq[encode] == t->seq && gw_log_fresh(&p->log, t->frame[encode])) return t->frame[encode];
    const gw_template_t *template = p->o.templates[t->channel][encode];
    uint8_t *out = gw_log_reserve(&p->log, gw_template_size_max(template, t->length) + GW_FRAME_HEADER_MAX);
    if (!p->send_ns) p->send_ns = p->io.realtime(p->io.self);
    gw_encode_t in = {&t->state, t->name, t->length, p->send_ns};
    size_t payload = gw_template_encode(template, &in, (char *)out + HEADER_USUAL);
    gw_frame_t f = {
        .seq = t->seq,
        .recv_ns = gw_record_published(&t->state) - t->state.h.ingest_ns,
        .taken_ns = p->taken_ns,
        .topic = t->number,
        .channel = t->channel,
        .header = (uint8_t)frame_close(out, payload),
        .tail = (uint8_t)gw_template_tail_length(template),
        .flags = (uint8_t)((encode == GW_ENCODE_SNAPSHOT ? GW_FRAME_SNAPSHOT : 0) |
                           (t->state.h.flags & GW_FLAG_PACED ? GW_FRAME_PACED : 0)),
    };
    t->frame_seq[encode] = t->seq;
    return t->frame[encode] = append(p, &f, f.header + payload);
}

size_t gw_topic_render_max(const gw_plane_t *p, const gw_topic_t *t) {
    size_t update = gw_template_frame_max(p->o.templates[t->channel][GW_ENCODE_UPDATE]);
    size_t snapshot = gw_template_frame_max(p->o.templates[t->channel][GW_ENCODE_SNAPSHOT]);
    return (update > snapshot ? update : snapshot) + GW_NOTICE_MAX;
}

/* A copy of the frame `f` at `out` (gw_topic_render_max bytes), telling `skipped`. */
static size_t splice(const gw_plane_t *p, const gw_frame_t *f, int encode, uint64_t skipped, uint8_t *out) {
    const uint8_t *bytes = gw_log_bytes(&p->log, f);
    if (!skipped) {
        memcpy(out, bytes, f->length);
        return f->length;
    }
    size_t body = f->length - f->header - f->tail;
    memcpy(out + HEADER_USUAL, bytes + f->header, body);
    body += gw_template_splice(p->o.templates[f->channel][encode], skipped, (char *)out + HEADER_USUAL + body);
    return frame_close(out, body) + body;
}

/* The topic's state as a frame of its own at `out` (gw_topic_render_max bytes), telling `skipped`; and whether that
 * state is to be trusted. */
size_t gw_topic_render(gw_plane_t *p, gw_topic_t *t, int encode, uint64_t skipped, uint8_t *out) {
    size_t length = splice(p, gw_log_frame(&p->log, gw_topic_frame(p, t, encode)), encode, skipped, out);
    return t->suspect ? length + gw_refused_render(t, out + length) : length;
}

/* The state after a lap, for those who take the topic without loss: a snapshot that counts as the update it is. */
uint64_t gw_topic_resync_frame(gw_plane_t *p, gw_topic_t *t, uint64_t skipped) {
    gw_frame_t f = *gw_log_frame(&p->log, gw_topic_frame(p, t, GW_ENCODE_SNAPSHOT));
    uint8_t *out = gw_log_reserve(&p->log, gw_topic_render_max(p, t));
    /* From the frame at hand: encoding once more would take the room just reserved. */
    size_t length = splice(p, &f, GW_ENCODE_SNAPSHOT, skipped, out);
    f.flags = (uint8_t)((f.flags & GW_FRAME_PACED) | GW_FRAME_RESYNC);
    f.taken_ns = p->taken_ns;
    f.skipped = skipped < UINT32_MAX ? (uint32_t)skipped : UINT32_MAX;
    return append(p, &f, length);
}

static uint64_t notice(gw_plane_t *p, const gw_topic_t *t, const char *payload, size_t length, uint8_t flags,
                       int what) {
    uint8_t *out = gw_log_reserve(&p->log, length + GW_FRAME_HEADER_MAX);
    memcpy(out + HEADER_USUAL, payload, length);
    gw_frame_t f = {.recv_ns = p->taken_ns, .taken_ns = p->taken_ns, .topic = t->number,
                    .flags = GW_FRAME_NOTICE | flags, .tail = (uint8_t)what};
    f.header = (uint8_t)frame_close(out, length);
    return append(p, &f, f.header + length);
}

uint64_t gw_notice_frame(gw_plane_t *p, const gw_topic_t *t, const char *payload, size_t length) {
    return notice(p, t, payload, length, 0, 0);
}

/* One that is told though the topic's frames become marks. */
uint64_t gw_told_frame(gw_plane_t *p, const gw_topic_t *t, const char *payload, size_t length, uint8_t flags, int what) {
    return notice(p, t, payload, length, GW_FRAME_TOLD | flags, what);
}

/* One that is never left out: a mark takes it along. */
uint64_t gw_retired_frame(gw_plane_t *p, const gw_topic_t *t, const char *payload, size_t length) {
    return notice(p, t, payload, length, GW_FRAME_RETIRED, 0);
}
