/* Several threads publish through one writer: nothing is lost, torn, miscounted or left asleep. */
#include "check.h"
#include "gw_atomic.h"
#include "gw_clock.h"
#include "publisher_memory.h"
#include "ring_memory.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BATCHES 1000u
#else
#define BATCHES 4000u
#endif
#define FEEDS 3u
#define TOPICS (FEEDS + 200u)

static gw_record_t record_of(uint32_t topic, int64_t ts_event) {
    return (gw_record_t){.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topic, .ts_event = ts_event}};
}

static void receipts_are_stamped_and_measured(void) {
    publisher_new(1 << 16, 1);
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "A.X", 3), 0);
    gw_record_t records[3] = {record_of(0, 900), record_of(0, 0), record_of(0, 5000)};
    usual_t got[3];
    gw_receipt_t receipt = {.feed = 7, .flags = GW_FLAG_LAST, .wire = true};
    int64_t mono_recv = gw_monotonic_ns() - 10000000000; /* more than 32 bits of nanoseconds */
    for (int i = 0; i < 3; i++) gw_record_received(&records[i], 1000 + i, mono_recv);
    gw_publisher_publish(&publisher, records, 0, &receipt);
    gw_publisher_publish(&publisher, records, 3, &receipt);
    CHECK_EQUAL(gw_reader_poll(&reader, got, sizeof got), sizeof got);
    static const int64_t events[3] = {900, 1001, 5000};
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(got[i].h.ts_event, events[i]);
        CHECK_EQUAL(got[i].h.ts_recv, 1000 + i);
        CHECK_EQUAL(got[i].h.flags, GW_FLAG_LAST | (i == 2 ? GW_FLAG_BAD_TS : 0));
        CHECK_EQUAL(got[i].h.ingest_ns, UINT32_MAX);
        CHECK(got[i].h.ts_publish >= mono_recv + 10000000000);
    }
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].count, 1);
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].sum, 100);
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].negative, 1);
    /* A record cannot say how long it waited beyond 4.29 s; the stage's histogram does. */
    CHECK_EQUAL(stats.stage[GW_STAGE_INGEST].count, 3);
    CHECK(stats.stage[GW_STAGE_INGEST].sum >= 30000000000u);
    CHECK_EQUAL(stats.clock_anomalies[7], 1);
    CHECK_EQUAL(stats.published[GW_TRADE], 3);

    /* A receipt from the future, and a replay: neither measured as what it is not. */
    receipt.wire = false;
    records[0] = record_of(0, 5000);
    gw_record_received(&records[0], 1000, gw_monotonic_ns() + 10000000000);
    gw_publisher_publish(&publisher, records, 1, &receipt);
    CHECK_EQUAL(gw_reader_poll(&reader, got, sizeof got), sizeof got[0]);
    CHECK_EQUAL(got[0].h.ingest_ns, 0);
    CHECK_EQUAL(got[0].h.flags, GW_FLAG_LAST);
    CHECK_EQUAL(stats.clock_anomalies[7], 1);
    CHECK_EQUAL(stats.stage[GW_STAGE_INGEST].negative, 1);
    publisher_end();
}

static gw_health_t health_next(uint64_t seq) {
    gw_record_t got;
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), GW_RECORD_CELLS * GW_CELL);
    CHECK_EQUAL(got.h.kind, GW_HEALTH);
    CHECK_EQUAL(got.h.topic, 2);
    CHECK_EQUAL(got.h.topic_seq, seq);
    return got.u.health;
}

static void good_next(uint32_t topic) {
    gw_record_t got;
    CHECK_EQUAL(gw_reader_poll(&reader, &got, sizeof got), GW_RECORD_CELLS * GW_CELL);
    CHECK(got.h.kind != GW_HEALTH && got.h.topic == topic);
}

static void publish_one(uint32_t topic, uint8_t kind) {
    gw_record_t record = record_of(topic, 0);
    record.h.kind = kind;
    gw_record_received(&record, 1000, gw_monotonic_ns());
    gw_receipt_t receipt = {.wire = true};
    gw_publisher_publish(&publisher, &record, 1, &receipt);
}

static bool refuse(uint32_t topic, uint8_t kind, const char *why) {
    gw_text_t reason = {why, strlen(why)};
    return gw_publisher_suspect(&publisher, topic, kind, 2, reason, 1000, gw_monotonic_ns());
}

