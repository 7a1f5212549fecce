/* TLS by OpenSSL: its library is loaded at run time, so that no build carries it and its fixes reach whoever runs one.
 *
 * All records, alerts and keys are OpenSSL's. What is here keeps it to bounded steps: a connection's bytes come by a BIO
 * that gives one record a step, and its own go by that BIO to a buffer that the caller gives, never to a socket: after a
 * short write OpenSSL would send its old bytes again, and whoever writes here gathers anew.
 *
 * A connection has one owner at a time, which may be any thread. A context is used by one thread; its connections may
 * outlive it once their handshake is through (gw_tls_handed_over). */
#ifndef GW_TLS_H
#define GW_TLS_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GW_TLS_RECORD_MAX 16384u /* bytes of a record, RFC 8446 section 5.1; also what is sealed in a step */
#define GW_TLS_HELLO_MAX 16384u  /* of a ClientHello, with its records' headers */
/* A record sealed, in as small parts as its reader may ask for (RFC 6066 section 4), and answers to what was read. */
#define GW_TLS_OUT_MAX (20u << 10)
#define GW_TLS_FLIGHT_MAX (128u << 10) /* of a handshake: chains of certificates are long */
#define GW_TLS_NAMES_MAX 64u           /* certificates by name of one context */
#define GW_TLS_NAME_MAX 253u           /* of a host */
#define GW_TLS_TICKET_KEYS 2u
#define GW_TLS_UPDATES_MAX 8u /* of a peer's keys: each takes 35 us, and who follows the RFC needs one in 2^24 records */
#define GW_TLS_FILE_MAX (1u << 20) /* of certificates and keys */

/* Why there is no TLS here, in words; NULL: there is. */
const char *gw_tls_missing(void);

/* --- contexts ---------------------------------------------------------------------------------------- */

typedef struct gw_tls_context gw_tls_context_t;
typedef struct {
    uint8_t name[16], cipher[32], mac[32];
} gw_tls_ticket_key_t;

/* What is wrong with which file. */
enum { GW_TLS_OTHER, GW_TLS_CERT, GW_TLS_KEY, GW_TLS_CA };
typedef struct {
    int field;
    char text[200];
} gw_tls_problem_t;

/* A listener's: TLS 1.2 and 1.3, AEAD suites, no early data, no renegotiation. `name`: the listener's; sessions of one
 * are no good at another, nor with another client CA. `client_ca` NULL: nobody is asked for a certificate; else everybody
 * must have one. NULL: the problem says why. */
gw_tls_context_t *gw_tls_context_new(const char *name, const char *cert, const char *key, const char *client_ca,
                                     gw_tls_problem_t *problem);
/* Another certificate, for those who ask for this host: a name, or `*.` and the rest of it. 0, or -EINVAL. */
int gw_tls_context_add(gw_tls_context_t *c, const char *host, const char *cert, const char *key, gw_tls_problem_t *problem);
/* Keys of tickets, the newest first; until then a context has one of its own. 0, or -EINVAL: none or too many. */
int gw_tls_context_tickets(gw_tls_context_t *c, const gw_tls_ticket_key_t *keys, size_t count);
/* When the first of its certificates expires, in s since 1970. */
int64_t gw_tls_context_expires(const gw_tls_context_t *c);
/* A client's: `ca` NULL: the host's authorities; `verify` 0: nobody's word is needed. */
gw_tls_context_t *gw_tls_client_context_new(const char *ca, int verify, gw_tls_problem_t *problem);
/* A client's own certificate, for servers that ask for one. 0, or -EINVAL. */
int gw_tls_client_context_identity(gw_tls_context_t *c, const char *cert, const char *key, gw_tls_problem_t *problem);
void gw_tls_context_free(gw_tls_context_t *c);

/* --- connections ------------------------------------------------------------------------------------- */

typedef struct gw_tls gw_tls_t;
typedef struct {
    uint8_t *bytes;
    size_t length, size;
} gw_tls_out_t;

/* Whether bytes from the stream's start hold a whole ClientHello: 1; 0: not yet; -EPROTO: they begin none, or it is too
 * long. Before that nothing is worth the 70 KB of a connection. */
int gw_tls_hello(const uint8_t *bytes, size_t length);

/* Reads from the descriptor, without waiting; -1: from what gw_tls_feed gave alone. `host` of a client's
 * context: the server's name, to ask for and to verify. NULL: no memory. */
gw_tls_t *gw_tls_new(gw_tls_context_t *c, int fd, const char *host);
void gw_tls_free(gw_tls_t *t); /* keys are wiped */
/* Bytes of the stream that were read already, to come first. 0, -ENOMEM. */
int gw_tls_feed(gw_tls_t *t, const void *bytes, size_t length);
/* Whether some of these are left: no descriptor will say so. */
int gw_tls_fed(const gw_tls_t *t);

/* A step of the handshake: at most one signature, and all that was fed. 1: it is through; 0: the peer is to go on; -EPROTO:
 * gw_tls_error says why, and `out` may have an alert; -ECONNRESET: the peer has gone. */
int gw_tls_handshake(gw_tls_t *t, gw_tls_out_t *out);
/* At most one record. Bytes of it (`size` is GW_TLS_RECORD_MAX at least), 0: none of it, or nothing came; -ECONNRESET: the
 * end of the stream; -EPROTO as above, and where a client has its keys changed too often before it is handed over. Answers
 * are in `out`. */
ssize_t gw_tls_read(gw_tls_t *t, gw_tls_out_t *out, void *bytes, size_t size);
/* Seals at most GW_TLS_RECORD_MAX bytes behind what `out` has. 0, -EPROTO: nothing can be written any more. */
int gw_tls_write(gw_tls_t *t, gw_tls_out_t *out, const void *bytes, size_t length);
/* Says that nothing follows (close_notify). */
void gw_tls_close(gw_tls_t *t, gw_tls_out_t *out);
const char *gw_tls_error(const gw_tls_t *t);

void gw_tls_handed_over(gw_tls_t *t); /* its context may end before it */
/* Handshake messages since the handshake: key updates, and what asks for another handshake. */
uint32_t gw_tls_updates(const gw_tls_t *t);
int gw_tls_resumed(const gw_tls_t *t);
const char *gw_tls_version(const gw_tls_t *t); /* "TLSv1.3" */
const char *gw_tls_cipher(const gw_tls_t *t);
/* Which alternative names the peer's verified certificate has: `dns:`, `email:`, `uri:` or `ip:` and the name, each with a
 * NUL behind it, at `out`. How many; names beyond `size` bytes, and those with control characters, are left out. */
size_t gw_tls_peer_names(const gw_tls_t *t, char *out, size_t size);

#endif
