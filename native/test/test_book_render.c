/* What clients get, against what the book is: strict clients of each depth, with updates skipped at random.
 *
 * A client holds what the frames say, cuts to its depth after each level (or after each frame), and counts deletions of
 * levels that it does not have. After each frame it must have exactly the book's best levels, digits and all.
 *
 * Mutants: the same with one rule broken must fail, else this test could not see it. They are played here, by the client,
 * by the link, or on the book's log. `test_book_render CHECKS` goes on for so many frames (make book-long: a million). */
#include "book_model.h"
#include "gw_book_internal.h"
#include "gw_book_render.h"
#include "gw_book_text.h"

enum { CLIENTS = 32, ROWS = 20000 };
static const uint32_t depths[GW_BOOK_DEPTHS] = {1, 5, 10, 25, 100, 500, 1000, 0};

typedef enum {
    RIGHT,
    EVICTIONS_NOT_LOGGED,
    ONLY_SINCE_TAKEN_BACK,
    LEVELS_BEFORE_DELETIONS,
    IN_PRICE_ORDER,
    WITHOUT_INS,     /* insertions are logged as changes of what was there */
    WORST_IGNORED,
    MUTANTS
} mutant_t;

typedef struct {
    model_t book;
    gw_book_window_t *window;
    gw_book_at_t at, dropped; /* dropped: before the first frame that a link has queued and that never leaves */
    uint32_t depth;
    uint64_t next, seq;
    bool each; /* it cuts after each level */
    bool dropping;
} client_t;

typedef struct {
    book_memory_t memory;
    gw_book_work_t work, rendering;
    gw_book_t writer, book; /* the plane's book is told what the writer's says */
    client_t clients[CLIENTS];
    gw_book_frame_t frame;
    mutant_t mutant;
    uint64_t frames, wrong, strange, updates, snapshots, nothing, taken_back, most;
} scene_t;

static gw_book_row_t rows[ROWS];

static void client_open(scene_t *s, uint32_t i) {
    client_t *c = &s->clients[i];
    *c = (client_t){.depth = depths[i % GW_BOOK_DEPTHS], .each = i / GW_BOOK_DEPTHS % 2 == 0, .next = draw(20)};
    model_open(&c->book);
    c->window = gw_book_window(&s->book, c->depth);
    CHECK(c->window != NULL);
    gw_book_window_hold(&s->book, c->window);
    if (c->depth == 0) c->depth = UINT32_MAX;
}

static void scene_open(scene_t *s, mutant_t mutant, uint32_t depth) {
    *s = (scene_t){.mutant = mutant, .frame = {.rows = rows, .room = ROWS, .bytes = SIZE_MAX}, .most = UINT64_MAX};
    book_memory_open(&s->memory, (gw_book_sizes_t){.books = 2, .chunks = 4096, .side_chunks = 1024});
    CHECK_EQUAL(gw_book_work_init(&s->work), 0);
    CHECK_EQUAL(gw_book_work_init(&s->rendering), 0);
    CHECK_EQUAL(gw_book_open(&s->writer, &s->memory.pool, 0, depth, false), 0);
    CHECK_EQUAL(gw_book_open(&s->book, &s->memory.pool, 1, 0, true), 0);
    for (uint32_t i = 0; i < CLIENTS; i++) client_open(s, i);
}

static void scene_close(scene_t *s) {
    for (uint32_t i = 0; i < CLIENTS; i++) model_close(&s->clients[i].book);
    gw_book_close(&s->writer);
    gw_book_close(&s->book);
    gw_book_work_free(&s->work);
    gw_book_work_free(&s->rendering);
    book_memory_close(&s->memory);
}

/* --- the client ------------------------------------------------------------------------------ */

static void client_row(scene_t *s, client_t *c, const gw_book_row_t *r) {
    bool deletes = r->kind == GW_BOOK_DEL;
    int came = model_set(&c->book, r->side, (model_level_t){r->key, deletes ? 0 : r->qty, r->digits});
    s->strange += deletes && came == 0;
    if (c->each && c->book.count[r->side] > c->depth) c->book.count[r->side] = c->depth;
}

