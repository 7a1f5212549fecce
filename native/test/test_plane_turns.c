/* What one turn of the plane does at most, and who comes next: counts of work, at each bound. */
#include "plane_reader.h"

#define US INT64_C(1000)

typedef struct {
    rig_t *rig;
    peer_t *peers[RIG_PEERS];
    unsigned trade;
} scene_t;

/* So many clients of one trade topic. */
static scene_t scene(gw_plane_options_t o, unsigned clients, const char *name) {
    scene_t s = {.rig = rig_new(o)};
    rig_segment(s.rig, 1 << 20, 4096);
    s.trade = rig_topic(s.rig, GW_TRADE, "A.SIM");
    gw_item_t x = item(1, GW_TRADE, name, true, false);
    for (unsigned i = 0; i < clients; i++) {
        s.peers[i] = rig_connect(s.rig);
        rig_subscribe(s.rig, s.peers[i], 1, &x, 1);
    }
    rig_settle(s.rig);
    memset(s.rig->stats->steps_resumed, 0, sizeof s.rig->stats->steps_resumed);
    return s;
}

static uint64_t turn(rig_t *rig) {
    uint64_t before = rig->stats->sends[0];
    rig->now += 200 * US;
    gw_plane_cycle(rig->plane);
    rig_check_balance(rig);
    return rig->stats->sends[0] - before;
}

/* The seqs that wait unread, in order; how many. */
static unsigned frames(peer_t *peer) {
    frame_t f;
    unsigned n = 0;
    while (peer_frame(peer, &f)) n += f.kind == DATA;
    return n;
}

static void a_turn_serves_sixteen_and_then_looks_at_the_ring(void) {
    scene_t s = scene(rig_options(), 40, "A.SIM");
    rig_publish(s.rig, s.trade);
    CHECK_EQUAL(turn(s.rig), 16);
    CHECK_EQUAL(s.rig->stats->steps_resumed[GW_STEP_VISITS], 1);
    rig_publish(s.rig, s.trade); /* goes to those who wait yet, with the one before it */
    CHECK_EQUAL(turn(s.rig), 16);
    CHECK_EQUAL(s.rig->stats->records_taken[0], 2);
    for (int i = 0; i < 2; i++) CHECK(turn(s.rig) > 0);
    CHECK_EQUAL(turn(s.rig), 0);
    CHECK_EQUAL(s.rig->stats->delivered[GW_TRADE], 80);
    CHECK(!gw_plane_cycle(s.rig->plane));
    rig_free(s.rig);
}

/* A client that was served goes to the end: all others come before its second visit. */
static void who_waited_longest_is_served_first(void) {
    scene_t s = scene(rig_options(), 48, "A.SIM");
    uint64_t sends[48];
    for (int i = 0; i < 48; i++) sends[i] = s.peers[i]->sends;
    for (int t = 0; t < 9; t++) {
        rig_publish(s.rig, s.trade);
        CHECK_EQUAL(turn(s.rig), 16);
        uint64_t least = UINT64_MAX, most = 0;
        for (int i = 0; i < 48; i++) {
            uint64_t n = s.peers[i]->sends - sends[i];
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        CHECK(most - least <= 1);
    }
    rig_free(s.rig);
}

/* The subscriber that a record goes to first is another one each time. */
static void nobody_is_always_last(void) {
    scene_t s = scene(rig_options(), 20, "A.SIM");
    unsigned late[20] = {0};
    for (int k = 0; k < 20; k++) {
        uint64_t sends[20];
        for (int i = 0; i < 20; i++) sends[i] = s.peers[i]->sends;
        rig_publish(s.rig, s.trade);
        turn(s.rig);
        for (int i = 0; i < 20; i++) late[i] += s.peers[i]->sends == sends[i];
        while (turn(s.rig)) {
        }
    }
    for (int i = 0; i < 20; i++) CHECK_EQUAL(late[i], 4); /* of 20 times, four are not in the first slice */
    rig_free(s.rig);
}

/* 600 records to 60 clients are 36,000 links: more than a turn routes. */
static void a_batch_is_routed_by_work_and_kept(void) {
    scene_t s = scene(rig_options(), 60, "A.SIM");
    for (int i = 0; i < 600; i++) rig_publish(s.rig, s.trade);
    uint64_t cursor = s.rig->wait.cursor, taken = s.rig->stats->records_taken[0];
    turn(s.rig);
    uint64_t first = s.rig->stats->records_taken[0] - taken;
    CHECK_EQUAL(first, 32768 / (60 + 16) + 1);
    CHECK_EQUAL(s.rig->stats->steps_resumed[GW_STEP_RECORDS], 1);
    CHECK_EQUAL(s.rig->wait.cursor, cursor); /* the writer counts it as taken once all of it is */
    CHECK(s.rig->stats->ring_lag_records[0] == 600 - first);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->records_taken[0] - taken, 600);
    CHECK(s.rig->wait.cursor > cursor);
    for (int i = 0; i < 60; i++) CHECK_EQUAL(frames(s.peers[i]), 600);
    rig_free(s.rig);
}

