/* Back into the ring: to a moment, to one topic's records. README.md has the argument. */
#ifndef GW_LOCATE_H
#define GW_LOCATE_H
#include "gw_ring.h"

/* Moves the cursor back to at most `bytes` before the tail, as far as whole records are there for a reader that takes
 * them faster than the writer comes after it. Returns how many bytes of ring there are to take now. */
uint64_t gw_reader_rewind(gw_reader_t *r, uint64_t bytes);

typedef struct {
    uint64_t position; /* for a cursor */
    gw_header_t h;     /* of the record that begins there */
    unsigned hops;     /* headers that were looked at */
} gw_found_t;

/* The topic's oldest record of the newest one's origin from `seq` on. 1; 0: there is none yet, `position` is the tail;
 * -ENOENT: the ring has not all from there on, `out` is the oldest that it has (its tail where it has none); -EAGAIN:
 * the slot is torn for good. The caller compares `generation`. */
int gw_reader_locate_seq(const gw_reader_t *r, uint32_t topic, uint64_t seq, gw_found_t *out);
/* The oldest of its last `count` (at least 1), or of all where there were never so many. As above. */
int gw_reader_locate_last(const gw_reader_t *r, uint32_t topic, uint32_t count, gw_found_t *out);
/* The oldest of its records with a ts_recv of at least that, which rise but for what two hosts' clocks differ. 1 never; 0
 * and -ENOENT as above: the caller knows by gw_reader_locate_ts whether the ring has had them all. */
int gw_reader_locate_since(const gw_reader_t *r, uint32_t topic, int64_t ts_recv, gw_found_t *out);
/* Where a recording's records begin: those from `position` on that were published at `ts_publish` (MONOTONIC) or later. */
typedef struct {
    uint64_t position;
    int64_t ts_publish;
} gw_start_t;
/* The oldest of its records that is in such a recording. 1; 0 and -ENOENT as above; -ENOENT also where there never was one
 * before it. */
int gw_reader_locate_start(const gw_reader_t *r, uint32_t topic, const gw_start_t *start, gw_found_t *out);
/* From which moment on the ring has all, and will for some time; INT64_MAX: from none that is over. */
int64_t gw_reader_oldest_ns(const gw_reader_t *r);
/* A place from which on are all records that the ring has with a ts_recv of at least that, and at most a block of
 * others in front of the first one. 1; -ENOENT: there may have been more before it. */
int gw_reader_locate_ts(const gw_reader_t *r, int64_t ts_recv, uint64_t *position);

#endif
