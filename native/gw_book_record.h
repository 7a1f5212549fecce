/* A book's record in the ring: what one venue message changed, whole, in so many cells as it takes.
 *
 * Rows are those of gw_book_apply: deletions of what was there, evictions beyond the venue's depth among them, and levels
 * as they are now, at the book's scale. Where they are more than a record may have, or the scale changed, there are none and
 * GW_BOOK_RECORD_RESET says that a plane has to copy the book from the pool (gw_book_copy). */
#ifndef GW_BOOK_RECORD_H
#define GW_BOOK_RECORD_H
#include "gw_book_pool.h"
#include "gw_record.h"

#define GW_BOOK_ID_MAX 24u /* bytes of a venue's number of a message */

enum { GW_BOOK_RECORD_RESET = 1 };

typedef struct {
    uint16_t count; /* of rows */
    uint8_t scale, what;
    uint8_t first_length, last_length; /* 0: the venue has no ids */
    uint8_t extra, reserved;           /* extra: 0 */
    uint32_t book; /* its place in the pool */
    uint32_t reserved2;
    char first_id[GW_BOOK_ID_MAX], last_id[GW_BOOK_ID_MAX]; /* the venue's numbers that the message spans */
} gw_book_message_t;
_Static_assert(sizeof(gw_book_message_t) == GW_CELL, "one cell, then rows");

#define GW_BOOK_RECORD_ROWS_MAX \
    ((GW_RECORD_CELLS_MAX - GW_RECORD_CELLS) * GW_CELL / (unsigned)sizeof(gw_book_row_t))

static inline uint16_t gw_book_record_cells(uint32_t count) {
    return (uint16_t)(GW_RECORD_CELLS + (count * sizeof(gw_book_row_t) + GW_CELL - 1) / GW_CELL);
}
/* Whose a book in the segment's pool is (gw_book_own): a topic's, and the generation that its records bear. */
static inline uint64_t gw_book_owner(uint32_t topic, uint16_t generation) {
    return (uint64_t)generation << 32 | topic;
}
static inline gw_book_message_t *gw_book_message(gw_record_t *r) { return (gw_book_message_t *)(void *)&r->u; }
static inline gw_book_row_t *gw_book_message_rows(gw_record_t *r) { return (gw_book_row_t *)(void *)&r->tail; }

#endif
