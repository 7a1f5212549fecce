/* The far end of a client over TLS: what it reads, and what it says; without RIG_SECURE there is none. A part of
 * plane_rig.h. */
#ifndef PLANE_FAR_H
#define PLANE_FAR_H

#ifdef RIG_SECURE
struct rig_far {
    tls_end_t end;
};
static gw_tls_context_t *rig_server, *rig_client_context;

static inline void rig_far_take(peer_t *peer, const void *bytes, size_t n) {
    static uint8_t plain[GW_TLS_RECORD_MAX];
    CHECK_EQUAL(gw_tls_feed(peer->far->end.tls, bytes, n), 0);
    while (gw_tls_fed(peer->far->end.tls)) {
        const ssize_t got = gw_tls_read(peer->far->end.tls, &peer->far->end.out, plain, sizeof plain);
        CHECK(got >= 0 || got == -ECONNRESET || got == -EPROTO); /* the end, or an alert */
        if (got > 0) peer_keep(peer, plain, (size_t)got);
        if (got < 0) break;
    }
}

/* A handshake that the loop has done; the plane's end of it. */
static inline struct gw_secure *rig_far_open(peer_t *peer) {
    static tls_end_t server;
    if (!rig_server) {
        tls_certificates();
        rig_server = tls_server("listen", NULL);
        rig_client_context = tls_client();
        atexit(tls_forget);
    }
    CHECK((peer->far = calloc(1, sizeof *peer->far)) != NULL);
    tls_end(&peer->far->end, rig_client_context, "gateway.test");
    tls_end(&server, rig_server, NULL);
    server.tls->fd = peer->fds[0];
    CHECK_EQUAL(tls_shake(&server, &peer->far->end), 1);
    rig_far_take(peer, NULL, 0); /* its ticket */
    gw_tls_handed_over(server.tls);
    return gw_secure_new(server.tls);
}

/* A message on its way, as far as there is room. */
static inline void rig_far_say(peer_t *peer, const char *text) {
    gw_tls_out_t *out = &peer->far->end.out;
    if (gw_tls_write(peer->far->end.tls, out, text, strlen(text))) return;
    const ssize_t n = send(peer->fds[1], out->bytes, out->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n <= 0) return;
    out->length -= (size_t)n;
    memmove(out->bytes, out->bytes + n, out->length);
}

static inline void rig_far_close(peer_t *peer) {
    if (peer->far) gw_tls_free(peer->far->end.tls);
    free(peer->far);
    peer->far = NULL;
}
#else
static inline void rig_far_take(peer_t *peer, const void *bytes, size_t n) { (void)peer, (void)bytes, (void)n; }
static inline struct gw_secure *rig_far_open(peer_t *peer) { (void)peer; return NULL; }
static inline void rig_far_say(peer_t *peer, const char *text) { (void)peer, (void)text; }
static inline void rig_far_close(peer_t *peer) { (void)peer; }
#endif

#endif