static void commands_that_a_turn_leaves_are_counted(void) {
    scene_t s = scene(rig_options(), 1, "A.SIM");
    const uint64_t *left = &s.rig->stats->steps_resumed[GW_STEP_COMMANDS];
    for (unsigned i = 0; i < GW_COMMANDS_PER_CYCLE; i++) rig_text(s.rig, s.peers[0], i);
    turn(s.rig);
    CHECK_EQUAL(*left, 0);
    for (unsigned i = 0; i <= GW_COMMANDS_PER_CYCLE; i++) rig_text(s.rig, s.peers[0], i);
    turn(s.rig);
    turn(s.rig);
    CHECK_EQUAL(*left, 1);
    rig_free(s.rig);
}

/* A subscribe in the middle of a batch gets the records behind it, each once. */
static void a_command_between_two_parts_of_a_batch_sees_the_state_of_then(void) {
    scene_t s = scene(rig_options(), 60, "A.SIM");
    for (int i = 0; i < 600; i++) rig_publish(s.rig, s.trade);
    turn(s.rig);
    uint64_t at = gw_topic_find(s.rig->plane, GW_TRADE, "A.SIM", 5)->seq;
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, true);
    peer_t *late = rig_connect(s.rig);
    rig_subscribe(s.rig, late, 1, &x, 1);
    rig_settle(s.rig);
    frame_t f;
    uint64_t next = at;
    while (peer_frame(late, &f))
        if (f.kind == DATA) CHECK_EQUAL(f.seq, next++);
    CHECK(at < 600);
    CHECK_EQUAL(next, 601);
    rig_free(s.rig);
}

/* Blocks all, lets `records` gather, and opens the sockets again. */
static void gather_backlog(scene_t *s, unsigned clients, unsigned records) {
    for (unsigned i = 0; i < clients; i++) s->peers[i]->allowed = 0;
    for (unsigned k = 0; k < records; k++) {
        rig_publish(s->rig, s->trade);
        if (k % 100 == 99 || !k)
            while (turn(s->rig) || s->rig->plane->batch_at < s->rig->plane->batch_end) {
            }
    }
    for (unsigned i = 0; i < clients; i++) s->peers[i]->allowed = RIG_NO_LIMIT;
}

/* 20 clients with 3,000 frames each: a turn sends them 128 KiB and one room at most, in rooms of 32 KiB, each
 * its own before anybody has a second, and the turn's records meanwhile go out as ever. */
