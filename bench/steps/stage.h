/* A plane without a thread and without a kernel, of any size: what is left of a step is the plane's own work.
 *
 * Only the public face is used (gw_plane.h). A client's socket is an eventfd, of which epoll says "writable"
 * until its count is at its highest; `send` takes all or nothing. Cycles are measured in CPU time, so
 * that another program's turn on this core is in no figure. */
#ifndef STAGE_H
#define STAGE_H
#include "book_program.h"
#include "gw_clock.h"
#include "gw_plane.h"
#include "trade_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define STAGE_CLIENTS_MAX 20000u
#define STAGE_FDS_MAX (STAGE_CLIENTS_MAX + 64)
#define STAGE_CYCLES_MAX 10000000u
#define STAGE_IDLE 3 /* cycles with nothing to do after which nothing is left */
#define STAGE_SECOND INT64_C(1000000000)

typedef struct {
    int64_t longest_ns, total_ns;
    uint64_t cycles;
} spent_t;

typedef struct {
    gw_handle_t handle;
    int fd;
} stage_client_t;

static gw_plane_t *plane;
static gw_writer_t writer;
static gw_wait_t wait_page;
static stage_client_t stage_clients[STAGE_CLIENTS_MAX];
static int stage_errors[STAGE_FDS_MAX]; /* by descriptor: what a send fails with; 0: takes all */
static uint32_t stage_book_levels; /* of a plane and a segment with books; 0: without */
static int64_t stage_now_ns = STAGE_SECOND, stage_ahead_ns; /* of the plane's clock; to the host's */

static inline void must(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "steps: %s: %s\n", what, strerror(errno));
    _exit(2);
}

/* --- the kernel ------------------------------------------------------------------------------------ */

static inline ssize_t stage_send(void *self, int fd, const struct iovec *parts, int count) {
    (void)self;
    if (stage_errors[fd]) {
        errno = stage_errors[fd];
        return -1;
    }
    ssize_t n = 0;
    for (int i = 0; i < count; i++) n += (ssize_t)parts[i].iov_len;
    return n;
}

/* Goes on within a cycle only: however long it takes to prepare a step, nothing grows old meanwhile. */
static inline int64_t stage_monotonic(void *self) {
    (void)self;
    int64_t now = gw_monotonic_ns() + stage_ahead_ns;
    if (now > stage_now_ns) stage_now_ns = now;
    return stage_now_ns;
}

static inline int64_t stage_realtime(void *self) {
    (void)self;
    return gw_realtime_ns();
}

static inline void stage_yield(void *self) { (void)self; }

static inline void *stage_memory(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    must(p != MAP_FAILED, "mmap");
    return p;
}

/* --- the plane and its feed ------------------------------------------------------------------------ */

/* With the limits of configs/default.toml, but for heartbeats, of which there are none. */
static inline void stage_plane(uint32_t clients) {
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    must(clients <= STAGE_CLIENTS_MAX && limit.rlim_cur >= clients + 64, "clients");
    gw_plane_options_t o = {.formats_count = 1,
                            .event_fd = -1, .clients_max = clients, .topics_per_client_max = 10000,
                            .waiting_topics_max = 65536, .log_bytes = 64u << 20,
                            .control_bytes_max = 64u << 10, .lossless_frames_max = 65536,
                            .lossless_max_age_ns = 2 * STAGE_SECOND, .stall_max_ns = 120 * STAGE_SECOND,
                            .paced_stall_max_ns = 10 * STAGE_SECOND, .heartbeat_ns = INT64_MAX / 2,
                            .target_ns = STAGE_SECOND / 1000, .enforce = 1, .cpu = -1,
                            .wait = &wait_page, .stats = stage_memory(sizeof(gw_stats_t)),
                            .io = {.send = stage_send, .monotonic = stage_monotonic,
                                   .realtime = stage_realtime, .cpu = stage_monotonic,
                                   .yield = stage_yield}};
    if (stage_book_levels) o.books = gw_segment_books(65536, stage_book_levels);
    for (int i = 0; i < GW_ENCODES; i++)
        must(!gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &o.formats[0].records[GW_TRADE][i]), "template");
    for (int i = 0; stage_book_levels && i < GW_ENCODES; i++)
        must(!gw_template_load(BOOK_PROGRAM, BOOK_PROGRAM_SIZE, &o.formats[0].records[GW_BOOK][i]), "template");
    must(!gw_plane_create(&o, &plane), "gw_plane_create");
}

/* A segment of a feed that has just begun. */
static inline void stage_segment(uint64_t capacity) {
    static unsigned epochs;
    char epoch[16];
    size_t size = gw_segment_books_size(capacity, 65536, stage_book_levels);
    void *segment = stage_memory(size);
    snprintf(epoch, sizeof epoch, "%08u", ++epochs);
    must(!gw_segment_books_format(segment, size, capacity, 65536, stage_book_levels, epoch), "gw_segment_books_format");
    must(!gw_writer_init(&writer, segment, size), "gw_writer_init");
    gw_command_t *x = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    must(x != NULL, "memory");
    x->mapping = segment;
    x->mapping_size = size;
    must(!gw_plane_post(plane, x), "attach");
}

