/* Order books through the plane: strict clients of each depth, whose sockets take as little as they like. */
#include "plane_book.h"

static book_client_t clients[16];

static void read_all(unsigned n, const book_writer_t *w) {
    for (unsigned i = 0; i < n; i++) book_read(&clients[i], w);
}

/* At rest each has what the writer has. */
static void all_have_all(unsigned n, const book_writer_t *w) {
    uint64_t hash[GW_BOOK_DEPTHS];
    book_hash(&w->book, hash);
    for (unsigned i = 0; i < n; i++) {
        CHECK(peer_whole(clients[i].peer));
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
    }
}

static void a_book_is_followed(void) {
    rig_t *rig = book_rig(1 << 20, 100000);
    book_writer_t w;
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){10000, 30, false});
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) {
        book_client_open(&clients[i], rig, i);
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    rig_settle(rig);
    for (int i = 0; i < 2000; i++) {
        book_walk(&w, i % 100 == 0, false);
        if (draw(3)) continue;
        rig_settle(rig);
        read_all(GW_BOOK_DEPTHS, &w);
        all_have_all(GW_BOOK_DEPTHS, &w);
        rig_check_balance(rig);
    }
    rig_settle(rig);
    read_all(GW_BOOK_DEPTHS, &w);
    all_have_all(GW_BOOK_DEPTHS, &w);
    const gw_stats_t *s = rig->stats;
    uint64_t frames = 0;
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) frames += clients[i].frames;
    CHECK_EQUAL(s->pending[GW_BOOK], 0);
    CHECK_EQUAL(s->delivered[GW_BOOK] + s->snapshots[GW_BOOK], frames);
    CHECK(s->filtered[GW_BOOK] > 1000 && clients[0].updates < clients[7].updates);
    CHECK_EQUAL(s->books_copied[0], 1);
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

/* --- at random ----------------------------------------------------------------------------------- */

typedef struct {
    uint32_t depth; /* the venue's */
    int ticks;
    bool big, laps, resets, changes, rates;
    int steps;
} course_t;

static void lap(rig_t *rig, unsigned other) {
    for (int i = 0; i < 1400; i++) rig_publish(rig, other); /* more than the ring has */
}

/* Another rate, and another limit of age; mostly none. */
static void limits_draw(book_client_t *c) {
    c->interval_ms = draw(3) ? (uint16_t)(1 + draw(20)) : 0;
    c->age_ms = draw(2) ? (uint32_t)(1 + draw(20)) : 0;
}

/* The ladder holds class 1 for such an interval. */
static void ladder_move(rig_t *rig, uint8_t interval) {
    gw_plane_t *p = rig->plane;
    p->ladder.interval[1] = interval;
    for (uint32_t i = 0; i < p->clients_high; i++)
        if (p->clients[i].active) gw_client_refresh(p, &p->clients[i]);
}

/* What happens beside messages. */
static void incident(rig_t *rig, book_writer_t *w, const course_t *course, unsigned other) {
    book_client_t *c = &clients[draw(16)];
    const unsigned what = (unsigned)draw(8);
    if (what == 0 && course->laps) lap(rig, other);
    if (what == 1 && course->changes) {
        c->peer->allowed = RIG_NO_LIMIT; /* so that it knows which depth it has */
        for (int i = 0; i < 3; i++) rig_settle(rig);
        book_read(c, w);
        c->asked = (unsigned)draw(GW_BOOK_DEPTHS);
        if (course->rates) limits_draw(c);
        book_subscribe(rig, c, c->name, true, draw(2));
    }
    if (what == 2 && course->changes) book_subscribe(rig, c, c->name, true, true);
    if (what == 4 && course->rates) {
        limits_draw(c);
        book_subscribe(rig, c, c->name, true, false);
    }
    if (what == 5 && course->rates) ladder_move(rig, (uint8_t)(draw(2) ? 0 : draw(GW_INTERVALS)));
    if (what == 3) w->flags ^= GW_FLAG_MAYBE_BAD_BOOK;
}

/* What was too old, and is sent no more: the next frame has it. */
static void unlimited(rig_t *rig, book_writer_t *w) {
    ladder_move(rig, 0);
    rig->now += 1000000000;
    for (int i = 0; i < 5; i++) rig_settle(rig);
    read_all(16, w);
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    for (unsigned i = 0; i < 16; i++) {
        clients[i].interval_ms = 0;
        clients[i].age_ms = 0;
        book_subscribe(rig, &clients[i], clients[i].name, true, false);
    }
    const gw_book_level_t levels[] = {level_of(0, w->walk.mid - 1, 12345), level_of(1, w->walk.mid + 1, 54321)};
    w->flags = 0;
    for (unsigned side = 0; side < 2; side++) CHECK(book_say(w, &levels[side], 1, false, false, (gw_header_t){0}));
    for (int i = 0; i < 5; i++) rig_settle(rig);
}

