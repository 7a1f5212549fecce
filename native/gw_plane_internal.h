/* What the plane's files share: the structures, and who does what to them. One thread owns all of it; the
 * fields marked `shared` are read by the loop's thread. */
#ifndef GW_PLANE_INTERNAL_H
#define GW_PLANE_INTERNAL_H
#include "gw_clock.h"
#include "gw_cost.h"
#include "gw_frame.h"
#include "gw_ladder.h"
#include "gw_log.h"
#include "gw_map.h"
#include "gw_pattern_index.h"
#include "gw_plane.h"
#include <pthread.h>

typedef struct gw_link gw_link_t;
typedef struct gw_sub gw_sub_t;
typedef struct gw_client gw_client_t;
typedef struct gw_topic gw_topic_t;
typedef struct gw_pattern gw_pattern_t;
typedef struct gw_hold gw_hold_t;
typedef struct gw_job gw_job_t;

/* One subscriber of a topic, as the routing loop reads it. */
typedef struct {
    gw_client_t *client;
    gw_link_t *link;
} gw_entry_t;

/* A topic as of the plane's cursor. */
struct gw_topic {
    gw_record_t state;
    uint64_t seq;    /* 0: nothing seen in this epoch */
    uint64_t routed; /* records routed, of all epochs, lapped ones among them */
    gw_entry_t *links;
    uint32_t links_count, links_size;
    uint32_t urgent; /* links of class 0 and 1 */
    uint64_t frame[GW_ENCODES];     /* cached encodings of `state` ... */
    uint64_t frame_seq[GW_ENCODES]; /* ... valid while this is `seq` and the log is fresh */
    uint32_t number;                /* in plane->topics */
    uint8_t channel, length;
    uint8_t bound;    /* the epoch's directory has it */
    uint8_t attached; /* it has been bound once: every pattern that covers it has its links */
    uint8_t renewed;  /* its first record of a new epoch goes out as the snapshot that was promised */
    char name[GW_INSTRUMENT_MAX];
    gw_topic_t *next_same_hash;
};

enum { GW_LINK_CLEAN, GW_LINK_UPDATE, GW_LINK_SNAPSHOT, GW_LINK_RESYNC };

/* What becomes of the pending records of a link that the job in hand chose: they are dropped, or conflated
 * into the snapshot that follows, from the moment of the choice on; or they move with the link. */
enum { GW_MARK_NONE, GW_MARK_DROPPED, GW_MARK_CONFLATED, GW_MARK_MOVED };

/* A topic on its way to a client, under the subscription that governs it. What was delivered is not
 * counted per record: routed is a difference of seqs, and delivered is what is left of it. */
struct gw_link {
    gw_client_t *client;
    gw_topic_t *topic;
    gw_sub_t *sub;
    gw_sub_t *chosen;                       /* to govern it once the queue has been sifted; NULL: none, it ends */
    gw_link_t *previous, *next;             /* of the client */
    gw_link_t *dirty_previous, *dirty_next; /* of the client's dirty set, or of the hold */
    gw_hold_t *hold;                        /* where the mark waits for its time; NULL: for the socket */
    int64_t dirty_recv_ns, dirty_taken_ns;  /* of the oldest update not delivered */
    uint64_t attach;    /* topic->routed when this link began, or last changed hands: routed is the difference */
    uint64_t conflated, dropped;
    uint64_t skipped;   /* to be told in the next rendered frame */
    uint32_t waiting;   /* of its records in the queue, as counted by the job `counted` names */
    uint32_t counted;   /* serial of that job; another one: none were found */
    uint32_t job;       /* serial of the job that has seen to this link */
    uint32_t epoch;     /* plane->epochs when its mark was made, or its client was last renewed */
    uint32_t place;     /* in topic->links */
    uint8_t lossless : 1;
    uint8_t awaits : 1; /* no directory has had its topic yet: it is among its client's names_waiting */
    uint8_t dirty;      /* GW_LINK_*: UPDATE has one record pending; SNAPSHOT answers a subscribe;
                           RESYNC is an update told as a snapshot (after a lap) */
    uint8_t marked;     /* GW_MARK_*: chosen by the job in hand */
    uint8_t priority;   /* its class */
};

