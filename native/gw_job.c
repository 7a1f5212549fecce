/* Requests that may take more than one turn: subscribe, unsubscribe, stats, and a client's change of epoch.
 *
 * A client's requests are done in their order, one job at a time; clients take turns, a quantum of units each, so
 * one that asks for little does not wait for one that asks for much. From a job's first step to its last its
 * client is *busy*: nothing is written to it, so what it gets looks as if all had been done at once, at the moment
 * of the last step. Records that come meanwhile queue up, or become marks, as if its socket were full. Between two
 * requests it is visited.
 *
 * A job *chooses* links (gw_link_t.marked, chosen), sifts the queue once all are chosen, and then *finishes* each:
 * the link passes to another subscription or ends. Records of a link that is chosen to be dropped or conflated
 * are settled as they come, so nothing of it is in the queue when it is finished. A job that a new epoch
 * interrupts begins again: each step finds what it has done before and leaves it. */
#include "gw_plane_internal.h"
#include <stdio.h>
#include <string.h>

enum { LIMIT_NONE, LIMIT_LINKS, LIMIT_NAMES, LIMIT_NAMES_OF_ALL };
enum { COVER, BEGIN, ITEMS, ENDS, SCAN, WALK, SIFT_BEGIN, SIFT, FINISH, END, TURN_BEGIN, TURN, ROWS, LINKS, DONE };

#define WORK_FIRST 64u

/* --- jobs and their clients ------------------------------------------------------------------------- */

/* Work for the client is done in turns from now on, until there is none. */
void gw_client_list(gw_plane_t *p, gw_client_t *c) {
    if (c->listed) return;
    c->listed = 1;
    c->jobs_next = NULL;
    if (p->jobs_last) p->jobs_last->jobs_next = c;
    else p->jobs = c;
    p->jobs_last = c;
}

static gw_client_t *unlist_first(gw_plane_t *p) {
    gw_client_t *c = p->jobs;
    p->jobs = c->jobs_next;
    if (!p->jobs) p->jobs_last = NULL;
    c->listed = 0;
    return c;
}

static void job_free(gw_job_t *job) {
    gw_job_drop_queue(job);
    free(job->outcomes);
    free(job->work);
    free(job->event);
    if (job->owns) free(job->command);
    free(job);
}

/* Bytes that will never leave are done too. */
static void lose(gw_client_t *c, const gw_command_t *x) {
    GW_STORE_RELEASE(&c->control_done, c->control_done + x->bytes_count);
}

/* What had to wait while the client was busy goes its way. */
static void no_longer_busy(gw_plane_t *p, gw_client_t *c) {
    c->flags &= (uint16_t)~GW_CLIENT_BUSY;
    if (c->late && c->flags & GW_CLIENT_BLOCKED) { /* its socket has said meanwhile that it takes more, once */
        gw_client_untouch(p, c);
        gw_turn_wait(p, GW_TURN_BULK, c);
    }
    c->late = 0;
}

/* The client is let go: what it has asked for is not done. Its part of the queue must be settled by then. */
void gw_jobs_abort(gw_plane_t *p, gw_client_t *c) {
    if (c->job && c->queued) gw_client_drop_queue(p, c);
    while (c->job) {
        gw_job_t *job = c->job;
        c->job = job->next;
        if (job->command && !job->replied) c->cut = 1, lose(c, job->command);
        job_free(job);
    }
    c->job_last = NULL;
    no_longer_busy(p, c);
}

static gw_command_t *command_copy(const gw_command_t *x) {
    gw_command_t *own = gw_command_new(x->kind, x->items_count, x->fills_count, x->bytes_count);
    if (!own) return NULL;
    own->handle = x->handle;
    own->token = x->token;
    memcpy(own->items, x->items, x->items_count * sizeof *x->items);
    memcpy(own->fills, x->fills, x->fills_count * sizeof *x->fills);
    memcpy(own->bytes, x->bytes, x->bytes_count);
    return own;
}

