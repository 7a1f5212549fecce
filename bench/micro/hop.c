/* From one process to another through the ring: how long it takes, and that no record is torn. */
#include "micro.h"
#include "../../native/test/ring_memory.h"
#include "gw_clock.h"
#include "gw_hdr.h"
#include "gw_sched.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPIN_NS 20000 /* how long the hybrid waits awake */
#define OVERRUNS 30000000ull

typedef struct {
    gw_wait_t wait;
    uint64_t stop;
} shared_t;

static shared_t *shared;
static void *segment;
static size_t segment_size;
static int event_fd;

static void memory_new(uint64_t capacity) {
    segment_size = gw_segment_size(capacity, 1);
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    segment = mmap(NULL, segment_size, PROT_READ | PROT_WRITE, flags, -1, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, flags, -1, 0);
    event_fd = eventfd(0, EFD_NONBLOCK);
    CHECK(segment != MAP_FAILED && shared != MAP_FAILED && event_fd >= 0);
    CHECK_EQUAL(gw_segment_format(segment, segment_size, capacity, 1, "k3f90000"), 0);
}

static void cpu_take(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    /* With one processor this fails, and the figures say so themselves. */
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* Publishes every `interval_ns` until told to stop, waiting awake so that it is always on time. */
static void writer_run(int64_t interval_ns) {
    gw_writer_t w;
    cpu_take(0);
    CHECK_EQUAL(gw_writer_init(&w, segment, segment_size), 0);
    for (int64_t next = gw_monotonic_ns(); !GW_LOAD_RELAXED(&shared->stop); next += interval_ns) {
        while (gw_monotonic_ns() < next) gw_cpu_relax();
        gw_record_t record = whole_record(++ring_numbered, 0);
        record.h.ts_publish = gw_monotonic_ns();
        gw_writer_publish(&w, &record);
        gw_wait_ring(&shared->wait, event_fd);
    }
    exit(0);
}

static pid_t writer_start(int64_t interval_ns) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) writer_run(interval_ns);
    cpu_take(1);
    return pid;
}

static void writer_stop(pid_t pid) {
    GW_STORE_RELAXED(&shared->stop, 1);
    CHECK_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* Poll awake for a while, then sleep as the plane does. */
static int64_t hybrid_poll(gw_reader_t *reader, void *buffer, size_t size) {
    int64_t asleep_at = gw_monotonic_ns() + SPIN_NS;
    while (gw_monotonic_ns() < asleep_at) {
        int64_t taken = gw_reader_poll(reader, buffer, size);
        if (taken != 0) return taken;
        gw_cpu_relax();
    }
    GW_STORE_RELAXED(&shared->wait.sleeping, 1);
    GW_FENCE_FULL();
    if (GW_LOAD_RELAXED(reader->segment.tail) == reader->cursor) {
        struct pollfd wait = {.fd = event_fd, .events = POLLIN};
        CHECK_EQUAL(poll(&wait, 1, 10000), 1);
        uint64_t count;
        CHECK_EQUAL(read(event_fd, &count, sizeof count), sizeof count);
    }
    GW_STORE_RELAXED(&shared->wait.sleeping, 0);
    return gw_reader_poll(reader, buffer, size);
}

static int64_t percentile(const gw_hdr_t *h, double percent) {
    uint64_t wanted = (uint64_t)((double)h->count * percent / 100 + 0.5), seen = 0;
    for (uint32_t i = 0; i < GW_HDR_COUNTS; i++) {
        seen += h->counts[i];
        if (seen < wanted) continue;
        uint32_t bucket = i < 2048 ? 0 : (i >> 10) - 1;
        return (int64_t)(i - (bucket << 10)) << bucket;
    }
    return 0;
}

static void hop_measure(const char *name, const char *what, int64_t interval_ns, uint64_t hops,
                        bool sleeps) {
    static gw_hdr_t histogram;
    static usual_t buffer[64];
    gw_reader_t reader = {.cursor = 0};
    memory_new(1u << 20);
    CHECK_EQUAL(gw_segment_open(segment, segment_size, &reader.segment), 0);
    (void)gw_sched_slice(100000);
    pid_t pid = writer_start(interval_ns);
    while (histogram.count < hops) {
        int64_t size = sleeps ? hybrid_poll(&reader, buffer, sizeof buffer)
                              : gw_reader_poll(&reader, buffer, sizeof buffer);
        int64_t now = gw_monotonic_ns();
        for (int64_t i = 0; i < size / (int64_t)sizeof buffer[0]; i++)
            gw_hdr_record(&histogram, now - buffer[i].h.ts_publish, 1);
    }
    writer_stop(pid);
    char label[64];
    static const double percents[] = {50, 99};
    for (int i = 0; i < 2; i++) {
        snprintf(label, sizeof label, "%s_p%.0f", name, percents[i]);
        micro_figure(label, (double)percentile(&histogram, percents[i]), "ns", what);
    }
}

static void hop_spin(void) {
    hop_measure("hop_spin", "to a spinning process, two clock reads included", 5000, 400000, false);
}

static void hop_hybrid_awake(void) {
    hop_measure("hop_hybrid_awake", "hybrid, a record every 5 us: it never sleeps", 5000, 400000,
                true);
}

static void hop_hybrid_asleep(void) {
    hop_measure("hop_hybrid_asleep", "hybrid, a record every 200 us: it always sleeps", 200000,
                10000, true);
}

/* A writer at full speed in the smallest ring (32 records): whatever the reader gets is checked. */
static void overruns(void) {
    static usual_t buffer[64];
    static gw_record_t last;
    gw_reader_t reader = {.cursor = 0};
    uint64_t missed = 0, taken = 0, torn = 0, seq = 0, slots = 0;
    memory_new(4096);
    CHECK_EQUAL(gw_segment_open(segment, segment_size, &reader.segment), 0);
    pid_t pid = writer_start(0);
    while (missed < OVERRUNS) {
        int64_t size = gw_reader_poll(&reader, buffer, sizeof buffer);
        for (int64_t i = 0; i < size / (int64_t)sizeof buffer[0]; i++) {
            if (!record_is_whole(&buffer[i]) || (uint64_t)buffer[i].h.ts_recv <= seq) torn++;
            missed += (uint64_t)buffer[i].h.ts_recv - seq - 1;
            seq = (uint64_t)buffer[i].h.ts_recv;
            taken++;
        }
        if (size >= 0 || gw_table_read(&reader.segment, 0, &last, NULL) != 1) continue;
        if (!record_is_whole(&last)) torn++;
        slots++;
    }
    writer_stop(pid);
    micro_figure("overruns", (double)missed, "", "records that a lapped reader lost");
    micro_figure("overruns_taken", (double)taken, "", "records that it got meanwhile");
    micro_figure("overruns_slots", (double)slots, "", "last values that it read meanwhile");
    micro_figure("overruns_torn", (double)torn, "",
                 "of both, not whole and not noticed (must be 0)");
}

const micro_row_t micro_hop_rows[] = {
    {"hop_spin", NULL, 0, NULL, NULL, hop_spin},
    {"hop_hybrid_awake", NULL, 0, NULL, NULL, hop_hybrid_awake},
    {"hop_hybrid_asleep", NULL, 0, NULL, NULL, hop_hybrid_asleep},
    {"overruns", NULL, 0, NULL, NULL, overruns},
    {NULL, NULL, 0, NULL, NULL, NULL},
};
