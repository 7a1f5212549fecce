/* What the files of the segment share among themselves. */
#ifndef GW_SEGMENT_H
#define GW_SEGMENT_H
#include "gw_ring.h"

/* Words of a slot. The version has a line of its own, but for the position. */
enum { GW_SLOT_VERSION, GW_SLOT_POSITION, GW_SLOT_RECORD = 8 };
/* The place is a new topic's. */
void gw_chain_begin(gw_chain_t *c, uint16_t generation);

#endif
