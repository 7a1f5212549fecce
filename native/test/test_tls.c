/* TLS in memory: contexts, handshakes, records one a step, tickets, who the peer is. */
#include "gw_tls_library.h"
#include <stdio.h>

#ifndef GW_HAS_TLS
int main(void) {
    printf("left out: built without OpenSSL's headers\n");
    return 0;
}
#else
#include "tls_pair.h"
#include <errno.h>

static tls_end_t server, client;
static uint8_t text[GW_TLS_RECORD_MAX], got[GW_TLS_RECORD_MAX];

static SSL *inside(const tls_end_t *e) { return e->tls->ssl; }

static void pair(gw_tls_context_t *s, gw_tls_context_t *c, int expected) {
    tls_end(&server, s, NULL);
    tls_end(&client, c, "gateway.test");
    CHECK_EQUAL(tls_shake(&server, &client), expected);
}

static void done(void) {
    SSL_set_shutdown(inside(&client), SSL_SENT_SHUTDOWN); /* or its session is no good any more */
    tls_ends_free(&server, &client);
}

static int reads(tls_end_t *e) { return (int)gw_tls_read(e->tls, &e->out, got, sizeof got); }

static void test_versions(void) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    for (int i = 0; i < 2; i++) {
        SSL_CTX_set_max_proto_version(c->ssl, versions[i]);
        pair(s, c, 1);
        CHECK(!strcmp(gw_tls_version(server.tls), i ? "TLSv1.3" : "TLSv1.2"));
        CHECK(strstr(gw_tls_cipher(server.tls), "GCM") || strstr(gw_tls_cipher(server.tls), "POLY1305"));
        CHECK_EQUAL(gw_tls_write(client.tls, &client.out, "hello", 5), 0);
        tls_carry(&client, &server);
        CHECK_EQUAL(reads(&server), 5);
        CHECK(!memcmp(got, "hello", 5));
        CHECK_EQUAL(gw_tls_write(server.tls, &server.out, text, sizeof text), 0);
        CHECK(server.out.length < GW_TLS_OUT_MAX);
        tls_carry(&server, &client);
        int n = 0;
        for (int k = 0; k < 4 && n < (int)sizeof text; k++) n += reads(&client); /* its ticket among the records */
        CHECK_EQUAL(n, (int)sizeof text);
        gw_tls_close(client.tls, &client.out);
        tls_carry(&client, &server);
        CHECK_EQUAL(reads(&server), -ECONNRESET);
        done();
    }
    SSL_CTX_set_max_proto_version(c->ssl, TLS1_1_VERSION);
    SSL_CTX_set_min_proto_version(c->ssl, TLS1_1_VERSION);
    SSL_CTX_set_security_level(c->ssl, 0);
    tls_end(&server, s, NULL);
    tls_end(&client, c, "gateway.test");
    CHECK(tls_shake(&server, &client) < 0);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* threat I5 */
