/* An open-loop source of ticks for load tests: each leaves when it is due, and bears the time at
 * which it was due, however late it left. Datagrams, or messages published to a NATS server.
 *
 * One thread sends; `gw_source_stop` and reading the counters are for any. */
#ifndef GW_SOURCE_H
#define GW_SOURCE_H
#include "gw_hdr.h"
#include "gw_record.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define GW_SOURCE_SYMBOL_MAX 48u        /* of a load test, which makes its own names */
#define GW_SOURCE_PREFIX_MAX 64u        /* of a NATS subject */
#define GW_SOURCE_TICK_MAX 512u         /* a tick's line, its PUB line, the text writers' slack */
#define GW_SOURCE_DATAGRAMS 64u         /* of one system call */
#define GW_SOURCE_BATCH_BYTES_MAX 65507u /* the longest datagram of IPv4 */

/* From one wake-up to the next: what is due in between leaves with the latter, so that no more than
 * 5,000 a second have to be paid for, at up to 20 us each. A schedule with longer spaces sees none
 * of it. */
#define GW_SOURCE_INTERVAL_NS 200000
/* A sleep is no longer than this, so that a step of the wall clock or a stop is noticed. */
#define GW_SOURCE_SLEEP_NS_MAX 100000000
/* The last part of a wait, that `spin` spends looking at the clock: what waking up may take. */
#define GW_SOURCE_SPIN_NS 60000

/* The wall clock as the schedule sees it: it follows slews, and a step moves the schedule along. */
typedef struct {
    int64_t offset; /* REALTIME - MONOTONIC, as last read */
    int64_t shift;  /* sum of the steps so far */
    uint64_t steps;
} gw_pace_t;

typedef struct {
    char name[GW_SOURCE_SYMBOL_MAX];
    uint32_t length;
    uint32_t price; /* in cents */
} gw_source_symbol_t;

typedef struct {
    int fd;                   /* connected; the caller keeps owning it */
    bool nats;                /* a NATS server's stream past INFO and CONNECT, else datagrams */
    bool spin;
    uint32_t batch_bytes_max; /* of a datagram; one tick always fits */
    int64_t interval_ns;      /* GW_SOURCE_INTERVAL_NS, or 0: each tick has a wake-up of its own */
    uint32_t symbols;
    const gw_text_t *names;   /* copied */
    gw_text_t prefix;         /* of the subject; copied */
} gw_source_options_t;

typedef struct {
    int fd;
    bool nats, spin;
    uint32_t batch_bytes_max, symbols_count;
    gw_source_symbol_t *symbols;
    char prefix[GW_SOURCE_PREFIX_MAX];
    uint32_t prefix_length;
    gw_pace_t pace;
    int64_t interval_ns, earliest; /* of wake-ups; the next one's, by the schedule */
    uint64_t id, random;
    uint64_t stopping; /* atomic */

    uint8_t *slab, *slab_end;
    struct mmsghdr *messages; /* GW_SOURCE_DATAGRAMS, with their parts and counts of ticks */
    struct iovec *parts;
    uint32_t *ticks;
    uint32_t filled; /* of them */

    int64_t heard_ns; /* MONOTONIC: when we last read what the server says */
    char line[128];   /* what it said last, cut; without its end */
    uint32_t line_length;
    bool pinged; /* a PONG is owed */

    uint64_t sent, bytes, errors, send_calls, cpu_ns; /* one writer, relaxed */
    gw_hdr_t late;                                    /* sent - due */
} gw_source_t;

/* Rows of a schedule: due (REALTIME ns, non-decreasing), index of the symbol, GW_TRADE or GW_BBO */
typedef struct {
    const int64_t *due;
    const int32_t *symbol;
    const uint8_t *channel;
    size_t count;
} gw_source_rows_t;

/* 0, or -EINVAL (a name, the prefix or batch_bytes_max out of bounds), -ENOMEM. */
int gw_source_init(gw_source_t *s, const gw_source_options_t *options);
void gw_source_free(gw_source_t *s);
/* The first row that is out of order, of no symbol or of no channel; `count` where all are well. */
size_t gw_source_check(const gw_source_t *s, const gw_source_rows_t *rows);
/* Sends rows that were checked, each when it is due. `*done`: how many of them had their turn, all
 * but after a stop or an error; what the kernel refused had its turn and is not in `sent`. 0, or a
 * negative errno where the server is lost: `line` is what it said last. */
int gw_source_send(gw_source_t *s, const gw_source_rows_t *rows, size_t *done);
void gw_source_stop(gw_source_t *s);

/* Takes a reading: MONOTONIC before and after REALTIME. */
void gw_pace_follow(gw_pace_t *pace, int64_t before, int64_t real, int64_t after);
/* Writes a tick's line of PROTOCOL.md section 6 (its newline not), at most GW_SOURCE_TICK_MAX. */
size_t gw_source_line(gw_source_t *s, uint32_t symbol, uint8_t channel, int64_t ts, char *out);
/* Takes bytes that the NATS server said. 0, or -EPROTO for an error of its. */
int gw_source_hear(gw_source_t *s, const char *bytes, size_t count);

#endif
