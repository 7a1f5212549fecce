/* Subscriptions and links: who gets what. Which patterns cover a topic: gw_cover.c. */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include <string.h>

#define SLAB 256u         /* links allocated at once */

static gw_link_t *link_alloc(gw_plane_t *p) {
    if (!p->links_free) {
        gw_link_t *slab = calloc(SLAB, sizeof *slab);
        if (!slab) return NULL;
        slab[0].previous = p->slabs; /* the first of a slab only chains the slabs, to free them */
        p->slabs = &slab[0];
        for (uint32_t i = 1; i < SLAB; i++) {
            slab[i].next = p->links_free;
            p->links_free = &slab[i];
        }
    }
    gw_link_t *l = p->links_free;
    p->links_free = l->next;
    memset(l, 0, sizeof *l);
    return l;
}

gw_link_t *gw_link_find(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t) {
    return gw_map_get(&p->links, gw_link_key(p->clients, c, t->number));
}

/* The topic's audience of a format and variant, made where it has none; NULL: no memory. */
static gw_audience_t *audience(gw_topic_t *t, uint8_t format, uint16_t variant) {
    for (uint32_t i = 0; i < t->audiences_count; i++)
        if (t->audiences[i].format == format && t->audiences[i].variant == variant) return &t->audiences[i];
    gw_audience_t *audiences = realloc(t->audiences, (t->audiences_count + 1) * sizeof *audiences);
    if (!audiences) return NULL;
    t->audiences = audiences;
    gw_audience_t *a = &audiences[t->audiences_count++];
    *a = (gw_audience_t){.format = format, .variant = variant, .frame_seq = {UINT64_MAX, UINT64_MAX}};
    return a;
}

/* The audience that a link of the client joins, with room for it. */
static gw_audience_t *audience_room(gw_topic_t *t, const gw_client_t *c, uint16_t variant) {
    gw_audience_t *a = audience(t, c->format, variant);
    if (!a || a->count < a->size) return a;
    uint32_t size = a->size ? a->size * 2 : 4;
    gw_entry_t *links = realloc(a->links, size * sizeof *links);
    if (!links) return NULL;
    a->links = links;
    if (gw_topic_is_book(t)) {
        if (!(links = realloc(a->file.links, size * sizeof *links))) return NULL;
        a->file.links = links;
    }
    a->size = size;
    return a;
}

static void audience_join(gw_audience_t *a, gw_link_t *l) {
    l->audience = (uint8_t)(a - l->topic->audiences);
    l->place = a->count;
    a->links[a->count++] = (gw_entry_t){l->client, l};
    if (l->book) gw_book_link_join(l);
}

static void audience_leave(gw_link_t *l) {
    if (l->book) gw_book_link_leave(l);
    gw_audience_t *a = gw_link_audience(l);
    gw_entry_t last = a->links[--a->count];
    a->links[l->place] = last;
    last.link->place = l->place;
}

/* NULL: no memory; or it is not granted, which callers have asked already. */
gw_link_t *gw_link_make(gw_plane_t *p, gw_client_t *c, gw_topic_t *t, gw_sub_t *s) {
    int64_t paid = 0;
    gw_audience_t *a = gw_granted(p, c, t, &paid) ? audience_room(t, c, s->variant) : NULL;
    gw_link_t *l = a ? link_alloc(p) : NULL;
    if (!l) return NULL;
    l->client = c;
    if ((gw_topic_is_book(t) && gw_book_link_make(p, t, l)) || gw_map_put(&p->links, gw_link_key(p->clients, c, t->number), l)) {
        if (l->book) gw_book_link_end(p, t, l);
        l->next = p->links_free;
        p->links_free = l;
        return NULL;
    }
    l->topic = t;
    l->attach = t->routed;
    l->epoch = p->epochs;
    l->priority = GW_CLASS_NONE;
    audience_join(a, l);
    t->links_count++;
    l->next = c->links;
    if (c->links) c->links->previous = l;
    c->links = l;
    c->links_count++;
    c->conflated_links++;
    gw_link_announced(l, gw_topic_is_local(t) || !gw_plane_announces(p, c->format, t->channel));
    l->awaits = !t->attached;
    c->names_waiting += l->awaits;
    gw_link_govern(p, l, s, 0);
    if (gw_topic_is_local(t)) l->had = (uint32_t)t->seq, gw_local_followed(p, t);
    else gw_count(&p->stats->links[0], 1);
    return l;
}

