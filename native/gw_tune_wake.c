/* Wake-ups by an eventfd, as the writer wakes the plane.
 *
 * The ringer stores a stamp, then `rung` (release), then writes to the eventfd; the woken thread
 * loads `rung` (acquire), so it finds every stamp that this counts. `answered` goes the other way
 * for the room. Each stamp is recorded for itself: a thread that slept through ten of them has been
 * late ten times, as for ten records (open loop).
 */
#include "gw_sched.h"
#include "gw_tune_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

typedef struct {
    const gw_tune_clocks_t *clocks;
    const gw_tune_wake_options_t *o;
    gw_tune_wake_t *out;
    gw_tune_taken_t delays;
    int event_fd, epoll_fd;
    uint64_t rung, answered, stopping; /* atomic */
    uint64_t stamps[GW_TUNE_STAMPS];   /* atomic */
} trial_t;

/* --- the woken ------------------------------------------------------------------------------------- */

/* How long this thread has been runnable without a CPU, or -1. */
static int64_t run_delay(void) {
    char text[96];
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return -1;
    text[n] = 0;
    char *delay = strchr(text, ' '), *turns = delay ? strchr(delay + 1, ' ') : NULL;
    if (!turns || strtoll(turns, NULL, 10) == 0) return -1; /* a kernel without the accounts says 0 0 0 */
    return strtoll(delay, NULL, 10);
}

static void answer(trial_t *t) {
    uint64_t rung = GW_LOAD_ACQUIRE(&t->rung), at = t->answered;
    for (; at < rung; at++) {
        int64_t rung_ns = (int64_t)GW_LOAD_RELAXED(&t->stamps[at % GW_TUNE_STAMPS]);
        gw_tune_take(&t->delays, gw_tune_now(t->clocks) - rung_ns);
    }
    GW_STORE_RELEASE(&t->answered, at);
}

static void *woken(void *argument) {
    trial_t *t = argument;
    struct epoll_event event;
    gw_tune_pin(t->o->cpu);
    t->out->slice = gw_sched_slice(t->o->slice_ns) == 0;
    for (;;) {
        int stopping = GW_LOAD_ACQUIRE(&t->stopping) != 0;
        uint64_t count;
        if (epoll_wait(t->epoll_fd, &event, 1, stopping ? 0 : GW_TUNE_POLL_MS) > 0)
            (void)!read(t->event_fd, &count, sizeof count);
        answer(t);
        if (stopping) break;
    }
    t->out->run_delay_ns = run_delay();
    return NULL;
}

/* --- the ringer and the busy thread ---------------------------------------------------------------- */

static void ring(trial_t *t) {
    uint64_t at = t->rung, one = 1;
    if (at - GW_LOAD_ACQUIRE(&t->answered) >= GW_TUNE_STAMPS) {
        t->out->skipped++;
        return;
    }
    GW_STORE_RELAXED(&t->stamps[at % GW_TUNE_STAMPS], (uint64_t)gw_tune_now(t->clocks));
    GW_STORE_RELEASE(&t->rung, at + 1);
    (void)!write(t->event_fd, &one, sizeof one);
}

static void *ringer(void *argument) {
    trial_t *t = argument;
    const gw_tune_wake_options_t *o = t->o;
    gw_tune_pin(o->ringer_cpu);
    int64_t begun = gw_tune_now(t->clocks), now = begun;
    for (uint64_t i = 0; i < o->rounds_max && now - begun < o->duration_ns; i++) {
        ring(t);
        gw_tune_sleep(o->interval_ns);
        now = gw_tune_now(t->clocks);
    }
    return NULL;
}

static void *busy(void *argument) {
    trial_t *t = argument;
    uint64_t turns = 0;
    gw_tune_pin(t->o->cpu);
    while (!GW_LOAD_ACQUIRE(&t->stopping)) {
        turns++;
        __asm__ volatile("" : "+r"(turns)); /* or the loop could be anything */
    }
    return NULL;
}

static int run(trial_t *t, const char **failed) {
    pthread_t waking, ringing, computing;
    *failed = "a thread";
    int error = gw_tune_thread(&waking, woken, t), computes = 0;
    if (error) return error;
    if (t->o->busy) {
        error = gw_tune_thread(&computing, busy, t);
        computes = !error;
    }
    if (!error) error = gw_tune_thread(&ringing, ringer, t);
    if (!error) pthread_join(ringing, NULL);
    GW_STORE_RELEASE(&t->stopping, 1);
    if (computes) pthread_join(computing, NULL);
    pthread_join(waking, NULL);
    return error;
}

static int prepare(trial_t *t, const char **failed) {
    *failed = "an eventfd";
    t->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->event_fd < 0) return -errno;
    *failed = "an epoll descriptor";
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll_fd < 0) return -errno;
    struct epoll_event e = {.events = EPOLLIN};
    return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->event_fd, &e) ? -errno : 0;
}

int gw_tune_wake(const gw_tune_clocks_t *clocks, const gw_tune_wake_options_t *options, gw_tune_wake_t *out,
                 const char **failed) {
    *out = (gw_tune_wake_t){.run_delay_ns = -1};
    *failed = "memory";
    trial_t *t = calloc(1, sizeof *t);
    if (!t) return -ENOMEM;
    t->clocks = clocks;
    t->o = options;
    t->out = out;
    t->event_fd = t->epoll_fd = -1;
    int error = prepare(t, failed);
    if (!error) error = run(t, failed);
    if (t->event_fd >= 0) close(t->event_fd);
    if (t->epoll_fd >= 0) close(t->epoll_fd);
    out->rung = t->rung;
    gw_tune_times(&t->delays, &out->delay);
    free(t);
    return error;
}
