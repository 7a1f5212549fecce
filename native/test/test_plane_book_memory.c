/* Order books of a plane without memory: each allocation of a scene fails once. Who is not let go for it has the book all the
 * same, frame by frame, and nothing is kept for ever. */
#include "failing_memory.h"
#include "plane_book.h"

enum { CLIENTS = 6, LEVELS = 1400 };
static const unsigned variants[CLIENTS] = {2, 2, 2, 7, 7, 5}; /* 10, all, 500 */
static book_client_t clients[CLIENTS];
static gw_book_level_t levels[LEVELS];
static book_writer_t w;
static unsigned closed; /* of all scenes */

static bool is_let_go(const rig_t *rig, unsigned i) { return rig_client(rig, clients[i].peer)->flags & GW_CLIENT_DOOMED; }

static void read_all(void) {
    for (unsigned i = 0; i < CLIENTS; i++) book_read(&clients[i], &w);
}

static void say(int64_t price, int64_t qty) {
    const gw_book_level_t level = level_of(0, price, qty);
    CHECK(book_say(&w, &level, 1, false, false, (gw_header_t){0}));
}

static void say_state(int64_t qty) {
    for (int i = 0; i < LEVELS; i++) levels[i] = level_of((unsigned)i % 2, i % 2 ? 10001 + i / 2 : 10000 - i / 2, qty + i);
    CHECK(book_say(&w, levels, LEVELS, true, false, (gw_header_t){0}));
}

static void allow(int64_t bytes, unsigned every) {
    for (unsigned i = 0; i < CLIENTS; i += every) clients[i].peer->allowed = bytes;
}

/* Frames for those abreast, a cut queue, states in parts while the book goes on, other depths, a record too large for the
 * ring, the topic's end and its next life, another segment. */
static void scene(void) {
    random_state = 1;
    rig_t *rig = book_rig(1 << 18, 100000);
    rig->plane->books.freeze_most = 600;
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){10000, 30, false});
    say_state(100);
    rig_settle(rig); /* who has no memory for a segment follows none */
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_client_open(&clients[i], rig, variants[i]);
        roomy(clients[i].peer);
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (int i = 0; i < 8; i++) {
        say(10000 - i, 500 + i);
        turns(rig, 1);
    }
    allow(700, 2);
    for (int i = 0; i < 8; i++) say(10000 - i, 600 + i);
    turns(rig, 4);
    clients[1].asked = 3;
    clients[4].asked = 6;
    for (unsigned i = 1; i < CLIENTS; i += 3) book_subscribe(rig, &clients[i], "B.SIM", true, true);
    turns(rig, 2);
    read_all();
    say_state(5000);
    turns(rig, 2);
    allow(RIG_NO_LIMIT, 1);
    for (int i = 0; i < 8; i++) {
        say(10000 - i, 700 + i);
        turns(rig, 1);
    }
    turns(rig, 60);
    read_all();
    rig_retire(rig, w.topic);
    gw_book_close(&w.book);
    turns(rig, 20);
    read_all();
    rig->now += 20000000000;
    book_begin(&w);
    say_state(300);
    turns(rig, 3);
    read_all();
    rig_segment(rig, 1 << 18, 64);
    book_begin(&w);
    gw_plane_cycle(rig->plane);
    turns(rig, 3);
    say_state(900);
    say(10000, 5);
    turns(rig, 200); /* one that cannot be copied is looked for at leisure */
    read_all();
    uint64_t hash[GW_BOOK_DEPTHS];
    book_hash(&w.book, hash);
    unsigned gone = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (is_let_go(rig, i)) gone++;
        else CHECK(peer_whole(clients[i].peer) && shown_hash(&clients[i]) == hash[clients[i].variant]);
    }
    closed += gone;
    CHECK(gone <= 1 || !rig->stats->links[0]);
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) CHECK(!rig->plane->books.frozen[i].of);
    CHECK_EQUAL(rig->plane->books.todo, 0);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    for (unsigned i = 0; i < CLIENTS; i++) rig_remove(rig, clients[i].peer);
    turns(rig, 50);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK_EQUAL(rig->plane->books.numbers_free_count, rig->plane->books.numbers_next);
    for (unsigned i = 0; i < CLIENTS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

static void each_allocation_may_fail(void) {
    fails_at = allocations = 0;
    scene();
    const unsigned all = allocations;
    CHECK(all > 50 && closed == 0);
    for (unsigned at = 1; at <= all; at++) {
        fails_at = at;
        allocations = 0;
        scene();
    }
    CHECK(closed > 0);
}

int main(void) {
    RUN(each_allocation_may_fail);
    return 0;
}
