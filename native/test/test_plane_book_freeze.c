/* States of large books, which are frozen in steps: how much a step does, and that the book may go on. */
#include "plane_book.h"

enum { SIDE = 6000, MESSAGE = 1000, CLIENTS = 4, MOST = 500 };
static book_client_t clients[CLIENTS];

static const unsigned variants[CLIENTS] = {7, 7, 5, 7}; /* all, 500 */

static void fill(book_writer_t *w) {
    static gw_book_level_t levels[MESSAGE];
    for (int from = 0; from < SIDE; from += MESSAGE / 2) {
        for (int i = 0; i < MESSAGE; i++) {
            const int64_t away = 1 + from + i / 2;
            levels[i] = level_of((unsigned)i % 2, i % 2 ? w->walk.mid + away : w->walk.mid - away, 1 + (int64_t)draw(50));
        }
        CHECK(book_say(w, levels, MESSAGE, false, false, (gw_header_t){0}));
    }
}

static void all_have_all(book_writer_t *w) {
    uint64_t hash[GW_BOOK_DEPTHS];
    book_hash(&w->book, hash);
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_read(&clients[i], w);
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
        CHECK(clients[i].parted >= 1);
    }
}

/* What was done for the state until now, of what a step may do: copied, merged, counted. */
static uint64_t done_of(const gw_book_frozen_t *f) {
    uint64_t done = f->still.count;
    if (!f->of) return 0;
    for (int binary = 0; binary < 2; binary++)
        for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) done += f->row[binary][i];
    return done;
}

