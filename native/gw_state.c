/* A topic's state in the plane. What it is, its kind says (gw_kind.h): of all so far the newest record, whole. Most fit
 * into the topic itself; one that had a longer record keeps memory of its own from then on, of at most
 * GW_RECORD_CELLS_MAX cells. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <string.h>

int gw_topic_reserve(gw_topic_t *t, unsigned cells) {
    if (cells <= t->state_cells || gw_topic_is_book(t)) return 0;
    gw_record_t *longer = malloc(cells * (size_t)GW_CELL);
    if (!longer) return -ENOMEM;
    memcpy(longer, t->state, t->state_cells * (size_t)GW_CELL); /* it may be rendered before the next one is taken */
    if (t->state != &t->usual) free(t->state);
    t->state = longer;
    t->state_cells = (uint16_t)cells;
    return 0;
}

void gw_topic_frames_forget(gw_topic_t *t) {
    for (uint32_t i = 0; i < t->audiences_count; i++)
        t->audiences[i].frame_seq[GW_ENCODE_UPDATE] = t->audiences[i].frame_seq[GW_ENCODE_SNAPSHOT] = UINT64_MAX;
}

/* Its first record goes out as a snapshot, and no frame of before is used again: two origins may use one seq. */
void gw_topic_reset(gw_topic_t *t, const gw_record_t *r) {
    t->origin = r->h.origin;
    t->seq = r->h.topic_seq - 1;
    t->renewed = 1;
    gw_topic_frames_forget(t);
}

/* Its last record's, or where it has had none, the one before its first: an instrument that comes back goes on with its
 * numbers, and nothing is missing before that. A record's index says how many there were. */
uint64_t gw_topic_before(const gw_topic_t *t, const gw_header_t *h) {
    if (t->seq) return t->seq;
    return h->topic_seq > h->index ? h->topic_seq - 1 - h->index : 0;
}

const gw_record_t *gw_topic_last(gw_plane_t *p, uint32_t id, uint64_t *position, int64_t *budget) {
    gw_record_t *r = (gw_record_t *)(void *)p->batch; /* empty: only then is anybody here */
    int got = gw_table_read(&p->reader.segment, id, r, position);
    if (got == -EAGAIN) gw_count(&p->stats->torn_reads[0], 1);
    if (got == 1 || (got == -EMSGSIZE && r->h.kind == GW_BOOK)) {
        if (r->h.kind == GW_BOOK) r->h.cells = GW_RECORD_CELLS; /* its rows are of no use by themselves */
        return r;
    }
    if (got != -EMSGSIZE) return NULL;
    const gw_header_t wanted = r->h;
    *budget -= wanted.cells / GW_UNITS_CELLS;
    if (gw_reader_read(&p->reader, *position, r, GW_BATCH_BYTES) < 0) return NULL;
    const int same = r->h.topic == id && r->h.generation == wanted.generation && r->h.topic_seq == wanted.topic_seq;
    return same ? r : NULL;
}
