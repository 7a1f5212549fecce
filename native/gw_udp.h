/* Datagrams in batches: recvmmsg into one slab, kernel drops counted (SO_RXQ_OVFL), a wake-up from
 * another thread. One thread receives; `gw_udp_wake` is for any. */
#ifndef GW_UDP_H
#define GW_UDP_H
#include "gw_record.h"

#include <stdbool.h>
#include <sys/types.h>

#define GW_UDP_BATCH 256u
#define GW_UDP_DATAGRAM_MAX 65536u

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
    int64_t ts_recv, mono_recv; /* REALTIME and MONOTONIC ns of the last batch */
    int filled;                 /* headers of `messages` that the last batch used */
    gw_udp_place_t place;       /* the next line */
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
/* Ends the other thread's receive, or its next one. */
void gw_udp_wake(gw_udp_t *u);
/* Whether there was a wake-up since the last look: on a line that is never empty no receive waits,
 * so none sees it. */
bool gw_udp_woken(gw_udp_t *u);

#endif
