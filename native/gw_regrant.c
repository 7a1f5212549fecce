/* What a client gains by another grant; what it loses, gw_request.c ends first. */
#include "gw_job.h"

/* What another grant gives: topics that patterns cover and that were not granted before. */
int gw_regrant_gain(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; c->subs[1] && job->at < p->topics_count; job->at++) {
        gw_topic_t *t = p->topics[job->at];
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        if (!t || !t->attached || gw_link_find(p, c, t) || !gw_granted(p, c, t, budget)) continue;
        gw_sub_t *s = gw_sub_pattern_covering(p, c, t, budget);
        if (!s) continue;
        if (gw_links_full(p, c)) {
            gw_links_full_tell(p, c, s);
            continue;
        }
        gw_link_t *l = gw_link_make(p, c, t, s);
        if (!l) {
            gw_job_no_memory(p, c);
            return 0;
        }
        *budget -= GW_UNITS_LINK;
        l->job = job->serial;
        gw_link_begin(p, l);
    }
    return 1;
}
