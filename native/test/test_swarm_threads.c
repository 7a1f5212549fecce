/* The whole swarm against a server in a thread of its own, every group behaving badly in its way, while a
 * third thread reads what it may read at any time: for the thread checker, and for leaks of clients. */
#include "swarm_rig.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/epoll.h>

#define CLIENTS 60
#define GROUPS 6
#define PATIENCE_NS 20000000000 /* far beyond what it takes */
#define SOCKETS_MAX 1024
#define RECORDS_PER_SEND 20

typedef struct {
    int listener, epoll, sockets[SOCKETS_MAX], count;
    uint16_t port;
    uint64_t stop, accepted, texts;
} server_t;

static void server_open(server_t *v) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    memset(v, 0, sizeof *v);
    v->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_EQUAL(bind(v->listener, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQUAL(listen(v->listener, 512), 0);
    CHECK_EQUAL(getsockname(v->listener, (struct sockaddr *)&a, &length), 0);
    v->port = ntohs(a.sin_port);
    v->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = -1};
    CHECK_EQUAL(epoll_ctl(v->epoll, EPOLL_CTL_ADD, v->listener, &e), 0);
}

static void server_accept(server_t *v) {
    int fd;
    while ((fd = accept4(v->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        CHECK_EQUAL(epoll_ctl(v->epoll, EPOLL_CTL_ADD, fd, &e), 0);
        v->accepted++;
    }
}

static void server_drop(server_t *v, int fd) {
    for (int i = 0; i < v->count; i++)
        if (v->sockets[i] == fd) v->sockets[i] = v->sockets[--v->count];
    close(fd);
}

/* A request gets the 101, anything else is a text, or a close frame, which ends it. */
static void server_read(server_t *v, int fd) {
    uint8_t bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || (bytes[0] & 15) == GW_OP_CLOSE) server_drop(v, fd);
    else if (bytes[0] != 'G') v->texts++;
    else if (send(fd, RIG_ANSWER, sizeof RIG_ANSWER - 1, MSG_NOSIGNAL) < 0) close(fd);
    else {
        CHECK(v->count < SOCKETS_MAX);
        v->sockets[v->count++] = fd;
    }
}

/* What a socket does not take is cut off: then it has had its last record. */
static void server_publish(server_t *v, uint64_t seq) {
    static uint8_t out[RECORDS_PER_SEND * 400];
    size_t length = 0;
    for (uint64_t i = 0; i < RECORDS_PER_SEND; i++) {
        char text[300];
        long long now = gw_realtime_ns();
        int n = snprintf(text, sizeof text,
                         "{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"A.B\",\"seq\":%llu,\"ts_event\":%lld,"
                         "\"ts_recv\":%lld,\"ts_send\":%lld,\"data\":[{\"id\":\"1\",\"price\":\"1\"}]}",
                         (unsigned long long)(seq + i), now, now, now);
        length += rig_frame(0x81, text, (size_t)n, out + length);
    }
    for (int i = v->count - 1; i >= 0; i--) {
        int fd = v->sockets[i];
        ssize_t n = send(fd, out, length, MSG_NOSIGNAL);
        if (n >= 0 && (size_t)n < length) server_drop(v, fd);
    }
}

static void *serve(void *argument) {
    server_t *v = argument;
    struct epoll_event events[64];
    for (uint64_t seq = 1; !GW_LOAD_ACQUIRE(&v->stop); seq += RECORDS_PER_SEND) {
        int n = epoll_wait(v->epoll, events, 64, 2);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd < 0) server_accept(v);
            else server_read(v, events[i].data.fd);
        }
        server_publish(v, seq);
    }
    while (v->count) server_drop(v, v->sockets[0]);
    close(v->epoll);
    close(v->listener);
    return NULL;
}

/* --- the swarm ------------------------------------------------------------------------------------- */

static gw_swarm_t *swarm_open(uint16_t port) {
    gw_swarm_target_t target = {.address = {127, 0, 0, 1}, .port = port, .request = {"GET / HTTP/1.1\r\n\r\n", 18}};
    gw_swarm_text_t texts[2] = {{"on", 2}, {"off", 3}};
    gw_swarm_group_options_t groups[GROUPS];
    int32_t clients[CLIENTS][3];
    for (int i = 0; i < GROUPS; i++) {
        memset(&groups[i], 0, sizeof groups[i]);
        groups[i].values[GW_SWARM_GROUP_measured] = 1;
        groups[i].values[GW_SWARM_GROUP_text_off] = -1;
    }
#define SET(group, name, value) groups[group].values[GW_SWARM_GROUP_##name] = (value)
    SET(1, read_bytes_per_s, 20000);
    SET(1, rcvbuf_bytes, 4096);
    SET(1, reconnect_ns, 5000000);
    SET(2, stall_at_ns, 1000000);
    SET(2, stall_for_ns, 20000000);
    SET(2, stall_every_ns, 50000000);
    SET(3, drop_at_ns, 1000000);
    SET(3, drop_every_ns, 100000000);
    SET(4, lifetime_ns, 100000000);
    SET(4, reconnect_ns, 3000000);
    SET(5, resubscribe_every_ns, 50000000);
    SET(5, text_off, 1);
#undef SET
    for (int i = 0; i < CLIENTS; i++) {
        clients[i][0] = i % GROUPS;
        clients[i][1] = 0;
        clients[i][2] = i % 2 - 1;
    }
    gw_swarm_options_t o = rig_options();
    o.targets = &target;
    o.groups = groups;
    o.texts = texts;
    o.clients = &clients[0][0];
    o.groups_count = GROUPS;
    o.texts_count = 2;
    o.clients_count = CLIENTS;
    o.connecting_max = 16;
    gw_swarm_t *s;
    CHECK_EQUAL(gw_swarm_create(&o, &s), 0);
    return s;
}

