/* Order books through the plane: strict clients of each depth, whose sockets take as little as they like. */
#include "plane_book.h"

static book_client_t clients[16];

static void read_all(unsigned n, const book_writer_t *w) {
    for (unsigned i = 0; i < n; i++) book_read(&clients[i], w->states);
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
    bool big, laps, resets, changes, epochs, ends;
    int steps;
} course_t;

static void lap(rig_t *rig, unsigned other) {
    for (int i = 0; i < 1400; i++) rig_publish(rig, other); /* more than the ring has */
}

/* What happens beside messages. */
static void incident(rig_t *rig, book_writer_t *w, const course_t *course, unsigned other) {
    book_client_t *c = &clients[draw(16)];
    const unsigned what = (unsigned)draw(8);
    if (what == 0 && course->laps) lap(rig, other);
    if (what == 1 && course->changes) {
        c->peer->allowed = RIG_NO_LIMIT; /* so that it knows which depth it has */
        for (int i = 0; i < 3; i++) rig_settle(rig);
        book_read(c, w->states);
        c->asked = (unsigned)draw(GW_BOOK_DEPTHS);
        book_subscribe(rig, c, c->name, true, draw(2));
    }
    if (what == 2 && course->changes) book_subscribe(rig, c, c->name, true, true);
    if (what == 3) w->flags ^= GW_FLAG_MAYBE_BAD_BOOK;
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
        book_subscribe(rig, &clients[i], clients[i].name, draw(4) > 0, true);
    }
    rig_settle(rig);
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

static void laps_and_resets_are_told_as_differences(void) {
    for (uint64_t seed = 21; seed <= 24; seed++)
        course_run(seed, (course_t){.ticks = 60, .steps = 1500, .laps = true, .resets = true});
}

static void large_books_come_in_parts(void) {
    for (uint64_t seed = 31; seed <= 34; seed++)
        course_run(seed, (course_t){.ticks = 3000, .big = true, .steps = 700, .laps = true, .resets = true});
}

static void depths_change(void) {
    for (uint64_t seed = 41; seed <= 44; seed++)
        course_run(seed, (course_t){.ticks = 1500, .big = true, .steps = 700, .laps = true, .resets = true, .changes = true});
}

int main(int argc, char **argv) {
    (void)argv;
    RUN(a_book_is_followed);
    if (argc > 1) return 0;
    RUN(writes_are_cut_anywhere);
    RUN(venues_evict);
    RUN(laps_and_resets_are_told_as_differences);
    RUN(large_books_come_in_parts);
    RUN(depths_change);
    return 0;
}
