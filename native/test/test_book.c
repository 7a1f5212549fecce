/* A book against a plain sorted array, a message at a time: what it holds, what it says that changed, what it refuses. */
#include "book_model.h"
#include "gw_book_internal.h"

static const gw_book_sizes_t usual = {.books = 2, .chunks = 4096, .side_chunks = 1024, .wides = 16};

typedef struct {
    book_memory_t memory;
    gw_book_work_t work;
    gw_book_t book;
    uint64_t seq;
} rig_t;

static void rig_open(rig_t *r, gw_book_sizes_t sizes, uint32_t depth) {
    book_memory_open(&r->memory, sizes);
    CHECK_EQUAL(gw_book_work_init(&r->work), 0);
    CHECK_EQUAL(gw_book_open(&r->book, &r->memory.pool, 0, depth, true), 0);
    r->seq = 0;
}

static void rig_close(rig_t *r) {
    gw_book_close(&r->book);
    CHECK_EQUAL(r->memory.pool.chunks_used, 0);
    CHECK_EQUAL(r->memory.pool.wides_used, 0);
    gw_book_work_free(&r->work);
    book_memory_close(&r->memory);
}

static gw_book_refusal_t apply(rig_t *r, const gw_book_level_t *levels, uint32_t count) {
    return gw_book_apply(&r->book, &r->work, ++r->seq, levels, count);
}

static gw_book_level_t plain(unsigned side, int64_t price, unsigned decimals, int64_t qty) {
    return (gw_book_level_t){.side = (uint8_t)side, .price = price, .price_decimals = (uint8_t)decimals, .qty = qty};
}

/* The directory and the counts say what the chunks hold; no two neighbours are nearly empty for long. */
static void structure_check(const gw_book_t *b) {
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        uint64_t levels = 0;
        int64_t last = INT64_MIN;
        for (uint32_t e = 0; e < b->head->chunks[side]; e++) {
            const gw_book_entry_t *entry = &b->directory[side][e];
            const int64_t *keys = (const int64_t *)gw_book_pool_chunk(b->pool, gw_book_entry_chunk(entry));
            uint32_t n = gw_book_entry_levels(entry);
            CHECK(n > 0 && n <= GW_BOOK_CHUNK);
            CHECK_EQUAL(entry->smallest, keys[0]);
            for (uint32_t i = 0; i < n; i++) {
                CHECK(keys[i] > last);
                last = keys[i];
            }
            levels += n;
        }
        CHECK_EQUAL(levels, b->head->levels[side]);
        CHECK(b->head->chunks[side] <= levels / 8 + 2);
    }
}

/* The log has at most one change of a price at a seq. */
static void log_check(const gw_book_t *b, uint64_t seq) {
    const gw_book_log_t *log = &b->log;
    uint64_t from = gw_book_log_from(log, seq - 1);
    for (uint64_t i = from; i < log->head; i++)
        for (uint64_t k = from; k < i; k++)
            CHECK(gw_book_log_at(log, i)->key != gw_book_log_at(log, k)->key ||
                  gw_book_change_side(gw_book_log_at(log, i)) != gw_book_change_side(gw_book_log_at(log, k)));
}

static uint64_t walked(uint64_t seed, uint64_t steps, int ticks, bool big, uint32_t depth) {
    rig_t r;
    gw_book_t copy; /* is told only what the first one says that changed, and knows no depth */
    model_t model;
    gw_book_work_t work;
    static gw_book_level_t levels[WALK_MOST], told[2 * WALK_MOST];
    walk_t walk = {1000000, ticks, big};
    random_state = seed;
    rig_open(&r, usual, depth);
    model_open(&model);
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_open(&copy, &r.memory.pool, 1, 0, true), 0);
    uint64_t changed = 0;
    for (uint64_t i = 0; i < steps; i++) {
        bool state = draw(200) == 0;
        uint32_t n = state ? walk_state(&walk, levels) : walk_message(&walk, &model, levels);
        uint64_t before = gw_book_seq(&r.book);
        if (state) model.count[0] = model.count[1] = 0;
        model_apply(&model, levels, n, state ? 0 : depth);
        if (state) model_apply(&model, NULL, 0, depth);
        gw_book_refusal_t refusal = state ? gw_book_replace(&r.book, &r.work, before + 1, levels, n)
                                          : gw_book_apply(&r.book, &r.work, before + 1, levels, n);
        CHECK_EQUAL(refusal, GW_BOOK_FINE);
        CHECK_EQUAL(gw_book_seq(&r.book), before + (r.work.count > 0 || r.work.reset));
        uint32_t m = rows_to_levels(&r.work, told);
        CHECK_EQUAL(gw_book_apply(&copy, &work, before + 1, told, m), GW_BOOK_FINE);
        CHECK_EQUAL(work.count, m);
        changed += m;
        model_check(&model, &r.book, UINT32_MAX);
        model_check(&model, &copy, UINT32_MAX);
        if (i % 16 == 0) {
            structure_check(&r.book);
            if (m > 0 && m < 100) log_check(&r.book, before + 1);
        }
    }
    gw_book_close(&copy);
    gw_book_work_free(&work);
    model_close(&model);
    rig_close(&r);
    return changed;
}