struct gw_sub {
    gw_client_t *client;
    gw_pattern_t *pattern; /* or: */
    gw_topic_t *topic;
    gw_sub_t *previous, *next;                 /* of the client */
    gw_sub_t *pattern_previous, *pattern_next; /* of the pattern */
    uint64_t order;                            /* later wins among patterns */
    uint64_t routed, delivered, conflated, dropped; /* of links that it no longer governs, and of past epochs */
    uint32_t id, row; /* row: of the answer to a query */
    uint8_t channel, lossless, snapshot, priority, limit_told, ending;
};

/* A topic's channel and name by its number: what patterns are held against, without a look at the topic. */
typedef struct {
    uint64_t letters;        /* gw_letters */
    uint8_t channel, length; /* length: 0 where there is no topic */
    char text[GW_INSTRUMENT_MAX];
} gw_name_t;

/* One for all subscriptions to the same text. */
struct gw_pattern {
    gw_pattern_node_t node; /* in plane->patterns; first, so that it is the pattern */
    gw_sub_t *subs;
    uint64_t letters;
    char text[GW_INSTRUMENT_MAX];
};
_Static_assert(offsetof(gw_pattern_t, node) == 0, "a node is its pattern");

/* A frame cut by a short write: its rest, and what its last byte will count for. */
typedef struct {
    uint8_t *bytes;
    uint32_t length, sent;
    int64_t recv_ns, taken_ns;
    gw_link_t *link; /* where it is a pending record; NULL once that has ended */
    uint8_t channel, flags, counts, priority;
} gw_rest_t;

/* Runs of frame indices: first in the low 44 bits (at a million frames a second, 200 days), count above. */
#define GW_RUN_BITS 44
#define GW_RUN_FIRST(run) ((run) & ((1ull << GW_RUN_BITS) - 1))
#define GW_RUN_COUNT(run) ((run) >> GW_RUN_BITS)
#define GW_RUN_ONE (1ull << GW_RUN_BITS)
#define GW_RUN_COUNT_MAX ((1ull << (64 - GW_RUN_BITS)) - 1)
#define GW_RUNS_INLINE 2u

enum {
    GW_CLIENT_BLOCKED = 1, /* waits for EPOLLOUT */
    GW_CLIENT_DIRTY = 2,   /* has a dirty set */
    GW_CLIENT_DOOMED = 4,  /* takes no more data: closing, or a close was asked for */
    GW_CLIENT_GONE = 8,    /* its socket failed: nothing is written */
    GW_CLIENT_MORE = 16,   /* has control bytes, or the rest of a cut frame */
    GW_CLIENT_HOLDS = 32,  /* some of its updates may have to wait for their time */
    GW_CLIENT_MIXED = 64,  /* links of one channel are of several classes */
    GW_CLIENT_TELL = 128,  /* the ladder has moved since it was told */
    GW_CLIENT_BUSY = 256,  /* a job is under way: nothing is written to it until it is through */
};
/* Whose queue takes no more than what is lossless, and is counted by channel. */
#define GW_CLIENT_WAITS (GW_CLIENT_BLOCKED | GW_CLIENT_BUSY)
/* What keeps a client from nothing but the shortest way. */
#define GW_CLIENT_PLAIN (GW_CLIENT_HOLDS | GW_CLIENT_MIXED)

/* The marks of one client that wait for the same interval (gw_hold.c). */
struct gw_hold {
    gw_client_t *client;
    gw_hold_t *next;           /* of the client */
    gw_hold_t *before, *after; /* in the plane's queue, while there are marks */
    gw_link_t *first, *last;
    int64_t due_ns, sent_ns;   /* sent_ns: when this interval's updates went out last */
    uint8_t interval;
    uint8_t over; /* its floor is met: it is in plane->holds_over, not in the interval's queue */
};

typedef struct {
    gw_hold_t *first, *last;
} gw_holds_t;

#define GW_CLASSES_LOW 12u            /* bits of class 2 and 3: they come after the others under pressure */
#define GW_HOLD_SKIPS_MAX 19u
#define GW_HOLD_GRACE_NS 250000000
#define GW_PRESSURE_PARTS 4           /* a batch older than this part of the target puts the low classes last */

/* Runs outside of a client; size: a power of two. */
typedef struct {
    uint64_t *at;
    uint32_t head, count, size;
} gw_runs_t;

/* What the plane may do in one turn is counted in units of some 10 to 25 ns (native/README.md, "Steps and their
 * bounds"). What is left when they are used up is done in later turns. */