static void no_memory(gw_plane_t *p, gw_client_t *c) { gw_client_slow(p, c, "no memory for its request"); }

/* The first job of a client whose queue is counted from now on. */
static void make_busy(const gw_plane_t *p, gw_client_t *c) {
    if (!(c->flags & GW_CLIENT_WAITS)) gw_client_count_waiting(p, c);
    c->flags |= GW_CLIENT_BUSY;
}

static gw_job_t *job_new(gw_plane_t *p, const gw_command_t *x) {
    gw_job_t *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->serial = gw_serial(p);
    job->command = (gw_command_t *)(uintptr_t)x;
    if (!x || !x->items_count) return job;
    job->outcomes = calloc(x->items_count, sizeof *job->outcomes);
    if (job->outcomes) return job;
    free(job);
    return NULL;
}

static int own_command(gw_job_t *job) {
    gw_command_t *own = command_copy(job->command);
    if (!own) return -ENOMEM;
    job->command = own;
    job->owns = 1;
    return 0;
}

static void job_advance(gw_plane_t *p, gw_client_t *c, int64_t *budget);

/* Begins a request at once, and leaves what it takes longer for to later turns. */
void gw_job_add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    gw_job_t *job = job_new(p, x);
    if (!job || (c->job && own_command(job))) {
        if (job) job_free(job);
        lose(c, x);
        no_memory(p, c);
        return;
    }
    if (c->job) {
        c->job_last->next = job;
        c->job_last = job;
        return;
    }
    make_busy(p, c);
    c->job = c->job_last = job;
    int64_t quantum = GW_UNITS_QUANTUM < p->turn_units ? GW_UNITS_QUANTUM : p->turn_units, left = quantum;
    job_advance(p, c, &left);
    p->turn_left -= quantum - left;
    if (c->job && !(c->flags & GW_CLIENT_DOOMED) && own_command(c->job)) no_memory(p, c);
    if (c->flags & GW_CLIENT_DOOMED) gw_jobs_abort(p, c); /* now: the command is the queue's */
    else if (c->job) gw_client_list(p, c);
}

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
        no_memory(p, c);
        return;
    }
    l->job = job->serial;
    l->marked = mark;
    l->chosen = s;
    if (mark == GW_MARK_MOVED) return;
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    if (l->dirty && l->dirty != GW_LINK_SNAPSHOT) gw_link_settle_marked(p, l);
    gw_link_clean(p, l);
}

static int keep_unmarked(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)index;
    if (!l) return 1;
    if (l->job != job->serial || !l->marked || l->marked == GW_MARK_MOVED) return 1;
    if (!(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE))) gw_link_settle_marked(p, l);
    return 0;
}

/* How many of the link's records are pending now, as far as the job's count says. */
static uint64_t link_pending(const gw_job_t *job, const gw_client_t *c, const gw_link_t *l) {
    uint64_t queued = job->counting && l->counted == job->counting ? l->waiting : 0;
    return queued + (l->dirty == GW_LINK_UPDATE || l->dirty == GW_LINK_RESYNC) + (c->rest.link == l);
}

/* The link passes to the subscription that was chosen, as if it had just begun, or with what is pending. */
static void finish_link(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_link_t *l) {
    uint8_t mark = l->marked;
    l->marked = GW_MARK_NONE;
    if (l->sub->ending) l->sub->topic = NULL; /* it may go with the link, and the request begin again */
    if (!l->chosen) {
        gw_link_drop(p, l);
        return;
    }
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    gw_link_govern(p, l, l->chosen, link_pending(job, c, l));
    if (mark != GW_MARK_MOVED && l->sub->snapshot) gw_link_snapshot(p, l);
}

/* Finishes the links chosen, but those of names: their seq is told in the reply, so they are left to its step. */
static int finish_work(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->at < job->work_count; job->at++) {
        gw_link_t *l = job->work[job->at];
        if (l->chosen && !l->chosen->pattern) continue;
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LINK;
        finish_link(p, c, job, l);
    }
    return 1;
}

