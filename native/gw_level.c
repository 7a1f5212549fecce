/* The level of one connection: a client that does not keep up gets less, before it is too late.
 *
 * CoDel on age (RFC 8289 section 4): its oldest undelivered update is looked at while its socket takes
 * nothing more. Where the least age over 100 ms is above the target, and above what the other clients
 * of the worker see by the target, the client goes one level down; after a second of calm one up.
 *
 *     0 live   1 an update every 20 ms   2 every 100 ms   3 what is newest when the socket has drained
 *
 * Levels are about conflated topics. A lossless one is kept whole until its bounds close it (4008). */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include <stdio.h>

#define INTERVAL_NS 100000000
#define CALM_INTERVALS 10
#define RELAPSES_MAX 5u           /* the calm before a level up doubles with each relapse, up to 32 s */
#define RELAPSE_NS 10000000000
#define CLIENTS_FOR_MEDIAN 4u     /* fewer have no middle to speak of */
#define DOOM_LOOKS 16u            /* one that is let go, or is about to be, counts for so many more */
#define ROUND_LOOKS 512u          /* clients looked at in a turn: at 100 ns, 50 us */

static const char *const actions[GW_LEVELS] = {"live", "conflate", "conflate", "snapshot"};
static const uint8_t action_numbers[GW_LEVELS] = {1, 2, 2, 3};
static const int interval_ms[GW_LEVELS] = {0, 20, 100, 250};

/* Of its oldest undelivered update, as long as the socket has been full; 0: nothing waits for it. */
static int64_t age(const gw_plane_t *p, const gw_client_t *c) {
    int64_t oldest = INT64_MAX;
    if (c->rest.bytes && c->rest.counts) oldest = c->rest.taken_ns;
    if (c->secure) oldest = gw_secure_oldest(c, oldest);
    if (c->marks.first && gw_link_pends(c->marks.first) && c->marks.first->dirty_taken_ns < oldest)
        oldest = c->marks.first->dirty_taken_ns;
    if (oldest == INT64_MAX) return 0;
    return p->now - (oldest > c->blocked_ns ? oldest : c->blocked_ns);
}

static void unlist(gw_plane_t *p, gw_client_t *c) {
    if (p->degraded_at == c) p->degraded_at = c->degraded_next;
    if (c->degraded_previous) c->degraded_previous->degraded_next = c->degraded_next;
    else p->degraded = c->degraded_next;
    if (c->degraded_next) c->degraded_next->degraded_previous = c->degraded_previous;
    c->degraded_previous = c->degraded_next = NULL;
}

static void list(gw_plane_t *p, gw_client_t *c) {
    c->degraded_previous = NULL;
    c->degraded_next = p->degraded;
    if (p->degraded) p->degraded->degraded_previous = c;
    p->degraded = c;
}

void gw_level_forget(gw_plane_t *p, gw_client_t *c) {
    if (c->level) unlist(p, c);
    gw_count(&p->stats->levels[c->level], (uint64_t)-1);
    c->level = 0;
}

static void set(gw_plane_t *p, gw_client_t *c, uint8_t level, int64_t waited) {
    uint8_t was = c->level;
    if (!was) list(p, c);
    c->level = level;
    if (!level) unlist(p, c);
    gw_count(&p->stats->levels[was], (uint64_t)-1);
    gw_count(&p->stats->levels[level], 1);
    gw_count(level > was ? &p->stats->level_down[0] : &p->stats->level_up[0], 1);
    c->level_ns = p->now;
    gw_client_refresh(p, c);
    const gw_notice_t notice = {.numbers = {level, was, (uint64_t)interval_ms[level], (uint64_t)(waited / 1000000),
                                            action_numbers[level]},
                                .words = {gw_text_of(actions[level])}};
    if (gw_client_say(p, c, GW_NOTICE_SLOW, &notice)) gw_count(&p->stats->notices_left_out[GW_LEFT_SLOW], 1);
    else if (!(c->flags & GW_CLIENT_BLOCKED)) gw_client_touch(p, c);
    gw_event_t *e = gw_event_new(GW_EVENT_LEVEL, gw_client_handle(p, c), 0);
    if (!e) return;
    e->code = level;
    e->error = was;
    if (level > was)
        snprintf(e->reason, sizeof e->reason, "its oldest update waited %lld ms for its socket",
                 (long long)(waited / 1000000));
    else snprintf(e->reason, sizeof e->reason, "calm for %lld ms", (long long)(waited / 1000000));
    gw_event_put(p, e);
}

static void down(gw_plane_t *p, gw_client_t *c, int64_t waited) {
    if (c->level == GW_LEVELS - 1) return;
    if (c->went_up && p->now - c->level_ns > RELAPSE_NS) c->relapses = 0;
    else if (c->went_up && c->relapses < RELAPSES_MAX) c->relapses++;
    c->went_up = 0;
    set(p, c, (uint8_t)(c->level + 1), waited);
}

