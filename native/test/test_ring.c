/* The ring with one thread: every situation made by publishing or by writing the counters. */
#include "check.h"
#include "gw_kind.h"
#include "gw_locate.h"
#include "ring_memory.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RECORD ((int64_t)sizeof(usual_t))
#define CAPACITY 4096u
#define HELD (CAPACITY / sizeof(usual_t)) /* records that the ring holds */

static usual_t buffer[2 * HELD];

static void records_come_in_order_and_once(void) {
    ring_t r = ring_new(CAPACITY, 4);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
    uint64_t seq = 0;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 5; i++) publish_whole(&r.writer, (uint32_t)i % 3);
        for (int left = 5; left > 0;) { /* a poll stops at the ring's end */
            int64_t size = gw_reader_poll(&r.reader, buffer, sizeof buffer);
            CHECK(size > 0 && size % RECORD == 0);
            for (int64_t i = 0; i < size / RECORD; i++, left--) {
                CHECK_EQUAL(buffer[i].h.ts_recv, ++seq);
                CHECK_EQUAL(buffer[i].h.cells, 2);
                CHECK(record_is_whole(&buffer[i]));
            }
        }
        CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
    }
    ring_free(&r);
}

static void each_topic_counts_from_one(void) {
    ring_t r = ring_new(CAPACITY, 4);
    static const uint32_t topics[] = {0, 3, 0, 0, 3, 1};
    static const uint64_t seqs[] = {1, 1, 2, 3, 2, 1};
    for (int i = 0; i < 6; i++) publish_whole(&r.writer, topics[i]);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 6 * RECORD);
    for (int i = 0; i < 6; i++) CHECK_EQUAL(buffer[i].h.topic_seq, seqs[i]);
    ring_free(&r);
}

static void a_small_buffer_takes_whole_records_only(void) {
    ring_t r = ring_new(CAPACITY, 4);
    for (int i = 0; i < 5; i++) publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, 2 * RECORD + 100), 2 * RECORD);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, RECORD), RECORD);
    CHECK_EQUAL(buffer[0].h.ts_recv, 3);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 2 * RECORD);
    ring_free(&r);
}

/* A record that does not fit before the end goes to the start; the pad between is never seen. */
static void a_pad_at_the_end_is_skipped(void) {
    ring_t r = ring_new(CAPACITY, 4);
    uint64_t start = CAPACITY - RECORD - GW_CELL;
    r.writer.tail = r.reader.cursor = start;
    *r.reader.segment.tail = *r.reader.segment.tail_intent = start;
    for (int i = 0; i < 3; i++) publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), RECORD);
    CHECK_EQUAL(r.reader.cursor, CAPACITY);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 2 * RECORD);
    CHECK(record_is_whole(&buffer[0]) && record_is_whole(&buffer[1]));

    r.reader.cursor = CAPACITY - GW_CELL; /* beginning on the pad */
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 2 * RECORD);
    ring_free(&r);
}

static void a_rewound_reader_begins_with_a_whole_record(void) {
    ring_t r = ring_new(CAPACITY, 4);
    CHECK_EQUAL(gw_reader_rewind(&r.reader, UINT64_MAX), 0);
    uint64_t seq = 0;
    for (unsigned round = 1; round < 5 * HELD; round++) {
        publish_whole(&r.writer, 0);
        seq++;
        for (uint64_t records = 0; records < HELD; records++) {
            uint64_t there = gw_reader_rewind(&r.reader, records * RECORD + GW_CELL);
            uint64_t most = seq < HELD - HELD / 8 ? seq : HELD - HELD / 8;
            CHECK_EQUAL(there / RECORD, records < most ? records : most);
            for (uint64_t taken = 0; taken < there;) {
                int64_t size = gw_reader_poll(&r.reader, buffer, sizeof buffer);
                CHECK(size > 0);
                CHECK_EQUAL(buffer[0].h.ts_recv, seq - (there - taken) / RECORD + 1);
                CHECK(record_is_whole(&buffer[0]));
                taken += (uint64_t)size;
            }
            CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
        }
    }
    ring_free(&r);
}

/* Records of two and of three cells: what a poll gives is whole, in order and none is missing, also over
 * the ring's end, where a pad of one or two cells may stand. */
