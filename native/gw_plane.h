/* The data plane: one thread that takes records from the ring and owns every byte written to clients.
 *
 * The loop's thread talks to it through two queues: commands in, events out. What each rule is for,
 * and the memory-order argument, is in native/README.md. */
#ifndef GW_PLANE_H
#define GW_PLANE_H
#include "gw_book_pool.h"
#include "gw_queue.h"
#include "gw_right.h"
#include "gw_ring.h"
#include "gw_stats.h"
#include "gw_frame.h"
#include "gw_template.h"
#include "gw_tls.h"
#include <sys/types.h>
#include <sys/uio.h>

typedef struct gw_plane gw_plane_t;

/* The kernel and the clocks, as an argument: tests put their own in. `send` answers as sendmsg does. */
typedef struct {
    ssize_t (*send)(void *self, int fd, const struct iovec *parts, int count);
    int64_t (*monotonic)(void *self);
    int64_t (*realtime)(void *self);
    int64_t (*cpu)(void *self); /* used by the calling thread, ns */
    void (*yield)(void *self);  /* the CPU goes to whoever waits for it */
    void *self;
} gw_io_t;

enum { GW_ENCODE_UPDATE, GW_ENCODE_SNAPSHOT, GW_ENCODES };
/* Templates of a channel: for each of the above, and for a record that is replayed (NULL: as an update). */
enum { GW_ENCODE_REPLAY = GW_ENCODES, GW_TEMPLATES };

/* Another set of templates of a format, for subscriptions that ask for it: those that it leaves out (NULL) are the
 * format's own. */
typedef struct {
    gw_template_t *records[GW_CHANNELS][GW_TEMPLATES];
} gw_variant_t;
#define GW_VARIANTS_MAX 4u

/* A wire format: how records and notices become the bytes of a client that speaks it. Where records of a channel are
 * binary, a topic is announced (GW_NOTICE_TOPIC) to each client before the first of them. */
typedef struct {
    gw_template_t *records[GW_CHANNELS][GW_TEMPLATES]; /* NULL of a channel that its clients can't subscribe to */
    gw_template_t *notices[GW_NOTICES];              /* NULL for what it does not tell */
    gw_variant_t variants[GW_VARIANTS_MAX - 1];      /* from 1 on; 0 are the records above */
} gw_format_t;
#define GW_FORMATS_MAX 8u
void gw_format_free(gw_format_t *f); /* its templates; one of zeroes has none */

/* A topic of this plane alone (gw_local.c): its records are texts that the loop publishes, its messages are text in
 * every format. Without `before` a text is the message; else ts_send and the text stand between these. */
typedef struct {
    char name[16];
    char before[GW_ENCODES][64], between[16], behind[16];
} gw_local_form_t;
#define GW_LOCAL GW_PAD /* their channel: no record of the ring has it */
#define GW_LOCALS_MAX 4u
#define GW_LOCAL_TEXT_MAX (31u << 10)
#define GW_TENANT_WEIGHT_MAX 100u /* a turn of 400 small sends: 2 ms */

typedef struct {
    gw_format_t formats[GW_FORMATS_MAX]; /* templates are taken over */
    uint32_t formats_count, variants_count; /* of variants, variant 0 among them; 0: 1 */
    gw_local_form_t locals[GW_LOCALS_MAX];
    uint32_t locals_count;
    gw_stats_t *stats;
    gw_wait_t *wait;        /* this worker's page, shared with the writer */
    int event_fd;           /* rung by writer and loop */
    uint32_t clients_max, topics_per_client_max, waiting_topics_max;
    gw_book_sizes_t books;  /* of those that clients have subscribed to; without any nobody can */
    uint64_t log_bytes;
    uint32_t control_bytes_max, lossless_frames_max;
    int64_t lossless_max_age_ns, stall_max_ns, heartbeat_ns, paced_stall_max_ns;
    int64_t replay_depth_ns; /* where the ring holds as much, who is slow replays in place of being closed; 0: nobody does */
    int64_t target_ns;      /* of class 0 and 1; 0: no controller */
    uint32_t late_ppm;      /* of deliveries that may take longer; 0: 10,000, as for p99 */
    int enforce;            /* the controller acts; else it only says what it sees */
    int spin;               /* never block: the core is ours */
    uint32_t tenants_count; /* clients of these share the visits by weight; 0: none, and all clients are of tenant 0 */
    uint16_t tenant_weights[GW_TENANTS_MAX]; /* 1 to GW_TENANT_WEIGHT_MAX */
    int populate;           /* all of the frame log at the start, nothing later (gw_ahead.h) */
    int cpu;                /* -1: any */
    gw_io_t io;             /* all zero: the real ones */
} gw_plane_options_t;

