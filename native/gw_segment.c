/* The segment's layout: one page of header and counters, then directory, last-value table, block index, ring and order
 * books, each from a page boundary on. Offsets follow from the three sizes, so there is none to mistrust. */
#include "gw_atomic.h"
#include "gw_ring.h"

#include <errno.h>
#include <string.h>

#define PAGE 4096u
#define CAPACITY_MAX (1ull << 40)
#define TOPICS_MAX (1u << 24)

typedef struct {
    uint64_t magic;
    uint32_t version, topics_max;
    uint64_t capacity;
    char epoch[GW_EPOCH_LENGTH];
    uint32_t book_levels, reserved; /* 0: no books */
} fixed_t;

typedef struct {
    fixed_t fixed; /* written once */
    uint64_t pad0[3];
    uint64_t tail_intent, pad1[7];
    uint64_t tail, pad2[7];
    uint64_t topics, full, changes, pad3[5];
    uint64_t origins_count;
    char origins[GW_ORIGINS_MAX][GW_EPOCH_LENGTH];
} layout_t;
_Static_assert(sizeof(layout_t) <= PAGE, "the first page");
_Static_assert(offsetof(layout_t, tail) == 128, "each counter on a line of its own");

static uint64_t page_up(uint64_t n) { return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1); }

static uint64_t directory_size(uint32_t topics_max) {
    return page_up((uint64_t)topics_max * GW_DIRECTORY_WORDS * sizeof(uint64_t));
}

static uint64_t table_size(uint32_t topics_max) {
    return page_up((uint64_t)topics_max * GW_SLOT_WORDS * sizeof(uint64_t));
}

/* Small rings have small blocks, so that going back into them does not end where a block begins. */
static uint64_t block_of(uint64_t capacity) {
    return capacity / GW_BLOCKS_MIN < GW_BLOCK_MAX ? capacity / GW_BLOCKS_MIN : GW_BLOCK_MAX;
}

static uint64_t blocks_size(uint64_t capacity) {
    return page_up(capacity / block_of(capacity) * GW_BLOCK_WORDS * sizeof(uint64_t));
}

#define SIDE_CHUNKS 2048u /* of one side of a book: 64 KiB of directories a book, touched on use */
#define CHUNKS_MIN 256u /* so that a message of some 2,000 levels fits even the smallest pool */
#define BOOKS_MIN 16u
#define WIDE_LEVELS 64u /* of so many levels one may have a quantity beyond 63 bits */

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

gw_book_sizes_t gw_segment_books(uint32_t topics_max, uint32_t book_levels) {
    if (book_levels == 0) return (gw_book_sizes_t){0};
    gw_book_sizes_t s = {.wides = smaller(larger(book_levels / WIDE_LEVELS, 1), GW_BOOK_WIDES_MAX)};
    s.books = smaller(larger(book_levels / GW_BOOK_LEVELS_MEAN, BOOKS_MIN), smaller(topics_max, GW_BOOK_BOOKS_MAX));
    s.chunks = larger(book_levels / (GW_BOOK_CHUNK / 2), CHUNKS_MIN);
    s.side_chunks = smaller(s.chunks, SIDE_CHUNKS);
    return s;
}

static uint64_t books_size(uint32_t topics_max, uint32_t book_levels) {
    gw_book_sizes_t sizes = gw_segment_books(topics_max, book_levels);
    return book_levels == 0 ? 0 : gw_book_pool_size(&sizes);
}

static int sizes_check(uint64_t capacity, uint32_t topics_max, uint32_t book_levels) {
    if (book_levels > GW_BOOK_LEVELS_MAX) return -EINVAL;
    if (capacity < PAGE || capacity > CAPACITY_MAX || (capacity & (capacity - 1)) != 0)
        return -EINVAL;
    return topics_max == 0 || topics_max > TOPICS_MAX ? -EINVAL : 0;
}

static int epoch_check(const char *epoch) {
    for (size_t i = 0; i < GW_EPOCH_LENGTH; i++) {
        char c = epoch[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))) return -EINVAL;
    }
    return 0;
}

size_t gw_segment_size(uint64_t capacity, uint32_t topics_max) {
    return (size_t)(PAGE + directory_size(topics_max) + table_size(topics_max) + blocks_size(capacity) + capacity);
}

