/* Most of a book's best levels are the same from one message to the next, so their digits are kept, each in a place that
 * its key's hash chooses. A checksum then copies 20 texts of a fixed size one behind the other, and folds them. */
#include "gw_book_sum.h"
#include "gw_book_internal.h"
#include "gw_book_text.h"
#include "gw_crc.h"

#include <string.h>

#define LEVEL_TEXT_MAX (GW_BOOK_PRICE_TEXT_MAX + GW_BOOK_QTY_TEXT_MAX)
#define LENGTH_SHIFT 16u /* of a kept text's length in `shown`, whose lowest bits are free: a level's seq is there */
#define SCALE_BIT 1u     /* so that `shown` is never 0 */

/* Fibonacci hashing: neighbouring prices go to different places. */
static unsigned place_of(int64_t key) { return (unsigned)((uint64_t)key * 0x9e3779b97f4a7c15ull >> 59); }
_Static_assert(GW_BOOK_SUM_PLACES == 32, "five bits of a hash");

/* Writes one level's digits; GW_BOOK_SUM_KEPT bytes are free. */
static size_t level_write(const gw_book_t *b, gw_book_sum_t *sum, const uint64_t *chunk, uint32_t at, unsigned side,
                          char *out) {
    int64_t key = (int64_t)chunk[at], qty = (int64_t)chunk[GW_BOOK_QTYS * GW_BOOK_CHUNK + at];
    uint64_t digits = chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK + at] & GW_BOOK_DIGITS_MASK;
    uint64_t shown = digits | (uint64_t)gw_book_scale(b) << 1 | SCALE_BIT;
    gw_book_kept_t *kept = &sum->kept[side][place_of(key)];
    if (kept->key == key && kept->qty == qty && (kept->shown & ~(255ull << LENGTH_SHIFT)) == shown) {
        memcpy(out, kept->text, GW_BOOK_SUM_KEPT);
        return kept->shown >> LENGTH_SHIFT & 255;
    }
    gw_book_row_t row;
    gw_book_row(b, chunk, at, side, &row);
    size_t length = gw_book_digits_text(&row, gw_book_scale(b), out);
    if (length > GW_BOOK_SUM_KEPT || (digits & GW_BOOK_WIDE)) return length;
    *kept = (gw_book_kept_t){key, qty, shown | (uint64_t)length << LENGTH_SHIFT, {0}};
    memcpy(kept->text, out, length);
    return length;
}

uint32_t gw_book_sum(const gw_book_t *b, gw_book_sum_t *sum, uint32_t depth) {
    static const unsigned sides[GW_BOOK_SIDES] = {GW_BOOK_ASK, GW_BOOK_BID};
    char text[2 * GW_BOOK_SUM_LEVELS * LEVEL_TEXT_MAX + GW_BOOK_SUM_KEPT + GW_TEXT_SLACK];
    size_t length = 0;
    uint32_t most = depth == 0 || depth > GW_BOOK_SUM_LEVELS ? GW_BOOK_SUM_LEVELS : depth;
    for (unsigned i = 0; i < GW_BOOK_SIDES; i++) {
        gw_book_cursor_t cursor = gw_book_best(b, sides[i]);
        for (uint32_t left = most; left > 0; left--) {
            uint32_t at = gw_book_next(&cursor);
            if (at == GW_BOOK_NONE) break;
            length += level_write(b, sum, cursor.chunk, at, sides[i], text + length);
        }
    }
    return gw_crc32(text, length);
}
