/* Order books through the publisher: what its records and its pool say, to readers of the one and of the other. */
#include "book_follower.h"
#include "gw_atomic.h"
#include "gw_clock.h"
#include "gw_publisher.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 1 << 20, TOPICS = 40, LEVELS = 20000 };

static gw_publisher_t publisher;
static gw_stats_t stats;
static gw_reader_t reader;
static void *memory;
static size_t memory_size;
static uint64_t words[GW_RECORD_CELLS_MAX * GW_CELL / 8 * 2];
static gw_book_level_t levels[2 * MODEL_MOST];
static const gw_receipt_t receipt = {.feed = 1};

static void begin(uint64_t capacity, uint32_t book_levels) {
    memory_size = gw_segment_books_size(capacity, TOPICS, book_levels);
    memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(&stats, 0, sizeof stats);
    CHECK_EQUAL(gw_segment_books_format(memory, memory_size, capacity, TOPICS, book_levels, "k3f90000"), 0);
    CHECK_EQUAL(gw_publisher_init(&publisher, memory, memory_size, &stats), 0);
    memset(&reader, 0, sizeof reader);
    CHECK_EQUAL(gw_segment_open(memory, memory_size, &reader.segment), 0);
    random_state = 7;
}

static void end(void) {
    gw_publisher_free(&publisher);
    munmap(memory, memory_size);
}

static uint32_t book_topic(unsigned number) {
    char name[8];
    int length = snprintf(name, sizeof name, "B%u.X", number);
    int64_t topic = gw_publisher_topic_add(&publisher, GW_BOOK, name, (size_t)length);
    CHECK(topic >= 0);
    return (uint32_t)topic;
}

static gw_book_input_t input_of(uint32_t topic, bool snapshot, uint32_t count) {
    return (gw_book_input_t){.topic = topic, .snapshot = snapshot, .levels = levels, .count = count, .ts_recv = 5,
                             .ts_event = 4, .mono_recv = gw_monotonic_ns(), .first_id = {"17", 2}, .last_id = {"", 0}};
}

static gw_book_result_t publish(const gw_book_input_t *in) {
    gw_book_result_t result;
    CHECK_EQUAL(gw_publisher_book(&publisher, in, &receipt, &result), GW_BOOK_FINE);
    return result;
}

/* The next record of the ring, NULL where there is none. */
static gw_record_t *next_record(void) {
    static int64_t size, at;
    if (at == size) {
        at = 0;
        size = gw_reader_poll(&reader, words, sizeof words);
        CHECK(size >= 0);
        if (size == 0) return NULL;
    }
    gw_record_t *r = (gw_record_t *)(void *)((uint8_t *)words + at);
    at += r->h.cells * GW_CELL;
    return r;
}

/* --- one thread ------------------------------------------------------------------------------ */

static void a_follower_has_the_book(void) {
    follower_t f;
    model_t model;
    walk_t walk = {1000000, 300, true};
    begin(CAPACITY, 100000);
    const uint32_t topic = book_topic(0);
    follower_open(&f, &reader.segment, topic);
    model_open(&model);
    uint64_t published = 0, unchanged = 0;
    for (unsigned i = 0; i < 20000; i++) {
        const bool snapshot = i == 0 || draw(50) == 0;
        uint32_t n = snapshot ? walk_state(&walk, levels) : walk_message(&walk, &model, levels);
        uint32_t depth = 0;
        if (snapshot) model.count[0] = model.count[1] = 0;
        model_apply(&model, levels, n, depth);
        gw_book_input_t in = input_of(topic, snapshot, n);
        gw_book_result_t result = publish(&in);
        published += result.published;
        unchanged += !result.published;
        if (draw(8)) continue; /* several wait, which the pool's book has all */
        gw_book_copy_t copy;
        for (gw_record_t *r; (r = next_record()) != NULL;) follower_take(&f, r);
        model_check(&model, &f.book, UINT32_MAX);
        CHECK(follower_copy(&f, &copy));
        follower_compare(&f, &copy);
    }
    for (gw_record_t *r; (r = next_record()) != NULL;) follower_take(&f, r);
    CHECK_EQUAL(f.records, published);
    CHECK_EQUAL(stats.published[GW_BOOK], published);
    CHECK(unchanged > 100 && f.doubts == 0 && f.gaps == 0);
    printf("  %llu records, %llu messages that changed nothing\n", (unsigned long long)published, (unsigned long long)unchanged);
    model_close(&model);
    follower_close(&f);
    end();
}

