/* What a client believes of input that was refused: the notice always comes behind the state that it doubts, since
 * the topic's next one ends it. */
#include "plane_health.h"

/* A client that shows the state as good from the next update on: none of before the refusal comes behind the notice. */
static void a_state_that_waits_is_told_before_it_is_doubted(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *blocked = subscriber(rig, GW_BBO, "A.SIM", false), *held = rig_connect(rig);
    gw_item_t least = item(1, GW_BBO, "A.SIM", false, true);
    least.priority = 3;
    rig_subscribe(rig, held, 1, &least, 1);
    rig_settle(rig);
    expect(held, "{\"reply\":0");
    expect(held, "{\"reply\":1");
    rig->plane->ladder.interval[3] = 6; /* 250 ms */
    gw_client_refresh(rig->plane, rig_client(rig, held));
    rig_publish(rig, bbo);
    rig_settle(rig);
    expect(blocked, DATA("bbo", "update"));
    expect(held, "{\"channel\":\"system\",\"type\":\"conflation\"");
    expect(held, DATA("bbo", "update")); /* the first one after a pause */
    blocked->allowed = 0;
    rig_publish(rig, bbo); /* both are found in the queue when the socket is full */
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 0);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    expect_nothing(held);
    blocked->allowed = RIG_NO_LIMIT;
    rig->now += 250000000;
    rig_settle(rig);
    for (int i = 0; i < 2; i++) {
        expect(i ? held : blocked, DATA("bbo", "update"));
        expect(i ? held : blocked, GAP("bbo", "A.SIM"));
        expect_nothing(i ? held : blocked);
    }
    CHECK_EQUAL(rig->stats->pending[GW_BBO], 0);

    /* Of a run that has ended there is nothing to say beside the newer state. */
    blocked->allowed = 0;
    rig_publish(rig, bbo);
    rig_settle(rig);
    health(rig, "A.SIM", 0);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 0);
    rig_settle(rig);
    blocked->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(blocked, DATA("bbo", "update"));
    expect_nothing(blocked);
    rig_free(rig);
}

/* A good record and another refusal are lost in a lap: the state that stands for the record ends the first run. */
static void a_lap_tells_anew_what_is_still_refused(void) {
    for (int health_first = 0; health_first < 2; health_first++) {
        rig_t *rig = rig_of_health();
        if (health_first) health(rig, "A.SIM", 0);
        unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
        peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
        rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
        for (int i = 0; i < 2; i++) {
            expect(peers[i], DATA("bbo", "update"));
            expect(peers[i], GAP("bbo", "A.SIM"));
        }
        for (int again = 0; again < 2; again++) { /* still refused; then no more */
            rig_publish(rig, bbo);
            rig_publish(rig, bbo);
            health(rig, "A.SIM", 0);
            if (!again) health(rig, "A.SIM", 1 << GW_BBO);
            for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
            rig_settle(rig);
            CHECK_EQUAL(rig->stats->ring_lapped[0], 1 + again);
            expect(peers[1], "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"bbo\",\"symbol\":\"A.SIM\",\"from\"");
            for (int i = 0; i < 2; i++) {
                expect(peers[i], DATA("bbo", "snapshot"));
                if (!again) expect(peers[i], GAP("bbo", "A.SIM"));
                expect_nothing(peers[i]);
            }
        }
        rig_free(rig);
    }
}

/* The lap compares the health after it has come from a refusal behind records that are still to be taken. */
static void a_record_from_before_the_refusal_does_not_end_it(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 0);
    for (int i = 0; i < 100; i++) rig_publish(rig, rig_topic(rig, GW_TRADE, "OTHER.SIM"));
    rig->plane->turn_units = 1;
    for (int i = 0; i < 20 && rig->plane->lap_next != 1; i++) gw_plane_cycle(rig->plane);
    CHECK(rig->plane->lap_next == 1 && rig->plane->lap_end == 3);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig->plane->turn_units = GW_UNITS_TURN;
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    for (int i = 0; i < 2; i++) {
        expect(peers[i], DATA("bbo", "update"));
        expect(peers[i], GAP("bbo", "A.SIM"));
        expect(peers[i], DATA("bbo", "update"));
        expect(peers[i], GAP("bbo", "A.SIM"));
        expect_nothing(peers[i]);
    }
    rig_free(rig);
}

