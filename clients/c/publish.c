/* Publishes trades over a `publisher` feed's socket (docs/publisher.md), until each is acknowledged:
 *
 *     cc -O2 -o publish publish.c && ./publish /run/tickgate/feed.sock desk-7 SYM001 1000
 *
 * Here the connection is made once. A program that shall outlive the gateway keeps the lines that are not
 * acknowledged, connects again, says the same `stream` and in `next` the number of the first of them. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int say(int fd, const char *text, size_t length) { /* 0: all of it */
    for (ssize_t sent; length; text += sent, length -= (size_t)sent)
        if ((sent = send(fd, text, length, MSG_NOSIGNAL)) <= 0) return -1;
    return 0;
}

/* The newest acknowledgement among what is there, or `taken` again; -1: it was an error, which is shown. */
static long heard(int fd, FILE *in, long taken, int wait_ms) {
    char line[4096], *at;
    struct pollfd there = {fd, POLLIN, 0};
    while (poll(&there, 1, wait_ms) > 0) {
        if (!fgets(line, sizeof line, in)) return fputs("the gateway has closed\n", stderr), -1;
        if (strstr(line, "\"error\"") || strstr(line, "\"last_refused\"")) return fputs(line, stderr), -1;
        if ((at = strstr(line, "\"taken\":"))) taken = atol(at + strlen("\"taken\":"));
        wait_ms = 0;
    }
    return taken;
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: %s SOCKET NAME SYMBOL COUNT\n", argv[0]), 64;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const long count = atol(argv[4]);
    if (strlen(argv[1]) >= sizeof address.sun_path) return fputs("a long path\n", stderr), 64;
    strcpy(address.sun_path, argv[1]);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    FILE *in = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) ? NULL : fdopen(fd, "r");
    if (!in) return perror(argv[1]), 69;
    setvbuf(in, NULL, _IONBF, 0); /* nothing is read that poll() does not know of */

    char line[512];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(line, sizeof line, "{\"channel\":\"hello\",\"publisher\":\"%s\",\"stream\":\"%lld\"}\n", argv[2],
                          now.tv_sec * 1000000000LL + now.tv_nsec);
    int lost = say(fd, line, (size_t)length);
    long taken = 0;
    for (long number = 1; number <= count && !lost && taken >= 0; number++) {
        clock_gettime(CLOCK_REALTIME, &now);
        length = snprintf(line, sizeof line,
                          "{\"channel\":\"trade\",\"symbol\":\"%s\",\"price\":\"100.%02ld\",\"qty\":\"1\",\"id\":\"%ld\",\"ts\":%lld}\n",
                          argv[3], number % 100, number, now.tv_sec * 1000000000LL + now.tv_nsec);
        lost = say(fd, line, (size_t)length);
        taken = heard(fd, in, taken, 0);
    }
    while (!lost && taken >= 0 && taken < count) taken = heard(fd, in, taken, 10000);
    printf("%ld of %ld acknowledged\n", taken < 0 ? 0 : taken, count);
    return taken == count ? 0 : 1;
}