static void a_book_is_what_a_sorted_array_is(void) {
    uint64_t changed = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        changed += walked(seed, 1500, 20, false, 0);
        changed += walked(seed, 1500, 200, false, 30);
        changed += walked(seed, 300, 3000, true, 0);
        changed += walked(seed, 300, 3000, true, 500);
    }
    CHECK(changed > 50000);
}

static void what_is_not_there_and_what_is_the_same_changes_nothing(void) {
    rig_t r;
    rig_open(&r, usual, 0);
    gw_book_level_t l[2] = {plain(GW_BOOK_BID, 100, 2, 5), plain(GW_BOOK_ASK, 101, 2, 5)};
    CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 2);
    uint64_t logged = r.book.log.head;
    CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 0);
    gw_book_level_t gone[2] = {plain(GW_BOOK_BID, 99, 2, 0), plain(GW_BOOK_BID, 1001, 3, 0)};
    CHECK_EQUAL(apply(&r, gone, 2), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 0);
    CHECK_EQUAL(gw_book_seq(&r.book), 1);
    CHECK_EQUAL(r.book.log.head, logged);
    CHECK_EQUAL(gw_book_scale(&r.book), 2);
    gw_book_level_t finer = plain(GW_BOOK_BID, 1000, 3, 0); /* 1.000 is 1.00 */
    CHECK_EQUAL(apply(&r, &finer, 1), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 1);
    CHECK_EQUAL(gw_book_advance(&r.book, 9), GW_BOOK_FINE);
    CHECK_EQUAL(gw_book_seq(&r.book), 9);
    CHECK_EQUAL(gw_book_advance(&r.book, 9), GW_BOOK_SEQ_OLD);
    rig_close(&r);
}

/* As venues send them: the best first, which falls for bids; one price more and one less than before. */
static void a_state_may_come_in_any_order(void) {
    rig_t r;
    model_t model;
    gw_book_level_t l[20];
    rig_open(&r, usual, 8);
    model_open(&model);
    for (int round = 0; round < 3; round++) {
        model.count[0] = model.count[1] = 0;
        for (int i = 0; i < 20; i++)
            l[i] = i < 10 ? plain(GW_BOOK_BID, 100 + round - i, 2, 1 + i) : plain(GW_BOOK_ASK, 200 - round + i, 2, 1);
        model_apply(&model, l, 20, 8);
        CHECK_EQUAL(gw_book_replace(&r.book, &r.work, ++r.seq, l, 20), GW_BOOK_FINE);
        model_check(&model, &r.book, UINT32_MAX);
        CHECK_EQUAL(r.work.count, round == 0 ? 16 : 2 + 2 + 7);
    }
    model_close(&model);
    rig_close(&r);
}

static void of_one_price_in_a_message_the_last_counts(void) {
    rig_t r;
    rig_open(&r, usual, 0);
    gw_book_level_t first = plain(GW_BOOK_BID, 100, 2, 5);
    CHECK_EQUAL(apply(&r, &first, 1), GW_BOOK_FINE);
    gw_book_level_t l[6] = {plain(GW_BOOK_BID, 100, 2, 0), plain(GW_BOOK_BID, 90, 2, 1), plain(GW_BOOK_BID, 100, 2, 7),
                            plain(GW_BOOK_BID, 90, 2, 0),  plain(GW_BOOK_ASK, 9, 1, 1),  plain(GW_BOOK_ASK, 90, 2, 4)};
    CHECK_EQUAL(apply(&r, l, 6), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 2);
    CHECK(r.work.rows[0].key == 100 && r.work.rows[0].qty == 7 && r.work.rows[0].kind == GW_BOOK_UPD);
    CHECK(r.work.rows[1].key == -90 && r.work.rows[1].qty == 4 && r.work.rows[1].kind == GW_BOOK_INS);
    CHECK_EQUAL(r.book.log.head, 2);
    rig_close(&r);
}

