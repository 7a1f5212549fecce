/* A client's life: connecting, open, closing, away; and what it writes. Nothing here blocks. */
#include "gw_swarm_frame.h"
#include "gw_swarm_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- lists and bytes ------------------------------------------------------------------------------- */

void gw_swarm_list_remove(gw_swarm_client_t *c) {
    gw_swarm_list_t *list = c->list;
    if (!list) return;
    if (c->previous) c->previous->next = c->next;
    else list->head = c->next;
    if (c->next) c->next->previous = c->previous;
    else list->tail = c->previous;
    c->list = NULL;
}

void gw_swarm_list_add(gw_swarm_list_t *list, gw_swarm_client_t *c) {
    gw_swarm_list_remove(c);
    c->list = list;
    c->next = NULL;
    c->previous = list->tail;
    if (list->tail) list->tail->next = c;
    else list->head = c;
    list->tail = c;
}

int gw_swarm_bytes_add(gw_swarm_bytes_t *b, const void *bytes, size_t n) {
    if (!n) return 0;
    if (n > b->capacity - b->length) {
        size_t capacity = b->length + n + b->length / 2;
        uint8_t *bigger = realloc(b->bytes, capacity);
        if (!bigger) return -ENOMEM;
        b->bytes = bigger;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->length, bytes, n);
    b->length += n;
    return 0;
}

void gw_swarm_bytes_free(gw_swarm_bytes_t *b) {
    free(b->bytes);
    *b = (gw_swarm_bytes_t){NULL, 0, 0};
}

/* --- writing --------------------------------------------------------------------------------------- */

size_t gw_swarm_mask(uint8_t opcode, const uint8_t *bytes, size_t n, uint32_t key, uint8_t *out) {
    uint8_t mask[4];
    size_t at = gw_frame_header(opcode, n, out);
    out[1] |= 0x80;
    memcpy(mask, &key, 4);
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++) out[at + i] = bytes[i] ^ mask[i & 3];
    return at + n;
}

void gw_swarm_flush(gw_swarm_t *s, gw_swarm_client_t *c) {
    (void)s;
    while (c->out_sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.bytes + c->out_sent, c->out.length - c->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return; /* full, or broken, which reading will show */
        c->out_sent += (size_t)n;
    }
    gw_swarm_bytes_free(&c->out);
    c->out_sent = 0;
}

bool gw_swarm_send_bytes(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t n) {
    if (c->out.length - c->out_sent + n > s->out_bytes_max) return false;
    if (c->out_sent) {
        c->out.length -= c->out_sent;
        memmove(c->out.bytes, c->out.bytes + c->out_sent, c->out.length);
        c->out_sent = 0;
    }
    size_t sent = 0;
    if (!c->out.length) {
        ssize_t taken = send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken < 0 && errno != EAGAIN) return true; /* reading will show it */
        sent = taken > 0 ? (size_t)taken : 0;
    }
    if (!gw_swarm_bytes_add(&c->out, (const uint8_t *)bytes + sent, n - sent)) return true;
    if (sent) shutdown(c->fd, SHUT_RDWR); /* half a frame must not be followed by another */
    return false;
}

/* Of sealed bytes nothing is left out, or nothing behind them could be read. */
bool gw_swarm_send(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t n) {
    if (!c->tls) return gw_swarm_send_bytes(s, c, bytes, n);
    if (c->out.length - c->out_sent + 2 * n > s->out_bytes_max) return false;
    bytes = gw_swarm_seal(s, c, bytes, &n);
    if (bytes && gw_swarm_send_bytes(s, c, bytes, n)) return true;
    shutdown(c->fd, SHUT_RDWR);
    return false;
}

static uint32_t next_random(gw_swarm_t *s) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (uint32_t)(s->random >> 32);
}

void gw_swarm_control(gw_swarm_t *s, gw_swarm_client_t *c, uint8_t opcode, const uint8_t *bytes, size_t n) {
    uint8_t frame[GW_CONTROL_BYTES_MAX + 6];
    size_t length = gw_swarm_mask(opcode, bytes, n, next_random(s), frame);
    (void)gw_swarm_send(s, c, frame, length); /* a pong that finds no room is no loss */
}