static int by_price(const void *a, const void *b) {
    const gw_book_row_t *x = a, *y = b;
    return (x->key < y->key) - (x->key > y->key);
}

static void client_side(scene_t *s, client_t *c, gw_book_row_t *r, uint32_t count) {
    if (s->mutant == IN_PRICE_ORDER) qsort(r, count, sizeof *r, by_price);
    for (int pass = 0; s->mutant == LEVELS_BEFORE_DELETIONS && pass < 2; pass++)
        for (uint32_t i = 0; i < count; i++)
            if ((r[i].kind == GW_BOOK_DEL) == (pass == 1)) client_row(s, c, &r[i]);
    for (uint32_t i = 0; s->mutant != LEVELS_BEFORE_DELETIONS && i < count; i++) client_row(s, c, &r[i]);
}

static void client_frame(scene_t *s, client_t *c) {
    gw_book_frame_t *f = &s->frame;
    uint32_t at = 0;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        if (f->type == GW_BOOK_SNAPSHOT) c->book.count[side] = 0;
        for (uint32_t i = 0; i < f->count[side]; i++) CHECK_EQUAL(f->rows[at + i].side, side);
        client_side(s, c, f->rows + at, f->count[side]);
        if (c->book.count[side] > c->depth) c->book.count[side] = c->depth;
        at += f->count[side];
    }
    if (c->seq != 0) CHECK_EQUAL(f->seq, c->seq + 1 + f->skipped);
    c->seq = f->seq;
}

/* Whether it has the book's best levels. */
static bool client_agrees(const scene_t *s, const client_t *c) {
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        gw_book_cursor_t cursor = gw_book_best(&s->book, side);
        uint32_t levels = gw_book_levels(&s->book, side);
        if (c->book.count[side] != (levels < c->depth ? levels : c->depth)) return false;
        for (uint32_t i = 0; i < c->book.count[side]; i++) {
            gw_book_row_t row;
            gw_book_row(&s->book, cursor.chunk, gw_book_next(&cursor), side, &row);
            const model_level_t *l = &c->book.side[side][i];
            if (row.key != l->key || row.qty != l->qty || row.digits != l->digits) return false;
        }
    }
    return true;
}

/* --- a turn ---------------------------------------------------------------------------------- */

static uint64_t turns_skipped(void) {
    uint64_t r = draw(100);
    return r < 30 ? 1 : 1 + draw(r < 60 ? 4 : r < 85 ? 40 : r < 97 ? 400 : 4000);
}

/* A queued frame that never leaves: the link goes back to where it was before the first of them. */
static void client_take_back(scene_t *s, client_t *c) {
    gw_book_at_t newest = c->at;
    c->at = c->dropped;
    if (s->mutant == ONLY_SINCE_TAKEN_BACK) memcpy(c->at.worst, newest.worst, sizeof newest.worst);
    c->dropping = false;
    s->taken_back++;
}

static void client_turn(scene_t *s, client_t *c) {
    static const gw_book_at_t nothing;
    if (!c->dropping && c->at.since != 0 && draw(4) == 0) {
        c->dropping = true;
        c->dropped = c->at;
        c->next = gw_book_seq(&s->book) + draw(3);
    } else if (c->dropping) {
        client_take_back(s, c);
    }
    if (s->mutant == WORST_IGNORED) c->at.worst[0] = c->at.worst[1] = INT64_MIN;
    gw_book_render(&s->book, c->window, &s->rendering, &c->at, &s->frame);
    if (c->dropping) return;
    c->next = gw_book_seq(&s->book) + turns_skipped();
    s->frames++;
    s->nothing += s->frame.type == GW_BOOK_NOTHING;
    s->updates += s->frame.type == GW_BOOK_UPDATE;
    s->snapshots += s->frame.type == GW_BOOK_SNAPSHOT;
    CHECK(s->frame.type != GW_BOOK_PARTS);
    if (s->frame.type != GW_BOOK_NOTHING) client_frame(s, c);
    if (client_agrees(s, c)) return;
    s->wrong++;
    c->at = nothing; /* so that one fault is counted once */
    c->seq = 0;
}

