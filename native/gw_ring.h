/* One segment of shared memory: header, topic directory, last-value table, block index, broadcast ring, order books.
 *
 * One writer, any number of readers that it never waits for. The theory of operation and the
 * memory-order argument are in native/README.md. All functions work on memory that the caller gives,
 * so a test builds any situation by writing counters. */
#ifndef GW_RING_H
#define GW_RING_H
#include "gw_book_pool.h"
#include "gw_record.h"

#define GW_SEGMENT_MAGIC 0x31544b5445544147ull
#define GW_SEGMENT_VERSION 5u
#define GW_EPOCH_LENGTH 8u /* lower-case base 36, always this long */

/* A view of a segment: plain pointers into the mapping. `writable` members are touched by the writer alone. */
typedef struct {
    uint8_t *base;
    uint64_t capacity;    /* bytes of the ring, a power of two */
    uint32_t topics_max;
    char epoch[GW_EPOCH_LENGTH + 1];
    uint64_t *tail_intent; /* bytes; each counter on a cache line of its own */
    uint64_t *tail;
    uint64_t *topics;      /* directory entries published */
    uint64_t *full;        /* where feeds have all the topics that they may have: how many; else 0 */
    uint64_t *changes;     /* counts entries that ended or were written anew */
    uint64_t *directory;   /* topics_max entries of GW_DIRECTORY_WORDS words */
    uint64_t *table;       /* topics_max slots of GW_SLOT_WORDS words: version, then the record */
    uint64_t *blocks;      /* an entry of GW_BLOCK_WORDS words for each block of the ring */
    uint64_t block;        /* bytes of one, a power of two */
    uint64_t blocks_count; /* the same */
    uint8_t *ring;
    gw_book_pool_t books;  /* sizes of 0: it has none */
} gw_segment_t;

/* Whether the record is of the topic that has its place in this generation of the directory's. */
static inline bool gw_record_is_of(const gw_record_t *record, uint32_t generation) {
    return record->h.generation == (uint16_t)generation;
}

/* By whose count records have their seq: `origin` in a header is an index in a table of epochs. The first one is the
 * segment's own. */
#define GW_ORIGINS_MAX 16u
/* The epoch's text of an origin, without a NUL; NULL where there is none of this index. */
const char *gw_segment_origin(const gw_segment_t *s, uint8_t origin);

#define GW_DIRECTORY_WORDS 16u /* channel u8, length u8, the name; the last word a version: 128 bytes */
#define GW_SLOT_WORDS 32u      /* seqlock version, position, pad to a line, then GW_SLOT_CELLS cells: 256 bytes */
#define GW_SLOT_CELLS GW_RECORD_CELLS_TAIL /* of a longer record the table has its first GW_RECORD_CELLS */
#define GW_BLOCK_WORDS 2u      /* where the first record from its start on begins; the greatest ts_recv before that */
#define GW_BLOCK_MAX (GW_RECORD_CELLS_MAX * GW_CELL) /* bytes: so one begins in each, but in rings with smaller ones */
#define GW_BLOCKS_MIN 16u

/* Of one without books. One that has them begins with as many bytes, and the books are behind. */
size_t gw_segment_size(uint64_t capacity, uint32_t topics_max);
/* Writes header and zero counters. -EINVAL unless capacity is a power of two >= 4096 and size suffices. */
int gw_segment_format(void *mem, size_t size, uint64_t capacity, uint32_t topics_max, const char *epoch);

#define GW_BOOK_LEVELS_MAX (1u << 27) /* that a segment may have room for */
/* The pool's sizes for books of so many levels in all, of at most `topics_max` topics. It has chunks for as many where
 * each is half full, as the fullest are after a split: so levels that are closer together find more room. For every
 * GW_BOOK_LEVELS_MEAN levels there is a place for a book. A side gets 32,752 levels at once, and has as many as
 * 65,536 where they come one by one. */
gw_book_sizes_t gw_segment_books(uint32_t topics_max, uint32_t book_levels);
#define GW_BOOK_LEVELS_MEAN 250u
/* As the two above, with room for books of so many levels; 0: none. The memory has to be zeroes. */
size_t gw_segment_books_size(uint64_t capacity, uint32_t topics_max, uint32_t book_levels);
int gw_segment_books_format(void *mem, size_t size, uint64_t capacity, uint32_t topics_max, uint32_t book_levels,
                            const char *epoch);
/* Fills a view after checking magic, version and every offset against `size`. -EINVAL. */
int gw_segment_open(void *mem, size_t size, gw_segment_t *view);

/* A topic that has ended: where the ring says so, and when that was (MONOTONIC). */
typedef struct {
    uint64_t position;
    int64_t at_ns;
    uint32_t id;
} gw_retired_t;

/* Levels of the distances that the writer keeps for each topic: a record whose index ends in more zero bits than the
 * last one of them has no `skip`. It would reach back over a million records of the topic. */
#define GW_CHAIN_LEVELS 21u

/* Where the writer stands with a topic. */
typedef struct {
    uint64_t seq;  /* of its last record */
    uint64_t last; /* where that begins */
    uint32_t next; /* the index of its next one */
    uint16_t generation;
    uint64_t newest[GW_CHAIN_LEVELS]; /* where the last record begins whose index has so many zero bits at its end */
} gw_chain_t;

typedef struct {
    gw_segment_t segment;
    uint64_t tail;
    uint64_t reach;      /* bytes: the longest distance that a header tells */
    uint64_t block_next; /* where the first block begins that is not in the index yet */
    int64_t newest_ns;   /* the greatest ts_recv so far */
    uint32_t cells_max;  /* of a record in this ring */
    gw_chain_t *chains;  /* topics_max, private */
    gw_retired_t *retired; /* places to be used again, in that order, from retired_first on, round */
    uint32_t retired_first, retired_count;
} gw_writer_t;

