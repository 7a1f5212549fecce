/* What an order book costs: a message of one level at three depths of book, a frame of ten levels after three changes,
 * a checksum after one. Prices are drawn so that half of the changes are among the best 150 levels, as venues' are. */
#include "micro.h"

#include "gw_book_render.h"
#include "gw_book_sum.h"
#include "gw_clock.h"

#include <stdlib.h>
#include <string.h>

enum { BOOKS_MOST = 20, SAMPLES = 200000, LEVELS_MOST = 27000, ROWS = 64 };

static gw_book_pool_t pool;
static void *memory;
static gw_book_t books[BOOKS_MOST];
static gw_book_work_t work;
static uint64_t seq, state = 88172645463325252ull;
static uint32_t levels, books_count;

static uint64_t draw(uint64_t below) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Every second price of a side has a level at first. */
static gw_book_level_t level_at(unsigned side, int64_t rank, int64_t qty) {
    int64_t price = side == GW_BOOK_ASK ? 10000001 + rank : 10000000 - rank;
    return (gw_book_level_t){.side = (uint8_t)side, .price = price, .price_decimals = 2, .qty = qty, .qty_decimals = 5};
}

static void books_open(uint32_t count, uint32_t side_levels) {
    static gw_book_level_t all[2 * LEVELS_MOST];
    gw_book_sizes_t sizes = {.books = count, .chunks = count * (side_levels / 8 + 64), .side_chunks = 4096};
    size_t size = gw_book_pool_size(&sizes);
    memory = aligned_alloc(4096, size);
    if (memory == NULL) abort();
    memset(memory, 0, size);
    if (gw_book_pool_format(&pool, memory, size, &sizes) < 0 || gw_book_work_init(&work) < 0) abort();
    for (uint32_t i = 0; i < 2 * side_levels; i++) all[i] = level_at(i % 2, (int64_t)(i / 2) * 2, 1 + (int64_t)draw(1000));
    levels = side_levels;
    books_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (gw_book_open(&books[i], &pool, i, 0, true) < 0) abort();
        if (gw_book_apply(&books[i], &work, 1, all, 2 * side_levels) != GW_BOOK_FINE) abort();
    }
    seq = 1;
}

static void books_close(void) {
    for (uint32_t i = 0; i < books_count; i++) gw_book_close(&books[i]);
    gw_book_work_free(&work);
    free(memory);
}

/* A third each of insertions, changes and deletions once the book has settled. */
static gw_book_level_t change_draw(void) {
    uint64_t near = draw(2) ? 150 : draw(2) ? 1000 : levels;
    int64_t rank = (int64_t)draw(2 * (near < levels ? near : levels));
    return level_at((unsigned)draw(2), rank, draw(2) ? 0 : 1 + (int64_t)draw(1000));
}

static int order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Each message's time by itself, without that of a look at the clock. */
static void apply_report(uint32_t count, uint32_t side_levels, const char *name, const char *what) {
    static int64_t took[SAMPLES], clock[SAMPLES];
    char label[64];
    books_open(count, side_levels);
    for (size_t i = 0; i < SAMPLES;) {
        gw_book_t *b = &books[draw(count)];
        gw_book_level_t l = change_draw();
        int64_t start = gw_monotonic_ns();
        if (gw_book_apply(b, &work, ++seq, &l, 1) != GW_BOOK_FINE) abort();
        took[i] = gw_monotonic_ns() - start;
        start = gw_monotonic_ns();
        clock[i] = gw_monotonic_ns() - start;
        i += work.count > 0; /* one of nothing is none */
    }
    qsort(took, SAMPLES, sizeof took[0], order);
    qsort(clock, SAMPLES, sizeof clock[0], order);
    snprintf(label, sizeof label, "%s_p50", name);
    micro_figure(label, (double)(took[SAMPLES / 2] - clock[SAMPLES / 2]), "ns", what);
    snprintf(label, sizeof label, "%s_p99", name);
    micro_figure(label, (double)(took[SAMPLES / 100 * 99] - clock[SAMPLES / 2]), "ns", what);
    books_close();
}

static void apply_1200(void) { apply_report(1, 600, "book_apply_1200", "a message of one level, 1,200 levels"); }
static void apply_5000(void) { apply_report(1, 2500, "book_apply_5000", "the same, 5,000 levels"); }
static void apply_27000(void) { apply_report(1, 13500, "book_apply_27000", "the same, 27,000 levels"); }
static void apply_cold(void) { apply_report(20, 2500, "book_apply_20_books", "the same over 20 books of 5,000"); }

