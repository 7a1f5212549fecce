/* A plane with order books: their writer, and strict clients that rebuild them from what they read. */
#ifndef PLANE_BOOK_H
#define PLANE_BOOK_H
#include "book_model.h"
#include "plane_reader.h"

#include "gw_book_record.h"
#include "gw_book_text.h"
#include "gw_crc.h"

enum { BOOK_LIVES = 8, BOOK_SEQS = 1 << 15, BOOK_CLIENT_LEVELS = 20000 };

static inline uint8_t *program_book(uint8_t *at, uint8_t what, const char *before, const char *behind) {
    *at++ = 20;
    *at++ = what;
    const char *texts[] = {before, behind};
    for (int i = 0; i < 2; i++) {
        *at++ = (uint8_t)strlen(texts[i]);
        memcpy(at, texts[i], strlen(texts[i]));
        at += strlen(texts[i]);
    }
    return at;
}

static inline gw_template_t *book_template(const char *type) {
    static const uint8_t splice[] = "\013,\"skipped\":\001}";
    uint8_t program[512], *at = program;
    char head[64];
    *at++ = 2;
    *at++ = GW_BOOK;
    memcpy(at, splice, sizeof splice - 1);
    snprintf(head, sizeof head, "{\"channel\":\"book\",\"type\":\"%s\",\"symbol\":\"", type);
    at = program_text(at + sizeof splice - 1, head);
    *at++ = 1;
    at = program_text(at, "\",\"seq\":");
    *at++ = 2;
    at = program_text(at, ",\"data\":[{");
    at = program_book(at, 0, "\"bids\":[", "]");
    at = program_book(at, 1, ",\"asks\":[", "]");
    at = program_book(at, 2, ",\"depth\":", "");
    at = program_book(at, 3, ",\"first_id\":\"", "\"");
    at = program_book(at, 4, ",\"last_id\":\"", "\"");
    at = program_book(at, 5, ",\"maybe_bad\":true", "");
    at = program_book(at, 6, ",\"checksum\":", "");
    at = program_text(at, "}]");
    at = program_book(at, 7, ",\"part\":[", "]");
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

static inline rig_t *book_rig(uint64_t capacity, uint32_t levels) {
    gw_plane_options_t o = rig_options();
    o.books = gw_segment_books(64, levels);
    o.formats[0].records[GW_BOOK][GW_ENCODE_UPDATE] = book_template("update");
    o.formats[0].records[GW_BOOK][GW_ENCODE_SNAPSHOT] = book_template("snapshot");
    rig_t *rig = rig_new(o);
    rig->book_levels = levels;
    rig_segment(rig, capacity, 64);
    return rig;
}

/* --- the writer -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t hash[GW_BOOK_DEPTHS];
    uint32_t sum[GW_BOOK_DEPTHS];
    bool bad;
} book_seq_t;

typedef struct {
    rig_t *rig;
    unsigned topic;
    gw_book_t book;
    gw_book_work_t work;
    gw_book_sum_t sum;
    model_t model;
    walk_t walk;
    uint32_t depth;     /* the venue's */
    book_seq_t *all, *states; /* by seq: of all epochs and ends, of this one */
    bool hidden;        /* a mutant: evictions are not published */
    uint8_t flags, origin;
} book_writer_t;

/* Of the segment that is written now: as its writer sees it. */
static gw_book_pool_t book_pool;
static const rig_t *book_pool_rig;
static unsigned book_pool_epoch;

static inline uint64_t mix(uint64_t hash, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u;
}

/* Hashes of the texts of its best levels, by depth. */
static inline void book_hash(const gw_book_t *b, uint64_t hash[GW_BOOK_DEPTHS]) {
    uint64_t side_hash[2][GW_BOOK_DEPTHS];
    for (unsigned side = 0; side < 2; side++) {
        uint64_t h = 1469598103934665603u;
        gw_book_cursor_t cursor = gw_book_best(b, side);
        unsigned next_depth = 0;
        for (uint32_t n = 0;; n++) {
            while (next_depth < GW_BOOK_DEPTHS && gw_book_depths[next_depth] == n && n) side_hash[side][next_depth++] = h;
            const uint32_t at = gw_book_next(&cursor);
            if (at == GW_BOOK_NONE) break;
            gw_book_row_t row;
            char text[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK];
            gw_book_row(b, cursor.chunk, at, side, &row);
            h = mix(h, text, gw_book_price_text(&row, gw_book_scale(b), text));
            h = mix(h, text, gw_book_qty_text(&row, text));
        }
        while (next_depth < GW_BOOK_DEPTHS) side_hash[side][next_depth++] = h;
    }
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) hash[i] = side_hash[0][i] * 31 + side_hash[1][i];
}

