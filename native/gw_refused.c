/* What subscribers are told of input that was refused: the record that did not come may have changed what they hold;
 * and of the venue's own numbers, which a record's header says have a hole before it, or begin anew.
 *
 * A feed publishes an instrument's health at each change (gw_suspect.h). A topic is *suspect* while its bit of the
 * newest health is set and no record of its own is newer (their places in the ring say which is, also where a lap had
 * one of them compared before the other). When it becomes so, each of its subscribers gets a gap notice, once per run
 * of refusals; one that comes later gets it with the snapshot, which shows the last good state. It always comes behind
 * that state, since the topic's next one ends what it says.
 *
 * So a link whose state is still to be sent as a mark is told by that mark: the state, then the notice. To the others
 * the notice takes its place among the client's frames. A client whose socket is full has no frames of conflated topics
 * in its queue, where they would age until it is closed as slow: it gets the notice by its control queue, up to a
 * part of that; what is beyond is left out and counted, and told as a number (gw_client_tell_untold). */
#include "gw_plane_internal.h"

/* The audience's last notice of refused input, while it may be used again; else none. */
static uint64_t notice_known(const gw_plane_t *p, const gw_audience_t *a) {
    const uint64_t index = a->notice - 1;
    if (!a->notice || index < p->lanes[a->format].epoch_index) return GW_FRAME_NONE;
    return gw_frame_reusable(p, a, index) ? index : GW_FRAME_NONE;
}

/* What is told of a topic, to those of one audience. */
typedef struct {
    gw_notice_kind_t kind;
    gw_notice_t notice;
    int what;       /* GW_LEFT_* */
    uint8_t flags;  /* of its frame */
    uint64_t frame; /* in the log of the audience's format; GW_FRAME_NONE while nobody needs it */
} notice_t;

static void tell_blocked(gw_plane_t *p, gw_link_t *l, const notice_t *n) {
    uint8_t frame[GW_NOTICE_MAX];
    size_t length = gw_notice_encode(p, l->client->format, n->kind, l->topic, &n->notice, frame);
    gw_told_by_control(p, l->client, frame, length, n->what);
}

/* Whether the job in hand will end it: its client has unsubscribed, and is told nothing more. */
static int ends(const gw_link_t *l) { return gw_link_is_marked(l) && !l->chosen; }

static void tell(gw_plane_t *p, gw_link_t *l, notice_t *n) {
    gw_client_t *c = l->client;
    if (c->flags & GW_CLIENT_DOOMED || ends(l) || l->replay) return; /* it is told in its place, or at the end of its replay */
    if (n->what != GW_LEFT_REFUSED && gw_link_follows(l)) return;     /* with the record, which is replayed */
    if (!l->lossless && c->flags & GW_CLIENT_BLOCKED) {
        tell_blocked(p, l, n);
        return;
    }
    if (gw_client_overflows(p, c)) return;
    if (n->frame == GW_FRAME_NONE)
        n->frame = gw_notice_frame(p, l->topic, gw_link_audience(l), n->kind, &n->notice, GW_FRAME_TOLD | n->flags, n->what);
    if (n->frame != GW_FRAME_NONE) gw_link_push(p, l, n->frame);
}

/* Tells one link of the audience, or all (NULL), that its newest input was refused; but where a mark will tell it, or
 * the job that brings its client to this epoch. */
static void tell_refused(gw_plane_t *p, gw_audience_t *a, gw_link_t *one) {
    notice_t n = {.kind = GW_NOTICE_REFUSED, .what = GW_LEFT_REFUSED, .flags = GW_FRAME_REFUSED, .frame = notice_known(p, a)};
    for (uint32_t i = 0; i < (one ? 1 : a->count); i++) {
        gw_link_t *l = one ? one : a->links[i].link;
        if (!l->dirty && l->epoch == p->epochs) tell(p, l, &n);
    }
    a->notice = n.frame + 1; /* so that 0 is none */
}

static void tell_all(gw_plane_t *p, gw_topic_t *t) {
    for (uint32_t i = 0; i < t->audiences_count; i++) tell_refused(p, &t->audiences[i], NULL);
}

/* The venue's own numbers had a hole before this record, or began anew. */
uint32_t gw_gap_route(gw_plane_t *p, gw_topic_t *t, const gw_header_t *h) {
    if (h->gap == GW_GAP_NONE || h->gap >= GW_GAPS) return 0;
    const int reset = h->gap == GW_GAP_RESET;
    for (uint32_t i = 0; i < t->audiences_count; i++) {
        const gw_audience_t *a = &t->audiences[i];
        notice_t n = {.kind = reset ? GW_NOTICE_RESET : GW_NOTICE_MISSED, .notice = {.numbers = {h->lost}},
                      .what = reset ? GW_LEFT_RESET : GW_LEFT_FEED, .frame = GW_FRAME_NONE};
        for (uint32_t k = 0; k < a->count; k++) tell(p, a->links[k].link, &n);
    }
    return t->links_count;
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
        tell_all(p, t);
        links += t->links_count;
    }
    return links;
}

/* The record ends it, but where the health that we know is newer: then it is told again. How many links that was. */
uint32_t gw_refused_recover(gw_plane_t *p, gw_topic_t *t) {
    const gw_topic_t *health = gw_topic_health(p, t);
    t->suspect = gw_refused_known(p, t) && health->position > t->position;
    if (!t->suspect) return 0;
    tell_all(p, t);
    return t->links_count;
}

/* A link has just begun: it is told what those before it were told. */
void gw_refused_snapshot(gw_plane_t *p, gw_link_t *l) {
    if (l->topic->suspect) tell_refused(p, gw_link_audience(l), l);
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
    *health->state = (gw_record_t){.h = {.kind = GW_HEALTH, .cells = GW_RECORD_CELLS, .ts_event = now, .ts_recv = now,
                                         .ts_publish = p->now}};
    health->state->u.health = (gw_health_t){.state_length = 2, .state = "ok"};
    gw_topic_frames_forget(health);
    return 1;
}
