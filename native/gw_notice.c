/* What the plane tells clients beside records, in each one's format. */
#include "gw_plane_internal.h"
#include <string.h>

/* Notices of limits in one control queue, in bytes: half of what a queue has beyond the replies. The plane's other
 * messages have the second half, so no notice takes a reply's room. */
#define NOTICES_MAX (GW_CONTROL_SLACK / 2)
#define CONTROL_PARTS 4u /* of a client's control queue, what other notices may fill */

/* Writes a part of a message; its length, 0 where the format does not tell such a thing. */
static size_t part(const gw_plane_t *p, uint32_t format, gw_notice_kind_t kind, const gw_topic_t *t, const gw_notice_t *notice,
                   uint8_t *out) {
    const gw_template_t *template = p->o.formats[format].notices[kind];
    if (!template) return 0;
    gw_encode_t in = {.notice = notice, .ts_send = p->io.realtime(p->io.self), .channel = notice->channel};
    if (t) {
        in.symbol = t->name;
        in.symbol_length = t->length;
        in.topic = t->number;
        in.channel = t->channel;
    }
    return gw_template_encode(template, &in, (char *)out);
}

size_t gw_notice_encode(const gw_plane_t *p, uint32_t format, gw_notice_kind_t kind, const gw_topic_t *t,
                        const gw_notice_t *notice, uint8_t *out) {
    size_t payload = part(p, format, kind, t, notice, out + GW_FRAME_HEADER_MAX);
    return payload ? gw_frame_close(gw_template_opcode(p->o.formats[format].notices[kind]), payload, out) : 0;
}

size_t gw_link_notice_encode(const gw_plane_t *p, const gw_link_t *l, gw_notice_kind_t kind, uint8_t *out) {
    const gw_notice_t notice = {.numbers = {0}};
    return gw_notice_encode(p, l->client->format, kind, l->topic, &notice, out);
}

/* --- to one client ----------------------------------------------------------------------------------- */

int gw_client_say(gw_plane_t *p, gw_client_t *c, gw_notice_kind_t kind, const gw_notice_t *notice) {
    uint8_t frame[GW_NOTICE_MAX];
    return gw_client_control(p, c, frame, gw_notice_encode(p, c->format, kind, NULL, notice, frame), 0);
}

typedef struct {
    gw_notice_kind_t kind;
    gw_notice_t notice;
} part_t;

/* The same of a message of several parts. */
static int say_parts(gw_plane_t *p, gw_client_t *c, const part_t *parts, uint32_t count) {
    uint8_t frame[GW_NOTICE_MAX * (GW_CLASSES + 2)];
    size_t payload = 0;
    for (uint32_t i = 0; i < count; i++)
        payload += part(p, c->format, parts[i].kind, NULL, &parts[i].notice, frame + GW_FRAME_HEADER_MAX + payload);
    if (!payload) return 0;
    const uint8_t opcode = gw_template_opcode(p->o.formats[c->format].notices[parts[0].kind]);
    return gw_client_control(p, c, frame, gw_frame_close(opcode, payload, frame), 0);
}

/* Tells a limit that the client has met. Where no notice fits any more it is counted instead, and so are those that
 * follow, until the queue has left. */
static void limit_say(gw_plane_t *p, gw_client_t *c, gw_notice_kind_t kind, const gw_notice_t *notice) {
    uint8_t frame[GW_NOTICE_MAX];
    if (!c->control) c->noticed = 0;
    const size_t length = gw_notice_encode(p, c->format, kind, NULL, notice, frame), noticed = c->noticed + length;
    if (!length) return;
    int error = c->untold || noticed > NOTICES_MAX ? -ENOSPC : gw_client_control(p, c, frame, length, 0);
    if (!error) c->noticed = (uint32_t)noticed;
    else if (error == -ENOSPC) c->untold++;
    else gw_client_slow(p, c, "no memory for a notice");
}

/* The string as it was asked for: requests write `~` before a star or a tilde that is itself. */
size_t gw_asked_for(const char *name, size_t length, int pattern, char *out) {
    const char star = pattern ? GW_LITERAL_STAR : '*';
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] == star || name[i] == '~') out[n++] = '~';
        out[n++] = name[i] == star ? '*' : name[i];
    }
    return n;
}

void gw_limit_tell(gw_plane_t *p, gw_client_t *c, const char *limit, uint32_t value, const char *name,
                   size_t length, int pattern) {
    char string[2 * GW_INSTRUMENT_MAX];
    gw_notice_t notice = {.numbers = {value},
                          .words = {gw_text_of(limit), {string, gw_asked_for(name, length, pattern, string)}}};
    gw_count(&p->stats->limits_met[0], 1);
    limit_say(p, c, GW_NOTICE_LIMIT, &notice);
    gw_client_touch(p, c);
}

/* How many limits were only counted; called once bytes of the control queue have left. */
void gw_client_tell_untold(gw_plane_t *p, gw_client_t *c) {
    if (!c->untold || c->control || c->flags & GW_CLIENT_DOOMED) return;
    gw_notice_t notice = {.numbers = {NOTICES_MAX, c->untold}};
    c->untold = 0;
    limit_say(p, c, GW_NOTICE_LIMITS, &notice);
}

void gw_told_by_control(gw_plane_t *p, gw_client_t *c, const uint8_t *frame, size_t length, int what) {
    size_t used = c->control_length - c->control_head;
    if (used + length <= p->o.control_bytes_max / CONTROL_PARTS && !gw_client_control(p, c, frame, length, 0)) return;
    c->untold++;
    gw_count(&p->stats->notices_left_out[what], 1);
}

static uint64_t interval_ms(uint8_t interval) {
    int ms = gw_ladder_interval_ms(interval);
    return ms < 0 ? UINT64_MAX : (uint64_t)ms;
}

/* What the ladder did to the client's classes since it was told last. */
void gw_client_tell(gw_plane_t *p, gw_client_t *c) {
    part_t parts[GW_CLASSES + 2];
    uint32_t n = 1;
    for (uint32_t i = 0; i < GW_CLASSES; i++) {
        if (!(c->classes >> i & 1) || c->told[i] == p->ladder.interval[i]) continue;
        parts[n] = (part_t){n > 1 ? GW_NOTICE_CLASS_MORE : GW_NOTICE_CLASS,
                            {.numbers = {i, interval_ms(p->ladder.interval[i]), interval_ms(c->told[i]), p->ladder.step}}};
        n++;
    }
    parts[0] = (part_t){GW_NOTICE_CONFLATION, {.numbers = {n - 1}}};
    parts[n] = (part_t){.kind = GW_NOTICE_CONFLATION_END};
    if (n > 1 && say_parts(p, c, parts, n + 1)) return; /* no room: once there is some */
    for (uint32_t i = 0; i < GW_CLASSES; i++)
        if (c->classes >> i & 1) c->told[i] = p->ladder.interval[i];
    c->flags &= (uint16_t)~GW_CLIENT_TELL;
}

/* Tells the client the epoch that is followed now. */
void gw_epoch_notice(gw_plane_t *p, gw_client_t *c) {
    if (!p->mapping) return;
    const gw_notice_t notice = {.words = {gw_text_of(p->epoch)}};
    if (gw_client_say(p, c, GW_NOTICE_EPOCH, &notice)) gw_client_slow(p, c, "control queue");
}
