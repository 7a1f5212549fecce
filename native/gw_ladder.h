/* The ladder: when one worker has more to send than it can within the target, which class of
 * subscriptions is conflated, and how far. Pure: time and counts come as arguments.
 *
 * A look is taken about every GW_LADDER_NS. What is looked at is the age of deliveries of class 0
 * and 1, and how long records stand in the ring:
 *
 *     overload    the percentile of a second is over 0.8 of the target, and that of three looks since the last
 *                 change, of the last 5 s, was; or the least age of what stood in the ring was over the target,
 *                 or over 0.2 of it and growing for three looks
 *     infeasible  one record to the largest audience of a topic, at the present cost of a write, takes
 *                 longer than the target: no conflation helps, so no step is taken
 *     held up     the plane waited for a CPU that others used, for long enough to explain how many were late, and
 *                 had little to do itself: sending less would not have made it earlier, so nothing is concluded
 *                 from what was seen
 *     calm        the percentile is under 0.7 of the target, nothing stands in the ring, and the next
 *                 step down is expected to leave some of the CPU over
 *
 * Under overload a step up is taken, where one promises to help, at each look while records stand in the ring and
 * once in five where deliveries are late: class 3 pauses, then class 2
 * waits for longer and longer intervals, then class 1, for as long as half the target allows. Class 0
 * is never touched. Steps are taken back in the reverse order, the first after a second of calm. Where
 * a step back turns out to be too much, the next one waits longer, and until less is to be done.
 *
 * The ladder is at its highest while no step up promises to help: every class below 0 that makes up a part of
 * the deliveries worth the name waits as long as it may. A worker that serves class 0 alone is always there. Only
 * then is it for the loop's thread to ask whether one more client would break class 0. */
#ifndef GW_LADDER_H
#define GW_LADDER_H
#include "gw_stats.h"
#include <stddef.h>

#define GW_LADDER_NS 100000000
#define GW_LADDER_WINDOWS 50u  /* looks kept: so far back a quiet gateway's percentile reaches */
#define GW_INTERVALS 7u
#define GW_INTERVAL_PAUSED GW_INTERVALS /* in place of an interval */
extern const int64_t gw_intervals_ns[GW_INTERVALS];

/* What happened since the look before. Counts of class 0 and 1 where nothing else is said. */
typedef struct {
    uint64_t count;     /* deliveries to clients that were not behind */
    uint64_t late_calm; /* of them, later than 0.7 of the target */
    uint64_t late_over; /* and than 0.8 */
    int64_t ring_age_ns;           /* the least age at which a record was taken from the ring; 0: none stood there */
    int64_t fan_out_ns;            /* the largest audience times the cost of a write; 0: unknown */
    uint32_t busy_ppm;             /* of the time the plane worked */
    uint32_t waited_ppm;           /* of the time it could have, but had no CPU */
    uint64_t delivered[GW_CLASSES];
    uint64_t wanted[GW_CLASSES];   /* delivered or conflated */
    uint64_t links[GW_CLASSES];    /* now */
} gw_look_t;

typedef struct {
    int64_t target_ns;
    uint32_t late_ppm;             /* of the deliveries that may be late: 10,000 for p99 */
    uint8_t interval[GW_CLASSES];  /* index into gw_intervals_ns, or GW_INTERVAL_PAUSED */
    uint32_t step;                 /* steps taken */
    int64_t overload_since_ns;     /* 0: none */
    int highest;                   /* no step up is left that would help: all that can be degraded is */
    int infeasible;
    int enforce;                   /* 0: everything is judged, no step is taken */

    gw_look_t looks[GW_LADDER_WINDOWS];
    uint32_t looks_count, looks_next;
    int64_t ring_age_ns[3];        /* of the last looks, newest first */
    int64_t overload_ns, changed_ns, patience_ns;
    int went_down;                 /* the last change was a step back */
    double busy_ppm, busy_ppm_max; /* expected after that step; and above what none looks safe */
    double delivered[GW_CLASSES], wanted[GW_CLASSES]; /* moving averages, each look */
} gw_ladder_t;

enum { GW_LADDER_DOWN = -1, GW_LADDER_STAY, GW_LADDER_UP };

void gw_ladder_init(gw_ladder_t *l, int64_t target_ns, uint32_t late_ppm, int enforce);
/* Takes a look at `now_ns`, takes at most one step, and says why in `reason`. GW_LADDER_*. */
int gw_ladder_look(gw_ladder_t *l, int64_t now_ns, const gw_look_t *look, char *reason, size_t size);
/* What was seen so far says nothing of what comes: the process stood still. The step stays. */
void gw_ladder_forget(gw_ladder_t *l);
/* Milliseconds of a class's interval; -1: paused. */
int gw_ladder_interval_ms(uint8_t interval);

#endif
