/* What this host takes for a look at the clock, for a send and for a wake-up: `tickgate tune`.
 *
 * Each measurement runs in threads of its own, whose CPUs and slice are set without touching the
 * caller's, and is bounded twice: by a duration and by a number of rounds, so that a clock that
 * stands still ends it too. All of them block the caller until their threads have ended.
 */
#ifndef GW_TUNE_H
#define GW_TUNE_H
#include "gw_hdr.h"
#include <stddef.h>
#include <stdint.h>

#define GW_TUNE_SOCKETS_MAX 256u
#define GW_TUNE_BYTES_MAX 4096u
#define GW_TUNE_STAMPS 4096u /* wake-ups under way at most: a second of them at 250 us */

/* Tests put their own in the place of the host's. Several threads call them. */
typedef struct {
    int64_t (*monotonic)(void *self);
    int64_t (*realtime)(void *self);
    void *self;
} gw_tune_clocks_t;

extern const gw_tune_clocks_t gw_tune_host_clocks;

typedef struct {
    uint64_t count, negative; /* negative: shorter than nothing, by clocks that disagree; not among the others */
    int64_t p50_ns, p99_ns, p999_ns, max_ns;
    int64_t tail_ns; /* the mean of the slowest hundredth: steadier than a percentile where few are slow */
} gw_tune_times_t;

/* The value below or at which `share` of what was recorded is, 0 of nothing. */
int64_t gw_tune_quantile(const gw_hdr_t *h, double share);
/* The mean of the slowest hundredth, of one at least; 0 of nothing. */
int64_t gw_tune_tail(const gw_hdr_t *h);

/* --- the clocks ------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t reads;
    double read_ns;              /* of the quickest batch, the least disturbed one */
    int64_t offset_ns;           /* REALTIME - MONOTONIC, at the end */
    uint64_t steps;              /* how often it jumped, and the farthest jump with its sign */
    int64_t step_ns;
} gw_tune_clock_t;

void gw_tune_clock(const gw_tune_clocks_t *clocks, int64_t duration_ns, uint64_t rounds_max, gw_tune_clock_t *out);

/* --- sends ----------------------------------------------------------------------------------------- */

typedef struct {
    int64_t duration_ns, pause_ns; /* pause_ns: between two rounds, so that readers fall asleep */
    uint64_t rounds_max, slice_ns; /* slice_ns: asked for by the sender, as the plane does */
    uint32_t sockets, bytes;       /* of loopback TCP, and of each send */
    int sender_cpu, reader_cpu;    /* -1: the scheduler's choice */
} gw_tune_send_options_t;

typedef struct {
    uint64_t sends, short_sends; /* short_sends: the socket did not take it all */
    uint64_t bytes;              /* that the reader got */
    gw_tune_times_t round;       /* of one send to each socket */
} gw_tune_send_t;

/* 0, or a negative errno and in `*failed` what was refused. */
int gw_tune_send(const gw_tune_clocks_t *clocks, const gw_tune_send_options_t *options, gw_tune_send_t *out,
                 const char **failed);

/* --- wake-ups -------------------------------------------------------------------------------------- */

typedef struct {
    int64_t duration_ns, interval_ns; /* interval_ns: 0 rings without a pause */
    uint64_t rounds_max, slice_ns;
    int cpu, ringer_cpu; /* of the thread that is woken, and of the one that rings; -1: the scheduler's choice */
    int busy;            /* beside a thread that computes all the time, on the woken one's CPU */
} gw_tune_wake_options_t;

typedef struct {
    uint64_t rung, skipped;  /* skipped: GW_TUNE_STAMPS were under way already */
    int64_t run_delay_ns;    /* that the woken thread was runnable without a CPU; -1: the kernel does not say */
    int slice;               /* whether the kernel granted it */
    gw_tune_times_t delay;   /* from just before the write to the eventfd until the thread runs */
} gw_tune_wake_t;

int gw_tune_wake(const gw_tune_clocks_t *clocks, const gw_tune_wake_options_t *options, gw_tune_wake_t *out,
                 const char **failed);

#endif
