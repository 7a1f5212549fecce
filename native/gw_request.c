/* What subscribe, unsubscribe and stats do, step by step. How steps are carried out: gw_job.c. */
#include "gw_job.h"
#include "gw_text.h"

enum { LIMIT_NONE, LIMIT_FORBIDDEN, LIMIT_LINKS, LIMIT_NAMES, LIMIT_NAMES_OF_ALL, LIMIT_TABLE, LIMIT_MEMORY };

#define WORK_FIRST 64u
#define NAMES_SHARE 4u /* of the names that may still be waited for, one client may wait for this part */

/* --- the parts that requests have in common ---------------------------------------------------------- */

static int work_push(gw_job_t *job, gw_link_t *l) {
    if (job->work_count == job->work_size) {
        uint32_t size = job->work_size ? job->work_size * 2 : WORK_FIRST;
        gw_link_t **work = realloc(job->work, size * sizeof *work);
        if (!work) return -ENOMEM;
        job->work = work;
        job->work_size = size;
    }
    job->work[job->work_count++] = l;
    return 0;
}

/* Chooses who governs a link once the queue is sifted; NULL: it ends. */
static void choose(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_link_t *l, gw_sub_t *s, uint8_t mark) {
    if (work_push(job, l)) {
        gw_job_no_memory(p, c);
        return;
    }
    l->job = job->serial;
    l->marked = mark;
    l->chosen = s;
    if (mark == GW_MARK_MOVED) return;
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    if (l->replay) gw_replay_settle(p, l, mark == GW_MARK_DROPPED ? p->stats->dropped_unsubscribed : NULL, 0, GW_REPLAY_ENDED);
    const uint8_t owes = s && l->owes; /* whether that is still to be told, finish_link sees */
    if (gw_link_pends(l)) gw_link_settle_marked(p, l);
    gw_link_clean(p, l);
    l->owes = owes & 1u;
}

static int keep_unmarked(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)index;
    if (!l) return 1;
    if (l->job != job->serial || !l->marked || l->marked == GW_MARK_MOVED) return 1;
    if (f->flags & GW_FRAME_RETIRED) l->owes = l->chosen != NULL;
    if (!(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE))) gw_link_settle_marked(p, l);
    return 0;
}

/* A link begins, with the state or with what its subscription missed. */
static void begin_link(gw_plane_t *p, gw_link_t *l, gw_outcome_t *o) {
    if (l->sub->from) gw_link_recover(p, l, o);
    else gw_link_begin(p, l);
}

static void tell_forbidden(gw_plane_t *p, const gw_client_t *c, uint32_t id) {
    gw_event_t *e = gw_event_new(GW_EVENT_FORBIDDEN, gw_client_handle(p, c), 0);
    gw_count(&p->stats->forbidden[0], 1);
    if (!e) return; /* it gets nothing of it, whether the loop knows or not */
    e->token = id;
    gw_event_put(p, e);
}

/* The link passes to the subscription that was chosen, as if it had just begun, or with what is pending. */
static void finish_link(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_link_t *l, gw_outcome_t *o) {
    uint8_t mark = l->marked;
    l->marked = GW_MARK_NONE;
    if (l->sub->ending) l->sub->topic = NULL; /* it may go with the link, and the request begin again */
    if (!l->chosen) {
        gw_sub_t *withdrawn = l->sub->pattern || l->sub->ending ? NULL : l->sub; /* a name that is not granted any more */
        gw_link_drop(p, l);
        if (!withdrawn) return;
        tell_forbidden(p, c, withdrawn->id);
        gw_sub_drop(p, withdrawn);
        return;
    }
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    gw_link_govern(p, l, l->chosen, gw_job_link_pending(job, c, l));
    if (mark == GW_MARK_MOVED) return;
    gw_retire_resume(p, l);
    begin_link(p, l, o);
}

/* Finishes the links chosen, but those of names: their seq is told in the reply, so they are left to its step; unless they
 * ask for what they missed, which takes longer, and says itself where it begins. */
static int finish_work(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->at < job->work_count; job->at++) {
        gw_link_t *l = job->work[job->at];
        const gw_sub_t *s = l->chosen;
        if (s && !s->pattern && !s->from) continue;
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LINK + (s && s->from ? GW_UNITS_LOCATE : 0);
        finish_link(p, c, job, l, s && (s->from || !s->pattern) ? &job->outcomes[s->row] : NULL);
    }
    return 1;
}

