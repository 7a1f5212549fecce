/* Making and unmaking a plane, and the real kernel and clocks. */
#include "gw_plane_internal.h"
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- the real kernel and clocks -------------------------------------------------------------------- */

static ssize_t real_send(void *self, int fd, const struct iovec *parts, int count) {
    (void)self;
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    /* Beside other threads the library's send() is a point of cancellation: two atomic exchanges more. */
    if (count == 1) return syscall(SYS_sendto, fd, parts[0].iov_base, parts[0].iov_len, flags, NULL, 0);
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &m, flags);
}

static int64_t real_monotonic(void *self) {
    (void)self;
    return gw_monotonic_ns();
}

static int64_t real_realtime(void *self) {
    (void)self;
    return gw_realtime_ns();
}

static int64_t real_cpu(void *self) {
    (void)self;
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void real_yield(void *self) {
    (void)self;
    sched_yield();
}

/* --- making and unmaking --------------------------------------------------------------------------- */

static int open_descriptors(gw_plane_t *p) {
    if (p->o.event_fd < 0) p->o.event_fd = p->event_fd_private = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->events_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = GW_WAKE_KEY};
    if (p->o.event_fd < 0 || p->events_fd < 0 || p->epoll_fd < 0 ||
        epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, p->o.event_fd, &e))
        return -errno;
    return 0;
}

/* What an earlier process left in the page: it continues the counters, but nothing is pending any more. */
static void adopt_statistics(gw_stats_t *s) {
    for (int i = 0; i < GW_CHANNELS; i++) {
        uint64_t settled = s->delivered[i] + s->conflated[i] + s->filtered[i] + s->dropped_lapped[i] +
                           s->dropped_unsubscribed[i] + s->dropped_slow[i] + s->dropped_epoch[i];
        s->dropped_closed[i] = s->routed[i] - settled;
        s->pending[i] = 0;
    }
    memset(s->class_links, 0, sizeof s->class_links);
    memset(s->levels, 0, sizeof s->levels);
    memset(s->tenant_clients, 0, sizeof s->tenant_clients);
    s->books_missing[0] = s->links[0] = s->clients[0] = s->clients_blocked[0] = s->ring_lag_records[0] = 0;
}

