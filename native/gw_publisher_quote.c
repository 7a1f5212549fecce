/* Quotes that are made of books, where a venue sends none: the best levels behind each whole message, in an order of their
 * own. While a book is in doubt there are none. */
#include "gw_book_text.h"
#include "gw_publisher.h"

/* Room for the text of a price or a quantity. */
#define TEXT_MAX (GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK)
_Static_assert(GW_BOOK_PRICE_TEXT_MAX <= GW_BOOK_QTY_TEXT_MAX, "either fits");

/* Fills kind, cells and payload. False: a number has more digits than a quote carries. */
static bool quote_fill(const gw_books_one_t *one, gw_record_t *record) {
    char room[4][TEXT_MAX];
    gw_text_t texts[4] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}}; /* in the order of GW_BID, ... */
    const unsigned scale = gw_book_scale(&one->book);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        gw_book_row_t row;
        if (!gw_books_best(one, side, &row)) continue;
        char *price = room[2 * side], *qty = room[2 * side + 1];
        texts[2 * side] = (gw_text_t){price, gw_book_price_text(&row, scale, price)};
        texts[2 * side + 1] = (gw_text_t){qty, gw_book_qty_text(&row, qty)};
    }
    int field;
    return gw_record_fill(record, GW_BBO, texts, &field) == GW_FINE;
}

void gw_publisher_book_derive(gw_publisher_t *p, uint32_t topic, uint32_t bbo) {
    pthread_mutex_lock(&p->books.lock);
    if (p->books.quotes) p->books.quotes[topic] = bbo;
    pthread_mutex_unlock(&p->books.lock);
}

void gw_publisher_quote(gw_publisher_t *p, gw_books_one_t *one, const gw_book_input_t *in, const gw_receipt_t *receipt) {
    gw_record_t record = {.h = {.ts_event = in->ts_event, .topic = p->books.quotes[in->topic] - 1}};
    if (!quote_fill(one, &record)) return;
    if (one->quoted && !memcmp(&one->quote, &record.u.bbo, sizeof one->quote) &&
        !memcmp(&one->quote_tail, &record.tail, sizeof one->quote_tail))
        return;
    if (!one->quoted && record.u.bbo.extra & GW_EXTRA_NO_BID && record.u.bbo.extra & GW_EXTRA_NO_ASK) return;
    one->quote = record.u.bbo;
    one->quote_tail = record.tail;
    one->quoted = true;
    gw_record_received(&record, in->ts_recv, in->mono_recv);
    gw_publisher_publish(p, &record, 1, receipt);
}

bool gw_publisher_book_top(gw_publisher_t *p, uint32_t topic, gw_record_t *out) {
    pthread_mutex_lock(&p->books.lock);
    const gw_books_one_t *one = gw_books_find(&p->books, topic);
    const bool found = one && !one->doubted && quote_fill(one, out);
    pthread_mutex_unlock(&p->books.lock);
    return found;
}
