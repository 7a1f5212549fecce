/* The gateway's first half: a feed that checks the venue's numbers as gateway/feeds/sequencing.py does, the publisher with
 * its candles and its healths, the segment; and beside it a journal of all that went into the ring, which is what clients
 * have to be told. */
#ifndef SIMULATION_FEED_H
#define SIMULATION_FEED_H
#include "simulation_books.h"
#include "gw_candle.h"
#include "gw_kind.h"
#include "gw_publisher.h"

#include <sys/mman.h>
#include <unistd.h>

enum { SIM_TRADE, SIM_BBO, SIM_HEALTH, SIM_BOOK, SIM_CANDLE, SIM_KINDS = SIM_CANDLE + 2 };
#define SIM_TOPICS (SIM_KINDS * VENUE_INSTRUMENTS)
#define SIM_EPOCHS 16u
#define SIM_TOPICS_MAX 64u
#define SIM_BOOK_LEVELS 20000u
#define SIM_INTERVALS 3u /* bits: 1s, 1m */

static const uint8_t sim_kinds[SIM_KINDS] = {GW_TRADE, GW_BBO, GW_HEALTH, GW_BOOK, GW_CANDLE, GW_CANDLE + 1};

static inline unsigned topic_of(unsigned kind, unsigned instrument) { return kind * VENUE_INSTRUMENTS + instrument; }
static inline uint8_t topic_kind(unsigned t) { return sim_kinds[t / VENUE_INSTRUMENTS]; }
static inline unsigned topic_instrument(unsigned t) { return t % VENUE_INSTRUMENTS; }

static inline unsigned kind_index(uint8_t kind) {
    for (unsigned i = 0; i < SIM_KINDS; i++)
        if (sim_kinds[i] == kind) return i;
    CHECK(!"a kind that nobody publishes");
    return 0;
}

/* --- the journal ----------------------------------------------------------------------------------- */

typedef struct {
    gw_record_t record;
    uint64_t position; /* in the ring */
    book_truth_t book;
} journal_t;

typedef struct {
    journal_t *at; /* by seq, from 1 */
    uint64_t count, size;
} line_t;

typedef struct {
    char text[GW_EPOCH_LENGTH + 1];
    line_t lines[SIM_TOPICS];
} epoch_t;

/* --- the numbers of one topic ---------------------------------------------------------------------- */

#define HOLES_MAX 64u

typedef struct {
    bool begun;
    uint64_t first, last;
    int64_t time;
    uint64_t holes[HOLES_MAX][2];
    uint32_t holes_count;
    uint8_t owed; /* GW_GAP_*: told with the topic's next record */
    uint64_t owed_lost;
} numbers_t;

typedef enum { NEXT, AGAIN, LATE, GAPS, RESETS } outcome_t;

static inline void hole_put(numbers_t *n, uint64_t from, uint64_t to) {
    if (from > to) return;
    if (n->holes_count == HOLES_MAX) memmove(n->holes, n->holes + 1, --n->holes_count * sizeof *n->holes);
    n->holes[n->holes_count][0] = from;
    n->holes[n->holes_count++][1] = to;
}

static inline bool hole_fill(numbers_t *n, uint64_t number) {
    for (uint32_t i = 0; i < n->holes_count; i++) {
        const uint64_t from = n->holes[i][0], to = n->holes[i][1];
        if (number < from || number > to) continue;
        memmove(n->holes + i, n->holes + i + 1, (--n->holes_count - i) * sizeof *n->holes);
        hole_put(n, from, number - 1);
        hole_put(n, number + 1, to);
        return true;
    }
    return false;
}

static inline void numbers_begin(numbers_t *n, const message_t *m) {
    n->begun = true;
    n->first = n->last = m->number;
    n->time = m->ts;
    n->holes_count = 0;
}

/* `rising`: of a state's numbers none is missed. */
static inline outcome_t numbers_observe(numbers_t *n, const message_t *m, bool rising, uint64_t *lost) {
    if (!n->begun) {
        numbers_begin(n, m);
        return NEXT;
    }
    if (m->number > n->last) {
        const uint64_t before = n->last;
        n->last = m->number;
        if (m->ts > n->time) n->time = m->ts;
        if (m->number == before + 1 || rising) return NEXT;
        hole_put(n, before + 1, m->number - 1);
        *lost = m->number - before - 1;
        return GAPS;
    }
    if (m->number == n->last) return AGAIN;
    if (hole_fill(n, m->number)) return LATE;
    if (m->ts > n->time || (m->number <= n->last / 2 && m->ts >= n->time && m->number < n->first)) {
        numbers_begin(n, m);
        return RESETS;
    }
    return rising ? LATE : AGAIN;
}

