/* Contexts of TLS: certificates, who must show one, and the keys of tickets. */
#include "gw_tls_library.h"

#ifdef GW_HAS_TLS
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define O gw_openssl
#define SUITES_12 "ECDHE+AESGCM:ECDHE+CHACHA20" /* AEAD and ephemeral keys alone */
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CHAIN_MAX 16u /* certificates in a file */
#define AUTHORITIES_MAX 1000u

/* --- files ------------------------------------------------------------------------------------------- */

static int wrong(gw_tls_problem_t *problem, int field, const char *what, const char *path) {
    problem->field = field;
    snprintf(problem->text, sizeof problem->text, "%s%s%s", path ? path : "", path ? " " : "", what);
    return -EINVAL;
}

/* The library's own word for what went wrong last. */
static const char *reason(void) {
    const char *text = O.ERR_reason_error_string(O.ERR_peek_last_error());
    O.ERR_clear_error();
    return text ? text : "no reason given";
}

static int refused(gw_tls_problem_t *problem, int field, const char *path) {
    char text[120];
    snprintf(text, sizeof text, "is refused by OpenSSL: %s", reason());
    return wrong(problem, field, text, path);
}

typedef struct {
    char *bytes;
    size_t length;
} file_t;

static void file_free(file_t *f) {
    if (f->bytes) O.OPENSSL_cleanse(f->bytes, f->length + 1);
    free(f->bytes);
    *f = (file_t){0};
}

/* A whole file, without a library's buffers that nobody wipes. */
static int file_read(file_t *f, const char *path, int field, gw_tls_problem_t *problem) {
    struct stat s;
    *f = (file_t){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = fd < 0 || fstat(fd, &s) ? errno : 0;
    if (!error && !S_ISREG(s.st_mode)) error = EINVAL;
    if (!error && s.st_size > (off_t)GW_TLS_FILE_MAX) error = EFBIG;
    if (!error && !(f->bytes = malloc((size_t)s.st_size + 1))) error = ENOMEM;
    while (!error && f->length < (size_t)s.st_size) {
        const ssize_t n = read(fd, f->bytes + f->length, (size_t)s.st_size - f->length);
        if (n < 0 && errno != EINTR) error = errno;
        else if (n == 0) break;
        else if (n > 0) f->length += (size_t)n;
    }
    if (fd >= 0) close(fd);
    if (!error) {
        f->bytes[f->length] = '\0';
        return 0;
    }
    char text[100];
    snprintf(text, sizeof text, "cannot be read: %s", error == EINVAL ? "it is no file" : strerror(error));
    file_free(f);
    return wrong(problem, field, text, path);
}

static BIO *bio_of(const file_t *f) { return O.BIO_new_mem_buf(f->bytes, (int)f->length); }

/* No password is asked for on a terminal that nobody sits at. */
static int no_password(char *out, int size, int writing, void *argument) {
    (void)out, (void)size, (void)writing, (void)argument;
    return -1;
}

/* --- certificates ------------------------------------------------------------------------------------ */

static int64_t seconds(const ASN1_TIME *at) {
    struct tm t;
    return O.ASN1_TIME_to_tm(at, &t) == 1 ? (int64_t)timegm(&t) : 0;
}

static int in_time(const X509 *x, const char *path, gw_tls_problem_t *problem) {
    char text[80];
    const time_t now = time(NULL), from = (time_t)seconds(O.X509_get0_notBefore(x)), to = (time_t)seconds(O.X509_get0_notAfter(x));
    struct tm t;
    if (now > to) strftime(text, sizeof text, "expired on %Y-%m-%d at %H:%M UTC", gmtime_r(&to, &t));
    else if (now < from) strftime(text, sizeof text, "is not valid before %Y-%m-%d at %H:%M UTC", gmtime_r(&from, &t));
    else return 0;
    return wrong(problem, GW_TLS_CERT, text, path);
}

/* The certificates of a file, into `found`: all of them, for each that is left out somebody would be refused. 0 where there are
 * none of use, and the problem says why. */
static size_t certificates(const file_t *f, X509 **found, size_t max, int field, const char *path, gw_tls_problem_t *problem) {
    char text[120];
    BIO *b = bio_of(f);
    X509 *x = NULL;
    size_t n = 0;
    O.ERR_clear_error();
    while (b && (x = O.PEM_read_bio_X509(b, NULL, no_password, NULL)) && n < max) found[n++] = x;
    const unsigned long error = O.ERR_peek_last_error();
    const int whole = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    O.BIO_free(b);
    if (n && !x && whole) {
        O.ERR_clear_error();
        return n;
    }
    if (x) snprintf(text, sizeof text, "has more than %zu certificates in it", max);
    else if (whole) snprintf(text, sizeof text, "has no certificate (PEM) in it");
    else snprintf(text, sizeof text, "is no good: certificate %zu is none: %s", n + 1, reason());
    O.ERR_clear_error();
    O.X509_free(x);
    while (n) O.X509_free(found[--n]);
    wrong(problem, field, text, path);
    return 0;
}

static int use_chain(gw_tls_context_t *c, SSL_CTX *s, X509 *const *chain, size_t n, const char *path, gw_tls_problem_t *problem) {
    if (in_time(chain[0], path, problem)) return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        const int64_t to = seconds(O.X509_get0_notAfter(chain[i]));
        if (to < c->expires_s) c->expires_s = to;
    }
    if (O.SSL_CTX_use_certificate(s, chain[0]) != 1) return refused(problem, GW_TLS_CERT, path);
    for (size_t i = 1; i < n; i++)
        if (O.SSL_CTX_ctrl(s, SSL_CTRL_CHAIN_CERT, 1, chain[i]) != 1) return refused(problem, GW_TLS_CERT, path);
    return 0;
}