/* Before the reply: whether there is a walk to make over the client's links, for patterns that get the state after all. */
static int begin_fails(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    job->link = c->links;
    return job->command->kind == GW_CMD_SUBSCRIBE && gw_from_fails(p, c, job);
}

static int walk_fails(gw_plane_t *p, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_from_fail(p, job->link, job);
    }
    return 1;
}

/* --- subscribe ------------------------------------------------------------------------------------- */

static uint8_t mark_of(const gw_sub_t *s, const gw_topic_t *t) {
    return s->snapshot && t->seq && !s->from ? GW_MARK_CONFLATED : GW_MARK_DROPPED;
}

static uint32_t names_free(const gw_plane_t *p) {
    return p->topics_waiting < p->o.waiting_topics_max ? p->o.waiting_topics_max - p->topics_waiting : 0;
}

/* Why a name that there is not yet can't be waited for, if it can't. No client may wait for more than a quarter
 * of what is free: one alone has a fifth of the table, and the next one finds room behind forty greedy ones.
 * Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches" (1998). */
static uint8_t name_limit(const gw_plane_t *p, const gw_client_t *c) {
    const uint32_t left = names_free(p);
    if (c->names_waiting < (left + NAMES_SHARE - 1) / NAMES_SHARE) return LIMIT_NONE;
    return left ? LIMIT_NAMES : LIMIT_NAMES_OF_ALL;
}

/* The link of a name that is subscribed for the first time: chosen where there is one, else made. */
static uint8_t subscribe_name(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sub_t *s, const gw_item_t *item,
                              gw_outcome_t *o, int64_t *budget) {
    if (c->grant && !gw_grant_allows_name(p, c->grant, item, budget)) return LIMIT_FORBIDDEN;
    gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
    gw_link_t *l = t ? gw_link_find(p, c, t) : NULL;
    if (l) {
        s->topic = t;
        choose(p, c, job, l, s, mark_of(s, t));
        return LIMIT_NONE;
    }
    uint8_t limit = t ? LIMIT_NONE : name_limit(p, c);
    if (item->channel != GW_LOCAL && gw_links_full(p, c)) limit = LIMIT_LINKS;
    if (!limit && !(t && t->bound) && item->channel != GW_HEALTH && gw_full(p)) limit = LIMIT_TABLE;
    if (limit) return limit;
    if (!t) t = gw_topic_make(p, item->channel, item->name, item->length);
    if (!t) return LIMIT_MEMORY;
    s->topic = t;
    l = gw_link_make(p, c, t, s);
    if (!l) {
        gw_topic_release(p, t);
        return LIMIT_MEMORY;
    }
    l->job = job->serial;
    o->attached = 1;
    o->number = t->seq;
    begin_link(p, l, o);
    return LIMIT_NONE;
}

/* Its subscription has other parameters now. Who turns to conflation in a replay is told that there comes no more. */
static void adopt(gw_plane_t *p, gw_link_t *l) {
    const gw_replay_t r = l->replay ? *l->replay : (gw_replay_t){0};
    gw_link_adopt(p, l);
    if (r.sub && !l->replay) gw_replay_tell(p, r.sub, l->topic, l->topic->seq);
}

