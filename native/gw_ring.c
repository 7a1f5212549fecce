/* The broadcast ring: one writer that never waits, readers that copy first and then learn whether
 * what they copied was whole. The argument is in README.md. */
#include "gw_ring.h"
#include "gw_atomic.h"
#include "gw_kind.h"
#include "gw_segment.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELLS_PARTS 8u /* of the ring */
#define REACH_MAX ((uint64_t)UINT32_MAX * GW_CELL) /* of a distance in a header */
#define NOWHERE (1ull << 63) /* further from any position than a distance can say */

int gw_writer_init(gw_writer_t *w, void *mem, size_t size) {
    memset(w, 0, sizeof *w);
    int error = gw_segment_open(mem, size, &w->segment);
    if (error < 0) return error;
    w->tail = GW_LOAD_RELAXED(w->segment.tail);
    w->reach = w->segment.capacity < REACH_MAX ? w->segment.capacity : REACH_MAX;
    w->block_next = w->tail & ~(w->segment.block - 1);
    w->newest_ns = INT64_MIN;
    /* Of a small ring a longer one would be most: no reader could keep up. */
    uint64_t cells_max = w->segment.capacity / GW_CELL / CELLS_PARTS;
    w->cells_max = cells_max < GW_RECORD_CELLS_MAX ? (uint32_t)cells_max : GW_RECORD_CELLS_MAX;
    w->chains = calloc(w->segment.topics_max, sizeof *w->chains);
    w->retired = calloc(w->segment.topics_max, sizeof *w->retired); /* pages are touched on use */
    if (w->chains != NULL && w->retired != NULL) return 0;
    gw_writer_free(w);
    return -ENOMEM;
}

void gw_writer_free(gw_writer_t *w) {
    free(w->chains);
    free(w->retired);
    w->chains = NULL;
    w->retired = NULL;
}

/* How far ahead of the tail the writer asks for lines: a ring is larger than any cache, and the
 * core's own prefetching stops at each page. Without this a record costs twice as much. */
#define AHEAD 2048u

static void ahead_prefetch(const gw_segment_t *s, uint64_t tail) {
    for (unsigned line = 0; line < GW_RECORD_CELLS; line++)
        __builtin_prefetch(s->ring + ((tail + AHEAD + line * GW_CELL) & (s->capacity - 1)), 1);
}

static void pad_write(uint8_t *at, uint64_t size) {
    gw_header_t pad = {.kind = GW_PAD, .cells = (uint16_t)(size / GW_CELL)};
    gw_words_write((gw_word_t *)at, (const gw_word_t *)&pad, GW_CELL / 8);
}

/* A record or pad begins at this position: the first one of these blocks. */
static void blocks_write(gw_writer_t *w, uint64_t position) {
    const gw_segment_t *s = &w->segment;
    for (; w->block_next <= position; w->block_next += s->block) {
        uint64_t *entry = s->blocks + (w->block_next / s->block & (s->blocks_count - 1)) * GW_BLOCK_WORDS;
        GW_STORE_RELAXED(entry, position);
        GW_STORE_RELAXED(entry + 1, (uint64_t)w->newest_ns);
    }
}

void gw_chain_begin(gw_chain_t *c, uint16_t generation) {
    c->seq = 0;
    c->last = NOWHERE;
    c->next = 0;
    c->generation = generation;
}

/* The zero bits at an index's end, as far as they are told apart. */
static unsigned level_of(uint32_t index) { return (unsigned)__builtin_ctz(index | 1u << (GW_CHAIN_LEVELS - 1)); }

/* Numbers the topic's next record, which begins at `position`, and tells where those before it are. The last record
 * whose index has as many zero bits at its end as that of the record to skip to *is* that record: all between it and
 * this one have fewer. */
static void chain_link(gw_chain_t *c, gw_header_t *h, uint64_t position, uint64_t reach) {
    const uint32_t index = c->next++;
    const unsigned level = level_of(index);
    const uint64_t to_prev = position - c->last, to_skip = position - c->newest[level_of(index & (index - 1))];
    const uint32_t prev = to_prev < reach ? (uint32_t)(to_prev / GW_CELL) : 0;
    const uint32_t skip = to_skip < reach && level < GW_CHAIN_LEVELS - 1 ? (uint32_t)(to_skip / GW_CELL) : 0;
    c->last = c->newest[level] = position;
    /* What is stored just before the word around it is loaded stalls the load until the store has reached the cache:
     * so words are stored whole, and a record's generation only where it is another one (records are reused). */
    const uint64_t words[2] = {index | (uint64_t)prev << 32, skip | (uint64_t)h->lost << 32};
    memcpy((uint8_t *)h + offsetof(gw_header_t, index), words, sizeof words);
    h->topic_seq = ++c->seq;
    if (h->generation != c->generation) h->generation = c->generation;
}

