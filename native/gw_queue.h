/* An unbounded queue between two threads, one putting, one taking: a linked list with a stub.
 *
 * The putter writes a node whole, then links it with a release store; the taker reads `next` with
 * acquire, so it sees the whole node. Neither ever waits for the other. What bounds it is said where
 * nodes are made. */
#ifndef GW_QUEUE_H
#define GW_QUEUE_H
#include "gw_atomic.h"
#include <stdlib.h>

typedef struct gw_node {
    struct gw_node *next;
} gw_node_t;

typedef struct {
    gw_node_t *head; /* taker's; already taken, kept as the stub */
    char pad[56];
    gw_node_t *tail; /* putter's */
} gw_queue_t;

static inline int gw_queue_init(gw_queue_t *q) {
    q->head = q->tail = calloc(1, sizeof(gw_node_t));
    return q->head ? 0 : -1;
}

static inline void gw_queue_put(gw_queue_t *q, gw_node_t *node) {
    node->next = NULL;
    gw_node_t *last = q->tail;
    q->tail = node;
    GW_STORE_RELEASE(&last->next, node);
}

static inline int gw_queue_ready(const gw_queue_t *q) {
    return GW_LOAD_ACQUIRE(&q->head->next) != NULL;
}

/* The oldest node or NULL. It stays the queue's until the next call, which frees it. */
static inline gw_node_t *gw_queue_take(gw_queue_t *q) {
    gw_node_t *next = GW_LOAD_ACQUIRE(&q->head->next);
    if (!next) return NULL;
    free(q->head);
    q->head = next;
    return next;
}

static inline void gw_queue_free(gw_queue_t *q) {
    while (gw_queue_take(q)) {
    }
    free(q->head);
    q->head = NULL;
}

#endif
