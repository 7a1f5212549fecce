/* A reader of books, as a plane is one: from the ring's records, and from the segment's pool where those do not tell. */
#ifndef BOOK_FOLLOWER_H
#define BOOK_FOLLOWER_H
#include "book_model.h"
#include "gw_book_record.h"
#include "gw_ring.h"

enum { FOLLOWER_ROWS = 2 * MODEL_MOST };

typedef struct {
    book_memory_t memory;
    gw_book_t book;
    gw_book_work_t work;
    const gw_segment_t *segment;
    uint32_t topic;
    uint64_t copies, resets, records, doubts, gaps;
    bool doubted; /* by its newest record */
    gw_book_row_t *rows;
    gw_book_level_t *levels;
} follower_t;

static inline void follower_open(follower_t *f, const gw_segment_t *segment, uint32_t topic) {
    *f = (follower_t){.segment = segment, .topic = topic};
    book_memory_open(&f->memory, (gw_book_sizes_t){.books = 1, .chunks = 2048, .side_chunks = 1024, .wides = 64});
    CHECK_EQUAL(gw_book_work_init(&f->work), 0);
    CHECK_EQUAL(gw_book_open(&f->book, &f->memory.pool, 0, 0, true), 0);
    f->rows = malloc(FOLLOWER_ROWS * sizeof *f->rows);
    f->levels = malloc(FOLLOWER_ROWS * sizeof *f->levels);
    CHECK(f->rows && f->levels);
}

static inline void follower_close(follower_t *f) {
    gw_book_close(&f->book);
    gw_book_work_free(&f->work);
    free(f->rows);
    free(f->levels);
    book_memory_close(&f->memory);
}

/* Copies the writer's book; false: it is being written. */
static inline bool follower_copy(follower_t *f, gw_book_copy_t *out) {
    *out = (gw_book_copy_t){.rows = f->rows, .room = FOLLOWER_ROWS};
    int error = gw_reader_book(f->segment, f->topic, out);
    CHECK(error == 0 || error == -EAGAIN);
    return error == 0;
}

/* Takes one of the topic's records, in order. */
static inline void follower_take(follower_t *f, gw_record_t *r) {
    const gw_book_message_t *m = gw_book_message(r);
    CHECK_EQUAL(r->h.kind, GW_BOOK);
    CHECK_EQUAL(r->h.cells, gw_book_record_cells(m->count));
    f->records++;
    f->doubted = (r->h.flags & GW_FLAG_MAYBE_BAD_BOOK) != 0;
    f->doubts += f->doubted;
    f->gaps += r->h.gap == GW_GAP_FEED;
    if (r->h.topic_seq <= gw_book_seq(&f->book)) return;
    if (m->what & GW_BOOK_RECORD_RESET || r->h.topic_seq != gw_book_seq(&f->book) + 1) {
        gw_book_copy_t copy;
        f->resets += m->what & GW_BOOK_RECORD_RESET;
        f->copies++;
        while (!follower_copy(f, &copy)) continue;
        CHECK(copy.seq >= r->h.topic_seq); /* the book is written before its record */
        CHECK_EQUAL(gw_book_follow(&f->book, &f->work, &copy), GW_BOOK_FINE);
        return;
    }
    for (uint32_t i = 0; i < m->count; i++) gw_book_level_from(&gw_book_message_rows(r)[i], m->scale, &f->levels[i]);
    CHECK_EQUAL(gw_book_apply(&f->book, &f->work, r->h.topic_seq, f->levels, m->count), GW_BOOK_FINE);
    CHECK_EQUAL(f->work.count, m->count); /* each of them is a change */
    if (m->count == 0) CHECK_EQUAL(gw_book_advance(&f->book, r->h.topic_seq), GW_BOOK_FINE);
}

/* The book is the copy, level by level. */
static inline void follower_compare(const follower_t *f, const gw_book_copy_t *copy) {
    uint32_t i = copy->count;
    CHECK_EQUAL(copy->seq, gw_book_seq(&f->book));
    CHECK_EQUAL(copy->count, gw_book_levels(&f->book, 0) + gw_book_levels(&f->book, 1));
    for (unsigned side = GW_BOOK_SIDES; side-- > 0;) {
        gw_book_cursor_t cursor = gw_book_best(&f->book, side);
        for (uint32_t at; (at = gw_book_next(&cursor)) != GW_BOOK_NONE;) {
            gw_book_row_t row;
            const gw_book_row_t *other = &copy->rows[--i];
            gw_book_row(&f->book, cursor.chunk, at, side, &row);
            CHECK_EQUAL(row.qty, other->qty);
            CHECK_EQUAL(row.digits, other->digits);
            CHECK_EQUAL(row.key * ten(copy->scale - gw_book_scale(&f->book)), other->key);
        }
    }
}

#endif
