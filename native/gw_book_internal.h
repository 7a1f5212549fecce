/* What the files of the book share. */
#ifndef GW_BOOK_INTERNAL_H
#define GW_BOOK_INTERNAL_H
#include "gw_atomic.h"
#include "gw_book.h"

enum { GW_BOOK_KEYS = 0, GW_BOOK_QTYS = 1, GW_BOOK_MARKS = 2, GW_BOOK_ORDERS = 3 }; /* arrays of a chunk */

/* --- one side (gw_book_side.c) ----------------------------------------------------------------- */

typedef struct {
    uint32_t entry, at; /* where the key is, or would be */
    bool there;
} gw_book_spot_t;

gw_book_spot_t gw_book_side_find(const gw_book_t *b, unsigned side, int64_t key);
/* Makes a level what the row says, a deletion where its quantity is 0, and says in the row which of GW_BOOK_KEPT, ... it
 * was. The pool has what it needs. */
void gw_book_side_set(gw_book_t *b, gw_book_row_t *row, uint64_t seq);
/* Fills an empty side with levels of it, whose keys rise. The pool has what it needs. */
void gw_book_side_fill(gw_book_t *b, gw_book_row_t *rows, uint32_t count, uint64_t seq);
/* Takes the worst level out. */
void gw_book_side_evict(gw_book_t *b, unsigned side, gw_book_row_t *row, uint64_t *seq);
/* The key of the level at a depth, or of the worst one where there are fewer; GW_BOOK_WORST_NONE: no level. */
int64_t gw_book_side_worst(const gw_book_t *b, unsigned side, uint32_t depth);
/* Multiplies all keys. */
void gw_book_side_rescale(gw_book_t *b, unsigned side, int64_t factor);
void gw_book_side_clear(gw_book_t *b, unsigned side);

/* Whether a level is shown the same way. */
static inline bool gw_book_row_same(const gw_book_t *b, const gw_book_row_t *x, const gw_book_row_t *y) {
    return x->qty == y->qty && x->digits == y->digits && x->qty_high == y->qty_high &&
           (x->orders == y->orders || !b->pool->sizes.orders);
}

/* Makes a row a deletion of the level that was there. */
static inline void gw_book_row_gone(gw_book_row_t *row) {
    row->qty = row->qty_high = 0;
    row->orders = 0;
    row->digits = gw_book_digits(row->had, 0, 0);
}

/* --- the log (gw_book_log.c) ------------------------------------------------------------------- */

int gw_book_log_init(gw_book_log_t *log);
void gw_book_log_free(gw_book_log_t *log);
/* Makes room for 2 x levels changes, up to GW_BOOK_LOG_MAX; without memory it stays as it is. */
void gw_book_log_grow(gw_book_log_t *log, uint64_t levels);
void gw_book_log_put(gw_book_log_t *log, const gw_book_row_t *row, uint64_t seq);
/* Forgets all; updates from before `seq` are not served. */
void gw_book_log_clear(gw_book_log_t *log, uint64_t seq);
/* The number of the first change after `since`, which is not below `floor`. */
uint64_t gw_book_log_from(const gw_book_log_t *log, uint64_t since);

static inline const gw_book_change_t *gw_book_log_at(const gw_book_log_t *log, uint64_t number) {
    return &log->ring[number & (log->capacity - 1)];
}

/* --- rows (gw_book_rows.c) --------------------------------------------------------------------- */

/* A whole state, which takes the book's place: at the coarsest scale that its prices have, or at the copy's. */
gw_book_refusal_t gw_book_rows_anew(const gw_book_t *book, gw_book_work_t *work, const gw_book_level_t *levels,
                                    uint32_t count);
gw_book_refusal_t gw_book_rows_copy_anew(const gw_book_t *book, gw_book_work_t *work, const gw_book_copy_t *copy);

/* Room for so many rows; false: there is no memory, or they are more than a message may have and a book besides. */
bool gw_book_work_room(gw_book_work_t *work, uint64_t rows);
/* Checks a venue's levels and makes rows of them at the finest scale of them and the book, one for each key. */
gw_book_refusal_t gw_book_rows_take(const gw_book_t *b, gw_book_work_t *work, const gw_book_level_t *levels,
                                    uint32_t count);
/* The same of rows that another book's message left: as they are, at the book's own scale. */
gw_book_refusal_t gw_book_rows_given(const gw_book_t *b, gw_book_work_t *work, unsigned scale, const gw_book_row_t *rows,
                                     uint32_t count);
/* The same of a copy's rows. */
gw_book_refusal_t gw_book_rows_copy(const gw_book_t *b, gw_book_work_t *work, const gw_book_copy_t *copy);
/* Makes the rows, which are a state, what differs from the book's. */
gw_book_refusal_t gw_book_rows_differ(const gw_book_t *b, gw_book_work_t *work);
int64_t gw_book_power(unsigned exponent); /* 10^0 to 10^18 */

/* --- windows (gw_book_window.c) ---------------------------------------------------------------- */

/* After a message: which windows it changed. `best`: the best key on each side that it touched. */
void gw_book_windows_follow(gw_book_t *b, const int64_t best[GW_BOOK_SIDES], const bool touched[GW_BOOK_SIDES],
                            bool reset);

#endif
