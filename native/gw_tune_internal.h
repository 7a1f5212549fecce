/* What the measurements of gw_tune.h share. */
#ifndef GW_TUNE_INTERNAL_H
#define GW_TUNE_INTERNAL_H
#include "gw_tune.h"
#include <pthread.h>

#define GW_TUNE_POLL_MS 10 /* a stop is noticed within this time */

static inline int64_t gw_tune_now(const gw_tune_clocks_t *c) { return c->monotonic(c->self); }

/* A histogram of all zeros, or NULL. */
gw_hdr_t *gw_tune_histogram(void);
/* Sums the histogram up and frees it. `max_ns` is exact, unlike the histogram's cells. */
void gw_tune_times(gw_hdr_t *h, int64_t max_ns, gw_tune_times_t *out);
/* Starts a thread that takes no signals, for they are the interpreter's. 0, or a negative errno. */
int gw_tune_thread(pthread_t *thread, void *(*run)(void *), void *argument);
/* Pins the calling thread where `cpu` is not -1. A refusal leaves the scheduler's choice. */
void gw_tune_pin(int cpu);
/* Sleeps for as long as it says, and no longer for the sake of saving power. */
void gw_tune_sleep(int64_t ns);

#endif