static inline void book_remember(book_writer_t *w) {
    const uint64_t seq = w->rig->topics[w->topic].count;
    CHECK(seq < BOOK_SEQS);
    book_hash(&w->book, w->states[seq].hash);
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) w->states[seq].sum[i] = gw_book_sum(&w->book, &w->sum, gw_book_depths[i]);
    w->states[seq].bad = w->flags & GW_FLAG_MAYBE_BAD_BOOK;
}

/* The writer's books are in the segment; a new one has none. */
static inline void book_begin(book_writer_t *w) {
    w->states = w->states ? w->states + BOOK_SEQS : w->all;
    CHECK(w->states < w->all + BOOK_LIVES * BOOK_SEQS);
    rig_register(w->rig, w->topic);
    gw_book_work_free(&w->work);
    CHECK_EQUAL(gw_book_work_init(&w->work), 0);
    gw_book_pool_t *pool = &book_pool;
    if (book_pool_rig != w->rig || book_pool_epoch != w->rig->epoch) { /* another segment, which has none yet */
        *pool = w->rig->writer.segment.books;
        pool->chunk_free = pool->wide_free = GW_BOOK_NONE;
        book_pool_rig = w->rig;
        book_pool_epoch = w->rig->epoch;
    }
    for (uint32_t i = 0; i < pool->sizes.books; i++)
        if (!gw_book_open(&w->book, pool, i, w->depth, false)) break;
    CHECK(w->book.head);
    const uint32_t id = (uint32_t)w->rig->topics[w->topic].id;
    gw_book_own(&w->book, gw_book_owner(id, w->rig->writer.chains[id].generation));
    model_close(&w->model);
    model_open(&w->model);
    w->sum = (gw_book_sum_t){0};
    w->walk.mid = 10000;
}

static inline void book_writer_open(book_writer_t *w, rig_t *rig, const char *name, uint32_t depth, walk_t walk) {
    *w = (book_writer_t){.rig = rig, .topic = rig_topic(rig, GW_BOOK, name), .depth = depth, .walk = walk};
    w->all = calloc(BOOK_LIVES * BOOK_SEQS, sizeof *w->all);
    CHECK(w->all != NULL);
    book_begin(w);
}

static inline void book_writer_close(book_writer_t *w) {
    book_pool_rig = NULL;
    free(w->all);
    gw_book_work_free(&w->work);
    model_close(&w->model);
}

/* Publishes what the last message changed. */
static inline void book_publish(book_writer_t *w, bool reset, gw_header_t header) {
    static union {
        gw_record_t record;
        uint8_t bytes[GW_CELL * GW_RECORD_CELLS_MAX];
    } u;
    rig_t *rig = w->rig;
    rig_topic_t *t = &rig->topics[w->topic];
    const uint64_t seq = ++t->count;
    uint32_t count = w->work.count;
    reset |= w->work.reset || gw_book_record_cells(count) > rig->writer.cells_max;
    if (reset) count = 0;
    memset(u.bytes, 0, GW_CELL * GW_RECORD_CELLS);
    u.record.h = header;
    u.record.h.kind = GW_BOOK;
    u.record.h.flags |= w->flags;
    u.record.h.origin = w->origin;
    u.record.h.topic = (uint32_t)t->id;
    u.record.h.ts_publish = rig->now;
    u.record.h.ingest_ns = 1000;
    gw_book_message_t *m = gw_book_message(&u.record);
    *m = (gw_book_message_t){.scale = (uint8_t)w->work.scale, .what = reset ? GW_BOOK_RECORD_RESET : 0, .book = w->book.number};
    m->first_length = (uint8_t)snprintf(m->first_id, sizeof m->first_id, "%llu", (unsigned long long)seq * 10 - 9);
    m->last_length = (uint8_t)snprintf(m->last_id, sizeof m->last_id, "%llu", (unsigned long long)seq * 10);
    gw_book_row_t *rows = gw_book_message_rows(&u.record);
    for (uint32_t i = 0; i < count; i++) {
        if (w->hidden && w->work.rows[i].kind == GW_BOOK_DEL && draw(2)) continue;
        rows[m->count++] = w->work.rows[i];
    }
    u.record.h.cells = gw_book_record_cells(m->count);
    gw_writer_publish(&rig->writer, &u.record);
    rig->published[GW_BOOK]++;
    book_remember(w);
}

