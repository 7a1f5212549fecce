/* The bare send loop: what any server has to pay at least, and so what servers are compared with.
 *
 * Each line of a datagram becomes a text frame, and each client gets the frames of a datagram by
 * one plain send(), one client after the other. Nothing else: no routing, no queue, no reading. A
 * client whose socket does not take it all is cut off. One thread runs; `gw_floor_stop` is for any.
 */
#ifndef GW_FLOOR_H
#define GW_FLOOR_H
#include <stddef.h>
#include <stdint.h>

#define GW_FLOOR_DATAGRAM_MAX 65536u
#define GW_FLOOR_FRAMES_MAX (2u * GW_FLOOR_DATAGRAM_MAX) /* of one datagram, see gw_floor.c */
#define GW_FLOOR_WAIT_MS 100u                            /* a stop is noticed within this time */

typedef struct {
    int udp_fd;
    int *clients; /* connected, non-blocking; the caller keeps owning them */
    uint32_t clients_count;
    uint64_t stopping; /* atomic */
    uint64_t datagrams, ticks, sends, deliveries, bytes, cut_off, cpu_ns; /* relaxed */
    uint8_t datagram[GW_FLOOR_DATAGRAM_MAX];
    uint8_t frames[GW_FLOOR_FRAMES_MAX];
} gw_floor_t;

/* Takes `clients`, which stays the caller's. 0, or a negative errno. */
int gw_floor_init(gw_floor_t *f, int udp_fd, int *clients, uint32_t count);
/* Runs until a stop. 0, or a negative errno of the datagram socket. */
int gw_floor_run(gw_floor_t *f);
void gw_floor_stop(gw_floor_t *f);

/* Writes a frame for each line that is not empty, at most GW_FLOOR_FRAMES_MAX bytes in all; their
 * bytes, and in `*lines` how many there are. */
size_t gw_floor_frames(const uint8_t *datagram, size_t length, uint8_t *out, uint32_t *lines);

#endif
