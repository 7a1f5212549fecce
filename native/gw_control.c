/* The controller in the plane: measures each 100 ms, lets the ladder judge, and carries its step out. */
#include "gw_plane_internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_NS 100000000     /* the plane waits for at most half of it, and looks at the time in between */
#define CPU_NS 10000000        /* between two looks at the CPU used: what was used before a stall is no part of it */
#define AUDIENCE_LOOKS 10u     /* the largest audience is that of the last one to two seconds */
#define DELIVERIES_MIN 50u     /* of a look that says something about costs */
#define WEIGHT 0.25
#define REFRESH_LOOKS 1024u    /* clients that learn of a step in one turn: at 30 ns, 30 us */

static uint64_t mean(uint64_t before, double value) {
    return before ? (uint64_t)((double)before + WEIGHT * (value - (double)before)) : (uint64_t)value;
}

static void show(gw_plane_t *p) {
    gw_stats_t *s = p->stats;
    const gw_ladder_t *l = &p->ladder;
    GW_STORE_RELAXED(&s->ladder_step[0], l->step);
    GW_STORE_RELAXED(&s->ladder_highest[0], (uint64_t)l->highest);
    GW_STORE_RELAXED(&s->overload_since_ns[0], (uint64_t)l->overload_since_ns);
    GW_STORE_RELAXED(&s->infeasible[0], (uint64_t)l->infeasible);
    for (uint32_t i = 0; i < GW_CLASSES; i++)
        GW_STORE_RELAXED(&s->conflation_interval_ns[i], l->interval[i] == GW_INTERVAL_PAUSED
                                                            ? GW_PAUSED : (uint64_t)gw_intervals_ns[l->interval[i]]);
}

static void edges(gw_plane_t *p) {
    p->control.edge_calm_ns = p->o.target_ns / 10 * 7;
    p->control.edge_over_ns = p->o.target_ns / 10 * 8;
}

void gw_control_init(gw_plane_t *p) {
    gw_ladder_init(&p->ladder, p->o.target_ns, p->o.late_ppm, p->o.enforce);
    edges(p);
    p->control.wanted = p->control.taken = GW_OBJECTIVE(p->o.target_ns, p->ladder.late_ppm);
    p->control.schedstat_fd = -1;
    show(p); /* the page may still show what an earlier process did */
}

/* --- telling --------------------------------------------------------------------------------------- */

static void announce(gw_plane_t *p, int went, const char *reason) {
    gw_count(went > 0 ? &p->stats->ladder_up[0] : &p->stats->ladder_down[0], 1);
    gw_event_t *e = gw_event_new(GW_EVENT_LADDER, 0, 0);
    if (e) {
        e->code = (int)p->ladder.step;
        e->error = (int)p->ladder.step - went;
        snprintf(e->reason, sizeof e->reason, "%s", reason);
        gw_event_put(p, e);
    }
    p->refresh_next = 0;
}

int gw_control_refresh(gw_plane_t *p) {
    uint32_t end = p->clients_high - p->refresh_next > REFRESH_LOOKS ? p->refresh_next + REFRESH_LOOKS : p->clients_high;
    for (; p->refresh_next < end; p->refresh_next++) {
        gw_client_t *c = &p->clients[p->refresh_next];
        if (c->active && !(c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE))) gw_client_refresh(p, c);
    }
    return p->refresh_next < p->clients_high;
}

/* --- measuring ------------------------------------------------------------------------------------- */

/* How long the plane's thread has waited for a CPU so far; 0 where the kernel does not say. */
static int64_t run_delay(const gw_plane_t *p) {
    char text[96];
    ssize_t n = p->control.schedstat_fd < 0 ? 0 : pread(p->control.schedstat_fd, text, sizeof text - 1, 0);
    if (n <= 0) return 0;
    text[n] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) : 0;
}

/* The next look is at what happens from now on: not before this process, nor before a stall. */
static void begin(gw_plane_t *p) {
    const gw_stats_t *s = p->stats;
    gw_control_t *k = &p->control;
    for (uint32_t i = 0; i < GW_CLASSES; i++) {
        k->delivered[i] = s->stage[GW_STAGE_TOTAL + i].count;
        k->conflated[i] = s->class_conflated[i];
    }
    memset(k->asked, 0, sizeof k->asked);
    k->sends = s->sends[0];
    k->run_delay_ns = run_delay(p);
    k->cpu_looked_ns = p->io.cpu(p->io.self);
    k->look = (gw_look_t){.ring_age_ns = INT64_MAX};
    k->busy_ns = k->offered_ns = 0;
    k->swept = k->swept_squares = k->swept_ns = 0;
    if (p->begun_ns) p->begun_ns = p->now;
    k->looked_ns = p->now;
    k->next_ns = p->now + GW_LADDER_NS;
}

