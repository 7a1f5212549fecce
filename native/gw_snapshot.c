/* A topic's state as what a link is sent when it begins, or when its client comes to another epoch. */
#include "gw_plane_internal.h"

/* The frame of a lossless client's snapshot. */
static uint64_t snapshot_frame(gw_plane_t *p, gw_link_t *l) {
    gw_audience_t *a = gw_link_audience(l);
    if (!gw_frame_reusable(p, a, a->frame[GW_ENCODE_SNAPSHOT])) a->frame_seq[GW_ENCODE_SNAPSHOT] = UINT64_MAX;
    return gw_topic_frame(p, l->topic, a, GW_ENCODE_SNAPSHOT);
}

/* The topic's present state. */
static void give_state(gw_plane_t *p, gw_link_t *l) {
    if (l->topic->channel == GW_HEALTH && l->sub->pattern && !gw_topic_troubled(l->topic)) return; /* all is well */
    if (l->client->flags & GW_CLIENT_DOOMED || !(l->topic->seq || gw_health_presume(p, l->topic))) return;
    if (l->lossless && l->dirty != GW_LINK_NOTICE) gw_link_push(p, l, snapshot_frame(p, l));
    else if (!l->dirty) gw_link_dirty(p, l, GW_LINK_SNAPSHOT);
    else if (l->dirty == GW_LINK_NOTICE) l->dirty = GW_LINK_SNAPSHOT;
}

/* The same for a link that begins, and whether that state is to be trusted. */
void gw_link_snapshot(gw_plane_t *p, gw_link_t *l) {
    give_state(p, l);
    gw_refused_snapshot(p, l);
    gw_guard(p);
}

void gw_link_begin(gw_plane_t *p, gw_link_t *l) {
    if (l->sub->snapshot) gw_link_snapshot(p, l);
    else gw_refused_snapshot(p, l), gw_guard(p);
}
