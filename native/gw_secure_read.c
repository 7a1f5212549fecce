/* Reading of clients over TLS, since keys of both directions are one state: a record at a time, which the loop is told and
 * asks for the next one. So no more than one waits for it, and who is not to be read is not. */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include "gw_visit.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READS 8u /* in a turn: at 5 to 15 us */
#define UPDATES_NS 60000000000 /* in which so many (GW_TLS_UPDATES_MAX) are not too many */

static void list(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    if (s->listed) return;
    s->listed = 1;
    s->reads_next = NULL;
    if (p->reads.last) p->reads.last->secure->reads_next = c;
    else p->reads.first = c;
    p->reads.last = c;
}

/* A socket that can't be watched would be silent for ever. */
static void watch(gw_plane_t *p, gw_client_t *c, unsigned wanted) {
    const int error = gw_secure_watch(p, c, wanted);
    if (error) gw_client_gone(p, c, error);
}

void gw_secure_want(gw_plane_t *p, gw_client_t *c) {
    if (!c->secure || c->flags & GW_CLIENT_GONE) return;
    if (gw_tls_fed(c->secure->tls)) list(p, c);
    else watch(p, c, GW_SECURE_IN);
}

void gw_secure_reported(gw_plane_t *p, gw_client_t *c, uint32_t events) {
    gw_secure_t *s = c->secure;
    const unsigned was = s->armed;
    s->armed = 0;
    if (was & GW_SECURE_IN && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) list(p, c);
    else if (was & GW_SECURE_IN) watch(p, c, GW_SECURE_IN);
    if (!(was & GW_SECURE_OUT)) return;
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) gw_turn_later(p, c);
    else watch(p, c, GW_SECURE_OUT);
}

/* --- a record ---------------------------------------------------------------------------------------- */

static ssize_t discard(const gw_client_t *c, void *out, size_t size) {
    const ssize_t n = recv(c->fd, out, size, MSG_DONTWAIT);
    if (n > 0) return n;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -ECONNRESET;
}

/* What came, or that nothing will any more (`length` 0). */
static void tell(gw_plane_t *p, gw_client_t *c, const uint8_t *bytes, size_t length) {
    const size_t kept = c->secure->discards ? 0 : length;
    gw_event_t *e = gw_event_new(GW_EVENT_DATA, gw_client_handle(p, c), (uint32_t)((kept + sizeof(gw_row_t) - 1) / sizeof(gw_row_t)));
    if (!e) {
        gw_client_gone(p, c, ENOMEM);
        return;
    }
    e->token = length;
    e->code = !c->secure->discards;
    if (kept) memcpy(e->rows, bytes, kept);
    gw_event_put(p, e);
}

/* Whether the peer has its keys changed so often that nothing else is done. */
static int floods(gw_plane_t *p, gw_client_t *c, uint32_t before) {
    gw_secure_t *s = c->secure;
    const uint32_t now = gw_tls_updates(s->tls);
    if (now == before) return 0;
    if (!s->updates_ns || p->now - s->updates_ns >= UPDATES_NS) {
        s->updates_ns = p->now;
        s->updates = before;
    }
    return now - s->updates > GW_TLS_UPDATES_MAX;
}

static void read_record(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    if (c->flags & GW_CLIENT_GONE) return;
    gw_secure_step_t *step = gw_secure_step(p);
    const uint32_t before = gw_tls_updates(s->tls);
    s->discards |= c->closing; /* what it says now is no message any more */
    const ssize_t n = s->discards ? discard(c, step->plain, sizeof step->plain)
                                  : gw_tls_read(s->tls, &step->out, step->plain, sizeof step->plain);
    const int answer = step->out.length && !s->discards ? gw_secure_answer(p, c) : 0;
    if (answer > 0) gw_client_block(p, c);
    if (answer < 0 || n == -EPROTO) {
        gw_client_gone(p, c, answer < 0 ? -answer : EPROTO);
    } else if (floods(p, c, before)) {
        s->discards = 1;
        gw_client_doom(p, c, 1008, "too many TLS key updates");
        gw_secure_want(p, c);
    } else if (n) {
        tell(p, c, step->plain, n > 0 ? (size_t)n : 0);
    } else {
        gw_secure_want(p, c);
    }
}

int gw_secure_reads(gw_plane_t *p) {
    if (!p->begun_ns) p->begun_ns = p->now;
    for (uint32_t n = 0; n < READS && p->reads.first; n++) {
        gw_client_t *c = p->reads.first;
        p->reads.first = c->secure->reads_next;
        if (!p->reads.first) p->reads.last = NULL;
        c->secure->listed = 0;
        read_record(p, c);
    }
    p->now = p->io.monotonic(p->io.self);
    return 1;
}
