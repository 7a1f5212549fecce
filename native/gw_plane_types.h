/* What the plane is made of. One thread owns all of it; the fields marked `shared` are read by the loop's thread. */
#ifndef GW_PLANE_TYPES_H
#define GW_PLANE_TYPES_H
#include "gw_clock.h"
#include "gw_cost.h"
#include "gw_frame.h"
#include "gw_grant.h"
#include "gw_hold_types.h"
#include "gw_ladder.h"
#include "gw_log.h"
#include "gw_map.h"
#include "gw_names.h"
#include "gw_pattern_index.h"
#include "gw_plane.h"
#include "gw_replay_types.h"
#include "gw_tenant.h"
#include "gw_plane_book_types.h"
#include "gw_units.h"
#include "gw_unsent_types.h"
#include <pthread.h>

typedef struct gw_link gw_link_t;
typedef struct gw_sub gw_sub_t;
typedef struct gw_client gw_client_t;
typedef struct gw_topic gw_topic_t;
typedef struct gw_pattern gw_pattern_t;
typedef struct gw_job gw_job_t;

/* One subscriber of a topic, as the routing loop reads it. */
typedef struct gw_entry {
    gw_client_t *client;
    gw_link_t *link;
} gw_entry_t;

/* Those subscribers of a topic that get the same bytes. */
typedef struct {
    gw_entry_t *links;
    uint32_t count, size;
    uint8_t format;
    uint16_t variant;
    uint64_t frame[GW_ENCODES];     /* cached encodings of the topic's state ... */
    uint64_t frame_seq[GW_ENCODES]; /* ... valid while this is its `seq` and the log is fresh; UINT64_MAX: none, as health that
                                       is presumed has seq 0 */
    uint64_t promised;              /* the record in hand as the snapshot that an epoch's first record is; 0: not encoded yet */
    uint64_t notice;                /* of refused input, while the log is fresh; 0: none yet */
    uint64_t announcement;          /* the same */
    uint64_t retired_index;         /* frames before it are of a topic that has ended */
    uint64_t filtered;              /* of a book: records that changed nothing that it shows */
    gw_book_file_t file;            /* of a book */
} gw_audience_t;

/* So many at most has a topic: one for each format and variant that somebody asked for. */
#define GW_AUDIENCES_MAX (GW_FORMATS_MAX * (GW_VARIANTS_MAX > GW_BOOK_DEPTHS ? GW_VARIANTS_MAX : GW_BOOK_DEPTHS))
_Static_assert(GW_AUDIENCES_MAX <= UINT8_MAX, "a link tells its audience");

/* A topic as of the plane's cursor. */
struct gw_topic {
    gw_record_t usual;
    gw_record_t *state; /* the newest record: `usual`, or memory of the topic's own once it had a longer one */
    uint64_t seq;       /* of it; 0: nothing seen in this epoch */
    uint64_t position;  /* where in the ring it begins */
    uint16_t state_cells; /* that `state` has room for; 0 of a book: so its records take the way beside the usual one */
    uint8_t origin;       /* who counted it */
    uint64_t routed; /* records routed, of all epochs, lapped ones among them */
    gw_audience_t *audiences; /* in the order in which they came; they stay while the topic does */
    uint32_t audiences_count;
    uint32_t links_count;     /* of all of them */
    uint32_t urgent;          /* links of class 0 and 1 */
    uint32_t number;                /* in plane->topics */
    uint8_t channel, length;
    uint8_t bound;    /* the epoch's directory has it */
    uint8_t suspect;  /* its newest input was refused (gw_refused.c) */
    uint8_t attached; /* it has been bound once: every pattern that covers it has its links */
    uint8_t retiring;  /* in plane->retiring (gw_retire.c); 2: the round has to come again */
    uint32_t ring_id, generation; /* its place in the directory, and of that, while it is bound */
    gw_topic_t *retiring_previous, *retiring_next;
    gw_plane_book_t *book; /* of a channel of books that has links */
    uint8_t renewed;  /* its first record of a new epoch goes out as the snapshot that was promised */
    gw_replay_t *replays; /* of its links, in any order */
    char name[GW_INSTRUMENT_MAX];
    gw_topic_t *next_same_hash;
};