static void records_of_two_lengths_come_whole(void) {
    ring_t r = ring_new(CAPACITY, 4);
    uint8_t *bytes = (uint8_t *)buffer;
    uint64_t seq = 0;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned count = 1 + (unsigned)(proof(round, 1) % 9);
        for (unsigned i = 0; i < count; i++) publish_either(&r.writer, 0);
        size_t room = 3 * GW_CELL + (size_t)(proof(round, 2) % 500);
        for (unsigned taken = 0; taken < count;) {
            int64_t size = gw_reader_poll(&r.reader, buffer, room);
            CHECK(size > 0);
            for (int64_t at = 0; at < size; taken++) {
                const gw_header_t *h = (const gw_header_t *)(void *)(bytes + at);
                CHECK_EQUAL((uint64_t)h->ts_recv, ++seq);
                CHECK(record_is_whole(h));
                at += h->cells * GW_CELL;
            }
        }
        CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, room), 0);
        gw_record_t last;
        CHECK_EQUAL(gw_table_read(&r.reader.segment, 0, &last, NULL), 1);
        CHECK((uint64_t)last.h.ts_recv == seq && record_is_whole(&last));
    }
    ring_free(&r);
}

/* Wherever it goes back to, it begins with the first record from there on, and takes all to the end. */
static void a_rewound_reader_finds_where_records_begin(void) {
    ring_t r = ring_new(CAPACITY, 4);
    const uint8_t *bytes = (const uint8_t *)buffer;
    for (unsigned round = 0; round < 300; round++) {
        publish_either(&r.writer, 0);
        for (uint64_t back = 0; back <= CAPACITY; back += GW_CELL) {
            uint64_t there = gw_reader_rewind(&r.reader, back);
            CHECK(there <= back);
            uint64_t most = CAPACITY - CAPACITY / 8;
            if (most > r.writer.tail) most = r.writer.tail;
            CHECK(there + 3 * GW_CELL > (back < most ? back : most));
            uint64_t seq = 0;
            while (r.reader.cursor < r.writer.tail) {
                int64_t size = gw_reader_poll(&r.reader, buffer, sizeof buffer);
                CHECK(size > 0);
                for (int64_t at = 0; at < size;) {
                    const gw_header_t *h = (const gw_header_t *)(const void *)(bytes + at);
                    CHECK(record_is_whole(h));
                    CHECK(seq == 0 || (uint64_t)h->ts_recv == seq + 1);
                    seq = (uint64_t)h->ts_recv;
                    at += h->cells * GW_CELL;
                }
            }
            CHECK(seq == 0 || seq == ring_numbered);
            CHECK(seq != 0 || there == 0);
        }
    }
    ring_free(&r);
}

/* Of up to 64 KiB: over the ring's end, behind pads of any length; in the table up to its slots' length. */
static void records_of_any_length_come_whole(void) {
    for (uint64_t capacity = 4096; capacity <= 1 << 20; capacity *= 16) {
        ring_t r = ring_new(capacity, 4);
        static long_t room;
        const uint32_t most = r.writer.cells_max;
        CHECK_EQUAL(most, capacity / 512 < 1024 ? capacity / 512 : 1024);
        for (uint64_t seq = 1, round = 0; round < 3000; round++) {
            publish_any(&r.writer, 0, most);
            const uint64_t published = ring_numbered, position = r.writer.chains[0].last;
            if (round % 2) publish_any(&r.writer, 0, 3);
            for (; seq <= ring_numbered;) {
                int64_t size = gw_reader_poll(&r.reader, room.words, 3 * GW_CELL);
                if (size == GW_POLL_ROOM) size = gw_reader_poll(&r.reader, room.words, sizeof room);
                CHECK(size > 0);
                uint64_t at = r.reader.from;
                for (int64_t done = 0; done < size; seq++) {
                    const gw_record_t *record = (const gw_record_t *)(const void *)((uint8_t *)room.words + done);
                    CHECK((uint64_t)record->h.ts_recv == seq && record_is_whole(record));
                    CHECK(seq != published || at == position);
                    done += record->h.cells * GW_CELL;
                    at += record->h.cells * GW_CELL;
                }
            }
            gw_record_t last;
            uint64_t where;
            const int got = gw_table_read(&r.reader.segment, 0, &last, &where);
            CHECK_EQUAL(got, last.h.cells > GW_SLOT_CELLS ? -EMSGSIZE : 1);
            CHECK((uint64_t)last.h.ts_recv == ring_numbered && where == r.writer.chains[0].last);
            CHECK(got < 0 || record_is_whole(&last));
            CHECK(got == 1 || memcmp(&last.u, r.reader.segment.ring + (where & (capacity - 1)) + GW_CELL, GW_CELL) == 0);
            CHECK_EQUAL(gw_reader_read(&r.reader, where, room.words, sizeof room), last.h.cells * GW_CELL);
            CHECK((uint64_t)room.record.h.ts_recv == ring_numbered && record_is_whole(&room));
            CHECK_EQUAL(gw_reader_read(&r.reader, where, room.words, last.h.cells * GW_CELL - 1), -EMSGSIZE);
            CHECK_EQUAL(gw_reader_read(&r.reader, r.writer.tail, room.words, sizeof room), -EAGAIN);
            CHECK_EQUAL(gw_reader_read(&r.reader, r.writer.tail + 64, room.words, sizeof room), -EAGAIN);
            if (r.writer.tail > 2 * capacity)
                CHECK_EQUAL(gw_reader_read(&r.reader, r.writer.tail - 2 * capacity, room.words, sizeof room), -ENOENT);
        }
        ring_free(&r);
    }
}

