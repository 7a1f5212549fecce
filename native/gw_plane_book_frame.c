/* Frames of books, encoded once for all who are at the same place.
 *
 * Those who have nothing share one, so do those who have the window as it was before its last change, and those who are behind
 * by the same, as of one rate and phase. It stands in the log of its format, and is copied to each whose mark is told, with its
 * own `skipped`. What all of an audience get who are abreast is pushed as it stands there (gw_plane_book.c). */
#include "gw_plane_internal.h"
#include "gw_sbe_book.h"

/* --- encoding ------------------------------------------------------------------------------------ */

static gw_text_t id_text(const char *id, uint8_t length) {
    return (gw_text_t){id, length < GW_BOOK_ID_MAX ? length : GW_BOOK_ID_MAX};
}

/* The first number that the venue gave after `since`; empty where that is not known any more. */
static gw_text_t first_id(const gw_plane_book_t *x, uint64_t since) {
    const gw_book_id_t *id = &x->ids[(since + 1) % GW_BOOK_IDS];
    return id->seq == since + 1 ? id_text(id->text, id->length) : (gw_text_t){0};
}

gw_book_view_t gw_book_view(const gw_record_t *record, uint32_t depth) {
    const gw_book_message_t *m = gw_book_message((gw_record_t *)(uintptr_t)record);
    return (gw_book_view_t){.depth = depth, .maybe_bad = record->h.flags & GW_FLAG_MAYBE_BAD_BOOK,
                            .last = id_text(m->last_id, m->last_length)};
}

/* Writes a whole frame at `out`; its length, and of its header. */
size_t gw_book_encode(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, int how, const gw_record_t *record,
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
    gw_book_view_t view = gw_book_view(t->state, depth);
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
bool gw_book_is_binary(const gw_plane_t *p, const gw_audience_t *a) {
    return gw_template_opcode(p->o.formats[a->format].records[GW_BOOK][GW_ENCODE_SNAPSHOT]) == GW_OP_BINARY;
}

gw_book_frame_t gw_book_frame_room(const gw_plane_t *p, const gw_audience_t *a) {
    return (gw_book_frame_t){.rows = p->books.rows, .room = GW_BOOK_PART_ROWS, .around = GW_BOOK_AROUND,
                             .bytes = GW_BOOK_LEVELS_BYTES, .fit = gw_book_is_binary(p, a) ? gw_sbe_book_fit : NULL};
}

/* Where the frame's key has its place (Fibonacci hashing). */
static gw_book_shared_t *place_of(gw_plane_book_t *x, const gw_audience_t *a, uint64_t since) {
    const uint64_t key = since << 16 | (uint64_t)a->format << 8 | a->variant;
    return &x->shared[key * 0x9e3779b97f4a7c15ull >> 59];
}
_Static_assert(GW_BOOK_SHARED == 32, "five bits of a hash");

/* All who have had the window's last change but one are where it was just before the last. */
static int keeps_up(const gw_book_window_t *w, gw_book_at_t at) { return at.since && at.since >= w->before; }

/* What those miss who are at `at`, into the log; its type, and where it is a frame, its index. */
static uint8_t append(gw_plane_t *p, gw_topic_t *t, const gw_audience_t *a, gw_book_at_t at, uint64_t skipped, uint64_t *index) {
    const gw_book_window_t *w = &t->book->book.windows[a->variant];
    const uint64_t since = keeps_up(w, at) ? w->before : at.since;
    gw_book_frame_t f = gw_book_frame_room(p, a);
    gw_book_render(&t->book->book, w, &p->books.work, &at, &f);
    if (!gw_book_is_frame(f.type)) return f.type;
    const gw_book_view_t view = frame_view(t, a, since, &f);
    uint8_t *out = gw_log_reserve(&p->lanes[a->format].log, GW_BOOK_FRAME_MAX);
    gw_frame_t frame = gw_book_frame_of(p, t);
    const size_t length = gw_book_encode(p, t, a, how_of(f.type), t->state, &view, skipped, out, &frame.header);
    *index = gw_frame_append(p, a->format, &frame, length);
    return f.type;
}

/* What those get who are at `at`: encoded, unless it is there. */
const gw_book_shared_t *gw_book_shared(gw_plane_t *p, gw_topic_t *t, const gw_audience_t *a, gw_book_at_t at) {
    gw_plane_book_t *x = t->book;
    const gw_book_window_t *w = &x->book.windows[a->variant];
    const uint64_t since = keeps_up(w, at) ? w->changed - 1 : at.since;
    gw_book_shared_t *s = place_of(x, a, since);
    if (s->seq == t->seq && s->since == since && s->format == a->format && s->variant == a->variant &&
        (!gw_book_is_frame(s->type) || gw_log_fresh(&p->lanes[a->format].log, s->frame)))
        return s;
    *s = (gw_book_shared_t){t->seq, since, 0, a->format, (uint8_t)a->variant, GW_BOOK_NOTHING};
    s->type = append(p, t, a, at, 0, &s->frame);
    return s;
}

/* The shared frame for one of them, with what it has skipped. */
size_t gw_book_shared_copy(const gw_plane_t *p, const gw_topic_t *t, const gw_book_shared_t *s, uint64_t skipped, uint8_t *out) {
    const gw_log_t *log = &p->lanes[s->format].log;
    const gw_template_t *template = p->o.formats[s->format].records[t->channel][how_of(s->type)];
    return gw_frame_tell(log, template, gw_log_frame(log, s->frame), skipped, out);
}

/* The frame of the topic's newest record for all who are abreast in the audience. GW_FRAME_NONE where that is none, or too long
 * to stand in queues. */
uint64_t gw_book_pushed(gw_plane_t *p, gw_topic_t *t, const gw_audience_t *a) {
    const gw_log_t *log = &p->lanes[a->format].log;
    const gw_book_at_t at = a->file.at;
    const uint64_t skipped = t->seq - at.since - 1;
    uint64_t index = GW_FRAME_NONE;
    if (!p->books.before[a->format]) return GW_FRAME_NONE;
    if (skipped) {
        if (!gw_book_is_frame(append(p, t, a, at, skipped, &index))) return GW_FRAME_NONE;
    } else {
        const gw_book_shared_t *s = gw_book_shared(p, t, a, at);
        if (!gw_book_is_frame(s->type)) return GW_FRAME_NONE;
        index = s->frame;
    }
    if (gw_log_frame(log, index)->length > GW_BOOK_PUSHED_BYTES) return GW_FRAME_NONE;
    p->books.before[a->format][index & (log->count - 1)] = at;
    return index;
}
