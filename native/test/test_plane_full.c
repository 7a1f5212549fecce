/* A table of topics that is full: names that cannot come are refused, and those who wait for one are told. */
#include "plane_reader.h"

#define FULL 2u
#define WAITING 300u /* links of one name, more than a slice tells */

static rig_t *rig_of(unsigned topics) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 16384, 64);
    for (unsigned i = 0; i < topics; i++) rig_register(rig, rig_named(rig, GW_TRADE, "T%u.SIM", i));
    rig_settle(rig);
    return rig;
}

static void pass_timers(rig_t *rig) {
    for (int i = 0; i < 3; i++) {
        rig->now += 60000000;
        rig_settle(rig);
    }
}

static unsigned limits(peer_t *peer) {
    frame_t f;
    unsigned n = 0;
    while (peer_frame(peer, &f)) n += f.kind == LIMIT;
    return n;
}

static peer_t *subscriber(rig_t *rig, uint8_t channel, const char *name) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1, channel, name, false, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    return peer;
}

static void who_asks_for_a_name_that_cannot_come_is_refused(void) {
    rig_t *rig = rig_of(FULL);
    peer_t *before = subscriber(rig, GW_TRADE, "new.SIM");
    gw_writer_full(&rig->writer, FULL);
    peer_t *after = subscriber(rig, GW_TRADE, "new.SIM"), *known = subscriber(rig, GW_TRADE, "T1.SIM");
    peer_t *pattern = subscriber(rig, GW_TRADE, "*");
    CHECK_EQUAL(limits(after), 1);
    CHECK_EQUAL(limits(known) + limits(pattern), 0);
    CHECK_EQUAL(limits(before), 0); /* not yet */
    pass_timers(rig);
    CHECK_EQUAL(limits(before), 1);
    pass_timers(rig);
    CHECK_EQUAL(limits(before) + limits(known) + limits(pattern) + limits(after), 0); /* once each */

    gw_writer_full(&rig->writer, 0);
    rig_publish(rig, rig_topic(rig, GW_TRADE, "new.SIM")); /* there is room again: it comes */
    pass_timers(rig);
    frame_t f;
    CHECK(peer_frame(before, &f) && f.kind == DATA);
    CHECK_EQUAL(limits(subscriber(rig, GW_TRADE, "other.SIM")), 0);
    rig_free(rig);
}

/* One client waits for many names: what its control queue can't take is told later. */
static void all_who_wait_are_told_however_many(void) {
    rig_t *rig = rig_of(FULL);
    rig->plane->turn_units = 64;
    peer_t *peer = rig_connect(rig);
    for (unsigned i = 0; i < WAITING; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u.SIM", i);
        gw_item_t x = item(i, GW_TRADE, name, false, true);
        rig_subscribe(rig, peer, i + 1, &x, 1);
        rig_settle(rig);
    }
    CHECK_EQUAL(limits(peer), 0);
    gw_writer_full(&rig->writer, FULL);
    peer->allowed = 0;
    pass_timers(rig);
    CHECK(rig->plane->full_again);
    peer->allowed = RIG_NO_LIMIT;
    unsigned told = 0;
    for (int i = 0; i < 100 && told < WAITING; i++) {
        pass_timers(rig);
        told += limits(peer);
    }
    CHECK_EQUAL(told, WAITING);
    rig_free(rig);
}

int main(void) {
    who_asks_for_a_name_that_cannot_come_is_refused();
    all_who_wait_are_told_however_many();
    printf("ok a full table of topics\n");
    return 0;
}
