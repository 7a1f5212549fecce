/* The loop, its own load, and what other threads ask and say. */
#include "gw_swarm_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define SLEEP_NS 20000 /* a look that takes so long slept */
#define WAKE_NS 10000  /* from the wake-up to the first instruction, besides waiting for a CPU */
#define LOAD_EVERY_NS 1000000   /* looks at the thread's clock */
#define DELAY_EVERY_NS 20000000 /* and at what the scheduler says */

/* --- own load -------------------------------------------------------------------------------------- */

static int64_t loaded(const gw_swarm_t *s, int load) { return (int64_t)s->load[load]; }

static void load_set(gw_swarm_t *s, int load, int64_t value) {
    GW_STORE_RELAXED(&s->load[load], (uint64_t)value);
}

/* How long the thread was ready and had no CPU (proc(5), schedstat: the second number); 0 where the kernel
 * does not say. */
static int64_t run_delay(const gw_swarm_t *s) {
    char text[128];
    ssize_t n = s->schedstat_fd >= 0 ? pread(s->schedstat_fd, text, sizeof text, 0) : 0;
    const char *at = n > 0 ? memchr(text, ' ', (size_t)n) : NULL;
    int64_t waited_ns = 0;
    while (at && ++at < text + n && *at >= '0' && *at <= '9') waited_ns = waited_ns * 10 + (*at - '0');
    return waited_ns;
}

static void load_publish(gw_swarm_t *s, int64_t now) {
    s->load_ns = now + LOAD_EVERY_NS;
    load_set(s, GW_SWARM_LOAD_cpu_ns, s->cpu_base_ns + gw_clock_ns(CLOCK_THREAD_CPUTIME_ID));
    load_set(s, GW_SWARM_LOAD_wall_ns, s->wall_base_ns + now);
    if (now < s->delay_ns) return;
    s->delay_ns = now + DELAY_EVERY_NS;
    s->delay_last_ns = run_delay(s);
    load_set(s, GW_SWARM_LOAD_run_delay_ns, s->delay_base_ns + s->delay_last_ns);
    int64_t window_ns = GW_LOAD_ACQUIRE(&s->window_next_start_ns);
    if (window_ns == s->turn_window_ns || gw_realtime_ns() + s->o.clock_offset_ns < window_ns) return;
    s->turn_window_ns = window_ns;
    load_set(s, GW_SWARM_LOAD_turn_max_ns, 0);
}

/* The loads go on from where the run before stopped, which may have been another thread's. */
static void load_begin(gw_swarm_t *s, int64_t now) {
    s->schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    s->cpu_base_ns = loaded(s, GW_SWARM_LOAD_cpu_ns) - gw_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    s->wall_base_ns = loaded(s, GW_SWARM_LOAD_wall_ns) - now;
    s->delay_last_ns = run_delay(s);
    s->delay_base_ns = loaded(s, GW_SWARM_LOAD_run_delay_ns) - s->delay_last_ns;
}

static void load_end(gw_swarm_t *s) {
    s->delay_ns = 0;
    load_publish(s, gw_monotonic_ns());
    if (s->schedstat_fd >= 0) close(s->schedstat_fd);
    s->schedstat_fd = -1;
}

/* --- the loop -------------------------------------------------------------------------------------- */

static void client_event(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t events) {
    uint32_t generation = c->generation;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) c->flags |= GW_SWARM_ENDING;
    if (events & (EPOLLHUP | EPOLLERR)) c->flags |= GW_SWARM_BROKEN;
    if (c->state == GW_SWARM_CONNECTING) {
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) gw_swarm_connected(s, c);
    } else if ((events & EPOLLOUT) && c->out.length) {
        gw_swarm_flush(s, c);
    }
    if (c->generation != generation || c->state == GW_SWARM_CONNECTING) return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) gw_swarm_readable(s, c);
}

/* Those whose sockets were not emptied by their last read: once each. */
static void rest_read(gw_swarm_t *s) {
    const gw_swarm_client_t *last = s->ready.tail;
    for (gw_swarm_client_t *c = s->ready.head; c; c = s->ready.head) {
        bool done = c == last;
        gw_swarm_list_remove(c);
        gw_swarm_readable(s, c);
        if (done) return;
    }
}

static int timeout_ms(const gw_swarm_t *s, int64_t until_ns) {
    int64_t next_ns = s->timer_ns < until_ns ? s->timer_ns : until_ns;
    if (s->ready.head || next_ns <= s->monotonic_ns) return 0;
    return (int)((next_ns - s->monotonic_ns + 999999) / 1000000);
}

/* Notes when the sockets that a look reports were empty for the last time. They were at the look before,
 * which would have reported them too; and where this look slept, until something woke it up, which is as
 * long ago as the thread then waited for a CPU. */
static void sockets_seen(gw_swarm_t *s, int n, int64_t before_ns) {
    int64_t slept_ns = s->monotonic_ns - before_ns, now_ns = gw_realtime_ns() + s->o.clock_offset_ns;
    s->empty_ns = s->empty_next_ns;
    if (slept_ns > SLEEP_NS) {
        int64_t delay_ns = run_delay(s), waited_ns = delay_ns - s->delay_last_ns;
        s->delay_last_ns = delay_ns;
        s->empty_ns = now_ns - (waited_ns + WAKE_NS < slept_ns ? waited_ns + WAKE_NS : slept_ns);
    }
    if (n < EVENTS_MAX) s->empty_next_ns = now_ns; /* else there may be more that it did not report */
}