/* Sifting, for the phases SIFT and TURN: 1 when done. */
static int sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget) {
    int done = gw_sift(p, c, job, keeps, budget);
    if (done < 0) no_memory(p, c);
    return done == 1;
}

static void sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    if (gw_sift_begin(p, c, job)) no_memory(p, c);
}

/* --- replies --------------------------------------------------------------------------------------- */

static void fill_number(uint8_t *out, uint64_t value) {
    char text[GW_FILL_WIDTH + 1];
    snprintf(text, sizeof text, "%-20llu", (unsigned long long)value);
    memcpy(out, text, GW_FILL_WIDTH);
}

static void fill(gw_plane_t *p, const gw_command_t *x, const gw_outcome_t *outcomes) {
    for (uint32_t i = 0; i < x->fills_count; i++) {
        const gw_fill_t *f = &x->fills[i];
        uint8_t *at = x->bytes + f->offset;
        if (f->kind == GW_FILL_EPOCH) memcpy(at, p->epoch, GW_EPOCH_LENGTH);
        else if (f->kind == GW_FILL_TIME) fill_number(at, (uint64_t)p->io.realtime(p->io.self));
        else fill_number(at, outcomes ? outcomes[f->arg].number : 0);
    }
}

static int reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x, const gw_outcome_t *outcomes) {
    fill(p, x, outcomes);
    if (!gw_client_control(p, c, x->bytes, x->bytes_count, 1)) return 0;
    lose(c, x);
    gw_client_slow(p, c, "control queue");
    return -ENOSPC;
}

int gw_client_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) { return reply(p, c, x, NULL); }

/* --- subscribe ------------------------------------------------------------------------------------- */

static uint8_t mark_of(const gw_sub_t *s, const gw_topic_t *t) {
    return s->snapshot && t->seq ? GW_MARK_CONFLATED : GW_MARK_DROPPED;
}

static uint32_t names_free(const gw_plane_t *p) {
    return p->topics_waiting < p->o.waiting_topics_max ? p->o.waiting_topics_max - p->topics_waiting : 0;
}

/* Why a name that there is not yet can't be waited for, if it can't. No client may wait for more names than it
 * leaves free: one alone has half of the table, and however many are greedy, the next one finds room.
 * Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches" (1998). */
static uint8_t name_limit(const gw_plane_t *p, const gw_client_t *c) {
    const uint32_t left = names_free(p);
    if (c->names_waiting < left) return LIMIT_NONE;
    return left ? LIMIT_NAMES : LIMIT_NAMES_OF_ALL;
}

/* The link of a name that is subscribed for the first time: chosen where there is one, else made. */
static uint8_t subscribe_name(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sub_t *s, const gw_item_t *item,
                              gw_outcome_t *o) {
    gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
    gw_link_t *l = t ? gw_link_find(p, c, t) : NULL;
    if (l) {
        s->topic = t;
        choose(p, c, job, l, s, mark_of(s, t));
        return LIMIT_NONE;
    }
    uint8_t limit = gw_links_full(p, c) ? LIMIT_LINKS : t ? LIMIT_NONE : name_limit(p, c);
    if (limit) return limit;
    if (!t) t = gw_topic_make(p, item->channel, item->name, item->length);
    if (!t) return LIMIT_NAMES_OF_ALL;
    s->topic = t;
    l = gw_link_make(p, c, t, s);
    if (!l) {
        gw_topic_release(p, t);
        return LIMIT_NAMES_OF_ALL;
    }
    l->job = job->serial;
    o->attached = 1;
    o->number = t->seq;
    if (s->snapshot) gw_link_snapshot(p, l);
    return LIMIT_NONE;
}