int gw_writer_init(gw_writer_t *w, void *mem, size_t size); /* allocates `chains`; -ENOMEM */
void gw_writer_free(gw_writer_t *w);
/* Appends a directory entry; the caller knows that (channel, name) is new. The id, or -ENOSPC / -EINVAL. */
int64_t gw_writer_topic_add(gw_writer_t *w, uint8_t channel, const char *name, size_t length);
/* The topic, which has no record yet, goes on behind this number: its name had so many of an instrument that has come back.
 * So one epoch gives no number of a name twice, and a client's last one is never taken for another life's. */
void gw_writer_topic_continue(gw_writer_t *w, uint32_t id, uint64_t seq);
/* Publishes a record of the topic that says that it has ended; `record` has its times. The caller publishes no more
 * of it, and does not retire it twice. The number of the record before that one: 0, there was none. */
uint64_t gw_writer_topic_retire(gw_writer_t *w, uint32_t id, uint8_t channel, gw_record_t *record, int64_t now_ns);
/* Adds it at the place of a topic that has ended: of the one that ended first, where all readers whose cursors are
 * `slowest` or more have taken its last record, or can't any more, or had GW_RETIRED_WAIT_NS. Before every 32,768th use of
 * a place only "can't any more" counts; those that ended later are next then. -EAGAIN: none is free now. */
int64_t gw_writer_topic_reuse(gw_writer_t *w, uint8_t channel, const char *name, size_t length, uint64_t slowest,
                              int64_t now_ns);
#define GW_RETIRED_WAIT_NS 10000000000 /* a reader that is slower, or dead, finds the place another's by its generation */
/* Publishes one record, which may be longer than a gw_record_t: fills topic_seq, generation, index, prev and skip; the
 * caller filled the rest (topic < topics, 2 <= cells <= cells_max).
 * Order: tail_intent and the slot's version, block index, record in ring and slot, version, tail. Never waits. */
void gw_writer_publish(gw_writer_t *w, gw_record_t *record);

typedef struct {
    gw_segment_t segment;
    uint64_t cursor; /* bytes */
    uint64_t from;   /* where the first record begins that the last poll returned; the others follow it */
} gw_reader_t;

enum { GW_POLL_LAPPED = -1, GW_POLL_ROOM = -2 };
/* Copies whole records from the cursor to `buffer` (at most `size` bytes, never past the ring's end) and
 * moves the cursor. Returns bytes copied (0: nothing new), or GW_POLL_LAPPED: nothing was delivered and
 * the cursor is now at the tail read *before* this returned, from where reading may go on once the
 * table has been compared. GW_POLL_ROOM: the next record is longer than the buffer; one of GW_RECORD_CELLS_MAX cells
 * has room for any. Pad records are never returned. */
int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size);
/* Copies the record that begins at a position, wherever the cursor is. Its bytes; -EAGAIN: it is not there yet;
 * -ENOENT: it is no longer, or is no record; -EMSGSIZE: it is longer than `size`. */
int64_t gw_reader_read(const gw_reader_t *r, uint64_t position, void *buffer, size_t size);

/* Says whether a name that is not there can come: `limit` topics are taken, or 0. Only a hint, ordered by nothing. */
void gw_writer_full(gw_writer_t *w, uint32_t limit);
uint32_t gw_directory_full(const gw_segment_t *s);

uint32_t gw_directory_count(const gw_segment_t *s); /* acquire */
uint64_t gw_directory_changes(const gw_segment_t *s); /* acquire */
typedef struct {
    char name[GW_INSTRUMENT_MAX];
    uint8_t channel, retired; /* retired: it has ended */
    uint32_t generation;      /* which topic it is of those that had this place */
} gw_entry_name_t;
/* Copies one published entry. The name's length, or -ENOENT. */
int gw_directory_entry(const gw_segment_t *s, uint32_t id, gw_entry_name_t *out);
/* The version of an entry, acquire: another one is another entry, or the same that has ended. */
uint64_t gw_directory_version(const gw_segment_t *s, uint32_t id);
/* The topic's last record, and where in the ring it begins, or will in a moment (NULL: not asked for). 1; 0: nothing
 * published; -EMSGSIZE: it has more than GW_SLOT_CELLS cells, `out` has the first GW_RECORD_CELLS of them; -EAGAIN:
 * torn for good (its writer died inside it). */
int gw_table_read(const gw_segment_t *s, uint32_t id, gw_record_t *out, uint64_t *position);
/* Copies the book of a topic out of the segment, as it was between two messages (gw_book_copy). -ENOENT: it has none now,
 * or the place is just becoming another's. */
int gw_reader_book(const gw_segment_t *s, uint32_t topic, gw_book_copy_t *out);

/* What a worker shows the writer: one page per worker in a small shared segment. */
typedef struct {
    uint64_t sleeping;      /* 1 while the plane blocks; cleared by whoever rings */
    uint64_t pad0[7];
    uint64_t attached;      /* 1 while a plane follows the writer */
    uint64_t cursor;        /* ring bytes taken, of the epoch in `epoch` */
    uint64_t epoch;         /* first 8 bytes of the epoch's text */
    uint64_t backlogged;    /* clients whose lossless queue is longer than GW_BACKLOG_FRAMES */
    uint64_t subscribed;    /* connections with at least one subscription */
    uint64_t pad1[3];
} gw_wait_t;
_Static_assert(sizeof(gw_wait_t) == 128, "two lines");
#define GW_BACKLOG_FRAMES 256u

/* After publishing: full fence, then if `sleeping`, clear it and write to the eventfd. */
void gw_wait_ring(gw_wait_t *wait, int event_fd);

#endif