enum { GW_LINK_CLEAN, GW_LINK_UPDATE, GW_LINK_SNAPSHOT, GW_LINK_RESYNC, GW_LINK_NOTICE };

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
    gw_replay_t *replay;                    /* what it is to get from the ring before it is live; NULL: it is */
    int64_t dirty_recv_ns, dirty_taken_ns;  /* of the oldest update not delivered */
    uint64_t attach;    /* topic->routed when this link began, or last changed hands: routed is the difference */
    uint64_t conflated, filtered, dropped;
    uint64_t skipped;   /* to be told in the next rendered frame */
    uint64_t stale;     /* the same, of filtered updates: of a link without a mark, too */
    union {
        uint32_t waiting; /* of its records in the queue, as counted by the job `counted` names */
        uint32_t had;     /* of a local topic, which has none there: its newest seq that the link was given; 0: none */
    };
    uint32_t counted;   /* serial of that job; another one: none were found */
    uint32_t job;       /* serial of the job that has seen to this link */
    uint32_t epoch;     /* plane->epochs when its mark was made, or its client was last renewed */
    uint32_t place;     /* in its audience's links */
    uint8_t lossless : 1;
    uint8_t unannounced : 1; /* its client does not know the topic's number yet */
    uint8_t owes : 2; /* with its mark its client is told that the topic has ended; 2: and once before. Without a mark:
                         the job in hand will see to it */
    uint8_t parked : 1;   /* its mark is in no list: it waits for its book */
    uint8_t hopeless : 1; /* its client was told that the table is full and the name can't come */
    uint8_t renews : 1; /* what was filtered was to be told as a snapshot: the next frame is one */
    uint8_t awaits : 1; /* no directory has had its topic yet: it is among its client's names_waiting */
    uint8_t dirty;      /* GW_LINK_*: UPDATE has one record pending; SNAPSHOT answers a subscribe;
                           RESYNC is an update told as a snapshot (after a lap);
                           NOTICE has nothing but what the link owes */
    uint8_t marked;     /* GW_MARK_*: chosen by the job in hand */
    uint8_t priority;   /* its class; GW_CLASS_NONE of a local topic */
    uint8_t audience;   /* of the topic's */
    uint16_t sealed;      /* of its records, those in its client's sealed rest */
    gw_book_link_t *book; /* of a book */
};

struct gw_sub {
    gw_client_t *client;
    gw_pattern_t *pattern; /* or: */
    gw_topic_t *topic;
    gw_sub_t *previous, *next;                 /* of the client */
    gw_sub_t *pattern_previous, *pattern_next; /* of the pattern */
    uint64_t order;                            /* later wins among patterns */
    uint64_t routed, delivered, conflated, filtered, dropped; /* of links that it no longer governs, and of past epochs */
    gw_hold_t *grid;  /* of its rate; NULL: it has none */
    uint32_t age_ms;  /* what is older when it is due is filtered; 0: nothing */
    uint32_t id, row; /* row: of the answer to a query; of a subscribe, which item it is */
    uint8_t channel, lossless, snapshot, priority, limit_told, ending;
    uint16_t variant;
    uint8_t from;        /* GW_FROM_*, while the request that has it is in hand */
    uint8_t replay_told; /* the reply says that it replays: the end of that is to be told */
    uint64_t from_value;
    uint64_t replay_first; /* of a name: the seq of the first record that it missed */
    uint64_t replay_end;   /* the frame that tells the end, plus 1, once it is queued */
    uint32_t replays;    /* links that have still to get some of it */
};

/* One for all subscriptions to the same text. */
struct gw_pattern {
    gw_pattern_node_t node; /* in plane->patterns; first, so that it is the pattern */
    gw_sub_t *subs;
    uint64_t letters;
    char text[GW_INSTRUMENT_MAX];
};
_Static_assert(offsetof(gw_pattern_t, node) == 0, "a node is its pattern");

/* Runs of frame indices: first in the low 47 bits, count above. An index is a number of 44 bits (at a million frames
 * a second, 200 days) in the log of the format above it. */
