/* A datagram socket on a port of its own, and what is sent to it. */
#ifndef UDP_LOOPBACK_H
#define UDP_LOOPBACK_H
#include "check.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int bound(struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof *address;
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0);
    CHECK_EQUAL(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    CHECK_EQUAL(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

static inline void send_bytes(int fd, const struct sockaddr_in *to, const void *bytes,
                              size_t length) {
    ssize_t sent = sendto(fd, bytes, length, 0, (const struct sockaddr *)to, sizeof *to);
    CHECK_EQUAL(sent, length);
}

#endif
