#include "gw_ladder.h"
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)
#define EVENTS_TAIL 10u            /* late ones that make a percentile more than chance: 1,000 in all for p99 */
#define LOOKS_SECOND 10u           /* looks that the percentile is taken over: 1 ms is 1 % of a single one */
#define LOOKS_MIN 5u               /* of them, after a change, to call it an overload */
#define LOOKS_LATE 3u              /* of all that are kept: with too many late, or it was a mishap */
#define OVERLOAD_HOLD_NS (1000 * MS)
#define CALM_NS (1000 * MS)        /* before the first step back */
#define CALM_NEXT_NS (500 * MS)    /* before each further one */
#define PATIENCE_MAX_NS (4000 * MS)
#define RELAPSE_NS (5000 * MS)     /* a step up so soon after a step back says that it was too early */
#define PROBE_NS (30000 * MS)      /* so long a step back that does not look safe waits to be tried */
#define PATIENCE_RESET_NS (60000 * MS)
#define STANDING_MIN_NS 50000      /* below this nothing stands in the ring, whatever the target */
#define BUSY_PPM_MAX 850000.0      /* expected after a step back */
#define BUSY_PPM_LOOK 150.0        /* by so much a limit that was learnt is forgotten with each look */
#define HELD_UP_PPM 50000u         /* waited for a CPU, ... */
#define HELD_UP_BUSY_PPM 500000u   /* ... and less than so busy: not by its own work */
#define GAIN_PARTS 50              /* a class of less than this part of the deliveries is no gain */
#define WEIGHT 0.25                /* of the newest look in moving averages */

const int64_t gw_intervals_ns[GW_INTERVALS] = {0, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS, 250 * MS};

void gw_ladder_init(gw_ladder_t *l, int64_t target_ns, uint32_t late_ppm, int enforce) {
    memset(l, 0, sizeof *l);
    l->target_ns = target_ns;
    l->late_ppm = late_ppm ? late_ppm : 10000;
    l->enforce = enforce;
    l->patience_ns = CALM_NS;
    l->busy_ppm_max = BUSY_PPM_MAX;
}

void gw_ladder_forget(gw_ladder_t *l) {
    l->looks_count = l->looks_next = 0;
    memset(l->ring_age_ns, 0, sizeof l->ring_age_ns);
}

int gw_ladder_interval_ms(uint8_t interval) {
    return interval >= GW_INTERVAL_PAUSED ? -1 : (int)(gw_intervals_ns[interval] / MS);
}

/* --- what is seen ---------------------------------------------------------------------------------- */

/* Whether more were late than may be. */
static int late_too_many(const gw_ladder_t *l, uint64_t late, uint64_t count) {
    return late * 1000000u > count * l->late_ppm;
}

/* The same, where chance is out of the question: of too few, the missing ones are taken for good ones. */
static int too_many(const gw_ladder_t *l, uint64_t late, uint64_t count) {
    return late > EVENTS_TAIL && late_too_many(l, late, count);
}

static const gw_look_t *look_back(const gw_ladder_t *l, uint32_t i) {
    return &l->looks[(l->looks_next + GW_LADDER_WINDOWS - 1 - i) % GW_LADDER_WINDOWS];
}

/* Counts of the newest looks: of a second, or of as many as it takes to judge the percentile. */
static void sum_looks(const gw_ladder_t *l, gw_look_t *sum) {
    uint64_t enough = (uint64_t)EVENTS_TAIL * 1000000u / l->late_ppm;
    for (uint32_t i = 0; i < l->looks_count && (i < LOOKS_SECOND || sum->count < enough); i++) {
        const gw_look_t *look = look_back(l, i);
        sum->count += look->count;
        sum->late_calm += look->late_calm;
        sum->late_over += look->late_over;
    }
}

/* One round of visits that was interrupted makes a whole audience late, which is a percentile of a second, but says
 * nothing of the next one. A load is late again and again: in so many looks since the last change. */
static int late_again(const gw_ladder_t *l) {
    uint32_t late = 0;
    for (uint32_t i = 0; i < l->looks_count; i++)
        late += (uint32_t)late_too_many(l, look_back(l, i)->late_over, look_back(l, i)->count);
    return late >= LOOKS_LATE;
}

