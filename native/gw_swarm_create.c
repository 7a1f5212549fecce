/* Making and unmaking a swarm: every option is checked and copied. */
#include "gw_swarm_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NUMBER_MAX 1000000000000000 /* of a group's options: 11 days, in ns */
#define OFFSET_MAX_NS (INT64_C(1) << 60) /* 36 years: no sum with a time of now overflows */

#define TEXT(name) #name,
const char *const gw_swarm_counter_names[] = {GW_SWARM_COUNTERS(TEXT)};
const char *const gw_swarm_histogram_names[] = {GW_SWARM_HISTOGRAMS(TEXT)};
const char *const gw_swarm_load_names[] = {GW_SWARM_LOAD(TEXT)};
const char *const gw_swarm_group_names[] = {GW_SWARM_GROUP(TEXT)};

static bool group_good(const gw_swarm_options_t *o, const gw_swarm_group_options_t *g) {
    for (int k = 0; k < GW_SWARM_GROUP_COUNT; k++)
        if (k != GW_SWARM_GROUP_text_off && (g->values[k] < 0 || g->values[k] > NUMBER_MAX)) return false;
    int64_t off = g->values[GW_SWARM_GROUP_text_off];
    return off >= -1 && off < (int64_t)o->texts_count &&
           g->values[GW_SWARM_GROUP_rcvbuf_bytes] <= INT32_MAX &&
           g->values[GW_SWARM_GROUP_read_bytes_per_s] <= INT32_MAX;
}

static bool client_good(const gw_swarm_options_t *o, const int32_t *row) {
    return row[0] >= 0 && (uint32_t)row[0] < o->groups_count && row[1] >= 0 &&
           (uint32_t)row[1] < o->targets_count && row[2] >= -1 && row[2] < (int64_t)o->texts_count;
}

static bool options_good(const gw_swarm_options_t *o) {
    if (!o->targets_count || !o->groups_count || !o->clients_count || !o->connecting_max) return false;
    if (o->groups_count > GW_SWARM_GROUPS_MAX || o->clients_count > INT32_MAX) return false;
    if (!o->frame_bytes_max || o->frame_bytes_max > INT32_MAX) return false;
    if (o->clock_offset_ns > OFFSET_MAX_NS || o->clock_offset_ns < -OFFSET_MAX_NS) return false;
    for (uint32_t i = 0; i < o->targets_count; i++)
        if (o->targets[i].host.length > GW_TLS_NAME_MAX) return false;
    for (uint32_t i = 0; i < o->clients_count; i++)
        if (!client_good(o, o->clients + 3 * (size_t)i)) return false;
    for (uint32_t i = 0; i < o->groups_count; i++)
        if (!group_good(o, &o->groups[i])) return false;
    return true;
}

/* --- copies ---------------------------------------------------------------------------------------- */

static int text_copy(gw_swarm_text_t *t) {
    char *bytes = malloc(t->length + 1);
    if (!bytes) return -ENOMEM;
    if (t->length) memcpy(bytes, t->bytes, t->length);
    t->bytes = bytes;
    return 0;
}

/* Texts are masked once: all clients send the same bytes. */
static int frames_make(gw_swarm_t *s, const gw_swarm_options_t *o) {
    s->frames = calloc((size_t)o->texts_count + 1, sizeof *s->frames);
    if (!s->frames) return -ENOMEM;
    for (uint32_t i = 0; i < o->texts_count; i++) {
        gw_swarm_bytes_t *f = &s->frames[i];
        const gw_swarm_text_t *t = &o->texts[i];
        f->bytes = malloc(t->length + GW_FRAME_HEADER_MAX + 4);
        if (!f->bytes) return -ENOMEM;
        f->length = gw_swarm_mask(GW_OP_TEXT, (const uint8_t *)t->bytes, t->length,
                                  (uint32_t)(i + 1) * 0x9e3779b9u, f->bytes);
        if (s->out_bytes_max < 2 * f->length) s->out_bytes_max = 2 * f->length;
    }
    return 0;
}

static int targets_copy(gw_swarm_t *s, const gw_swarm_options_t *o) {
    gw_swarm_target_t *targets = calloc(o->targets_count, sizeof *targets);
    s->o.targets = targets;
    s->o.targets_count = 0;
    if (!targets) return -ENOMEM;
    for (; s->o.targets_count < o->targets_count; s->o.targets_count++) {
        gw_swarm_target_t *t = &targets[s->o.targets_count];
        *t = o->targets[s->o.targets_count];
        t->host.bytes = NULL;
        if (text_copy(&t->request)) return -ENOMEM;
        t->host = o->targets[s->o.targets_count].host;
        if (text_copy(&t->host)) {
            free((void *)(uintptr_t)t->request.bytes);
            return -ENOMEM;
        }
        if (s->out_bytes_max < 4 * t->request.length) s->out_bytes_max = 4 * t->request.length;
    }
    uint32_t *sources = malloc((o->sources_count + 1) * sizeof *sources);
    s->o.sources = sources;
    if (!sources) return -ENOMEM;
    if (o->sources_count) memcpy(sources, o->sources, o->sources_count * sizeof *sources);
    return 0;
}

static int stamp_copy(gw_swarm_t *s, const gw_swarm_options_t *o) {
    s->o.accept = o->accept;
    int error = text_copy(&s->o.accept);
    if (error || (o->stamp != GW_SWARM_STAMP_JSON && o->stamp != GW_SWARM_STAMP_AFTER)) return error;
    s->o.stamp_path = o->stamp_path;
    error = text_copy(&s->o.stamp_path);
    if (error) return error;
    if (o->stamp == GW_SWARM_STAMP_AFTER) return o->stamp_path.length ? 0 : -EINVAL;
    return gw_swarm_path_init(&s->path, s->o.stamp_path);
}