/* 0, -ENOMEM, -EINVAL or the errno of epoll/eventfd. */
int gw_plane_create(const gw_plane_options_t *options, gw_plane_t **out);
int gw_plane_start(gw_plane_t *p);
void gw_plane_stop(gw_plane_t *p); /* joins the thread; harmless when not started */
void gw_plane_destroy(gw_plane_t *p);
/* One cycle without waiting, in the caller's thread (tests). Whether anything was done. */
int gw_plane_cycle(gw_plane_t *p);

/* --- the loop's side: one thread ------------------------------------------------------------------ */
typedef uint64_t gw_handle_t; /* generation << 32 | slot */

typedef enum {
    GW_CMD_ADD,         /* handle, fd, format, grant, tenant, bytes (first of all), fills, secure */
    GW_CMD_SEND,        /* handle, bytes, fills */
    GW_CMD_SUBSCRIBE,   /* handle, bytes, fills, items */
    GW_CMD_UNSUBSCRIBE, /* handle, bytes, fills, items (ids alone) */
    GW_CMD_REGRANT,     /* as UNSUBSCRIBE, with another grant: ends what that does not grant, too */
    GW_CMD_MOVE,        /* handle, tenant: it is another's from now on */
    GW_CMD_QUERY,       /* handle, token */
    GW_CMD_CLOSE,       /* handle, bytes */
    GW_CMD_REMOVE,      /* handle */
    GW_CMD_ATTACH,      /* mapping, size: the plane unmaps it in the end */
    GW_CMD_PUBLISH,     /* local, bytes: its newest text, which supersedes those before */
    GW_CMD_READ,        /* handle: of a client over TLS: a record more may be told */
    GW_CMD_GRANT,       /* grant, table: posted by gw_plane_grant */
    GW_CMD_STOP,
} gw_command_kind_t;

/* A place in the bytes that the plane fills: 20 characters, GW_EPOCH_LENGTH for the epoch, or for what came of a `from`
 * members of a JSON object, each with a comma before it. */
enum { GW_FILL_TIME, GW_FILL_SEQ, GW_FILL_MATCHED, GW_FILL_EPOCH, GW_FILL_RECOVERY, GW_FILL_KINDS };
#define GW_FILL_WIDTH 20u
#define GW_FILL_RECOVERY_WIDTH 64u /* ,"recovery":"insufficient_state","oldest":18446744073709551615 */
typedef struct {
    uint32_t offset, kind, arg; /* arg: index into items */
} gw_fill_t;

#define GW_RATE_MS_MAX 10000u /* max_hz is 0.1 at least */
typedef struct {
    uint32_t id; /* the caller's, unique per client; of each name a client has one at most */
    uint8_t channel, is_pattern, lossless, snapshot, resync, length, priority; /* priority: the class */
    /* Of a local topic: the name, conflated with a snapshot; it has neither class, variant, rate nor age. */
    uint16_t variant; /* of the templates, below variants_count; of a book its depth, one of gw_book_depths */
    uint16_t interval_ms; /* at most one frame of a topic in each such cell, up to GW_RATE_MS_MAX; 0: no rate */
    uint32_t age_ms;      /* what is older when it is due is not sent; 0: no limit. Neither where it is lossless */
    uint8_t from;     /* GW_FROM_*: what was missed is wanted */
    char from_epoch[GW_EPOCH_LENGTH]; /* of GW_FROM_SEQ */
    uint64_t from_value;
    char name[GW_INSTRUMENT_MAX];
} gw_item_t;

/* From where on a subscription has its records: behind a seq, the last so many, or of a ts_recv on. A pattern takes the
 * last one alone. LOST: from where the segment has none. */
enum { GW_FROM_NONE, GW_FROM_SEQ, GW_FROM_LAST, GW_FROM_TS, GW_FROM_KINDS, GW_FROM_LOST = GW_FROM_KINDS };

typedef struct {
    gw_node_t node;
    gw_command_kind_t kind;
    int fd;
    uint32_t format; /* index into the options' formats */
    uint32_t local;  /* index into the options' locals */
    uint32_t grant, tenant;
    struct gw_grant *table; /* the plane's with the command */
    struct gw_secure *secure; /* the same, once it was taken: over TLS, whose handshake is through; NULL: a plain socket */
    gw_handle_t handle;
    uint64_t token;
    void *mapping;
    size_t mapping_size;
    uint32_t items_count, fills_count, bytes_count;
    gw_item_t *items; /* the three point behind the struct */
    gw_fill_t *fills;
    uint8_t *bytes;
} gw_command_t;

/* What a client may subscribe to is a right (gw_right.h) by its number. Clients of grant 0 may have everything. */
#define GW_GRANTS_MAX 4096u /* interned: many clients share one */

