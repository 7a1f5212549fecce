/* How a link's replay ends, and what its client is told then: that it had all, or that the ring has no longer all of it. */
#include "gw_plane_internal.h"

/* That the subscription has had what it asked for, behind the last frame of that: of a name once that is so, of a pattern
 * once it is so of all its topics. */
void gw_replay_tell(gw_plane_t *p, gw_sub_t *s, const gw_topic_t *t, uint64_t to) {
    gw_client_t *c = s->client;
    char string[2 * GW_INSTRUMENT_MAX];
    if (!s->replay_told || s->replays || c->flags & GW_CLIENT_DOOMED) return;
    s->replay_told = 0;
    gw_notice_t notice = {.numbers = {s->replay_first, to, s->channel}, .words = {gw_text_of(gw_channel_name(s->channel))},
                          .channel = s->channel};
    notice.words[1].at = string;
    if (s->pattern) {
        notice.words[1].length = gw_asked_for(s->pattern->text, s->pattern->node.glob.length, 1, string);
    } else {
        notice.words[1].length = gw_asked_for(t->name, t->length, 0, string);
    }
    const gw_notice_kind_t kind = s->pattern ? GW_NOTICE_REPLAYED_PATTERN : GW_NOTICE_REPLAYED;
    const uint64_t index = gw_client_notice_frame(p, c->format, s->pattern ? NULL : t, kind, &notice);
    if (index == GW_FRAME_NONE) return;
    s->replay_end = index + 1;
    gw_client_push(p, c, index);
}

/* The end that this frame tells is told again, behind what is replayed again before it: of these subscriptions whose it
 * is. Whether one's it is, and not only of one that has ended. */
int gw_replay_untell(gw_sub_t *s, uint64_t index) {
    while (s && s->replay_end != index + 1) s = s->next;
    if (s) s->replay_told = 1;
    return s != NULL;
}

/* What is left of the link is of what its subscription asked for, where the end of that is still to be told. */
void gw_replay_adopt(gw_link_t *l) {
    if (l->replay->sub || !l->sub->replay_told) return;
    l->replay->sub = l->sub;
    l->sub->replays++;
}

/* Patterns of which nothing is replayed again. */
void gw_replay_ends(gw_plane_t *p, const gw_client_t *c) {
    for (gw_sub_t *s = c->subs[1]; s; s = s->next) gw_replay_tell(p, s, NULL, 0);
}

/* The link has had all that was left: it is live from here on. */
void gw_replay_complete(gw_plane_t *p, gw_link_t *l) {
    const gw_topic_t *t = l->topic;
    const gw_replay_t r = *l->replay;
    gw_replay_close(p, l, r.slow ? GW_REPLAY_CAUGHT_UP : GW_REPLAY_COMPLETED);
    gw_refused_snapshot(p, l);
    if (r.sub) gw_replay_tell(p, r.sub, t, t->seq);
}

/* The ring has no longer all that is left: the link's client is told the hole, and gets the state. */
void gw_replay_lose(gw_plane_t *p, gw_link_t *l) {
    gw_topic_t *t = l->topic;
    gw_audience_t *a = gw_link_audience(l);
    if (l->client->flags & GW_CLIENT_DOOMED) return; /* settled as it is buried */
    const gw_replay_t r = *l->replay;
    const uint64_t left = gw_replay_settle(p, l, p->stats->dropped_lapped, 1, GW_REPLAY_LAPPED);
    if (left > 1 && left <= t->seq) {
        const gw_notice_t hole = {.numbers = {t->seq + 1 - left, t->seq - 1}};
        const uint64_t notice = gw_notice_frame(p, t, a, GW_NOTICE_LAPPED, &hole, 0, 0);
        if (notice != GW_FRAME_NONE) gw_link_push(p, l, notice);
    }
    if (left) gw_client_push_record(p, l->client, l, gw_topic_resync_frame(p, t, a, left - 1));
    gw_refused_snapshot(p, l);
    if (r.sub) gw_replay_tell(p, r.sub, t, t->seq);
}

/* What the link has still to get can no longer be had: who asked for it is told; who was only slow is let go. */
void gw_replay_break(gw_plane_t *p, gw_link_t *l) {
    if (l->client->rewind || (l->replay && l->replay->slow)) gw_client_slow(p, l->client, "overwritten in the ring");
    else if (l->replay) gw_replay_lose(p, l);
}
