/* What a client gets of a book: one operation for snapshots, updates and conflated updates. gw_book_render.c says why
 * it is right. */
#ifndef GW_BOOK_RENDER_H
#define GW_BOOK_RENDER_H
#include "gw_book.h"

#define GW_BOOK_FRAME_BYTES (16u << 10) /* of the texts of one frame: more are parts */
#define GW_BOOK_SCAN_DEPTH 64u          /* up to it a window is looked at level by level */
#define GW_BOOK_ENTRIES_PER_LEVEL 8u    /* of the log, before a snapshot is cheaper */
#define GW_BOOK_ENTRIES_LEAST 128u      /* these are read for any depth: of one message, updates stay updates */

/* Where a client is: the seq that it has (0: nothing) and the worst keys of its window then. A frame that never leaves
 * takes the link back to what this was before it was rendered: all of it, or the next frame is wrong. */
typedef struct {
    uint64_t since;
    int64_t worst[GW_BOOK_SIDES];
} gw_book_at_t;

enum {
    GW_BOOK_NOTHING,  /* the window is as the client has it */
    GW_BOOK_UPDATE,
    GW_BOOK_SNAPSHOT,
    GW_BOOK_PARTS,    /* a snapshot for which there is no room; the client is where it was */
};

/* How many rows from the first on fit into so many bytes. */
typedef uint32_t gw_book_fit_t(const gw_book_row_t *rows, uint32_t count, size_t bytes);

typedef struct {
    gw_book_row_t *rows; /* given; bids, then asks: deletions (GW_BOOK_DEL), then levels (GW_BOOK_UPD), best first */
    uint32_t room;       /* given: of rows */
    uint32_t around;     /* given: bytes of a row besides its texts ... */
    size_t bytes;        /* ... and of all rows at most; SIZE_MAX: any */
    gw_book_fit_t *fit;  /* given: NULL, or how rows that are no texts fit into `bytes` */
    uint32_t count[GW_BOOK_SIDES];
    uint64_t seq;        /* of the state that the client has with it */
    uint64_t skipped;    /* updates that the client did not get by themselves */
    uint8_t type;
} gw_book_frame_t;

/* Renders what a client misses of a window that it holds, and says where it is then. */
void gw_book_render(const gw_book_t *book, const gw_book_window_t *window, gw_book_work_t *work, gw_book_at_t *at,
                    gw_book_frame_t *frame);

/* How many rows from the first on fit into so many bytes as texts, with `around` bytes besides for each: what one part
 * may have. */
uint32_t gw_book_rows_fit(const gw_book_row_t *rows, uint32_t count, unsigned scale, size_t around, size_t bytes);

#endif
