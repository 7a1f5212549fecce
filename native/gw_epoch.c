/* Segments: the first one, a lap, and the epoch after a writer's restart. One rule for every record:
 * seq <= state.seq is skipped, seq > state.seq + 1 is a hole that the subscribers are told.
 *
 * Following another segment takes several turns: each client is given a job that brings it to the new epoch, and
 * is busy until then (CLIENTS); then each topic begins again (TOPICS); the segment is read (ATTACH), and the topics
 * of its directory are bound (BIND). Neither commands nor jobs run meanwhile. Whatever is of the old epoch then is
 * known by its number: a frame is before `epoch_index`, a link's mark bears another `epoch`. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { NONE, CLIENTS, TOPICS, ATTACH, BIND };

static void show_cursor(gw_plane_t *p) {
    uint64_t epoch;
    memcpy(&epoch, p->epoch, sizeof epoch);
    GW_STORE_RELEASE(&p->wait->attached, 0); /* nobody may pair this cursor with the epoch before */
    GW_STORE_RELAXED(&p->wait->cursor, p->reader.cursor);
    GW_STORE_RELEASE(&p->wait->epoch, epoch);
    GW_STORE_RELEASE(&p->wait->attached, 1);
}

/* --- another segment --------------------------------------------------------------------------------- */

void gw_epoch_begin(gw_plane_t *p) {
    p->epoch_phase = CLIENTS;
    p->epoch_next = 0;
    p->lap_next = p->lap_end = 0;
}

static int clients(gw_plane_t *p, int64_t *budget) {
    for (; p->epoch_next < p->clients_high; p->epoch_next++) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_client_t *c = &p->clients[p->epoch_next];
        if (!c->active || (c->flags & GW_CLIENT_DOOMED)) continue;
        *budget -= GW_UNITS_LINK + c->queued / GW_UNITS_QUEUE;
        gw_job_renew(p, c);
    }
    p->epochs++;
    for (uint32_t i = 0; i < p->o.formats_count; i++) p->lanes[i].epoch_index = p->lanes[i].log.index;
    return 1;
}

static void unbind(gw_plane_t *p, gw_topic_t *t) {
    t->bound = 0;
    t->renewed = 1;
    t->seq = 0;
    t->origin = 0;
    t->suspect = 0;
    for (uint32_t i = 0; i < t->audiences_count; i++) t->audiences[i].frame_seq[0] = t->audiences[i].frame_seq[1] = 0;
    p->topics_waiting++;
    gw_topic_release(p, t);
}

static int topics(gw_plane_t *p, int64_t *budget) {
    gw_topic_t *half = gw_cover_undo(p);
    if (half) unbind(p, half);
    for (; p->epoch_next < p->by_ring_count; p->epoch_next++) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_TOPIC;
        gw_topic_t *t = p->by_ring[p->epoch_next];
        if (t && t != &gw_topic_none) unbind(p, t);
    }
    p->by_ring_count = p->bind_next = 0;
    return 1;
}

/* A segment is given back in pieces: all at once would take a millisecond. */
void gw_epoch_unmap(gw_plane_t *p, size_t bytes) {
    if (!p->unmap) return;
    if (bytes > p->unmap_size) bytes = p->unmap_size;
    munmap(p->unmap, bytes);
    p->unmap = (uint8_t *)p->unmap + bytes;
    p->unmap_size -= bytes;
    if (!p->unmap_size) p->unmap = NULL;
}

/* -EINVAL where it is no segment: then the next one is waited for. */
static int attach(gw_plane_t *p) {
    p->unmap = p->mapping; /* nothing is left of the one before */
    p->unmap_size = p->mapping_size;
    p->ring_ahead = (gw_ahead_t){0};
    void *mapping = p->mapping_next;
    size_t size = p->mapping_next_size;
    gw_segment_t view;
    p->mapping = p->mapping_next = NULL;
    free(p->by_ring);
    p->by_ring = NULL;
    if (!gw_segment_open(mapping, size, &view)) p->by_ring = calloc(view.topics_max, sizeof *p->by_ring);
    if (!p->by_ring) {
        munmap(mapping, size); /* hardly touched */
        return -EINVAL;
    }
    p->by_ring_size = view.topics_max;
    p->mapping = mapping;
    p->mapping_size = size;
    p->reader.segment = view;
    p->reader.cursor = GW_LOAD_ACQUIRE(view.tail);
    p->ring_topics_old = p->by_ring_count = gw_directory_count(&view); /* after the tail: at least as new */
    if (!p->o.populate) gw_ahead_init_read(&p->ring_ahead, view.ring, view.capacity, p->reader.cursor);
    p->bind_changes = gw_directory_changes(&view);
    memcpy(p->epoch, view.epoch, sizeof p->epoch);
    show_cursor(p);
    gw_count(&p->stats->epochs[0], 1);
    return 0;
}

