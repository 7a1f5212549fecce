/* A plane without a thread, for tests: segments in memfds with real writers, a kernel that takes
 * what the test says, clocks that stand still until they are moved. Clients are socketpairs, so
 * that epoll and shutdown are real; the bytes that `send` takes go to the test and never reach
 * the socket, which therefore is always writable unless the test fills it. */
#ifndef PLANE_RIG_H
#define PLANE_RIG_H
#include "check.h"
#include "gw_plane_internal.h"
#include "binary_programs.h"
#include "json_programs.h"
#include "notice_programs.h"

#ifdef RIG_SECURE
#include "tls_pair.h"
#endif

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef RIG_PEERS
#define RIG_PEERS 64
#define RIG_FDS 1024
#endif
#ifndef RIG_TOPICS
#define RIG_TOPICS 4096
#endif
#define RIG_NO_LIMIT INT64_MAX
#define RIG_START_NS 1000000000000
#define RIG_REAL_NS 1200000000000000000 /* later than what the segments' epochs stand for */

typedef struct {
    int fds[2]; /* the plane's, the far end */
    gw_handle_t handle;
    int64_t allowed; /* bytes that the kernel still takes */
    int error;       /* sends fail with it */
    uint64_t sends;
    size_t offered; /* by the last of them */
    size_t taken;   /* by all of them */
    uint8_t *stream; /* all that was taken and not yet read */
    size_t length, size, read;
    struct rig_far *far; /* the other end of TLS; NULL: bytes are as they are */
    uint32_t format;
    char (*topics)[80]; /* as they were announced to it; "" where they were not */
    uint32_t topics_size;
} peer_t;

typedef struct {
    uint8_t channel;
    char name[GW_INSTRUMENT_MAX + 1];
    int64_t id;     /* in the segment written now; -1: not in its directory */
    uint64_t count; /* records published in this epoch */
} rig_topic_t;

typedef struct rig {
    gw_plane_t *plane;
    gw_stats_t *stats;
    gw_wait_t wait;
    int64_t now;
    int64_t stopped; /* of that time the thread used no CPU */
    unsigned yields; /* of the CPU */
    void (*at_yield)(struct rig *rig); /* what another thread does with it */
    int64_t cost_ns, cost_stopped_ns; /* a send takes so long; and of that without a CPU */
    gw_writer_t writer;
    void *memory; /* the writer's mapping */
    size_t memory_size;
    unsigned epoch; /* segments made so far */
    unsigned tails; /* each such-th record of a topic is one of three cells */
    uint32_t book_levels; /* that its segments have room for */
    unsigned secure; /* every such-th client is over TLS; 0: none */
    bool mixed;     /* every second client speaks the binary format */
    uint32_t grant, tenant; /* of clients that connect */
    uint64_t published[GW_CHANNELS];
    bool paced; /* some of them were: no class counts those */
    rig_topic_t topics[RIG_TOPICS];
    unsigned topics_count;
    peer_t peers[RIG_PEERS];
    int by_fd[RIG_FDS]; /* peer + 1 */
} rig_t;

/* --- the kernel and the clocks ---------------------------------------------------------------- */

static inline void peer_keep(peer_t *peer, const void *bytes, size_t n) {
    if (peer->length + n > peer->size) {
        peer->size = (peer->length + n) * 2;
        peer->stream = realloc(peer->stream, peer->size);
        CHECK(peer->stream != NULL);
    }
    if (n) memcpy(peer->stream + peer->length, bytes, n);
    peer->length += n;
}

#include "plane_far.h" /* of peers as they are above */

