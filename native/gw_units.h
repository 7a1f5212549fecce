/* How much the plane does at once: units of work, bytes, and how many of a thing in a turn. */
#ifndef GW_UNITS_H
#define GW_UNITS_H
#include "gw_record.h"

/* What the plane may do in one turn is counted in units of some 10 to 25 ns (native/README.md, "Steps and their
 * bounds"). What is left when they are used up is done in later turns. */
#define GW_UNITS_TEST 1    /* a name held against a pattern */
#define GW_UNITS_FRAME 2   /* a queued frame looked at */
#define GW_UNITS_LOOK 2    /* a link, a subscription or a client looked at */
#define GW_UNITS_LINK 16   /* a link made, moved or ended */
#define GW_UNITS_LOCATE 256 /* a record found in the ring: 90 hops in half a million of a topic, 6 us */
#define GW_UNITS_TOPIC 8   /* a topic bound, unbound, or compared with its slot */
#define GW_UNITS_CELLS 2   /* so many cells of a long record that is read back from the ring are one unit */
#define GW_UNITS_QUEUE 8   /* so many queued frames counted, or runs of them joined, are one unit */
#define GW_UNITS_SEND 256  /* a visit between two requests */
#define GW_UNITS_QUANTUM 512 /* of one client's job, before the next client's */
#define GW_UNITS_TURN 2048   /* of all jobs in one turn, and of each other step: some 50 us */

#define GW_COMMANDS_PER_CYCLE 256
#define GW_UNMAP_BYTES (4u << 20) /* of a segment that is no longer read, each time */
#define GW_BATCH_BYTES (4096u * GW_CELL * GW_RECORD_CELLS)
#define GW_SCRATCH_BYTES (256u << 10)
#define GW_RENDERED_MAX 1024u
#define GW_ROOM_BULK (32u << 10) /* a visit's bytes of a client that catches up: a socket that just drained takes
                                    little, and what it leaves was copied for nothing */
#define GW_ROOM_REPLAY (8u << 10) /* of one that replays, beside others: at 7 us, what came meanwhile waits for its end */
#define GW_ROOM_CONTROL (16u << 10) /* of its replies: one to a long request takes the kernel as long as a slice of visits */
#define GW_ROOM_COPIED (64u << 10) /* of any other, where frames are copied or rendered */
#define GW_ROOM_IN_PLACE (256u << 10) /* where they are sent from the log */
#define GW_CONTROL_SLACK 8192u /* for messages that the plane itself writes */
#define GW_CLOSE_ROOM 256u     /* a close frame always fits */

#endif
