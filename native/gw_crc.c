/* CRC-32 of short texts.
 *
 * Bits are reflected: the lowest bit of the first byte is the highest power of x. By tables, eight bytes at a time: T[k]
 * is the remainder of a byte with k zero bytes behind it. With carry-less multiplication 16 bytes at a time are folded:
 * a block of 128 bits, H * x^64 + L, moved on by D bits is H * (x^(D+64) mod P) + L * (x^D mod P), of 96 bits each, added
 * to the block that stands D bits on. Four such chains go side by side, then they become one. What is left, 128 bits, is
 * brought to 32 by the tables: the remainder of those 16 bytes is the remainder of all before.
 *
 * The constants are x^n mod P, reflected, one bit up as the product of two reflected numbers is one bit short: made at the
 * start, with the tables, so that none is to be believed. Source of the method: Gopal, Ozturk, Guilford et al., "Fast CRC
 * Computation for Generic Polynomials Using PCLMULQDQ", Intel 2009. */
#include "gw_crc.h"

#include <string.h>

#define POLYNOMIAL 0xedb88320u
#define FOLD_MIN 64u

static uint32_t tables[8][256];
static bool fast;

/* Before main: no reader ever sees them half made. */
__attribute__((constructor)) static void tables_make(void);

static uint32_t tables_run(uint32_t crc, const uint8_t *at, size_t size) {
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8); /* little-endian, as gw_text.h demands */
        word ^= crc;
        crc = 0;
        for (unsigned k = 0; k < 8; k++) crc ^= tables[7 - k][word >> 8 * k & 255];
    }
    for (; size > 0; size--, at++) crc = tables[0][(crc ^ *at) & 255] ^ crc >> 8;
    return crc;
}

uint32_t gw_crc32_tables(const void *data, size_t size) { return ~tables_run(~0u, data, size); }

#if defined(__x86_64__)
#include <immintrin.h>

#define NONE 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 /* eight bytes become 0 */

static uint64_t fold_four[2], fold_one[2]; /* for the lower half, which is the higher power, and the upper half */

/* A shuffle from `n` on brings the first n bytes to the end, one from 16 + n on those behind them to the front. */
static const uint8_t shifts[48] = {
    NONE, NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, NONE, NONE,
};

/* x^n mod P, reflected: the bit of x^0 is the highest. */
static uint64_t power_of_x(unsigned n) {
    uint32_t r = 0x80000000u;
    for (; n > 0; n--) r = r & 1 ? r >> 1 ^ POLYNOMIAL : r >> 1;
    return (uint64_t)r << 1;
}

static void constants_make(void) {
    fold_four[0] = power_of_x(512 + 32);
    fold_four[1] = power_of_x(512 - 32);
    fold_one[0] = power_of_x(128 + 32);
    fold_one[1] = power_of_x(128 - 32);
    fast = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i block, __m128i constants, __m128i onto) {
    __m128i low = _mm_clmulepi64_si128(block, constants, 0x00), high = _mm_clmulepi64_si128(block, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

/* Zeros in front of a text whose remainder so far is none change nothing: the first block is what is too much for whole
 * ones, behind zeros, and no single bytes are left at the end. What the text begins with (`crc`) goes the same way, into
 * the second block too where the first is short of it. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t fold_run(uint32_t crc, const uint8_t *at, size_t size) {
    const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)fold_four);
    const __m128i one = _mm_loadu_si128((const __m128i *)(const void *)fold_one);
    const size_t first = (size - 1) % 16 + 1; /* 1 to 16 bytes */
    const __m128i up = _mm_loadu_si128((const __m128i *)(const void *)(shifts + first));
    const __m128i down = _mm_loadu_si128((const __m128i *)(const void *)(shifts + 16 + first));
    const __m128i begin = _mm_cvtsi32_si128((int)crc);
    __m128i x[4];
    x[0] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)at), begin);
    x[0] = _mm_shuffle_epi8(x[0], up);
    at += first;
    size -= first;
    for (unsigned i = 1; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * (size_t)(i - 1)));
    x[1] = _mm_xor_si128(x[1], _mm_shuffle_epi8(begin, down));
    for (at += 48, size -= 48; size >= 64; at += 64, size -= 64)
        for (unsigned i = 0; i < 4; i++)
            x[i] = fold(x[i], four, _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * (size_t)i)));
    for (unsigned i = 1; i < 4; i++) x[0] = fold(x[0], one, x[i]);
    for (; size > 0; size -= 16, at += 16) x[0] = fold(x[0], one, _mm_loadu_si128((const __m128i *)(const void *)at));
    uint8_t block[16];
    _mm_storeu_si128((__m128i *)(void *)block, x[0]);
    return tables_run(0, block, 16);
}
#else
static void constants_make(void) { fast = false; }
static uint32_t fold_run(uint32_t crc, const uint8_t *at, size_t size) { return tables_run(crc, at, size); }
#endif

static void tables_make(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;
        for (unsigned k = 0; k < 8; k++) r = r & 1 ? r >> 1 ^ POLYNOMIAL : r >> 1;
        tables[0][i] = r;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (unsigned k = 1; k < 8; k++) tables[k][i] = tables[0][tables[k - 1][i] & 255] ^ tables[k - 1][i] >> 8;
    constants_make();
}

bool gw_crc32_is_fast(void) { return fast; }

uint32_t gw_crc32(const void *data, size_t size) {
    if (!fast || size < FOLD_MIN) return gw_crc32_tables(data, size);
    return ~fold_run(~0u, data, size);
}
