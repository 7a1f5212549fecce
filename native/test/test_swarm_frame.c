/* A client's reading: frames however they are cut, and whatever bytes a server sends. */
#include "swarm_rig.h"

static void headers_are_told_apart(void) {
    static const struct {
        uint8_t bytes[10];
        size_t n;
        int result;
        uint64_t length;
    } cases[] = {
        {{0x81}, 1, 0, 0},
        {{0x81, 0}, 2, 1, 0},
        {{0x82, 125}, 2, 1, 125},
        {{0x81, 126}, 2, 0, 0},
        {{0x81, 126, 0}, 3, 0, 0},
        {{0x81, 126, 0, 125}, 4, -EPROTO, 0}, /* not the shortest form */
        {{0x81, 126, 0, 126}, 4, 1, 126},
        {{0x81, 126, 255, 255}, 4, 1, 65535},
        {{0x81, 127, 0, 0, 0, 0, 0, 0, 255}, 9, 0, 0},
        {{0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255}, 10, -EPROTO, 0},
        {{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10, 1, 65536},
        {{0x81, 127, 127, 255, 255, 255, 255, 255, 255, 255}, 10, 1, INT64_MAX},
        {{0x81, 127, 128, 0, 0, 0, 0, 0, 0, 0}, 10, -EPROTO, 0}, /* the highest bit */
        {{0x81, 0x80}, 2, -EPROTO, 0},                           /* masked */
        {{0xc1, 0}, 2, -EPROTO, 0}, {{0xa1, 0}, 2, -EPROTO, 0}, {{0x91, 0}, 2, -EPROTO, 0},
        {{0x83, 0}, 2, -EPROTO, 0}, {{0x87, 0}, 2, -EPROTO, 0}, /* no such opcodes */
        {{0x8b, 0}, 2, -EPROTO, 0}, {{0x8f, 0}, 2, -EPROTO, 0},
        {{0x01, 1}, 2, 1, 1}, {{0x00, 1}, 2, 1, 1}, /* fragments */
        {{0x89, 125}, 2, 1, 125}, {{0x88, 0}, 2, 1, 0}, {{0x8a, 1}, 2, 1, 1},
        {{0x09, 0}, 2, -EPROTO, 0}, {{0x08, 0}, 2, -EPROTO, 0}, /* control frames in fragments, or long */
        {{0x89, 126, 0, 126}, 4, -EPROTO, 0}, {{0x88, 127}, 2, -EPROTO, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *exact = malloc(cases[i].n);
        gw_swarm_frame_t f = {.length = 0};
        memcpy(exact, cases[i].bytes, cases[i].n);
        CHECK_EQUAL(gw_swarm_frame_parse(exact, cases[i].n, &f), cases[i].result);
        if (cases[i].result == 1) CHECK_EQUAL(f.length, cases[i].length);
        free(exact);
    }
}

/* --- streams --------------------------------------------------------------------------------------- */

static uint8_t stream[600000];
static size_t stream_size;

static void put(uint8_t first, const void *bytes, size_t n) {
    stream_size += rig_frame(first, bytes, n, stream + stream_size);
}

#define RECORD(seq)                                                                                \
    "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"SYM001.SIM\",\"seq\":" #seq ","       \
    "\"ts_event\":1714979289123456780,\"ts_recv\":1714979289123456789,"                            \
    "\"ts_send\":1714979289123456796,\"data\":[{\"id\":\"381\",\"price\":\"64250.10\"}]}"

static void put_text(const char *text) { put(0x81, text, strlen(text)); }

/* The response, records with a ping among them, one record in three fragments with a ping between,
 * an empty message; at the end a close frame. */
static void stream_small(void) {
    static const char record[] = RECORD(3);
    memcpy(stream, RIG_ANSWER, sizeof RIG_ANSWER - 1);
    stream_size = sizeof RIG_ANSWER - 1;
    put_text(RECORD(1));
    put(0x89, "hello", 5);
    put_text(RECORD(2));
    put(0x01, record, 10);
    put(0x00, record + 10, 0);
    put(0x89, "again", 5);
    put(0x80, record + 10, sizeof record - 11);
    put(0x81, "", 0);
    put_text(RECORD(5));
    put(0x88, "\x0f\xa8slow", 6);
}

static void check_small(rig_t *r) {
    uint8_t bytes[140];
    size_t n;
    CHECK_EQUAL(RIG_COUNTER(r, frames), 5);
    CHECK_EQUAL(RIG_COUNTER(r, received), 4);
    CHECK_EQUAL(RIG_COUNTER(r, unstamped), 1);
    CHECK_EQUAL(RIG_COUNTER(r, delivered), 4);
    CHECK_EQUAL(RIG_COUNTER(r, gaps), 1);
    CHECK_EQUAL(RIG_COUNTER(r, bytes), 4 * (sizeof RECORD(1) - 1));
    CHECK_EQUAL(rig_sent(r, bytes, &n), GW_OP_PONG);
    CHECK(n == 5 && !memcmp(bytes, "hello", 5));
    CHECK_EQUAL(rig_sent(r, bytes, &n), GW_OP_PONG);
    CHECK(n == 5 && !memcmp(bytes, "again", 5));
    CHECK_EQUAL(rig_sent(r, bytes, &n), GW_OP_CLOSE);
    CHECK(n == 2 && bytes[0] == 0x0f && bytes[1] == 0xa8);
    CHECK_EQUAL(RIG_COUNTER(r, closed), 1);
    CHECK_EQUAL(RIG_COUNTER(r, closed_4008), 1);
    CHECK_EQUAL(RIG_COUNTER(r, open), 0);
    CHECK_EQUAL(RIG_COUNTER(r, protocol_errors), 0);
    CHECK_EQUAL(r->c->state, GW_SWARM_IDLE);
    CHECK(!r->c->rest.bytes && !r->c->message.bytes && !r->c->out.bytes);
}

static rig_t rig_windowed(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_shaking(&o);
    r.s->window_end_ns = INT64_MAX;
    r.s->in_window = true;
    return r;
}

static void it_is_the_same_however_it_is_cut(void) {
    stream_small();
    for (size_t cut = 1; cut < stream_size; cut++) {
        rig_t r = rig_windowed();
        rig_feed(&r, stream, cut, SIZE_MAX);
        rig_feed(&r, stream + cut, stream_size - cut, SIZE_MAX);
        check_small(&r);
        rig_close(&r);
    }
    for (size_t chunk = 1; chunk < 40; chunk++) {
        rig_t r = rig_windowed();
        rig_feed(&r, stream, stream_size, chunk);
        check_small(&r);
        rig_close(&r);
    }
}

/* Frames at the limits of the length forms, and those that get a buffer of their own. */
static void long_frames_are_put_together(void) {
    static const size_t sizes[] = {0, 125, 126, 127, 65526, 65527, 65535, 65536, 70000, 200000};
    static uint8_t zeros[200000];
    size_t edges[64], count = 0, total = 0;
    stream_size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        edges[count++] = stream_size;
        put(0x82, zeros, sizes[i]);
        total += sizes[i];
    }
    gw_swarm_options_t o = rig_options();
    for (size_t i = 0; i < count; i++)
        for (size_t before = 0; before < 24; before += 3) {
            size_t cut = edges[i] + 12 > before ? edges[i] + 12 - before : 0;
            rig_t r = rig_open(&o);
            rig_feed(&r, stream, cut, 50000 + 1000 * before);
            rig_feed(&r, stream + cut, stream_size - cut, 7000 + 9999 * before);
            CHECK_EQUAL(RIG_COUNTER(&r, frames), count);
            CHECK_EQUAL(RIG_COUNTER(&r, bytes), total);
            CHECK_EQUAL(r.c->rest.length, 0);
            CHECK(r.c->rest.bytes == NULL);
            rig_close(&r);
        }
}

/* --- what no server may send ----------------------------------------------------------------------- */

/* The code of the close frame that answers these bytes, after which the client is gone. */
static int answered(const void *bytes, size_t n, const gw_swarm_options_t *o, uint64_t *oversized) {
    rig_t r = rig_open(o);
    uint8_t sent[140];
    size_t length = 0;
    rig_feed(&r, bytes, n, SIZE_MAX);
    int code = rig_sent(&r, sent, &length) == GW_OP_CLOSE && length == 2 ? sent[0] << 8 | sent[1] : 0;
    *oversized = RIG_COUNTER(&r, oversized);
    if (code) {
        CHECK_EQUAL(r.c->fd, -1);
        CHECK(!r.c->rest.bytes && !r.c->message.bytes && !r.c->out.bytes);
        CHECK_EQUAL(RIG_COUNTER(&r, closed), 1);
        CHECK_EQUAL(RIG_COUNTER(&r, protocol_errors) + *oversized, 1);
    }
    rig_close(&r);
    return code;
}

static void broken_rules_end_the_connection(void) {
#define CASE(text) {text, sizeof text - 1}
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        CASE("\xc1\x00"), CASE("\xa1\x00"), CASE("\x91\x00"), CASE("\x83\x00"), CASE("\x8b\x00"),
        CASE("\x81\x80\x01\x02\x03\x04"),          /* masked */
        CASE("\x09\x00"), CASE("\x88\x7e\x00\x7e"), /* a control frame in fragments; a long one */
        CASE("\x81\x7e\x00\x7d"), CASE("\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff"),
        CASE("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
        CASE("\x80\x01x"), CASE("\x00\x01x"), /* a continuation of nothing */
        CASE("\x01\x01x\x81\x01x"), CASE("\x01\x01x\x02\x01x"), /* a message inside another */
        CASE("\x88\x01x"), CASE("\x88\x02\x03\xed"), CASE("\x88\x03\x07\xd0x"), /* no close code */
    };
    gw_swarm_options_t o = rig_options();
    uint64_t oversized;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQUAL(answered(cases[i].bytes, cases[i].n, &o, &oversized), 1002);
        CHECK_EQUAL(oversized, 0);
    }
#undef CASE
}

