/* What one write to a client costs: a part that every write has, and a part for each delivery that it carries.
 *
 * A coalescing sender puts more deliveries into a write the more it has to do, so the cost of a delivery is no
 * constant, but these two are. They are the line through the looks: `cost of a write = fixed + each * deliveries
 * per write`, by running means of both and of their products (least squares, older looks fading). While writes
 * carry about as many deliveries in every look, the line's slope cannot be seen: the last one that could is kept,
 * and before there was any, one delivery is taken for GW_COST_PARTS times cheaper than the rest of its write.
 * Pure: counts and times come as arguments. */
#ifndef GW_COST_H
#define GW_COST_H
#include <stdint.h>

#define GW_COST_PARTS 16.0

typedef struct {
    int known;                     /* 0: no look yet */
    int seen;                      /* the slope is one that was seen */
    double per_write, cost;        /* means of deliveries per write and of the cost of a write, ns */
    double squares, products;      /* of per_write squared, and of the two multiplied */
    double fixed_ns, each_ns;      /* the line; neither is below 0 */
} gw_cost_t;

/* One look in which `sends` writes carried `deliveries` and took `busy_ns`; `sends` is not 0. */
void gw_cost_add(gw_cost_t *k, uint64_t sends, uint64_t deliveries, int64_t busy_ns);

#endif
