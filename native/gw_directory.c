/* The two per-topic tables of a segment: the append-only directory and the last values (a seqlock
 * each). A slot's version is 2 * topic_seq at rest and one less while it is being written, so that
 * it needs no counter of its own. */
#include "gw_atomic.h"
#include "gw_ring.h"
#include "gw_segment.h"

#include <errno.h>
#include <string.h>

/* A live writer is inside a slot for some 20 ns; 1,000 looks outlast it by far unless it was
 * descheduled there, and then its record still comes through the ring. */
#define SEQLOCK_TRIES 1000
#define SLOT_RECORD 8u /* the record's first word: the version has a line of its own */
#define NAME_AT 2u     /* after channel and length */

_Static_assert(NAME_AT + GW_INSTRUMENT_MAX <= GW_DIRECTORY_WORDS * 8, "an entry holds every name");
_Static_assert(SLOT_RECORD * 8 + sizeof(gw_record_t) == GW_SLOT_WORDS * 8,
               "a slot holds every record");

int64_t gw_writer_topic_add(gw_writer_t *w, uint8_t channel, const char *name, size_t length) {
    gw_segment_t *s = &w->segment;
    if (channel == 0 || channel >= GW_CHANNELS || length == 0 || length > GW_INSTRUMENT_MAX)
        return -EINVAL;
    uint64_t id = GW_LOAD_RELAXED(s->topics);
    if (id >= s->topics_max) return -ENOSPC;
    uint64_t words[GW_DIRECTORY_WORDS] = {0};
    uint8_t *entry = (uint8_t *)words;
    entry[0] = channel;
    entry[1] = (uint8_t)length;
    memcpy(entry + NAME_AT, name, length);
    gw_words_write(s->directory + id * GW_DIRECTORY_WORDS, words, GW_DIRECTORY_WORDS);
    /* The first record must not wait for the pages of its topic. */
    uint64_t *slot = s->table + id * GW_SLOT_WORDS;
    GW_STORE_RELAXED(slot, 0);
    GW_STORE_RELAXED(slot + GW_SLOT_WORDS - 1, 0);
    w->topic_seq[id] = 0;
    GW_STORE_RELEASE(s->topics, id + 1);
    return (int64_t)id;
}

void gw_writer_full(gw_writer_t *w, uint32_t limit) { GW_STORE_RELAXED(w->segment.full, limit); }

uint32_t gw_directory_full(const gw_segment_t *s) { return (uint32_t)GW_LOAD_RELAXED(s->full); }

uint32_t gw_directory_count(const gw_segment_t *s) {
    uint64_t count = GW_LOAD_ACQUIRE(s->topics);
    return count < s->topics_max ? (uint32_t)count : s->topics_max;
}

int gw_directory_read(const gw_segment_t *s, uint32_t id, uint8_t *channel, char *name) {
    if (id >= gw_directory_count(s)) return -ENOENT;
    uint64_t words[GW_DIRECTORY_WORDS];
    const uint8_t *entry = (const uint8_t *)words;
    gw_words_read(words, s->directory + (size_t)id * GW_DIRECTORY_WORDS, GW_DIRECTORY_WORDS);
    size_t length = entry[1];
    if (length == 0 || length > GW_INSTRUMENT_MAX || entry[0] >= GW_CHANNELS) return -ENOENT;
    *channel = entry[0];
    memcpy(name, entry + NAME_AT, length);
    return (int)length;
}

void gw_table_write(const gw_segment_t *s, const gw_record_t *record) {
    uint64_t *slot = s->table + (size_t)record->h.topic * GW_SLOT_WORDS;
    GW_STORE_RELAXED(slot, 2 * record->h.topic_seq - 1);
    GW_FENCE_RELEASE();
    gw_words_write(slot + SLOT_RECORD, (const gw_word_t *)record, record->h.cells * GW_CELL / 8);
    GW_STORE_RELEASE(slot, 2 * record->h.topic_seq);
}

int gw_table_read(const gw_segment_t *s, uint32_t id, gw_record_t *out) {
    if (id >= s->topics_max) return 0;
    const uint64_t *slot = s->table + (size_t)id * GW_SLOT_WORDS;
    for (int tries = 0; tries < SEQLOCK_TRIES; tries++, gw_cpu_relax()) {
        uint64_t version = GW_LOAD_ACQUIRE(slot);
        if (version == 0) return 0;
        if (version % 2 == 1) continue;
        const size_t usual = GW_RECORD_CELLS * GW_CELL / 8;
        gw_words_read((gw_word_t *)out, slot + SLOT_RECORD, usual);
        if (out->h.cells > GW_RECORD_CELLS)
            gw_words_read((gw_word_t *)&out->tail, slot + SLOT_RECORD + usual, GW_CELL / 8);
        GW_FENCE_ACQUIRE();
        if (GW_LOAD_RELAXED(slot) == version) return 1;
    }
    return -EAGAIN;
}