static void a_reader_goes_back_among_records_of_any_length(void) {
    ring_t r = ring_new(1 << 16, 4);
    static uint64_t room[1 << 14];
    const uint64_t most = (1 << 16) - (1 << 13);
    for (unsigned round = 0; round < 400; round++) {
        publish_any(&r.writer, 0, r.writer.cells_max);
        for (uint64_t back = 0; back <= 1 << 16; back += 64 * (1 + proof(round, back) % 40)) {
            uint64_t there = gw_reader_rewind(&r.reader, back), wanted = back < most ? back : most, seq = 0;
            if (wanted > r.writer.tail) wanted = r.writer.tail;
            CHECK(there <= wanted && there + r.writer.cells_max * GW_CELL > wanted);
            while (r.reader.cursor < r.writer.tail) {
                int64_t size = gw_reader_poll(&r.reader, room, sizeof room);
                CHECK(size > 0);
                for (int64_t at = 0; at < size;) {
                    const gw_header_t *h = (const gw_header_t *)(const void *)((uint8_t *)room + at);
                    CHECK(record_is_whole(h));
                    CHECK(seq == 0 || (uint64_t)h->ts_recv == seq + 1);
                    seq = (uint64_t)h->ts_recv;
                    at += h->cells * GW_CELL;
                }
            }
            CHECK(seq == ring_numbered || there == 0);
        }
    }
    ring_free(&r);
}

static void a_rewound_reader_that_is_overtaken_knows_it(void) {
    ring_t r = ring_new(CAPACITY, 4);
    for (unsigned i = 0; i < 2 * HELD; i++) publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_rewind(&r.reader, UINT64_MAX), CAPACITY - CAPACITY / 8);
    for (unsigned i = 0; i < HELD / 8; i++) publish_whole(&r.writer, 0); /* what was left to it */
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, RECORD), RECORD);
    for (unsigned i = 0; i < HELD / 4; i++) publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, RECORD), GW_POLL_LAPPED);
    ring_free(&r);
}

static void f48_a_lapped_reader_knows_and_goes_on_from_the_tail(void) {
    ring_t r = ring_new(CAPACITY, 4);
    for (unsigned i = 0; i < HELD; i++) publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), CAPACITY); /* full, not lapped */
    r.reader.cursor = 0;
    publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), GW_POLL_LAPPED);
    CHECK_EQUAL(r.reader.cursor, CAPACITY + RECORD);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
    publish_whole(&r.writer, 0);
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), RECORD);
    CHECK_EQUAL(buffer[0].h.ts_recv, HELD + 2);
    ring_free(&r);
}

/* Row 49: the writer died after tail_intent. What it was overwriting is lost, all else is readable.
 */
static void f49_an_intent_without_a_tail_gives_up_only_what_it_covers(void) {
    ring_t r = ring_new(CAPACITY, 4);
    for (unsigned i = 0; i < HELD; i++) publish_whole(&r.writer, 0);
    *r.reader.segment.tail_intent += RECORD;
    memset(r.reader.segment.ring, 0xee, 70); /* half of the record that it died in */
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), GW_POLL_LAPPED);
    r.reader.cursor = RECORD;
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), CAPACITY - RECORD);
    CHECK(record_is_whole(&buffer[0]));
    CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
    ring_free(&r);
}

