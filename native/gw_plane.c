/* The cycle: commands, records, sockets that became writable, a slice of visits, timers. Then waiting. */
#include "gw_plane_internal.h"
#include "gw_sched.h"
#include "gw_secure.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VISITS 16u              /* clients served in a turn: at 5 us a send, 80 us */
#define BYTES_LIVE (256u << 10) /* ... or so many bytes: no further visit begins after them */
#define BYTES_BULK (128u << 10) /* the same of clients that catch up */
#define BYTES_BESIDE (16u << 10) /* ... while others still wait: one room of theirs, a fifth of the turn */
#define REPLAYS_REST 19         /* while others have work, for so many times as long as a send to who replays took */
#define RECENT_NS 10000000      /* such sends are short where records came so lately */
#define COMMANDS_BESIDE 16      /* commands in a turn while clients wait for their news ... */
#define COMMANDS_REST 2         /* ... and for so many times as long as they took the next ones wait */
#define ROUTE_LINKS 32768u      /* pushes in a turn: at 10 ns, 330 us */
#define ROUTE_RECORD 16u        /* what a record costs without subscribers, in pushes */
#define ROUTE_LOG_PARTS 16u     /* the part of the log that a turn's records may take */
#define STAMP_EVERY 32u         /* records encoded under one reading of the clock: at 150 ns each, 5 us */
#define SLICE_NS 100000         /* beside a busy thread the default slice costs a wake-up 1.9 ms */
#define POLL_NS 20000           /* longest look at the ring before blocking */
#define REST_NS 100000          /* between two turns of jobs: a feed reads its socket and publishes in that time */
#define SOCKETS_EVERY_NS 100000 /* looks at writable sockets while records keep coming */
#define TIMER_IDLE_NS 50000000
#define TIMER_BLOCKED_NS 20000000
#define HEARTBEATS_PER_CYCLE 64
#define HEARTBEATS_LOOKS 1024   /* clients looked at for one in a cycle */
#define HEARTBEAT_SCANS 8       /* a heartbeat is late by at most this part of its interval */
#define EVENTS_MAX 256          /* writable sockets noted in a turn */

/* --- records --------------------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* Since when the oldest news wait, if before `since`: the queue of the client that is visited next. */
static int64_t oldest_of(const gw_plane_t *p, int64_t since) {
    if (gw_turn_empty(p, GW_TURN_LIVE)) return since;
    const gw_client_t *c = gw_place_client(p, gw_place_client(p, gw_turn_sentinel(GW_TURN_LIVE))->turn_next);
    if (!c->runs_count) return p->o.tenants_count ? gw_tenants_oldest(p, since) : since;
    int64_t taken_ns = gw_frame_at(p, c->runs[c->runs_head])->taken_ns;
    return taken_ns < since ? taken_ns : since;
}

/* The least age seen between two looks of the ladder, which is no cure for a stall: that ended just now. */
static void note_age(gw_plane_t *p, int64_t since) {
    int64_t age = p->now - later(since, p->resumed_ns);
    if (age < p->control.look.ring_age_ns) p->control.look.ring_age_ns = age > 0 ? age : 0;
}

/* Decided before records are routed, by how long the oldest news have waited, in the ring or for a visit. Once
 * the low classes have had to wait they do so until all that waits has been sent: else each turn would be as
 * late as it takes to notice again. */
static void press(gw_plane_t *p, const gw_record_t *oldest) {
    int64_t since = oldest_of(p, gw_record_published(oldest));
    if (!p->begun_ns) p->begun_ns = p->taken_ns;
    p->pressed = p->o.enforce && (p->taken_ns - since > p->o.target_ns / GW_PRESSURE_PARTS || p->holds[0].first);
    note_age(p, since);
}

/* Goes on with the change to another segment; once it is made, with what it means to each client. */
static void follow(gw_plane_t *p) {
    p->now = p->io.monotonic(p->io.self);
    if (!p->begun_ns) p->begun_ns = p->now;
    gw_epoch_step(p, p->turn_units);
    if (!p->epoch_phase) gw_jobs_run(p, p->turn_units);
}

/* Fills the batch from the ring. Whether there is something to route. */
static int take_batch(gw_plane_t *p, int *busy) {
    if (p->batch_at < p->batch_end) return 1;
    int64_t bytes = gw_reader_poll(&p->reader, p->batch, GW_BATCH_BYTES);
    if (bytes > 0) {
        p->batch_at = 0;
        p->batch_end = (size_t)bytes;
        return 1;
    }
    if (bytes == GW_POLL_LAPPED) {
        gw_epoch_lapped(p);
        gw_epoch_lap_step(p, p->turn_units);
        GW_STORE_RELEASE(&p->wait->cursor, p->reader.cursor);
        *busy = 1;
        return 0;
    }
    note_age(p, oldest_of(p, p->now)); /* the ring has nothing more: clients may wait yet */
    if (!p->mapping_next) return 0;
    gw_epoch_begin(p);
    follow(p);
    *busy = 1;
    return 0;
}