static inline ssize_t rig_send(void *self, int fd, const struct iovec *parts, int count) {
    rig_t *rig = self;
    CHECK(fd >= 0 && fd < RIG_FDS && rig->by_fd[fd] > 0);
    peer_t *peer = &rig->peers[rig->by_fd[fd] - 1];
    size_t taken = 0;
    rig->now += rig->cost_ns;
    rig->stopped += rig->cost_stopped_ns;
    peer->sends++;
    peer->offered = 0;
    for (int i = 0; i < count; i++) peer->offered += parts[i].iov_len;
    if (peer->error || !peer->allowed) {
        errno = peer->error ? peer->error : EAGAIN;
        return -1;
    }
    for (int i = 0; i < count && peer->allowed; i++) {
        size_t n = parts[i].iov_len;
        if ((int64_t)n > peer->allowed) n = (size_t)peer->allowed;
        if (peer->far) rig_far_take(peer, parts[i].iov_base, n);
        else peer_keep(peer, parts[i].iov_base, n);
        peer->taken += n;
        if (peer->allowed != RIG_NO_LIMIT) peer->allowed -= (int64_t)n;
        taken += n;
    }
    return (ssize_t)taken;
}

static inline int64_t rig_monotonic(void *self) { return ((rig_t *)self)->now; }
static inline int64_t rig_realtime(void *self) { return ((rig_t *)self)->now + RIG_REAL_NS; }
static inline int64_t rig_cpu(void *self) { return ((rig_t *)self)->now - ((rig_t *)self)->stopped; }

/* A feed that had waited for the CPU runs. */
static inline void rig_yield(void *self) {
    rig_t *rig = self;
    rig->yields++;
    if (rig->at_yield) rig->at_yield(rig);
}

/* A notice of so many bytes, in the log of the first format. */
static inline uint64_t rig_filler(gw_plane_t *p, size_t length) {
    gw_log_t *log = &p->lanes[0].log;
    uint8_t *out = gw_log_reserve(log, length + GW_FRAME_HEADER_MAX);
    gw_frame_t f = {.recv_ns = p->taken_ns, .taken_ns = p->taken_ns, .flags = GW_FRAME_NOTICE};
    f.header = (uint8_t)gw_frame_header(GW_OP_TEXT, length, out);
    memset(out + f.header, ' ', length);
    uint64_t index = gw_log_commit(log, &f, f.header + length);
    p->unguarded += length > GW_FRAME_BYTES_MEAN ? f.header + length : GW_FRAME_BYTES_MEAN;
    gw_guard(p);
    return index;
}

/* --- making and unmaking ---------------------------------------------------------------------- */

/* Local topics: a text that is the message, and one that is put into it. */
enum { RIG_PLAIN, RIG_FRAMED, RIG_LOCALS };

static inline gw_plane_options_t rig_options(void) {
    return (gw_plane_options_t){
        .locals_count = RIG_LOCALS,
        .locals = {{.name = "plain"},
                   {.name = "framed", .before = {"{\"local\":1,\"type\":\"update\",\"ts\":", "{\"local\":1,\"type\":\"snapshot\",\"ts\":"},
                    .between = ",\"n\":", .behind = "}"}},
        .formats_count = 1, .event_fd = -1, .clients_max = RIG_PEERS, .topics_per_client_max = RIG_TOPICS,
        .waiting_topics_max = RIG_TOPICS, .log_bytes = 2 << 20, .control_bytes_max = 64 << 10,
        .lossless_frames_max = 65536, .lossless_max_age_ns = 2000000000,
        .stall_max_ns = 120000000000, .heartbeat_ns = 1000000000,
        .paced_stall_max_ns = 10000000000, .cpu = -1};
}

