/* Back into the ring: whatever is asked for is found, is said to be gone, or is not there yet; against a plain list of
 * all that was ever published. */
#include "check.h"
#include "gw_atomic.h"
#include "gw_clock.h"
#include "gw_locate.h"
#include "ring_memory.h"

#include <errno.h>
#include <pthread.h>

#define TOPICS 5u
#define RECORDS 40000u

typedef struct {
    uint64_t position, seq;
    uint32_t topic;
    int64_t ts_recv;
} entry_t;

static entry_t list[RECORDS]; /* by number, from 0 */
static ring_t ring;

static void ring_with_topics(uint64_t capacity, uint32_t topics) {
    ring = ring_new(capacity, topics);
    for (uint32_t i = 0; i < topics; i++) CHECK_EQUAL(gw_writer_topic_add(&ring.writer, GW_TRADE, "A.X", 3), i);
}

static void publish_listed(uint32_t topic, uint32_t cells_most) {
    const uint64_t before = ring_numbered;
    publish_any(&ring.writer, topic, cells_most);
    CHECK_EQUAL(ring_numbered, before + 1);
    const gw_chain_t *c = &ring.writer.chains[topic];
    list[before] = (entry_t){c->last, c->seq, topic, (int64_t)ring_numbered};
}

static bool is_there(const entry_t *e) {
    const gw_segment_t *s = &ring.writer.segment;
    return e->position + s->capacity >= *s->tail_intent;
}

/* The oldest record of the topic that the ring has, by number; RECORDS: none. */
static uint64_t oldest_of(uint32_t topic) {
    for (uint64_t i = 0; i < ring_numbered; i++)
        if (list[i].topic == topic && is_there(&list[i])) return i;
    return RECORDS;
}

static void expect_found(const gw_found_t *f, const entry_t *e) {
    CHECK_EQUAL(f->position, e->position);
    CHECK_EQUAL(f->h.topic_seq, e->seq);
    gw_reader_t reader = {.segment = ring.reader.segment, .cursor = f->position};
    long_t buffer;
    CHECK(gw_reader_poll(&reader, &buffer, sizeof buffer) > 0);
    CHECK_EQUAL(buffer.record.h.topic_seq, e->seq);
    CHECK(buffer.record.h.topic == e->topic && record_is_whole(&buffer));
}

/* Every seq that the topic ever had, and some that it has not. */
static void look_for_each(uint32_t topic) {
    const uint64_t oldest = oldest_of(topic), newest = ring.writer.chains[topic].seq;
    for (uint64_t i = 0; i < ring_numbered; i++) {
        const entry_t *e = &list[i];
        if (e->topic != topic) continue;
        gw_found_t f, last;
        const int got = gw_reader_locate_seq(&ring.reader, topic, e->seq, &f);
        CHECK_EQUAL(gw_reader_locate_last(&ring.reader, topic, (uint32_t)(newest - e->seq + 1), &last), got);
        CHECK_EQUAL(got, is_there(e) ? 1 : -ENOENT);
        CHECK(f.hops <= 100 && last.hops <= 100);
        if (got == 1 || oldest < RECORDS) expect_found(&f, &list[got == 1 ? i : oldest]);
        else CHECK_EQUAL(f.position, ring.writer.tail);
        CHECK_EQUAL(f.position, last.position);
    }
    gw_found_t f;
    CHECK_EQUAL(gw_reader_locate_seq(&ring.reader, topic, newest + 1, &f), 0);
    CHECK_EQUAL(f.position, ring.writer.tail);
    if (newest == 0 || oldest == RECORDS || list[oldest].seq > 1) return;
    CHECK_EQUAL(gw_reader_locate_last(&ring.reader, topic, UINT32_MAX, &f), 1); /* never so many */
    CHECK_EQUAL(f.h.topic_seq, 1);
}

static void each_record_is_found_or_gone(void) {
    for (uint64_t capacity = 4096; capacity <= 1 << 20; capacity *= 16) {
        ring_with_topics(capacity, TOPICS);
        for (uint64_t round = 1; round < 2200; round++) {
            publish_listed((uint32_t)(proof(round, 7) % 16 ? proof(round, 6) % 2 : proof(round, 6) % (TOPICS - 1)), 8);
            if (round % 199 == 0 || round < 10)
                for (uint32_t topic = 0; topic < TOPICS; topic++) look_for_each(topic);
        }
        ring_free(&ring);
    }
}