static void update_link(gw_plane_t *p, gw_link_t *l) {
    if (l->hold) gw_link_ready(p, l); /* its class's interval may be another now */
    gw_link_mode(l, l->sub->lossless);
    gw_link_prioritise(p, l, l->sub->priority);
}

/* Makes or changes the subscription of one item; a name's link is seen to at once. */
static void begin_item(gw_plane_t *p, gw_client_t *c, gw_job_t *job, uint32_t i) {
    const gw_item_t *item = &job->command->items[i];
    gw_outcome_t *o = &job->outcomes[i];
    gw_sub_t *s = gw_sub_find(p, c, item->id);
    int known = s != NULL;
    if (!s && (!item->resync || !(s = gw_sub_make(p, c, item)))) return;
    s->lossless = item->lossless;
    s->snapshot = item->snapshot;
    s->priority = item->priority;
    if (!item->resync) {
        gw_link_t *l = s->pattern ? NULL : gw_link_find(p, c, s->topic);
        if (l) update_link(p, l);
        return;
    }
    s->order = ++p->order;
    s->limit_told = 0;
    if (s->pattern) return;
    if (known) {
        gw_link_t *l = gw_link_find(p, c, s->topic);
        if (l->job != job->serial) choose(p, c, job, l, s, mark_of(s, s->topic));
        return;
    }
    o->refused = subscribe_name(p, c, job, s, item, o);
    if (o->refused) gw_sub_drop(p, s);
}

static int begin_items(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; job->item < job->command->items_count; job->item++, *budget -= GW_UNITS_LINK) {
        if (*budget <= 0 || c->flags & GW_CLIENT_DOOMED) return 0;
        job->outcomes[job->item] = (gw_outcome_t){0};
        begin_item(p, c, job, job->item);
    }
    job->at = 0; /* the scan begins with the last item */
    return 1;
}

/* Holds one topic against the pattern of one item. */
static void scan_topic(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sub_t *s, gw_topic_t *t, int64_t *budget) {
    if (t->bound) job->outcomes[job->item - 1].number++;
    else if (!t->attached) return; /* a name that no directory has had: attached when it comes */
    gw_link_t *l = gw_link_find(p, c, t);
    *budget -= GW_UNITS_LINK;
    if (l) {
        if (l->job == job->serial || !l->sub->pattern || l->sub->order > s->order) return;
        choose(p, c, job, l, s, mark_of(s, t));
    } else if (gw_links_full(p, c)) {
        job->outcomes[job->item - 1].refused = LIMIT_LINKS;
    } else if ((l = gw_link_make(p, c, t, s))) {
        l->job = job->serial;
        if (s->snapshot) gw_link_snapshot(p, l);
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
        if (job->link->sub->pattern) update_link(p, job->link);
    }
    return 1;
}

static void tell_limit(gw_plane_t *p, gw_client_t *c, const gw_item_t *item, uint8_t limit) {
    gw_sub_t *s = gw_sub_find(p, c, item->id);
    if (limit == LIMIT_LINKS && s) gw_links_full_tell(p, c, s);
    else if (limit == LIMIT_LINKS)
        gw_limit_tell(p, c, "topics_per_connection", p->o.topics_per_client_max, item->name, item->length);
    else if (limit == LIMIT_NAMES)
        gw_limit_tell(p, c, "waiting_topics_share", names_free(p), item->name, item->length);
    else gw_limit_tell(p, c, "waiting_topics", p->o.waiting_topics_max, item->name, item->length);
}

/* The last step: the reply, with the numbers of this moment, and names that were known before begin anew. */
static void end_subscribe(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    const gw_command_t *x = job->command;
    for (uint32_t i = 0; i < x->items_count; i++) {
        const gw_item_t *item = &x->items[i];
        if (item->is_pattern || job->outcomes[i].attached) continue;
        const gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
        gw_link_t *l = t ? gw_link_find(p, c, t) : NULL;
        if (l && gw_link_is_marked(l)) finish_link(p, c, job, l);
        job->outcomes[i].number = t ? t->seq : 0;
    }
    job->replied = 1;
    if (reply(p, c, x, job->outcomes)) return;
    for (uint32_t i = 0; i < x->items_count; i++)
        if (job->outcomes[i].refused) tell_limit(p, c, &x->items[i], job->outcomes[i].refused);
}

