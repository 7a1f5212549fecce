/* Segments: the first one, a lap, and the epoch after a writer's restart.
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

static int topics(gw_plane_t *p, int64_t *budget) {
    gw_topic_t *half = gw_cover_undo(p);
    if (half) gw_topic_unbind(p, half);
    for (; p->epoch_next < p->by_ring_count; p->epoch_next++) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_TOPIC;
        gw_topic_t *t = p->by_ring[p->epoch_next];
        if (t && t != &gw_topic_none) gw_topic_unbind(p, t);
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
    gw_pass_stop(p);
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

void gw_plane_ahead(gw_plane_t *p) {
    uint64_t budget = GW_AHEAD_BUDGET;
    for (uint32_t i = 0; i < p->o.formats_count; i++)
        if (p->lanes[i].log.bytes) budget -= gw_log_ahead(&p->lanes[i].log, budget);
    gw_ahead(&p->ring_ahead, p->reader.cursor, GW_BATCH_BYTES, budget);
}

/* --- laps -------------------------------------------------------------------------------------------- */

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
        gw_guard(p); /* of the one before, which may have had no more to tell than that it has ended */
        gw_topic_t *t = budget > 0 && !gw_plane_far(p) ? lap_topic(p, p->lap_next, &budget) : NULL;
        if (!t) break;
        uint64_t position;
        budget -= GW_UNITS_TOPIC;
        if (t == &gw_topic_none) continue;
        const gw_record_t *r = gw_topic_last(p, p->lap_next, &position, &budget);
        if (!r || !gw_record_is_of(r, t->generation) || !gw_record_fits(p, t, r)) continue;
        const uint8_t before = gw_topic_suspects(t);
        if (gw_topic_reserve(t, r->h.cells)) break; /* nobody would learn of it otherwise */
        if (!gw_topic_awaits(t, r)) continue;
        const int over = r->h.flags & GW_FLAG_RETIRED;
        if (gw_topic_is_book(t) && !over) {
            budget -= (int64_t)gw_book_lapped(p, t, r, position) * GW_UNITS_LOOK;
            continue;
        }
        budget -= (int64_t)(over ? gw_topic_over(p, t, r) : gw_topic_jump(p, t, r, position, before)) * GW_UNITS_LOOK;
    }
    if (p->lap_next < p->lap_end) gw_count(&p->stats->steps_resumed[GW_STEP_LAP], 1);
}
