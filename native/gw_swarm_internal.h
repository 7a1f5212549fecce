/* What the files of the swarm share. All of it belongs to the driving thread but what gw_swarm.h lets
 * other threads read and set: counters, histograms and loads (one writer, relaxed words), `go_ns`,
 * the window, `stopping`. */
#ifndef GW_SWARM_INTERNAL_H
#define GW_SWARM_INTERNAL_H
#include <sys/types.h>

#include "gw_clock.h"
#include "gw_frame.h"
#include "gw_swarm.h"
#include "gw_swarm_json.h"
#include "gw_swarm_numbers.h"
#include "gw_swarm_refusals.h"
#include "gw_swarm_ticks.h"
#include "gw_swarm_topics.h"
#include "gw_tls.h"

#define GW_SWARM_READ_BYTES (256u << 10) /* longest read */
#define GW_SWARM_CIPHERED_BYTES (64u << 10) /* ... over TLS */
#define GW_SWARM_REST_BYTES (64u << 10)  /* frames up to this are put together in the shared buffer */
#define GW_SWARM_ANSWER_BYTES_MAX 8192u  /* of the response to the upgrade request */
#define GW_SWARM_OUT_BYTES_MIN (64u << 10)
#define GW_SWARM_HANDSHAKE_NS 10000000000
#define GW_SWARM_CLOSING_NS 1000000000
#define GW_SWARM_RETRY_NS 100000000
#define GW_SWARM_WAKE_KEY UINT64_MAX /* in epoll, in a client's place */

enum { GW_SWARM_IDLE,       /* no socket; waits in `wanting` or in a group's `away`, or for nothing */
       GW_SWARM_CONNECTING, /* until the socket is connected */
       GW_SWARM_SHAKING,    /* until the 101 is whole */
       GW_SWARM_OPEN,
       GW_SWARM_CLOSING };  /* our close frame is sent; reads what comes until the server ends it */

enum { GW_SWARM_READABLE = 1, /* the kernel has or may have bytes that we did not read */
       GW_SWARM_ENDING = 2,   /* the server ended its side: read on until that shows */
       GW_SWARM_BROKEN = 4,   /* the connection is over: whatever the group does, find out why */
       GW_SWARM_OPENED = 8,   /* it was open once */
       GW_SWARM_OFF = 16,     /* the text that it sent last is the group's text_off */
       GW_SWARM_TOLD = 32 };  /* it was told once that it is slow */

typedef struct gw_swarm_client gw_swarm_client_t;

typedef struct {
    gw_swarm_client_t *head, *tail;
} gw_swarm_list_t;

typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
} gw_swarm_bytes_t;

struct gw_swarm_client {
    int fd;
    gw_tls_t *tls; /* NULL: it is plain */
    uint8_t tls_up; /* its handshake is through */
    uint8_t state, flags;
    uint16_t group;
    uint32_t generation; /* of the socket: events of one before are known by it */
    uint32_t target;
    int32_t text;
    gw_swarm_topics_t topics;
    gw_swarm_numbers_t numbers;
    gw_swarm_bytes_t rest; /* read, and no whole frame */
    size_t rest_need;      /* the frame's size where it is known, else 0 */
    gw_swarm_bytes_t message; /* fragments so far */
    bool fragmented, binary; /* binary: the message so far */
    gw_swarm_bytes_t out; /* what the socket did not take */
    size_t out_sent;
    gw_swarm_list_t *list; /* the one that it is in */
    gw_swarm_client_t *next, *previous;
    int64_t due_ns; /* MONOTONIC: when its time in that list is over */
    int64_t connect_ns;
    int64_t since_ns; /* server's clock: what is unread came after this */
};

/* Visits each member of a group once in a period, at even distances. */
typedef struct {
    int64_t base_ns, period_ns; /* period 0: never */
    uint32_t at;
} gw_swarm_round_t;

typedef struct {
    gw_swarm_group_options_t o;
    uint64_t counters[GW_SWARM_COUNTERS_COUNT];
    gw_hdr_t *histograms; /* pages that nothing is recorded in cost nothing */
    uint32_t *members; /* indices of its clients */
    uint32_t members_count;
    gw_swarm_list_t away; /* those who will reconnect, in the order of their time */
    gw_swarm_round_t reading, leaving, resubscribing;
    int64_t drop_ns, stall_ns, stall_end_ns; /* INT64_MAX: never */
    uint32_t dropping, resuming; /* the next member; members_count: nobody */
    bool stalled;
} gw_swarm_group_t;

