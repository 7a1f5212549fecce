/* Segments: the first one, a lap, and the epoch after a writer's restart. One rule for every record:
 * seq <= state.seq is skipped, seq > state.seq + 1 is a hole that the subscribers are told. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Reads the table after `tail` has been read: it is at least as new as the cursor. */
static void table_read(gw_plane_t *p, void (*advance)(gw_plane_t *, gw_topic_t *, const gw_record_t *)) {
    gw_hub_grow(p);
    for (uint32_t id = 0; id < p->by_ring_count; id++) {
        gw_topic_t *t = p->by_ring[id];
        gw_record_t record;
        int got = t ? gw_table_read(&p->reader.segment, id, &record) : 0;
        if (got < 0) gw_count(&p->stats->torn_reads[0], 1);
        if (got == 1 && record.h.topic_seq > t->seq && gw_record_fits(p, t, &record)) advance(p, t, &record);
        gw_plane_relieve(p);
    }
}

static void take_state(gw_plane_t *p, gw_topic_t *t, const gw_record_t *record) {
    (void)p;
    t->state = *record;
    t->seq = record->h.topic_seq;
    t->renewed = 0; /* there is something to snapshot */
}

static void show_cursor(gw_plane_t *p) {
    uint64_t epoch;
    memcpy(&epoch, p->epoch, sizeof epoch);
    GW_STORE_RELEASE(&p->wait->attached, 0); /* nobody may pair this cursor with the epoch before */
    GW_STORE_RELAXED(&p->wait->cursor, p->reader.cursor);
    GW_STORE_RELEASE(&p->wait->epoch, epoch);
    GW_STORE_RELEASE(&p->wait->attached, 1);
}

static int epoch_attach(gw_plane_t *p, void *mapping, size_t size) {
    if (p->mapping) munmap(p->mapping, p->mapping_size);
    p->mapping = NULL;
    p->by_ring_count = 0;
    gw_segment_t view;
    gw_topic_t **by_ring = NULL;
    if (!gw_segment_open(mapping, size, &view))
        by_ring = realloc(p->by_ring, view.topics_max * sizeof *by_ring);
    if (!by_ring) {
        munmap(mapping, size);
        return -EINVAL;
    }
    p->by_ring = by_ring;
    p->by_ring_size = view.topics_max;
    p->mapping = mapping;
    p->mapping_size = size;
    p->reader.segment = view;
    p->reader.cursor = GW_LOAD_ACQUIRE(view.tail);
    memcpy(p->epoch, view.epoch, sizeof p->epoch);
    table_read(p, take_state);
    show_cursor(p);
    gw_count(&p->stats->epochs[0], 1);
    return 0;
}

/* The frame of a lossless client's snapshot. Its age is the client's: an old one would close it as slow. */
static uint64_t snapshot_frame(gw_plane_t *p, gw_topic_t *t) {
    const gw_frame_t *f = gw_log_frame(&p->log, t->frame[GW_ENCODE_SNAPSHOT]);
    if (p->taken_ns - f->taken_ns > p->o.lossless_max_age_ns / 8) t->frame_seq[GW_ENCODE_SNAPSHOT] = 0;
    return gw_topic_frame(p, t, GW_ENCODE_SNAPSHOT);
}

void gw_link_snapshot(gw_plane_t *p, gw_link_t *l) {
    if (!l->topic->seq || (l->client->flags & GW_CLIENT_DOOMED)) return;
    if (l->lossless) gw_client_push(p, l->client, snapshot_frame(p, l->topic));
    else if (!l->dirty) gw_link_dirty(p, l, GW_LINK_SNAPSHOT);
}

