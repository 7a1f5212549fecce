/* The one way into a segment for all threads of its process: several feeds publish through one
 * writer.
 *
 * Who changes the segment or the statistics that feeds share holds `lock`: for at most
 * GW_PUBLISH_MAX records (and as many of health, where each is the first good one after a refused
 * one, and the candles that they make, gw_candle.h) and without any system call, so that nobody
 * waits for long. README.md,
 * "Several threads publish", says why a thread that holds the interpreter's lock may wait for it
 * too. */
#ifndef GW_PUBLISHER_H
#define GW_PUBLISHER_H
#include "gw_ahead.h"
#include "gw_books.h"
#include "gw_candle.h"
#include "gw_condition.h"
#include "gw_ring.h"
#include "gw_stats.h"
#include "gw_suspect.h"

#include <pthread.h>
#include <stdbool.h>

/* Records published between two reads of the clock and while the lock is held: microseconds. */
#define GW_PUBLISH_MAX 64u

typedef struct {
    gw_writer_t writer; /* under the lock */
    pthread_mutex_t lock;
    gw_suspects_t suspects; /* under the lock */
    gw_conditions_t conditions; /* under the lock */
    gw_books_t books;       /* under a lock of theirs */
    gw_candles_t candles;   /* under the lock */
    gw_stats_t *stats; /* published, wire, ingest, clock_anomalies, instrument_health, candle_*:
                          under the lock. NULL: none */
    gw_wait_t *waits;  /* `workers` of each, filled in before the first record; the caller's */
    int *event_fds;
    size_t workers;
    gw_ahead_t ahead;        /* of the ring's writer: of the thread that set `ahead_state` to BUSY */
    uint64_t ahead_state;    /* gw_ahead_state_t */
} gw_publisher_t;

typedef enum { GW_AHEAD_OFF, GW_AHEAD_IDLE, GW_AHEAD_BUSY } gw_ahead_state_t;

/* What the records of one batch have in common. */
typedef struct {
    uint32_t feed; /* index into the counters of feeds */
    uint8_t flags;
    bool wire; /* measure the venue's way to us; not for what is played again */
} gw_receipt_t;

/* Says when a record was received, by both clocks; until it is published the header keeps the
 * MONOTONIC one in the place of `ts_publish`. */
static inline void gw_record_received(gw_record_t *record, int64_t ts_recv, int64_t mono_recv) {
    record->h.ts_recv = ts_recv;
    record->h.ts_publish = mono_recv;
}

/* Stamps `now`, the time of publishing, and the time from the receipt until then, which it returns. */
static inline int64_t gw_publisher_stamp(gw_header_t *h, int64_t now) {
    int64_t ingest_ns = now - h->ts_publish, positive_ns = ingest_ns < 0 ? 0 : ingest_ns;
    h->ts_publish = now;
    h->ingest_ns = positive_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)positive_ns;
    return ingest_ns;
}

/* `mem` is a formatted segment. 0 or a negative errno. */
int gw_publisher_init(gw_publisher_t *p, void *mem, size_t size, gw_stats_t *stats);
/* From now on pages of the ring are populated a little ahead of the records, after each
 * gw_publisher_ring. The ring is a mapping of whole pages; before the first record. */
void gw_publisher_populate_ahead(gw_publisher_t *p);
/* Nobody may be inside any more. One of zeroes, which was never initialised, is freed as well. */
void gw_publisher_free(gw_publisher_t *p);
/* As gw_writer_topic_add. */
int64_t gw_publisher_topic_add(gw_publisher_t *p, uint8_t channel, const char *name, size_t length);
/* The same at the place of a topic that has ended (gw_writer_topic_reuse), once all workers let go of it. */
int64_t gw_publisher_topic_reuse(gw_publisher_t *p, uint8_t channel, const char *name, size_t length);
/* As gw_writer_topic_continue; before gw_publisher_topic_begin. */
void gw_publisher_topic_continue(gw_publisher_t *p, uint32_t topic, uint64_t seq);
/* The topic has ended: subscribers are told. It is suspect no more. `gw_publisher_ring` tells the workers. The number of its
 * last record, for its name's next life. */
uint64_t gw_publisher_topic_retire(gw_publisher_t *p, uint32_t topic, uint8_t kind);
/* Stamps, measures and publishes at most GW_PUBLISH_MAX records, whose topic, kind, ts_event (0:
 * the venue gave none), receipt (gw_record_received) and payload the caller filled.
 * `gw_publisher_ring` tells the workers. */
void gw_publisher_publish(gw_publisher_t *p, gw_record_t *records, uint32_t count,
                          const gw_receipt_t *receipt);
/* The newest input of a topic was refused: it is suspect until its next record, and `health`, the
 * topic of its instrument's health, says so. False: it is suspect already, nothing is published. */
bool gw_publisher_suspect(gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t health,
                          gw_text_t reason, int64_t ts_recv, int64_t mono_recv);

/* --- the health of instruments (gw_publisher_health.c) -------------------------------------------- */

/* Health goes by this topic of a feed's, or is told on this one of health; `like`: another topic of its instrument, plus
 * 1, or 0. The end comes with gw_publisher_topic_retire. */