#define GW_RUN_BITS 47
#define GW_INDEX_BITS 44
#define GW_INDEX_FORMAT(index) ((index) >> GW_INDEX_BITS)
#define GW_RUN_FIRST(run) ((run) & ((1ull << GW_RUN_BITS) - 1))
#define GW_RUN_COUNT(run) ((run) >> GW_RUN_BITS)
#define GW_RUN_ONE (1ull << GW_RUN_BITS)
#define GW_RUN_COUNT_MAX ((1ull << (64 - GW_RUN_BITS)) - 1)
#define GW_RUNS_INLINE 2u
_Static_assert(GW_FORMATS_MAX <= 1u << (GW_RUN_BITS - GW_INDEX_BITS), "a run tells its format");

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
    GW_CLIENT_ANNOUNCES = 512, /* some of its links are unannounced */
    GW_CLIENT_REPLAYS = 1024,  /* some of its links replay */
    GW_CLIENT_SECURE = 2048,   /* is over TLS: written to and read beside the shortest way */
};
/* Whose queue takes no more than what is lossless, and is counted by channel. */
#define GW_CLIENT_WAITS (GW_CLIENT_BLOCKED | GW_CLIENT_BUSY)
/* What keeps a client from nothing but the shortest way. */
#define GW_CLIENT_PLAIN (GW_CLIENT_HOLDS | GW_CLIENT_MIXED | GW_CLIENT_ANNOUNCES | GW_CLIENT_REPLAYS)

/* Clients in the order in which their work is done. */
typedef struct { gw_client_t *first, *last; } gw_list_t;

#define GW_CLASS_NONE UINT8_MAX
#define GW_CLASSES_LOW 12u            /* bits of class 2 and 3: they come after the others under pressure */
#define GW_HOLD_SKIPS_MAX 19u
#define GW_HOLD_GRACE_NS 250000000
#define GW_PRESSURE_PARTS 4           /* a batch older than this part of the target puts the low classes last */

/* Runs outside of a client; size: a power of two. */
typedef struct {
    uint64_t *at;
    uint32_t head, count, size;
} gw_runs_t;

/* What a string asked for has come to. */
typedef struct {
    uint64_t number;   /* the seq at which a name's link began, or how many topics a pattern covers */
    uint8_t refused;   /* GW_LIMIT_* that is to be told after the reply */
    uint8_t attached;  /* the name's link was made when the job began */
    uint8_t recovery;  /* GW_RECOVERY_*: what came of its `from` */
    uint64_t reach;    /* REPLAYING: a name's seq now, UINT64_MAX of a pattern; INSUFFICIENT: the oldest there is */
} gw_outcome_t;

/* A request that may take more than one turn (gw_job.c). */
struct gw_job {
    gw_job_t *next;        /* of the same client */
    gw_command_t *command; /* NULL: the client is to learn of another epoch, or: */
    uint8_t conflates;     /* frames of conflated topics in its queue become marks */
    uint8_t rewinds;       /* lossless frames in its queue are replayed instead (gw_rewind.c) */
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

/* Channels whose links a client has its classes of together, so that they fit one word: candles of all intervals are
 * one group. A client that has any is MIXED, so that usual clients need not look up the group of a channel. */
enum { GW_CLASS_GROUPS = 8, GW_CLASS_CANDLES = 6 };

struct gw_client {
    /* What routing and a plain flush touch stands first, in one cache line. */
    _Alignas(64) uint16_t flags;
    uint16_t priorities; /* class of each group's links, 2 bits each; where MIXED, the links know */
    int fd;
    uint32_t turn_next, turn_previous; /* places in the list where it waits for its turn; 0: in none */
    uint64_t *runs;
    uint32_t runs_head, runs_count, runs_size; /* size: a power of two */
    uint32_t queued;  /* frames in the queue */
    uint64_t runs_inline[GW_RUNS_INLINE];
    int64_t sent_ns;  /* shared: MONOTONIC, last bytes taken */

