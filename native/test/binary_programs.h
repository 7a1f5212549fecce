/* A binary format for the plane's tests: a letter says what a message is, then numbers and texts that follow. */
#ifndef BINARY_PROGRAMS_H
#define BINARY_PROGRAMS_H
#include "gw_plane.h"

#include <stdlib.h>

enum { BINARY_RECORD_BYTES = 57 };

static inline gw_template_t *binary_load(uint8_t kind, const char *operations, size_t size) {
    uint8_t program[128] = {2, kind, 0, 0};
    gw_template_t *t = NULL;
    memcpy(program + 4, operations, size);
    if (gw_template_load(program, 4 + size, &t)) abort();
    return t;
}
#define BINARY(kind, operations) binary_load(kind, operations, sizeof operations - 1)

/* R, channel u8, u or s, seq u64, skipped u64, topic u32, and two decimals: price, or bid; qty, or bid_qty. */
static inline void binary_format(gw_format_t *f) {
    for (uint8_t channel = GW_TRADE; channel <= GW_BBO; channel++) {
        f->records[channel][GW_ENCODE_UPDATE] =
            BINARY(channel, "\0\001R\015\005\001\0\001u\015\004\010\015\006\010\015\003\004\016\000\016\001");
        f->records[channel][GW_ENCODE_SNAPSHOT] =
            BINARY(channel, "\0\001R\015\005\001\0\001s\015\004\010\015\006\010\015\003\004\016\000\016\001");
    }
    f->notices[GW_NOTICE_TOPIC] = BINARY(GW_NOTICE_KIND + GW_NOTICE_TOPIC, "\0\001T\015\005\001\015\003\004\017");
    f->notices[GW_NOTICE_HEARTBEAT] = BINARY(GW_NOTICE_KIND + GW_NOTICE_HEARTBEAT, "\0\001H\015\007\010");
    f->notices[GW_NOTICE_EPOCH] = BINARY(GW_NOTICE_KIND + GW_NOTICE_EPOCH, "\0\001E\020\000");
    f->notices[GW_NOTICE_LAPPED] = BINARY(GW_NOTICE_KIND + GW_NOTICE_LAPPED, "\0\001G\015\005\001\015\007\010\015\010\010\017");
    f->notices[GW_NOTICE_RETIRED] = BINARY(GW_NOTICE_KIND + GW_NOTICE_RETIRED, "\0\001X\015\005\001\017");
    f->notices[GW_NOTICE_LIMIT] = BINARY(GW_NOTICE_KIND + GW_NOTICE_LIMIT, "\0\001L\015\007\010\020\001");
    f->notices[GW_NOTICE_LIMITS] = BINARY(GW_NOTICE_KIND + GW_NOTICE_LIMITS, "\0\001M\015\010\004");
    f->notices[GW_NOTICE_SLOW] = BINARY(GW_NOTICE_KIND + GW_NOTICE_SLOW, "\0\001S\015\007\001\015\010\001");
    f->notices[GW_NOTICE_CONFLATION] = BINARY(GW_NOTICE_KIND + GW_NOTICE_CONFLATION, "\0\001C\015\007\002");
    f->notices[GW_NOTICE_CLASS] = BINARY(GW_NOTICE_KIND + GW_NOTICE_CLASS, "\015\007\001\015\010\004");
    f->notices[GW_NOTICE_REPLAYED] = BINARY(GW_NOTICE_KIND + GW_NOTICE_REPLAYED, "\0\001P\015\011\001\015\007\010\015\010\010\020\001");
    f->notices[GW_NOTICE_REPLAYED_PATTERN] = BINARY(GW_NOTICE_KIND + GW_NOTICE_REPLAYED_PATTERN, "\0\001P\015\011\001\0\020\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\020\001");
    f->notices[GW_NOTICE_CLASS_MORE] = BINARY(GW_NOTICE_KIND + GW_NOTICE_CLASS_MORE, "\015\007\001\015\010\004");
}

#endif
