/* What rates cost and share: `rates CLIENTS TOPICS HZ RECORDS_PER_S SECONDS`.
 *
 * A plane with its own thread, real TCP over loopback, one thread that reads for all clients, and one that publishes a random
 * topic's trade at even distances. Each send is timed. Prints, as one JSON line: sends, frames, the part of them that another
 * client got with the same bytes, and of each millisecond the time that its sends took, by the clock and as the thread's CPU
 * time, in which it waits for no CPU: the longest, and how many took more than 600 us; of those, how many had more sends than
 * one phase and a half has clients. Timed and counted in two runs, as counting takes time. How it is built says
 * bench/README.md. */
#include "../native/test/trade_program.h"
#include "gw_clock.h"
#include "gw_plane.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 4000, TOPICS_MAX = 1000, SEEN = 1 << 23, BUSY_NS = 600000, NOTSENT = 16384 };
#define PHASES 16.0 /* of up to 571 clients' grids (gw_grid.c) */

static int clients, topics, counting, stopping, far_ends;
static uint64_t sends, frames, different, *seen;
static struct {
    uint64_t ns, cpu_ns;
    uint32_t sends;
} *in_ms; /* what of each millisecond its sends took */
static int64_t begun_ns, ends_ns;
static size_t milliseconds;

/* --- what the plane sends ---------------------------------------------------------------------------- */

static int64_t cpu(void *self) {
    struct timespec t;
    (void)self;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void look(const uint8_t *bytes, size_t length) {
    while (length) {
        size_t header = bytes[1] == 126 ? 4 : 2, size = header + (header == 4 ? (size_t)bytes[2] << 8 | bytes[3] : bytes[1]);
        uint64_t hash = 14695981039346656037ull;
        for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211ull; /* FNV-1a */
        size_t at = hash & (SEEN - 1);
        while (seen[at] && seen[at] != hash) at = (at + 1) & (SEEN - 1);
        different += !seen[at];
        seen[at] = hash;
        frames++;
        bytes += size;
        length -= size;
    }
}

static ssize_t timed_send(void *self, int fd, const struct iovec *parts, int count) {
    (void)self;
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    const int64_t cpu_before = cpu(NULL), before = gw_monotonic_ns();
    const ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    const int64_t after = gw_monotonic_ns(), cpu_after = cpu(NULL);
    size_t offered = 0;
    for (int i = 0; i < count; i++) offered += parts[i].iov_len;
    if (before < begun_ns || after >= ends_ns) return n;
    sends++;
    const size_t ms = (size_t)(after - begun_ns) / 1000000;
    if (ms < milliseconds) {
        in_ms[ms].ns += (uint64_t)(after - before);
        in_ms[ms].cpu_ns += (uint64_t)(cpu_after - cpu_before);
        in_ms[ms].sends++;
    }
    for (int i = 0; counting && n == (ssize_t)offered && i < count; i++) look(parts[i].iov_base, parts[i].iov_len);
    return n;
}

static int64_t monotonic(void *self) { return (void)self, gw_monotonic_ns(); }
static int64_t realtime(void *self) { return (void)self, gw_realtime_ns(); }
static void yield(void *self) { (void)self, sched_yield(); }
/* --- clients ----------------------------------------------------------------------------------------- */

static void *reader(void *argument) {
    static uint8_t bytes[1 << 20];
    struct epoll_event events[256];
    (void)argument;
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
        for (int i = 0, n = epoll_wait(far_ends, events, 256, 50); i < n; i++)
            if (read(events[i].data.fd, bytes, sizeof bytes) < 0) continue;
    return NULL;
}

static int pair(int listener, const struct sockaddr_in *address) {
    int one = 1, notsent = NOTSENT, far = socket(AF_INET, SOCK_STREAM, 0);
    if (far < 0 || connect(far, (const struct sockaddr *)address, sizeof *address)) abort();
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = far};
    if (fd < 0 || epoll_ctl(far_ends, EPOLL_CTL_ADD, far, &e)) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent, sizeof notsent);
    return fd;
}

static void add(gw_plane_t *plane, int fd, double hz) {
    gw_command_t *x = gw_command_new(GW_CMD_ADD, 0, 0, 0);
    const gw_handle_t handle = x->handle = gw_plane_slot(plane);
    x->fd = fd;
    gw_plane_post(plane, x);
    x = gw_command_new(GW_CMD_SUBSCRIBE, 1, 0, 0);
    x->handle = handle;
    x->items[0] = (gw_item_t){.channel = GW_TRADE, .is_pattern = 1, .resync = 1, .length = 1, .name = "*", .priority = 1,
                              .interval_ms = hz > 0 ? (uint16_t)(1000 / hz + 0.999) : 0};
    gw_plane_post(plane, x);
    gw_plane_wake(plane);
}

static void *memory(size_t size) {
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (m == MAP_FAILED) abort();
    return m;
}

static void publish_until(gw_writer_t *writer, gw_wait_t *wait, int event_fd, double per_s, int64_t until_ns) {
    gw_record_t r = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS}};
    r.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15, .qty_exponent = -3,
                             .qty_digits = 4, .side = GW_SIDE_BUY, .id_length = 3, .id = "381"};
    const int64_t from = gw_monotonic_ns();
    for (uint64_t i = 0;; i++) {
        const int64_t due = from + (int64_t)((double)i * 1e9 / per_s);
        if (due >= until_ns) return;
        for (int64_t left; (left = due - gw_monotonic_ns()) > 0;)
            nanosleep(&(struct timespec){0, left < 1000000 ? left : 1000000}, NULL);
        r.h.topic = (uint32_t)(rand() % topics);
        r.h.ts_event = r.h.ts_recv = gw_realtime_ns();
        r.h.ts_publish = gw_monotonic_ns();
        gw_writer_publish(writer, &r);
        gw_wait_ring(wait, event_fd);
    }
}

