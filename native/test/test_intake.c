/* From datagrams to records: what is usual is published, what is not comes back, all in order. */
#include "check.h"
#include "gw_clock.h"
#include "gw_intake.h"
#include "publisher_memory.h"
#include "udp_loopback.h"

#include <inttypes.h>
#include <sched.h>

#define QUIET_NS 20000000
#define INTERVAL_NS 50000000
#define FEED 5u

typedef struct {
    struct sockaddr_in address;
    int fd, sender;
    gw_udp_t u;
    gw_intake_t in;
} rig_t;

static gw_text_t text(const char *at) { return (gw_text_t){at, strlen(at)}; }

static void rig_open(rig_t *r, uint32_t feed, int64_t quiet_ns, int buffer, uint32_t slot) {
    r->fd = bound(&r->address);
    r->sender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQUAL(gw_udp_init(&r->u, r->fd, buffer, slot), 0);
    CHECK_EQUAL(gw_intake_init(&r->in, &publisher, feed, quiet_ns, INTERVAL_NS), 0);
}

/* Over a publisher of its own, with A (trades on topic 0, quotes on topic 1) known. */
static rig_t *rig_new(void) {
    static rig_t r;
    publisher_new(1 << 20, 16);
    rig_open(&r, FEED, 0, 1 << 20, 2048);
    for (uint8_t kind = GW_TRADE; kind <= GW_BBO; kind++) {
        int64_t topic = gw_publisher_topic_add(&publisher, kind, "A.X", 3);
        CHECK_EQUAL(gw_symbols_put(&r.in.symbols, kind, text("A"), (uint32_t)topic), 0);
    }
    return &r;
}

static void rig_close(rig_t *r) {
    gw_intake_free(&r->in);
    gw_udp_free(&r->u);
    close(r->fd);
    close(r->sender);
}

static void rig_end(rig_t *r) {
    rig_close(r);
    publisher_end();
}

static void send_text(rig_t *r, const char *bytes) {
    send_bytes(r->sender, &r->address, bytes, strlen(bytes));
}

/* A trade of symbol A; ids are what the checks below read. */
static const char *trade(unsigned id) {
    static char lines[8][160];
    static unsigned next;
    char *line = lines[next++ % 8];
    sprintf(line,
            "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1.0\",\"qty\":\"2\","
            "\"id\":\"%u\"}",
            id);
    return line;
}

static unsigned id_of(const gw_record_t *record) {
    char id[GW_ID_MAX + 1] = {0};
    memcpy(id, record->u.trade.id, record->u.trade.id_length);
    return (unsigned)strtoul(id, NULL, 10);
}

static void check_published(unsigned first, unsigned count) {
    gw_record_t record;
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQUAL(gw_reader_poll(&reader, &record, sizeof(usual_t)), sizeof(usual_t));
        CHECK_EQUAL(id_of(&record), first + i);
    }
    CHECK_EQUAL(gw_reader_poll(&reader, &record, sizeof record), 0);
}

static void check_rest(const rig_t *r, int i, const char *expected) {
    CHECK_EQUAL(r->in.rest[i].length, strlen(expected));
    CHECK(memcmp(r->in.rest[i].at, expected, strlen(expected)) == 0);
}

static void usual_lines_are_published_and_counted(void) {
    rig_t *r = rig_new();
    usual_t got[4];
    send_text(r, "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"64250.10\",\"qty\":\"0.015\","
                 "\"side\":\"sell\",\"id\":\"7\",\"ts\":5}\n\r\n"
                 "{\"channel\":\"bbo\",\"symbol\":\"A\",\"bid\":\"1\",\"bid_qty\":\"-2.5\","
                 "\"ask\":\"3\",\"ask_qty\":\"4\"}\n");
    send_text(r, "{\"ts\":9000000000000000000,\"channel\":\"trade\",\"symbol\":\"A\","
                 "\"price\":\"1\",\"qty\":\"2\"}");
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    CHECK_EQUAL(gw_reader_poll(&reader, got, sizeof got), 3 * sizeof got[0]);
    CHECK_EQUAL(got[0].h.topic, 0);
    CHECK_EQUAL(got[0].h.ts_event, 5);
    CHECK_EQUAL(got[0].u.trade.price, 6425010);
    CHECK_EQUAL(got[0].u.trade.side, GW_SIDE_SELL);
    CHECK_EQUAL(got[1].h.topic, 1);
    CHECK_EQUAL(got[1].h.ts_event, got[1].h.ts_recv);
    CHECK_EQUAL(got[1].u.bbo.mantissa[GW_BID_QTY], -25);
    CHECK_EQUAL(got[2].h.flags, GW_FLAG_BAD_TS);
    CHECK_EQUAL(got[2].u.trade.side, GW_SIDE_NONE);
    for (int i = 0; i < 3; i++) /* two lines of the first datagram, one of the second */
        CHECK_EQUAL(got[i].h.ts_recv, r->u.ts_read - r->u.ages_ns[i / 2]);
    CHECK_EQUAL(stats.feed_records[FEED], 3);
    CHECK_EQUAL(stats.feed_last_ns[FEED], got[2].h.ts_recv);
    CHECK_EQUAL(stats.clock_anomalies[FEED], 1);
    CHECK_EQUAL(stats.published[GW_TRADE], 2);
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].count, 1);
    CHECK_EQUAL(stats.stage[GW_STAGE_INGEST].count, 3);
    rig_end(r);
}