static int use_key(SSL_CTX *s, X509 *leaf, const char *path, gw_tls_problem_t *problem) {
    file_t f;
    if (file_read(&f, path, GW_TLS_KEY, problem)) return -EINVAL;
    BIO *b = bio_of(&f);
    EVP_PKEY *key = b ? O.PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
    int error = 0;
    if (!key && strstr(f.bytes, "ENCRYPTED")) error = wrong(problem, GW_TLS_KEY, "is encrypted; expected a key without a password", path);
    else if (!key) error = wrong(problem, GW_TLS_KEY, "has no private key (PEM) in it", path);
    else if (O.X509_check_private_key(leaf, key) != 1) error = wrong(problem, GW_TLS_KEY, "is not the key of the certificate", path);
    else if (O.SSL_CTX_use_PrivateKey(s, key) != 1) error = refused(problem, GW_TLS_KEY, path);
    O.ERR_clear_error();
    O.EVP_PKEY_free(key);
    O.BIO_free(b);
    file_free(&f);
    return error;
}

static int use_identity(gw_tls_context_t *c, SSL_CTX *s, const char *cert, const char *key, gw_tls_problem_t *problem) {
    file_t f;
    X509 *chain[CHAIN_MAX];
    if (file_read(&f, cert, GW_TLS_CERT, problem)) return -EINVAL;
    const size_t n = certificates(&f, chain, CHAIN_MAX, GW_TLS_CERT, cert, problem);
    int error = n ? use_chain(c, s, chain, n, cert, problem) : -EINVAL;
    if (!error) error = use_key(s, chain[0], key, problem);
    for (size_t i = 0; i < n; i++) O.X509_free(chain[i]);
    file_free(&f);
    return error;
}

/* Authorities that certificates of peers are to be signed by. */
static int use_authorities(SSL_CTX *s, const char *text, size_t length, const char *path, int tell, gw_tls_problem_t *problem) {
    file_t f = {(char *)(uintptr_t)text, length};
    X509 **found = calloc(AUTHORITIES_MAX, sizeof(X509 *));
    if (!found) return wrong(problem, GW_TLS_CA, "needs more memory than there is", path);
    const size_t n = certificates(&f, found, AUTHORITIES_MAX, GW_TLS_CA, path, problem);
    int error = n ? 0 : -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!error && O.X509_STORE_add_cert(O.SSL_CTX_get_cert_store(s), found[i]) != 1) error = refused(problem, GW_TLS_CA, path);
        if (!error && tell && O.SSL_CTX_add_client_CA(s, found[i]) != 1) error = refused(problem, GW_TLS_CA, path);
        O.X509_free(found[i]);
    }
    free(found);
    return error;
}

/* --- what a handshake asks --------------------------------------------------------------------------- */

