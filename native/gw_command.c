/* What the loop's thread asks for. What it is told: gw_event.c. */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include <string.h>
#include <sys/mman.h>

#define COMMANDS_NS 150000 /* each may be followed by a send */

/* What was never taken, with the segments that it would have brought. */
void gw_commands_free(gw_plane_t *p) {
    const gw_node_t *node;
    while (p->commands.head && (node = gw_queue_take(&p->commands))) {
        const gw_command_t *x = (const gw_command_t *)(const void *)node;
        if (x->kind == GW_CMD_ATTACH) munmap(x->mapping, x->mapping_size);
        if (x->kind == GW_CMD_GRANT) gw_grant_free(x->table);
        if (x->kind == GW_CMD_ADD) gw_secure_end(x->secure);
    }
    if (p->commands.head) gw_queue_free(&p->commands);
}

/* The log of the client's format, made for the first one who speaks it. Nobody waits for anything of before. */
static int lane_open(gw_plane_t *p, uint8_t format) {
    gw_lane_t *lane = &p->lanes[format];
    if (lane->log.bytes) return 0;
    int error = gw_log_init(&lane->log, p->o.log_bytes, (uint64_t)format << GW_INDEX_BITS, 0);
    lane->epoch_index = lane->guard_index = lane->round_index = lane->swept_index = lane->log.index;
    return error;
}

static void add(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    uint32_t slot = (uint32_t)x->handle;
    c->flags = c->priorities = 0;
    c->fd = x->fd;
    c->grant = (uint16_t)x->grant;
    c->regrants = 0;
    c->tenant = (uint8_t)x->tenant;
    c->generation = (uint32_t)(x->handle >> 32);
    c->runs = c->runs_inline;
    c->runs_size = GW_RUNS_INLINE;
    c->secure = NULL;
    c->active = 1;
    c->closing = c->shut = c->watched = c->late = c->slow = c->removing = c->cut = 0;
    c->classes = c->mixed = c->level = c->went_up = c->relapses = 0;
    c->rewind = GW_REWIND_NONE;
    c->replays = c->replays_slow = 0;
    c->replay_pass = 0;
    c->blocked_ns = c->above_ns = c->calm_ns = c->level_ns = 0;
    memset(c->told, 0, sizeof c->told);
    gw_count(&p->stats->levels[0], 1);
    GW_STORE_RELAXED(&c->sent_ns, p->now);
    if (slot >= p->clients_high) p->clients_high = slot + 1;
    gw_count(&p->stats->clients[0], 1);
    gw_count(&p->stats->tenant_clients[c->tenant], 1);
    if (lane_open(p, c->format)) gw_client_slow(p, c, "no memory for its format");
    if (x->secure) {
        gw_secure_add(p, c, x->secure);
        gw_secure_want(p, c);
    }
    gw_client_reply(p, c, x);
}

static void close_client(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    c->flags |= GW_CLIENT_DOOMED;
    gw_jobs_abort(p, c); /* may write what was put off: what is written from here on ends with the close frame */
    gw_client_drop_queue(p, c);
    gw_client_list(p, c);
    c->closing = 1;
    gw_client_reply(p, c, x);
}

/* Nothing is written to it any more; REMOVED comes once all it had has ended. */
static void remove_client(gw_plane_t *p, gw_client_t *c) {
    c->removing = 1;
    c->flags |= GW_CLIENT_DOOMED | GW_CLIENT_GONE;
    gw_jobs_abort(p, c);
    gw_client_drop_queue(p, c);
    gw_client_unblock(p, c);
    gw_client_unwatch(p, c);
    gw_client_list(p, c);
}

static void attach(gw_plane_t *p, const gw_command_t *x) {
    if (p->mapping_next) munmap(p->mapping_next, p->mapping_next_size);
    p->mapping_next = x->mapping; /* followed once the old ring has been read to its end */
    p->mapping_next_size = x->mapping_size;
    if (!p->mapping) gw_epoch_begin(p);
}

static void run_client(gw_plane_t *p, gw_client_t *c, const gw_command_t *x) {
    if (c->removing) return;
    if (x->kind == GW_CMD_REMOVE) remove_client(p, c);
    else if (x->kind == GW_CMD_READ) gw_secure_want(p, c);
    else if (x->kind == GW_CMD_MOVE) gw_tenant_move(p, c, x->tenant);
    else if (c->flags & GW_CLIENT_GONE || c->closing) gw_client_lose(c, x);
    else if (x->kind == GW_CMD_CLOSE) close_client(p, c, x);
    else if (c->cut || (x->kind != GW_CMD_SEND && c->flags & GW_CLIENT_DOOMED)) c->cut = 1, gw_client_lose(c, x);
    else if (x->kind == GW_CMD_SEND && !c->job) gw_client_reply(p, c, x);
    else {
        if (x->kind == GW_CMD_REGRANT) c->grant = (uint16_t)x->grant, c->regrants++;
        gw_job_add(p, c, x);
    }
}

static void run(gw_plane_t *p, const gw_command_t *x) {
    if (x->kind == GW_CMD_STOP) p->stopping = 1;
    if (x->kind == GW_CMD_ATTACH) attach(p, x);
    if (x->kind == GW_CMD_PUBLISH) gw_local_publish(p, x);
    if (x->kind == GW_CMD_GRANT) gw_grant_load(p, x);
    if (!gw_command_has_client(x)) return;
    gw_client_t *c = &p->clients[(uint32_t)x->handle];
    if (x->kind == GW_CMD_ADD) add(p, c, x);
    else if (c->active && c->generation == (uint32_t)(x->handle >> 32)) run_client(p, c, x);
    else return;
    if (!(c->flags & GW_CLIENT_BLOCKED) && x->kind != GW_CMD_READ) gw_client_flush(p, c);
}

/* Goes on with what clients have asked for, then takes at most `limit` commands: none begun after COMMANDS_NS, or
 * once the turn's units are used up, since records wait behind. None at all while another segment is being
 * followed: it is quick, and would find half of the topics. */
int gw_commands_run(gw_plane_t *p, int limit) {
    int n = 0, jobs = p->jobs.first != NULL;
    int64_t begun = 0;
    const gw_node_t *node = NULL;
    if (p->epoch_phase) return 1;
    p->turn_left = p->turn_units;
    if (jobs) {
        p->now = p->io.monotonic(p->io.self);
        if (!p->begun_ns) p->begun_ns = p->now;
        gw_jobs_run(p, p->turn_units / 2); /* the other half is for those who ask now */
        p->turn_left = p->turn_units / 2;
    }
    while (n < limit && p->turn_left > 0 && !p->epoch_phase && (!n || p->now - begun < COMMANDS_NS) &&
           (node = gw_queue_take(&p->commands))) {
        p->now = p->io.monotonic(p->io.self);
        if (!n++) begun = p->now;
        if (!p->begun_ns) p->begun_ns = p->now;
        run(p, (const gw_command_t *)(const void *)node);
    }
    if (p->jobs.first && p->turn_left > 0 && !p->epoch_phase) gw_jobs_run(p, p->turn_left);
    gw_count(&p->stats->commands[0], (uint64_t)n);
    if (p->jobs.first) gw_count(&p->stats->steps_resumed[GW_STEP_JOBS], 1);
    if (node && gw_queue_ready(&p->commands)) gw_count(&p->stats->steps_resumed[GW_STEP_COMMANDS], 1);
    return n + jobs;
}
