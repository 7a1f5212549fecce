/* A segment in private memory, and records that carry the proof of being whole. */
#ifndef RING_MEMORY_H
#define RING_MEMORY_H
#include "check.h"
#include "gw_ring.h"

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
    return record;
}

static inline bool record_is_whole(const gw_record_t *record) {
    uint64_t seq = record->h.ring_seq;
    if (record->h.ts_event != (int64_t)proof(seq, 99)) return false;
    for (uint64_t i = 0; i < 8; i++)
        if (record->u.words[i] != proof(seq, i)) return false;
    return true;
}

static inline void publish_whole(gw_writer_t *w, uint32_t topic) {
    gw_record_t record = whole_record(w->ring_seq + 1, topic);
    gw_writer_publish(w, &record);
}

#endif
