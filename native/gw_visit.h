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

/* gw_visit_marks.c */
size_t gw_gather_marks(gw_plane_t *p, gw_client_t *c, gw_gather_t *g, size_t used);
int gw_rest_keep(gw_client_t *c, const uint8_t *bytes, uint32_t length, uint32_t sent);
int gw_consume_marks(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g, size_t bytes);

#endif
