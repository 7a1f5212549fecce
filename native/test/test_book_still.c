/* A copy that is made in steps while the book goes on, against what the book was at its seq. */
#include "book_model.h"
#include "gw_book_internal.h"
#include "gw_book_still.h"

enum { LEVELS_MOST = 20000 };

typedef struct {
    gw_book_row_t rows[LEVELS_MOST];
    uint32_t levels[GW_BOOK_SIDES];
} state_t;

static void state_take(const gw_book_t *b, state_t *s) {
    uint32_t n = 0;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        gw_book_cursor_t c = gw_book_best(b, side);
        for (uint32_t at; (at = gw_book_next(&c)) != GW_BOOK_NONE; n++) {
            CHECK(n < LEVELS_MOST);
            gw_book_row(b, c.chunk, at, side, &s->rows[n]);
        }
        s->levels[side] = gw_book_levels(b, side);
    }
}

static void check_same(const gw_book_still_t *still, const state_t *s) {
    CHECK(still->whole);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) CHECK_EQUAL(still->levels[side], s->levels[side]);
    for (uint32_t i = 0; i < s->levels[0] + s->levels[1]; i++) {
        const gw_book_row_t *x = &still->rows[i], *y = &s->rows[i];
        CHECK(x->side == y->side && x->key == y->key && x->qty == y->qty && x->qty_high == y->qty_high);
        CHECK(x->digits == y->digits && x->orders == y->orders && x->kind == GW_BOOK_UPD);
    }
}

typedef struct {
    book_memory_t m;
    gw_book_work_t work;
    gw_book_t book;
    uint64_t seq;
} scene_t;

static void scene_open(scene_t *s) {
    *s = (scene_t){0};
    book_memory_open(&s->m, (gw_book_sizes_t){.books = 1, .chunks = 4096, .side_chunks = 1024, .wides = 8192, .orders = 1});
    CHECK_EQUAL(gw_book_work_init(&s->work), 0);
    CHECK_EQUAL(gw_book_open(&s->book, &s->m.pool, 0, 0, true), 0);
}

static void scene_close(scene_t *s) {
    gw_book_close(&s->book);
    gw_book_work_free(&s->work);
    book_memory_close(&s->m);
}

static void say(scene_t *s, const gw_book_level_t *levels, uint32_t n) {
    CHECK_EQUAL(gw_book_apply(&s->book, &s->work, ++s->seq, levels, n), GW_BOOK_FINE);
}

/* Prices of both sides, in `span` ticks. */
static gw_book_level_t level_draw(uint64_t span) {
    const uint8_t side = (uint8_t)draw(2);
    const int64_t away = 1 + (int64_t)draw(span);
    gw_book_level_t l = {.side = side, .price = side == GW_BOOK_ASK ? 100000 + away : 100000 - away, .price_decimals = 2,
                         .qty = draw(3) ? 1 + (int64_t)draw(1000) : 0, .orders = (uint32_t)draw(9)};
    if (l.qty && draw(50) == 0) l.qty_high = 5, l.qty_zeros = GW_BOOK_LEVEL_WIDE;
    return l;
}

static void fill(scene_t *s, uint32_t side_levels) {
    static gw_book_level_t all[LEVELS_MOST];
    CHECK(2 * side_levels <= LEVELS_MOST);
    for (uint32_t i = 0; i < 2 * side_levels; i++)
        all[i] = (gw_book_level_t){.side = (uint8_t)(i % 2), .price = i % 2 ? 100001 + i / 2 : 99999 - i / 2, .price_decimals = 2,
                                   .qty = 1 + i % 7, .orders = i % 5};
    say(s, all, 2 * side_levels);
}

static void it_is_the_state_at_its_seq(void) {
    static state_t state;
    uint32_t while_changing = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        scene_t s;
        gw_book_still_t still = {0};
        random_state = seed;
        const uint32_t size = (uint32_t)draw(1500), most = 1 + (uint32_t)draw(200);
        scene_open(&s);
        fill(&s, size);
        for (int steps = 0; !still.whole; steps++) {
            CHECK(steps < 20000);
            const bool held = still.seq != 0;
            const uint32_t took = gw_book_still_step(&still, &s.book, most);
            CHECK(took > 0 && took <= (most << still.again) + GW_BOOK_STILL_CHANGES + 1);
            if (!held && still.seq) {
                CHECK_EQUAL(still.seq, s.seq);
                state_take(&s.book, &state);
            }
            if (draw(3) == 0) {
                gw_book_level_t l[8];
                uint32_t n = 1 + (uint32_t)draw(8);
                for (uint32_t i = 0; i < n; i++) l[i] = level_draw(draw(4) ? 30 : size + 300);
                if (draw(500) == 0) l[0].price_decimals = 3, l[0].qty = 7; /* another scale */
                say(&s, l, n);
                if (gw_book_seq(&s.book) != s.seq) gw_book_advance(&s.book, s.seq);
                while_changing += !still.whole;
            }
        }
        check_same(&still, &state);
        gw_book_still_free(&still);
        scene_close(&s);
    }
    CHECK(while_changing > 5000);
}

/* Whatever the book does in between, a copy comes to its end, and a step has its bound while the book is not faster than it may be. */
static void a_step_is_bounded(void) {
    enum { MOST = 4096, SIDE = 9000 };
    static state_t state;
    scene_t s;
    gw_book_still_t still = {0};
    uint32_t steps = 0;
    random_state = 7;
    scene_open(&s);
    fill(&s, SIDE);
    for (; !still.whole; steps++) {
        const bool held = still.seq != 0;
        CHECK(gw_book_still_step(&still, &s.book, MOST) <= MOST + 21);
        if (!held && still.seq) state_take(&s.book, &state);
        for (int i = 0; i < 2; i++) {
            gw_book_level_t l = level_draw(SIDE);
            say(&s, &l, 1);
            gw_book_advance(&s.book, s.seq);
        }
    }
    check_same(&still, &state);
    CHECK(steps >= 2 * (2 * SIDE / MOST)); /* copied, then merged */
    gw_book_still_free(&still);
    scene_close(&s);
}

/* A book of so many levels a side, copied in steps of `most`, of which `changes` change after each step. */
static unsigned changing(uint32_t side_levels, uint32_t most, int changes) {
    static state_t state;
    scene_t s;
    gw_book_still_t still = {0};
    scene_open(&s);
    fill(&s, side_levels);
    for (int steps = 0; !still.whole; steps++) {
        const bool held = still.seq != 0;
        CHECK(steps < 1000);
        gw_book_still_step(&still, &s.book, most);
        if (!held && still.seq) state_take(&s.book, &state);
        for (int i = 0; i < changes; i++) {
            gw_book_level_t l = level_draw(side_levels);
            say(&s, &l, 1);
            gw_book_advance(&s.book, s.seq);
        }
    }
    check_same(&still, &state);
    const unsigned again = still.again;
    gw_book_still_free(&still);
    scene_close(&s);
    return again;
}

/* One that changes more than can be mended while it is copied, or than its log has: the steps get larger. */
static void a_copy_ends_however_fast_the_book_is(void) {
    random_state = 8;
    CHECK(changing(4000, 64, 200) > 2);
    for (int i = 0; i < 50; i++) CHECK(changing(60, 20, 100) > 0);
}

int main(void) {
    RUN(it_is_the_state_at_its_seq);
    RUN(a_step_is_bounded);
    RUN(a_copy_ends_however_fast_the_book_is);
    return 0;
}