/* Zero pages, written only as slots are used, behind the sentinels of the turns. NULL: no memory. */
static gw_client_t *clients_map(size_t n) {
    void *m = mmap(NULL, (n + GW_PLACES_BEFORE) * sizeof(gw_client_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return m == MAP_FAILED ? NULL : (gw_client_t *)m + GW_PLACES_BEFORE;
}

/* Each channel has both messages or none, of records of its own kind. */
static int format_valid(const gw_format_t *f) {
    for (unsigned i = 0; i < GW_CHANNELS; i++)
        for (int k = 0; k < GW_ENCODES; k++) {
            if (!f->records[i][k] != !f->records[i][GW_ENCODE_UPDATE]) return 0;
            if (f->records[i][k] && gw_template_kind(f->records[i][k]) != i) return 0;
        }
    for (unsigned i = 0; i < GW_CHANNELS; i++) {
        const gw_template_t *replay = f->records[i][GW_ENCODE_REPLAY], *update = f->records[i][GW_ENCODE_UPDATE];
        if (!replay) continue;
        if (!update || gw_template_kind(replay) != i || gw_template_opcode(replay) != gw_template_opcode(update)) return 0;
    }
    for (unsigned i = 0; i < GW_NOTICES; i++)
        if (f->notices[i] && gw_template_kind(f->notices[i]) != GW_NOTICE_KIND + i) return 0;
    /* The parts of one message: its first one says how it is framed. */
    if (f->notices[GW_NOTICE_CLASS] && !f->notices[GW_NOTICE_CONFLATION]) return 0;
    return 1;
}

/* A variant has both messages of a channel or none, of the kind and the opcode of the format's own. */
static int variant_valid(const gw_format_t *f, const gw_variant_t *v, int there) {
    for (unsigned i = 0; i < GW_CHANNELS; i++)
        for (int k = 0; k < GW_ENCODES; k++) {
            const gw_template_t *own = f->records[i][k], *other = v->records[i][k];
            if (!other != !v->records[i][GW_ENCODE_UPDATE]) return 0;
            if (!other) continue;
            if (!there || !own || gw_template_kind(other) != i || gw_template_opcode(other) != gw_template_opcode(own)) return 0;
        }
    return 1;
}

static int variants_valid(const gw_format_t *f, uint32_t count) {
    int valid = count <= GW_VARIANTS_MAX;
    for (uint32_t i = 1; valid && i < GW_VARIANTS_MAX; i++) valid = variant_valid(f, &f->variants[i - 1], i < count);
    return valid;
}

static int formats_valid(const gw_plane_options_t *o) {
    int valid = o->formats_count > 0 && o->formats_count <= GW_FORMATS_MAX;
    for (uint32_t i = 0; valid && i < o->formats_count; i++)
        valid = format_valid(&o->formats[i]) && variants_valid(&o->formats[i], o->variants_count);
    return valid;
}

void gw_format_free(gw_format_t *f) {
    for (int i = 0; i < GW_CHANNELS; i++)
        for (int k = 0; k < GW_TEMPLATES; k++) {
            gw_template_free(f->records[i][k]);
            for (unsigned v = 0; v < GW_VARIANTS_MAX - 1; v++) gw_template_free(f->variants[v].records[i][k]);
        }
    for (int i = 0; i < GW_NOTICES; i++) gw_template_free(f->notices[i]);
    *f = (gw_format_t){0};
}

int gw_plane_create(const gw_plane_options_t *options, gw_plane_t **out) {
    /* A unit of work, such as a visit, may encode so much before the guard looks again: an eighth of the log. */
    if (!options->clients_max || !formats_valid(options) || options->log_bytes < 8 * GW_SCRATCH_BYTES) return -EINVAL;
    if (!gw_locals_valid(options) || !gw_tenants_valid(options->tenants_count, options->tenant_weights)) return -EINVAL;
    gw_plane_t *p = calloc(1, sizeof *p);
    if (!p) return -ENOMEM;
    p->o = *options;
    p->o.enforce = p->o.enforce && p->o.target_ns;
    p->turn_units = GW_UNITS_TURN;
    p->names_key = gw_hash_key_random();
    p->io = options->io.send ? options->io
                             : (gw_io_t){real_send, real_monotonic, real_realtime, real_cpu, real_yield, NULL};
    p->stats = options->stats;
    p->wait = options->wait ? options->wait : &p->wait_private;
    p->event_fd_private = p->events_fd = p->epoll_fd = -1;
    uint32_t n = p->o.clients_max;
    p->clients = clients_map(n);
    for (unsigned i = 0; p->clients && i < GW_TURNS; i++) {
        gw_client_t *sentinel = gw_place_client(p, gw_turn_sentinel(i));
        sentinel->turn_next = sentinel->turn_previous = gw_turn_sentinel(i);
    }
    p->round_last = gw_turn_sentinel(GW_TURN_LIVE);
    gw_tenants_init(p);
    p->pass.next = GW_POSITION_NONE;
    p->pass.lost_next = UINT32_MAX;
    p->generations = calloc(n, sizeof *p->generations);
    p->slots_free = calloc(n, sizeof *p->slots_free);
    p->slots_grant = calloc(n, sizeof *p->slots_grant);
    p->batch = aligned_alloc(GW_CELL, GW_BATCH_BYTES);
    p->scratch = malloc(GW_SCRATCH_BYTES);
    p->gather = calloc(1, gw_gather_size());
    p->wheel = calloc(1, sizeof *p->wheel); /* pages that nobody touches before there is a rate */
    p->secure_step = malloc(sizeof *p->secure_step); /* nor these before there is a client over TLS */
    const int slots = p->clients && p->generations && p->slots_free && p->slots_grant;
    int error = slots && p->batch && p->scratch && p->gather && p->secure_step && p->wheel ? 0 : -ENOMEM;
    if (!error) p->wheel->next_ms = INT64_MAX;
    if (!error) error = gw_queue_init(&p->commands) || gw_queue_init(&p->events) ? -ENOMEM : 0;
    if (!error) error = gw_map_init(&p->topics_by_name, 1024);
    if (!error) error = gw_locals_init(p);
    if (!error) error = gw_pattern_index_init(&p->patterns);
    if (!error) error = gw_map_init(&p->links, 4096);
    if (!error) error = gw_map_init(&p->subs, 4096);
    if (!error) error = gw_map_init(&p->grids, 64);
    if (!error) error = gw_log_init(&p->lanes[0].log, p->o.log_bytes, 0, p->o.populate);
    p->guard_every = p->o.log_bytes / GW_GUARD_PARTS;
    if (!error) error = open_descriptors(p);
    if (error) {
        memset(p->o.formats, 0, sizeof p->o.formats); /* still the caller's */
        gw_plane_destroy(p);
        return error;
    }
    gw_control_init(p);
    memset(p->epoch, '0', GW_EPOCH_LENGTH); /* until there is a segment */
    adopt_statistics(p->stats);
    *out = p;
    return 0;
}

void gw_plane_destroy(gw_plane_t *p) {
    gw_plane_stop(p);
    for (uint32_t i = 0; p->clients && i < p->clients_high; i++) {
        gw_client_t *c = &p->clients[i];
        if (!c->active) continue;
        int64_t budget = INT64_MAX;
        gw_client_bury(p, c, &budget);
        gw_client_free(p, c);
    }
    for (uint32_t i = 0; i < p->topics_count; i++)
        if (p->topics[i]) gw_topic_free(p->topics[i]);
    gw_plane_books_free(p);
    gw_locals_free(p);
    for (uint32_t i = 0; i < p->grants_high; i++) gw_grant_free(p->grants[i]);
    while (p->slabs) {
        gw_link_t *slab = p->slabs;
        p->slabs = slab->previous;
        free(slab);
    }
    for (uint32_t i = 0; i < GW_FORMATS_MAX; i++) gw_format_free(&p->o.formats[i]);
    gw_commands_free(p);
    if (p->events.head) gw_queue_free(&p->events);
    gw_map_free(&p->topics_by_name);
    gw_pattern_index_free(&p->patterns);
    gw_map_free(&p->links);
    gw_map_free(&p->subs);
    gw_map_free(&p->grids);
    for (uint32_t i = 0; i < GW_FORMATS_MAX; i++) gw_log_free(&p->lanes[i].log);
    if (p->mapping) munmap(p->mapping, p->mapping_size);
    if (p->mapping_next) munmap(p->mapping_next, p->mapping_next_size);
    gw_epoch_unmap(p, SIZE_MAX);
    if (p->event_fd_private >= 0) close(p->event_fd_private);
    if (p->events_fd >= 0) close(p->events_fd);
    if (p->epoll_fd >= 0) close(p->epoll_fd);
    gw_control_free(p);
    gw_topics_free(p);
    free(p->by_ring);
    if (p->clients)
        munmap(p->clients - GW_PLACES_BEFORE, ((size_t)p->o.clients_max + GW_PLACES_BEFORE) * sizeof *p->clients);
    free(p->generations);
    free(p->slots_free);
    free(p->slots_grant);
    free(p->batch);
    free(p->pass.batch);
    free(p->scratch);
    free(p->secure_step);
    free(p->gather);
    free(p->wheel);
    free(p);
}
