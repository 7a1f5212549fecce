/* A book whose topic a plane hears of for the first time when the ring has lapped it, while somebody waits for it. */
#include "plane_book.h"

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
    return 0;
}