void gw_epoch_switch(gw_plane_t *p) {
    void *mapping = p->mapping_next;
    p->mapping_next = NULL;
    for (uint32_t i = 0; i < p->clients_high; i++) {
        gw_client_t *c = &p->clients[i];
        if (!c->active || (c->flags & GW_CLIENT_DOOMED)) continue;
        gw_client_discard(p, c, p->stats->dropped_epoch);
        for (gw_link_t *l = c->links; l; l = l->next) {
            l->pending = c->rest.link == l;
            gw_link_fold(l);
        }
    }
    gw_hub_unbind(p);
    if (epoch_attach(p, mapping, p->mapping_next_size)) return; /* no segment: the next one tells */
    p->taken_ns = p->now = p->io.monotonic(p->io.self);
    p->send_ns = 0;
    char text[96];
    int length = snprintf(text, sizeof text,
                          "{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"%s\"}]}", p->epoch);
    for (uint32_t i = 0; i < p->clients_high; i++) {
        gw_client_t *c = &p->clients[i];
        if (!c->active || (c->flags & GW_CLIENT_DOOMED)) continue;
        if (gw_client_control_text(p, c, text, (size_t)length)) gw_client_slow(p, c, "control queue");
        gw_client_touch(p, c);
        for (gw_link_t *l = c->links; l; l = l->next) {
            l->attach_seq = l->topic->seq - l->pending;
            gw_link_snapshot(p, l);
        }
        gw_plane_relieve(p);
    }
    gw_doomed_bury(p);
}

/* What those who take a topic without loss are sent after a hole: a notice, then the state. */
typedef struct {
    uint64_t lost;
    int encoded; /* only once somebody needs them */
    uint64_t notice, state;
} hole_t;

static void hole_encode(gw_plane_t *p, gw_topic_t *t, hole_t *h) {
    char text[256];
    int length = snprintf(text, sizeof text,
                          "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"%s\",\"symbol\":\"%.*s\","
                          "\"from\":%llu,\"to\":%llu,\"reason\":\"lapped\"}]}",
                          gw_channel_name(t->channel), t->length, t->name,
                          (unsigned long long)(t->seq - h->lost), (unsigned long long)(t->seq - 1));
    h->notice = gw_notice_frame(p, t, text, (size_t)length);
    h->state = gw_topic_resync_frame(p, t, h->lost);
    h->encoded = 1;
}

/* Settles one link of a topic that went to the record at hand with `lost` records between. */
static void link_jump(gw_plane_t *p, gw_link_t *l, hole_t *hole) {
    gw_client_t *c = l->client;
    uint8_t channel = l->topic->channel;
    const gw_header_t *h = &l->topic->state.h;
    l->dropped += hole->lost;
    gw_count(&p->stats->dropped_lapped[channel], hole->lost);
    gw_count(&p->stats->class_dropped[l->priority], hole->lost);
    gw_count(&p->stats->pending[channel], -hole->lost);
    if (l->lossless && !l->dirty && !hole->encoded) hole_encode(p, l->topic, hole);
    if (c->flags & GW_CLIENT_DOOMED) {
        l->dropped++;
        gw_count(&p->stats->dropped_slow[channel], 1);
        gw_count(&p->stats->class_dropped[l->priority], 1);
        gw_count(&p->stats->pending[channel], (uint64_t)-1);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
        if (l->dirty == GW_LINK_SNAPSHOT) return;
        l->skipped += hole->lost;
        l->dirty = GW_LINK_RESYNC;
    } else if (l->lossless) {
        gw_client_push(p, c, hole->notice);
        gw_client_push(p, c, hole->state);
    } else {
        l->skipped = hole->lost;
        l->dirty_recv_ns = h->ts_publish - h->ingest_ns;
        l->dirty_taken_ns = p->taken_ns;
        gw_link_dirty(p, l, GW_LINK_RESYNC);
    }
}

void gw_topic_jump(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest) {
    hole_t hole = {.lost = newest->h.topic_seq - t->seq - 1};
    t->state = *newest;
    t->seq = newest->h.topic_seq;
    if (!hole.lost) { /* of this topic the lap took nothing */
        gw_topic_route(p, t);
        return;
    }
    t->renewed = 0;
    gw_count(&p->stats->routed[t->channel], t->links_count * (hole.lost + 1));
    gw_count(&p->stats->pending[t->channel], t->links_count * (hole.lost + 1));
    for (uint32_t i = 0; i < t->links_count; i++) link_jump(p, t->links[i].link, &hole);
}

/* The cursor stands at a tail read before this; every topic is compared with its slot. */
void gw_epoch_lapped(gw_plane_t *p) {
    gw_count(&p->stats->ring_lapped[0], 1);
    p->taken_ns = p->now = p->io.monotonic(p->io.self);
    p->send_ns = 0;
    table_read(p, gw_topic_jump);
    gw_doomed_bury(p);
}
