/* A segment of any bytes: whatever a record, a slot or the directory says, the plane reads and writes inside its
 * own memory, comes to an end each turn, and counts what it delivers. */
#include "check.h"
#include "plane_rig.h"

static uint64_t state;

static uint64_t any(void) { return gw_map_hash(state += 0x9e3779b97f4a7c15u); }

/* A byte, a word, or one of the extremes somewhere in the segment, but for the sizes that its reader has checked. */
static void scribble(rig_t *rig) {
    const gw_segment_t *s = &rig->writer.segment;
    if (any() % 64 == 0) *s->full = any() % 2 ? any() : 64;
    uint8_t *from = any() % 8 ? s->ring : (uint8_t *)s->directory;
    size_t size = any() % 8 ? 4096 : (size_t)((uint8_t *)rig->memory + rig->memory_size - from);
    uint8_t *at = from + any() % (size / 8) * 8;
    static const uint64_t extremes[] = {0, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 1};
    if (any() % 2) at[any() % 8] = (uint8_t)any();
    else *(uint64_t *)(void *)at = any() % 2 ? any() : extremes[any() % 5];
}

/* The counters that the first page has, of which a writer changes the two tails with each record. */
static void scribble_counter(rig_t *rig) {
    const gw_segment_t *s = &rig->writer.segment;
    uint64_t *const counters[] = {s->tail, s->tail, s->tail_intent, s->topics, s->changes};
    static const uint64_t extremes[] = {0, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 1};
    uint64_t *at = counters[any() % 5];
    *at = any() % 2 ? *at + any() % 300 - 150 : any() % 2 ? any() : extremes[any() % 5];
}

static rig_t *rig_of_any(void) {
    static const uint8_t program[] = "\002\007\013,\"skipped\":\001}\001\002\010\000\010\001\007";
    gw_plane_options_t o = rig_options();
    for (int i = 0; i < GW_ENCODES; i++)
        CHECK_EQUAL(gw_template_load(program, sizeof program - 1, &o.formats[0].records[GW_HEALTH][i]), 0);
    return rig_new(o);
}

static void a_segment_of_any_bytes_is_survived(void) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        state = seed * 1000;
        rig_t *rig = rig_of_any();
        rig_segment(rig, 1 << 16, 64);
        for (unsigned i = 0; i < 20; i++) {
            char name[32];
            snprintf(name, sizeof name, "S%u.SIM", i / 3);
            rig_publish(rig, rig_topic(rig, i % 3 ? i % 3 : GW_HEALTH, name));
        }
        peer_t *peers[4];
        for (int i = 0; i < 4; i++) {
            peers[i] = rig_connect(rig);
            gw_item_t all[] = {item(1, GW_BBO, "*", i % 2, true), item(2, GW_TRADE, "*", i % 2, true),
                               item(3, GW_HEALTH, "*", false, true), item(4, GW_TRADE, "NONE.SIM", false, true)};
            rig_subscribe(rig, peers[i], 1, all, 4);
        }
        rig_settle(rig);
        rig->tails = 3;
        for (unsigned turn = 0; turn < 200; turn++) {
            for (unsigned i = 0; i < 20; i++) rig_publish(rig, i);
            if (any() % 4 == 0) rig_publish_header(rig, (unsigned)(any() % 20), (gw_header_t){.gap = (uint8_t)(any() % 4), .lost = (uint32_t)any()});
            for (unsigned n = any() % 40; n; n--) scribble(rig);
            if (any() % 8 == 0) scribble_counter(rig);
            peers[any() % 4]->allowed = any() % 3 ? RIG_NO_LIMIT : 100;
            rig->now += 200000;
            gw_plane_cycle(rig->plane);
            if (turn % 50 == 49) rig_segment(rig, 1 << 16, 64);
        }
        for (int i = 0; i < 4; i++) rig_remove(rig, peers[i]);
        rig_settle(rig);
        CHECK_EQUAL(rig->stats->clients[0], 0);
        CHECK_EQUAL(rig->stats->pending[GW_BBO], 0);
        rig_free(rig);
    }
}

/* A tail between two cells when the segment is followed, and a record there: it is none, since words are read whole. */
static void a_tail_between_cells_is_no_place(void) {
    for (uint64_t shift = 0; shift < GW_CELL; shift += 4) {
        rig_t *rig = rig_of_any();
        rig_segment(rig, 1 << 16, 64);
        rig_publish(rig, rig_topic(rig, GW_BBO, "S0.SIM"));
        const gw_segment_t *s = &rig->writer.segment;
        *s->tail += shift;
        rig_settle(rig);
        memmove(s->ring + *s->tail, s->ring, GW_RECORD_CELLS * GW_CELL);
        *s->tail += GW_RECORD_CELLS * GW_CELL;
        rig_settle(rig);
        CHECK_EQUAL(rig->stats->records_taken[0], !shift);
        CHECK_EQUAL(rig->stats->ring_lapped[0] > 0, shift > 0);
        CHECK_EQUAL(rig->plane->reader.cursor % GW_CELL, 0);
        rig_free(rig);
    }
}

/* Of another origin each record is a beginning, but one without a number: no state is shown that there is not. */
static void a_record_without_a_number_is_none(void) {
    for (uint64_t seq = UINT64_MAX; seq + 1 < 2; seq++) {
        for (int attached = 0; attached < 2; attached++) {
            rig_t *rig = rig_of_any();
            rig_segment(rig, 1 << 16, 64);
            unsigned topic = rig_topic(rig, GW_BBO, "S0.SIM");
            rig_register(rig, topic);
            rig->writer.chains[rig->topics[topic].id].seq = seq - 1;
            if (attached) rig_settle(rig);
            rig_publish_header(rig, topic, (gw_header_t){.origin = 1});
            rig_settle(rig);
            for (int i = 0; i < 2; i++) {
                peer_t *peer = rig_connect(rig);
                gw_item_t x = item(1, GW_BBO, "S0.SIM", i, true);
                rig_subscribe(rig, peer, 1, &x, 1);
                rig_settle(rig);
            }
            CHECK_EQUAL(rig->stats->snapshots[GW_BBO], 0);
            CHECK_EQUAL(rig->stats->wrong_kinds[0], 1);
            rig_free(rig);
        }
    }
}

int main(void) {
    RUN(a_tail_between_cells_is_no_place);
    RUN(a_record_without_a_number_is_none);
    RUN(a_segment_of_any_bytes_is_survived);
    return 0;
}
