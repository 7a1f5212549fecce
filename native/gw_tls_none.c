/* No TLS: this was built where OpenSSL's headers are missing. */
#include "gw_tls_library.h"

#ifndef GW_HAS_TLS
#include "gw_tls.h"
#include <errno.h>
#include <stdio.h>

#define WHY "this was built without OpenSSL's headers (Debian, Ubuntu: install libssl-dev, then build again)"

const char *gw_tls_missing(void) { return WHY; }

static gw_tls_context_t *refuse(gw_tls_problem_t *problem) {
    problem->field = GW_TLS_OTHER;
    snprintf(problem->text, sizeof problem->text, "%s", WHY);
    return NULL;
}

gw_tls_context_t *gw_tls_context_new(const char *name, const char *cert, const char *key, const char *client_ca,
                                     gw_tls_problem_t *problem) {
    (void)name, (void)cert, (void)key, (void)client_ca;
    return refuse(problem);
}
gw_tls_context_t *gw_tls_client_context_new(const char *ca, int verify, gw_tls_problem_t *problem) {
    (void)ca, (void)verify;
    return refuse(problem);
}

/* Nobody has a context, so nobody has what follows. */
int gw_tls_context_add(gw_tls_context_t *c, const char *host, const char *cert, const char *key, gw_tls_problem_t *problem) {
    (void)c, (void)host, (void)cert, (void)key;
    refuse(problem);
    return -EINVAL;
}
int gw_tls_client_context_identity(gw_tls_context_t *c, const char *cert, const char *key, gw_tls_problem_t *problem) {
    (void)c, (void)cert, (void)key;
    refuse(problem);
    return -EINVAL;
}
int gw_tls_context_tickets(gw_tls_context_t *c, const gw_tls_ticket_key_t *keys, size_t count) {
    (void)c, (void)keys, (void)count;
    return -EINVAL;
}
int64_t gw_tls_context_expires(const gw_tls_context_t *c) { (void)c; return 0; }
void gw_tls_context_free(gw_tls_context_t *c) { (void)c; }
int gw_tls_hello(const uint8_t *bytes, size_t length) { (void)bytes, (void)length; return -EPROTO; }
gw_tls_t *gw_tls_new(gw_tls_context_t *c, int fd, const char *host) { (void)c, (void)fd, (void)host; return NULL; }
void gw_tls_free(gw_tls_t *t) { (void)t; }
int gw_tls_feed(gw_tls_t *t, const void *bytes, size_t length) { (void)t, (void)bytes, (void)length; return -ENOMEM; }
int gw_tls_fed(const gw_tls_t *t) { (void)t; return 0; }
int gw_tls_handshake(gw_tls_t *t, gw_tls_out_t *out) { (void)t, (void)out; return -EPROTO; }
ssize_t gw_tls_read(gw_tls_t *t, gw_tls_out_t *out, void *bytes, size_t size) {
    (void)t, (void)out, (void)bytes, (void)size;
    return -EPROTO;
}
int gw_tls_write(gw_tls_t *t, gw_tls_out_t *out, const void *bytes, size_t length) {
    (void)t, (void)out, (void)bytes, (void)length;
    return -EPROTO;
}
void gw_tls_close(gw_tls_t *t, gw_tls_out_t *out) { (void)t, (void)out; }
const char *gw_tls_error(const gw_tls_t *t) { (void)t; return WHY; }
void gw_tls_handed_over(gw_tls_t *t) { (void)t; }
uint32_t gw_tls_updates(const gw_tls_t *t) { (void)t; return 0; }
int gw_tls_resumed(const gw_tls_t *t) { (void)t; return 0; }
const char *gw_tls_version(const gw_tls_t *t) { (void)t; return ""; }
const char *gw_tls_cipher(const gw_tls_t *t) { (void)t; return ""; }
size_t gw_tls_peer_names(const gw_tls_t *t, char *out, size_t size) { (void)t, (void)out, (void)size; return 0; }
#else
typedef int gw_tls_none_is_empty;
#endif
