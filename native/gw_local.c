/* Topics of this plane alone: no segment has them and no pattern covers them. Their records are texts that the loop
 * publishes, of which only the newest is ever sent (gw_local_round.c); their links are marks and nothing else. Here is what
 * others ask of one: its newest message, and that links of it have begun or ended.
 *
 * Its links are of no class, in no statistic of links, and what they are sent is in no histogram: the gateway speaks of
 * its latency here, and decides by those whom it takes on. */
#include "gw_plane_internal.h"
#include "gw_text.h"
#include <string.h>

#define FRESH_NS 1000000000 /* a message is sent again for so long; then it has a stamp of its own */

static gw_local_t *local_of(const gw_topic_t *t) { return (gw_local_t *)(uintptr_t)t; }

/* --- followers -------------------------------------------------------------------------------------- */

static void tell_loop(gw_plane_t *p, const gw_local_t *x) {
    gw_event_t *e = gw_event_new(GW_EVENT_LOCAL, 0, 0);
    if (!e) return; /* it asks for the number, too */
    e->token = (uint64_t)(x - p->locals);
    e->code = x->topic.links_count > 0;
    gw_event_put(p, e);
}

/* A link has begun, which is sent what there is; or one has ended.
 * What was said before the first of them came is old to those who come after the last one left. */
void gw_local_followed(gw_plane_t *p, gw_topic_t *t) {
    gw_local_t *x = local_of(t);
    const uint32_t before = x->followers;
    GW_STORE_RELAXED(&x->followers, t->links_count);
    if (!before != !t->links_count) tell_loop(p, x);
    if (t->links_count) return;
    t->seq = x->frames[GW_ENCODE_UPDATE].seq = x->frames[GW_ENCODE_SNAPSHOT].seq = 0;
    x->length = 0;
    p->locals_walking -= x->walking;
    x->walking = x->again = 0;
}

/* --- texts ------------------------------------------------------------------------------------------ */

static size_t put(uint8_t *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return length;
}

static size_t message(const gw_plane_t *p, const gw_local_t *x, int encode, uint8_t *out) {
    const gw_local_form_t *form = &p->o.locals[x - p->locals];
    char stamp[GW_FILL_WIDTH + GW_TEXT_SLACK];
    if (!form->before[encode][0]) return put(out, x->text, x->length);
    size_t n = put(out, form->before[encode], strlen(form->before[encode]));
    n += put(out + n, stamp, gw_text_unsigned((uint64_t)p->io.realtime(p->io.self), stamp));
    n += put(out + n, form->between, strlen(form->between));
    n += put(out + n, x->text, x->length);
    return n + put(out + n, form->behind, strlen(form->behind));
}

/* The newest text as a frame at `out` (GW_LOCAL_FRAME_MAX bytes), the same for all who are sent it by and by. */
size_t gw_local_render(gw_plane_t *p, const gw_topic_t *t, int encode, uint8_t *out) {
    gw_local_t *x = local_of(t);
    if (x->frames[encode].seq != t->seq || p->now - x->frames[encode].encoded_ns >= FRESH_NS) {
        uint8_t *bytes = x->frames[encode].bytes;
        const size_t payload = message(p, x, encode, bytes + GW_FRAME_HEADER_MAX);
        x->frames[encode].length = (uint32_t)gw_frame_close(GW_OP_TEXT, payload, bytes);
        x->frames[encode].encoded_ns = p->now;
        x->frames[encode].seq = t->seq;
    }
    return put(out, x->frames[encode].bytes, x->frames[encode].length);
}
