/* HDR histogram counts in memory that the caller gives (a shared page): HdrHistogram's layout for
 * lowest 1, highest GW_HDR_MAX, 3 significant digits, one writer, readers without locks.
 * Layout: github.com/HdrHistogram/HdrHistogram_c, hdr_histogram.h (counts_index_for). */
#ifndef GW_HDR_H
#define GW_HDR_H
#include "gw_atomic.h"

#define GW_HDR_MAX 68719476735ull /* 2^36 - 1 ns: 68.7 s; larger values saturate */
#define GW_HDR_DIGITS 3
#define GW_HDR_COUNTS 27648u      /* (26 buckets + 1) * 1024 */

typedef struct {
    uint64_t count, sum, saturated, negative; /* negative: values below 0, counted apart and not recorded */
    uint64_t counts[GW_HDR_COUNTS];
} gw_hdr_t;

static inline uint32_t gw_hdr_index(uint64_t value) {
    uint32_t bucket = 63u - 11u + 1u - (uint32_t)__builtin_clzll(value | 2047u);
    return (bucket << 10) + (uint32_t)(value >> bucket);
}

static inline void gw_hdr_add(uint64_t *p, uint64_t n) { GW_STORE_RELAXED(p, GW_LOAD_RELAXED(p) + n); }

/* Records `n` times a signed duration. */
static inline void gw_hdr_record(gw_hdr_t *h, int64_t value, uint64_t n) {
    if (value < 0) {
        gw_hdr_add(&h->negative, n);
        return;
    }
    uint64_t v = (uint64_t)value;
    if (v > GW_HDR_MAX) {
        v = GW_HDR_MAX;
        gw_hdr_add(&h->saturated, n);
    }
    gw_hdr_add(&h->counts[gw_hdr_index(v)], n);
    gw_hdr_add(&h->sum, v * n);
    gw_hdr_add(&h->count, n);
}

#endif