static void turn(scene_t *s, const gw_book_level_t *levels, uint32_t count, bool state) {
    static gw_book_level_t told[2 * WALK_MOST + 16384];
    uint64_t seq = gw_book_seq(&s->writer) + 1, head = s->book.log.head;
    gw_book_refusal_t refusal = state ? gw_book_replace(&s->writer, &s->work, seq, levels, count)
                                      : gw_book_apply(&s->writer, &s->work, seq, levels, count);
    CHECK_EQUAL(refusal, GW_BOOK_FINE);
    uint32_t n = rows_to_levels(&s->work, told), evicted = 0;
    for (uint32_t i = n; i > 0 && told[i - 1].qty == 0 && !state; i--) { /* evictions come last */
        bool asked = false;
        for (uint32_t k = 0; k < count; k++) asked |= levels[k].price * ten(2 - levels[k].price_decimals) ==
                                                     told[i - 1].price * ten(2 - told[i - 1].price_decimals);
        if (asked) break;
        evicted++;
    }
    if (n > 0) CHECK_EQUAL(gw_book_apply(&s->book, &s->work, seq, told, n), GW_BOOK_FINE);
    if (s->mutant == EVICTIONS_NOT_LOGGED && s->book.log.head - head == n) s->book.log.head -= evicted;
    for (uint64_t i = head; s->mutant == WITHOUT_INS && i < s->book.log.head; i++) {
        gw_book_change_t *c = &s->book.log.ring[i & (s->book.log.capacity - 1)];
        if (gw_book_change_kind(c) == GW_BOOK_INS) c->what ^= (uint64_t)(GW_BOOK_INS ^ GW_BOOK_UPD) << 60;
    }
    for (uint32_t i = 0; i < CLIENTS && s->frames < s->most; i++)
        if (s->clients[i].next <= gw_book_seq(&s->book)) client_turn(s, &s->clients[i]);
}

static void walk(scene_t *s, uint64_t steps, int ticks, bool big) {
    static gw_book_level_t levels[WALK_MOST];
    walk_t w = {1000000, ticks, big};
    model_t model; /* what the venue has: sweeps name its best levels */
    model_open(&model);
    for (uint64_t i = 0; i < steps && s->frames < s->most; i++) {
        bool state = draw(400) == 0;
        uint32_t n = state ? walk_state(&w, levels) : walk_message(&w, &model, levels);
        if (state) model.count[0] = model.count[1] = 0;
        model_apply(&model, levels, n, state ? 0 : s->writer.depth);
        if (state) model_apply(&model, NULL, 0, s->writer.depth);
        turn(s, levels, n, state);
    }
    model_close(&model);
}

static void walked(scene_t *s, mutant_t mutant, uint32_t depth, uint64_t steps, int ticks, bool big, uint64_t most) {
    random_state = 7;
    scene_open(s, mutant, depth);
    s->most = most;
    walk(s, steps, ticks, big);
    scene_close(s);
}

