/* The two per-topic tables of a segment: the directory and the last values (a seqlock each). A slot's version grows by
 * two with each record, and is odd while one is being written.
 *
 * An entry of the directory has a version, too: 4 * generation while its topic lives, one more once that has ended,
 * two more while the entry is written for another topic. README.md says why no record goes to the wrong one. */
#include "gw_atomic.h"
#include "gw_kind.h"
#include "gw_ring.h"
#include "gw_segment.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A live writer is inside a slot for some 20 ns; 1,000 looks outlast it by far unless it was
 * descheduled there, and then its record still comes through the ring. */
#define SEQLOCK_TRIES 1000
#define NAME_AT 2u     /* after channel and length */
#define VERSION (GW_DIRECTORY_WORDS - 1) /* word of an entry */
#define GENERATIONS_HALF (1u << 15)
enum { LIVES, RETIRED, WRITTEN, STATES = 4 };

_Static_assert(NAME_AT + GW_INSTRUMENT_MAX <= VERSION * 8, "an entry holds every name");
_Static_assert(GW_SLOT_RECORD * 8 + GW_SLOT_CELLS * GW_CELL == GW_SLOT_WORDS * 8, "a slot holds what it promises");
_Static_assert(GW_SLOT_CELLS * GW_CELL == sizeof(gw_record_t), "and a record what is read from it");

static void entry_write(const gw_segment_t *s, uint64_t id, uint8_t channel, const char *name, size_t length) {
    uint64_t words[VERSION] = {0};
    uint8_t *entry = (uint8_t *)words;
    entry[0] = channel;
    entry[1] = (uint8_t)length;
    memcpy(entry + NAME_AT, name, length);
    gw_words_write(s->directory + id * GW_DIRECTORY_WORDS, words, VERSION);
}

static bool entry_possible(uint8_t channel, size_t length) {
    return channel != 0 && channel < GW_CHANNELS && length != 0 && length <= GW_INSTRUMENT_MAX;
}

int64_t gw_writer_topic_add(gw_writer_t *w, uint8_t channel, const char *name, size_t length) {
    gw_segment_t *s = &w->segment;
    if (!entry_possible(channel, length)) return -EINVAL;
    uint64_t id = GW_LOAD_RELAXED(s->topics);
    if (id >= s->topics_max) return -ENOSPC;
    entry_write(s, id, channel, name, length);
    GW_STORE_RELAXED(s->directory + id * GW_DIRECTORY_WORDS + VERSION, 0);
    /* The first record must not wait for the pages of its topic. */
    uint64_t *slot = s->table + id * GW_SLOT_WORDS;
    GW_STORE_RELAXED(slot, 0);
    GW_STORE_RELAXED(slot + GW_SLOT_WORDS - 1, 0);
    gw_chain_begin(&w->chains[id], 0);
    GW_STORE_RELEASE(s->topics, id + 1);
    return (int64_t)id;
}

void gw_writer_topic_continue(gw_writer_t *w, uint32_t id, uint64_t seq) { w->chains[id].seq = seq; }

uint64_t gw_writer_topic_retire(gw_writer_t *w, uint32_t id, uint8_t channel, gw_record_t *record, int64_t now_ns) {
    gw_segment_t *s = &w->segment;
    const uint64_t last = w->chains[id].seq;
    uint64_t *version = s->directory + (size_t)id * GW_DIRECTORY_WORDS + VERSION;
    memset(&record->u, 0, sizeof record->u);
    record->h.topic = id;
    record->h.kind = channel;
    record->h.cells = gw_kind(channel) && gw_kind(channel)->tailed ? GW_RECORD_CELLS_TAIL : GW_RECORD_CELLS;
    record->h.flags = GW_FLAG_RETIRED;
    gw_writer_publish(w, record);
    GW_STORE_RELEASE(version, GW_LOAD_RELAXED(version) + RETIRED);
    GW_STORE_RELEASE(s->changes, GW_LOAD_RELAXED(s->changes) + 1);
    w->retired[(w->retired_first + w->retired_count++) % s->topics_max] =
        (gw_retired_t){.position = w->tail, .at_ns = now_ns, .id = id};
    return last;
}

/* Takes the place of the topic that ended first where it may be used again: NULL where it may not yet. */
static const gw_retired_t *place_take(gw_writer_t *w, uint64_t slowest, int64_t now_ns) {
    gw_segment_t *s = &w->segment;
    if (!w->retired_count) return NULL;
    gw_retired_t *r = &w->retired[w->retired_first];
    bool lapped = w->tail - r->position > s->capacity;
    /* A record bears half of its generation: before that half may be met again, no record of the first one is left. */
    bool turns = (w->chains[r->id].generation + 1u) % GENERATIONS_HALF == 0;
    if (!lapped && !turns && slowest < r->position && now_ns - r->at_ns < GW_RETIRED_WAIT_NS) return NULL;
    w->retired_first = (w->retired_first + 1) % s->topics_max;
    if (lapped || !turns) {
        w->retired_count--;
        return r;
    }
    /* Those behind it need not wait for it. */
    w->retired[(w->retired_first + w->retired_count - 1) % s->topics_max] = *r;
    return NULL;
}

