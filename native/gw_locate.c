/* A topic's records are a chain through the ring: each header says where the one before it is (`prev`), and where the
 * one whose index lacks its lowest bit (`skip`). Going by `skip` wherever it does not lead too far, else by `prev`, takes
 * some 90 hops for half a million records, and never more than half the square of their number's bits. A moment is
 * found in the block index, whose greatest times rise from block to block.
 *
 * Nothing read is believed before the fence and the look at `tail_intent` that follow it; and then it must fit: a hop
 * has to arrive at this topic's record of the expected index. Whatever fails either is gone, which is an answer. */
#include "gw_locate.h"
#include "gw_atomic.h"
#include "gw_kind.h"

#include <errno.h>

#define HOPS_MAX 4096u   /* 16 million records of one topic */
#define REWIND_SPARE 8u  /* part of the ring that a rewound reader leaves to the writer, which goes on meanwhile */

/* Whether the writer has not come so far yet: what was read from `position` on, before this, is whole. */
static bool is_whole(const gw_segment_t *s, uint64_t position) {
    GW_FENCE_ACQUIRE();
    return position + s->capacity >= GW_LOAD_RELAXED(s->tail_intent);
}

/* The header of the record that begins there; false: none does, or no longer. */
static bool header_at(const gw_segment_t *s, uint64_t position, gw_header_t *h) {
    const uint64_t there = GW_LOAD_ACQUIRE(s->tail) - position;
    if (there == 0 || there > s->capacity || position % GW_CELL != 0) return false;
    gw_words_read((gw_word_t *)h, (const gw_word_t *)(s->ring + (position & (s->capacity - 1))), GW_CELL / 8);
    return is_whole(s, position) && (h->kind == GW_PAD || gw_record_possible(h->kind, h->cells));
}

/* --- the block index --------------------------------------------------------------------------------- */

typedef enum { THERE, OVERWRITTEN, NOT_YET } entry_state_t;

/* Where the first record from the block's start on begins, and the greatest ts_recv before that; of records before this
 * tail, so that both words are there. */
static entry_state_t entry_at(const gw_segment_t *s, uint64_t block, uint64_t tail, uint64_t *first,
                              int64_t *newest_ns) {
    const uint64_t *entry = s->blocks + block % s->blocks_count * GW_BLOCK_WORDS;
    *first = GW_LOAD_RELAXED(entry);
    *newest_ns = (int64_t)GW_LOAD_RELAXED(entry + 1);
    if (!is_whole(s, block * s->block)) return OVERWRITTEN;
    return *first >= block * s->block && *first < tail ? THERE : NOT_YET;
}

uint64_t gw_reader_rewind(gw_reader_t *r, uint64_t bytes) {
    const gw_segment_t *s = &r->segment;
    const uint64_t tail = GW_LOAD_ACQUIRE(s->tail) & ~(uint64_t)(GW_CELL - 1);
    uint64_t there = s->capacity - s->capacity / REWIND_SPARE, first;
    int64_t newest_ns;
    if (there > tail) there = tail;
    if (bytes > there) bytes = there;
    const uint64_t wanted = tail - bytes / GW_CELL * GW_CELL, block = wanted / s->block;
    r->cursor = tail;
    if (wanted == tail) return 0;
    const entry_state_t state = entry_at(s, block, tail, &first, &newest_ns);
    if (state == OVERWRITTEN) r->cursor = block * s->block; /* the poll says that it is */
    if (state != THERE) return tail - r->cursor; /* or no record begins behind it yet */
    gw_header_t h;
    /* Should the writer come along meanwhile, or this be no record, the poll sees it. */
    while (first < wanted && header_at(s, first, &h) && h.cells) first += h.cells * (uint64_t)GW_CELL;
    r->cursor = first <= tail ? first : tail;
    return tail - r->cursor;
}

int gw_reader_locate_ts(const gw_reader_t *r, int64_t ts_recv, uint64_t *position) {
    const gw_segment_t *s = &r->segment;
    const uint64_t tail = GW_LOAD_ACQUIRE(s->tail) & ~(uint64_t)(GW_CELL - 1);
    int64_t newest_ns;
    /* Blocks before `low` are older than wanted or overwritten, those from `high` on are not older. */
    uint64_t low = tail > s->capacity ? (tail - s->capacity) / s->block : 0, high = tail / s->block + 1, first = 0;
    uint64_t found = tail;
    bool older = false;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const entry_state_t state = entry_at(s, middle, tail, &first, &newest_ns);
        const bool before = state == THERE && newest_ns < ts_recv;
        if (before || state == OVERWRITTEN) low = middle + 1;
        else high = middle;
        if (state == THERE && (before || !older)) found = first;
        older |= before;
    }
    *position = found <= tail ? found : tail;
    return older || tail == 0 ? 1 : -ENOENT;
}