#define GW_UNITS_TEST 1    /* a name held against a pattern */
#define GW_UNITS_FRAME 2   /* a queued frame looked at */
#define GW_UNITS_LOOK 2    /* a link, a subscription or a client looked at */
#define GW_UNITS_LINK 16   /* a link made, moved or ended */
#define GW_UNITS_TOPIC 8   /* a topic bound, unbound, or compared with its slot */
#define GW_UNITS_QUEUE 8   /* so many queued frames counted, or runs of them joined, are one unit */
#define GW_UNITS_SEND 256  /* a visit between two requests */
#define GW_UNITS_QUANTUM 512 /* of one client's job, before the next client's */
#define GW_UNITS_TURN 4096   /* of all jobs in one turn, and of each other step: some 100 us */

/* What a string asked for has come to. */
typedef struct {
    uint64_t number;   /* the seq at which a name's link began, or how many topics a pattern covers */
    uint8_t refused;   /* GW_LIMIT_* that is to be told after the reply */
    uint8_t attached;  /* the name's link was made when the job began */
} gw_outcome_t;

/* A request that may take more than one turn (gw_job.c). */
struct gw_job {
    gw_job_t *next;        /* of the same client */
    gw_command_t *command; /* NULL: the client is to learn of another epoch, or: */
    uint8_t conflates;     /* frames of conflated topics in its queue become marks */
    uint8_t owns;          /* the command is the job's own, not the queue's */
    uint8_t replied;       /* its bytes have been queued, or given up */
    uint8_t phase;
    uint32_t serial;       /* what it has seen to bears it */
    uint32_t counting;     /* serial of its count of queued records; 0: it has not begun to count */
    uint32_t item, at;     /* where it stands: among the command's items, among topics or links chosen */
    gw_link_t *link;       /* next of the client's links to look at */
    gw_sub_t *sub;         /* next of the client's subscriptions to look at */
    gw_outcome_t *outcomes;
    gw_link_t **work;      /* links chosen */
    uint32_t work_count, work_size;
    gw_runs_t old, kept;   /* the queue while it is sifted */
    gw_event_t *event;     /* the answer to a query */
};

typedef int (*gw_sift_keep_t)(gw_plane_t *, gw_job_t *, gw_link_t *, const gw_frame_t *, uint64_t index);

struct gw_client {
    /* What routing and a plain flush touch stands first, in one cache line. */
    _Alignas(64) uint16_t flags;
    uint16_t priorities; /* class of each channel's links, 2 bits each; where MIXED, the links know */
    int fd;
    uint32_t turn_next, turn_previous; /* places in the list where it waits for its turn; 0: in none */
    uint64_t *runs;
    uint32_t runs_head, runs_count, runs_size; /* size: a power of two */
    uint32_t queued;  /* frames in the queue */
    uint64_t runs_inline[GW_RUNS_INLINE];
    int64_t sent_ns;  /* shared: MONOTONIC, last bytes taken */

    gw_rest_t rest;
    uint8_t *control;
    uint32_t control_head, control_length, control_size;
    gw_link_t *dirty_first, *dirty_last;
    gw_link_t *links;
    gw_sub_t *subs[2]; /* of names, of patterns */
    gw_client_t *blocked_previous, *blocked_next, *doomed_next, *jobs_next;
    gw_job_t *job, *job_last; /* the one in hand, and those that wait for it */
    uint32_t links_count, subs_count, conflated_links;
    uint32_t names_waiting;   /* links of topics that no directory has had yet */
    uint32_t waiting[GW_CHANNELS]; /* records in its queue; right while it is blocked or busy */
    uint32_t class_links[GW_CHANNELS][GW_CLASSES];
    uint32_t blocked;         /* shared */
    uint64_t control_posted;  /* shared, written by the loop */
    uint64_t control_done;    /* shared: bytes of posted ones that left or were dropped */
    uint32_t resume_wanted;   /* shared, both write */
    uint8_t active, closing, shut, watched, backlogged;
    uint8_t listed;   /* among plane->jobs */
    uint8_t late;     /* a flush was put off while it was busy */
    uint8_t slow;     /* what is dropped is dropped for its slowness */
    uint8_t removing; /* REMOVED is to be told once all of it is gone */
    uint8_t cut;      /* a request was given up with its reply: nothing that was asked for later is answered */
    uint32_t generation;

    uint8_t classes;       /* bit of each class that it has links of */
    uint8_t mixed;         /* bit of each channel whose links are of several classes */
    uint8_t told[GW_CLASSES]; /* the ladder's interval of each class, as it was told */
    uint8_t level, went_up, relapses; /* gw_level.c */
    uint32_t held;         /* links whose mark is in a hold */
    gw_hold_t *holds;
    gw_client_t *degraded_previous, *degraded_next;
    int64_t blocked_ns, above_ns, calm_ns, level_ns;
    uint64_t blocked_stalls_ns, calm_stalls_ns; /* how long we had stood still by then */
};