size_t gw_segment_books_size(uint64_t capacity, uint32_t topics_max, uint32_t book_levels) {
    return gw_segment_size(capacity, topics_max) + (size_t)books_size(topics_max, book_levels);
}

int gw_segment_format(void *mem, size_t size, uint64_t capacity, uint32_t topics_max, const char *epoch) {
    return gw_segment_books_format(mem, size, capacity, topics_max, 0, epoch);
}

int gw_segment_books_format(void *mem, size_t size, uint64_t capacity, uint32_t topics_max, uint32_t book_levels,
                            const char *epoch) {
    if (sizes_check(capacity, topics_max, book_levels) < 0 || epoch_check(epoch) < 0) return -EINVAL;
    if (size < gw_segment_books_size(capacity, topics_max, book_levels)) return -EINVAL;
    layout_t *layout = mem;
    memset(layout, 0, sizeof *layout);
    layout->fixed.version = GW_SEGMENT_VERSION;
    layout->fixed.topics_max = topics_max;
    layout->fixed.capacity = capacity;
    layout->fixed.book_levels = book_levels;
    memcpy(layout->fixed.epoch, epoch, GW_EPOCH_LENGTH);
    memcpy(layout->origins[0], epoch, GW_EPOCH_LENGTH);
    layout->origins_count = 1;
    /* So that no record meets its pages: they are a 4,096th of the ring. */
    memset((uint8_t *)mem + PAGE + directory_size(topics_max) + table_size(topics_max), 0, blocks_size(capacity));
    if (book_levels > 0) {
        gw_book_sizes_t sizes = gw_segment_books(topics_max, book_levels);
        gw_book_pool_t pool;
        uint8_t *at = (uint8_t *)mem + gw_segment_size(capacity, topics_max);
        if (gw_book_pool_format(&pool, at, (size_t)books_size(topics_max, book_levels), &sizes) < 0) return -EINVAL;
    }
    layout->fixed.magic = GW_SEGMENT_MAGIC;
    return 0;
}

int gw_segment_open(void *mem, size_t size, gw_segment_t *view) {
    if (size < PAGE) return -EINVAL;
    layout_t *layout = mem;
    fixed_t fixed; /* read once: a writer may change what was checked */
    gw_words_read((gw_word_t *)&fixed, (const gw_word_t *)mem, sizeof fixed / 8);
    if (fixed.magic != GW_SEGMENT_MAGIC || fixed.version != GW_SEGMENT_VERSION) return -EINVAL;
    if (sizes_check(fixed.capacity, fixed.topics_max, fixed.book_levels) < 0) return -EINVAL;
    if (size < gw_segment_books_size(fixed.capacity, fixed.topics_max, fixed.book_levels)) return -EINVAL;
    if (epoch_check(fixed.epoch) < 0) return -EINVAL;
    uint8_t *base = mem;
    *view = (gw_segment_t){.base = base,
                           .capacity = fixed.capacity,
                           .topics_max = fixed.topics_max,
                           .tail_intent = &layout->tail_intent,
                           .tail = &layout->tail,
                           .topics = &layout->topics,
                           .full = &layout->full,
                           .changes = &layout->changes};
    memcpy(view->epoch, fixed.epoch, GW_EPOCH_LENGTH);
    base += PAGE;
    view->directory = (uint64_t *)base;
    base += directory_size(view->topics_max);
    view->table = (uint64_t *)base;
    base += table_size(view->topics_max);
    view->blocks = (uint64_t *)base;
    view->block = block_of(view->capacity);
    view->blocks_count = view->capacity / view->block;
    view->ring = base + blocks_size(view->capacity);
    if (fixed.book_levels == 0) return 0;
    base = view->ring + view->capacity;
    return gw_book_pool_attach(&view->books, base, (size_t)books_size(fixed.topics_max, fixed.book_levels));
}

const char *gw_segment_origin(const gw_segment_t *s, uint8_t origin) {
    const layout_t *layout = (const layout_t *)(const void *)s->base;
    return origin < GW_ORIGINS_MAX && origin < layout->origins_count ? layout->origins[origin] : NULL;
}