/* Routes what the ring has, as far as a turn's budget goes; the rest of the batch waits for the next. */
static void route_batch(gw_plane_t *p) {
    const uint64_t end = p->encoded + p->o.log_bytes / ROUTE_LOG_PARTS;
    int64_t budget = p->turn_units, links = 0;
    uint32_t n = 0;
    for (int64_t work = 0; p->batch_at < p->batch_end && work < ROUTE_LINKS && p->encoded < end; n++) {
        const gw_record_t *r = (const gw_record_t *)(const void *)(p->batch + p->batch_at);
        if (n % STAMP_EVERY == 0) p->send_ns = 0;
        links = gw_record_route(p, r, &budget);
        if (links < 0) break;
        gw_guard(p);
        gw_hdr_record(&p->stats->stage[GW_STAGE_RING], p->taken_ns - gw_record_published(r), 1);
        work += links + ROUTE_RECORD;
        p->batch_at += (size_t)r->h.cells * GW_CELL;
    }
    gw_count(&p->stats->records_taken[0], n);
    if (p->batch_at == p->batch_end) GW_STORE_RELEASE(&p->wait->cursor, p->reader.cursor);
    else gw_count(&p->stats->steps_resumed[links < 0 ? GW_STEP_COVER : GW_STEP_RECORDS], 1);
    uint64_t lag = GW_LOAD_RELAXED(p->reader.segment.tail) - p->reader.cursor + (p->batch_end - p->batch_at);
    GW_STORE_RELAXED(&p->stats->ring_lag_records[0], lag / (GW_CELL * GW_RECORD_CELLS));
}

/* What is taken from the ring comes after what was left of before. */
static int records(gw_plane_t *p) {
    int busy = 0;
    if (p->epoch_phase) {
        follow(p);
        return 1;
    }
    if (!p->mapping) return 0;
    if (gw_plane_far(p)) return 1;
    if (p->lap_next < p->lap_end) {
        gw_epoch_lap_step(p, p->turn_units);
        return 1;
    }
    if (!take_batch(p, &busy)) return busy;
    p->records_ns = p->taken_ns = p->now = p->io.monotonic(p->io.self);
    press(p, (const gw_record_t *)(const void *)(p->batch + p->batch_at));
    route_batch(p);
    return 1;
}

/* --- visits ---------------------------------------------------------------------------------------- */

/* A round is as many visits as clients waited when it began: all who wait were touched since the round
 * before it began. */
static void round_begin(gw_plane_t *p, int64_t since) {
    p->round_clients = 0;
    p->round_ns = since;
    for (gw_lane_t *l = p->lanes; l < p->lanes + p->o.formats_count; l++) {
        l->round_position = l->log.position;
        l->round_index = l->log.index;
    }
    p->round_last = gw_place_client(p, gw_turn_sentinel(GW_TURN_LIVE))->turn_previous;
}

static void round_over(gw_plane_t *p) {
    const int empty = gw_turn_empty(p, GW_TURN_LIVE);
    for (gw_lane_t *l = p->lanes; l < p->lanes + p->o.formats_count; l++) {
        l->swept_position = empty ? l->log.position : l->round_position;
        l->swept_index = empty ? l->log.index : l->round_index;
    }
    gw_control_swept(p, p->round_clients, p->now - p->round_ns);
    round_begin(p, empty ? 0 : p->now);
}

/* Visits the clients of a list, the one that waited longest first, up to a number of them or of bytes. How
 * many. */
static inline uint32_t visit(gw_plane_t *p, const unsigned list, size_t bytes) {
    const uint32_t sentinel = gw_turn_sentinel(list);
    gw_client_t *const end = gw_place_client(p, sentinel);
    uint32_t n = 0;
    for (size_t offered = 0; n < VISITS && offered < bytes && end->turn_next != sentinel; n++) {
        gw_client_t *c = gw_place_client(p, end->turn_next);
        gw_client_untouch(p, c); /* a send takes the caches: this write has the next client fetched meanwhile */
        /* A blocked one was touched for its control queue: it waits for its socket. */
        if (list != GW_TURN_LIVE && p->o.tenants_count) offered += gw_tenant_flush(p, c, GW_ROOM_IN_PLACE);
        else if (list != GW_TURN_LIVE || !(c->flags & GW_CLIENT_BLOCKED)) offered += gw_client_flush(p, c);
        if (list != GW_TURN_LIVE) continue;
        p->round_clients++;
        if (p->round_last == sentinel) round_over(p);
    }
    return n;
}