/* With the real kernel and clocks where `real`. */
static inline rig_t *rig_make(gw_plane_options_t options, bool real) {
    rig_t *rig = calloc(1, sizeof *rig);
    CHECK(rig != NULL && (rig->stats = calloc(1, sizeof *rig->stats)) != NULL);
    rig->now = RIG_START_NS;
    gw_format_t *json = &options.formats[0];
    for (uint8_t channel = GW_TRADE; channel <= GW_BBO; channel++) {
        json->records[channel][GW_ENCODE_UPDATE] = rig_template(channel, "update");
        json->records[channel][GW_ENCODE_SNAPSHOT] = rig_template(channel, "snapshot");
        json->records[channel][GW_ENCODE_REPLAY] = rig_template(channel, "replay");
        if (options.variants_count < 2 || channel == GW_TRADE) continue; /* trades have one form */
        json->variants[0].records[channel][GW_ENCODE_UPDATE] = rig_template_of(channel, "update", 1);
        json->variants[0].records[channel][GW_ENCODE_SNAPSHOT] = rig_template_of(channel, "snapshot", 1);
    }
    notices_load(json);
    if (!json->records[GW_HEALTH][GW_ENCODE_UPDATE]) { /* a test's own channel is in its own format alone */
        options.formats_count = 2;
        binary_format(&options.formats[1]);
    }
    options.stats = rig->stats;
    options.wait = &rig->wait;
    if (!real) options.io = (gw_io_t){rig_send, rig_monotonic, rig_realtime, rig_cpu, rig_yield, rig};
#ifdef RIG_SECURE
    rig->secure = RIG_SECURE;
#endif
    CHECK_EQUAL(gw_plane_create(&options, &rig->plane), 0);
    return rig;
}

static inline rig_t *rig_new(gw_plane_options_t options) { return rig_make(options, false); }

static inline void rig_post(rig_t *rig, gw_command_t *x) {
    CHECK_EQUAL(gw_plane_post(rig->plane, x), 0);
}