/* A record says what the venue did; more than it may have, or a finer price, is a reset. */
static void what_a_record_says(void) {
    gw_book_copy_t copy;
    follower_t f;
    begin(CAPACITY, LEVELS);
    const uint32_t topic = book_topic(0);
    follower_open(&f, &reader.segment, topic);
    copy = (gw_book_copy_t){.rows = f.rows, .room = FOLLOWER_ROWS};
    CHECK_EQUAL(gw_reader_book(&reader.segment, topic, &copy), -ENOENT);
    levels[0] = level_of(GW_BOOK_BID, 100, 5);
    levels[1] = level_of(GW_BOOK_ASK, 101, 6);
    gw_book_input_t in = input_of(topic, true, 2);
    in.depth = 1;
    gw_book_result_t result = publish(&in);
    CHECK(result.published && !result.crossed && !result.differs);
    CHECK_EQUAL(result.changes, 2);
    gw_record_t *r = next_record();
    const gw_book_message_t *m = gw_book_message(r);
    CHECK_EQUAL(m->count, 2);
    CHECK_EQUAL(m->what, 0);
    CHECK_EQUAL(m->scale, MODEL_SCALE);
    CHECK(m->first_length == 2 && memcmp(m->first_id, "17", 2) == 0 && m->last_length == 0);
    CHECK_EQUAL(r->h.ts_event, 4);
    CHECK_EQUAL(r->h.ts_recv, 5);
    CHECK_EQUAL(r->h.topic_seq, 1);
    follower_take(&f, r);
    in.snapshot = false;
    CHECK(!publish(&in).published); /* the same again */
    CHECK(next_record() == NULL);
    levels[0] = level_of(GW_BOOK_BID, 101, 5); /* the venue's depth is 1: 100 leaves the book */
    in.count = 1;
    gw_publisher_topic_begin(&publisher, topic, GW_BOOK, 0, 1);
    gw_condition_row_t *row = gw_conditions_row(&publisher.conditions, topic);
    result = publish(&in);
    CHECK(result.crossed && row->crossed_ns > 0); /* its instrument's health knows, whether a message follows or not */
    CHECK_EQUAL(result.changes, 2);
    follower_take(&f, next_record());
    CHECK_EQUAL(gw_book_levels(&f.book, GW_BOOK_BID), 1);
    levels[0].price = 1015;
    levels[0].price_decimals++; /* 1.015 */
    CHECK_EQUAL(publish(&in).changes, 2);
    r = next_record();
    CHECK_EQUAL(gw_book_message(r)->what, GW_BOOK_RECORD_RESET);
    CHECK_EQUAL(r->h.cells, GW_RECORD_CELLS);
    follower_take(&f, r);
    CHECK(follower_copy(&f, &copy));
    follower_compare(&f, &copy);
    for (uint32_t i = 0; i <= GW_BOOK_RECORD_ROWS_MAX; i++) levels[i] = level_of(GW_BOOK_ASK, 1000 + i, 1);
    in = input_of(topic, true, GW_BOOK_RECORD_ROWS_MAX - 2); /* and two that go */
    publish(&in);
    CHECK_EQUAL(gw_book_message(r = next_record())->count, GW_BOOK_RECORD_ROWS_MAX);
    follower_take(&f, r);
    in = input_of(topic, true, 0);
    publish(&in);
    follower_take(&f, next_record());
    in = input_of(topic, true, GW_BOOK_RECORD_ROWS_MAX + 1);
    publish(&in);
    CHECK_EQUAL(gw_book_message(r = next_record())->what, GW_BOOK_RECORD_RESET);
    follower_take(&f, r);
    CHECK(follower_copy(&f, &copy));
    follower_compare(&f, &copy);
    CHECK_EQUAL(f.copies, 2);
    follower_close(&f);
    end();
    /* Of a small ring a record may have an eighth. */
    begin(1 << 13, LEVELS);
    book_topic(0);
    in = input_of(0, true, 100);
    for (uint32_t i = 0; i < 100; i++) levels[i] = level_of(GW_BOOK_BID, 1000 + i, 1);
    publish(&in);
    CHECK_EQUAL(gw_book_message(next_record())->what, GW_BOOK_RECORD_RESET);
    end();
}

