/* A book held still: a copy of its levels that is made in steps while the book goes on. */
#ifndef GW_BOOK_STILL_H
#define GW_BOOK_STILL_H
#include "gw_book.h"

#define GW_BOOK_STILL_CHANGES 1024u /* of the book while it is copied; after more it is copied once more, in larger steps */

typedef struct {
    gw_book_row_t *rows; /* once it is whole: bids, then asks, the best first */
    uint32_t levels[GW_BOOK_SIDES];
    uint64_t seq;        /* of the state; 0: the book may still change it */
    unsigned scale;
    bool whole;
    /* while it is made */
    bool copied;
    uint8_t side, again;       /* again: how often it was begun anew */
    uint32_t room, count, old; /* rows there may be, there are; how many of `source` are used */
    uint64_t since;            /* the book's seq as the copy was begun */
    gw_book_row_t *source;     /* what was copied, to be merged with `changed` */
    uint32_t source_levels[GW_BOOK_SIDES];
    gw_book_row_t *changed;    /* of the levels that changed meanwhile, what they are: GW_BOOK_UPD, GW_BOOK_DEL */
    uint32_t changed_count, changed_at;
} gw_book_still_t;

/* Zeroed at first. Does some more of it, some `most` levels' work; how many it took, 0: there is no memory. The book is open, and
 * what its records say. */
uint32_t gw_book_still_step(gw_book_still_t *still, const gw_book_t *book, uint32_t most);
void gw_book_still_free(gw_book_still_t *still);

#endif
