/* What a recording begins with: each topic's state before it, against a plain list of all that was published; and books
 * with the record that says how they are. */
#include "book_follower.h"
#include "gw_past.h"
#include "gw_publisher.h"
#include "ring_memory.h"

#include <errno.h>

enum { CAPACITY = 1 << 16, TOPICS = 6, RECORDS = 20000, LEVELS = 20000 };

typedef struct {
    uint64_t position;
    int64_t ts_publish;
    uint32_t topic;
} entry_t;

static entry_t list[RECORDS];
static ring_t ring;

/* A record whose time of receipt is its number; several are published at one time. */
static void publish_state(uint32_t number, uint32_t topic, uint8_t kind) {
    gw_record_t record = whole_record(number + 1, topic);
    record.h.kind = kind;
    record.h.ts_publish = (int64_t)(number / 3);
    list[number] = (entry_t){0, record.h.ts_publish, topic};
    gw_writer_publish(&ring.writer, &record);
    list[number].position = ring.writer.chains[topic].last;
}

/* The number of the record that is expected; RECORDS: none. */
static uint32_t expected_before(uint32_t topic, const gw_start_t *start, uint32_t count) {
    for (uint32_t i = count; i-- > 0;)
        if (list[i].topic == topic && (list[i].position < start->position || list[i].ts_publish < start->ts_publish)) return i;
    return RECORDS;
}

static bool is_there(uint32_t number) { return list[number].position + CAPACITY >= *ring.writer.segment.tail_intent; }

static void each_state_before_any_moment(void) {
    static const uint8_t kinds[TOPICS] = {GW_TRADE, GW_BBO, GW_STATUS, GW_HEALTH, GW_CANDLE, GW_BBO};
    unsigned found = 0, gone = 0;
    random_state = 3;
    ring = ring_new(CAPACITY, TOPICS);
    for (uint32_t i = 0; i < TOPICS; i++) CHECK_EQUAL(gw_writer_topic_add(&ring.writer, kinds[i], "A.X", 3), i);
    for (uint32_t number = 0; number < RECORDS; number++) {
        /* One of them seldom, so that its state is mostly the table's. */
        const uint32_t topic = draw(100) == 0 ? 5 : (uint32_t)draw(TOPICS - 1);
        publish_state(number, topic, kinds[topic]);
        if (draw(10)) continue;
        const uint32_t first = number - (uint32_t)draw(number < 600 ? number + 1 : 600);
        gw_start_t start = {list[first].position, list[first].ts_publish};
        if (draw(2)) start.position -= start.position > 4096 ? 4096 : start.position;
        gw_record_t record;
        for (uint32_t t = 0; t < TOPICS; t++) {
            const uint32_t wanted = expected_before(t, &start, number + 1);
            const int got = gw_reader_state_before(&ring.reader, t, &start, &record);
            if (t == 0 || wanted == RECORDS) {
                CHECK_EQUAL(got, -ENOENT);
                continue;
            }
            if (got == 1) CHECK_EQUAL(record.h.ts_recv, wanted + 1);
            else CHECK(got == -ENOENT && !is_there(wanted));
            found += got == 1;
            gone += got != 1;
        }
    }
    printf("  %u states, %u gone\n", found, gone);
    CHECK(found > 4000 && gone > 50);
    ring_free(&ring);
}

static void what_has_ended_has_no_state(void) {
    gw_record_t record;
    const gw_start_t start = {UINT64_MAX, INT64_MAX};
    ring = ring_new(CAPACITY, TOPICS);
    CHECK_EQUAL(gw_writer_topic_add(&ring.writer, GW_BBO, "A.X", 3), 0);
    CHECK_EQUAL(gw_reader_state_before(&ring.reader, 0, &start, &record), -ENOENT);
    publish_state(0, 0, GW_BBO);
    CHECK_EQUAL(gw_reader_state_before(&ring.reader, 0, &start, &record), 1);
    record = (gw_record_t){.h = {.kind = GW_BBO, .cells = GW_RECORD_CELLS, .flags = GW_FLAG_RETIRED}};
    gw_writer_publish(&ring.writer, &record);
    CHECK_EQUAL(gw_reader_state_before(&ring.reader, 0, &start, &record), -ENOENT);
    CHECK_EQUAL(gw_reader_state_before(&ring.reader, TOPICS + 7, &start, &record), -ENOENT);
    /* Its slot is of a writer that died inside it. */
    uint64_t *slot = ring.writer.segment.table;
    *slot += 1;
    CHECK_EQUAL(gw_reader_state_before(&ring.reader, 0, &start, &record), -EAGAIN);
    ring_free(&ring);
}

