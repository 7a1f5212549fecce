#ifndef GW_GRANT_H
#define GW_GRANT_H
#include "gw_pattern.h"
#include "gw_record.h"

/* A right, and what is known of it. */
typedef struct {
    gw_glob_t glob;
    uint64_t letters;
    uint8_t channel, allow; /* GW_CHANNELS: any */
    char text[GW_INSTRUMENT_MAX];
} gw_granted_t;
typedef struct gw_grant {
    uint64_t *known, *allowed; /* a bit for each topic's number: whether it was asked for, and the answer */
    uint32_t size;             /* topics that they have room for */
    uint32_t count;
    gw_granted_t rules[];
} gw_grant_t;

#endif