/* Goes on with the change to another segment. */
void gw_epoch_step(gw_plane_t *p, int64_t budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    if (p->epoch_phase == CLIENTS && clients(p, &budget)) {
        p->epoch_phase = TOPICS;
        p->epoch_next = 0;
    }
    if (p->epoch_phase == TOPICS && topics(p, &budget)) p->epoch_phase = ATTACH;
    if (p->epoch_phase == ATTACH) gw_epoch_unmap(p, GW_UNMAP_BYTES); /* the one before, where this comes so soon */
    if (p->epoch_phase == ATTACH && !p->unmap) p->epoch_phase = attach(p) ? NONE : BIND;
    if (p->epoch_phase == BIND && gw_cover(p, &budget)) p->epoch_phase = NONE;
    if (p->epoch_phase) gw_count(&p->stats->steps_resumed[GW_STEP_EPOCH], 1);
}

/* Tells the client the epoch that is followed now. */
void gw_epoch_notice(gw_plane_t *p, gw_client_t *c) {
    if (!p->mapping) return;
    const gw_notice_t notice = {.words = {gw_text_of(p->epoch)}};
    if (gw_client_say(p, c, GW_NOTICE_EPOCH, &notice)) gw_client_slow(p, c, "control queue");
}

void gw_plane_ahead(gw_plane_t *p) {
    uint64_t budget = GW_AHEAD_BUDGET;
    for (uint32_t i = 0; i < p->o.formats_count; i++)
        if (p->lanes[i].log.bytes) budget -= gw_log_ahead(&p->lanes[i].log, budget);
    gw_ahead(&p->ring_ahead, p->reader.cursor, GW_BATCH_BYTES, budget);
}

/* The frame of a lossless client's snapshot. Its age is the client's: an old one would close it as slow. */
static uint64_t snapshot_frame(gw_plane_t *p, gw_link_t *l) {
    gw_audience_t *a = gw_link_audience(l);
    const gw_frame_t *f = gw_log_frame(&p->lanes[a->format].log, a->frame[GW_ENCODE_SNAPSHOT]);
    if (p->taken_ns - f->taken_ns > p->o.lossless_max_age_ns / 8) a->frame_seq[GW_ENCODE_SNAPSHOT] = 0;
    return gw_topic_frame(p, l->topic, a, GW_ENCODE_SNAPSHOT);
}

/* The topic's present state. */
void gw_link_state(gw_plane_t *p, gw_link_t *l) {
    if (l->topic->channel == GW_HEALTH && l->sub->pattern && !gw_topic_suspects(l->topic)) return; /* all is well */
    if (l->client->flags & GW_CLIENT_DOOMED || !(l->topic->seq || gw_health_presume(p, l->topic))) return;
    if (l->lossless && l->dirty != GW_LINK_NOTICE) gw_link_push(p, l, snapshot_frame(p, l));
    else if (!l->dirty) gw_link_dirty(p, l, GW_LINK_SNAPSHOT);
    else if (l->dirty == GW_LINK_NOTICE) l->dirty = GW_LINK_SNAPSHOT;
}

/* The same for a link that begins, and whether that state is to be trusted. */
void gw_link_snapshot(gw_plane_t *p, gw_link_t *l) {
    gw_link_state(p, l);
    gw_refused_snapshot(p, l);
}

void gw_link_begin(gw_plane_t *p, gw_link_t *l) {
    if (l->sub->snapshot) gw_link_snapshot(p, l);
    else gw_refused_snapshot(p, l);
}

/* --- holes ----------------------------------------------------------------------------------------- */

/* What those who take a topic without loss are sent after a hole: a notice, then the state. */
typedef struct {
    uint64_t lost;
    int first;   /* the topic has begun with it */
    int encoded; /* only once somebody needs them */
    uint64_t notice, state;
} hole_t;

static void hole_encode(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, hole_t *h) {
    const gw_notice_t notice = {.numbers = {t->seq - h->lost, t->seq - 1}};
    h->notice = gw_notice_frame(p, t, a, GW_NOTICE_LAPPED, &notice, 0, 0);
    h->state = gw_topic_resync_frame(p, t, a, h->lost);
    h->encoded = 1;
}

