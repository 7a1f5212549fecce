/* One connection over TLS: its records come one a step, and what it says goes to the buffer that the caller has given. */
#include "gw_tls_library.h"

#ifdef GW_HAS_TLS
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define O gw_openssl
#define MESSAGE_HEADER 4u
#define RECORDS_OF_A_FLIGHT 8 /* of a handshake, in a step: a client's has five at most, and as many certificates make more */

/* --- the stream -------------------------------------------------------------------------------------- */

static ssize_t take(gw_tls_t *t, void *out, size_t n) {
    if (t->fed_at < t->fed_length) {
        if (n > t->fed_length - t->fed_at) n = t->fed_length - t->fed_at;
        memcpy(out, t->fed + t->fed_at, n);
        t->fed_at += (uint32_t)n;
        if (t->fed_at < t->fed_length) return (ssize_t)n;
        free(t->fed);
        t->fed = NULL;
        t->fed_at = t->fed_length = 0;
        return (ssize_t)n;
    }
    if (t->fd < 0) {
        errno = EAGAIN;
        return -1;
    }
    return recv(t->fd, out, n, MSG_DONTWAIT);
}

/* Bytes of the record in hand, up to its end and no further: what a step may cost is known then. */
static int bio_read(BIO *b, char *out, int size) {
    gw_tls_t *t = O.BIO_get_data(b);
    O.BIO_clear_flags(b, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (size <= 0 || t->ended) return 0;
    const size_t want = t->header_length < GW_TLS_RECORD_HEADER ? GW_TLS_RECORD_HEADER - t->header_length : t->left;
    const ssize_t n = t->taken ? -1 : take(t, out, (size_t)size < want ? (size_t)size : want);
    if (n < 0) {
        if (t->taken || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) O.BIO_set_flags(b, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        else t->ended = 1;
        return -1;
    }
    if (!n) {
        t->ended = 1;
        return 0;
    }
    if (t->header_length < GW_TLS_RECORD_HEADER) {
        memcpy(t->header + t->header_length, out, (size_t)n);
        t->header_length = (uint8_t)(t->header_length + n);
        if (t->header_length < GW_TLS_RECORD_HEADER) return (int)n;
        t->left = (uint32_t)t->header[3] << 8 | t->header[4];
    } else {
        t->left -= (uint32_t)n;
    }
    if (!t->left) {
        t->header_length = 0;
        t->taken = 1;
    }
    return (int)n;
}

static int bio_write(BIO *b, const char *bytes, int n) {
    const gw_tls_t *t = O.BIO_get_data(b);
    gw_tls_out_t *out = t->out;
    O.BIO_clear_flags(b, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (n <= 0 || !out || (size_t)n > out->size - out->length) return -1;
    memcpy(out->bytes + out->length, bytes, (size_t)n);
    out->length += (size_t)n;
    return n;
}

static long bio_control(BIO *b, int command, long number, void *pointer) {
    const gw_tls_t *t = O.BIO_get_data(b);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF) return t && t->ended;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int bio_create(BIO *b) {
    O.BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_method_make(void) {
    BIO_METHOD *m = O.BIO_meth_new(O.BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tickgate");
    if (!m || O.BIO_meth_set_read(m, bio_read) != 1 || O.BIO_meth_set_write(m, bio_write) != 1) return;
    if (O.BIO_meth_set_ctrl(m, bio_control) != 1 || O.BIO_meth_set_create(m, bio_create) != 1) return;
    bio_method = m;
}

/* --- the first message ------------------------------------------------------------------------------- */

int gw_tls_hello(const uint8_t *bytes, size_t length) {
    uint8_t head[MESSAGE_HEADER];
    size_t at = 0, have = 0, need = MESSAGE_HEADER;
    while (length - at >= GW_TLS_RECORD_HEADER) { /* a message may be in several records */
        const size_t record = (size_t)bytes[at + 3] << 8 | bytes[at + 4];
        if (bytes[at] != SSL3_RT_HANDSHAKE || bytes[at + 1] != SSL3_VERSION_MAJOR || !record) return -EPROTO;
        if (at + GW_TLS_RECORD_HEADER + record > GW_TLS_HELLO_MAX) return -EPROTO;
        at += GW_TLS_RECORD_HEADER;
        const size_t there = record < length - at ? record : length - at;
        for (size_t i = 0; i < there && have + i < MESSAGE_HEADER; i++) head[have + i] = bytes[at + i];
        have += there;
        if (have && head[0] != SSL3_MT_CLIENT_HELLO) return -EPROTO;
        if (have >= MESSAGE_HEADER) need = MESSAGE_HEADER + ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]);
        if (need > GW_TLS_HELLO_MAX) return -EPROTO;
        if (have >= need) return 1;
        at += there;
        if (there < record) break;
    }
    if (at < length && have < need && length - at < GW_TLS_RECORD_HEADER && bytes[at] != SSL3_RT_HANDSHAKE) return -EPROTO;
    return length >= GW_TLS_HELLO_MAX ? -EPROTO : 0;
}

/* --- connections ------------------------------------------------------------------------------------- */

gw_tls_context_t *gw_tls_context_of(const SSL *s) {
    const gw_tls_t *t = O.SSL_get_ex_data(s, 0);
    return t ? t->context : NULL;
}

/* What the peer says beside data, once the handshake is through. */
void gw_tls_message(int written, int version, int type, const void *bytes, size_t length, SSL *s, void *argument) {
    (void)version, (void)argument;
    if (written || type != SSL3_RT_HANDSHAKE || !length) return;
    gw_tls_t *t = O.SSL_get_ex_data(s, 0);
    if (!t || !t->established) return;
    if (t->client && *(const uint8_t *)bytes == SSL3_MT_NEWSESSION_TICKET) return;
    t->updates++;
}

gw_tls_t *gw_tls_new(gw_tls_context_t *c, int fd, const char *host) {
    pthread_once(&bio_once, bio_method_make);
    gw_tls_t *t = bio_method ? calloc(1, sizeof *t) : NULL;
    if (!t) return NULL;
    BIO *b = O.BIO_new(bio_method);
    t->ssl = b ? O.SSL_new(c->ssl) : NULL;
    if (!t->ssl) {
        O.BIO_free(b);
        O.ERR_clear_error();
        free(t);
        return NULL;
    }
    t->context = c;
    t->fd = fd;
    t->client = (uint8_t)c->client;
    t->verifies = c->client_ca != NULL;
    O.BIO_set_data(b, t);
    O.SSL_set_bio(t->ssl, b, b);
    O.SSL_set_ex_data(t->ssl, 0, t);
    if (!c->client) {
        O.SSL_set_accept_state(t->ssl);
        return t;
    }
    O.SSL_set_connect_state(t->ssl);
    if (host) {
        if (host[strspn(host, "0123456789.")] && !strchr(host, ':')) /* RFC 6066 section 3: no address */
            O.SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)host);
        O.SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        O.SSL_set1_host(t->ssl, host);
    }
    return t;
}

void gw_tls_free(gw_tls_t *t) {
    if (!t) return;
    t->out = NULL;
    O.SSL_free(t->ssl);
    free(t->fed);
    free(t);
}

int gw_tls_feed(gw_tls_t *t, const void *bytes, size_t length) {
    const size_t left = t->fed_length - t->fed_at;
    if (!length) return 0;
    if (left + length > UINT32_MAX) return -ENOMEM;
    uint8_t *all = malloc(left + length);
    if (!all) return -ENOMEM;
    if (left) memcpy(all, t->fed + t->fed_at, left);
    memcpy(all + left, bytes, length);
    free(t->fed);
    t->fed = all;
    t->fed_at = 0;
    t->fed_length = (uint32_t)(left + length);
    return 0;
}

int gw_tls_fed(const gw_tls_t *t) { return t->fed_at < t->fed_length; }

/* --- steps ------------------------------------------------------------------------------------------- */

static int fail(gw_tls_t *t, const char *why) {
    t->failed = 1;
    snprintf(t->error, sizeof t->error, "%s", why);
    O.ERR_clear_error();
    return -EPROTO;
}

/* What the library says of its last answer: 0: it waits for the peer. */
static int judge(gw_tls_t *t, int answer) {
    const int what = O.SSL_get_error(t->ssl, answer);
    if (what == SSL_ERROR_WANT_READ) return t->ended ? -ECONNRESET : 0;
    const unsigned long code = O.ERR_peek_last_error();
    const char *why = code ? O.ERR_reason_error_string(code) : NULL;
    const long verified = t->established ? X509_V_OK : O.SSL_get_verify_result(t->ssl);
    if (what == SSL_ERROR_ZERO_RETURN || (t->ended && !code)) {
        O.ERR_clear_error();
        return -ECONNRESET;
    }
    if (verified != X509_V_OK && why) why = O.X509_verify_cert_error_string(verified);
    return fail(t, why ? why : "TLS failed");
}

/* A ticket brings the certificate of the handshake that it is from: that may have expired since. */
static int verify_again(gw_tls_t *t) {
    if (t->client || !t->verifies) return 1;
    X509 *x = O.SSL_get1_peer_certificate(t->ssl);
    if (!x) return fail(t, "the client has no certificate");
    const int expired = O.X509_cmp_time(O.X509_get0_notAfter(x), NULL) <= 0;
    O.X509_free(x);
    return expired ? fail(t, "the client's certificate has expired") : 1;
}

int gw_tls_handshake(gw_tls_t *t, gw_tls_out_t *out) {
    if (t->failed) return -EPROTO;
    if (t->established) return 1;
    t->out = out;
    O.ERR_clear_error();
    int result = 0;
    /* What was fed is taken whole: no descriptor says that there is more, and a ClientHello may be in records of a byte. */
    for (int i = 0; (i < RECORDS_OF_A_FLIGHT || gw_tls_fed(t)) && !result; i++) {
        t->taken = 0;
        const int answer = O.SSL_do_handshake(t->ssl);
        result = answer == 1 ? 1 : judge(t, answer);
        if (!t->taken) break; /* no whole record was there */
    }
    if (result == 1) result = verify_again(t);
    t->established = result == 1;
    t->out = NULL;
    return result;
}

ssize_t gw_tls_read(gw_tls_t *t, gw_tls_out_t *out, void *bytes, size_t size) {
    if (t->failed) return -EPROTO;
    t->out = out;
    t->taken = 0;
    O.ERR_clear_error();
    const int answer = O.SSL_read(t->ssl, bytes, size < INT32_MAX ? (int)size : INT32_MAX);
    ssize_t result = answer > 0 ? answer : judge(t, answer);
    if (t->context && !t->client && t->updates > GW_TLS_UPDATES_MAX) result = fail(t, "too many TLS key updates");
    t->out = NULL;
    return result;
}

int gw_tls_write(gw_tls_t *t, gw_tls_out_t *out, const void *bytes, size_t length) {
    if (t->failed) return -EPROTO;
    t->out = out;
    O.ERR_clear_error();
    int error = 0;
    for (const uint8_t *at = bytes; length && !error;) { /* once, but for readers that ask for small records */
        const int n = O.SSL_write(t->ssl, at, (int)(length < GW_TLS_RECORD_MAX ? length : GW_TLS_RECORD_MAX));
        if (n <= 0) {
            judge(t, n);
            error = t->failed ? -EPROTO : fail(t, "TLS took no more");
        } else {
            at += n;
            length -= (size_t)n;
        }
    }
    t->out = NULL;
    return error;
}

void gw_tls_close(gw_tls_t *t, gw_tls_out_t *out) {
    if (t->failed || !t->established) return;
    t->out = out;
    O.SSL_shutdown(t->ssl);
    O.ERR_clear_error();
    t->out = NULL;
}

const char *gw_tls_error(const gw_tls_t *t) { return t->error; }
void gw_tls_handed_over(gw_tls_t *t) { t->context = NULL; }
uint32_t gw_tls_updates(const gw_tls_t *t) { return t->updates; }
int gw_tls_resumed(const gw_tls_t *t) { return O.SSL_session_reused(t->ssl); }
const char *gw_tls_version(const gw_tls_t *t) { return O.SSL_get_version(t->ssl); }
const char *gw_tls_cipher(const gw_tls_t *t) { return O.SSL_CIPHER_get_name(O.SSL_get_current_cipher(t->ssl)); }

/* --- who the peer is --------------------------------------------------------------------------------- */

/* A name as it is written, or nothing where somebody could be misled by it. */
static size_t name_write(char *out, size_t size, const char *kind, const ASN1_STRING *s) {
    const unsigned char *text = O.ASN1_STRING_get0_data(s);
    const int length = O.ASN1_STRING_length(s);
    for (int i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f) return 0;
    const int n = length > 0 ? snprintf(out, size, "%s:%.*s", kind, length, (const char *)text) : 0;
    return n > 0 && (size_t)n < size ? (size_t)n + 1 : 0;
}

static size_t address_write(char *out, size_t size, const ASN1_STRING *s) {
    const unsigned char *a = O.ASN1_STRING_get0_data(s);
    const int length = O.ASN1_STRING_length(s);
    int n = 0;
    if (length == 4) n = snprintf(out, size, "ip:%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    if (length == 16)
        n = snprintf(out, size, "ip:%x:%x:%x:%x:%x:%x:%x:%x", a[0] << 8 | a[1], a[2] << 8 | a[3], a[4] << 8 | a[5],
                     a[6] << 8 | a[7], a[8] << 8 | a[9], a[10] << 8 | a[11], a[12] << 8 | a[13], a[14] << 8 | a[15]);
    return n > 0 && (size_t)n < size ? (size_t)n + 1 : 0;
}

size_t gw_tls_peer_names(const gw_tls_t *t, char *out, size_t size) {
    X509 *x = t->established && (t->verifies || t->client) ? O.SSL_get1_peer_certificate(t->ssl) : NULL;
    size_t count = 0, used = 0;
    if (!x) return 0;
    GENERAL_NAMES *names = O.X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    const int n = names ? O.OPENSSL_sk_num((const OPENSSL_STACK *)names) : 0;
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *name = O.OPENSSL_sk_value((const OPENSSL_STACK *)names, i);
        size_t length = 0;
        if (name->type == GEN_DNS) length = name_write(out + used, size - used, "dns", name->d.dNSName);
        if (name->type == GEN_EMAIL) length = name_write(out + used, size - used, "email", name->d.rfc822Name);
        if (name->type == GEN_URI) length = name_write(out + used, size - used, "uri", name->d.uniformResourceIdentifier);
        if (name->type == GEN_IPADD) length = address_write(out + used, size - used, name->d.iPAddress);
        count += length > 0;
        used += length;
    }
    O.GENERAL_NAMES_free(names);
    O.X509_free(x);
    O.ERR_clear_error();
    return count;
}
#else
typedef int gw_tls_is_empty;
#endif
