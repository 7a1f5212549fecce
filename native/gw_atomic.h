/* Atomics as the ring and the plane use them: shared memory is touched only in 8-byte relaxed words
 * and ordered by the fences named here, so that a thread checker sees every access as atomic. */
#ifndef GW_ATOMIC_H
#define GW_ATOMIC_H
#include <stddef.h>
#include <stdint.h>

#define GW_LOAD_RELAXED(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define GW_LOAD_ACQUIRE(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define GW_STORE_RELAXED(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define GW_STORE_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Copies `words` 8-byte words; both sides 8-byte aligned. `from` may be shared memory. */
static inline void gw_words_read(uint64_t *to, const uint64_t *from, size_t words) {
    for (size_t i = 0; i < words; i++) to[i] = GW_LOAD_RELAXED(from + i);
}

/* The same towards shared memory. */
static inline void gw_words_write(uint64_t *to, const uint64_t *from, size_t words) {
    for (size_t i = 0; i < words; i++) GW_STORE_RELAXED(to + i, from[i]);
}

#endif
