/* The cycle: commands, records, the sweep, sockets that became writable, timers. Then waiting. */
#include "gw_plane_internal.h"
#include "gw_sched.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SWEEP_SLICE 256u        /* clients between two looks at the commands */
#define STAMP_EVERY 32u         /* records encoded under one reading of the clock: at 150 ns each, 5 us */
#define SLICE_NS 100000         /* beside a busy thread the default slice costs a wake-up 1.9 ms */
#define POLL_NS 20000           /* longest look at the ring before blocking */
#define SOCKETS_EVERY_NS 100000 /* looks at writable sockets while records keep coming */
#define TIMER_IDLE_NS 50000000
#define TIMER_BLOCKED_NS 20000000
#define HEARTBEATS_PER_CYCLE 64
#define HEARTBEATS_LOOKS 1024   /* clients looked at for one in a cycle */
#define HEARTBEAT_SCANS 8       /* a heartbeat is late by at most this part of its interval */
#define LOG_GUARD_PARTS 16u     /* how often, in parts of the log, waiting clients are looked through */
#define LOG_RELIEF_PARTS 8u     /* what a batch may encode, in parts of the log, before it is swept */
#define EVENTS_MAX 256

/* --- records --------------------------------------------------------------------------------------- */

/* Discards at once, but leaves links and subscriptions to gw_doomed_bury: this may run anywhere. */
static void let_go(gw_plane_t *p, gw_client_t *c) {
    if (!c->runs_count || c == p->gathering) return;
    if (!gw_log_old(&p->log, GW_RUN_FIRST(c->runs[c->runs_head]))) return;
    gw_client_slow(p, c, "too far behind");
    gw_client_discard(p, c, p->stats->dropped_slow);
}

/* Those still waiting for a frame of the log's older half let go, before it is overwritten. */
void gw_log_guard(gw_plane_t *p) {
    if (p->log.position < p->guard_position && p->log.index < p->guard_index) return;
    p->guard_position = p->log.position + p->log.size / LOG_GUARD_PARTS;
    p->guard_index = p->log.index + p->log.count / LOG_GUARD_PARTS;
    for (gw_client_t *c = p->blocked; c; c = c->blocked_next) let_go(p, c);
    for (uint32_t i = 0; i < p->touched_count; i++)
        if (p->touched[i] != UINT32_MAX) let_go(p, &p->clients[p->touched[i]]);
}

/* The topic's newest record, the next after its last, to all who take it. */
void gw_topic_route(gw_plane_t *p, gw_topic_t *t) {
    uint32_t n = t->links_count;
    if (!n) return;
    if (t->urgent > p->control.audience) p->control.audience = t->urgent;
    gw_count(&p->stats->routed[t->channel], n);
    gw_count(&p->stats->pending[t->channel], n);
    uint64_t index = t->renewed ? gw_topic_resync_frame(p, t, 0) : gw_topic_frame(p, t, GW_ENCODE_UPDATE);
    t->renewed = 0;
    const gw_entry_t *e = t->links;
    for (uint32_t i = 0; i < n; i++) {
        if (i + 4 < n) __builtin_prefetch(e[i + 4].client, 1);
        if (e[i].client->flags) gw_client_take(p, e[i].client, e[i].link, index);
        else gw_client_push(p, e[i].client, index);
    }
}

