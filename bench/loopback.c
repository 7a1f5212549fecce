/* What the kernel alone carries over loopback: one core sends blocks to sockets in turn, another one reads them, as
 * the gateway and clients do, and neither does anything else with the bytes.
 *
 *     loopback BYTES SOCKETS SECONDS SENDER_CPU READER_CPU
 *
 * Prints as JSON: bytes and sends a second, the sender's CPU for a send in microseconds (those that found a socket full
 * included, whose share is `full`), and the share of time that each of the two threads had its core for. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define SOCKETS_MAX 4096
#define BYTES_MAX (1u << 20)
#define READ_BYTES (64u << 10)
#define EVENTS 64

static int sockets, sender[SOCKETS_MAX], reader[SOCKETS_MAX], reader_cpu;
static atomic_bool stop;
static double reader_s;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("sched_setaffinity");
}

static void *read_all(void *unused) {
    static char bytes[READ_BYTES];
    struct epoll_event events[EVENTS];
    (void)unused;
    pin(reader_cpu);
    int epoll = epoll_create1(0);
    for (int i = 0; i < sockets; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = reader[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, reader[i], &e)) fail("epoll_ctl");
    }
    double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    while (!stop) {
        int count = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < count; i++) (void)!recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    }
    reader_s = seconds(CLOCK_THREAD_CPUTIME_ID) - before;
    return NULL;
}

static void connect_all(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, low = 16 << 10; /* as the gateway has it */
    if (bind(listener, (struct sockaddr *)&at, length)) fail("bind");
    if (getsockname(listener, (struct sockaddr *)&at, &length)) fail("getsockname");
    if (listen(listener, SOCKETS_MAX)) fail("listen");
    for (int i = 0; i < sockets; i++) {
        reader[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (reader[i] < 0 || connect(reader[i], (struct sockaddr *)&at, length)) fail("connect");
        if ((sender[i] = accept(listener, NULL, NULL)) < 0) fail("accept");
        setsockopt(sender[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(sender[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
    }
}

int main(int count, char **given) {
    static char block[BYTES_MAX];
    if (count != 6) return 2;
    size_t bytes = strtoul(given[1], NULL, 10);
    sockets = atoi(given[2]);
    double length_s = atof(given[3]);
    reader_cpu = atoi(given[5]);
    if (!bytes || bytes > BYTES_MAX || sockets < 1 || sockets > SOCKETS_MAX) return 2;
    connect_all();
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_all, NULL)) fail("pthread_create");
    pin(atoi(given[4]));
    uint64_t sent = 0, sends = 0, full = 0;
    double from = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID), now = from;
    for (; now - from < length_s; now = seconds(CLOCK_MONOTONIC))
        for (int i = 0; i < sockets; i++) {
            ssize_t n = send(sender[i], block, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) fail("send");
            if (n < 0) {
                full++;
                continue;
            }
            sent += (uint64_t)n;
            sends++;
        }
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    stop = true;
    pthread_join(thread, NULL);
    double wall = now - from;
    printf("{\"bytes_per_s\":%.0f,\"sends_per_s\":%.0f,\"send_us\":%.3f,\"full\":%.3f,\"sender\":%.3f,\"reader\":%.3f}\n",
           (double)sent / wall, (double)sends / wall, cpu * 1e6 / (double)sends,
           (double)full / (double)(full + sends), cpu / wall, reader_s / wall);
    return 0;
}