static void memory_that_lies_is_a_lap_never_a_read_outside(void) {
    ring_t r = ring_new(CAPACITY, 4);
    gw_segment_t *s = &r.reader.segment;
    static const uint16_t cells[] = {0, 1, 4, 255, 1025, 65535};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        publish_whole(&r.writer, 0);
        ((gw_header_t *)(s->ring + (r.reader.cursor & (CAPACITY - 1))))->cells = cells[i];
        CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), GW_POLL_LAPPED);
        CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), 0);
    }
    static const uint8_t kinds[] = {GW_PAD, GW_CHANNELS, 255};
    for (size_t i = 0; i < sizeof kinds; i++) {
        publish_whole(&r.writer, 0);
        ((gw_header_t *)(s->ring + (r.reader.cursor & (CAPACITY - 1))))->kind = kinds[i];
        CHECK_EQUAL(gw_reader_poll(&r.reader, buffer, sizeof buffer), GW_POLL_LAPPED);
    }
    static const uint64_t tails[] = {~0ull, 64, 1ull << 63, 12345};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        *s->tail = *s->tail_intent = tails[i];
        for (int polls = 0; polls < 5; polls++)
            (void)gw_reader_poll(&r.reader, buffer, sizeof buffer);
        CHECK_EQUAL(r.reader.cursor % GW_CELL, 0);
    }
    ring_free(&r);
}

/* Cells of any bytes, counters that lie: what a poll gives are records that there may be, inside the caller's room. */
static void a_ring_of_any_bytes_gives_records_or_laps(void) {
    uint64_t taken = 0, laps = 0, n = 0;
    for (unsigned round = 0; round < 300; round++) {
        ring_t r = ring_new(CAPACITY, 4);
        gw_segment_t *s = &r.reader.segment;
        for (unsigned step = 0; step < 30; step++) {
            for (uint64_t more = proof(++n, 0) % 12; more; more--) publish_any(&r.writer, 0, 8);
            if (proof(n, 1) % 2) s->ring[proof(n, 2) % CAPACITY] = (uint8_t)proof(n, 3);
            else memset(s->ring + proof(n, 2) % CAPACITY / 8 * 8, (int)(proof(n, 3) % 4), 8);
            if (proof(n, 4) % 8 == 0) *s->tail += proof(n, 5) % 3 * 64 + proof(n, 6) % 2;
            size_t room = 8 * GW_CELL + proof(n, 7) % 1000;
            uint8_t *to = malloc(room);
            int64_t got = gw_reader_poll(&r.reader, to, room);
            laps += got == GW_POLL_LAPPED;
            for (int64_t at = 0; at < got; taken++) {
                const gw_header_t *h = (const gw_header_t *)(void *)(to + at);
                CHECK(gw_record_possible(h->kind, h->cells));
                at += h->cells * GW_CELL;
                CHECK(at <= got && (size_t)got <= room);
            }
            free(to);
            if (proof(n, 8) % 4 == 0) gw_reader_rewind(&r.reader, proof(n, 9) % (2 * CAPACITY));
            CHECK_EQUAL(r.reader.cursor % GW_CELL, 0);
            *s->tail = *s->tail_intent = r.writer.tail;
        }
        ring_free(&r);
    }
    CHECK(taken > 10000 && laps > 100);
}

static bool rung(int event_fd) {
    struct pollfd wait = {.fd = event_fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void a_sleeper_is_rung_once(void) {
    gw_wait_t wait = {0};
    int event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(event_fd >= 0);
    gw_wait_ring(&wait, event_fd);
    CHECK(!rung(event_fd));
    wait.sleeping = 1;
    gw_wait_ring(&wait, event_fd);
    CHECK(rung(event_fd));
    CHECK_EQUAL(wait.sleeping, 0);
    uint64_t count;
    CHECK_EQUAL(read(event_fd, &count, sizeof count), sizeof count);
    gw_wait_ring(&wait, event_fd);
    CHECK(!rung(event_fd));
    close(event_fd);
}

int main(void) {
    RUN(records_come_in_order_and_once);
    RUN(each_topic_counts_from_one);
    RUN(a_small_buffer_takes_whole_records_only);
    RUN(a_pad_at_the_end_is_skipped);
    RUN(a_rewound_reader_begins_with_a_whole_record);
    RUN(records_of_two_lengths_come_whole);
    RUN(a_rewound_reader_finds_where_records_begin);
    RUN(records_of_any_length_come_whole);
    RUN(a_reader_goes_back_among_records_of_any_length);
    RUN(a_rewound_reader_that_is_overtaken_knows_it);
    RUN(f48_a_lapped_reader_knows_and_goes_on_from_the_tail);
    RUN(f49_an_intent_without_a_tail_gives_up_only_what_it_covers);
    RUN(memory_that_lies_is_a_lap_never_a_read_outside);
    RUN(a_ring_of_any_bytes_gives_records_or_laps);
    RUN(a_sleeper_is_rung_once);
    return 0;
}
