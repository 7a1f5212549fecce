/* An order book's levels in binary frames, both ways: rows of the groups of template Book (docs/sbe.md). */
#ifndef GW_SBE_BOOK_H
#define GW_SBE_BOOK_H
#include "gw_book.h"
#include "gw_sbe.h"

#define GW_SBE_LEVEL_BYTES 18u
#define GW_SBE_WIDE_BYTES 16u

/* Levels of a book's message; how many are made: those of both groups. */
static inline uint32_t gw_sbe_book_count(const gw_sbe_message_t *m) {
    return (uint32_t)m->groups[GW_SBE_BIDS].count + m->groups[GW_SBE_ASKS].count;
}

/* Makes levels of them, bids first: `out` has room for gw_sbe_book_count. GW_SBE_LEVEL: no book can have one of them. */
gw_sbe_fault_t gw_sbe_book_levels(const gw_sbe_message_t *m, gw_book_level_t *out);

/* Checks as many levels; where there is `out`, makes rows of numpy's of them, of the book's frame with this number. */
gw_sbe_fault_t gw_sbe_book_rows(const gw_sbe_message_t *m, uint32_t book, gw_sbe_level_row_t *out);
/* One such row, of a level wherever it comes from; it gets side and number from its batch. */
void gw_sbe_level_row(const gw_book_level_t *level, uint32_t book, gw_sbe_level_row_t *out);

/* Writes rows, of one side, as a group with its dimensions, and the quantities among `count` rows that do not fit as the
 * group of those; where it ends. */
char *gw_sbe_book_group(const gw_book_row_t *rows, uint32_t count, unsigned scale, char *out);
char *gw_sbe_book_wides(const gw_book_row_t *rows, uint32_t count, char *out);
/* How many rows from the first on have room in so many bytes of groups, without their dimensions (gw_book_fit_t). */
uint32_t gw_sbe_book_fit(const gw_book_row_t *rows, uint32_t count, size_t bytes);

#endif
