/* A pool of books.
 *
 *   page 0    magic, sizes                                  written once
 *   heads     a book each: seqlock, seq, counts, then two directories of side_chunks entries
 *   wides     16 bytes each: quantities that do not fit a word
 *   chunks    64 levels each, as arrays: keys, quantities, digits and seq, and where the pool has them orders
 *
 * All references are numbers, so the memory may be mapped at any address. How many levels a chunk has stands in its
 * directory, beside the key that a search compares: so a search reads one line of the directory and those of the keys.
 *
 * **Memory order.** One thread writes a pool. It stores whole words, relaxed: `version` becomes odd, a release fence,
 * the message, then `version` even with release. A reader loads `version` with acquire, copies words relaxed, an acquire
 * fence, and loads `version` again: an equal, even one says that no store of a message came between. Each count and
 * number that it reads meanwhile may be of two states, or anything where the memory is damaged, so it is held against
 * the sizes before it is used. After GW_BOOK_TRIES the reader gives up, since a writer that was killed in a message
 * leaves its book odd. */
#include "gw_book_pool.h"
#include "gw_atomic.h"

#include <errno.h>

#define PAGE 4096u
#define MAGIC 0x31304b4f4f424754ull /* "TGBOOK01" */
#define WIDE_WORDS 2u
#define OPEN 1u
#define LOOK_EVERY 16u /* chunks copied between two looks at the version */
#define PAUSES 20u     /* while a message is applied: some 4 levels */

typedef struct {
    uint64_t magic;
    gw_book_sizes_t sizes;
} fixed_t;

static size_t page_up(size_t n) { return (n + PAGE - 1) & ~(size_t)(PAGE - 1); }

static bool sizes_fit(const gw_book_sizes_t *s) {
    return s->books - 1u < GW_BOOK_BOOKS_MAX && s->chunks - 1u < GW_BOOK_CHUNKS_MAX &&
           s->side_chunks - 1u < GW_BOOK_SIDE_CHUNKS_MAX && s->wides <= GW_BOOK_WIDES_MAX && s->orders <= 1;
}

static size_t head_size(const gw_book_sizes_t *s) {
    return sizeof(gw_book_head_t) + GW_BOOK_SIDES * (size_t)s->side_chunks * sizeof(gw_book_entry_t);
}

static size_t heads_size(const gw_book_sizes_t *s) { return page_up(s->books * ((head_size(s) + 63) & ~(size_t)63)); }

static size_t wides_size(const gw_book_sizes_t *s) { return page_up(s->wides * WIDE_WORDS * sizeof(uint64_t)); }

static size_t chunk_size(const gw_book_sizes_t *s) { return (3 + s->orders) * (size_t)GW_BOOK_CHUNK * sizeof(uint64_t); }

size_t gw_book_pool_size(const gw_book_sizes_t *s) {
    return sizes_fit(s) ? PAGE + heads_size(s) + wides_size(s) + page_up(s->chunks * chunk_size(s)) : 0;
}

static void view(gw_book_pool_t *pool, void *mem, const gw_book_sizes_t *s) {
    uint8_t *at = (uint8_t *)mem + PAGE;
    *pool = (gw_book_pool_t){.sizes = *s, .chunk_free = GW_BOOK_NONE, .wide_free = GW_BOOK_NONE};
    pool->heads = (uint64_t *)(void *)at;
    pool->wides = (uint64_t *)(void *)(at += heads_size(s));
    pool->chunks = (uint64_t *)(void *)(at + wides_size(s));
    pool->head_words = ((head_size(s) + 63) & ~(size_t)63) / sizeof(uint64_t);
    pool->chunk_words = chunk_size(s) / sizeof(uint64_t);
    pool->arrays = 3 + s->orders;
}

int gw_book_pool_format(gw_book_pool_t *pool, void *mem, size_t size, const gw_book_sizes_t *sizes) {
    size_t needed = gw_book_pool_size(sizes);
    if (needed == 0 || size < needed || (uintptr_t)mem % 64 != 0) return -EINVAL;
    fixed_t *fixed = mem;
    view(pool, mem, sizes);
    fixed->sizes = *sizes;
    GW_STORE_RELEASE(&fixed->magic, MAGIC);
    return 0;
}

int gw_book_pool_attach(gw_book_pool_t *pool, const void *mem, size_t size) {
    if (size < PAGE || (uintptr_t)mem % 64 != 0) return -EINVAL;
    const fixed_t *fixed = mem;
    if (GW_LOAD_ACQUIRE(&fixed->magic) != MAGIC) return -EINVAL;
    gw_book_sizes_t sizes = fixed->sizes;
    size_t needed = gw_book_pool_size(&sizes);
    if (needed == 0 || size < needed) return -EINVAL;
    view(pool, (void *)(uintptr_t)mem, &sizes);
    return 0;
}

/* --- what is free ---------------------------------------------------------------------------- */

/* Takes the number that was given back last; its first word has the one before. */
static uint32_t take(uint64_t *words, size_t stride, uint32_t *free, uint32_t *made, uint32_t *used, uint32_t most) {
    uint32_t number = *free;
    if (number != GW_BOOK_NONE) *free = (uint32_t)words[number * stride];
    else if (*made < most) number = (*made)++;
    else return GW_BOOK_NONE;
    ++*used;
    return number;
}

static void give(uint64_t *words, size_t stride, uint32_t *free, uint32_t *used, uint32_t number) {
    GW_STORE_RELAXED(words + number * stride, *free);
    *free = number;
    --*used;
}

uint32_t gw_book_chunk_take(gw_book_pool_t *p) {
    return take(p->chunks, p->chunk_words, &p->chunk_free, &p->chunks_made, &p->chunks_used, p->sizes.chunks);
}