static int groups_make(gw_swarm_t *s, const gw_swarm_options_t *o) {
    s->groups = calloc(o->groups_count, sizeof *s->groups);
    if (!s->groups) return -ENOMEM;
    for (uint32_t i = 0; i < o->groups_count; i++) {
        gw_swarm_group_t *g = &s->groups[i];
        g->o = o->groups[i];
        g->histograms = calloc(GW_SWARM_HISTOGRAMS_COUNT, sizeof *g->histograms);
        if (!g->histograms) return -ENOMEM;
    }
    for (uint32_t i = 0; i < o->clients_count; i++) s->groups[o->clients[3 * (size_t)i]].members_count++;
    for (uint32_t i = 0; i < o->groups_count; i++) {
        gw_swarm_group_t *g = &s->groups[i];
        g->members = calloc((size_t)g->members_count + 1, sizeof *g->members);
        if (!g->members) return -ENOMEM;
        g->members_count = 0;
    }
    return 0;
}

static int clients_make(gw_swarm_t *s, const gw_swarm_options_t *o) {
    s->clients = calloc(o->clients_count, sizeof *s->clients);
    if (!s->clients) return -ENOMEM;
    for (uint32_t i = 0; i < o->clients_count; i++) {
        const int32_t *row = o->clients + 3 * (size_t)i;
        gw_swarm_client_t *c = &s->clients[i];
        gw_swarm_group_t *g = &s->groups[row[0]];
        c->fd = -1;
        c->group = (uint16_t)row[0];
        c->target = (uint32_t)row[1];
        c->text = row[2];
        g->members[g->members_count++] = i;
        gw_swarm_list_add(&s->wanting, c);
    }
    return 0;
}

static int descriptors_open(gw_swarm_t *s) {
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = GW_SWARM_WAKE_KEY};
    if (s->epoll_fd < 0 || s->wake_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &e))
        return -errno;
    return 0;
}

int gw_swarm_create(const gw_swarm_options_t *options, gw_swarm_t **out) {
    if (!options_good(options)) return -EINVAL;
    gw_swarm_t *s = calloc(1, sizeof *s);
    if (!s) return -ENOMEM;
    s->o = *options;
    s->o.targets = NULL;
    s->o.sources = NULL;
    s->o.groups = NULL;
    s->o.texts = NULL;
    s->o.clients = NULL;
    s->o.accept.bytes = s->o.stamp_path.bytes = NULL;
    s->epoll_fd = s->wake_fd = s->schedstat_fd = -1;
    s->out_bytes_max = GW_SWARM_OUT_BYTES_MIN;
    s->random = 0x9e3779b97f4a7c15u;
    s->buffer = malloc(GW_SWARM_REST_BYTES + GW_SWARM_READ_BYTES);
    int error = s->buffer ? 0 : -ENOMEM;
    if (!error) error = targets_copy(s, options);
    if (!error) error = stamp_copy(s, options);
    if (!error) error = gw_swarm_tls_init(s, options);
    if (!error) error = frames_make(s, options);
    if (!error) error = groups_make(s, options);
    if (!error) error = clients_make(s, options);
    if (!error) error = gw_swarm_ticks_init(&s->ticks, options->ticks_tracked_max);
    if (!error) error = descriptors_open(s);
    if (error) {
        gw_swarm_destroy(s);
        return error;
    }
    gw_swarm_groups_start(s);
    *out = s;
    return 0;
}

/* --- the end --------------------------------------------------------------------------------------- */

static void clients_free(gw_swarm_t *s) {
    for (uint32_t i = 0; s->clients && i < s->o.clients_count; i++) {
        gw_swarm_client_t *c = &s->clients[i];
        if (c->fd >= 0) close(c->fd);
        gw_swarm_topics_free(&c->topics);
        gw_swarm_numbers_free(&c->numbers);
        gw_swarm_bytes_free(&c->rest);
        gw_swarm_bytes_free(&c->message);
        gw_swarm_bytes_free(&c->out);
        gw_tls_free(c->tls);
    }
    free(s->clients);
}

static void groups_free(gw_swarm_t *s) {
    for (uint32_t i = 0; s->groups && i < s->o.groups_count; i++) {
        free(s->groups[i].histograms);
        free(s->groups[i].members);
    }
    free(s->groups);
}

void gw_swarm_destroy(gw_swarm_t *s) {
    clients_free(s);
    groups_free(s);
    for (uint32_t i = 0; s->frames && i < s->o.texts_count; i++) gw_swarm_bytes_free(&s->frames[i]);
    for (uint32_t i = 0; s->o.targets && i < s->o.targets_count; i++) {
        free((void *)(uintptr_t)s->o.targets[i].request.bytes);
        free((void *)(uintptr_t)s->o.targets[i].host.bytes);
    }
    free((void *)(uintptr_t)s->o.targets);
    free((void *)(uintptr_t)s->o.sources);
    free((void *)(uintptr_t)s->o.accept.bytes);
    free((void *)(uintptr_t)s->o.stamp_path.bytes);
    free(s->frames);
    gw_swarm_ticks_free(&s->ticks);
    if (s->epoll_fd >= 0) close(s->epoll_fd);
    if (s->wake_fd >= 0) close(s->wake_fd);
    gw_swarm_tls_free(s);
    free(s->buffer);
    free(s);
}
