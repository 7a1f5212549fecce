/* Certificates made on the spot, and both ends of a connection in memory: what one says the other is fed. */
#ifndef TLS_PAIR_H
#define TLS_PAIR_H
#include "check.h"
#include "gw_tls_library.h"
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- certificates ---------------------------------------------------------------------------------------- */

static char tls_directory[] = "/tmp/tickgate-tls-XXXXXX";

static inline const char *tls_path(const char *name) {
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", tls_directory, name);
    return path;
}

static inline void tls_extend(X509 *x, X509 *issuer, int nid, const char *text) {
    X509V3_CTX c;
    X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, nid, text);
    CHECK(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* NAME.crt and NAME.key, signed by `ca` (its name; NULL: by itself), valid from and to so many s from now. */
static inline void tls_certificate(const char *name, const char *ca, const char *names, long from, long to) {
    char file[64];
    EVP_PKEY *key = EVP_EC_gen("P-256"), *by = key;
    X509 *x = X509_new(), *issuer = x;
    CHECK(key && x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)getpid() + (long)(uintptr_t)x % 1000);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    if (ca) {
        snprintf(file, sizeof file, "%s.crt", ca);
        FILE *f = fopen(tls_path(file), "r");
        CHECK(f && (issuer = PEM_read_X509(f, NULL, NULL, NULL)));
        fclose(f);
        snprintf(file, sizeof file, "%s.key", ca);
        f = fopen(tls_path(file), "r");
        CHECK(f && (by = PEM_read_PrivateKey(f, NULL, NULL, NULL)));
        fclose(f);
    }
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    if (!ca) tls_extend(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (names) tls_extend(x, issuer, NID_subject_alt_name, names);
    CHECK(X509_sign(x, by, EVP_sha256()) > 0);
    snprintf(file, sizeof file, "%s.crt", name);
    FILE *f = fopen(tls_path(file), "w");
    CHECK(f && PEM_write_X509(f, x) == 1 && !fclose(f));
    snprintf(file, sizeof file, "%s.key", name);
    f = fopen(tls_path(file), "w");
    CHECK(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f));
    if (ca) {
        X509_free(issuer);
        EVP_PKEY_free(by);
    }
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void tls_certificates(void) {
    CHECK(mkdtemp(tls_directory) != NULL);
    tls_certificate("ca", NULL, NULL, -60, 86400);
    tls_certificate("other-ca", NULL, NULL, -60, 86400);
    tls_certificate("server", "ca", "DNS:gateway.test,IP:127.0.0.1", -60, 86400);
    tls_certificate("second", "ca", "DNS:second.test", -60, 43200);
    tls_certificate("client", "ca", "DNS:desk-7,URI:spiffe://bank/desk-7,email:a@b.test,IP:10.0.0.7", -60, 86400);
    tls_certificate("stranger", "other-ca", "DNS:desk-8", -60, 86400);
    tls_certificate("expired", "ca", "DNS:old", -7200, -3600);
}

/* At the end of the program, too. */
static inline void tls_forget(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", tls_directory);
    CHECK_EQUAL(system(command), 0);
}

static inline gw_tls_context_t *tls_server(const char *name, const char *client_ca) {
    gw_tls_problem_t problem;
    gw_tls_context_t *c = gw_tls_context_new(name, tls_path("server.crt"), tls_path("server.key"),
                                             client_ca ? tls_path(client_ca) : NULL, &problem);
    if (!c) fprintf(stderr, "%s\n", problem.text);
    CHECK(c != NULL);
    return c;
}

static inline gw_tls_context_t *tls_client(void) {
    gw_tls_problem_t problem;
    gw_tls_context_t *c = gw_tls_client_context_new(tls_path("ca.crt"), 1, &problem);
    CHECK(c != NULL);
    return c;
}

/* --- both ends ------------------------------------------------------------------------------------------- */

typedef struct {
    gw_tls_t *tls;
    gw_tls_out_t out;
    uint8_t bytes[GW_TLS_FLIGHT_MAX];
} tls_end_t;

static inline void tls_end(tls_end_t *e, gw_tls_context_t *c, const char *host) {
    e->tls = gw_tls_new(c, -1, host);
    e->out = (gw_tls_out_t){.bytes = e->bytes, .size = sizeof e->bytes};
    CHECK(e->tls != NULL);
}

static inline void tls_carry(tls_end_t *from, tls_end_t *to) {
    CHECK_EQUAL(gw_tls_feed(to->tls, from->bytes, from->out.length), 0);
    from->out.length = 0;
}

/* What the server says of the handshake in the end. */
static inline int tls_shake(tls_end_t *server, tls_end_t *client) {
    int answer = 0, other = 0;
    for (int i = 0; i < 8 && answer >= 0 && !(answer == 1 && other == 1); i++) {
        other = gw_tls_handshake(client->tls, &client->out);
        tls_carry(client, server);
        answer = gw_tls_handshake(server->tls, &server->out);
        tls_carry(server, client);
    }
    return other < 0 ? other : answer;
}

static inline void tls_ends_free(tls_end_t *a, tls_end_t *b) {
    gw_tls_free(a->tls);
    gw_tls_free(b->tls);
}

#endif