/* --- unsubscribe ----------------------------------------------------------------------------------- */

/* A link whose subscription ends passes to the pattern that covers it from now on, with what is pending. */
static void end_link(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_link_t *l, int64_t *budget) {
    if (l->job == job->serial) return;
    gw_sub_t *next = gw_sub_pattern_covering(p, c, l->topic, budget);
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
        if (job->link->sub->ending) end_link(p, c, job, job->link, budget);
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
    reply(p, c, x, NULL);
}

/* --- stats ----------------------------------------------------------------------------------------- */

static int begin_query(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    free(job->event);
    job->event = gw_event_new(GW_EVENT_STATS, job->command->handle, c->subs_count);
    if (!job->event) {
        no_memory(p, c);
        return 0;
    }
    job->event->token = job->command->token;
    job->at = job->item = 0;
    job->sub = c->subs[0];
    return 1;
}

/* A row a subscription; of names first (item 0), then of patterns. */
static int rows(gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->item < 2; job->sub = ++job->item < 2 ? c->subs[job->item] : NULL) {
        for (; job->sub; job->sub = job->sub->next) {
            if (*budget <= 0) return 0;
            *budget -= GW_UNITS_LOOK;
            gw_sub_t *s = job->sub;
            s->row = job->at;
            job->event->rows[job->at++] = (gw_row_t){.id = s->id, .routed = s->routed, .delivered = s->delivered,
                                                     .conflated = s->conflated, .dropped = s->dropped};
        }
    }
    return 1;
}

static int keep_all(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)p, (void)job, (void)l, (void)f, (void)index;
    return 1;
}

/* Each link adds what is so at this moment: its own sums are exact, so theirs are. */
static int add_links(gw_client_t *c, gw_job_t *job, int64_t *budget) {
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        const gw_link_t *l = job->link;
        gw_row_t *row = &job->event->rows[l->sub->row];
        uint64_t routed = l->topic->routed - l->attach, pending = link_pending(job, c, l);
        row->routed += routed;
        row->conflated += l->conflated;
        row->dropped += l->dropped;
        row->pending += pending;
        row->delivered += routed - l->conflated - l->dropped - pending;
    }
    return 1;
}

/* --- another epoch ----------------------------------------------------------------------------------- */

static int keep_renewed(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)job;
    if (index >= p->epoch_index) return 1;
    if (l && !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE))) gw_link_settle(p, l, p->stats->dropped_epoch);
    return 0;
}

/* What is marked of the epoch before goes, and the state of the new one, where there is one, is promised. */
static int renew_links(gw_plane_t *p, gw_job_t *job, int64_t *budget) {
    p->taken_ns = p->now;
    p->send_ns = 0;
    for (; job->link; job->link = job->link->next) {
        if (*budget <= 0) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_link_t *l = job->link;
        if (l->epoch == p->epochs) continue; /* a record that came first has told it all */
        gw_link_renew(p, l);
        if (!l->topic->seq) continue;
        *budget -= GW_UNITS_LINK;
        gw_link_snapshot(p, l);
    }
    return 1;
}

/* Puts a job before all others of the client. */
static void put_first(gw_plane_t *p, gw_client_t *c, gw_job_t *job) {
    job->next = c->job;
    c->job = job;
    if (!c->job_last) c->job_last = job;
    gw_client_list(p, c);
}

/* Its socket takes no more, and its queue is long: frames of conflated topics become marks in turns that follow.
 * Nothing of the queue could be written meanwhile anyway. */
