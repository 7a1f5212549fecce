/* What passes between the plane's thread and the loop's: commands one way, events the other. */
#include "gw_plane_internal.h"
#include <string.h>
#include <unistd.h>

gw_command_t *gw_command_new(gw_command_kind_t kind, uint32_t items, uint32_t fills, uint32_t bytes) {
    size_t size = sizeof(gw_command_t) + items * sizeof(gw_item_t) + fills * sizeof(gw_fill_t) + bytes;
    gw_command_t *x = malloc(size);
    if (!x) return NULL;
    memset(x, 0, sizeof *x);
    x->kind = kind;
    x->items_count = items;
    x->fills_count = fills;
    x->bytes_count = bytes;
    x->items = (gw_item_t *)(x + 1); /* each is as strictly aligned as what comes before it */
    x->fills = (gw_fill_t *)(x->items + items);
    x->bytes = (uint8_t *)(x->fills + fills);
    return x;
}

gw_event_t *gw_event_new(gw_event_kind_t kind, gw_handle_t handle, uint32_t rows) {
    gw_event_t *e = calloc(1, sizeof *e + rows * sizeof e->rows[0]);
    if (!e) return NULL;
    e->kind = kind;
    e->handle = handle;
    e->rows_count = rows;
    return e;
}

void gw_event_put(gw_plane_t *p, gw_event_t *e) {
    uint64_t one = 1;
    gw_queue_put(&p->events, &e->node);
    if (!__atomic_exchange_n(&p->events_rung, 1, __ATOMIC_SEQ_CST))
        if (write(p->events_fd, &one, sizeof one) < 0) return; /* full: it is readable already */
}