static void walks(uint64_t most) {
    static const struct {
        uint32_t depth;
        int ticks;
        bool big;
        const char *what;
    } all[] = {{0, 20, false, "20 ticks"},
               {30, 200, false, "200 ticks, venue depth 30"},
               {0, 3000, true, "3000 ticks"},
               {500, 3000, true, "3000 ticks, venue depth 500"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        scene_t s;
        walked(&s, RIGHT, all[i].depth, UINT64_MAX, all[i].ticks, all[i].big, most / 4);
        printf("  %s: %llu frames, %llu updates, %llu snapshots, %llu nothing, %llu taken back\n", all[i].what,
               (unsigned long long)s.frames, (unsigned long long)s.updates, (unsigned long long)s.snapshots,
               (unsigned long long)s.nothing, (unsigned long long)s.taken_back);
        CHECK_EQUAL(s.wrong, 0);
        CHECK_EQUAL(s.strange, 0);
        CHECK(s.updates > s.frames / 4 && s.taken_back > s.frames / 20);
    }
}

static void clients_of_each_depth_have_the_book(void) { walks(40000); }

static void each_broken_rule_is_seen(void) {
    static const char *const names[MUTANTS] = {"right",          "evictions not logged", "only since taken back",
                                               "levels first",   "in price order",       "without INS",
                                               "worst ignored"};
    for (mutant_t m = RIGHT; m < MUTANTS; m++) {
        scene_t s;
        uint32_t depth = m == EVICTIONS_NOT_LOGGED ? 30 : 0;
        walked(&s, m, depth, UINT64_MAX, depth ? 200 : 20, false, 8000);
        printf("  %s: %llu of %llu frames wrong, %llu deletions of what was not there\n", names[m],
               (unsigned long long)s.wrong, (unsigned long long)s.frames, (unsigned long long)s.strange);
        if (m == RIGHT) CHECK(s.wrong == 0 && s.strange == 0);
        else if (m == WITHOUT_INS) CHECK(s.strange > 100);
        else CHECK(s.wrong > 20);
    }
}

/* --- small scenes ---------------------------------------------------------------------------- */

typedef struct {
    book_memory_t memory;
    gw_book_work_t work;
    gw_book_t book;
    gw_book_frame_t frame;
    uint64_t seq;
} rig_t;

static void rig_open(rig_t *r) {
    *r = (rig_t){.frame = {.rows = rows, .room = ROWS, .bytes = SIZE_MAX}};
    book_memory_open(&r->memory, (gw_book_sizes_t){.books = 1, .chunks = 4096, .side_chunks = 1024});
    CHECK_EQUAL(gw_book_work_init(&r->work), 0);
    CHECK_EQUAL(gw_book_open(&r->book, &r->memory.pool, 0, 0, true), 0);
}

static void rig_close(rig_t *r) {
    gw_book_close(&r->book);
    gw_book_work_free(&r->work);
    book_memory_close(&r->memory);
}

static void set(rig_t *r, unsigned side, int64_t price, int64_t qty) {
    gw_book_level_t l = {.side = (uint8_t)side, .price = price, .qty = qty, .price_decimals = 2};
    CHECK_EQUAL(gw_book_apply(&r->book, &r->work, ++r->seq, &l, 1), GW_BOOK_FINE);
}

static uint8_t render(rig_t *r, gw_book_window_t *w, gw_book_at_t *at) {
    gw_book_render(&r->book, w, &r->work, at, &r->frame);
    return r->frame.type;
}

/* However much happens deeper, also when the log has forgotten where the client was. */
static void what_is_deeper_than_a_window_costs_its_links_nothing(void) {
    rig_t r;
    rig_open(&r);
    for (int64_t i = 0; i < 100; i++) set(&r, GW_BOOK_BID, 1000 + i, 5);
    set(&r, GW_BOOK_ASK, 2000, 5);
    gw_book_window_t *w = gw_book_window(&r.book, 1);
    gw_book_at_t at = {0};
    gw_book_window_hold(&r.book, w);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    uint64_t since = at.since;
    for (int64_t i = 0; i < 2000; i++) {
        set(&r, GW_BOOK_BID, 1000 + i % 50, 6 + i);
        CHECK_EQUAL(render(&r, w, &at), GW_BOOK_NOTHING);
        CHECK_EQUAL(at.since, since);
    }
    CHECK(r.book.log.floor > since);
    set(&r, GW_BOOK_BID, 1099, 9);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_UPDATE); /* from just before this change */
    CHECK_EQUAL(r.frame.skipped, 2000);
    CHECK(r.frame.count[GW_BOOK_BID] == 1 && r.frame.count[GW_BOOK_ASK] == 0);
    rig_close(&r);
}