/* Of three at most: one pushed out, one changed and pushed out, one that comes and never was. */
static void evictions_are_told_as_deletions(void) {
    rig_t r;
    rig_open(&r, usual, 3);
    gw_book_level_t l[3] = {plain(GW_BOOK_BID, 100, 2, 1), plain(GW_BOOK_BID, 99, 2, 1), plain(GW_BOOK_BID, 98, 2, 1)};
    CHECK_EQUAL(apply(&r, l, 3), GW_BOOK_FINE);
    gw_book_level_t more[4] = {plain(GW_BOOK_BID, 102, 2, 1), plain(GW_BOOK_BID, 101, 2, 1), plain(GW_BOOK_BID, 98, 2, 8),
                               plain(GW_BOOK_BID, 97, 2, 1)};
    CHECK_EQUAL(apply(&r, more, 4), GW_BOOK_FINE);
    CHECK_EQUAL(r.work.count, 4);
    CHECK(r.work.rows[0].kind == GW_BOOK_INS && r.work.rows[1].kind == GW_BOOK_INS);
    CHECK(r.work.rows[2].key == 98 && r.work.rows[2].kind == GW_BOOK_DEL && r.work.rows[2].qty == 0);
    CHECK(r.work.rows[3].key == 99 && r.work.rows[3].kind == GW_BOOK_DEL);
    CHECK_EQUAL(gw_book_price_decimals(r.work.rows[3].digits), 2);
    CHECK_EQUAL(gw_book_levels(&r.book, GW_BOOK_BID), 3);
    rig_close(&r);
}

static void a_finer_price_rescales_the_book(void) {
    rig_t r;
    rig_open(&r, usual, 0);
    gw_book_level_t l[2] = {plain(GW_BOOK_BID, 100, 2, 1), plain(GW_BOOK_ASK, 101, 2, 1)};
    CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
    CHECK(!r.work.reset); /* the first scale is no other */
    gw_book_level_t finer = plain(GW_BOOK_BID, 10001, 4, 1);
    CHECK_EQUAL(apply(&r, &finer, 1), GW_BOOK_FINE);
    CHECK(r.work.reset);
    CHECK_EQUAL(gw_book_scale(&r.book), 4);
    CHECK_EQUAL(r.book.log.head, 0);
    CHECK_EQUAL(r.book.log.floor, 2);
    gw_book_cursor_t c = gw_book_best(&r.book, GW_BOOK_BID);
    CHECK_EQUAL((int64_t)c.chunk[1], 10001);
    CHECK_EQUAL((int64_t)c.chunk[0], 10000);
    structure_check(&r.book);
    gw_book_level_t wide[2] = {plain(GW_BOOK_BID, 5, 20, 1), plain(GW_BOOK_BID, GW_BOOK_KEY_MAX, 0, 1)};
    CHECK_EQUAL(apply(&r, wide, 1), GW_BOOK_PRICE_WIDE); /* at which the book's own prices are too long */
    CHECK_EQUAL(apply(&r, wide + 1, 1), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(gw_book_scale(&r.book), 4);
    CHECK_EQUAL(gw_book_seq(&r.book), 2);
    rig_close(&r);
}

/* Whichever end of a side it is that becomes too long. */
static void a_scale_at_which_the_book_is_too_wide_is_refused(void) {
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        rig_t r;
        rig_open(&r, usual, 0);
        gw_book_level_t l[3] = {plain(side, 1, 0, 1), plain(side, 100000, 0, 1), plain(side, 3, 13, 1)};
        CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
        CHECK_EQUAL(apply(&r, l + 2, 1), GW_BOOK_PRICE_WIDE);
        l[1].qty = 0;
        CHECK_EQUAL(apply(&r, l + 1, 1), GW_BOOK_FINE);
        CHECK_EQUAL(apply(&r, l + 2, 1), GW_BOOK_FINE);
        CHECK(r.work.reset && gw_book_scale(&r.book) == 13);
        rig_close(&r);
    }
}