/* A message, or a state; whether it changed anything. */
static inline bool book_say(book_writer_t *w, const gw_book_level_t *levels, uint32_t count, bool state, bool reset,
                            gw_header_t header) {
    const uint64_t seq = w->rig->topics[w->topic].count + 1;
    const gw_book_refusal_t refusal = state ? gw_book_replace(&w->book, &w->work, seq, levels, count)
                                            : gw_book_apply(&w->book, &w->work, seq, levels, count);
    if (refusal != GW_BOOK_FINE) fprintf(stderr, "%s\n", gw_book_refusal_text(refusal));
    CHECK_EQUAL(refusal, GW_BOOK_FINE);
    if (!w->work.count && !w->work.reset) return false;
    if (state) w->model.count[0] = w->model.count[1] = 0;
    model_apply(&w->model, levels, count, w->depth);
    book_publish(w, reset, header);
    return true;
}

static inline bool book_walk(book_writer_t *w, bool state, bool reset) {
    static gw_book_level_t levels[2 * WALK_MOST];
    const uint32_t n = state ? walk_state(&w->walk, levels) : walk_message(&w->walk, &w->model, levels);
    return book_say(w, levels, n, state, reset, (gw_header_t){0});
}

/* --- a client ---------------------------------------------------------------------------------- */

typedef struct {
    int64_t key; /* the better, the greater */
    char price[32], qty[48];
} shown_t;

typedef struct {
    peer_t *peer;
    unsigned variant, asked; /* asked: what it will have with a snapshot */
    char name[16];
    shown_t *side[2], *partial[2];
    uint32_t count[2], partial_count[2];
    uint64_t seq, partial_seq; /* 0: it has nothing */
    unsigned part, parts, life;
    uint64_t frames, updates, snapshots, parted, gaps, retired, missing;
    uint16_t interval_ms;
    uint32_t age_ms;
    uint64_t skipped;
    bool each; /* it cuts to its depth after each level */
    bool fresh; /* an ack came: the next frame's seq is where it begins */
    uint64_t wrong; /* where a mutant is played: what does not fit */
    bool lenient;
} book_client_t;

#define BOOK_CHECK(c, condition) do { if ((c)->lenient) (c)->wrong += !(condition); else CHECK(condition); } while (0)

static inline void book_client_open(book_client_t *c, rig_t *rig, unsigned variant) {
    *c = (book_client_t){.peer = rig_connect(rig), .variant = variant, .asked = variant, .each = draw(2)};
    for (int i = 0; i < 2; i++) {
        c->side[i] = malloc(BOOK_CLIENT_LEVELS * sizeof(shown_t));
        c->partial[i] = malloc(BOOK_CLIENT_LEVELS * sizeof(shown_t));
        CHECK(c->side[i] && c->partial[i]);
    }
}

static inline void book_client_close(book_client_t *c) {
    for (int i = 0; i < 2; i++) free(c->side[i]), free(c->partial[i]);
}

static inline void book_subscribe(rig_t *rig, book_client_t *c, const char *name, bool snapshot, bool resync) {
    gw_item_t x = item(7, GW_BOOK, name, false, snapshot);
    x.variant = (uint16_t)c->asked;
    x.interval_ms = c->interval_ms;
    x.age_ms = c->age_ms;
    x.resync = resync;
    x.priority = 1;
    rig_subscribe(rig, c->peer, 1, &x, 1);
}

