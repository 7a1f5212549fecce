/* A link's mark, rendered: what its client misses of its book.
 *
 * Clients that are at the same place share a frame: those that have nothing, those that have the window as it was before
 * its last change, and those that are behind by the same, as of one rate and phase. It is encoded once into the log of its
 * format and copied to each, with its own `skipped`. Where a client is moves when the frame leaves, in whole or cut.
 *
 * **Parts.** What would be longer than GW_BOOK_FRAME_MAX is told as a state in parts, one a visit. The state is frozen
 * when the first one is rendered, and shared by all links that want the book at this seq; there are GW_BOOK_FROZEN, and
 * who finds none waits. What comes meanwhile is told afterwards, from the frozen state on. */
#include "gw_plane_internal.h"
#include "gw_sbe_book.h"
#include <errno.h>
#include <string.h>

/* --- encoding ------------------------------------------------------------------------------------ */

static gw_text_t id_text(const char *id, uint8_t length) {
    return (gw_text_t){id, length < GW_BOOK_ID_MAX ? length : GW_BOOK_ID_MAX};
}

/* The first number that the venue gave after `since`; empty where that is not known any more. */
static gw_text_t first_id(const gw_plane_book_t *x, uint64_t since) {
    const gw_book_id_t *id = &x->ids[(since + 1) % GW_BOOK_IDS];
    return id->seq == since + 1 ? id_text(id->text, id->length) : (gw_text_t){0};
}

static gw_book_view_t view_of(const gw_record_t *record, uint32_t depth) {
    const gw_book_message_t *m = gw_book_message((gw_record_t *)(uintptr_t)record);
    return (gw_book_view_t){.depth = depth, .maybe_bad = record->h.flags & GW_FLAG_MAYBE_BAD_BOOK,
                            .last = id_text(m->last_id, m->last_length)};
}

/* Writes a whole frame at `out`; its length, and of its header. */
static size_t encode(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, int how, const gw_record_t *record,
                     const gw_book_view_t *view, uint64_t skipped, uint8_t *out, uint8_t *header) {
    const gw_template_t *template = p->o.formats[a->format].records[t->channel][how];
    if (!p->send_ns) p->send_ns = p->io.realtime(p->io.self);
    const gw_encode_t in = {.record = record, .symbol = t->name, .symbol_length = t->length, .ts_send = p->send_ns,
                            .topic = t->number, .channel = t->channel, .book = view};
    char *payload = (char *)out + gw_payload_at(template);
    size_t length = gw_template_encode(template, &in, payload);
    if (skipped) length = gw_template_tell(template, skipped, payload, length);
    *header = (uint8_t)gw_payload_close(template, out, length);
    return *header + length;
}

static gw_book_view_t frame_view(gw_topic_t *t, const gw_audience_t *a, uint64_t since, const gw_book_frame_t *f) {
    gw_plane_book_t *x = t->book;
    const uint32_t depth = gw_book_depths[a->variant];
    gw_book_view_t view = view_of(t->state, depth);
    view.rows = f->rows;
    memcpy(view.count, f->count, sizeof view.count);
    view.scale = gw_book_scale(&x->book);
    view.first = since ? first_id(x, since) : (gw_text_t){0};
    view.checksum = gw_book_sum(&x->book, &x->sum, depth);
    view.summed = 1;
    return view;
}

/* --- shared frames -------------------------------------------------------------------------------- */

static int how_of(uint8_t type) { return type == GW_BOOK_UPDATE ? GW_ENCODE_UPDATE : GW_ENCODE_SNAPSHOT; }
static bool is_binary(const gw_plane_t *p, const gw_audience_t *a) {
    return gw_template_opcode(p->o.formats[a->format].records[GW_BOOK][GW_ENCODE_SNAPSHOT]) == GW_OP_BINARY;
}

static gw_book_frame_t frame_room(const gw_plane_t *p, const gw_audience_t *a) {
    return (gw_book_frame_t){.rows = p->books.rows, .room = GW_BOOK_PART_ROWS, .around = GW_BOOK_AROUND,
                             .bytes = GW_BOOK_LEVELS_BYTES, .fit = is_binary(p, a) ? gw_sbe_book_fit : NULL};
}

static int is_frame(uint8_t type) { return type == GW_BOOK_UPDATE || type == GW_BOOK_SNAPSHOT; }

/* Where the frame's key has its place (Fibonacci hashing). */
static gw_book_shared_t *place_of(gw_plane_book_t *x, const gw_audience_t *a, uint64_t since) {
    const uint64_t key = since << 16 | (uint64_t)a->format << 8 | a->variant;
    return &x->shared[key * 0x9e3779b97f4a7c15ull >> 59];
}
_Static_assert(GW_BOOK_SHARED == 32, "five bits of a hash");

/* What those get who are at `at`: encoded into the log, unless it is there. All who have had the window's last change but one are
 * where it was just before the last. */