/* Costs, by what was done in `elapsed_ns`, of which the plane worked `busy_ns`. */
static void costs(gw_plane_t *p, int64_t elapsed_ns, int64_t busy_ns, uint64_t delivered) {
    gw_stats_t *s = p->stats;
    gw_control_t *k = &p->control;
    uint64_t sends = s->sends[0] - k->sends;
    double seconds = (double)elapsed_ns / 1e9, busy = (double)busy_ns / (double)elapsed_ns;
    GW_STORE_RELAXED(&s->plane_busy_ppm[0], mean(s->plane_busy_ppm[0], busy * 1e6));
    GW_STORE_RELAXED(&s->delivered_per_s[0], mean(s->delivered_per_s[0], (double)delivered / seconds));
    if (delivered >= DELIVERIES_MIN && busy_ns > 0) {
        GW_STORE_RELAXED(&s->delivery_cost_ns[0], mean(s->delivery_cost_ns[0], (double)busy_ns / (double)delivered));
        /* Without the time that others had the CPU: then a write is longer, and by what gathers meanwhile fuller,
         * which would look as if what it carries were all that it costs. */
        int64_t cpu_ns = p->io.cpu(p->io.self) - k->cpu_looked_ns;
        if (sends && cpu_ns > 0) gw_cost_add(&k->cost, sends, delivered, cpu_ns < busy_ns ? cpu_ns : busy_ns);
        GW_STORE_RELAXED(&s->write_fixed_ns[0], (uint64_t)k->cost.fixed_ns);
        GW_STORE_RELAXED(&s->write_each_ps[0], (uint64_t)(k->cost.each_ns * 1000));
        /* Of small writes: a batch's write costs more, and reaches its clients with one call. */
        if (sends && delivered <= sends + sends / 2)
            GW_STORE_RELAXED(&s->write_cost_ns[0], mean(s->write_cost_ns[0], (double)busy_ns / (double)sends));
    }
}

/* The time from taking a batch to the last of its sends, as its deliveries saw it: a sweep over many clients is
 * that of many deliveries, so each counts as often as it has clients. */
static void sweeps(gw_plane_t *p) {
    gw_stats_t *s = p->stats;
    const gw_control_t *k = &p->control;
    if (k->swept <= 0) return;
    GW_STORE_RELAXED(&s->sweep_ns[0], mean(s->sweep_ns[0], k->swept_ns / k->swept));
    GW_STORE_RELAXED(&s->sweep_clients[0], mean(s->sweep_clients[0], k->swept_squares / k->swept));
}

/* How long a round of visits took and how many clients it came to, as a delivery sees it. */
void gw_control_swept(gw_plane_t *p, uint32_t clients, int64_t took_ns) {
    gw_control_t *k = &p->control;
    if (took_ns <= 0) return;
    k->swept += clients;
    k->swept_squares += (double)clients * clients;
    k->swept_ns += (double)took_ns * clients;
}

static void audience(gw_plane_t *p) {
    gw_control_t *k = &p->control;
    uint32_t most = k->audience > k->audience_before ? k->audience : k->audience_before;
    GW_STORE_RELAXED(&p->stats->audience_max[0], most);
    GW_STORE_RELAXED(&p->stats->fan_out_ns[0], most * p->stats->write_cost_ns[0]);
    if (++k->audience_looks < AUDIENCE_LOOKS) return;
    k->audience_looks = 0;
    k->audience_before = k->audience;
    k->audience = 0;
}

