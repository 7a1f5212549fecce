/* Clients of a load test over TLS. What a read brings is fed to the connection, and its plain bytes go the way of all
 * others; what a client says is sealed before it is queued. */
#include "gw_swarm_internal.h"

#include <stdlib.h>
#include <string.h>

#define SEALED_MORE 1024u /* a record's header and tag, an answer: for each record that a text takes */

int gw_swarm_tls_init(gw_swarm_t *s, const gw_swarm_options_t *o) {
    gw_tls_problem_t problem;
    int secure = 0;
    for (uint32_t i = 0; i < o->targets_count; i++) secure |= o->targets[i].host.length > 0;
    if (!secure) return 0;
    if (gw_tls_missing()) return -ENOSYS;
    s->tls = gw_tls_client_context_new(NULL, 1, &problem);
    s->ciphered = malloc(GW_SWARM_CIPHERED_BYTES);
    s->plain = malloc(GW_TLS_RECORD_MAX);
    if (s->tls && s->ciphered && s->plain) return 0;
    return -ENOMEM;
}

void gw_swarm_tls_free(gw_swarm_t *s) {
    gw_tls_context_free(s->tls);
    free(s->ciphered);
    free(s->plain);
    free(s->sealed.bytes);
}

/* Room for what so many bytes become. */
static int sealed_room(gw_swarm_t *s, size_t n) {
    const size_t room = GW_TLS_FLIGHT_MAX + n + (n / GW_TLS_RECORD_MAX + 1) * SEALED_MORE;
    s->sealed.length = 0;
    if (s->sealed.size >= room) return 0;
    uint8_t *bytes = realloc(s->sealed.bytes, room);
    if (!bytes) return -ENOMEM;
    s->sealed.bytes = bytes;
    s->sealed.size = room;
    return 0;
}

const void *gw_swarm_seal(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t *n) {
    if (sealed_room(s, *n) || gw_tls_write(c->tls, &s->sealed, bytes, *n)) return NULL;
    *n = s->sealed.length;
    return s->sealed.bytes;
}

int gw_swarm_tls_begin(gw_swarm_t *s, gw_swarm_client_t *c) {
    char host[GW_TLS_NAME_MAX + 1];
    const gw_swarm_text_t *name = &s->o.targets[c->target].host;
    memcpy(host, name->bytes, name->length);
    host[name->length] = '\0';
    c->tls_up = 0;
    c->tls = gw_tls_new(s->tls, -1, host);
    return !c->tls || sealed_room(s, 0) ? -ENOMEM : gw_tls_handshake(c->tls, &s->sealed);
}

int gw_swarm_tls_feed(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    int answer = gw_tls_feed(c->tls, s->ciphered, n);
    if (!answer) answer = sealed_room(s, 0);
    if (answer || c->tls_up) return answer ? answer : 1;
    answer = gw_tls_handshake(c->tls, &s->sealed);
    return answer;
}

ssize_t gw_swarm_tls_next(gw_swarm_t *s, gw_swarm_client_t *c) {
    s->sealed.length = 0;
    return gw_tls_read(c->tls, &s->sealed, s->plain, GW_TLS_RECORD_MAX);
}
