/* The plane as the loop's thread sees it: commands in, events out, and what may be asked at any time. */
#include "gw_hash.h"
#include "gw_plane_internal.h"
#include <string.h>
#include <unistd.h>

static gw_client_t *slot_client(const gw_plane_t *p, gw_handle_t handle) {
    return &p->clients[(uint32_t)handle];
}

int gw_plane_knows(const gw_plane_t *p, gw_handle_t handle) {
    uint32_t slot = (uint32_t)handle;
    return slot < p->slots_next && p->generations[slot] == (uint32_t)(handle >> 32);
}

/* A local topic's item: one name, whose newest text comes first. */
static int local_valid(const gw_plane_t *p, const gw_item_t *item) {
    if (item->is_pattern || item->lossless || !item->snapshot || item->variant) return 0;
    if (item->interval_ms || item->age_ms || item->from) return 0;
    for (uint32_t i = 0; i < p->o.locals_count; i++) {
        const char *name = p->o.locals[i].name;
        if (strlen(name) == item->length && !memcmp(name, item->name, item->length)) return 1;
    }
    return 0;
}

static int item_valid(const gw_plane_t *p, uint32_t format, const gw_item_t *item) {
    if (item->priority >= GW_CLASSES || item->channel >= GW_CHANNELS) return 0;
    if (item->interval_ms > GW_RATE_MS_MAX || (item->lossless && (item->interval_ms || item->age_ms))) return 0;
    if (item->channel == GW_BOOK) {
        if (item->lossless || item->variant >= GW_BOOK_DEPTHS || !p->o.books.books) return 0;
    } else if (item->variant && item->variant >= p->o.variants_count) return 0;
    if (item->from >= GW_FROM_KINDS || (item->from && item->is_pattern && item->from != GW_FROM_TS)) return 0;
    if (item->from == GW_FROM_LAST && !item->from_value) return 0;
    if (item->channel == GW_LOCAL ? !local_valid(p, item) : !gw_format_has(p, format, item->channel)) return 0;
    return item->length && item->length <= GW_INSTRUMENT_MAX;
}

static int command_valid(const gw_plane_t *p, const gw_command_t *x) {
    if (x->kind == GW_CMD_PUBLISH) return x->local < p->o.locals_count && x->bytes_count <= GW_LOCAL_TEXT_MAX;
    if (!gw_command_has_client(x)) return 1;
    if (x->grant && (x->grant >= GW_GRANTS_MAX || !p->grants_loaded[x->grant])) return 0;
    if (x->tenant && x->tenant >= p->o.tenants_count) return 0;
    if (!gw_plane_knows(p, x->handle) || x->format >= p->o.formats_count) return 0;
    for (uint32_t i = 0; i < x->fills_count; i++) {
        const gw_fill_t *f = &x->fills[i];
        uint32_t width = f->kind == GW_FILL_EPOCH ? GW_EPOCH_LENGTH : f->kind == GW_FILL_RECOVERY ? GW_FILL_RECOVERY_WIDTH : GW_FILL_WIDTH;
        if (f->kind >= GW_FILL_KINDS || f->offset > x->bytes_count || x->bytes_count - f->offset < width) return 0;
        int of_item = f->kind == GW_FILL_SEQ || f->kind == GW_FILL_MATCHED || f->kind == GW_FILL_RECOVERY;
        if (of_item && (x->kind != GW_CMD_SUBSCRIBE || f->arg >= x->items_count)) return 0;
    }
    for (uint32_t i = 0; i < x->items_count && x->kind == GW_CMD_SUBSCRIBE; i++)
        if (!item_valid(p, slot_client(p, x->handle)->format, &x->items[i])) return 0;
    return 1;
}

int gw_plane_post(gw_plane_t *p, gw_command_t *x) {
    if (!command_valid(p, x)) {
        free(x);
        return -EINVAL;
    }
    if (x->kind == GW_CMD_ADD) {
        p->slots_grant[(uint32_t)x->handle] = (uint16_t)x->grant;
        p->grants_clients[x->grant]++;
    }
    if (x->kind == GW_CMD_REGRANT) { /* commands are taken in order: what loads the old one anew comes behind */
        p->grants_clients[p->slots_grant[(uint32_t)x->handle]]--;
        p->slots_grant[(uint32_t)x->handle] = (uint16_t)x->grant;
        p->grants_clients[x->grant]++;
    }
    if (gw_command_has_client(x)) {
        gw_client_t *c = slot_client(p, x->handle);
        if (x->kind == GW_CMD_ADD) c->format = (uint8_t)x->format; /* nobody reads it before ADD is taken */
        GW_STORE_RELAXED(&c->control_posted, c->control_posted + x->bytes_count);
    }
    gw_queue_put(&p->commands, &x->node);
    return 0;
}

