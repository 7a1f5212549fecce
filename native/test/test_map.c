/* The map against a plain list, while it grows and not, and how much one step may do. */
#include "check.h"
#include "gw_map.h"
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

static uint64_t random_state = 1;
static uint64_t draw(uint64_t below) { /* splitmix64 */
    return gw_map_hash(random_state += 0x9e3779b97f4a7c15u) % below;
}

/* A value for a key: the key itself, told from NULL. */
static void *value_of(uint64_t key) { return (void *)(uintptr_t)(key * 2 + 1); }

/* Slots of the old table that moved between two looks; `before` is a copy from before. */
static size_t moved_since(const gw_map_t *before, const gw_map_t *m) {
    size_t was = before->old ? before->moved : 0;
    if (m->old) return before->mask == m->mask ? m->moved - was : m->moved;
    if (before->old) return before->old_mask + 1 - was;
    return m->mask == before->mask ? 0 : before->mask + 1;
}

#define KEYS 600u

/* Operations over few keys, so that each is added, replaced and removed in every state of a growth.
 * Ever more keys are taken, so that the map doubles from one slot to 1,024. */
static void random_operations_agree_with_a_naive_model(void) {
    size_t growing = 0, from_old = 0, removed_from_old = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        void *model[KEYS] = {NULL};
        size_t count = 0;
        gw_map_t m;
        random_state = seed;
        CHECK_EQUAL(gw_map_init(&m, 1), 0);
        m.seed = seed;
        for (uint64_t step = 0; step < 4000; step++) {
            uint64_t key = draw(1 + step * KEYS / 4000), what = draw(8);
            gw_map_t before = m;
            growing += m.old != NULL;
            if (what < 2) {
                removed_from_old += m.old && model[key] && !gw_map_place(&m, key)->value;
                gw_map_remove(&m, key);
                count -= model[key] != NULL;
                model[key] = NULL;
            } else if (what < 6) {
                void *value = value_of(key + KEYS * draw(3));
                CHECK_EQUAL(gw_map_put(&m, key, value), 0);
                count += model[key] == NULL;
                model[key] = value;
            }
            CHECK(moved_since(&before, &m) <= GW_MAP_MOVES);
            CHECK_EQUAL(m.count, count);
            uint64_t asked = draw(KEYS);
            from_old += m.old && model[asked] && !gw_map_place(&m, asked)->value;
            CHECK(gw_map_get(&m, asked) == model[asked]);
            if (step % 64 == 0)
                for (uint64_t k = 0; k < KEYS; k++) CHECK(gw_map_get(&m, k) == model[k]);
        }
        gw_map_free(&m);
    }
    CHECK(growing > 1000 && from_old > 100 && removed_from_old > 10);
}

/* A million entries: no put moves more than the budget, and each growth is over in time. */
static void a_put_moves_no_more_than_the_budget(void) {
    gw_map_t m;
    size_t doublings = 0, most = 0;
    CHECK_EQUAL(gw_map_init(&m, 4), 0);
    for (uint64_t i = 0; i < 1000000; i++) {
        gw_map_t before = m;
        CHECK_EQUAL(gw_map_put(&m, i << 32 | 7, value_of(i)), 0);
        size_t moved = moved_since(&before, &m);
        most = moved > most ? moved : most;
        doublings += m.mask != before.mask;
        CHECK(m.mask == before.mask || !before.old);
    }
    CHECK_EQUAL(most, GW_MAP_MOVES);
    CHECK_EQUAL(doublings, 19);
    CHECK(m.mask + 1 == 1u << 21 && !m.old);
    for (uint64_t i = 0; i < 1000000; i++) CHECK(gw_map_get(&m, i << 32 | 7) == value_of(i));
    CHECK(!gw_map_get(&m, 8));
    gw_map_free(&m);
}

/* All keys have one home: a single cluster, the worst of all shapes, is moved in the same steps. */
static void one_cluster_moves_in_the_same_steps(void) {
    enum { ALL = 3000 };
    static uint64_t keys[ALL];
    gw_map_t m;
    CHECK_EQUAL(gw_map_init(&m, 4), 0);
    m.seed = 0;
    uint64_t key = 1;
    for (size_t i = 0; i < ALL; i++, key++) {
        while ((gw_map_hash(key) & 4095) != 4000) key++; /* so that it wraps around, too */
        keys[i] = key;
        gw_map_t before = m;
        CHECK_EQUAL(gw_map_put(&m, key, value_of(key)), 0);
        CHECK(moved_since(&before, &m) <= GW_MAP_MOVES);
        if (m.old)
            for (size_t k = 0; k <= i; k += 7) CHECK(gw_map_get(&m, keys[k]) == value_of(keys[k]));
    }
    for (size_t i = 0; i < ALL; i++) {
        CHECK(gw_map_get(&m, keys[i]) == value_of(keys[i]));
        gw_map_remove(&m, keys[i]);
        CHECK(!gw_map_get(&m, keys[i]));
    }
    CHECK_EQUAL(m.count, 0);
    gw_map_free(&m);
}

