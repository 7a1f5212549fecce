/* Pages ahead of a writer.
 *
 * A circular buffer is written from its start to its end, again and again. Until the first lap ends,
 * each page is touched for the first time, and the writer pays for it: the kernel finds a page and
 * clears it, 1 to 2 us. Populating the whole buffer at the start costs its size for ever, also where the
 * writer never gets that far. So the writer populates GW_AHEAD_LEAD bytes ahead of its position, after
 * its records have left and at most a budget at a time. */
#ifndef GW_AHEAD_H
#define GW_AHEAD_H
#include <stddef.h>
#include <stdint.h>

/* What the writer may append between two steps without meeting a new page: twice the largest batch
 * that a feed publishes at once, and the frames of 4,096 records. */
#define GW_AHEAD_LEAD (1u << 20)
/* The most that one step populates: 32 pages of the ring (75 us where a page costs 2.3 us). */
#define GW_AHEAD_BUDGET (128u << 10)

/* Positions count all bytes ever appended. */
typedef struct {
    uint8_t *base;
    uint64_t size; /* of the buffer */
    uint64_t done; /* position up to which its pages are there */
    uint64_t end;  /* position up to which there are pages to populate: the first lap's end */
    int advice;
} gw_ahead_t;

/* A buffer that will be written (or, as another process's, read) from `position` on; whole pages. */
void gw_ahead_init_write(gw_ahead_t *a, void *base, uint64_t size, uint64_t position);
void gw_ahead_init_read(gw_ahead_t *a, const void *base, uint64_t size, uint64_t position);

/* gw_ahead, where there is something to populate. */
uint64_t gw_ahead_step(gw_ahead_t *a, uint64_t position, uint64_t lead, uint64_t budget);

/* Populates up to `lead` bytes ahead of `position`, at most `budget` bytes now; says how many. */
static inline uint64_t gw_ahead(gw_ahead_t *a, uint64_t position, uint64_t lead, uint64_t budget) {
    return a->done < a->end ? gw_ahead_step(a, position, lead, budget) : 0;
}

#endif