static void f69_many_who_catch_up_take_their_part_of_a_turn(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    scene_t s = scene(o, 20, "A.SIM");
    unsigned other = rig_topic(s.rig, GW_TRADE, "B.SIM");
    peer_t *quick = rig_connect(s.rig);
    gw_item_t x = item(1, GW_TRADE, "B.SIM", true, false);
    rig_subscribe(s.rig, quick, 1, &x, 1);
    rig_settle(s.rig);
    gather_backlog(&s, 20, 3000);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], 20);
    uint64_t sent[20] = {0}, turns = 0;
    for (int i = 0; i < 20; i++) sent[i] = s.peers[i]->length;
    while (s.rig->stats->clients_blocked[0]) {
        uint64_t before = s.rig->stats->sent_bytes[0], least = UINT64_MAX, most = 0;
        rig_publish(s.rig, other);
        turn(s.rig);
        CHECK(frames(quick) == 1);
        CHECK(s.rig->stats->sent_bytes[0] - before <= ((128 + 32) << 10) + 1024); /* and the one of B */
        for (int i = 0; i < 20; i++) {
            uint64_t n = (s.peers[i]->length - sent[i] + (32 << 10) - 1) >> 15; /* rooms, begun ones too */
            if (s.peers[i]->offered) CHECK(s.peers[i]->offered <= 32 << 10);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        CHECK(most - least <= 1);
        CHECK(++turns < 200);
    }
    CHECK(turns > 20);
    for (int i = 0; i < 20; i++) CHECK_EQUAL(frames(s.peers[i]), 3000);
    rig_free(s.rig);
}

/* 40 clients with news take three turns; until the last of them has his, those who catch up get one room a turn. */
static void f69_who_catches_up_waits_behind_a_long_round(void) {
    enum { SLOW = 8, QUICK = 40 };
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    scene_t s = scene(o, SLOW, "A.SIM");
    unsigned other = rig_topic(s.rig, GW_TRADE, "B.SIM");
    peer_t *quick[QUICK];
    gw_item_t x = item(1, GW_TRADE, "B.SIM", true, false);
    for (unsigned i = 0; i < QUICK; i++) rig_subscribe(s.rig, quick[i] = rig_connect(s.rig), 1, &x, 1);
    rig_settle(s.rig);
    gather_backlog(&s, SLOW, 3000);
    for (unsigned round = 0; round < 5; round++) {
        rig_publish(s.rig, other);
        for (unsigned got = 0; got < QUICK;) {
            uint64_t before = 0, after = 0, had = got;
            for (unsigned i = 0; i < SLOW; i++) before += s.peers[i]->length;
            turn(s.rig);
            for (unsigned i = 0; i < SLOW; i++) after += s.peers[i]->length;
            for (unsigned i = 0; i < QUICK; i++) got += frames(quick[i]);
            CHECK(got > had);
            if (got < QUICK) CHECK(after - before <= 32 << 10);
        }
    }
    while (turn(s.rig)) {
    }
    for (unsigned i = 0; i < SLOW; i++) CHECK_EQUAL(frames(s.peers[i]), 3000);
    rig_free(s.rig);
}

/* Its part of what is new goes out in bounded visits: 4,000 snapshots after `*`. */
static void f77_a_visit_renders_a_bounded_part(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    scene_t s = {.rig = rig_new(o)};
    rig_segment(s.rig, 1 << 20, 4096);
    char name[32];
    for (unsigned i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "S%u.SIM", i);
        rig_publish(s.rig, rig_topic(s.rig, GW_BBO, name));
    }
    rig_settle(s.rig);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t x = item(1, GW_BBO, "*", false, true);
    rig_subscribe(s.rig, peer, 1, &x, 1);
    unsigned n = 0;
    for (int i = 0; i < 60; i++) {
        uint64_t sends = peer->sends;
        turn(s.rig);
        if (peer->sends > sends) CHECK(peer->offered <= (64 << 10) + 512);
        frame_t f;
        while (peer_frame(peer, &f)) n += f.kind == DATA && f.snapshot;
    }
    CHECK_EQUAL(n, 4000);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], 0);
    CHECK(!gw_plane_cycle(s.rig->plane));
    rig_free(s.rig);
}

/* One run of 700 KiB, nobody blocked: 256 KiB of whole frames at a time. */
static void a_visit_sends_a_bounded_part_of_the_log(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    scene_t s = scene(o, 1, "A.SIM");
    for (int i = 0; i < 4000; i++) rig_publish(s.rig, s.trade);
    for (int i = 0; i < 20; i++) {
        uint64_t sends = s.peers[0]->sends;
        turn(s.rig);
        if (s.peers[0]->sends > sends) CHECK(s.peers[0]->offered <= 256 << 10);
    }
    CHECK_EQUAL(s.rig->stats->sends_short[0], 0);
    CHECK_EQUAL(frames(s.peers[0]), 4000);
    rig_free(s.rig);
}