static const gw_book_shared_t *shared(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, gw_book_at_t at) {
    gw_log_t *log = &p->lanes[a->format].log;
    gw_plane_book_t *x = t->book;
    const gw_book_window_t *w = &x->book.windows[a->variant];
    const int keeps_up = at.since && at.since >= w->before;
    const uint64_t since = keeps_up ? w->changed - 1 : at.since;
    gw_book_shared_t *s = place_of(x, a, since);
    if (s->seq == t->seq && s->since == since && s->format == a->format && s->variant == a->variant &&
        (!is_frame(s->type) || gw_log_fresh(log, s->frame)))
        return s;
    gw_book_frame_t f = frame_room(p, a);
    gw_book_render(&x->book, w, &p->books.work, &at, &f);
    *s = (gw_book_shared_t){t->seq, since, 0, a->format, (uint8_t)a->variant, f.type};
    if (!is_frame(f.type)) return s;
    const gw_book_view_t view = frame_view(t, a, keeps_up ? w->before : since, &f);
    uint8_t *out = gw_log_reserve(log, GW_BOOK_FRAME_MAX);
    gw_frame_t frame = gw_book_frame_of(p, t);
    const size_t length = encode(p, t, a, how_of(f.type), t->state, &view, 0, out, &frame.header);
    s->frame = gw_frame_append(p, a->format, &frame, length);
    return s;
}

/* The shared frame for one of them, with what it has skipped. */
static size_t shared_copy(const gw_plane_t *p, const gw_topic_t *t, const gw_book_shared_t *s, uint64_t skipped, uint8_t *out) {
    const gw_log_t *log = &p->lanes[s->format].log;
    const gw_template_t *template = p->o.formats[s->format].records[t->channel][how_of(s->type)];
    return gw_frame_tell(log, template, gw_log_frame(log, s->frame), skipped, out);
}

/* --- states in parts ------------------------------------------------------------------------------ */

/* Rows of the state from one on, as many as there is room for: bids, then asks, the best first. */
static uint32_t frozen_rows(const gw_book_frozen_t *f, uint32_t depth, uint32_t from, const gw_book_frame_t *room) {
    const uint32_t most = depth ? depth : UINT32_MAX;
    const uint32_t bids = f->levels[GW_BOOK_BID] < most ? f->levels[GW_BOOK_BID] : most;
    const uint32_t asks = f->levels[GW_BOOK_ASK] < most ? f->levels[GW_BOOK_ASK] : most;
    uint32_t n = 0;
    for (; n < room->room && from + n < bids + asks; n++) {
        const uint32_t at = from + n;
        const uint32_t end = at < bids ? f->levels[GW_BOOK_BID] : f->copy.count;
        room->rows[n] = f->copy.rows[end - 1 - (at < bids ? at : at - bids)];
    }
    return n;
}

static uint32_t part_rows(const gw_plane_t *p, const gw_book_frozen_t *f, const gw_audience_t *a, uint32_t from) {
    const gw_book_frame_t room = frame_room(p, a);
    const uint32_t n = frozen_rows(f, gw_book_depths[a->variant], from, &room);
    if (room.fit) return room.fit(room.rows, n, room.bytes);
    return gw_book_rows_fit(room.rows, n, f->copy.scale, room.around, room.bytes);
}

/* How many there are, counted once for a depth: 20 ns a level. */
static uint32_t parts_count(const gw_plane_t *p, gw_book_frozen_t *f, const gw_audience_t *a) {
    uint32_t *parts = &f->parts[is_binary(p, a)][a->variant];
    if (*parts) return *parts;
    for (uint32_t from = 0, n; (n = part_rows(p, f, a, from)); from += n) ++*parts;
    return *parts;
}

static int frozen_fill(gw_plane_book_t *x, gw_book_frozen_t *f) {
    gw_book_t *b = &x->book;
    const uint32_t count = gw_book_levels(b, GW_BOOK_BID) + gw_book_levels(b, GW_BOOK_ASK);
    *f = (gw_book_frozen_t){.copy = {.rows = malloc(count * sizeof(gw_book_row_t)), .room = count}};
    if (!f->copy.rows || gw_book_copy(b->pool, b->number, &f->copy)) return -ENOMEM;
    f->of = x;
    f->record = *x->topic->state;
    f->checksum = gw_book_sum(b, &x->sum, GW_BOOK_SUM_LEVELS);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        f->levels[side] = gw_book_levels(b, side);
        for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) f->worst[i][side] = b->windows[i].worst[side];
    }
    return 0;
}

/* The book as it is now, frozen; NULL: none is free. */
static gw_book_frozen_t *freeze(gw_plane_t *p, gw_plane_book_t *x) {
    gw_book_frozen_t *found = NULL;
    for (gw_book_frozen_t *f = p->books.frozen; f < p->books.frozen + GW_BOOK_FROZEN; f++) {
        if (f->of == x && f->copy.seq == gw_book_seq(&x->book)) return f;
        if (!f->of) found = f;
    }
    if (!found || !frozen_fill(x, found)) return found;
    free(found->copy.rows);
    *found = (gw_book_frozen_t){0};
    return NULL;
}

