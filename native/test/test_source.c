/* The source of ticks: its clock, its lines, its packing, both transports against our own ends. */
#include "check.h"
#include "gw_clock.h"
#include "gw_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_MAX = 4000 };
static int64_t due[ROWS_MAX];
static int32_t symbol[ROWS_MAX];
static uint8_t channel[ROWS_MAX];

/* `count` rows from `start` on, `gap_ns` apart: symbols in turn, now and then a quote. */
static gw_source_rows_t rows_of(size_t count, int32_t symbols, int64_t start, int64_t gap_ns) {
    for (size_t i = 0; i < count; i++) {
        due[i] = start + (int64_t)i * gap_ns;
        symbol[i] = (int32_t)i % symbols;
        channel[i] = i % 5 == 4 ? GW_BBO : GW_TRADE;
    }
    return (gw_source_rows_t){.due = due, .symbol = symbol, .channel = channel, .count = count};
}

static gw_source_t *source_of(int fd, bool nats, uint32_t batch_bytes_max) {
    static const gw_text_t names[] = {{"SYM000", 6}, {"BRK.B", 5}, {"XBT/USD", 7}};
    gw_source_options_t options = {.fd = fd, .nats = nats, .symbols = 3, .names = names,
                                   .batch_bytes_max = batch_bytes_max, .prefix = {"ticks.", 6},
                                   .interval_ns = GW_SOURCE_INTERVAL_NS};
    gw_source_t *s = malloc(sizeof *s);
    CHECK_EQUAL(gw_source_init(s, &options), 0);
    return s;
}

static void source_drop(gw_source_t *s) {
    gw_source_free(s);
    free(s);
}

/* A receiver on loopback, and a sender that is connected to it. Its buffer is what the host gives to everybody,
 * 212,992 bytes: 256 of the smallest datagrams, 768 bytes each with the kernel's own. */