/* Each refusal: named, at its level, and nothing has changed. */
static void a_message_is_refused_whole(void) {
    rig_t r;
    rig_open(&r, usual, 0);
    gw_book_level_t l[3] = {plain(GW_BOOK_BID, 100, 2, 5), plain(GW_BOOK_ASK, 101, 2, 5)};
    CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
    uint64_t version = r.book.head->version;
    struct {
        gw_book_level_t level;
        gw_book_refusal_t refusal;
    } cases[] = {
        {plain(2, 1, 0, 1), GW_BOOK_NO_SIDE},
        {plain(0, 1, 64, 1), GW_BOOK_PRICE_DECIMALS},
        {plain(0, GW_BOOK_KEY_MAX + 1, 0, 1), GW_BOOK_PRICE_WIDE},
        {plain(0, INT64_MIN, 0, 1), GW_BOOK_PRICE_WIDE},
        {plain(0, 1, 0, -1), GW_BOOK_QTY_NEGATIVE},
        {{.qty_high = -1, .qty_zeros = GW_BOOK_LEVEL_WIDE}, GW_BOOK_QTY_NEGATIVE},
        {{.qty = 1, .qty_decimals = 128}, GW_BOOK_QTY_WIDE},
        {{.qty = 1, .qty_zeros = GW_BOOK_LEVEL_WIDE}, GW_BOOK_QTY_WIDE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_book_level_t message[3] = {plain(GW_BOOK_BID, 100, 2, 9), cases[i].level, plain(GW_BOOK_BID, 1, 2, 9)};
        CHECK_EQUAL(gw_book_apply(&r.book, &r.work, 2, message, 3), cases[i].refusal);
        CHECK_EQUAL(r.work.at, 1);
        CHECK_EQUAL(r.work.count, 0);
        CHECK(strlen(gw_book_refusal_text(cases[i].refusal)) > 10);
    }
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, 1, l, 1), GW_BOOK_SEQ_OLD);
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, GW_BOOK_SEQ_MAX + 1, l, 1), GW_BOOK_SEQ_OLD);
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, 2, l, GW_BOOK_MESSAGE_MAX + 1), GW_BOOK_LEVELS_MANY);
    CHECK_EQUAL(r.book.head->version, version);
    CHECK_EQUAL(gw_book_seq(&r.book), 1);
    rig_close(&r);
}

/* A pool of few chunks: it fills, refuses, and what is given back can be taken again. */
static void a_full_pool_refuses_and_recovers(void) {
    rig_t r;
    rig_open(&r, (gw_book_sizes_t){.books = 1, .chunks = 8, .side_chunks = 6}, 0);
    static gw_book_level_t l[64];
    int refused = 0;
    for (int64_t i = 0; i < 40; i++) {
        for (int64_t k = 0; k < 16; k++) l[k] = plain((unsigned)i % 2, 1000 + 16 * i + k, 0, 1);
        gw_book_refusal_t refusal = gw_book_apply(&r.book, &r.work, r.seq + 1, l, 16);
        if (refusal == GW_BOOK_FINE) r.seq++;
        else CHECK(refusal == GW_BOOK_POOL_FULL || refusal == GW_BOOK_SIDE_FULL);
        refused += refusal != GW_BOOK_FINE;
        structure_check(&r.book);
    }
    CHECK(refused > 0 && gw_book_levels(&r.book, 0) + gw_book_levels(&r.book, 1) >= 128);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, r.seq + 1, l, 16), GW_BOOK_POOL_FULL); /* none of these is there */
    for (int64_t k = 0; k < 16; k++) l[k] = plain(GW_BOOK_BID, 1000 + k, 0, 2);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, r.seq + 1, l, 16), GW_BOOK_FINE);
    CHECK(gw_book_levels(&r.book, 0) == 16 && gw_book_levels(&r.book, 1) == 0);
    CHECK_EQUAL(r.memory.pool.chunks_used, 1);
    for (int64_t k = 0; k < 16; k++) l[k] = plain(GW_BOOK_ASK, 2000 + k, 0, 2);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, r.seq + 2, l, 16), GW_BOOK_FINE);
    rig_close(&r);
}