/* --- the process ----------------------------------------------------------------------------------- */

static struct {
    gw_publisher_t publisher;
    gw_stats_t *stats;
    int fd; /* of the segment; -1: the process is not there */
    void *memory;
    size_t size;
    gw_reader_t journal;
    numbers_t numbers[2 * VENUE_INSTRUMENTS]; /* of trades, of quotes */
    feed_book_t books[VENUE_INSTRUMENTS];
    int64_t ids[SIM_TOPICS]; /* -1: not yet in the directory */
    epoch_t epochs[SIM_EPOCHS];
    unsigned epochs_count; /* the last one is written now */
    uint64_t ring_bytes;
    uint64_t published, gaps, refused;
} feed;

static inline epoch_t *epoch_now(void) { return &feed.epochs[feed.epochs_count - 1]; }

/* The writer's book is the simple one. */
static inline void book_journal(journal_t *out, unsigned instrument) {
    uint64_t hash[GW_BOOK_DEPTHS];
    const gw_books_one_t *one = gw_books_find(&feed.publisher.books, out->record.h.topic);
    out->book = ladder_truth(&feed.books[instrument].book);
    out->book.bad = out->record.h.flags & GW_FLAG_MAYBE_BAD_BOOK;
    CHECK(one != NULL);
    book_hash(&one->book, hash);
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) CHECK(hash[i] == out->book.hash[i]);
}

/* All that the publisher has put into the ring since the last call. */
static inline void journal_read(void) {
    static union {
        gw_record_t record;
        uint8_t bytes[1 << 16];
    } batch;
    for (int64_t n; (n = gw_reader_poll(&feed.journal, batch.bytes, sizeof batch.bytes)) != 0;) {
        CHECK(n > 0); /* never lapped */
        for (int64_t at = 0; at < n;) {
            gw_record_t r = {0};
            const gw_record_t *in = (const gw_record_t *)(const void *)(batch.bytes + at);
            memcpy(&r, in, in->h.cells < GW_RECORD_CELLS_TAIL ? in->h.cells * GW_CELL : sizeof r);
            unsigned t = 0;
            while (t < SIM_TOPICS && feed.ids[t] != (int64_t)r.h.topic) t++;
            CHECK(t < SIM_TOPICS && topic_kind(t) == r.h.kind);
            line_t *line = &epoch_now()->lines[t];
            if (line->count == line->size) {
                line->size = line->size ? 2 * line->size : 64;
                CHECK((line->at = realloc(line->at, line->size * sizeof *line->at)) != NULL);
            }
            CHECK_EQUAL(r.h.topic_seq, line->count + 1);
            line->at[line->count] = (journal_t){.record = r, .position = feed.journal.from + (uint64_t)at};
            if (r.h.kind == GW_BOOK) book_journal(&line->at[line->count], topic_instrument(t));
            line->count++;
            at += r.h.cells * (int64_t)GW_CELL;
            feed.published++;
        }
    }
}

static inline int64_t feed_register(unsigned t) {
    const char *name = venue_names[topic_instrument(t)];
    if (feed.ids[t] < 0) feed.ids[t] = gw_publisher_topic_add(&feed.publisher, topic_kind(t), name, strlen(name));
    CHECK(feed.ids[t] >= 0);
    return feed.ids[t];
}

/* The topic, with all that is made of it. */
static inline uint32_t feed_topic(uint8_t kind, unsigned instrument) {
    const unsigned t = topic_of(kind_index(kind), instrument);
    if (feed.ids[t] >= 0 || kind != GW_TRADE) return (uint32_t)feed_register(t);
    uint32_t candles[GW_CANDLES] = {0};
    for (unsigned k = 0; k < 2; k++) candles[k] = feed_topic((uint8_t)(GW_CANDLE + k), instrument);
    const uint32_t id = (uint32_t)feed_register(t);
    CHECK(gw_publisher_candles_begin(&feed.publisher, id, candles));
    return id;
}

