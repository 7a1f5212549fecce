/* A visit: what one send to one client has. */
#ifndef GW_VISIT_H
#define GW_VISIT_H
#include "gw_plane_internal.h"
#include <sys/socket.h>

#define GW_PARTS_MAX 4 /* rest, control, and two runs of frames, or one gathered piece */

typedef struct {
    gw_link_t *link;
    uint32_t length, behind; /* behind: of it, the notices behind the state */
    gw_book_sent_t book;     /* where its client is then */
} gw_rendered_t;

typedef struct gw_gather {
    struct iovec parts[GW_PARTS_MAX];
    int count;
    size_t bytes, room, in_place; /* room: what may be copied; in_place: sent from the log */
    uint32_t rendered_count;
    gw_rendered_t rendered[GW_RENDERED_MAX];
} gw_gather_t;

/* Bytes of a run, when they lie in one piece; 0 where the log wraps inside it. */
static inline size_t gw_run_length(const gw_log_t *log, uint64_t run) {
    const gw_frame_t *first = gw_log_frame(log, GW_RUN_FIRST(run));
    const gw_frame_t *last = gw_log_frame(log, GW_RUN_FIRST(run) + GW_RUN_COUNT(run) - 1);
    if ((first->position ^ last->position) >= log->size) return 0;
    return last->position + last->length - first->position;
}

/* gw_visit_marks.c */
size_t gw_gather_marks(gw_plane_t *p, gw_client_t *c, gw_gather_t *g, size_t used);
int gw_rest_keep(gw_client_t *c, const uint8_t *bytes, uint32_t length, uint32_t sent);
int gw_consume_marks(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g, size_t bytes, int sealed);

/* gw_secure_send.c */
/* Seals what was gathered, a record of it at most, and sends it. 0: it left; 1: the socket is full, and has the rest of it
 * still to take; else -errno: the client is gone. */
int gw_secure_send(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g);

/* gw_flush.c */
void gw_client_gone(gw_plane_t *p, gw_client_t *c, int error); /* its socket failed */
void gw_client_block(gw_plane_t *p, gw_client_t *c);           /* its socket takes nothing more for now */

#endif