/* Three usual lines around one that only the caller can judge: those before it are out by then,
 * those after it are not. */
static void what_is_left_comes_back_in_its_place(void) {
    static const char *const others[] = {
        "x",
        "{\"channel\":\"trade\",\"symbol\":\"B\",\"price\":\"1\",\"qty\":\"2\"}",
        "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1e\",\"qty\":\"2\"}",
        "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\",\"new\":0}",
    };
    rig_t *r = rig_new();
    char bytes[1024];
    unsigned id = 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++, id += 4) {
        sprintf(bytes, "%s\n%s\n\n%s", trade(id), trade(id + 1), others[i]);
        send_text(r, bytes);
        sprintf(bytes, "\n \n%s\n%s\n%s", others[0], trade(id + 2), trade(id + 3));
        send_text(r, bytes);
    }
    for (unsigned k = 0; k < id; k += 4) {
        CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 2);
        check_rest(r, 0, others[k / 4]);
        check_rest(r, 1, others[0]);
        check_published(k == 0 ? 0 : k - 2, k == 0 ? 2 : 4);
    }
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    check_published(id - 2, 2);
    CHECK_EQUAL(stats.feed_records[FEED], id);
    rig_end(r);
}

static void batches_of_any_size(void) {
    rig_t *r = rig_new();
    char bytes[2048];
    unsigned sent = 0;
    for (int i = 0; i < 20; i++) {
        int at = 0;
        for (int k = 0; k < 10; k++) at += sprintf(bytes + at, "%s\n", trade(sent++));
        send_text(r, bytes);
    }
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    check_published(0, sent);

    /* More lines to give back than there is room for: a call more. */
    memset(bytes, 'x', sizeof bytes);
    for (int i = 1; i < 400; i += 2) bytes[i] = '\n';
    bytes[400] = '\0';
    send_text(r, bytes);
    send_text(r, bytes);
    send_text(r, trade(1000));
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), GW_INTAKE_REST_MAX);
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 400 - GW_INTAKE_REST_MAX);
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    check_published(1000, 1);
    rig_end(r);
}

static void losses_are_shown_at_once(void) {
    rig_t *r = rig_new();
    char bytes[3000] = {0};
    send_bytes(r->sender, &r->address, bytes, sizeof bytes);
    int64_t before_ns = gw_monotonic_ns();
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 20000), 0);
    CHECK(gw_monotonic_ns() - before_ns < 10000000000);
    CHECK_EQUAL(r->u.oversized, 1);
    rig_end(r);
}

/* A receive that found datagrams waiting has the next one wait; one that waited itself has not. */
static void a_busy_line_is_taken_in_intervals(void) {
    rig_t *r = rig_new();
    r->in.quiet_ns = INT64_MAX;
    int64_t last_ns = 0;
    for (unsigned i = 0; i < 4; i++) {
        send_text(r, trade(i));
        CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
        CHECK(last_ns == 0 || r->u.mono_read >= last_ns + INTERVAL_NS);
        last_ns = r->u.mono_read;
    }
    check_published(0, 4);
    r->in.quiet_ns = 0;
    send_text(r, trade(4));
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    CHECK(r->u.mono_read >= last_ns + INTERVAL_NS);
    CHECK_EQUAL(r->in.resume_ns, 0);
    rig_end(r);
}

static void *wake_later(void *argument) {
    rig_t *r = argument;
    usleep(50000);
    gw_udp_wake(&r->u);
    return NULL;
}

static void a_wake_up_ends_a_quiet_receive(void) {
    rig_t *r = rig_new();
    pthread_t waker;
    CHECK_EQUAL(pthread_create(&waker, NULL, wake_later, r), 0);
    int64_t before_ns = gw_monotonic_ns();
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 30000), 0);
    CHECK(gw_monotonic_ns() - before_ns < 20000000000);
    CHECK_EQUAL(pthread_join(waker, NULL), 0);
    rig_end(r);
}