static void test_suites_are_aead(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    SSL_CTX_set_max_proto_version(c->ssl, TLS1_2_VERSION);
    CHECK_EQUAL(SSL_CTX_set_cipher_list(c->ssl, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"), 1);
    pair(s, c, -EPROTO);
    CHECK(strstr(gw_tls_error(server.tls), "no shared cipher"));
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* However much comes at once. */
static void test_one_record_a_step(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    pair(s, c, 1);
    for (int i = 0; i < 3; i++) CHECK_EQUAL(gw_tls_write(client.tls, &client.out, "abc", 3), 0);
    tls_carry(&client, &server);
    for (int i = 0; i < 3; i++) {
        CHECK(gw_tls_fed(server.tls));
        CHECK_EQUAL(reads(&server), 3);
    }
    CHECK(!gw_tls_fed(server.tls));
    CHECK_EQUAL(reads(&server), 0);
    /* A record in pieces is nothing until its last byte. */
    CHECK_EQUAL(gw_tls_write(client.tls, &client.out, "abc", 3), 0);
    const size_t length = client.out.length;
    for (size_t i = 0; i < length; i++) {
        CHECK_EQUAL(gw_tls_feed(server.tls, client.bytes + i, 1), 0);
        CHECK_EQUAL(reads(&server), i + 1 == length ? 3 : 0);
    }
    client.out.length = 0;
    /* Key updates are records, too: each takes a step, is counted and answered. */
    gw_tls_handed_over(server.tls); /* whose owner judges how many are too many */
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(SSL_key_update(inside(&client), SSL_KEY_UPDATE_REQUESTED), 1);
        CHECK_EQUAL(gw_tls_write(client.tls, &client.out, "x", 1), 0);
    }
    tls_carry(&client, &server);
    for (uint32_t i = 0; i < 40; i++) {
        CHECK_EQUAL(gw_tls_updates(server.tls), (i + 1) / 2);
        CHECK_EQUAL(reads(&server), (int)(i % 2));
    }
    CHECK(server.out.length > 0 && server.out.length < 1000);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* Who has yet to ask for anything has its keys changed some times, and no more. */
static void test_key_updates_before_it_is_handed_over(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    pair(s, c, 1);
    for (uint32_t i = 0; i <= GW_TLS_UPDATES_MAX; i++) {
        CHECK_EQUAL(SSL_key_update(inside(&client), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        client.tls->out = &client.out;
        CHECK_EQUAL(SSL_do_handshake(inside(&client)), 1);
        client.tls->out = NULL;
        tls_carry(&client, &server);
        CHECK_EQUAL(reads(&server), i < GW_TLS_UPDATES_MAX ? 0 : -EPROTO);
    }
    CHECK(strstr(gw_tls_error(server.tls), "too many TLS key updates"));
    CHECK_EQUAL(gw_tls_write(server.tls, &server.out, "x", 1), -EPROTO);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

static void test_garbage_is_told(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    pair(s, c, 1);
    CHECK_EQUAL(gw_tls_feed(server.tls, "\x17\x03\x03\x00\x20" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37), 0);
    CHECK_EQUAL(reads(&server), -EPROTO);
    CHECK(gw_tls_error(server.tls)[0] && server.out.length > 0); /* the alert */
    server.out.length = 0;
    CHECK_EQUAL(gw_tls_write(server.tls, &server.out, "x", 1), -EPROTO);
    CHECK_EQUAL(reads(&server), -EPROTO);
    gw_tls_close(server.tls, &server.out);
    CHECK_EQUAL(server.out.length, 0);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* A client of 1.2 that wants to begin anew is refused, and each try is counted. */
static void test_no_renegotiation(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    SSL_CTX_set_max_proto_version(c->ssl, TLS1_2_VERSION);
    SSL_CTX_clear_options(c->ssl, SSL_OP_NO_RENEGOTIATION);
    pair(s, c, 1);
    client.out.length = 0;
    CHECK_EQUAL(SSL_renegotiate(inside(&client)), 1);
    client.tls->out = &client.out;
    SSL_do_handshake(inside(&client));
    tls_carry(&client, &server);
    CHECK(reads(&server) <= 0);
    CHECK_EQUAL(gw_tls_updates(server.tls), 1);
    CHECK(server.out.length > 0); /* the refusal */
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* --- the first message ----------------------------------------------------------------------------------- */

static void test_hello(void) {
    gw_tls_context_t *c = tls_client();
    tls_end(&client, c, "gateway.test");
    CHECK_EQUAL(gw_tls_handshake(client.tls, &client.out), 0);
    const size_t n = client.out.length;
    CHECK(n > 100);
    for (size_t i = 0; i < n; i++) CHECK_EQUAL(gw_tls_hello(client.bytes, i), 0);
    CHECK_EQUAL(gw_tls_hello(client.bytes, n), 1);
    /* The same in records of one byte. */
    static uint8_t split[GW_TLS_HELLO_MAX];
    size_t at = 0;
    for (size_t i = 5; i < n; i++, at += 6) memcpy(split + at, (uint8_t[]){22, 3, 1, 0, 1, client.bytes[i]}, 6);
    CHECK_EQUAL(gw_tls_hello(split, at - 1), 0);
    CHECK_EQUAL(gw_tls_hello(split, at), 1);
    /* No descriptor says that some of it is left: a step takes all of it. */
    gw_tls_context_t *s = tls_server("listen", NULL);
    tls_end(&server, s, NULL);
    CHECK_EQUAL(gw_tls_feed(server.tls, split, at), 0);
    CHECK_EQUAL(gw_tls_handshake(server.tls, &server.out), 0);
    CHECK(!gw_tls_fed(server.tls));
    CHECK(server.out.length > 0);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
    static const uint8_t plain[] = "GET /v1 HTTP/1.1\r\n", alert[] = {21, 3, 3, 0, 2, 1, 0}, empty[] = {22, 3, 1, 0, 0, 0},
                         finished[] = {22, 3, 3, 0, 4, 20, 0, 0, 0}, huge[] = {22, 3, 1, 0, 4, 1, 1, 0, 0};
    CHECK_EQUAL(gw_tls_hello(plain, 1), -EPROTO);
    CHECK_EQUAL(gw_tls_hello(plain, sizeof plain), -EPROTO);
    CHECK_EQUAL(gw_tls_hello(alert, sizeof alert), -EPROTO);
    CHECK_EQUAL(gw_tls_hello(empty, sizeof empty), -EPROTO);
    CHECK_EQUAL(gw_tls_hello(finished, sizeof finished), -EPROTO);
    CHECK_EQUAL(gw_tls_hello(huge, sizeof huge), -EPROTO);
    memset(split, 0, sizeof split);
    for (at = 0; at + 6 <= sizeof split; at += 6) memcpy(split + at, (uint8_t[]){22, 3, 1, 0, 1, at ? 0 : 1}, 6);
    memcpy(split + 12, (uint8_t[]){22, 3, 1, 0, 1, 0x3f}, 6);
    CHECK_EQUAL(gw_tls_hello(split, sizeof split), -EPROTO);
}

/* --- certificates ---------------------------------------------------------------------------------------- */

static void refused(const char *cert, const char *key, const char *ca, int field, const char *why) {
    gw_tls_problem_t problem;
    CHECK(!gw_tls_context_new("listen", tls_path(cert), tls_path(key), ca ? tls_path(ca) : NULL, &problem));
    if (problem.field != field || !strstr(problem.text, why)) fprintf(stderr, "%d %s\n", problem.field, problem.text);
    CHECK_EQUAL(problem.field, field);
    CHECK(strstr(problem.text, why) != NULL);
}

static void test_files(void) {
    FILE *f = fopen(tls_path("empty.pem"), "w");
    CHECK(f && !fclose(f));
    refused("none.crt", "server.key", NULL, GW_TLS_CERT, "cannot be read: No such file");
    refused("", "server.key", NULL, GW_TLS_CERT, "it is no file");
    refused("empty.pem", "server.key", NULL, GW_TLS_CERT, "no certificate");
    refused("server.crt", "none.key", NULL, GW_TLS_KEY, "cannot be read");
    refused("server.crt", "empty.pem", NULL, GW_TLS_KEY, "no private key");
    refused("server.crt", "client.key", NULL, GW_TLS_KEY, "is not the key of the certificate");
    refused("expired.crt", "expired.key", NULL, GW_TLS_CERT, "expired on 20");
    refused("server.crt", "server.key", "empty.pem", GW_TLS_CA, "no certificate");
    tls_certificate("early", "ca", NULL, 3600, 7200);
    refused("early.crt", "early.key", NULL, GW_TLS_CERT, "is not valid before 20");
    gw_tls_context_t *s = tls_server("listen", NULL);
    const int64_t now = (int64_t)time(NULL);
    CHECK(gw_tls_context_expires(s) > now + 86000 && gw_tls_context_expires(s) <= now + 86400);
    gw_tls_problem_t problem;
    CHECK_EQUAL(gw_tls_context_add(s, "second.test", tls_path("second.crt"), tls_path("second.key"), &problem), 0);
    CHECK(gw_tls_context_expires(s) <= now + 43200);
    gw_tls_context_free(s);
    /* Of a file that is no good in its middle nothing counts: those behind it would be missed. */
    char command[512];
    snprintf(command, sizeof command, "cd %s && (cat ca.crt; echo -----BEGIN CERTIFICATE-----; echo x; cat other-ca.crt) > torn.pem"
             " && cat server.crt torn.pem > chain.pem && cat ca.crt ca.key > both.pem", tls_directory);
    CHECK_EQUAL(system(command), 0);
    refused("server.crt", "server.key", "torn.pem", GW_TLS_CA, "certificate 2 is none");
    refused("chain.pem", "server.key", NULL, GW_TLS_CERT, "certificate 3 is none");
    gw_tls_context_free(tls_server("listen", "both.pem")); /* a key behind it is none of these */
}

static void shows(gw_tls_context_t *s, gw_tls_context_t *c, const char *host, const char *common) {
    char name[64] = "";
    tls_end(&server, s, NULL);
    tls_end(&client, c, host);
    SSL_set1_host(inside(&client), NULL); /* its name is looked at here */
    CHECK_EQUAL(tls_shake(&server, &client), 1);
    X509 *x = SSL_get1_peer_certificate(inside(&client));
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
    X509_free(x);
    CHECK(!strcmp(name, common));
    done();
}

static void test_names(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    gw_tls_problem_t problem;
    CHECK_EQUAL(gw_tls_context_add(s, "*.wild.test", tls_path("client.crt"), tls_path("client.key"), &problem), 0);
    CHECK_EQUAL(gw_tls_context_add(s, "second.test", tls_path("second.crt"), tls_path("second.key"), &problem), 0);
    CHECK_EQUAL(gw_tls_context_add(s, "own.wild.test", tls_path("second.crt"), tls_path("second.key"), &problem), 0);
    CHECK_EQUAL(gw_tls_context_add(s, "x.test", tls_path("second.crt"), tls_path("client.key"), &problem), -EINVAL);
    shows(s, c, "gateway.test", "server");
    shows(s, c, "Second.Test", "second");
    shows(s, c, "a.wild.test", "client");
    shows(s, c, "own.wild.test", "second");
    shows(s, c, "a.b.wild.test", "server");
    shows(s, c, "wild.test", "server");
    shows(s, c, NULL, "server");
    /* And a client that verifies takes no other name. */
    tls_end(&server, s, NULL);
    tls_end(&client, c, "elsewhere.test");
    CHECK_EQUAL(tls_shake(&server, &client), -EPROTO);
    CHECK(strstr(gw_tls_error(client.tls), "ostname mismatch"));
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

static void test_protocols(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    SSL_CTX_set_alpn_protos(c->ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    pair(s, c, 1);
    const unsigned char *chosen;
    unsigned n;
    SSL_get0_alpn_selected(inside(&client), &chosen, &n);
    CHECK(n == 8 && !memcmp(chosen, "http/1.1", 8));
    done();
    SSL_CTX_set_alpn_protos(c->ssl, (const unsigned char *)"\x02h2", 3);
    pair(s, c, -EPROTO);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

/* --- who the peer is, and tickets ------------------------------------------------------------------------ */

static SSL_SESSION *saved;

static int keep(SSL *s, SSL_SESSION *session) {
    (void)s;
    SSL_SESSION_free(saved);
    saved = session;
    return 1;
}

static gw_tls_context_t *keeper(const char *identity) {
    char cert[64], key[64];
    gw_tls_context_t *c = tls_client();
    gw_tls_problem_t problem;
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, keep);
    if (!identity) return c;
    snprintf(cert, sizeof cert, "%s.crt", identity);
    snprintf(key, sizeof key, "%s.key", identity);
    /* One that is expired is no identity of ours: it is loaded as a stranger would. */
    if (gw_tls_client_context_identity(c, tls_path(cert), tls_path(key), &problem)) {
        CHECK_EQUAL(SSL_CTX_use_certificate_chain_file(c->ssl, tls_path(cert)), 1);
        CHECK_EQUAL(SSL_CTX_use_PrivateKey_file(c->ssl, tls_path(key), SSL_FILETYPE_PEM), 1);
    }
    return c;
}

/* A connection with the session that was saved last; whether it was resumed, negative where it failed. */
static int resumes(gw_tls_context_t *s, gw_tls_context_t *c) {
    tls_end(&server, s, NULL);
    tls_end(&client, c, "gateway.test");
    if (saved) SSL_set_session(inside(&client), saved);
    int answer = tls_shake(&server, &client);
    if (answer == 1) {
        reads(&client);
        CHECK_EQUAL(gw_tls_resumed(client.tls), gw_tls_resumed(server.tls));
        answer = gw_tls_resumed(server.tls);
        if (SSL_version(inside(&client)) == TLS1_2_VERSION) keep(NULL, SSL_get1_session(inside(&client))); /* with its new ticket */
    }
    return answer;
}

static int once(gw_tls_context_t *s, gw_tls_context_t *c) {
    const int answer = resumes(s, c);
    done();
    return answer;
}

static void test_tickets(int version) {
    gw_tls_context_t *first = tls_server("listen", NULL), *second = tls_server("listen", NULL), *other = tls_server("ops", NULL);
    gw_tls_context_t *closed = tls_server("listen", "ca.crt"), *c = keeper("client");
    gw_tls_ticket_key_t keys[2];
    SSL_CTX_set_max_proto_version(c->ssl, version);
    memset(keys, 7, sizeof keys);
    memset(&keys[1], 8, sizeof keys[1]);
    saved = NULL;
    CHECK_EQUAL(once(first, c), 0);
    CHECK_EQUAL(once(first, c), 1);
    CHECK_EQUAL(once(second, c), 0); /* a key of its own */
    gw_tls_context_t *all[] = {first, second, other, closed};
    for (int i = 0; i < 4; i++) CHECK_EQUAL(gw_tls_context_tickets(all[i], keys, 1), 0);
    CHECK_EQUAL(once(first, c), 0);
    CHECK_EQUAL(once(second, c), 1);
    CHECK_EQUAL(once(other, c), 0); /* of another listener */
    SSL_SESSION_free(saved);
    saved = NULL;
    CHECK_EQUAL(once(first, c), 0);
    CHECK_EQUAL(resumes(closed, c), 0); /* nobody is let in without a certificate by a ticket of before */
    char names[64];
    CHECK_EQUAL(gw_tls_peer_names(server.tls, names, 60), 3); /* as many as there is room for */
    done();
    /* The old key is good for one more turn, and its ticket is replaced. */
    SSL_SESSION_free(saved);
    saved = NULL;
    CHECK_EQUAL(once(first, c), 0);
    const gw_tls_ticket_key_t turned[2] = {keys[1], keys[0]};
    CHECK_EQUAL(gw_tls_context_tickets(first, turned, 2), 0);
    CHECK_EQUAL(once(first, c), 1);
    CHECK_EQUAL(gw_tls_context_tickets(first, keys + 1, 1), 0);
    CHECK_EQUAL(once(first, c), 1); /* by its replacement */
    CHECK_EQUAL(gw_tls_context_tickets(first, keys, 1), 0);
    CHECK_EQUAL(once(first, c), 0);
    CHECK_EQUAL(gw_tls_context_tickets(first, keys, 0), -EINVAL);
    CHECK_EQUAL(gw_tls_context_tickets(first, keys, 3), -EINVAL);
    for (int i = 0; i < 4; i++) gw_tls_context_free(all[i]);
    gw_tls_context_free(c);
    SSL_SESSION_free(saved);
    saved = NULL;
}

static void test_identities(void) {
    gw_tls_context_t *s = tls_server("listen", "ca.crt"), *open = tls_server("listen", NULL);
    gw_tls_context_t *known = keeper("client"), *stranger = keeper("stranger"), *old = keeper("expired"), *nobody = keeper(NULL);
    char names[512];
    CHECK_EQUAL(resumes(s, known), 0);
    CHECK_EQUAL(gw_tls_peer_names(server.tls, names, sizeof names), 4);
    CHECK(!memcmp(names, "dns:desk-7\0uri:spiffe://bank/desk-7\0email:a@b.test\0ip:10.0.0.7", 62));
    done();
    CHECK_EQUAL(resumes(s, known), 1); /* the same by a ticket */
    CHECK_EQUAL(gw_tls_peer_names(server.tls, names, sizeof names), 4);
    done();
    SSL_SESSION_free(saved);
    saved = NULL;
    CHECK_EQUAL(resumes(open, known), 0);
    CHECK_EQUAL(gw_tls_peer_names(server.tls, names, sizeof names), 0); /* what nobody has verified is no name */
    done();
    SSL_SESSION_free(saved);
    saved = NULL;
    CHECK_EQUAL(resumes(s, stranger), -EPROTO);
    CHECK(strstr(gw_tls_error(server.tls), "issuer") != NULL);
    done();
    CHECK_EQUAL(resumes(s, old), -EPROTO);
    CHECK(strstr(gw_tls_error(server.tls), "expired") != NULL);
    done();
    CHECK_EQUAL(resumes(s, nobody), -EPROTO);
    CHECK(strstr(gw_tls_error(server.tls), "did not return a certificate") != NULL);
    done();
    /* A certificate that expires while its ticket is good. */
    tls_certificate("brief", "ca", "DNS:brief", -60, 2);
    gw_tls_context_t *brief = keeper("brief");
    SSL_CTX_set_max_proto_version(brief->ssl, TLS1_2_VERSION); /* whose tickets are good more than once */
    CHECK_EQUAL(once(s, brief), 0);
    CHECK_EQUAL(once(s, brief), 1);
    sleep(3);
    CHECK_EQUAL(resumes(s, brief), -EPROTO);
    CHECK(strstr(gw_tls_error(server.tls), "expired") != NULL);
    done();
    gw_tls_context_t *all[] = {s, open, known, stranger, old, nobody, brief};
    for (int i = 0; i < 7; i++) gw_tls_context_free(all[i]);
    SSL_SESSION_free(saved);
    saved = NULL;
}

/* What a reader asks for in small records still fits a step's buffer. */
static void test_small_records(void) {
    gw_tls_context_t *s = tls_server("listen", NULL), *c = tls_client();
    tls_end(&server, s, NULL);
    tls_end(&client, c, "gateway.test");
    CHECK_EQUAL(SSL_set_tlsext_max_fragment_length(inside(&client), TLSEXT_max_fragment_length_512), 1);
    CHECK_EQUAL(tls_shake(&server, &client), 1);
    server.out.size = GW_TLS_OUT_MAX;
    CHECK_EQUAL(gw_tls_write(server.tls, &server.out, text, sizeof text), 0);
    CHECK(server.out.length > sizeof text + 32 * 20);
    size_t n = 0;
    tls_carry(&server, &client);
    for (int i = 0; i < 40; i++) n += (size_t)reads(&client);
    CHECK_EQUAL(n, sizeof text);
    /* Where there is none, nothing is half written in silence. */
    server.out.size = 100;
    CHECK_EQUAL(gw_tls_write(server.tls, &server.out, text, sizeof text), -EPROTO);
    done();
    gw_tls_context_free(s);
    gw_tls_context_free(c);
}

int main(void) {
    CHECK(!gw_tls_missing());
    tls_certificates();
    test_hello();
    test_versions();
    test_suites_are_aead();
    test_one_record_a_step();
    test_key_updates_before_it_is_handed_over();
    test_garbage_is_told();
    test_no_renegotiation();
    test_files();
    test_names();
    test_protocols();
    test_tickets(TLS1_2_VERSION);
    test_tickets(TLS1_3_VERSION);
    test_identities();
    test_small_records();
    tls_forget();
    printf("ok\n");
    return 0;
}
#endif