/* One block with room for all; the caller fills it and posts it. NULL: no memory. */
gw_command_t *gw_command_new(gw_command_kind_t kind, uint32_t items, uint32_t fills, uint32_t bytes);
/* What a connection over TLS is handed over as; freed with its connection. NULL: no memory. */
struct gw_secure *gw_secure_new(gw_tls_t *t);
void gw_secure_end(struct gw_secure *s); /* that of a command that was not posted */
/* Hands a command over. 0, or -EINVAL where a fill or an item is out of bounds, or the handle is not
 * one of this plane's, or a text is too long, a grant was never loaded or a tenant is none of these (it is freed then).
 * A plane that sleeps learns of it by gw_plane_wake: once for all commands of a turn of the loop. */
int gw_plane_post(gw_plane_t *p, gw_command_t *command);
void gw_plane_wake(gw_plane_t *p);
/* Loads a grant, for the clients that are added with it from now on. 0, -EINVAL where it is none from 1 to
 * GW_GRANTS_MAX - 1 or a rule is out of bounds, -ENOMEM, -EBUSY while a client has it: a right does not change under
 * those who hold it. links_max: topics that such a client may have; 0: as many as the options say. */
int gw_plane_grant(gw_plane_t *p, uint32_t grant, const gw_rule_t *rules, uint32_t count, uint32_t links_max);

/* A free slot's handle for GW_CMD_ADD, or 0: clients_max are in use. Freed by gw_plane_take_event. */
gw_handle_t gw_plane_slot(gw_plane_t *p);
/* Gives a slot back that GW_CMD_ADD was not posted for. */
void gw_plane_slot_back(gw_plane_t *p, gw_handle_t handle);
/* Whether this plane gave the handle out, and not its slot anew since then. What follows says 0 of
 * others. */
int gw_plane_knows(const gw_plane_t *p, gw_handle_t handle);
/* Control bytes queued and not yet sent, commands under way included. */
uint64_t gw_plane_control_used(const gw_plane_t *p, gw_handle_t handle);
/* Asks for GW_EVENT_RESUME once less than half is queued. 0 when that is so already. */
int gw_plane_want_resume(gw_plane_t *p, gw_handle_t handle);
int gw_plane_blocked(const gw_plane_t *p, gw_handle_t handle);
/* A frame of a notice of no topic in the client's format, at `out` (GW_NOTICE_MAX bytes). Its length; 0 where that does
 * not tell it. */
size_t gw_plane_notice(const gw_plane_t *p, gw_handle_t handle, gw_notice_kind_t kind, const gw_notice_t *notice,
                       uint8_t *out);
int64_t gw_plane_sent_ns(const gw_plane_t *p, gw_handle_t handle);
/* How many clients follow a local topic now. GW_EVENT_LOCAL says when there is a first one, or none any more. */
uint32_t gw_plane_followers(const gw_plane_t *p, uint32_t local);
/* Another target and part that may be late, both greater than 0, from the plane's next look on. The steps that
 * were taken stay, and are judged by it. Not for a plane that was created without a controller. */
void gw_plane_objective(gw_plane_t *p, int64_t target_ns, uint32_t late_ppm);

typedef enum {
    GW_EVENT_GONE,    /* error: errno of the socket */
    GW_EVENT_CLOSE,   /* code, reason */
    GW_EVENT_SHUT,
    GW_EVENT_REMOVED,
    GW_EVENT_STATS,   /* token, rows */
    GW_EVENT_RESUME,
    GW_EVENT_LADDER, /* no handle; code: the step now, error: before, reason: in words */
    GW_EVENT_LEVEL,  /* code: the connection's level now, error: before, reason: in words */
    GW_EVENT_STALL,  /* no handle; token: how long in ns, reason: in words */
    GW_EVENT_FORBIDDEN, /* token: id of a name that was subscribed to and is not granted; it is no subscription */
    GW_EVENT_DATA,   /* of a client over TLS, after GW_CMD_READ: token: how many bytes came, 0: the end of the stream; code: 1:
                        they are at `rows`; 0: they were of no interest any more */
    GW_EVENT_LOCAL,  /* no handle; token: a local topic's place; code: whether somebody follows it */
} gw_event_kind_t;

typedef struct {
    uint32_t id, reserved;
    uint64_t routed, delivered, conflated, filtered, dropped, pending;
} gw_row_t;

typedef struct {
    gw_node_t node;
    gw_event_kind_t kind;
    int error, code;
    gw_handle_t handle;
    uint64_t token;
    char reason[124]; /* RFC 6455 section 5.5: a close frame's reason is at most 123 bytes */
    uint32_t rows_count;
    gw_row_t rows[];
} gw_event_t;

int gw_plane_events_fd(const gw_plane_t *p);
/* The oldest event or NULL; it is the plane's again at the next call. */
const gw_event_t *gw_plane_take_event(gw_plane_t *p);

#endif
