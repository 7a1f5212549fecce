/* What is done by the clock. Nothing here looks at all clients at once: each list is in the order of its
 * deadlines, and what a group does to each of its members goes round, a slice of them in a turn. */
#include "gw_swarm_internal.h"

#define NEVER INT64_MAX
#define IDLE_NS 1000000000       /* longest time between two looks */
#define VISITS_PER_TURN 64u      /* of one group's round */
#define CONNECTS_PER_TURN 32u    /* about a millisecond */
#define READ_PERIOD_NS 50000000  /* slow readers read so often, or for each byte */
#define CONNECT_LAG_NS 100000000 /* connections that are late by more are not made up for */

/* --- rounds ---------------------------------------------------------------------------------------- */

static void round_start(gw_swarm_round_t *r, int64_t base_ns, int64_t period_ns) {
    *r = (gw_swarm_round_t){.base_ns = base_ns, .period_ns = period_ns};
}

/* The member whose turn it is; NULL: it is nobody's yet, or there were enough for now. The k-th of n
 * has its turn (k + 1) / n of the period after the base. */
static gw_swarm_client_t *round_next(gw_swarm_t *s, const gw_swarm_group_t *g, gw_swarm_round_t *r,
                                     uint32_t *visits) {
    int64_t n = g->members_count, k = (int64_t)r->at + 1;
    if (!r->period_ns || !n) return NULL;
    int64_t due = r->base_ns + r->period_ns / n * k + r->period_ns % n * k / n;
    if (due > s->monotonic_ns || (*visits)++ == VISITS_PER_TURN) {
        gw_swarm_timer(s, due);
        return NULL;
    }
    gw_swarm_client_t *c = &s->clients[g->members[r->at]];
    if (++r->at == n) {
        r->at = 0;
        r->base_ns += r->period_ns;
        /* A period that is too short for what it has to do gets longer; it does not pile up. */
        if (r->base_ns < s->monotonic_ns - r->period_ns) r->base_ns = s->monotonic_ns;
    }
    return c;
}

static void resubscribe(gw_swarm_t *s, gw_swarm_client_t *c) {
    int64_t off = GW_SWARM_VALUE(gw_swarm_group(s, c), text_off);
    bool send_off = off >= 0 && !(c->flags & GW_SWARM_OFF);
    int64_t text = send_off ? off : c->text;
    if (text < 0 || !gw_swarm_send(s, c, s->frames[text].bytes, s->frames[text].length)) return;
    c->flags = (uint8_t)(send_off ? c->flags | GW_SWARM_OFF : c->flags & ~GW_SWARM_OFF);
}

static size_t read_limit(const gw_swarm_group_t *g) {
    return (size_t)(GW_SWARM_VALUE(g, read_bytes_per_s) * g->reading.period_ns / 1000000000);
}

/* What it has not read yet is no answer to its goodbye: it is read at once. */
static void leave(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_leave(s, c);
    if (c->flags & GW_SWARM_READABLE) gw_swarm_read(s, c, SIZE_MAX);
}

static void rounds(gw_swarm_t *s, gw_swarm_group_t *g) {
    gw_swarm_client_t *c;
    for (uint32_t visits = 0; (c = round_next(s, g, &g->reading, &visits));)
        if (c->state == GW_SWARM_OPEN && (c->flags & GW_SWARM_READABLE) && !g->stalled)
            gw_swarm_read(s, c, read_limit(g));
    for (uint32_t visits = 0; (c = round_next(s, g, &g->leaving, &visits));)
        if (c->state == GW_SWARM_OPEN) leave(s, c);
    for (uint32_t visits = 0; (c = round_next(s, g, &g->resubscribing, &visits));)
        if (c->state == GW_SWARM_OPEN) resubscribe(s, c);
}

/* --- what a whole group does ----------------------------------------------------------------------- */

/* Whether a moment has come; it moves on to the next one, past those that were missed. */
static bool comes(gw_swarm_t *s, int64_t *at_ns, int64_t every_ns) {
    if (*at_ns > s->monotonic_ns) {
        gw_swarm_timer(s, *at_ns);
        return false;
    }
    *at_ns = every_ns ? *at_ns + every_ns : NEVER;
    if (*at_ns <= s->monotonic_ns) *at_ns = s->monotonic_ns + every_ns;
    gw_swarm_timer(s, *at_ns);
    return true;
}

static void drops(gw_swarm_t *s, gw_swarm_group_t *g) {
    if (comes(s, &g->drop_ns, GW_SWARM_VALUE(g, drop_every_ns))) g->dropping = 0;
    for (uint32_t i = 0; i < VISITS_PER_TURN && g->dropping < g->members_count; i++) {
        gw_swarm_client_t *c = &s->clients[g->members[g->dropping++]];
        if (c->state == GW_SWARM_OPEN) gw_swarm_drop(s, c);
    }
    if (g->dropping < g->members_count) gw_swarm_timer(s, s->monotonic_ns);
}

