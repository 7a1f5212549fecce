/* Pages are there before they are written, and no sooner than that: counted with mincore(2). */
#include "check.h"
#include "gw_ahead.h"
#include "gw_log.h"
#include "gw_publisher.h"
#include "plane_rig.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define BATCH 1024u /* records that a feed publishes at once, at most */
#define RECORD (GW_RECORD_CELLS * GW_CELL)

static uint8_t *mapping(size_t size, int fd) {
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    CHECK(p != MAP_FAILED);
    if (fd < 0) madvise(p, size, MADV_NOHUGEPAGE); /* refused where there are none */
    return p;
}

/* Pages of [at, at + size) that are there; `at` begins one. */
static size_t present(const void *at, size_t size) {
    size_t pages = (size + PAGE - 1) / PAGE, found = 0;
    unsigned char *each = calloc(pages, 1);
    CHECK(each != NULL);
    CHECK_EQUAL(mincore((void *)(uintptr_t)at, size, each), 0);
    for (size_t i = 0; i < pages; i++) found += each[i] & 1;
    free(each);
    return found;
}

static void a_step_is_bounded_and_stays_ahead_for_one_lap(void) {
    const uint64_t size = 1 << 20, lead = 128 << 10, budget = 64 << 10;
    uint8_t *p = mapping(size, -1);
    gw_ahead_t a;
    gw_ahead_init_write(&a, p, size, 0);
    CHECK_EQUAL(present(p, size), 0);
    CHECK_EQUAL(gw_ahead(&a, 0, lead, budget), budget);
    CHECK_EQUAL(present(p, size), budget / PAGE);
    CHECK_EQUAL(gw_ahead(&a, 0, lead, budget), budget);
    CHECK_EQUAL(gw_ahead(&a, 0, lead, budget), 0);
    CHECK_EQUAL(gw_ahead(&a, 1, lead, budget), PAGE);
    for (uint64_t position = 10000; position < size; position += 10000) {
        uint64_t now = gw_ahead(&a, position, lead, budget);
        CHECK(now <= budget);
        uint64_t until = position + lead < size ? position + lead : size;
        CHECK_EQUAL(present(p, size), (until + PAGE - 1) / PAGE);
    }
    CHECK_EQUAL(gw_ahead(&a, size, lead, budget), 0);
    CHECK_EQUAL(gw_ahead(&a, 100 * size, lead, budget), 0);
    munmap(p, size);
}

static void what_was_overtaken_is_left_out(void) {
    const uint64_t size = 1 << 20, lead = 64 << 10;
    uint8_t *p = mapping(size, -1);
    gw_ahead_t a;
    gw_ahead_init_write(&a, p, size, 0);
    CHECK_EQUAL(gw_ahead(&a, (512 << 10) + 100, lead, lead), lead);
    CHECK_EQUAL(present(p, 512 << 10), 0);
    CHECK_EQUAL(present(p + (512 << 10), lead), lead / PAGE);
    munmap(p, size);
}

/* A worker that is started again maps the ring anew, and reads on from the middle of a later lap. */
static void a_lap_may_begin_anywhere(void) {
    const uint64_t size = 256 << 10, start = 10 * size + size / 2 + 64;
    uint8_t *p = mapping(size, -1);
    gw_ahead_t a;
    gw_ahead_init_read(&a, p, size, start);
    uint64_t all = 0;
    for (int i = 0; i < 3; i++) all += gw_ahead(&a, start, size, size);
    CHECK_EQUAL(all, size);
    CHECK_EQUAL(gw_ahead(&a, start + size, size, size), 0);
    munmap(p, size);
}

/* As on a kernel without the advice, which refuses it in the same words: the memory is no whole pages. */
static void without_the_advice_pages_are_touched_and_keep_what_they_hold(void) {
    const uint64_t size = 64 << 10;
    uint8_t *p = mapping(size + PAGE, -1);
    p[64] = 7;
    p[64 + 5 * PAGE] = 9;
    gw_ahead_t a;
    gw_ahead_init_write(&a, p + 64, size, 0);
    CHECK_EQUAL(gw_ahead(&a, 0, size, size), size);
    CHECK_EQUAL(present(p, size), size / PAGE);
    CHECK_EQUAL(p[64], 7);
    CHECK_EQUAL(p[64 + 5 * PAGE], 9);
    gw_ahead_init_read(&a, p + 64, size, 0);
    CHECK_EQUAL(gw_ahead(&a, 0, size, size), size);
    munmap(p, size + PAGE);
}

