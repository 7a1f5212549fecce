/* CRC-32 by tables and by multiplication, against one bit after the other. */
#include "check.h"
#include "gw_crc.h"
#include "gw_map.h"

static uint32_t bitwise(const uint8_t *at, size_t size) {
    uint32_t crc = ~0u;
    for (; size > 0; size--) {
        crc ^= *at++;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static void both_ways_are_the_same(void) {
    static uint8_t bytes[6000];
    CHECK_EQUAL(gw_crc32("123456789", 9), 0xcbf43926u);
    CHECK_EQUAL(gw_crc32_tables("123456789", 9), 0xcbf43926u);
    CHECK_EQUAL(gw_crc32("", 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)gw_map_hash(i);
    for (size_t size = 0; size < 700; size++) {
        for (size_t from = 0; from < 17; from += 3) {
            uint32_t expected = bitwise(bytes + from, size);
            CHECK_EQUAL(gw_crc32_tables(bytes + from, size), expected);
            CHECK_EQUAL(gw_crc32(bytes + from, size), expected);
        }
    }
    CHECK_EQUAL(gw_crc32(bytes, sizeof bytes), bitwise(bytes, sizeof bytes));
#if defined(__x86_64__)
    CHECK_EQUAL(gw_crc32_is_fast(), __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"));
#endif
}

int main(void) {
    RUN(both_ways_are_the_same);
    return 0;
}