    gw_rest_t rest;
    gw_secure_t *secure; /* over TLS; NULL: it is not */
    uint8_t *control;
    uint32_t control_head, control_length, control_size;
    gw_marks_t marks; /* of updates that are not held back */
    gw_link_t *links;
    gw_sub_t *subs[2]; /* of names, of patterns */
    gw_client_t *blocked_previous, *blocked_next, *jobs_next;
    gw_job_t *job, *job_last; /* the one in hand, and those that wait for it */
    uint32_t links_count, subs_count, conflated_links;
    uint32_t subs_fed; /* of them, those of topics that feeds bring */
    uint32_t noticed;         /* bytes of limits told since the control queue was last empty */
    uint32_t untold;          /* limits met since they filled their part of it */
    uint32_t names_waiting;   /* links of topics that no directory has had yet */
    uint32_t unannounced;     /* links of topics whose number it does not know */
    uint32_t waiting[GW_CHANNELS]; /* records in its queue; right while it is blocked or busy */
    uint32_t class_links[GW_CLASS_GROUPS][GW_CLASSES];
    uint32_t blocked;         /* shared */
    uint64_t control_posted;  /* shared, written by the loop */
    uint64_t control_done;    /* shared: bytes of posted ones that left or were dropped */
    uint32_t resume_wanted;   /* shared, both write */
    uint8_t format;   /* index into plane->lanes */
    uint16_t grant;   /* index into plane->grants; 0: everything */
    uint8_t regrants; /* that wait among its jobs: nothing is written to it before */
    uint8_t tenant;   /* index into plane->tenants */
    uint8_t active, closing, shut, watched, backlogged;
    uint8_t listed;   /* among plane->jobs or plane->goodbyes */
    uint8_t late;     /* a flush was put off while it was busy */
    uint8_t slow;     /* what is dropped is dropped for its slowness */
    uint8_t removing; /* REMOVED is to be told once all of it is gone */
    uint8_t cut;      /* a request was given up with its reply: nothing that was asked for later is answered */
    uint8_t rewind;   /* GW_REWIND_*: its lossless links replay from what its queue has on: no record of theirs is queued any more */
    uint32_t replays; /* links that replay */
    uint32_t replays_slow; /* of them, those that nobody asked for */
    uint64_t replay_pass; /* the pass that it is in, or the next one; 0: none */
    uint64_t replay_at;   /* while it is in none: where it has to go on; GW_POSITION_NONE: nowhere */
    uint32_t generation;