static inline size_t stage_name(char *name, size_t size, uint32_t topic) {
    return (size_t)snprintf(name, size, "SYM%05uUSDT.BINANCE", topic);
}

static inline void stage_topics(uint32_t count) {
    char name[64];
    for (uint32_t i = 0; i < count; i++)
        must(gw_writer_topic_add(&writer, GW_TRADE, name, stage_name(name, sizeof name, i)) >= 0, "topic");
}

static inline void stage_publish(uint32_t topic) {
    gw_record_t r = {.h = {.kind = GW_TRADE, .cells = GW_RECORD_CELLS, .topic = topic}};
    r.h.ts_event = r.h.ts_recv = gw_realtime_ns();
    r.h.ts_publish = stage_now_ns;
    r.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15,
                             .qty_exponent = -3, .qty_digits = 4, .side = GW_SIDE_BUY, .id_length = 3,
                             .id = "381"};
    gw_writer_publish(&writer, &r);
}

/* --- cycles ---------------------------------------------------------------------------------------- */

static inline void stage_cycle(spent_t *spent, int *idle) {
    stage_ahead_ns = stage_now_ns - gw_monotonic_ns();
    int64_t before = gw_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int busy = gw_plane_cycle(plane);
    int64_t took = gw_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    *idle = busy ? 0 : *idle + 1;
    if (took > spent->longest_ns) spent->longest_ns = took;
    spent->total_ns += took;
    spent->cycles++;
}

/* Until nothing is left; adds what it took. */
static inline void stage_spend(spent_t *spent) {
    int idle = 0;
    while (idle < STAGE_IDLE && spent->cycles < STAGE_CYCLES_MAX) {
        stage_cycle(spent, &idle);
        while (gw_plane_take_event(plane)) {
        }
    }
}

/* The same, of what only prepares a step. */
static inline void stage_run(void) {
    spent_t spent = {0};
    stage_spend(&spent);
}

static inline void stage_skip(int64_t ns) { stage_now_ns += ns; }

/* --- clients --------------------------------------------------------------------------------------- */

static inline void stage_connect(uint32_t i) {
    stage_client_t *c = &stage_clients[i];
    gw_command_t *x = gw_command_new(GW_CMD_ADD, 0, 0, 0);
    must(x != NULL, "memory");
    c->handle = x->handle = gw_plane_slot(plane);
    c->fd = x->fd = eventfd(0, EFD_NONBLOCK);
    must(c->handle && c->fd >= 0 && (unsigned)c->fd < STAGE_FDS_MAX, "eventfd");
    must(!gw_plane_post(plane, x), "add");
}

/* From now on the client's socket is full. */
static inline void stage_block(uint32_t i) {
    stage_errors[stage_clients[i].fd] = EAGAIN;
    must(!eventfd_write(stage_clients[i].fd, UINT64_MAX - 1), "eventfd_write");
}

/* And takes everything again, which epoll says. */
static inline void stage_unblock(uint32_t i) {
    eventfd_t count;
    stage_errors[stage_clients[i].fd] = 0;
    must(!eventfd_read(stage_clients[i].fd, &count), "eventfd_read");
}

static inline gw_item_t stage_item(uint32_t id, const char *name, int lossless) {
    gw_item_t x = {.id = id, .channel = GW_TRADE, .is_pattern = strchr(name, '*') != NULL,
                   .lossless = (uint8_t)lossless, .resync = 1, .length = (uint8_t)strlen(name)};
    memcpy(x.name, name, x.length);
    return x;
}

static inline void stage_ask(uint32_t i, gw_command_kind_t kind, const gw_item_t *items, uint32_t count) {
    gw_command_t *x = gw_command_new(kind, count, 0, kind == GW_CMD_QUERY || kind == GW_CMD_REMOVE ? 0 : 64);
    must(x != NULL, "memory");
    x->handle = stage_clients[i].handle;
    memset(x->bytes, ' ', x->bytes_count);
    if (count) memcpy(x->items, items, count * sizeof *items);
    must(!gw_plane_post(plane, x), "command");
}

static inline void stage_subscribe(uint32_t i, const char *name, int lossless, int snapshot) {
    gw_item_t x = stage_item(1, name, lossless);
    x.snapshot = (uint8_t)snapshot;
    stage_ask(i, GW_CMD_SUBSCRIBE, &x, 1);
}

/* Patterns of one client, of a form with a number; they begin at `first`. */
static inline void stage_patterns(uint32_t i, const char *form, uint32_t first, uint32_t count) {
    gw_item_t items[256];
    char name[64];
    must(count <= 256, "patterns");
    for (uint32_t k = 0; k < count; k++) {
        snprintf(name, sizeof name, form, first + k);
        items[k] = stage_item(1000 + first + k, name, 0);
    }
    stage_ask(i, GW_CMD_SUBSCRIBE, items, count);
}

#endif
