#include "gw_floor.h"
#include "gw_clock.h"
#include "gw_frame.h"
#include "gw_hdr.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* A line of one byte and its newline become a header of two and the byte: no datagram grows by more
 * than half and one header. */
_Static_assert(GW_FLOOR_FRAMES_MAX >= GW_FLOOR_DATAGRAM_MAX / 2 * 3 + GW_FRAME_HEADER_MAX,
               "frames of the shortest lines fit");

size_t gw_floor_frames(const uint8_t *datagram, size_t length, uint8_t *out, uint32_t *lines) {
    const uint8_t *end = datagram + length;
    uint8_t *at = out;
    *lines = 0;
    while (datagram < end) {
        const uint8_t *newline = memchr(datagram, '\n', (size_t)(end - datagram));
        size_t size = (size_t)((newline != NULL ? newline : end) - datagram);
        if (size > 0) {
            at += gw_frame_header(GW_OP_TEXT, size, at);
            memcpy(at, datagram, size);
            at += size;
            (*lines)++;
        }
        datagram = newline != NULL ? newline + 1 : end;
    }
    return (size_t)(at - out);
}

/* One send() per client, in order; who takes less than all of it leaves the list. */
static void fan_out(gw_floor_t *f, size_t length, uint32_t lines) {
    uint32_t kept = 0, count = f->clients_count;
    for (uint32_t i = 0; i < count; i++) {
        int fd = f->clients[i];
        ssize_t sent = send(fd, f->frames, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)length)
            f->clients[kept++] = fd;
        else
            (void)shutdown(fd, SHUT_RDWR);
    }
    f->clients_count = kept;
    gw_hdr_add(&f->sends, count);
    gw_hdr_add(&f->deliveries, (uint64_t)kept * lines);
    gw_hdr_add(&f->bytes, (uint64_t)kept * length);
    gw_hdr_add(&f->cut_off, count - kept);
}

int gw_floor_init(gw_floor_t *f, int udp_fd, int *clients, uint32_t count) {
    memset(f, 0, sizeof *f);
    f->udp_fd = udp_fd;
    f->clients = clients;
    f->clients_count = count;
    struct timeval wait = {.tv_usec = GW_FLOOR_WAIT_MS * 1000};
    return setsockopt(udp_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ? -errno : 0;
}

int gw_floor_run(gw_floor_t *f) {
    int64_t cpu_ns = gw_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int error = 0;
    while (!GW_LOAD_RELAXED(&f->stopping)) {
        ssize_t length = recv(f->udp_fd, f->datagram, sizeof f->datagram, 0);
        if (length < 0) {
            if (errno == EAGAIN || errno == EINTR) continue;
            error = -errno;
            break;
        }
        uint32_t lines;
        size_t bytes = gw_floor_frames(f->datagram, (size_t)length, f->frames, &lines);
        gw_hdr_add(&f->datagrams, 1);
        gw_hdr_add(&f->ticks, lines);
        if (lines > 0) fan_out(f, bytes, lines);
    }
    gw_hdr_add(&f->cpu_ns, (uint64_t)(gw_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns));
    return error;
}

void gw_floor_stop(gw_floor_t *f) { GW_STORE_RELAXED(&f->stopping, 1); }