int64_t gw_writer_topic_reuse(gw_writer_t *w, uint8_t channel, const char *name, size_t length, uint64_t slowest,
                              int64_t now_ns) {
    gw_segment_t *s = &w->segment;
    if (!entry_possible(channel, length)) return -EINVAL;
    const gw_retired_t *r = place_take(w, slowest, now_ns);
    if (!r) return -EAGAIN;
    uint32_t id = r->id;
    uint64_t *version = s->directory + (size_t)id * GW_DIRECTORY_WORDS + VERSION;
    uint64_t generation = GW_LOAD_RELAXED(version) / STATES;
    GW_STORE_RELAXED(version, generation * STATES + WRITTEN);
    GW_FENCE_RELEASE();
    entry_write(s, id, channel, name, length);
    gw_chain_begin(&w->chains[id], (uint16_t)(generation + 1));
    GW_STORE_RELEASE(version, (uint64_t)(uint32_t)(generation + 1) * STATES + LIVES);
    GW_STORE_RELEASE(s->changes, GW_LOAD_RELAXED(s->changes) + 1);
    return id;
}

uint64_t gw_directory_changes(const gw_segment_t *s) { return GW_LOAD_ACQUIRE(s->changes); }

uint64_t gw_directory_version(const gw_segment_t *s, uint32_t id) {
    return GW_LOAD_ACQUIRE(s->directory + (size_t)id * GW_DIRECTORY_WORDS + VERSION);
}

void gw_writer_full(gw_writer_t *w, uint32_t limit) { GW_STORE_RELAXED(w->segment.full, limit); }

uint32_t gw_directory_full(const gw_segment_t *s) { return (uint32_t)GW_LOAD_RELAXED(s->full); }

uint32_t gw_directory_count(const gw_segment_t *s) {
    uint64_t count = GW_LOAD_ACQUIRE(s->topics);
    return count < s->topics_max ? (uint32_t)count : s->topics_max;
}

int gw_directory_entry(const gw_segment_t *s, uint32_t id, gw_entry_name_t *out) {
    if (id >= gw_directory_count(s)) return -ENOENT;
    uint64_t words[GW_DIRECTORY_WORDS], version;
    const uint8_t *entry = (const uint8_t *)words;
    for (int tries = 0;; tries++, gw_cpu_relax()) {
        if (tries == SEQLOCK_TRIES) return -ENOENT; /* its writer died inside it, or will tell by `changes` */
        version = gw_directory_version(s, id);
        if (version % STATES == WRITTEN) continue;
        gw_words_read(words, s->directory + (size_t)id * GW_DIRECTORY_WORDS, VERSION);
        GW_FENCE_ACQUIRE();
        if (GW_LOAD_RELAXED(s->directory + (size_t)id * GW_DIRECTORY_WORDS + VERSION) == version) break;
    }
    size_t length = entry[1];
    if (!entry_possible(entry[0], length)) return -ENOENT;
    memset(out, 0, sizeof *out);
    out->channel = entry[0];
    out->retired = version % STATES == RETIRED;
    out->generation = (uint32_t)(version / STATES);
    memcpy(out->name, entry + NAME_AT, length);
    return (int)length;
}

int gw_table_read(const gw_segment_t *s, uint32_t id, gw_record_t *out, uint64_t *position) {
    if (id >= s->topics_max) return 0;
    const uint64_t *slot = s->table + (size_t)id * GW_SLOT_WORDS;
    for (int tries = 0; tries < SEQLOCK_TRIES; tries++, gw_cpu_relax()) {
        uint64_t version = GW_LOAD_ACQUIRE(slot);
        if (version == 0) return 0;
        if (version % 2 == 1) continue;
        const size_t usual = GW_RECORD_CELLS * GW_CELL / 8;
        gw_words_read((gw_word_t *)out, slot + GW_SLOT_RECORD, usual);
        if (out->h.cells > GW_RECORD_CELLS)
            gw_words_read((gw_word_t *)&out->tail, slot + GW_SLOT_RECORD + usual, GW_CELL / 8);
        if (position) *position = GW_LOAD_RELAXED(slot + GW_SLOT_POSITION);
        GW_FENCE_ACQUIRE();
        if (GW_LOAD_RELAXED(slot) == version) return out->h.cells <= GW_SLOT_CELLS ? 1 : -EMSGSIZE;
    }
    return -EAGAIN;
}
