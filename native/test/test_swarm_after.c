/* Stamps behind a text: each of a message is a record, and nothing behind the message is looked at. */
#include "swarm_rig.h"

#define T0 1714979289000000000
#define TEXT "\"ts\":"

static rig_t rig_after(void) {
    gw_swarm_options_t o = rig_options();
    o.stamp = GW_SWARM_STAMP_AFTER;
    o.stamp_path = (gw_swarm_text_t){TEXT, sizeof TEXT - 1};
    rig_t r = rig_open(&o);
    r.s->window_start_ns = T0 + 1;
    r.s->window_end_ns = T0 + 100;
    return r;
}

static void say(rig_t *r, const char *text, size_t n) {
    uint8_t frame[512];
    size_t length = rig_frame(0x82, text, n, frame);
    rig_feed(r, frame, length, SIZE_MAX);
}

static void each_number_is_a_record(void) {
    static const char three[] = "MSG a 1 28\r\n{" TEXT "1714979289000000001}\r\n"
                                "MSG a 1 28\r\n{" TEXT "\"1714979289000000002\"}\r\n"
                                "MSG a 1 28\r\n{" TEXT " 1714979289000000100}\r\n";
    rig_t r = rig_after();
    say(&r, three, sizeof three - 1);
    CHECK_EQUAL(RIG_COUNTER(&r, frames), 1);
    CHECK_EQUAL(RIG_COUNTER(&r, delivered), 2); /* the third is outside of the window */
    CHECK_EQUAL(RIG_COUNTER(&r, unstamped), 0);
    rig_close(&r);
}

/* The message is cut at every byte, and poisoned memory follows it. */
static void a_message_ends_where_it_ends(void) {
    static const char text[] = "{" TEXT " \"1714979289000000001\"}";
    size_t first = sizeof "{" TEXT " \"" - 1, delivered = 0, unstamped = 0;
    rig_t r = rig_after();
    for (size_t n = 0; n < sizeof text; n++) {
        say(&r, text, n);
        /* Fewer digits are another time, or none: of 10, 13 and 16 T0 in s, ms and us. */
        if (n > first) delivered += n >= first + 19;
        else unstamped++;
        CHECK_EQUAL(RIG_COUNTER(&r, delivered), delivered);
        CHECK(RIG_COUNTER(&r, unstamped) >= unstamped);
    }
    CHECK_EQUAL(r.c->state, GW_SWARM_OPEN);
    rig_close(&r);
}

static void any_bytes_are_survived(void) {
    static const char alphabet[] = "\"ts\":0123456789. {}";
    rig_t r = rig_after();
    char text[120];
    for (int round = 0; round < 20000; round++) {
        size_t n = rig_random() % sizeof text;
        for (size_t i = 0; i < n; i++) text[i] = alphabet[rig_random() % (sizeof alphabet - 1)];
        say(&r, text, n);
    }
    CHECK_EQUAL(RIG_COUNTER(&r, frames), 20000);
    CHECK_EQUAL(r.c->state, GW_SWARM_OPEN);
    rig_close(&r);
}

static void an_empty_text_is_refused(void) {
    gw_swarm_options_t o = rig_options();
    o.stamp = GW_SWARM_STAMP_AFTER;
    o.stamp_path = (gw_swarm_text_t){"", 0};
    gw_swarm_t *s = NULL;
    CHECK_EQUAL(gw_swarm_create(&o, &s), -EINVAL);
}

int main(void) {
    RUN(each_number_is_a_record);
    RUN(a_message_ends_where_it_ends);
    RUN(any_bytes_are_survived);
    RUN(an_empty_text_is_refused);
    return 0;
}
