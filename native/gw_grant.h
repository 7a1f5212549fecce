#ifndef GW_GRANT_H
#define GW_GRANT_H
#include "gw_right.h"

/* A right, and what is known of it. */
typedef struct gw_grant {
    gw_right_t right;
    uint64_t *known, *allowed; /* a bit for each topic's number: whether it was asked for, and the answer */
    uint32_t size;             /* topics that they have room for */
    uint32_t links_max;        /* of one client */
    gw_granted_t rules[];
} gw_grant_t;

#endif