/* What is found begins before all records of that time, and at most a block before the first. */
static void a_moment_is_found_in_the_blocks(void) {
    for (uint64_t capacity = 4096; capacity <= 1 << 22; capacity *= 8) {
        ring_with_topics(capacity, TOPICS);
        const uint32_t most = ring.writer.cells_max < 100 ? ring.writer.cells_max : 100;
        const uint64_t block = ring.writer.segment.block;
        for (uint64_t round = 1; round < 4000; round++) {
            publish_listed((uint32_t)(proof(round, 7) % TOPICS), most);
            if (round % 97 && round > 3) continue;
            for (uint64_t i = 0; i < ring_numbered; i += 1 + i % 7) {
                uint64_t position;
                const int got = gw_reader_locate_ts(&ring.reader, list[i].ts_recv, &position);
                if (got == 1) CHECK(position <= list[i].position);
                if (got == 1) CHECK(position + block + GW_CELL * most > list[i].position);
                if (got != 1) CHECK(!i || list[i].position < ring.writer.tail - capacity + 3 * block);
                gw_reader_t reader = {.segment = ring.reader.segment, .cursor = position};
                static uint64_t buffer[GW_RECORD_CELLS_MAX * 8];
                if (is_there(&list[i])) CHECK(gw_reader_poll(&reader, buffer, sizeof buffer) > 0);
            }
            uint64_t position;
            gw_reader_locate_ts(&ring.reader, INT64_MAX, &position);
            CHECK(position <= ring.writer.tail && position + 2 * block + GW_CELL * most > ring.writer.tail);
        }
        ring_free(&ring);
    }
}

/* Times that do not rise: whatever begins before the place is older than wanted. */
static void receipts_may_come_in_any_order(void) {
    ring_with_topics(1 << 16, TOPICS);
    for (uint64_t i = 0; i < 3000; i++) {
        gw_record_t record = whole_record(i, 0);
        record.h.ts_recv = (int64_t)(i * 100 + proof(i, 1) % 2000);
        gw_writer_publish(&ring.writer, &record);
        list[i] = (entry_t){ring.writer.chains[0].last, i + 1, 0, record.h.ts_recv};
        if (i % 61) continue;
        for (int64_t ts = 0; ts < (int64_t)(i * 100 + 3000); ts += 1777) {
            uint64_t position;
            if (gw_reader_locate_ts(&ring.reader, ts, &position) != 1) continue;
            for (uint64_t k = 0; k <= i; k++) CHECK(list[k].position >= position || list[k].ts_recv < ts);
        }
    }
    ring_free(&ring);
}

/* A new topic's chain at a used place begins with itself. */
static void a_place_s_next_topic_has_a_chain_of_its_own(void) {
    ring = ring_new(1 << 16, TOPICS);
    gw_record_t ended = {.h = {.ts_recv = 1}};
    CHECK_EQUAL(gw_writer_topic_add(&ring.writer, GW_TRADE, "A.X", 3), 0);
    for (int i = 0; i < 9; i++) publish_whole(&ring.writer, 0);
    gw_writer_topic_retire(&ring.writer, 0, GW_TRADE, &ended, 5);
    CHECK_EQUAL(gw_writer_topic_reuse(&ring.writer, GW_TRADE, "B.X", 3, UINT64_MAX, 6), 0);
    const uint64_t first = ring.writer.tail;
    for (int i = 0; i < 5; i++) publish_whole(&ring.writer, 0);
    gw_found_t f;
    CHECK_EQUAL(gw_reader_locate_last(&ring.reader, 0, 100, &f), 1);
    CHECK(f.position == first && f.h.topic_seq == 1 && f.h.prev == 0 && f.h.skip == 0 && f.h.generation == 1);
    ring_free(&ring);
}

