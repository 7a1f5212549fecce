/* What order books cost a plane, beside trades of the same rate and size, and what rates share of them:
 *
 *   books cost CLIENTS BURST ROUNDS [N]   CPU of the plane for each frame delivered, trades and books in turn; a trade's
 *                                         frame is N bytes longer than usual
 *   books rates CLIENTS HZ SECONDS        of the frames of clients of one rate, how many another one got, too
 *   books stalled SECONDS                 what a client that reads nothing keeps of memory, beside 100 books that move
 *   books beyond CLIENTS UPDATES          what changes behind the tenth level
 *
 * 100 books, each with 200 levels a side, clients of depth 10; each update changes the best levels of both sides and one
 * within the ten. The plane is driven without a thread. `cost` has real TCP over loopback; of a round BURST updates of
 * different books are published, then all is sent, then read; only the sending counts, by the thread's CPU. The others have
 * a clock that only they move, and sends of SEND_NS each. One JSON line. How it is built says bench/README.md. */
#include "../native/test/book_program.h"
#include "../native/test/trade_program.h"
#include "gw_clock.h"
#include "gw_plane.h"
#include "gw_publisher.h"
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 2000, BOOKS = 100, LEVELS = 200, SEEN = 1 << 22, SEND_NS = 7000, IDLE = 3, CAPACITY = 64 << 20 };

static gw_plane_t *plane;
static gw_publisher_t publisher;
static gw_stats_t *stats;
static uint32_t topics[BOOKS];
static uint64_t updates[BOOKS], sends, frames, bytes, different, *seen;
static int64_t clock_ns; /* 0: the host's */
static int counting, stalled_fd = -1;
static int far[CLIENTS_MAX], clients;

/* --- what the plane sends ---------------------------------------------------------------------------- */

static void look(const uint8_t *at, size_t length) {
    while (length) {
        const size_t header = at[1] == 126 ? 4 : 2, size = header + (header == 4 ? (size_t)at[2] << 8 | at[3] : at[1]);
        uint64_t hash = 14695981039346656037ull;
        for (size_t i = 0; counting && i < size; i++) hash = (hash ^ at[i]) * 1099511628211ull; /* FNV-1a */
        size_t place = hash & (SEEN - 1);
        while (counting && seen[place] && seen[place] != hash) place = (place + 1) & (SEEN - 1);
        if (counting) different += !seen[place], seen[place] = hash;
        frames++;
        at += size;
        length -= size;
    }
}

static ssize_t virtual_send(void *self, int fd, const struct iovec *parts, int count) {
    ssize_t n = 0;
    (void)self;
    if (fd == stalled_fd) {
        errno = EAGAIN;
        return -1;
    }
    for (int i = 0; i < count; i++) n += (ssize_t)parts[i].iov_len, look(parts[i].iov_base, parts[i].iov_len);
    sends++;
    bytes += (uint64_t)n;
    clock_ns += SEND_NS;
    return n;
}

static ssize_t real_send(void *self, int fd, const struct iovec *parts, int count) {
    (void)self;
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    const ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    sends++;
    if (n > 0) bytes += (uint64_t)n;
    return n;
}

static int64_t cpu(void *self) {
    struct timespec t;
    (void)self;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t monotonic(void *self) { return (void)self, clock_ns ? clock_ns : gw_monotonic_ns(); }
static int64_t realtime(void *self) { return (void)self, gw_realtime_ns(); }
static void yield(void *self) { (void)self; }

/* --- the feed ---------------------------------------------------------------------------------------- */

static gw_book_level_t level(unsigned side, int at, int64_t qty) {
    return (gw_book_level_t){.price = 6425010 + (side ? 1 + at : -at), .qty = qty, .side = (uint8_t)side, .price_decimals = 2,
                             .qty_decimals = 3};
}

static void say(int book, int snapshot, const gw_book_level_t *levels, uint32_t count) {
    static const gw_receipt_t receipt = {0};
    char first[24], last[24];
    const uint64_t n = ++updates[book];
    const int64_t now = gw_realtime_ns();
    const gw_book_input_t in = {
        .topic = topics[book], .snapshot = snapshot, .levels = levels, .count = count, .ts_event = now, .ts_recv = now,
        .mono_recv = monotonic(NULL), .first_id = {first, (size_t)snprintf(first, sizeof first, "%llu", 1000000000ull + n * 10)},
        .last_id = {last, (size_t)snprintf(last, sizeof last, "%llu", 1000000009ull + n * 10)}};
    gw_book_result_t result;
    if (gw_publisher_book(&publisher, &in, &receipt, &result) || !result.published) abort();
}

static void state(int book) {
    gw_book_level_t levels[2 * LEVELS];
    for (int i = 0; i < 2 * LEVELS; i++) levels[i] = level(i % 2, i / 2, 1500 + i);
    say(book, 1, levels, 2 * LEVELS);
}

/* From this level on. */
static void update(int book, int from) {
    const int64_t qty = 1000 + (int64_t)(updates[book] % 7919);
    const gw_book_level_t levels[] = {level(0, from, qty), level(1, from, qty + 1), level(0, from + 1 + (int)(qty % 9), qty + 2)};
    say(book, 0, levels, 3);
}

static void trade(int book) {
    gw_record_t r = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topics[book]}};
    r.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15, .qty_exponent = -3,
                             .qty_digits = 4, .side = GW_SIDE_BUY, .id_length = 3, .id = "381"};
    r.h.ts_event = gw_realtime_ns();
    gw_record_received(&r, r.h.ts_event, monotonic(NULL));
    gw_publisher_publish(&publisher, &r, 1, &(gw_receipt_t){0});
}