static inline int64_t key_of(const char *price, unsigned side) {
    int64_t value = 0;
    int decimals = -1;
    const char *at = price + (*price == '-');
    for (; *at; at++) {
        if (*at == '.') decimals = 0;
        else value = value * 10 + (*at - '0'), decimals += decimals >= 0;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 8; i++) value *= 10;
    if (*price == '-') value = -value;
    return side ? -value : value;
}

static inline void shown_set(book_client_t *c, unsigned side, const char *price, const char *qty) {
    shown_t *s = c->side[side];
    const int64_t key = key_of(price, side);
    uint32_t low = 0, high = c->count[side];
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (s[middle].key > key) low = middle + 1;
        else high = middle;
    }
    const bool there = low < c->count[side] && s[low].key == key;
    if (!strcmp(qty, "0")) {
        BOOK_CHECK(c, there); /* strict: nothing is deleted that it does not have */
        if (!there) return;
        memmove(s + low, s + low + 1, (--c->count[side] - low) * sizeof *s);
        return;
    }
    if (!there) {
        CHECK(c->count[side] < BOOK_CLIENT_LEVELS);
        memmove(s + low + 1, s + low, (c->count[side]++ - low) * sizeof *s);
    }
    s[low].key = key;
    snprintf(s[low].price, sizeof s[low].price, "%s", price);
    snprintf(s[low].qty, sizeof s[low].qty, "%s", qty);
}

static inline void shown_cut(book_client_t *c, unsigned side) {
    const uint32_t depth = gw_book_depths[c->variant];
    if (depth && c->count[side] > depth) c->count[side] = depth;
}

static inline uint64_t shown_hash(const book_client_t *c) {
    uint64_t hash[2];
    for (unsigned side = 0; side < 2; side++) {
        hash[side] = 1469598103934665603u;
        for (uint32_t i = 0; i < c->count[side]; i++) {
            hash[side] = mix(hash[side], c->side[side][i].price, strlen(c->side[side][i].price));
            hash[side] = mix(hash[side], c->side[side][i].qty, strlen(c->side[side][i].qty));
        }
    }
    return hash[0] * 31 + hash[1];
}

/* As Kraken says it: of the texts. */
static inline uint32_t shown_sum(const book_client_t *c) {
    char text[2 * GW_BOOK_SUM_LEVELS * 96];
    size_t n = 0;
    for (int side = 1; side >= 0; side--)
        for (uint32_t i = 0; i < c->count[side] && i < GW_BOOK_SUM_LEVELS; i++)
            for (int k = 0; k < 2; k++) {
                const char *at = k ? c->side[side][i].qty : c->side[side][i].price;
                bool digit = false;
                for (; *at; at++) {
                    digit |= *at > '0';
                    if (*at == '-' || (*at != '.' && digit)) text[n++] = *at;
                }
            }
    return gw_crc32(text, n);
}

/* `["p","q"],...]`: applied as it is read; how many rows. */
static inline const char *levels_read(book_client_t *c, const char *at, unsigned side) {
    bool levels = false;
    while (*at != ']') {
        char price[32], qty[48];
        int n = 0;
        CHECK_EQUAL(sscanf(at, "[\"%31[-0-9.]\",\"%47[0-9.]\"]%n", price, qty, &n), 2);
        CHECK(n > 0);
        at += n;
        BOOK_CHECK(c, !levels || strcmp(qty, "0")); /* deletions come first */
        levels |= strcmp(qty, "0") != 0;
        shown_set(c, side, price, qty);
        if (c->each) shown_cut(c, side);
        if (*at == ',') at++;
    }
    return at + 1;
}