static int pair(int *sender) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof to;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQUAL(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    CHECK_EQUAL(getsockname(fd, (struct sockaddr *)&to, &length), 0);
    *sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQUAL(connect(*sender, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static long long number_after(const char *text, const char *key) {
    const char *at = strstr(text, key);
    CHECK(at != NULL);
    return strtoll(at + strlen(key), NULL, 10);
}

/* --- time ------------------------------------------------------------------------------------ */

static void a_slew_is_followed_and_a_step_moves_the_schedule(void) {
    gw_pace_t pace = {0};
    gw_pace_follow(&pace, 1000, 5000000001000 + 50, 1100);
    CHECK_EQUAL(pace.offset, 5000000000000);
    gw_pace_follow(&pace, 2000, 5000000052000 + 50, 2100); /* 50 us: slewing */
    CHECK_EQUAL(pace.offset, 5000000050000);
    CHECK_EQUAL(pace.shift, 0);
    gw_pace_follow(&pace, 3000, 1400000053000 + 50, 3100); /* an hour back */
    CHECK_EQUAL(pace.shift, -3600000000000);
    CHECK_EQUAL(pace.offset - pace.shift, 5000000050000); /* the schedule did not notice */
    CHECK_EQUAL(pace.steps, 1);
    gw_pace_follow(&pace, 4000, 1400005054000, 5000000); /* away in between: no reading */
    CHECK_EQUAL(pace.offset, 1400000050000);
    CHECK_EQUAL(pace.steps, 1);
}

/* --- lines ----------------------------------------------------------------------------------- */

static void lines_are_those_of_the_udp_feed(void) {
    gw_source_t *s = source_of(-1, false, 1400);
    long long last_id = 0;
    for (int i = 0; i < 1000; i++) {
        char line[GW_SOURCE_TICK_MAX + 1], side[8], price[16], qty[16];
        int end = 0;
        line[gw_source_line(s, 1, GW_TRADE, 1700000000000000000 + i, line)] = '\0';
        CHECK_EQUAL(sscanf(line,
                           "{\"channel\":\"trade\",\"symbol\":\"BRK.B\",\"price\":\"%15[0-9.]\","
                           "\"qty\":\"%15[0-9.]\",\"side\":\"%7[a-z]\",\"id\":\"%*d\","
                           "\"ts\":%*d}%n",
                           price, qty, side, &end), 3);
        CHECK_EQUAL(end, strlen(line));
        CHECK(strcmp(side, "buy") == 0 || strcmp(side, "sell") == 0);
        CHECK(atof(price) >= 10 && atof(price) <= 10000 && price[strlen(price) - 3] == '.');
        CHECK(atof(qty) > 0 && qty[strlen(qty) - 4] == '.');
        CHECK_EQUAL(number_after(line, "\"ts\":"), 1700000000000000000 + i);
        CHECK(number_after(line, "\"id\":\"") > last_id);
        last_id = number_after(line, "\"id\":\"");
    }
    for (int i = 0; i < 1000; i++) {
        char line[GW_SOURCE_TICK_MAX + 1], bid[16], ask[16];
        int end = 0;
        line[gw_source_line(s, 2, GW_BBO, 42, line)] = '\0';
        CHECK_EQUAL(sscanf(line,
                           "{\"channel\":\"bbo\",\"symbol\":\"XBT/USD\",\"bid\":\"%15[0-9.]\","
                           "\"bid_qty\":\"%*[0-9.]\",\"ask\":\"%15[0-9.]\","
                           "\"ask_qty\":\"%*[0-9.]\",\"ts\":42}%n", bid, ask, &end), 2);
        CHECK_EQUAL(end, strlen(line));
        CHECK(atof(bid) < atof(ask));
    }
    source_drop(s);
}

static void the_longest_tick_fits(void) {
    char text[GW_SOURCE_PREFIX_MAX + 1];
    memset(text, 'x', sizeof text);
    const gw_text_t name = {text, GW_SOURCE_SYMBOL_MAX};
    gw_source_options_t options = {.symbols = 1, .names = &name, .batch_bytes_max = 1,
                                   .prefix = {text, GW_SOURCE_PREFIX_MAX}};
    gw_source_t s;
    CHECK_EQUAL(gw_source_init(&s, &options), 0);
    s.id = UINT64_MAX - 2;
    char *out = malloc(GW_SOURCE_TICK_MAX);
    for (uint8_t kind = GW_TRADE; kind <= GW_BBO; kind++) {
        size_t line = gw_source_line(&s, 0, kind, INT64_MAX, out);
        size_t publish = 4 + GW_SOURCE_PREFIX_MAX + GW_SOURCE_SYMBOL_MAX + 8;
        CHECK(publish + line + 16 <= GW_SOURCE_TICK_MAX);
    }
    free(out);
    gw_source_free(&s);
}

static void what_is_out_of_bounds_is_refused(void) {
    static const gw_text_t good = {"A", 1}, empty = {"", 0}, space = {"A B", 3}, quote = {"\"", 1};
    static const gw_text_t bad[] = {empty, space, quote, {"a*", 2}, {"\xc3\xa9", 2}, {"a\n", 2}};
    gw_source_t s;
    gw_source_options_t options = {.symbols = 1, .names = &good, .batch_bytes_max = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gw_source_options_t wrong = options;
        wrong.names = &bad[i];
        CHECK_EQUAL(gw_source_init(&s, &wrong), -EINVAL);
    }
    gw_source_options_t wrong = options;
    wrong.prefix = space;
    CHECK_EQUAL(gw_source_init(&s, &wrong), -EINVAL);
    wrong = options;
    wrong.batch_bytes_max = GW_SOURCE_BATCH_BYTES_MAX + 1;
    CHECK_EQUAL(gw_source_init(&s, &wrong), -EINVAL);
    wrong = options;
    wrong.symbols = 0;
    CHECK_EQUAL(gw_source_init(&s, &wrong), -EINVAL);
}

static void rows_are_checked(void) {
    gw_source_t *s = source_of(-1, false, 1400);
    gw_source_rows_t rows = rows_of(10, 3, 1000, 1);
    CHECK_EQUAL(gw_source_check(s, &rows), 10);
    symbol[7] = 3;
    CHECK_EQUAL(gw_source_check(s, &rows), 7);
    symbol[6] = -1;
    CHECK_EQUAL(gw_source_check(s, &rows), 6);
    channel[5] = GW_BBO + 1;
    CHECK_EQUAL(gw_source_check(s, &rows), 5);
    due[4] = due[3] - 1;
    CHECK_EQUAL(gw_source_check(s, &rows), 4);
    due[0] = 0;
    CHECK_EQUAL(gw_source_check(s, &rows), 0);
    source_drop(s);
}

/* --- datagrams ------------------------------------------------------------------------------- */

/* Receives `count` ticks and checks that they are the rows, in order; the datagrams they took. */
static size_t receive_rows(int fd, size_t count, size_t bytes_max) {
    static char bytes[GW_SOURCE_BATCH_BYTES_MAX + 1];
    size_t datagrams = 0;
    for (size_t next = 0; next < count; datagrams++) {
        ssize_t length = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
        CHECK(length > 0);
        bytes[length] = '\0';
        for (char *line = bytes, *rest; line != NULL; line = rest, next++) {
            rest = strchr(line, '\n');
            if (rest != NULL) *rest++ = '\0';
            CHECK(next < count);
            CHECK_EQUAL(number_after(line, "\"ts\":"), due[next]);
            CHECK((strstr(line, "\"bbo\"") != NULL) == (channel[next] == GW_BBO));
            bool alone = line == bytes && rest == NULL;
            CHECK((size_t)length <= bytes_max || alone);
        }
    }
    CHECK_EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
    return datagrams;
}

static void what_is_due_at_once_shares_datagrams(void) {
    static const uint32_t limits[] = {1, 300, 1400, GW_SOURCE_BATCH_BYTES_MAX};
    const size_t count = 200;
    size_t least = count + 1;
    for (size_t i = 0; i < 4; i++) {
        int sender, fd = pair(&sender);
        gw_source_t *s = source_of(sender, false, limits[i]);
        gw_source_rows_t rows = rows_of(count, 3, gw_realtime_ns() - 1000000, 1);
        size_t done;
        CHECK_EQUAL(gw_source_send(s, &rows, &done), 0);
        CHECK_EQUAL(done, count);
        CHECK_EQUAL(s->sent, count);
        CHECK_EQUAL(s->late.count, count);
        size_t datagrams = receive_rows(fd, count, limits[i]);
        CHECK(datagrams < least); /* the longer they may be, the fewer */
        least = datagrams;
        if (i == 0) CHECK_EQUAL(datagrams, count);
        source_drop(s);
        close(fd);
        close(sender);
    }
}

/* However late a wake-up is, there are no more of them than intervals; and none comes early. */
static void wake_ups_are_spaced(void) {
    int sender, fd = pair(&sender);
    gw_source_t *s = source_of(sender, false, 65000);
    gw_source_rows_t rows = rows_of(500, 3, gw_realtime_ns() + 1000000, 10000);
    size_t done;
    CHECK_EQUAL(gw_source_send(s, &rows, &done), 0);
    CHECK(gw_realtime_ns() >= due[499]);
    CHECK(s->send_calls <= 500 * 10000 / GW_SOURCE_INTERVAL_NS + 1);
    CHECK_EQUAL(s->late.negative, 0);
    receive_rows(fd, 500, 65000);
    source_drop(s);
    close(fd);
    close(sender);
}

static void a_spinning_source_sends_the_same(void) {
    int sender, fd = pair(&sender);
    gw_source_t *s = source_of(sender, false, 1400);
    s->spin = true;
    gw_source_rows_t rows = rows_of(20, 3, gw_realtime_ns() + 100000, 100000);
    size_t done;
    CHECK_EQUAL(gw_source_send(s, &rows, &done), 0);
    CHECK_EQUAL(s->late.negative, 0);
    receive_rows(fd, 20, 1400);
    source_drop(s);
    close(fd);
    close(sender);
}

static void nobody_listening_is_counted_not_fatal(void) {
    int sender;
    close(pair(&sender));
    gw_source_t *s = source_of(sender, false, 1);
    gw_source_rows_t rows = rows_of(50, 3, 1000, 1);
    size_t done;
    CHECK_EQUAL(gw_source_send(s, &rows, &done), 0);
    CHECK_EQUAL(done, 50);
    CHECK(s->errors > 0);
    CHECK_EQUAL(s->sent, 50); /* as far as one can tell: each was taken at its second try */
    source_drop(s);
    close(sender);
}

static void what_is_refused_twice_is_given_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* not connected: nothing can leave */
    gw_source_t *s = source_of(fd, false, 1);
    gw_source_rows_t rows = rows_of(10, 3, 1000, 1);
    size_t done;
    CHECK_EQUAL(gw_source_send(s, &rows, &done), 0);
    CHECK_EQUAL(done, 10);
    CHECK_EQUAL(s->sent, 0);
    CHECK_EQUAL(s->errors, 20);
    source_drop(s);
    close(fd);
}

typedef struct {
    gw_source_t *source;
    const gw_source_rows_t *rows;
    size_t done;
    int error;
} run_t;

/* Waits for a counter of a running source, at most some seconds. */
static void reach(const uint64_t *counter, uint64_t value) {
    for (int i = 0; i < 5000 && GW_LOAD_RELAXED(counter) < value; i++) usleep(1000);
    CHECK(GW_LOAD_RELAXED(counter) >= value);
}

static void *run(void *argument) {
    run_t *r = argument;
    r->error = gw_source_send(r->source, r->rows, &r->done);
    return NULL;
}

static void a_stop_ends_the_longest_wait(void) {
    int sender, fd = pair(&sender);
    gw_source_t *s = source_of(sender, false, 1400);
    gw_source_rows_t rows = rows_of(20, 3, gw_realtime_ns(), 1);
    for (int i = 10; i < 20; i++) due[i] += 3600000000000;
    run_t r = {.source = s, .rows = &rows};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, run, &r), 0);
    reach(&s->sent, 10);
    gw_source_stop(s);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(r.error, 0);
    CHECK_EQUAL(r.done, 10);
    receive_rows(fd, 10, 1400);
    CHECK_EQUAL(gw_source_send(s, &rows, &r.done), 0); /* it stays stopped */
    CHECK_EQUAL(r.done, 0);
    source_drop(s);
    close(fd);
    close(sender);
}

