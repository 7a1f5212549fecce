/* What a message of our binary frames (docs/sbe.md) says to a load test: the same as its JSON would. */
#ifndef GW_SWARM_SBE_H
#define GW_SWARM_SBE_H
#include "gw_swarm_fields.h"
#include "gw_swarm_numbers.h"

/* Reads the message that begins at `at`, where `size` bytes are left of the frame. Its length, or 0 where what
 * follows it can't be told: after one of a newer version (GW_SWARM_CONTROL), or one that can't be read
 * (GW_SWARM_UNSTAMPED). An announcement is remembered in `numbers`, and is GW_SWARM_NOTHING. */
size_t gw_swarm_sbe_read(const uint8_t *at, size_t size, gw_swarm_numbers_t *numbers, gw_hash_key_t key,
                         gw_swarm_fields_t *f);

#endif
