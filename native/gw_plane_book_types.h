/* What a plane keeps of order books. */
#ifndef GW_PLANE_BOOK_TYPES_H
#define GW_PLANE_BOOK_TYPES_H
#include "gw_book_record.h"
#include "gw_book_render.h"
#include "gw_book_still.h"
#include "gw_book_sum.h"
#include "gw_plane.h"

struct gw_entry;
struct gw_link;
struct gw_topic;

#define GW_BOOK_COPIES 4u      /* of books in a cycle ... */
#define GW_BOOK_COPY_LEVELS 16384u /* ... and no further one behind so many levels' work */
#define GW_BOOK_FREEZE_LEVELS 4096u /* of all books: in a cycle so many levels' work is done to have states frozen */
#define GW_BOOK_FROZEN 8u      /* states that are sent in parts at one time */
#define GW_BOOK_HELD_NS 2000000000 /* who takes nothing for so long while others wait for one that is free is let go */
#define GW_BOOK_WOKEN 64u       /* links that may try again at once, when a state is free */
#define GW_BOOK_PART_ROWS 1024u /* of one frame; as many as GW_BOOK_LEVELS_BYTES take where each has 15 bytes */
#define GW_BOOK_IDS 64u        /* messages whose number is kept */
#define GW_BOOK_SHARED 32u     /* frames of a book: rates have as many phases, of which few are at one seq */
#define GW_BOOK_PUSHED_BYTES 4096u /* of a frame that stands in queues; what is longer is told by marks */
#define GW_BOOK_PUSHED_QUEUE 128u /* frames that wait for a client: behind so many come marks, which are the newest of each book */
#define GW_BOOK_TORN_NS 100000000 /* a book that has been missing for so long is looked for at leisure, and counted ... */
#define GW_BOOK_RETRY_NS 10000000 /* ... each so many ns */

typedef struct {
    uint64_t seq;
    uint8_t length;
    char text[GW_BOOK_ID_MAX];
} gw_book_id_t;

/* A frame that others may get as well who are where `since` was, encoded in the log of its format. */
typedef struct {
    uint64_t seq, since; /* from where to where; seq 0: there is none */
    uint64_t frame;
    uint8_t format, variant, type; /* type: GW_BOOK_NOTHING ... of gw_book_render.h */
} gw_book_shared_t;

/* The book of a topic that has links. */
typedef struct gw_plane_book {
    gw_book_t book; /* in the plane's own pool; closed (head NULL) before its first copy */
    struct gw_topic *topic;
    struct gw_plane_book *previous, *next; /* while it is wanted */
    int64_t wanted_ns, retry_ns;
    uint8_t live;   /* it is what the records up to topic->seq say; else it has to be copied */
    uint8_t list;   /* which of GW_BOOKS_* it is in, then */
    uint8_t wanted; /* it is in the list of those that have to be; 2: and counted as missing */
    uint8_t untold; /* somebody has not been told yet, should it be missing */
    uint8_t lapped; /* since the ring, or the record, did not have what changed */
    gw_book_id_t ids[GW_BOOK_IDS]; /* by seq: the first number of each message, the newest ones */
    gw_book_shared_t shared[GW_BOOK_SHARED]; /* each in a place that its key's hash chooses */
    gw_book_sum_t sum;
} gw_plane_book_t;

/* Links whose marks wait. */
typedef struct {
    struct gw_book_link *first, *last;
} gw_book_waiters_t;

/* A state that is sent in parts: the book may go on meanwhile. */
typedef struct {
    gw_plane_book_t *of; /* NULL: it is free */
    uint32_t users;
    gw_book_still_t still;
    gw_book_waiters_t waiting; /* for it to be whole, and its parts counted */
    int64_t worst[GW_BOOK_DEPTHS][GW_BOOK_SIDES];
    /* Of text and of binary frames, by depth: bits of those that are asked for, and are counted; how many there are, and
     * the row that was come to. */
    uint8_t asked[2], counted[2];
    uint32_t parts[2][GW_BOOK_DEPTHS], row[2][GW_BOOK_DEPTHS];
    uint32_t checksum;
    gw_record_t record; /* header and message */
} gw_book_frozen_t;
_Static_assert(GW_BOOK_DEPTHS <= 8, "bits of a byte");

/* Books that wait for a copy, first those that wait longest: each list is in the order of `retry_ns`. */
enum { GW_BOOKS_SOON, GW_BOOKS_AT_LEISURE, GW_BOOKS_LISTS };
typedef struct {
    gw_plane_book_t *first, *last;
} gw_plane_book_list_t;

/* What a link of a book has besides. */
typedef struct gw_book_link {
    struct gw_link *link;
    gw_book_at_t at;         /* what its client has */
    gw_book_frozen_t *frozen; /* what it is being sent in parts */
    uint32_t row, part;      /* of that: the next row, the next part from 0 */
    uint64_t wants;          /* what its client wanted next then, told as skipped from there by its parts; 0: anything */
    uint8_t late;            /* a record came since that state; the mark stands for it and will stay */
    uint8_t told;            /* that the book is missing */
    uint8_t waits;           /* its mark waits: for `frozen`, or for one to be free */
    struct gw_book_link *previous, *next; /* in that list; next: or among those who can't be pushed the frame in hand */
    uint64_t awaited;        /* where it has nothing: what its client wants next, told as skipped from there; 0: anything */
    uint64_t filtered_from;  /* of its audience's, what is not its */
    uint32_t rank;           /* its place in its audience's file */
} gw_book_link_t;

/* An audience of a book once more. The first ones are *abreast*: their clients have the same, or will once all that stands in
 * their queues has left, and nothing of them is marked. What comes is one frame for all of them, pushed as any record's. */
typedef struct {
    struct gw_entry *links; /* as many as the audience has, with as much room */
    uint32_t abreast;
    gw_book_at_t at; /* what these have then; `at` of their own says nothing */
} gw_book_file_t;

/* A mark as it was rendered: where its client is once it has left. */
enum { GW_BOOK_SENT_NONE, GW_BOOK_SENT_NOTHING, GW_BOOK_SENT_WHOLE, GW_BOOK_SENT_PART, GW_BOOK_SENT_LAST };
typedef struct {
    gw_book_at_t at;
    uint32_t rows; /* of a part */
    uint8_t what;
} gw_book_sent_t;

typedef struct {
    gw_book_pool_t pool;
    void *memory; /* of the pool, made with the first link; NULL before */
    size_t size;
    gw_book_work_t work;
    uint32_t *numbers_free; /* of the pool's places */
    uint32_t numbers_free_count, numbers_next;
    gw_plane_book_list_t wanted[GW_BOOKS_LISTS];
    uint32_t todo; /* how many are wanted, or wait */
    gw_book_copy_t copy; /* out of the segment */
    uint32_t copy_most;  /* GW_BOOK_COPY_LEVELS */
    uint64_t copy_took;  /* levels that this cycle has copied, or compared */
    gw_book_row_t *rows; /* GW_BOOK_PART_ROWS */
    gw_book_frozen_t frozen[GW_BOOK_FROZEN];
    uint32_t freeze_most, freeze_left; /* GW_BOOK_FREEZE_LEVELS; what is left of it in this cycle */
    gw_book_waiters_t waiting; /* for one that is free */
    gw_book_at_t *before[GW_FORMATS_MAX]; /* by a frame's index in its log, of one that was pushed: where those were who got it */
} gw_plane_books_t;

#endif