void gw_book_chunk_give(gw_book_pool_t *p, uint32_t number) {
    give(p->chunks, p->chunk_words, &p->chunk_free, &p->chunks_used, number);
}

uint32_t gw_book_wide_take(gw_book_pool_t *p, int64_t low, int64_t high) {
    uint32_t number = take(p->wides, WIDE_WORDS, &p->wide_free, &p->wides_made, &p->wides_used, p->sizes.wides);
    if (number == GW_BOOK_NONE) return number;
    GW_STORE_RELAXED(p->wides + (size_t)number * WIDE_WORDS, (uint64_t)low);
    GW_STORE_RELAXED(p->wides + (size_t)number * WIDE_WORDS + 1, (uint64_t)high);
    return number;
}

void gw_book_wide_give(gw_book_pool_t *p, uint32_t number) {
    give(p->wides, WIDE_WORDS, &p->wide_free, &p->wides_used, number);
}

/* --- copies ---------------------------------------------------------------------------------- */

/* Copies a level out of words that were copied. False: its wide quantity cannot be. */
static bool row_copy(const gw_book_pool_t *p, const uint64_t *chunk, uint32_t i, unsigned side, gw_book_row_t *row) {
    uint64_t digits = chunk[2 * GW_BOOK_CHUNK + i];
    *row = (gw_book_row_t){.key = (int64_t)chunk[i],
                           .qty = (int64_t)chunk[GW_BOOK_CHUNK + i],
                           .digits = digits & GW_BOOK_DIGITS_MASK,
                           .side = (uint8_t)side};
    if (p->sizes.orders) row->orders = (uint32_t)chunk[3 * GW_BOOK_CHUNK + i];
    if (!(digits & GW_BOOK_WIDE)) return true;
    if ((uint64_t)row->qty >= p->sizes.wides) return false;
    const uint64_t *wide = p->wides + (size_t)row->qty * WIDE_WORDS;
    row->qty = (int64_t)GW_LOAD_RELAXED(wide);
    row->qty_high = (int64_t)GW_LOAD_RELAXED(wide + 1);
    return true;
}

/* Copies one side behind the rows that are there; false where what it reads cannot be one state. */
static bool side_copy(const gw_book_pool_t *p, const gw_book_head_t *head, unsigned side, uint64_t version,
                      gw_book_copy_t *out) {
    uint64_t chunks = GW_LOAD_RELAXED(&head->chunks[side]);
    if (chunks > p->sizes.side_chunks) return false;
    const gw_book_entry_t *entries = head->directory + side * (size_t)p->sizes.side_chunks;
    for (uint64_t e = 0; e < chunks; e++) {
        uint64_t place = GW_LOAD_RELAXED(&entries[e].place), words[4 * GW_BOOK_CHUNK];
        uint32_t number = (uint32_t)place, levels = (uint32_t)(place >> 32);
        if (number >= p->sizes.chunks || levels > GW_BOOK_CHUNK || levels > out->room - out->count) return false;
        const uint64_t *chunk = gw_book_pool_chunk(p, number);
        for (size_t a = 0; a < p->arrays; a++)
            gw_words_read((gw_word_t *)words + a * GW_BOOK_CHUNK, (const gw_word_t *)chunk + a * GW_BOOK_CHUNK, levels);
        out->took += levels;
        for (uint32_t i = 0; i < levels; i++)
            if (!row_copy(p, words, i, side, &out->rows[out->count++])) return false;
        if (e % LOOK_EVERY == LOOK_EVERY - 1 && GW_LOAD_RELAXED(&head->version) != version) return false;
    }
    return true;
}

/* One try: 1 where the copy is whole. */
static int copy_try(const gw_book_pool_t *p, const gw_book_head_t *head, gw_book_copy_t *out) {
    uint64_t version = GW_LOAD_ACQUIRE(&head->version);
    if (version % 2 == 1) {
        for (unsigned i = 0; i < PAUSES; i++) gw_cpu_relax();
        return 0;
    }
    uint64_t shape = GW_LOAD_RELAXED(&head->shape), levels = 0;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) levels += GW_LOAD_RELAXED(&head->levels[side]);
    bool whole = (shape & OPEN) != 0 && levels <= out->room;
    out->count = 0;
    out->scale = (unsigned)(shape >> 8 & 255);
    out->seq = GW_LOAD_RELAXED(&head->seq);
    out->owner = GW_LOAD_RELAXED(&head->owner);
    for (unsigned side = 0; whole && side < GW_BOOK_SIDES; side++) whole = side_copy(p, head, side, version, out);
    GW_FENCE_ACQUIRE();
    if (GW_LOAD_RELAXED(&head->version) != version) return 0;
    if (!(shape & OPEN)) return -ENOENT;
    if (levels > out->room) {
        out->count = levels < UINT32_MAX ? (uint32_t)levels : UINT32_MAX;
        return -ENOBUFS;
    }
    return whole && out->count == levels && out->scale <= GW_BOOK_PRICE_DECIMALS_MAX;
}

int gw_book_copy(const gw_book_pool_t *pool, uint32_t number, gw_book_copy_t *out) {
    out->count = 0;
    out->took = 0;
    if (number >= pool->sizes.books) return -ENOENT;
    const gw_book_head_t *head = gw_book_pool_head(pool, number);
    for (unsigned i = 0; i < GW_BOOK_TRIES && (!out->most || !i || out->took < out->most); i++) {
        int done = copy_try(pool, head, out);
        if (done < 0) return done;
        if (done > 0) return 0;
    }
    out->count = 0;
    return -EAGAIN;
}
