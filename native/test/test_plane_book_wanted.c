/* Books that a plane has to copy out of the segment: a few in each cycle, and at leisure what cannot come. */
#include "plane_book.h"

enum { BOOKS = 3 * GW_BOOK_COPIES };
static book_writer_t writers[BOOKS];
static book_client_t clients[BOOKS];

/* Each with a client that has it. */
static rig_t *with_books(uint64_t capacity) {
    rig_t *rig = book_rig(capacity, 400000);
    for (unsigned i = 0; i < BOOKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "B%u.SIM", i);
        book_writer_open(&writers[i], rig, name, 0, (walk_t){10000, 40, false});
        while (!book_walk(&writers[i], true, false)) continue;
        book_client_open(&clients[i], rig, 3);
        book_subscribe(rig, &clients[i], name, true, true);
    }
    for (int i = 0; i < 3; i++) rig_settle(rig);
    CHECK_EQUAL(rig->stats->books_copied[0], BOOKS);
    return rig;
}

static void free_books(rig_t *rig) {
    for (unsigned i = 0; i < BOOKS; i++) {
        uint64_t hash[GW_BOOK_DEPTHS];
        book_read(&clients[i], &writers[i]);
        book_hash(&writers[i].book, hash);
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
        book_client_close(&clients[i]);
        book_writer_close(&writers[i]);
    }
    rig_free(rig);
}

/* All are wanted at once. */
static void lap(rig_t *rig) {
    const unsigned other = rig_topic(rig, GW_TRADE, "X.SIM");
    for (unsigned i = 0; i < BOOKS; i++)
        while (!book_walk(&writers[i], true, false)) continue;
    for (int i = 0; i < 1400; i++) rig_publish(rig, other); /* more than the ring has */
}

static void a_few_are_copied_in_each_cycle(void) {
    rig_t *rig = with_books(1 << 17);
    lap(rig);
    uint64_t most = 0;
    for (int i = 0; i < 200; i++) {
        const uint64_t before = rig->stats->books_copied[0];
        rig->now += 100000;
        gw_plane_cycle(rig->plane);
        if (rig->stats->books_copied[0] - before > most) most = rig->stats->books_copied[0] - before;
    }
    CHECK_EQUAL(most, GW_BOOK_COPIES);
    CHECK_EQUAL(rig->stats->books_copied[0], 2 * BOOKS);
    free_books(rig);
}

static uint32_t largest(void) {
    uint32_t most = 0;
    for (unsigned i = 0; i < BOOKS; i++) {
        const uint32_t n = gw_book_levels(&writers[i].book, 0) + gw_book_levels(&writers[i].book, 1);
        if (n > most) most = n;
    }
    return most;
}

/* The bound is of levels, beyond which the book in hand is done. However few there may be, one is copied. */
static void copies_have_a_budget_of_levels(void) {
    static const struct { uint32_t levels, least, most; } bounds[] = {
        {1, 1, 1}, {50, 1, 2}, {GW_BOOK_COPY_LEVELS, GW_BOOK_COPIES, GW_BOOK_COPIES}};
    for (size_t k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
        rig_t *rig = with_books(1 << 17);
        uint32_t levels = largest();
        uint64_t most = 0;
        lap(rig);
        levels += largest(); /* of the one that there is, and of its copy */
        rig->plane->books.copy_most = bounds[k].levels;
        for (int i = 0; i < 200; i++) {
            const uint64_t before = rig->stats->books_copied[0];
            rig->now += 100000;
            gw_plane_cycle(rig->plane);
            const uint64_t n = rig->stats->books_copied[0] - before;
            if (n > most) most = n;
            CHECK(rig->plane->books.copy_took < bounds[k].levels + levels);
        }
        CHECK(most >= bounds[k].least && most <= bounds[k].most);
        CHECK_EQUAL(rig->stats->books_copied[0], 2 * BOOKS);
        free_books(rig);
    }
}

static void what_is_missing_is_looked_for_at_leisure(void) {
    rig_t *rig = with_books(1 << 17);
    lap(rig);
    for (unsigned i = 0; i < BOOKS; i++) writers[i].book.head->version++; /* their writer stands */
    for (int i = 0; i < 50; i++) gw_plane_cycle(rig->plane);
    CHECK(gw_plane_books_due(rig->plane) <= rig->now);
    rig->now += GW_BOOK_TORN_NS;
    for (unsigned i = 0; i < 2 * BOOKS; i++) gw_plane_cycle(rig->plane);
    CHECK_EQUAL(rig->stats->books_missing[0], BOOKS);
    CHECK_EQUAL(gw_plane_books_due(rig->plane), rig->now + GW_BOOK_RETRY_NS);
    for (unsigned i = 0; i < BOOKS; i++) writers[i].book.head->version++;
    for (unsigned i = 0; i < 2 * BOOKS; i++) gw_plane_cycle(rig->plane);
    CHECK_EQUAL(rig->stats->books_missing[0], BOOKS);
    rig->now += GW_BOOK_RETRY_NS;
    for (unsigned i = 0; i < 2 * BOOKS; i++) gw_plane_cycle(rig->plane);
    CHECK_EQUAL(rig->stats->books_missing[0], 0);
    CHECK_EQUAL(gw_plane_books_due(rig->plane), INT64_MAX);
    free_books(rig);
}

/* A book whose topic a plane hears of for the first time when the ring has lapped it, while somebody waits for it. */
static void a_lap_shows_a_book_first(void) {
    book_writer_t w[2];
    book_client_t c;
    uint64_t hash[GW_BOOK_DEPTHS];
    rig_t *rig = book_rig(1 << 17, 400000);
    book_client_open(&c, rig, 3);
    book_subscribe(rig, &c, "B1.SIM", true, true);
    for (int i = 0; i < 2; i++) { /* the segment's first place is another's */
        rig_settle(rig);
        book_writer_open(&w[i], rig, i ? "B1.SIM" : "B0.SIM", 0, (walk_t){10000, 40, false});
        while (!book_walk(&w[i], true, false)) continue;
    }
    const unsigned other = rig_topic(rig, GW_TRADE, "X.SIM");
    for (int i = 0; i < 1400; i++) rig_publish(rig, other); /* more than the ring has */
    for (int i = 0; i < 3; i++) rig_settle(rig);
    book_read(&c, &w[1]);
    book_hash(&w[1].book, hash);
    CHECK(c.seq > 0 && shown_hash(&c) == hash[c.variant] && !rig->stats->books_missing[0]);
    book_client_close(&c);
    for (int i = 0; i < 2; i++) book_writer_close(&w[i]);
    rig_free(rig);
}

int main(void) {
    RUN(a_lap_shows_a_book_first);
    RUN(a_few_are_copied_in_each_cycle);
    RUN(copies_have_a_budget_of_levels);
    RUN(what_is_missing_is_looked_for_at_leisure);
    return 0;
}