/* One instrument with two topics: its health is that of both, and says why. */
static void a_refused_input_is_suspect_until_a_good_one(void) {
    publisher_new(1 << 16, 3);
    gw_publisher_topic_add(&publisher, GW_TRADE, "A.X", 3);
    gw_publisher_topic_add(&publisher, GW_BBO, "A.X", 3);
    gw_publisher_topic_add(&publisher, GW_HEALTH, "A.X", 3);
    static const uint8_t kinds[] = {GW_TRADE, GW_BBO, GW_HEALTH};
    for (uint32_t i = 0; i < 3; i++) gw_publisher_topic_begin(&publisher, i, kinds[i], i ? 1 : 0, 0);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_OK], 1);
    CHECK(refuse(1, GW_BBO, "bbo bid: bad"));
    CHECK(!refuse(1, GW_BBO, "another"));
    gw_health_t h = health_next(1);
    CHECK(h.suspect == 1 << GW_BBO && !memcmp(h.state, "suspect", h.state_length));
    CHECK(h.reason_length == 12 && !memcmp(h.reason, "bbo bid: bad", 12));
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_SUSPECT], 1);

    char longest[2 * GW_REASON_MAX + 1];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    CHECK(refuse(0, GW_TRADE, longest));
    h = health_next(2);
    CHECK(h.suspect == (1 << GW_BBO | 1 << GW_TRADE) && h.reason_length == GW_REASON_MAX);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_SUSPECT], 1);

    publish_one(0, GW_TRADE);
    good_next(0);
    h = health_next(3);
    CHECK(h.suspect == 1 << GW_BBO && h.reason_length == 12);
    publish_one(0, GW_TRADE);
    good_next(0);
    publish_one(1, GW_BBO);
    good_next(1);
    h = health_next(4);
    CHECK(h.suspect == 0 && h.state_length == 2 && h.reason_length == 0);
    CHECK_EQUAL(stats.instrument_health[GW_HEALTH_SUSPECT], 0);
    CHECK_EQUAL(publisher.suspects.count, 0);
    CHECK_EQUAL(stats.published[GW_HEALTH], 4);
    publish_one(1, GW_BBO);
    good_next(1);
    CHECK(refuse(1, GW_BBO, "a\n\177\303\244"));
    CHECK_EQUAL(memcmp(publisher.suspects.topics[1].reason, "a????", 5), 0);
    CHECK_EQUAL(health_next(5).suspect, 1 << GW_BBO);
    publisher_end();
}

static void a_publisher_that_never_was_is_freed(void) {
    uint8_t page[4096] = {0};
    CHECK_EQUAL(gw_publisher_init(&publisher, page, sizeof page, NULL), -EINVAL);
    gw_publisher_free(&publisher);
}

static uint64_t running;

/* Batches of one to a whole chunk on the feed's own topic; ids tell their order. */
static void *feed_run(void *argument) {
    uint32_t feed = *(uint32_t *)argument;
    gw_record_t records[GW_PUBLISH_MAX];
    int64_t next = 1;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        uint32_t count = 1 + (uint32_t)(proof(batch, feed) % GW_PUBLISH_MAX);
        int64_t mono_recv = gw_monotonic_ns();
        for (uint32_t i = 0; i < count; i++) {
            records[i] = record_of(feed, next++);
            gw_record_received(&records[i], next, mono_recv);
        }
        gw_receipt_t receipt = {.feed = feed, .wire = true};
        gw_publisher_publish(&publisher, records, count, &receipt);
        gw_publisher_ring(&publisher);
        if (batch % 16 == 0) sched_yield();
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
    gw_publisher_ring(&publisher); /* there is an end to see */
    return NULL;
}

static void *topics_add(void *unused) {
    (void)unused;
    for (uint32_t i = FEEDS; i < TOPICS; i++) {
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "NEW.X", 5), i);
        sched_yield();
    }
    CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "NEW.X", 5), -ENOSPC);
    return NULL;
}

/* Takes all there is until every feed is done; it sleeps as the plane does. */
static uint64_t reader_run(gw_wait_t *wait, int event_fd) {
    usual_t buffer[64];
    uint64_t last[FEEDS] = {0}, total = 0;
    for (;;) {
        uint64_t over = __atomic_load_n(&running, __ATOMIC_SEQ_CST) == 0;
        int64_t size = gw_reader_poll(&reader, buffer, sizeof buffer);
        CHECK(size >= 0); /* the ring holds all: nobody is lapped */
        for (int64_t i = 0; i < size / (int64_t)sizeof buffer[0]; i++) {
            gw_header_t *h = &buffer[i].h;
            total++;
            CHECK_EQUAL(h->topic_seq, ++last[h->topic]);
            CHECK_EQUAL(h->ts_event, h->topic_seq);
        }
        if (size > 0) continue;
        if (over) return total;
        GW_STORE_RELAXED(&wait->sleeping, 1);
        GW_FENCE_FULL();
        if (GW_LOAD_RELAXED(reader.segment.tail) == reader.cursor
            && __atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0) {
            struct pollfd ready = {.fd = event_fd, .events = POLLIN};
            CHECK_EQUAL(poll(&ready, 1, 10000), 1); /* a lost wake-up would be a timeout */
            uint64_t count;
            CHECK_EQUAL(read(event_fd, &count, sizeof count), sizeof count);
        }
        GW_STORE_RELAXED(&wait->sleeping, 0);
    }
}

static void several_feeds_take_turns(void) {
    publisher_new(1 << 26, TOPICS);
    static gw_wait_t wait;
    int event_fd = eventfd(0, EFD_NONBLOCK);
    publisher.waits = &wait;
    publisher.event_fds = &event_fd;
    publisher.workers = 1;
    uint32_t feeds[FEEDS];
    pthread_t threads[FEEDS + 1];
    running = FEEDS;
    for (uint32_t i = 0; i < FEEDS; i++) {
        feeds[i] = i;
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "OLD.X", 5), i);
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, feed_run, &feeds[i]), 0);
    CHECK_EQUAL(pthread_create(&threads[FEEDS], NULL, topics_add, NULL), 0);
    uint64_t total = reader_run(&wait, event_fd);
    for (uint32_t i = 0; i <= FEEDS; i++) CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK_EQUAL(stats.published[GW_TRADE], total);
    CHECK_EQUAL(stats.stage[GW_STAGE_INGEST].count, total);
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].count, total);
    CHECK_EQUAL(gw_directory_count(&reader.segment), TOPICS);
    close(event_fd);
    publisher_end();
}

int main(void) {
    RUN(receipts_are_stamped_and_measured);
    RUN(a_refused_input_is_suspect_until_a_good_one);
    RUN(a_publisher_that_never_was_is_freed);
    RUN(several_feeds_take_turns);
    return 0;
}
