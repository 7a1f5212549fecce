#include "gw_cost.h"

#define WEIGHT 0.05     /* of the newest look: two seconds' looks are two thirds of a mean */
#define SPREAD_MIN 0.04 /* of the mean's square: a slope from writes that differ by less than a fifth is noise */

static void average(double *mean, double value, int known) {
    *mean = known ? *mean + WEIGHT * (value - *mean) : value;
}

void gw_cost_add(gw_cost_t *k, uint64_t sends, uint64_t deliveries, int64_t busy_ns) {
    double x = (double)deliveries / (double)sends, y = (double)busy_ns / (double)sends;
    average(&k->per_write, x, k->known);
    average(&k->cost, y, k->known);
    average(&k->squares, x * x, k->known);
    average(&k->products, x * y, k->known);
    k->known = 1;
    double spread = k->squares - k->per_write * k->per_write;
    if (spread > SPREAD_MIN * k->per_write * k->per_write) {
        k->each_ns = (k->products - k->per_write * k->cost) / spread;
        k->seen = 1;
    } else if (!k->seen) {
        k->each_ns = k->cost / (GW_COST_PARTS + k->per_write);
    }
    /* Looks differ in more than their load, so the line may come out too steep, or falling. */
    double most = k->per_write > 0 ? k->cost / k->per_write : 0;
    if (k->each_ns > most) k->each_ns = most;
    if (k->each_ns < 0) k->each_ns = 0;
    k->fixed_ns = k->cost - k->each_ns * k->per_write;
}