/* Half of a generation may be met again after 65,536 uses: never in one ring. */
static void a_place_waits_for_the_ring_before_its_generation_turns(void) {
    ring = ring_new(4096, TOPICS);
    gw_record_t ended = {.h = {.ts_recv = 1}};
    CHECK_EQUAL(gw_writer_topic_add(&ring.writer, GW_TRADE, "A.X", 3), 0);
    unsigned waits = 0;
    for (uint32_t use = 1; use < 3 * 32768; use++) {
        gw_writer_topic_retire(&ring.writer, 0, GW_TRADE, &ended, 5);
        const uint64_t retired = ring.writer.tail;
        while (gw_writer_topic_reuse(&ring.writer, GW_TRADE, "A.X", 3, UINT64_MAX, INT64_MAX) < 0) {
            CHECK_EQUAL(use % 32768, 0);
            CHECK(ring.writer.tail - retired <= 4096);
            publish_whole(&ring.writer, 1);
            waits++;
        }
        gw_entry_name_t e;
        CHECK(gw_directory_entry(&ring.reader.segment, 0, &e) == 3 && e.generation == use);
        publish_whole(&ring.writer, 0);
        gw_record_t last;
        CHECK_EQUAL(gw_table_read(&ring.reader.segment, 0, &last, NULL), 1);
        CHECK(gw_record_is_of(&last, use));
    }
    CHECK(waits >= 2 * 31 && waits <= 2 * 34);
    ring_free(&ring);
}

/* One at its end does not keep others waiting. */
static void others_do_not_wait_behind_such_a_place(void) {
    ring = ring_new(4096, TOPICS);
    gw_record_t ended = {.h = {.ts_recv = 1}};
    for (int i = 0; i < 2; i++) CHECK_EQUAL(gw_writer_topic_add(&ring.writer, GW_TRADE, i ? "B.X" : "A.X", 3), i);
    ring.writer.chains[0].generation = 32767;
    for (uint32_t i = 0; i < 2; i++) gw_writer_topic_retire(&ring.writer, i, GW_TRADE, &ended, 5);
    CHECK_EQUAL(gw_writer_topic_reuse(&ring.writer, GW_TRADE, "C.X", 3, UINT64_MAX, 6), -EAGAIN);
    CHECK_EQUAL(gw_writer_topic_reuse(&ring.writer, GW_TRADE, "C.X", 3, UINT64_MAX, 6), 1);
    CHECK_EQUAL(gw_writer_topic_reuse(&ring.writer, GW_TRADE, "D.X", 3, UINT64_MAX, 6), -EAGAIN);
    for (int i = 0; i < 33; i++) publish_whole(&ring.writer, 2);
    CHECK_EQUAL(gw_writer_topic_reuse(&ring.writer, GW_TRADE, "D.X", 3, UINT64_MAX, 6), 0);
    ring_free(&ring);
}

/* Distances, blocks and slots of any bytes: an answer inside the ring, in bounded steps. */
static void memory_that_lies_leads_nowhere(void) {
    uint64_t n = 0, found = 0;
    for (unsigned round = 0; round < 400; round++) {
        ring_with_topics(4096 << round % 5, TOPICS);
        gw_segment_t *s = &ring.reader.segment;
        for (unsigned i = 0; i < 200; i++) publish_any(&ring.writer, (uint32_t)(proof(++n, 0) % TOPICS), 8);
        for (unsigned i = 0; i < 50; i++) {
            uint64_t position;
            gw_found_t f;
            n++;
            const uint64_t any = proof(n, 3) >> proof(n, 4) % 64;
            if (proof(n, 1) % 4 == 0) s->blocks[proof(n, 2) % (s->blocks_count * 2)] = any;
            else ((uint32_t *)(void *)s->ring)[proof(n, 2) % (s->capacity / 4)] = (uint32_t)(proof(n, 3) % 64);
            if (proof(n, 5) % 8 == 0) s->table[1 + proof(n, 6) % 20] = proof(n, 7);
            const int got = gw_reader_locate_seq(&ring.reader, (uint32_t)(n % TOPICS), proof(n, 8) % 60, &f);
            CHECK(f.hops <= 4098 && (got < 0 || f.position <= ring.writer.tail));
            found += got == 1;
            gw_reader_locate_last(&ring.reader, (uint32_t)(n % TOPICS), 1 + (uint32_t)(proof(n, 9) % 60), &f);
            gw_reader_locate_ts(&ring.reader, (int64_t)(proof(n, 10) % 300), &position);
            CHECK(position <= ring.writer.tail);
            gw_reader_rewind(&ring.reader, proof(n, 11) % (2 * s->capacity));
            CHECK(ring.reader.cursor <= ring.writer.tail);
            long_t buffer;
            gw_reader_poll(&ring.reader, &buffer, sizeof buffer);
            gw_reader_read(&ring.reader, proof(n, 12) % (2 * ring.writer.tail), &buffer, sizeof buffer);
        }
        ring_free(&ring);
    }
    CHECK(found > 1000);
}