/* Whether others had the CPU, and that explains what was late: about as large a share as of the time. */
static int is_held_up(const gw_look_t *look) {
    if (look->waited_ppm <= HELD_UP_PPM || look->busy_ppm >= HELD_UP_BUSY_PPM) return 0;
    return look->late_over * 1000000u <= look->count * 2 * look->waited_ppm;
}

static int standing(const gw_ladder_t *l) {
    const int64_t *age = l->ring_age_ns;
    if (age[0] > l->target_ns) return 1;
    return age[0] > l->target_ns / 5 && age[0] > age[1] && age[1] > age[2] && age[0] >= 2 * age[2];
}

static void average(double *mean, uint64_t value, int first) {
    *mean = first ? (double)value : *mean + WEIGHT * ((double)value - *mean);
}

/* Of a look at a time in which we were held up it is kept that it was. */
static void keep(gw_ladder_t *l, const gw_look_t *look, int held_up) {
    int first = l->looks_count == 0 && l->step == 0;
    l->looks[l->looks_next] = held_up ? (gw_look_t){0} : *look;
    l->looks_next = (l->looks_next + 1) % GW_LADDER_WINDOWS;
    if (l->looks_count < GW_LADDER_WINDOWS) l->looks_count++;
    if (held_up) {
        memset(l->ring_age_ns, 0, sizeof l->ring_age_ns);
        return;
    }
    l->ring_age_ns[2] = l->ring_age_ns[1];
    l->ring_age_ns[1] = l->ring_age_ns[0];
    l->ring_age_ns[0] = look->ring_age_ns;
    for (uint32_t i = 0; i < GW_CLASSES; i++) {
        average(&l->delivered[i], look->delivered[i], first);
        average(&l->wanted[i], look->wanted[i], first);
    }
}

static void judge_feasible(gw_ladder_t *l, const gw_look_t *look) {
    if (look->fan_out_ns > l->target_ns) l->infeasible = 1;
    else if (look->fan_out_ns <= l->target_ns / 10 * 9) l->infeasible = 0;
}

/* --- what a step would bring ----------------------------------------------------------------------- */

static double delivered_all(const gw_ladder_t *l) {
    double sum = 0;
    for (uint32_t i = 0; i < GW_CLASSES; i++) sum += l->delivered[i];
    return sum;
}

/* The class that the next step up degrades further; -1: none would help. */
static int next_up(const gw_ladder_t *l, const gw_look_t *look) {
    if (look->links[3] && l->interval[3] != GW_INTERVAL_PAUSED) return 3;
    for (int k = 2; k > 0; k--) {
        uint8_t next = (uint8_t)(l->interval[k] + 1);
        if (!look->links[k] || next >= GW_INTERVALS) continue;
        if (k == 1 && gw_intervals_ns[next] > l->target_ns / 2) continue;
        if (l->delivered[k] * GAIN_PARTS >= delivered_all(l)) return k;
    }
    return -1;
}

/* The class that the next step back spares: the most urgent one that is degraded; -1: none is. */
static int next_down(const gw_ladder_t *l) {
    for (int k = 1; k < (int)GW_CLASSES; k++)
        if (l->interval[k]) return k;
    return -1;
}

/* The plane's load once class `k` is one step less degraded, in parts per million. */
static double expected_busy(const gw_ladder_t *l, const gw_look_t *look, int k) {
    double now = delivered_all(l), more = l->wanted[k];
    if (k != 3 && l->interval[k] > 1) {
        double longer = (double)gw_intervals_ns[l->interval[k]];
        double grown = l->delivered[k] * longer / (double)gw_intervals_ns[l->interval[k] - 1];
        if (grown < more) more = grown;
    }
    more -= l->delivered[k];
    /* Time without a CPU is no work, though it lies within a cycle that worked. */
    double busy = (double)look->busy_ppm * (1 - look->waited_ppm / 1e6);
    return now <= 0 || more <= 0 ? busy : busy * (now + more) / now;
}

/* --- steps ----------------------------------------------------------------------------------------- */

static void changed(gw_ladder_t *l, int64_t now_ns, int down) {
    gw_ladder_forget(l);
    l->changed_ns = now_ns;
    l->went_down = down;
}

static void name_interval(uint8_t interval, char *out, size_t size) {
    int ms = gw_ladder_interval_ms(interval);
    if (ms < 0) snprintf(out, size, "paused");
    else snprintf(out, size, "%d ms", ms);
}