/* A long reply leaves in parts, one a visit, and what came after it waits for all of them. */
static void a_long_reply_is_sent_in_parts(void) {
    enum { LENGTH = 60000, PART = 16 << 10 };
    scene_t s = scene(rig_options(), 1, "A.SIM");
    peer_t *peer = s.peers[0];
    gw_command_t *x = gw_command_new(GW_CMD_SEND, 0, 0, LENGTH);
    x->handle = peer->handle;
    memset(x->bytes, 'x', LENGTH);
    const size_t before = peer->length;
    rig_post(s.rig, x);
    rig_publish(s.rig, s.trade);
    for (size_t done = 0; done < LENGTH; done = peer->length - before) {
        CHECK(turn(s.rig) <= 2); /* the command's own, and a visit */
        const size_t sent = peer->length - before;
        CHECK(sent < LENGTH ? peer->offered == PART : peer->offered < PART); /* the tick goes with the last */
    }
    for (size_t i = 0; i < LENGTH; i++) CHECK(peer->stream[before + i] == 'x');
    peer->read = before + LENGTH;
    CHECK_EQUAL(frames(peer), 1);
    CHECK_EQUAL(gw_plane_control_used(s.rig->plane, peer->handle), 0);
    rig_free(s.rig);
}

/* A frame longer than any room: first in the queue of a blocked client, of two runs and of many. */
static void f77_a_frame_longer_than_the_room_is_sent_alone(void) {
    static const size_t lengths[] = {40000, 270000};
    for (int many = 0; many < 2; many++) {
        for (int k = 0; k < 2; k++) {
            gw_plane_options_t o = rig_options();
            o.log_bytes = 16 << 20;
            scene_t s = scene(o, 2, "*");
            gw_plane_t *p = s.rig->plane;
            gw_client_t *c = rig_client(s.rig, s.peers[0]);
            gather_backlog(&s, 1, 1);
            gw_client_push(p, c, rig_filler(p, lengths[k]));
            for (int i = 0; many && i < 3; i++) {
                rig_filler(p, 10); /* for nobody: the runs have holes */
                gw_client_push(p, c, rig_filler(p, 10));
            }
            size_t before = s.peers[0]->length;
            for (int i = 0; i < 10; i++) turn(s.rig);
            CHECK(!c->runs_count && !(c->flags & GW_CLIENT_BLOCKED));
            CHECK(s.peers[0]->length - before > lengths[k]);
            rig_free(s.rig);
        }
    }
}

