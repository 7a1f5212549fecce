/* The clocks' cost and steps, and what all measurements of gw_tune.h share. */
#include "gw_tune_internal.h"
#include "gw_clock.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define BATCH 256u              /* reads of the clock between two looks at the time */
#define STEP_NS 100000          /* what moves REALTIME by more within a batch is no slewing */

static int64_t monotonic(void *self) {
    (void)self;
    return gw_monotonic_ns();
}

static int64_t realtime(void *self) {
    (void)self;
    return gw_realtime_ns();
}

const gw_tune_clocks_t gw_tune_host_clocks = {monotonic, realtime, NULL};

/* --- histograms ------------------------------------------------------------------------------------ */

/* The largest value of a cell; the inverse of gw_hdr_index. */
static int64_t cell_top(uint32_t index) {
    if (index < 2048) return index;
    uint32_t bucket = (index >> 10) - 1;
    return (int64_t)(((uint64_t)(index - (bucket << 10)) + 1) << bucket) - 1;
}

int64_t gw_tune_quantile(const gw_hdr_t *h, double share) {
    double wanted = share * (double)h->count;
    uint64_t seen = 0;
    if (!h->count) return 0;
    for (uint32_t i = 0; i < GW_HDR_COUNTS; i++) {
        seen += h->counts[i];
        if (seen && (double)seen >= wanted) return cell_top(i);
    }
    return (int64_t)GW_HDR_MAX;
}

int64_t gw_tune_tail(const gw_hdr_t *h) {
    uint64_t wanted = (h->count + 99) / 100, left = wanted;
    double sum = 0;
    for (uint32_t i = GW_HDR_COUNTS; i > 0 && left; i--) {
        uint64_t n = h->counts[i - 1] < left ? h->counts[i - 1] : left;
        sum += (double)n * (double)cell_top(i - 1);
        left -= n;
    }
    return wanted ? (int64_t)(sum / (double)wanted) : 0;
}

void gw_tune_times(const gw_tune_taken_t *t, gw_tune_times_t *out) {
    const gw_hdr_t *h = &t->cells;
    const int64_t max_ns = t->max_ns;
    static const double shares[] = {0.5, 0.99, 0.999};
    int64_t *values[] = {&out->p50_ns, &out->p99_ns, &out->p999_ns};
    for (int i = 0; i < 3; i++) {
        int64_t value = gw_tune_quantile(h, shares[i]);
        *values[i] = value < max_ns ? value : max_ns;
    }
    out->count = h->count;
    out->negative = h->negative;
    out->max_ns = max_ns;
    int64_t tail = gw_tune_tail(h);
    out->tail_ns = tail < max_ns ? tail : max_ns;
}

/* --- threads --------------------------------------------------------------------------------------- */

int gw_tune_thread(pthread_t *thread, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) pthread_setname_np(*thread, "tickgate-tune");
    return -error;
}

void gw_tune_pin(int cpu) {
    cpu_set_t cpus;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
}

void gw_tune_sleep(int64_t ns) {
    if (ns <= 0) return;
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* the default lets a sleep end 50 us late */
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* --- the clocks ------------------------------------------------------------------------------------ */

static int64_t distance(int64_t a) { return a < 0 ? -a : a; }

void gw_tune_clock(const gw_tune_clocks_t *clocks, int64_t duration_ns, uint64_t rounds_max, gw_tune_clock_t *out) {
    *out = (gw_tune_clock_t){0};
    int64_t begun = gw_tune_now(clocks), now = begun, before = 0;
    for (uint64_t round = 0; round < rounds_max && now - begun < duration_ns; round++) {
        int64_t start = gw_tune_now(clocks);
        for (uint32_t i = 1; i < BATCH; i++) (void)gw_tune_now(clocks);
        now = gw_tune_now(clocks);
        double each = (double)(now - start) / BATCH;
        if (!round || each < out->read_ns) out->read_ns = each;
        out->reads += BATCH;
        /* REALTIME was read at some moment between the two: the span says how wrong the middle may be. */
        int64_t real = clocks->realtime(clocks->self), after = gw_tune_now(clocks);
        int64_t offset = real - (now + (after - now) / 2), moved = offset - before;
        if (round && distance(moved) > STEP_NS + (after - now)) {
            out->steps++;
            if (distance(moved) > distance(out->step_ns)) out->step_ns = moved;
        }
        /* A reading that was interrupted is kept only where nothing better is known. */
        if (!round || after - now < STEP_NS) before = offset;
    }
    out->offset_ns = before;
}
