/* Frames of the logs: each state of a topic is encoded at most once per format, variant and kind of message. */
#include "gw_plane_internal.h"
#include <string.h>

/* Where a payload is written, so that its header fits in front: most headers have this length. */
static inline size_t header_usual(const gw_template_t *t) { return gw_template_opcode(t) == GW_OP_TEXT ? 4 : 2; }

size_t gw_payload_at(const gw_template_t *t) { return header_usual(t); }

static inline const gw_template_t *template_of(const gw_plane_t *p, const gw_audience_t *a, uint8_t channel, int encode) {
    const gw_format_t *f = &p->o.formats[a->format];
    const gw_template_t *other = a->variant ? f->variants[a->variant - 1].records[channel][encode] : NULL;
    return other ? other : f->records[channel][encode];
}

/* Who encodes has the log's guard look before the next unit of work (gw_guard). */
static uint64_t append(gw_plane_t *p, uint32_t format, const gw_frame_t *f, size_t length) {
    uint64_t index = gw_log_commit(&p->lanes[format].log, f, length);
    p->encoded += length;
    p->unguarded += length > GW_FRAME_BYTES_MEAN ? length : GW_FRAME_BYTES_MEAN;
    return index;
}

/* Puts the header in front of a payload written at out + header_usual; returns its length. */
static size_t frame_close(const gw_template_t *t, uint8_t *out, size_t payload) {
    size_t header = gw_frame_header_size(payload), usual = header_usual(t);
    if (header != usual) memmove(out + header, out + usual, payload);
    return gw_frame_header(gw_template_opcode(t), payload, out);
}

size_t gw_payload_close(const gw_template_t *t, uint8_t *out, size_t payload) { return frame_close(t, out, payload); }

uint64_t gw_frame_append(gw_plane_t *p, uint32_t format, const gw_frame_t *f, size_t length) {
    return append(p, format, f, length);
}

uint64_t gw_topic_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, int encode) {
    gw_log_t *log = &p->lanes[a->format].log;
    if (a->frame_seq[encode] == t->seq && gw_log_fresh(log, a->frame[encode])) return a->frame[encode];
    const gw_template_t *template = template_of(p, a, t->channel, encode);
    uint8_t *out = gw_log_reserve(log, gw_template_size_max(template, t->length) + GW_FRAME_HEADER_MAX);
    if (!p->send_ns) p->send_ns = p->io.realtime(p->io.self);
    gw_encode_t in = {.record = t->state, .symbol = t->name, .symbol_length = t->length, .ts_send = p->send_ns,
                      .topic = t->number, .channel = t->channel};
    size_t payload = gw_template_encode(template, &in, (char *)out + header_usual(template));
    gw_frame_t f = {
        .recv_ns = gw_record_published(t->state) - t->state->h.ingest_ns,
        .taken_ns = p->taken_ns,
        .topic = t->number,
        .channel = t->channel,
        .header = (uint8_t)frame_close(template, out, payload),
        .flags = (uint8_t)((encode == GW_ENCODE_SNAPSHOT ? GW_FRAME_SNAPSHOT : 0) |
                           (t->state->h.flags & GW_FLAG_PACED ? GW_FRAME_PACED : 0)),
    };
    a->frame_seq[encode] = t->seq;
    return a->frame[encode] = append(p, a->format, &f, f.header + payload);
}

/* The template of a record that is replayed: the audience's own, or as an update. */
static const gw_template_t *template_replay(const gw_plane_t *p, const gw_audience_t *a, uint8_t channel) {
    const gw_format_t *f = &p->o.formats[a->format];
    const gw_variant_t *v = a->variant ? &f->variants[a->variant - 1] : NULL;
    if (v && v->records[channel][GW_ENCODE_REPLAY]) return v->records[channel][GW_ENCODE_REPLAY];
    if (v && v->records[channel][GW_ENCODE_UPDATE]) return v->records[channel][GW_ENCODE_UPDATE];
    return f->records[channel][f->records[channel][GW_ENCODE_REPLAY] ? GW_ENCODE_REPLAY : GW_ENCODE_UPDATE];
}

/* A record of the topic that the ring still has. Its age is that of who missed it, so it is paced. */
uint64_t gw_record_frame(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, const gw_record_t *r) {
    const gw_template_t *template = template_replay(p, a, t->channel);
    uint8_t *out = gw_log_reserve(&p->lanes[a->format].log, gw_template_size_max(template, t->length) + GW_FRAME_HEADER_MAX);
    if (!p->send_ns) p->send_ns = p->io.realtime(p->io.self);
    gw_encode_t in = {.record = r, .symbol = t->name, .symbol_length = t->length, .ts_send = p->send_ns, .topic = t->number,
                      .channel = t->channel};
    const size_t payload = gw_template_encode(template, &in, (char *)out + header_usual(template));
    gw_frame_t f = {.recv_ns = p->taken_ns, .taken_ns = p->taken_ns, .topic = t->number, .channel = t->channel,
                    .flags = GW_FRAME_PACED, .what = GW_FRAME_REPLAYED};
    f.header = (uint8_t)frame_close(template, out, payload);
    return append(p, a->format, &f, f.header + payload);
}

