/* Marks that wait for their time: by whose interval, and until when. */
#ifndef GW_HOLD_TYPES_H
#define GW_HOLD_TYPES_H
#include "gw_plane.h"

typedef struct gw_hold gw_hold_t;
struct gw_client;
struct gw_link;

/* Marks of one client, oldest first: those that wait for its socket alone, or those of a hold. */
typedef struct { struct gw_link *first, *last; } gw_marks_t;
/* The marks of one client that wait for the same interval, the ladder's or one that the client asked for (gw_mark.c; let go
 * in gw_hold.c). */
struct gw_hold {
    struct gw_client *client;
    gw_hold_t *previous, *next; /* of the client */
    gw_hold_t *before, *after; /* in the plane's queue, while there are marks */
    gw_marks_t marks;
    int64_t due_ns, sent_ns;   /* sent_ns: when this interval's updates went out last; of a grid, when a frame left last */
    uint32_t subs;             /* of a grid: with this rate, of the client */
    uint16_t grid_ms, phase_ms; /* of a client's own rate (gw_grid.c); grid_ms 0: of the ladder */
    uint8_t interval;
    uint8_t over; /* its floor is met: it is in plane->holds_over, not in the interval's queue */
};

typedef struct { gw_hold_t *first, *last; } gw_holds_t;

/* Grids that hold something, by the millisecond at which they are due, and the clients of each rate (gw_grid.c). */
#define GW_WHEEL_MS 16384u
typedef struct {
    gw_holds_t slots[GW_WHEEL_MS];
    uint64_t used[GW_WHEEL_MS / 64]; /* a bit for each slot that has some */
    int64_t next_ms;                 /* nothing is due before; INT64_MAX: nothing at all */
    struct { uint32_t clients, dealt; } rates[GW_RATE_MS_MAX + 1]; /* by interval */
} gw_wheel_t;
_Static_assert(GW_RATE_MS_MAX < GW_WHEEL_MS, "one turn of the wheel has every interval");

#endif