/* --- books ------------------------------------------------------------------------------------------- */

static gw_publisher_t publisher;
static gw_stats_t stats;
static gw_segment_t segment;
static gw_book_level_t levels[2 * MODEL_MOST];
static gw_book_row_t rows[LEVELS];
static const gw_receipt_t receipt = {0};

static void *books_begin(void) {
    const size_t size = gw_segment_books_size(1 << 20, TOPICS, LEVELS);
    void *memory = aligned_alloc(4096, size);
    CHECK(memory != NULL);
    memset(memory, 0, size);
    memset(&stats, 0, sizeof stats);
    CHECK_EQUAL(gw_segment_books_format(memory, size, 1 << 20, TOPICS, LEVELS, "k3f90000"), 0);
    CHECK_EQUAL(gw_publisher_init(&publisher, memory, size, &stats), 0);
    CHECK_EQUAL(gw_segment_open(memory, size, &segment), 0);
    random_state = 7;
    return memory;
}

static void books_end(void *memory) {
    gw_publisher_free(&publisher);
    free(memory);
}

static void each_book_with_its_record(void) {
    void *memory = books_begin();
    gw_record_t last;
    gw_book_copy_t copy = {.rows = rows, .room = LEVELS};
    uint64_t owner, seq;
    const uint32_t topic = (uint32_t)gw_publisher_topic_add(&publisher, GW_BOOK, "A.X", 3);
    CHECK(!gw_reader_book_peek(&segment, 0, &owner, &seq));
    CHECK_EQUAL(gw_reader_book_at(&segment, 0, &last, &copy), -ENOENT);
    CHECK(!gw_reader_book_peek(&segment, segment.books.sizes.books, &owner, &seq));
    CHECK_EQUAL(gw_reader_book_at(&segment, segment.books.sizes.books, &last, &copy), -ENOENT);
    model_t model;
    walk_t walk = {1000000, 100, true};
    model_open(&model);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t count = i % 50 == 0 ? walk_state(&walk, levels) : walk_message(&walk, &model, levels);
        const gw_book_input_t in = {.topic = topic, .snapshot = i % 50 == 0, .levels = levels, .count = count,
                                    .last_id = {"77", 2}, .doubt = i % 3 == 0 ? GW_BOOK_IN_DOUBT : GW_BOOK_NOT_IN_DOUBT};
        gw_book_result_t result;
        if (in.snapshot) model.count[0] = model.count[1] = 0;
        model_apply(&model, levels, count, 0);
        CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_FINE);
        CHECK_EQUAL(gw_reader_book_at(&segment, 0, &last, &copy), 0);
        CHECK_EQUAL(copy.seq, publisher.writer.chains[topic].seq);
        CHECK_EQUAL(last.h.topic_seq, copy.seq);
        CHECK_EQUAL(copy.count, model.count[0] + model.count[1]);
        /* Whatever the rules say, the book is in doubt where the message says so. */
        CHECK_EQUAL((last.h.flags & GW_FLAG_MAYBE_BAD_BOOK) != 0, i % 3 == 0);
        CHECK(gw_reader_book_peek(&segment, 0, &owner, &seq));
        CHECK(seq == copy.seq && owner == copy.owner && owner == gw_book_owner(topic, last.h.generation));
    }
    copy.room = copy.count - 1;
    const uint32_t count = copy.count;
    CHECK_EQUAL(gw_reader_book_at(&segment, 0, &last, &copy), -ENOBUFS);
    CHECK_EQUAL(copy.count, count);
    copy.room = LEVELS;
    /* The book is newer than any record that says how it is: its writer is between the two, or died there. */
    gw_book_t *book = &publisher.books.books[0].book;
    gw_book_advance(book, gw_book_seq(book) + 1);
    CHECK_EQUAL(gw_reader_book_at(&segment, 0, &last, &copy), -EAGAIN);
    CHECK_EQUAL(copy.count, 0);
    gw_publisher_topic_retire(&publisher, topic, GW_BOOK);
    CHECK_EQUAL(gw_reader_book_at(&segment, 0, &last, &copy), -ENOENT);
    CHECK(!gw_reader_book_peek(&segment, 0, &owner, &seq));
    model_close(&model);
    books_end(memory);
}

int main(void) {
    each_state_before_any_moment();
    what_has_ended_has_no_state();
    each_book_with_its_record();
    return 0;
}