_Static_assert(offsetof(gw_client_t, rest) == 64, "the first line ends before the rest");

/* What the controller measures (gw_control.c). */
typedef struct {
    gw_look_t look; /* since the last one */
    int64_t edge_calm_ns, edge_over_ns;
    int64_t looked_ns, next_ns, alive_ns, cpu_ns, cpu_next_ns, run_delay_ns, busy_ns;
    int64_t offered_ns; /* time that others used because we let them */
    uint64_t delivered[GW_CLASSES], conflated[GW_CLASSES], sends;
    /* Of the sweeps since the last look: clients, and the same and the time each weighted with its clients. */
    double swept, swept_squares, swept_ns;
    int64_t cpu_looked_ns;  /* the thread's CPU time at the last look */
    gw_cost_t cost;
    uint32_t audience, audience_before, audience_looks;
    int schedstat_fd;
} gw_control_t;

/* The topic that patterns are being attached to (gw_cover.c). */
typedef struct {
    gw_topic_t *topic; /* NULL: none */
    uint32_t id;       /* its number in the ring */
    gw_sub_t *sub;     /* next of the pattern in hand */
    uint32_t awaiting; /* of its links, those at places below may await it yet */
    gw_pattern_cursor_t cursor;
} gw_binding_t;

struct gw_plane {
    gw_plane_options_t o;
    gw_io_t io;
    gw_stats_t *stats;
    gw_wait_t *wait, wait_private;
    gw_log_t log;
    gw_client_t *clients;
    uint32_t clients_high; /* slots ever used */
    uint64_t promised; /* the record in hand as the snapshot that an epoch's first record is; 0: not encoded yet */
    uint32_t rotation; /* of the subscriber that a record goes to first */
    uint32_t round_clients; /* visited in this round of GW_TURN_LIVE so far */
    int64_t round_ns;    /* when it began; 0: nobody waits */
    uint32_t round_last; /* the place whose visit ends this round of GW_TURN_LIVE */
    uint32_t served;   /* clients visited since held updates were let go */
    uint8_t serving;   /* a slice of visits is under way: nobody may begin another */

    gw_topic_t **topics; /* by number */
    gw_name_t *names;    /* the same */
    uint32_t topics_count, topics_size, topics_waiting;
    uint32_t *topics_free;
    uint32_t topics_free_count;
    gw_map_t topics_by_name, links, subs;
    gw_pattern_index_t patterns;
    gw_hash_key_t names_key; /* clients choose the names that are hashed */
    gw_binding_t binding;
    uint64_t order;
    uint32_t serial; /* of the last job or count */
    gw_link_t *links_free, *slabs;

    void *mapping, *mapping_next;
    size_t mapping_size, mapping_next_size;
    gw_reader_t reader;
    gw_ahead_t ring_ahead; /* of the reader in its mapping */
    char epoch[GW_EPOCH_LENGTH + 1];
    uint32_t epochs;          /* segments followed so far */
    uint64_t epoch_index;     /* the log's, when this one was: frames before it are of an earlier one */
    gw_topic_t **by_ring;     /* ring id -> topic; NULL: not bound yet; gw_topic_none: not ours */
    uint32_t by_ring_count, by_ring_size;
    uint32_t bind_next;       /* all before it are bound */
    uint32_t ring_topics_old; /* the directory's length when it was attached: these may have had records before */
    uint8_t *batch;
    size_t batch_at, batch_end; /* what of the batch is still to be routed */
    uint8_t cover_wanted;       /* the directory has what is not bound yet */
    uint8_t epoch_phase;        /* gw_epoch.c: of the change to another segment; 0: none */
    uint32_t epoch_next;        /* the next client or topic of that phase */
    uint32_t lap_next, lap_end; /* topics still to be compared with their slots after a lap */
    void *unmap;                /* a segment that is given back in pieces */
    size_t unmap_size;