static void deletions_name_the_price_as_the_client_saw_it(void) {
    rig_t r;
    rig_open(&r);
    gw_book_level_t l[2] = {{.price = 15, .price_decimals = 1, .qty = 1}, {.price = 100, .price_decimals = 2, .qty = 1}};
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, ++r.seq, l, 2), GW_BOOK_FINE);
    gw_book_window_t *w = gw_book_window(&r.book, 10);
    gw_book_at_t at = {0};
    char text[GW_BOOK_PRICE_TEXT_MAX + GW_TEXT_SLACK];
    gw_book_window_hold(&r.book, w);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    l[0].price = 150;
    l[0].price_decimals = 2;
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, ++r.seq, l, 1), GW_BOOK_FINE);
    l[0].qty = 0;
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, ++r.seq, l, 1), GW_BOOK_FINE);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_UPDATE);
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 1);
    CHECK_EQUAL(gw_book_price_text(&r.frame.rows[0], gw_book_scale(&r.book), text), 3);
    CHECK(memcmp(text, "1.5", 3) == 0);
    rig_close(&r);
}

static void a_finer_price_makes_snapshots(void) {
    rig_t r;
    rig_open(&r);
    set(&r, GW_BOOK_BID, 1000, 5);
    gw_book_window_t *w = gw_book_window(&r.book, 5);
    gw_book_at_t at = {0};
    gw_book_window_hold(&r.book, w);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    gw_book_level_t finer = {.price = 10001, .price_decimals = 3, .qty = 2};
    CHECK_EQUAL(gw_book_apply(&r.book, &r.work, ++r.seq, &finer, 1), GW_BOOK_FINE);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    CHECK_EQUAL(r.frame.skipped, 0);
    set(&r, GW_BOOK_BID, 999, 5);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_UPDATE);
    rig_close(&r);
}

/* A frame's rows are bounded: an update that does not fit is a snapshot, a snapshot that does not is parts. */
static void what_does_not_fit_is_told_as_parts(void) {
    rig_t r;
    rig_open(&r);
    for (int64_t i = 0; i < 20; i++) set(&r, GW_BOOK_BID, 1000 + i, 5);
    gw_book_window_t *w = gw_book_window(&r.book, 25);
    gw_book_at_t at = {0}, none = {0};
    gw_book_window_hold(&r.book, w);
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    for (int64_t i = 0; i < 15; i++) set(&r, GW_BOOK_BID, 1000 + i, 0);
    r.frame.room = 6;
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT); /* 15 deletions, or five levels */
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 5);
    r.frame.room = 4;
    CHECK_EQUAL(render(&r, w, &none), GW_BOOK_PARTS);
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 5);
    CHECK_EQUAL(none.since, 0);
    rig_close(&r);
}

/* The same by the bytes of their texts: 300 levels of 9 bytes, and 8 around each. */
static void texts_that_do_not_fit_are_told_as_parts(void) {
    rig_t r;
    rig_open(&r);
    for (int64_t i = 0; i < 300; i++) set(&r, GW_BOOK_BID, 100000 + i, 15);
    gw_book_window_t *w = gw_book_window(&r.book, 0);
    gw_book_at_t at = {0};
    gw_book_window_hold(&r.book, w);
    r.frame.around = 8;
    r.frame.bytes = 300 * (7 + 2 + 8) - 1;
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_PARTS);
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 300);
    CHECK_EQUAL(at.since, 0);
    r.frame.bytes++;
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    for (int64_t i = 0; i < 299; i++) set(&r, GW_BOOK_BID, 100000 + i, 0);
    r.frame.bytes = 200; /* one level fits, 299 deletions do not */
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 1);
    rig_close(&r);
}