static void wide_quantities_lie_in_a_table_of_their_own(void) {
    rig_t r;
    rig_open(&r, (gw_book_sizes_t){.books = 1, .chunks = 64, .side_chunks = 16, .wides = 2}, 0);
    gw_book_level_t l[3];
    for (int i = 0; i < 3; i++) {
        l[i] = plain(GW_BOOK_BID, 100 + i, 2, -7 - i);
        l[i].qty_high = 5 + i;
        l[i].qty_zeros = GW_BOOK_LEVEL_WIDE | 3;
    }
    CHECK_EQUAL(apply(&r, l, 3), GW_BOOK_WIDES_FULL);
    CHECK_EQUAL(apply(&r, l, 2), GW_BOOK_FINE);
    gw_book_row_t row;
    gw_book_cursor_t c = gw_book_best(&r.book, GW_BOOK_BID);
    gw_book_row(&r.book, c.chunk, 1, GW_BOOK_BID, &row);
    CHECK(row.qty == -8 && row.qty_high == 6 && (row.digits & GW_BOOK_WIDE));
    CHECK_EQUAL(gw_book_qty_zeros(row.digits), 3);
    CHECK_EQUAL(apply(&r, l, 1), GW_BOOK_WIDES_FULL); /* what this one would give back is not counted */
    l[0] = plain(GW_BOOK_BID, 100, 2, 4);
    CHECK_EQUAL(apply(&r, l, 1), GW_BOOK_FINE);
    CHECK_EQUAL(r.memory.pool.wides_used, 1);
    l[1] = plain(GW_BOOK_BID, 101, 2, 0);
    CHECK_EQUAL(apply(&r, l + 1, 1), GW_BOOK_FINE);
    CHECK_EQUAL(r.memory.pool.wides_used, 0);
    CHECK_EQUAL(apply(&r, l + 2, 1), GW_BOOK_FINE);
    rig_close(&r);
}

static void orders_are_kept_where_the_pool_has_them(void) {
    for (uint32_t with = 0; with < 2; with++) {
        rig_t r;
        rig_open(&r, (gw_book_sizes_t){.books = 1, .chunks = 64, .side_chunks = 16, .orders = with}, 0);
        gw_book_level_t l = plain(GW_BOOK_BID, 100, 2, 7);
        l.orders = 3;
        CHECK_EQUAL(apply(&r, &l, 1), GW_BOOK_FINE);
        l.orders = 4;
        CHECK_EQUAL(apply(&r, &l, 1), GW_BOOK_FINE);
        CHECK_EQUAL(r.work.count, with);
        gw_book_row_t row;
        gw_book_row(&r.book, gw_book_best(&r.book, GW_BOOK_BID).chunk, 0, GW_BOOK_BID, &row);
        CHECK_EQUAL(row.orders, 4 * with);
        rig_close(&r);
    }
}

/* The log doubles with the book's levels, then forgets the oldest; it has all changes after its floor. */
static void the_log_grows_with_the_book(void) {
    rig_t r;
    rig_open(&r, usual, 0);
    const gw_book_log_t *log = &r.book.log;
    for (int64_t i = 0; i < 20000; i++) {
        gw_book_level_t l = plain(GW_BOOK_BID, 1 + (i * 7919) % 3000, 0, 1 + i);
        CHECK_EQUAL(apply(&r, &l, 1), GW_BOOK_FINE);
        CHECK_EQUAL(log->head - gw_book_log_from(log, log->floor), r.seq - log->floor);
        CHECK(log->floor == 1 || r.seq - log->floor == log->capacity);
    }
    CHECK_EQUAL(log->capacity, 8192);
    CHECK_EQUAL(log->floor, 20000 - 8192); /* the first message is no change of what anybody had: it begins at 1 */
    rig_close(&r);
}

static void places_of_a_pool_are_books_once(void) {
    rig_t r;
    gw_book_t other;
    rig_open(&r, usual, 0);
    CHECK_EQUAL(gw_book_open(&other, &r.memory.pool, 0, 0, false), -EEXIST);
    CHECK_EQUAL(gw_book_open(&other, &r.memory.pool, 2, 0, false), -EINVAL);
    CHECK_EQUAL(gw_book_open(&other, &r.memory.pool, 1, 0, false), 0);
    gw_book_close(&other);
    CHECK_EQUAL(gw_book_open(&other, &r.memory.pool, 1, 0, false), 0);
    gw_book_close(&other);
    rig_close(&r);
}

