/* What becomes of records, counted (gw_account.c). */
#ifndef GW_ACCOUNT_H
#define GW_ACCOUNT_H
#include "gw_plane_types.h"

static inline void gw_count(uint64_t *counter, uint64_t n) { gw_hdr_add(counter, n); }

/* So many pending records of the link are told by a newer one. */
static inline void gw_link_conflate(gw_plane_t *p, gw_link_t *l, uint64_t n) {
    const uint8_t channel = l->topic->channel;
    l->conflated += n;
    gw_count(&p->stats->conflated[channel], n);
    if (l->priority < GW_CLASSES) gw_count(&p->stats->class_conflated[l->priority], n);
    gw_count(&p->stats->pending[channel], -n);
}
void gw_link_lose(gw_plane_t *p, gw_link_t *l, uint64_t n, uint64_t *reason);
void gw_link_filter(gw_plane_t *p, gw_link_t *l);
uint32_t gw_frame_class(const gw_plane_t *p, const gw_client_t *c, const gw_frame_t *f);
void gw_delivered(gw_plane_t *p, uint8_t channel, uint32_t priority, uint8_t flags, int64_t recv_ns, int64_t taken_ns);
void gw_delivered_one(gw_plane_t *p, gw_client_t *c, const gw_frame_t *f);
void gw_delivered_run(gw_plane_t *p, gw_client_t *c, const gw_log_t *log, uint64_t first, uint64_t count); /* of the log's frames */

#endif