int main(int argc, char **argv) {
    if (argc != 6 && argc != 7) return 2;
    clients = atoi(argv[1]);
    topics = atoi(argv[2]);
    counting = argc == 7;
    const double hz = atof(argv[3]), per_s = atof(argv[4]), seconds = atof(argv[5]);
    if (clients > CLIENTS_MAX || topics > TOPICS_MAX) return 2;
    struct rlimit files = {2 * CLIENTS_MAX + 100, 2 * CLIENTS_MAX + 100};
    if (setrlimit(RLIMIT_NOFILE, &files)) return 1;
    milliseconds = (size_t)(seconds * 1000);
    in_ms = calloc(milliseconds, sizeof *in_ms);
    seen = counting ? calloc(SEEN, sizeof *seen) : NULL;
    const size_t size = gw_segment_size(64u << 20, 1024);
    void *segment = memory(size);
    gw_writer_t writer;
    if (gw_segment_format(segment, size, 64u << 20, 1024, "00000000") || gw_writer_init(&writer, segment, size)) abort();
    for (int i = 0; i < topics; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "SYM%03d.SIM", i);
        if (gw_writer_topic_add(&writer, GW_TRADE, name, (size_t)length) != i) abort();
    }
    gw_wait_t *wait = memory(sizeof *wait);
    gw_stats_t *stats = memory(sizeof *stats);
    gw_plane_options_t o = {.formats_count = 1, .event_fd = -1, .clients_max = CLIENTS_MAX, .topics_per_client_max = TOPICS_MAX,
                            .waiting_topics_max = 1000, .log_bytes = 64u << 20, .control_bytes_max = 65536,
                            .lossless_frames_max = 65536, .lossless_max_age_ns = 2000000000, .stall_max_ns = 120000000000,
                            .paced_stall_max_ns = 10000000000, .heartbeat_ns = 1000000000, .cpu = -1, .stats = stats,
                            .wait = wait, .target_ns = 10000000,
                            .io = {timed_send, monotonic, realtime, cpu, yield, NULL}};
    o.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < GW_ENCODES; i++)
        if (gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &o.formats[0].records[GW_TRADE][i])) abort();
    gw_plane_t *plane;
    if (gw_plane_create(&o, &plane) || gw_plane_start(plane)) abort();
    gw_command_t *attach = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    attach->mapping = segment;
    attach->mapping_size = size;
    gw_plane_post(plane, attach);
    far_ends = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512)) abort();
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_t thread;
    if (pthread_create(&thread, NULL, reader, NULL)) abort();
    for (int i = 0; i < clients; i++) add(plane, pair(listener, &address), hz);
    begun_ns = gw_monotonic_ns() + 2000000000;
    ends_ns = begun_ns + (int64_t)(seconds * 1e9);
    publish_until(&writer, wait, o.event_fd, per_s, ends_ns + 100000000);
    gw_plane_stop(plane);
    __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    uint64_t longest = 0, longest_cpu = 0, busy = 0, busy_cpu = 0, met = 0, all = 0, all_cpu = 0, most = 0;
    const double phase = clients / PHASES;
    for (size_t i = 0; i < milliseconds; i++) {
        longest = in_ms[i].ns > longest ? in_ms[i].ns : longest;
        longest_cpu = in_ms[i].cpu_ns > longest_cpu ? in_ms[i].cpu_ns : longest_cpu;
        busy += in_ms[i].ns > BUSY_NS;
        busy_cpu += in_ms[i].cpu_ns > BUSY_NS;
        met += in_ms[i].ns > BUSY_NS && in_ms[i].sends > 1.5 * phase;
        most = in_ms[i].sends > most ? in_ms[i].sends : most;
        all += in_ms[i].ns;
        all_cpu += in_ms[i].cpu_ns;
    }
    const double each = 1e3 * (double)(sends ? sends : 1);
    printf("{\"clients\":%d,\"topics\":%d,\"hz\":%g,\"records_per_s\":%g,\"sends\":%llu,\"delivered\":%llu,\"conflated\":%llu,"
           "\"most_in_a_ms\":%llu,\"send_us\":%.2f,\"send_cpu_us\":%.2f,\"longest_ms_us\":%.0f,\"longest_ms_cpu_us\":%.0f,"
           "\"over_600_us\":%llu,\"of_those_met\":%llu,\"cpu_over_600_us\":%llu,\"of_ms\":%zu", clients, topics, hz, per_s,
           (unsigned long long)sends, (unsigned long long)stats->delivered[GW_TRADE],
           (unsigned long long)stats->conflated[GW_TRADE], (unsigned long long)most, (double)all / each, (double)all_cpu / each,
           (double)longest / 1e3, (double)longest_cpu / 1e3, (unsigned long long)busy, (unsigned long long)met,
           (unsigned long long)busy_cpu, milliseconds);
    if (counting) printf(",\"frames\":%llu,\"shared\":%.4f", (unsigned long long)frames, 1 - (double)different / (double)frames);
    printf("}\n");
    return 0;
}
