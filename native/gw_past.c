/* A topic's last value is that of now. Where the recording has that one, its chain leads to the oldest that the recording
 * has (gw_locate.c), and to the one before it.
 *
 * A book there is only as it is now. Its record of the same seq says in which state it is (in doubt or not) and up to
 * which of the venue's numbers; book and record are written one after the other, so that a reader may have to look
 * again. */
#include "gw_past.h"
#include "gw_atomic.h"
#include "gw_kind.h"

#include <errno.h>

#define TRIES 8u
#define PAUSES 20u

int gw_reader_state_before(const gw_reader_t *r, uint32_t topic, const gw_start_t *start, gw_record_t *out) {
    int got = gw_table_read(&r->segment, topic, out, NULL);
    if (got != 1) return got == -EAGAIN ? got : -ENOENT;
    const gw_kind_t *kind = gw_kind(out->h.kind);
    const uint32_t generation = (uint32_t)(gw_directory_version(&r->segment, topic) / 4);
    if (!kind || kind->state != GW_STATE_COPY || out->h.kind == GW_TRADE) return -ENOENT;
    if (out->h.flags & GW_FLAG_RETIRED || !gw_record_is_of(out, generation)) return -ENOENT;
    gw_found_t oldest;
    got = gw_reader_locate_start(r, topic, start, &oldest);
    if (got == 0) return 1;
    if (got == -EAGAIN || oldest.h.prev == 0) return got == -EAGAIN ? got : -ENOENT;
    if (gw_reader_read(r, oldest.position - oldest.h.prev * (uint64_t)GW_CELL, out, sizeof *out) < 0) return -ENOENT;
    const bool follows = out->h.index + 1 == oldest.h.index && out->h.generation == oldest.h.generation;
    return follows && out->h.topic == topic && gw_kind(out->h.kind) == kind ? 1 : -ENOENT;
}

bool gw_reader_book_peek(const gw_segment_t *s, uint32_t place, uint64_t *owner, uint64_t *seq) {
    if (place >= s->books.sizes.books) return false;
    const gw_book_head_t *head = gw_book_pool_head(&s->books, place);
    *owner = GW_LOAD_RELAXED(&head->owner);
    *seq = GW_LOAD_RELAXED(&head->seq);
    return GW_LOAD_RELAXED(&head->shape) != 0 && *seq != 0; /* a closed one has no shape */
}

int gw_reader_book_at(const gw_segment_t *s, uint32_t place, gw_record_t *last, gw_book_copy_t *out) {
    for (unsigned tries = 0; tries < TRIES; tries++) {
        int error = gw_book_copy(&s->books, place, out);
        if (error < 0) return error;
        const uint32_t topic = (uint32_t)out->owner;
        int got = gw_table_read(s, topic, last, NULL);
        if (got == -EAGAIN) break;
        bool ours = got != 0 && last->h.kind == GW_BOOK && gw_book_owner(topic, last->h.generation) == out->owner;
        if (ours && last->h.flags & GW_FLAG_RETIRED) break; /* its place is given back in a moment */
        if (ours && last->h.topic_seq == out->seq && gw_book_message(last)->book == place) return 0;
        for (unsigned i = 0; i < PAUSES; i++) gw_cpu_relax();
    }
    out->count = 0;
    return -EAGAIN;
}
