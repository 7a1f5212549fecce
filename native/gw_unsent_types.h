/* What a client's socket has not taken of what was begun: the rest of a cut frame; and over TLS, of what is sealed. */
#ifndef GW_UNSENT_TYPES_H
#define GW_UNSENT_TYPES_H
#include "gw_record.h"
#include "gw_tls.h"

/* A frame cut by a short write: its rest, and what its last byte will count for. */
typedef struct {
    uint8_t *bytes;
    uint32_t length, sent;
    int64_t recv_ns, taken_ns;
    struct gw_link *link; /* where it is a pending record; NULL once that has ended */
    uint8_t channel, flags, counts, priority;
} gw_rest_t;

/* A frame of a record that the socket has not taken yet: what its last byte will count for. */
typedef struct {
    int64_t recv_ns, taken_ns;
    struct gw_link *link; /* where it is a pending record; NULL once that has ended */
    uint8_t channel, flags, counts, priority;
} gw_stub_t;

/* Its connection is the plane's alone from ADD to REMOVED: reading and writing are one state of OpenSSL's. */
typedef struct gw_secure {
    gw_tls_t *tls;
    uint8_t *rest; /* what is sealed and the socket has not taken: never dropped, or nothing behind it could be read */
    uint32_t rest_length, rest_sent;
    gw_stub_t *stubs; /* frames of it */
    uint32_t stubs_count, stubs_size;
    uint32_t updates;         /* of the peer, by the beginning of this minute */
    int64_t updates_ns;       /* when it began */
    struct gw_client *reads_next;
    uint8_t listed;     /* among plane->reads: the loop takes a record more, and there may be one */
    uint8_t armed;      /* what its socket is watched for: GW_SECURE_IN and GW_SECURE_OUT */
    uint8_t closed;     /* it was told that nothing follows */
    uint8_t discards;   /* nothing of what comes is of interest any more, but its end */
} gw_secure_t;
enum { GW_SECURE_IN = 1, GW_SECURE_OUT = 2 };

/* What all of them share. */
typedef struct {
    gw_tls_out_t out;                 /* of the step in hand */
    uint8_t sealed[GW_TLS_OUT_MAX];   /* its bytes */
    uint8_t plain[GW_TLS_RECORD_MAX]; /* what is sealed, where it lies in pieces; and what is read */
} gw_secure_step_t;

#endif