/* What has been counted since the last look. */
static void measure(gw_plane_t *p, gw_look_t *look) {
    gw_stats_t *s = p->stats;
    gw_control_t *k = &p->control;
    uint64_t all = 0;
    *look = k->look;
    if (look->ring_age_ns == INT64_MAX) { /* never looked: visits left no time for it */
        look->ring_age_ns = gw_plane_takes(p) ? p->now - p->taken_ns : 0;
    }
    for (uint32_t i = 0; i < GW_CLASSES; i++) {
        look->delivered[i] = s->stage[GW_STAGE_TOTAL + i].count - k->delivered[i];
        look->wanted[i] = look->delivered[i] + s->class_conflated[i] - k->conflated[i] - k->asked[i];
        look->links[i] = s->class_links[i];
        all += look->delivered[i];
    }
    int64_t busy_ns = k->busy_ns + (p->begun_ns ? p->now - p->begun_ns : 0); /* in the middle of a cycle */
    costs(p, p->now - k->looked_ns, busy_ns, all);
    sweeps(p);
    audience(p);
    look->busy_ppm = (uint32_t)s->plane_busy_ppm[0];
    look->fan_out_ns = (int64_t)s->fan_out_ns[0];
    int64_t elapsed = p->now - k->looked_ns, waited = run_delay(p) - k->run_delay_ns - k->offered_ns;
    if (waited > elapsed) waited = elapsed;
    if (waited > 0) look->waited_ppm = (uint32_t)(waited * 1000000 / elapsed);
    GW_STORE_RELAXED(&s->ring_age_ns[0], (uint64_t)look->ring_age_ns);
    begin(p);
}

/* --- stalls ---------------------------------------------------------------------------------------- */

static void stalled(gw_plane_t *p, int64_t gap_ns) {
    gw_control_t *k = &p->control;
    int64_t waited = run_delay(p) - k->run_delay_ns;
    gw_count(&p->stats->plane_stalls[0], 1);
    gw_count(&p->stats->plane_stall_ns[0], (uint64_t)gap_ns);
    p->resumed_ns = p->now;
    gw_ladder_forget(&p->ladder);
    begin(p);
    if (p->round_ns) p->round_ns = p->now; /* no round is as long as a stall within it */
    gw_event_t *e = gw_event_new(GW_EVENT_STALL, 0, 0);
    if (!e) return;
    e->token = (uint64_t)gap_ns;
    if (waited > gap_ns / 2)
        snprintf(e->reason, sizeof e->reason, "stood still for %lld ms, %lld of them waiting for a CPU",
                 (long long)(gap_ns / 1000000), (long long)(waited / 1000000));
    else
        snprintf(e->reason, sizeof e->reason, "stood still for %lld ms: the process or the machine was stopped",
                 (long long)(gap_ns / 1000000));
    gw_event_put(p, e);
}

/* Called in every cycle: time that passed while this thread used no CPU, and did not mean to wait, is
 * nobody's slowness. Long work, which does use it, is no stall. */
static void watch(gw_plane_t *p) {
    gw_control_t *k = &p->control;
    int64_t gap = p->now - k->alive_ns;
    k->alive_ns = p->now;
    if (p->now < k->cpu_next_ns) return;
    int64_t cpu = p->io.cpu(p->io.self);
    if (k->looked_ns && gap >= STALL_NS && cpu - k->cpu_ns < gap / 2) stalled(p, gap);
    k->cpu_ns = cpu;
    k->cpu_next_ns = p->now + CPU_NS;
}

/* --- the look -------------------------------------------------------------------------------------- */

static void look(gw_plane_t *p) {
    gw_look_t seen;
    char reason[124];
    measure(p, &seen);
    int went = gw_ladder_look(&p->ladder, p->now, &seen, reason, sizeof reason);
    if (went) announce(p, went, reason);
    show(p);
}

void gw_plane_objective(gw_plane_t *p, int64_t target_ns, uint32_t late_ppm) {
    GW_STORE_RELAXED(&p->control.wanted, GW_OBJECTIVE(target_ns, late_ppm));
}

/* Whether there is another objective. What was late by the one before says nothing of it. */
static int take_objective(gw_plane_t *p) {
    gw_control_t *k = &p->control;
    uint64_t wanted = GW_LOAD_RELAXED(&k->wanted);
    if (wanted == k->taken) return 0;
    k->taken = wanted;
    p->o.target_ns = p->ladder.target_ns = GW_OBJECTIVE_TARGET_NS(wanted);
    p->o.late_ppm = p->ladder.late_ppm = GW_OBJECTIVE_LATE_PPM(wanted);
    edges(p);
    gw_ladder_forget(&p->ladder);
    return 1;
}

void gw_control(gw_plane_t *p) {
    if (!p->o.target_ns) return;
    watch(p);
    if (p->now < p->control.next_ns) return;
    if (!take_objective(p) && p->control.looked_ns) look(p);
    else begin(p);
}

void gw_control_thread(gw_plane_t *p) {
    p->control.schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

void gw_control_free(gw_plane_t *p) {
    if (p->control.schedstat_fd > 0) close(p->control.schedstat_fd);
}
