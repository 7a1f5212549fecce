/* Copies of a book that another thread writes: each is one message's state, or none; and damaged memory is bounded. */
#include "book_model.h"
#include "gw_book_internal.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { ROWS = 4096 };
static gw_book_row_t rows[ROWS];

static const gw_book_sizes_t sizes = {.books = 2, .chunks = 512, .side_chunks = 64, .wides = 64, .orders = 1};

static void pools_are_checked_before_they_are_used(void) {
    gw_book_sizes_t bad[] = {{0, 1, 1, 0, 0},
                             {1, 0, 1, 0, 0},
                             {1, 1, 0, 0, 0},
                             {1, 1, 1, 0, 2},
                             {GW_BOOK_BOOKS_MAX + 1, 1, 1, 0, 0},
                             {1, GW_BOOK_CHUNKS_MAX + 1, 1, 0, 0},
                             {1, 1, GW_BOOK_SIDE_CHUNKS_MAX + 1, 0, 0},
                             {1, 1, 1, GW_BOOK_WIDES_MAX + 1, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK_EQUAL(gw_book_pool_size(&bad[i]), 0);
    book_memory_t m;
    gw_book_pool_t view;
    book_memory_open(&m, sizes);
    CHECK_EQUAL(gw_book_pool_format(&view, m.mem, m.size - 1, &sizes), -EINVAL);
    CHECK_EQUAL(gw_book_pool_format(&view, (char *)m.mem + 8, m.size, &sizes), -EINVAL);
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, m.size), 0);
    CHECK(view.heads == m.pool.heads && view.chunks == m.pool.chunks && view.sizes.orders == 1);
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, m.size - 1), -EINVAL);
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, 100), -EINVAL);
    ((uint32_t *)m.mem)[3] = 1u << 30; /* chunks */
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, m.size), -EINVAL);
    ((uint64_t *)m.mem)[0]++;
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, m.size), -EINVAL);
    book_memory_close(&m);
}

static void a_copy_is_what_the_book_is(void) {
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book, follower;
    model_t model;
    gw_book_copy_t copy = {.rows = rows, .room = ROWS};
    static gw_book_level_t levels[WALK_MOST];
    walk_t walk = {1000000, 300, false};
    book_memory_open(&m, sizes);
    model_open(&model);
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), -ENOENT);
    CHECK_EQUAL(gw_book_copy(&m.pool, 2, &copy), -ENOENT);
    CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
    CHECK_EQUAL(gw_book_open(&follower, &m.pool, 1, 0, true), 0);
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), 0);
    CHECK_EQUAL(gw_book_follow(&follower, &work, &copy), GW_BOOK_FINE); /* nothing yet */
    CHECK_EQUAL(gw_book_advance(&book, 1), GW_BOOK_FINE);
    CHECK_EQUAL(gw_book_follow(&follower, &work, &(gw_book_copy_t){.seq = 1}), GW_BOOK_FINE); /* nor is there room for any */
    CHECK_EQUAL(gw_book_seq(&follower), 1);
    for (uint64_t i = 1; i <= 3000; i++) {
        uint32_t n = walk_message(&walk, &model, levels);
        model_apply(&model, levels, n, 0);
        CHECK_EQUAL(gw_book_apply(&book, &work, gw_book_seq(&book) + 1, levels, n), GW_BOOK_FINE);
        if (draw(10) > 0) continue; /* lapped: then the difference */
        CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), 0);
        CHECK_EQUAL(copy.count, model.count[0] + model.count[1]);
        CHECK_EQUAL(copy.seq, gw_book_seq(&book));
        uint64_t before = gw_book_seq(&follower);
        CHECK_EQUAL(gw_book_follow(&follower, &work, &copy), GW_BOOK_FINE);
        CHECK(work.count <= copy.count || before > 0);
        CHECK_EQUAL(gw_book_seq(&follower), copy.seq);
        model_check(&model, &follower, UINT32_MAX);
    }
    copy.room = 1;
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), -ENOBUFS);
    CHECK_EQUAL(copy.count, model.count[0] + model.count[1]);
    gw_book_close(&book);
    gw_book_close(&follower);
    copy.room = ROWS;
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), -ENOENT);
    gw_book_work_free(&work);
    model_close(&model);
    book_memory_close(&m);
}

/* Any word of a book may be anything: no copy reads or writes beyond what it may, and none is wrong unseen where counts
 * or numbers are. */