/* A new segment, which the plane is told to follow and the writer writes from now on. */
static inline void rig_segment(rig_t *rig, uint64_t capacity, uint32_t topics_max) {
    size_t size = gw_segment_books_size(capacity, topics_max, rig->book_levels);
    int fd = memfd_create("rig", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    if (rig->memory) {
        gw_writer_free(&rig->writer);
        munmap(rig->memory, rig->memory_size);
    }
    char epoch[32];
    snprintf(epoch, sizeof epoch, "e%07u", ++rig->epoch);
    rig->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rig->memory_size = size;
    CHECK(rig->memory != MAP_FAILED);
    CHECK_EQUAL(gw_segment_books_format(rig->memory, size, capacity, topics_max, rig->book_levels, epoch), 0);
    CHECK_EQUAL(gw_writer_init(&rig->writer, rig->memory, size), 0);
    for (unsigned i = 0; i < rig->topics_count; i++) {
        rig->topics[i].id = -1;
        rig->topics[i].count = 0;
    }
    gw_command_t *x = gw_command_new(GW_CMD_ATTACH, 0, 0, 0);
    x->mapping = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    x->mapping_size = size;
    CHECK(x->mapping != MAP_FAILED);
    close(fd);
    rig_post(rig, x);
}

static inline void rig_free(rig_t *rig) {
    gw_plane_destroy(rig->plane);
    for (int i = 0; i < RIG_PEERS; i++) {
        peer_t *peer = &rig->peers[i];
        rig_far_close(peer);
        free(peer->stream);
        free(peer->topics);
        if (peer->handle) close(peer->fds[0]), close(peer->fds[1]);
    }
    if (rig->memory) {
        gw_writer_free(&rig->writer);
        munmap(rig->memory, rig->memory_size);
    }
    free(rig->stats);
    free(rig);
}

/* --- the feed --------------------------------------------------------------------------------- */

static inline unsigned rig_topic(rig_t *rig, uint8_t channel, const char *name) {
    for (unsigned i = 0; i < rig->topics_count; i++)
        if (rig->topics[i].channel == channel && !strcmp(rig->topics[i].name, name)) return i;
    CHECK(rig->topics_count < RIG_TOPICS);
    rig_topic_t *t = &rig->topics[rig->topics_count];
    *t = (rig_topic_t){.channel = channel, .id = -1};
    snprintf(t->name, sizeof t->name, "%s", name);
    return rig->topics_count++;
}

/* The topic whose name has this number in it. */
static inline unsigned rig_named(rig_t *rig, uint8_t channel, const char *form, unsigned i) {
    char name[32];
    snprintf(name, sizeof name, form, i);
    return rig_topic(rig, channel, name);
}

static inline void rig_register(rig_t *rig, unsigned topic) {
    rig_topic_t *t = &rig->topics[topic];
    const uint64_t slowest = GW_LOAD_ACQUIRE(&rig->wait.attached) ? GW_LOAD_ACQUIRE(&rig->wait.cursor) : UINT64_MAX;
    if (t->id < 0) t->id = gw_writer_topic_reuse(&rig->writer, t->channel, t->name, strlen(t->name), slowest, rig->now);
    if (t->id < 0) t->id = gw_writer_topic_add(&rig->writer, t->channel, t->name, strlen(t->name));
    CHECK(t->id >= 0);
}

/* The topic ends, if the directory has it; its next record has it begin at another place, or at the same. */
static inline bool rig_retire(rig_t *rig, unsigned topic) {
    rig_topic_t *t = &rig->topics[topic];
    if (t->id < 0) return false;
    gw_record_t r = {.h = {.ts_publish = rig->now}};
    gw_writer_topic_retire(&rig->writer, (uint32_t)t->id, t->channel, &r, rig->now);
    t->id = -1;
    t->count = 0;
    return true;
}

static inline uint8_t digits_of(uint64_t n) {
    return n < 10 ? 1 : (uint8_t)(1 + digits_of(n / 10));
}

/* Publishes the topic's next record: its price is its seq, its quantity the number of the epoch. */
static inline void rig_publish_header(rig_t *rig, unsigned topic, gw_header_t header) {
    rig_register(rig, topic);
    rig_topic_t *t = &rig->topics[topic];
    uint64_t seq = ++t->count;
    gw_record_t r = {.h = header};
    r.h.kind = t->channel;
    r.h.topic = (uint32_t)t->id;
    r.h.ts_publish = rig->now;
    r.h.ingest_ns = 1000;
    if (!r.h.ts_recv) r.h.ts_recv = rig_realtime(rig);
    if (t->channel == GW_TRADE) {
        r.u.trade = (gw_trade_t){.price = (int64_t)seq, .price_digits = digits_of(seq),
                                 .qty = rig->epoch, .qty_digits = digits_of(rig->epoch)};
    } else {
        r.u.bbo.mantissa[0] = (int64_t)seq;
        r.u.bbo.digits[0] = digits_of(seq);
        r.u.bbo.mantissa[1] = rig->epoch;
        r.u.bbo.digits[1] = digits_of(rig->epoch);
    }
    if (rig->tails && seq % rig->tails == 0) {
        /* The same number, as if it were a long one. */
        bool trade = t->channel == GW_TRADE;
        r.u.trade.extra = GW_EXTRA_TAIL;
        *(trade ? &r.u.trade.price_digits : &r.u.bbo.digits[0]) = GW_DIGITS_WIDE;
        r.tail.width[0] = digits_of(seq);
    }
    r.h.cells = gw_record_cells(&r);
    gw_writer_publish(&rig->writer, &r);
    rig->published[t->channel]++;
    rig->paced |= (r.h.flags & GW_FLAG_PACED) != 0;
}

static inline void rig_publish_flags(rig_t *rig, unsigned topic, uint8_t flags) {
    rig_publish_header(rig, topic, (gw_header_t){.flags = flags});
}

static inline void rig_publish(rig_t *rig, unsigned topic) { rig_publish_flags(rig, topic, 0); }

/* --- clients ---------------------------------------------------------------------------------- */

static inline gw_item_t item(uint32_t id, uint8_t channel, const char *name, bool lossless,
                             bool snapshot) {
    gw_item_t x = {.id = id, .channel = channel, .is_pattern = strchr(name, '*') != NULL,
                   .lossless = lossless, .snapshot = snapshot, .resync = 1,
                   .length = (uint8_t)strlen(name)};
    memcpy(x.name, name, strlen(name));
    return x;
}

static inline void rig_local(rig_t *rig, uint32_t local, unsigned long long n) {
    char text[64];
    int length = snprintf(text, sizeof text, local == RIG_PLAIN ? "{\"local\":0,\"type\":\"update\",\"ts\":0,\"n\":%llu}" : "%llu", n);
    gw_command_t *x = gw_command_new(GW_CMD_PUBLISH, 0, 0, (uint32_t)length);
    x->local = local;
    memcpy(x->bytes, text, (size_t)length);
    rig_post(rig, x);
}

static inline gw_rule_t rule(uint8_t channel, const char *name, bool allow) {
    gw_rule_t r = {.channels = channel == GW_CHANNELS ? GW_CHANNELS_ANY : 1u << channel, .allow = allow, .is_pattern = strchr(name, '*') != NULL, .length = (uint8_t)strlen(name)};
    memcpy(r.name, name, strlen(name));
    return r;
}

/* A reply with places for the time, the epoch and each item's seq; and, where that is asked for, what came of its `from`. */
static inline gw_command_t *rig_reply_to(gw_command_kind_t kind, gw_handle_t handle, unsigned reply, uint32_t items,
                                         bool recovers) {
    char text[65536];
    uint32_t seqs = kind == GW_CMD_SUBSCRIBE ? items : 0, at, recoveries;
    int length = snprintf(text, sizeof text,
                          "{\"reply\":%u,\"time\":%20s,\"epoch\":\"%8s\",\"seqs\":[", reply, "", "");
    at = (uint32_t)length;
    for (uint32_t i = 0; i < seqs; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%20s", i ? "," : "", "");
    length += snprintf(text + length, sizeof text - (size_t)length, "]");
    recoveries = (uint32_t)length;
    const uint32_t places = recovers ? seqs : 0;
    for (uint32_t i = 0; i < places; i++) length += snprintf(text + length, sizeof text - (size_t)length, "%64s", "");
    length += snprintf(text + length, sizeof text - (size_t)length, "}");
    uint8_t header[GW_FRAME_HEADER_MAX];
    uint32_t front = (uint32_t)gw_frame_header(GW_OP_TEXT, (size_t)length, header);
    uint32_t time_at = (uint32_t)(strstr(text, "\"time\":") - text) + 7;
    gw_command_t *x = gw_command_new(kind, items, seqs + places + 2, front + (uint32_t)length);
    x->handle = handle;
    memcpy(x->bytes, header, front);
    memcpy(x->bytes + front, text, (size_t)length);
    x->fills[0] = (gw_fill_t){front + time_at, GW_FILL_TIME, 0};
    x->fills[1] = (gw_fill_t){front + time_at + 30, GW_FILL_EPOCH, 0};
    for (uint32_t i = 0; i < seqs; i++)
        x->fills[2 + i] = (gw_fill_t){front + at + 21 * i, GW_FILL_SEQ, i};
    for (uint32_t i = 0; i < places; i++)
        x->fills[2 + seqs + i] = (gw_fill_t){front + recoveries + GW_FILL_RECOVERY_WIDTH * i, GW_FILL_RECOVERY, i};
    return x;
}

static inline gw_command_t *rig_reply(gw_command_kind_t kind, gw_handle_t handle, unsigned reply, uint32_t items) {
    return rig_reply_to(kind, handle, reply, items, false);
}

static inline peer_t *rig_connect(rig_t *rig) {
    peer_t *peer = rig->peers;
    while (peer->handle) peer++;
    CHECK(peer < rig->peers + RIG_PEERS);
    size_t size = peer->size;
    free(peer->topics);
    *peer = (peer_t){.allowed = RIG_NO_LIMIT, .stream = peer->stream, .size = size,
                     .format = rig->mixed && (peer - rig->peers) % 2};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, peer->fds), 0);
    CHECK(peer->fds[0] < RIG_FDS);
    rig->by_fd[peer->fds[0]] = (int)(peer - rig->peers) + 1;
    CHECK((peer->handle = gw_plane_slot(rig->plane)) != 0);
    gw_command_t *x = rig_reply(GW_CMD_ADD, peer->handle, 0, 0);
    x->fd = peer->fds[0];
    x->format = peer->format;
    x->grant = rig->grant;
    if (rig->secure && (peer - rig->peers) % rig->secure == 0) x->secure = rig_far_open(peer);
    x->tenant = rig->tenant;
    rig_post(rig, x);
    return peer;
}