/* The same of those with news, by their tenants' weights. */
static GW_APART uint32_t visit_tenants(gw_plane_t *p) {
    uint32_t n = 0;
    for (size_t offered = 0; n < VISITS && offered < BYTES_LIVE && !gw_turn_empty(p, GW_TURN_LIVE); n++) {
        int over = 0;
        offered += gw_tenants_visit(p, &over);
        p->round_clients++;
        if (over) round_over(p);
    }
    return n;
}

static int others_wait(const gw_plane_t *p) { return !gw_turn_empty(p, GW_TURN_LIVE) || !gw_turn_empty(p, GW_TURN_BULK); }

static int visits_wait(const gw_plane_t *p) { return others_wait(p) || !gw_turn_empty(p, GW_TURN_REPLAY); }

/* Only serve and serve_replays visit, and neither is begun inside a visit: that runs no command and routes no record. */
static void serve_begins(gw_plane_t *p) {
    if (p->serving) abort();
    p->serving = 1;
}

/* A turn's slice of those who do not replay. */
static uint32_t serve(gw_plane_t *p) {
    if (!others_wait(p)) return 0;
    serve_begins(p);
    if (!p->begun_ns) p->begun_ns = p->now;
    p->send_ns = 0;
    if (!p->round_ns) round_begin(p, p->begun_ns);
    uint32_t live = p->o.tenants_count ? visit_tenants(p) : visit(p, GW_TURN_LIVE, BYTES_LIVE);
    uint32_t bulk = visit(p, GW_TURN_BULK, gw_turn_empty(p, GW_TURN_LIVE) ? BYTES_BULK : BYTES_BESIDE);
    p->serving = 0;
    p->served += live;
    if (others_wait(p)) gw_count(&p->stats->steps_resumed[GW_STEP_VISITS], 1);
    return live + bulk;
}

/* Visits those who replay, until others come; beside others one of them, after a rest. Whether it visited any. */
static GW_APART int serve_replays(gw_plane_t *p) {
    const uint32_t sentinel = gw_turn_sentinel(GW_TURN_REPLAY);
    gw_client_t *const end = gw_place_client(p, sentinel);
    const int others = others_wait(p) || gw_plane_takes(p);
    const int64_t begun = p->now = p->io.monotonic(p->io.self);
    if (others && begun < p->pass.sends_ns) return 0;
    const size_t room = begun - p->records_ns < RECENT_NS ? GW_ROOM_REPLAY : GW_ROOM_BULK;
    if (!p->begun_ns) p->begun_ns = begun;
    p->send_ns = 0;
    serve_begins(p);
    size_t offered = 0;
    for (uint32_t n = 0; n < VISITS && offered < BYTES_BULK && end->turn_next != sentinel; n++) {
        if (n && (others || gw_plane_takes(p))) break;
        gw_client_t *c = gw_place_client(p, end->turn_next);
        gw_client_untouch(p, c);
        offered += p->o.tenants_count ? gw_tenant_flush(p, c, room) : gw_client_flush_within(p, c, room);
    }
    p->serving = 0;
    p->pass.sends_ns = p->now + (p->now - begun) * REPLAYS_REST;
    if (end->turn_next != sentinel) gw_count(&p->stats->steps_resumed[GW_STEP_VISITS], 1);
    return 1;
}

/* --- sockets --------------------------------------------------------------------------------------- */

/* Sleeps for microseconds where the kernel can (Linux 5.11), else for whole milliseconds. */
static int wait_sockets(gw_plane_t *p, struct epoll_event *events, int64_t timeout_ns) {
#ifdef SYS_epoll_pwait2
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    long n = timeout_ns ? syscall(SYS_epoll_pwait2, p->epoll_fd, events, EVENTS_MAX, &timeout, NULL, 0) : -1;
    if (timeout_ns && (n >= 0 || (errno != ENOSYS && errno != EPERM))) return (int)n;
#endif
    return epoll_wait(p->epoll_fd, events, EVENTS_MAX, (int)((timeout_ns + 999999) / 1000000));
}

