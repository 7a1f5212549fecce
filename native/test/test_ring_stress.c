/* One writer thread that never waits against readers of every kind: fast, lapped, of the table,
 * asleep. */
#include "check.h"
#include "gw_atomic.h"
#include "ring_memory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define RECORDS 200000u
#else
#define RECORDS 2000000u
#endif
#define TOPICS 7u

static ring_t ring;
static uint64_t done;

static void *write_all(void *unused) {
    (void)unused;
    uint64_t pause_at = 0;
    for (uint64_t i = 0; i < RECORDS; i++) {
        publish_any(&ring.writer, (uint32_t)(i % TOPICS), ring.writer.cells_max);
        /* Bursts of up to twice what the ring holds, so that readers are now ahead, now lapped. */
        if (i < pause_at) continue;
        pause_at = i + proof(i, 0) % 64;
        sched_yield();
    }
    GW_STORE_RELEASE(&done, 1);
    return NULL;
}

typedef struct {
    size_t batch; /* records a poll */
    int pause;    /* yields now and then, so that it is lapped often */
    uint64_t taken, laps;
} poller_t;

static void *poll_all(void *argument) {
    poller_t *p = argument;
    gw_reader_t reader = ring.reader;
    usual_t buffer[64];
    uint64_t last = 0;
    for (;;) {
        uint64_t over = GW_LOAD_ACQUIRE(&done);
        int64_t size = gw_reader_poll(&reader, buffer, p->batch * sizeof buffer[0]);
        if (size == GW_POLL_LAPPED) {
            p->laps++;
            continue;
        }
        if (size == 0 && over) return NULL;
        for (int64_t at = 0; at < size; p->taken++) {
            const gw_header_t *h = (const gw_header_t *)(void *)((uint8_t *)buffer + at);
            CHECK(record_is_whole(h));
            CHECK((uint64_t)h->ts_recv > last);
            last = (uint64_t)h->ts_recv;
            at += h->cells * GW_CELL;
        }
        if (p->pause) sched_yield();
    }
}

static void *read_table(void *argument) {
    uint64_t *torn = argument, last[TOPICS] = {0};
    while (!GW_LOAD_ACQUIRE(&done))
        for (uint32_t topic = 0; topic < TOPICS; topic++) {
            gw_record_t record;
            int found = gw_table_read(&ring.reader.segment, topic, &record, NULL);
            if (found == -EAGAIN) ++*torn;
            if (found != 1) continue;
            CHECK(record_is_whole(&record));
            CHECK_EQUAL(record.h.topic, topic);
            CHECK(record.h.topic_seq >= last[topic]);
            last[topic] = record.h.topic_seq;
        }
    return NULL;
}

/* The smallest ring holds 32 records: readers are lapped all the time, and never see half a record.
 */
static void f48_no_reader_sees_a_torn_record(void) {
    ring = ring_new(4096, TOPICS);
    poller_t pollers[2] = {{.batch = 64}, {.batch = 4, .pause = 1}};
    uint64_t torn = 0;
    pthread_t threads[4];
    GW_STORE_RELEASE(&done, 0);
    CHECK_EQUAL(pthread_create(&threads[0], NULL, poll_all, &pollers[0]), 0);
    CHECK_EQUAL(pthread_create(&threads[1], NULL, poll_all, &pollers[1]), 0);
    CHECK_EQUAL(pthread_create(&threads[2], NULL, read_table, &torn), 0);
    CHECK_EQUAL(pthread_create(&threads[3], NULL, write_all, NULL), 0);
    for (int i = 0; i < 4; i++) CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        printf("  taken %llu, laps %llu\n", (unsigned long long)pollers[i].taken,
               (unsigned long long)pollers[i].laps);
        CHECK(pollers[i].taken > 0 && pollers[i].laps > 0);
    }
    ring_free(&ring);
}

static gw_wait_t wait_page;
static int event_fd;
#define HOPS 20000u

static void *sleep_and_poll(void *argument) {
    uint64_t *sleeps = argument;
    gw_reader_t reader = ring.reader;
    usual_t buffer[64];
    for (uint64_t taken = 0; taken < HOPS;) {
        int64_t size = gw_reader_poll(&reader, buffer, sizeof buffer);
        CHECK(size >= 0);
        taken += (uint64_t)size / sizeof buffer[0];
        if (size > 0) {
            GW_STORE_RELEASE(&done, taken);
            continue;
        }
        GW_STORE_RELAXED(&wait_page.sleeping, 1);
        GW_FENCE_FULL();
        if (GW_LOAD_RELAXED(ring.reader.segment.tail) == reader.cursor) {
            struct pollfd wait = {.fd = event_fd, .events = POLLIN};
            CHECK_EQUAL(poll(&wait, 1, 10000), 1); /* a lost wake-up would be a timeout */
            uint64_t count;
            CHECK_EQUAL(read(event_fd, &count, sizeof count), sizeof count);
            ++*sleeps;
        }
        GW_STORE_RELAXED(&wait_page.sleeping, 0);
    }
    return NULL;
}

/* Each record is published while the reader is just about to sleep: the one moment that can go
 * wrong. */
static void no_wake_up_is_lost(void) {
    ring = ring_new(1 << 20, TOPICS);
    event_fd = eventfd(0, EFD_NONBLOCK);
    uint64_t sleeps = 0;
    pthread_t sleeper;
    GW_STORE_RELEASE(&done, 0);
    CHECK_EQUAL(pthread_create(&sleeper, NULL, sleep_and_poll, &sleeps), 0);
    for (uint64_t i = 0; i < HOPS; i++) {
        publish_whole(&ring.writer, 0);
        gw_wait_ring(&wait_page, event_fd);
        while (GW_LOAD_ACQUIRE(&done) <= i) sched_yield();
        for (uint64_t spin = 0; spin < i % 64; spin++) gw_cpu_relax();
    }
    CHECK_EQUAL(pthread_join(sleeper, NULL), 0);
    printf("  slept %llu times\n", (unsigned long long)sleeps);
    close(event_fd);
    ring_free(&ring);
}

int main(void) {
    RUN(f48_no_reader_sees_a_torn_record);
    RUN(no_wake_up_is_lost);
    return 0;
}