/* What the client's links of one group of channels are of now: one class, or several. */
static void classify(gw_plane_t *p, gw_client_t *c, uint32_t group) {
    uint32_t kinds = 0, most_urgent = gw_group_class(c, group);
    for (uint32_t k = GW_CLASSES; k-- > 0;)
        if (c->class_links[group][k]) kinds++, most_urgent = k;
    c->priorities = (uint16_t)((c->priorities & ~(3u << 2 * group)) | most_urgent << 2 * group);
    const int mixed = kinds > (group == GW_CLASS_CANDLES ? 0u : 1u);
    c->mixed = (uint8_t)((c->mixed & ~(1u << group)) | (uint32_t)mixed << group);
    c->flags = (uint16_t)(c->mixed ? c->flags | GW_CLIENT_MIXED : c->flags & ~GW_CLIENT_MIXED);
    c->classes = 0;
    for (uint32_t i = 0; i < GW_CLASS_GROUPS; i++)
        for (uint32_t k = 0; k < GW_CLASSES; k++) c->classes |= (uint8_t)((c->class_links[i][k] > 0) << k);
    gw_client_refresh(p, c);
}

/* Moves a link to a class; UINT8_MAX is none. */
void gw_link_prioritise(gw_plane_t *p, gw_link_t *l, uint8_t priority) {
    gw_client_t *c = l->client;
    const uint8_t was = l->priority;
    const uint32_t group = gw_class_group(l->topic->channel);
    int changes = 0;
    if (was == priority) return;
    if (was < GW_CLASSES) {
        gw_count(&p->stats->class_links[was], (uint64_t)-1);
        changes |= --c->class_links[group][was] == 0;
    }
    l->topic->urgent -= was < 2;
    l->priority = priority;
    if (priority < GW_CLASSES) {
        gw_count(&p->stats->class_links[priority], 1);
        changes |= c->class_links[group][priority]++ == 0;
        l->topic->urgent += priority < 2;
    }
    if (changes) classify(p, c, group);
}

/* Moves what has been settled so far to the subscription; what is pending stays the link's. */
static void fold(gw_link_t *l, uint64_t pending) {
    const uint64_t routed = l->topic->routed - l->attach - pending, filtered = gw_link_filtered(l);
    l->sub->routed += routed;
    l->sub->conflated += l->conflated;
    l->sub->filtered += filtered;
    l->sub->dropped += l->dropped;
    l->sub->delivered += routed - l->conflated - filtered - l->dropped;
    l->attach = l->topic->routed - pending;
    l->conflated = l->filtered = l->dropped = 0;
    if (l->book) l->book->filtered_from = gw_link_audience(l)->filtered;
}

void gw_link_drop(gw_plane_t *p, gw_link_t *l) {
    gw_client_t *c = l->client;
    gw_topic_t *t = l->topic;
    gw_link_clean(p, l);
    fold(l, 0);
    if (c->rest.link == l) c->rest.link = NULL;
    if (l->sealed) gw_secure_forget(c, l);
    audience_leave(l);
    t->links_count--;
    if (l->book) gw_book_link_end(p, t, l);
    if (l->previous) l->previous->next = l->next;
    else c->links = l->next;
    if (l->next) l->next->previous = l->previous;
    c->links_count--;
    c->conflated_links -= !l->lossless;
    c->names_waiting -= l->awaits;
    gw_link_announced(l, 1);
    gw_link_prioritise(p, l, UINT8_MAX);
    gw_map_remove(&p->links, gw_link_key(p->clients, c, t->number));
    l->next = p->links_free;
    p->links_free = l;
    if (gw_topic_is_local(t)) {
        gw_local_followed(p, t);
        return;
    }
    gw_count(&p->stats->links[0], (uint64_t)-1);
    gw_topic_release(p, t);
}

/* A link that conflates from now on gets the newest of what it had still to replay, in its rate. */
static void conflate_replay(gw_plane_t *p, gw_link_t *l) {
    const gw_record_t *state = l->topic->state;
    const uint64_t left = gw_replay_settle(p, l, NULL, 1, GW_REPLAY_ENDED);
    if (!left) return;
    l->skipped = left - 1;
    gw_link_wait(p, l, GW_LINK_UPDATE, gw_record_published(state) - state->h.ingest_ns, p->taken_ns);
}

/* What has been conflated so far is told by a snapshot, where loss has to be told. */
static void mode(gw_plane_t *p, gw_link_t *l, uint8_t lossless) {
    if (lossless && l->dirty == GW_LINK_UPDATE) l->dirty = GW_LINK_RESYNC;
    l->client->conflated_links += (uint32_t)l->lossless - lossless;
    l->lossless = lossless & 1u;
    if (l->replay && !lossless) conflate_replay(p, l);
}

/* The link goes over to the audience of another variant: what is encoded for it from now on is of that. A walk over
 * the topic's links that is under way may miss it, so what the walk does is done here, or it begins again. */
static void vary(gw_plane_t *p, gw_link_t *l, uint16_t variant) {
    gw_topic_t *t = l->topic;
    const uint64_t retired = gw_link_audience(l)->retired_index;
    if (gw_link_audience(l)->variant == variant) return;
    gw_audience_t *a = audience_room(t, l->client, variant);
    if (!a) {
        gw_client_slow(p, l->client, "no memory for a topic");
        return;
    }
    audience_leave(l);
    audience_join(a, l);
    if (a->retired_index < retired) a->retired_index = retired; /* its client's queue may have older frames */
    l->client->names_waiting -= l->awaits && t->attached;
    l->awaits = l->awaits && !t->attached;
    p->full_again = 1;
    if (t->retiring) t->retiring = 2;
    if (l->book) gw_book_link_vary(p, l);
}