static void route(gw_plane_t *p, const gw_record_t *r) {
    if (r->h.topic >= p->by_ring_count) gw_hub_grow(p);
    gw_topic_t *t = r->h.topic < p->by_ring_count ? p->by_ring[r->h.topic] : NULL;
    if (!t || r->h.topic_seq <= t->seq) return;
    if (r->h.topic_seq > t->seq + 1) {
        gw_topic_jump(p, t, r);
        return;
    }
    t->state = *r;
    t->seq = r->h.topic_seq;
    gw_topic_route(p, t);
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* How long the oldest record of the batch stood in the ring, and what follows from it. Once the low
 * classes have had to wait they do so until all that waits has been sent: else each batch would be as
 * late as it takes to notice again. For the ladder a stall ended just now; it is no cure for one. */
static void press(gw_plane_t *p, const gw_record_t *oldest) {
    int64_t age = p->taken_ns - oldest->h.ts_publish;
    if (!p->begun_ns) p->begun_ns = p->taken_ns;
    p->pressed = p->o.enforce && (age > p->o.target_ns / GW_PRESSURE_PARTS || p->holds[0].first);
    age = p->taken_ns - later(oldest->h.ts_publish, p->resumed_ns); /* the ladder is no cure for a stall */
    if (age < p->control.look.ring_age_ns) p->control.look.ring_age_ns = age > 0 ? age : 0;
}

static int records(gw_plane_t *p) {
    if (!p->mapping) return 0;
    int64_t bytes = gw_reader_poll(&p->reader, p->batch, GW_BATCH_BYTES);
    if (bytes == 0) {
        p->control.look.ring_age_ns = 0;
        if (p->mapping_next) gw_epoch_switch(p);
        return 0;
    }
    if (bytes == GW_POLL_LAPPED) {
        gw_epoch_lapped(p);
        GW_STORE_RELEASE(&p->wait->cursor, p->reader.cursor);
        return 1;
    }
    p->taken_ns = p->now = p->io.monotonic(p->io.self);
    press(p, (const gw_record_t *)(const void *)p->batch);
    uint32_t n = 0;
    for (int64_t at = 0; at < bytes; n++) {
        const gw_record_t *r = (const gw_record_t *)(const void *)(p->batch + at);
        if (n % STAMP_EVERY == 0) p->send_ns = 0;
        gw_hdr_record(&p->stats->stage[GW_STAGE_RING], p->taken_ns - r->h.ts_publish, 1);
        route(p, r);
        gw_plane_relieve(p);
        at += (int64_t)r->h.cells * GW_CELL;
    }
    gw_doomed_bury(p);
    GW_STORE_RELEASE(&p->wait->cursor, p->reader.cursor);
    gw_count(&p->stats->records_taken[0], n);
    uint64_t lag = GW_LOAD_RELAXED(p->reader.segment.tail) - p->reader.cursor;
    GW_STORE_RELAXED(&p->stats->ring_lag_records[0], lag / (GW_CELL * GW_RECORD_CELLS_MAX));
    return 1;
}

/* --- the sweep ------------------------------------------------------------------------------------- */

/* Visits the clients with something new, from a place that rotates so that nobody is always last. */
static void sweep(gw_plane_t *p, int commands) {
    uint32_t n = p->touched_count;
    if (!n) return;
    uint32_t start = p->rotation++ % n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = start + i < n ? start + i : start + i - n;
        uint32_t slot = p->touched[at];
        if (commands && i % SWEEP_SLICE == SWEEP_SLICE - 1) {
            gw_commands_run(p, GW_COMMANDS_PER_CYCLE);
            gw_control(p);
        }
        if (slot == UINT32_MAX) continue;
        gw_client_t *c = &p->clients[slot];
        gw_client_untouch(p, c);
        /* A send puts megabytes of the kernel's through the caches: the next client comes in meanwhile. */
        uint32_t next = p->touched[at + 1 < n ? at + 1 : 0];
        if (next != UINT32_MAX) __builtin_prefetch(&p->clients[next], 1);
        if (!(c->flags & GW_CLIENT_BLOCKED)) gw_client_flush(p, c);
    }
    /* Commands in between may have touched others: they keep their place for the next sweep. */
    uint32_t left = 0;
    for (uint32_t i = n; i < p->touched_count; i++) {
        uint32_t slot = p->touched[i];
        if (slot == UINT32_MAX) continue;
        p->touched[left++] = slot;
        p->clients[slot].touched = left;
    }
    p->touched_count = left;
    p->swept_position = p->log.position;
    p->swept_index = p->log.index;
    gw_doomed_bury(p);
}

/* Sweeps before its time, when so much was encoded since the last sweep that those who were still to
 * be visited would otherwise have to let go. */
