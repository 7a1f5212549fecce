/* A swarm of WebSocket clients for load tests. One thread drives them all, measures what they get by
 * the stamps in it, and lets them behave as their groups are told: slow readers, stalls, churn,
 * reconnect storms. All times are ns. */
#ifndef GW_SWARM_H
#define GW_SWARM_H
#include "gw_hash.h"
#include "gw_hdr.h"

#include <stdbool.h>

#define GW_SWARM_GROUPS_MAX 64u
#define GW_SWARM_PATH_MAX 8u /* steps of a stamp's path */

/* X(name): what a group is told. Times are offsets from gw_swarm_go; 0 is never, or none.
 *
 * measured: its deliveries go to histograms. read_bytes_per_s: each client reads no faster. late_acks: the
 * kernel puts off the ACK of what was read.
 * stall_*: nobody reads for so long. drop_*: all disconnect and reconnect at once. lifetime_ns: each
 * client leaves after this, spread evenly over the group, and is back after reconnect_ns; where that
 * is set, those whom the server closed come back too. resubscribe_every_ns: each client sends its
 * text and the text `text_off` (-1: none) in turns, spread evenly. */
#define GW_SWARM_GROUP(X)                                                                          \
    X(measured) X(read_bytes_per_s) X(rcvbuf_bytes) X(stall_at_ns) X(stall_for_ns)                 \
    X(stall_every_ns) X(drop_at_ns) X(drop_every_ns) X(lifetime_ns) X(reconnect_ns)                \
    X(resubscribe_every_ns) X(late_acks) X(text_off)

/* X(name): counters of a group. "In the window" is by a record's stamp.
 *
 * open: now. opened, refused: attempts that ended so. closed: ended by the server or the network, of
 * which with a close frame closed_4008 and closed_other. reconnects: opened again. frames, bytes: all
 * messages and their payloads; window_frames: those that arrived in the window. delivered: records
 * in the window; received: records that arrived in the window. snapshots, unstamped, control,
 * heartbeats, errors (replies that refuse something): messages of other kinds; unstamped are also those that can't be
 * read, and binary records of a topic that was not announced. In the window:
 * gap_events (broken chains), gaps (records missing), duplicates (counted nowhere else), conflated
 * (sum of "skipped", across the window's edges in part), and, over clients and topics, first_last_span (last - first + 1) and of these
 * records accounted (delivered, or told as skipped). Of `system` notices, whenever they came:
 * slow_notices (a client's own level moved), slow_clients (clients that got one, each once),
 * conflation_notices (a class of its did), and lost (records that `gap` notices name). */
#define GW_SWARM_COUNTERS(X)                                                                       \
    X(open) X(opened) X(refused) X(closed) X(reconnects) X(frames) X(bytes) X(window_frames)       \
    X(delivered) X(received) X(snapshots) X(unstamped) X(control) X(heartbeats) X(gaps)            \
    X(gap_events) X(duplicates) X(conflated) X(first_last_span) X(accounted) X(protocol_errors)    \
    X(oversized) X(closed_4008) X(closed_other) X(errors) X(slow_notices) X(slow_clients)          \
    X(conflation_notices) X(lost)

/* X(name): histograms of a group; all but the handshake only where it is measured. */
#define GW_SWARM_HISTOGRAMS(X)                                                                     \
    X(age) X(arrival) X(own) X(wire) X(server) X(delivery) X(handshake)

/* X(name): the driving thread's own load, of its time in gw_swarm_connect and gw_swarm_run.
 * turn_max_ns starts anew with the window. */
#define GW_SWARM_LOAD(X)                                                                           \
    X(cpu_ns) X(wall_ns) X(run_delay_ns) X(turns) X(turn_max_ns) X(reads)

#define GW_SWARM_ENUM_COUNTER(name) GW_SWARM_COUNTER_##name,
#define GW_SWARM_ENUM_HISTOGRAM(name) GW_SWARM_HISTOGRAM_##name,
#define GW_SWARM_ENUM_LOAD(name) GW_SWARM_LOAD_##name,
#define GW_SWARM_ENUM_GROUP(name) GW_SWARM_GROUP_##name,
enum { GW_SWARM_COUNTERS(GW_SWARM_ENUM_COUNTER) GW_SWARM_COUNTERS_COUNT };
enum { GW_SWARM_HISTOGRAMS(GW_SWARM_ENUM_HISTOGRAM) GW_SWARM_HISTOGRAMS_COUNT };
enum { GW_SWARM_LOAD(GW_SWARM_ENUM_LOAD) GW_SWARM_LOADS_COUNT };
enum { GW_SWARM_GROUP(GW_SWARM_ENUM_GROUP) GW_SWARM_GROUP_COUNT };

extern const char *const gw_swarm_counter_names[GW_SWARM_COUNTERS_COUNT];
extern const char *const gw_swarm_histogram_names[GW_SWARM_HISTOGRAMS_COUNT];
extern const char *const gw_swarm_load_names[GW_SWARM_LOADS_COUNT];
extern const char *const gw_swarm_group_names[GW_SWARM_GROUP_COUNT];

/* Where a record's stamp is: in our own frames; at a path of a JSON text; at a byte offset, as a
 * little-endian 64-bit integer; the digits after a text wherever it stands. Only of the last kind a
 * message may have several, each a record of its own: there are servers that put what is queued for
 * a client into one message. */
enum { GW_SWARM_STAMP_TICKGATE, GW_SWARM_STAMP_JSON, GW_SWARM_STAMP_OFFSET, GW_SWARM_STAMP_AFTER };