/* --- NATS ------------------------------------------------------------------------------------ */

static void the_server_is_heard_in_pieces(void) {
    gw_source_t *s = source_of(-1, true, 1);
    static const char said[] = "PING\r\nINFO {}\r\n+OK\r\nPING\r\n";
    for (size_t i = 0; i < sizeof said - 1; i++) CHECK_EQUAL(gw_source_hear(s, said + i, 1), 0);
    CHECK(s->pinged);
    for (int i = 0; i < 1000; i++) CHECK_EQUAL(gw_source_hear(s, "PING", 4), 0); /* one long line */
    CHECK_EQUAL(gw_source_hear(s, "\n-ERR 'no", 9), 0);
    CHECK_EQUAL(gw_source_hear(s, "t you'\r\n", 8), -EPROTO);
    CHECK_EQUAL(s->line_length, strlen("-ERR 'not you'"));
    CHECK(memcmp(s->line, "-ERR 'not you'", s->line_length) == 0);
    source_drop(s);
}

/* Reads exactly as a server does, and answers nothing. */
static void stream_check(int fd, size_t count, size_t pongs) {
    FILE *stream = fdopen(dup(fd), "r");
    char head[256], line[GW_SOURCE_TICK_MAX];
    for (size_t next = 0; next < count;) {
        char subject[160];
        unsigned length;
        CHECK(fgets(head, sizeof head, stream) != NULL);
        if (strcmp(head, "PONG\r\n") == 0) {
            CHECK(pongs-- > 0);
            continue;
        }
        CHECK_EQUAL(sscanf(head, "PUB ticks.%159s %u\r\n", subject, &length), 2);
        CHECK(length < sizeof line - 2);
        CHECK_EQUAL(fread(line, 1, length + 2, stream), length + 2);
        CHECK(line[length] == '\r' && line[length + 1] == '\n');
        line[length] = '\0';
        CHECK_EQUAL(number_after(line, "\"ts\":"), due[next++]);
        CHECK(strstr(line, subject) != NULL);
    }
    CHECK_EQUAL(pongs, 0);
    fclose(stream);
}

