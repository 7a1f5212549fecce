/* A client over TLS: what its socket has not taken of what is sealed, and the frames in it.
 *
 * Once bytes are sealed they must leave as they are, in their order: the reader's keys count records. So they are its
 * *rest* until the socket takes them, and the frames in them are neither conflated nor dropped, but pending: as *stubs*,
 * which are counted as delivered when the last byte of their record has left. */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include <string.h>
#include <sys/epoll.h>

#define STUBS_FIRST 16u

gw_secure_step_t *gw_secure_step(gw_plane_t *p) {
    p->secure_step->out = (gw_tls_out_t){p->secure_step->sealed, 0, sizeof p->secure_step->sealed};
    return p->secure_step;
}

/* --- what is sealed ---------------------------------------------------------------------------------- */

int gw_secure_keep(gw_client_t *c, const uint8_t *bytes, size_t length) {
    gw_secure_t *s = c->secure;
    const size_t left = s->rest_length - s->rest_sent;
    uint8_t *all = malloc(left + length);
    if (!all) return -ENOMEM;
    if (left) memcpy(all, s->rest + s->rest_sent, left);
    memcpy(all + left, bytes, length);
    free(s->rest);
    s->rest = all;
    s->rest_length = (uint32_t)(left + length);
    s->rest_sent = 0;
    return 0;
}

int gw_secure_stub(gw_client_t *c, const gw_stub_t *stub) {
    gw_secure_t *s = c->secure;
    if (!stub->counts && !(stub->flags & GW_FRAME_SNAPSHOT)) return 0;
    if (s->stubs_count == s->stubs_size) {
        const uint32_t size = s->stubs_size ? 2 * s->stubs_size : STUBS_FIRST;
        gw_stub_t *more = realloc(s->stubs, size * sizeof *more);
        if (!more) return -ENOMEM;
        s->stubs = more;
        s->stubs_size = size;
    }
    if (stub->link) stub->link->sealed++;
    s->stubs[s->stubs_count++] = *stub;
    return 0;
}

int gw_secure_stub_run(gw_plane_t *p, gw_client_t *c, const gw_log_t *log, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const gw_frame_t *f = gw_log_frame(log, first + i);
        const uint8_t counts = !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE));
        if (f->flags & GW_FRAME_NOTICE) continue;
        const gw_stub_t stub = {.recv_ns = f->recv_ns, .taken_ns = f->taken_ns, .channel = f->channel, .flags = f->flags,
                                .counts = counts, .priority = (uint8_t)gw_frame_class(p, c, f),
                                .link = counts ? gw_frame_link(p, c, f) : NULL};
        if (counts && c->flags & GW_CLIENT_BLOCKED) c->waiting[f->channel]--;
        if (gw_secure_stub(c, &stub)) return -ENOMEM;
    }
    return 0;
}

static void sealed_free(gw_secure_t *s) {
    free(s->rest);
    free(s->stubs);
    s->rest = NULL;
    s->stubs = NULL;
    s->rest_length = s->rest_sent = s->stubs_count = s->stubs_size = 0;
}

void gw_secure_delivered(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    for (const gw_stub_t *x = s->stubs, *end = x ? x + s->stubs_count : x; x < end; x++) {
        if (x->counts) gw_delivered(p, x->channel, x->priority, x->flags, x->recv_ns, x->taken_ns);
        else gw_count(&p->stats->snapshots[x->channel], 1);
        if (x->link) x->link->sealed--;
    }
    sealed_free(s);
}

void gw_secure_forget(gw_client_t *c, gw_link_t *l) {
    for (gw_stub_t *x = c->secure->stubs, *end = x + c->secure->stubs_count; x < end; x++)
        if (x->link == l) x->link = NULL;
    l->sealed = 0;
}

void gw_secure_drop(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    for (const gw_stub_t *x = s->stubs, *end = x ? x + s->stubs_count : x; x < end; x++) {
        if (x->link) x->link->sealed--;
        if (!x->counts) continue;
        gw_count(&p->stats->dropped_closed[x->channel], 1);
        gw_count(&p->stats->pending[x->channel], (uint64_t)-1);
    }
    sealed_free(s);
}

int64_t gw_secure_oldest(const gw_client_t *c, int64_t oldest) {
    const gw_secure_t *s = c->secure;
    for (uint32_t i = 0; i < s->stubs_count; i++)
        if (s->stubs[i].counts && s->stubs[i].taken_ns < oldest) oldest = s->stubs[i].taken_ns;
    return oldest;
}

/* --- its time ---------------------------------------------------------------------------------------- */

gw_secure_t *gw_secure_new(gw_tls_t *t) {
    gw_secure_t *s = calloc(1, sizeof *s);
    if (s) s->tls = t;
    return s;
}

void gw_secure_end(gw_secure_t *s) {
    if (s) gw_tls_free(s->tls);
    free(s);
}

void gw_secure_add(gw_plane_t *p, gw_client_t *c, gw_secure_t *s) {
    c->secure = s;
    c->flags |= GW_CLIENT_SECURE;
    p->reporting++;
}

void gw_secure_free(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    if (!s) return;
    gw_secure_drop(p, c);
    if (s->listed) {
        gw_client_t **at = &p->reads.first;
        gw_client_t *before = NULL;
        for (; *at != c; before = *at, at = &(*at)->secure->reads_next);
        *at = s->reads_next;
        if (p->reads.last == c) p->reads.last = before;
    }
    gw_secure_end(s);
    c->secure = NULL;
    p->reporting--;
}

/* --- the socket -------------------------------------------------------------------------------------- */

int gw_secure_watch(gw_plane_t *p, gw_client_t *c, unsigned wanted) {
    gw_secure_t *s = c->secure;
    wanted |= s->armed;
    if (wanted == s->armed) return 0;
    struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = gw_client_handle(p, c)};
    if (wanted & GW_SECURE_IN) e.events |= EPOLLIN;
    if (wanted & GW_SECURE_OUT) e.events |= EPOLLOUT;
    if (epoll_ctl(p->epoll_fd, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) return errno;
    c->watched = 1;
    s->armed = (uint8_t)wanted;
    return 0;
}