/* From a doubt to the next snapshot records bear it, and a topic stays suspect. */
static void a_doubt_lasts_until_a_snapshot(void) {
    follower_t f;
    begin(CAPACITY, LEVELS);
    const uint32_t topic = book_topic(0);
    const uint32_t health = (uint32_t)gw_publisher_topic_add(&publisher, GW_HEALTH, "B0.X", 4);
    follower_open(&f, &reader.segment, topic);
    CHECK(!gw_publisher_book_doubt(&publisher, topic, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt)); /* it has no book */
    levels[0] = level_of(GW_BOOK_BID, 100, 5);
    gw_book_input_t in = input_of(topic, true, 1);
    publish(&in);
    CHECK(gw_publisher_suspect(&publisher, topic, GW_BOOK, health, gw_text_of("why"), 1, 1));
    CHECK(gw_publisher_book_doubt(&publisher, topic, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt));
    CHECK(!gw_publisher_book_doubt(&publisher, topic, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt));
    levels[0].qty++;
    in.snapshot = false;
    publish(&in);
    in.snapshot = true;
    CHECK(publisher.suspects.count == 1);
    follower_take(&f, next_record());
    CHECK_EQUAL(next_record()->h.kind, GW_HEALTH);
    for (int i = 0; i < 2; i++) { /* the doubt itself, and the update */
        follower_take(&f, next_record());
        CHECK(f.doubted);
    }
    CHECK_EQUAL(f.gaps, 1);
    CHECK(publish(&in).published); /* nothing changed, but that it is sure again */
    CHECK(publisher.suspects.count == 0);
    follower_take(&f, next_record());
    CHECK(!f.doubted);
    CHECK_EQUAL(gw_book_seq(&f.book), 4);
    next_record(); /* health */
    in.snapshot = false;
    in.summed = true;
    in.sum = gw_book_sum(&publisher.books.books[0].book, &(gw_book_sum_t){0}, 0);
    CHECK(!publish(&in).published);
    in.sum++;
    gw_book_result_t result = publish(&in);
    CHECK(result.differs && result.published);
    follower_take(&f, next_record());
    CHECK(f.doubted);
    CHECK(!gw_publisher_book_doubt(&publisher, topic, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt));
    follower_close(&f);
    end();
}

static void check_ids(const char *first, const char *last) {
    gw_record_t *r = next_record();
    while (r && r->h.kind != GW_BOOK) r = next_record();
    CHECK(r != NULL);
    const gw_book_message_t *m = gw_book_message(r);
    CHECK(m->first_length == strlen(first) && memcmp(m->first_id, first, m->first_length) == 0);
    CHECK(m->last_length == strlen(last) && memcmp(m->last_id, last, m->last_length) == 0);
}

/* Up to which of the venue's numbers the book is, as far as that is known. */
static void a_doubt_says_where_the_book_is(void) {
    begin(CAPACITY, LEVELS);
    const uint32_t topic = book_topic(0);
    levels[0] = level_of(GW_BOOK_BID, 100, 5);
    gw_book_input_t in = input_of(topic, true, 1);
    in.last_id = gw_text_of("19");
    publish(&in);
    check_ids("17", "19");
    CHECK(gw_publisher_book_doubt(&publisher, topic, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt));
    check_ids("", "19");
    publish(&in); /* nothing but that it is sure again */
    check_ids("17", "19");
    in.snapshot = false;
    in.last_id = gw_text_of("20");
    CHECK(!publish(&in).published); /* nothing changes, but it is in the book */
    in.first_id = in.last_id = gw_text_of("");
    in.doubt = GW_BOOK_IN_DOUBT;
    publish(&in);
    check_ids("", "20");
    levels[0].qty++; /* a message without a number: nobody knows */
    publish(&in);
    check_ids("", "");
    end();
}

