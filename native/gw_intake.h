/* The `udp` feed's usual case from the socket to the ring, without the interpreter: receives a
 * batch, parses its lines, looks their symbols up, publishes, and waits for the next.
 *
 * Whatever is not usual is the caller's: a line of another form (gw_line.h), a symbol that nobody
 * has named yet, a value that a record cannot hold. The records before such a line are published,
 * then `gw_intake_receive` returns it, with the others right behind it, and its next call goes on
 * with what follows: so all records keep their order, whichever way they go.
 *
 * Moderation, as a network card does with interrupts: publishing costs a fixed part per batch (a
 * receive, a ring of the workers' bell, their sweep over the clients), so that at high rates
 * records are better taken several at once. A receive that had to wait `quiet_ns` shows a quiet
 * line, and the next one follows at once. One that hardly waited shows that datagrams come faster
 * than they are taken; then the next receive is no sooner than `interval_ns` after it.
 *
 * One thread owns an intake; it shares nothing but the publisher. */
#ifndef GW_INTAKE_H
#define GW_INTAKE_H
#include "gw_publisher.h"
#include "gw_symbols.h"
#include "gw_udp.h"

/* Lines left to the caller at once: as many as datagrams in a batch, most of which hold one. */
#define GW_INTAKE_REST_MAX GW_UDP_BATCH

typedef struct {
    gw_publisher_t *publisher;
    gw_symbols_t symbols; /* the caller names them with gw_symbols_put */
    uint32_t feed;        /* index into the counters of feeds */
    int64_t quiet_ns, interval_ns;
    int64_t resume_ns; /* MONOTONIC: no receive before; 0: the line is quiet */
    uint32_t filled;   /* of `records`, not published yet */
    gw_record_t records[GW_PUBLISH_MAX];
    gw_text_t rest[GW_INTAKE_REST_MAX]; /* lines that the last call left, in the socket's slab */
    int64_t rest_ages_ns[GW_INTAKE_REST_MAX]; /* of their datagrams, as gw_udp.h has them */
} gw_intake_t;

/* 0 or -ENOMEM. */
int gw_intake_init(gw_intake_t *in, gw_publisher_t *publisher, uint32_t feed, int64_t quiet_ns,
                   int64_t interval_ns);
void gw_intake_free(gw_intake_t *in);
/* Receives and publishes until something is the caller's: how many lines there are in `rest`, or 0
 * after `timeout_ms` (0 or more), a wake-up, a signal or a loss that the socket counted, or a
 * negative errno of the socket. Lines left are valid until the next call. */
int gw_intake_receive(gw_intake_t *in, gw_udp_t *u, int timeout_ms);

#endif
