/* Integers of binary frames, little-endian and anywhere. */
#ifndef GW_LITTLE_H
#define GW_LITTLE_H
#include <stdint.h>

static inline uint32_t gw_little_load16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }
static inline uint32_t gw_little_load32(const uint8_t *at) { return gw_little_load16(at) | gw_little_load16(at + 2) << 16; }
static inline uint64_t gw_little_load64(const uint8_t *at) {
    return (uint64_t)gw_little_load32(at) | (uint64_t)gw_little_load32(at + 4) << 32;
}

/* The value's first bytes; where they end. */
static inline char *gw_little_store(uint64_t value, unsigned bytes, char *out) {
    for (unsigned i = 0; i < bytes; i++) out[i] = (char)(uint8_t)(value >> 8 * i);
    return out + bytes;
}

#endif
