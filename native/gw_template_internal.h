/* What a program becomes when it is loaded (gw_template.c) and is run by (gw_template_run.c). */
#ifndef GW_TEMPLATE_INTERNAL_H
#define GW_TEMPLATE_INTERNAL_H
#include "gw_kind.h"
#include "gw_template.h"
#include "gw_text.h"

enum { GW_PROGRAM_MAX = 4096, GW_STEPS_MAX = 64, GW_TEXTS_MAX = 16 };

/* Operations; what each writes is in gw_template.c. Those from GW_T_INTEGER to GW_T_FLAGS, and
 * GW_T_BOOK_BINARY, are of binary formats. */
enum {
    GW_T_LITERAL, GW_T_SYMBOL, GW_T_SEQ, GW_T_TIME_NS, GW_T_TIME_US, GW_T_TIME_MS, GW_T_TIME_RFC3339, GW_T_AGE_MS,
    GW_T_FIELD, GW_T_NUMBER, GW_T_NUMBER_OR_NULL, GW_T_WORD, GW_T_CHANNEL,
    GW_T_INTEGER, GW_T_FIELD_BINARY, GW_T_SYMBOL_BINARY, GW_T_WORD_BINARY, GW_T_FLAGS, GW_T_SYMBOL_SPELLED,
    GW_T_INTERVAL, GW_T_BOOK, GW_T_BOOK_BINARY,
    GW_T_CODES
};
/* What a field's operation becomes, by its type. */
enum {
    GW_T_DECIMAL = GW_T_CODES, GW_T_SIDE, GW_T_ID, GW_T_WORDS, GW_T_TEXT, GW_T_INTEGER_TEXT, GW_T_FLAG,
    GW_T_DECIMAL_BINARY, GW_T_SIDE_BINARY, GW_T_ID_BINARY, GW_T_WORDS_BINARY, GW_T_TEXT_BINARY,
    GW_T_NUMBER_BINARY, GW_T_FLAG_BINARY
};
_Static_assert(GW_T_TEXT - GW_T_DECIMAL == GW_FIELD_TEXT - GW_FIELD_DECIMAL &&
               GW_T_TEXT_BINARY - GW_T_DECIMAL_BINARY == GW_FIELD_TEXT - GW_FIELD_DECIMAL &&
               GW_T_FLAG - GW_T_DECIMAL == GW_FIELD_FLAG - GW_FIELD_DECIMAL &&
               GW_T_FLAG_BINARY - GW_T_DECIMAL_BINARY == GW_FIELD_FLAG - GW_FIELD_DECIMAL &&
               GW_T_WORDS - GW_T_DECIMAL == GW_FIELD_WORDS - GW_FIELD_DECIMAL &&
               GW_T_ID - GW_T_DECIMAL == GW_FIELD_ID - GW_FIELD_DECIMAL &&
               GW_T_SIDE - GW_T_DECIMAL == GW_FIELD_SIDE - GW_FIELD_DECIMAL, "a code for each type");
enum { GW_T_TS_EVENT, GW_T_TS_RECV, GW_T_TS_SEND, GW_T_TIMES };
/* How a symbol is spelled; bits. */
enum { GW_T_BARE = 1, GW_T_LOWER = 2, GW_T_SPELLINGS = 4 };
/* What of a book is written; behind GW_T_OF_BOOK in binary messages alone. */
enum {
    GW_T_BIDS, GW_T_ASKS, GW_T_DEPTH, GW_T_FIRST_ID, GW_T_LAST_ID, GW_T_MAYBE_BAD, GW_T_CHECKSUM, GW_T_PART, GW_T_OF_BOOK,
    GW_T_WIDES = GW_T_OF_BOOK, GW_T_PARTS, GW_T_BOOK_FLAGS, GW_T_OF_BOOK_BINARY
};
/* What a binary integer is of; behind them the numbers of a notice. */
enum { GW_T_OF_TOPIC = GW_T_TIMES, GW_T_OF_SEQ, GW_T_OF_CHANNEL, GW_T_OF_SKIPPED, GW_T_OF_NUMBER };

typedef struct {
    uint16_t at, length; /* in the pool */
} gw_template_text_t;

typedef struct {
    gw_template_text_t literal; /* written before the field */
    uint8_t code;   /* GW_T_LITERAL: no field */
    uint8_t source; /* of a time, an integer, a number, a word; of a field its index, of a symbol how it is spelled */
    uint8_t at, exponent, digits; /* of a field, as in gw_field_t; of a flag `digits` is its bit */
    uint8_t texts;                /* of a side, a flag or an interval: the first of its texts */
    uint16_t room;                /* the same as `at`; of an integer its bytes */
} gw_step_t;

struct gw_template {
    uint8_t kind;
    uint8_t texts_used;
    uint8_t binary;   /* some operation is: its messages are binary, and no value is written as `null` */
    unsigned steps_used, symbols;
    size_t size_max; /* without symbols */
    size_t frame_max;
    size_t fixed;      /* bytes written so far, while loading and while they are the same in all payloads */
    size_t skipped_at; /* of a format that tells `skipped` in a field of its own, its place; 0: by the splice */
    gw_template_text_t skip, tail, texts[GW_TEXTS_MAX]; /* one of a side is written, one of a flag, both of an interval */
    gw_template_text_t book[GW_T_OF_BOOK][2]; /* before and behind each of a book's values */
    uint16_t book_read; /* a bit for each that is read */
    gw_step_t steps[GW_STEPS_MAX];
    size_t pool_used;
    char pool[GW_PROGRAM_MAX + GW_TEXT_SLACK];
};

/* May write up to 15 bytes more; the pool is padded for reading them. */
static inline char *gw_template_text(const gw_template_t *t, gw_template_text_t text, char *out) {
    const char *from = t->pool + text.at;
    for (size_t i = 0; i < text.length; i += 16) memcpy(out + i, from + i, 16);
    return out + text.length;
}

/* Ids, words and texts are printable ASCII (gw_kind.h), so JSON escapes only the quote and the backslash. */
static inline char *gw_template_escape(const char *text, size_t length, char *out) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\') *out++ = '\\';
        *out++ = text[i];
    }
    return out;
}

/* What a step writes of a book (gw_template_book.c). */
char *gw_template_book(const gw_template_t *t, const gw_step_t *s, const gw_book_view_t *b, char *out);
char *gw_template_book_binary(const gw_step_t *s, const gw_book_view_t *b, char *out);

#endif
