/* An order book: what a venue's messages make of it, what of that changed, and since when.
 *
 * The writer of a segment keeps its books in a pool that others read; a plane keeps a copy of its own, and applies to it
 * what the writer's book says that a message changed. gw_book.c has the theory, gw_book_render.h what clients get. */
#ifndef GW_BOOK_H
#define GW_BOOK_H
#include "gw_book_pool.h"

#define GW_BOOK_MESSAGE_MAX (1u << 17) /* levels of one message or state */
#define GW_BOOK_ENTRIES_MAX 4096u      /* of the log, that one update is made of */
#define GW_BOOK_LOG_MIN 256u
#define GW_BOOK_LOG_MAX 16384u
#define GW_BOOK_KEY_MAX 999999999999999999 /* 18 digits, as many as an int64 always has */
#define GW_BOOK_WORST_NONE INT64_MAX       /* in place of a worst key: the side is empty */

/* A level as a venue gives it: price * 10^-price_decimals. Quantity 0 deletes it. Zeros at the quantity's end are counted
 * by `qty_zeros` instead; its top bit says that the quantity does not fit 63 bits. */
typedef struct {
    int64_t price, qty;
    int64_t qty_high; /* the upper half of a wide one; else 0 */
    uint32_t orders;
    uint8_t side, price_decimals, qty_decimals, qty_zeros;
} gw_book_level_t;
#define GW_BOOK_LEVEL_WIDE 0x80u
_Static_assert(sizeof(gw_book_level_t) == 32, "a batch's element");

/* What became of a level. */
enum { GW_BOOK_KEPT = 0, GW_BOOK_INS = 1, GW_BOOK_UPD = 2, GW_BOOK_DEL = 3 };

typedef enum {
    GW_BOOK_FINE,
    GW_BOOK_NO_SIDE,        /* neither bid nor ask */
    GW_BOOK_PRICE_REFUSED,  /* the text is no decimal that is carried (gw_refusal_t) */
    GW_BOOK_QTY_REFUSED,
    GW_BOOK_PRICE_WIDE,     /* more than 18 digits at the book's scale, or at the one that this price needs */
    GW_BOOK_PRICE_DECIMALS, /* more than GW_BOOK_PRICE_DECIMALS_MAX */
    GW_BOOK_QTY_NEGATIVE,
    GW_BOOK_QTY_WIDE,       /* more zeros or decimals than a level can say */
    GW_BOOK_LEVELS_MANY,    /* more than GW_BOOK_MESSAGE_MAX, the book's own included where they are compared */
    GW_BOOK_SEQ_OLD,        /* not above the book's, or above GW_BOOK_SEQ_MAX */
    GW_BOOK_SIDE_FULL,      /* the side might need more than side_chunks */
    GW_BOOK_POOL_FULL,      /* the message might need more chunks than are free */
    GW_BOOK_WIDES_FULL,     /* it has more wide quantities than are free */
    GW_BOOK_NO_MEMORY,
    GW_BOOK_PLACES_FULL,    /* there is room for no more books */
    GW_BOOK_REFUSAL_END
} gw_book_refusal_t;

const char *gw_book_refusal_text(gw_book_refusal_t refusal);

/* A change, in the log that updates are made of: the key; and side, kind, the price's decimals before, seq. */
typedef struct {
    int64_t key;
    uint64_t what;
} gw_book_change_t;

static inline uint64_t gw_book_change_seq(const gw_book_change_t *c) { return c->what & GW_BOOK_SEQ_MAX; }
static inline unsigned gw_book_change_side(const gw_book_change_t *c) { return c->what >> 62 & 1; }
static inline unsigned gw_book_change_kind(const gw_book_change_t *c) { return c->what >> 60 & 3; }
static inline unsigned gw_book_change_had(const gw_book_change_t *c) { return c->what >> 54 & 63; }

typedef struct {
    gw_book_change_t *ring;
    uint32_t capacity; /* a power of two; 0: the book has no log */
    uint64_t head;     /* changes ever written since it was last empty */
    uint64_t floor;    /* seq of the newest change that was overwritten, or was left out */
} gw_book_log_t;

#define GW_BOOK_DEPTHS 8u
extern const uint32_t gw_book_depths[GW_BOOK_DEPTHS]; /* 1 5 10 25 100 500 1000; 0: all */

/* The best levels of a book, as deep as a subscription shows it. While it has links, each message says whether it
 * changed: so links that have its newest change have nothing to get, whatever happens deeper. */
typedef struct {
    uint32_t depth;             /* UINT32_MAX: all */
    uint32_t links;             /* 0: nothing is kept */
    uint64_t changed, before;   /* seq of its last change, and of the one before that: between them it stood still */
    int64_t worst[GW_BOOK_SIDES];
    bool full[GW_BOOK_SIDES];
} gw_book_window_t;

/* A book in a pool, as its writer sees it. */
typedef struct {
    gw_book_pool_t *pool;
    gw_book_head_t *head;
    gw_book_entry_t *directory[GW_BOOK_SIDES];
    uint32_t number, depth; /* depth: the venue's own; 0: none */
    gw_book_log_t log;
    gw_book_window_t windows[GW_BOOK_DEPTHS];
} gw_book_t;