static int up(gw_ladder_t *l, int64_t now_ns, const gw_look_t *look, const gw_look_t *sum, int late, char *reason,
              size_t size) {
    int k = next_up(l, look);
    if (k < 0) return GW_LADDER_STAY;
    if (l->went_down && now_ns - l->changed_ns < RELAPSE_NS) {
        l->patience_ns = l->patience_ns * 2 < PATIENCE_MAX_NS ? l->patience_ns * 2 : PATIENCE_MAX_NS;
        if (l->busy_ppm * 0.9 < l->busy_ppm_max) l->busy_ppm_max = l->busy_ppm * 0.9;
    }
    l->interval[k] = k == 3 ? (uint8_t)GW_INTERVAL_PAUSED : (uint8_t)(l->interval[k] + 1);
    l->step++;
    char to[16];
    name_interval(l->interval[k], to, sizeof to);
    if (late)
        snprintf(reason, size, "class %d to %s: %llu of %llu of class 0 and 1 later than %lld us", k, to,
                 (unsigned long long)sum->late_over, (unsigned long long)sum->count,
                 (long long)(l->target_ns / 1250));
    else
        snprintf(reason, size, "class %d to %s: records stood in the ring for %lld us, target %lld us", k, to,
                 (long long)(look->ring_age_ns / 1000), (long long)(l->target_ns / 1000));
    changed(l, now_ns, 0);
    return GW_LADDER_UP;
}

static int down(gw_ladder_t *l, int64_t now_ns, const gw_look_t *look, char *reason, size_t size) {
    int k = next_down(l);
    if (k < 0) return GW_LADDER_STAY;
    int64_t wait = l->went_down ? CALM_NEXT_NS : l->patience_ns;
    double busy = expected_busy(l, look, k);
    if (busy > l->busy_ppm_max) wait = PROBE_NS * (l->patience_ns / CALM_NS);
    int64_t calm = now_ns - (l->changed_ns > l->overload_ns ? l->changed_ns : l->overload_ns);
    if (calm < wait) return GW_LADDER_STAY;
    l->busy_ppm = busy;
    l->interval[k] = (uint8_t)(k == 3 ? 0 : l->interval[k] - 1);
    l->step--;
    char to[16];
    name_interval(l->interval[k], to, sizeof to);
    snprintf(reason, size, "class %d to %s: calm for %lld ms, %.0f %% busy", k, to,
             (long long)(calm / MS), look->busy_ppm / 1e4);
    changed(l, now_ns, 1);
    return GW_LADDER_DOWN;
}

static int step(gw_ladder_t *l, int64_t now_ns, const gw_look_t *look, char *reason, size_t size) {
    gw_look_t sum = {0};
    int held_up = is_held_up(look);
    keep(l, look, held_up);
    l->busy_ppm_max += l->busy_ppm_max < BUSY_PPM_MAX ? BUSY_PPM_LOOK : 0;
    sum_looks(l, &sum);
    judge_feasible(l, look);
    int late = l->looks_count >= LOOKS_MIN && too_many(l, sum.late_over, sum.count) && late_again(l);
    int overload = !held_up && (late || standing(l));
    if (overload) {
        l->overload_ns = now_ns;
        if (!l->overload_since_ns) l->overload_since_ns = now_ns;
    } else if (l->overload_since_ns && now_ns - l->overload_ns >= OVERLOAD_HOLD_NS) {
        l->overload_since_ns = 0;
    }
    if (overload) return l->infeasible || !l->enforce ? GW_LADDER_STAY : up(l, now_ns, look, &sum, late, reason, size);
    if (!l->step) {
        if (now_ns - l->changed_ns > PATIENCE_RESET_NS) l->patience_ns = CALM_NS;
        return GW_LADDER_STAY;
    }
    int64_t stands = l->target_ns / 20 > STANDING_MIN_NS ? l->target_ns / 20 : STANDING_MIN_NS;
    if (look->ring_age_ns > stands || too_many(l, sum.late_calm, sum.count)) return GW_LADDER_STAY;
    return down(l, now_ns, look, reason, size);
}

int gw_ladder_look(gw_ladder_t *l, int64_t now_ns, const gw_look_t *look, char *reason, size_t size) {
    int went = step(l, now_ns, look, reason, size);
    l->highest = next_up(l, look) < 0; /* after the step, which may have been the last that helps */
    return went;
}
