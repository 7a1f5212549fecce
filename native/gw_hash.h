/* A keyed hash, for tables whose keys are names that a client or a server chooses: without the key
 * the sender cannot pick names that fall into one place. SipHash-1-3 for tables; the rounds are
 * parameters, since the published vectors are those of 2-4.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2. */
#ifndef GW_HASH_H
#define GW_HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

typedef struct {
    uint64_t k0, k1;
} gw_hash_key_t;

typedef struct {
    uint64_t v0, v1, v2, v3;
} gw_sip_t;

static inline uint64_t gw_rotate(uint64_t x, unsigned bits) { return x << bits | x >> (64 - bits); }

static inline void gw_sip_rounds(gw_sip_t *s, unsigned rounds) {
    for (; rounds; rounds--) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = gw_rotate(s->v1, 13) ^ s->v0;
        s->v3 = gw_rotate(s->v3, 16) ^ s->v2;
        s->v0 = gw_rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = gw_rotate(s->v1, 17) ^ s->v2;
        s->v3 = gw_rotate(s->v3, 21) ^ s->v0;
        s->v2 = gw_rotate(s->v2, 32);
    }
}

static inline void gw_sip_word(gw_sip_t *s, uint64_t word, unsigned rounds) {
    s->v3 ^= word;
    gw_sip_rounds(s, rounds);
    s->v0 ^= word;
}

/* Up to eight bytes as a number, the first one lowest. */
static inline uint64_t gw_sip_load(const uint8_t *bytes, size_t n) {
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

/* SipHash-c-d of `words` leading words and then `n` bytes: the same as of all these bytes. */
static inline uint64_t gw_sip(gw_hash_key_t key, const uint64_t *words, size_t words_count,
                              const void *bytes, size_t n, unsigned c, unsigned d) {
    gw_sip_t s = {key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
                  key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
    const uint8_t *at = bytes;
    for (size_t i = 0; i < words_count; i++) gw_sip_word(&s, words[i], c);
    size_t left = n;
    for (; left >= 8; left -= 8, at += 8) gw_sip_word(&s, gw_sip_load(at, 8), c);
    uint64_t length = (uint64_t)(n + 8 * words_count) << 56;
    gw_sip_word(&s, length | (left ? gw_sip_load(at, left) : 0), c);
    s.v2 ^= 0xff;
    gw_sip_rounds(&s, d);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Of bytes under a tag: what else tells the names of one table apart, as the channel does. */
static inline uint64_t gw_hash_name(gw_hash_key_t key, uint64_t tag, const void *bytes, size_t n) {
    return gw_sip(key, &tag, 1, bytes, n, 1, 3);
}

/* Of a number that a peer chose, or can. */
static inline uint64_t gw_hash_number(gw_hash_key_t key, uint64_t number) {
    return gw_sip(key, &number, 1, NULL, 0, 1, 3);
}

/* A key of the clocks and the place of the stack: less secret than random bytes. */
static inline gw_hash_key_t gw_hash_key_clocks(void) {
    struct timespec now = {0, 0}, up = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &up);
    uint64_t words[] = {(uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uint64_t)up.tv_sec,
                        (uint64_t)up.tv_nsec, (uint64_t)(uintptr_t)&now};
    gw_hash_key_t key = {gw_sip((gw_hash_key_t){0, 1}, words, 5, NULL, 0, 2, 4),
                         gw_sip((gw_hash_key_t){1, 0}, words, 5, NULL, 0, 2, 4)};
    return key;
}

/* A key that peers cannot guess. Where the kernel has no random bytes yet, or forbids the call, the
 * clocks have to do: a table that is slower under attack, never an error. */
static inline gw_hash_key_t gw_hash_key_random(void) {
    gw_hash_key_t key = {0, 0};
    if (getrandom(&key, sizeof key, GRND_NONBLOCK) == (ssize_t)sizeof key) return key;
    return gw_hash_key_clocks();
}

#endif
