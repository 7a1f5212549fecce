/* What the loop's thread asks for, and what it is told. */
#include "gw_plane_internal.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COMMANDS_NS 500000 /* a subscribe to thousands of topics takes that long alone */

/* What was never taken, with the segments that it would have brought. */
void gw_commands_free(gw_plane_t *p) {
    const gw_node_t *node;
    while (p->commands.head && (node = gw_queue_take(&p->commands))) {
        const gw_command_t *x = (const gw_command_t *)(const void *)node;
        if (x->kind == GW_CMD_ATTACH) munmap(x->mapping, x->mapping_size);
    }
    if (p->commands.head) gw_queue_free(&p->commands);
}

/* --- events ---------------------------------------------------------------------------------------- */

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

/* --- fills ----------------------------------------------------------------------------------------- */

static void fill_number(uint8_t *out, uint64_t value) {
    char text[GW_FILL_WIDTH + 1];
    snprintf(text, sizeof text, "%-20llu", (unsigned long long)value);
    memcpy(out, text, GW_FILL_WIDTH);
}

static void fill(gw_plane_t *p, const gw_command_t *x) {
    for (uint32_t i = 0; i < x->fills_count; i++) {
        const gw_fill_t *f = &x->fills[i];
        uint8_t *at = x->bytes + f->offset;
        const gw_item_t *item = f->kind == GW_FILL_SEQ || f->kind == GW_FILL_MATCHED ? &x->items[f->arg] : NULL;
        if (f->kind == GW_FILL_EPOCH) {
            memcpy(at, p->epoch, GW_EPOCH_LENGTH);
        } else if (f->kind == GW_FILL_TIME) {
            fill_number(at, (uint64_t)p->io.realtime(p->io.self));
        } else if (f->kind == GW_FILL_SEQ) {
            const gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
            fill_number(at, t ? t->seq : 0);
        } else {
            fill_number(at, gw_hub_match(p, item->channel, item->name, item->length));
        }
    }
}

/* --- subscribe and unsubscribe ------------------------------------------------------------------------ */

/* Chooses who governs a link after this command: a name over a pattern, a later pattern over an earlier. */
static void choose(gw_plane_t *p, gw_link_t *l, gw_sub_t *s, uint8_t mark) {
    if (!l->marked) {
        l->chosen = NULL;
        p->work[p->work_count++] = l;
    } else if (l->chosen && !l->chosen->pattern) {
        return;
    }
    l->marked = mark;
    l->chosen = s;
}

static void cover(gw_plane_t *p, gw_client_t *c, gw_topic_t *t, gw_sub_t *s) {
    gw_link_t *l = gw_link_find(p, c, t);
    if (l && l->sub != s && !l->sub->pattern && s->pattern) return;
    if (!l && (gw_links_full(p, c, s) || !(l = gw_link_make(p, c, t, s)))) return;
    choose(p, l, s, s->snapshot && t->seq ? GW_MARK_CONFLATED : GW_MARK_DROPPED);
}

static void subscribe_name(gw_plane_t *p, gw_client_t *c, gw_sub_t *s, const gw_item_t *item) {
    gw_topic_t *t = gw_topic_find(p, item->channel, item->name, item->length);
    if (!t && p->topics_waiting < p->o.waiting_topics_max)
        t = gw_topic_make(p, item->channel, item->name, item->length);
    if (!t) gw_limit_tell(p, c, "waiting_topics", p->o.waiting_topics_max, item->name, item->length);
    if (t) {
        s->topic = t;
        cover(p, c, t, s);
        if (gw_link_find(p, c, t)) return;
        gw_topic_release(p, t);
    }
    gw_sub_drop(p, s); /* a limit was in the way, and told */
}

static void update_link(gw_plane_t *p, gw_link_t *l) {
    gw_link_mode(l, l->sub->lossless);
    gw_link_prioritise(p, l, l->sub->priority);
}

/* Other parameters for what it governs already. */
static void update(gw_plane_t *p, gw_client_t *c, gw_sub_t *s) {
    if (s->pattern) {
        for (gw_link_t *l = c->links; l; l = l->next)
            if (l->sub == s) update_link(p, l);
    } else {
        update_link(p, gw_link_find(p, c, s->topic));
    }
}

static void subscribe_item(gw_plane_t *p, gw_client_t *c, const gw_item_t *item) {
    gw_sub_t *s = gw_sub_find(p, c, item->id);
    int known = s != NULL;
    if (!s && (!item->resync || !(s = gw_sub_make(p, c, item)))) return;
    s->lossless = item->lossless;
    s->snapshot = item->snapshot;
    s->priority = item->priority;
    if (!item->resync) {
        update(p, c, s);
        return;
    }
    s->order = ++p->order;
    s->limit_told = 0;
    if (!s->pattern) {
        if (known) cover(p, c, s->topic, s);
        else subscribe_name(p, c, s, item);
        return;
    }
    /* Topics of an earlier epoch that have not come back have links, though the directory lacks them. */
    for (gw_link_t *l = c->links; l; l = l->next)
        if (!l->topic->bound && gw_sub_covers(s, l->topic)) cover(p, c, l->topic, s);
    for (uint32_t i = 0; i < p->by_ring_count; i++) {
        gw_topic_t *t = p->by_ring[i];
        if (t && gw_sub_covers(s, t)) cover(p, c, t, s);
    }
}

