/* Datagrams over loopback: batches, the wake-up, what is too long, what the kernel had to drop. */
#include "check.h"
#include "gw_udp.h"
#include "udp_loopback.h"

static void whole_and_in_order(bool batched) {
    struct sockaddr_in address;
    int fd = bound(&address), sender = socket(AF_INET, SOCK_DGRAM, 0);
    gw_udp_t u;
    CHECK_EQUAL(gw_udp_init(&u, fd, 1 << 20, GW_UDP_DATAGRAM_MAX), 0);
    CHECK(u.batched);
    u.batched = batched; /* as on a host that denies recvmmsg */
    for (uint32_t i = 0; i < 300; i++) send_bytes(sender, &address, &i, sizeof i);
    uint32_t next = 0;
    while (next < 300) {
        int count = gw_udp_receive(&u, 1000);
        CHECK(count > 0);
        for (int i = 0; i < count; i++, next++) {
            ssize_t length;
            CHECK(memcmp(gw_udp_datagram(&u, i, &length), &next, sizeof next) == 0);
            CHECK_EQUAL(length, sizeof next);
        }
    }
    CHECK(u.ts_read > 0 && u.mono_read > 0 && u.stamp_anomalies == 0);
    CHECK_EQUAL(gw_udp_receive(&u, 0), 0);
    CHECK(gw_udp_buffer_granted(&u) > 0);
    gw_udp_free(&u);
    close(fd);
    close(sender);
}

static void batches_come_whole_and_in_order(void) { whole_and_in_order(true); }

static void one_by_one_they_come_as_well(void) { whole_and_in_order(false); }

static void lines_of_a_batch(void) {
    static const char *const sent[] = {"", "a", "\n", "b\nc", "d\n", "\n\ne", "too long"};
    static const char *const expected[] = {"a", "", "b", "c", "d", "", "", "e", "f"};
    struct sockaddr_in address;
    int fd = bound(&address), sender = socket(AF_INET, SOCK_DGRAM, 0);
    gw_udp_t u;
    gw_text_t line;
    CHECK_EQUAL(gw_udp_init(&u, fd, 1 << 20, 4), 0);
    CHECK(!gw_udp_line(&u, &line));
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
        send_bytes(sender, &address, sent[i], strlen(sent[i]));
    send_bytes(sender, &address, "f", 1);
    CHECK_EQUAL(gw_udp_receive(&u, 1000), 8);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        CHECK(gw_udp_line(&u, &line));
        CHECK_EQUAL(line.length, strlen(expected[i]));
        CHECK(memcmp(line.at, expected[i], line.length) == 0);
    }
    CHECK(!gw_udp_line(&u, &line) && !gw_udp_line(&u, &line));
    CHECK_EQUAL(gw_udp_receive(&u, 0), 0);
    CHECK(!gw_udp_line(&u, &line));
    gw_udp_free(&u);
    close(fd);
    close(sender);
}

static void a_wake_up_ends_the_wait(void) {
    struct sockaddr_in address;
    int fd = bound(&address);
    gw_udp_t u;
    CHECK_EQUAL(gw_udp_init(&u, fd, 1 << 20, 2048), 0);
    CHECK(!gw_udp_woken(&u));
    gw_udp_wake(&u);
    CHECK_EQUAL(gw_udp_receive(&u, -1), 0);
    CHECK_EQUAL(gw_udp_receive(&u, 0), 0);
    CHECK(gw_udp_woken(&u));
    CHECK(!gw_udp_woken(&u));
    gw_udp_free(&u);
    close(fd);
}

static void what_is_too_long_is_counted_and_dropped(void) {
    struct sockaddr_in address;
    int fd = bound(&address), sender = socket(AF_INET, SOCK_DGRAM, 0);
    static const uint8_t bytes[4000];
    gw_udp_t u;
    ssize_t length;
    CHECK_EQUAL(gw_udp_init(&u, fd, 1 << 20, 2000), 0);
    send_bytes(sender, &address, bytes, 2001);
    send_bytes(sender, &address, bytes, 2000);
    CHECK_EQUAL(gw_udp_receive(&u, 1000), 2);
    gw_udp_datagram(&u, 0, &length);
    CHECK_EQUAL(length, -1);
    gw_udp_datagram(&u, 1, &length);
    CHECK_EQUAL(length, 2000);
    CHECK_EQUAL(u.oversized, 1);
    gw_udp_free(&u);
    close(fd);
    close(sender);
}

static void kernel_drops_are_counted(void) {
    struct sockaddr_in address;
    int fd = bound(&address), sender = socket(AF_INET, SOCK_DGRAM, 0);
    static const uint8_t bytes[1000];
    gw_udp_t u;
    CHECK_EQUAL(gw_udp_init(&u, fd, 4096, 2048), 0);
    for (int i = 0; i < 100; i++) send_bytes(sender, &address, bytes, sizeof bytes);
    int taken = gw_udp_receive(&u, 1000);
    CHECK(taken > 0 && taken < 100);
    send_bytes(sender, &address, bytes, sizeof bytes); /* the count comes with the next datagram */
    CHECK_EQUAL(gw_udp_receive(&u, 1000), 1);
    CHECK_EQUAL(u.dropped, 100 - taken);
    gw_udp_free(&u);
    close(fd);
    close(sender);
}

int main(void) {
    RUN(batches_come_whole_and_in_order);
    RUN(one_by_one_they_come_as_well);
    RUN(lines_of_a_batch);
    RUN(a_wake_up_ends_the_wait);
    RUN(what_is_too_long_is_counted_and_dropped);
    RUN(kernel_drops_are_counted);
    return 0;
}
