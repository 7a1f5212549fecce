/* The texts of topics of this plane alone: taken from the loop, and given to all followers in a *round* over the topic's
 * links: some in a slice, each of which is a visit that ticks wait for, then a rest. A link that the round comes to is routed a
 * record: its mark pends, or takes the place of the one that its socket has not taken yet. A text that comes meanwhile is what
 * the rest of the round gives; who has had the one before gets it in the next round. Who is new has the newest as its
 * snapshot, and the first text there is where there was none yet. */
#include "gw_plane_internal.h"
#include <string.h>

#define GIVEN_MAX 16u      /* links that a slice marks: as many visits as a turn has */
#define LOOKS_MAX 1024u    /* links that it looks at */
#define REST_NS 1250000    /* to the next slice: 12,800 clients a second, 6 % of the thread at 5 us a visit */
#define ENDS(text) (memchr(text, 0, sizeof(text)) != NULL)

static int form_valid(const gw_local_form_t *f) {
    if (!f->name[0] || !f->before[GW_ENCODE_UPDATE][0] != !f->before[GW_ENCODE_SNAPSHOT][0]) return 0;
    return ENDS(f->name) && ENDS(f->before[0]) && ENDS(f->before[1]) && ENDS(f->between) && ENDS(f->behind);
}

int gw_locals_valid(const gw_plane_options_t *o) {
    int valid = o->locals_count <= GW_LOCALS_MAX;
    for (uint32_t i = 0; valid && i < o->locals_count; i++) valid = form_valid(&o->locals[i]);
    return valid;
}

int gw_locals_init(gw_plane_t *p) {
    const uint32_t n = p->o.locals_count;
    p->locals = calloc(n + !n, sizeof *p->locals);
    if (!p->locals) return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        gw_topic_t *t = &p->locals[i].topic;
        const char *name = p->o.locals[i].name;
        gw_topic_fill(t, GW_LOCAL, name, strlen(name));
        t->number = UINT32_MAX - i; /* no topic of the directory has it */
        t->bound = t->attached = 1;
        t->state->h.flags = GW_FLAG_PACED;
        if (gw_topic_file(p, t)) return -ENOMEM;
    }
    return 0;
}

void gw_locals_free(gw_plane_t *p) {
    for (uint32_t i = 0; p->locals && i < p->o.locals_count; i++) gw_topic_clear(&p->locals[i].topic);
    free(p->locals);
}

/* --- texts ------------------------------------------------------------------------------------------- */

/* One that was published already says nothing new: all who follow have it, or will. */
void gw_local_publish(gw_plane_t *p, const gw_command_t *x) {
    gw_local_t *local = &p->locals[x->local];
    gw_topic_t *t = &local->topic;
    if (!t->links_count) return;
    if (t->seq && x->bytes_count == local->length && !memcmp(x->bytes, local->text, local->length)) return;
    memcpy(local->text, x->bytes, x->bytes_count);
    local->length = x->bytes_count;
    t->seq++;
    if (local->walking) {
        local->again = 1;
        return;
    }
    local->walking = 1;
    local->walk = gw_walk_begin();
    p->locals_walking++;
}

/* --- the round --------------------------------------------------------------------------------------- */

static void give(gw_plane_t *p, gw_link_t *l) {
    const int first = !l->had;
    l->had = (uint32_t)l->topic->seq;
    if (l->client->flags & GW_CLIENT_DOOMED) return;
    l->attach--; /* its own: the round comes to the others later */
    gw_count(&p->stats->routed[GW_LOCAL], 1);
    gw_count(&p->stats->pending[GW_LOCAL], 1);
    if (gw_link_is_marked(l)) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
    } else {
        l->dirty_recv_ns = l->dirty_taken_ns = p->now;
        gw_link_dirty(p, l, first ? GW_LINK_RESYNC : GW_LINK_UPDATE);
    }
}

/* Some of the topic's followers; how many were given the text. */
static uint32_t slice(gw_plane_t *p, gw_local_t *x) {
    gw_link_t *l = NULL;
    uint32_t given = 0, looks = 0;
    while (given < GIVEN_MAX && looks++ < LOOKS_MAX && (l = gw_walk_next(&x->topic, &x->walk))) {
        if (l->had == (uint32_t)x->topic.seq) continue;
        give(p, l);
        given++;
    }
    if (l) return given;
    x->walk = gw_walk_begin();
    p->locals_walking -= !x->again;
    x->walking = x->again;
    x->again = 0;
    return given;
}

/* One topic's slice, then the next one's: a round that never ends, since texts come faster, holds up no other. */
void gw_locals_round(gw_plane_t *p) {
    if (p->now < p->locals_ns) return;
    do p->locals_next = (p->locals_next + 1) % p->o.locals_count;
    while (!p->locals[p->locals_next].walking);
    if (slice(p, &p->locals[p->locals_next])) p->locals_ns = p->now + REST_NS;
}

int64_t gw_locals_due(const gw_plane_t *p) { return p->locals_walking ? p->locals_ns : INT64_MAX; }