static void a_stream_holds_every_message_whole(void) {
    int ends[2], small = 4096;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    gw_source_t *s = source_of(ends[0], true, 1);
    gw_source_rows_t rows = rows_of(2000, 3, gw_realtime_ns(), 1000);
    run_t r = {.source = s, .rows = &rows};
    pthread_t thread;
    CHECK_EQUAL(write(ends[1], "PING\r\n", 6), 6);
    CHECK_EQUAL(pthread_create(&thread, NULL, run, &r), 0);
    stream_check(ends[1], 2000, 1); /* much more than the socket holds: it has to wait for us */
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(r.error, 0);
    CHECK_EQUAL(r.done, 2000);
    CHECK_EQUAL(s->sent, 2000);
    source_drop(s);
    close(ends[0]);
    close(ends[1]);
}

static void a_server_that_takes_nothing_does_not_hold_a_stop(void) {
    int ends[2], small = 4096;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    gw_source_t *s = source_of(ends[0], true, 1);
    gw_source_rows_t rows = rows_of(ROWS_MAX, 3, 1000, 1);
    run_t r = {.source = s, .rows = &rows};
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, run, &r), 0);
    reach(&s->send_calls, 2);
    gw_source_stop(s);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(r.error, 0);
    CHECK(r.done < ROWS_MAX);
    source_drop(s);
    close(ends[0]);
    close(ends[1]);
}

