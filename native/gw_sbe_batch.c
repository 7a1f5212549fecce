/* Many binary frames at once, as rows of numpy's structured arrays. */
#include "gw_book_record.h"
#include "gw_sbe_book.h"

static void decimals_put(const gw_sbe_message_t *m, unsigned count, gw_sbe_mantissa_t *mantissa, double *number,
                         int8_t *exponent) {
    for (unsigned i = 0; i < count; i++) {
        const gw_sbe_decimal_t *d = &m->decimals[i];
        mantissa[i] = (gw_sbe_mantissa_t){d->low, d->high};
        number[i] = gw_sbe_decimal_double(d);
        exponent[i] = d->exponent;
    }
}

static void trade_put(const gw_sbe_message_t *m, gw_sbe_trade_row_t *row) {
    *row = (gw_sbe_trade_row_t){m->seq, m->skipped, m->ts_event, m->ts_recv, m->ts_send,
                                .topic = m->topic, .flags = m->flags, .side = m->side};
    decimals_put(m, 2, row->mantissa, row->number, row->exponent);
}

static void quote_put(const gw_sbe_message_t *m, gw_sbe_quote_row_t *row) {
    *row = (gw_sbe_quote_row_t){m->seq, m->skipped, m->ts_event, m->ts_recv, m->ts_send,
                                .topic = m->topic, .flags = m->flags};
    decimals_put(m, 4, row->mantissa, row->number, row->exponent);
}

static void candle_put(const gw_sbe_message_t *m, gw_sbe_candle_row_t *row) {
    *row = (gw_sbe_candle_row_t){m->seq, m->skipped, m->ts_event, m->ts_recv, m->ts_send, m->start,
                                 .topic = m->topic, .trades = m->trades, .flags = m->flags,
                                 .closed = m->closed, .revised = m->revised, .complete = m->complete};
    decimals_put(m, GW_CANDLE_DECIMALS, row->mantissa, row->number, row->exponent);
}

/* Levels are checked in either pass, before there is a row of them. */
static gw_sbe_fault_t book_put(const gw_sbe_message_t *m, gw_sbe_batch_t *b) {
    gw_sbe_fault_t fault = gw_sbe_book_rows(m, (uint32_t)b->books_count, b->levels ? &b->levels[b->levels_count] : NULL);
    if (fault) return fault;
    if (b->books)
        b->books[b->books_count] = (gw_sbe_book_row_t){
            m->seq, m->skipped, m->ts_event, m->ts_recv, m->ts_send, .first = b->levels_count,
            .topic = m->topic, .frame = (uint32_t)b->frame, .bids = m->groups[GW_SBE_BIDS].count,
            .asks = m->groups[GW_SBE_ASKS].count, .checksum = m->checksum, .depth = m->depth, .part = m->part,
            .parts = m->parts, .flags = m->flags};
    b->books_count++;
    b->levels_count += gw_sbe_book_count(m);
    return GW_SBE_FINE;
}

/* Reads one frame; `*mark` is set to what it holds beside trades, quotes, books and candles. */
static gw_sbe_fault_t frame_read(const gw_sbe_frame_t *frame, gw_sbe_batch_t *b, uint8_t *mark) {
    size_t used = 0;
    *mark = 0;
    do {
        gw_sbe_message_t m;
        gw_sbe_fault_t fault = gw_sbe_read(frame->at + used, frame->size - used, &m);
        if (fault == GW_SBE_OTHER) {
            *mark |= GW_SBE_MARK_OTHER;
            return GW_SBE_FINE;
        }
        if (fault) return fault;
        used += m.size;
        if (m.kind == GW_SBE_TOPIC) {
            *mark |= GW_SBE_MARK_TOPIC;
        } else if (m.kind == GW_SBE_TRADE) {
            if (b->trades) trade_put(&m, &b->trades[b->trades_count]);
            b->trades_count++;
        } else if (m.kind == GW_SBE_CANDLE) {
            if (b->candles) candle_put(&m, &b->candles[b->candles_count]);
            b->candles_count++;
        } else if (m.kind == GW_SBE_BOOK) {
            fault = book_put(&m, b);
            if (fault) return fault;
        } else {
            if (b->quotes) quote_put(&m, &b->quotes[b->quotes_count]);
            b->quotes_count++;
        }
    } while (used < frame->size);
    return GW_SBE_FINE;
}

gw_sbe_fault_t gw_sbe_batch(const gw_sbe_frame_t *frames, size_t count, gw_sbe_batch_t *b) {
    b->trades_count = b->quotes_count = b->candles_count = b->books_count = b->levels_count = 0;
    for (b->frame = 0; b->frame < count; b->frame++) {
        gw_sbe_fault_t fault = frame_read(&frames[b->frame], b, &b->marks[b->frame]);
        if (fault) return fault;
    }
    return GW_SBE_FINE;
}