/* HTTP/1.1, or a client that says nothing of it. */
static int choose_protocol(SSL *s, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                           unsigned int length, void *argument) {
    static const char wanted[] = "http/1.1";
    (void)s, (void)argument;
    for (unsigned at = 0; at < length && in[at] < length - at; at += 1u + in[at])
        if (in[at] == sizeof wanted - 1 && !memcmp(in + at + 1, wanted, sizeof wanted - 1)) {
            *out = in + at + 1;
            *out_length = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* `*.` stands for one part of a name. */
static int host_matches(const char *host, const char *name) {
    if (!strcasecmp(host, name)) return 1;
    const char *dot = strchr(name, '.');
    return host[0] == '*' && dot && dot != name && !strcasecmp(host + 1, dot);
}

static int choose_certificate(SSL *s, int *alert, void *argument) {
    const gw_tls_context_t *c = gw_tls_context_of(s);
    const char *name = O.SSL_get_servername(s, TLSEXT_NAMETYPE_host_name);
    (void)alert, (void)argument;
    if (!c || !name) return SSL_TLSEXT_ERR_NOACK;
    for (int wild = 0; wild < 2; wild++)
        for (size_t i = 0; i < c->names_count; i++)
            if ((c->names[i].host[0] == '*') == wild && host_matches(c->names[i].host, name)) {
                O.SSL_set_SSL_CTX(s, c->names[i].ssl);
                return SSL_TLSEXT_ERR_OK;
            }
    return SSL_TLSEXT_ERR_NOACK; /* the listener's own certificate: its reader judges */
}

/* RFC 5077 section 4: AES and an HMAC, under a key that the ticket names. */
static int ticket(SSL *s, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing) {
    gw_tls_context_t *c = gw_tls_context_of(s);
    size_t i = 0;
    if (!c) return -1;
    if (!sealing)
        while (i < c->tickets_count && memcmp(c->tickets[i].name, name, sizeof c->tickets[i].name)) i++;
    if (i == c->tickets_count) return 0;
    gw_tls_ticket_key_t *k = &c->tickets[i];
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {O.OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof k->mac),
                                     O.OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     O.OSSL_PARAM_construct_end()};
    if (O.EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
    if (!sealing) return O.EVP_DecryptInit_ex(cipher, O.EVP_aes_256_cbc(), NULL, k->cipher, iv) == 1 ? 1 + (i > 0) : -1;
    memcpy(name, k->name, sizeof k->name);
    if (O.RAND_bytes(iv, 16) != 1) return -1;
    return O.EVP_EncryptInit_ex(cipher, O.EVP_aes_256_cbc(), NULL, k->cipher, iv) == 1 ? 1 : -1;
}

/* --- contexts ---------------------------------------------------------------------------------------- */

static int common(SSL_CTX *s) {
    O.SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    O.SSL_CTX_ctrl(s, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL);
    O.SSL_CTX_ctrl(s, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    O.SSL_CTX_set_msg_callback(s, gw_tls_message);
    return O.SSL_CTX_ctrl(s, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) == 1 &&
           O.SSL_CTX_set_cipher_list(s, SUITES_12) == 1 && O.SSL_CTX_set_ciphersuites(s, SUITES_13) == 1;
}

/* As of a listener, with one certificate or another. NULL: the problem says why. */
static SSL_CTX *server(gw_tls_context_t *c, const char *cert, const char *key, const char *client_ca, gw_tls_problem_t *problem) {
    SSL_CTX *s = O.SSL_CTX_new(O.TLS_server_method());
    int error = s && common(s) ? 0 : refused(problem, GW_TLS_OTHER, NULL);
    if (!error) {
        O.SSL_CTX_set_num_tickets(s, 1);
        O.SSL_CTX_set_max_early_data(s, 0);
        O.SSL_CTX_set_alpn_select_cb(s, choose_protocol, NULL);
        O.SSL_CTX_callback_ctrl(s, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, (void (*)(void))choose_certificate);
        O.SSL_CTX_set_tlsext_ticket_key_evp_cb(s, ticket);
        O.SSL_CTX_set_session_id_context(s, c->sessions, sizeof c->sessions);
        error = use_identity(c, s, cert, key, problem);
    }
    if (!error && c->client_ca) {
        O.SSL_CTX_set_verify(s, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        error = use_authorities(s, c->client_ca, c->client_ca_length, client_ca, 1, problem);
    }
    if (!error) return s;
    O.SSL_CTX_free(s);
    return NULL;
}

static int name_sessions(gw_tls_context_t *c, const char *name) {
    const size_t own = strlen(name) + 1;
    unsigned size = sizeof c->sessions;
    char *text = malloc(own + c->client_ca_length);
    if (!text) return -ENOMEM;
    memcpy(text, name, own);
    if (c->client_ca) memcpy(text + own, c->client_ca, c->client_ca_length);
    const int done = O.EVP_Digest(text, own + c->client_ca_length, c->sessions, &size, O.EVP_sha256(), NULL);
    free(text);
    return done == 1 ? 0 : -EINVAL;
}

static gw_tls_context_t *context(gw_tls_problem_t *problem) {
    const char *why = gw_tls_missing();
    gw_tls_context_t *c = why ? NULL : calloc(1, sizeof *c);
    if (!c) wrong(problem, GW_TLS_OTHER, why ? why : "no memory", NULL);
    else c->expires_s = INT64_MAX;
    return c;
}

gw_tls_context_t *gw_tls_context_new(const char *name, const char *cert, const char *key, const char *client_ca,
                                     gw_tls_problem_t *problem) {
    gw_tls_context_t *c = context(problem);
    file_t f = {0};
    int error = c ? 0 : -EINVAL;
    if (!error && client_ca) {
        error = file_read(&f, client_ca, GW_TLS_CA, problem);
        c->client_ca = f.bytes;
        c->client_ca_length = f.length;
    }
    if (!error && (name_sessions(c, name) || O.RAND_bytes((uint8_t *)c->tickets, sizeof c->tickets[0]) != 1))
        error = refused(problem, GW_TLS_OTHER, NULL);
    if (!error) {
        c->tickets_count = 1;
        c->ssl = server(c, cert, key, client_ca, problem);
    }
    if (c && c->ssl) return c;
    gw_tls_context_free(c);
    return NULL;
}

int gw_tls_context_add(gw_tls_context_t *c, const char *host, const char *cert, const char *key, gw_tls_problem_t *problem) {
    if (c->names_count == GW_TLS_NAMES_MAX || strlen(host) > GW_TLS_NAME_MAX)
        return wrong(problem, GW_TLS_OTHER, "is one name too many, or too long", host);
    SSL_CTX *s = server(c, cert, key, NULL, problem);
    if (!s) return -EINVAL;
    c->names[c->names_count].ssl = s;
    snprintf(c->names[c->names_count++].host, GW_TLS_HOST_MAX, "%s", host);
    return 0;
}

int gw_tls_context_tickets(gw_tls_context_t *c, const gw_tls_ticket_key_t *keys, size_t count) {
    if (!count || count > GW_TLS_TICKET_KEYS) return -EINVAL;
    O.OPENSSL_cleanse(c->tickets, sizeof c->tickets);
    memcpy(c->tickets, keys, count * sizeof *keys);
    c->tickets_count = count;
    return 0;
}

int64_t gw_tls_context_expires(const gw_tls_context_t *c) { return c->expires_s; }

gw_tls_context_t *gw_tls_client_context_new(const char *ca, int verify, gw_tls_problem_t *problem) {
    gw_tls_context_t *c = context(problem);
    file_t f = {0};
    if (!c) return NULL;
    c->client = 1;
    c->ssl = O.SSL_CTX_new(O.TLS_client_method());
    int error = c->ssl && common(c->ssl) ? 0 : refused(problem, GW_TLS_OTHER, NULL);
    if (!error) O.SSL_CTX_set_verify(c->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!error && verify && !ca && O.SSL_CTX_set_default_verify_paths(c->ssl) != 1) error = refused(problem, GW_TLS_CA, NULL);
    if (!error && verify && ca) {
        error = file_read(&f, ca, GW_TLS_CA, problem);
        if (!error) error = use_authorities(c->ssl, f.bytes, f.length, ca, 0, problem);
        file_free(&f);
    }
    if (!error) return c;
    gw_tls_context_free(c);
    return NULL;
}

int gw_tls_client_context_identity(gw_tls_context_t *c, const char *cert, const char *key, gw_tls_problem_t *problem) {
    return use_identity(c, c->ssl, cert, key, problem);
}

void gw_tls_context_free(gw_tls_context_t *c) {
    if (!c) return;
    for (size_t i = 0; i < c->names_count; i++) O.SSL_CTX_free(c->names[i].ssl);
    O.SSL_CTX_free(c->ssl);
    free(c->client_ca);
    O.OPENSSL_cleanse(c->tickets, sizeof c->tickets);
    free(c);
}
#else
typedef int gw_tls_context_is_empty;
#endif
