/* CRC-32 as zlib has it (polynomial 0x04c11db7, reflected, inverted at both ends). */
#ifndef GW_CRC_H
#define GW_CRC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t gw_crc32(const void *data, size_t size);
/* The same by tables alone, and whether the CPU has a faster way. */
uint32_t gw_crc32_tables(const void *data, size_t size);
bool gw_crc32_is_fast(void);

#endif