static inline uint64_t number_after(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static inline void book_frame(book_client_t *c, const char *text, const book_writer_t *w) {
    const book_seq_t *states = w->all + c->life * (size_t)BOOK_SEQS;
    const uint64_t seq = number_after(text, "\"seq\":"), skipped = number_after(text, "\"skipped\":");
    const bool snapshot = strstr(text, "\"type\":\"snapshot\"") != NULL;
    const char *bids = strstr(text, "\"bids\":["), *part = strstr(text, "\"part\":[");
    CHECK(bids && (!strstr(text, "\"skipped\":") || skipped));
    if (number_after(text, "\"depth\":") == gw_book_depths[c->asked] && c->variant != c->asked) {
        CHECK(snapshot); /* another depth begins with one, though parts of the other were under way */
        c->variant = c->asked;
        c->part = 0;
        c->fresh = true;
    }
    CHECK_EQUAL(number_after(text, "\"depth\":"), gw_book_depths[c->variant]);
    unsigned i = 1, n = 1;
    if (part) CHECK_EQUAL(sscanf(part, "\"part\":[%u,%u]", &i, &n), 2);
    if (part) CHECK(snapshot && n > 1 && i <= n);
    if (i == 1 && c->part) CHECK(c->fresh); /* no state is left in the middle, but for another request */
    if (i > 1) CHECK(c->part == i - 1 && c->parts == n && c->partial_seq == seq);
    else if (c->seq && !c->fresh) BOOK_CHECK(c, seq == c->seq + 1 + skipped);
    c->part = i < n ? i : 0;
    c->parts = n;
    c->partial_seq = seq;
    CHECK(snapshot || c->seq);
    if (snapshot && i == 1) c->count[0] = c->count[1] = 0;
    const char *at = levels_read(c, bids + 8, 0), *first = strstr(text, "\"first_id\":\"");
    CHECK(!strncmp(at, ",\"asks\":[", 9));
    levels_read(c, at + 9, 1);
    CHECK_EQUAL(number_after(text, "\"last_id\":\""), seq * 10);
    if (first && !c->fresh) CHECK(number_after(text, "\"first_id\":\"") <= c->seq * 10 + 1);
    CHECK(first == NULL || number_after(text, "\"first_id\":\"") % 10 == 1);
    CHECK_EQUAL(strstr(text, "\"checksum\":") != NULL, i == n);
    if (i < n) return;
    shown_cut(c, 0);
    shown_cut(c, 1);
    c->seq = seq;
    c->skipped += skipped;
    c->fresh = false;
    c->frames++;
    c->parted += n > 1;
    if (snapshot) c->snapshots++;
    else c->updates++;
    BOOK_CHECK(c, shown_hash(c) == states[seq].hash[c->variant]);
    BOOK_CHECK(c, number_after(text, "\"checksum\":") == states[seq].sum[c->variant]);
    if (gw_book_depths[c->variant] != 1 && gw_book_depths[c->variant] != 5) BOOK_CHECK(c, shown_sum(c) == states[seq].sum[c->variant]);
    BOOK_CHECK(c, (strstr(text, "\"maybe_bad\":true") != NULL) == states[seq].bad);
}

/* Reads what has come, of whole frames. */
static inline void book_read(book_client_t *c, const book_writer_t *w) {
    static char text[GW_BOOK_FRAME_MAX + (64 << 10)];
    peer_t *peer = c->peer;
    for (;;) {
        const uint8_t *at = peer->stream + peer->read;
        const size_t left = peer->length - peer->read;
        if (left < 4) break;
        size_t length = at[1] & 127, header = 2;
        if (length == 126) length = (size_t)at[2] << 8 | at[3], header = 4;
        CHECK(length < 127 || length <= GW_BOOK_FRAME_MAX);
        if (left < header + length) break;
        memcpy(text, at + header, length);
        text[length] = 0;
        peer->read += header + length;
        if (!strncmp(text, "{\"channel\":\"book\"", 17)) book_frame(c, text, w);
        else if (strstr(text, "\"reply\":1")) c->fresh = true;
        else if (strstr(text, "\"type\":\"epoch\"")) c->seq = 0, c->part = 0, c->life += c->frames > 0;
        else if (strstr(text, "\"type\":\"gap\"")) c->gaps++;
        else if (strstr(text, "book_missing_ms")) c->missing++;
        else if (strstr(text, "\"type\":\"retired\"")) c->retired++, c->seq = 0, c->life++;
    }
    if (peer->read == peer->length) peer->read = peer->length = 0;
}

#endif
