/* Reads data frames of subprotocol tickgate.v1.sbe: trades, quotes, books (their levels: gw_sbe_book.h), candles, and the
 * announcements of their topics. What else a frame may hold is rare, and is read elsewhere (gateway/codec/sbe.py).
 *
 * The bytes may be anybody's: each length is checked before it is used, and nothing is read that was not given.
 * Layouts are those of gateway/codec/schema/tickgate-sbe.xml; docs/sbe.md has them byte by byte. */
#ifndef GW_SBE_H
#define GW_SBE_H
#include "gw_record.h"

#define GW_SBE_HEADER 8u
#define GW_SBE_SCHEMA 1u
enum { GW_SBE_TRADE = 1, GW_SBE_BBO = 2, GW_SBE_BOOK = 3, GW_SBE_CANDLE = 8, GW_SBE_TOPIC = 16 }; /* templates */
enum {
    GW_SBE_TRADE_BLOCK = 80, GW_SBE_BBO_BLOCK = 113, GW_SBE_BOOK_BLOCK = 55, GW_SBE_CANDLE_BLOCK = 145, GW_SBE_TOPIC_BLOCK = 5
};
enum { GW_SBE_FLAG_SNAPSHOT = 1, GW_SBE_FLAG_NEGATIVE_ZERO = 2 };   /* shifted by the decimal's index */
enum { GW_SBE_FLAG_MAYBE_BAD = 2, GW_SBE_FLAG_CHECKSUM = 4 }; /* of a book */
enum { GW_SBE_BIDS, GW_SBE_ASKS, GW_SBE_WIDES, GW_SBE_GROUPS }; /* of a book */

typedef enum {
    GW_SBE_FINE,
    GW_SBE_OTHER, /* a message of another template: where it ends is not known here */
    GW_SBE_CUT,
    GW_SBE_FOREIGN,
    GW_SBE_BLOCK,
    GW_SBE_DIGITS,
    GW_SBE_EXPONENT,
    GW_SBE_NONE,
    GW_SBE_SIDE,
    GW_SBE_ID,
    GW_SBE_NAME,
    GW_SBE_LACKS,
    GW_SBE_YES,
    GW_SBE_LEVEL,
    GW_SBE_PART,
    GW_SBE_NUMBER,
    GW_SBE_FAULTS
} gw_sbe_fault_t;

const char *gw_sbe_fault_text(gw_sbe_fault_t fault);

typedef struct {
    uint64_t low;
    int64_t high;
    int8_t exponent; /* GW_EXPONENT_NONE: there is no value */
    bool negative_zero;
} gw_sbe_decimal_t;

typedef struct {
    const uint8_t *at;
    uint16_t size, count; /* bytes of a row; rows */
} gw_sbe_group_t;

/* One message. Texts point into its frame. */
typedef struct {
    size_t size; /* with its header */
    uint64_t seq, skipped;
    int64_t ts_event, ts_recv, ts_send;
    uint32_t topic;
    uint8_t kind; /* GW_SBE_TRADE, ... */
    uint8_t flags;
    uint8_t side;    /* of a trade: GW_SIDE_NONE, ... */
    uint8_t channel; /* of an announcement */
    uint8_t text_length, last_length;
    const char *text;              /* a trade's id; a book's first number; an announcement's name, unchecked */
    const char *last;              /* a book's last number */
    gw_sbe_decimal_t decimals[5];  /* price, qty; bid, bid_qty, ask, ask_qty; open, high, low, close, volume */
    int64_t start;                 /* of a candle, as the following */
    uint32_t trades;
    uint8_t closed, revised, complete;
    gw_sbe_group_t groups[GW_SBE_GROUPS]; /* of a book, as the following; each row is there */
    uint32_t checksum;
    uint16_t depth, part, parts;
} gw_sbe_message_t;

/* Reads the message that begins at `at`, where `size` bytes are left of the frame. */
gw_sbe_fault_t gw_sbe_read(const uint8_t *at, size_t size, gw_sbe_message_t *out);

/* Writes the decimal in plain digits, without leading zeros but the one before the point, and without a NUL; `out`
 * has GW_DECIMAL_TEXT_MAX bytes. Returns its length; 0 where there is no value. */
size_t gw_sbe_decimal_text(const gw_sbe_decimal_t *d, char *out);

/* The nearest double; NAN where there is no value. */
double gw_sbe_decimal_double(const gw_sbe_decimal_t *d);

/* --- many frames at once: rows of numpy's structured arrays ------------------------------------------ */

typedef struct {
    uint64_t low;
    int64_t high;
} gw_sbe_mantissa_t;

typedef struct {
    uint64_t seq, skipped;
    int64_t ts_event, ts_recv, ts_send;
    gw_sbe_mantissa_t mantissa[2];
    double number[2];
    uint32_t topic;
    int8_t exponent[2];
    uint8_t flags, side;
} gw_sbe_trade_row_t;

typedef struct {
    uint64_t seq, skipped;
    int64_t ts_event, ts_recv, ts_send;
    gw_sbe_mantissa_t mantissa[4];
    double number[4];
    uint32_t topic;
    int8_t exponent[4];
    uint8_t flags, reserved[7];
} gw_sbe_quote_row_t;

typedef struct {
    uint64_t seq, skipped;
    int64_t ts_event, ts_recv, ts_send, start;
    gw_sbe_mantissa_t mantissa[5];
    double number[5];
    uint32_t topic, trades;
    int8_t exponent[5];
    uint8_t flags, closed, revised, complete, reserved[7];
} gw_sbe_candle_row_t;

/* A book's frame, or a part of one: its levels are bids + asks rows of their own from `first` on, bids first. */
typedef struct {
    uint64_t seq, skipped;
    int64_t ts_event, ts_recv, ts_send;
    uint64_t first;
    uint32_t topic, frame, bids, asks, checksum;
    uint16_t depth, part, parts;
    uint8_t flags, reserved[5];
} gw_sbe_book_row_t;

typedef struct {
    gw_sbe_mantissa_t mantissa[2]; /* price, qty */
    double number[2];
    uint32_t book; /* the row of its frame */
    int8_t exponent[2];
    uint8_t side, reserved;
} gw_sbe_level_row_t;

_Static_assert(sizeof(gw_sbe_book_row_t) == 80 && sizeof(gw_sbe_level_row_t) == 56, "rows have no padding");
_Static_assert(sizeof(gw_sbe_trade_row_t) == 96 && sizeof(gw_sbe_quote_row_t) == 152 &&
               sizeof(gw_sbe_candle_row_t) == 192, "rows have no padding");

typedef struct {
    const uint8_t *at;
    size_t size;
} gw_sbe_frame_t;

/* Of a frame's mark: what it holds beside trades, quotes, books and candles. */
enum { GW_SBE_MARK_TOPIC = 1, GW_SBE_MARK_OTHER = 2 };

typedef struct {
    gw_sbe_trade_row_t *trades; /* NULL: only counts */
    gw_sbe_quote_row_t *quotes;
    gw_sbe_candle_row_t *candles;
    gw_sbe_book_row_t *books;
    gw_sbe_level_row_t *levels;
    uint8_t *marks; /* one a frame */
    size_t trades_count, quotes_count, candles_count, books_count, levels_count;
    size_t frame; /* where a fault was found */
} gw_sbe_batch_t;

/* Reads all frames, in order, to the first fault. The caller counts first, and gives as much room as that says. */
gw_sbe_fault_t gw_sbe_batch(const gw_sbe_frame_t *frames, size_t count, gw_sbe_batch_t *batch);

#endif