/* What is pending must be known before links change hands. */
static void count_pending(gw_plane_t *p, gw_client_t *c) {
    if (c->queued || c->dirty_first || c->held || c->rest.bytes) {
        gw_client_count_pending(p, c);
        c->counted = 1;
    } else if (c->counted) {
        for (gw_link_t *l = c->links; l; l = l->next) l->pending = 0;
        c->counted = 0;
    }
}

/* Bytes that will never leave are done too. */
static void lose(gw_client_t *c, const gw_command_t *x) {
    GW_STORE_RELEASE(&c->control_done, c->control_done + x->bytes_count);
}

static void reply(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    if (!gw_client_control(p, c, x->bytes, x->bytes_count, 1)) return;
    lose(c, x);
    gw_client_slow(p, c, "control queue");
}

/* Who turns to conflation while blocked has its queue conflated too, or it were closed for its age. */
static void turn(gw_plane_t *p, gw_client_t *c) {
    if (c->flags & GW_CLIENT_BLOCKED) gw_client_conflate(p, c);
}

/* After links changed class: whether each channel is of one again, and what needs no more waiting. */
static void reclass(gw_plane_t *p, gw_client_t *c) {
    if (c->held) gw_client_rehold(p, c);
    if (!(c->flags & GW_CLIENT_MIXED)) return;
    c->flags &= (uint16_t)~GW_CLIENT_MIXED;
    c->channels = c->classes = 0;
    for (gw_link_t *l = c->links; l; l = l->next) {
        uint8_t priority = l->priority;
        gw_link_prioritise(p, l, UINT8_MAX);
        gw_link_prioritise(p, l, priority);
    }
}

static void subscribe(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    if (p->mapping) gw_hub_grow(p);
    fill(p, x);
    reply(p, c, x);
    count_pending(p, c);
    p->work_count = 0;
    p->taken_ns = p->now;
    p->send_ns = 0;
    int updates = 0;
    for (uint32_t i = 0; i < x->items_count; i++) {
        subscribe_item(p, c, &x->items[i]);
        updates |= !x->items[i].resync;
    }
    gw_client_purge(p, c);
    for (uint32_t i = 0; i < p->work_count; i++) {
        gw_link_t *l = p->work[i];
        l->marked = GW_MARK_NONE;
        l->pending = c->rest.link == l;
        gw_link_govern(p, l, l->chosen);
        if (l->sub->snapshot) gw_link_snapshot(p, l);
    }
    if (updates) turn(p, c);
    reclass(p, c);
}

static void end_link(gw_plane_t *p, gw_client_t *c, gw_link_t *l) {
    gw_sub_t *next = gw_sub_pattern_covering(c, l->topic);
    if (next) gw_link_govern(p, l, next);
    else choose(p, l, NULL, GW_MARK_DROPPED);
}

#define SUBS_BY_NAME_MAX 4u /* more, and one pass over all links is cheaper */

static void unsubscribe(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    uint32_t by_name = 0;
    p->work_count = 0;
    count_pending(p, c);
    for (uint32_t i = 0; i < x->items_count; i++) {
        gw_sub_t *s = gw_sub_find(p, c, x->items[i].id);
        if (s) s->ending = 1;
        by_name += s && !s->pattern;
    }
    if (by_name == x->items_count && by_name <= SUBS_BY_NAME_MAX) {
        for (uint32_t i = 0; i < x->items_count; i++) {
            gw_link_t *l = gw_link_find(p, c, gw_sub_find(p, c, x->items[i].id)->topic);
            if (l && l->sub->ending) end_link(p, c, l);
        }
    } else {
        for (gw_link_t *l = c->links; l; l = l->next)
            if (l->sub->ending) end_link(p, c, l);
    }
    gw_client_purge(p, c);
    for (uint32_t i = 0; i < p->work_count; i++) {
        p->work[i]->pending = 0;
        gw_link_drop(p, p->work[i]);
    }
    turn(p, c);
    for (uint32_t i = 0; i < x->items_count; i++) {
        gw_sub_t *s = gw_sub_find(p, c, x->items[i].id);
        if (s) gw_sub_drop(p, s);
    }
    reclass(p, c);
    fill(p, x);
    reply(p, c, x);
}

/* --- the rest -------------------------------------------------------------------------------------- */

