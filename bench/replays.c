/* What those who replay cost those who are live: `replays CLIENTS LIVE SECONDS PAIRS [sockets]`.
 *
 * A plane follows a ring of 400,000 trades of one topic. Live clients have another topic, with a trade at a random moment of
 * every 500 us; beside them CLIENTS replay all that there is, each again once all have had it. Windows with and without them
 * take turns. Prints, as one JSON line, the medians of the p99 of the live clients, from when a trade was due to the end of
 * its send; the median of the pairs' ratios; and records replayed a second. With no live clients: how fast a replay is.
 *
 * Usually the plane, one thread, and its clock is that thread's CPU time; a send takes SEND_NS and BYTES_NS more, and a trade
 * that is due in the middle of something is there by its end. With `sockets` it has its own thread on CPU 0, and real TCP over
 * loopback to a thread that reads on CPU 1, beside the one that publishes. How it is built says bench/README.md. */
#include "../native/test/trade_program.h"
#include "gw_clock.h"
#include "gw_plane.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HISTORY = 400000, CLIENTS_MAX = 1000, TRADES_MAX = 1 << 20, AGES_MAX = 1 << 24, PAIRS_MAX = 100, NOTSENT = 16384 };
enum { SEND_NS = 5000, BYTES_NS = 5, TRADE_NS = 500000 }; /* BYTES_NS: bytes that take a nanosecond */

static int sockets, is_live[2 * CLIENTS_MAX + 100], stopping, far_ends, measuring;
static gw_plane_t *plane;
static gw_writer_t writer;
static gw_record_t trade = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS}};
static gw_wait_t *waits;
static gw_stats_t *stats;
static int event_fd;
static int64_t due_ns, *due; /* of each trade of the live topic */
static uint32_t published, had[2 * CLIENTS_MAX + 100], ages_count;
static double *ages;

static int64_t now(void) {
    struct timespec t;
    if (sockets) return gw_monotonic_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + 1000000000000;
}

/* --- trades ------------------------------------------------------------------------------------------ */

static void publish(uint32_t topic, int64_t at) {
    trade.h.topic = topic;
    trade.h.ts_event = trade.h.ts_recv = gw_realtime_ns();
    trade.h.ts_publish = at;
    gw_writer_publish(&writer, &trade);
    if (sockets) gw_wait_ring(waits, event_fd);
}

/* Those of the live topic that are due. */
static void publish_due(void) {
    for (int64_t t; due_ns && due_ns <= (t = now());) {
        if (published == TRADES_MAX) abort();
        const int64_t at = sockets ? t : due_ns;
        due[published++] = at;
        publish(1, at);
        due_ns += TRADE_NS / 2 + rand() % TRADE_NS;
    }
}

/* --- what the plane sends ---------------------------------------------------------------------------- */

/* Each frame of a live client is a trade. */
static void look(int fd, const struct iovec *parts, int count, int64_t at) {
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = parts[i].iov_base, *end = bytes + parts[i].iov_len;
        while (bytes < end) {
            if (__atomic_load_n(&measuring, __ATOMIC_RELAXED) && ages_count < AGES_MAX)
                ages[ages_count++] = (double)(at - due[had[fd]]) / 1e3;
            had[fd]++;
            bytes += bytes[1] == 126 ? 4 + ((size_t)bytes[2] << 8 | bytes[3]) : 2u + bytes[1];
        }
    }
}

static ssize_t send_parts(void *self, int fd, const struct iovec *parts, int count) {
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    ssize_t n = 0;
    (void)self;
    for (int i = 0; i < count; i++) n += (ssize_t)parts[i].iov_len;
    if (sockets) {
        const ssize_t offered = n;
        n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (is_live[fd] && n != offered) abort(); /* nobody counts halves of it */
    } else {
        for (const int64_t end = now() + SEND_NS + n / BYTES_NS; now() < end;) publish_due();
    }
    if (is_live[fd]) look(fd, parts, count, now());
    return n;
}

static int64_t monotonic(void *self) {
    (void)self;
    if (!sockets) publish_due();
    return now();
}

