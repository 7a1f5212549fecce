/* Most of a book's best levels are the same from one message to the next, so their digits are kept, in the order of the
 * book: what is kept and what is there are two sorted lists, gone through together. A checksum then copies 20 texts of a
 * fixed size one behind the other, and folds them. A level of which the quantity alone is another keeps its price's digits.
 *
 * Places chosen by hashes of keys are not enough: of ten levels in 32 places, two or three have the place of another one of
 * the ten, and are written each time. */
#include "gw_book_sum.h"
#include "gw_book_internal.h"
#include "gw_book_text.h"
#include "gw_crc.h"

#include <string.h>

#define LEVEL_TEXT_MAX (GW_BOOK_PRICE_TEXT_MAX + GW_BOOK_QTY_TEXT_MAX)
#define LENGTH_SHIFT 16u /* of a kept text's length in `shown`, whose lowest bits are free: a level's seq is there */
#define PRICE_SHIFT 24u  /* of that of its price's digits */
#define LENGTHS_MASK (0xffffull << LENGTH_SHIFT)
#define SCALE_MASK 0xffffull
#define SCALE_BIT 1u     /* so that `shown` is never 0 */
#define PRICE_COPIED 24u /* bytes: the most that a price's digits and its sign are */
_Static_assert(PRICE_COPIED >= 20 && PRICE_COPIED <= GW_BOOK_SUM_KEPT, "a key is an int64");

/* Writes a level that is kept otherwise, and keeps it: a price's digits that are the same are copied. */
static size_t level_write(const gw_book_t *b, const gw_book_row_t *row, uint64_t shown, gw_book_kept_t *kept, char *out) {
    const uint64_t price_mask = gw_book_digits(GW_BOOK_PRICE_DECIMALS_MAX, 0, 0) | SCALE_MASK;
    size_t price = kept->shown >> PRICE_SHIFT & 255;
    if (kept->key == row->key && ((kept->shown ^ shown) & price_mask) == 0) memcpy(out, kept->text, PRICE_COPIED);
    else price = gw_book_price_digits(row, gw_book_scale(b), out);
    size_t length = price + gw_book_qty_digits(row, out + price);
    kept->key = row->key;
    kept->qty = row->qty;
    kept->shown = 0;
    if (length > GW_BOOK_SUM_KEPT || (shown & GW_BOOK_WIDE)) return length;
    kept->shown = shown | (uint64_t)length << LENGTH_SHIFT | (uint64_t)price << PRICE_SHIFT;
    memcpy(kept->text, out, GW_BOOK_SUM_KEPT);
    return length;
}

/* The digits of one side's best levels; the length. */
static size_t side_write(const gw_book_t *b, gw_book_sum_side_t *s, unsigned side, uint32_t most, char *out) {
    const uint64_t scale = (uint64_t)gw_book_scale(b) << 1 | SCALE_BIT;
    uint8_t order[GW_BOOK_SUM_LEVELS];
    uint32_t used = s->used, old = 0, n = 0; /* `used` has the places of both lists, until one is left behind */
    size_t length = 0;
    gw_book_cursor_t cursor = gw_book_best(b, side);
    for (; n < most; n++) {
        uint32_t at = gw_book_next(&cursor);
        if (at == GW_BOOK_NONE) break;
        const uint64_t *chunk = cursor.chunk;
        int64_t key = (int64_t)chunk[at], qty = (int64_t)chunk[GW_BOOK_QTYS * GW_BOOK_CHUNK + at];
        uint64_t shown = (chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK + at] & GW_BOOK_DIGITS_MASK) | scale;
        while (old < s->count && s->kept[s->order[old]].key > key) used &= ~(1u << s->order[old++]);
        bool there = old < s->count && s->kept[s->order[old]].key == key;
        order[n] = there ? s->order[old++] : (uint8_t)__builtin_ctz(~used);
        used |= 1u << order[n];
        gw_book_kept_t *kept = &s->kept[order[n]];
        if (there && kept->qty == qty && (kept->shown & ~LENGTHS_MASK) == shown) {
            memcpy(out + length, kept->text, GW_BOOK_SUM_KEPT);
            length += kept->shown >> LENGTH_SHIFT & 255;
            continue;
        }
        gw_book_row_t row;
        gw_book_row(b, chunk, at, side, &row);
        length += level_write(b, &row, shown, kept, out + length);
    }
    /* A window of fewer levels leaves those below it to the others. */
    for (; old < s->count; old++) {
        if (n < GW_BOOK_SUM_LEVELS) order[n++] = s->order[old];
        else used &= ~(1u << s->order[old]);
    }
    memcpy(s->order, order, sizeof order);
    s->count = n;
    s->used = used;
    return length;
}

uint32_t gw_book_sum(const gw_book_t *b, gw_book_sum_t *sum, uint32_t depth) {
    char text[2 * GW_BOOK_SUM_LEVELS * LEVEL_TEXT_MAX + GW_BOOK_SUM_KEPT + GW_TEXT_SLACK];
    uint32_t most = depth == 0 || depth > GW_BOOK_SUM_LEVELS ? GW_BOOK_SUM_LEVELS : depth;
    size_t length = side_write(b, &sum->sides[GW_BOOK_ASK], GW_BOOK_ASK, most, text);
    length += side_write(b, &sum->sides[GW_BOOK_BID], GW_BOOK_BID, most, text + length);
    return gw_crc32(text, length);
}