static void what_is_too_long_is_not_waited_for(void) {
    gw_swarm_options_t o = rig_options();
    uint64_t oversized;
    o.frame_bytes_max = 1000;
    stream_size = 0;
    put(0x82, stream + 5000, 1001);
    CHECK_EQUAL(answered(stream, 4, &o, &oversized), 1009);
    CHECK_EQUAL(oversized, 1);
    CHECK_EQUAL(answered("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10, &o, &oversized), 1009);
    stream_size = 0;
    put(0x82, stream + 5000, 1000);
    CHECK_EQUAL(answered(stream, stream_size, &o, &oversized), 0);
    stream_size = 0; /* fragments count together */
    put(0x02, stream + 5000, 600);
    put(0x00, stream + 5000, 400);
    CHECK_EQUAL(answered(stream, stream_size, &o, &oversized), 0);
    put(0x80, stream + 5000, 1);
    CHECK_EQUAL(answered(stream, stream_size, &o, &oversized), 1009);
}

/* A server that asks and does not read what it is told. */
static void pongs_wait_within_bounds(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_open(&o);
    uint8_t bytes[140] = {0};
    size_t n, pongs = 0;
    stream_size = 0;
    for (int i = 0; i < 4000; i++) put(0x89, bytes, 125);
    for (int i = 0; i < 4; i++) rig_feed(&r, stream, stream_size, SIZE_MAX);
    CHECK(r.c->out.length > GW_SWARM_OUT_BYTES_MIN / 2);
    CHECK(r.c->out.length <= GW_SWARM_OUT_BYTES_MIN);
    while (r.c->out.length || pongs < 100) { /* whole frames, however they were queued */
        while (rig_sent(&r, bytes, &n) == GW_OP_PONG) pongs++;
        gw_swarm_flush(r.s, r.c);
    }
    while (rig_sent(&r, bytes, &n) == GW_OP_PONG) pongs++;
    CHECK(pongs > 500 && pongs < 16000);
    CHECK(!r.c->out.bytes);
    rig_close(&r);
}

static void answers_are_checked(void) {
    static const struct {
        const char *head;
        uint32_t why; /* 0: let in */
    } cases[] = {
        {RIG_ANSWER, 0},
        {"HTTP/1.1 101 X\r\nSec-WebSocket-Accept:" RIG_ACCEPT "\r\n\r\n", 0},
        {"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: " RIG_ACCEPT "x\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/1.1 101 X\r\nSec-WebSocket-Accept2: " RIG_ACCEPT "\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/1.1 101 X\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/1.1 503 Full\r\nRetry-After: 1\r\n\r\n", 503},
        {"HTTP/1.1 200 OK\r\n\r\n", 200},
        {"HTTP/1.1 99x\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/1.1 999 \r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/2 101 X\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"\r\n\r\n", GW_SWARM_REFUSED_ANSWER},
        {"HTTP/1.1 \r\n\r\n", GW_SWARM_REFUSED_ANSWER},
    };
    gw_swarm_options_t o = rig_options();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t chunk = 1; chunk < 200; chunk += 7) {
            rig_t r = rig_shaking(&o);
            rig_feed(&r, cases[i].head, strlen(cases[i].head), chunk);
            CHECK_EQUAL(r.c->state, cases[i].why ? GW_SWARM_IDLE : GW_SWARM_OPEN);
            CHECK_EQUAL(RIG_COUNTER(&r, refused), cases[i].why != 0);
            if (cases[i].why) CHECK_EQUAL(r.s->refusals[cases[i].why], 1);
            rig_close(&r);
        }
}

static void an_endless_answer_is_refused(void) {
    static char answer[20000];
    memset(answer, 'x', sizeof answer);
    memcpy(answer, "HTTP/1.1 101 ", 13);
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_shaking(&o);
    rig_feed(&r, answer, sizeof answer, 1000);
    CHECK_EQUAL(r.s->refusals[GW_SWARM_REFUSED_ANSWER], 1);
    CHECK_EQUAL(r.s->shaking_count, 0);
    rig_close(&r);
}

/* --- anything -------------------------------------------------------------------------------------- */

static void any_bytes_are_taken_or_refused(void) {
    gw_swarm_options_t o = rig_options();
    o.frame_bytes_max = 5000;
    for (int round = 0; round < 3000; round++) {
        rig_t r = rig_open(&o);
        size_t n = rig_random() % 3000, chunk = 1 + rig_random() % 700;
        stream_small();
        for (size_t i = 0; i < n; i++) stream[stream_size + i] = (uint8_t)rig_random();
        size_t from = sizeof RIG_ANSWER - 1; /* our own stream with a few bytes changed, then anything */
        for (uint64_t k = rig_random() % 4; k > 0; k--)
            stream[from + rig_random() % (stream_size - from)] = (uint8_t)rig_random();
        if (round % 2) from = stream_size;
        rig_feed(&r, stream + from, stream_size + n - from, chunk);
        CHECK(RIG_COUNTER(&r, closed) <= 1);
        CHECK_EQUAL(RIG_COUNTER(&r, open) + RIG_COUNTER(&r, closed), 1);
        CHECK_EQUAL(r.c->fd >= 0, RIG_COUNTER(&r, open) == 1);
        if (r.c->fd < 0) CHECK(!r.c->rest.bytes && !r.c->message.bytes && !r.c->out.bytes);
        rig_close(&r);
    }
}

int main(void) {
    RUN(headers_are_told_apart);
    RUN(it_is_the_same_however_it_is_cut);
    RUN(long_frames_are_put_together);
    RUN(broken_rules_end_the_connection);
    RUN(what_is_too_long_is_not_waited_for);
    RUN(pongs_wait_within_bounds);
    RUN(answers_are_checked);
    RUN(an_endless_answer_is_refused);
    RUN(any_bytes_are_taken_or_refused);
    return 0;
}
