/* The bare send loop: frames of a datagram, the same for all, and nobody holds up the others. */
#include "check.h"
#include "gw_atomic.h"
#include "gw_floor.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* From a block of exactly the datagram's size, so that the sanitizer sees a byte too many. */
static size_t frames_of(const char *text, size_t length, uint8_t *out, uint32_t *lines) {
    uint8_t *datagram = malloc(length + (length == 0));
    memcpy(datagram, text, length);
    size_t bytes = gw_floor_frames(datagram, length, out, lines);
    free(datagram);
    return bytes;
}

static void a_frame_for_each_line_that_is_not_empty(void) {
    static const struct {
        const char *text, *frames;
        uint32_t lines;
    } cases[] = {{"", "", 0},           {"\n", "", 0},
                 {"a", "\x81\001a", 1}, {"a\n", "\x81\001a", 1},
                 {"\n\nab\n\nc", "\x81\002ab\x81\001c", 2}};
    uint8_t out[64];
    uint32_t lines;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes = frames_of(cases[i].text, strlen(cases[i].text), out, &lines);
        CHECK_EQUAL(bytes, strlen(cases[i].frames));
        CHECK(memcmp(out, cases[i].frames, bytes) == 0);
        CHECK_EQUAL(lines, cases[i].lines);
    }
}

static void lengths_of_every_kind_of_header(void) {
    static const struct {
        size_t length, header;
    } cases[] = {{125, 2}, {126, 4}, {65507, 4}};
    static char text[65507];
    uint8_t *out = malloc(GW_FLOOR_FRAMES_MAX);
    uint32_t lines;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 3; i++) {
        size_t bytes = frames_of(text, cases[i].length, out, &lines);
        CHECK_EQUAL(bytes, cases[i].header + cases[i].length);
        CHECK_EQUAL(out[1] == 126 ? out[2] << 8 | out[3] : out[1], cases[i].length);
    }
    for (size_t i = 1; i < sizeof text; i += 2) text[i] = '\n'; /* what grows most */
    CHECK(frames_of(text, sizeof text, out, &lines) <= GW_FLOOR_FRAMES_MAX);
    CHECK_EQUAL(lines, sizeof text / 2 + 1);
    free(out);
}

static void *run(void *floor) {
    CHECK_EQUAL(gw_floor_run(floor), 0);
    return NULL;
}

enum { CLIENTS = 5, DATAGRAMS = 500 };

static void who_does_not_read_is_cut_off_and_holds_up_nobody(void) {
    int udp[2], clients[CLIENTS], readers[CLIENTS], small = 4096;
    char expected[16], got[16];
    gw_floor_t *f = malloc(sizeof *f);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, udp), 0);
    for (int i = 0; i < CLIENTS; i++) {
        int ends[2];
        CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        clients[i] = ends[0];
        readers[i] = ends[1];
    }
    CHECK_EQUAL(setsockopt(clients[2], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    CHECK_EQUAL(gw_floor_init(f, udp[0], clients, CLIENTS), 0);
    int silent = clients[2], gone = readers[3];
    close(gone);
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, run, f), 0);
    for (int k = 0; k < DATAGRAMS; k++) {
        int length = snprintf(expected, sizeof expected, "tick%04d\nx", k);
        CHECK_EQUAL(send(udp[1], expected, (size_t)length, 0), length);
        for (int i = 0; i < CLIENTS; i++) {
            if (i == 2 || i == 3) continue;
            CHECK_EQUAL(recv(readers[i], got, 13, MSG_WAITALL), 13);
            CHECK(got[0] == '\x81' && got[1] == 8 && memcmp(got + 2, expected, 8) == 0);
            CHECK(memcmp(got + 10, "\x81\001x", 3) == 0);
        }
    }
    gw_floor_stop(f);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(f->datagrams, DATAGRAMS);
    CHECK_EQUAL(f->ticks, 2 * DATAGRAMS);
    CHECK_EQUAL(f->cut_off, 2);
    CHECK_EQUAL(f->clients_count, 3);
    CHECK(f->deliveries > 3 * 2 * DATAGRAMS && f->deliveries < 4 * 2 * DATAGRAMS);
    CHECK_EQUAL(f->deliveries * 13, f->bytes * 2);
    CHECK_EQUAL(f->deliveries + 2 * f->cut_off, f->sends * 2);
    CHECK_EQUAL(send(silent, "x", 1, MSG_NOSIGNAL), -1); /* it was shut down */
    for (int i = 0; i < CLIENTS; i++)
        if (i != 3) close(readers[i]);
    close(udp[0]);
    close(udp[1]);
    free(f);
}

static void half_a_frame_is_a_client_cut_off(void) {
    int udp[2], ends[2], small = 4096, client;
    static char line[60000];
    gw_floor_t *f = malloc(sizeof *f);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, udp), 0);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    client = ends[0];
    memset(line, 'x', sizeof line);
    CHECK_EQUAL(send(udp[1], line, sizeof line, 0), sizeof line);
    CHECK_EQUAL(gw_floor_init(f, udp[0], &client, 1), 0);
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, run, f), 0);
    for (int i = 0; i < 5000 && GW_LOAD_RELAXED(&f->cut_off) == 0; i++) usleep(1000);
    gw_floor_stop(f);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(f->cut_off, 1);
    CHECK_EQUAL(f->deliveries, 0);
    CHECK(recv(ends[1], line, sizeof line, MSG_DONTWAIT) > 0); /* the half that was taken */
    CHECK_EQUAL(recv(ends[1], line, sizeof line, 0), 0);
    close(ends[0]);
    close(ends[1]);
    close(udp[0]);
    close(udp[1]);
    free(f);
}

int main(void) {
    RUN(a_frame_for_each_line_that_is_not_empty);
    RUN(lengths_of_every_kind_of_header);
    RUN(who_does_not_read_is_cut_off_and_holds_up_nobody);
    RUN(half_a_frame_is_a_client_cut_off);
    return 0;
}