    gw_client_t *blocked, *degraded;
    gw_client_t *blocked_at, *degraded_at; /* where the rounds over these lists stand */
    gw_client_t *jobs, *jobs_last; /* clients with work that is done some at a time */
    int64_t turn_units, turn_left; /* turn_units: GW_UNITS_TURN, less in tests */
    uint32_t blocked_count, behind_count;
    uint8_t blocked_round; /* what the round over `blocked` does (gw_level.c); 0: it rests */
    uint64_t guard_position, guard_index; /* where the log's guard looks again */
    uint32_t guard_next;                  /* the slot that it looks at first then */
    uint64_t round_position, round_index; /* of the log, when this round of visits began */
    uint64_t swept_position, swept_index; /* ... and the one before: all who wait were touched later */
    const gw_client_t *gathering;         /* its frames have been copied already */
    uint8_t *scratch;
    struct gw_gather *gather;
    uint64_t plain_run;   /* the run that `plain` are the bytes of; 0: none (a run's count is never 0) */
    struct iovec plain;

    gw_ladder_t ladder;
    gw_control_t control;
    gw_holds_t holds[GW_INTERVALS + 1]; /* by interval; the last one: paused */
    gw_holds_t holds_over; /* to be let go whatever else waits */
    uint32_t holds_count;
    uint8_t pressed;     /* records stood in the ring: the low classes come last */
    uint8_t behind;      /* the client in hand is slow: its ages are its own */
    int64_t begun_ns;    /* when this cycle found something to do; 0: it has not */
    int64_t resumed_ns;  /* when we last came out of a stall */

    int64_t now;       /* MONOTONIC, refreshed between sends */
    int64_t taken_ns;  /* MONOTONIC, when the batch in hand was taken */
    int64_t send_ns;   /* REALTIME, for ts_send; 0: to be read at the next encoding */
    int64_t timer_ns, heartbeat_scan_ns, sockets_ns, offered_ns, commands_ns;
    uint32_t heartbeat_next; /* slot the scan stands at; clients_high: at rest */
    uint32_t refresh_next;   /* the same of the round that takes a step of the ladder to the clients */
    uint64_t heartbeat_count;
    int epoll_fd, events_fd, event_fd_private, can_poll, started, stopping;
    pthread_t thread;
    gw_queue_t commands, events;
    uint64_t events_rung; /* shared */
    int events_unread;    /* the loop's: rung, but there was nothing to read yet */

    /* the loop's own */
    uint32_t *slots_free;
    uint32_t slots_free_count, slots_next;
    uint32_t *generations;
};

#define GW_COMMANDS_PER_CYCLE 256
#define GW_UNMAP_BYTES (4u << 20) /* of a segment that is no longer read, each time */
#define GW_WAKE_KEY UINT64_MAX /* of event_fd, in the epoll set */
#define GW_BATCH_BYTES (4096u * GW_CELL * GW_RECORD_CELLS_MAX)
#define GW_SCRATCH_BYTES (256u << 10)
#define GW_RENDERED_MAX 1024u
#define GW_ROOM_BULK (32u << 10) /* a visit's bytes of a client that catches up: a socket that just drained takes
                                    little, and what it leaves was copied for nothing */
#define GW_ROOM_COPIED (64u << 10) /* of any other, where frames are copied or rendered */
#define GW_ROOM_IN_PLACE (256u << 10) /* where they are sent from the log */
#define GW_CONTROL_SLACK 8192u /* for messages that the plane itself writes */
#define GW_CLOSE_ROOM 256u     /* a close frame always fits */

_Static_assert(GW_FRAME_MAX <= GW_ROOM_BULK && GW_ROOM_COPIED <= GW_SCRATCH_BYTES, "a message fits into a visit");

static inline void gw_count(uint64_t *counter, uint64_t n) { gw_hdr_add(counter, n); }

static inline uint64_t gw_link_key(const gw_client_t *clients, const gw_client_t *c, uint32_t number) {
    return (uint64_t)(c - clients) << 32 | number;
}

/* Whom a frame of the client's queue goes to; NULL for none that lives. */
static inline gw_link_t *gw_frame_link(const gw_plane_t *p, const gw_client_t *c, const gw_frame_t *f) {
    return gw_map_get(&p->links, gw_link_key(p->clients, c, f->topic));
}

static inline uint32_t gw_serial(gw_plane_t *p) {
    if (++p->serial == 0) p->serial = 1; /* 0 is no job's */
    return p->serial;
}

