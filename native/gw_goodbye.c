/* The end of doomed clients (gw_client.c): their marks, links and subscriptions go some at a time. */
#include "gw_plane_internal.h"
#include "gw_secure.h"

#define GOODBYES_TURNS 2           /* a slice, in turns' units: 30 to 100 us, at 10 us for a wake-up */
#define GOODBYES_REST 3            /* for so many times as long as a slice took, the next one waits ... */
#define GOODBYES_REST_NS 1000000   /* ... at most so long: in a slice others may have had the CPU */

static void drop_mark(gw_plane_t *p, gw_link_t *l) {
    if (l->replay) gw_replay_settle(p, l, gw_client_loss(p, l->client), 0, GW_REPLAY_ENDED);
    if (gw_link_pends(l)) gw_link_settle(p, l, gw_client_loss(p, l->client));
    gw_link_clean(p, l);
}

/* Ends some of what a doomed client has, as far as the budget goes; whether nothing is left of it. */
int gw_client_bury(gw_plane_t *p, gw_client_t *c, int64_t *budget) {
    *budget -= c->queued / GW_UNITS_QUEUE;
    gw_jobs_abort(p, c);
    if (c->queued) gw_client_drop_queue(p, c);
    for (; c->links; *budget -= GW_UNITS_LINK) {
        if (*budget <= 0) return 0;
        drop_mark(p, c->links);
        gw_link_drop(p, c->links);
    }
    for (int kind = 0; kind < 2; kind++)
        for (; c->subs[kind]; *budget -= GW_UNITS_LINK) {
            if (*budget <= 0) return 0;
            gw_sub_drop(p, c->subs[kind]);
        }
    return 1;
}

void gw_client_free(gw_plane_t *p, gw_client_t *c) {
    gw_client_shrink(c);
    gw_client_holds_free(c);
    gw_secure_free(p, c);
    free(c->rest.bytes);
    free(c->control);
    c->rest = (gw_rest_t){0};
    c->control = NULL;
    c->control_head = c->control_length = c->control_size = c->untold = 0;
    c->flags &= (uint16_t)~GW_CLIENT_MORE;
    gw_client_leave(p, c);
}

/* Nothing is left of it: the descriptor and the slot are the loop's again. Whether there was memory to say so. */
static int removed(gw_plane_t *p, gw_client_t *c) {
    gw_event_t *e = gw_event_new(GW_EVENT_REMOVED, gw_client_handle(p, c), 0);
    if (!e) return 0;
    gw_client_drop_rest(p, c);
    gw_level_forget(p, c);
    gw_client_free(p, c);
    c->active = 0;
    gw_count(&p->stats->clients[0], (uint64_t)-1);
    gw_count(&p->stats->tenant_clients[c->tenant], (uint64_t)-1);
    gw_event_put(p, e);
    return 1;
}

/* When the next slice may begin; INT64_MAX: nothing is left to do. */
int64_t gw_goodbyes_due(const gw_plane_t *p) {
    return p->goodbyes.first && !p->epoch_phase ? p->goodbyes_ns : INT64_MAX;
}

/* A slice: one client after the other, so that the loop is told of their ends one by one and not of all at the
 * last. Then a rest. A thousand clients with three hundred links each are 65 ms of work; done at a stretch it
 * makes this thread one that has used up its share of a CPU, and the scheduler has it wait beside the loop, which
 * is busy with the same ends, for milliseconds at each tick. Whether it did something. */
int gw_goodbyes_run(gw_plane_t *p) {
    if (gw_goodbyes_due(p) > p->now) return 0;
    const int64_t begun = p->now = p->io.monotonic(p->io.self);
    if (!p->begun_ns) p->begun_ns = begun;
    for (int64_t left = GOODBYES_TURNS * p->turn_units; left > 0 && p->goodbyes.first;) {
        gw_client_t *c = p->goodbyes.first;
        left -= GW_UNITS_LOOK;
        if (!gw_client_bury(p, c, &left) || (c->removing && !removed(p, c))) break;
        gw_client_unlist(&p->goodbyes);
    }
    if (p->goodbyes.first) gw_count(&p->stats->steps_resumed[GW_STEP_JOBS], 1);
    p->now = p->io.monotonic(p->io.self);
    const int64_t rest = (p->now - begun) * GOODBYES_REST;
    p->goodbyes_ns = p->now + (rest < GOODBYES_REST_NS ? rest : GOODBYES_REST_NS);
    return 1;
}