typedef struct {
    const char *bytes;
    size_t length;
} gw_swarm_text_t;

typedef struct {
    uint8_t address[16]; /* network order; of IPv4 the first four */
    uint8_t ipv6;
    uint16_t port;
    gw_swarm_text_t request; /* the whole HTTP upgrade request */
    gw_swarm_text_t host;    /* over TLS, where the certificate has to be this host's; empty: plain */
} gw_swarm_target_t;

typedef struct {
    int64_t values[GW_SWARM_GROUP_COUNT];
} gw_swarm_group_options_t;

typedef struct {
    const gw_swarm_target_t *targets;
    const uint32_t *sources; /* local IPv4 addresses, network order, taken in turn */
    const gw_swarm_group_options_t *groups;
    const gw_swarm_text_t *texts;
    const int32_t *clients; /* group, target, text (-1: none) of each */
    uint32_t targets_count, sources_count, groups_count, texts_count, clients_count;
    gw_swarm_text_t accept; /* the expected Sec-WebSocket-Accept; empty: not checked */
    int stamp;
    gw_swarm_text_t stamp_path; /* dotted: "data.0.E"; or the text before the digits */
    uint64_t stamp_offset;
    uint64_t frame_bytes_max;
    uint32_t connecting_max;   /* handshakes under way at once */
    uint32_t connect_rate;     /* new connections a second; 0: no limit */
    uint32_t ticks_tracked_max;
    int64_t clock_offset_ns;   /* added to the local clock to get the server's */
    gw_hash_key_t hash_key;    /* of topics and ticks: secret, and the same where ticks are merged */
} gw_swarm_options_t;

typedef struct {
    uint64_t key;
    int64_t first_ns, last_ns;
    uint64_t deliveries;
} gw_swarm_tick_t;

typedef struct gw_swarm gw_swarm_t;

/* Copies all that the options point to. -EINVAL (an index or a number out of range), -ENOMEM,
 * -ENOSYS (there is no TLS), or what the kernel refused. */
int gw_swarm_create(const gw_swarm_options_t *options, gw_swarm_t **out);
/* Nobody may be inside gw_swarm_connect or gw_swarm_run. */
void gw_swarm_destroy(gw_swarm_t *s);

/* Both drive the swarm from the calling thread; one thread at a time. 0: came to its end; -EINTR: a
 * signal came, call again; or what failed.
 * Connect ends where every client is open or was refused, or at this MONOTONIC time; run ends at
 * this REALTIME one. Both end at gw_swarm_stop, now and for ever. */
int gw_swarm_connect(gw_swarm_t *s, int64_t until_monotonic_ns);
int gw_swarm_run(gw_swarm_t *s, int64_t until_ns);

/* From any thread. The REALTIME origin of the groups' times; the window [start, end). */
void gw_swarm_go(gw_swarm_t *s, int64_t at_ns);
void gw_swarm_window(gw_swarm_t *s, int64_t start_ns, int64_t end_ns);
void gw_swarm_stop(gw_swarm_t *s);

/* Read from any thread, word by word relaxed. A histogram is NULL where it is not kept. */
uint32_t gw_swarm_groups_count(const gw_swarm_t *s);
const uint64_t *gw_swarm_counters(const gw_swarm_t *s, uint32_t group);
const gw_hdr_t *gw_swarm_histogram(const gw_swarm_t *s, uint32_t group, int histogram);
const uint64_t *gw_swarm_load(const gw_swarm_t *s);
/* How often connecting failed, by why: errno up to 199, HTTP status from 200 on, and
 * GW_SWARM_REFUSED_ANSWER: no valid answer. */
#define GW_SWARM_REFUSED_STATUS_MIN 200u
#define GW_SWARM_REFUSED_ANSWER 600u
#define GW_SWARM_REFUSED_COUNT 601u
const uint64_t *gw_swarm_refused(const gw_swarm_t *s);

/* One kind of refusal, and how often (gw_swarm_refusals.h). */
enum { GW_SWARM_REFUSAL_HANDSHAKE, GW_SWARM_REFUSAL_REPLY, GW_SWARM_REFUSAL_CLOSE, GW_SWARM_REFUSAL_KINDS };
#define GW_SWARM_REFUSALS_MAX 64u
#define GW_SWARM_REFUSAL_CODE_BYTES 32u
#define GW_SWARM_REFUSAL_MESSAGE_BYTES 240u
typedef struct {
    uint64_t count;
    uint32_t number; /* as in gw_swarm_refused, or a close code: 1005 it had none, 1006 there was no close frame */
    uint8_t kind, others; /* others: of more messages than are kept apart; without a code: of more codes */
    uint8_t code_length, message_length;
    uint8_t code[GW_SWARM_REFUSAL_CODE_BYTES];       /* of a reply; as a JSON string has it, cut */
    uint8_t message[GW_SWARM_REFUSAL_MESSAGE_BYTES]; /* of a reply as a JSON string has it; a body; a reason; cut */
} gw_swarm_refusal_t;
/* Only between runs: writes at most GW_SWARM_REFUSALS_MAX + GW_SWARM_REFUSAL_KINDS rows; how many. */
size_t gw_swarm_refusal_rows(const gw_swarm_t *s, gw_swarm_refusal_t *out);

/* Only between runs. How many ticks are sampled, at most `max` of them, and the mask of the sampling:
 * a tick is in the sample where `key & mask` is 0. */
size_t gw_swarm_ticks(const gw_swarm_t *s, gw_swarm_tick_t *out, size_t max, uint64_t *mask);

#endif