/* gw_hub.c */
gw_topic_t *gw_topic_find(const gw_plane_t *p, uint8_t channel, const char *name, size_t length);
gw_topic_t *gw_topic_make(gw_plane_t *p, uint8_t channel, const char *name, size_t length);
void gw_topic_release(gw_plane_t *p, gw_topic_t *t); /* frees it when nobody waits and it is not bound */
gw_link_t *gw_link_find(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t);
gw_link_t *gw_link_make(gw_plane_t *p, gw_client_t *c, gw_topic_t *t, gw_sub_t *s);
void gw_link_drop(gw_plane_t *p, gw_link_t *l); /* nothing of it may be pending but a cut frame */
void gw_link_prioritise(gw_plane_t *p, gw_link_t *l, uint8_t priority);
void gw_link_govern(gw_plane_t *p, gw_link_t *l, gw_sub_t *s, uint64_t pending); /* folds into the old one */
void gw_link_fold(gw_link_t *l, uint64_t pending);
void gw_link_mode(gw_link_t *l, uint8_t lossless);
gw_sub_t *gw_sub_find(const gw_plane_t *p, const gw_client_t *c, uint32_t id);
gw_sub_t *gw_sub_make(gw_plane_t *p, gw_client_t *c, const gw_item_t *item);
void gw_sub_drop(gw_plane_t *p, gw_sub_t *s);
int gw_links_full(const gw_plane_t *p, const gw_client_t *c);
void gw_links_full_tell(gw_plane_t *p, gw_client_t *c, gw_sub_t *s);
void gw_limit_tell(gw_plane_t *p, gw_client_t *c, const char *limit, uint32_t value, const char *name, size_t length);

/* gw_cover.c */
extern gw_topic_t gw_topic_none;
gw_pattern_t *gw_pattern_intern(gw_plane_t *p, const gw_item_t *item);
void gw_pattern_release(gw_plane_t *p, gw_pattern_t *x); /* frees it when nobody has it */
int gw_pattern_covers(const gw_pattern_t *x, const gw_name_t *n, int64_t *budget);
gw_sub_t *gw_sub_pattern_covering(const gw_plane_t *p, const gw_client_t *c, const gw_topic_t *t, int64_t *budget);
gw_topic_t *gw_topic_of_ring(gw_plane_t *p, uint32_t id, int64_t *budget);
int gw_cover(gw_plane_t *p, int64_t *budget);
int gw_cover_done(gw_plane_t *p);
gw_topic_t *gw_cover_undo(gw_plane_t *p);

/* gw_job.c */
void gw_job_add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x); /* the command is copied if it has to wait */
void gw_job_renew(gw_plane_t *p, gw_client_t *c);
void gw_job_conflate(gw_plane_t *p, gw_client_t *c);
void gw_jobs_abort(gw_plane_t *p, gw_client_t *c);
void gw_jobs_run(gw_plane_t *p, int64_t budget);
void gw_client_list(gw_plane_t *p, gw_client_t *c);
int gw_client_reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x);
static inline int gw_link_is_marked(const gw_link_t *l) {
    return l->marked && l->client->job && l->job == l->client->job->serial;
}
/* One more record of the link, found in the queue by the count of this serial. */
static inline void gw_link_count(gw_link_t *l, uint32_t counting) {
    if (l->counted != counting) l->waiting = 0;
    l->counted = counting;
    l->waiting++;
}

/* Whom a slice of visits comes to next: GW_TURN_LIVE has those with news, oldest touch first; GW_TURN_BULK
 * those whose backlog took more than one visit. Each list is a ring through a sentinel of its own, two
 * clients before the first. A place counts cache lines from the one before these on, so that 0 is none. */
enum { GW_TURN_LIVE, GW_TURN_BULK, GW_TURNS };
#define GW_PLACES_BEFORE (GW_TURNS + 1u) /* clients in front of the first one */

static inline gw_client_t *gw_place_client(const gw_plane_t *p, uint32_t place) {
    return (gw_client_t *)(void *)((char *)(p->clients - GW_PLACES_BEFORE) + (size_t)place * 64);
}

static inline uint32_t gw_client_place(const gw_plane_t *p, const gw_client_t *c) {
    return (uint32_t)((size_t)((const char *)c - (const char *)(p->clients - GW_PLACES_BEFORE)) / 64);
}

static inline uint32_t gw_turn_sentinel(unsigned list) { return (uint32_t)((list + 1) * (sizeof(gw_client_t) / 64)); }

static inline int gw_turn_empty(const gw_plane_t *p, unsigned list) {
    return gw_place_client(p, gw_turn_sentinel(list))->turn_next == gw_turn_sentinel(list);
}