/* Makes or changes the subscription of one item; a name's link is seen to at once. */
static void begin_item(gw_plane_t *p, gw_client_t *c, gw_job_t *job, uint32_t i, int64_t *budget) {
    const gw_item_t *item = &job->command->items[i];
    gw_outcome_t *o = &job->outcomes[i];
    gw_sub_t *s = gw_sub_find(p, c, item->id);
    int known = s != NULL;
    if (!s && !item->resync) return;
    if (!s && !(s = gw_sub_make(p, c, item))) {
        gw_job_no_memory(p, c);
        return;
    }
    s->lossless = item->lossless;
    s->snapshot = item->snapshot;
    s->variant = item->variant;
    s->priority = item->channel == GW_LOCAL ? GW_CLASS_NONE : item->priority;
    if (gw_sub_limit(p, s, item->interval_ms, item->age_ms)) gw_job_no_memory(p, c);
    if (!item->resync) {
        gw_link_t *l = s->pattern ? NULL : gw_link_find(p, c, s->topic);
        if (l) adopt(p, l);
        return;
    }
    s->order = ++p->order;
    s->limit_told = s->replay_told = 0;
    s->from = item->channel == GW_LOCAL ? GW_FROM_NONE : gw_from_begin(p, item, o);
    s->from_value = item->from_value;
    s->row = i;
    if (s->from) *budget -= GW_UNITS_LOCATE;
    if (s->pattern) return;
    if (known) {
        gw_link_t *l = gw_link_find(p, c, s->topic);
        if (l->job != job->serial) choose(p, c, job, l, s, mark_of(s, s->topic));
        return;
    }
    o->refused = subscribe_name(p, c, job, s, item, o, budget);
    if (o->refused) o->recovery = GW_RECOVERY_NONE, gw_sub_drop(p, s);
    if (o->refused == LIMIT_MEMORY) gw_job_no_memory(p, c);
}

static int begin_items(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; job->item < job->command->items_count; job->item++, *budget -= GW_UNITS_LINK) {
        if (*budget <= 0 || c->flags & GW_CLIENT_DOOMED) return 0;
        job->outcomes[job->item] = (gw_outcome_t){0};
        begin_item(p, c, job, job->item, budget);
    }
    job->at = 0; /* the scan begins with the last item */
    return 1;
}

/* Holds one topic against the pattern of one item. */
static void scan_topic(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sub_t *s, gw_topic_t *t, int64_t *budget) {
    gw_link_t *l = gw_link_find(p, c, t);
    *budget -= GW_UNITS_LINK;
    if (!gw_granted(p, c, t, budget)) return;
    if (t->bound) job->outcomes[job->item - 1].number++;
    else if (!t->attached && !l) return; /* a name that is waited for: attached when it comes */
    if (l) {
        if (!l->sub->pattern || l->sub->order > s->order) return;
        if (l->job == job->serial && (l->marked || l->sub == s)) return; /* chosen, or come meanwhile and this one's at once */
        choose(p, c, job, l, s, mark_of(s, t));
    } else if (gw_links_full(p, c)) {
        job->outcomes[job->item - 1].refused = LIMIT_LINKS;
    } else if ((l = gw_link_make(p, c, t, s))) {
        l->job = job->serial;
        begin_link(p, l, &job->outcomes[job->item - 1]);
        if (s->from) *budget -= GW_UNITS_LOCATE;
    } else {
        gw_job_no_memory(p, c);
    }
}

/* The patterns, from the last to the first: of two that cover a topic the later one wins. */
static int scan(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; job->item; job->item--, job->at = 0) {
        const gw_item_t *item = &job->command->items[job->item - 1];
        gw_sub_t *s = item->resync && item->is_pattern ? gw_sub_find(p, c, item->id) : NULL;
        if (!s) continue;
        for (; job->at < p->topics_count; job->at++) {
            if (*budget <= 0) return 0;
            if (gw_pattern_covers(s->pattern, &p->names[job->at], budget))
                scan_topic(p, c, job, s, p->topics[job->at], budget);
            if (c->flags & GW_CLIENT_DOOMED) return 0;
        }
    }
    return 1;
}

/* Whether a pattern among the items only changes its parameters: for what it governs already. */
static int updates_patterns(const gw_command_t *x) {
    for (uint32_t i = 0; i < x->items_count; i++)
        if (!x->items[i].resync && x->items[i].is_pattern) return 1;
    return 0;
}

static int walk_updates(gw_plane_t *p, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        if (job->link->sub->pattern) adopt(p, job->link);
    }
    return 1;
}