/* A record more of a client over TLS may be told. */
static inline void rig_want(rig_t *rig, const peer_t *peer) {
    gw_command_t *x = gw_command_new(GW_CMD_READ, 0, 0, 0);
    x->handle = peer->handle;
    rig_post(rig, x);
}

static inline void rig_subscribe(rig_t *rig, peer_t *peer, unsigned reply, const gw_item_t *items,
                                 uint32_t n) {
    bool recovers = false;
    for (uint32_t i = 0; i < n; i++) recovers |= items[i].from != GW_FROM_NONE;
    gw_command_t *x = rig_reply_to(GW_CMD_SUBSCRIBE, peer->handle, reply, n, recovers);
    memcpy(x->items, items, n * sizeof *items);
    rig_post(rig, x);
}

static inline void rig_unsubscribe(rig_t *rig, peer_t *peer, unsigned reply, const uint32_t *ids,
                                   uint32_t n) {
    gw_command_t *x = rig_reply(GW_CMD_UNSUBSCRIBE, peer->handle, reply, n);
    for (uint32_t i = 0; i < n; i++) x->items[i].id = ids[i];
    rig_post(rig, x);
}

static inline void rig_text(rig_t *rig, peer_t *peer, unsigned reply) {
    rig_post(rig, rig_reply(GW_CMD_SEND, peer->handle, reply, 0));
}