static inline void feed_open(void) {
    CHECK(feed.epochs_count < SIM_EPOCHS);
    epoch_t *e = &feed.epochs[feed.epochs_count++];
    *e = (epoch_t){0};
    int64_t ms = sim_real() / MS;
    for (int i = GW_EPOCH_LENGTH - 1; i >= 0; i--, ms /= 36) e->text[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[ms % 36];
    feed.size = gw_segment_books_size(feed.ring_bytes, SIM_TOPICS_MAX, SIM_BOOK_LEVELS);
    feed.fd = memfd_create("simulation", MFD_CLOEXEC);
    CHECK(feed.fd >= 0 && ftruncate(feed.fd, (off_t)feed.size) == 0);
    feed.memory = mmap(NULL, feed.size, PROT_READ | PROT_WRITE, MAP_SHARED, feed.fd, 0);
    CHECK(feed.memory != MAP_FAILED);
    CHECK_EQUAL(gw_segment_books_format(feed.memory, feed.size, feed.ring_bytes, SIM_TOPICS_MAX, SIM_BOOK_LEVELS, e->text), 0);
    CHECK_EQUAL(gw_publisher_init(&feed.publisher, feed.memory, feed.size, feed.stats), 0);
    CHECK_EQUAL(gw_publisher_candles(&feed.publisher, SIM_INTERVALS, VENUE_INSTRUMENTS, 250 * MS), 0);
    feed.journal = (gw_reader_t){.segment = feed.publisher.writer.segment};
    for (unsigned t = 0; t < SIM_TOPICS; t++) feed.ids[t] = -1;
    memset(feed.numbers, 0, sizeof feed.numbers);
    memset(feed.books, 0, sizeof feed.books);
}

/* The process ends, whatever it was about to do; workers keep their own mappings. */
static inline void feed_close(void) {
    gw_publisher_free(&feed.publisher);
    munmap(feed.memory, feed.size);
    close(feed.fd);
    feed.fd = -1;
}

static inline void feed_forget(void) {
    for (unsigned i = 0; i < feed.epochs_count; i++)
        for (unsigned t = 0; t < SIM_TOPICS; t++) free(feed.epochs[i].lines[t].at);
    free(feed.stats);
    memset(&feed, 0, sizeof feed);
}

/* --- messages -------------------------------------------------------------------------------------- */

static inline gw_record_t feed_record(const message_t *m, uint32_t topic) {
    char price[32], qty[32], ask[32], id[24];
    gw_record_t r;
    int field;
    snprintf(price, sizeof price, "%lld.%02lld", (long long)(m->price / 100), (long long)(m->price % 100));
    snprintf(ask, sizeof ask, "%lld.%02lld", (long long)((m->price + 3) / 100), (long long)((m->price + 3) % 100));
    snprintf(qty, sizeof qty, "%lld.%03lld", (long long)(m->qty / 1000), (long long)(m->qty % 1000));
    snprintf(id, sizeof id, "%llu", (unsigned long long)m->number);
    const gw_text_t trade[] = {gw_text_of(price), gw_text_of(qty), gw_text_of(m->number % 3 ? "buy" : "sell"), gw_text_of(id)};
    const gw_text_t bbo[] = {gw_text_of(price), gw_text_of(qty), gw_text_of(ask), gw_text_of(qty)};
    memset(&r, 0, sizeof r);
    CHECK_EQUAL(gw_record_fill(&r, m->kind, m->kind == GW_TRADE ? trade : bbo, &field), GW_FINE);
    r.h.topic = topic;
    r.h.ts_event = m->ts;
    gw_record_received(&r, sim_real(), sim_now);
    return r;
}

/* The book is not up to date: the venue is asked for all of it. */
static inline void feed_doubt(unsigned i) {
    feed_book_t *b = &feed.books[i];
    const gw_receipt_t receipt = {.feed = 0};
    b->synced = false;
    b->held_count = 0;
    b->asked_ns = sim_now;
    gw_publisher_book_doubt(&feed.publisher, feed_topic(GW_BOOK, i), GW_CONDITION_GAP, gw_text_of("a hole"), sim_real(), sim_now, &receipt);
    journal_read();
    venue_ask(i);
}

/* What a message says, or the whole book, is published as the topic's next record, if anything changes by it. */
static inline void feed_apply(const message_t *m) {
    static gw_book_level_t levels[2 * LADDER];
    feed_book_t *b = &feed.books[m->instrument];
    const gw_receipt_t receipt = {.feed = 0, .wire = true};
    const uint64_t seq = epoch_now()->lines[topic_of(SIM_BOOK, m->instrument)].count + 1;
    char first[24], last[24];
    gw_book_result_t result;
    gw_book_input_t in = {.topic = feed_topic(GW_BOOK, m->instrument), .snapshot = m->whole, .ts_event = m->ts,
                          .ts_recv = sim_real(), .mono_recv = sim_now, .levels = levels};
    if (m->whole) {
        b->book = venue_books[m->instrument].sent;
        in.count = ladder_levels(&b->book, levels);
    }
    for (; in.count < m->changes_count; in.count++) {
        const change_t *x = &m->changes[in.count];
        b->book.qty[x->side][x->price] = x->qty;
        levels[in.count] = ladder_level(x->side, x->price, x->qty);
    }
    snprintf(first, sizeof first, "%llu", (unsigned long long)seq * 10 - 9);
    snprintf(last, sizeof last, "%llu", (unsigned long long)seq * 10);
    in.first_id = gw_text_of(first);
    in.last_id = gw_text_of(last);
    CHECK_EQUAL(gw_publisher_book(&feed.publisher, &in, &receipt, &result), GW_BOOK_FINE);
    CHECK(!result.crossed);
    b->last = m->number;
    journal_read();
}

/* A message of a book's that comes in its turn; false: one before it is missing. */
static inline bool feed_follow(const message_t *m) {
    feed_book_t *b = &feed.books[m->instrument];
    if (m->number <= b->last) return true; /* it is in the book */
    if (m->number != b->last + 1) return false;
    feed_apply(m);
    return true;
}

static inline void feed_hold(feed_book_t *b, const message_t *m) {
    if (b->held_count < HELD_MAX) b->held[b->held_count++] = *m;
}

static inline void feed_book(const message_t *m) {
    feed_book_t *b = &feed.books[m->instrument];
    if (m->whole) {
        venue_books[m->instrument].is_sent = false;
        if (b->synced || !b->asked_ns) return;
        feed_apply(m);
        b->synced = true;
        for (uint32_t i = 0; b->synced && i < b->held_count; i++) b->synced = feed_follow(&b->held[i]);
        if (!b->synced) feed_doubt(m->instrument);
        return;
    }
    if (b->synced && feed_follow(m)) return;
    if (b->synced || !b->asked_ns || sim_now - b->asked_ns > 2 * SECOND) feed_doubt(m->instrument);
    feed_hold(b, m);
}

/* The decoder refuses it. */
static inline void feed_refuse(const message_t *m) {
    const unsigned t = topic_of(kind_index(m->kind), m->instrument);
    if (feed.ids[t] < 0) return; /* no topic becomes known by that */
    feed.refused++;
    if (m->kind == GW_BOOK) feed_doubt(m->instrument);
    gw_publisher_suspect(&feed.publisher, (uint32_t)feed.ids[t], m->kind, feed_topic(GW_HEALTH, m->instrument),
                         gw_text_of("price is no number"), sim_real(), sim_now);
}

/* The message's record; false: it is none. */
static inline bool feed_take(const message_t *m, gw_record_t *out) {
    const bool quote = m->kind == GW_BBO;
    numbers_t *n = &feed.numbers[m->instrument + quote * VENUE_INSTRUMENTS];
    uint64_t lost = 0;
    const uint32_t topic = feed_topic(m->kind, m->instrument);
    const outcome_t outcome = numbers_observe(n, m, quote, &lost);
    if (outcome == GAPS) n->owed = GW_GAP_FEED, n->owed_lost += lost;
    if (outcome == RESETS) n->owed = GW_GAP_RESET, n->owed_lost = 0;
    if (outcome == AGAIN || (outcome == LATE && quote)) return false;
    *out = feed_record(m, topic);
    out->h.gap = n->owed;
    out->h.lost = (uint32_t)n->owed_lost;
    feed.gaps += n->owed != GW_GAP_NONE;
    n->owed = GW_GAP_NONE;
    n->owed_lost = 0;
    return true;
}

/* Everything that has come is published, and candles are closed by the clock. */
static inline void feed_run(void) {
    gw_record_t records[GW_PUBLISH_MAX];
    const gw_receipt_t receipt = {.feed = 0, .wire = true};
    uint32_t count = 0;
    message_t m;
    if (feed.fd < 0) return;
    while (way_take(&m)) {
        const bool row = !m.spoilt && m.kind != GW_BOOK;
        if (row) count += feed_take(&m, &records[count]);
        if (count == GW_PUBLISH_MAX || !row) gw_publisher_publish(&feed.publisher, records, count, &receipt), count = 0;
        journal_read();
        if (m.spoilt) feed_refuse(&m);
        else if (m.kind == GW_BOOK) feed_book(&m);
        journal_read();
    }
    gw_publisher_publish(&feed.publisher, records, count, &receipt);
    journal_read();
    while (gw_publisher_candles_step(&feed.publisher)) journal_read();
    journal_read();
    gw_publisher_ring(&feed.publisher);
}

#endif