int64_t gw_reader_oldest_ns(const gw_reader_t *r) {
    const gw_segment_t *s = &r->segment;
    const uint64_t tail = GW_LOAD_ACQUIRE(s->tail) & ~(uint64_t)(GW_CELL - 1);
    const uint64_t there = s->capacity - s->capacity / REWIND_SPARE;
    uint64_t first;
    int64_t newest_ns;
    for (uint64_t block = tail > there ? (tail - there) / s->block + 1 : 1; block <= tail / s->block; block++)
        if (entry_at(s, block, tail, &first, &newest_ns) == THERE) return newest_ns + 1;
    return INT64_MAX;
}

/* --- one topic's chain ------------------------------------------------------------------------------- */

/* What is looked for: records of an origin from a seq on, or the last ones. */
typedef struct {
    uint64_t seq;
    int64_t since_ns; /* by the moment, where there is one */
    const gw_start_t *start; /* by a recording's beginning, where there is one */
    uint32_t newest, count; /* index of the last one; how many from there; 0: by seq */
    uint8_t origin;
} want_t;

static bool is_wanted(const want_t *w, const gw_found_t *found) {
    const gw_header_t *h = &found->h;
    if (w->start) return found->position >= w->start->position && h->ts_publish >= w->start->ts_publish;
    if (w->count) return w->newest - h->index < w->count;
    if (w->since_ns) return h->origin == w->origin && h->ts_recv >= w->since_ns;
    return h->origin == w->origin && h->topic_seq >= w->seq;
}

/* Whether it is of use to look at the record that `h` skips to: numbers rise at least as fast as indexes, so one that is
 * not wanted is mostly known by its index. An odd index skips to the one before. */
static bool skips(const want_t *w, const gw_header_t *h) {
    const uint32_t index = h->index & (h->index - 1), back = h->index - index;
    if (back == 1) return false;
    if (w->since_ns || w->start) return true;
    return w->count ? w->newest - index < w->count : h->topic_seq >= w->seq + back;
}

/* Goes back by a distance to the record of that index. */
static bool hop(const gw_segment_t *s, const gw_found_t *at, uint32_t cells, uint32_t index, gw_found_t *to) {
    to->position = at->position - cells * (uint64_t)GW_CELL;
    return cells != 0 && header_at(s, to->position, &to->h) && to->h.kind != GW_PAD &&
           to->h.topic == at->h.topic && to->h.generation == at->h.generation && to->h.index == index;
}

/* Goes back from the record at `out` as far as records are wanted. */
static int go_back(const gw_segment_t *s, const want_t *w, gw_found_t *out) {
    for (; out->hops < HOPS_MAX; out->hops++) {
        const uint32_t index = out->h.index;
        gw_found_t to;
        const bool first = w->count ? w->newest - index == w->count - 1 : out->h.topic_seq == w->seq;
        if (first && !w->since_ns && !w->start) return 1;
        if (!skips(w, &out->h) || !hop(s, out, out->h.skip, index & (index - 1), &to) || !is_wanted(w, &to)) {
            out->hops += skips(w, &out->h);
            if (!hop(s, out, out->h.prev, index - 1, &to))
                return index == 0 && out->h.prev == 0 && w->count ? 1 : -ENOENT;
            if (!is_wanted(w, &to)) return 1;
        }
        out->position = to.position;
        out->h = to.h;
    }
    return -ENOENT;
}

static int locate(const gw_reader_t *r, uint32_t topic, want_t *w, gw_found_t *out) {
    const gw_segment_t *s = &r->segment;
    gw_record_t last;
    *out = (gw_found_t){0};
    int got = gw_table_read(s, topic, &last, &out->position);
    if (got == -EAGAIN) return got;
    const uint64_t tail = GW_LOAD_ACQUIRE(s->tail) & ~(uint64_t)(GW_CELL - 1);
    if (got != 0) out->h = last.h;
    w->newest = out->h.index;
    w->origin = out->h.origin;
    if (got == 0 || !is_wanted(w, out)) {
        out->position = tail;
        return 0;
    }
    gw_header_t there;
    /* The slot is written before the ring: the record itself may be about to come. */
    const bool comes = tail - out->position > UINT64_MAX / 2 || tail == out->position;
    const bool known = comes || header_at(s, out->position, &there);
    got = known ? go_back(s, w, out) : -ENOENT;
    if (!known || out->position > tail) out->position = tail;
    return got;
}

int gw_reader_locate_seq(const gw_reader_t *r, uint32_t topic, uint64_t seq, gw_found_t *out) {
    return locate(r, topic, &(want_t){.seq = seq}, out);
}

int gw_reader_locate_last(const gw_reader_t *r, uint32_t topic, uint32_t count, gw_found_t *out) {
    return locate(r, topic, &(want_t){.count = count}, out);
}

int gw_reader_locate_since(const gw_reader_t *r, uint32_t topic, int64_t ts_recv, gw_found_t *out) {
    return locate(r, topic, &(want_t){.since_ns = ts_recv > 0 ? ts_recv : 1}, out);
}

int gw_reader_locate_start(const gw_reader_t *r, uint32_t topic, const gw_start_t *start, gw_found_t *out) {
    return locate(r, topic, &(want_t){.start = start}, out);
}