/* In the middle of a growth from 65,536 slots, of which the first pieces have been given back. */
static void removes_and_replacements_during_a_growth(void) {
    const uint64_t full = 3u << 14;
    gw_map_t m;
    CHECK_EQUAL(gw_map_init(&m, 1u << 16), 0);
    m.seed = 1;
    for (uint64_t i = 0; i < full; i++) CHECK_EQUAL(gw_map_put(&m, i, value_of(i)), 0);
    CHECK(!m.old);
    const uint64_t more = (2u << 14) / GW_MAP_MOVES + 100;
    for (uint64_t i = full; i < full + more; i++) CHECK_EQUAL(gw_map_put(&m, i, value_of(i)), 0);
    CHECK(m.old && m.moved > 2u << 14); /* two pieces of 16,384 slots: 64 pages each */
    unsigned char resident[256];
    CHECK_EQUAL(mincore(m.old, sizeof *m.old << 16, resident), 0);
    for (size_t i = 0; i < 256; i++) CHECK_EQUAL(resident[i] & 1, i == 0 || i >= 128);
    for (uint64_t i = 0; i < 100; i++) gw_map_remove(&m, i * 100);
    CHECK_EQUAL(m.count, full + more - 100);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK(!gw_map_get(&m, i * 100));
        gw_map_remove(&m, i * 100); /* once more: nothing is there */
    }
    CHECK_EQUAL(m.count, full + more - 100);
    CHECK(m.old);
    for (uint64_t i = 0; i < 20; i++) CHECK_EQUAL(gw_map_put(&m, i * 100, value_of(i)), 0);
    CHECK_EQUAL(m.count, full + more - 80);
    for (uint64_t i = 0; i < full + more; i++) {
        bool removed = i % 100 == 0 && i < 10000, again = removed && i < 2000;
        CHECK(gw_map_get(&m, i) == (again ? value_of(i / 100) : removed ? NULL : value_of(i)));
    }
    while (m.old) gw_map_remove(&m, UINT64_MAX); /* a remove of nothing moves, too */
    CHECK(!gw_map_get(&m, 9900) && gw_map_get(&m, 9901) == value_of(9901));
    gw_map_free(&m);
}

static void without_memory_all_stays_as_it_was(void) {
    const uint64_t full = 3u << 14;
    struct rlimit room, none = {1, RLIM_INFINITY};
    gw_map_t m;
    CHECK_EQUAL(gw_map_init(&m, 1u << 16), 0);
    for (uint64_t i = 0; i < full; i++) CHECK_EQUAL(gw_map_put(&m, i, value_of(i)), 0);
    CHECK_EQUAL(getrlimit(RLIMIT_AS, &room), 0);
    none.rlim_max = room.rlim_max;
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
    int refused = gw_map_put(&m, full, value_of(full));
    int replaced = gw_map_put(&m, 5, value_of(6));
    CHECK_EQUAL(setrlimit(RLIMIT_AS, &room), 0);
    CHECK_EQUAL(refused, -ENOMEM);
    CHECK_EQUAL(replaced, 0);
    CHECK(m.count == full && m.mask + 1 == 1u << 16 && !m.old);
    CHECK(!gw_map_get(&m, full) && gw_map_get(&m, 5) == value_of(6));
    CHECK_EQUAL(gw_map_put(&m, full, value_of(full)), 0);
    CHECK(gw_map_get(&m, full) == value_of(full) && m.old);
    gw_map_free(&m);
}

static void every_map_hashes_by_a_seed_of_its_own(void) {
    gw_map_t a, b;
    CHECK_EQUAL(gw_map_init(&a, 4), 0);
    CHECK_EQUAL(gw_map_init(&b, 4), 0);
    CHECK(a.seed != b.seed);
    gw_map_free(&a);
    gw_map_free(&b);
}

int main(void) {
    RUN(random_operations_agree_with_a_naive_model);
    RUN(a_put_moves_no_more_than_the_budget);
    RUN(one_cluster_moves_in_the_same_steps);
    RUN(removes_and_replacements_during_a_growth);
    RUN(without_memory_all_stays_as_it_was);
    RUN(every_map_hashes_by_a_seed_of_its_own);
    return 0;
}
