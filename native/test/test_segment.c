/* Layout, directory and last values; situations are made by writing words into the memory. */
#include "check.h"
#include "gw_atomic.h"
#include "ring_memory.h"

#include <errno.h>
#include <pthread.h>

typedef struct {
    uint64_t *capacity, done;
} segment_flip_t;

static void impossible_sizes_are_refused(void) {
    static uint64_t mem[8192];
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 5000, 8, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 2048, 8, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 4096, 0, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 1u << 20, 8, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 4096, 8, "K3F90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 4096, 8, "k3f9"), -EINVAL);
    CHECK_EQUAL(gw_segment_format(mem, sizeof mem, 4096, 8, "k3f90000"), 0);
}

static void what_is_no_segment_is_not_opened(void) {
    ring_t r = ring_new(4096, 8);
    gw_segment_t view;
    uint64_t *words = r.mem;
    CHECK_EQUAL(gw_segment_open(r.mem, 100, &view), -EINVAL);
    CHECK_EQUAL(gw_segment_open(r.mem, r.size - 1, &view), -EINVAL);
    for (int word = 0; word < 4; word++) { /* magic, version and topics, capacity, epoch */
        uint64_t saved = words[word];
        words[word] = ~0ull;
        CHECK_EQUAL(gw_segment_open(r.mem, r.size, &view), -EINVAL);
        words[word] = saved;
    }
    CHECK_EQUAL(gw_segment_open(r.mem, r.size, &view), 0);
    CHECK(strcmp(view.epoch, "k3f90000") == 0);
    CHECK(memcmp(gw_segment_origin(&view, 0), "k3f90000", GW_EPOCH_LENGTH) == 0);
    for (unsigned origin = 1; origin <= UINT8_MAX; origin++) CHECK(gw_segment_origin(&view, (uint8_t)origin) == NULL);
    ring_free(&r);
}

/* With books: their sizes follow from what the header says, which is checked against the size as the others are. */
static void books_are_behind_the_ring(void) {
    const uint64_t capacity = 4096;
    size_t size = gw_segment_books_size(capacity, 8, 1000), plain = gw_segment_size(capacity, 8);
    uint64_t *mem = aligned_alloc(4096, size);
    gw_segment_t view;
    memset(mem, 0, size);
    CHECK_EQUAL(gw_segment_books_size(capacity, 8, 0), plain);
    CHECK_EQUAL(gw_segment_books_format(mem, size - 1, capacity, 8, 1000, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_books_format(mem, size, capacity, 8, GW_BOOK_LEVELS_MAX + 1, "k3f90000"), -EINVAL);
    CHECK_EQUAL(gw_segment_books_format(mem, size, capacity, 8, 1000, "k3f90000"), 0);
    CHECK_EQUAL(gw_segment_open(mem, size, &view), 0);
    CHECK_EQUAL(view.books.sizes.books, 8);
    CHECK_EQUAL(view.books.sizes.chunks, 256);
    CHECK_EQUAL((uint8_t *)view.books.heads - (uint8_t *)mem, plain + 4096);
    CHECK_EQUAL(gw_segment_open(mem, size - 4096, &view), -EINVAL);
    CHECK_EQUAL(mem[4], 1000);
    mem[4] = GW_BOOK_LEVELS_MAX + 1ull;
    CHECK_EQUAL(gw_segment_open(mem, size, &view), -EINVAL);
    mem[4] = 1000000; /* more than there is room for */
    CHECK_EQUAL(gw_segment_open(mem, size, &view), -EINVAL);
    mem[4] = 0;
    CHECK_EQUAL(gw_segment_open(mem, size, &view), 0);
    CHECK_EQUAL(view.books.sizes.books, 0);
    mem[4] = 1000;
    mem[plain / 8] ^= 1; /* the pool's own mark */
    CHECK_EQUAL(gw_segment_open(mem, size, &view), -EINVAL);
    free(mem);
}

static void books_take_what_the_rule_says(void) {
    gw_book_sizes_t s = gw_segment_books(69632, 1000000);
    CHECK_EQUAL(s.books, 4000);
    CHECK_EQUAL(s.chunks, 31250);
    CHECK_EQUAL(s.side_chunks, 2048);
    CHECK_EQUAL(s.wides, 15625);
    s = gw_segment_books(100, 1000000);
    CHECK_EQUAL(s.books, 100);
    s = gw_segment_books(UINT32_MAX, GW_BOOK_LEVELS_MAX);
    CHECK(gw_book_pool_size(&s) > 0);
    s = gw_segment_books(1, 1);
    CHECK(gw_book_pool_size(&s) > 0);
    s = gw_segment_books(1, 0);
    CHECK_EQUAL(s.books, 0);
}

static void *larger_and_smaller(void *argument) {
    segment_flip_t *f = argument;
    while (!GW_LOAD_RELAXED(&f->done)) {
        GW_STORE_RELAXED(f->capacity, 1u << 20);
        GW_STORE_RELAXED(f->capacity, 4096u);
    }
    return NULL;
}

/* Its writer may change it at any moment: a size is read once, so that the one that fits is the one that is used. */
static void a_size_that_changes_is_used_as_it_was_checked(void) {
    ring_t r = ring_new(4096, 4);
    segment_flip_t f = {.capacity = (uint64_t *)r.mem + 2};
    pthread_t thread;
    CHECK_EQUAL(*f.capacity, 4096);
    CHECK_EQUAL(pthread_create(&thread, NULL, larger_and_smaller, &f), 0);
    bool opened = false, refused = false;
    for (int i = 0; i < 200000 || !opened || !refused; i++) {
        gw_segment_t view;
        CHECK(i < 50000000); /* the other thread never ran */
        const bool fits = !gw_segment_open(r.mem, r.size, &view);
        if (fits) CHECK_EQUAL(view.capacity, 4096);
        opened |= fits;
        refused |= !fits;
    }
    GW_STORE_RELAXED(&f.done, 1);
    pthread_join(thread, NULL);
    ring_free(&r);
}

static void counters_have_lines_of_their_own(void) {
    ring_t r = ring_new(4096, 8);
    const gw_segment_t *s = &r.reader.segment;
    CHECK((uint8_t *)s->tail - (uint8_t *)s->tail_intent >= 64);
    CHECK((uint8_t *)s->topics - (uint8_t *)s->tail >= 64);
    CHECK_EQUAL((uintptr_t)s->ring % 4096, 0);
    CHECK_EQUAL((uintptr_t)s->table % 64, 0);
    CHECK_EQUAL(s->ring + s->capacity - s->base, r.size);
    ring_free(&r);
}

static void the_directory_is_append_only_and_bounded(void) {
    ring_t r = ring_new(4096, 2);
    char longest[GW_INSTRUMENT_MAX + 1];
    gw_entry_name_t e;
    memset(longest, 'A', sizeof longest);
    CHECK_EQUAL(gw_directory_entry(&r.reader.segment, 0, &e), -ENOENT);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_TRADE, "", 0), -EINVAL);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_TRADE, longest, sizeof longest), -EINVAL);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, 0, "A.B", 3), -EINVAL);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_CHANNELS, "A.B", 3), -EINVAL);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_TRADE, longest, GW_INSTRUMENT_MAX), 0);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_BBO, "BRK.B.XNAS", 10), 1);
    CHECK_EQUAL(gw_writer_topic_add(&r.writer, GW_BBO, "C.D", 3), -ENOSPC);
    CHECK_EQUAL(gw_directory_count(&r.reader.segment), 2);
    CHECK_EQUAL(gw_directory_entry(&r.reader.segment, 0, &e), GW_INSTRUMENT_MAX);
    CHECK_EQUAL(gw_directory_entry(&r.reader.segment, 1, &e), 10);
    CHECK_EQUAL(e.channel, GW_BBO);
    CHECK(memcmp(e.name, "BRK.B.XNAS", 10) == 0);
    *r.reader.segment.topics = 1000; /* a count that lies is cut at the table's end */
    CHECK_EQUAL(gw_directory_count(&r.reader.segment), 2);
    ((uint8_t *)r.reader.segment.directory)[1] = 200;
    CHECK_EQUAL(gw_directory_entry(&r.reader.segment, 0, &e), -ENOENT);
    ring_free(&r);
}