static void a_buffer_that_cannot_be_populated_is_left_alone(void) {
    const uint64_t size = 64 << 10;
    uint8_t *p = mapping(size, -1);
    gw_ahead_t a;
    gw_ahead_init_write(&a, p, size, 0);
    munmap(p, size); /* madvise says ENOMEM */
    gw_ahead(&a, 0, size, PAGE);
    CHECK_EQUAL(gw_ahead(&a, 0, size, PAGE), 0);
}

/* --- the ring ------------------------------------------------------------------------------------- */

static const uint64_t CAPACITY = 4 << 20;
static gw_publisher_t publisher;
static size_t segment_size;
static uint8_t *segment;

static void segment_new(uint32_t topics_max) {
    segment_size = gw_segment_size(CAPACITY, topics_max);
    int fd = memfd_create("ahead", MFD_CLOEXEC);
    CHECK(fd >= 0 && !ftruncate(fd, (off_t)segment_size));
    segment = mapping(segment_size, fd);
    close(fd);
    CHECK_EQUAL(gw_segment_format(segment, segment_size, CAPACITY, topics_max, "k3f90000"), 0);
    CHECK_EQUAL(gw_publisher_init(&publisher, segment, segment_size, NULL), 0);
}

static void segment_end(void) {
    gw_publisher_free(&publisher);
    munmap(segment, segment_size);
}

static void publish(uint32_t topic, uint32_t count) {
    gw_record_t records[GW_PUBLISH_MAX];
    gw_receipt_t receipt = {0};
    for (uint32_t left = count; left;) {
        uint32_t n = left < GW_PUBLISH_MAX ? left : GW_PUBLISH_MAX;
        for (uint32_t i = 0; i < n; i++)
            records[i] = (gw_record_t){.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topic, .ts_event = 1}};
        gw_publisher_publish(&publisher, records, n, &receipt);
        left -= n;
    }
    gw_publisher_ring(&publisher);
}

static void no_record_of_a_busy_feed_meets_a_new_page(void) {
    segment_new(64);
    gw_publisher_populate_ahead(&publisher);
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "A.X", 3), 0);
    const gw_segment_t *s = &publisher.writer.segment;
    size_t missing = 0;
    for (uint64_t tail = 0; tail < 2 * CAPACITY; tail += (uint64_t)BATCH * RECORD) {
        CHECK_EQUAL(*s->tail, tail);
        missing += BATCH * RECORD / PAGE - present(s->ring + tail % CAPACITY, BATCH * RECORD);
        publish(0, BATCH);
    }
    CHECK_EQUAL(missing, 0);
    CHECK_EQUAL(publisher.ahead_state, GW_AHEAD_OFF);
    segment_end();
}

static void *publish_much(void *topic) {
    for (int i = 0; i < 2000; i++) publish(*(uint32_t *)topic, 8);
    return NULL;
}

static void several_threads_populate_one_at_a_time(void) {
    segment_new(64);
    gw_publisher_populate_ahead(&publisher);
    uint32_t topics[3] = {0, 1, 2};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        char name[] = {(char)('A' + i), '.', 'X'};
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, name, sizeof name), i);
    }
    for (int i = 0; i < 3; i++) CHECK(!pthread_create(&threads[i], NULL, publish_much, &topics[i]));
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    const gw_segment_t *s = &publisher.writer.segment;
    CHECK_EQUAL(*s->tail, 3 * 2000 * 8 * RECORD);
    /* A thread that found another one populating left its step out: the next one makes up for it. */
    for (int i = 0; i < 64; i++) gw_publisher_ring(&publisher);
    CHECK_EQUAL(publisher.ahead_state, GW_AHEAD_OFF);
    CHECK_EQUAL(present(s->ring, CAPACITY), CAPACITY / PAGE);
    segment_end();
}

static void a_quiet_ring_takes_little_memory(void) {
    segment_new(65536);
    gw_publisher_populate_ahead(&publisher);
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "A.X", 3), 0);
    for (int i = 0; i < 100; i++) publish(0, 1);
    const gw_segment_t *s = &publisher.writer.segment;
    CHECK_EQUAL(present(s->ring, CAPACITY), (GW_AHEAD_LEAD + 100 * RECORD + PAGE - 1) / PAGE);
    /* Header, one page of directory, one of last values and one of blocks. */
    CHECK_EQUAL(present(segment, (size_t)(s->ring - segment)), 4);
    segment_end();
}

static void the_first_record_of_a_topic_meets_no_new_page(void) {
    segment_new(4096);
    const gw_segment_t *s = &publisher.writer.segment;
    for (unsigned i = 0; i < 4096; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "S%u.X", i);
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, name, (size_t)length), i);
        size_t slots = (i + 1) * GW_SLOT_WORDS * 8;
        CHECK_EQUAL(present(s->table, slots), (slots + PAGE - 1) / PAGE);
    }
    segment_end();
}