static inline void rig_query(rig_t *rig, peer_t *peer, uint64_t token) {
    gw_command_t *x = gw_command_new(GW_CMD_QUERY, 0, 0, 0);
    x->handle = peer->handle;
    x->token = token;
    rig_post(rig, x);
}

static inline void rig_close(rig_t *rig, peer_t *peer, int code) {
    gw_command_t *x = gw_command_new(GW_CMD_CLOSE, 0, 0, 4);
    x->handle = peer->handle;
    memcpy(x->bytes, (uint8_t[]){0x88, 2, (uint8_t)(code >> 8), (uint8_t)code}, 4);
    rig_post(rig, x);
}

static inline void rig_remove(rig_t *rig, peer_t *peer) {
    gw_command_t *x = gw_command_new(GW_CMD_REMOVE, 0, 0, 0);
    x->handle = peer->handle;
    rig_post(rig, x);
}

/* After GW_EVENT_REMOVED: the descriptor may be closed now. */
static inline void rig_forget(rig_t *rig, peer_t *peer) {
    rig->by_fd[peer->fds[0]] = 0;
    rig_far_close(peer);
    close(peer->fds[0]);
    close(peer->fds[1]);
    peer->handle = 0;
}

static inline peer_t *rig_peer(rig_t *rig, gw_handle_t handle) {
    for (int i = 0; i < RIG_PEERS; i++)
        if (rig->peers[i].handle == handle) return &rig->peers[i];
    return NULL;
}

/* What the plane has of a client. */
static inline gw_client_t *rig_client(const rig_t *rig, const peer_t *peer) {
    return &rig->plane->clients[(uint32_t)peer->handle];
}

/* Takes all events; how many are of this kind. */
static inline unsigned rig_events(rig_t *rig, gw_event_kind_t kind) {
    unsigned n = 0;
    for (const gw_event_t *e; (e = gw_plane_take_event(rig->plane));) n += e->kind == kind;
    return n;
}

/* Cycles until nothing is left to do; sockets are looked at too. */
static inline void rig_settle(rig_t *rig) {
    for (int i = 0; i < 200; i++) {
        rig->now += 200000;
        if (!gw_plane_cycle(rig->plane) && i > 2) break;
    }
}

#endif
