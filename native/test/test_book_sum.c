/* The checksum of a book with kept texts, against one that is made of its levels' texts each time. */
#include "book_model.h"
#include "gw_book_sum.h"
#include "gw_book_text.h"
#include "gw_crc.h"

/* Of texts, as a client makes it. */
static uint32_t naive(const gw_book_t *b, uint32_t depth) {
    char all[8192];
    size_t length = 0;
    for (unsigned i = 0; i < 2; i++) {
        unsigned side = i == 0 ? GW_BOOK_ASK : GW_BOOK_BID;
        gw_book_cursor_t c = gw_book_best(b, side);
        for (uint32_t left = depth == 0 || depth > 10 ? 10 : depth; left > 0; left--) {
            uint32_t at = gw_book_next(&c);
            if (at == GW_BOOK_NONE) break;
            gw_book_row_t row;
            gw_book_row(b, c.chunk, at, side, &row);
            for (int part = 0; part < 2; part++) {
                char text[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK];
                size_t n = part ? gw_book_qty_text(&row, text) : gw_book_price_text(&row, gw_book_scale(b), text);
                bool leading = true;
                for (size_t k = 0; k < n; k++) {
                    if (text[k] == '.' || (leading && text[k] == '0')) continue;
                    leading &= text[k] == '-';
                    all[length++] = text[k];
                }
            }
        }
    }
    return gw_crc32_tables(all, length);
}

static void kept_texts_make_the_same_sum(void) {
    static const uint32_t depths[] = {0, 1, 5, 10, 25};
    static gw_book_level_t levels[WALK_MOST];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        book_memory_t m;
        gw_book_work_t work;
        gw_book_t book;
        gw_book_sum_t sum = {0};
        model_t model;
        walk_t walk = {seed == 2 ? 3 : 1000000, 20, false}; /* the second has prices around and below zero */
        random_state = seed;
        book_memory_open(&m, (gw_book_sizes_t){.books = 1, .chunks = 512, .side_chunks = 128, .wides = 64});
        model_open(&model);
        CHECK_EQUAL(gw_book_work_init(&work), 0);
        CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
        for (uint64_t i = 1; i <= 4000; i++) {
            uint32_t n = walk_message(&walk, &model, levels);
            model_apply(&model, levels, n, 0);
            if (seed == 3) {
                for (uint32_t k = 0; k < n; k++) {
                    if (levels[k].qty != 3) continue;
                    levels[k].qty = (int64_t)draw(8); /* a number that its place may have as well */
                    levels[k].qty_high = 1 + (int64_t)draw(9);
                    levels[k].qty_zeros = GW_BOOK_LEVEL_WIDE | 9;
                }
            }
            if (seed == 4 && i == 2000) levels[n++] = (gw_book_level_t){.price = 1, .price_decimals = 5, .qty = 1};
            gw_book_refusal_t refusal = gw_book_apply(&book, &work, i, levels, n);
            CHECK(refusal == GW_BOOK_FINE || (seed == 3 && refusal == GW_BOOK_WIDES_FULL));
            for (size_t k = i % 2; k < 5; k += 2) CHECK_EQUAL(gw_book_sum(&book, &sum, depths[k]), naive(&book, depths[k]));
        }
        gw_book_close(&book);
        gw_book_work_free(&work);
        model_close(&model);
        book_memory_close(&m);
    }
}

static gw_book_level_t bid(int64_t price, uint8_t decimals, int64_t qty) {
    return (gw_book_level_t){.price = price, .price_decimals = decimals, .qty = qty};
}

/* The digits of a price are kept by themselves: not where the same number is written otherwise now, or stands for another
 * price at another scale. */
static void a_kept_price_is_of_its_decimals_and_scale(void) {
    const gw_book_level_t steps[][2] = {
        {bid(1000, 1, 5)},                   /* 100.0 */
        {bid(100, 0, 6)},                    /* 100 */
        {bid(1000, 1, 7)},
        {bid(1000, 1, 0), bid(1, 2, 8)},     /* 0.01: twice as many decimals; 100.0 goes */
        {bid(100, 1, 9)},                    /* 10.0, whose key is what that of 100.0 was */
    };
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book;
    gw_book_sum_t sum = {0};
    book_memory_open(&m, (gw_book_sizes_t){.books = 1, .chunks = 8, .side_chunks = 4});
    CHECK_EQUAL(gw_book_work_init(&work), 0);
    CHECK_EQUAL(gw_book_open(&book, &m.pool, 0, 0, false), 0);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        CHECK_EQUAL(gw_book_apply(&book, &work, i + 1, steps[i], steps[i][1].qty ? 2 : 1), GW_BOOK_FINE);
        if (i != 3) CHECK_EQUAL(gw_book_sum(&book, &sum, 10), naive(&book, 10));
    }
    CHECK_EQUAL(gw_book_scale(&book), 2);
    gw_book_close(&book);
    gw_book_work_free(&work);
    book_memory_close(&m);
}

int main(void) {
    RUN(kept_texts_make_the_same_sum);
    RUN(a_kept_price_is_of_its_decimals_and_scale);
    return 0;
}
