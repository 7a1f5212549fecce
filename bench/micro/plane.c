/* The plane's own cost of a delivery: everything but the system call, which takes all it is given. */
#include "micro.h"

#include "../../native/test/trade_program.h"
#include "gw_clock.h"
#include "gw_plane.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CLIENTS = 1000, TOPICS = 100, TOPICS_EACH = 20, BATCH = 100 };

static gw_plane_t *plane;
static gw_writer_t writer;
static gw_record_t record;

static ssize_t take_all(void *self, int fd, const struct iovec *parts, int count) {
    (void)self;
    (void)fd;
    ssize_t n = 0;
    for (int i = 0; i < count; i++) n += (ssize_t)parts[i].iov_len;
    return n;
}

static int64_t monotonic(void *self) {
    (void)self;
    return gw_monotonic_ns();
}

static int64_t realtime(void *self) {
    (void)self;
    return gw_realtime_ns();
}

static void *memory(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}

static void subscribe(gw_handle_t handle, const char *name, uint32_t id) {
    gw_command_t *x = gw_command_new(GW_CMD_SUBSCRIBE, 1, 0, 0);
    x->handle = handle;
    gw_item_t *item = &x->items[0];
    memset(item, 0, sizeof *item);
    item->id = id;
    item->channel = GW_TRADE;
    item->lossless = item->resync = 1;
    item->length = (uint8_t)strlen(name);
    memcpy(item->name, name, item->length);
    if (gw_plane_post(plane, x)) abort();
}

/* Turns, until everything published has left. */
static void deliver(void) {
    while (gw_plane_cycle(plane)) {
    }
}

static void plane_setup(uint32_t clients, uint32_t topics_each) {
    size_t size = gw_segment_size(64u << 20, 1024);
    void *segment = memory(size);
    if (gw_segment_format(segment, size, 64u << 20, 1024, "00000000")) abort();
    if (gw_writer_init(&writer, segment, size)) abort();
    gw_plane_options_t o = {.formats_count = 1, .event_fd = -1,
                            .clients_max = clients, .topics_per_client_max = 1000,
                            .waiting_topics_max = 1000, .log_bytes = 64u << 20, .control_bytes_max = 65536,
                            .lossless_frames_max = 65536, .lossless_max_age_ns = INT64_MAX,
                            .stall_max_ns = INT64_MAX, .heartbeat_ns = INT64_MAX / 2, .cpu = -1,
                            .stats = memory(sizeof(gw_stats_t)),
                            .io = {.send = take_all, .monotonic = monotonic, .realtime = realtime}};
    for (int i = 0; i < GW_ENCODES; i++)
        if (gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &o.formats[0].records[GW_TRADE][i])) abort();
    if (gw_plane_create(&o, &plane)) abort();
    char name[16];
    for (int i = 0; i < TOPICS; i++) {
        int length = snprintf(name, sizeof name, "SYM%03d.SIM", i);
        if (gw_writer_topic_add(&writer, GW_TRADE, name, (size_t)length) != i) abort();
    }
    gw_command_t *attach = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    attach->mapping = segment;
    attach->mapping_size = size;
    gw_plane_post(plane, attach);
    srand(1);
    for (uint32_t i = 0; i < clients; i++) {
        gw_command_t *add = gw_command_new(GW_CMD_ADD, 0, 0, 0);
        add->handle = gw_plane_slot(plane);
        add->fd = -1;
        gw_handle_t handle = add->handle;
        gw_plane_post(plane, add);
        for (uint32_t k = 0; k < topics_each; k++) {
            snprintf(name, sizeof name, "SYM%03d.SIM", topics_each == 1 ? 0 : rand() % TOPICS);
            subscribe(handle, name, k);
        }
    }
    deliver();
    record.h.kind = GW_TRADE;
    record.h.cells = GW_RECORD_CELLS;
    record.h.ts_event = record.h.ts_recv = gw_realtime_ns();
    record.u.trade = (gw_trade_t){.price = 6425010, .price_exponent = -2, .price_digits = 7, .qty = 15,
                                  .qty_exponent = -3, .qty_digits = 4, .side = GW_SIDE_BUY, .id_length = 3,
                                  .id = "381"};
}

static void publish(uint32_t topic) {
    record.h.topic = topic;
    record.h.ts_publish = gw_monotonic_ns();
    gw_writer_publish(&writer, &record);
}

static void one_setup(void) { plane_setup(CLIENTS, 1); }

static void one_run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i += CLIENTS) {
        publish(0);
        deliver();
    }
}

static void batch_setup(void) { plane_setup(100, 1); }

static void batch_run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i += 100 * BATCH) {
        for (int k = 0; k < BATCH; k++) publish(0);
        deliver();
    }
}

static void random_setup(void) { plane_setup(500, TOPICS_EACH); }

static void random_run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i += 100 * BATCH) {
        for (uint32_t k = 0; k < BATCH; k++) publish(k % TOPICS);
        deliver();
    }
}

static void clock_run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i++) micro_keep((const void *)gw_monotonic_ns());
}

const micro_row_t micro_plane_rows[] = {
    {"clock_read", "one reading of the clock: in each plane_delivery_one", 1000000, NULL, clock_run, NULL},
    {"plane_delivery_one", "delivery: 1 tick to 1000 clients", 100000, one_setup, one_run, NULL},
    {"plane_delivery_batch", "delivery: 100 ticks to 100 clients", 1000000, batch_setup, batch_run, NULL},
    {"plane_delivery_random", "delivery: 100 ticks to 500 clients of 20 in 100 symbols", 1000000,
     random_setup, random_run, NULL},
    {0},
};