static void tell_limit(gw_plane_t *p, gw_client_t *c, const gw_item_t *item, uint8_t limit) {
    gw_sub_t *s = gw_sub_find(p, c, item->id);
    if (limit == LIMIT_FORBIDDEN) tell_forbidden(p, c, item->id);
    else if (limit == LIMIT_LINKS && s) gw_links_full_tell(p, c, s);
    else if (limit == LIMIT_LINKS)
        gw_limit_tell(p, c, "topics_per_connection", gw_links_max(p, c), item->name, item->length, item->is_pattern);
    else if (limit == LIMIT_TABLE)
        gw_limit_tell(p, c, "ring.topics_max", gw_full(p), item->name, item->length, 0);
    else if (limit == LIMIT_NAMES)
        gw_limit_tell(p, c, "waiting_topics_share", names_free(p) / NAMES_SHARE, item->name, item->length, item->is_pattern);
    else gw_limit_tell(p, c, "waiting_topics", p->o.waiting_topics_max, item->name, item->length, item->is_pattern);
}

/* The last step: the reply, with the numbers of this moment, and names that were known before begin anew. */
static void end_subscribe(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    const gw_command_t *x = job->command;
    for (uint32_t i = 0; i < x->items_count; i++) {
        const gw_item_t *item = &x->items[i];
        if (item->is_pattern || job->outcomes[i].attached || job->outcomes[i].recovery) continue;
        if (job->outcomes[i].refused == LIMIT_FORBIDDEN) continue;
        const gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
        gw_link_t *l = t ? gw_link_find(p, c, t) : NULL;
        if (l && gw_link_is_marked(l)) finish_link(p, c, job, l, NULL);
        job->outcomes[i].number = t ? t->seq : 0;
    }
    job->replied = 1;
    if (gw_job_reply(p, c, x, job->outcomes)) return;
    for (uint32_t i = 0; i < x->items_count; i++) {
        gw_sub_t *s = x->items[i].from ? gw_sub_find(p, c, x->items[i].id) : NULL;
        if (s) gw_from_end(p, s, &job->outcomes[i]);
    }
    for (uint32_t i = 0; i < x->items_count; i++)
        if (job->outcomes[i].refused) tell_limit(p, c, &x->items[i], job->outcomes[i].refused);
}

/* --- unsubscribe ----------------------------------------------------------------------------------- */

/* A link whose subscription ends passes to the pattern that covers it from now on, with what is pending; one whose topic
 * is not granted any more passes to nobody. */
static void end_link(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_link_t *l, int64_t *budget) {
    if (l->job == job->serial) return;
    gw_sub_t *next = gw_granted(p, c, l->topic, budget) ? gw_sub_pattern_covering(p, c, l->topic, budget) : NULL;
    if (next && !l->topic->bound && !l->topic->attached) gw_retire_list(p, l->topic); /* it goes once it has told all */
    choose(p, c, job, l, next, next ? GW_MARK_MOVED : GW_MARK_DROPPED);
    *budget -= GW_UNITS_LOOK;
}

/* Whether there are patterns, whose links have to be looked for. */
static int begin_ends(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    int patterns = 0;
    const gw_command_t *x = job->command;
    for (uint32_t i = 0; i < x->items_count; i++, *budget -= GW_UNITS_LOOK) {
        gw_sub_t *s = gw_sub_find(p, c, x->items[i].id);
        if (s) s->ending = 1;
        patterns |= s && s->pattern;
    }
    return patterns;
}

/* The links of names. Each may be held against all the client's patterns. */
static int name_ends(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->item < job->command->items_count; job->item++) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_sub_t *s = gw_sub_find(p, c, job->command->items[job->item].id);
        gw_link_t *l = s && s->topic ? gw_link_find(p, c, s->topic) : NULL;
        if (l && l->sub->ending) end_link(p, c, job, l, budget);
    }
    return 1;
}

static int walk_ends(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        const int withdrawn = job->command->kind == GW_CMD_REGRANT && !gw_granted(p, c, job->link->topic, budget);
        if (job->link->sub->ending || withdrawn) end_link(p, c, job, job->link, budget);
    }
    return 1;
}

static void end_unsubscribe(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    const gw_command_t *x = job->command;
    for (uint32_t i = 0; i < x->items_count; i++) {
        gw_sub_t *s = gw_sub_find(p, c, x->items[i].id);
        if (s) gw_sub_drop(p, s);
    }
    job->replied = 1;
    gw_job_reply(p, c, x, NULL);
}

/* --- steps ----------------------------------------------------------------------------------------- */

static int has_books(const gw_client_t *c) {
    uint32_t links = 0;
    for (uint32_t k = 0; k < GW_CLASSES; k++) links += c->class_links[gw_class_group(GW_BOOK)][k];
    return links > 0;
}

