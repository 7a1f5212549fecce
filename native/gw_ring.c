/* The broadcast ring: one writer that never waits, readers that copy first and then learn whether
 * what they copied was whole. The argument is in README.md. */
#include "gw_ring.h"
#include "gw_atomic.h"
#include "gw_kind.h"
#include "gw_segment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int gw_writer_init(gw_writer_t *w, void *mem, size_t size) {
    memset(w, 0, sizeof *w);
    int error = gw_segment_open(mem, size, &w->segment);
    if (error < 0) return error;
    w->tail = GW_LOAD_RELAXED(w->segment.tail);
    w->topic_seq = calloc(w->segment.topics_max, sizeof *w->topic_seq);
    w->retired = calloc(w->segment.topics_max, sizeof *w->retired); /* pages are touched on use */
    if (w->topic_seq != NULL && w->retired != NULL) return 0;
    gw_writer_free(w);
    return -ENOMEM;
}

void gw_writer_free(gw_writer_t *w) {
    free(w->topic_seq);
    free(w->retired);
    w->topic_seq = NULL;
    w->retired = NULL;
}

/* How far ahead of the tail the writer asks for lines: a ring is larger than any cache, and the
 * core's own prefetching stops at each page. Without this a record costs twice as much. */
#define AHEAD 2048u

static void ahead_prefetch(const gw_segment_t *s, uint64_t tail) {
    for (unsigned line = 0; line < GW_RECORD_CELLS; line++)
        __builtin_prefetch(s->ring + ((tail + AHEAD + line * GW_CELL) & (s->capacity - 1)), 1);
}

/* Each cell is a pad to the end, so that none of them looks like the record that it was. */
static void pad_write(uint8_t *at, uint64_t size) {
    for (; size > 0; at += GW_CELL, size -= GW_CELL) {
        gw_header_t pad = {.kind = GW_PAD, .cells = (uint8_t)(size / GW_CELL)};
        gw_words_write((gw_word_t *)at, (const gw_word_t *)&pad, GW_CELL / 8);
    }
}

void gw_writer_publish(gw_writer_t *w, gw_record_t *record) {
    const gw_segment_t *s = &w->segment;
    uint8_t cells = gw_record_cells(record);
    /* A byte stored just before the word around it is loaded stalls the load until the store has
     * reached the cache. Records are reused, so it is mostly right already. */
    if (record->h.cells != cells) record->h.cells = cells;
    ahead_prefetch(s, w->tail);
    record->h.ring_seq = ++w->ring_seq;
    record->h.topic_seq = ++w->topic_seq[record->h.topic];
    record->h.generation = gw_table_generation(s, record->h.topic);
    gw_table_write(s, record);

    uint64_t size = cells * GW_CELL, offset = w->tail & (s->capacity - 1);
    uint64_t left = s->capacity - offset, pad = left < size ? left : 0;
    uint64_t next = w->tail + pad + size;
    GW_STORE_RELAXED(s->tail_intent, next);
    GW_FENCE_RELEASE();
    if (pad > 0) {
        pad_write(s->ring + offset, pad);
        offset = 0;
    }
    gw_words_write((gw_word_t *)(s->ring + offset), (const gw_word_t *)record, size / 8);
    w->tail = next;
    GW_STORE_RELEASE(s->tail, next);
}

static int64_t lapped(gw_reader_t *r) {
    r->cursor = GW_LOAD_ACQUIRE(r->segment.tail) & ~(uint64_t)(GW_CELL - 1);
    return GW_POLL_LAPPED;
}

/* Length of the whole records at the start of `buffer`, a private copy of `size` bytes that may end
 * inside one. `*pad` is the size of the pad after them. -EINVAL: these are no records. */
static int64_t records_check(const uint8_t *buffer, uint64_t size, uint64_t to_end, uint64_t *pad) {
    uint64_t at = 0;
    *pad = 0;
    while (at < size) {
        const gw_header_t *h = (const gw_header_t *)(buffer + at);
        uint64_t length = h->cells * GW_CELL;
        if (h->kind == GW_PAD) {
            if (length == 0 || at + length != to_end) return -EINVAL;
            *pad = length;
            break;
        }
        if (!gw_record_possible(h->kind, h->cells)) return -EINVAL;
        if (at + length > size) break;
        at += length;
    }
    return (int64_t)at;
}

int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size) {
    const gw_segment_t *s = &r->segment;
    for (;;) {
        uint64_t waiting = GW_LOAD_ACQUIRE(s->tail) - r->cursor;
        if (waiting == 0) return 0;
        if (waiting > s->capacity || waiting % GW_CELL != 0) return lapped(r);
        uint64_t offset = r->cursor & (s->capacity - 1), to_end = s->capacity - offset;
        uint64_t length = waiting < to_end ? waiting : to_end;
        bool cut = length > size;
        if (cut) length = size & ~(uint64_t)(GW_CELL - 1);
        gw_words_read(buffer, (const gw_word_t *)(s->ring + offset), length / 8);
        GW_FENCE_ACQUIRE();
        if (r->cursor + s->capacity < GW_LOAD_RELAXED(s->tail_intent)) return lapped(r);

        uint64_t pad;
        int64_t whole = records_check(buffer, length, to_end, &pad);
        uint64_t passed = (uint64_t)whole + pad;
        /* Only a copy that the caller's buffer cut short may end inside a record. */
        if (whole < 0 || passed == 0 || (!cut && passed != length)) return lapped(r);
        r->cursor += passed;
        if (whole > 0) return whole;
    }
}

/* Part of the ring that a rewound reader leaves to the writer, which goes on meanwhile. */
#define REWIND_SPARE 8u

uint64_t gw_reader_rewind(gw_reader_t *r, uint64_t bytes) {
    const gw_segment_t *s = &r->segment;
    uint64_t tail = GW_LOAD_ACQUIRE(s->tail) & ~(uint64_t)(GW_CELL - 1);
    uint64_t there = s->capacity - s->capacity / REWIND_SPARE;
    if (there > tail) there = tail;
    if (bytes > there) bytes = there;
    r->cursor = tail - bytes / GW_CELL * GW_CELL;
    /* Forward to where a record begins. Should the writer come along meanwhile, the poll sees it. */
    for (unsigned cell = 1; cell < GW_RECORD_CELLS_MAX && r->cursor < tail; cell++) {
        const gw_word_t *word = (const gw_word_t *)(s->ring + (r->cursor & (s->capacity - 1)));
        if (gw_cell_begins(GW_LOAD_RELAXED(word))) break;
        r->cursor += GW_CELL;
    }
    return tail - r->cursor;
}

void gw_wait_ring(gw_wait_t *wait, int event_fd) {
    GW_FENCE_FULL();
    if (GW_LOAD_RELAXED(&wait->sleeping) == 0) return;
    GW_STORE_RELAXED(&wait->sleeping, 0);
    uint64_t one = 1;
    /* It does not block; a full counter means that the reader is being woken already. */
    ssize_t written = write(event_fd, &one, sizeof one);
    (void)written;
}