void gw_link_govern(gw_plane_t *p, gw_link_t *l, gw_sub_t *s, uint64_t pending) {
    if (l->sub) fold(l, pending);
    if (l->replay && l->replay->sub != s) gw_replay_disown(l);
    l->sub = s;
    gw_link_adopt(p, l);
}

/* The parameters of its subscription are others than before. */
void gw_link_adopt(gw_plane_t *p, gw_link_t *l) {
    mode(p, l, l->sub->lossless);
    gw_link_prioritise(p, l, l->sub->priority);
    vary(p, l, l->sub->variant);
    gw_link_rehold(p, l);
}

/* --- subscriptions --------------------------------------------------------------------------------- */

static uint64_t sub_key(const gw_plane_t *p, const gw_client_t *c, uint32_t id) {
    return (uint64_t)(c - p->clients) << 32 | id;
}

gw_sub_t *gw_sub_find(const gw_plane_t *p, const gw_client_t *c, uint32_t id) {
    return gw_map_get(&p->subs, sub_key(p, c, id));
}

gw_sub_t *gw_sub_make(gw_plane_t *p, gw_client_t *c, const gw_item_t *item) {
    gw_sub_t *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->pattern = item->is_pattern ? gw_pattern_intern(p, item) : NULL;
    if ((item->is_pattern && !s->pattern) || gw_map_put(&p->subs, sub_key(p, c, item->id), s)) {
        if (s->pattern) gw_pattern_release(p, s->pattern);
        free(s);
        return NULL;
    }
    s->client = c;
    s->id = item->id;
    s->channel = item->channel;
    gw_sub_t **list = &c->subs[item->is_pattern];
    s->next = *list;
    if (s->next) s->next->previous = s;
    *list = s;
    c->subs_count++;
    if (s->channel != GW_LOCAL && c->subs_fed++ == 0) gw_count(&p->wait->subscribed, 1);
    if (s->pattern) {
        s->pattern_next = s->pattern->subs;
        if (s->pattern_next) s->pattern_next->pattern_previous = s;
        s->pattern->subs = s;
    }
    return s;
}

/* The rate and the limit of age that it has from now on. What waits for its time already goes on with gw_link_adopt. */
int gw_sub_limit(gw_plane_t *p, gw_sub_t *s, uint16_t interval_ms, uint32_t age_ms) {
    gw_client_t *c = s->client;
    const uint32_t limited = c->limited;
    gw_hold_t *before = s->grid, *grid = interval_ms ? gw_grid_join(p, c, interval_ms, before) : NULL;
    if (interval_ms && !grid) return -ENOMEM;
    c->limited += (uint32_t)(grid || age_ms) - (before || s->age_ms);
    s->grid = grid;
    s->age_ms = age_ms;
    if (before) gw_grid_leave(p, before);
    if (!c->limited != !limited) gw_client_refresh(p, c);
    return 0;
}

void gw_sub_drop(gw_plane_t *p, gw_sub_t *s) {
    gw_client_t *c = s->client;
    gw_sub_limit(p, s, 0, 0);
    if (s->previous) s->previous->next = s->next;
    else c->subs[s->pattern != NULL] = s->next;
    if (s->next) s->next->previous = s->previous;
    c->subs_count--;
    if (s->channel != GW_LOCAL && --c->subs_fed == 0) gw_count(&p->wait->subscribed, (uint64_t)-1);
    if (s->pattern) {
        if (s->pattern_previous) s->pattern_previous->pattern_next = s->pattern_next;
        else s->pattern->subs = s->pattern_next;
        if (s->pattern_next) s->pattern_next->pattern_previous = s->pattern_previous;
        if (p->binding.sub == s) p->binding.sub = s->pattern_next;
        gw_pattern_release(p, s->pattern);
    }
    gw_map_remove(&p->subs, sub_key(p, c, s->id));
    free(s);
}

uint32_t gw_links_max(const gw_plane_t *p, const gw_client_t *c) {
    const gw_grant_t *g = c->grant ? p->grants[c->grant] : NULL;
    return g ? g->links_max : p->o.topics_per_client_max;
}

/* Whether the client may have no further topic. */
int gw_links_full(const gw_plane_t *p, const gw_client_t *c) { return c->links_count >= gw_links_max(p, c); }

/* Tells the client once per subscription that it may have no further topic. */
void gw_links_full_tell(gw_plane_t *p, gw_client_t *c, gw_sub_t *s) {
    const char *name = s->pattern ? s->pattern->text : s->topic->name;
    size_t length = s->pattern ? s->pattern->node.glob.length : s->topic->length;
    if (!s->limit_told)
        gw_limit_tell(p, c, "topics_per_connection", gw_links_max(p, c), name, length, s->pattern != NULL);
    s->limit_told = 1;
}
