/* What a client over TLS is sent: sealed here, a record at a time. What its socket does not take is kept as it is. */
#include "gw_plane_internal.h"
#include "gw_consume.h"
#include <string.h>

/* Sealed bytes. How many left, or -errno. */
static ssize_t send_bytes(gw_plane_t *p, gw_client_t *c, const uint8_t *bytes, size_t length) {
    const struct iovec one = {(void *)(uintptr_t)bytes, length};
    ssize_t n;
    int error;
    do {
        n = p->io.send(p->io.self, c->fd, &one, 1);
        error = n < 0 ? errno : 0;
    } while (error == EINTR);
    p->now = p->io.monotonic(p->io.self);
    if (error) return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS ? 0 : -error;
    gw_count(&p->stats->sends[0], 1);
    gw_count(&p->stats->sent_bytes[0], (uint64_t)n);
    GW_STORE_RELAXED(&c->sent_ns, p->now);
    return n;
}

/* What the step has sealed, where nothing waits in front of it. */
static int send_step(gw_plane_t *p, gw_client_t *c) {
    const gw_tls_out_t *out = &p->secure_step->out;
    const ssize_t n = out->length ? send_bytes(p, c, out->bytes, out->length) : 0;
    if (n < 0) return (int)n;
    if ((size_t)n == out->length) return 0;
    return gw_secure_keep(c, out->bytes + n, out->length - (size_t)n) ? -ENOMEM : 1;
}

/* The first bytes of what was gathered, in one piece. */
static const uint8_t *joined(gw_plane_t *p, const gw_gather_t *g, size_t bytes) {
    if (g->parts[0].iov_len >= bytes) return g->parts[0].iov_base;
    size_t at = 0;
    for (int i = 0; at < bytes; i++) {
        const size_t n = g->parts[i].iov_len < bytes - at ? g->parts[i].iov_len : bytes - at;
        memcpy(p->secure_step->plain + at, g->parts[i].iov_base, n);
        at += n;
    }
    return p->secure_step->plain;
}

static int queue_sealed(gw_plane_t *p, gw_client_t *c, size_t *bytes) { return gw_consume_queue(p, c, bytes, 1); }

static int queue_left(gw_plane_t *p, gw_client_t *c, size_t *bytes) { return gw_consume_queue(p, c, bytes, 0); }

int gw_secure_send(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g) {
    gw_secure_step_t *step = gw_secure_step(p);
    const size_t bytes = g->bytes < GW_TLS_RECORD_MAX ? g->bytes : GW_TLS_RECORD_MAX;
    if (gw_tls_write(c->secure->tls, &step->out, joined(p, g, bytes), bytes)) return -EPROTO;
    const int answer = send_step(p, c);
    if (answer < 0) return answer;
    const int error = answer ? gw_consume(p, c, g, bytes, 1, queue_sealed) : gw_consume(p, c, g, bytes, 0, queue_left);
    return error ? error : answer;
}

int gw_secure_send_rest(gw_plane_t *p, gw_client_t *c) {
    gw_secure_t *s = c->secure;
    const ssize_t n = send_bytes(p, c, s->rest + s->rest_sent, s->rest_length - s->rest_sent);
    if (n < 0) return (int)n;
    s->rest_sent += (uint32_t)n;
    if (s->rest_sent < s->rest_length) return 1;
    gw_secure_delivered(p, c);
    return 0;
}

int gw_secure_answer(gw_plane_t *p, gw_client_t *c) {
    const gw_tls_out_t *out = &p->secure_step->out;
    if (!c->secure->rest) return send_step(p, c);
    return gw_secure_keep(c, out->bytes, out->length) ? -ENOMEM : 0; /* it is blocked already */
}

int gw_secure_close(gw_plane_t *p, gw_client_t *c) {
    if (c->secure->closed) return 0;
    c->secure->closed = 1;
    gw_tls_close(c->secure->tls, &gw_secure_step(p)->out);
    return send_step(p, c);
}
