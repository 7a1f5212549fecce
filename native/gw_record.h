/* The record: what a feed publishes and every consumer reads. Little-endian, in cells of 64 bytes.
 *
 * Cell 0 is the header, the others are the payload of `kind`. Of trades, quotes and health that is one cell, and
 * rarely a second one, the tail: the rest of a long id, the upper halves of long numbers. Other kinds have as many as
 * they need, up to GW_RECORD_CELLS_MAX.
 * Layouts are part of the ring's format (GW_SEGMENT_VERSION): a change here is a new version. */
#ifndef GW_RECORD_H
#define GW_RECORD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GW_CELL 64u
#define GW_RECORD_CELLS 2u      /* the least: of nearly all records */
#define GW_RECORD_CELLS_TAIL 3u /* of one with a tail: what a gw_record_t holds */
#define GW_RECORD_CELLS_MAX 1024u /* of any: 64 KiB */
#define GW_ID_MAX 80u           /* a hash in hexadecimal, with a prefix */
#define GW_ID_INLINE 40u        /* of it in the payload; the rest in the tail */
/* Of a decimal. */
#define GW_DIGITS_NARROW 18u    /* always fit an int64: all that a usual value needs */
#define GW_DIGITS_MAX 38u       /* always fit 128 bits; zeros in front, and at the end of a whole number, are not counted */
#define GW_DECIMALS_MAX 127u    /* digits after the point */
#define GW_EXPONENT_MAX 100     /* either way, of a text that has one */
#define GW_WIDTH_MAX 140u       /* digits of a text, leading zeros and all */
#define GW_INSTRUMENT_MAX 113u  /* bytes: 96 of symbol, the dot, 16 of venue */

/* Kind of a record and, for the kinds that exist, the channel it belongs to. */
enum { GW_PAD = 0, GW_TRADE = 1, GW_BBO = 2, GW_BOOK = 3, GW_INSTRUMENT = 4, GW_STATUS = 5, GW_HEALTH = 7, GW_CANDLE = 8, GW_CHANNELS = 14 };
/* Candles: a kind for each interval, from GW_CANDLE on, so that a topic is a channel and a name for them, too. */
#define GW_CANDLES (GW_CHANNELS - GW_CANDLE)
#ifdef GW_TEST_KINDS
enum { GW_TEST = 6 }; /* of the core's own tests: a text of any length */
#endif
enum { GW_SIDE_NONE = 0, GW_SIDE_BUY = 1, GW_SIDE_SELL = 2 };
enum {
    GW_FLAG_LAST = 1,
    GW_FLAG_SNAPSHOT = 2,
    GW_FLAG_BAD_TS = 4,
    GW_FLAG_MAYBE_BAD_BOOK = 8,
    GW_FLAG_RETIRED = 32, /* the topic's last, with no payload: it has ended, and its place may be another's */
    GW_FLAG_UNPRINTED = 64, /* of a trade: none of the market's, as the venue says: no candle counts it */
    GW_FLAG_PACED = 16, /* its feed waits for slow queues (a replay at full speed): age does not close a client */
};

enum {
    GW_GAP_NONE = 0,
    GW_GAP_FEED = 1,  /* the venue's numbers have a hole */
    GW_GAP_RESET = 2, /* the venue numbers its messages anew */
    GW_GAPS
};

/* Records of a topic are in the order of (origin's epoch, topic_seq): where the origin is another one, the topic's
 * records begin anew, whatever their numbers are, and none of them is old.
 *
 * `generation` is the lower half of the directory's, which is what a reader compares it with. Two records of one place
 * with the same half are 65,536 uses of the place apart, and the writer lets the ring overwrite the place's last record
 * before every 32,768th (gw_writer_topic_reuse): so the ring never has both, and a reader of the one is lapped before
 * the other comes, and looks at the directory's again. */