/* The next part of what the link is being sent. */
static size_t part_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out) {
    const gw_book_link_t *b = l->book;
    gw_book_frozen_t *f = b->frozen;
    const gw_audience_t *a = gw_link_audience(l);
    const uint32_t depth = gw_book_depths[a->variant];
    const uint32_t parts = parts_count(p, f, a);
    gw_book_view_t view = view_of(&f->record, depth);
    view.rows = p->books.rows;
    view.scale = f->copy.scale;
    view.part = b->part + 1;
    view.parts = parts;
    view.checksum = f->checksum;
    view.summed = view.part == view.parts;
    sent->rows = part_rows(p, f, a, b->row);
    for (uint32_t i = 0; i < sent->rows; i++) view.count[p->books.rows[i].side]++;
    sent->what = view.summed ? GW_BOOK_SENT_LAST : GW_BOOK_SENT_PART;
    if (view.summed) sent->at = (gw_book_at_t){f->copy.seq, {f->worst[a->variant][0], f->worst[a->variant][1]}};
    uint8_t header;
    return encode(p, l->topic, a, GW_ENCODE_SNAPSHOT, &f->record, &view, b->skips, out, &header);
}

/* --- marks ---------------------------------------------------------------------------------------- */

/* What a frame of this seq tells as skipped. */
static uint64_t skips(const gw_link_t *l, gw_book_at_t at, uint64_t seq) {
    if (at.since) return seq - at.since - 1;
    return l->book->awaited && l->dirty != GW_LINK_SNAPSHOT ? seq - l->book->awaited : 0;
}

/* A frame from where the link is to where the book is; its type. */
static uint8_t whole_render(gw_plane_t *p, gw_link_t *l, gw_book_at_t at, gw_book_sent_t *sent, uint8_t *out,
                            size_t *length) {
    gw_topic_t *t = l->topic;
    gw_audience_t *a = gw_link_audience(l);
    const gw_book_window_t *w = &t->book->book.windows[a->variant];
    sent->at = at;
    if (at.since && at.since >= w->changed) return GW_BOOK_NOTHING;
    const gw_book_shared_t *s = shared(p, t, a, at);
    if (!is_frame(s->type)) return s->type;
    *length = shared_copy(p, t, s, skips(l, at, t->seq), out);
    sent->at = (gw_book_at_t){t->seq, {w->worst[GW_BOOK_BID], w->worst[GW_BOOK_ASK]}};
    return s->type;
}

/* The state of a book's link as a frame at `out` (gw_topic_render_max bytes). 0: it cannot be told yet, and its mark stands
 * in no list any more. */
int gw_book_mark_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out, size_t *length) {
    gw_book_link_t *b = l->book;
    gw_plane_book_t *x = l->topic->book;
    size_t front = l->unannounced ? gw_link_notice_encode(p, l, GW_NOTICE_TOPIC, out) : 0, state = 0;
    if (!b->frozen) {
        if (!x->live) {
            gw_link_park(l);
            return 0;
        }
        const gw_book_at_t at = l->dirty == GW_LINK_SNAPSHOT ? (gw_book_at_t){0} : b->at;
        const uint8_t type = whole_render(p, l, at, sent, out + front, &state);
        sent->what = type == GW_BOOK_NOTHING ? GW_BOOK_SENT_NOTHING : GW_BOOK_SENT_WHOLE;
        if (type == GW_BOOK_PARTS) {
            if (!(b->frozen = freeze(p, x))) {
                gw_link_park(l);
                gw_book_wait_begin(p, b);
                return 0;
            }
            b->frozen->users++;
            b->row = b->part = 0;
            b->skips = skips(l, at, b->frozen->copy.seq);
        }
    }
    *length = 0;
    if (b->frozen) state = part_render(p, l, sent, out + front);
    if (sent->what == GW_BOOK_SENT_NOTHING) return 1;
    *length = front + state;
    return 1;
}

/* What was rendered of the mark has left, or the rest of it will: says what that was in the account. Whether the mark is
 * done. */
int gw_book_mark_sent(gw_plane_t *p, gw_link_t *l, const gw_book_sent_t *sent, int *counts, int *snapshot) {
    gw_book_link_t *b = l->book;
    switch (sent->what) {
    case GW_BOOK_SENT_NOTHING:
        if (*counts) gw_link_filter(p, l);
        *counts = *snapshot = 0;
        return 1;
    case GW_BOOK_SENT_PART:
        b->row += sent->rows;
        b->part++;
        *counts = *snapshot = 0;
        return 0;
    case GW_BOOK_SENT_LAST:
        b->at = sent->at;
        gw_book_thaw(b);
        if (!b->late) return 1;
        b->late = 0; /* what the mark stands for is yet to come: this was the state before it */
        *counts = 0;
        *snapshot = 1;
        return 0;
    default: b->at = sent->at; return 1;
    }
}
