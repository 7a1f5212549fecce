/* What subscribers are told of input that was refused: the record that did not come may have changed what they hold;
 * and of the venue's own numbers, which a record's header says have a hole before it, or begin anew.
 *
 * A feed publishes an instrument's health at each change (gw_suspect.h). A topic is *suspect* while its bit of the
 * newest health is set and no record of its own is newer (`ring_seq` says which is, also where a lap had one of them
 * compared before the other). When it becomes so, each of its subscribers gets a gap notice, once per run of refusals;
 * one that comes later gets it with the snapshot, which shows the last good state. It always comes behind that state,
 * since the topic's next one ends what it says.
 *
 * So a link whose state is still to be sent as a mark is told by that mark: the state, then the notice. To the others
 * the notice takes its place among the client's frames. A client whose socket is full has no frames of conflated topics
 * in its queue, where they would age until it is closed as slow: it gets the notice by its control queue, up to a
 * part of that; what is beyond is left out and counted, and told as a number (gw_client_tell_untold). */
#include "gw_plane_internal.h"
#include <stdio.h>
#include <string.h>

#define CONTROL_PARTS 4u   /* of a client's control queue, what notices may fill */
#define NOTICE_AGES 8      /* a notice is used again up to this part of the age at which a frame is too old */

typedef struct {
    const char *text;
    size_t length;
    int what;       /* GW_NOTICE_* */
    uint64_t frame; /* 0: nobody needs it yet */
    uint8_t flags;  /* of that */
} notice_t;

static size_t notice_write(const gw_topic_t *t, const char *more, char *text) {
    return (size_t)snprintf(text, GW_NOTICE_MAX,
                            "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"%s\",\"symbol\":\"%.*s\","
                            "%s}]}", gw_channel_name(t->channel), t->length, t->name, more);
}

/* The topic's last notice of refused input, while it may be used again; else 0. */
static uint64_t notice_known(gw_plane_t *p, const gw_topic_t *t) {
    if (t->notice < p->epoch_index || !t->notice || !gw_log_fresh(&p->log, t->notice)) return 0;
    int64_t age_ns = p->taken_ns - gw_log_frame(&p->log, t->notice)->taken_ns;
    return age_ns <= p->o.lossless_max_age_ns / NOTICE_AGES ? t->notice : 0;
}

void gw_told_by_control(gw_plane_t *p, gw_client_t *c, const char *text, size_t length, int what) {
    size_t used = c->control_length - c->control_head;
    if (used + length <= p->o.control_bytes_max / CONTROL_PARTS && !gw_client_control_text(p, c, text, length)) return;
    c->untold++;
    gw_count(&p->stats->notices_left_out[what], 1);
}

static void tell(gw_plane_t *p, gw_link_t *l, notice_t *n) {
    gw_client_t *c = l->client;
    if (c->flags & GW_CLIENT_DOOMED || gw_link_ends(l)) return;
    if (!l->lossless && c->flags & GW_CLIENT_BLOCKED) {
        gw_told_by_control(p, c, n->text, n->length, n->what);
        return;
    }
    if (c->flags & GW_CLIENT_WAITS && c->queued >= p->o.lossless_frames_max) {
        gw_client_slow(p, c, "too many frames");
        return;
    }
    if (!n->frame) n->frame = gw_told_frame(p, l->topic, n->text, n->length, n->flags, n->what);
    gw_client_push(p, c, n->frame);
}

#define REFUSED "\"reason\":\"refused\""

/* Tells one link of the topic, or all (NULL), that its newest input was refused; but where a mark will tell it, or the
 * job that brings its client to this epoch. */
static void tell_refused(gw_plane_t *p, gw_topic_t *t, gw_link_t *one) {
    char text[GW_NOTICE_MAX];
    notice_t n = {text, notice_write(t, REFUSED, text), GW_NOTICE_REFUSED, notice_known(p, t), GW_FRAME_REFUSED};
    for (uint32_t i = 0; i < (one ? 1 : t->links_count); i++) {
        gw_link_t *l = one ? one : t->links[i].link;
        if (!l->dirty && l->epoch == p->epochs) tell(p, l, &n);
    }
    t->notice = n.frame;
}