/* What a thread needs to apply messages to its books, and what the last one did. */
typedef struct {
    gw_book_row_t *rows;  /* what really changed, evictions among it: `count` */
    gw_book_row_t *spare;
    uint32_t capacity, count;
    uint32_t at;          /* of a refused message: which level, from 0 */
    unsigned scale;       /* at which the rows' keys are */
    bool reset;           /* the scale changed: nothing of before is comparable */
    gw_book_change_t *entries, *entries_spare; /* of GW_BOOK_ENTRIES_MAX */
} gw_book_work_t;

/* -ENOMEM. It grows with messages up to GW_BOOK_MESSAGE_MAX. */
int gw_book_work_init(gw_book_work_t *work);
void gw_book_work_free(gw_book_work_t *work);

/* Opens an empty book in a place of the pool that has none. `logged`: of a plane, which renders it. -EINVAL, -EEXIST,
 * -ENOMEM. */
int gw_book_open(gw_book_t *book, gw_book_pool_t *pool, uint32_t number, uint32_t depth, bool logged);
void gw_book_close(gw_book_t *book);
/* Says whose it is, to those who copy it: a place may be another's by then. 0: nobody's. */
void gw_book_own(gw_book_t *book, uint64_t owner);

static inline uint64_t gw_book_seq(const gw_book_t *b) { return b->head->seq; }
static inline unsigned gw_book_scale(const gw_book_t *b) { return (unsigned)(b->head->shape >> 8); }
static inline uint32_t gw_book_levels(const gw_book_t *b, unsigned side) { return (uint32_t)b->head->levels[side]; }

/* Applies a venue's message whole, or refuses it and leaves the book as it is. Of several levels with one price the last
 * counts. Where nothing changes (deletions of what is not there, the same again), `work->count` is 0 and the book keeps
 * its seq, unless the scale changed. */
gw_book_refusal_t gw_book_apply(gw_book_t *book, gw_book_work_t *work, uint64_t seq, const gw_book_level_t *levels,
                                uint32_t count);
/* Applies what another book's message changed (its `work->rows`, at `work->scale`), from memory that may say anything. A
 * scale that is not the book's is refused. */
gw_book_refusal_t gw_book_take(gw_book_t *book, gw_book_work_t *work, uint64_t seq, unsigned scale,
                               const gw_book_row_t *rows, uint32_t count);
/* Makes the book what a venue's snapshot says, as the difference to what it was. */
gw_book_refusal_t gw_book_replace(gw_book_t *book, gw_book_work_t *work, uint64_t seq, const gw_book_level_t *levels,
                                  uint32_t count);
/* The same from a copy of another book, at the copy's seq, or at the book's own where that is the same already. */
gw_book_refusal_t gw_book_follow(gw_book_t *book, gw_book_work_t *work, const gw_book_copy_t *copy);
/* Tells a seq at which nothing changed. */
gw_book_refusal_t gw_book_advance(gw_book_t *book, uint64_t seq);

/* A row as a level again: what a writer publishes of `work->rows`, at `work->scale`. */
/* The row of a level by itself, whose scale are its own decimals. */
void gw_book_level_row(const gw_book_level_t *level, gw_book_row_t *out);
void gw_book_level_from(const gw_book_row_t *row, unsigned scale, gw_book_level_t *out);

/* The window of a depth that subscriptions may have (0: all); NULL: none may. A link holds it. */
gw_book_window_t *gw_book_window(gw_book_t *book, uint32_t depth);
void gw_book_window_hold(gw_book_t *book, gw_book_window_t *window);
void gw_book_window_leave(gw_book_window_t *window);

/* --- levels, one after the other, the best first ------------------------------------------------ */

typedef struct {
    const gw_book_t *book;
    const uint64_t *chunk; /* of entry */
    uint32_t entry;        /* those up to it are left */
    uint32_t left;         /* levels of it that are left */
    unsigned side;
} gw_book_cursor_t;

static inline void gw_book_cursor_load(gw_book_cursor_t *c) {
    const gw_book_entry_t *e = &c->book->directory[c->side][c->entry];
    c->chunk = gw_book_pool_chunk(c->book->pool, gw_book_entry_chunk(e));
    c->left = gw_book_entry_levels(e);
}

static inline gw_book_cursor_t gw_book_best(const gw_book_t *book, unsigned side) {
    gw_book_cursor_t c = {.book = book, .side = side};
    if (book->head->chunks[side] == 0) return c;
    c.entry = (uint32_t)book->head->chunks[side] - 1;
    gw_book_cursor_load(&c);
    return c;
}

/* The one that comes to the best level worse than a key next. */
gw_book_cursor_t gw_book_worse(const gw_book_t *book, unsigned side, int64_t key);

/* The index in `chunk` of the next level; GW_BOOK_NONE: there is none. */
static inline uint32_t gw_book_next(gw_book_cursor_t *c) {
    if (c->left == 0) {
        if (c->entry == 0) return GW_BOOK_NONE;
        c->entry--;
        gw_book_cursor_load(c);
    }
    return --c->left;
}

/* The level at an index of a chunk, as a row without kind. */
void gw_book_row(const gw_book_t *book, const uint64_t *chunk, uint32_t at, unsigned side, gw_book_row_t *row);

#endif
