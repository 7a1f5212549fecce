/* Growth in bounded steps.
 *
 * A map that is 3/4 full gets a table of twice the size, and the one before it stays as `old` until
 * its entries have moved over. Each put and each remove first moves GW_MAP_MOVES slots, in the order
 * of the slots, beginning behind a free one (`old_start`) and going round once; `moved` counts them.
 * New keys only ever enter the new table.
 *
 * Moved slots are not cleared, since that would break the probe chains of those behind them. Instead
 * nothing looks at them again. A key that has not moved stands at or behind the frontier, and all
 * slots from its home to it were taken when growth began; so its search may begin at the frontier
 * where its home lies before that. For the same reason a remove does not shift entries of the old
 * table back, but leaves a mark in place of the value: the table's own address, that nobody else
 * stores. The search ends at a free slot, at the latest the one before `old_start`.
 *
 * Growth is over before the next one is due. With N old slots it begins at 3N/4 entries, and the
 * next is due at 3N/2, after at least 3N/4 puts that add. Each of them moves GW_MAP_MOVES slots, so
 * N / GW_MAP_MOVES + 1 puts are enough, which is at most 3N/4 for each power of two N >= 2; N = 1
 * moves at once.
 *
 * Memory comes as zero pages, so that a doubling costs no more than the pages that it touches, and
 * the old table goes back to the kernel in pieces of GIVE_BYTES. Huge pages would make a step clear
 * 2 MiB at once, so tables of this size ask for none. */
#include "gw_map.h"
#include "gw_hash.h"
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES_BYTES (64u << 10) /* tables from this size on are mapped */
#define GIVE_BYTES (256u << 10)
#define GIVE_SLOTS (GIVE_BYTES / sizeof(gw_map_entry_t))

_Static_assert(GW_MAP_MOVES >= 4, "growth ends in time: N / 4 + 1 <= 3N / 4 for N >= 2");

static gw_map_entry_t *table_new(size_t slots) {
    size_t bytes = slots * sizeof(gw_map_entry_t);
    if (slots > SIZE_MAX / sizeof(gw_map_entry_t)) return NULL;
    if (bytes < PAGES_BYTES) return calloc(slots, sizeof(gw_map_entry_t));
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) return NULL;
    (void)madvise(table, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses */
    return table;
}

static void table_free(gw_map_entry_t *table, size_t slots) {
    size_t bytes = slots * sizeof *table;
    if (!table || bytes < PAGES_BYTES) free(table);
    else munmap(table, bytes);
}

int gw_map_init(gw_map_t *m, size_t capacity) {
    *m = (gw_map_t){.entries = table_new(capacity), .mask = capacity - 1};
    m->seed = gw_hash_key_random().k0;
    return m->entries ? 0 : -ENOMEM;
}

void gw_map_free(gw_map_t *m) {
    if (m->entries) table_free(m->entries, m->mask + 1);
    if (m->old) table_free(m->old, m->old_mask + 1);
    m->entries = m->old = NULL;
}

/* Where the key is in the old table, moved entries and removed ones left out; else a free slot. */
static gw_map_entry_t *old_place(const gw_map_t *m, uint64_t key) {
    size_t i = gw_map_hash(key ^ m->seed) & m->old_mask;
    if (((i - m->old_start) & m->old_mask) < m->moved) i = (m->old_start + m->moved) & m->old_mask;
    while (m->old[i].value && (m->old[i].key != key || m->old[i].value == m->old))
        i = (i + 1) & m->old_mask;
    return &m->old[i];
}

void *gw_map_get_old(const gw_map_t *m, uint64_t key) { return old_place(m, key)->value; }

/* Gives back the slots [from, to) of the old table, but for pages that they share with others. */
static void give_back(gw_map_t *m, size_t from, size_t to) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)&m->old[from] + page - 1) & ~(page - 1);
    uintptr_t end = (uintptr_t)&m->old[to] & ~(page - 1);
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Moves the next GW_MAP_MOVES slots. The last step frees what is left: less than GIVE_BYTES and a
 * page, on both sides of `old_start`. */
static void move_some(gw_map_t *m) {
    size_t slots = m->old_mask + 1, left = slots - m->moved;
    size_t moves = left < GW_MAP_MOVES ? left : GW_MAP_MOVES;
    for (; moves; moves--) {
        size_t i = (m->old_start + m->moved++) & m->old_mask;
        const gw_map_entry_t *e = &m->old[i];
        if (e->value && e->value != m->old) *gw_map_place(m, e->key) = *e;
        size_t next = i + 1;
        if (slots >= 2 * GIVE_SLOTS && next % GIVE_SLOTS == 0)
            give_back(m, m->moved < GIVE_SLOTS ? m->old_start : next - GIVE_SLOTS, next);
    }
    if (m->moved < slots) return;
    table_free(m->old, slots);
    m->old = NULL;
}

static int grow(gw_map_t *m) {
    gw_map_entry_t *bigger = table_new((m->mask + 1) * 2);
    if (!bigger) return -ENOMEM;
    m->old = m->entries;
    m->old_mask = m->mask;
    m->entries = bigger;
    m->mask = m->mask * 2 + 1;
    m->moved = m->old_start = 0;
    while (m->old[m->old_start & m->old_mask].value) m->old_start++; /* a quarter is free */
    m->old_start = (m->old_start + 1) & m->old_mask;
    move_some(m);
    return 0;
}

int gw_map_put(gw_map_t *m, uint64_t key, void *value) {
    if (m->old) move_some(m);
    gw_map_entry_t *e = gw_map_place(m, key);
    if (!e->value && m->old) {
        gw_map_entry_t *old = old_place(m, key);
        if (old->value) e = old;
    }
    if (!e->value) {
        if ((m->count + 1) * 4 > (m->mask + 1) * 3) {
            assert(!m->old);
            if (grow(m)) return -ENOMEM;
            e = gw_map_place(m, key);
        }
        m->count++;
    }
    e->key = key;
    e->value = value;
    return 0;
}

void gw_map_remove(gw_map_t *m, uint64_t key) {
    if (m->old) move_some(m);
    gw_map_entry_t *e = gw_map_place(m, key);
    if (!e->value) {
        if (!m->old || !(e = old_place(m, key))->value) return;
        e->value = m->old;
        m->count--;
        return;
    }
    size_t hole = (size_t)(e - m->entries);
    for (size_t i = (hole + 1) & m->mask; m->entries[i].value; i = (i + 1) & m->mask) {
        size_t home = gw_map_hash(m->entries[i].key ^ m->seed) & m->mask;
        if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole].value = NULL;
    m->count--;
}