/* The notice as a frame of its own at `out`, GW_NOTICE_MAX bytes; its length. */
size_t gw_refused_render(const gw_topic_t *t, uint8_t *out) {
    char text[GW_NOTICE_MAX];
    size_t length = notice_write(t, REFUSED, text), header = gw_frame_header(GW_OP_TEXT, length, out);
    memcpy(out + header, text, length);
    return header + length;
}

/* The venue's own numbers had a hole before this record, or began anew. */
uint32_t gw_gap_route(gw_plane_t *p, gw_topic_t *t, const gw_header_t *h) {
    char text[GW_NOTICE_MAX], more[64];
    if (h->gap == GW_GAP_NONE || h->gap >= GW_GAPS) return 0;
    if (h->gap == GW_GAP_RESET) snprintf(more, sizeof more, "\"reason\":\"reset\"");
    else snprintf(more, sizeof more, "\"lost\":%llu,\"reason\":\"feed\"", (unsigned long long)h->lost);
    const int what = h->gap == GW_GAP_RESET ? GW_NOTICE_RESET : GW_NOTICE_FEED;
    notice_t n = {text, notice_write(t, more, text), what, 0, 0};
    for (uint32_t i = 0; i < t->links_count; i++) tell(p, t->links[i].link, &n);
    return t->links_count;
}

uint8_t gw_topic_suspects(const gw_topic_t *t) {
    return t->channel == GW_HEALTH && t->seq ? t->state.u.health.suspect : 0;
}

/* The instrument's health says anew which of its topics are suspect: tells the subscribers of each that has become so.
 * How many links that was. */
uint32_t gw_refused_route(gw_plane_t *p, const gw_topic_t *health, uint8_t before) {
    const uint8_t now = gw_topic_suspects(health), looks = now | before;
    uint32_t links = 0;
    for (uint8_t channel = 1; looks >> channel; channel++) {
        gw_topic_t *t = looks >> channel & 1 ? gw_topic_find(p, channel, health->name, health->length) : NULL;
        if (!t || channel == GW_HEALTH) continue;
        const int risen = (now >> channel & 1) > t->suspect;
        t->suspect = now >> channel & 1;
        if (!risen) continue;
        tell_refused(p, t, NULL);
        links += t->links_count;
    }
    return links;
}

static const gw_topic_t *health_of(const gw_plane_t *p, const gw_topic_t *t) {
    return p->health_topics && t->channel != GW_HEALTH ? gw_topic_find(p, GW_HEALTH, t->name, t->length) : NULL;
}

uint8_t gw_refused_known(const gw_plane_t *p, const gw_topic_t *t) {
    const gw_topic_t *health = health_of(p, t);
    return health ? gw_topic_suspects(health) >> t->channel & 1 : 0;
}

/* The record ends it, but where the health that we know is newer: then it is told again. How many links that was. */
uint32_t gw_refused_recover(gw_plane_t *p, gw_topic_t *t) {
    const gw_topic_t *health = health_of(p, t);
    t->suspect = gw_refused_known(p, t) && health->state.h.ring_seq > t->state.h.ring_seq;
    if (!t->suspect) return 0;
    tell_refused(p, t, NULL);
    return t->links_count;
}

/* A link has just begun: it is told what those before it were told. */
void gw_refused_snapshot(gw_plane_t *p, gw_link_t *l) {
    if (l->topic->suspect) tell_refused(p, l->topic, l);
}

/* Of an instrument that exists and was never suspect in this epoch there is no record of health: all is well. Makes
 * that the topic's state, without a seq; false where there is no such instrument. */
int gw_health_presume(gw_plane_t *p, gw_topic_t *health) {
    int exists = 0;
    if (health->channel != GW_HEALTH) return 0;
    for (uint8_t channel = 1; channel < GW_HEALTH && !exists; channel++) {
        const gw_topic_t *t = gw_topic_find(p, channel, health->name, health->length);
        exists = t && t->bound;
    }
    if (!exists) return 0;
    int64_t now = p->io.realtime(p->io.self);
    health->state = (gw_record_t){.h = {.kind = GW_HEALTH, .ts_event = now, .ts_recv = now, .ts_publish = p->now}};
    health->state.u.health = (gw_health_t){.state_length = 2, .state = "ok"};
    health->frame_seq[GW_ENCODE_UPDATE] = health->frame_seq[GW_ENCODE_SNAPSHOT] = UINT64_MAX;
    return 1;
}
