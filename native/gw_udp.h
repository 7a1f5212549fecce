/* Datagrams in batches: recvmmsg into one slab, each with the time at which it reached this host,
 * kernel drops counted (SO_RXQ_OVFL), a wake-up from another thread. One thread receives;
 * `gw_udp_wake` is for any.
 *
 * The kernel stamps a datagram when it arrives (SO_TIMESTAMPNS), by CLOCK_REALTIME. The receiver
 * turns the stamp into an age as it reads the datagram, and counts back from its own two clocks by
 * that age: the wait in the socket's queue is ours and is measured, and a wall clock that is set
 * later shifts no latency. A clock set while the datagram waited gives a wrong age; an age that is
 * negative or over GW_UDP_AGE_MAX_NS is not believed. */
#ifndef GW_UDP_H
#define GW_UDP_H
#include "gw_record.h"

#include <stdbool.h>
#include <sys/types.h>

#define GW_UDP_BATCH 256u
#define GW_UDP_DATAGRAM_MAX 65536u
/* Longer than any wait that leaves the gateway working, shorter than most steps of a clock. */
#define GW_UDP_AGE_MAX_NS 10000000000

struct mmsghdr;
/* Where the reading of lines stands in a batch. */
typedef struct {
    int datagram;
    size_t offset;
} gw_udp_place_t;

typedef struct {
    int fd, wake_fd;
    uint32_t slot_bytes;
    uint32_t overflow;          /* the socket's own drop counter as last seen; it wraps */
    uint64_t dropped;           /* datagrams that the kernel dropped for want of buffer */
    uint64_t oversized;         /* datagrams longer than a slot, dropped here */
    uint64_t stamp_anomalies;   /* datagrams whose stamp was not believed: their age is 0 */
    bool batched;               /* recvmmsg is allowed; if not, each datagram is a call */
    bool stamped;               /* the kernel stamps; if it refuses to, every age is 0 */
    int64_t ts_read, mono_read; /* REALTIME and MONOTONIC ns at which the last batch was read */
    int64_t ages_ns[GW_UDP_BATCH]; /* of its datagrams: arrival = time of the read - age */
    int filled;                 /* headers of `messages` that the last batch used */
    gw_udp_place_t place;       /* of the line last given, or the next */
    uint64_t woken;             /* 1 from gw_udp_wake until the receiver has seen it */
    uint8_t *slab;
    size_t slab_bytes;
    struct mmsghdr *messages; /* GW_UDP_BATCH, after the slots */
} gw_udp_t;

/* Takes a bound socket (the caller keeps owning it) and asks for `buffer_bytes` of kernel buffer,
 * by force where allowed. `slot_bytes`: the longest datagram, at most GW_UDP_DATAGRAM_MAX. 0 or a
 * negative errno. */
int gw_udp_init(gw_udp_t *u, int fd, int buffer_bytes, uint32_t slot_bytes);
void gw_udp_free(gw_udp_t *u);
/* The kernel buffer as granted, in the kernel's own doubled bytes (socket(7), SO_RCVBUF). */
int gw_udp_buffer_granted(const gw_udp_t *u);
/* Waits at most `timeout_ms` (-1: for ever). Datagrams received, 0 (timeout, wake-up, signal), or a
 * negative errno. Oversized ones have length -1 in gw_udp_datagram. */
int gw_udp_receive(gw_udp_t *u, int timeout_ms);
/* The i-th datagram of the last batch: its bytes in the slab, valid until the next call. */
const uint8_t *gw_udp_datagram(const gw_udp_t *u, int i, ssize_t *length);
/* The batch's next line, without its newline; it may be empty. False at the end of the batch. */
bool gw_udp_line(gw_udp_t *u, gw_text_t *line);
/* The age of the datagram that holds the line given last. */
static inline int64_t gw_udp_line_age(const gw_udp_t *u) { return u->ages_ns[u->place.datagram]; }
/* Ends the other thread's receive, or its next one. */
void gw_udp_wake(gw_udp_t *u);
/* Whether there was a wake-up since the last look: on a line that is never empty no receive waits,
 * so none sees it. */
bool gw_udp_woken(gw_udp_t *u);

#endif