typedef struct {
    uint64_t topic_seq;  /* counts this topic's, from 1 */
    int64_t ts_event;    /* REALTIME ns, the venue's */
    int64_t ts_recv;     /* REALTIME ns: arrival at this host, or when the feed read it */
    int64_t ts_publish;  /* MONOTONIC ns */
    /* ts_publish - MONOTONIC of ts_recv, at most 4.29 s: what waited longer looks younger than it is,
     * but older than 4.29 s. Stage `ingest` has it whole. */
    uint32_t ingest_ns;
    uint32_t topic;      /* index in the segment's directory */
    uint8_t kind, flags;
    uint16_t cells;      /* of the whole record */
    uint8_t gap;         /* what subscribers are told before this record: GW_GAP_NONE, ... */
    uint8_t origin;      /* by whose count it has its seq: an index in the segment's table of origins */
    uint16_t generation; /* of that place in the directory: how many topics had it before */
    uint32_t index;      /* this topic's record number in this segment, from 0, modulo 2^32 */
    /* How many cells before this record the topic's last one begins, and the one whose index is this one's without
     * its lowest bit; 0: none that the ring still has, or none so near. gw_locate.c goes back by them. */
    uint32_t prev, skip;
    uint32_t lost;       /* of GW_GAP_FEED: how many of the venue's numbers are missing, at most 2^32 - 1 */
} gw_header_t;
_Static_assert(offsetof(gw_header_t, index) % 8 == 0 && offsetof(gw_header_t, skip) % 8 == 0, "stored as words");

/* Bits of a payload's `extra`. */
enum { GW_EXTRA_TAIL = 1, GW_EXTRA_NO_BID = 2, GW_EXTRA_NO_ASK = 4 };
enum { GW_EXTRA_NO_TICK = GW_EXTRA_NO_BID, GW_EXTRA_NO_LOT = GW_EXTRA_NO_ASK }; /* of instruments */
#define GW_EXTRA_NO_SIDE (GW_EXTRA_NO_BID | GW_EXTRA_NO_ASK)

/* mantissa * 10^exponent. `digits` counts the venue's digits with leading zeros, so that the text comes
 * back as it was sent; its top bit marks a zero written with a minus sign. Where they are more than
 * GW_DIGITS_NARROW, or the exponent is positive, `digits` is GW_DIGITS_WIDE beside that bit, and the
 * tail has the upper half of the mantissa and the count. A value that is not there has
 * GW_EXPONENT_NONE and GW_DIGITS_NONE. */
typedef struct {
    int64_t mantissa; /* of a wide one the lower half */
    int64_t high;     /* the upper half, and ... */
    uint8_t width;    /* ... the digits: set where it is wide */
    int8_t exponent;  /* -127 to 100 */
    uint8_t digits;
} gw_decimal_t;
#define GW_DECIMAL_NEGATIVE_ZERO 0x80u
#define GW_DIGITS_WIDE 0x40u
#define GW_DIGITS_NONE 0x20u
#define GW_EXPONENT_NONE 127
#define GW_DECIMAL_TEXT_MAX (2u + GW_WIDTH_MAX) /* sign, point, digits */

typedef struct {
    int8_t price_exponent, qty_exponent;
    uint8_t price_digits, qty_digits;
    uint8_t side, id_length, extra, reserved;
    int64_t price, qty; /* mantissas */
    char id[GW_ID_INLINE];
} gw_trade_t;

enum { GW_BID = 0, GW_BID_QTY = 1, GW_ASK = 2, GW_ASK_QTY = 3 };
typedef struct {
    int8_t exponent[4]; /* bid, bid_qty, ask, ask_qty */
    uint8_t reserved0[2], extra, reserved1;
    int64_t mantissa[4];
    uint8_t digits[4];
    uint8_t reserved[20];
} gw_bbo_t;

/* How an instrument is, on a topic of its own name: for us (health, gw_suspect.h), or at its venue (status, which has no
 * `suspect`). The texts are printable ASCII. */
#define GW_STATE_MAX 8u
#define GW_REASON_MAX 48u
/* States of health; HEALTH_STATES of gateway/model/outcomes.py, in the same order. */
enum {
    GW_HEALTH_OK, GW_HEALTH_QUIET, GW_HEALTH_SUSPECT, GW_HEALTH_RESYNC, GW_HEALTH_CROSSED, GW_HEALTH_GAP, GW_HEALTH_STALE,
    GW_HEALTH_STATES
};
typedef struct {
    uint8_t suspect; /* a bit (1 << kind) for each of its topics whose newest input was refused */
    uint8_t state_length, reason_length;
    uint8_t troubled; /* of health: the state is another than ok */
    uint8_t reserved[2], extra, reserved1;
    char state[GW_STATE_MAX];
    char reason[GW_REASON_MAX];
} gw_health_t;