    uint8_t classes;       /* bit of each class that it has links of */
    uint8_t mixed;         /* bit of each group whose links are of several classes */
    uint8_t told[GW_CLASSES]; /* the ladder's interval of each class, as it was told */
    uint8_t level, went_up, relapses; /* gw_level.c */
    uint32_t held;         /* links whose mark is in a hold */
    uint32_t limited;      /* subscriptions with a rate or a limit of age */
    uint32_t stale;        /* links with filtered updates that are still to be told */
    uint32_t frozen;       /* links that are sent a book's state in parts */
    gw_hold_t *holds, *grids; /* of the ladder's intervals; of its own rates */
    gw_client_t *degraded_previous, *degraded_next;
    int64_t blocked_ns, above_ns, calm_ns, level_ns;
    uint64_t blocked_stalls_ns, calm_stalls_ns; /* how long we had stood still by then */
};

_Static_assert(offsetof(gw_client_t, rest) == 64, "the first line ends before the rest");

/* A target in ns and the part that may be late in one word, so that no two of them are ever mixed. */
#define GW_OBJECTIVE(target_ns, late_ppm) ((uint64_t)(target_ns) << 20 | (late_ppm))
#define GW_OBJECTIVE_TARGET_NS(o) ((int64_t)((o) >> 20))
#define GW_OBJECTIVE_LATE_PPM(o) ((uint32_t)((o) & ((1u << 20) - 1)))

/* What clients of one format share: the log of their frames, and how far those who look after it have come. */
typedef struct {
    gw_log_t log; /* none before the first of them */
    uint64_t epoch_index;                 /* when this epoch was followed: frames before it are of an earlier one */
    uint64_t guard_position, guard_index; /* where the log's guard looks again */
    uint32_t guard_next;                  /* the slot that it looks at first then */
    uint64_t round_position, round_index; /* when this round of visits began */
    uint64_t swept_position, swept_index; /* ... and the one before: all who wait were touched later */
} gw_lane_t;

/* The links of a topic from the last to the first, some at a time: one that ends meanwhile has the last of its
 * audience take its place, so those not seen stay in front; one that begins is behind them, or in an audience of its
 * own behind them. */
typedef struct {
    uint32_t audiences, links; /* still to come; links: of the audience in hand */
} gw_walk_t;

/* What the controller measures (gw_control.c). */
typedef struct {
    uint64_t wanted, taken; /* GW_OBJECTIVE: as the loop wants it, as it is in force */
    gw_look_t look; /* since the last one */
    int64_t edge_calm_ns, edge_over_ns;
    int64_t looked_ns, next_ns, alive_ns, cpu_ns, cpu_next_ns, run_delay_ns, busy_ns;
    int64_t offered_ns; /* time that others used because we let them */
    uint64_t delivered[GW_CLASSES], conflated[GW_CLASSES], sends;
    uint64_t asked[GW_CLASSES]; /* conflated since the last look because their clients asked for a rate */
    /* Of the sweeps since the last look: clients, and the same and the time each weighted with its clients. */
    double swept, swept_squares, swept_ns;
    int64_t cpu_looked_ns;  /* the thread's CPU time at the last look */
    gw_cost_t cost;
    uint32_t audience, audience_before, audience_looks;
    int schedstat_fd;
} gw_control_t;

/* A topic of this plane alone (gw_local.c). */
#define GW_LOCAL_FRAME_MAX (GW_LOCAL_TEXT_MAX + sizeof(gw_local_form_t) + GW_FILL_WIDTH + GW_FRAME_HEADER_MAX)
typedef struct {
    gw_topic_t topic; /* first, so that it is the local; bound and attached from the start */
    uint32_t followers; /* shared: its links */
    uint8_t walking, again; /* a round is under way; another text has come since it began */
    gw_walk_t walk;
    struct {
        uint64_t seq; /* of the text; 0: none */
        int64_t encoded_ns;
        uint32_t length;
        uint8_t bytes[GW_LOCAL_FRAME_MAX];
    } frames[GW_ENCODES];
    uint32_t length;
    uint8_t text[GW_LOCAL_TEXT_MAX]; /* the newest */
} gw_local_t;
_Static_assert(offsetof(gw_local_t, topic) == 0, "a topic of GW_LOCAL is its local");

/* The topic that patterns are being attached to (gw_bind.c). */
typedef struct {
    gw_topic_t *topic; /* NULL: none */
    uint32_t id;       /* its number in the ring */
    gw_sub_t *sub;     /* next of the pattern in hand */
    gw_walk_t awaiting; /* of its links, those that may await it yet */
    gw_pattern_cursor_t cursor;
} gw_binding_t;

struct gw_plane {
    gw_plane_options_t o;
    gw_io_t io;
    gw_stats_t *stats;
    gw_wait_t *wait, wait_private;
    gw_lane_t lanes[GW_FORMATS_MAX]; /* as options.formats */
    uint64_t encoded;      /* bytes of all frames ever, of all lanes */
    uint64_t unguarded;    /* ... since the guard looked; a short frame counts as much as one of the mean */
    uint64_t guard_every;  /* so many, and it looks again */
    gw_client_t *clients;
    uint32_t clients_high; /* slots ever used */
    uint32_t rotation; /* of the subscriber that a record goes to first */
    uint32_t round_clients; /* visited in this round of GW_TURN_LIVE so far */
    int64_t round_ns;    /* when it began; 0: nobody waits */
    uint32_t round_last; /* the place whose visit ends this round of GW_TURN_LIVE */
    gw_tenant_t tenants[GW_TENANTS_MAX];
    uint32_t tenant_at, served; /* whose turn it is; clients visited since held updates were let go */
    uint8_t serving;   /* a slice of visits is under way: nobody may begin another */