struct gw_swarm {
    gw_swarm_options_t o; /* its pointers are our copies, or NULL */
    gw_swarm_path_t path;
    gw_swarm_client_t *clients;
    gw_swarm_group_t *groups;
    gw_swarm_bytes_t *frames; /* the texts as masked frames */
    size_t out_bytes_max;
    /* Those who wait to connect, are connecting, were refused, are closing; whose bytes were not all read. */
    gw_swarm_list_t wanting, shaking, refused, closing, ready;
    uint32_t shaking_count;
    gw_swarm_ticks_t ticks;
    uint64_t refusals[GW_SWARM_REFUSED_COUNT];
    gw_swarm_refusals_t refused_rows;
    int epoll_fd, wake_fd, schedstat_fd;

    gw_tls_context_t *tls;     /* NULL: nobody is over TLS */
    uint8_t *ciphered, *plain; /* what a read brought; what is in one record of it */
    gw_tls_out_t sealed;       /* what is said */
    uint8_t *buffer; /* GW_SWARM_REST_BYTES + GW_SWARM_READ_BYTES */
    /* Of the read at hand, ns of the server's clock: when it was, the kernel's stamp of its newest byte
     * (0: none), and before when the message at hand can't have arrived. */
    int64_t now_ns, kernel_ns, since_ns;
    int64_t window_start_ns, window_end_ns;
    bool in_window;
    /* When the sockets that this turn reported were empty for certain, and those that the next one will. */
    int64_t empty_ns, empty_next_ns;

    int64_t monotonic_ns, timer_ns, connect_next_ns;
    uint64_t random;
    int64_t go_seen_ns;

    uint64_t load[GW_SWARM_LOADS_COUNT];
    int64_t load_ns, delay_ns; /* when to look at the clock of the thread, and at its run delay */
    int64_t cpu_base_ns, wall_base_ns, delay_base_ns, delay_last_ns, turn_window_ns;

    /* Other threads' */
    int64_t go_ns, window_next_start_ns, window_next_end_ns;
    uint64_t stopping;
};

static inline void gw_swarm_count(gw_swarm_group_t *g, int counter, uint64_t n) {
    gw_hdr_add(&g->counters[counter], n);
}
#define GW_SWARM_COUNT(g, name, n) gw_swarm_count((g), GW_SWARM_COUNTER_##name, (n))
#define GW_SWARM_VALUE(g, name) ((g)->o.values[GW_SWARM_GROUP_##name])

static inline gw_swarm_group_t *gw_swarm_group(gw_swarm_t *s, const gw_swarm_client_t *c) {
    return &s->groups[c->group];
}

/* The MONOTONIC time of a REALTIME one; one before 1970 is as long past as that. */
static inline int64_t gw_swarm_monotonic(int64_t realtime_ns) {
    return (realtime_ns > 0 ? realtime_ns : 0) - gw_realtime_ns() + gw_monotonic_ns();
}

/* --- lists (gw_swarm_client.c) --- */
void gw_swarm_list_add(gw_swarm_list_t *list, gw_swarm_client_t *c);
void gw_swarm_list_remove(gw_swarm_client_t *c);
int gw_swarm_bytes_add(gw_swarm_bytes_t *b, const void *bytes, size_t n);
void gw_swarm_bytes_free(gw_swarm_bytes_t *b);

/* --- a client's life (gw_swarm_client.c) --- */
/* Puts it among those who want to connect. */
void gw_swarm_want(gw_swarm_t *s, gw_swarm_client_t *c);
void gw_swarm_start(gw_swarm_t *s, gw_swarm_client_t *c);
void gw_swarm_connected(gw_swarm_t *s, gw_swarm_client_t *c);
void gw_swarm_opened(gw_swarm_t *s, gw_swarm_client_t *c);
/* The attempt failed; `why` counts in `refusals`, with what the server said. */
void gw_swarm_refuse(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t why, gw_swarm_span_t message);
#define GW_SWARM_SILENT ((gw_swarm_span_t){NULL, NULL})
/* The server or the network ended it. */
void gw_swarm_lose(gw_swarm_t *s, gw_swarm_client_t *c);
/* A limit or a rule is broken: a close frame, and the end. */
void gw_swarm_fail(gw_swarm_t *s, gw_swarm_client_t *c, uint16_t code);
/* Our own doing: with a close frame, or like a cable that is cut. */
void gw_swarm_leave(gw_swarm_t *s, gw_swarm_client_t *c);
void gw_swarm_drop(gw_swarm_t *s, gw_swarm_client_t *c);
/* Its time in `closing` is over, or the server ended it there. */
void gw_swarm_left(gw_swarm_t *s, gw_swarm_client_t *c);