/* Settles one link of a topic that went to the record at hand with `lost` records between. */
static void link_jump(gw_plane_t *p, gw_link_t *l, hole_t *hole) {
    gw_client_t *c = l->client;
    uint8_t channel = l->topic->channel;
    const gw_record_t *state = l->topic->state;
    l->dropped += hole->lost;
    gw_count(&p->stats->dropped_lapped[channel], hole->lost);
    gw_count(&p->stats->class_dropped[l->priority], hole->lost);
    gw_count(&p->stats->pending[channel], -hole->lost);
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    if (c->flags & GW_CLIENT_DOOMED) {
        gw_link_settle(p, l, gw_client_loss(p, c));
    } else if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty == GW_LINK_NOTICE) {
        l->skipped = hole->lost;
        gw_link_remark(l, GW_LINK_RESYNC, gw_record_published(state) - state->h.ingest_ns, p->taken_ns);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
        if (l->dirty == GW_LINK_SNAPSHOT) return;
        l->skipped = l->owes && hole->first ? hole->lost : l->skipped + hole->lost;
        l->dirty = GW_LINK_RESYNC;
    } else if (l->lossless) {
        if (!hole->encoded) hole_encode(p, l->topic, gw_link_audience(l), hole);
        if (hole->notice != GW_FRAME_NONE) gw_link_push(p, l, hole->notice);
        gw_client_push_record(p, c, l, hole->state);
    } else {
        l->skipped = hole->lost;
        l->dirty_recv_ns = gw_record_published(state) - state->h.ingest_ns;
        l->dirty_taken_ns = p->taken_ns;
        gw_link_dirty(p, l, GW_LINK_RESYNC);
    }
}

/* The links that it concerned. */
uint32_t gw_topic_jump(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest, uint64_t position) {
    hole_t hole = {.lost = newest->h.topic_seq - t->seq - 1, .first = !t->seq};
    const uint8_t before = gw_topic_suspects(t);
    const uint32_t told = gw_gap_route(p, t, &newest->h);
    gw_topic_take(t, newest, position);
    uint32_t links = told + t->links_count + gw_refused_route(p, t, before);
    if (!hole.lost) { /* of this topic the lap took nothing */
        gw_topic_route(p, t);
        return t->suspect ? links + gw_refused_recover(p, t) : links;
    }
    t->renewed = 0;
    t->routed += hole.lost + 1;
    gw_count(&p->stats->routed[t->channel], t->links_count * (hole.lost + 1));
    gw_count(&p->stats->pending[t->channel], t->links_count * (hole.lost + 1));
    for (uint32_t i = 0; i < t->audiences_count; i++) {
        hole.encoded = 0;
        for (uint32_t k = 0; k < t->audiences[i].count; k++) link_jump(p, t->audiences[i].links[k].link, &hole);
    }
    return t->suspect ? links + gw_refused_recover(p, t) : links;
}

/* The cursor stands at a tail read before this: every topic is to be compared with its slot. */
void gw_epoch_lapped(gw_plane_t *p) {
    gw_count(&p->stats->ring_lapped[0], 1);
    p->lap_next = 0;
    p->lap_end = gw_directory_count(&p->reader.segment);
}

/* The topic at this place, bound; one that has given its place to another meanwhile ends. NULL as gw_topic_of_ring. */
static gw_topic_t *lap_topic(gw_plane_t *p, uint32_t id, int64_t *budget) {
    gw_topic_t *t = gw_topic_of_ring(p, id, NULL, budget);
    gw_entry_name_t e;
    if (!t || t == &gw_topic_none || gw_directory_entry(&p->reader.segment, id, &e) <= 0) return t;
    if (e.generation == t->generation) return t;
    *budget -= (int64_t)gw_topic_gone(p, id) * GW_UNITS_LOOK;
    return *budget > 0 ? gw_topic_of_ring(p, id, NULL, budget) : NULL;
}

/* Goes on comparing; nothing is taken from the ring meanwhile. Nor is more encoded than those who wait can stand:
 * they are visited first. */
void gw_epoch_lap_step(gw_plane_t *p, int64_t budget) {
    p->taken_ns = p->now = p->io.monotonic(p->io.self);
    p->send_ns = 0;
    for (; p->lap_next < p->lap_end; p->lap_next++) {
        gw_topic_t *t = budget > 0 && !gw_plane_far(p) ? lap_topic(p, p->lap_next, &budget) : NULL;
        if (!t) {
            gw_count(&p->stats->steps_resumed[GW_STEP_LAP], 1);
            return;
        }
        uint64_t position;
        budget -= GW_UNITS_TOPIC;
        if (t == &gw_topic_none) continue;
        const gw_record_t *r = gw_topic_last(p, p->lap_next, &position, &budget);
        if (!r || !gw_record_is_of(r, t->generation) || !gw_record_fits(p, t, r)) continue;
        if (!gw_topic_awaits(t, r) || gw_topic_reserve(t, r->h.cells)) continue;
        const int over = r->h.flags & GW_FLAG_RETIRED;
        budget -= (int64_t)(over ? gw_topic_over(p, t, r) : gw_topic_jump(p, t, r, position)) * GW_UNITS_LOOK;
    }
}