static void damaged_memory_is_bounded(void) {
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book;
    gw_book_level_t l[200];
    book_memory_open(&m, sizes);
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
    for (int i = 0; i < 200; i++) {
        l[i] = (gw_book_level_t){.side = (uint8_t)(i % 2), .price = 1000 + i, .qty = 1 + i};
        if (i % 7 == 0) l[i].qty_zeros = GW_BOOK_LEVEL_WIDE, l[i].qty_high = 1;
    }
    CHECK_EQUAL(gw_book_apply(&book, &work, 1, l, 200), GW_BOOK_FINE);
    gw_book_row_t *room = malloc(200 * sizeof *room); /* exactly: the address checker sees one more */
    gw_book_copy_t copy = {.rows = room, .room = 200};
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), 0);
    size_t words = m.pool.head_words, refused = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t *at = draw(3) ? m.pool.heads + draw(draw(2) ? 24 : words)
                               : m.pool.chunks + draw(m.pool.chunk_words * 4);
        uint64_t was = *at, kinds[4] = {draw(UINT64_MAX), was + 1 + draw(70), was ^ 1ull << draw(64), draw(600) << 32 | draw(600)};
        *at = kinds[draw(4)];
        int done = gw_book_copy(&m.pool, 0, &copy);
        CHECK(done == 0 || done == -EAGAIN || done == -ENOENT || done == -ENOBUFS);
        if (done == 0) CHECK(copy.count <= 200);
        refused += done != 0;
        *at = was;
    }
    CHECK(refused > 2000);
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), 0);
    book.head->version++; /* a writer that died in a message */
    CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), -EAGAIN);
    CHECK_EQUAL(copy.count, 0);
    book.head->version++;
    free(room);
    gw_book_close(&book);
    gw_book_work_free(&work);
    book_memory_close(&m);
}

static void follows(const book_memory_t *m, gw_book_t *follower, gw_book_work_t *work, bool anew) {
    enum { MANY = 100000 };
    gw_book_copy_t of[2];
    for (uint32_t i = 0; i < 2; i++) {
        of[i] = (gw_book_copy_t){.rows = malloc(MANY * sizeof(gw_book_row_t)), .room = MANY};
        CHECK(of[i].rows != NULL);
        if (i) CHECK_EQUAL(gw_book_follow(follower, work, &of[0]), GW_BOOK_FINE);
        CHECK_EQUAL(gw_book_copy(&m->pool, i, &of[i]), 0);
    }
    CHECK(of[0].count > 2 * 30000 && of[0].count == of[1].count && of[0].seq == of[1].seq);
    for (uint32_t i = 0; i < of[0].count; i++)
        CHECK(of[0].rows[i].key == of[1].rows[i].key && of[0].rows[i].qty == of[1].rows[i].qty);
    CHECK_EQUAL(work->reset, anew);
    free(of[0].rows);
    free(of[1].rows);
}

/* What a writer's book came to message by message is more than a message might be sure of: whoever copies it has it all the same,
 * whether it had nothing or another state. */
static void whatever_a_book_comes_to_can_be_followed(void) {
    enum { SIDE = 40000, PIECE = 1000 };
    static const gw_book_sizes_t large = {.books = 2, .chunks = 8192, .side_chunks = 2048, .wides = 1};
    static gw_book_level_t l[PIECE];
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book, follower;
    book_memory_open(&m, large);
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
    CHECK_EQUAL(gw_book_open(&follower, &m.pool, 1, 0, true), 0);
    for (int turn = 0; turn < 2; turn++) { /* then all others, between those that go */
        for (int from = 0; from < 2 * SIDE; from += PIECE / (1 + turn)) {
            int n = 0;
            for (int i = from; i < from + PIECE / (1 + turn); i++)
                for (int k = turn; k >= 0; k--)
                    l[n++] = (gw_book_level_t){.side = (uint8_t)(i % 2), .qty = k ? 0 : 7,
                                               .price = (i % 2 ? 4000000 : 1) + i / 2 * 4 + turn - k};
            CHECK_EQUAL(gw_book_apply(&book, &work, gw_book_seq(&book) + 1, l, (uint32_t)n), GW_BOOK_FINE);
        }
        follows(&m, &follower, &work, turn);
    }
    gw_book_close(&book);
    gw_book_close(&follower);
    gw_book_work_free(&work);
    book_memory_close(&m);
}

/* Who must not stay for long gives up behind so many levels, with the try in hand at its end. */
static void tries_end_behind_so_many_levels(void) {
    enum { N = 150 };
    static const struct { uint64_t most, took; } bounds[] = {{0, GW_BOOK_TRIES * N}, {1, N}, {N, N}, {N + 1, 2 * N}};
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book;
    gw_book_level_t l[N];
    book_memory_open(&m, sizes);
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
    for (int i = 0; i < N; i++) l[i] = (gw_book_level_t){.side = (uint8_t)(i % 2), .price = 1000 + i, .qty = 1 + i};
    CHECK_EQUAL(gw_book_apply(&book, &work, 1, l, N), GW_BOOK_FINE);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        gw_book_copy_t copy = {.rows = rows, .room = ROWS, .most = bounds[i].most};
        CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), 0);
        CHECK_EQUAL(copy.took, N);
        book.head->levels[0]++; /* so that no try comes out even */
        CHECK_EQUAL(gw_book_copy(&m.pool, 0, &copy), -EAGAIN);
        CHECK_EQUAL(copy.took, bounds[i].took);
        book.head->levels[0]--;
    }
    gw_book_close(&book);
    gw_book_work_free(&work);
    book_memory_close(&m);
}