/* One look at the sockets and all that follows from it. `until_ns`: MONOTONIC. */
static int turn(gw_swarm_t *s, int64_t until_ns) {
    struct epoll_event events[EVENTS_MAX];
    int64_t before_ns = s->monotonic_ns;
    int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, timeout_ms(s, until_ns));
    int error = n < 0 ? -errno : 0;
    int64_t start_ns = s->monotonic_ns = gw_monotonic_ns();
    sockets_seen(s, n, before_ns);
    for (int i = 0; i < n; i++) {
        uint64_t key = events[i].data.u64, rung;
        if (key == GW_SWARM_WAKE_KEY) {
            if (read(s->wake_fd, &rung, sizeof rung) > 0) s->timer_ns = s->monotonic_ns;
            continue;
        }
        gw_swarm_client_t *c = &s->clients[(uint32_t)key];
        if (c->generation == (uint32_t)(key >> 32)) client_event(s, c, events[i].events);
    }
    rest_read(s);
    gw_swarm_timers(s);
    s->monotonic_ns = gw_monotonic_ns();
    gw_hdr_add(&s->load[GW_SWARM_LOAD_turns], 1);
    if (s->monotonic_ns - start_ns > loaded(s, GW_SWARM_LOAD_turn_max_ns))
        load_set(s, GW_SWARM_LOAD_turn_max_ns, s->monotonic_ns - start_ns);
    if (s->monotonic_ns >= s->load_ns) load_publish(s, s->monotonic_ns);
    return error;
}

static int drive(gw_swarm_t *s, int64_t until_ns, bool connecting) {
    int error = 0;
    s->monotonic_ns = s->timer_ns = gw_monotonic_ns();
    load_begin(s, s->monotonic_ns);
    gw_swarm_timers(s);
    while (!error && s->monotonic_ns < until_ns && !GW_LOAD_ACQUIRE(&s->stopping)) {
        if (connecting && !s->wanting.head && !s->shaking.head) break;
        error = turn(s, until_ns);
    }
    load_end(s);
    return error;
}

int gw_swarm_connect(gw_swarm_t *s, int64_t until_monotonic_ns) {
    return drive(s, until_monotonic_ns, true);
}

int gw_swarm_run(gw_swarm_t *s, int64_t until_ns) {
    return drive(s, gw_swarm_monotonic(until_ns), false);
}

/* --- other threads --------------------------------------------------------------------------------- */

static void wake(gw_swarm_t *s) {
    uint64_t one = 1;
    ssize_t written = write(s->wake_fd, &one, sizeof one);
    (void)written;
}

void gw_swarm_go(gw_swarm_t *s, int64_t at_ns) {
    GW_STORE_RELEASE(&s->go_ns, at_ns);
    wake(s);
}

void gw_swarm_window(gw_swarm_t *s, int64_t start_ns, int64_t end_ns) {
    /* Whoever sees the new end sees the new start: no moment has the old start with the new end. */
    GW_STORE_RELAXED(&s->window_next_start_ns, start_ns);
    GW_STORE_RELEASE(&s->window_next_end_ns, end_ns);
}

void gw_swarm_stop(gw_swarm_t *s) {
    GW_STORE_RELEASE(&s->stopping, 1);
    wake(s);
}

uint32_t gw_swarm_groups_count(const gw_swarm_t *s) { return s->o.groups_count; }

const uint64_t *gw_swarm_counters(const gw_swarm_t *s, uint32_t group) {
    return s->groups[group].counters;
}

const gw_hdr_t *gw_swarm_histogram(const gw_swarm_t *s, uint32_t group, int histogram) {
    return &s->groups[group].histograms[histogram];
}

const uint64_t *gw_swarm_load(const gw_swarm_t *s) { return s->load; }

const uint64_t *gw_swarm_refused(const gw_swarm_t *s) { return s->refusals; }

size_t gw_swarm_refusal_rows(const gw_swarm_t *s, gw_swarm_refusal_t *out) {
    const gw_swarm_refusals_t *t = &s->refused_rows;
    size_t n = t->count;
    memcpy(out, t->rows, n * sizeof *out);
    for (uint32_t i = 0; i < GW_SWARM_REFUSAL_KINDS; i++)
        if (t->rest[i].count) out[n++] = t->rest[i];
    return n;
}

size_t gw_swarm_ticks(const gw_swarm_t *s, gw_swarm_tick_t *out, size_t max, uint64_t *mask) {
    const gw_swarm_ticks_t *t = &s->ticks;
    size_t n = 0;
    for (uint64_t i = 0; i <= t->slots_mask; i++) {
        if (!t->slots[i].key || (t->slots[i].key & t->sample_mask)) continue;
        if (n < max) out[n] = t->slots[i];
        n++;
    }
    *mask = t->sample_mask;
    return n;
}
