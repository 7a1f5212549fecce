/* Order books through the publisher: applied first, then told.
 *
 * **Two mutexes.** A message is applied, a snapshot of 40,000 levels in milliseconds, under the books' own; the publisher's
 * is held while its one record goes into the ring. So a feed of trades waits for a book no longer than for 64 KiB to be
 * copied, and one of books for another one's message.
 *
 * **Book, then record.** Whoever reads `tail` and then copies the book has it at least as new as the record, and skips
 * those that it has by their seq. The book's seq is its topic's: also what changes no level, a doubt and its end, takes one.
 */
#include "gw_publisher.h"

#include <stdlib.h>

static uint8_t id_take(gw_text_t id, char *out) {
    const size_t length = id.length < GW_BOOK_ID_MAX ? id.length : GW_BOOK_ID_MAX;
    if (length > 0) memcpy(out, id.at, length);
    return (uint8_t)length;
}

/* What has no number and changes no level leaves the book where it was. */
static void last_keep(gw_books_one_t *one, const gw_book_input_t *in, const gw_book_work_t *work) {
    if (in->last_id.length > 0 || in->snapshot || work->count > 0 || work->reset)
        one->last_length = id_take(in->last_id, one->last_id);
}

/* Up to which of the venue's numbers the book is with this record: also with one that says no more than a doubt. */
static void ids_take(gw_book_message_t *m, gw_text_t first, const gw_books_one_t *one) {
    m->first_length = id_take(first, m->first_id);
    m->last_length = id_take((gw_text_t){one->last_id, one->last_length}, m->last_id);
}

/* Publishes the books' record. */
static void record_publish(gw_publisher_t *p, bool doubted, const gw_book_input_t *in, const gw_receipt_t *receipt) {
    gw_receipt_t with = *receipt;
    if (doubted) with.flags |= GW_FLAG_MAYBE_BAD_BOOK;
    p->books.record->h.ts_event = in->ts_event;
    gw_record_received(p->books.record, in->ts_recv, in->mono_recv);
    gw_publisher_publish(p, p->books.record, 1, &with);
}

/* Whether the book behind the message has another checksum than the message says. */
static bool sum_differs(gw_books_one_t *one, const gw_book_input_t *in) {
    if (!in->summed) return false;
    if (!one->sum) one->sum = calloc(1, sizeof *one->sum);
    return one->sum && gw_book_sum(&one->book, one->sum, 0) != in->sum; /* without memory nothing can be told */
}

static gw_book_refusal_t apply(gw_books_t *b, gw_books_one_t *one, uint64_t seq, const gw_book_input_t *in) {
    if (!in->snapshot) return gw_book_apply(&one->book, &b->work, seq, in->levels, in->count);
    uint32_t depth = one->book.depth;
    one->book.depth = in->depth;
    gw_book_refusal_t refusal = gw_book_replace(&one->book, &b->work, seq, in->levels, in->count);
    if (refusal != GW_BOOK_FINE) one->book.depth = depth;
    return refusal;
}

/* Under the books' lock. */
static gw_book_refusal_t take(gw_publisher_t *p, const gw_book_input_t *in, const gw_receipt_t *receipt,
                              gw_book_result_t *out) {
    gw_books_t *b = &p->books;
    const gw_chain_t *chain = &p->writer.chains[in->topic];
    gw_books_one_t *one = gw_books_open(b, in->topic, chain->generation);
    if (!one) return GW_BOOK_PLACES_FULL;
    const uint64_t seq = chain->seq + 1, before = gw_book_seq(&one->book);
    gw_book_refusal_t refusal = apply(b, one, seq, in);
    if (refusal != GW_BOOK_FINE) {
        if (refusal <= GW_BOOK_QTY_WIDE) out->at = b->work.at;
        if (before == 0) gw_books_close(b, in->topic); /* so that it takes no room that it can't use */
        return refusal;
    }
    out->changes = b->work.count;
    out->differs = sum_differs(one, in);
    const bool crossed = gw_books_crossed(one);
    if (crossed != one->crossed) gw_publisher_crosses(p, in->topic, one->crossed = crossed);
    out->crossed = crossed && gw_publisher_trading(p, in->topic);
    const bool doubted = in->doubt ? in->doubt == GW_BOOK_IN_DOUBT : out->differs || (one->doubted && !in->snapshot);
    const bool changed = doubted != one->doubted;
    out->published = b->work.count > 0 || b->work.reset || changed || before == 0;
    one->doubted = doubted;
    last_keep(one, in, &b->work);
    if (!out->published) return GW_BOOK_FINE;
    if (gw_book_seq(&one->book) < seq) gw_book_advance(&one->book, seq);
    gw_books_record(b, one, in->topic, p->writer.cells_max);
    ids_take(gw_book_message(b->record), in->first_id, one);
    record_publish(p, doubted, in, receipt);
    if (b->quotes[in->topic] && !doubted) gw_publisher_quote(p, one, in, receipt);
    if (changed) /* the doubt of another cause is told where that is known */
        gw_publisher_doubt(p, in->topic, doubted ? GW_CONDITION_RESYNC : GW_CONDITION_OK,
                           gw_text_of("the book's checksum is another"), in->ts_recv);
    return GW_BOOK_FINE;
}

gw_book_refusal_t gw_publisher_book(gw_publisher_t *p, const gw_book_input_t *in, const gw_receipt_t *receipt,
                                    gw_book_result_t *out) {
    *out = (gw_book_result_t){.at = UINT32_MAX};
    pthread_mutex_lock(&p->books.lock);
    gw_book_refusal_t refusal = take(p, in, receipt, out);
    pthread_mutex_unlock(&p->books.lock);
    return refusal;
}

bool gw_publisher_book_doubt(gw_publisher_t *p, uint32_t topic, gw_condition_t doubt, gw_text_t reason, int64_t ts_recv,
                             int64_t mono_recv, const gw_receipt_t *receipt) {
    gw_books_t *b = &p->books;
    const gw_book_input_t in = {.topic = topic, .ts_recv = ts_recv, .mono_recv = mono_recv};
    pthread_mutex_lock(&b->lock);
    gw_books_one_t *one = gw_books_find(b, topic);
    const bool told = one && !one->doubted;
    if (told) {
        one->doubted = true;
        b->work.count = 0;
        b->work.reset = false;
        gw_book_advance(&one->book, p->writer.chains[topic].seq + 1);
        gw_books_record(b, one, topic, p->writer.cells_max);
        ids_take(gw_book_message(b->record), (gw_text_t){0}, one);
        b->record->h.gap = GW_GAP_FEED;
        record_publish(p, true, &in, receipt);
    }
    if (one) gw_publisher_doubt(p, topic, doubt, reason, ts_recv);
    pthread_mutex_unlock(&b->lock);
    return told;
}
