/* Publishing by several threads: a mutex around the single writer and what it counts. */
#include "gw_publisher.h"
#include "gw_atomic.h"
#include "gw_clock.h"

#include <assert.h>
#include <string.h>

int gw_publisher_init(gw_publisher_t *p, void *mem, size_t size, gw_stats_t *stats) {
    *p = (gw_publisher_t){.stats = stats};
    int error = gw_writer_init(&p->writer, mem, size);
    if (error < 0) return error;
    error = gw_suspects_init(&p->suspects, p->writer.segment.topics_max);
    if (error == 0) error = gw_books_init(&p->books, &p->writer.segment.books, p->writer.segment.topics_max);
    if (error == 0) error = gw_conditions_init(&p->conditions, p->writer.segment.topics_max);
    if (error == 0) error = -pthread_mutex_init(&p->lock, NULL);
    if (error < 0) {
        gw_conditions_free(&p->conditions);
        gw_books_free(&p->books);
        gw_suspects_free(&p->suspects);
        gw_writer_free(&p->writer);
    }
    return error;
}

void gw_publisher_free(gw_publisher_t *p) {
    if (p->writer.chains == NULL) return;
    gw_writer_free(&p->writer);
    gw_suspects_free(&p->suspects);
    gw_conditions_free(&p->conditions);
    gw_candles_free(&p->candles);
    gw_books_free(&p->books);
    pthread_mutex_destroy(&p->books.lock);
    pthread_mutex_destroy(&p->lock);
}

int64_t gw_publisher_topic_add(gw_publisher_t *p, uint8_t channel, const char *name,
                               size_t length) {
    pthread_mutex_lock(&p->lock);
    int64_t topic = gw_writer_topic_add(&p->writer, channel, name, length);
    pthread_mutex_unlock(&p->lock);
    return topic;
}

/* The ring's bytes that all workers have taken, of those that follow this segment. */
static uint64_t slowest_cursor(const gw_publisher_t *p) {
    uint64_t slowest = p->writer.tail, ours, epoch;
    memcpy(&ours, p->writer.segment.epoch, sizeof ours);
    for (size_t i = 0; i < p->workers; i++) {
        if (!GW_LOAD_ACQUIRE(&p->waits[i].attached)) continue;
        epoch = GW_LOAD_RELAXED(&p->waits[i].epoch);
        uint64_t cursor = GW_LOAD_ACQUIRE(&p->waits[i].cursor);
        if (epoch == ours && cursor < slowest) slowest = cursor;
    }
    return slowest;
}

int64_t gw_publisher_topic_reuse(gw_publisher_t *p, uint8_t channel, const char *name,
                                 size_t length) {
    pthread_mutex_lock(&p->lock);
    int64_t topic = gw_writer_topic_reuse(&p->writer, channel, name, length, slowest_cursor(p),
                                          gw_monotonic_ns());
    pthread_mutex_unlock(&p->lock);
    return topic;
}

/* Measures how long the venue's message travelled. */
static void wire_measure(const gw_publisher_t *p, gw_header_t *h, const gw_receipt_t *receipt) {
    h->flags = receipt->flags;
    if (h->ts_event == 0) {
        h->ts_event = h->ts_recv;
        return;
    }
    if (!receipt->wire) return;
    /* Event times are the sender's, of any 63 bits: the difference of two that are not negative. */
    int64_t wire_ns = h->ts_recv - h->ts_event;
    if (wire_ns < 0) h->flags |= GW_FLAG_BAD_TS;
    if (p->stats == NULL) return;
    gw_hdr_record(&p->stats->stage[GW_STAGE_WIRE], wire_ns, 1);
    if (wire_ns < 0) gw_hdr_add(&p->stats->clock_anomalies[receipt->feed], 1);
}

/* Stamps `now`, and measures it. */
static void ingest_measure(const gw_publisher_t *p, gw_header_t *h, int64_t now) {
    int64_t ingest_ns = gw_publisher_stamp(h, now);
    if (p->stats != NULL) gw_hdr_record(&p->stats->stage[GW_STAGE_INGEST], ingest_ns, 1);
}

void gw_publisher_topic_continue(gw_publisher_t *p, uint32_t topic, uint64_t seq) {
    pthread_mutex_lock(&p->lock);
    gw_writer_topic_continue(&p->writer, topic, seq);
    pthread_mutex_unlock(&p->lock);
}

uint64_t gw_publisher_topic_retire(gw_publisher_t *p, uint32_t topic, uint8_t kind) {
    int64_t real_ns = gw_realtime_ns(), now_ns = gw_monotonic_ns();
    gw_record_t record = {
        .h = {.ts_event = real_ns, .ts_recv = real_ns, .ts_publish = now_ns}};
    if (kind == GW_BOOK) {
        pthread_mutex_lock(&p->books.lock);
        gw_books_close(&p->books, topic);
        if (p->books.quotes) p->books.quotes[topic] = 0;
        pthread_mutex_unlock(&p->books.lock);
    }
    pthread_mutex_lock(&p->lock);
    record.h.topic = topic;
    record.h.kind = kind;
    if (gw_suspects_has(&p->suspects, topic)) gw_publisher_recover(p, &record.h);
    const uint64_t last = gw_writer_topic_retire(&p->writer, topic, kind, &record, now_ns);
    gw_conditions_end(&p->conditions, topic, kind);
    gw_publisher_health_count(p);
    pthread_mutex_unlock(&p->lock);
    return last;
}