/* Many changes, and N small: a snapshot is cheaper. N deep: the log is read as far as it goes. */
static void far_behind_a_snapshot_costs_less(void) {
    rig_t r;
    rig_open(&r);
    for (int64_t i = 0; i < 400; i++) set(&r, GW_BOOK_BID, 1000 + i, 5);
    static const uint32_t some[3] = {5, 100, 0};
    static const uint8_t types[3] = {GW_BOOK_SNAPSHOT, GW_BOOK_UPDATE, GW_BOOK_UPDATE};
    gw_book_at_t at[3] = {0};
    for (int i = 0; i < 3; i++) {
        gw_book_window_hold(&r.book, gw_book_window(&r.book, some[i]));
        CHECK_EQUAL(render(&r, gw_book_window(&r.book, some[i]), &at[i]), GW_BOOK_SNAPSHOT);
    }
    for (int64_t i = 0; i < 129; i++) set(&r, GW_BOOK_BID, 1399, 6 + i);
    for (int i = 0; i < 3; i++) CHECK_EQUAL(render(&r, gw_book_window(&r.book, some[i]), &at[i]), types[i]);
    CHECK_EQUAL(r.frame.count[GW_BOOK_BID], 1);
    rig_close(&r);
}

static void rows_are_counted_by_their_texts(void) {
    rig_t r;
    rig_open(&r);
    gw_book_at_t at = {0};
    char text[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK];
    for (int64_t i = 0; i < 50; i++) set(&r, (unsigned)i % 2, 95 + i, 5 + i * i * i);
    gw_book_window_hold(&r.book, gw_book_window(&r.book, 0));
    CHECK_EQUAL(render(&r, gw_book_window(&r.book, 0), &at), GW_BOOK_SNAPSHOT);
    size_t sum = 0;
    for (uint32_t i = 0; i < 50; i++) {
        CHECK_EQUAL(gw_book_rows_fit(rows, 50, 2, 8, sum), i);
        sum += gw_book_price_text(&rows[i], 2, text) + 8;
        sum += gw_book_qty_text(&rows[i], text);
        CHECK_EQUAL(gw_book_rows_fit(rows, 50, 2, 8, sum), i + 1);
    }
    rig_close(&r);
}

/* A snapshot of 3,000 levels, frozen, then cut: no part is longer than a frame may be, nor could have one row more. */
static void a_long_snapshot_is_cut_into_parts(void) {
    rig_t r;
    rig_open(&r);
    for (int64_t i = 0; i < 3000; i++) set(&r, (unsigned)i % 2, 100000 + i, 15 + i * i * i);
    gw_book_window_t *w = gw_book_window(&r.book, 0);
    gw_book_at_t at = {0};
    gw_book_window_hold(&r.book, w);
    r.frame.around = 8;
    r.frame.bytes = GW_BOOK_FRAME_BYTES;
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_PARTS);
    r.frame.bytes = SIZE_MAX;
    CHECK_EQUAL(render(&r, w, &at), GW_BOOK_SNAPSHOT);
    uint32_t parts = 0, fit;
    for (uint32_t from = 0; from < 3000; from += fit, parts++) {
        fit = gw_book_rows_fit(rows + from, 3000 - from, 2, 8, GW_BOOK_FRAME_BYTES);
        size_t bytes = 0;
        for (uint32_t i = from; i < from + fit; i++) bytes += gw_book_price_size(&rows[i], 2) + gw_book_qty_size(&rows[i]) + 8;
        CHECK(fit > 0 && bytes <= GW_BOOK_FRAME_BYTES);
        CHECK(from + fit == 3000 || bytes + 7 + 12 + 8 > GW_BOOK_FRAME_BYTES);
    }
    CHECK(parts >= 3 && parts < 8);
    rig_close(&r);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        walks(strtoull(argv[1], NULL, 10));
        return 0;
    }
    RUN(clients_of_each_depth_have_the_book);
    RUN(each_broken_rule_is_seen);
    RUN(what_is_deeper_than_a_window_costs_its_links_nothing);
    RUN(deletions_name_the_price_as_the_client_saw_it);
    RUN(a_finer_price_makes_snapshots);
    RUN(what_does_not_fit_is_told_as_parts);
    RUN(texts_that_do_not_fit_are_told_as_parts);
    RUN(far_behind_a_snapshot_costs_less);
    RUN(rows_are_counted_by_their_texts);
    RUN(a_long_snapshot_is_cut_into_parts);
    return 0;
}
