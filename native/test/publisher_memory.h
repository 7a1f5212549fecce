/* A publisher over a segment in private memory, with statistics and a reader from the start. */
#ifndef PUBLISHER_MEMORY_H
#define PUBLISHER_MEMORY_H
#include "check.h"
#include "gw_publisher.h"
#include "usual_record.h"

#include <string.h>

static gw_publisher_t publisher;
static gw_stats_t stats;
static gw_reader_t reader;
static void *publisher_memory;

static inline void publisher_new(uint64_t capacity, uint32_t topics_max) {
    size_t size = gw_segment_size(capacity, topics_max);
    publisher_memory = aligned_alloc(4096, size);
    CHECK(publisher_memory != NULL);
    memset(publisher_memory, 0, size);
    memset(&stats, 0, sizeof stats);
    CHECK_EQUAL(gw_segment_format(publisher_memory, size, capacity, topics_max, "k3f90000"), 0);
    CHECK_EQUAL(gw_publisher_init(&publisher, publisher_memory, size, &stats), 0);
    reader = (gw_reader_t){.segment = publisher.writer.segment};
}

static inline void publisher_end(void) {
    gw_publisher_free(&publisher);
    free(publisher_memory);
}

#endif