static void *flood(void *fd) {
    static char words[6000];
    for (size_t i = 0; i < sizeof words; i += 6) memcpy(words + i, "PING\r\n", 6);
    while (send(*(int *)fd, words, sizeof words, MSG_NOSIGNAL) > 0) continue;
    return NULL;
}

static void *swallow(void *fd) {
    static char words[65536];
    while (recv(*(int *)fd, words, sizeof words, 0) > 0) continue;
    return NULL;
}

static void a_server_that_never_stops_talking_holds_nothing(void) {
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    gw_source_t *s = source_of(ends[0], true, 1);
    gw_source_rows_t rows = rows_of(20, 3, gw_realtime_ns(), 1);
    for (int i = 10; i < 20; i++) due[i] += 3600000000000;
    run_t r = {.source = s, .rows = &rows};
    pthread_t talking, listening, sending;
    CHECK_EQUAL(pthread_create(&talking, NULL, flood, &ends[1]), 0);
    CHECK_EQUAL(pthread_create(&listening, NULL, swallow, &ends[1]), 0);
    usleep(5000);
    CHECK_EQUAL(pthread_create(&sending, NULL, run, &r), 0);
    reach(&s->sent, 10);
    gw_source_stop(s);
    CHECK_EQUAL(pthread_join(sending, NULL), 0);
    CHECK_EQUAL(r.error, 0);
    CHECK_EQUAL(r.done, 10);
    shutdown(ends[0], SHUT_RDWR);
    pthread_join(talking, NULL);
    pthread_join(listening, NULL);
    source_drop(s);
    close(ends[0]);
    close(ends[1]);
}

static void a_server_that_leaves_is_an_error_with_its_words(void) {
    static const char *said[] = {"", "-ERR 'Authorization Violation'\r\n"};
    static const int expected[] = {-ECONNRESET, -EPROTO};
    for (int i = 0; i < 2; i++) {
        int ends[2];
        CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        gw_source_t *s = source_of(ends[0], true, 1);
        gw_source_rows_t rows = rows_of(10, 3, gw_realtime_ns() + 3600000000000, 1);
        size_t done;
        CHECK_EQUAL(write(ends[1], said[i], strlen(said[i])), strlen(said[i]));
        close(ends[1]);
        CHECK_EQUAL(gw_source_send(s, &rows, &done), expected[i]);
        CHECK_EQUAL(done, 0);
        source_drop(s);
        close(ends[0]);
    }
}

int main(void) {
    RUN(a_slew_is_followed_and_a_step_moves_the_schedule);
    RUN(lines_are_those_of_the_udp_feed);
    RUN(the_longest_tick_fits);
    RUN(what_is_out_of_bounds_is_refused);
    RUN(rows_are_checked);
    RUN(what_is_due_at_once_shares_datagrams);
    RUN(wake_ups_are_spaced);
    RUN(a_spinning_source_sends_the_same);
    RUN(nobody_listening_is_counted_not_fatal);
    RUN(what_is_refused_twice_is_given_up);
    RUN(a_stop_ends_the_longest_wait);
    RUN(the_server_is_heard_in_pieces);
    RUN(a_stream_holds_every_message_whole);
    RUN(a_server_that_takes_nothing_does_not_hold_a_stop);
    RUN(a_server_that_never_stops_talking_holds_nothing);
    RUN(a_server_that_leaves_is_an_error_with_its_words);
    return 0;
}