void gw_publisher_topic_begin(gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t like, uint8_t feed);
/* Shows how many instruments are in which state. Under the lock, as the next one. */
void gw_publisher_health_count(gw_publisher_t *p);
/* A topic that was suspect has a good record. */
void gw_publisher_recover(gw_publisher_t *p, const gw_header_t *good);
/* The topic's book is in doubt, and why, since `real_ns`; GW_CONDITION_OK: no longer. */
void gw_publisher_doubt(gw_publisher_t *p, uint32_t topic, gw_condition_t doubt, gw_text_t reason, int64_t real_ns);
/* So many trades of the topic's instrument are missing; 0: nobody knows how many. */
void gw_publisher_lost(gw_publisher_t *p, uint32_t topic, uint32_t lost);
/* Whether the venue's quote is another than its book's top at the same number. */
void gw_publisher_differs(gw_publisher_t *p, uint32_t topic, bool differs);
/* Whether the topic's book is crossed from here on: its instrument's health says so if that lasts. */
void gw_publisher_crosses(gw_publisher_t *p, uint32_t topic, bool crosses);
/* The feed has a heartbeat, one in `interval_ns`, and this is one; 0: it has none. */
void gw_publisher_heartbeat(gw_publisher_t *p, uint32_t feed, int64_t interval_ns);
/* Whether the topic's instrument is trading, as far as its feed says. */
bool gw_publisher_trading(gw_publisher_t *p, uint32_t topic);
/* Looks at so many instruments, at each of them once in a round, and tells what has changed. Of those that have no topic
 * of health yet it gives one of theirs, at most GW_CONDITION_TOLD, for gw_publisher_condition_tell. `down`: feeds that are
 * not connected, a bit each. `*left`: the round is not over. `gw_publisher_ring` tells the workers. */
uint32_t gw_publisher_conditions_step(gw_publisher_t *p, uint64_t down, uint32_t *wants, uint8_t *left);
/* Its instrument has a topic of health now, or none is to be had: until it ends it asks for none. */
void gw_publisher_condition_tell(gw_publisher_t *p, uint32_t topic);

/* Makes candles of these intervals (gw_candles_init) for up to so many instruments; before the first
 * record. 0 or -ENOMEM. */
int gw_publisher_candles(gw_publisher_t *p, unsigned intervals, uint32_t instruments_max, int64_t update_ns);
/* As gw_candles_begin and gw_candles_end. */
bool gw_publisher_candles_begin(gw_publisher_t *p, uint32_t trades, const uint32_t *topics);
void gw_publisher_candles_end(gw_publisher_t *p, uint32_t trades);
/* Closes candles by the clock and tells running ones, in steps of gw_candles_step, each under the
 * lock; true: some are left for another call. `gw_publisher_ring` tells the workers. */
bool gw_publisher_candles_step(gw_publisher_t *p);
/* Whether a book is in doubt behind a message. */
typedef enum {
    GW_BOOK_DOUBT_BY_RULE, /* as it was, until a snapshot; and if the checksum is another */
    GW_BOOK_NOT_IN_DOUBT,  /* the message says so itself: of books that are played again */
    GW_BOOK_IN_DOUBT,
} gw_book_doubt_t;

/* A venue's message to the book of a topic. */
typedef struct {
    uint32_t topic;
    uint32_t depth; /* of a snapshot: levels a side that the venue's book has at most; 0: all */
    bool snapshot;  /* it is the whole book; else what changed in it */
    bool summed;    /* `sum` is the book's checksum behind it */
    uint8_t doubt;  /* gw_book_doubt_t */
    uint32_t sum;
    int64_t ts_event, ts_recv, mono_recv; /* ts_event: 0 where the venue gave none */
    gw_text_t first_id, last_id; /* the venue's numbers; longer ones are cut at GW_BOOK_ID_MAX */
    const gw_book_level_t *levels;
    uint32_t count;
} gw_book_input_t;

/* What it did. */
typedef struct {
    uint32_t changes; /* levels, evictions among them */
    uint32_t at;      /* of a refused one: which level; UINT32_MAX: not one of them is to blame */
    bool published;   /* something changed */
    bool differs;     /* the checksum is another: the book is in doubt from here on */
    bool crossed;     /* the best bid is not below the best ask, though the instrument is trading */
} gw_book_result_t;

/* Applies it whole, then publishes what changed; or refuses it, and nothing happens. While the book is in doubt its records
 * bear GW_FLAG_MAYBE_BAD_BOOK, until a snapshot ends that, or what says so. One thread's messages at a time to one topic. */
gw_book_refusal_t gw_publisher_book(gw_publisher_t *p, const gw_book_input_t *in, const gw_receipt_t *receipt,
                                    gw_book_result_t *out);
/* From now on quotes are made of the topic's book, on the topic of quotes `bbo`, plus 1; 0: not any more. */
void gw_publisher_book_derive(gw_publisher_t *p, uint32_t topic, uint32_t bbo);
/* Publishes the book's best levels as a quote, where it is another than the one before. Under the books' lock. */
void gw_publisher_quote(gw_publisher_t *p, gw_books_one_t *one, const gw_book_input_t *in, const gw_receipt_t *receipt);
/* Fills the payload of a quote with the best levels of the topic's book. False: it has none, or it is in doubt. */
bool gw_publisher_book_top(gw_publisher_t *p, uint32_t topic, gw_record_t *out);
/* The topic's book is not up to date: its subscribers are told, by a record that says so and of a gap before it, once
 * until the next snapshot. False: they were, or it has no book. Its instrument's health has the doubt as its condition,
 * GW_CONDITION_GAP, _RESYNC or _CROSSED. */
bool gw_publisher_book_doubt(gw_publisher_t *p, uint32_t topic, gw_condition_t doubt, gw_text_t reason, int64_t ts_recv,
                             int64_t mono_recv, const gw_receipt_t *receipt);
/* Wakes the workers that sleep; then, with no lock held, populates the ring ahead of its tail. */
void gw_publisher_ring(gw_publisher_t *p);

#endif