/* Copies a record to its place in the ring and to its topic's slot, of a long one there what all have. */
static inline void record_write(gw_word_t *ring, gw_word_t *slot, const gw_word_t *from, uint64_t cells) {
    uint64_t both = cells <= GW_SLOT_CELLS ? cells : GW_RECORD_CELLS, rest = cells - both;
    for (; both > 0; both--, ring += 8, slot += 8, from += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            const uint64_t word = from[i];
            GW_STORE_RELAXED(slot + i, word);
            GW_STORE_RELAXED(ring + i, word);
        }
    }
    if (rest > 0) gw_words_write(ring, from, rest * GW_CELL / 8);
}

void gw_writer_publish(gw_writer_t *w, gw_record_t *record) {
    const gw_segment_t *s = &w->segment;
    assert(record->h.cells - GW_RECORD_CELLS <= w->cells_max - GW_RECORD_CELLS); /* of fewer it is a huge number */
    ahead_prefetch(s, w->tail);
    uint64_t size = record->h.cells * (uint64_t)GW_CELL, offset = w->tail & (s->capacity - 1);
    uint64_t left = s->capacity - offset, pad = left < size ? left : 0;
    uint64_t position = w->tail + pad, next = position + size;
    chain_link(&w->chains[record->h.topic], &record->h, position, w->reach);

    uint64_t *slot = s->table + (size_t)record->h.topic * GW_SLOT_WORDS;
    const uint64_t version = GW_LOAD_RELAXED(slot);
    GW_STORE_RELAXED(s->tail_intent, next);
    GW_STORE_RELAXED(slot, version + 1);
    GW_FENCE_RELEASE();
    GW_STORE_RELAXED(slot + GW_SLOT_POSITION, position);
    if (pad > 0) {
        if (w->tail >= w->block_next) blocks_write(w, w->tail);
        pad_write(s->ring + offset, pad);
        offset = 0;
    }
    if (position >= w->block_next) blocks_write(w, position);
    if (record->h.ts_recv > w->newest_ns) w->newest_ns = record->h.ts_recv;
    record_write((gw_word_t *)(s->ring + offset), slot + GW_SLOT_RECORD, (const gw_word_t *)record, record->h.cells);
    GW_STORE_RELEASE(slot, version + 2);
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
        uint64_t length = h->cells * (uint64_t)GW_CELL;
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

/* Apart: inlined, its registers would be saved for every look at an empty ring, of which there are dozens a record. */
static __attribute__((noinline)) int64_t take(gw_reader_t *r, void *buffer, size_t size) {
    const gw_segment_t *s = &r->segment;
    for (;;) {
        uint64_t waiting = GW_LOAD_ACQUIRE(s->tail) - r->cursor;
        if (waiting == 0) return 0;
        if (waiting > s->capacity || (waiting | r->cursor) % GW_CELL != 0) return lapped(r);
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
        if (whole < 0 || (!cut && passed != length)) return lapped(r);
        if (passed == 0) return GW_POLL_ROOM;
        r->from = r->cursor;
        r->cursor += passed;
        if (whole > 0) return whole;
    }
}

int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size) {
    return GW_LOAD_RELAXED(r->segment.tail) == r->cursor ? 0 : take(r, buffer, size);
}

int64_t gw_reader_read(const gw_reader_t *r, uint64_t position, void *buffer, size_t size) {
    const gw_segment_t *s = &r->segment;
    const uint64_t there = GW_LOAD_ACQUIRE(s->tail) - position, offset = position & (s->capacity - 1);
    if (there == 0 || there > UINT64_MAX / 2) return -EAGAIN;
    if (there > s->capacity || position % GW_CELL != 0) return -ENOENT;
    gw_header_t h;
    gw_words_read((gw_word_t *)&h, (const gw_word_t *)(s->ring + offset), GW_CELL / 8);
    const uint64_t length = h.cells * (uint64_t)GW_CELL;
    const bool possible = gw_record_possible(h.kind, h.cells) && length <= there && length <= s->capacity - offset;
    if (possible && length <= size) gw_words_read(buffer, (const gw_word_t *)(s->ring + offset), length / 8);
    GW_FENCE_ACQUIRE();
    if (position + s->capacity < GW_LOAD_RELAXED(s->tail_intent) || !possible) return -ENOENT;
    if (length > size) return -EMSGSIZE;
    memcpy(buffer, &h, sizeof h); /* the one that was checked, whatever this memory is */
    return (int64_t)length;
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