void gw_job_conflate(gw_plane_t *p, gw_client_t *c) {
    gw_job_t *job = job_new(p, NULL);
    if (!job) {
        no_memory(p, c);
        return;
    }
    job->conflates = 1;
    job->phase = TURN_BEGIN;
    make_busy(p, c);
    put_first(p, c, job);
}

/* Makes the client's next job one that brings it to the epoch followed now, before it goes on with its own. */
void gw_job_renew(gw_plane_t *p, gw_client_t *c) {
    gw_job_t *job = job_new(p, NULL);
    if (!job || (c->job && gw_sift_undo(c, c->job))) {
        if (job) job_free(job);
        no_memory(p, c);
        return;
    }
    if (!c->job) {
        make_busy(p, c);
    } else if (c->job->command && !c->job->replied) {
        c->job->phase = COVER; /* it begins again */
    } else { /* it was still on its way to the epoch before, or looked for frames that go now */
        gw_job_t *old = c->job;
        c->job = old->next;
        if (c->job_last == old) c->job_last = NULL;
        job_free(old);
    }
    put_first(p, c, job);
}

/* --- steps ----------------------------------------------------------------------------------------- */

/* Whether the client's blocked queue may hold frames of links that conflate now: their age would close it. */
static int has_turned(const gw_client_t *c, const gw_command_t *x) {
    if (!(c->flags & GW_CLIENT_BLOCKED) || !c->conflated_links) return 0;
    int updates = x->kind == GW_CMD_UNSUBSCRIBE;
    for (uint32_t i = 0; i < x->items_count; i++) updates |= !x->items[i].resync;
    return updates;
}

static int renew_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    switch (job->phase) {
    case COVER: /* the notice comes before all that it is about */
        *budget -= GW_UNITS_LINK;
        gw_epoch_notice(p, c);
        sift_begin(p, c, job);
        return SIFT;
    case SIFT:
        if (!sift(p, c, job, keep_renewed, budget)) return SIFT;
        job->link = c->links;
        return LINKS;
    default: return renew_links(p, job, budget) ? DONE : LINKS;
    }
}

static int conflate_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    if (job->phase == TURN_BEGIN) sift_begin(p, c, job);
    return sift(p, c, job, gw_keep_lossless, budget) ? DONE : TURN;
}

static int query_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    switch (job->phase) {
    case COVER: return begin_query(p, c, job) ? ROWS : COVER;
    case ROWS:
        if (!rows(c, job, budget)) return ROWS;
        sift_begin(p, c, job);
        return SIFT;
    case SIFT:
        if (!sift(p, c, job, keep_all, budget)) return SIFT;
        job->link = c->links;
        return LINKS;
    default:
        if (!add_links(c, job, budget)) return LINKS;
        gw_event_put(p, job->event);
        job->event = NULL;
        return DONE;
    }
}

static int begin_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    const gw_command_t *x = job->command;
    job->serial = gw_serial(p);
    job->work_count = 0;
    job->link = c->links;
    job->item = 0;
    if (x->kind == GW_CMD_UNSUBSCRIBE) return begin_ends(p, c, job, budget) ? WALK : ENDS;
    return ITEMS;
}