/* The health is known before the topic, which had no good record and comes with the next look at the directory. */
static void a_topic_that_begins_with_a_refusal_is_told(void) {
    rig_t *rig = rig_of_health();
    peer_t *peer = subscriber(rig, GW_BBO, "A*", false);
    health(rig, "A.SIM", 1 << GW_TRADE);
    rig_settle(rig);
    rig_register(rig, rig_topic(rig, GW_BBO, "A.SIM"));
    health(rig, "A.SIM", 1 << GW_TRADE | 1 << GW_BBO);
    rig_settle(rig);
    rig->now += 100000000;
    rig_settle(rig);
    expect(peer, GAP("bbo", "A.SIM"));
    expect_nothing(peer);
    rig_free(rig);
}

/* A client that is not brought to the epoch yet, where a record has come first. */
static void a_notice_of_the_epoch_before_is_not_told_for_this_one(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peer = subscriber(rig, GW_BBO, "A.SIM", true);
    const gw_client_t *c = rig_client(rig, peer);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    rig_segment(rig, 4096, 512);
    rig->plane->turn_units = 1;
    while (!rig->plane->epoch_phase || rig->plane->epochs < 2) gw_plane_cycle(rig->plane);
    while (rig->plane->epoch_phase) gw_plane_cycle(rig->plane);
    CHECK(c->job != NULL);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    int64_t budget = GW_UNITS_TURN;
    gw_cover(rig->plane, &budget);
    while (gw_plane_takes(rig->plane) && c->job) gw_plane_cycle(rig->plane);
    CHECK(c->job != NULL);
    rig->plane->turn_units = GW_UNITS_TURN;
    rig_settle(rig);
    expect(peer, DATA("bbo", "update"));
    expect(peer, GAP("bbo", "A.SIM"));
    expect(peer, "{\"channel\":\"system\",\"type\":\"epoch\"");
    expect(peer, DATA("bbo", "snapshot"));
    expect(peer, GAP("bbo", "A.SIM"));
    expect_nothing(peer);
    rig_free(rig);
}

/* What was encoded for the epoch before goes with that, however new it is. */
static void a_new_epoch_that_is_refused_at_once_is_told(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peers[] = {subscriber(rig, GW_BBO, "A.SIM", false), subscriber(rig, GW_BBO, "A.SIM", true)};
    for (int epoch = 0; epoch < 3; epoch++) {
        if (epoch) rig_segment(rig, 4096, 512);
        if (epoch < 2) rig_publish(rig, bbo);
        health(rig, "A.SIM", 1 << GW_BBO);
        rig_settle(rig);
        for (int i = 0; i < 2; i++) {
            if (epoch) expect(peers[i], "{\"channel\":\"system\",\"type\":\"epoch\"");
            if (epoch < 2) expect(peers[i], epoch ? DATA("bbo", "snapshot") : DATA("bbo", "update"));
            expect(peers[i], GAP("bbo", "A.SIM"));
            expect_nothing(peers[i]);
        }
    }
    rig_free(rig);
}

/* --- by seeds: the last that a client was told of a topic is what is so ------------------------------ */

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

/* Of a mark whose state is too old only the notice is sent; the next state says that one is missing. */
static void what_is_too_old_is_doubted_all_the_same(void) {
    rig_t *rig = rig_of_health();
    unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1, GW_BBO, "A.SIM", false, false);
    x.age_ms = 10;
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_publish(rig, bbo);
    rig_settle(rig);
    peer->read = peer->length;
    peer->allowed = 0;
    rig_text(rig, peer, 2);
    rig_settle(rig);
    rig_publish(rig, bbo);
    health(rig, "A.SIM", 1 << GW_BBO);
    rig_settle(rig);
    rig->now += 50000000;
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect(peer, "{\"reply\":2");
    expect(peer, GAP("bbo", "A.SIM"));
    expect_nothing(peer);
    rig_publish(rig, bbo);
    rig_settle(rig);
    expect(peer, DATA("bbo", "update") "\"symbol\":\"A.SIM\",\"seq\":3,\"data\":[{\"price\":\"3\",\"qty\":\"1\"}],\"skipped\":1}");
    expect_nothing(peer);
    rig_free(rig);
}

int main(void) {
    RUN(a_state_that_waits_is_told_before_it_is_doubted);
    RUN(a_lap_tells_anew_what_is_still_refused);
    RUN(a_record_from_before_the_refusal_does_not_end_it);
    RUN(a_topic_that_begins_with_a_refusal_is_told);
    RUN(a_notice_of_the_epoch_before_is_not_told_for_this_one);
    RUN(a_new_epoch_that_is_refused_at_once_is_told);
    RUN(what_a_client_believes_is_so);
    RUN(what_is_too_old_is_doubted_all_the_same);
    return 0;
}
