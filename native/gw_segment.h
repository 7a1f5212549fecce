/* What the files of the segment share among themselves. */
#ifndef GW_SEGMENT_H
#define GW_SEGMENT_H
#include "gw_ring.h"

/* Makes the record its topic's last value. The record is complete: topic_seq and cells are set. */
uint32_t gw_table_generation(const gw_segment_t *s, uint32_t id);
void gw_table_write(const gw_segment_t *s, const gw_record_t *record);

#endif