/* Whether the client's queue may hold frames that have to go: where it is blocked, of links that conflate now, whose age would
 * close it; and of books that are shown at another depth now. */
static int has_turned(const gw_client_t *c, const gw_command_t *x) {
    if (!c->conflated_links || !(c->flags & GW_CLIENT_BLOCKED || (c->runs_count && has_books(c)))) return 0;
    int updates = x->kind != GW_CMD_SUBSCRIBE;
    for (uint32_t i = 0; i < x->items_count; i++) updates |= !x->items[i].resync;
    return updates;
}

/* The snapshot of another depth stands for what its link had of the one before. */
static int keep_turned(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    const int blocked = l && l->client->flags & GW_CLIENT_BLOCKED;
    return blocked || (l && l->book && l->dirty == GW_LINK_SNAPSHOT) ? gw_keep_lossless(p, job, l, f, index) : 1;
}

static int begin_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    const gw_command_t *x = job->command;
    job->serial = gw_serial(p);
    job->work_count = 0;
    job->link = c->links;
    job->item = 0;
    if (x->kind == GW_CMD_SUBSCRIBE) return GW_JOB_ITEMS;
    return begin_ends(p, c, job, budget) || x->kind == GW_CMD_REGRANT ? GW_JOB_WALK : GW_JOB_ENDS;
}

/* The steps that subscribe, unsubscribe and another grant share. */
int gw_request_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    const gw_command_t *x = job->command;
    const int ends = x->kind != GW_CMD_SUBSCRIBE, regrants = x->kind == GW_CMD_REGRANT;
    switch (job->phase) {
    case GW_JOB_COVER: return (ends && !regrants) || gw_cover(p, budget) ? GW_JOB_BEGIN : GW_JOB_COVER; /* what the loop knows by name must be bound */
    case GW_JOB_BEGIN: return begin_step(p, c, job, budget);
    case GW_JOB_ITEMS: return begin_items(p, c, job, budget) ? GW_JOB_SCAN : GW_JOB_ITEMS;
    case GW_JOB_ENDS: return name_ends(p, c, job, budget) ? GW_JOB_SIFT_BEGIN : GW_JOB_ENDS;
    case GW_JOB_SCAN:
        if (!scan(p, c, job, budget)) return GW_JOB_SCAN;
        return updates_patterns(x) ? GW_JOB_WALK : GW_JOB_SIFT_BEGIN;
    case GW_JOB_WALK: return (ends ? walk_ends(p, c, job, budget) : walk_updates(p, job, budget)) ? GW_JOB_SIFT_BEGIN : GW_JOB_WALK;
    case GW_JOB_SIFT_BEGIN:
        job->at = 0;
        if (!job->work_count) return GW_JOB_FINISH;
        gw_job_sift_begin(p, c, job);
        return GW_JOB_SIFT;
    case GW_JOB_SIFT: return gw_job_sift(p, c, job, keep_unmarked, budget) ? GW_JOB_FINISH : GW_JOB_SIFT;
    case GW_JOB_FINISH:
        if (!finish_work(p, c, job, budget)) return GW_JOB_FINISH;
        if (begin_fails(p, c, job)) return GW_JOB_LINKS;
        job->at = 0;
        return regrants ? GW_JOB_GAIN : GW_JOB_END;
    case GW_JOB_LINKS: return walk_fails(p, job, budget) ? GW_JOB_END : GW_JOB_LINKS;
    case GW_JOB_GAIN: return gw_regrant_gain(p, c, job, budget) ? GW_JOB_END : GW_JOB_GAIN;
    case GW_JOB_END: /* all its names at once: their seqs are of one moment */
        *budget -= (int64_t)x->items_count * GW_UNITS_LINK;
        if (ends) end_unsubscribe(p, c, job);
        else end_subscribe(p, c, job);
        return has_turned(c, x) ? GW_JOB_TURN_BEGIN : GW_JOB_DONE;
    case GW_JOB_TURN_BEGIN: gw_job_sift_begin(p, c, job); return GW_JOB_TURN;
    default: return gw_job_sift(p, c, job, keep_turned, budget) ? GW_JOB_DONE : GW_JOB_TURN;
    }
}
