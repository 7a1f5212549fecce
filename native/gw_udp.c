#include "gw_udp.h"
#include "gw_atomic.h"
#include "gw_clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What recvmmsg fills for one datagram, beside its slot. */
typedef struct {
    struct iovec part;
    _Alignas(struct cmsghdr) uint8_t
        control[CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(struct timespec))];
} side_t;

static void buffer_request(int fd, int bytes) {
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return;
    /* Not privileged: the kernel grants what net.core.rmem_max allows; `doctor` shows it. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static side_t *sides_of(const gw_udp_t *u) { return (side_t *)(u->messages + GW_UDP_BATCH); }

int gw_udp_init(gw_udp_t *u, int fd, int buffer_bytes, uint32_t slot_bytes) {
    if (slot_bytes == 0 || slot_bytes > GW_UDP_DATAGRAM_MAX) return -EINVAL;
    memset(u, 0, sizeof *u);
    u->fd = fd;
    u->slot_bytes = slot_bytes;
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one) < 0) return -errno;
    u->stamped = setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) == 0;
    buffer_request(fd, buffer_bytes);
    u->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->wake_fd < 0) return -errno;
    /* Rounded so that the message headers after the slots are aligned; pages never touched cost
     * nothing. */
    size_t slots = ((size_t)GW_UDP_BATCH * slot_bytes + 63) & ~(size_t)63;
    u->slab_bytes = slots + GW_UDP_BATCH * (sizeof(struct mmsghdr) + sizeof(side_t));
    u->slab = mmap(NULL, u->slab_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (u->slab == MAP_FAILED) {
        int error = -errno;
        close(u->wake_fd);
        return error;
    }
    u->messages = (struct mmsghdr *)(u->slab + slots);
    side_t *sides = sides_of(u);
    for (uint32_t i = 0; i < GW_UDP_BATCH; i++) {
        sides[i].part =
            (struct iovec){.iov_base = u->slab + (size_t)i * slot_bytes, .iov_len = slot_bytes};
        u->messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &sides[i].part, .msg_iovlen = 1, .msg_control = sides[i].control};
    }
    u->filled = u->place.datagram = GW_UDP_BATCH;
    /* Of no datagrams it can fail for one reason alone: that it is not allowed. */
    u->batched = recvmmsg(fd, u->messages, 0, MSG_DONTWAIT, NULL) == 0;
    return 0;
}

void gw_udp_free(gw_udp_t *u) {
    munmap(u->slab, u->slab_bytes);
    close(u->wake_fd);
}

int gw_udp_buffer_granted(const gw_udp_t *u) {
    int bytes = 0;
    socklen_t length = sizeof bytes;
    if (getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) < 0) return -errno;
    return bytes;
}

static void drops_count(gw_udp_t *u, const struct cmsghdr *c) {
    uint32_t overflow;
    memcpy(&overflow, CMSG_DATA(c), sizeof overflow);
    u->dropped += overflow - u->overflow;
    u->overflow = overflow;
}

/* How long the datagram waited to be read; negative where its stamp is not believed. */
static int64_t stamp_age(const gw_udp_t *u, const struct cmsghdr *c) {
    struct timespec stamp; /* of the kernel's 63 bits of nanoseconds */
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    int64_t age_ns = u->ts_read - ((int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec);
    return age_ns > GW_UDP_AGE_MAX_NS ? -1 : age_ns;
}

/* Reads what the kernel says of the i-th datagram beside its bytes. */
static void control_take(gw_udp_t *u, int i) {
    struct msghdr *header = &u->messages[i].msg_hdr;
    int64_t age_ns = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        if (c->cmsg_type == SO_RXQ_OVFL) drops_count(u, c);
        if (c->cmsg_type == SCM_TIMESTAMPNS) age_ns = stamp_age(u, c);
    }
    if (age_ns < 0 && u->stamped) u->stamp_anomalies++;
    u->ages_ns[i] = age_ns < 0 ? 0 : age_ns;
    if (header->msg_flags & MSG_TRUNC) u->oversized++;
}

/* As recvmmsg, a call a datagram: for hosts that deny it (seccomp). */
static int receive_each(gw_udp_t *u) {
    for (int i = 0; i < (int)GW_UDP_BATCH; i++) {
        ssize_t length = recvmsg(u->fd, &u->messages[i].msg_hdr, MSG_DONTWAIT);
        if (length < 0) return i > 0 ? i : -1; /* an error after datagrams comes again */
        u->messages[i].msg_len = (unsigned)length;
    }
    return (int)GW_UDP_BATCH;
}

static int batch_take(gw_udp_t *u) {
    /* Only headers that the last call filled have lost their lengths: a quiet line touches one. */
    for (int i = 0; i < u->filled; i++)
        u->messages[i].msg_hdr.msg_controllen = sizeof sides_of(u)[i].control;
    u->filled = 0;
    u->place = (gw_udp_place_t){0};
    int count = u->batched ? recvmmsg(u->fd, u->messages, GW_UDP_BATCH, MSG_DONTWAIT, NULL)
                           : receive_each(u);
    if (count < 0) return -errno;
    u->ts_read = gw_realtime_ns();
    u->mono_read = gw_monotonic_ns();
    u->filled = count;
    for (int i = 0; i < count; i++) control_take(u, i);
    return count;
}

int gw_udp_receive(gw_udp_t *u, int timeout_ms) {
    int count = batch_take(u);
    if (count != -EAGAIN) return count == -EINTR ? 0 : count;
    struct pollfd wait[2] = {{.fd = u->fd, .events = POLLIN}, {.fd = u->wake_fd, .events = POLLIN}};
    int ready = poll(wait, 2, timeout_ms);
    if (ready <= 0) return ready < 0 && errno != EINTR ? -errno : 0;
    if (wait[1].revents != 0) {
        uint64_t rung;
        ssize_t cleared = read(u->wake_fd, &rung, sizeof rung);
        (void)cleared;
    }
    if (wait[0].revents == 0) return 0;
    count = batch_take(u);
    return count == -EAGAIN || count == -EINTR ? 0 : count;
}

const uint8_t *gw_udp_datagram(const gw_udp_t *u, int i, ssize_t *length) {
    bool whole = (u->messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0;
    *length = whole ? (ssize_t)u->messages[i].msg_len : -1;
    return u->slab + (size_t)i * u->slot_bytes;
}

bool gw_udp_line(gw_udp_t *u, gw_text_t *line) {
    gw_udp_place_t *p = &u->place;
    for (; p->datagram < u->filled; *p = (gw_udp_place_t){.datagram = p->datagram + 1}) {
        ssize_t length;
        const char *at = (const char *)gw_udp_datagram(u, p->datagram, &length);
        if (length < 0 || p->offset >= (size_t)length) continue;
        size_t left = (size_t)length - p->offset;
        line->at = at + p->offset;
        const char *newline = memchr(line->at, '\n', left);
        line->length = newline == NULL ? left : (size_t)(newline - line->at);
        p->offset += line->length + 1;
        return true;
    }
    return false;
}

void gw_udp_wake(gw_udp_t *u) {
    GW_STORE_RELAXED(&u->woken, 1);
    uint64_t one = 1;
    ssize_t written = write(u->wake_fd, &one, sizeof one);
    (void)written;
}

bool gw_udp_woken(gw_udp_t *u) {
    if (GW_LOAD_RELAXED(&u->woken) == 0) return false;
    GW_STORE_RELAXED(&u->woken, 0);
    return true;
}