/* How a plane gets a book of 5,000 levels of which 1,000 changed: the copy, then the difference. */
static void follow_report(void) {
    static gw_book_row_t copied[2 * LEVELS_MOST];
    enum { ROUNDS = 200, CHANGES = 1000 };
    int64_t copy_best = INT64_MAX, follow_best = INT64_MAX;
    books_open(2, 2500);
    for (int round = 0; round < ROUNDS; round++) {
        gw_book_copy_t copy = {.rows = copied, .room = 2 * LEVELS_MOST};
        for (int i = 0; i < CHANGES; i++) {
            gw_book_level_t l = change_draw();
            if (gw_book_apply(&books[0], &work, ++seq, &l, 1) != GW_BOOK_FINE) abort();
        }
        int64_t start = gw_monotonic_ns();
        if (gw_book_copy(&pool, 0, &copy) < 0) abort();
        int64_t middle = gw_monotonic_ns();
        if (gw_book_follow(&books[1], &work, &copy) != GW_BOOK_FINE) abort();
        int64_t end = gw_monotonic_ns();
        if (middle - start < copy_best) copy_best = middle - start;
        if (end - middle < follow_best) follow_best = end - middle;
    }
    micro_figure("book_copy", (double)copy_best / 1e3, "us", "a copy of 5,000 levels out of a pool");
    micro_figure("book_follow", (double)follow_best / 1e3, "us", "its difference to a book 1,000 messages behind, applied");
    books_close();
}

/* --- a frame, a checksum --------------------------------------------------------------------- */

enum { CYCLE = 4096 };
static gw_book_window_t *window;
static gw_book_at_t before[2];
static gw_book_row_t rows[ROWS];
static gw_book_sum_t sum;

static void render_setup(void) {
    gw_book_frame_t frame = {.rows = rows, .room = ROWS, .bytes = SIZE_MAX};
    books_open(1, 2500);
    window = gw_book_window(&books[0], 10);
    gw_book_window_hold(&books[0], window);
    gw_book_render(&books[0], window, &work, &before[0], &frame);
    gw_book_level_t l[3] = {level_at(0, 0, 0), level_at(0, 4, 77), level_at(1, 3, 5)};
    if (gw_book_apply(&books[0], &work, ++seq, l, 3) != GW_BOOK_FINE || work.count != 3) abort();
}

/* The same frame again and again: what it costs once for all who share it. */
static void render_run(uint64_t ops) {
    gw_book_frame_t frame = {.rows = rows, .room = ROWS, .bytes = SIZE_MAX};
    for (uint64_t i = 0; i < ops; i++) {
        gw_book_at_t at = before[0];
        gw_book_render(&books[0], window, &work, &at, &frame);
        micro_keep(rows);
    }
    if (frame.type != GW_BOOK_UPDATE || frame.count[0] + frame.count[1] != 4) abort(); /* one comes in from below */
}

static void sum_setup(void) { books_open(1, 2500); }

/* Each time one of the ten is another. */
static void sum_run(uint64_t ops) {
    uint32_t value = 0;
    for (uint64_t i = 0; i < ops; i++) {
        gw_book_cursor_t c = gw_book_best(&books[0], i % 2);
        uint64_t *chunk = (uint64_t *)(uintptr_t)c.chunk;
        chunk[GW_BOOK_CHUNK + c.left - 1 - i % 10] = 1 + i % 999983; /* the quantity, in place */
        value ^= gw_book_sum(&books[0], &sum, 10);
    }
    micro_keep(&value);
}

const micro_row_t micro_book_rows[] = {
    {.name = "book_apply_1200", .what = "a message of one level", .report = apply_1200},
    {.name = "book_apply_5000", .what = "a message of one level", .report = apply_5000},
    {.name = "book_apply_27000", .what = "a message of one level", .report = apply_27000},
    {.name = "book_apply_20_books", .what = "a message of one level", .report = apply_cold},
    {.name = "book_follow", .what = "a copy and its difference", .report = follow_report},
    {.name = "book_render", .what = "depth 10 after three changes", .ops = CYCLE, .setup = render_setup, .run = render_run},
    {.name = "book_checksum", .what = "checksum of ten levels a side after one change", .ops = CYCLE, .setup = sum_setup,
     .run = sum_run},
    {.name = NULL},
};