static void what_is_refused_changes_nothing(void) {
    gw_book_result_t result;
    begin(CAPACITY, 1000);
    const uint32_t topics = publisher.books.pool.sizes.books;
    CHECK_EQUAL(topics, 16);
    for (unsigned i = 0; i <= topics; i++) book_topic(i);
    levels[0] = level_of(GW_BOOK_BID, 100, 5);
    levels[1] = level_of(GW_BOOK_BID, 101, -5);
    gw_book_input_t in = input_of(0, true, 2);
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_QTY_NEGATIVE);
    CHECK_EQUAL(result.at, 1);
    CHECK(next_record() == NULL && publisher.books.places[0] == 0);
    in.count = 1;
    for (in.topic = 0; in.topic < topics; in.topic++) publish(&in);
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_PLACES_FULL);
    CHECK_EQUAL(result.at, UINT32_MAX);
    for (uint32_t i = 0; i < MODEL_MOST; i++) levels[i] = level_of(GW_BOOK_BID, 100 + i, 5);
    in = input_of(3, false, MODEL_MOST);
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_SIDE_FULL);
    in.count = 3500;
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_FINE);
    in.topic = 4;
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_POOL_FULL);
    /* An end gives place and levels back, and no copy is taken for another topic's. */
    gw_book_row_t row;
    gw_book_copy_t copy = {.rows = &row, .room = 1};
    CHECK_EQUAL(gw_reader_book(&reader.segment, 3, &copy), -ENOBUFS);
    gw_publisher_topic_retire(&publisher, 3, GW_BOOK);
    CHECK_EQUAL(gw_reader_book(&reader.segment, 3, &copy), -ENOENT);
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_FINE);
    in = input_of(topics, true, 1);
    publish(&in);
    CHECK_EQUAL(publisher.books.places[topics], 4);
    CHECK_EQUAL(gw_reader_book(&reader.segment, topics, &copy), 0);
    CHECK_EQUAL(copy.owner, gw_book_owner(topics, 0));
    CHECK_EQUAL(gw_reader_book(&reader.segment, 3, &copy), -ENOENT);
    for (int64_t size = 1; size > 0;) size = gw_reader_poll(&reader, words, sizeof words);
    CHECK_EQUAL(gw_publisher_topic_reuse(&publisher, GW_BOOK, "NEW.X", 5), 3);
    CHECK_EQUAL(gw_reader_book(&reader.segment, 3, &copy), -ENOENT);
    end();
    begin(CAPACITY, 0);
    book_topic(0);
    in = input_of(0, true, 1);
    CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_PLACES_FULL);
    CHECK(!gw_publisher_book_doubt(&publisher, 0, GW_CONDITION_GAP, gw_text_of("a hole"), 1, 1, &receipt));
    CHECK_EQUAL(gw_reader_book(&reader.segment, 0, &copy), -ENOENT);
    gw_publisher_topic_retire(&publisher, 0, GW_BOOK);
    end();
}

/* --- a writer that stops anywhere -------------------------------------------------------------- */

static uint64_t sum_of(const gw_book_copy_t *c) {
    uint64_t sum = c->count + c->scale;
    for (uint32_t i = 0; i < c->count; i++)
        sum = gw_map_hash(sum ^ (uint64_t)c->rows[i].key) ^ gw_map_hash((uint64_t)c->rows[i].qty + c->rows[i].side);
    return sum;
}

static uint32_t step_message(unsigned number) {
    static const int64_t mids[4] = {1000, 1040, 960, 1000};
    uint32_t n = 0;
    for (int64_t i = 0; i < 6; i++) {
        levels[n++] = level_of(GW_BOOK_BID, mids[number] - 1 - i, number % 2 && i % 3 ? 0 : 1 + i + number);
        levels[n++] = level_of(GW_BOOK_ASK, mids[number] + 1 + i, 7 + i * number);
    }
    return n;
}

/* The writer is stopped after each of its instructions, and a reader copies each time: it gets the book before the
 * message, the one behind it, or none; then the writer is killed where it stands. */