static int64_t realtime(void *self) { return (void)self, gw_realtime_ns(); }
static void yield(void *self) { (void)self; }
static int64_t cpu(void *self) {
    struct timespec t;
    (void)self;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- clients ----------------------------------------------------------------------------------------- */

static void stay(int on) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((unsigned)on, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
}

static void *reader(void *argument) {
    static uint8_t bytes[1 << 18];
    struct epoll_event events[256];
    (void)argument;
    stay(1);
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
        for (int i = 0, n = epoll_wait(far_ends, events, 256, 50); i < n; i++)
            if (recv(events[i].data.fd, bytes, sizeof bytes, MSG_TRUNC) < 0) continue;
    return NULL;
}

static int pair(void) {
    static int listener, fake = 50;
    static struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    if (!sockets) return fake++;
    if (!listener) {
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512)) abort();
        getsockname(listener, (struct sockaddr *)&address, &length);
    }
    int one = 1, notsent = NOTSENT, far = socket(AF_INET, SOCK_STREAM, 0);
    if (far < 0 || connect(far, (const struct sockaddr *)&address, sizeof address)) abort();
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = far};
    if (fd < 0 || epoll_ctl(far_ends, EPOLL_CTL_ADD, far, &e)) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent, sizeof notsent);
    return fd;
}

static void post(gw_command_t *x) {
    if (gw_plane_post(plane, x)) abort();
    if (sockets) gw_plane_wake(plane);
}

static void subscribe(gw_handle_t handle, const char *name, int replays) {
    gw_command_t *x = gw_command_new(GW_CMD_SUBSCRIBE, 1, 0, 0);
    x->handle = handle;
    x->items[0] = (gw_item_t){.id = 1, .channel = GW_TRADE, .lossless = 1, .resync = 1, .length = (uint8_t)strlen(name)};
    memcpy(x->items[0].name, name, strlen(name));
    if (replays) x->items[0].from = GW_FROM_LAST, x->items[0].from_value = HISTORY;
    post(x);
}

static void unsubscribe(gw_handle_t handle) {
    gw_command_t *x = gw_command_new(GW_CMD_UNSUBSCRIBE, 1, 0, 0);
    x->handle = handle;
    x->items[0].id = 1;
    post(x);
}

static gw_handle_t add(int live) {
    gw_command_t *x = gw_command_new(GW_CMD_ADD, 0, 0, 0);
    const gw_handle_t handle = x->handle = gw_plane_slot(plane);
    is_live[x->fd = pair()] = live;
    post(x);
    if (live) subscribe(handle, "B.SIM", 0);
    return handle;
}

/* --- windows ----------------------------------------------------------------------------------------- */

static void go_on(void) {
    while (gw_plane_take_event(plane)) continue;
    if (sockets) {
        const int64_t left = due_ns ? due_ns - now() : 100000;
        if (left > 0) nanosleep(&(struct timespec){0, left < 100000 ? left : 100000}, NULL);
    } else if (!gw_plane_cycle(plane)) {
        for (int64_t end = now() + 1000; now() < end;) continue; /* the plane's clock must go on */
    }
    publish_due();
}

static void settle(double seconds) {
    for (int64_t end = now() + (int64_t)(seconds * 1e9); now() < end;) go_on();
}

static uint64_t completed(void) { return GW_LOAD_RELAXED(&stats->replays[GW_REPLAY_COMPLETED]); }
static uint64_t replayed(void) { return GW_LOAD_RELAXED(&stats->replayed[GW_TRADE]); }

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *of, int n) {
    qsort(of, (size_t)n, sizeof *of, by_size);
    return of[n / 2];
}

/* The live clients' p99 in microseconds; records replayed a second. */
static double window(const gw_handle_t *handles, int n, double seconds, double *per_s) {
    uint64_t wanted = 0;
    settle(0.05);
    const uint64_t before = replayed();
    const int64_t begun = now(), ends = begun + (int64_t)(seconds * 1e9);
    ages_count = 0;
    __atomic_store_n(&measuring, 1, __ATOMIC_RELEASE);
    while (now() < ends) {
        if (n && completed() >= wanted) {
            for (int i = 0; i < n; i++) unsubscribe(handles[i]), subscribe(handles[i], "A.SIM", 1);
            wanted = completed() + (uint64_t)n;
        }
        go_on();
    }
    __atomic_store_n(&measuring, 0, __ATOMIC_RELEASE);
    *per_s = (double)(replayed() - before) / ((double)(now() - begun) / 1e9);
    settle(0.01);
    for (int i = 0; i < n; i++) unsubscribe(handles[i]);
    settle(0.05);
    qsort(ages, ages_count, sizeof *ages, by_size);
    return ages_count ? ages[(size_t)ages_count * 99 / 100] : 0;
}