static void query(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    gw_event_t *e = gw_event_new(GW_EVENT_STATS, x->handle, c->subs_count);
    if (!e) return;
    uint32_t rows = 0;
    e->token = x->token;
    for (int kind = 0; kind < 2; kind++) {
        for (gw_sub_t *s = c->subs[kind]; s; s = s->next) {
            s->row = rows;
            e->rows[rows++] = (gw_row_t){.id = s->id, .routed = s->routed, .delivered = s->delivered,
                                         .conflated = s->conflated, .dropped = s->dropped};
        }
    }
    gw_client_count_pending(p, c);
    c->counted = 1;
    for (gw_link_t *l = c->links; l; l = l->next) {
        gw_row_t *row = &e->rows[l->sub->row];
        uint64_t routed = l->topic->seq - l->attach_seq;
        row->routed += routed;
        row->conflated += l->conflated;
        row->dropped += l->dropped;
        row->pending += l->pending;
        row->delivered += routed - l->conflated - l->dropped - l->pending;
    }
    gw_event_put(p, e);
}

static void add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    uint32_t slot = (uint32_t)x->handle;
    c->flags = c->priorities = 0;
    c->fd = x->fd;
    c->generation = (uint32_t)(x->handle >> 32);
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->active = 1;
    c->closing = c->shut = c->watched = c->counted = 0;
    c->classes = c->channels = c->level = c->went_up = c->relapses = 0;
    c->blocked_ns = c->above_ns = c->calm_ns = c->level_ns = 0;
    memset(c->told, 0, sizeof c->told);
    gw_count(&p->stats->levels[0], 1);
    GW_STORE_RELAXED(&c->sent_ns, p->now);
    if (slot >= p->clients_high) p->clients_high = slot + 1;
    gw_count(&p->stats->clients[0], 1);
    fill(p, x);
    reply(p, c, x);
}

static void close_client(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    c->closing = 1;
    c->flags |= GW_CLIENT_DOOMED;
    gw_client_discard(p, c, p->stats->dropped_closed);
    gw_client_detach(p, c);
    reply(p, c, x);
}

static void remove_client(gw_plane_t *p, gw_client_t *c) {
    gw_doomed_bury(p); /* the slot may be another's before the next burial */
    gw_client_discard(p, c, p->stats->dropped_closed);
    gw_client_detach(p, c);
    if (c->rest.bytes && c->rest.counts) {
        gw_count(&p->stats->dropped_closed[c->rest.channel], 1);
        gw_count(&p->stats->pending[c->rest.channel], (uint64_t)-1);
    }
    gw_client_unblock(p, c);
    gw_client_unwatch(p, c);
    gw_level_forget(p, c);
    gw_client_free(p, c);
    c->active = 0;
    gw_count(&p->stats->clients[0], (uint64_t)-1);
    gw_event_t *e = gw_event_new(GW_EVENT_REMOVED, gw_client_handle(p, c), 0);
    if (e) gw_event_put(p, e);
}

static void attach(gw_plane_t *p, const gw_command_t *x) {
    if (p->mapping_next) munmap(p->mapping_next, p->mapping_next_size);
    p->mapping_next = x->mapping; /* followed once the old ring has been read to its end */
    p->mapping_next_size = x->mapping_size;
    if (!p->mapping) gw_epoch_switch(p);
}

static void run(gw_plane_t *p, const gw_command_t *x) {
    if (x->kind == GW_CMD_STOP) p->stopping = 1;
    if (x->kind == GW_CMD_ATTACH) attach(p, x);
    if (x->kind == GW_CMD_STOP || x->kind == GW_CMD_ATTACH) return;
    gw_client_t *c = &p->clients[(uint32_t)x->handle];
    if (x->kind == GW_CMD_ADD) {
        add(p, c, x);
    } else if (!c->active || c->generation != (uint32_t)(x->handle >> 32)) {
        return;
    } else if (x->kind == GW_CMD_REMOVE) {
        remove_client(p, c);
        return;
    } else if (c->flags & GW_CLIENT_GONE || c->closing) {
        lose(c, x);
        return;
    } else if (x->kind == GW_CMD_SEND) {
        fill(p, x);
        reply(p, c, x);
    } else if (x->kind == GW_CMD_CLOSE) {
        close_client(p, c, x);
    } else if (x->kind == GW_CMD_QUERY) {
        query(p, c, x);
    } else if (c->flags & GW_CLIENT_DOOMED) {
        lose(c, x);
        return;
    } else if (x->kind == GW_CMD_SUBSCRIBE) {
        subscribe(p, c, x);
    } else {
        unsubscribe(p, c, x);
    }
    gw_doomed_bury(p);
    if (!(c->flags & GW_CLIENT_BLOCKED)) gw_client_flush(p, c);
}

/* At most `limit` of them, and none begun after COMMANDS_NS: records wait behind. */
int gw_commands_run(gw_plane_t *p, int limit) {
    int n = 0;
    int64_t begun = 0;
    const gw_node_t *node;
    while (n < limit && (!n || p->now - begun < COMMANDS_NS) && (node = gw_queue_take(&p->commands))) {
        p->now = p->io.monotonic(p->io.self);
        if (!n++) begun = p->now;
        if (!p->begun_ns) p->begun_ns = p->now;
        run(p, (const gw_command_t *)(const void *)node);
    }
    gw_count(&p->stats->commands[0], (uint64_t)n);
    return n;
}
