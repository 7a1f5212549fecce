/* A server's bytes to a client of the load test's swarm, from its answer to the request on: however they are cut into reads,
 * the same is counted, and no byte behind a read is looked at. The first byte says how long a read is, the second what it
 * speaks and whether it is let in before. */
#include "swarm_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STAMPS = 4, LET_IN = 4 };

typedef struct {
    int64_t counters[GW_SWARM_COUNTERS_COUNT];
    bool open;
} outcome_t;

static outcome_t heard(const uint8_t *bytes, size_t size, size_t chunk, unsigned mode) {
    gw_swarm_options_t o = rig_options();
    o.stamp = (int)(mode % STAMPS);
    o.stamp_offset = 4;
    o.stamp_path = (gw_swarm_text_t){o.stamp == GW_SWARM_STAMP_AFTER ? "\"E\":" : "data.0.E", o.stamp == GW_SWARM_STAMP_AFTER ? 4 : 8};
    rig_t r = mode & LET_IN ? rig_open(&o) : rig_shaking(&o);
    r.s->window_end_ns = INT64_MAX;
    r.s->in_window = true;
    r.s->now_ns = 1714979289000000000;
    rig_feed(&r, bytes, size, chunk);
    outcome_t outcome = {.open = r.c->state == GW_SWARM_OPEN};
    memcpy(outcome.counters, r.g->counters, sizeof outcome.counters);
    rig_close(&r);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    size_t chunk = data[0] ? data[0] : 256;
    outcome_t once = heard(data + 2, size - 2, SIZE_MAX, data[1]), cut = heard(data + 2, size - 2, chunk, data[1]);
    CHECK_EQUAL(once.open, cut.open);
    for (unsigned i = 0; i < GW_SWARM_COUNTERS_COUNT; i++) {
        if (once.counters[i] == cut.counters[i]) continue;
        fprintf(stderr, "%s: %lld at once, %lld cut\n", gw_swarm_counter_names[i], (long long)once.counters[i],
                (long long)cut.counters[i]);
        exit(1);
    }
    return 0;
}
