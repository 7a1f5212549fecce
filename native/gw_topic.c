/* Topics: names, who has which number, and the walk over a topic's links. */
#include "gw_plane_internal.h"
#include <string.h>
#include <sys/mman.h>

#define TOPICS_FIRST 1024u /* room for so many at first; whole pages of each array */

static uint64_t name_key(const gw_plane_t *p, uint8_t channel, const char *name, size_t length) {
    return gw_hash_name(p->names_key, channel, name, length);
}

gw_topic_t *gw_topic_find(const gw_plane_t *p, uint8_t channel, const char *name, size_t length) {
    gw_topic_t *t = gw_map_get(&p->topics_by_name, name_key(p, channel, name, length));
    while (t && (t->channel != channel || t->length != length || memcmp(t->name, name, length)))
        t = t->next_same_hash;
    return t;
}

/* Room for twice as many, by moving pages and not what is in them: a copy of 65,536 names takes milliseconds. */
static int array_grow(void **array, size_t each, size_t from, size_t to) {
    void *grown = *array ? mremap(*array, from * each, to * each, MREMAP_MAYMOVE)
                         : mmap(NULL, to * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED) return -ENOMEM;
    *array = grown;
    return 0;
}

static int topics_grow(gw_plane_t *p) {
    uint32_t from = p->topics_size, to = from ? from * 2 : TOPICS_FIRST;
    void *topics = p->topics, *unused = p->topics_free, *names = p->names;
    int error = array_grow(&topics, sizeof *p->topics, from, to);
    if (!error) p->topics = topics, error = array_grow(&unused, sizeof *p->topics_free, from, to);
    if (!error) p->topics_free = unused, error = array_grow(&names, sizeof *p->names, from, to);
    if (error) return error;
    p->names = names;
    p->topics_size = to;
    return 0;
}

void gw_topics_free(gw_plane_t *p) {
    if (p->topics) munmap(p->topics, p->topics_size * sizeof *p->topics);
    if (p->topics_free) munmap(p->topics_free, p->topics_size * sizeof *p->topics_free);
    if (p->names) munmap(p->names, p->topics_size * sizeof *p->names);
}

static int topic_number(gw_plane_t *p, uint32_t *number) {
    if (p->topics_free_count) {
        *number = p->topics_free[--p->topics_free_count];
        return 0;
    }
    if (p->topics_count == p->topics_size && topics_grow(p)) return -ENOMEM;
    *number = p->topics_count++;
    return 0;
}

/* Lets the topic be found by its name. */
int gw_topic_file(gw_plane_t *p, gw_topic_t *t) {
    const uint64_t key = name_key(p, t->channel, t->name, t->length);
    t->next_same_hash = gw_map_get(&p->topics_by_name, key);
    return gw_map_put(&p->topics_by_name, key, t);
}

int gw_topic_troubled(const gw_topic_t *t) {
    return t->channel == GW_HEALTH && t->seq && (t->state->u.health.troubled || t->state->u.health.suspect);
}

uint8_t gw_topic_suspects(const gw_topic_t *t) {
    return t->channel == GW_HEALTH && t->seq ? t->state->u.health.suspect : 0;
}

const gw_topic_t *gw_topic_health(const gw_plane_t *p, const gw_topic_t *t) {
    return p->health_topics && t->channel != GW_HEALTH ? gw_topic_find(p, GW_HEALTH, t->name, t->length) : NULL;
}

uint8_t gw_refused_known(const gw_plane_t *p, const gw_topic_t *t) {
    const gw_topic_t *health = gw_topic_health(p, t);
    return health ? gw_topic_suspects(health) >> t->channel & 1 : 0;
}

void gw_topic_fill(gw_topic_t *t, uint8_t channel, const char *name, size_t length) {
    t->state = &t->usual;
    t->state_cells = channel == GW_BOOK ? 0 : GW_RECORD_CELLS_TAIL; /* of a book: none of its records is kept whole */
    t->channel = channel;
    t->length = (uint8_t)length;
    memcpy(t->name, name, length);
}