static inline void gw_turn_wait(gw_plane_t *p, unsigned list, gw_client_t *c) {
    uint32_t place = gw_client_place(p, c);
    gw_client_t *end = gw_place_client(p, gw_turn_sentinel(list));
    c->turn_next = gw_turn_sentinel(list);
    c->turn_previous = end->turn_previous;
    gw_place_client(p, end->turn_previous)->turn_next = place;
    end->turn_previous = place;
}

static inline void gw_client_touch(gw_plane_t *p, gw_client_t *c) {
    if (!c->turn_next) gw_turn_wait(p, GW_TURN_LIVE, c);
}

static inline void gw_client_untouch(gw_plane_t *p, gw_client_t *c) {
    if (!c->turn_next) return;
    if (p->round_last == gw_client_place(p, c)) p->round_last = c->turn_previous;
    gw_place_client(p, c->turn_previous)->turn_next = c->turn_next;
    gw_place_client(p, c->turn_next)->turn_previous = c->turn_previous;
    c->turn_next = 0;
}

/* gw_encode.c: frames of the log */
uint64_t gw_topic_frame(gw_plane_t *p, gw_topic_t *t, int encode);
uint64_t gw_topic_resync_frame(gw_plane_t *p, gw_topic_t *t, uint64_t skipped);
uint64_t gw_notice_frame(gw_plane_t *p, const gw_topic_t *t, const char *payload, size_t length);
size_t gw_topic_render(gw_plane_t *p, gw_topic_t *t, int encode, uint64_t skipped, uint8_t *out);
size_t gw_topic_render_max(const gw_plane_t *p, const gw_topic_t *t); /* either message, with `skipped` */

/* gw_runs.c: one client's queue of frames */
void gw_client_push(gw_plane_t *p, gw_client_t *c, uint64_t index);
void gw_client_push_record(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index); /* slow path of routing */
void gw_client_shrink(gw_client_t *c); /* an empty queue's memory goes back */
void gw_client_count_waiting(const gw_plane_t *p, gw_client_t *c);
int gw_client_oldest(const gw_client_t *c, uint64_t *index);
uint64_t gw_run_bytes(const gw_plane_t *p, const gw_client_t *c, uint32_t i);
void gw_client_drop_queue(gw_plane_t *p, gw_client_t *c);
void gw_client_backlog(gw_plane_t *p, gw_client_t *c);
int gw_sift_begin(gw_plane_t *p, gw_client_t *c, gw_job_t *job);
int gw_sift(gw_plane_t *p, gw_client_t *c, gw_job_t *job, gw_sift_keep_t keeps, int64_t *budget);
int gw_sift_undo(gw_client_t *c, gw_job_t *job);
void gw_job_drop_queue(gw_job_t *job);

/* gw_outbox.c: what else waits for one client */
void gw_client_take(gw_plane_t *p, gw_client_t *c, gw_link_t *l, uint64_t index); /* slow path of routing */
int gw_client_control(gw_plane_t *p, gw_client_t *c, const void *bytes, size_t length, int posted);
int gw_client_control_text(gw_plane_t *p, gw_client_t *c, const char *payload, size_t length);
uint64_t *gw_client_loss(const gw_plane_t *p, const gw_client_t *c);
void gw_link_dirty(gw_plane_t *p, gw_link_t *l, int how);
void gw_link_clean(gw_plane_t *p, gw_link_t *l);
void gw_link_supersede(gw_plane_t *p, gw_link_t *l); /* a pending record gives way to a newer one */
void gw_link_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason);
void gw_link_settle_marked(gw_plane_t *p, gw_link_t *l);
void gw_link_renew(gw_plane_t *p, gw_link_t *l);

/* gw_goodbye.c */
void gw_client_doom(gw_plane_t *p, gw_client_t *c, int code, const char *reason);
void gw_client_slow(gw_plane_t *p, gw_client_t *c, const char *what);
int gw_client_bury(gw_plane_t *p, gw_client_t *c, int64_t *budget);
void gw_client_drop_rest(gw_plane_t *p, gw_client_t *c);
void gw_client_free(gw_plane_t *p, gw_client_t *c);
void gw_client_removed(gw_plane_t *p, gw_client_t *c);

/* gw_account.c */
uint32_t gw_frame_class(const gw_plane_t *p, const gw_client_t *c, const gw_frame_t *f);
void gw_delivered(gw_plane_t *p, uint8_t channel, uint32_t priority, int64_t recv_ns, int64_t taken_ns);
void gw_delivered_run(gw_plane_t *p, gw_client_t *c, uint64_t first, uint64_t count); /* of the log's frames */