/* --- threads --------------------------------------------------------------------------------- */

/* Each message writes seq into all that it touches, so that a copy of two states shows: the sum of all quantities is
 * 1,000 after each. */
enum { LEVELS = 100, SUM = 1000 };

typedef struct {
    gw_book_t book;
    gw_book_work_t work;
    uint64_t done, stop;
} writer_t;

static void *write_messages(void *given) {
    writer_t *w = given;
    uint64_t state = 5;
    int64_t held[LEVELS] = {SUM};
    struct timespec pause = {0, 20000};
    for (uint64_t seq = 2; !GW_LOAD_RELAXED(&w->stop); seq++) {
        gw_book_level_t l[LEVELS];
        uint32_t from, to, n = 0;
        do { /* moves some from one price to another */
            state = gw_map_hash(state + seq);
            from = (uint32_t)(state % LEVELS), to = (uint32_t)(state / LEVELS % LEVELS);
        } while (held[from] == 0 || from == to);
        int64_t moved = 1 + (int64_t)(state >> 32) % held[from];
        held[from] -= moved;
        held[to] += moved;
        l[n++] = (gw_book_level_t){.side = (uint8_t)(from % 2), .price = 1 + from, .qty = held[from]};
        l[n++] = (gw_book_level_t){.side = (uint8_t)(to % 2), .price = 1 + to, .qty = held[to]};
        CHECK_EQUAL(gw_book_apply(&w->book, &w->work, seq, l, n), GW_BOOK_FINE);
        GW_STORE_RELAXED(&w->done, seq);
        if (seq % 8 == 0) nanosleep(&pause, NULL); /* so that copies come through on one CPU as well */
    }
    return NULL;
}

static void a_copy_is_never_of_two_messages(void) {
    book_memory_t m;
    static writer_t w;
    gw_book_level_t all = {.side = 0, .price = 1, .qty = SUM};
    gw_book_pool_t view;
    gw_book_copy_t copy = {.rows = rows, .room = ROWS};
    pthread_t thread;
    book_memory_open(&m, (gw_book_sizes_t){.books = 1, .chunks = 64, .side_chunks = 32});
    CHECK_EQUAL(gw_book_work_init(&w.work), 0);
    CHECK_EQUAL(gw_book_open(&w.book, &m.pool, 0, 0, false), 0);
    CHECK_EQUAL(gw_book_apply(&w.book, &w.work, 1, &all, 1), GW_BOOK_FINE);
    CHECK_EQUAL(gw_book_pool_attach(&view, m.mem, m.size), 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, write_messages, &w), 0);
    uint64_t copies = 0, torn = 0, last = 0, seqs = 0;
    while (copies < 20000 || seqs < 500) {
        int done = gw_book_copy(&view, 0, &copy);
        torn += done == -EAGAIN;
        CHECK(done == 0 || done == -EAGAIN);
        if (done != 0) continue;
        int64_t sum = 0;
        for (uint32_t i = 0; i < copy.count; i++) {
            sum += copy.rows[i].qty;
            CHECK(i == 0 || copy.rows[i].side > copy.rows[i - 1].side || copy.rows[i].key > copy.rows[i - 1].key);
        }
        CHECK_EQUAL(sum, SUM);
        CHECK(copy.seq >= last);
        seqs += copy.seq > last;
        last = copy.seq;
        copies++;
    }
    GW_STORE_RELAXED(&w.stop, 1);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    printf("  %llu copies of %llu states, %llu given up, %llu messages\n", (unsigned long long)copies,
           (unsigned long long)seqs, (unsigned long long)torn, (unsigned long long)w.done);
    gw_book_close(&w.book);
    gw_book_work_free(&w.work);
    book_memory_close(&m);
}

int main(void) {
    RUN(pools_are_checked_before_they_are_used);
    RUN(a_copy_is_what_the_book_is);
    RUN(damaged_memory_is_bounded);
    RUN(whatever_a_book_comes_to_can_be_followed);
    RUN(tries_end_behind_so_many_levels);
    RUN(a_copy_is_never_of_two_messages);
    return 0;
}
