/* One client of a swarm without its loop: a test is its server, and hands over the bytes of each read. */
#ifndef SWARM_RIG_H
#define SWARM_RIG_H
#include "check.h"
#include "gw_swarm_frame.h"
#include "gw_swarm_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define RIG_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define RIG_ANSWER                                                                                 \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "sec-websocket-accept:  " RIG_ACCEPT " \r\n\r\n"

typedef struct {
    gw_swarm_t *s;
    gw_swarm_client_t *c;
    gw_swarm_group_t *g;
    int peer; /* the server's end */
} rig_t;

__attribute__((unused)) static uint64_t rig_random_state = 0x9e3779b97f4a7c15;
__attribute__((unused)) static uint64_t rig_random(void) {
    rig_random_state ^= rig_random_state << 13;
    rig_random_state ^= rig_random_state >> 7;
    rig_random_state ^= rig_random_state << 17;
    return rig_random_state;
}

static gw_swarm_options_t rig_options(void) {
    static const gw_swarm_target_t target = {.port = 1, .request = {"GET", 3}};
    static const gw_swarm_group_options_t group = {
        .values = {[GW_SWARM_GROUP_measured] = 1, [GW_SWARM_GROUP_text_off] = -1}};
    static const int32_t client[3] = {0, 0, -1};
    return (gw_swarm_options_t){
        .targets = &target, .groups = &group, .clients = client, .targets_count = 1,
        .groups_count = 1, .clients_count = 1, .accept = {RIG_ACCEPT, sizeof RIG_ACCEPT - 1},
        .frame_bytes_max = 1 << 20, .connecting_max = 1, .ticks_tracked_max = 64};
}

/* A client whose request is sent. */
static rig_t rig_shaking(const gw_swarm_options_t *o) {
    rig_t r;
    int pair[2];
    CHECK_EQUAL(gw_swarm_create(o, &r.s), 0);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    r.c = &r.s->clients[0];
    r.g = &r.s->groups[0];
    r.peer = pair[1];
    r.c->fd = pair[0];
    r.c->state = GW_SWARM_SHAKING;
    gw_swarm_list_add(&r.s->shaking, r.c);
    r.s->shaking_count = 1;
    return r;
}

__attribute__((unused)) static void rig_close(rig_t *r) {
    gw_swarm_destroy(r->s);
    close(r->peer);
}

/* One read of at most `n` bytes; how many it took. What lies behind them must not be looked at. */
static size_t rig_read(rig_t *r, const void *bytes, size_t n) {
    size_t size;
    uint8_t *room = gw_swarm_room(r->s, r->c, &size);
    CHECK(room != NULL && size > 0);
    if (n > size) n = size;
    memcpy(room, bytes, n);
    uint8_t *end = room + n;
    bool shared = room >= r->s->buffer && room <= r->s->buffer + GW_SWARM_REST_BYTES;
    size_t behind = shared ? (size_t)(r->s->buffer + GW_SWARM_REST_BYTES + GW_SWARM_READ_BYTES - end) : 0;
    ASAN_POISON_MEMORY_REGION(end, behind);
    gw_swarm_took(r->s, r->c, n);
    ASAN_UNPOISON_MEMORY_REGION(end, behind);
    return n;
}

/* Hands bytes over, at most `chunk` a read, for as long as the connection lasts. */
static void rig_feed(rig_t *r, const void *bytes, size_t n, size_t chunk) {
    uint32_t generation = r->c->generation;
    for (size_t at = 0; at < n && r->c->generation == generation;)
        at += rig_read(r, (const uint8_t *)bytes + at, n - at < chunk ? n - at : chunk);
}

__attribute__((unused)) static rig_t rig_open(const gw_swarm_options_t *o) {
    rig_t r = rig_shaking(o);
    rig_feed(&r, RIG_ANSWER, sizeof RIG_ANSWER - 1, SIZE_MAX);
    CHECK_EQUAL(r.c->state, GW_SWARM_OPEN);
    return r;
}

#define RIG_COUNTER(r, name) ((r)->g->counters[GW_SWARM_COUNTER_##name])

/* Writes a server's frame; its length. */
__attribute__((unused)) static size_t rig_frame(uint8_t first, const void *bytes, size_t n, uint8_t *out) {
    size_t header = gw_frame_header(first & 15, n, out);
    out[0] = first;
    if (n) memcpy(out + header, bytes, n);
    return header + n;
}

/* The next frame that the client sent, if it is whole, unmasked into `out`, which has room for the longest
 * with its header; its opcode, or -1. */
__attribute__((unused)) static int rig_sent(rig_t *r, uint8_t *out, size_t *n) {
    uint8_t head[6];
    if (recv(r->peer, head, 6, MSG_PEEK) != 6) return -1;
    if (recv(r->peer, out, 6 + (size_t)(head[1] & 0x7f), MSG_PEEK) < 6 + (head[1] & 0x7f)) return -1;
    CHECK_EQUAL(recv(r->peer, head, 6, 0), 6);
    CHECK_EQUAL(head[0] & 0xf0, 0x80);
    CHECK_EQUAL(head[1] & 0x80, 0x80);
    *n = head[1] & 0x7f;
    CHECK_EQUAL(recv(r->peer, out, *n, 0), (ssize_t)*n);
    for (size_t i = 0; i < *n; i++) out[i] ^= head[2 + (i & 3)];
    return head[0] & 15;
}

#endif