static void a_writer_may_stop_after_any_instruction(void) {
    static gw_book_row_t rows[1024];
    for (unsigned number = 0; number < 4; number++) {
        begin(CAPACITY, LEVELS);
        book_topic(0);
        levels[0] = level_of(GW_BOOK_BID, 1000, 1);
        levels[1] = level_of(GW_BOOK_ASK, 1001, 1);
        gw_book_input_t in = input_of(0, true, 2);
        publish(&in);
        in.count = step_message(number);
        in.snapshot = number == 3;
        gw_book_copy_t copy = {.rows = rows, .room = 1024};
        CHECK_EQUAL(gw_reader_book(&reader.segment, 0, &copy), 0);
        const uint64_t first = sum_of(&copy);
        pid_t child = fork();
        if (child == 0) {
            ptrace(PTRACE_TRACEME, 0, NULL, NULL);
            raise(SIGSTOP);
            gw_book_result_t result;
            gw_publisher_book(&publisher, &in, &receipt, &result);
            raise(SIGSTOP);
            _exit(0);
        }
        int status;
        CHECK_EQUAL(waitpid(child, &status, 0), child);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        uint64_t steps = 0, before = 0, none = 0, behind = 0, last = 0;
        gw_book_head_t *head = gw_book_pool_head(&publisher.books.pool, 0);
        for (uint64_t version = head->version;;) {
            CHECK_EQUAL(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
            CHECK_EQUAL(waitpid(child, &status, 0), child);
            CHECK(WIFSTOPPED(status));
            if (WSTOPSIG(status) == SIGSTOP) break;
            steps++;
            if (head->version == version && steps % 64) continue; /* nothing began or ended */
            version = head->version % 2 ? 0 : head->version; /* inside: each one */
            int got = gw_reader_book(&reader.segment, 0, &copy);
            CHECK(got == 0 || got == -EAGAIN);
            if (got == -EAGAIN) {
                none++;
            } else if (copy.seq == 1) {
                CHECK_EQUAL(sum_of(&copy), first);
                before++;
            } else {
                if (behind++ == 0) last = sum_of(&copy);
                CHECK_EQUAL(copy.seq, 2);
                CHECK_EQUAL(sum_of(&copy), last);
            }
            if (number == 2 && none == 100) break; /* killed in the middle */
        }
        CHECK_EQUAL(kill(child, SIGKILL), 0);
        CHECK_EQUAL(waitpid(child, &status, 0), child);
        const int got = gw_reader_book(&reader.segment, 0, &copy);
        CHECK_EQUAL(got, number == 2 ? -EAGAIN : 0);
        CHECK(before > 0 && none >= 100 && (number == 2 || behind > 0));
        printf("  %llu instructions: the book before %llu times, none %llu, the one behind %llu\n",
               (unsigned long long)steps, (unsigned long long)before, (unsigned long long)none, (unsigned long long)behind);
        end();
    }
}

/* --- threads --------------------------------------------------------------------------------- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MESSAGES 1500u
#else
#define MESSAGES 10000u
#endif
#define BOOKS 3u

static uint64_t running;

/* A feed of one book; the last one of trades. */
static void *feed(void *given) {
    const uint32_t number = (uint32_t)(uintptr_t)given;
    uint64_t state = number + 1;
    gw_book_level_t some[64];
    for (unsigned i = 0; i < MESSAGES; i++) {
        if (number == BOOKS) {
            gw_record_t r = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = BOOKS, .ts_event = 1}};
            gw_record_received(&r, 1, 1);
            gw_publisher_publish(&publisher, &r, 1, &receipt);
            continue;
        }
        uint32_t n = 1 + (uint32_t)((state = gw_map_hash(state)) % 64);
        for (uint32_t k = 0; k < n; k++) {
            state = gw_map_hash(state);
            some[k] = (gw_book_level_t){.side = state % 2, .price = 1000 + (int64_t)(state >> 8) % 500, .qty = (state >> 40) % 3};
        }
        gw_book_input_t in = {.topic = number, .levels = some, .count = n, .snapshot = i % 100 == 0, .ts_recv = 1,
                              .mono_recv = 1, .first_id = {"", 0}, .last_id = {"", 0}};
        gw_book_result_t result;
        CHECK_EQUAL(gw_publisher_book(&publisher, &in, &receipt, &result), GW_BOOK_FINE);
        if (i % 16 == 0) sched_yield();
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void feeds_and_readers_at_once(void) {
    static follower_t f[BOOKS];
    pthread_t threads[BOOKS + 1];
    begin(1 << 24, 100000);
    for (unsigned i = 0; i < BOOKS; i++) follower_open(&f[i], &reader.segment, book_topic(i));
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "T.X", 3), BOOKS);
    running = BOOKS + 1;
    for (uintptr_t i = 0; i <= BOOKS; i++) CHECK_EQUAL(pthread_create(&threads[i], NULL, feed, (void *)i), 0);
    uint64_t compared = 0, laps = 0;
    for (;;) {
        const bool over = GW_LOAD_ACQUIRE(&running) == 0;
        int64_t size = gw_reader_poll(&reader, words, sizeof words);
        laps += size == GW_POLL_LAPPED;
        for (int64_t at = 0; at < size;) {
            gw_record_t *r = (gw_record_t *)(void *)((uint8_t *)words + at);
            if (r->h.kind == GW_BOOK) follower_take(&f[r->h.topic], r);
            at += r->h.cells * GW_CELL;
        }
        for (unsigned i = 0; i < BOOKS; i++) {
            gw_book_copy_t copy;
            if (gw_book_seq(&f[i].book) == 0 || !follower_copy(&f[i], &copy)) continue;
            if (copy.seq != gw_book_seq(&f[i].book)) continue;
            follower_compare(&f[i], &copy);
            compared++;
        }
        if (over && size == 0) break;
    }
    for (unsigned i = 0; i <= BOOKS; i++) CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < BOOKS; i++) {
        gw_book_copy_t copy;
        CHECK(follower_copy(&f[i], &copy));
        if (laps == 0) follower_compare(&f[i], &copy);
        follower_close(&f[i]);
    }
    CHECK(compared > 0);
    printf("  %llu copies compared, %llu laps\n", (unsigned long long)compared, (unsigned long long)laps);
    end();
}

