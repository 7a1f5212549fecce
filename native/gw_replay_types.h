/* Links that are behind, and the pass over the ring that serves them. */
#ifndef GW_REPLAY_TYPES_H
#define GW_REPLAY_TYPES_H
#include "gw_ring.h"

typedef struct gw_replay gw_replay_t;
struct gw_link;
struct gw_sub;

/* A link that is behind: what it has not had yet comes from the ring (gw_replay.c). How much that is is computed, from
 * the topic's count of records routed. */
struct gw_replay {
    struct gw_link *link;
    struct gw_sub *sub; /* that asked for it, and is told its end; NULL: none */
    gw_replay_t *previous, *next; /* of the topic */
    uint64_t done;     /* of topic->routed, what the link has had or settled */
    uint64_t position; /* in the ring: nothing that it wants is before; GW_POSITION_NONE: not known yet */
    uint8_t slow;      /* its client's socket took too little: nobody asked for it */
    uint8_t told;      /* the venue's gap before the next record of it was sent already */
};
#define GW_POSITION_NONE UINT64_MAX

enum { GW_REWIND_NONE, GW_REWIND_NOTED, GW_REWIND_BEGUN };

/* The one pass over the ring for all links that replay (gw_replay_pass.c). */
typedef struct {
    gw_reader_t reader;
    uint8_t *batch; /* none before the first pass */
    size_t batch_at, batch_end; /* what of it is still to be looked at; the first record lies at reader.from */
    uint64_t number;  /* of the pass under way, or of the last one; from 1 on */
    uint64_t members, queued; /* replays of clients that are in it, and in the next one */
    uint64_t next;    /* where the next one has to begin; GW_POSITION_NONE: nobody waits for one */
    uint64_t count;   /* of all replays */
    uint64_t encoded; /* plane->encoded when all were last served */
    int64_t wanted_ns; /* since when somebody waits for the next one; 0: not yet looked */
    int64_t rest_ns;  /* while others have work, no slice before */
    int64_t sends_ns; /* ... and none of its sends */
    uint8_t active;
    uint8_t rested;   /* since the last slice a turn has ended with all of it sent */
    uint8_t deep;     /* the ring holds as much as a slow client needs to replay in place of being closed */
    uint32_t lost_next; /* the ring has lapped it: the topic whose replays are looked at next; UINT32_MAX: none */
    uint64_t lost_at;   /* where it stood then */
} gw_pass_t;

#endif
