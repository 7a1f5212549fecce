/* The kinds of records, as one table: what a record of each holds, and where. Whoever fills, renders or reads records
 * goes by it; gateway/model/record.py has the same table with what Python adds to it, and a test compares them. */
#ifndef GW_KIND_H
#define GW_KIND_H
#include "gw_record.h"

#define GW_FIELDS_MAX 10u
#define GW_FIELD_NAME_MAX 8u /* of a name with its end: it is compared as one word */

typedef enum {
    GW_FIELD_DECIMAL = 1, /* a number's digits */
    GW_FIELD_SIDE,        /* the taker's: buy, sell or none */
    GW_FIELD_ID,          /* the venue's: printable ASCII, the rest of a long one in the tail */
    GW_FIELD_WORDS,       /* the gateway's own: printable ASCII of a fixed room */
    GW_FIELD_TEXT,        /* printable ASCII to the end of the record's cells, its length in two bytes */
    GW_FIELD_NUMBER,      /* a signed integer of 8 bytes, or an unsigned one of 4 */
    GW_FIELD_FLAG,        /* a bit: yes or no */
} gw_field_type_t;

/* Offsets are in the record. */
typedef struct {
    char name[GW_FIELD_NAME_MAX]; /* in messages, in feeds' lines, in rows */
    uint8_t type;
    uint8_t with;     /* of an optional decimal: the index of the one that is none, too, where it is */
    uint8_t decimal;  /* of the decimals, in the tail's order */
    uint8_t at;       /* the mantissa, the side, the text */
    uint8_t exponent; /* of a decimal */
    uint8_t digits;   /* of a decimal; of a text its length */
    uint8_t none;     /* of an optional decimal: the bit of `extra` that says that there is none; of a flag its bit; of a
                         number whether it may be GW_NUMBER_NONE */
    uint16_t room;    /* of words, texts and numbers */
} gw_field_t;

/* What a plane keeps of a topic, and renders for those who come late, were lapped or take less than all. */
typedef enum {
    GW_STATE_NONE, /* nothing: such topics are none of a plane's */
    GW_STATE_COPY, /* the newest record, rendered by a template. Of one that is longer than GW_SLOT_CELLS the segment
                      has no last value: a plane that comes late has it while the ring has it, else the next one */
    GW_STATE_BOOK, /* an order book (gw_book_record.h): the segment's pool has it, records say what changed */
} gw_state_t;

typedef struct {
    const char *name; /* of the channel; NULL: no such kind */
    const char *interval; /* of candles: what of the channel's name the topic's kind says; else NULL */
    gw_field_t fields[GW_FIELDS_MAX];
    uint8_t fields_count, decimals_count;
    uint16_t cells_max;
    uint8_t tailed; /* its payload is of two cells, so that no decimal may be wide */
    uint8_t state; /* gw_state_t */
    uint8_t fed;   /* its records come from feeds; else the gateway makes them. Rows of texts have those that have fields */
} gw_kind_t;

extern const gw_kind_t gw_kinds[GW_CHANNELS];

/* NULL where there is none of this number. */
static inline const gw_kind_t *gw_kind(uint8_t kind) {
    return kind < GW_CHANNELS && gw_kinds[kind].name ? &gw_kinds[kind] : NULL;
}

static inline bool gw_field_optional(const gw_field_t *f) {
    return (f->type == GW_FIELD_DECIMAL || f->type == GW_FIELD_NUMBER) && f->none != 0;
}

/* Whether a record of this kind may have so many cells: none may of a kind that does not exist. */
static inline bool gw_record_possible(uint8_t kind, unsigned cells) {
    const gw_kind_t *k = gw_kind(kind);
    return k && cells >= (k->tailed ? GW_RECORD_CELLS_TAIL : GW_RECORD_CELLS) && cells <= k->cells_max;
}

#endif
