/* Reading: one shared buffer for all clients, so that what was just read is still in the cache when it is
 * looked at; only what is no whole frame yet is kept with the client. */
#include "gw_swarm_frame.h"
#include "gw_swarm_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CLOSED_WITHOUT_CODE 1005u  /* RFC 6455 section 7.4.1: never sent, but told so */
#define CLOSED_WITHOUT_FRAME 1006u
#define DRAINS_MAX 16 /* reads in a turn of a client that leaves; the deadline ends what takes longer */

/* --- the upgrade's response ------------------------------------------------------------------------ */

/* The value of a header in a response's head, without spaces around it. */
static gw_swarm_span_t header(const char *head, size_t length, const char *name) {
    const char *end = head + length;
    size_t name_length = strlen(name);
    for (const char *line = head; line && line < end; line = memchr(line, '\n', (size_t)(end - line))) {
        if (*line == '\n') line++;
        if ((size_t)(end - line) <= name_length || strncasecmp(line, name, name_length)) continue;
        if (line[name_length] != ':') continue;
        gw_swarm_span_t value = {line + name_length + 1, memchr(line, '\r', (size_t)(end - line))};
        if (!value.end) break;
        while (value.at < value.end && *value.at == ' ') value.at++;
        while (value.at < value.end && value.end[-1] == ' ') value.end--;
        return value;
    }
    return (gw_swarm_span_t){NULL, NULL};
}

/* Why a whole head is refused; 0: it is the upgrade that we asked for. */
static uint32_t head_refused(const gw_swarm_t *s, const char *head, size_t length) {
    static const char version[] = "HTTP/1.1 ";
    gw_swarm_span_t status = {head + sizeof version - 1, head + sizeof version + 2};
    uint64_t code;
    if (length < sizeof version + 3 || memcmp(head, version, sizeof version - 1) ||
        !gw_swarm_json_unsigned(status, &code))
        return GW_SWARM_REFUSED_ANSWER;
    if (code != 101)
        return code >= GW_SWARM_REFUSED_STATUS_MIN && code < GW_SWARM_REFUSED_ANSWER
                   ? (uint32_t)code
                   : GW_SWARM_REFUSED_ANSWER;
    if (!s->o.accept.length) return 0;
    gw_swarm_span_t accept = header(head, length, "Sec-WebSocket-Accept");
    bool same = accept.at && (size_t)(accept.end - accept.at) == s->o.accept.length &&
                !memcmp(accept.at, s->o.accept.bytes, s->o.accept.length);
    return same ? 0 : GW_SWARM_REFUSED_ANSWER;
}

/* What a refusal says: its body, as far as it came; without one the words of its status line. */
static gw_swarm_span_t said(const char *bytes, size_t length, size_t n) {
    static const char version[] = "HTTP/1.1 503";
    if (n > length) return (gw_swarm_span_t){bytes + length, bytes + n};
    gw_swarm_span_t words = {bytes + sizeof version - 1, memchr(bytes, '\r', n)};
    return words.end && words.end > words.at ? words : GW_SWARM_SILENT;
}

/* Whether more of a refusal's body will come than is there, and is of interest. */
static bool says_more(const char *bytes, size_t length, size_t n) {
    uint64_t body;
    if (!gw_swarm_json_unsigned(header(bytes, length, "Content-Length"), &body)) return false;
    return n - length < (body < GW_SWARM_REFUSAL_MESSAGE_BYTES ? body : GW_SWARM_REFUSAL_MESSAGE_BYTES);
}

/* Takes the response; its length once it is whole, with the client open. 0: not yet, or refused. */
static size_t shake(gw_swarm_t *s, gw_swarm_client_t *c, const char *bytes, size_t n) {
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);
    size_t length = end ? (size_t)(end - bytes) + 4 : n;
    if (!end && n <= GW_SWARM_ANSWER_BYTES_MAX) return 0;
    uint32_t why = end ? head_refused(s, bytes, length) : GW_SWARM_REFUSED_ANSWER;
    if (why) {
        if (why < GW_SWARM_REFUSED_ANSWER && says_more(bytes, length, n)) return 0;
        gw_swarm_refuse(s, c, why, why < GW_SWARM_REFUSED_ANSWER ? said(bytes, length, n) : GW_SWARM_SILENT);
        return 0;
    }
    gw_swarm_opened(s, c);
    return length;
}