static int sockets(gw_plane_t *p, int64_t timeout_ns) {
    struct epoll_event events[EVENTS_MAX];
    int n = wait_sockets(p, events, timeout_ns);
    p->now = p->io.monotonic(p->io.self);
    p->sockets_ns = p->now + SOCKETS_EVERY_NS;
    if (n == EVENTS_MAX) gw_count(&p->stats->steps_resumed[GW_STEP_SOCKETS], 1);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == GW_WAKE_KEY) {
            uint64_t rung;
            if (read(p->o.event_fd, &rung, sizeof rung) > 0) gw_count(&p->stats->wakeups[0], 1);
            continue;
        }
        gw_handle_t handle = events[i].data.u64;
        gw_client_t *c = &p->clients[(uint32_t)handle];
        if (!c->active || c->generation != (uint32_t)(handle >> 32)) continue;
        if (c->secure) {
            gw_secure_reported(p, c, events[i].events);
            continue;
        }
        /* ERR and HUP too: the write that follows fails, and reports once. */
        gw_turn_later(p, c);
    }
    return n;
}

/* --- timers ---------------------------------------------------------------------------------------- */

static void heartbeats(gw_plane_t *p) {
    gw_notice_t notice = {.numbers = {0}};
    int sent = 0, looks = 0;
    for (; p->heartbeat_next < p->clients_high && sent < HEARTBEATS_PER_CYCLE; p->heartbeat_next++) {
        if (looks++ == HEARTBEATS_LOOKS) break;
        gw_client_t *c = &p->clients[p->heartbeat_next];
        if (!c->active || (c->flags & ~(GW_CLIENT_PLAIN | GW_CLIENT_TELL | GW_CLIENT_SECURE))) continue;
        if (p->now - c->sent_ns < p->o.heartbeat_ns) continue;
        if (c->runs != c->runs_inline && !c->runs_count) gw_client_shrink(c);
        if (!p->o.formats[c->format].notices[GW_NOTICE_HEARTBEAT]) continue;
        if (!sent) notice.numbers[0] = ++p->heartbeat_count;
        gw_client_say(p, c, GW_NOTICE_HEARTBEAT, &notice);
        gw_client_flush(p, c);
        sent++;
    }
    gw_count(&p->stats->heartbeats[0], (uint64_t)sent);
}

/* Binds topics that have come without a record yet. Whether there are more. */
static int cover(gw_plane_t *p) {
    int64_t budget = p->turn_units;
    p->cover_wanted = !p->epoch_phase && !gw_cover(p, &budget);
    if (p->cover_wanted) gw_count(&p->stats->steps_resumed[GW_STEP_COVER], 1);
    return p->cover_wanted;
}

/* Slices of the rounds over many clients. Whether one of them goes on. */
static int rounds(gw_plane_t *p) {
    if (p->heartbeat_next < p->clients_high) heartbeats(p);
    int more = p->heartbeat_next < p->clients_high;
    if (p->refresh_next < p->clients_high) more |= gw_control_refresh(p);
    if (p->blocked_round) more |= gw_blocked_round(p);
    if (p->degraded_at) more |= gw_levels_up(p);
    if (p->full_next < p->topics_count) more |= gw_full_tell(p);
    if (p->retire_at) more |= gw_retire_round(p);
    if (p->locals_walking) gw_locals_round(p);
    if (more) gw_count(&p->stats->steps_resumed[GW_STEP_ROUNDS], 1);
    if (p->cover_wanted) more |= cover(p);
    return more;
}

static void timers(gw_plane_t *p) {
    gw_control(p);
    gw_plane_ahead(p);
    if (p->now < p->timer_ns) return;
    p->timer_ns = p->now + (p->blocked_count ? TIMER_BLOCKED_NS : TIMER_IDLE_NS);
    GW_STORE_RELAXED(&p->stats->plane_alive_ns[0], (uint64_t)p->now);
    GW_STORE_RELAXED(&p->stats->topics_waiting[0], p->topics_waiting);
    p->cover_wanted = !gw_cover_done(p);
    gw_retire_begin(p);
    gw_full_look(p);
    gw_pass_look(p);
    gw_epoch_unmap(p, GW_UNMAP_BYTES);
    if (p->blocked_count) gw_blocked_begin(p);
    if (p->o.enforce && p->degraded) gw_levels_up_begin(p);
    if (p->now >= p->heartbeat_scan_ns && p->heartbeat_next >= p->clients_high) {
        p->heartbeat_scan_ns = p->now + p->o.heartbeat_ns / HEARTBEAT_SCANS;
        p->heartbeat_next = 0;
    }
}