/* The steps that subscribe and unsubscribe share. */
static int request_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    const gw_command_t *x = job->command;
    const int ends = x->kind == GW_CMD_UNSUBSCRIBE;
    switch (job->phase) {
    case COVER: return ends || gw_cover(p, budget) ? BEGIN : COVER; /* what the loop knows by name must be bound */
    case BEGIN: return begin_step(p, c, job, budget);
    case ITEMS: return begin_items(p, c, job, budget) ? SCAN : ITEMS;
    case ENDS: return name_ends(p, c, job, budget) ? SIFT_BEGIN : ENDS;
    case SCAN:
        if (!scan(p, c, job, budget)) return SCAN;
        return updates_patterns(x) ? WALK : SIFT_BEGIN;
    case WALK: return (ends ? walk_ends(p, c, job, budget) : walk_updates(p, job, budget)) ? SIFT_BEGIN : WALK;
    case SIFT_BEGIN:
        job->at = 0;
        if (!job->work_count) return FINISH;
        sift_begin(p, c, job);
        return SIFT;
    case SIFT: return sift(p, c, job, keep_unmarked, budget) ? FINISH : SIFT;
    case FINISH: return finish_work(p, c, job, budget) ? END : FINISH;
    case END: /* all its names at once: their seqs are of one moment */
        *budget -= (int64_t)x->items_count * GW_UNITS_LINK;
        if (ends) end_unsubscribe(p, c, job);
        else end_subscribe(p, c, job);
        return has_turned(c, x) ? TURN_BEGIN : DONE;
    case TURN_BEGIN: sift_begin(p, c, job); return TURN;
    default: return sift(p, c, job, gw_keep_lossless, budget) ? DONE : TURN;
    }
}

static int simple_step(gw_plane_t *p, gw_client_t *c, gw_job_t *job, int64_t *budget) {
    *budget -= GW_UNITS_LINK;
    job->replied = 1;
    reply(p, c, job->command, NULL);
    return DONE;
}

/* The client has no job any more. */
static void idle(gw_plane_t *p, gw_client_t *c) {
    no_longer_busy(p, c);
    if (c->flags & GW_CLIENT_BLOCKED) return;
    if (c->runs_count || c->control || c->rest.bytes || (c->flags & GW_CLIENT_DIRTY)) gw_client_touch(p, c);
}

/* Between two requests the client gets what waits for it: else one that always asks for more would get nothing. */
static void breathe(gw_plane_t *p, gw_client_t *c, int64_t *budget) {
    if (c->flags & GW_CLIENT_BLOCKED && !c->late) return;
    *budget -= GW_UNITS_SEND + c->queued / GW_UNITS_QUEUE;
    c->flags &= (uint16_t)~GW_CLIENT_BUSY;
    c->late = 0;
    gw_client_flush(p, c);
    make_busy(p, c);
}

/* The client's first job, as far as the budget goes. */
static void job_advance(gw_plane_t *p, gw_client_t *c, int64_t *budget) {
    while (c->job && *budget > 0 && !(c->flags & GW_CLIENT_DOOMED)) {
        gw_job_t *job = c->job;
        int phase, kind = job->command ? (int)job->command->kind : -1;
        *budget -= GW_UNITS_LOOK;
        if (job->conflates) phase = conflate_step(p, c, job, budget);
        else if (kind < 0) phase = renew_step(p, c, job, budget);
        else if (kind == GW_CMD_QUERY) phase = query_step(p, c, job, budget);
        else if (kind == GW_CMD_SEND) phase = simple_step(p, c, job, budget);
        else phase = request_step(p, c, job, budget);
        job->phase = (uint8_t)phase;
        if (phase != DONE) continue;
        c->job = job->next;
        if (!c->job) c->job_last = NULL;
        job_free(job);
        gw_client_backlog(p, c);
        if (c->job && kind >= 0 && !(c->flags & GW_CLIENT_DOOMED)) breathe(p, c, budget);
    }
    if (!c->job) idle(p, c);
}

/* Goes on with the work of clients, each for its quantum. */
void gw_jobs_run(gw_plane_t *p, int64_t budget) {
    while (p->jobs && budget > 0) {
        gw_client_t *c = unlist_first(p);
        int64_t quantum = GW_UNITS_QUANTUM < budget ? GW_UNITS_QUANTUM : budget, left = quantum;
        int over = 1;
        left -= GW_UNITS_LOOK;
        if (c->flags & GW_CLIENT_DOOMED) over = gw_client_bury(p, c, &left);
        else job_advance(p, c, &left);
        budget -= quantum - left;
        if (!over || c->job) gw_client_list(p, c);
        else if (c->removing) gw_client_removed(p, c);
    }
}