void gw_swarm_unanswered(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t why) {
    const char *bytes = c->rest.length ? (const char *)c->rest.bytes : "";
    const char *end = memmem(bytes, c->rest.length, "\r\n\r\n", 4);
    if (!end) {
        gw_swarm_refuse(s, c, why, GW_SWARM_SILENT);
        return;
    }
    /* Only a refusal that said that it would go on is kept with its head whole. */
    size_t length = (size_t)(end - bytes) + 4;
    gw_swarm_refuse(s, c, head_refused(s, bytes, length), said(bytes, length, c->rest.length));
}

/* --- frames ---------------------------------------------------------------------------------------- */

static void fail_protocol(gw_swarm_t *s, gw_swarm_client_t *c) {
    GW_SWARM_COUNT(gw_swarm_group(s, c), protocol_errors, 1);
    gw_swarm_fail(s, c, 1002);
}

/* Whether a close frame may say this code (RFC 6455 section 7.4; 1012 to 1014 are IANA's). */
static bool may_be_said(uint32_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void closed(gw_swarm_t *s, gw_swarm_client_t *c, const uint8_t *bytes, size_t n) {
    uint32_t code = n >= 2 ? (uint32_t)bytes[0] << 8 | bytes[1] : CLOSED_WITHOUT_CODE;
    if (n == 1 || (n && !may_be_said(code))) {
        fail_protocol(s, c);
        return;
    }
    gw_swarm_group_t *g = gw_swarm_group(s, c);
    gw_swarm_span_t reason = {(const char *)bytes + 2, (const char *)bytes + n};
    if (code == 4008) GW_SWARM_COUNT(g, closed_4008, 1);
    else GW_SWARM_COUNT(g, closed_other, 1);
    gw_swarm_refusals_note(&s->refused_rows, GW_SWARM_REFUSAL_CLOSE, code, GW_SWARM_SILENT,
                           n > 2 ? reason : GW_SWARM_SILENT);
    gw_swarm_control(s, c, GW_OP_CLOSE, bytes, n < 2 ? 0 : 2);
    gw_swarm_lose(s, c);
}

static void message(gw_swarm_t *s, gw_swarm_client_t *c, bool binary, const uint8_t *bytes, size_t n) {
    if (binary) gw_swarm_binary(s, c, (const char *)bytes, n);
    else gw_swarm_message(s, c, (const char *)bytes, n);
}

/* A frame of a message in several. */
static void fragment(gw_swarm_t *s, gw_swarm_client_t *c, const gw_swarm_frame_t *f, const uint8_t *bytes) {
    if (c->fragmented == (f->opcode != GW_OP_CONTINUATION)) {
        fail_protocol(s, c);
        return;
    }
    if (gw_swarm_bytes_add(&c->message, bytes, f->length)) {
        gw_swarm_fail(s, c, 1011);
        return;
    }
    if (f->opcode != GW_OP_CONTINUATION) c->binary = f->opcode == GW_OP_BINARY;
    c->fragmented = !f->fin;
    if (c->fragmented) return;
    /* Nothing but empty fragments left no bytes. */
    message(s, c, c->binary, c->message.length ? c->message.bytes : (const uint8_t *)"", c->message.length);
    gw_swarm_bytes_free(&c->message);
}

static void frame(gw_swarm_t *s, gw_swarm_client_t *c, const gw_swarm_frame_t *f, const uint8_t *bytes) {
    switch (f->opcode) {
    case GW_OP_CLOSE: closed(s, c, bytes, f->length); break;
    case GW_OP_PING: gw_swarm_control(s, c, GW_OP_PONG, bytes, f->length); break;
    case GW_OP_PONG: break;
    default:
        if (f->fin && f->opcode && !c->fragmented) message(s, c, f->opcode == GW_OP_BINARY, bytes, f->length);
        else fragment(s, c, f, bytes);
    }
}

/* Takes all whole frames; their length. Sets `rest_need` where one is begun. All of `n` where the
 * client did not stay open. */
static size_t frames(gw_swarm_t *s, gw_swarm_client_t *c, const uint8_t *bytes, size_t n) {
    size_t at = 0;
    gw_swarm_frame_t f;
    int whole;
    while ((whole = gw_swarm_frame_parse(bytes + at, n - at, &f)) > 0) {
        if (f.opcode < GW_OP_CLOSE && f.length > s->o.frame_bytes_max - c->message.length) {
            GW_SWARM_COUNT(gw_swarm_group(s, c), oversized, 1);
            gw_swarm_fail(s, c, 1009);
            return n;
        }
        if (f.length > n - at - f.header_size) {
            c->rest_need = f.header_size + f.length;
            return at;
        }
        if (at + f.header_size + f.length == n) s->since_ns = s->kernel_ns; /* its last byte is the newest */
        frame(s, c, &f, bytes + at + f.header_size);
        if (c->state != GW_SWARM_OPEN) return n;
        at += f.header_size + f.length;
    }
    if (whole == 0) return at;
    fail_protocol(s, c);
    return n;
}

/* --- putting reads together ------------------------------------------------------------------------ */

uint8_t *gw_swarm_room(gw_swarm_t *s, gw_swarm_client_t *c, size_t *size) {
    if (c->rest_need <= GW_SWARM_REST_BYTES) {
        if (c->rest.length) memcpy(s->buffer, c->rest.bytes, c->rest.length);
        *size = GW_SWARM_READ_BYTES;
        return s->buffer + c->rest.length;
    }
    /* A long frame gets a buffer of its own, or each read of a part would copy all parts before it. */
    if (c->rest.capacity < c->rest_need) {
        uint8_t *bytes = realloc(c->rest.bytes, c->rest_need);
        if (!bytes) return NULL;
        c->rest.bytes = bytes;
        c->rest.capacity = c->rest_need;
    }
    *size = c->rest_need - c->rest.length;
    return c->rest.bytes + c->rest.length;
}

static void took_long(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    c->rest.length += n;
    if (c->rest.length < c->rest_need) return;
    gw_swarm_bytes_t whole = c->rest;
    c->rest = (gw_swarm_bytes_t){NULL, 0, 0};
    c->rest_need = 0;
    (void)frames(s, c, whole.bytes, whole.length);
    free(whole.bytes);
}

void gw_swarm_took(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    if (c->rest_need > GW_SWARM_REST_BYTES) {
        took_long(s, c, n);
        return;
    }
    uint32_t generation = c->generation;
    size_t size = c->rest.length + n, at = 0;
    c->rest.length = c->rest_need = 0;
    if (c->state == GW_SWARM_SHAKING) at = shake(s, c, (const char *)s->buffer, size);
    if (c->state == GW_SWARM_OPEN) at += frames(s, c, s->buffer + at, size - at);
    if (c->generation != generation) return;
    if (at == size) gw_swarm_bytes_free(&c->rest);
    else if (gw_swarm_bytes_add(&c->rest, s->buffer + at, size - at)) gw_swarm_fail(s, c, 1011);
}

static void ended(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t error) {
    if (c->state == GW_SWARM_OPEN) {
        gw_swarm_refusals_note(&s->refused_rows, GW_SWARM_REFUSAL_CLOSE, CLOSED_WITHOUT_FRAME, GW_SWARM_SILENT,
                               GW_SWARM_SILENT);
        gw_swarm_lose(s, c);
        return;
    }
    gw_swarm_unanswered(s, c, error ? error : GW_SWARM_REFUSED_ANSWER);
}

/* --- over TLS --------------------------------------------------------------------------------------- */

static void broken(gw_swarm_t *s, gw_swarm_client_t *c) {
    const char *why = gw_tls_error(c->tls);
    if (c->state == GW_SWARM_OPEN) gw_swarm_lose(s, c);
    else gw_swarm_refuse(s, c, GW_SWARM_REFUSED_ANSWER, (gw_swarm_span_t){why, why + strlen(why)});
}

/* Plain bytes, in as many pieces as there is room for at a time. Whether the client goes on. */
static bool took_plain(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    const uint32_t generation = c->generation;
    for (size_t at = 0, part; at < n; at += part) {
        size_t room;
        uint8_t *out = gw_swarm_room(s, c, &room);
        if (!out) {
            gw_swarm_fail(s, c, 1011);
            return false;
        }
        part = n - at < room ? n - at : room;
        memcpy(out, s->plain + at, part);
        gw_swarm_took(s, c, part);
        if (c->generation != generation || c->state == GW_SWARM_CLOSING) return false;
    }
    return true;
}

static void took_sealed(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    const gw_swarm_text_t *request = &s->o.targets[c->target].request;
    const bool was_up = c->tls_up;
    const int up = gw_swarm_tls_feed(s, c, n);
    if (s->sealed.length) (void)gw_swarm_send_bytes(s, c, s->sealed.bytes, s->sealed.length);
    if (up < 0) broken(s, c);
    if (up < 1) return;
    c->tls_up = 1;
    if (!was_up) (void)gw_swarm_send(s, c, request->bytes, request->length);
    while (gw_tls_fed(c->tls)) {
        const ssize_t got = gw_swarm_tls_next(s, c);
        if (s->sealed.length) (void)gw_swarm_send_bytes(s, c, s->sealed.bytes, s->sealed.length);
        if (got == -ECONNRESET) ended(s, c, 0);
        else if (got < 0) broken(s, c);
        if (got < 0 || (got && !took_plain(s, c, (size_t)got))) return;
    }
}

/* --- the socket ------------------------------------------------------------------------------------ */

/* The kernel's stamp of the newest byte that was read; 0: none. */
static int64_t kernel_stamp(struct msghdr *m) {
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec t;
        if (h->cmsg_len != CMSG_LEN(sizeof t)) continue;
        memcpy(&t, CMSG_DATA(h), sizeof t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    return 0;
}

/* The clock is read once for all that one read brings. */
static void timestamp(gw_swarm_t *s, const gw_swarm_client_t *c, struct msghdr *m) {
    int64_t kernel_ns = kernel_stamp(m);
    s->now_ns = gw_realtime_ns() + s->o.clock_offset_ns;
    s->kernel_ns = kernel_ns ? kernel_ns + s->o.clock_offset_ns : 0;
    s->since_ns = c->since_ns;
    /* The end first: it is what gw_swarm_window sets last. */
    s->window_end_ns = GW_LOAD_ACQUIRE(&s->window_next_end_ns);
    s->window_start_ns = GW_LOAD_RELAXED(&s->window_next_start_ns);
    s->in_window = s->now_ns >= s->window_start_ns && s->now_ns < s->window_end_ns;
}

/* A read that empties the socket sends an ACK at once, and on one machine what the server's kernel does with
 * it is done here, by the thread that reads: more than half of what a small message costs a client. Put off
 * it goes with every second message, or after 40 ms by a timer of the server's core (tcp(7): TCP_QUICKACK,
 * which the kernel forgets, so before each read). */
static void put_off_ack(gw_swarm_t *s, const gw_swarm_client_t *c) {
    int off = 0;
    if (!GW_SWARM_VALUE(gw_swarm_group(s, c), late_acks)) return;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off); /* refused: it costs more */
}

/* After our close frame: what still comes is of no interest, only its end. */
static void drain(gw_swarm_t *s, gw_swarm_client_t *c) {
    for (int i = 0; i < DRAINS_MAX; i++) {
        ssize_t n = recv(c->fd, s->buffer, GW_SWARM_READ_BYTES, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n > 0) continue;
        gw_swarm_left(s, c);
        return;
    }
}

void gw_swarm_read(gw_swarm_t *s, gw_swarm_client_t *c, size_t limit) {
    if (c->state == GW_SWARM_CLOSING) {
        drain(s, c);
        return;
    }
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec part = {.iov_len = 0};
    part.iov_base = c->tls ? s->ciphered : gw_swarm_room(s, c, &part.iov_len);
    if (c->tls) part.iov_len = GW_SWARM_CIPHERED_BYTES;
    if (!part.iov_base) {
        gw_swarm_fail(s, c, 1011);
        return;
    }
    if (part.iov_len > limit) part.iov_len = limit;
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    put_off_ack(s, c);
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);
    gw_hdr_add(&s->load[GW_SWARM_LOAD_reads], 1);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) c->flags &= (uint8_t)~GW_SWARM_READABLE;
        else if (n < 0 && errno == EINTR) gw_swarm_list_add(&s->ready, c);
        else ended(s, c, n < 0 ? (uint32_t)errno : 0);
        return;
    }
    timestamp(s, c, &m);
    uint32_t generation = c->generation;
    if (c->tls) took_sealed(s, c, (size_t)n);
    else gw_swarm_took(s, c, (size_t)n);
    if (c->generation != generation) return;
    /* A read that was not filled emptied the socket: the next bytes are an event of their own. */
    if ((size_t)n < part.iov_len && !(c->flags & GW_SWARM_ENDING)) {
        c->flags &= (uint8_t)~GW_SWARM_READABLE;
        c->since_ns = s->now_ns;
    } else if (gw_swarm_reads_freely(s, c)) {
        gw_swarm_list_add(&s->ready, c);
    }
}
