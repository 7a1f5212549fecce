/* A topic of books whose records another origin counts from some record on: its book is another one, whatever its seq is. */
#include "plane_book.h"

enum { CLIENTS = 8 };
static book_client_t clients[CLIENTS];

static void read_all(const book_writer_t *w) {
    for (unsigned i = 0; i < CLIENTS; i++) book_read(&clients[i], w);
}

static void all_have_all(const book_writer_t *w) {
    uint64_t hash[GW_BOOK_DEPTHS];
    book_hash(&w->book, hash);
    for (unsigned i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(clients[i].seq, w->rig->topics[w->topic].count);
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
    }
}

/* From now on another one writes, which has come to that seq with a book of its own. */
static void take_over(book_writer_t *w, uint64_t seq) {
    const uint64_t owner = w->book.head->owner;
    const uint32_t number = w->book.number;
    gw_book_close(&w->book);
    CHECK_EQUAL(gw_book_open(&w->book, &book_pool, number, 0, false), 0);
    gw_book_own(&w->book, owner);
    model_close(&w->model);
    model_open(&w->model);
    w->states += BOOK_SEQS;
    w->origin++;
    w->rig->topics[w->topic].count = seq;
    w->rig->writer.chains[w->rig->topics[w->topic].id].seq = seq;
}

/* All who have something of before get one snapshot, those too whose socket takes nothing meanwhile: no update of what
 * cannot be compared, and nothing of what they were to get. */
static void its_book_is_begun_anew(void) {
    static const int64_t from[] = {1, 0, -3, 40, -1000}; /* of where the one before was: the next, the same, less, more */
    rig_t *rig = book_rig(1 << 20, 400000);
    book_writer_t w;
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){10000, 40, false});
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_client_open(&clients[i], rig, i % GW_BOOK_DEPTHS);
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (size_t turn = 0; turn < sizeof from / sizeof from[0]; turn++) {
        uint64_t snapshots[CLIENTS];
        for (int i = 0; i < 50; i++) {
            book_walk(&w, i % 10 == 0, false);
            rig_settle(rig);
            read_all(&w);
        }
        book_say(&w, &(gw_book_level_t){.side = 0, .price = w.walk.mid - 1, .price_decimals = MODEL_SCALE, .qty = 777}, 1, false, false,
                 (gw_header_t){0});
        rig_settle(rig);
        read_all(&w);
        for (unsigned i = 0; i < CLIENTS; i++) clients[i].peer->allowed = i % 2 ? 0 : RIG_NO_LIMIT;
        for (int i = 0; i < 5; i++) book_walk(&w, false, false);
        rig_settle(rig);
        read_all(&w);
        for (unsigned i = 0; i < CLIENTS; i += 2) book_subscribe(rig, &clients[i], "B.SIM", true, true); /* there is a frame of this seq */
        rig_settle(rig);
        read_all(&w);
        for (unsigned i = 0; i < CLIENTS; i++) {
            snapshots[i] = clients[i].snapshots;
            clients[i].life++;
            clients[i].fresh = true;
        }
        const int64_t seq = (int64_t)rig->topics[w.topic].count + from[turn] - 1;
        take_over(&w, seq > 0 ? (uint64_t)seq : 0);
        while (!book_walk(&w, true, false)) continue;
        rig_settle(rig);
        read_all(&w);
        book_walk(&w, false, false);
        rig_settle(rig);
        for (unsigned i = 0; i < CLIENTS; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(&w);
        for (unsigned i = 0; i < CLIENTS; i++) CHECK_EQUAL(clients[i].snapshots, snapshots[i] + 1);
        CHECK_EQUAL(clients[CLIENTS - 1].seq, rig->topics[w.topic].count); /* all levels: none is filtered */
        book_say(&w, &(gw_book_level_t){.side = 0, .price = w.walk.mid + 100, .price_decimals = MODEL_SCALE, .qty = 7}, 1, false, false,
                 (gw_header_t){0}); /* of every window, so that each has the newest */
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all(&w);
        all_have_all(&w);
        rig_check_balance(rig);
        CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

int main(void) {
    RUN(its_book_is_begun_anew);
    return 0;
}
