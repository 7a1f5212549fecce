/* Memory of order books: levels in chunks, found by number, so that a pool may lie anywhere, also in memory that other
 * processes map to read. gw_book_pool.c says how. */
#ifndef GW_BOOK_POOL_H
#define GW_BOOK_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_BOOK_CHUNK 64u               /* levels */
#define GW_BOOK_NONE UINT32_MAX         /* no chunk, no wide quantity */
#define GW_BOOK_BOOKS_MAX (1u << 20)
#define GW_BOOK_CHUNKS_MAX (1u << 24)   /* of a pool: 24 GiB */
#define GW_BOOK_SIDE_CHUNKS_MAX 4096u   /* of one side: 32,768 levels at the least */
#define GW_BOOK_WIDES_MAX (1u << 20)
#define GW_BOOK_TRIES 8u                /* of gw_book_copy */

enum { GW_BOOK_BID = 0, GW_BOOK_ASK = 1, GW_BOOK_SIDES = 2 };

/* A level's numbers beside key and quantity are bits of one word: the seq of its last change below, digits above. */
#define GW_BOOK_SEQ_BITS 43u
#define GW_BOOK_SEQ_MAX ((1ull << GW_BOOK_SEQ_BITS) - 1)
#define GW_BOOK_DIGITS_MASK (~GW_BOOK_SEQ_MAX)
#define GW_BOOK_WIDE (1ull << 63)       /* the quantity has 128 bits */
#define GW_BOOK_PRICE_DECIMALS_MAX 63u
#define GW_BOOK_QTY_DECIMALS_MAX 127u
#define GW_BOOK_QTY_ZEROS_MAX 127u

/* `price_decimals` and `qty_decimals` are the venue's digits after the point; `zeros` were taken off the quantity's end. */
static inline uint64_t gw_book_digits(unsigned price_decimals, unsigned qty_decimals, unsigned zeros) {
    return (uint64_t)qty_decimals << 43 | (uint64_t)zeros << 50 | (uint64_t)price_decimals << 57;
}
static inline unsigned gw_book_qty_decimals(uint64_t digits) { return digits >> 43 & 127; }
static inline unsigned gw_book_qty_zeros(uint64_t digits) { return digits >> 50 & 127; }
static inline unsigned gw_book_price_decimals(uint64_t digits) { return digits >> 57 & 63; }

typedef struct {
    uint32_t books, chunks;
    uint32_t side_chunks; /* of one side of one book */
    uint32_t wides;       /* quantities of more than 63 bits */
    uint32_t orders;      /* 1: levels have a count of orders */
} gw_book_sizes_t;

/* What a side knows of one chunk. */
typedef struct {
    int64_t smallest; /* key in it */
    uint64_t place;   /* its number; how many levels it has in the upper half */
} gw_book_entry_t;

static inline uint32_t gw_book_entry_chunk(const gw_book_entry_t *e) { return (uint32_t)e->place; }
static inline uint32_t gw_book_entry_levels(const gw_book_entry_t *e) { return (uint32_t)(e->place >> 32); }

typedef struct {
    uint64_t version; /* of the seqlock: odd while the book is written */
    uint64_t seq;     /* of the state; 0: empty, and never written */
    uint64_t shape;   /* 1 while it is open, and 256 * scale */
    uint64_t owner;   /* whose book it is: gw_book_own; 0: nobody's */
    uint64_t levels[GW_BOOK_SIDES], chunks[GW_BOOK_SIDES];
    gw_book_entry_t directory[]; /* bids', then asks', side_chunks each; the best chunk last */
} gw_book_head_t;

/* A process's view of a pool. What only its writer knows (which chunks are free) is not in the memory. */
typedef struct {
    gw_book_sizes_t sizes;
    uint64_t *heads, *chunks, *wides; /* in the memory */
    size_t head_words, chunk_words, arrays;
    uint32_t chunk_free, chunks_made, chunks_used; /* free ones are a chain; those from `made` on were never used */
    uint32_t wide_free, wides_made, wides_used;
} gw_book_pool_t;

/* A level of a copied, rendered or changed book. `key` is its price at the book's scale (a power of ten), of asks minus
 * the price: the larger, the better. */
typedef struct {
    int64_t key;
    int64_t qty;      /* without the zeros at its end; of a wide one the lower half */
    int64_t qty_high; /* the upper half: 0 where it is not wide */
    uint64_t digits;  /* gw_book_digits, GW_BOOK_WIDE */
    uint32_t orders;
    uint8_t side, kind;
    uint8_t had; /* of a changed level: the price's decimals before */
} gw_book_row_t;

typedef struct {
    gw_book_row_t *rows; /* given: bids, then asks, each with the worst first */
    uint32_t room;       /* given: of rows */
    uint64_t most;       /* given: behind so many levels no further try is made; 0: all are */
    uint64_t took;       /* levels that were copied, by all tries */
    uint32_t count;
    unsigned scale;
    uint64_t seq;
    uint64_t owner; /* of the one that has this place now */
} gw_book_copy_t;

/* Bytes that such a pool takes; 0: a size is none. */
size_t gw_book_pool_size(const gw_book_sizes_t *sizes);
/* Makes a pool of zeroed, 64-byte aligned memory, for its one writer. -EINVAL. */
int gw_book_pool_format(gw_book_pool_t *pool, void *mem, size_t size, const gw_book_sizes_t *sizes);
/* A reader's view; the memory may be read-only. -EINVAL: no pool of this version, or it is cut. */
int gw_book_pool_attach(gw_book_pool_t *pool, const void *mem, size_t size);

/* Copies a book as it was between two messages. -ENOENT: there is none; -ENOBUFS: `count` rows would be needed;
 * -EAGAIN: it was written all the while, or its writer died in the middle. */
int gw_book_copy(const gw_book_pool_t *pool, uint32_t number, gw_book_copy_t *out);

static inline gw_book_head_t *gw_book_pool_head(const gw_book_pool_t *p, uint32_t number) {
    return (gw_book_head_t *)(p->heads + (size_t)number * p->head_words);
}
static inline uint64_t *gw_book_pool_chunk(const gw_book_pool_t *p, uint32_t number) {
    return p->chunks + (size_t)number * p->chunk_words;
}

/* The writer's: GW_BOOK_NONE where none is left. */
uint32_t gw_book_chunk_take(gw_book_pool_t *pool);
void gw_book_chunk_give(gw_book_pool_t *pool, uint32_t number);
uint32_t gw_book_wide_take(gw_book_pool_t *pool, int64_t low, int64_t high);
void gw_book_wide_give(gw_book_pool_t *pool, uint32_t number);

#endif