/* --- writing (gw_swarm_client.c) --- */
/* Queues what the socket does not take. False: there is no room, nothing was sent. */
bool gw_swarm_send(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t n);
/* The same, of what is sealed or need not be. */
bool gw_swarm_send_bytes(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t n);
void gw_swarm_flush(gw_swarm_t *s, gw_swarm_client_t *c);
/* A masked control frame, of at most GW_CONTROL_BYTES_MAX bytes. */
void gw_swarm_control(gw_swarm_t *s, gw_swarm_client_t *c, uint8_t opcode, const uint8_t *bytes, size_t n);
/* Writes header, mask and the masked payload; the whole length. `out` has n + 14 bytes. */
size_t gw_swarm_mask(uint8_t opcode, const uint8_t *bytes, size_t n, uint32_t key, uint8_t *out);

/* --- reading (gw_swarm_read.c) --- */
/* Reads at most `limit` bytes once, and takes them. */
void gw_swarm_read(gw_swarm_t *s, gw_swarm_client_t *c, size_t limit);
/* Where the next read goes to and how much it may take; NULL: no memory. */
uint8_t *gw_swarm_room(gw_swarm_t *s, gw_swarm_client_t *c, size_t *size);
/* `n` bytes came there: handshake, frames, and what is left of them. */
void gw_swarm_took(gw_swarm_t *s, gw_swarm_client_t *c, size_t n);

/* A handshake comes to its end without a whole answer: refused by what there is of it, else by `why`. */
void gw_swarm_unanswered(gw_swarm_t *s, gw_swarm_client_t *c, uint32_t why);

/* --- over TLS (gw_swarm_tls.c) --- */
int gw_swarm_tls_init(gw_swarm_t *s, const gw_swarm_options_t *o);
void gw_swarm_tls_free(gw_swarm_t *s);
/* The connection's first bytes; like all that it says itself, in `sealed`. 0; else it can't begin. */
int gw_swarm_tls_begin(gw_swarm_t *s, gw_swarm_client_t *c);
/* `n` bytes came into `ciphered`. 1: the handshake is through; 0: not yet; else -errno. */
int gw_swarm_tls_feed(gw_swarm_t *s, gw_swarm_client_t *c, size_t n);
/* What is in the next record of these, into `plain`: as gw_tls_read. */
ssize_t gw_swarm_tls_next(gw_swarm_t *s, gw_swarm_client_t *c);
/* What these bytes are on their way, and how many then; NULL: they can't be sent. */
const void *gw_swarm_seal(gw_swarm_t *s, gw_swarm_client_t *c, const void *bytes, size_t *n);

/* --- accounting (gw_swarm_account.c) --- */
void gw_swarm_message(gw_swarm_t *s, gw_swarm_client_t *c, const char *bytes, size_t n);
/* A frame that is no text. */
void gw_swarm_binary(gw_swarm_t *s, gw_swarm_client_t *c, const char *bytes, size_t n);

/* --- time (gw_swarm_timer.c) --- */
/* Does what is due; sets `timer_ns`. */
void gw_swarm_timers(gw_swarm_t *s);
/* Nothing is due yet but for those who read slowly. */
void gw_swarm_groups_start(gw_swarm_t *s);
/* Something new is due then. */
static inline void gw_swarm_timer(gw_swarm_t *s, int64_t due_ns) {
    if (due_ns < s->timer_ns) s->timer_ns = due_ns;
}
/* A client's socket has something: it is read now, or when the group's behaviour allows. */
void gw_swarm_readable(gw_swarm_t *s, gw_swarm_client_t *c);
/* Not when its group reads slowly or stalls, but always before it is open and when all is over. */
static inline bool gw_swarm_reads_freely(gw_swarm_t *s, const gw_swarm_client_t *c) {
    const gw_swarm_group_t *g = gw_swarm_group(s, c);
    if (c->state != GW_SWARM_OPEN || (c->flags & GW_SWARM_BROKEN)) return true;
    return !g->stalled && !GW_SWARM_VALUE(g, read_bytes_per_s);
}

#endif