void gw_plane_relieve(gw_plane_t *p) {
    if (p->log.position - p->swept_position > p->log.size / LOG_RELIEF_PARTS ||
        p->log.index - p->swept_index > p->log.count / LOG_RELIEF_PARTS)
        sweep(p, 0);
}

/* --- sockets --------------------------------------------------------------------------------------- */

static int sockets(gw_plane_t *p, int timeout_ms) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(p->epoll_fd, events, EVENTS_MAX, timeout_ms);
    p->now = p->io.monotonic(p->io.self);
    p->sockets_ns = p->now + SOCKETS_EVERY_NS;
    p->send_ns = 0;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == GW_WAKE_KEY) {
            uint64_t rung;
            if (read(p->o.event_fd, &rung, sizeof rung) > 0) gw_count(&p->stats->wakeups[0], 1);
            continue;
        }
        gw_handle_t handle = events[i].data.u64;
        gw_client_t *c = &p->clients[(uint32_t)handle];
        /* ERR and HUP too: the write that follows fails, and reports once. */
        if (c->active && c->generation == (uint32_t)(handle >> 32)) gw_client_flush(p, c);
    }
    gw_doomed_bury(p);
    return n;
}

/* --- timers ---------------------------------------------------------------------------------------- */

/* A client is behind by its own time: what passed while we stood still is not held against it, neither
 * before the end of the last stall nor as long as all since it was blocked took. */
static int64_t waited(const gw_plane_t *p, const gw_client_t *c, int64_t since) {
    int64_t stalled = (int64_t)(p->stats->plane_stall_ns[0] - c->blocked_stalls_ns);
    return later(p->now - later(since, p->resumed_ns), p->now - since - stalled);
}

static void check_blocked(gw_plane_t *p) {
    for (gw_client_t *c = p->blocked; c; c = c->blocked_next) {
        if (c->flags & GW_CLIENT_DOOMED) continue;
        if (waited(p, c, c->sent_ns) > p->o.stall_max_ns) gw_client_slow(p, c, "stalled");
        else if (c->runs_count) {
            const gw_frame_t *f = gw_log_frame(&p->log, GW_RUN_FIRST(c->runs[c->runs_head]));
            int64_t since = f->taken_ns, limit = p->o.lossless_max_age_ns;
            if (f->flags & GW_FRAME_PACED) { /* its feed waits for us: only a standstill counts */
                since = later(c->sent_ns, since);
                limit = p->o.paced_stall_max_ns;
            }
            if (waited(p, c, since) > limit) gw_client_slow(p, c, "too old");
        }
    }
    gw_doomed_bury(p);
}

static void heartbeats(gw_plane_t *p) {
    char text[96];
    int length = 0, sent = 0, looks = 0;
    for (; p->heartbeat_next < p->clients_high && sent < HEARTBEATS_PER_CYCLE; p->heartbeat_next++) {
        if (looks++ == HEARTBEATS_LOOKS) break;
        gw_client_t *c = &p->clients[p->heartbeat_next];
        if (!c->active || (c->flags & ~(GW_CLIENT_PLAIN | GW_CLIENT_TELL))) continue;
        if (p->now - c->sent_ns < p->o.heartbeat_ns) continue;
        if (!length)
            length = snprintf(text, sizeof text, "{\"channel\":\"heartbeat\",\"n\":%llu,\"ts_send\":%lld}",
                              (unsigned long long)++p->heartbeat_count,
                              (long long)p->io.realtime(p->io.self));
        if (c->runs != c->runs_inline && !c->runs_count) gw_client_shrink(c);
        gw_client_control_text(p, c, text, (size_t)length);
        gw_client_flush(p, c);
        sent++;
    }
    gw_count(&p->stats->heartbeats[0], (uint64_t)sent);
}

