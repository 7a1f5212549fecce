/* The frame log: encoded frames, WebSocket header in front, in one private circular buffer.
 *
 * What waits for a client is a frame's index, never a copy. Frames with consecutive indices are
 * consecutive bytes, but where the buffer wraps. A frame stays whole while less than the buffer's size
 * in bytes, and less than the table's size in frames, has been appended after it; who holds an index
 * across cycles must let go by half of that (gw_plane's guard). */
#ifndef GW_LOG_H
#define GW_LOG_H
#include "gw_ahead.h"
#include <stddef.h>
#include <stdint.h>

enum {
    GW_FRAME_SNAPSHOT = 1, /* answers a subscribe: counted apart, no new record for its link */
    GW_FRAME_NOTICE = 2,   /* a system message in the order of the data: not counted */
    GW_FRAME_PACED = 4,
    GW_FRAME_RESYNC = 8,   /* an update told as a snapshot: after a hole, or first in an epoch */
    GW_FRAME_TOLD = 16,    /* a notice that has to be told though the topic is conflated */
    GW_FRAME_RETIRED = 32, /* a notice that its topic has ended: never left out */
    GW_FRAME_REFUSED = 64, /* one of these that a mark tells, too, where it comes before */
    GW_FRAME_ANNOUNCES = 128, /* a notice that announces its topic's number */
};

#define GW_FRAME_REPLAYED 1 /* it was replayed from the ring */

typedef struct {
    uint64_t position;  /* of its first byte, counting all bytes ever appended */
    int64_t recv_ns;    /* MONOTONIC receive time */
    int64_t taken_ns;   /* MONOTONIC, when the plane took the record */
    uint32_t length;    /* header and payload */
    uint32_t topic;     /* the plane's number of it */
    uint8_t channel, flags, header; /* header: its length */
    uint8_t what;       /* of what is GW_FRAME_TOLD: GW_LEFT_*; of a record: GW_FRAME_REPLAYED, or 0 */
    uint32_t skipped;   /* records that it tells as not delivered, saturating */
} gw_frame_t;

typedef struct {
    uint8_t *bytes;
    gw_frame_t *frames;
    uint64_t size;      /* of bytes, a power of two */
    uint64_t count;     /* of frames, a power of two */
    uint64_t position;  /* next byte */
    uint64_t index;     /* next frame */
    gw_ahead_t bytes_ahead, frames_ahead;
} gw_log_t;

#define GW_FRAME_BYTES_MEAN 256u /* one descriptor per so many bytes */

/* `first`: the first frame's index, a multiple of the table's size. `populate`: touch every page now, instead of a
 * little at a time by gw_log_ahead. -ENOMEM, -EINVAL */
int gw_log_init(gw_log_t *log, uint64_t size, uint64_t first, int populate);
void gw_log_free(gw_log_t *log);
/* Populates pages ahead of the next frame, at most `budget` bytes: call it when no tick waits. How many. */
uint64_t gw_log_ahead(gw_log_t *log, uint64_t budget);

static inline gw_frame_t *gw_log_frame(const gw_log_t *log, uint64_t index) {
    return &log->frames[index & (log->count - 1)];
}

static inline const uint8_t *gw_log_bytes(const gw_log_t *log, const gw_frame_t *frame) {
    return log->bytes + (frame->position & (log->size - 1));
}

/* Room for `length` bytes in one piece; what is written there becomes a frame with gw_log_commit. */
uint8_t *gw_log_reserve(gw_log_t *log, size_t length);
/* The frame just written at the reserved place; its index. Position and length are filled here. */
uint64_t gw_log_commit(gw_log_t *log, const gw_frame_t *frame, size_t length);
/* Whether a frame may be referred to again: within the last quarter of the log. */
int gw_log_fresh(const gw_log_t *log, uint64_t index);
/* Whether a frame is in the older half: whoever still waits for it must let go. */
int gw_log_old(const gw_log_t *log, uint64_t index);

#endif