/* --- the plane --------------------------------------------------------------------------------------- */

static void *memory(size_t size) {
    void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (m == MAP_FAILED) abort();
    return m;
}

/* A trade's frame is made longer by so many bytes. */
static gw_template_t *trade_template(size_t longer) {
    uint8_t program[4096];
    size_t size = TRADE_PROGRAM_SIZE;
    memcpy(program, TRADE_PROGRAM, size);
    for (size_t n; longer; longer -= n, size += n) {
        n = longer < 200 ? longer : 200;
        program[size++] = 0; /* LITERAL */
        program[size++] = (uint8_t)n;
        memset(program + size, ' ', n);
    }
    gw_template_t *t;
    if (gw_template_load(program, size, &t)) abort();
    return t;
}

static void begin(size_t longer, ssize_t (*send)(void *, int, const struct iovec *, int)) {
    const uint32_t levels = 2 * BOOKS * LEVELS * 4;
    const size_t size = gw_segment_books_size(CAPACITY, 1024, levels);
    void *segment = memory(size);
    if (gw_segment_books_format(segment, size, CAPACITY, 1024, levels, "00000000")) abort();
    if (gw_publisher_init(&publisher, segment, size, NULL)) abort();
    stats = memory(sizeof *stats);
    gw_plane_options_t o = {.formats_count = 1, .event_fd = eventfd(0, EFD_NONBLOCK), .clients_max = CLIENTS_MAX,
                            .topics_per_client_max = 1000, .waiting_topics_max = 1000, .books = gw_segment_books(1024, levels),
                            .log_bytes = 64u << 20, .control_bytes_max = 65536, .lossless_frames_max = 65536,
                            .lossless_max_age_ns = 2000000000, .stall_max_ns = 120000000000,
                            .paced_stall_max_ns = 10000000000, .heartbeat_ns = INT64_MAX / 2, .cpu = -1, .stats = stats,
                            .wait = memory(sizeof(gw_wait_t)), .target_ns = 1000000000,
                            .io = {send, monotonic, realtime, cpu, yield, NULL}};
    for (int i = 0; i < GW_ENCODES; i++) {
        o.formats[0].records[GW_TRADE][i] = trade_template(longer);
        if (gw_template_load(BOOK_PROGRAM, BOOK_PROGRAM_SIZE, &o.formats[0].records[GW_BOOK][i])) abort();
    }
    if (gw_plane_create(&o, &plane)) abort();
    gw_command_t *attach = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    attach->mapping = segment;
    attach->mapping_size = size;
    gw_plane_post(plane, attach);
}

static void topics_make(uint8_t channel) {
    for (int i = 0; i < BOOKS; i++) {
        char name[16];
        const int length = snprintf(name, sizeof name, "%c%03d.SIM", channel == GW_BOOK ? 'B' : 'T', i);
        const int64_t topic = gw_publisher_topic_add(&publisher, channel, name, (size_t)length);
        if (topic < 0) abort();
        topics[i] = (uint32_t)topic;
        updates[i] = 0;
        if (channel == GW_BOOK) state(i);
    }
}

