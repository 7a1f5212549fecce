/* What a client believes of its topics: whatever is refused, taken, held back, lost in a lap or begun anew, and
 * whenever its socket is full, in the end the last that it was told of a topic is what is so. */
#include "plane_health.h"

#define TOPICS 4u
#define PEERS 6u
#define STEPS 300u

typedef struct {
    rig_t *rig;
    unsigned bbo[TOPICS];
    bool refused[TOPICS];
    peer_t *peers[PEERS];
    uint32_t asked; /* id of each client's subscriptions now */
    unsigned gaps, laps;
} world_t;

static uint64_t state;

static uint64_t any(uint64_t below) { return gw_map_hash(state += 0x9e3779b97f4a7c15u) % below; }

/* A name each, or a pattern; lossless, conflated, and of the least class. */
static void subscribe(world_t *w, unsigned i, uint32_t id) {
    gw_item_t items[TOPICS];
    for (unsigned k = 0; k < TOPICS; k++) {
        char name[8];
        snprintf(name, sizeof name, i < 3 ? "%c.SIM" : "%c*", (char)('A' + k));
        items[k] = item(id * TOPICS + k, GW_BBO, name, i % 3 == 0, true);
        items[k].priority = i % 3 == 2 ? 3 : 0;
    }
    rig_subscribe(w->rig, w->peers[i], id, items, TOPICS);
}

/* As a publisher does: a good record ends a run of refusals, and the health comes right behind it. */
static void feed(world_t *w) {
    unsigned k = (unsigned)any(TOPICS);
    char name[8];
    snprintf(name, sizeof name, "%c.SIM", (char)('A' + k));
    bool bad = any(3) == 0;
    if (!bad) rig_publish(w->rig, w->bbo[k]);
    else rig_register(w->rig, w->bbo[k]);
    if (bad != w->refused[k]) health(w->rig, name, bad ? 1 << GW_BBO : 0);
    w->refused[k] = bad;
}

static void step(world_t *w) {
    rig_t *rig = w->rig;
    for (uint64_t n = any(6); n; n--) feed(w);
    unsigned i = (unsigned)any(PEERS);
    int64_t room[] = {0, 30, 300, RIG_NO_LIMIT, RIG_NO_LIMIT};
    w->peers[i]->allowed = room[any(5)];
    if (any(10) == 0) subscribe(w, i, ++w->asked);
    if (any(30) == 0)
        for (int n = 0; n < 40; n++) feed(w); /* more than the ring holds */
    if (any(60) == 0) {
        rig_segment(rig, 4096, 512);
        memset(w->refused, 0, sizeof w->refused);
    }
    rig->plane->ladder.interval[3] = any(2) ? 6 : 0;
    rig->plane->turn_units = any(2) ? 8 : GW_UNITS_TURN;
    for (uint64_t n = any(4); n; n--) {
        rig->now += 200000;
        gw_plane_cycle(rig->plane);
    }
}

/* The last of each topic that a client read. */
static void check(world_t *w, unsigned i) {
    enum { NOTHING, STATE, DOUBT } last[TOPICS] = {NOTHING};
    for (const char *text; *(text = next(w->peers[i]));) {
        if (strstr(text, "\"type\":\"epoch\"")) memset(last, 0, sizeof last); /* it begins with all well */
        const char *symbol = strstr(text, "\"symbol\":\"");
        if (!symbol) continue;
        unsigned k = (unsigned)(symbol[10] - 'A');
        CHECK(k < TOPICS);
        if (strstr(text, "\"reason\":\"refused\"")) last[k] = DOUBT;
        if (!strncmp(text, "{\"channel\":\"bbo\"", 16)) last[k] = STATE;
        w->gaps += last[k] == DOUBT;
    }
    for (unsigned k = 0; k < TOPICS; k++) CHECK_EQUAL(last[k] == DOUBT, w->refused[k]);
}

static void what_a_client_believes_is_so(void) {
    unsigned gaps = 0, laps = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        world_t w = {.rig = rig_of_health(), .asked = 1};
        state = seed * 1000;
        for (unsigned k = 0; k < TOPICS; k++) {
            char name[8];
            snprintf(name, sizeof name, "%c.SIM", (char)('A' + k));
            w.bbo[k] = rig_topic(w.rig, GW_BBO, name);
        }
        for (unsigned i = 0; i < PEERS; i++) w.peers[i] = rig_connect(w.rig);
        for (unsigned i = 0; i < PEERS; i++) subscribe(&w, i, 1);
        for (unsigned n = 0; n < STEPS; n++) step(&w);
        w.rig->plane->turn_units = GW_UNITS_TURN;
        for (unsigned i = 0; i < PEERS; i++) w.peers[i]->allowed = RIG_NO_LIMIT;
        for (int n = 0; n < 3; n++) {
            rig_settle(w.rig);
            w.rig->now += 300000000;
        }
        for (unsigned i = 0; i < PEERS; i++) check(&w, i);
        gaps += w.gaps;
        laps += (unsigned)w.rig->stats->ring_lapped[0];
        rig_free(w.rig);
    }
    CHECK(gaps > 1000 && laps > 100);
}

int main(void) {
    RUN(what_a_client_believes_is_so);
    return 0;
}