/* Prices and volume of one interval; which one, the kind says. */
enum { GW_OPEN, GW_HIGH, GW_LOW, GW_CLOSE, GW_VOLUME, GW_CANDLE_DECIMALS };
enum { GW_CANDLE_CLOSED = 1, GW_CANDLE_REVISED = 2, GW_CANDLE_PARTIAL = 4 };
typedef struct {
    int8_t exponent[GW_CANDLE_DECIMALS];
    uint8_t flags, extra, volume_digits;
    int64_t mantissa[GW_CANDLE_DECIMALS];
    int64_t start; /* REALTIME ns, of the venue's clock */
    uint32_t trades;
    uint8_t digits[GW_VOLUME]; /* of the prices */
} gw_candle_t;

/* What the venue says of an instrument, over two cells: its record always has three. No number of it is wide. */
enum { GW_TICK, GW_LOT, GW_INSTRUMENT_DECIMALS };
enum { GW_INSTRUMENT_DERIVED = 1 }; /* of `flags`: its quotes are made of its book */
#define GW_ASSET_MAX 16u      /* bytes of ASCII */
#define GW_SYMBOL_OWN_MAX 48u /* the same, of the venue's own name of it */
#define GW_NUMBER_NONE UINT32_MAX /* of an optional number: the venue does not tell it */
typedef struct {
    int8_t exponent[GW_INSTRUMENT_DECIMALS];
    uint8_t digits[GW_INSTRUMENT_DECIMALS];
    uint8_t base_length, quote_length, extra, status_length;
    int64_t mantissa[GW_INSTRUMENT_DECIMALS];
    uint32_t price_digits, qty_digits, delay_s;
    uint8_t flags, own_length, reserved[2];
    char base[GW_ASSET_MAX];
    char status[GW_STATE_MAX];
} gw_instrument_t;
typedef struct {
    char quote[GW_ASSET_MAX];
    char own[GW_SYMBOL_OWN_MAX];
} gw_instrument_more_t;

#ifdef GW_TEST_KINDS
typedef struct {
    uint16_t length;
    uint8_t reserved[4], extra, reserved1;
    char text[]; /* over as many cells as it needs */
} gw_test_t;
#endif

typedef struct {
    uint8_t width[8]; /* of decimals in the payload's order: digits, with leading zeros */
    union {
        int64_t high[7]; /* their upper halves; of those that are not wide, the sign */
        struct {
            int64_t high_trade[2]; /* of a trade there are two: the rest is ... */
            char id[GW_ID_MAX - GW_ID_INLINE]; /* ... its id, from byte GW_ID_INLINE on */
        };
    };
} gw_tail_t;

typedef struct {
    gw_header_t h;
    union {
        gw_trade_t trade;
        gw_bbo_t bbo;
        gw_health_t health;
        gw_candle_t candle;
        gw_instrument_t instrument;
        uint64_t words[8];
    } u;
    union { /* means something where the record has three cells */
        gw_tail_t tail;
        gw_instrument_more_t instrument_more;
    };
} gw_record_t;

_Static_assert(sizeof(gw_header_t) == GW_CELL, "header is one cell");
_Static_assert(sizeof(gw_trade_t) == GW_CELL, "trade payload is one cell");
_Static_assert(sizeof(gw_bbo_t) == GW_CELL, "bbo payload is one cell");
_Static_assert(sizeof(gw_health_t) == GW_CELL, "health payload is one cell");
_Static_assert(sizeof(gw_candle_t) == GW_CELL, "candle payload is one cell");
_Static_assert(sizeof(gw_instrument_t) == GW_CELL, "instrument payload is one cell, ...");
_Static_assert(sizeof(gw_instrument_more_t) == GW_CELL, "... and another one");
_Static_assert(sizeof(gw_tail_t) == GW_CELL, "tail is one cell");
_Static_assert(sizeof(gw_record_t) == GW_RECORD_CELLS_TAIL * GW_CELL, "a record and its tail");
_Static_assert(offsetof(gw_trade_t, extra) == offsetof(gw_bbo_t, extra) &&
               offsetof(gw_trade_t, extra) == offsetof(gw_health_t, extra) &&
               offsetof(gw_trade_t, extra) == offsetof(gw_candle_t, extra) &&
               offsetof(gw_trade_t, extra) == offsetof(gw_instrument_t, extra), "one place for all kinds");