static int pair(int real, int *near) {
    if (!real) {
        *near = eventfd(0, EFD_NONBLOCK);
        return -1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    static int listener = -1;
    if (listener < 0) {
        listener = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512)) abort();
    }
    getsockname(listener, (struct sockaddr *)&address, &length);
    int one = 1, room = 1 << 21, other = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(other, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (connect(other, (struct sockaddr *)&address, length)) abort();
    *near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    setsockopt(*near, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(*near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return other;
}

static gw_handle_t connected[CLIENTS_MAX];

static int client(int real) {
    int near;
    far[clients] = pair(real, &near);
    gw_command_t *x = gw_command_new(GW_CMD_ADD, 0, 0, 0);
    connected[clients++] = x->handle = gw_plane_slot(plane);
    x->fd = near;
    gw_plane_post(plane, x);
    return near;
}

static void subscribe(gw_handle_t handle, uint32_t id, uint8_t channel, double hz) {
    gw_command_t *x = gw_command_new(GW_CMD_SUBSCRIBE, 1, 0, 0);
    x->handle = handle;
    x->items[0] = (gw_item_t){.id = id, .channel = channel, .is_pattern = 1, .resync = 1, .snapshot = 1, .length = 1,
                              .name = "*", .priority = 1, .variant = channel == GW_BOOK ? 2 : 0,
                              .interval_ms = hz > 0 ? (uint16_t)(1000 / hz + 0.999) : 0};
    gw_plane_post(plane, x);
}

static void cycle(void) {
    for (int idle = 0; idle < IDLE;) idle = gw_plane_cycle(plane) ? 0 : idle + 1;
    for (const gw_event_t *e; (e = gw_plane_take_event(plane));) continue;
}

static void read_all(void) {
    static uint8_t room[1 << 20];
    for (int i = 0; i < clients; i++)
        while (recv(far[i], room, sizeof room, MSG_DONTWAIT) > 0) continue;
}

/* --- the figures ------------------------------------------------------------------------------------- */

static int64_t round_of(uint8_t channel, int burst, int *next) {
    for (int i = 0; i < burst; i++, *next = (*next + 1) % BOOKS) channel == GW_BOOK ? update(*next, 0) : trade(*next);
    const int64_t before = cpu(NULL);
    cycle();
    const int64_t spent = cpu(NULL) - before;
    read_all();
    return spent;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Trades' clients and books' are others, so each has its own plane-side state; rounds alternate. */
static void cost(int count, int burst, int rounds, size_t longer) {
    begin(longer, real_send);
    uint32_t of[2][BOOKS];
    for (int k = 0; k < 2; k++) {
        topics_make(k ? GW_BOOK : GW_TRADE);
        memcpy(of[k], topics, sizeof topics);
    }
    for (int i = 0; i < 2 * count; i++) client(1);
    cycle();
    for (int i = 0; i < 2 * count; i++) subscribe(connected[i], 1, i % 2 ? GW_BOOK : GW_TRADE, 0);
    for (int i = 0; i < 4 * count; i++) cycle(), read_all();
    double *each = calloc((size_t)rounds * 3, sizeof *each), size[2] = {0};
    int next[2] = {0};
    for (int r = -rounds / 10; r < rounds; r++) {
        double one[2];
        for (int k = 0; k < 2; k++) {
            const uint8_t channel = k ? GW_BOOK : GW_TRADE;
            memcpy(topics, of[k], sizeof topics);
            const uint64_t before = stats->delivered[channel], sent = bytes;
            const int64_t ns = round_of(channel, burst, &next[k]);
            const uint64_t n = stats->delivered[channel] - before;
            if (n != (uint64_t)count * (uint64_t)burst) {
                fprintf(stderr, "%llu delivered, not %d\n", (unsigned long long)n, count * burst);
                exit(3);
            }
            one[k] = (double)ns / (double)n;
            if (r >= 0) size[k] += (double)(bytes - sent) / (double)n;
        }
        if (r >= 0) each[r] = one[1] / one[0], each[rounds + r] = one[0], each[2 * rounds + r] = one[1];
    }
    for (int i = 0; i < 3; i++) qsort(each + i * rounds, (size_t)rounds, sizeof *each, compare);
    printf("{\"clients\":%d,\"burst\":%d,\"bytes\":[%.0f,%.0f],\"trade_ns\":%.1f,\"book_ns\":%.1f,\"ratio\":%.3f,\"quartiles\":[%.3f,%.3f]}\n",
           count, burst, size[0] / rounds, size[1] / rounds, each[rounds + rounds / 2], each[2 * rounds + rounds / 2],
           each[rounds / 2], each[rounds / 4], each[rounds * 3 / 4]);
}

static void rates(int count, double hz, double seconds) {
    clock_ns = 1000000000;
    begin(0, virtual_send);
    topics_make(GW_BOOK);
    for (int i = 0; i < count; i++) client(0);
    cycle();
    for (int i = 0; i < count; i++) subscribe(connected[i], 1, GW_BOOK, hz);
    cycle();
    int64_t from = clock_ns, due = from;
    uint64_t delivered = 0, was = 0;
    seen = calloc(SEEN, sizeof *seen);
    while (due < from + (int64_t)(seconds * 1e9)) {
        for (; due <= clock_ns; due += 100000) update(rand() % BOOKS, 0); /* 10,000 a second: 100 of each */
        if (!counting && clock_ns > from + 1000000000) counting = 1, frames = 0, was = stats->delivered[GW_BOOK];
        const int64_t before = clock_ns;
        gw_plane_cycle(plane);
        if (clock_ns == before) clock_ns += 20000;
    }
    delivered = stats->delivered[GW_BOOK] - was;
    printf("{\"clients\":%d,\"hz\":%g,\"frames\":%llu,\"delivered\":%llu,\"shared\":%.4f}\n", count, hz, (unsigned long long)frames,
           (unsigned long long)delivered, 1 - (double)different / (double)frames);
}

static void stalled(double seconds) {
    clock_ns = 1000000000;
    begin(0, virtual_send);
    topics_make(GW_BOOK);
    client(0);
    const int other = client(0);
    cycle();
    for (int i = 0; i < 2; i++) subscribe(connected[i], 1, GW_BOOK, 0);
    cycle();
    const uint64_t full = UINT64_MAX - 1; /* it is not writable */
    if (write(other, &full, sizeof full) < 0) abort();
    stalled_fd = other;
    int64_t from = 0;
    size_t before = 0;
    for (int64_t i = 0; !from || clock_ns < from + (int64_t)(seconds * 1e9); i++, clock_ns += 100000) {
        update(rand() % BOOKS, 0);
        gw_plane_cycle(plane);
        if (i == 5000) from = clock_ns, before = mallinfo2().uordblks;
    }
    printf("{\"seconds\":%g,\"grown_bytes\":%lld,\"pending\":%llu,\"delivered\":%llu}\n", seconds,
           (long long)mallinfo2().uordblks - (long long)before, (unsigned long long)stats->pending[GW_BOOK],
           (unsigned long long)stats->delivered[GW_BOOK]);
}

static void beyond(int count, int n) {
    clock_ns = 1000000000;
    begin(0, virtual_send);
    topics_make(GW_BOOK);
    for (int i = 0; i < count; i++) client(0);
    cycle();
    for (int i = 0; i < count; i++) subscribe(connected[i], 1, GW_BOOK, 0);
    cycle();
    const uint64_t before = sends;
    const int64_t spent = cpu(NULL);
    for (int i = 0; i < n; i++) update(i % BOOKS, 10 + rand() % (LEVELS - 20)), cycle();
    printf("{\"clients\":%d,\"updates\":%d,\"sends\":%llu,\"filtered\":%llu,\"ns_an_update\":%.0f}\n", count, n,
           (unsigned long long)(sends - before), (unsigned long long)stats->filtered[GW_BOOK], (double)(cpu(NULL) - spent) / n);
}

int main(int argc, char **argv) {
    const struct rlimit files = {2 * CLIENTS_MAX + 100, 2 * CLIENTS_MAX + 100};
    if (argc < 3) return 2;
    if (setrlimit(RLIMIT_NOFILE, &files)) perror("few descriptors");
    const double a = atof(argv[2]), b = argc > 3 ? atof(argv[3]) : 0, c = argc > 4 ? atof(argv[4]) : 0;
    if (!strcmp(argv[1], "cost") && argc >= 5) cost((int)a, (int)b, (int)c, argc > 5 ? (size_t)atoi(argv[5]) : 0);
    else if (!strcmp(argv[1], "rates") && argc == 5) rates((int)a, b, c);
    else if (!strcmp(argv[1], "stalled")) stalled(a);
    else if (!strcmp(argv[1], "beyond") && argc == 4) beyond((int)a, (int)b);
    else return 2;
    return 0;
}