static void the_table_holds_each_topic_s_last_record(void) {
    ring_t r = ring_new(4096, 4);
    gw_record_t last;
    CHECK_EQUAL(gw_table_read(&r.reader.segment, 1, &last, NULL), 0);
    CHECK_EQUAL(gw_table_read(&r.reader.segment, 4, &last, NULL), 0);
    for (int i = 0; i < 5; i++) publish_whole(&r.writer, 1);
    publish_whole(&r.writer, 2);
    CHECK_EQUAL(gw_table_read(&r.reader.segment, 1, &last, NULL), 1);
    CHECK_EQUAL(last.h.topic_seq, 5);
    CHECK_EQUAL(last.h.ts_recv, 5);
    CHECK(record_is_whole(&last));
    ring_free(&r);
}

/* FAULTS.md row 49: the writer was killed inside a slot; readers give up on that slot and only on
 * it. */
static void f49_a_slot_left_odd_is_reported_after_bounded_retries(void) {
    ring_t r = ring_new(4096, 4);
    gw_record_t last;
    publish_whole(&r.writer, 0);
    publish_whole(&r.writer, 1);
    uint64_t *slot = r.reader.segment.table + GW_SLOT_WORDS;
    *slot = 2 * 2 - 1; /* as between the first store of the second record and its last */
    slot[10] = 0xbadull;
    CHECK_EQUAL(gw_table_read(&r.reader.segment, 1, &last, NULL), -EAGAIN);
    CHECK_EQUAL(gw_table_read(&r.reader.segment, 0, &last, NULL), 1);
    CHECK(record_is_whole(&last));
    ring_free(&r);
}

int main(void) {
    RUN(impossible_sizes_are_refused);
    RUN(what_is_no_segment_is_not_opened);
    RUN(books_are_behind_the_ring);
    RUN(books_take_what_the_rule_says);
    RUN(a_size_that_changes_is_used_as_it_was_checked);
    RUN(counters_have_lines_of_their_own);
    RUN(the_directory_is_append_only_and_bounded);
    RUN(the_table_holds_each_topic_s_last_record);
    RUN(f49_a_slot_left_odd_is_reported_after_bounded_retries);
    return 0;
}
