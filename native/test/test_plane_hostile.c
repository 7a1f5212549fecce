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

int main(void) {
    RUN(a_segment_of_any_bytes_is_survived);
    return 0;
}