/* How long a snapshot of 40,000 levels keeps a feed of trades waiting: not for as long as it is applied. */
static uint64_t worst_ns;
static void *trades(void *given) {
    uint64_t worst = 0;
    (void)given;
    while (GW_LOAD_ACQUIRE(&running)) {
        gw_record_t r = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = 1, .ts_event = 1}};
        gw_record_received(&r, 1, 1);
        int64_t from = gw_monotonic_ns();
        gw_publisher_publish(&publisher, &r, 1, &receipt);
        uint64_t took = (uint64_t)(gw_monotonic_ns() - from);
        if (took > worst) worst = took;
    }
    worst_ns = worst;
    return NULL;
}

static void a_large_snapshot_is_not_waited_for(void) {
    enum { MANY = 40000 };
    static gw_book_level_t many[MANY];
    pthread_t thread;
    begin(CAPACITY, 200000);
    book_topic(0);
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "T.X", 3), 1);
    /* As while a book is written: who publishes a trade, or is told of a refusal, needs another lock. */
    pthread_mutex_lock(&publisher.books.lock);
    gw_record_t trade = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = 1, .ts_event = 1}};
    gw_publisher_publish(&publisher, &trade, 1, &receipt);
    CHECK_EQUAL(next_record()->h.kind, GW_TRADE);
    pthread_mutex_unlock(&publisher.books.lock);
    running = 1;
    CHECK_EQUAL(pthread_create(&thread, NULL, trades, NULL), 0);
    int64_t longest = 0;
    for (int round = 0; round < 20; round++) {
        for (int64_t i = 0; i < MANY; i++)
            many[i] = level_of(i % 2, i % 2 ? 100001 + i / 2 : 100000 - i / 2, 1 + (int64_t)draw(9));
        gw_book_input_t in = {.topic = 0, .snapshot = true, .levels = many, .count = MANY, .first_id = {"", 0}, .last_id = {"", 0}};
        int64_t from = gw_monotonic_ns();
        publish(&in);
        int64_t took = gw_monotonic_ns() - from;
        if (took > longest) longest = took;
    }
    GW_STORE_RELEASE(&running, 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    printf("  40,000 levels: %.1f ms at most; a trade beside them %.3f ms\n", (double)longest * 1e-6, (double)worst_ns * 1e-6);
    end();
}

int main(void) {
    RUN(a_follower_has_the_book);
    RUN(what_a_record_says);
    RUN(a_doubt_lasts_until_a_snapshot);
    RUN(a_doubt_says_where_the_book_is);
    RUN(what_is_refused_changes_nothing);
    RUN(a_writer_may_stop_after_any_instruction);
    RUN(feeds_and_readers_at_once);
    RUN(a_large_snapshot_is_not_waited_for);
    return 0;
}