/* A template with `blanks` blanks, and the tail that a skipped number goes in front of. */
static gw_template_t *padded(const char *type, unsigned blanks) {
    static const uint8_t splice[] = "\013,\"skipped\":\001}";
    uint8_t program[2048], *at = program;
    char head[96], text[251];
    memset(text, ' ', 250);
    text[250] = 0;
    snprintf(head, sizeof head, "{\"channel\":\"bbo\",\"type\":\"%s\",\"symbol\":\"", type);
    *at++ = 2;
    *at++ = GW_BBO;
    memcpy(at, splice, sizeof splice - 1);
    at = program_text(at + sizeof splice - 1, head);
    *at++ = 1;
    at = program_text(at, "\",\"seq\":");
    *at++ = 2;
    for (; blanks; blanks -= 250) at = program_text(at, text);
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

/* An update that renders longer than its snapshot: the room is for the longer of the two. */
static void a_long_update_stays_in_its_room(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    scene_t s = {.rig = rig_new(o)};
    gw_template_t **templates = s.rig->plane->o.formats[0].records[GW_BBO];
    gw_template_free(templates[GW_ENCODE_UPDATE]);
    gw_template_free(templates[GW_ENCODE_SNAPSHOT]);
    templates[GW_ENCODE_UPDATE] = padded("update", 1000);
    templates[GW_ENCODE_SNAPSHOT] = padded("snapshot", 0);
    rig_segment(s.rig, 1 << 20, 4096);
    peer_t *peer = rig_connect(s.rig);
    gw_item_t x = item(1, GW_BBO, "*", false, false);
    rig_subscribe(s.rig, peer, 1, &x, 1);
    rig_settle(s.rig);
    peer->allowed = 0;
    char name[32];
    for (int k = 0; k < 2; k++) {
        for (unsigned i = 0; i < 900; i++) {
            snprintf(name, sizeof name, "S%u.SIM", i);
            rig_publish(s.rig, rig_topic(s.rig, GW_BBO, name));
        }
        rig_settle(s.rig);
    }
    peer->allowed = RIG_NO_LIMIT;
    uint64_t turns = 0;
    for (; s.rig->stats->clients_blocked[0]; turns++) {
        turn(s.rig);
        CHECK(peer->offered <= 32 << 10);
        CHECK(turns < 100);
    }
    CHECK(peer->length - peer->read > 900 * 1000);
    CHECK_EQUAL(s.rig->stats->delivered[GW_BBO], 900);
    rig_free(s.rig);
}

/* A record of another kind under a topic's id: from the ring, and from the table of a segment just attached. */
static void a_record_of_another_kind_is_skipped_and_counted(void) {
    scene_t s = scene(rig_options(), 1, "A.SIM");
    rig_publish(s.rig, s.trade);
    rig_settle(s.rig);
    s.rig->topics[s.trade].channel = GW_BBO;
    rig_publish(s.rig, s.trade);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->wrong_kinds[0], 1);
    CHECK_EQUAL(frames(s.peers[0]), 1);
    s.rig->topics[s.trade].channel = GW_TRADE;
    rig_publish(s.rig, s.trade); /* the hole is told */
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->dropped_lapped[GW_TRADE], 1);
    CHECK_EQUAL(frames(s.peers[0]), 1);
    rig_segment(s.rig, 1 << 20, 4096);
    rig_register(s.rig, s.trade);
    s.rig->topics[s.trade].channel = GW_BBO;
    rig_publish(s.rig, s.trade);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->wrong_kinds[0], 2);
    CHECK_EQUAL(gw_topic_find(s.rig->plane, GW_TRADE, "A.SIM", 5)->seq, 0);
    rig_free(s.rig);
}

/* A segment may come, and many commands, while clients wait: all of them are visited once. */
static void a_segment_between_visits_forgets_nobody(void) {
    gw_plane_options_t o = rig_options();
    o.waiting_topics_max = 0;
    scene_t s = scene(o, 60, "*");
    gw_item_t none = item(2, GW_TRADE, "NONE.SIM", true, true);
    for (int i = 0; i < 60; i++) rig_subscribe(s.rig, s.peers[i], 2, &none, 1); /* refused and told: touched */
    char name[32];
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "S%u.SIM", i);
        rig_topic(s.rig, GW_TRADE, name);
    }
    rig_segment(s.rig, 1 << 20, 4096);
    for (unsigned i = 0; i < 1500; i++) rig_publish(s.rig, i + 1);
    for (int i = 0; i < 50; i++) rig_settle(s.rig);
    for (int i = 0; i < 60; i++) {
        const gw_client_t *c = rig_client(s.rig, s.peers[i]);
        CHECK(!c->runs_count && !c->control && !c->turn_next);
        CHECK_EQUAL(frames(s.peers[i]), 1500);
    }
    rig_free(s.rig);
}

int main(void) {
    RUN(a_turn_serves_sixteen_and_then_looks_at_the_ring);
    RUN(who_waited_longest_is_served_first);
    RUN(nobody_is_always_last);
    RUN(a_batch_is_routed_by_work_and_kept);
    RUN(commands_that_a_turn_leaves_are_counted);
    RUN(a_command_between_two_parts_of_a_batch_sees_the_state_of_then);
    RUN(f69_many_who_catch_up_take_their_part_of_a_turn);
    RUN(f69_who_catches_up_waits_behind_a_long_round);
    RUN(f77_a_visit_renders_a_bounded_part);
    RUN(a_visit_sends_a_bounded_part_of_the_log);
    RUN(a_long_reply_is_sent_in_parts);
    RUN(f77_a_frame_longer_than_the_room_is_sent_alone);
    RUN(a_long_update_stays_in_its_room);
    RUN(a_record_of_another_kind_is_skipped_and_counted);
    RUN(a_segment_between_visits_forgets_nobody);
    return 0;
}
