/* Which topics there are: the directory's topics are bound, and patterns are attached to each before its first record is
 * routed.
 *
 * A topic is *bound* while the present segment's directory has it, and *attached* once every pattern that
 * covers it has made its links, which is so for good: a pattern that is subscribed later sees to attached
 * topics itself, those of an earlier epoch included, so a topic that comes back has nothing to attach.
 *
 * Topics are bound some at a time, in the order of the directory, or at once where a record waits for one.
 * One at a time is in hand (plane->binding); the next begins when it is attached. */
#include "gw_plane_internal.h"

gw_topic_t gw_topic_none; /* in by_ring: an entry of the directory that is no topic of ours */

/* --- attaching --------------------------------------------------------------------------------------- */

static void attach_sub(gw_plane_t *p, gw_topic_t *t, gw_sub_t *s, int64_t *budget) {
    gw_client_t *c = s->client;
    if (s->ending || c->flags & GW_CLIENT_DOOMED) return;
    gw_link_t *l = gw_link_find(p, c, t);
    if (l) {
        /* One that had records before, since the topic has come back, is the job's that made this subscription. */
        if (l->sub->pattern && l->sub->order < s->order && l->attach == t->routed) gw_link_govern(p, l, s, 0);
        return;
    }
    if (!gw_granted(p, c, t, budget)) return;
    if (gw_links_full(p, c)) {
        gw_links_full_tell(p, c, s);
        return;
    }
    l = gw_link_make(p, c, t, s);
    if (!l) {
        gw_client_slow(p, c, "no memory for a topic");
        return;
    }
    if (c->job) l->job = c->job->serial; /* a subscribe that is under way has nothing to do here */
    gw_link_snapshot(p, l);              /* of a topic that had records before the segment was followed */
}

/* The next pattern that covers the topic in hand; NULL: there is none, or the budget is used up. */
static gw_pattern_t *next_pattern(gw_plane_t *p, int64_t *budget) {
    if (*budget <= 0) return NULL;
    uint32_t units = *budget < UINT32_MAX ? (uint32_t)*budget : UINT32_MAX, left = units;
    gw_pattern_node_t *node = gw_pattern_index_next(&p->binding.cursor, &p->patterns, &left);
    *budget -= units - left;
    return (gw_pattern_t *)node;
}

/* Makes the links of patterns that cover the topic in hand; whether all are made. */
static int attach(gw_plane_t *p, int64_t *budget) {
    gw_binding_t *b = &p->binding;
    for (;;) {
        while (b->sub) {
            if (*budget <= 0) return 0;
            gw_sub_t *s = b->sub;
            b->sub = s->pattern_next;
            attach_sub(p, b->topic, s, budget);
            *budget -= GW_UNITS_LINK;
        }
        gw_pattern_t *x = next_pattern(p, budget);
        if (!x) return gw_pattern_cursor_finished(&b->cursor);
        b->sub = x->subs;
    }
}

/* --- binding ----------------------------------------------------------------------------------------- */

/* Those who waited for the name wait no more. Whether that was all. */
static int name_has_come(gw_binding_t *b, int64_t *budget) {
    for (gw_link_t *l; *budget > 0; *budget -= GW_UNITS_LOOK) {
        if (!(l = gw_walk_next(b->topic, &b->awaiting))) return 1;
        l->client->names_waiting -= l->awaits;
        l->awaits = 0;
    }
    return 0;
}

/* The topic at this place has ended, and how it did was overwritten before we took it. The links concerned. */
uint32_t gw_topic_gone(gw_plane_t *p, uint32_t id) {
    gw_topic_t *t = p->by_ring[id];
    p->by_ring[id] = NULL;
    return t && t != &gw_topic_none ? gw_topic_retire(p, t, 0) : 0;
}

/* Whether the directory has another topic at the place of this one, or none. */
static int is_over(const gw_plane_t *p, const gw_topic_t *t) {
    gw_entry_name_t e;
    return gw_directory_entry(&p->reader.segment, t->ring_id, &e) <= 0 || e.retired || e.generation != t->generation;
}

static gw_topic_t topic_later; /* no topic of ours as yet: a record may make it one */

/* What the directory has under this number for the record in hand, or where there is none, for now: a topic to bind,
 * gw_topic_none or topic_later; NULL: without memory. */
static gw_topic_t *entry(gw_plane_t *p, uint32_t id, const gw_record_t *r, gw_entry_name_t *e, int64_t *budget) {
    int length = gw_directory_entry(&p->reader.segment, id, e);
    if (length <= 0 || !gw_plane_has(p, e->channel)) return &gw_topic_none;
    if (r ? !gw_record_is_of(r, e->generation) || r->h.flags & GW_FLAG_RETIRED : e->retired) return &topic_later;
    gw_topic_t *t = gw_topic_find(p, e->channel, e->name, (size_t)length);
    if (t && t->bound) {
        if (!is_over(p, t)) return &gw_topic_none; /* listed twice: the first one counts */
        if (!r && p->lap_next >= p->lap_end) return &topic_later; /* its end is still to be taken from the ring */
        *budget -= (int64_t)gw_topic_gone(p, t->ring_id) * GW_UNITS_LOOK;
        t = gw_topic_find(p, e->channel, e->name, (size_t)length);
    }
    return t ? t : gw_topic_make(p, e->channel, e->name, (size_t)length);
}