    gw_topic_t **topics; /* by number */
    gw_name_t *names;    /* the same */
    uint32_t topics_count, topics_size, topics_waiting;
    gw_plane_books_t books;
    uint32_t health_topics; /* of the channel of instruments' health */
    uint32_t *topics_free;
    uint32_t topics_free_count;
    gw_map_t topics_by_name, links, subs, grids;
    gw_grant_t *grants[GW_GRANTS_MAX]; /* NULL: nothing is granted; of 0 there is none */
    uint32_t grants_high;              /* all loaded ones are before it; 0: none is */
    gw_local_t *locals;   /* as options.locals */
    int64_t locals_ns;    /* when a round over links of local topics may go on */
    uint32_t locals_walking, locals_next; /* how many have such a round; the last one whose turn it was */
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
    gw_topic_t **by_ring;     /* ring id -> topic; NULL: not bound yet; gw_topic_none: not ours */
    uint32_t by_ring_count, by_ring_size;
    uint32_t bind_next;       /* all before it are bound */
    uint64_t bind_changes;    /* the directory's when that began: another number has it begin again */
    gw_topic_t *retiring, *retire_at; /* gw_retire.c; where the round stands */
    gw_walk_t retire_place;
    int64_t retire_ns, retire_begun_ns; /* when the next round may begin; when this one did */
    uint8_t ends;             /* some topic has ended */
    uint32_t ring_topics_old; /* the directory's length when it was attached: these may have had records before */
    uint8_t *batch;
    size_t batch_at, batch_end; /* what of the batch is still to be routed */
    uint32_t full, full_next; /* gw_full.c: how many topics may be, where all are; where the round stands */
    gw_walk_t full_link;
    uint8_t full_again;         /* some could not be told yet */
    uint8_t cover_wanted;       /* the directory has what is not bound yet */
    uint8_t epoch_phase;        /* gw_epoch.c: of the change to another segment; 0: none */
    uint32_t epoch_next;        /* the next client or topic of that phase */
    uint32_t lap_next, lap_end; /* topics still to be compared with their slots after a lap */
    void *unmap;                /* a segment that is given back in pieces */
    size_t unmap_size;

    gw_pass_t pass;
    gw_client_t *blocked, *degraded;
    gw_client_t *blocked_at, *degraded_at; /* where the rounds over these lists stand */
    gw_list_t jobs;     /* clients with work that is done some at a time */
    gw_list_t goodbyes; /* doomed ones of which something is left */
    int64_t turn_units, turn_left; /* turn_units: GW_UNITS_TURN, less in tests */
    gw_list_t reads;    /* clients over TLS with something to read */
    gw_secure_step_t *secure_step;
    uint32_t reporting; /* clients whose sockets are looked at beside records: those over TLS, and once more those who are blocked */
    uint32_t blocked_count, behind_count;
    uint8_t blocked_round; /* what the round over `blocked` does (gw_level.c); 0: it rests */
    uint8_t *scratch;
    struct gw_gather *gather;
    uint64_t plain_run;   /* the run that `plain` are the bytes of; 0: none (a run's count is never 0) */
    const gw_frame_t *plain_first; /* its first frame */
    struct iovec plain;

    gw_ladder_t ladder;
    gw_control_t control;
    gw_holds_t holds[GW_INTERVALS + 1]; /* by interval; the last one: paused */
    gw_holds_t holds_over; /* to be let go whatever else waits */
    gw_wheel_t *wheel;     /* of grids */
    uint32_t holds_count;  /* of all of these */
    uint8_t pressed;     /* records stood in the ring: the low classes come last */
    uint8_t behind;      /* the client in hand is slow: its ages are its own */
    int64_t begun_ns;    /* when this cycle found something to do; 0: it has not */
    int64_t resumed_ns;  /* when we last came out of a stall */

    int64_t now;       /* MONOTONIC, refreshed between sends */
    int64_t taken_ns;  /* MONOTONIC, when the batch in hand was taken */
    int64_t records_ns; /* ... when there was one last */
    int64_t send_ns;   /* REALTIME, for ts_send; 0: to be read at the next encoding */
    int64_t timer_ns, heartbeat_scan_ns, sockets_ns, commands_ns, goodbyes_ns;
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
    uint16_t *slots_grant; /* of each slot's client */
    uint32_t grants_clients[GW_GRANTS_MAX]; /* that have it, until their REMOVED was taken */
    uint8_t grants_loaded[GW_GRANTS_MAX];
};
_Static_assert(GW_GRANTS_MAX - 1 <= UINT16_MAX, "a grant fits two bytes");

#define GW_WAKE_KEY UINT64_MAX /* of event_fd, in the epoll set */

_Static_assert(GW_BOOK_FRAME_MAX + 4 * GW_NOTICE_MAX <= GW_ROOM_BULK, "so does a book's");
_Static_assert(GW_FRAME_MAX + 2 * GW_NOTICE_MAX <= GW_ROOM_BULK && GW_LOCAL_FRAME_MAX <= GW_ROOM_BULK &&
                GW_ROOM_COPIED <= GW_SCRATCH_BYTES, "a message fits into a visit");

#endif