/* Where there is always another batch, no receive waits for the wake-up. */
static void a_wake_up_ends_a_busy_receive(void) {
    rig_t *r = rig_new();
    for (unsigned i = 0; i < GW_UDP_BATCH + 10; i++) send_text(r, trade(i));
    gw_udp_wake(&r->u);
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 30000), 0);
    check_published(0, GW_UDP_BATCH);
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), 0);
    check_published(GW_UDP_BATCH, 10);
    rig_end(r);
}

static void a_broken_socket_is_an_error(void) {
    rig_t *r = rig_new();
    int fd = r->u.fd;
    r->u.fd = -1;
    CHECK_EQUAL(gw_intake_receive(&r->in, &r->u, 0), -EBADF);
    r->u.fd = fd;
    rig_end(r);
}

#define FEEDS 2u
#define LINES 3000u
static rig_t rigs[FEEDS];
static uint64_t stop;

/* Usual lines, and one of fifty that is not, which is published in its place by this thread. */
static void *intake_run(void *argument) {
    rig_t *r = argument;
    while (!GW_LOAD_RELAXED(&stop)) {
        int rest = gw_intake_receive(&r->in, &r->u, 1000);
        CHECK(rest >= 0);
        for (int i = 0; i < rest; i++) {
            gw_record_t record = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = r->in.feed}};
            CHECK_EQUAL(r->in.rest[i].at[0], '?');
            record.u.trade.id_length = (uint8_t)(r->in.rest[i].length - 1);
            memcpy(record.u.trade.id, r->in.rest[i].at + 1, r->in.rest[i].length - 1);
            gw_receipt_t receipt = {.feed = r->in.feed, .wire = true};
            gw_record_received(&record, r->u.ts_read, r->u.mono_read);
            gw_publisher_publish(&publisher, &record, 1, &receipt);
            gw_hdr_add(&stats.feed_records[r->in.feed], 1);
        }
    }
    return NULL;
}

static void *lines_send(void *argument) {
    rig_t *r = argument;
    char bytes[160];
    for (unsigned i = 0; i < LINES; i++) {
        const char *form =
            i % 50 == 49 ? "?%u"
                         : "{\"channel\":\"trade\",\"symbol\":\"S\",\"price\":\"1\","
                           "\"qty\":\"2\",\"id\":\"%u\"}";
        sprintf(bytes, form, i);
        send_text(r, bytes);
        /* Never more under way than the socket's buffer holds. */
        while (i + 1 - GW_LOAD_RELAXED(&stats.feed_records[r->in.feed]) > 100) sched_yield();
    }
    while (GW_LOAD_RELAXED(&stats.feed_records[r->in.feed]) < LINES) sched_yield();
    return NULL;
}

static void two_intakes_share_a_publisher(void) {
    publisher_new(1 << 22, FEEDS);
    pthread_t threads[2 * FEEDS];
    GW_STORE_RELAXED(&stop, 0);
    for (uint32_t i = 0; i < FEEDS; i++) {
        rig_open(&rigs[i], i, 0, 1 << 20, 2048);
        CHECK_EQUAL(gw_publisher_topic_add(&publisher, GW_TRADE, "S.X", 3), i);
        CHECK_EQUAL(gw_symbols_put(&rigs[i].in.symbols, GW_TRADE, text("S"), i), 0);
    }
    for (uint32_t i = 0; i < FEEDS; i++) {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, intake_run, &rigs[i]), 0);
        CHECK_EQUAL(pthread_create(&threads[FEEDS + i], NULL, lines_send, &rigs[i]), 0);
    }
    for (uint32_t i = 0; i < FEEDS; i++) CHECK_EQUAL(pthread_join(threads[FEEDS + i], NULL), 0);
    GW_STORE_RELAXED(&stop, 1);
    for (uint32_t i = 0; i < FEEDS; i++) {
        gw_udp_wake(&rigs[i].u);
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
        rig_close(&rigs[i]);
    }
    unsigned next[FEEDS] = {0};
    for (unsigned i = 0; i < FEEDS * LINES; i++) {
        gw_record_t record;
        CHECK_EQUAL(gw_reader_poll(&reader, &record, sizeof(usual_t)), sizeof(usual_t));
        CHECK_EQUAL(id_of(&record), next[record.h.topic]++);
    }
    CHECK_EQUAL(stats.published[GW_TRADE], FEEDS * LINES);
    publisher_end();
}

int main(void) {
    RUN(usual_lines_are_published_and_counted);
    RUN(what_is_left_comes_back_in_its_place);
    RUN(batches_of_any_size);
    RUN(losses_are_shown_at_once);
    RUN(a_busy_line_is_taken_in_intervals);
    RUN(a_wake_up_ends_a_quiet_receive);
    RUN(a_wake_up_ends_a_busy_receive);
    RUN(a_broken_socket_is_an_error);
    RUN(two_intakes_share_a_publisher);
    return 0;
}