/* gw_flush.c */
size_t gw_client_flush(gw_plane_t *p, gw_client_t *c); /* one visit; the bytes that it offered to the kernel */
void gw_client_unblock(gw_plane_t *p, gw_client_t *c);
void gw_client_unwatch(gw_plane_t *p, gw_client_t *c);
int gw_keep_lossless(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index);
size_t gw_gather_size(void);

/* gw_hold.c */
void gw_client_refresh(gw_plane_t *p, gw_client_t *c);
int gw_link_hold(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f);
void gw_link_unhold(gw_plane_t *p, gw_link_t *l);
void gw_link_ready(gw_plane_t *p, gw_link_t *l);
void gw_link_held_more(gw_plane_t *p, gw_link_t *l);
uint32_t gw_holds_release(gw_plane_t *p);
void gw_cpu_offer(gw_plane_t *p);
int64_t gw_holds_due(const gw_plane_t *p);
void gw_client_holds_free(gw_client_t *c);

/* gw_level.c */
void gw_blocked_begin(gw_plane_t *p); /* a round over those whose sockets are full */
int gw_blocked_round(gw_plane_t *p);  /* a slice of it; whether it goes on */
void gw_levels_up_begin(gw_plane_t *p);
int gw_levels_up(gw_plane_t *p);      /* a slice of the round over those who get less; whether it goes on */
void gw_level_forget(gw_plane_t *p, gw_client_t *c);

/* gw_control.c */
void gw_control_init(gw_plane_t *p);
void gw_control(gw_plane_t *p);        /* in every cycle */
int gw_control_refresh(gw_plane_t *p); /* a slice of taking a step to the clients; whether more is to be done */
void gw_control_swept(gw_plane_t *p, uint32_t clients, int64_t took_ns); /* at the end of a round of visits */
void gw_control_thread(gw_plane_t *p); /* in the plane's own thread, once */
void gw_control_free(gw_plane_t *p);
void gw_client_tell(gw_plane_t *p, gw_client_t *c);

/* gw_command.c */
int gw_commands_run(gw_plane_t *p, int limit);
void gw_commands_free(gw_plane_t *p);
gw_event_t *gw_event_new(gw_event_kind_t kind, gw_handle_t handle, uint32_t rows);
void gw_event_put(gw_plane_t *p, gw_event_t *e);
/* The class of what a client gets of a channel, where all its links of it are of one. */
static inline uint32_t gw_client_class(const gw_client_t *c, uint8_t channel) {
    return c->priorities >> 2 * channel & 3u;
}
static inline gw_handle_t gw_client_handle(const gw_plane_t *p, const gw_client_t *c) {
    return (uint64_t)c->generation << 32 | (uint64_t)(c - p->clients);
}

/* How a mark is told that takes the place of a frame: by a snapshot to the slowest, and where the frame is one. */
static inline uint8_t gw_link_mark(const gw_link_t *l, const gw_frame_t *f) {
    return l->client->level == GW_LEVELS - 1 || f->flags & GW_FRAME_RESYNC ? GW_LINK_RESYNC : GW_LINK_UPDATE;
}

/* gw_epoch.c: segments, laps, epochs */
void gw_epoch_begin(gw_plane_t *p);                   /* the old ring has been read to its end */
void gw_epoch_step(gw_plane_t *p, int64_t budget);    /* while epoch_phase */
/* Populates a little of what the plane will touch next: the frame log, its mapping of the ring. */
void gw_plane_ahead(gw_plane_t *p);
void gw_epoch_lapped(gw_plane_t *p);
void gw_epoch_lap_step(gw_plane_t *p, int64_t budget); /* while lap_next < lap_end */
void gw_epoch_unmap(gw_plane_t *p, size_t bytes);
void gw_epoch_notice(gw_plane_t *p, gw_client_t *c);
void gw_topic_jump(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest);
void gw_link_snapshot(gw_plane_t *p, gw_link_t *l); /* the state now, as the answer to a subscribe */

/* gw_plane.c */
int gw_plane_far(const gw_plane_t *p); /* so much was encoded since the oldest touch that visits must come first */
int gw_plane_takes(const gw_plane_t *p); /* whether records wait: in the batch or in the ring */
int gw_record_fits(gw_plane_t *p, const gw_topic_t *t, const gw_record_t *r); /* else it is counted, and skipped */
void gw_topic_route(gw_plane_t *p, gw_topic_t *t);
void gw_log_guard(gw_plane_t *p); /* nobody waits for a frame that is about to be overwritten */

#endif
