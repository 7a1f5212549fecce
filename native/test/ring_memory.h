/* A segment in private memory, and records that carry the proof of being whole. */
#ifndef RING_MEMORY_H
#define RING_MEMORY_H
#include "check.h"
#include "gw_ring.h"
#include "usual_record.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    void *mem;
    size_t size;
    gw_writer_t writer;
    gw_reader_t reader;
} ring_t;

static inline ring_t ring_new(uint64_t capacity, uint32_t topics_max) {
    ring_t r = {.size = gw_segment_size(capacity, topics_max)};
    r.mem = aligned_alloc(4096, r.size);
    CHECK(r.mem != NULL);
    memset(r.mem, 0, r.size);
    CHECK_EQUAL(gw_segment_format(r.mem, r.size, capacity, topics_max, "k3f90000"), 0);
    CHECK_EQUAL(gw_writer_init(&r.writer, r.mem, r.size), 0);
    CHECK_EQUAL(gw_segment_open(r.mem, r.size, &r.reader.segment), 0);
    return r;
}

static inline void ring_free(ring_t *r) {
    gw_writer_free(&r->writer);
    free(r->mem);
}

static inline uint64_t proof(uint64_t seq, uint64_t i) {
    uint64_t x = (seq + i) * 0x9e3779b97f4a7c15ull;
    return x ^ (x >> 29);
}

/* A trade whose payload and time follow from its place in the ring. */
static inline gw_record_t whole_record(uint64_t ring_seq, uint32_t topic) {
    gw_record_t record = {
        .h = {.kind = GW_TRADE, .topic = topic, .ts_event = (int64_t)proof(ring_seq, 99)}};
    for (uint64_t i = 0; i < 8; i++) record.u.words[i] = proof(ring_seq, i);
    record.u.trade.extra = 0;
    record.u.trade.mark = GW_MARK;
    return record;
}

/* The same with a tail, made the same way. */
static inline gw_record_t tailed_record(uint64_t ring_seq, uint32_t topic) {
    gw_record_t record = whole_record(ring_seq, topic);
    record.u.trade.extra = GW_EXTRA_TAIL;
    for (uint64_t i = 0; i < 8; i++) {
        uint64_t word = proof(ring_seq, 8 + i);
        memcpy((uint8_t *)&record.tail + 8 * i, &word, 8);
    }
    record.tail.mark = GW_MARK;
    return record;
}

/* Any record of these two, in as many cells as it says it has. */
static inline bool record_is_whole(const void *at) {
    const gw_record_t *record = at;
    gw_record_t expected = record->u.trade.extra & GW_EXTRA_TAIL
                               ? tailed_record(record->h.ring_seq, record->h.topic)
                               : whole_record(record->h.ring_seq, record->h.topic);
    if (record->h.ts_event != expected.h.ts_event) return false;
    if (record->h.cells != gw_record_cells(record)) return false;
    return memcmp(&record->u, &expected.u, (record->h.cells - 1u) * GW_CELL) == 0;
}

static inline void publish_whole(gw_writer_t *w, uint32_t topic) {
    gw_record_t record = whole_record(w->ring_seq + 1, topic);
    gw_writer_publish(w, &record);
}

/* One with a tail or one without. */
static inline void publish_either(gw_writer_t *w, uint32_t topic) {
    uint64_t seq = w->ring_seq + 1;
    gw_record_t record = proof(seq, 3) % 3 ? whole_record(seq, topic) : tailed_record(seq, topic);
    gw_writer_publish(w, &record);
}

#endif