static void a_state_of_its_own_scale_takes_the_book_s_place(void) {
    rig_t r, reader;
    rig_open(&r, usual, 0);
    rig_open(&reader, usual, 0);
    /* One price of very many digits, and from then on none that is usual. */
    gw_book_level_t levels[] = {plain(GW_BOOK_BID, 1, 40, 7), plain(GW_BOOK_ASK, 12345, 2, 5), plain(GW_BOOK_ASK, 12346, 1, 0)};
    gw_book_row_t rows[4];
    gw_book_copy_t copy = {.rows = rows, .room = 4};
    CHECK_EQUAL(apply(&r, levels, 1), GW_BOOK_FINE);
    CHECK_EQUAL(gw_book_copy(&r.memory.pool, 0, &copy), 0);
    CHECK_EQUAL(gw_book_follow(&reader.book, &reader.work, &copy), GW_BOOK_FINE);
    CHECK_EQUAL(apply(&r, levels + 1, 1), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(gw_book_scale(&r.book), 40);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, ++r.seq, levels + 1, 2), GW_BOOK_FINE);
    CHECK(r.work.reset);
    CHECK_EQUAL(gw_book_scale(&r.book), 2);
    CHECK_EQUAL(gw_book_seq(&r.book), r.seq);
    CHECK(gw_book_levels(&r.book, GW_BOOK_BID) == 0 && gw_book_levels(&r.book, GW_BOOK_ASK) == 1);
    structure_check(&r.book);
    /* Whoever copies it has its keys, so that the next message is the same to both. */
    CHECK_EQUAL(gw_book_copy(&r.memory.pool, 0, &copy), 0);
    CHECK_EQUAL(gw_book_follow(&reader.book, &reader.work, &copy), GW_BOOK_FINE);
    CHECK(reader.work.reset && gw_book_scale(&reader.book) == 2 && gw_book_seq(&reader.book) == r.seq);
    structure_check(&reader.book);
    /* The book's own prices do not fit the state's. */
    levels[0] = plain(GW_BOOK_BID, GW_BOOK_KEY_MAX, 2, 1);
    CHECK_EQUAL(apply(&r, levels, 1), GW_BOOK_FINE);
    levels[1] = plain(GW_BOOK_ASK, 12345, 9, 5);
    CHECK_EQUAL(apply(&r, levels + 1, 1), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, ++r.seq, levels + 1, 1), GW_BOOK_FINE);
    CHECK_EQUAL(gw_book_scale(&r.book), 9);
    /* A state that fits no scale is refused, and the book is as it was. */
    levels[0] = plain(GW_BOOK_BID, GW_BOOK_KEY_MAX, 0, 1);
    CHECK_EQUAL(gw_book_replace(&r.book, &r.work, ++r.seq, levels, 2), GW_BOOK_PRICE_WIDE);
    CHECK_EQUAL(r.work.at, 0);
    CHECK(gw_book_scale(&r.book) == 9 && gw_book_levels(&r.book, GW_BOOK_ASK) == 1);
    rig_close(&r);
    rig_close(&reader);
}

int main(void) {
    RUN(a_book_is_what_a_sorted_array_is);
    RUN(what_is_not_there_and_what_is_the_same_changes_nothing);
    RUN(a_state_may_come_in_any_order);
    RUN(of_one_price_in_a_message_the_last_counts);
    RUN(evictions_are_told_as_deletions);
    RUN(a_finer_price_rescales_the_book);
    RUN(a_scale_at_which_the_book_is_too_wide_is_refused);
    RUN(a_state_of_its_own_scale_takes_the_book_s_place);
    RUN(a_message_is_refused_whole);
    RUN(a_full_pool_refuses_and_recovers);
    RUN(wide_quantities_lie_in_a_table_of_their_own);
    RUN(orders_are_kept_where_the_pool_has_them);
    RUN(the_log_grows_with_the_book);
    RUN(places_of_a_pool_are_books_once);
    return 0;
}