/* --- the frame log -------------------------------------------------------------------------------- */

static void append(gw_log_t *log, size_t length) {
    memset(gw_log_reserve(log, length), 'x', length);
    gw_log_commit(log, &(gw_frame_t){.topic = 1}, length);
}

static void no_frame_meets_a_new_page(void) {
    gw_log_t log;
    const uint64_t size = 8 << 20;
    CHECK_EQUAL(gw_log_init(&log, size, 0, 0), 0);
    CHECK_EQUAL(present(log.bytes, size), 0);
    while (gw_log_ahead(&log, GW_AHEAD_BUDGET)) continue;
    size_t missing = 0;
    while (log.position < size - GW_AHEAD_BUDGET) {
        uint64_t offset = log.position / PAGE * PAGE;
        size_t pages = GW_AHEAD_BUDGET / 2 / PAGE;
        missing += pages - present(log.bytes + offset, pages * PAGE);
        size_t frame = (size_t)(log.index * sizeof *log.frames / PAGE * PAGE);
        missing += 1 - present((uint8_t *)log.frames + frame, PAGE);
        for (int i = 0; i < 256; i++) append(&log, 256);
        CHECK(gw_log_ahead(&log, GW_AHEAD_BUDGET) <= GW_AHEAD_BUDGET);
    }
    CHECK_EQUAL(missing, 0);
    gw_log_free(&log);
}

static void a_log_may_be_populated_at_the_start(void) {
    gw_log_t log;
    CHECK_EQUAL(gw_log_init(&log, 1 << 20, 0, 1), 0);
    CHECK_EQUAL(present(log.bytes, 1 << 20), (1 << 20) / PAGE);
    CHECK_EQUAL(present(log.frames, log.count * sizeof *log.frames),
                log.count * sizeof *log.frames / PAGE);
    CHECK_EQUAL(gw_log_ahead(&log, GW_AHEAD_BUDGET), 0);
    gw_log_free(&log);
}

/* --- the plane ------------------------------------------------------------------------------------ */

static void a_turn_of_the_plane_populates_a_little(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4 << 20, 16);
    gw_plane_t *p = rig->plane;
    uint64_t before = 0;
    for (int i = 0; i < 100; i++) {
        gw_plane_cycle(p);
        uint64_t done = p->lanes[0].log.bytes_ahead.done + p->lanes[0].log.frames_ahead.done + p->ring_ahead.done;
        CHECK(done - before <= GW_AHEAD_BUDGET);
        before = done;
    }
    CHECK_EQUAL(p->lanes[0].log.bytes_ahead.done, GW_AHEAD_LEAD);
    CHECK_EQUAL(p->ring_ahead.done, GW_BATCH_BYTES);
    CHECK_EQUAL(present(p->lanes[0].log.bytes, p->lanes[0].log.size), GW_AHEAD_LEAD / PAGE);
    /* Another segment: another mapping, of which nothing is there. */
    rig_segment(rig, 4 << 20, 16);
    gw_plane_cycle(p);
    gw_plane_cycle(p);
    CHECK(p->ring_ahead.base == p->reader.segment.ring);
    rig_free(rig);

    o.populate = 1;
    rig = rig_new(o);
    rig_segment(rig, 4 << 20, 16);
    for (int i = 0; i < 10; i++) gw_plane_cycle(rig->plane);
    CHECK_EQUAL(rig->plane->ring_ahead.end, 0);
    CHECK_EQUAL(present(rig->plane->lanes[0].log.bytes, o.log_bytes), o.log_bytes / PAGE);
    rig_free(rig);
}

int main(void) {
    RUN(a_step_is_bounded_and_stays_ahead_for_one_lap);
    RUN(what_was_overtaken_is_left_out);
    RUN(a_lap_may_begin_anywhere);
    RUN(without_the_advice_pages_are_touched_and_keep_what_they_hold);
    RUN(a_buffer_that_cannot_be_populated_is_left_alone);
    RUN(no_record_of_a_busy_feed_meets_a_new_page);
    RUN(several_threads_populate_one_at_a_time);
    RUN(a_quiet_ring_takes_little_memory);
    RUN(the_first_record_of_a_topic_meets_no_new_page);
    RUN(no_frame_meets_a_new_page);
    RUN(a_log_may_be_populated_at_the_start);
    RUN(a_turn_of_the_plane_populates_a_little);
    return 0;
}
