/* The condition of instruments: what their topics of health say, beside what was refused (gw_suspect.h).
 *
 * **A record costs nothing.** How an instrument does is read off what publishing leaves anyway: the count of each of its
 * topics and its last value. A look at each instrument, four times a second, sees which counts have grown, and so how
 * long the pauses were. Those shorter than a look are told apart by nothing, and need not be: an instrument is quiet after
 * five seconds at the soonest.
 *
 * **The usual pace** is a histogram of pauses, four counters an octave from GW_CONDITION_LOOK_NS on, all halved now and then
 * so that old ones fade. A pause between looks that saw one record is exact; of several the longest is taken, at its
 * least: since the look before, or an even share.
 *
 * **What is told** is the worst of what holds, in the order of gw_condition_t: the state goes by it. A topic of health is
 * made when its instrument is first told: until then all is well. Under the publisher's lock, as the writer is. */
#ifndef GW_CONDITION_H
#define GW_CONDITION_H
#include "gw_ring.h"
#include "gw_suspect.h"

#define GW_CONDITION_LOOK_NS INT64_C(250000000)   /* each instrument is looked at so often */
#define GW_CONDITION_QUIET_NS INT64_C(5000000000) /* no instrument is quiet sooner */
#define GW_CONDITION_PACES 10                     /* its usual pauses, one in a hundred is longer, that it may be silent for */
#define GW_CONDITION_PAUSES_MIN 8u                /* pauses after which its pace is known; before that: */
#define GW_CONDITION_UNKNOWN_NS INT64_C(60000000000)
#define GW_CONDITION_PAUSES 64u  /* counters: up to four hours */
#define GW_CONDITION_FADE 4096u  /* pauses after which all counters are halved */
#define GW_CONDITION_TRADES 16u  /* without a word of the book, and for GW_CONDITION_QUIET_NS: the book is suspect */
#define GW_CONDITION_GAP_NS INT64_C(1000000000) /* for so long lost trades are told */
#define GW_CONDITION_CROSSED_NS INT64_C(1000000000) /* so long the newest word may be of a best bid not below the best ask */
#define GW_CONDITION_LOOKS 256u  /* instruments looked at by one step */
#define GW_CONDITION_TOLD 64u    /* conditions that one step tells */
#define GW_CONDITION_FEEDS 64u

/* What is the matter, the worst last. */
typedef enum {
    GW_CONDITION_OK,
    GW_CONDITION_QUIET,
    GW_CONDITION_BOOK_SILENT, /* trades go on, and the book says nothing */
    GW_CONDITION_TOP_DIFFERS, /* the venue's quote is another than its book's top at the same number */
    GW_CONDITION_REFUSED,     /* gw_suspect.h */
    GW_CONDITION_RESYNC,      /* the book waits for a snapshot */
    GW_CONDITION_CROSSED,     /* so does one whose best bid was not below its best ask; or the newest word says so still */
    GW_CONDITION_LOST,        /* trades are missing */
    GW_CONDITION_GAP,         /* messages of the book are missing */
    GW_CONDITION_HEARTBEAT,   /* the feed's is missing */
    GW_CONDITION_DOWN,        /* the feed is not connected */
    GW_CONDITIONS
} gw_condition_t;

/* The state that subscribers are told (GW_HEALTH_OK, ...). */
unsigned gw_condition_state(gw_condition_t condition);

#define GW_CONDITION_KINDS 8u /* of topics that an instrument's condition goes by: those below GW_CANDLE */

