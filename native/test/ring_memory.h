/* A segment in private memory, and records that carry the proof of being whole. */
#ifndef RING_MEMORY_H
#define RING_MEMORY_H
#include "check.h"
#include "gw_ring.h"
#include "usual_record.h"

#include <stdbool.h>
#include <string.h>

static uint64_t ring_numbered; /* records of the newest ring: each bears its number as its ts_recv */

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
    ring_numbered = 0;
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

/* A trade whose payload and time follow from its number. */
static inline gw_record_t whole_record(uint64_t number, uint32_t topic) {
    gw_record_t record = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topic, .ts_recv = (int64_t)number,
                                .ts_event = (int64_t)proof(number, 99)}};
    for (uint64_t i = 0; i < 8; i++) record.u.words[i] = proof(number, i);
    record.u.trade.extra = 0;
    return record;
}

/* The same with a tail, made the same way. */
static inline gw_record_t tailed_record(uint64_t number, uint32_t topic) {
    gw_record_t record = whole_record(number, topic);
    record.u.trade.extra = GW_EXTRA_TAIL;
    record.h.cells = GW_RECORD_CELLS_TAIL;
    for (uint64_t i = 0; i < 8; i++) {
        uint64_t word = proof(number, 8 + i);
        memcpy((uint8_t *)&record.tail + 8 * i, &word, 8);
    }
    return record;
}

#ifdef GW_TEST_KINDS
/* One of the kind that has as many cells as it likes. */
typedef union {
    gw_record_t record;
    uint64_t words[GW_RECORD_CELLS_MAX * GW_CELL / 8];
} long_t;

static inline uint16_t long_cells(uint64_t number, uint32_t most) { return (uint16_t)(3 + proof(number, 5) % (most - 2)); }

static inline void long_record(long_t *out, uint64_t number, uint32_t topic, uint16_t cells) {
    out->record.h = (gw_header_t){.kind = GW_TEST, .cells = cells, .topic = topic, .ts_recv = (int64_t)number};
    for (uint64_t i = 8; i < cells * 8u; i++) out->words[i] = proof(number, i);
}

static inline bool long_is_whole(const uint64_t *words, const gw_header_t *h) {
    for (uint64_t i = 8; i < h->cells * 8u; i++)
        if (words[i] != proof((uint64_t)h->ts_recv, i)) return false;
    return true;
}
#endif

/* Any record of these, in as many cells as it says it has. */
static inline bool record_is_whole(const void *at) {
    const gw_record_t *record = at;
#ifdef GW_TEST_KINDS
    if (record->h.kind == GW_TEST) return long_is_whole(at, &record->h);
#endif
    const uint64_t number = (uint64_t)record->h.ts_recv;
    gw_record_t expected = record->u.trade.extra & GW_EXTRA_TAIL ? tailed_record(number, record->h.topic)
                                                                 : whole_record(number, record->h.topic);
    if (record->h.ts_event != expected.h.ts_event) return false;
    if (record->h.cells != gw_record_cells(record)) return false;
    return memcmp(&record->u, &expected.u, (record->h.cells - 1u) * GW_CELL) == 0;
}

static inline void publish_whole(gw_writer_t *w, uint32_t topic) {
    gw_record_t record = whole_record(++ring_numbered, topic);
    gw_writer_publish(w, &record);
}

/* One with a tail or one without. */
static inline void publish_either(gw_writer_t *w, uint32_t topic) {
    uint64_t seq = ++ring_numbered;
    gw_record_t record = proof(seq, 3) % 3 ? whole_record(seq, topic) : tailed_record(seq, topic);
    gw_writer_publish(w, &record);
}

#ifdef GW_TEST_KINDS
/* Each third one a long one, of up to so many cells. */
static inline void publish_any(gw_writer_t *w, uint32_t topic, uint32_t most) {
    static _Thread_local long_t buffer;
    if (proof(ring_numbered, 4) % 3) {
        publish_either(w, topic);
        return;
    }
    const uint64_t number = ++ring_numbered;
    long_record(&buffer, number, topic, long_cells(number, most));
    gw_writer_publish(w, &buffer.record);
}
#endif

#endif
