/* Clients that come and go: `churn PORT CLIENTS SUBSCRIBES_PER_S SECONDS SYMBOL`.
 *
 * Keeps CLIENTS connections, each a second old at most: every 1/CLIENTS s the oldest leaves and a new one
 * connects, shakes hands and subscribes. Besides, SUBSCRIBES_PER_S requests go out in all, in turn.
 * Prints what it did as one JSON line. Only for a server on 127.0.0.1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in address;
static char request[512], frame[512];
static size_t frame_length;
static uint64_t refused, closed_4xxx, late_ms_max;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void frame_make(const char *symbol) {
    char text[256];
    int n = snprintf(text, sizeof text,
                     "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"%s\"]}}", symbol);
    unsigned char *f = (unsigned char *)frame;
    f[0] = 0x81;
    size_t head = 2;
    if (n < 126) {
        f[1] = (unsigned char)(0x80 | n);
    } else {
        f[1] = 0x80 | 126;
        f[2] = (unsigned char)(n >> 8);
        f[3] = (unsigned char)n;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, (size_t)n);
    frame_length = head + 4 + (size_t)n;
}

static int come(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char answer[4096];
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&address, sizeof address) || write(fd, request, strlen(request)) < 0 ||
        recv(fd, answer, 12, MSG_WAITALL) != 12 || memcmp(answer, "HTTP/1.1 101", 12)) {
        refused++;
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads what there is; -1 when the server has closed. */
static int drain(int fd) {
    static unsigned char buffer[1 << 16];
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0) return -1;
    }
}

static void leave(int fd) {
    static const unsigned char bye[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    if (drain(fd) == 0 && write(fd, bye, sizeof bye) < 0) closed_4xxx++;
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int clients = atoi(argv[2]), rate = atoi(argv[3]), seconds = atoi(argv[4]);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    snprintf(request, sizeof request,
             "GET /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    frame_make(argv[5]);
    int *fds = malloc(sizeof *fds * (size_t)clients);
    for (int i = 0; i < clients; i++) fds[i] = -1;
    uint64_t came = 0, asked = 0;
    double start = now_s(), end = start + seconds, t;
    while ((t = now_s()) < end) {
        double connects_due = (t - start) * clients, asks_due = (t - start) * rate;
        if ((double)came < connects_due) {
            uint64_t late = (uint64_t)((connects_due - (double)came) / clients * 1000);
            if (late > late_ms_max) late_ms_max = late;
            int *slot = &fds[came++ % (uint64_t)clients];
            if (*slot >= 0) leave(*slot);
            *slot = come();
            if (*slot >= 0 && write(*slot, frame, frame_length) > 0) asked++;
        } else if ((double)asked < asks_due) {
            int fd = fds[asked++ % (uint64_t)clients];
            if (fd >= 0 && (drain(fd) || write(fd, frame, frame_length) < 0)) closed_4xxx++;
        } else {
            struct timespec nap = {0, 100000};
            nanosleep(&nap, NULL);
        }
    }
    printf("{\"connected\":%lu,\"refused\":%lu,\"subscribes\":%lu,\"closed_by_server\":%lu,\"late_ms\":%lu}\n",
           came, refused, asked, closed_4xxx, late_ms_max);
    return 0;
}
