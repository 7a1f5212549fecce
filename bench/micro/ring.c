/* What one record costs in the ring, and one duration in a histogram; all in one thread. */
#include "micro.h"
#include "gw_clock.h"
#include "gw_hdr.h"
#include "gw_line.h"
#include "gw_ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TOPICS = 100, BATCH = 64, VALUES = 4096 };

static gw_writer_t writer;
static gw_reader_t reader;
static gw_record_t records[TOPICS];

static void ring_setup(uint64_t capacity) {
    size_t size = gw_segment_size(capacity, TOPICS);
    void *mem =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mem == MAP_FAILED || gw_segment_format(mem, size, capacity, TOPICS, "k3f90000") < 0
        || gw_writer_init(&writer, mem, size) < 0)
        abort();
    reader = (gw_reader_t){.segment = writer.segment};
    for (uint32_t topic = 0; topic < TOPICS; topic++)
        records[topic] = (gw_record_t){
            .h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topic, .ts_event = 1, .ts_recv = 2, .ts_publish = 3},
            .u.trade = {.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15}};
}

static void ring_setup_default(void) { ring_setup(64u << 20); }
static void ring_setup_cached(void) { ring_setup(256u << 10); }

static void publish(uint64_t ops) {
    uint32_t topic = 0;
    for (uint64_t i = 0; i < ops; i++) {
        gw_writer_publish(&writer, &records[topic]);
        if (++topic == TOPICS) topic = 0;
    }
}

static void publish_and_poll(uint64_t ops) {
    static uint64_t buffer[BATCH * GW_RECORD_CELLS * GW_CELL / 8];
    for (uint64_t i = 0; i < ops; i += BATCH) {
        publish(BATCH);
        for (int64_t left = sizeof buffer; left > 0;) {
            int64_t size = gw_reader_poll(&reader, buffer, sizeof buffer);
            if (size <= 0) abort();
            left -= size;
        }
        micro_keep(buffer);
    }
}

static void table_read(uint64_t ops) {
    gw_record_t record;
    for (uint64_t i = 0; i < ops; i++) {
        if (gw_table_read(&reader.segment, (uint32_t)(i % BATCH), &record, NULL) != 1) abort();
        micro_keep(&record);
    }
}

static void table_setup(void) {
    ring_setup_cached();
    publish(TOPICS);
}

static void wait_ring_awake(uint64_t ops) {
    static gw_wait_t wait;
    for (uint64_t i = 0; i < ops; i++) gw_wait_ring(&wait, -1);
}

static void row_fill(uint64_t ops) {
    static const gw_text_t texts[4] = {
        {"64250.10", 8}, {"0.01500", 7}, {"sell", 4}, {"3810000037", 10}};
    static gw_record_t record;
    for (uint64_t i = 0; i < ops; i++) {
        int field;
        if (gw_record_fill(&record, GW_TRADE, texts, &field)) abort();
        micro_keep(&record);
    }
}

static void line_take(uint64_t ops) {
    static const char bytes[] =
        "{\"channel\":\"trade\",\"symbol\":\"SYM001\",\"price\":\"64250.10\",\"qty\":\"0.015\","
        "\"side\":\"buy\",\"id\":\"7\",\"ts\":1723161255342000000}";
    for (uint64_t i = 0; i < ops; i++) {
        gw_line_t line;
        gw_record_t record;
        int field;
        if (gw_line_parse(bytes, sizeof bytes - 1, &line) != GW_LINE_USUAL
            || gw_record_fill(&record, line.kind, line.texts, &field))
            abort();
        micro_keep(&record);
    }
}

static gw_hdr_t histogram;
static int64_t values[VALUES];

/* Durations from 1 µs to 1 ms, the same number in each power of two, in no order. */
static void hdr_setup(void) {
    uint64_t x = 88172645463325252ull;
    for (int i = 0; i < VALUES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = (int64_t)((1024u << (x % 10)) + (x >> 20) % (1024u << (x % 10)));
    }
}

static void hdr_record(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i++) gw_hdr_record(&histogram, values[i % VALUES], 1);
}

static void clock_read(uint64_t ops) {
    int64_t now = 0;
    for (uint64_t i = 0; i < ops; i++) now += gw_monotonic_ns();
    micro_keep(&now);
}

const micro_row_t micro_ring_rows[] = {
    {"ring_publish", "publish a trade, 64 MiB ring, 100 topics", 1000000, ring_setup_default,
     publish, NULL},
    {"ring_publish_cached", "the same in a 256 KiB ring", 1000000, ring_setup_cached, publish,
     NULL},
    {"ring_hop_local", "publish and poll in batches of 64, one thread", 1000000 / BATCH * BATCH,
     ring_setup_cached, publish_and_poll, NULL},
    {"table_read", "read a topic's last value", 1000000, table_setup, table_read, NULL},
    {"wait_ring_awake", "see that a worker is awake", 1000000, NULL, wait_ring_awake, NULL},
    {"trade_fill", "a trade's texts to its record", 1000000, NULL, row_fill, NULL},
    {"trade_line", "a trade's line of JSON to its record", 1000000, NULL, line_take, NULL},
    {"hdr_record", "record a duration", 1000000, hdr_setup, hdr_record, NULL},
    {"clock_read", "read CLOCK_MONOTONIC", 1000000, NULL, clock_read, NULL},
    {NULL, NULL, 0, NULL, NULL, NULL},
};
