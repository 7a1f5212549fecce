/* The guard of the frame logs: nobody keeps a frame that is about to be overwritten. */
#include "gw_plane_internal.h"

#define LOG_RELIEF_PARTS 8u /* what may be encoded, in parts of the log, until all who wait were visited */

/* A client whose socket is full may have its frames from the ring later, while there is time for that. */
static GW_APART void rewind_early(gw_plane_t *p, gw_client_t *c, uint64_t oldest) {
    if (!gw_log_fresh(gw_log_of(p, oldest), oldest)) gw_client_rewind(p, c, gw_frame_at(p, oldest));
}

/* Drops the queue at once, and leaves all else for later turns. */
static void let_go(gw_plane_t *p, gw_client_t *c) {
    uint64_t oldest;
    if (!c->active || !gw_client_oldest(c, &oldest)) return;
    if (c->flags & GW_CLIENT_BLOCKED) rewind_early(p, c, oldest);
    if (!gw_log_old(gw_log_of(p, oldest), oldest)) return;
    gw_client_slow(p, c, "too far behind");
    gw_client_drop_queue(p, c);
}

/* Lets go of clients that still wait for a frame of the log's older half, before it is overwritten. A slice
 * of all clients each time, so that each is looked at at least once in a sixteenth of the log. */
static void look(gw_plane_t *p, gw_lane_t *lane) {
    const uint64_t parts = GW_GUARD_PARTS;
    const gw_log_t *log = &lane->log;
    if (!log->bytes || (log->position < lane->guard_position && log->index < lane->guard_index)) return;
    /* Slices that a long frame skipped are made up for. */
    uint64_t bytes = (log->position - lane->guard_position) / (log->size / parts);
    uint64_t frames = (log->index - lane->guard_index) / (log->count / parts + 1);
    uint64_t slices = 1;
    if (log->position >= lane->guard_position) slices += bytes;
    if (log->index >= lane->guard_index) slices += frames;
    if (slices > GW_GUARD_SLICES) slices = GW_GUARD_SLICES;
    lane->guard_position = log->position + log->size / parts;
    lane->guard_index = log->index + log->count / parts + 1;
    uint64_t looks = slices * (p->clients_high / GW_GUARD_SLICES + 1);
    if (looks > p->clients_high) looks = p->clients_high;
    for (; looks; looks--, lane->guard_next++) {
        if (lane->guard_next >= p->clients_high) lane->guard_next = 0;
        let_go(p, &p->clients[lane->guard_next]);
    }
}

void gw_log_guard(gw_plane_t *p) {
    p->unguarded = 0;
    for (uint32_t i = 0; i < p->o.formats_count; i++) look(p, &p->lanes[i]);
}

int gw_plane_far(const gw_plane_t *p) {
    if (gw_turn_empty(p, GW_TURN_LIVE)) return 0;
    for (const gw_lane_t *l = p->lanes; l < p->lanes + p->o.formats_count; l++)
        if (l->log.position - l->swept_position > l->log.size / LOG_RELIEF_PARTS ||
            l->log.index - l->swept_index > l->log.count / LOG_RELIEF_PARTS)
            return 1;
    return 0;
}
