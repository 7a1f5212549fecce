/* Who does what to order books and their links, file by file, from the lowest layer on. */
#ifndef GW_PLANE_BOOK_H
#define GW_PLANE_BOOK_H
#include "gw_plane_types.h"

static inline gw_audience_t *gw_link_audience(const gw_link_t *l) { return &l->topic->audiences[l->audience]; }
static inline int gw_topic_is_book(const gw_topic_t *t) { return t->channel == GW_BOOK; }

/* gw_plane_books.c */
int gw_plane_books_open(gw_plane_t *p); /* the pool, with the first link; -ENOMEM */
int gw_plane_books_format(gw_plane_t *p, uint8_t format); /* with its first link; -ENOMEM */
void gw_plane_books_free(gw_plane_t *p);
int gw_plane_book_open(gw_plane_t *p, gw_plane_book_t *x);
void gw_plane_book_close(gw_plane_t *p, gw_plane_book_t *x);
void gw_plane_book_want(gw_plane_t *p, gw_plane_book_t *x); /* it is not live, and has to be copied */
void gw_plane_book_unwant(gw_plane_t *p, gw_plane_book_t *x);
int gw_plane_book_want_later(gw_plane_t *p, gw_plane_book_t *x, int soon);
int64_t gw_plane_books_due(const gw_plane_t *p);
void gw_book_thaw(gw_book_link_t *b);
void gw_book_wait_begin(gw_plane_t *p, gw_book_link_t *b); /* for a state to be frozen */
void gw_book_wait_end(gw_plane_t *p, gw_book_link_t *b);
void gw_book_link_nothing(gw_book_link_t *b);
void gw_book_unmark(gw_plane_t *p, gw_link_t *l);
void gw_book_file_join(gw_audience_t *a, gw_link_t *l); /* as the last of its links */
void gw_book_file_leave(gw_audience_t *a, gw_link_t *l);
void gw_book_link_fall(gw_link_t *l);                        /* it is abreast no more: what its client has is its own */
void gw_book_link_catch_up(const gw_plane_t *p, gw_link_t *l); /* its mark has left: it may be */
void gw_book_link_back(const gw_plane_t *p, gw_link_t *l, uint64_t index); /* a frame of it will not leave */
/* All of the link's records that were filtered: of a book those too that were for all of its audience. */
static inline uint64_t gw_link_filtered(const gw_link_t *l) {
    return l->filtered + (l->book ? gw_link_audience(l)->filtered - l->book->filtered_from : 0);
}

/* gw_plane_book_frame.c */
static inline int gw_book_is_frame(uint8_t type) { return type == GW_BOOK_UPDATE || type == GW_BOOK_SNAPSHOT; }
gw_book_view_t gw_book_view(const gw_record_t *record, uint32_t depth);
bool gw_book_is_binary(const gw_plane_t *p, const gw_audience_t *a);
gw_book_frame_t gw_book_frame_room(const gw_plane_t *p, const gw_audience_t *a);
size_t gw_book_encode(gw_plane_t *p, const gw_topic_t *t, const gw_audience_t *a, int how, const gw_record_t *record,
                      const gw_book_view_t *view, uint64_t skipped, uint8_t *out, uint8_t *header);
const gw_book_shared_t *gw_book_shared(gw_plane_t *p, gw_topic_t *t, const gw_audience_t *a, gw_book_at_t at);
size_t gw_book_shared_copy(const gw_plane_t *p, const gw_topic_t *t, const gw_book_shared_t *s, uint64_t skipped, uint8_t *out);
uint64_t gw_book_pushed(gw_plane_t *p, gw_topic_t *t, const gw_audience_t *a);

/* gw_plane_book_link.c */
int gw_book_link_make(gw_plane_t *p, gw_topic_t *t, gw_link_t *l); /* before it joins an audience; -ENOMEM */
void gw_book_link_end(gw_plane_t *p, gw_topic_t *t, gw_link_t *l); /* after it has left */
void gw_book_link_join(gw_link_t *l);
void gw_book_link_leave(gw_link_t *l);
void gw_book_link_forget(gw_plane_t *p, gw_link_t *l); /* its client has nothing: what comes is a snapshot */
void gw_book_link_vary(gw_plane_t *p, gw_link_t *l);   /* its depth is another one */
void gw_book_link_take(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f); /* one record */
void gw_book_begin_anew(gw_plane_t *p, gw_topic_t *t);
void gw_book_unbound(gw_plane_t *p, gw_topic_t *t); /* no directory has it now */

/* gw_plane_book_freeze.c */
gw_book_frozen_t *gw_book_freeze(gw_plane_t *p, gw_plane_book_t *x, unsigned variant); /* NULL: none is free */
int gw_book_frozen_ask(gw_plane_t *p, gw_book_frozen_t *f, const gw_audience_t *a); /* whether its parts can be rendered */
uint32_t gw_book_part_rows(const gw_plane_t *p, const gw_book_frozen_t *f, const gw_audience_t *a, uint32_t from);
int gw_books_freeze(gw_plane_t *p); /* this cycle's share; wakes those who waited; whether there was anything */

/* gw_plane_book.c */
/* A frame of the topic's newest record, without its bytes. */
static inline gw_frame_t gw_book_frame_of(const gw_plane_t *p, const gw_topic_t *t) {
    return (gw_frame_t){.recv_ns = gw_record_published(t->state) - t->state->h.ingest_ns, .taken_ns = p->taken_ns,
                        .topic = t->number, .channel = t->channel,
                        .flags = t->state->h.flags & GW_FLAG_PACED ? GW_FRAME_PACED : 0};
}
int64_t gw_book_route(gw_plane_t *p, gw_topic_t *t, const gw_record_t *r, uint64_t position, int64_t *budget);
uint32_t gw_book_lapped(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest, uint64_t position);
void gw_book_bound(gw_plane_t *p, gw_topic_t *t); /* it has come, or come back */
int gw_plane_books_step(gw_plane_t *p); /* copies what is wanted; whether there was anything */

/* gw_plane_book_send.c */
int gw_book_mark_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out, size_t *length);
int gw_book_mark_sent(gw_plane_t *p, gw_link_t *l, const gw_book_sent_t *sent, int *counts, int *snapshot);

#endif