/* The book stands still while its state is frozen, or changes all the time, or (`rests`) until the state is held. */
static void a_cycle_does_a_part_of_a_state(bool changes, bool rests) {
    rig_t *rig = book_rig(1 << 20, 1000000);
    book_writer_t w;
    uint64_t before[GW_BOOK_FROZEN] = {0};
    unsigned working = 0, frozen = 0;
    bool held = false;
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){1000000, 2000, false});
    w.walk.mid = 1000000;
    fill(&w);
    rig_settle(rig);
    rig->plane->books.freeze_most = MOST;
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_client_open(&clients[i], rig, changes ? 7 : variants[i]);
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (int cycle = 0; cycle < 300; cycle++) {
        const gw_book_frozen_t *f = rig->plane->books.frozen;
        uint64_t work = 0, most = 0;
        rig->now += 200000;
        gw_plane_cycle(rig->plane);
        for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) {
            const uint64_t now = done_of(&f[i]);
            if (now > before[i]) work += now - before[i];
            most = now > most ? now : most;
            before[i] = now;
            frozen |= (f[i].of != NULL) << i;
        }
        CHECK(work <= MOST + GW_BOOK_PART_ROWS); /* a part is counted in one piece */
        working += work > 0;
        held |= f[GW_BOOK_FROZEN - 1].still.seq != 0;
        if (changes && !(rests && held) && draw(2)) book_walk(&w, false, false);
        for (unsigned i = 0; i < CLIENTS; i++) book_read(&clients[i], &w);
    }
    CHECK(working > (changes ? 3 : 2) * 2 * SIDE / (MOST + GW_BOOK_PART_ROWS));
    CHECK_EQUAL(frozen, 1u << (GW_BOOK_FROZEN - 1)); /* one state for all of them */
    for (int i = 0; i < 5; i++) rig_settle(rig);
    all_have_all(&w);
    CHECK_EQUAL(rig->stats->filtered[GW_BOOK], 0); /* what came before it was held is in it */
    for (unsigned i = 0; !changes && i < CLIENTS; i++) CHECK_EQUAL(clients[i].frames, 1);
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) CHECK(!rig->plane->books.frozen[i].of);
    for (unsigned i = 0; i < CLIENTS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

static void a_large_book_is_frozen_in_steps(void) { a_cycle_does_a_part_of_a_state(false, false); }
static void a_large_book_is_frozen_while_it_changes(void) {
    for (uint64_t seed = 1; seed < 6; seed++) {
        random_state = seed;
        a_cycle_does_a_part_of_a_state(true, seed % 2);
    }
}

/* One whose window is the first of its depth comes while a state is sent already, to the same state. */
static void a_state_is_shared_by_another_depth(void) {
    rig_t *rig = book_rig(1 << 20, 1000000);
    book_writer_t w;
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){1000000, 2000, false});
    w.walk.mid = 1000000;
    fill(&w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_client_open(&clients[i], rig, variants[i]);
        if (i != 2) clients[i].peer->allowed = 1000;
        if (i != 2) book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (int i = 0; i < 3; i++) rig_settle(rig);
    book_subscribe(rig, &clients[2], "B.SIM", true, true);
    rig_settle(rig);
    CHECK_EQUAL(rig->plane->books.frozen[GW_BOOK_FROZEN - 1].users, CLIENTS - 1);
    book_read(&clients[2], &w);
    CHECK_EQUAL(clients[2].parted, 1);
    for (unsigned i = 0; i < CLIENTS; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 200; i++) {
        book_walk(&w, false, false);
        rig_settle(rig);
        for (unsigned k = 0; k < CLIENTS; k++) book_read(&clients[k], &w);
    }
    all_have_all(&w);
    for (unsigned i = 0; i < CLIENTS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

/* All places for states have clients that take no byte more: they keep them for as long as nobody wants one, then not. */
static void who_stalls_in_a_state_gives_its_place_up(void) {
    enum { BOOKS = GW_BOOK_FROZEN + 1, STEP_NS = 10000000 };
    static book_writer_t writers[BOOKS];
    static book_client_t readers[BOOKS];
    static gw_book_level_t levels[3600];
    rig_t *rig = book_rig(1 << 20, 1000000);
    for (unsigned i = 0; i < BOOKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "B%u.SIM", i);
        book_writer_open(&writers[i], rig, name, 0, (walk_t){10000, 2000, false});
        for (int k = 0; k < 3600; k++) levels[k] = level_of((unsigned)k % 2, k % 2 ? 10001 + k : 10000 - k, 7 + k);
        CHECK(book_say(&writers[i], levels, 3600, true, false, (gw_header_t){0}));
        book_client_open(&readers[i], rig, 7);
        if (i < GW_BOOK_FROZEN) readers[i].peer->allowed = 17000; /* a part, and some of the next */
        if (i < GW_BOOK_FROZEN) book_subscribe(rig, &readers[i], name, true, true);
    }
    for (int i = 0; i < 3 * (GW_BOOK_HELD_NS / STEP_NS); i++) {
        rig->now += STEP_NS;
        gw_plane_cycle(rig->plane);
    }
    CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), 0);
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) CHECK_EQUAL(rig_client(rig, readers[i].peer)->frozen, 1);
    const unsigned last = BOOKS - 1;
    book_subscribe(rig, &readers[last], "B8.SIM", true, true);
    for (int i = 0; i < 20; i++) {
        rig->now += STEP_NS;
        gw_plane_cycle(rig->plane);
    }
    for (int i = 0; i < 3; i++) rig_settle(rig);
    book_read(&readers[last], &writers[last]);
    CHECK_EQUAL(readers[last].parted, 1);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), GW_BOOK_FROZEN);
    rig_check_balance(rig);
    for (unsigned i = 0; i < BOOKS; i++) {
        if (i < GW_BOOK_FROZEN) CHECK_EQUAL(rig_client(rig, readers[i].peer)->frozen, 0);
        book_client_close(&readers[i]);
        book_writer_close(&writers[i]);
    }
    rig_free(rig);
}

int main(void) {
    RUN(a_large_book_is_frozen_in_steps);
    RUN(a_large_book_is_frozen_while_it_changes);
    RUN(a_state_is_shared_by_another_depth);
    RUN(who_stalls_in_a_state_gives_its_place_up);
    return 0;
}
