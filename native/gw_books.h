/* The writer's books: in its segment's pool, one for each topic of order books that has had a message.
 *
 * They have a mutex of their own, which a message's application holds: of another book a thread may wait for it, of
 * trades none does. Who holds it may take the publisher's; never the other way round. */
#ifndef GW_BOOKS_H
#define GW_BOOKS_H
#include "gw_book_record.h"
#include "gw_book_sum.h"

#include <pthread.h>

typedef struct {
    gw_book_t book;
    gw_book_sum_t *sum; /* NULL until the venue has sent a checksum */
    bool doubted;       /* it is not up to date, and its readers were told */
    bool crossed;       /* as the publisher was told */
    uint8_t last_length;          /* of the venue's number of the newest message that is in it; 0: not known */
    char last_id[GW_BOOK_ID_MAX];
    gw_bbo_t quote;     /* the last one that was made of it, */
    gw_tail_t quote_tail;
    bool quoted;        /* if there was one */
} gw_books_one_t;

typedef struct {
    pthread_mutex_t lock; /* of all that follows */
    gw_book_pool_t pool;  /* sizes of 0: the segment has no books */
    gw_book_work_t work;
    gw_books_one_t *books; /* by place in the pool */
    uint32_t *places;      /* by topic: of its book, from 1 on; 0: it has none */
    uint32_t *quotes;      /* by topic: that of the quotes that are made of its book, plus 1; 0: none are */
    uint32_t *left;        /* places given back: `left_count`; those from `made` on were never used */
    uint32_t left_count, made;
    gw_record_t *record; /* room for the longest */
} gw_books_t;

/* `pool` is of a segment just formatted, or has sizes of 0. -ENOMEM. */
int gw_books_init(gw_books_t *books, const gw_book_pool_t *pool, uint32_t topics_max);
/* One of zeroes is freed as well. */
void gw_books_free(gw_books_t *books);
/* The topic's book, opened where it has none; NULL: there is no room for one more. Under the lock, as all that follows. */
gw_books_one_t *gw_books_open(gw_books_t *books, uint32_t topic, uint16_t generation);
/* The same, NULL where it has none. */
gw_books_one_t *gw_books_find(const gw_books_t *books, uint32_t topic);
/* Gives its place and its levels back. */
void gw_books_close(gw_books_t *books, uint32_t topic);
/* Makes the books' record of what the last message did to this one, without times: reset where that is more than `cells_max` let
 * through. */
void gw_books_record(gw_books_t *books, const gw_books_one_t *one, uint32_t topic, uint32_t cells_max);
/* The best level of a side; false: it has none. */
bool gw_books_best(const gw_books_one_t *one, unsigned side, gw_book_row_t *row);
/* Whether the best bid is not below the best ask. */
bool gw_books_crossed(const gw_books_one_t *one);

#endif
