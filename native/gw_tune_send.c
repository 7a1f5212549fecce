/* The cost of a send: rounds of one send to each of many loopback sockets, as the plane's sweep. */
#include "gw_sched.h"
#include "gw_tune_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define STRANGERS_MAX 16u  /* connections of others to our listener that are hung up on, in all */
#define CONNECT_US 200000  /* on loopback it takes no time, unless a filter drops packets */
#define READ_BYTES 65536u

typedef struct {
    const gw_tune_clocks_t *clocks;
    const gw_tune_send_options_t *o;
    gw_tune_send_t *out;
    gw_tune_taken_t rounds;
    int epoll_fd;
    uint32_t strangers;
    uint64_t stopping; /* atomic */
    int ends[GW_TUNE_SOCKETS_MAX][2]; /* the sender's and the reader's */
    uint8_t got[READ_BYTES];
} trial_t;

/* --- sockets --------------------------------------------------------------------------------------- */

/* A socket whose connect and accept give up after a while. */
static int patient_socket(void) {
    struct timeval patience = {.tv_usec = CONNECT_US};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int listen_loopback(struct sockaddr_in *address) {
    socklen_t size = sizeof *address;
    int fd = patient_socket();
    if (fd < 0) return fd;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)address, sizeof *address) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)address, &size)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* The other end of `ours`: any program of this host may connect to the listener too. */
static int accept_ours(trial_t *t, int listener, int ours) {
    struct sockaddr_in own, peer;
    socklen_t size = sizeof own;
    if (getsockname(ours, (struct sockaddr *)&own, &size)) return -errno;
    for (; t->strangers < STRANGERS_MAX; t->strangers++) {
        size = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
        if (fd < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (peer.sin_port == own.sin_port && peer.sin_addr.s_addr == own.sin_addr.s_addr) return fd;
        close(fd);
    }
    return -ECONNABORTED;
}

static int pair(trial_t *t, int listener, const struct sockaddr_in *address, int ends[2]) {
    int one = 1, fd = patient_socket();
    if (fd < 0) return fd;
    ends[1] = fd;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address))
        return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    fd = accept_ours(t, listener, ends[1]);
    if (fd < 0) return fd;
    ends[0] = fd;
    if (setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) || fcntl(ends[0], F_SETFL, O_NONBLOCK) ||
        fcntl(ends[1], F_SETFL, O_NONBLOCK))
        return -errno;
    return 0;
}

static int connect_all(trial_t *t, const char **failed) {
    struct sockaddr_in address;
    *failed = "a listening socket on 127.0.0.1";
    int listener = listen_loopback(&address);
    if (listener < 0) return listener;
    *failed = "a connection to 127.0.0.1";
    int error = 0;
    for (uint32_t i = 0; i < t->o->sockets && !error; i++) {
        error = pair(t, listener, &address, t->ends[i]);
        struct epoll_event e = {.events = EPOLLIN, .data.fd = t->ends[i][1]};
        if (!error && epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->ends[i][1], &e)) error = -errno;
    }
    close(listener);
    return error;
}

static void hang_up(trial_t *t) {
    for (uint32_t i = 0; i < t->o->sockets; i++)
        for (int end = 0; end < 2; end++)
            if (t->ends[i][end] >= 0) close(t->ends[i][end]);
    if (t->epoll_fd >= 0) close(t->epoll_fd);
}

/* --- the two threads ------------------------------------------------------------------------------- */

/* Reads until the stop, and then what is still there. */
static void *reader(void *argument) {
    trial_t *t = argument;
    struct epoll_event events[64];
    gw_tune_pin(t->o->reader_cpu);
    for (;;) {
        int stopping = GW_LOAD_ACQUIRE(&t->stopping) != 0;
        int n = epoll_wait(t->epoll_fd, events, 64, stopping ? 0 : GW_TUNE_POLL_MS);
        if (n <= 0 && stopping) return NULL;
        for (int i = 0; i < n; i++) {
            ssize_t bytes = recv(events[i].data.fd, t->got, sizeof t->got, 0);
            if (bytes > 0) t->out->bytes += (uint64_t)bytes;
            else if (bytes == 0 || (errno != EAGAIN && errno != EINTR)) /* else it is reported for ever */
                (void)epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, events[i].data.fd, NULL);
        }
    }
}

static void *sender(void *argument) {
    trial_t *t = argument;
    const gw_tune_send_options_t *o = t->o;
    uint8_t frame[GW_TUNE_BYTES_MAX];
    memset(frame, 'x', sizeof frame);
    gw_tune_pin(o->sender_cpu);
    (void)gw_sched_slice(o->slice_ns); /* refused by older kernels, as the plane's is */
    int64_t begun = gw_tune_now(t->clocks), now = begun;
    for (uint64_t round = 0; round < o->rounds_max && now - begun < o->duration_ns; round++) {
        int64_t start = gw_tune_now(t->clocks);
        for (uint32_t i = 0; i < o->sockets; i++) {
            ssize_t sent = send(t->ends[i][0], frame, o->bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent != (ssize_t)o->bytes) t->out->short_sends++;
        }
        now = gw_tune_now(t->clocks);
        t->out->sends += o->sockets;
        gw_tune_take(&t->rounds, now - start);
        gw_tune_sleep(o->pause_ns);
        now = gw_tune_now(t->clocks);
    }
    return NULL;
}

static int run(trial_t *t, const char **failed) {
    pthread_t reading, sending;
    *failed = "a thread";
    int error = gw_tune_thread(&reading, reader, t);
    if (error) return error;
    error = gw_tune_thread(&sending, sender, t);
    if (!error) pthread_join(sending, NULL);
    GW_STORE_RELEASE(&t->stopping, 1);
    pthread_join(reading, NULL);
    return error;
}

int gw_tune_send(const gw_tune_clocks_t *clocks, const gw_tune_send_options_t *options, gw_tune_send_t *out,
                 const char **failed) {
    *out = (gw_tune_send_t){0};
    *failed = "the options";
    if (!options->sockets || options->sockets > GW_TUNE_SOCKETS_MAX || !options->bytes ||
        options->bytes > GW_TUNE_BYTES_MAX)
        return -EINVAL;
    *failed = "memory";
    trial_t *t = calloc(1, sizeof *t);
    if (!t) return -ENOMEM;
    t->clocks = clocks;
    t->o = options;
    t->out = out;
    memset(t->ends, 0xff, sizeof t->ends);
    *failed = "an epoll descriptor";
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int error = t->epoll_fd < 0 ? -errno : connect_all(t, failed);
    if (!error) error = run(t, failed);
    hang_up(t);
    gw_tune_times(&t->rounds, &out->round);
    free(t);
    return error;
}