/* Those who wait for their news share the thread with commands: a third of the time is the commands'. */
static int commands(gw_plane_t *p) {
    const int waits = !gw_turn_empty(p, GW_TURN_LIVE);
    if ((!gw_queue_ready(&p->commands) && !p->jobs.first) || p->epoch_phase) return 0;
    const int64_t begun = p->now = p->io.monotonic(p->io.self);
    if (waits && begun < p->commands_ns) return 0;
    if (!gw_commands_run(p, waits ? COMMANDS_BESIDE : GW_COMMANDS_PER_CYCLE)) return 0;
    p->now = p->io.monotonic(p->io.self);
    p->commands_ns = p->now + (p->now - begun) * COMMANDS_REST;
    return 1;
}

/* One turn. It is not over before everything has had its slice, and says whether there is more to do. */
int gw_plane_cycle(gw_plane_t *p) {
    int busy = commands(p);
    busy |= records(p);
    if (!others_wait(p)) p->now = p->io.monotonic(p->io.self); /* else the next send reads it */
    p->books.freeze_left = p->books.freeze_most;
    if (p->reporting | p->books.todo) {
        if (p->books.todo) busy |= gw_plane_books_step(p);
        if (p->reporting && p->now >= p->sockets_ns) sockets(p, 0);
        if (p->reads.first) busy |= gw_secure_reads(p);
    }
    busy |= serve(p) > 0;
    if (!p->holds_count) {
        p->served = 0;
    } else if (gw_holds_release(p)) {
        serve(p);
        busy = 1;
    }
    busy |= gw_goodbyes_run(p);
    int replays = !gw_turn_empty(p, GW_TURN_REPLAY) && serve_replays(p);
    /* Once all of a slice was sent the thread rests, before the next one (gw_plane_rests). */
    if (replays && !p->pass.rested) p->pass.rested = gw_turn_empty(p, GW_TURN_REPLAY);
    else if (p->pass.count) replays |= gw_pass_run(p, busy || others_wait(p) || gw_plane_takes(p));
    if (p->begun_ns) p->control.busy_ns += p->now - p->begun_ns;
    p->begun_ns = 0;
    timers(p);
    return rounds(p) || busy || replays || visits_wait(p) || p->jobs.first || p->epoch_phase; /* the last steps touch clients */
}

/* --- waiting and the thread ------------------------------------------------------------------------ */

static int something(const gw_plane_t *p) {
    if (gw_queue_ready(&p->commands)) return 1;
    return gw_plane_takes(p) || (p->mapping && p->mapping_next);
}

void gw_plane_wake(gw_plane_t *p) { gw_wait_ring(p->wait, p->o.event_fd); }

/* Blocks until something comes, or the time is over. */
static void block(gw_plane_t *p, int64_t timeout_ns) {
    GW_STORE_RELAXED(&p->wait->sleeping, 1);
    GW_FENCE_FULL(); /* pairs with gw_wait_ring: one of the two sees the other */
    sockets(p, something(p) || p->o.spin ? 0 : timeout_ns);
    GW_STORE_RELAXED(&p->wait->sleeping, 0);
}

/* A long job's turns follow each other, and a feed on this CPU that wakes up meanwhile would wait for the kernel's next
 * tick, for up to 4 ms. It gets the CPU at once while this thread sleeps, and wakes it with its record. To yield would
 * do the same for the feed, but a thread that yields is woken by nothing: a busy loop's thread would keep it off. */
int gw_plane_rests(const gw_plane_t *p) {
    return (p->jobs.first || p->pass.members || p->pass.queued) && !p->o.spin && !visits_wait(p) && !something(p);
}

static void wait_for_work(gw_plane_t *p) {
    const int64_t goodbyes = gw_goodbyes_due(p);
    if (p->o.spin || (p->can_poll && goodbyes == INT64_MAX)) { /* a rest from goodbyes is the CPU's others' */
        int64_t until = p->now + POLL_NS;
        do {
            if (something(p)) return;
            gw_cpu_relax();
        } while (p->io.monotonic(p->io.self) < until);
        if (p->o.spin && p->now < p->timer_ns) return;
    }
    int64_t due = gw_holds_due(p), left = (due < p->timer_ns ? due : p->timer_ns) - p->now;
    int64_t timeout = left <= 0 ? 0 : (left / 1000000 + 1) * 1000000; /* what is due shortly after goes with it */
    const int64_t locals = gw_locals_due(p), wheel = gw_wheel_due(p); /* these are waited for to the microsecond */
    const int64_t books = gw_plane_books_due(p);
    int64_t soonest = locals < goodbyes ? locals : goodbyes;
    if (wheel < soonest) soonest = wheel;
    if (books < soonest) soonest = books;
    if (soonest - p->now < timeout) timeout = soonest > p->now ? soonest - p->now : 0;
    block(p, timeout);
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
        else if (gw_plane_rests(p)) block(p, REST_NS);
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