/* --- the round over the blocked --------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* A client is behind by its own time: what passed while we stood still is not held against it, neither
 * before the end of the last stall nor as long as all since it was blocked took. */
static int64_t waited_for(const gw_plane_t *p, const gw_client_t *c, int64_t since) {
    int64_t stalled = (int64_t)(p->stats->plane_stall_ns[0] - c->blocked_stalls_ns);
    return later(p->now - later(since, p->resumed_ns), p->now - since - stalled);
}

static void check_limits(gw_plane_t *p, gw_client_t *c) {
    if (waited_for(p, c, c->sent_ns) > p->o.stall_max_ns) {
        gw_client_slow(p, c, "stalled");
    } else if (c->frozen && p->books.waiting.first && waited_for(p, c, c->sent_ns) > GW_BOOK_HELD_NS) {
        gw_client_slow(p, c, "others wait for the place of its book's state");
    } else if (gw_replay_overwritten(p, c)) {
        gw_client_slow(p, c, "overwritten in the ring");
    } else if (c->runs_count) {
        const gw_frame_t *f = gw_frame_at(p, c->runs[c->runs_head]);
        int64_t since = f->taken_ns, limit = p->o.lossless_max_age_ns;
        if (f->flags & GW_FRAME_PACED && !gw_frame_replayed(f)) { /* its feed waits for us: only a standstill counts */
            since = later(c->sent_ns, since);
            limit = p->o.paced_stall_max_ns;
        }
        if (waited_for(p, c, since) > limit && !gw_client_rewind(p, c, f)) gw_client_slow(p, c, "too old");
    }
}

/* Who has been behind for 100 ms without a break goes a level down, but where everybody is: then it is not
 * they who are slow. */
static void check_level(gw_plane_t *p, gw_client_t *c) {
    if (c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE) || !c->conflated_links) return;
    int64_t waited = age(p, c);
    if (c->above_ns < p->resumed_ns) c->above_ns = 0; /* we stood still since: it was not behind, we were */
    if (p->behind_count * 2 > p->stats->clients[0] || waited <= p->o.target_ns) {
        c->above_ns = 0;
    } else if (!c->above_ns) {
        c->above_ns = p->now;
    } else if (p->now - c->above_ns >= INTERVAL_NS) {
        c->above_ns = p->now;
        down(p, c, waited);
    }
    if (waited > p->o.target_ns) c->calm_ns = 0; /* whoever is to blame */
}

enum { RESTS, COUNTS, JUDGES };

/* Every 20 ms while somebody is blocked: first those who are behind are counted, then each is judged. */
void gw_blocked_begin(gw_plane_t *p) {
    uint64_t clients = p->stats->clients[0];
    if (p->blocked_round != RESTS) return;
    int count = p->o.enforce && clients >= CLIENTS_FOR_MEDIAN && p->blocked_count * 2 > clients;
    p->blocked_round = count ? COUNTS : JUDGES;
    p->blocked_at = p->blocked;
    p->behind_count = 0;
}

int gw_blocked_round(gw_plane_t *p) {
    for (uint32_t looks = 0; p->blocked_round != RESTS && looks < ROUND_LOOKS; looks++) {
        gw_client_t *c = p->blocked_at;
        if (!c) {
            p->blocked_round = p->blocked_round == COUNTS ? JUDGES : RESTS;
            p->blocked_at = p->blocked;
            continue;
        }
        p->blocked_at = c->blocked_next; /* gw_client_unblock moves it on where that one goes */
        if (p->blocked_round == COUNTS) {
            p->behind_count += age(p, c) > p->o.target_ns;
            continue;
        }
        if (!(c->flags & GW_CLIENT_DOOMED)) check_limits(p, c);
        if (c->flags & GW_CLIENT_DOOMED) looks += DOOM_LOOKS;
        if (p->o.enforce) check_level(p, c);
    }
    return p->blocked_round != RESTS;
}

/* --- the round over the degraded -------------------------------------------------------------------- */

void gw_levels_up_begin(gw_plane_t *p) {
    if (!p->degraded_at) p->degraded_at = p->degraded;
}

int gw_levels_up(gw_plane_t *p) {
    for (uint32_t looks = 0; p->degraded_at && looks < ROUND_LOOKS; looks++) {
        gw_client_t *c = p->degraded_at;
        p->degraded_at = c->degraded_next;
        if (c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE)) continue;
        uint64_t stalls_ns = p->stats->plane_stall_ns[0];
        if (!c->calm_ns) {
            c->calm_ns = p->now;
            c->calm_stalls_ns = stalls_ns;
        }
        int64_t calm = p->now - c->calm_ns - (int64_t)(stalls_ns - c->calm_stalls_ns); /* nobody was calm, we stood */
        if (calm < (int64_t)CALM_INTERVALS * INTERVAL_NS << c->relapses) continue;
        c->calm_ns = p->now;
        c->calm_stalls_ns = stalls_ns;
        c->went_up = 1;
        set(p, c, (uint8_t)(c->level - 1), calm);
    }
    return p->degraded_at != NULL;
}
