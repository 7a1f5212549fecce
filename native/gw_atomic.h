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

/* Fences of the seqlocks, the ring and the wake-up. gcc's thread checker does not model fences, so
 * under it each is a read-modify-write of one shared word (README.md, "Under the thread checker"). */
#ifdef __SANITIZE_THREAD__
__attribute__((weak)) uint64_t gw_fence_word;
#define GW_FENCE_ACQUIRE() ((void)__atomic_fetch_add(&gw_fence_word, 0, __ATOMIC_SEQ_CST))
#define GW_FENCE_RELEASE() GW_FENCE_ACQUIRE()
#define GW_FENCE_FULL() GW_FENCE_ACQUIRE()
#else
#define GW_FENCE_ACQUIRE() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define GW_FENCE_RELEASE() __atomic_thread_fence(__ATOMIC_RELEASE)
#define GW_FENCE_FULL() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

/* Tells the core that this is a spin loop. */
static inline void gw_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A word of something else: records are structs of smaller members, copied a word at a time. */
typedef uint64_t __attribute__((may_alias)) gw_word_t;

/* Copies `words` 8-byte words; both sides 8-byte aligned. `from` may be shared memory. Compilers do
 * not unroll loops over atomics, which would double the cost; most of it is whole lines. */
static inline void gw_words_read(gw_word_t *to, const gw_word_t *from, size_t words) {
    for (; words >= 8; words -= 8, to += 8, from += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) to[i] = GW_LOAD_RELAXED(from + i);
    }
    for (size_t i = 0; i < words; i++) to[i] = GW_LOAD_RELAXED(from + i);
}

/* The same towards shared memory. */
static inline void gw_words_write(gw_word_t *to, const gw_word_t *from, size_t words) {
    for (; words >= 8; words -= 8, to += 8, from += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) GW_STORE_RELAXED(to + i, from[i]);
    }
    for (size_t i = 0; i < words; i++) GW_STORE_RELAXED(to + i, from[i]);
}

#endif