static void course_run(uint64_t seed, course_t course) {
    random_state = seed;
    rig_t *rig = book_rig(1 << 17, 400000);
    const unsigned other = rig_topic(rig, GW_TRADE, "X.SIM");
    book_writer_t w;
    book_writer_open(&w, rig, "B.SIM", course.depth, (walk_t){10000, course.ticks, course.big});
    for (unsigned i = 0; i < 16; i++) {
        book_client_open(&clients[i], rig, i % GW_BOOK_DEPTHS);
        snprintf(clients[i].name, sizeof clients[i].name, "%s", draw(2) ? "B.SIM" : "*");
        if (course.rates) limits_draw(&clients[i]);
        book_subscribe(rig, &clients[i], clients[i].name, draw(4) > 0, true);
    }
    rig_settle(rig);
    if (seed % 2) rig->plane->books.freeze_most = 100; /* states take some cycles */
    for (int i = 0; i < course.steps; i++) {
        const uint64_t burst = draw(10) ? draw(4) : draw(200);
        for (uint64_t k = 0; k < burst; k++) book_walk(&w, draw(200) == 0, course.resets && draw(50) == 0);
        if (draw(20) == 0) incident(rig, &w, &course, other);
        for (int k = 0; k < 3; k++) { /* a socket takes nothing, a few bytes, or all */
            peer_t *peer = clients[draw(16)].peer;
            const uint64_t how = draw(4);
            peer->allowed = how == 0 ? 0 : how == 1 ? (int64_t)draw(700) : how == 2 ? (int64_t)draw(20000) : RIG_NO_LIMIT;
        }
        rig->now += (int64_t)draw(300000);
        for (uint64_t k = draw(4); k > 0; k--) gw_plane_cycle(rig->plane);
        read_all(16, &w);
        if (i % 16 == 0) rig_check_balance(rig);
    }
    for (unsigned i = 0; i < 16; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 5; i++) rig_settle(rig);
    if (course.rates) unlimited(rig, &w);
    read_all(16, &w);
    all_have_all(16, &w);
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    CHECK_EQUAL(rig->stats->books_missing[0], 0);
    uint64_t frames = 0, parted = 0;
    for (unsigned i = 0; i < 16; i++) frames += clients[i].frames, parted += clients[i].parted;
    if (!course.changes) CHECK_EQUAL(rig->stats->delivered[GW_BOOK] + rig->stats->snapshots[GW_BOOK], frames);
    printf("  seed %llu: %llu frames, %llu in parts, %llu copies, %llu laps\n", (unsigned long long)seed, (unsigned long long)frames,
           (unsigned long long)parted, (unsigned long long)rig->stats->books_copied[0],
           (unsigned long long)rig->stats->ring_lapped[0]);
    for (unsigned i = 0; i < 16; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

static void writes_are_cut_anywhere(void) {
    for (uint64_t seed = 1; seed <= 6; seed++) course_run(seed, (course_t){.ticks = 40, .steps = 1500});
}

static void venues_evict(void) {
    for (uint64_t seed = 11; seed <= 14; seed++) course_run(seed, (course_t){.depth = 30, .ticks = 60, .steps = 1500});
}

/* A mutant: a writer that keeps some of what its venue's depth evicts to itself. Clients have levels then that are gone. */
static void an_eviction_that_is_hidden_is_found(void) {
    random_state = 15;
    rig_t *rig = book_rig(1 << 20, 100000);
    book_writer_t w;
    book_writer_open(&w, rig, "B.SIM", 30, (walk_t){10000, 60, false});
    w.hidden = true;
    book_client_open(&clients[0], rig, GW_BOOK_DEPTHS - 1);
    clients[0].lenient = true;
    book_subscribe(rig, &clients[0], "B.SIM", true, true);
    for (int i = 0; i < 300; i++) {
        book_walk(&w, false, false);
        rig_settle(rig);
        book_read(&clients[0], &w);
    }
    CHECK(clients[0].wrong > 100);
    book_client_close(&clients[0]);
    book_writer_close(&w);
    rig_free(rig);
}

static void laps_and_resets_are_told_as_differences(void) {
    for (uint64_t seed = 21; seed <= 24; seed++)
        course_run(seed, (course_t){.ticks = 60, .steps = 1500, .laps = true, .resets = true});
}

static void f77_large_books_come_in_parts(void) {
    for (uint64_t seed = 31; seed <= 34; seed++)
        course_run(seed, (course_t){.ticks = 3000, .big = true, .steps = 700, .laps = true, .resets = true});
}

static void depths_change(void) {
    for (uint64_t seed = 41; seed <= 44; seed++)
        course_run(seed, (course_t){.ticks = 1500, .big = true, .steps = 700, .laps = true, .resets = true, .changes = true});
}

/* What waits for its cell, or is too old when that comes, stays in what the client has yet to get. */
static void rates_and_ages_lose_nothing(void) {
    for (uint64_t seed = 51; seed <= 56; seed++)
        course_run(seed, (course_t){.ticks = seed % 2 ? 40 : 1500, .big = seed % 2 == 0, .steps = 800, .laps = true, .resets = true,
                                    .changes = seed > 53, .rates = true});
}

/* --- ends and beginnings ------------------------------------------------------------------------- */

static void begin_all(rig_t *rig, book_writer_t *w) {
    book_writer_open(w, rig, "B.SIM", 0, (walk_t){10000, 1000, true});
    for (unsigned i = 0; i < 16; i++) {
        book_client_open(&clients[i], rig, i % GW_BOOK_DEPTHS);
        book_subscribe(rig, &clients[i], i % 3 ? "B.SIM" : "*", true, true);
    }
    rig_settle(rig);
}

static void end_all(rig_t *rig, book_writer_t *w) {
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    for (unsigned i = 0; i < 16; i++) book_client_close(&clients[i]);
    book_writer_close(w);
    rig_free(rig);
}

static void talk(rig_t *rig, book_writer_t *w, int messages) {
    for (int i = 0; i < messages; i++) {
        book_walk(w, i % 50 == 0, false);
        if (draw(2)) rig_settle(rig);
        read_all(16, w);
    }
}

/* Frames of the old one that were cut are finished, all else of it goes. */
static void another_epoch_begins_with_snapshots(void) {
    rig_t *rig = book_rig(1 << 20, 400000);
    book_writer_t w;
    begin_all(rig, &w);
    for (int epoch = 0; epoch < 6; epoch++) {
        talk(rig, &w, 60);
        for (unsigned i = 0; i < 16; i++) clients[i].peer->allowed = (int64_t)draw(30000);
        book_walk(&w, true, false);
        rig_settle(rig);
        read_all(16, &w);
        rig_segment(rig, 1 << 20, 64);
        book_begin(&w);
        book_walk(&w, true, false);
        for (int i = 0; i < 3; i++) rig_settle(rig);
        for (unsigned i = 0; i < 16; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(16, &w);
        all_have_all(16, &w);
        rig_check_balance(rig);
    }
    end_all(rig, &w);
}

static void a_book_ends_and_comes_back(void) {
    rig_t *rig = book_rig(1 << 20, 400000);
    book_writer_t w;
    begin_all(rig, &w);
    for (int life = 0; life < 6; life++) {
        talk(rig, &w, 60);
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(16, &w);
        all_have_all(16, &w);
        if (life % 2) book_walk(&w, true, false); /* its last state has not left by then */
        rig_retire(rig, w.topic);
        gw_book_close(&w.book);
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(16, &w);
        for (unsigned i = 0; i < 16; i++) CHECK_EQUAL(clients[i].retired, (uint64_t)life + 1);
        rig_check_balance(rig);
        rig->now += 20000000000;
        book_begin(&w);
        for (unsigned i = 0; i < 16; i++) clients[i].fresh = true;
    }
    end_all(rig, &w);
}

static void a_gap_of_the_feed_is_told_before_the_difference(void) {
    rig_t *rig = book_rig(1 << 20, 400000);
    book_writer_t w;
    begin_all(rig, &w);
    talk(rig, &w, 20);
    rig_settle(rig);
    gw_book_level_t level = level_of(0, 10000, 77);
    w.flags = GW_FLAG_MAYBE_BAD_BOOK;
    CHECK(book_say(&w, &level, 1, false, false, (gw_header_t){.gap = GW_GAP_FEED, .lost = 3}));
    rig_settle(rig);
    read_all(16, &w);
    for (unsigned i = 0; i < 16; i++) CHECK_EQUAL(clients[i].gaps, 1);
    all_have_all(16, &w);
    end_all(rig, &w);
}

/* The state in hand is finished first, byte by byte, while the book goes on; then comes what was missed of it. */
static void parts_are_of_one_state(void) {
    rig_t *rig = book_rig(1 << 20, 400000);
    book_writer_t w;
    begin_all(rig, &w);
    w.walk.ticks = 3000;
    book_client_t *c = &clients[7];
    for (int turn = 0; turn < 5; turn++) {
        while (gw_book_levels(&w.book, 0) + gw_book_levels(&w.book, 1) < 1200) book_walk(&w, true, false);
        rig_settle(rig);
        book_subscribe(rig, c, "B.SIM", true, true);
        const uint64_t parted = c->parted;
        for (int i = 0; i < 4000 && c->parted == parted; i++) {
            c->peer->allowed = (int64_t)draw(200);
            if (i % 10 == 0) book_walk(&w, false, false);
            rig_settle(rig);
            read_all(16, &w);
        }
        CHECK_EQUAL(c->parted, parted + 1);
        c->peer->allowed = RIG_NO_LIMIT;
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(16, &w);
        all_have_all(16, &w);
        rig_check_balance(rig);
    }
    end_all(rig, &w);
}

/* Nine states at a time are one too many: the ninth waits. */
static void states_in_parts_are_few(void) {
    enum { BOOKS = GW_BOOK_FROZEN + 4 };
    static book_writer_t writers[BOOKS];
    rig_t *rig = book_rig(1 << 20, 1000000);
    for (unsigned i = 0; i < BOOKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "B%u.SIM", i);
        writers[i] = (book_writer_t){.rig = rig, .topic = rig_topic(rig, GW_BOOK, name), .walk = {10000, 3000, true}};
        writers[i].all = calloc(BOOK_LIVES * BOOK_SEQS, sizeof *writers[i].all);
        book_begin(&writers[i]);
        while (gw_book_levels(&writers[i].book, 0) + gw_book_levels(&writers[i].book, 1) < 1200) book_walk(&writers[i], true, false);
        book_client_open(&clients[i], rig, 7);
        clients[i].peer->allowed = 5000;
        book_subscribe(rig, &clients[i], name, true, true);
    }
    for (int i = 0; i < 5; i++) rig_settle(rig);
    unsigned used = 0, waiting = 0;
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) used += rig->plane->books.frozen[i].of != NULL;
    for (const gw_book_link_t *b = rig->plane->books.waiting.first; b; b = b->next) waiting++;
    CHECK_EQUAL(used, GW_BOOK_FROZEN);
    CHECK_EQUAL(waiting, BOOKS - GW_BOOK_FROZEN);
    rig_check_balance(rig);
    for (unsigned i = 0; i < BOOKS; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 5; i++) rig_settle(rig);
    for (unsigned i = 0; i < BOOKS; i++) {
        book_read(&clients[i], &writers[i]);
        CHECK_EQUAL(clients[i].parted, 1);
        uint64_t hash[GW_BOOK_DEPTHS];
        book_hash(&writers[i].book, hash);
        CHECK_EQUAL(shown_hash(&clients[i]), hash[7]);
        book_client_close(&clients[i]);
        book_writer_close(&writers[i]);
    }
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) CHECK(!rig->plane->books.frozen[i].of);
    rig_free(rig);
}

