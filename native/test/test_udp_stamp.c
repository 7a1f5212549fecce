/* When a datagram reached this host: the kernel's stamps, those that are not believed, and a socket
 * that refuses to stamp. The two system calls concerned are this program's own. */
#include "check.h"
#include "gw_clock.h"
#include "gw_intake.h"
#include "publisher_memory.h"
#include "udp_loopback.h"

#include <errno.h>
#include <sys/syscall.h>

#define WAIT_NS 30000000
#define SECOND_NS INT64_C(1000000000)
#define FEED 5u
#define LINE "{\"channel\":\"trade\",\"symbol\":\"A\",\"price\":\"1\",\"qty\":\"2\",\"ts\":1}"

static bool refuse;        /* SO_TIMESTAMPNS */
static bool strip;         /* the stamps of what is received */
static int64_t shifts[4];  /* of the stamp of each datagram of a batch */

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    if (refuse && level == SOL_SOCKET && name == SO_TIMESTAMPNS) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

static void stamp_change(struct msghdr *header, int64_t shift_ns) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        int64_t ns = (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec + shift_ns;
        t = (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
        memcpy(CMSG_DATA(c), &t, sizeof t);
        if (strip) c->cmsg_type = SO_PEEK_OFF; /* any that is none of ours */
    }
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *t) {
    int got = (int)syscall(SYS_recvmmsg, fd, messages, count, flags, t);
    for (int i = 0; i < got && i < 4; i++) stamp_change(&messages[i].msg_hdr, shifts[i]);
    return got;
}

typedef struct {
    struct sockaddr_in address;
    int fd, sender;
    gw_udp_t u;
} rig_t;

static void send_text(rig_t *r, const char *text) {
    send_bytes(r->sender, &r->address, text, strlen(text));
}

static void wait_in_the_socket(void) {
    int64_t until_ns = gw_monotonic_ns() + WAIT_NS;
    while (gw_monotonic_ns() < until_ns) usleep(1000);
}

static rig_t *rig_of(rig_t *r) {
    r->fd = bound(&r->address);
    r->sender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQUAL(gw_udp_init(&r->u, r->fd, 1 << 20, 2048), 0);
    return r;
}

static rig_t *rig_new(void) {
    static rig_t r;
    return rig_of(&r);
}

static void rig_end(rig_t *r) {
    gw_udp_free(&r->u);
    close(r->fd);
    close(r->sender);
    memset(shifts, 0, sizeof shifts);
    refuse = strip = false;
}



/* The kernel begins to stamp some moments after the first socket has asked for it; until then a stamp is the
 * time of the read. */
static void until_the_kernel_stamps(void) {
    static rig_t first; /* kept open, so that it goes on stamping */
    rig_of(&first);
    for (int i = 0; i < 1000; i++) {
        send_text(&first, "x");
        usleep(2000);
        CHECK_EQUAL(gw_udp_receive(&first.u, 1000), 1);
        if (first.u.ages_ns[0] >= 1000000) return;
    }
    CHECK(!"the kernel never stamps");
}

static void the_wait_in_the_socket_is_the_datagrams_age(void) {
    rig_t *r = rig_new();
    CHECK(r->u.stamped);
    int64_t sent_ns = gw_realtime_ns();
    send_text(r, "first");
    wait_in_the_socket();
    send_text(r, "second");
    CHECK_EQUAL(gw_udp_receive(&r->u, 1000), 2);
    CHECK(r->u.ages_ns[0] >= WAIT_NS);
    CHECK(r->u.ages_ns[1] >= 0);
    CHECK(r->u.ages_ns[0] >= r->u.ages_ns[1] + WAIT_NS);
    CHECK(r->u.ts_read - r->u.ages_ns[0] >= sent_ns);
    CHECK_EQUAL(r->u.stamp_anomalies, 0);
    rig_end(r);
}

