/* The record: what a feed publishes and every consumer reads. Little-endian, in cells of 64 bytes.
 *
 * Cell 0 is the header, the cells after it the payload of `kind`. Trade and bbo take two cells.
 * Layouts are part of the ring's format (GW_SEGMENT_VERSION): a change here is a new version. */
#ifndef GW_RECORD_H
#define GW_RECORD_H
#include <stddef.h>
#include <stdint.h>

#define GW_CELL 64u
#define GW_RECORD_CELLS_MAX 2u  /* of the kinds that exist; the ring itself takes any number */
#define GW_ID_MAX 36u           /* a UUID with its dashes */
#define GW_DIGITS_MAX 18u       /* always fits an int64 */
#define GW_INSTRUMENT_MAX 65u   /* 48 of symbol, the dot, 16 of venue */

/* Kind of a record and, for the kinds that exist, the channel it belongs to. */
enum { GW_PAD = 0, GW_TRADE = 1, GW_BBO = 2, GW_CHANNELS = 8 };
enum { GW_SIDE_NONE = 0, GW_SIDE_BUY = 1, GW_SIDE_SELL = 2 };
enum {
    GW_FLAG_LAST = 1,
    GW_FLAG_SNAPSHOT = 2,
    GW_FLAG_BAD_TS = 4,
    GW_FLAG_MAYBE_BAD_BOOK = 8,
    GW_FLAG_PACED = 16, /* its feed waits for slow queues (a replay at full speed): age does not close a client */
};

typedef struct {
    uint64_t ring_seq;   /* counts every record of the segment, from 1 */
    uint64_t topic_seq;  /* counts this topic's, from 1 */
    int64_t ts_event;    /* REALTIME ns, the venue's */
    int64_t ts_recv;     /* REALTIME ns: arrival at this host, or when the feed read it */
    int64_t ts_publish;  /* MONOTONIC ns */
    /* ts_publish - MONOTONIC of ts_recv, at most 4.29 s: what waited longer looks younger than it is,
     * but older than 4.29 s. Stage `ingest` has it whole. */
    uint32_t ingest_ns;
    uint32_t topic;      /* index in the segment's directory */
    uint8_t kind, flags, cells, reserved[13];
} gw_header_t;

/* mantissa * 10^exponent. `digits` counts the venue's digits with leading zeros, so that the text comes
 * back as it was sent; its top bit marks a zero written with a minus sign. */
typedef struct {
    int64_t mantissa;
    int8_t exponent; /* 0 to -18 */
    uint8_t digits;
} gw_decimal_t;
#define GW_DECIMAL_NEGATIVE_ZERO 0x80u
#define GW_DECIMAL_TEXT_MAX 20u /* sign, 18 digits, point */

typedef struct {
    int64_t price, qty; /* mantissas */
    int8_t price_exponent, qty_exponent;
    uint8_t price_digits, qty_digits;
    uint8_t side, id_length;
    char id[GW_ID_MAX];
    uint8_t reserved[6];
} gw_trade_t;

enum { GW_BID = 0, GW_BID_QTY = 1, GW_ASK = 2, GW_ASK_QTY = 3 };
typedef struct {
    int64_t mantissa[4]; /* bid, bid_qty, ask, ask_qty */
    int8_t exponent[4];
    uint8_t digits[4];
    uint8_t reserved[24];
} gw_bbo_t;

typedef struct {
    gw_header_t h;
    union {
        gw_trade_t trade;
        gw_bbo_t bbo;
        uint64_t words[8];
    } u;
} gw_record_t;

_Static_assert(sizeof(gw_header_t) == GW_CELL, "header is one cell");
_Static_assert(sizeof(gw_trade_t) == GW_CELL, "trade payload is one cell");
_Static_assert(sizeof(gw_bbo_t) == GW_CELL, "bbo payload is one cell");
_Static_assert(sizeof(gw_record_t) == GW_RECORD_CELLS_MAX * GW_CELL, "record of two cells");

/* The channel's name in messages. */
const char *gw_channel_name(uint8_t channel);

/* Parses `-?[0-9]+(\.[0-9]+)?` of at most GW_DIGITS_MAX digits. 0, or -EINVAL (grammar), -ERANGE (digits). */
int gw_decimal_parse(const char *text, size_t length, gw_decimal_t *out);

/* Writes the text that was parsed, without a NUL; `out` has GW_DECIMAL_TEXT_MAX bytes. Returns its length. */
size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out);

/* Cells that a record of this kind takes; 0 for a kind that does not exist. */
static inline uint8_t gw_record_cells(uint8_t kind) {
    return kind == GW_TRADE || kind == GW_BBO ? 2 : 0;
}

typedef struct {
    const char *at;
    size_t length;
} gw_text_t;

/* Fill a payload from a feed's texts. NULL, or why it was refused; an empty side is none. */
const char *gw_trade_fill(gw_trade_t *trade, gw_text_t price, gw_text_t qty, gw_text_t side,
                          gw_text_t id);
const char *gw_bbo_fill(gw_bbo_t *bbo, const gw_text_t sides[4]);
/* Kind and payload: of a trade from price, qty, side, id; of a bbo from bid, bid_qty, ask, ask_qty.
 */
const char *gw_record_fill(gw_record_t *record, uint8_t kind, const gw_text_t texts[4]);

#endif