gw_handle_t gw_plane_slot(gw_plane_t *p) {
    uint32_t slot;
    if (p->slots_free_count) {
        slot = p->slots_free[--p->slots_free_count];
    } else if (p->slots_next < p->o.clients_max) {
        slot = p->slots_next++;
        p->generations[slot] = (uint32_t)gw_hash_key_random().k0; /* no other plane's handles fit */
    } else {
        return 0;
    }
    if (++p->generations[slot] == 0) p->generations[slot] = 1; /* so that no handle is 0 */
    gw_client_t *c = &p->clients[slot];
    GW_STORE_RELAXED(&c->control_posted, 0);
    GW_STORE_RELAXED(&c->control_done, 0);
    GW_STORE_RELAXED(&c->resume_wanted, 0);
    return (uint64_t)p->generations[slot] << 32 | slot;
}

void gw_plane_slot_back(gw_plane_t *p, gw_handle_t handle) {
    if (gw_plane_knows(p, handle)) p->slots_free[p->slots_free_count++] = (uint32_t)handle;
}

uint64_t gw_plane_control_used(const gw_plane_t *p, gw_handle_t handle) {
    return gw_plane_knows(p, handle) ? gw_client_control_used(slot_client(p, handle)) : 0;
}

int gw_plane_want_resume(gw_plane_t *p, gw_handle_t handle) {
    if (!gw_plane_knows(p, handle)) return 0;
    gw_client_t *c = slot_client(p, handle);
    GW_STORE_RELAXED(&c->resume_wanted, 1);
    GW_FENCE_FULL(); /* pairs with resume() in gw_flush.c */
    if (gw_plane_control_used(p, handle) > p->o.control_bytes_max / 2) return 1;
    return !__atomic_exchange_n(&c->resume_wanted, 0, __ATOMIC_ACQ_REL);
}

int gw_plane_blocked(const gw_plane_t *p, gw_handle_t handle) {
    return gw_plane_knows(p, handle) && GW_LOAD_RELAXED(&slot_client(p, handle)->blocked) != 0;
}

size_t gw_plane_notice(const gw_plane_t *p, gw_handle_t handle, gw_notice_kind_t kind, const gw_notice_t *notice,
                       uint8_t *out) {
    return gw_plane_knows(p, handle) ? gw_notice_encode(p, slot_client(p, handle)->format, kind, NULL, notice, out) : 0;
}

int64_t gw_plane_sent_ns(const gw_plane_t *p, gw_handle_t handle) {
    return gw_plane_knows(p, handle) ? GW_LOAD_RELAXED(&slot_client(p, handle)->sent_ns) : 0;
}

uint32_t gw_plane_followers(const gw_plane_t *p, uint32_t local) {
    return local < p->o.locals_count ? GW_LOAD_RELAXED(&p->locals[local].followers) : 0;
}

int gw_plane_events_fd(const gw_plane_t *p) { return p->events_fd; }

const gw_event_t *gw_plane_take_event(gw_plane_t *p) {
    uint64_t n;
    /* Rung, but nothing to read: the plane stands between its two steps, and the descriptor will be
     * readable with no event left to say so. It is read at the next call then. */
    if (__atomic_exchange_n(&p->events_rung, 0, __ATOMIC_SEQ_CST) || p->events_unread)
        p->events_unread = read(p->events_fd, &n, sizeof n) < 0;
    const gw_event_t *e = (const gw_event_t *)(void *)gw_queue_take(&p->events);
    if (e && e->kind == GW_EVENT_REMOVED) {
        p->slots_free[p->slots_free_count++] = (uint32_t)e->handle;
        p->grants_clients[p->slots_grant[(uint32_t)e->handle]]--;
    }
    return e;
}

/* --- grants ------------------------------------------------------------------------------------------ */

int gw_plane_grant(gw_plane_t *p, uint32_t grant, const gw_rule_t *rules, uint32_t count, uint32_t links_max) {
    if (!grant || grant >= GW_GRANTS_MAX || count > GW_RULES_MAX) return -EINVAL;
    if (p->grants_clients[grant]) return -EBUSY;
    gw_grant_t *g = calloc(1, sizeof *g + count * sizeof g->rules[0]);
    gw_command_t *x = g ? gw_command_new(GW_CMD_GRANT, 0, 0, 0) : NULL;
    const int error = x ? gw_right_fill(&g->right, g->rules, rules, count) : -ENOMEM;
    if (error) {
        free(x);
        free(g);
        return error;
    }
    const uint32_t most = p->o.topics_per_client_max;
    g->links_max = links_max && links_max < most ? links_max : most;
    x->grant = grant;
    x->table = g;
    p->grants_loaded[grant] = 1;
    return gw_plane_post(p, x);
}
