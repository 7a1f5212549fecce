/* Writes what a template has of a book: levels and what is said of them, as text and in binary. */
#include "gw_book_text.h"
#include "gw_little.h"
#include "gw_sbe_book.h"
#include "gw_template_internal.h"

/* --- as text ------------------------------------------------------------------------------------------- */

/* `["price","quantity"],...` */
static char *write_levels(const gw_book_view_t *b, unsigned side, char *out) {
    const gw_book_row_t *row = b->rows + (side ? b->count[GW_BOOK_BID] : 0), *end = row + b->count[side];
    for (const gw_book_row_t *first = row; row < end; row++) {
        if (row > first) *out++ = ',';
        memcpy(out, "[\"", 2);
        out += 2;
        out += gw_book_price_text(row, b->scale, out);
        memcpy(out, "\",\"", 3);
        out += 3;
        out += gw_book_qty_text(row, out);
        memcpy(out, "\"]", 2);
        out += 2;
    }
    return out;
}

static bool book_has(const gw_book_view_t *b, uint8_t value) {
    switch (value) {
    case GW_T_FIRST_ID: return b->first.length > 0;
    case GW_T_LAST_ID: return b->last.length > 0;
    case GW_T_MAYBE_BAD: return b->maybe_bad;
    case GW_T_CHECKSUM: return b->summed;
    case GW_T_PART: return b->parts > 0;
    default: return true;
    }
}

static char *write_book_value(const gw_book_view_t *b, uint8_t value, char *out) {
    switch (value) {
    case GW_T_BIDS: return write_levels(b, GW_BOOK_BID, out);
    case GW_T_ASKS: return write_levels(b, GW_BOOK_ASK, out);
    case GW_T_DEPTH: return out + gw_text_unsigned(b->depth, out);
    case GW_T_FIRST_ID: return gw_template_escape(b->first.at, b->first.length, out);
    case GW_T_LAST_ID: return gw_template_escape(b->last.at, b->last.length, out);
    case GW_T_CHECKSUM: return out + gw_text_unsigned(b->checksum, out);
    case GW_T_PART:
        out += gw_text_unsigned(b->part, out);
        *out++ = ',';
        return out + gw_text_unsigned(b->parts, out);
    default: return out;
    }
}

char *gw_template_book(const gw_template_t *t, const gw_step_t *s, const gw_book_view_t *b, char *out) {
    if (!book_has(b, s->source)) return out;
    out = gw_template_text(t, t->book[s->source][0], out);
    out = write_book_value(b, s->source, out);
    return gw_template_text(t, t->book[s->source][1], out);
}

/* --- in binary ----------------------------------------------------------------------------------------- */

static char *write_id(gw_text_t id, char *out) {
    *out = (char)id.length;
    if (id.length) memcpy(out + 1, id.at, id.length);
    return out + 1 + id.length;
}

char *gw_template_book_binary(const gw_step_t *s, const gw_book_view_t *b, char *out) {
    const uint32_t bids = b->count[GW_BOOK_BID], asks = b->count[GW_BOOK_ASK];
    switch (s->source) {
    case GW_T_BIDS: return gw_sbe_book_group(b->rows, bids, b->scale, out);
    case GW_T_ASKS: return gw_sbe_book_group(b->rows + bids, asks, b->scale, out);
    case GW_T_WIDES: return gw_sbe_book_wides(b->rows, bids + asks, out);
    case GW_T_DEPTH: return gw_little_store(b->depth, 2, out);
    case GW_T_PART: return gw_little_store(b->part, 2, out);
    case GW_T_PARTS: return gw_little_store(b->parts, 2, out);
    case GW_T_CHECKSUM: return gw_little_store(b->summed ? b->checksum : 0, 4, out);
    case GW_T_FIRST_ID: return write_id(b->first, out);
    case GW_T_LAST_ID: return write_id(b->last, out);
    default: /* GW_T_BOOK_FLAGS */
        *out = (char)(s->room | (b->maybe_bad ? GW_SBE_FLAG_MAYBE_BAD : 0) | (b->summed ? GW_SBE_FLAG_CHECKSUM : 0));
        return out + 1;
    }
}