#define GW_CHANNEL_NAME_MAX 15u

/* The channel's name in messages. */
const char *gw_channel_name(uint8_t channel);

/* Why a value was refused. */
typedef enum {
    GW_FINE,
    GW_NO_DECIMAL,     /* the text is no number */
    GW_DIGITS_MANY,    /* more digits than GW_DIGITS_MAX */
    GW_DECIMALS_MANY,  /* more digits after the point than GW_DECIMALS_MAX */
    GW_EXPONENT_LARGE, /* an exponent beyond GW_EXPONENT_MAX */
    GW_SIDE_HALF,      /* no price although there is a quantity, or the other way round */
    GW_ZEROS_MANY,     /* more than GW_WIDTH_MAX digits, most of them leading zeros */
    GW_NO_SIDE,        /* the side is neither buy nor sell */
    GW_ID_LONG,        /* the id has more than GW_ID_MAX bytes */
    GW_ID_NO_TEXT,     /* the id is not printable ASCII */
    GW_DIGITS_NARROW_ONLY, /* more digits than GW_DIGITS_NARROW, of a kind that has no room for them */
    GW_WORDS_LONG,     /* more characters than the field has room for */
    GW_WORDS_NO_TEXT,  /* words that are not printable ASCII */
    GW_REFUSAL_END
} gw_refusal_t;

/* Parses `-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`. One with an exponent becomes the number written out,
 * without leading zeros but the one before the point. */
gw_refusal_t gw_decimal_parse(const char *text, size_t length, gw_decimal_t *out);

/* Writes the text that was parsed, without a NUL, of a decimal that is not wide; `out` has
 * GW_DECIMAL_TEXT_MAX bytes. Returns its length. */
size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out);

/* Writes one of the record's decimals, by its field's index, as gw_decimal_format does; any. 0 where there is none. */
size_t gw_record_decimal(const gw_record_t *record, unsigned index, char *out);

/* Adds the tail of a record whose payload lacks what is wide of these. */
void gw_record_tail(gw_record_t *record, const gw_decimal_t *decimals, unsigned count);

/* Cells that a record takes of a kind that may have a tail, by its payload. */
static inline uint16_t gw_record_cells(const gw_record_t *record) {
    return (uint16_t)(GW_RECORD_CELLS + (record->u.trade.extra & GW_EXTRA_TAIL));
}

/* When it was published. Memory may say anything: no difference of two times that are not negative overflows. */
static inline int64_t gw_record_published(const gw_record_t *record) {
    return record->h.ts_publish < 0 ? 0 : record->h.ts_publish;
}

/* Copies a record from where no more than its cells may be read; of a longer one what a gw_record_t holds. */
static inline void gw_record_copy(gw_record_t *to, const gw_record_t *from) {
    memcpy(to, from, GW_RECORD_CELLS * GW_CELL);
    if (from->h.cells > GW_RECORD_CELLS) memcpy(&to->tail, &from->tail, GW_CELL);
}

typedef struct {
    const char *at; /* NULL: there is no value */
    size_t length;
} gw_text_t;

static inline gw_text_t gw_text_of(const char *text) { return (gw_text_t){text, strlen(text)}; }

/* The same in words, to stand behind the field's name and before its value. */
const char *gw_refusal_text(gw_refusal_t refusal);

/* Fills kind, cells and payload of a kind that feeds bring from its fields' texts, in the order of gw_kinds. One that may
 * be none is NULL where it is not there; a trade's side that is empty is none. Numbers and flags have no text, and are 0.
 * Where a value is refused, `*field` is its index. */
gw_refusal_t gw_record_fill(gw_record_t *record, uint8_t kind, const gw_text_t *texts, int *field);

#endif