gw_topic_t *gw_topic_make(gw_plane_t *p, uint8_t channel, const char *name, size_t length) {
    gw_topic_t *t = calloc(1, sizeof *t);
    if (!t || topic_number(p, &t->number)) {
        free(t);
        return NULL;
    }
    gw_topic_fill(t, channel, name, length);
    t->suspect = gw_refused_known(p, t);
    if (gw_topic_file(p, t)) {
        p->topics_free[p->topics_free_count++] = t->number;
        free(t);
        return NULL;
    }
    p->topics[t->number] = t;
    gw_grants_forget(p, t->number);
    p->health_topics += channel == GW_HEALTH;
    gw_name_fill(&p->names[t->number], channel, name, length);
    p->topics_waiting++;
    return t;
}

void gw_topic_clear(gw_topic_t *t) {
    if (t->state != &t->usual) free(t->state);
    for (uint32_t i = 0; i < t->audiences_count; i++) free(t->audiences[i].links), free(t->audiences[i].file.links);
    free(t->audiences);
}

void gw_topic_free(gw_topic_t *t) {
    gw_topic_clear(t);
    free(t);
}

gw_walk_t gw_walk_begin(void) { return (gw_walk_t){UINT32_MAX, 0}; }

/* The walk's next link; NULL: there is none. */
gw_link_t *gw_walk_next(const gw_topic_t *t, gw_walk_t *w) {
    if (w->audiences == UINT32_MAX) *w = (gw_walk_t){t->audiences_count, UINT32_MAX};
    for (; w->audiences; w->audiences--, w->links = UINT32_MAX) {
        const gw_audience_t *a = &t->audiences[w->audiences - 1];
        if (w->links > a->count) w->links = a->count;
        if (w->links) return a->links[--w->links].link;
    }
    return NULL;
}

/* --- those that have ended --------------------------------------------------------------------------- */

/* The round is to end its links of patterns. */
void gw_retire_list(gw_plane_t *p, gw_topic_t *t) {
    for (uint32_t i = 0; i < t->audiences_count; i++) /* frames of it are older */
        t->audiences[i].retired_index = p->lanes[t->audiences[i].format].log.index;
    if (t->retiring) {
        t->retiring = 2; /* the round may have passed this link already */
        return;
    }
    t->retiring = 1;
    t->retiring_previous = NULL;
    t->retiring_next = p->retiring;
    if (p->retiring) p->retiring->retiring_previous = t;
    p->retiring = t;
}

/* The round need not look at it any more. */
void gw_retire_unlist(gw_plane_t *p, gw_topic_t *t) {
    if (!t->retiring) return;
    t->retiring = 0;
    if (p->retire_at == t) p->retire_at = t->retiring_next, p->retire_place = gw_walk_begin();
    if (t->retiring_previous) t->retiring_previous->retiring_next = t->retiring_next;
    else p->retiring = t->retiring_next;
    if (t->retiring_next) t->retiring_next->retiring_previous = t->retiring_previous;
}

void gw_topic_release(gw_plane_t *p, gw_topic_t *t) {
    if (t->links_count || t->bound) return;
    gw_retire_unlist(p, t);
    if (p->full_next == t->number) p->full_link = gw_walk_begin(); /* another topic may have the number next */
    uint64_t key = name_key(p, t->channel, t->name, t->length);
    gw_topic_t *first = gw_map_get(&p->topics_by_name, key);
    if (first != t) {
        while (first->next_same_hash != t) first = first->next_same_hash;
        first->next_same_hash = t->next_same_hash;
    } else if (t->next_same_hash) {
        gw_map_put(&p->topics_by_name, key, t->next_same_hash);
    } else {
        gw_map_remove(&p->topics_by_name, key);
    }
    p->topics[t->number] = NULL;
    p->health_topics -= t->channel == GW_HEALTH;
    p->names[t->number].length = 0;
    p->topics_free[p->topics_free_count++] = t->number;
    p->topics_waiting--;
    gw_topic_free(t);
}

/* Marks show the last state, though no frame was encoded at this seq. */
void gw_topic_unbind(gw_plane_t *p, gw_topic_t *t) {
    while (t->replays) {
        gw_link_t *l = t->replays->link;
        uint64_t *reason = l->client->flags & GW_CLIENT_DOOMED ? gw_client_loss(p, l->client) : p->stats->dropped_epoch;
        gw_replay_settle(p, l, reason, 0, GW_REPLAY_ENDED);
    }
    t->bound = 0;
    t->renewed = 1;
    t->seq = 0;
    t->origin = 0;
    t->suspect = 0;
    gw_topic_frames_forget(t);
    if (t->book) gw_book_unbound(p, t);
    p->topics_waiting++;
    gw_topic_release(p, t);
}