/* --- beside a writer ------------------------------------------------------------------------------------ */

static uint64_t done;

static void *write_all(void *unused) {
    (void)unused;
    for (uint64_t i = 0; i < 400000; i++) publish_any(&ring.writer, (uint32_t)(proof(i, 6) % 2), 20);
    GW_STORE_RELEASE(&done, 1);
    return NULL;
}

/* Whatever is said to be found is what was asked for, or the poll there says that it was overtaken since. */
static void a_writer_that_overtakes_makes_nothing_wrong(void) {
    ring_with_topics(1 << 16, TOPICS);
    uint64_t found = 0, gone = 0, laps = 0;
    pthread_t writer;
    done = 0;
    CHECK_EQUAL(pthread_create(&writer, NULL, write_all, NULL), 0);
    for (uint64_t n = 1; !GW_LOAD_ACQUIRE(&done); n++) {
        gw_found_t f;
        long_t buffer;
        gw_record_t last;
        const uint32_t topic = (uint32_t)(n % 2);
        int got = gw_table_read(&ring.reader.segment, topic, &last, NULL);
        if (got != 1 && got != -EMSGSIZE) continue;
        const uint64_t seq = last.h.topic_seq - proof(n, 1) % 60 % last.h.topic_seq;
        got = gw_reader_locate_seq(&ring.reader, topic, seq, &f);
        if (got != 1) {
            gone++;
            continue;
        }
        CHECK_EQUAL(f.h.topic_seq, seq);
        gw_reader_t reader = {.segment = ring.reader.segment, .cursor = f.position};
        const int64_t size = gw_reader_poll(&reader, &buffer, sizeof buffer);
        laps += size == GW_POLL_LAPPED;
        found += size > 0;
        if (size <= 0) continue;
        CHECK(record_is_whole(&buffer));
        CHECK(buffer.record.h.topic != topic || buffer.record.h.topic_seq == seq);
        gw_reader_rewind(&reader, proof(n, 2) % (1 << 16));
        if (gw_reader_poll(&reader, &buffer, sizeof buffer) > 0) CHECK(record_is_whole(&buffer));
    }
    CHECK_EQUAL(pthread_join(writer, NULL), 0);
    printf("  found %llu, gone %llu, lapped since %llu\n", (unsigned long long)found, (unsigned long long)gone,
           (unsigned long long)laps);
    CHECK(found > 0);
    ring_free(&ring);
}

/* One of 100 topics in the default ring, 5,000 of its records back, and a busy one's 500,000 back. */
static void what_it_takes(void) {
    for (uint32_t others = 0; others < 100; others += 99) {
        ring_with_topics(64u << 20, 100);
        for (uint32_t i = 0; i < 520000; i++) {
            gw_record_t record = whole_record(i + 1, others ? i % 100 : 0);
            gw_writer_publish(&ring.writer, &record);
        }
        const uint64_t newest = ring.writer.chains[0].seq;
        unsigned most = 0;
        uint64_t hops = 0, looks = 0;
        const int64_t begun = gw_monotonic_ns();
        for (uint64_t seq = 1 + newest / 200; seq <= newest; seq += newest / 97, looks++) {
            gw_found_t f;
            CHECK_EQUAL(gw_reader_locate_seq(&ring.reader, 0, seq, &f), 1);
            hops += f.hops;
            if (f.hops > most) most = f.hops;
        }
        printf("  of %llu records: %llu hops, at most %u, %lld ns\n", (unsigned long long)newest,
               (unsigned long long)(hops / looks), most, (long long)(gw_monotonic_ns() - begun) / (long long)looks);
        CHECK(most <= 20 * 19 / 2);
        ring_free(&ring);
    }
}

int main(void) {
    RUN(each_record_is_found_or_gone);
    RUN(a_moment_is_found_in_the_blocks);
    RUN(receipts_may_come_in_any_order);
    RUN(a_place_s_next_topic_has_a_chain_of_its_own);
    RUN(a_place_waits_for_the_ring_before_its_generation_turns);
    RUN(others_do_not_wait_behind_such_a_place);
    RUN(memory_that_lies_leads_nowhere);
    RUN(a_writer_that_overtakes_makes_nothing_wrong);
    RUN(what_it_takes);
    return 0;
}