static uint64_t counter(const gw_swarm_t *s, uint32_t group, int name) {
    return GW_LOAD_RELAXED(gw_swarm_counters(s, group) + name);
}

typedef struct {
    gw_swarm_t *s;
    uint64_t stop, looks;
} reader_t;

/* Every group has done what it is there for. */
static bool seen_all(const gw_swarm_t *s) {
    return counter(s, 0, GW_SWARM_COUNTER_delivered) > 0 &&
           counter(s, 3, GW_SWARM_COUNTER_reconnects) >= 2 * CLIENTS / GROUPS &&
           counter(s, 4, GW_SWARM_COUNTER_reconnects) >= CLIENTS / GROUPS;
}

/* Reads everything while it grows, sets the origin and the window, and in the end stops the swarm. */
static void *look(void *argument) {
    reader_t *l = argument;
    uint64_t delivered = 0;
    int64_t now = gw_realtime_ns();
    gw_swarm_go(l->s, now);
    gw_swarm_window(l->s, now, now + PATIENCE_NS);
    while (l->looks < 10 || (!seen_all(l->s) && gw_realtime_ns() < now + PATIENCE_NS)) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < GROUPS; i++) {
            sum += counter(l->s, i, GW_SWARM_COUNTER_delivered);
            const gw_hdr_t *h = gw_swarm_histogram(l->s, i, GW_SWARM_HISTOGRAM_age);
            uint64_t counted = 0;
            for (size_t k = 0; k < GW_HDR_COUNTS; k += 64) counted += GW_LOAD_RELAXED(&h->counts[k]);
            CHECK(counted <= GW_LOAD_RELAXED(&h->count));
        }
        CHECK(sum >= delivered);
        delivered = sum;
        for (int i = 0; i < GW_SWARM_LOADS_COUNT; i++) (void)GW_LOAD_RELAXED(gw_swarm_load(l->s) + i);
        l->looks++;
        usleep(2000);
    }
    gw_swarm_stop(l->s);
    return NULL;
}

static void groups_behave_and_nobody_is_lost(void) {
    server_t server;
    pthread_t serving, looking;
    server_open(&server);
    CHECK_EQUAL(pthread_create(&serving, NULL, serve, &server), 0);
    gw_swarm_t *s = swarm_open(server.port);
    CHECK_EQUAL(gw_swarm_connect(s, gw_monotonic_ns() + PATIENCE_NS), 0);
    uint64_t opened = 0, reconnects = 0, refused = 0, open = 0, closed = 0;
    for (uint32_t i = 0; i < GROUPS; i++) opened += counter(s, i, GW_SWARM_COUNTER_opened);
    CHECK_EQUAL(opened, CLIENTS);
    reader_t reader = {.s = s};
    CHECK_EQUAL(pthread_create(&looking, NULL, look, &reader), 0);
    CHECK_EQUAL(gw_swarm_run(s, gw_realtime_ns() + 60000000000), 0); /* until it is stopped */
    pthread_join(looking, NULL);
    CHECK_EQUAL(gw_swarm_run(s, gw_realtime_ns() + 60000000000), 0); /* stopped for ever */
    GW_STORE_RELEASE(&server.stop, 1);
    pthread_join(serving, NULL);
    for (uint32_t i = 0; i < GROUPS; i++) {
        CHECK_EQUAL(counter(s, i, GW_SWARM_COUNTER_protocol_errors), 0);
        CHECK_EQUAL(counter(s, i, GW_SWARM_COUNTER_gaps), 0);
        CHECK_EQUAL(counter(s, i, GW_SWARM_COUNTER_unstamped), 0);
        reconnects += counter(s, i, GW_SWARM_COUNTER_reconnects);
        refused += counter(s, i, GW_SWARM_COUNTER_refused);
        closed += counter(s, i, GW_SWARM_COUNTER_closed);
        open += counter(s, i, GW_SWARM_COUNTER_open);
    }
    CHECK(seen_all(s));
    CHECK_EQUAL(counter(s, 0, GW_SWARM_COUNTER_opened), CLIENTS / GROUPS);
    CHECK(server.texts > CLIENTS / 4); /* some are lost where a storm cuts the line */
    CHECK_EQUAL(server.accepted >= CLIENTS + reconnects, 1);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) seen += s->clients[i].state == GW_SWARM_OPEN;
    CHECK_EQUAL(seen, open);
    printf("   %llu reconnects, %llu refused, %llu closed\n", (unsigned long long)reconnects,
           (unsigned long long)refused, (unsigned long long)closed);
    gw_swarm_destroy(s);
}

static void nobody_listens(void) {
    server_t server;
    server_open(&server);
    close(server.listener);
    close(server.epoll);
    gw_swarm_t *s = swarm_open(server.port);
    CHECK_EQUAL(gw_swarm_connect(s, gw_monotonic_ns() + PATIENCE_NS), 0);
    CHECK_EQUAL(gw_swarm_refused(s)[ECONNREFUSED], CLIENTS);
    CHECK_EQUAL(s->shaking_count, 0);
    gw_swarm_destroy(s);
}

int main(void) {
    RUN(nobody_listens);
    RUN(groups_behave_and_nobody_is_lost);
    return 0;
}
