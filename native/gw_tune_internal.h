/* What the measurements of gw_tune.h share. */
#ifndef GW_TUNE_INTERNAL_H
#define GW_TUNE_INTERNAL_H
#include "gw_tune.h"
#include <pthread.h>

#define GW_TUNE_POLL_MS 10 /* a stop is noticed within this time */

static inline int64_t gw_tune_now(const gw_tune_clocks_t *c) { return c->monotonic(c->self); }

/* Times as they are measured, by one thread. `max_ns` is exact, unlike the histogram's cells. */
typedef struct {
    gw_hdr_t cells;
    int64_t max_ns;
} gw_tune_taken_t;

static inline void gw_tune_take(gw_tune_taken_t *t, int64_t ns) {
    gw_hdr_record(&t->cells, ns, 1);
    if (ns > t->max_ns) t->max_ns = ns;
}

/* Sums them up. */
void gw_tune_times(const gw_tune_taken_t *t, gw_tune_times_t *out);
/* Starts a thread that takes no signals, for they are the interpreter's. 0, or a negative errno. */
int gw_tune_thread(pthread_t *thread, void *(*run)(void *), void *argument);
/* Pins the calling thread where `cpu` is not -1. A refusal leaves the scheduler's choice. */
void gw_tune_pin(int cpu);
/* Sleeps for as long as it says, and no longer for the sake of saving power. */
void gw_tune_sleep(int64_t ns);

#endif