static void *memory(size_t size) {
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (m == MAP_FAILED) abort();
    return m;
}

static void make(void) {
    const size_t ring = 64u << 20, size = gw_segment_size(ring, 64);
    void *segment = memory(size);
    if (gw_segment_format(segment, size, ring, 64, "00000000") || gw_writer_init(&writer, segment, size)) abort();
    if (gw_writer_topic_add(&writer, GW_TRADE, "A.SIM", 5) || gw_writer_topic_add(&writer, GW_TRADE, "B.SIM", 5) != 1) abort();
    trade.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15, .qty_exponent = -3,
                                 .qty_digits = 4, .side = GW_SIDE_BUY, .id_length = 3, .id = "381"};
    waits = memory(sizeof *waits);
    stats = memory(sizeof *stats);
    gw_plane_options_t o = {.formats_count = 1, .event_fd = -1, .clients_max = 2 * CLIENTS_MAX, .topics_per_client_max = 100,
                            .waiting_topics_max = 100, .log_bytes = 16u << 20, .control_bytes_max = 65536,
                            .lossless_frames_max = 65536, .lossless_max_age_ns = INT64_MAX, .stall_max_ns = INT64_MAX,
                            .paced_stall_max_ns = INT64_MAX, .heartbeat_ns = INT64_MAX / 2, .cpu = sockets ? 0 : -1,
                            .stats = stats, .wait = sockets ? waits : NULL, .target_ns = 10000000,
                            .io = {send_parts, monotonic, realtime, cpu, yield, NULL}};
    if (sockets) o.event_fd = event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < GW_ENCODES; i++)
        if (gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &o.formats[0].records[GW_TRADE][i])) abort();
    if (gw_plane_create(&o, &plane) || (sockets && gw_plane_start(plane))) abort();
    gw_command_t *attach = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    attach->mapping = segment;
    attach->mapping_size = size;
    post(attach);
}

int main(int argc, char **argv) {
    if (argc != 5 && argc != 6) return 2;
    const int clients = atoi(argv[1]), lives = atoi(argv[2]), pairs = atoi(argv[4]);
    const double seconds = atof(argv[3]);
    sockets = argc == 6;
    if (clients > CLIENTS_MAX || lives > CLIENTS_MAX || pairs > PAIRS_MAX || pairs < 1) return 2;
    struct rlimit files = {4 * CLIENTS_MAX + 100, 4 * CLIENTS_MAX + 100};
    if (sockets && setrlimit(RLIMIT_NOFILE, &files)) return 1;
    ages = calloc(AGES_MAX, sizeof *ages);
    due = calloc(TRADES_MAX, sizeof *due);
    far_ends = epoll_create1(0);
    make();
    pthread_t thread;
    if (sockets) stay(1), prctl(PR_SET_TIMERSLACK, 1000);
    if (sockets && pthread_create(&thread, NULL, reader, NULL)) abort();
    gw_handle_t handles[CLIENTS_MAX];
    for (int i = 0; i < lives; i++) add(1);
    for (int i = 0; i < clients; i++) handles[i] = add(0);
    for (int i = 0; i < HISTORY; i++) {
        publish(0, now());
        if (i % 1000 == 0) settle(0.001);
    }
    settle(0.2);
    if (lives) due_ns = now();
    double quiet[PAIRS_MAX], beside[PAIRS_MAX], ratios[PAIRS_MAX], rates[PAIRS_MAX], none;
    for (int i = 0; i < pairs; i++) {
        quiet[i] = lives ? window(NULL, 0, seconds, &none) : 1;
        beside[i] = window(handles, clients, seconds, &rates[i]);
        ratios[i] = beside[i] / quiet[i];
    }
    printf("{\"clients\":%d,\"live\":%d,\"clock\":\"%s\",\"quiet_p99_us\":%.1f,\"beside_p99_us\":%.1f,\"ratio\":%.3f,"
           "\"replayed_per_s\":%.0f}\n", clients, lives, sockets ? "wall" : "cpu", median(quiet, pairs),
           median(beside, pairs), median(ratios, pairs), median(rates, pairs));
    if (sockets) {
        gw_plane_stop(plane);
        __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
    }
    return 0;
}