static void timers(gw_plane_t *p) {
    gw_control(p);
    if (p->heartbeat_next < p->clients_high) heartbeats(p);
    if (p->now < p->timer_ns) return;
    p->timer_ns = p->now + (p->blocked_count ? TIMER_BLOCKED_NS : TIMER_IDLE_NS);
    GW_STORE_RELAXED(&p->stats->plane_alive_ns[0], (uint64_t)p->now);
    if (p->mapping && gw_directory_count(&p->reader.segment) != p->by_ring_count) gw_hub_grow(p);
    if (p->blocked_count) check_blocked(p);
    if (p->o.enforce) {
        if (p->blocked_count) gw_levels_down(p);
        if (p->degraded) gw_levels_up(p);
    }
    if (p->now >= p->heartbeat_scan_ns && p->heartbeat_next >= p->clients_high) {
        p->heartbeat_scan_ns = p->now + p->o.heartbeat_ns / HEARTBEAT_SCANS;
        p->heartbeat_next = 0;
    }
}

int gw_plane_cycle(gw_plane_t *p) {
    int busy = gw_commands_run(p, GW_COMMANDS_PER_CYCLE) > 0;
    busy |= records(p);
    uint32_t served = p->touched_count;
    busy |= served > 0;
    sweep(p, 1);
    if (!busy) p->now = p->io.monotonic(p->io.self);
    if (gw_holds_release(p, served)) {
        if (!busy) p->begun_ns = p->now;
        sweep(p, 1);
        busy = 1;
    }
    if (p->begun_ns) p->control.busy_ns += p->now - p->begun_ns;
    p->begun_ns = 0;
    if (p->blocked_count && p->now >= p->sockets_ns) busy |= sockets(p, 0) > 0;
    timers(p);
    return busy || p->heartbeat_next < p->clients_high;
}

/* --- waiting and the thread ------------------------------------------------------------------------ */

static int something(const gw_plane_t *p) {
    if (gw_queue_ready(&p->commands)) return 1;
    if (!p->mapping) return 0;
    return p->mapping_next || GW_LOAD_ACQUIRE(p->reader.segment.tail) != p->reader.cursor;
}

void gw_plane_wake(gw_plane_t *p) { gw_wait_ring(p->wait, p->o.event_fd); }

static void wait_for_work(gw_plane_t *p) {
    if (p->can_poll || p->o.spin) {
        int64_t until = p->now + POLL_NS;
        do {
            if (something(p)) return;
            gw_cpu_relax();
        } while (p->io.monotonic(p->io.self) < until);
        if (p->o.spin && p->now < p->timer_ns) return;
    }
    GW_STORE_RELAXED(&p->wait->sleeping, 1);
    GW_FENCE_FULL(); /* pairs with gw_wait_ring: one of the two sees the other */
    int64_t due = gw_holds_due(p), left = (due < p->timer_ns ? due : p->timer_ns) - p->now;
    int timeout = something(p) || p->o.spin || left <= 0 ? 0 : (int)(left / 1000000) + 1;
    sockets(p, timeout);
    GW_STORE_RELAXED(&p->wait->sleeping, 0);
}

static void *thread(void *argument) {
    gw_plane_t *p = argument;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (p->o.cpu >= 0 && p->o.cpu < CPU_SETSIZE) {
        CPU_SET(p->o.cpu, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus); /* refused: the scheduler's choice stands */
    }
    p->can_poll = !sched_getaffinity(0, sizeof cpus, &cpus) && CPU_COUNT(&cpus) >= 2;
    gw_control_thread(p);
    gw_sched_slice(SLICE_NS); /* refused by older kernels: then we go on without */
    while (!p->stopping)
        if (!gw_plane_cycle(p)) wait_for_work(p);
    return NULL;
}

int gw_plane_start(gw_plane_t *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the interpreter's */
    int error = pthread_create(&p->thread, NULL, thread, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) pthread_setname_np(p->thread, "tickgate-plane"); /* for `top -H`, at 15 characters most */
    p->started = !error;
    return -error;
}

void gw_plane_stop(gw_plane_t *p) {
    if (!p->started) return;
    gw_command_t *x = gw_command_new(GW_CMD_STOP, 0, 0, 0);
    if (!x) abort();
    gw_plane_post(p, x);
    gw_plane_wake(p);
    pthread_join(p->thread, NULL);
    p->started = 0;
    GW_STORE_RELEASE(&p->wait->attached, 0);
}
