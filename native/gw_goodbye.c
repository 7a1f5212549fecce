/* Letting go of a client. It is *doomed* wherever a limit is met, its socket fails, or the loop closes it: from
 * then on it takes no data. Its marks, links and subscriptions end in the turns that follow, some at a time. */
#include "gw_plane_internal.h"
#include <stdio.h>

#define RUNS_SUMMED 256u /* more are not added up for the reason of a close */

void gw_client_doom(gw_plane_t *p, gw_client_t *c, int code, const char *reason) {
    if (c->flags & GW_CLIENT_DOOMED) return;
    c->flags |= GW_CLIENT_DOOMED;
    gw_client_list(p, c);
    gw_event_t *e = gw_event_new(GW_EVENT_CLOSE, gw_client_handle(p, c), 0);
    if (!e) return;
    e->code = code;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    gw_event_put(p, e);
}

/* Of a client that is slow already nothing is looked up again: that it is doomed is all that matters. */
void gw_client_slow(gw_plane_t *p, gw_client_t *c, const char *what) {
    if (c->flags & GW_CLIENT_DOOMED) return;
    char reason[124];
    uint64_t oldest, bytes = c->rest.length - c->rest.sent + c->control_length - c->control_head;
    int64_t since = c->sent_ns;
    if (gw_client_oldest(c, &oldest)) since = gw_log_frame(&p->log, oldest)->taken_ns;
    for (uint32_t i = 0; i < c->runs_count && i < RUNS_SUMMED; i++) bytes += gw_run_bytes(p, c, i);
    snprintf(reason, sizeof reason, "slow consumer (%s): %s%llu bytes pending, age %lld ms; use mode=conflate",
             what, c->runs_count > RUNS_SUMMED ? "over " : "", (unsigned long long)bytes,
             (long long)((p->now - since) / 1000000));
    c->slow = 1;
    gw_client_doom(p, c, 4008, reason);
}

static void drop_mark(gw_plane_t *p, gw_link_t *l) {
    if (l->dirty && l->dirty != GW_LINK_SNAPSHOT) gw_link_settle(p, l, gw_client_loss(p, l->client));
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

/* The last bytes that its socket will not take. */
void gw_client_drop_rest(gw_plane_t *p, gw_client_t *c) {
    if (!c->rest.bytes) return;
    if (c->rest.counts) {
        gw_count(&p->stats->dropped_closed[c->rest.channel], 1);
        gw_count(&p->stats->pending[c->rest.channel], (uint64_t)-1);
    }
    free(c->rest.bytes);
    c->rest = (gw_rest_t){0};
}

void gw_client_free(gw_plane_t *p, gw_client_t *c) {
    gw_client_shrink(c);
    gw_client_holds_free(c);
    free(c->rest.bytes);
    free(c->control);
    c->rest = (gw_rest_t){0};
    c->control = NULL;
    c->control_head = c->control_length = c->control_size = 0;
    c->flags &= (uint16_t)~GW_CLIENT_MORE;
    gw_client_untouch(p, c);
}

/* Nothing is left of it: the descriptor and the slot are the loop's again. */
void gw_client_removed(gw_plane_t *p, gw_client_t *c) {
    gw_client_drop_rest(p, c);
    gw_level_forget(p, c);
    gw_client_free(p, c);
    c->active = 0;
    gw_count(&p->stats->clients[0], (uint64_t)-1);
    gw_event_t *e = gw_event_new(GW_EVENT_REMOVED, gw_client_handle(p, c), 0);
    if (e) gw_event_put(p, e);
}
