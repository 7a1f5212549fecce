/* Order books for clients that keep up: one frame in all their queues; and each way back from there to a mark. */
#include "plane_book.h"

enum { CLIENTS = 4, DEPTH_10 = 2 };
static book_client_t clients[CLIENTS];
static book_writer_t w;

static void read_all(void) {
    for (unsigned i = 0; i < CLIENTS; i++) book_read(&clients[i], &w);
}

static void all_have_all(void) {
    uint64_t hash[GW_BOOK_DEPTHS];
    book_hash(&w.book, hash);
    for (unsigned i = 0; i < CLIENTS; i++) {
        CHECK(peer_whole(clients[i].peer));
        CHECK_EQUAL(shown_hash(&clients[i]), hash[clients[i].variant]);
        CHECK_EQUAL(clients[i].seq, w.rig->topics[w.topic].count);
    }
}

/* The quantity of one bid. */
static void say(int64_t price, int64_t qty) {
    const gw_book_level_t level = level_of(0, price, qty);
    CHECK(book_say(&w, &level, 1, false, false, (gw_header_t){0}));
}

/* Of a book of 40 levels a side, of which each client has the best ten. */
static rig_t *begin(void) {
    static gw_book_level_t levels[80];
    rig_t *rig = book_rig(1 << 20, 100000);
    book_writer_open(&w, rig, "B.SIM", 0, (walk_t){10000, 30, false});
    for (int i = 0; i < 80; i++) levels[i] = level_of((unsigned)i % 2, i % 2 ? 10001 + i / 2 : 10000 - i / 2, 100 + i);
    CHECK(book_say(&w, levels, 80, true, false, (gw_header_t){0}));
    for (unsigned i = 0; i < CLIENTS; i++) {
        book_client_open(&clients[i], rig, DEPTH_10);
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (int i = 0; i < 3; i++) rig_settle(rig);
    read_all();
    all_have_all();
    return rig;
}

static void end(rig_t *rig) {
    for (unsigned i = 0; i < CLIENTS; i++) clients[i].peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 5; i++) rig_settle(rig);
    read_all();
    all_have_all();
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->pending[GW_BOOK], 0);
    for (unsigned i = 0; i < CLIENTS; i++) book_client_close(&clients[i]);
    book_writer_close(&w);
    rig_free(rig);
}

static gw_client_t *client_of(const rig_t *rig, unsigned i) { return rig_client(rig, clients[i].peer); }

static const gw_link_t *link_of(const rig_t *rig, unsigned i) { return client_of(rig, i)->links; }

static const gw_book_file_t *file_of(const rig_t *rig) { return &gw_link_audience(link_of(rig, 0))->file; }

/* Frames of the log, one for each record that changed the window; and those of a batch all come, each by itself. */
static void each_record_is_one_frame_for_all(void) {
    rig_t *rig = begin();
    const gw_log_t *log = &rig->plane->lanes[0].log;
    CHECK_EQUAL(file_of(rig)->abreast, CLIENTS);
    for (int round = 0; round < 5; round++) {
        const uint64_t frames = log->index, updates = clients[0].updates;
        for (int i = 0; i < 30; i++) say(10000 - i % 10, 1000 + i), say(9970, 2000 + i + round); /* the last one is deeper */
        say(10000, 500);
        rig_settle(rig);
        read_all();
        all_have_all();
        CHECK_EQUAL(log->index - frames, 31);
        CHECK_EQUAL(clients[0].updates - updates, 31);
        CHECK_EQUAL(file_of(rig)->abreast, CLIENTS);
        rig_check_balance(rig);
    }
    CHECK_EQUAL(rig->stats->conflated[GW_BOOK], 0);
    CHECK_EQUAL(clients[0].skipped, 5 * 30);
    end(rig);
}

/* Three frames wait for a client that takes `allowed` bytes of them. Of what does not leave comes a mark, from before the first
 * of it. */
static uint64_t cut_after(int64_t allowed, int deletes) {
    rig_t *rig = begin();
    clients[0].peer->allowed = allowed;
    if (deletes) {
        say(10000, 0); /* levels that nobody changes come into the window: its client lacks them */
        say(9999, 0);
        say(9998, 5);
    } else {
        for (int i = 0; i < 3; i++) say(10000 - i, 1000 + i);
    }
    for (int i = 0; i < 2; i++) rig_settle(rig);
    CHECK_EQUAL(client_of(rig, 0)->queued, 0); /* nothing of a book waits for a socket that is full */
    CHECK(client_of(rig, 0)->runs == client_of(rig, 0)->runs_inline);
    CHECK_EQUAL(file_of(rig)->abreast, link_of(rig, 0)->dirty ? CLIENTS - 1 : CLIENTS);
    rig_check_balance(rig);
    const uint64_t conflated = rig->stats->conflated[GW_BOOK];
    if (allowed % 2) say(9970, 4);
    say(9999, 4);
    end(rig);
    return conflated;
}