void gw_publisher_publish(gw_publisher_t *p, gw_record_t *records, uint32_t count,
                          const gw_receipt_t *receipt) {
    assert(count <= GW_PUBLISH_MAX);
    if (count == 0) return;
    pthread_mutex_lock(&p->lock);
    /* Read under the lock: the times rise as the records do, and waiting for another feed shows. */
    int64_t now = gw_monotonic_ns();
    /* Stamped apart from publishing: a small store just before its word is loaded would stall. */
    for (uint32_t i = 0; i < count; i++) {
        wire_measure(p, &records[i].h, receipt);
        ingest_measure(p, &records[i].h, now);
    }
    const bool candles = gw_candles_on(&p->candles);
    if (candles) gw_candles_now(&p->candles, gw_realtime_ns(), now);
    for (uint32_t i = 0; i < count; i++) {
        gw_writer_publish(&p->writer, &records[i]);
        if (candles && records[i].h.kind == GW_TRADE)
            gw_candles_trade(&p->candles, &records[i], receipt->feed, receipt->wire);
        if (p->stats != NULL) gw_hdr_add(&p->stats->published[records[i].h.kind], 1);
        const bool good = (records[i].h.flags & GW_FLAG_MAYBE_BAD_BOOK) == 0;
        if (good && gw_suspects_has(&p->suspects, records[i].h.topic)) gw_publisher_recover(p, &records[i].h);
    }
    pthread_mutex_unlock(&p->lock);
}

/* --- candles ------------------------------------------------------------------------------------- */

enum { CANDLE_STEPS = 16 }; /* of one call, each with the lock taken anew */

static void candle_emit(void *self, gw_record_t *record) {
    gw_publisher_t *p = self;
    gw_writer_publish(&p->writer, record);
    if (p->stats != NULL) gw_hdr_add(&p->stats->published[record->h.kind], 1);
}

int gw_publisher_candles(gw_publisher_t *p, unsigned intervals, uint32_t instruments_max, int64_t update_ns) {
    return gw_candles_init(&p->candles, intervals, instruments_max, p->writer.segment.topics_max, update_ns, candle_emit,
                           p);
}

bool gw_publisher_candles_begin(gw_publisher_t *p, uint32_t trades, const uint32_t *topics) {
    pthread_mutex_lock(&p->lock);
    bool begun = gw_candles_begin(&p->candles, trades, topics);
    pthread_mutex_unlock(&p->lock);
    return begun;
}

void gw_publisher_candles_end(gw_publisher_t *p, uint32_t trades) {
    if (!gw_candles_on(&p->candles)) return;
    pthread_mutex_lock(&p->lock);
    gw_candles_end(&p->candles, trades);
    pthread_mutex_unlock(&p->lock);
}

bool gw_publisher_candles_step(gw_publisher_t *p) {
    bool left = gw_candles_on(&p->candles);
    for (int i = 0; left && i < CANDLE_STEPS; i++) {
        pthread_mutex_lock(&p->lock);
        gw_candles_now(&p->candles, gw_realtime_ns(), gw_monotonic_ns());
        left = gw_candles_step(&p->candles);
        if (p->stats != NULL) {
            const gw_candle_counts_t n = p->candles.counts;
            const uint64_t counts[GW_CANDLE_COUNTS] = {n.late,  n.ahead,    n.duplicates, n.unprinted,
                                                       n.unfit, n.left_out, n.restarts,   n.full};
            for (int k = 0; k < GW_CANDLE_COUNTS; k++) /* others add to some of them, without the lock */
                if (counts[k]) gw_hdr_add(&p->stats->candle_trades[k], counts[k]);
            gw_hdr_add(&p->stats->candles_revised[0], n.revised);
            p->candles.counts = (gw_candle_counts_t){0};
        }
        pthread_mutex_unlock(&p->lock);
    }
    return left;
}

void gw_publisher_populate_ahead(gw_publisher_t *p) {
    const gw_segment_t *s = &p->writer.segment;
    gw_ahead_init_write(&p->ahead, s->ring, s->capacity, p->writer.tail);
    gw_ahead(&p->ahead, p->writer.tail, GW_AHEAD_LEAD, GW_AHEAD_LEAD); /* no record waits yet */
    GW_STORE_RELEASE(&p->ahead_state, GW_AHEAD_IDLE);
}

/* Runs outside `lock`, so that no other feed waits for the kernel. One thread at a time populates; the
 * others skip their step. */
static void populate(gw_publisher_t *p) {
    uint64_t idle = GW_AHEAD_IDLE;
    if (GW_LOAD_RELAXED(&p->ahead_state) != idle ||
        !__atomic_compare_exchange_n(&p->ahead_state, &idle, GW_AHEAD_BUSY, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return;
    gw_ahead(&p->ahead, GW_LOAD_RELAXED(p->writer.segment.tail), GW_AHEAD_LEAD, GW_AHEAD_BUDGET);
    bool left = p->ahead.done < p->ahead.end;
    GW_STORE_RELEASE(&p->ahead_state, left ? GW_AHEAD_IDLE : GW_AHEAD_OFF);
}

void gw_publisher_ring(gw_publisher_t *p) {
    for (size_t i = 0; i < p->workers; i++) gw_wait_ring(&p->waits[i], p->event_fds[i]);
    populate(p);
}