/* Takes what the segment's last values say of a topic that it had before we followed it. */
static void take_state(gw_plane_t *p, gw_topic_t *t, uint32_t id, int64_t *budget) {
    uint64_t position;
    if (!p->epoch_phase || id >= p->ring_topics_old) return;
    const gw_record_t *r = gw_topic_last(p, id, &position, budget);
    if (!r || !gw_record_is_of(r, t->generation) || r->h.flags & GW_FLAG_RETIRED) return;
    if (!gw_record_fits(p, t, r) || gw_topic_reserve(t, r->h.cells)) return;
    t->origin = r->h.origin;
    gw_topic_take(t, r, position);
    t->renewed = 0; /* there is something to snapshot */
}

/* Whether there is, or may be, a topic at this place. */
static int begin(gw_plane_t *p, uint32_t id, const gw_record_t *r, int64_t *budget) {
    gw_binding_t *b = &p->binding;
    gw_entry_name_t e;
    gw_topic_t *t = entry(p, id, r, &e, budget);
    if (t == &topic_later) return 0;
    if (!t || t == &gw_topic_none) {
        p->by_ring[id] = t;
        return 1;
    }
    gw_retire_unlist(p, t); /* it has come back before all who take patterns were told its end */
    t->ring_id = id;
    t->generation = e.generation;
    if (p->ends) t->renewed = 1; /* it may be one that has come back */
    take_state(p, t, id, budget);
    if (t->channel == GW_HEALTH) *budget -= (int64_t)gw_refused_route(p, t, 0) * GW_UNITS_LOOK;
    t->bound = 1;
    if (gw_topic_is_book(t)) gw_book_bound(p, t);
    p->topics_waiting--;
    if (t->attached) {
        p->by_ring[id] = t;
        return 1;
    }
    b->topic = t;
    b->id = id;
    b->sub = NULL;
    gw_pattern_index_begin(&b->cursor, &p->patterns, t->channel, p->names[t->number].text, t->length);
    return 1;
}

/* Goes on with the topic in hand; whether there is none any more. */
static int finish(gw_plane_t *p, int64_t *budget) {
    gw_binding_t *b = &p->binding;
    if (!b->topic) return 1;
    if (!b->topic->attached) {
        if (!attach(p, budget)) return 0;
        b->topic->attached = 1;
        b->awaiting = gw_walk_begin();
    }
    if (!name_has_come(b, budget)) return 0;
    p->by_ring[b->id] = b->topic;
    b->topic = NULL;
    return 1;
}

/* Gives up the topic in hand: it will be bound anew. */
gw_topic_t *gw_cover_undo(gw_plane_t *p) {
    gw_binding_t *b = &p->binding;
    gw_topic_t *t = b->topic;
    if (t) gw_pattern_index_end(&b->cursor, &p->patterns);
    if (t) t->attached = 0; /* it may not have told all who await it */
    b->topic = NULL;
    b->sub = NULL;
    return t;
}

/* Whether a record is of the topic that we know at its place; where another has lived there since, it ends. -1: the
 * record is of one before. */
static int is_of(gw_plane_t *p, const gw_topic_t *t, const gw_record_t *r, int64_t *budget) {
    const uint32_t id = r->h.topic;
    if (t != &gw_topic_none && gw_record_is_of(r, t->generation)) return 1;
    if (t != &gw_topic_none && (int16_t)(uint16_t)(r->h.generation - t->generation) < 0) return -1;
    *budget -= (int64_t)gw_topic_gone(p, id) * GW_UNITS_LOOK;
    return 0;
}

/* The topic at this place, bound and attached: NULL where that takes more than the budget, or more memory than
 * there is, to be tried again next turn: its records would be nobody's otherwise. */
gw_topic_t *gw_topic_of_ring(gw_plane_t *p, uint32_t id, const gw_record_t *r, int64_t *budget) {
    if (id >= p->by_ring_count) p->by_ring_count = gw_directory_count(&p->reader.segment);
    if (id >= p->by_ring_count || id >= p->by_ring_size) return &gw_topic_none;
    if (r && p->by_ring[id] && is_of(p, p->by_ring[id], r, budget) < 0) return &gw_topic_none;
    while (!p->by_ring[id]) {
        if (!finish(p, budget)) return NULL;
        if (!p->by_ring[id] && !begin(p, id, r, budget)) return &gw_topic_none;
        *budget -= GW_UNITS_TOPIC;
        if (!p->by_ring[id] && !p->binding.topic) return NULL;
    }
    return p->by_ring[id];
}

/* Whether every topic of the directory is bound. */
int gw_cover_done(gw_plane_t *p) {
    if (!p->mapping) return 1;
    p->by_ring_count = gw_directory_count(&p->reader.segment);
    if (p->by_ring_count > p->by_ring_size) p->by_ring_count = p->by_ring_size;
    uint64_t changes = gw_directory_changes(&p->reader.segment);
    if (p->bind_next >= p->by_ring_count && changes != p->bind_changes) { /* a pass that has begun goes to its end */
        p->bind_changes = changes;
        p->bind_next = 0;
    }
    return !p->binding.topic && p->bind_next == p->by_ring_count;
}

/* Binds what the directory has gained, as far as the budget goes; whether that was all. */
int gw_cover(gw_plane_t *p, int64_t *budget) {
    if (gw_cover_done(p)) return 1;
    for (; p->bind_next < p->by_ring_count; p->bind_next++) {
        if (*budget <= 0 || !gw_topic_of_ring(p, p->bind_next, NULL, budget)) return 0;
        *budget -= GW_UNITS_LOOK;
        gw_guard(p);
    }
    return finish(p, budget);
}
