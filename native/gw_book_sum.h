/* The checksum of a book's best levels, as Kraken has it: CRC-32 of asks, then bids, each price then quantity, the digits
 * alone. */
#ifndef GW_BOOK_SUM_H
#define GW_BOOK_SUM_H
#include "gw_book.h"

#define GW_BOOK_SUM_LEVELS 10u  /* of a side */
#define GW_BOOK_SUM_PLACES 20u  /* of a side's kept texts: the levels of two lists that have nothing in common */
#define GW_BOOK_SUM_KEPT 40u    /* bytes of a text that is kept; longer ones are written each time */

/* A level's digits as they were written last. */
typedef struct {
    int64_t key, qty;
    uint64_t shown; /* digits, with lengths and scale below; 0: there is no text */
    char text[GW_BOOK_SUM_KEPT];
} gw_book_kept_t;
_Static_assert(sizeof(gw_book_kept_t) == 64, "a line");

typedef struct {
    gw_book_kept_t kept[GW_BOOK_SUM_PLACES];
    uint32_t used, count; /* which places are; how many */
    uint8_t order[GW_BOOK_SUM_LEVELS]; /* their places, the best key first */
} gw_book_sum_side_t;

/* The texts of one book, for as long as its levels stay what they are. Zeroed at first. */
typedef struct {
    gw_book_sum_side_t sides[GW_BOOK_SIDES];
} gw_book_sum_t;

/* The checksum over as many levels as a window of `depth` shows (0: all), at most GW_BOOK_SUM_LEVELS. */
uint32_t gw_book_sum(const gw_book_t *book, gw_book_sum_t *sum, uint32_t depth);

#endif