static void a_queue_is_cut_anywhere(void) {
    uint64_t conflated = 0;
    for (int deletes = 0; deletes < 2; deletes++)
        for (int64_t allowed = 0; allowed < 600; allowed++) conflated += cut_after(allowed, deletes);
    CHECK(conflated > 300);
}

static void behind_a_long_queue_come_marks(void) {
    enum { RECORDS = 3 * GW_BOOK_PUSHED_QUEUE };
    rig_t *rig = begin();
    const uint64_t before = clients[1].frames;
    for (int i = 0; i < RECORDS; i++) say(10000 - i % 10, 1000 + i);
    rig_settle(rig);
    read_all();
    all_have_all();
    CHECK_EQUAL(clients[1].frames - before, GW_BOOK_PUSHED_QUEUE + 1);
    CHECK_EQUAL(clients[1].skipped, RECORDS - GW_BOOK_PUSHED_QUEUE - 1);
    CHECK_EQUAL(file_of(rig)->abreast, CLIENTS);
    end(rig);
}

/* What is longer than a queue may hold of books is told by marks; those who had it are abreast again. */
static void long_frames_are_marks(void) {
    static gw_book_level_t levels[600];
    rig_t *rig = begin();
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i].asked = GW_BOOK_DEPTHS - 1;
        book_subscribe(rig, &clients[i], "B.SIM", true, true);
    }
    for (int i = 0; i < 3; i++) rig_settle(rig);
    read_all();
    for (int i = 0; i < 600; i++) levels[i] = level_of(0, 9900 - i, 123456789 + i);
    for (int round = 0; round < 2; round++) {
        const uint64_t frames = clients[0].frames;
        for (int message = 0; message < 2; message++) {
            for (int i = 0; i < 600; i++) levels[i].qty++;
            CHECK(book_say(&w, levels, round ? 600 : 200, false, false, (gw_header_t){0}));
        }
        for (int i = 0; i < 3; i++) rig_settle(rig);
        read_all();
        all_have_all();
        CHECK_EQUAL(clients[0].frames, frames + 1);
        CHECK_EQUAL(rig->stats->conflated[GW_BOOK], (uint64_t)CLIENTS * (unsigned)(round + 1));
        CHECK_EQUAL(file_of(rig)->abreast, CLIENTS);
        for (int message = 0; message < 2; message++) say(10000, 30 + 2 * round + message);
        rig_settle(rig);
        read_all();
        all_have_all();
        CHECK_EQUAL(clients[0].frames, frames + 3);
    }
    end(rig);
}

/* The snapshot of another depth stands for what its client was still to get of the one before: of more clients than a turn visits. */
static void another_depth_leaves_nothing_of_the_one_before(void) {
    static book_client_t many[24];
    for (int ends = 0; ends < 2; ends++) {
        rig_t *rig = begin();
        uint32_t waited = 0;
        for (unsigned i = 0; i < 24; i++) {
            book_client_t *c = &many[i];
            book_client_open(c, rig, DEPTH_10);
            book_subscribe(rig, c, "B.SIM", true, true);
            gw_item_t x = item(8, GW_BOOK, "*", false, true);
            x.variant = 1;
            x.resync = x.priority = 1;
            if (ends) rig_subscribe(rig, c->peer, 2, &x, 1);
        }
        for (int i = 0; i < 3; i++) rig_settle(rig);
        for (int i = 0; i < 3; i++) say(10000 - i, 1000 + i);
        gw_plane_cycle(rig->plane);
        for (unsigned i = 0; i < 24; i++) {
            book_client_t *c = &many[i];
            book_read(c, &w);
            const uint32_t queued = rig_client(rig, c->peer)->queued;
            CHECK(c->updates == (queued ? 0 : 3) && (!queued || queued == 3));
            waited += queued > 0;
            if (!queued) continue;
            c->asked = 1;
            if (ends) rig_unsubscribe(rig, c->peer, 1, (uint32_t[]){7}, 1);
            else book_subscribe(rig, c, "B.SIM", true, false);
        }
        CHECK(waited > 4 && waited <= 16); /* as many requests are begun in one turn */
        for (int i = 0; i < 3; i++) rig_settle(rig);
        for (unsigned i = 0; i < 24; i++) {
            const uint64_t updates = many[i].updates;
            book_read(&many[i], &w);
            const bool other = many[i].asked == 1;
            CHECK(many[i].updates == updates && many[i].variant == many[i].asked && many[i].snapshots == 1u + other);
        }
        CHECK_EQUAL(rig->stats->conflated[GW_BOOK], 3 * waited);
        say(10000, 3);
        rig_settle(rig);
        for (unsigned i = 0; i < 24; i++) {
            book_read(&many[i], &w);
            CHECK_EQUAL(many[i].seq, rig->topics[w.topic].count);
            book_client_close(&many[i]);
        }
        end(rig);
    }
}

int main(void) {
    RUN(each_record_is_one_frame_for_all);
    RUN(a_queue_is_cut_anywhere);
    RUN(behind_a_long_queue_come_marks);
    RUN(long_frames_are_marks);
    RUN(another_depth_leaves_nothing_of_the_one_before);
    return 0;
}