static void stalls(gw_swarm_t *s, gw_swarm_group_t *g) {
    int64_t at_ns = g->stall_ns;
    if (g->stalled && comes(s, &g->stall_end_ns, 0)) {
        g->stalled = false;
        g->resuming = 0;
    }
    if (comes(s, &g->stall_ns, GW_SWARM_VALUE(g, stall_every_ns))) {
        g->stalled = true;
        g->resuming = g->members_count;
        g->stall_end_ns = at_ns + GW_SWARM_VALUE(g, stall_for_ns);
        gw_swarm_timer(s, g->stall_end_ns);
    }
    for (uint32_t i = 0; i < VISITS_PER_TURN && g->resuming < g->members_count; i++) {
        gw_swarm_client_t *c = &s->clients[g->members[g->resuming++]];
        if (c->flags & GW_SWARM_READABLE) gw_swarm_readable(s, c);
    }
    if (g->resuming < g->members_count) gw_swarm_timer(s, s->monotonic_ns);
}

/* The groups' times begin at `go`; those of slow readers at once. */
static void arm(gw_swarm_group_t *g, int64_t origin_ns) {
    int64_t stall = GW_SWARM_VALUE(g, stall_at_ns), drop = GW_SWARM_VALUE(g, drop_at_ns);
    bool stalls = stall && GW_SWARM_VALUE(g, stall_for_ns);
    g->stall_ns = stalls ? origin_ns + stall : NEVER;
    g->drop_ns = drop ? origin_ns + drop : NEVER;
    round_start(&g->leaving, origin_ns, GW_SWARM_VALUE(g, lifetime_ns));
    round_start(&g->resubscribing, origin_ns, GW_SWARM_VALUE(g, resubscribe_every_ns));
}

static void look_for_go(gw_swarm_t *s) {
    int64_t go_ns = GW_LOAD_ACQUIRE(&s->go_ns);
    if (go_ns == s->go_seen_ns) return;
    s->go_seen_ns = go_ns;
    int64_t origin_ns = gw_swarm_monotonic(go_ns);
    for (uint32_t i = 0; i < s->o.groups_count; i++) arm(&s->groups[i], origin_ns);
    s->timer_ns = s->monotonic_ns;
}

void gw_swarm_groups_start(gw_swarm_t *s) {
    for (uint32_t i = 0; i < s->o.groups_count; i++) {
        gw_swarm_group_t *g = &s->groups[i];
        int64_t rate = GW_SWARM_VALUE(g, read_bytes_per_s);
        int64_t byte_ns = rate ? (1000000000 + rate - 1) / rate : 0;
        g->stall_ns = g->drop_ns = g->stall_end_ns = NEVER;
        g->dropping = g->resuming = g->members_count;
        if (byte_ns < READ_PERIOD_NS) byte_ns = READ_PERIOD_NS;
        if (rate) round_start(&g->reading, gw_monotonic_ns(), byte_ns);
    }
}

/* --- deadlines and connecting ---------------------------------------------------------------------- */

/* The first of a list, if its time is over. */
static gw_swarm_client_t *overdue(gw_swarm_t *s, const gw_swarm_list_t *list) {
    gw_swarm_client_t *c = list->head;
    if (!c || c->due_ns <= s->monotonic_ns) return c;
    gw_swarm_timer(s, c->due_ns);
    return NULL;
}

static void deadlines(gw_swarm_t *s) {
    gw_swarm_client_t *c;
    while ((c = overdue(s, &s->shaking))) gw_swarm_unanswered(s, c, ETIMEDOUT);
    while ((c = overdue(s, &s->closing))) gw_swarm_left(s, c);
    while ((c = overdue(s, &s->refused))) gw_swarm_want(s, c);
    for (uint32_t i = 0; i < s->o.groups_count; i++)
        while ((c = overdue(s, &s->groups[i].away))) gw_swarm_want(s, c);
}

static void connects(gw_swarm_t *s) {
    int64_t step_ns = s->o.connect_rate ? 1000000000 / s->o.connect_rate : 0;
    if (s->connect_next_ns < s->monotonic_ns - CONNECT_LAG_NS) s->connect_next_ns = s->monotonic_ns;
    for (uint32_t i = 0; i < CONNECTS_PER_TURN; i++) {
        if (!s->wanting.head || s->shaking_count >= s->o.connecting_max) return;
        if (s->connect_next_ns > s->monotonic_ns) {
            gw_swarm_timer(s, s->connect_next_ns);
            return;
        }
        s->connect_next_ns = step_ns ? s->connect_next_ns + step_ns : s->monotonic_ns;
        gw_swarm_start(s, s->wanting.head);
    }
    gw_swarm_timer(s, s->monotonic_ns);
}

void gw_swarm_readable(gw_swarm_t *s, gw_swarm_client_t *c) {
    if (!(c->flags & GW_SWARM_READABLE) && c->since_ns < s->empty_ns) c->since_ns = s->empty_ns;
    c->flags |= GW_SWARM_READABLE;
    if (gw_swarm_reads_freely(s, c)) gw_swarm_read(s, c, SIZE_MAX);
}

void gw_swarm_timers(gw_swarm_t *s) {
    look_for_go(s);
    if (s->monotonic_ns < s->timer_ns) return;
    s->timer_ns = s->monotonic_ns + IDLE_NS;
    deadlines(s);
    for (uint32_t i = 0; i < s->o.groups_count; i++) {
        gw_swarm_group_t *g = &s->groups[i];
        rounds(s, g);
        drops(s, g);
        stalls(s, g);
    }
    connects(s);
}