static void stamps_that_cannot_be_are_counted_and_not_used(void) {
    rig_t *r = rig_new();
    shifts[0] = 3600 * SECOND_NS;     /* in the future: the clock was set back meanwhile */
    shifts[1] = -11 * SECOND_NS;      /* older than any wait */
    shifts[2] = -9 * SECOND_NS;       /* a long wait, and believed */
    shifts[3] = -1800000000 * SECOND_NS;
    for (int i = 0; i < 4; i++) send_text(r, "x");
    CHECK_EQUAL(gw_udp_receive(&r->u, 1000), 4);
    CHECK_EQUAL(r->u.ages_ns[0], 0);
    CHECK_EQUAL(r->u.ages_ns[1], 0);
    CHECK(r->u.ages_ns[2] >= 9 * SECOND_NS);
    CHECK_EQUAL(r->u.ages_ns[3], 0);
    CHECK_EQUAL(r->u.stamp_anomalies, 3);
    memset(shifts, 0, sizeof shifts);
    strip = true; /* a stamp that is missing is no better */
    send_text(r, "x");
    CHECK_EQUAL(gw_udp_receive(&r->u, 1000), 1);
    CHECK_EQUAL(r->u.ages_ns[0], 0);
    CHECK_EQUAL(r->u.stamp_anomalies, 4);
    rig_end(r);
}

static void a_socket_that_does_not_stamp_is_read_all_the_same(void) {
    refuse = true;
    rig_t *r = rig_new();
    CHECK(!r->u.stamped);
    send_text(r, "x");
    wait_in_the_socket();
    CHECK_EQUAL(gw_udp_receive(&r->u, 1000), 1);
    CHECK_EQUAL(r->u.ages_ns[0], 0);
    CHECK_EQUAL(r->u.stamp_anomalies, 0); /* there is none to disbelieve */
    rig_end(r);
}

/* What the intake publishes and what it leaves bear the arrival of their own datagrams, and the wait
 * is part of `ingest`. */
static void records_and_the_rest_have_the_age_of_their_datagram(void) {
    static gw_intake_t in;
    rig_t *r = rig_new();
    usual_t got[3];
    publisher_new(1 << 20, 16);
    CHECK_EQUAL(gw_intake_init(&in, &publisher, FEED, 0, 0), 0);
    int64_t topic = gw_publisher_topic_add(&publisher, GW_TRADE, "A.X", 3);
    CHECK_EQUAL(gw_symbols_put(&in.symbols, GW_TRADE, (gw_text_t){"A", 1}, (uint32_t)topic), 0);
    int64_t sent_ns = gw_realtime_ns();
    send_text(r, LINE "\n" LINE "\nunusual");
    wait_in_the_socket();
    send_text(r, "\nunusual too");
    send_text(r, LINE);
    CHECK_EQUAL(gw_intake_receive(&in, &r->u, 0), 2);
    CHECK(in.rest_ages_ns[0] >= WAIT_NS);
    CHECK(in.rest_ages_ns[0] >= in.rest_ages_ns[1] + WAIT_NS);
    CHECK_EQUAL(gw_intake_receive(&in, &r->u, 0), 0);
    CHECK_EQUAL(gw_reader_poll(&reader, got, sizeof got), sizeof got);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(got[i].h.ts_recv, got[0].h.ts_recv);
        CHECK(got[i].h.ingest_ns >= WAIT_NS);
    }
    CHECK(got[0].h.ts_recv >= sent_ns);
    CHECK(got[2].h.ts_recv >= got[0].h.ts_recv + WAIT_NS);
    CHECK(stats.stage[GW_STAGE_INGEST].sum >= 2 * WAIT_NS);
    CHECK_EQUAL(stats.stage[GW_STAGE_WIRE].count, 3);
    gw_intake_free(&in);
    publisher_end();
    rig_end(r);
}

int main(void) {
    until_the_kernel_stamps();
    RUN(the_wait_in_the_socket_is_the_datagrams_age);
    RUN(stamps_that_cannot_be_are_counted_and_not_used);
    RUN(a_socket_that_does_not_stamp_is_read_all_the_same);
    RUN(records_and_the_rest_have_the_age_of_their_datagram);
    return 0;
}