size_t gw_topic_render_max(const gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a) {
    if (gw_topic_is_local(t)) return GW_LOCAL_FRAME_MAX;
    if (gw_topic_is_book(t)) return GW_BOOK_FRAME_MAX + 4 * GW_NOTICE_MAX;
    size_t update = gw_template_frame_max(template_of(p, a, t->channel, GW_ENCODE_UPDATE));
    size_t snapshot = gw_template_frame_max(template_of(p, a, t->channel, GW_ENCODE_SNAPSHOT));
    return (update > snapshot ? update : snapshot) + 4 * GW_NOTICE_MAX;
}

/* A copy of the frame `f` at `out` (gw_topic_render_max bytes), telling `skipped`. */
size_t gw_frame_tell(const gw_log_t *log, const gw_template_t *template, const gw_frame_t *f, uint64_t skipped, uint8_t *out) {
    const uint8_t *bytes = gw_log_bytes(log, f);
    const size_t usual = header_usual(template);
    if (!skipped) {
        memcpy(out, bytes, f->length);
        return f->length;
    }
    size_t payload = f->length - f->header;
    memcpy(out + usual, bytes + f->header, payload);
    payload = gw_template_tell(template, skipped, (char *)out + usual, payload);
    return frame_close(template, out, payload) + payload;
}

static size_t tell(const gw_plane_t *p, const gw_audience_t *a, const gw_frame_t *f, int encode, uint64_t skipped,
                   uint8_t *out) {
    return gw_frame_tell(&p->lanes[a->format].log, template_of(p, a, f->channel, encode), f, skipped, out);
}

/* The topic's state as a frame of its own at `out` (gw_topic_render_max bytes), telling `skipped`; before it, where the
 * client does not know it yet, the topic's announcement. */
size_t gw_topic_render(gw_plane_t *p, gw_link_t *l, int encode, uint8_t *out) {
    if (gw_topic_is_local(l->topic)) return gw_local_render(p, l->topic, encode, out);
    gw_audience_t *a = gw_link_audience(l);
    size_t length = l->unannounced ? gw_link_notice_encode(p, l, GW_NOTICE_TOPIC, out) : 0;
    const gw_frame_t *f = gw_log_frame(&p->lanes[a->format].log, gw_topic_frame(p, l->topic, a, encode));
    return length + tell(p, a, f, encode, l->skipped + l->stale, out + length);
}

/* The state as a message that tells what was skipped before it, and counts as the update it is. */
static uint64_t telling_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, int encode, uint64_t skipped) {
    gw_log_t *log = &p->lanes[a->format].log;
    gw_frame_t f = *gw_log_frame(log, gw_topic_frame(p, t, a, encode));
    uint8_t *out = gw_log_reserve(log, gw_topic_render_max(p, t, a));
    /* From the frame at hand: encoding once more would take the room just reserved. */
    size_t length = tell(p, a, &f, encode, skipped, out);
    f.flags = (uint8_t)((f.flags & GW_FRAME_PACED) | GW_FRAME_RESYNC);
    f.taken_ns = p->taken_ns;
    f.skipped = skipped < UINT32_MAX ? (uint32_t)skipped : UINT32_MAX;
    return append(p, a->format, &f, length);
}

/* The state after a lap, for those who take the topic without loss. */
uint64_t gw_topic_resync_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, uint64_t skipped) {
    return telling_frame(p, t, a, GW_ENCODE_SNAPSHOT, skipped);
}

uint64_t gw_topic_since_frame(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, uint64_t skipped) {
    return telling_frame(p, t, a, GW_ENCODE_UPDATE, skipped);
}

/* A notice to one client in the order of its data; of a topic of its, or of none (NULL). */
uint64_t gw_client_notice_frame(gw_plane_t *p, uint32_t format, const gw_topic_t *t, gw_notice_kind_t kind,
                                const gw_notice_t *notice) {
    uint8_t *out = gw_log_reserve(&p->lanes[format].log, GW_NOTICE_MAX);
    const size_t length = gw_notice_encode(p, format, kind, NULL, notice, out);
    if (!length) return GW_FRAME_NONE;
    const gw_frame_t f = {.recv_ns = p->taken_ns, .taken_ns = p->taken_ns, .topic = t ? t->number : UINT32_MAX,
                          .flags = GW_FRAME_NOTICE | GW_FRAME_TOLD | GW_FRAME_PACED, .what = GW_LEFT_REPLAYED,
                          .header = (uint8_t)(length < 128 ? 2 : 4)};
    return append(p, format, &f, length);
}

uint64_t gw_notice_frame(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, gw_notice_kind_t kind,
                         const gw_notice_t *notice, uint8_t flags, int what) {
    uint8_t *out = gw_log_reserve(&p->lanes[a->format].log, GW_NOTICE_MAX);
    size_t length = gw_notice_encode(p, a->format, kind, t, notice, out);
    if (!length) return GW_FRAME_NONE;
    gw_frame_t f = {.recv_ns = p->taken_ns, .taken_ns = p->taken_ns, .topic = t->number,
                    .flags = GW_FRAME_NOTICE | flags, .what = (uint8_t)what};
    f.header = (uint8_t)(length < 128 ? 2 : 4); /* of at most GW_NOTICE_MAX bytes */
    return append(p, a->format, &f, length);
}