/* --- connecting ------------------------------------------------------------------------------------ */

void gw_swarm_want(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_list_add(&s->wanting, c);
    s->timer_ns = s->monotonic_ns;
}

static int option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) ? -errno : 0;
}

static int bind_source(const gw_swarm_t *s, const gw_swarm_client_t *c) {
    uint32_t index = (uint32_t)(c - s->clients);
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (!s->o.sources_count) return 0;
    from.sin_addr.s_addr = s->o.sources[index % s->o.sources_count];
    /* The port is chosen at connect, where it only has to be new towards this server. */
    int error = option(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (!error && bind(c->fd, (struct sockaddr *)&from, sizeof from)) error = -errno;
    return error;
}

static int open_socket(gw_swarm_t *s, gw_swarm_client_t *c) {
    int64_t rcvbuf = GW_SWARM_VALUE(gw_swarm_group(s, c), rcvbuf_bytes);
    c->fd = socket(s->o.targets[c->target].ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return -errno;
    int error = option(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!error) error = option(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    if (!error && rcvbuf) error = option(c->fd, SOL_SOCKET, SO_RCVBUF, (int)rcvbuf);
    if (!error) error = bind_source(s, c);
    if (error) return error;
    /* Edges: registered once, whatever it waits for, and a client that does not read costs nothing. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u64 = (uint64_t)c->generation << 32 | (uint32_t)(c - s->clients)};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) ? -errno : 0;
}

static int begin_connect(int fd, const gw_swarm_target_t *t) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(t->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(t->port)};
    memcpy(&v4.sin_addr, t->address, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, t->address, sizeof v6.sin6_addr);
    const struct sockaddr *to = t->ipv6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;
    return connect(fd, to, t->ipv6 ? sizeof v6 : sizeof v4) ? -errno : 0;
}

void gw_swarm_start(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_list_add(&s->shaking, c);
    s->shaking_count++;
    c->state = GW_SWARM_CONNECTING;
    c->connect_ns = gw_monotonic_ns();
    c->due_ns = c->connect_ns + GW_SWARM_HANDSHAKE_NS;
    gw_swarm_timer(s, c->due_ns);
    int error = open_socket(s, c);
    if (!error) error = begin_connect(c->fd, &s->o.targets[c->target]);
    if (!error) gw_swarm_connected(s, c);
    else if (error != -EINPROGRESS && error != -EINTR) gw_swarm_refuse(s, c, (uint32_t)-error, GW_SWARM_SILENT);
}

void gw_swarm_connected(gw_swarm_t *s, gw_swarm_client_t *c) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length)) error = errno;
    if (error) {
        gw_swarm_refuse(s, c, (uint32_t)error, GW_SWARM_SILENT);
        return;
    }
    const gw_swarm_text_t *request = &s->o.targets[c->target].request;
    c->state = GW_SWARM_SHAKING;
    if (s->o.targets[c->target].host.length) {
        if (gw_swarm_tls_begin(s, c)) gw_swarm_refuse(s, c, ENOMEM, GW_SWARM_SILENT);
        else (void)gw_swarm_send_bytes(s, c, s->sealed.bytes, s->sealed.length);
    } else (void)gw_swarm_send(s, c, request->bytes, request->length);
}

void gw_swarm_opened(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_group_t *g = gw_swarm_group(s, c);
    gw_hdr_record(&g->histograms[GW_SWARM_HISTOGRAM_handshake], gw_monotonic_ns() - c->connect_ns, 1);
    gw_swarm_list_remove(c);
    s->shaking_count--;
    s->timer_ns = s->monotonic_ns; /* others may connect now */
    c->state = GW_SWARM_OPEN;
    GW_SWARM_COUNT(g, open, 1);
    GW_SWARM_COUNT(g, opened, 1);
    if (c->flags & GW_SWARM_OPENED) GW_SWARM_COUNT(g, reconnects, 1);
    c->flags = (c->flags & (uint8_t)~GW_SWARM_OFF) | GW_SWARM_OPENED;
    if (c->text >= 0) (void)gw_swarm_send(s, c, s->frames[c->text].bytes, s->frames[c->text].length);
}

/* --- ending ---------------------------------------------------------------------------------------- */

/* Gives back all that belongs to the connection. */
static void end(gw_swarm_t *s, gw_swarm_client_t *c) {
    if (c->state == GW_SWARM_CONNECTING || c->state == GW_SWARM_SHAKING) s->shaking_count--;
    if (c->state == GW_SWARM_OPEN) GW_SWARM_COUNT(gw_swarm_group(s, c), open, (uint64_t)-1);
    if (c->fd >= 0) close(c->fd);
    gw_swarm_list_remove(c);
    gw_swarm_topics_free(&c->topics);
    gw_swarm_numbers_free(&c->numbers);
    gw_swarm_bytes_free(&c->rest);
    gw_swarm_bytes_free(&c->message);
    gw_swarm_bytes_free(&c->out);
    gw_tls_free(c->tls);
    c->tls = NULL;
    c->fd = -1;
    c->generation++;
    c->rest_need = c->out_sent = 0;
    c->fragmented = false;
    c->state = GW_SWARM_IDLE;
    c->flags &= GW_SWARM_OPENED | GW_SWARM_TOLD;
    s->timer_ns = s->monotonic_ns;
}

void gw_swarm_refuse(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t why, gw_swarm_span_t message) {
    if (why >= GW_SWARM_REFUSED_COUNT) why = GW_SWARM_REFUSED_ANSWER;
    gw_hdr_add(&s->refusals[why], 1);
    gw_swarm_refusals_note(&s->refused_rows, GW_SWARM_REFUSAL_HANDSHAKE, why, GW_SWARM_SILENT, message);
    GW_SWARM_COUNT(gw_swarm_group(s, c), refused, 1);
    end(s, c);
    if (!(c->flags & GW_SWARM_OPENED)) return; /* only who was let in once asks again */
    c->due_ns = s->monotonic_ns + GW_SWARM_RETRY_NS;
    gw_swarm_list_add(&s->refused, c);
}

void gw_swarm_lose(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_group_t *g = gw_swarm_group(s, c);
    GW_SWARM_COUNT(g, closed, 1);
    end(s, c);
    if (!GW_SWARM_VALUE(g, reconnect_ns)) return;
    c->due_ns = s->monotonic_ns + GW_SWARM_VALUE(g, reconnect_ns);
    gw_swarm_list_add(&g->away, c);
}

void gw_swarm_fail(gw_swarm_t *s, gw_swarm_client_t *c, uint16_t code) {
    uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (c->state == GW_SWARM_OPEN) gw_swarm_control(s, c, GW_OP_CLOSE, bytes, sizeof bytes);
    if (c->state == GW_SWARM_OPEN) gw_swarm_lose(s, c);
    else gw_swarm_refuse(s, c, GW_SWARM_REFUSED_ANSWER, GW_SWARM_SILENT);
}

void gw_swarm_leave(gw_swarm_t *s, gw_swarm_client_t *c) {
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
    gw_swarm_control(s, c, GW_OP_CLOSE, normal, sizeof normal);
    GW_SWARM_COUNT(gw_swarm_group(s, c), open, (uint64_t)-1);
    c->state = GW_SWARM_CLOSING;
    c->due_ns = s->monotonic_ns + GW_SWARM_CLOSING_NS;
    gw_swarm_list_add(&s->closing, c);
    gw_swarm_timer(s, c->due_ns);
}

void gw_swarm_left(gw_swarm_t *s, gw_swarm_client_t *c) {
    gw_swarm_group_t *g = gw_swarm_group(s, c);
    end(s, c);
    if (!GW_SWARM_VALUE(g, reconnect_ns)) {
        gw_swarm_want(s, c);
        return;
    }
    c->due_ns = s->monotonic_ns + GW_SWARM_VALUE(g, reconnect_ns);
    gw_swarm_list_add(&g->away, c);
}

void gw_swarm_drop(gw_swarm_t *s, gw_swarm_client_t *c) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    end(s, c);
    gw_swarm_want(s, c);
}