/* Nobody knows how deep a window a client has from before: it gets all, and how many it missed. */
static void from_is_answered_by_a_snapshot(void) {
    for (int of_age = 0; of_age < 2; of_age++) {
        rig_t *rig = book_rig(1 << 20, 100000);
        book_writer_t w;
        book_writer_open(&w, rig, "B.SIM", 0, (walk_t){10000, 30, false});
        while (rig->topics[w.topic].count < 20) book_walk(&w, false, false);
        rig_settle(rig);
        book_client_t *c = &clients[0];
        book_client_open(c, rig, 2);
        gw_item_t x = item(7, GW_BOOK, "B.SIM", false, true);
        x.variant = 2;
        x.resync = 1;
        x.priority = 1;
        x.from = GW_FROM_SEQ;
        memcpy(x.from_epoch, rig->plane->epoch, GW_EPOCH_LENGTH);
        x.from_value = 15;
        x.age_ms = of_age ? 50 : 0;
        if (of_age) rig->now += 100000000; /* what it missed is too old: the next one says so */
        rig_subscribe(rig, c->peer, 1, &x, 1);
        for (int i = 0; i < 3; i++) rig_settle(rig);
        book_read(c, &w);
        const gw_stats_t *s = rig->stats;
        CHECK_EQUAL(c->snapshots, !of_age);
        CHECK_EQUAL(s->delivered[GW_BOOK], !of_age);
        CHECK_EQUAL(s->filtered[GW_BOOK], of_age);
        CHECK(s->conflated[GW_BOOK] == 4 && s->routed[GW_BOOK] == 5 && s->snapshots[GW_BOOK] == 0);
        const gw_book_level_t level = level_of(0, 9990, 77);
        CHECK(book_say(&w, &level, 1, false, false, (gw_header_t){0}));
        rig_settle(rig);
        book_read(c, &w);
        CHECK_EQUAL(c->seq, 21);
        CHECK(c->snapshots == 1 && c->skipped == (of_age ? 5 : 4));
        all_have_all(1, &w);
        rig_check_balance(rig);
        book_client_close(c);
        book_writer_close(&w);
        rig_free(rig);
    }
}