typedef struct {
    uint32_t topics[GW_CONDITION_KINDS]; /* by kind, plus 1; 0: it has none */
    uint64_t seqs[GW_BOOK + 1]; /* of those that the pace goes by, at the last look */
    uint64_t trades_at;  /* the trades' when the book last said something */
    int64_t book_ns;     /* when that was (MONOTONIC) */
    int64_t last_ns, last_real; /* its last record, by both clocks; 0: none yet */
    int64_t looked_ns, lost_ns; /* the last look; when trades were last lost */
    int64_t since_real;  /* when the book's doubt began */
    int64_t crossed_ns;  /* since when the book or, where there is none, the quote is crossed in trading; 0: it is not */
    uint32_t lost;       /* trades */
    uint16_t pauses[GW_CONDITION_PAUSES], pauses_count;
    uint8_t feed, told;  /* what was told last: gw_condition_t */
    uint8_t doubt;       /* of the book: GW_CONDITION_RESYNC, _CROSSED, _GAP; 0: none */
    uint8_t differs, quiet, silent, crossed, mute; /* mute: there was no room for its topic of health */
    uint8_t reason_length;
    char reason[GW_REASON_MAX]; /* of the doubt */
} gw_condition_row_t;
#define GW_CONDITION_ROW_BYTES sizeof(gw_condition_row_t)

typedef struct {
    int64_t interval_ns; /* of its heartbeat; 0: it has none */
    int64_t heard_ns;
    bool late;           /* it was missing twice when the present round of looks began */
} gw_condition_feed_t;

typedef struct {
    gw_condition_row_t *rows; /* as many as topics; pages are touched on use */
    uint32_t *rows_of;        /* by topic: its instrument's row, plus 1 */
    uint32_t *left;           /* rows given back: `left_count`; those from `made` on were never used */
    uint32_t left_count, made, topics_max;
    gw_condition_feed_t feeds[GW_CONDITION_FEEDS];
    uint64_t down;            /* feeds that are not connected, a bit each */
    uint32_t cursor;          /* the row that the next step looks at first */
    uint64_t counts[GW_HEALTH_STATES]; /* instruments by what was told of them */
} gw_conditions_t;

int gw_conditions_init(gw_conditions_t *c, uint32_t topics_max); /* 0 or -ENOMEM */
void gw_conditions_free(gw_conditions_t *c);

/* A topic of a feed begins, or one of health. `like`: another topic of its instrument, plus 1; 0: it has no other. */
void gw_conditions_begin(gw_conditions_t *c, uint32_t topic, uint8_t kind, uint32_t like, uint8_t feed);
void gw_conditions_end(gw_conditions_t *c, uint32_t topic, uint8_t kind);
void gw_conditions_from(gw_conditions_t *c, uint32_t topic, uint8_t kind, uint64_t seq); /* its records go on behind this one */
/* NULL: no topic that was begun. */
static inline gw_condition_row_t *gw_conditions_row(const gw_conditions_t *c, uint32_t topic) {
    return topic < c->topics_max && c->rows_of[topic] ? &c->rows[c->rows_of[topic] - 1] : NULL;
}

/* The book is in doubt, and why: the worst of all since the last GW_CONDITION_OK, which ends it. */
void gw_condition_doubt(gw_condition_row_t *row, gw_condition_t doubt, gw_text_t reason, int64_t real_ns);
/* So many trades are missing; by both clocks. */
void gw_condition_lose(gw_condition_row_t *row, uint32_t lost, int64_t mono_ns);

/* Whether its newest word says that the best bid is not below the best ask; MONOTONIC. */
void gw_condition_crosses(gw_condition_row_t *row, bool crosses, int64_t mono_ns);
/* Whether it is trading, as far as its feed says. */
bool gw_condition_trading(const gw_condition_row_t *row, const gw_segment_t *s);

/* What is to be told of the instrument now. `health`: its topic of health, of what was refused; or none: `refused` false. */
gw_condition_t gw_condition_now(const gw_conditions_t *c, const gw_condition_row_t *row, bool refused, int64_t mono_ns);
/* Why, in words; at most GW_REASON_MAX bytes. Not of GW_CONDITION_REFUSED. */
size_t gw_condition_reason(const gw_condition_row_t *row, gw_condition_t condition, char *out);

/* A round of looks begins. */
void gw_conditions_round(gw_conditions_t *c, int64_t mono_ns);
/* Looks at an instrument: what has come since the last one, what hasn't. */
void gw_condition_look(gw_conditions_t *c, gw_condition_row_t *row, const gw_writer_t *w, int64_t mono_ns);
/* How long the instrument may be silent before it is quiet. */
int64_t gw_condition_patience_ns(const gw_condition_row_t *row);

#endif