/* Its seqlock stays odd: those who want the book are told, once each, all else goes on, and nothing is lost once it ends. */
static void a_writer_that_stops_in_the_middle(void) {
    rig_t *rig = book_rig(1 << 20, 100000);
    book_writer_t w[2];
    for (unsigned i = 0; i < 2; i++) {
        book_writer_open(&w[i], rig, i ? "B1.SIM" : "B0.SIM", 0, (walk_t){10000, 30, false});
        for (int k = 0; k < 20; k++) book_walk(&w[i], true, false);
    }
    gw_book_head_t *head = w[0].book.head;
    const int64_t wanted_ns = rig->now;
    head->version++;
    for (unsigned i = 0; i < 4; i++) {
        book_client_open(&clients[i], rig, 2 + i);
        book_subscribe(rig, &clients[i], i == 3 ? "B1.SIM" : "B0.SIM", true, true);
        rig_settle(rig);
        for (int k = 0; k < (i == 1 ? 200 : 1); k++) { /* two before it is missing, one after */
            rig->now += 1000000;
            rig_settle(rig);
            const int64_t waited = rig->now - wanted_ns;
            if (waited < 100000000) CHECK_EQUAL(rig->stats->books_missing[0], 0);
            if (waited > 120000000) CHECK_EQUAL(rig->stats->books_missing[0], 1);
        }
        book_read(&clients[i], &w[i == 3]);
    }
    for (int k = 0; k < 50; k++) {
        rig->now += 1000000;
        book_walk(&w[1], false, false);
        rig_settle(rig);
        book_read(&clients[3], &w[1]);
    }
    for (unsigned i = 0; i < 3; i++) {
        book_read(&clients[i], &w[0]);
        CHECK(clients[i].missing == 1 && clients[i].frames == 0);
    }
    CHECK(clients[3].missing == 0 && clients[3].frames > 20);
    CHECK_EQUAL(rig->stats->books_missing[0], 1);
    rig_check_balance(rig);
    head->version++;
    rig->now += 20000000;
    for (int k = 0; k < 3; k++) rig_settle(rig);
    CHECK_EQUAL(rig->stats->books_missing[0], 0);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t hash[GW_BOOK_DEPTHS];
        book_read(&clients[i], &w[i == 3]);
        book_hash(&w[i == 3].book, hash);
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
        book_client_close(&clients[i]);
    }
    for (unsigned i = 0; i < 2; i++) book_writer_close(&w[i]);
    rig_free(rig);
}

int main(int argc, char **argv) {
    (void)argv;
    RUN(a_book_is_followed);
    if (argc > 1) goto ends;
    RUN(writes_are_cut_anywhere);
    RUN(venues_evict);
    RUN(an_eviction_that_is_hidden_is_found);
    RUN(laps_and_resets_are_told_as_differences);
    RUN(f77_large_books_come_in_parts);
    RUN(depths_change);
    RUN(rates_and_ages_lose_nothing);
ends:
    RUN(another_epoch_begins_with_snapshots);
    RUN(a_book_ends_and_comes_back);
    RUN(a_gap_of_the_feed_is_told_before_the_difference);
    RUN(parts_are_of_one_state);
    RUN(states_in_parts_are_few);
    RUN(from_is_answered_by_a_snapshot);
    RUN(a_writer_that_stops_in_the_middle);
    return 0;
}
