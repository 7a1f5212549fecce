/* Steps of order books: their worst is a book that a worker has not had yet, or not since the ring was overrun. */
#ifndef STEPS_BOOKS_H
#define STEPS_BOOKS_H
#include "stage.h"

#include "gw_books.h"

#define BOOKS 8u
#define BOOK_SIDE 40000u  /* levels of one */
#define BOOK_PIECE 8000u  /* of one message: none may fill a side at once */

enum { BOOK_DEPTH_10 = 2, BOOK_DEPTH_ALL = 7 };

static gw_books_t books;

static inline gw_book_level_t book_level(uint32_t i, int64_t qty) {
    const int64_t away = (int64_t)(i / 2) * 3;
    return (gw_book_level_t){.side = i % 2, .price = i % 2 ? 6425011 + away : 6425010 - away, .price_decimals = 2,
                             .qty = qty, .qty_decimals = 5};
}

/* One message: `count` levels from a place on. */
static inline void book_say(uint32_t topic, uint32_t from, uint32_t count, int64_t qty) {
    static gw_book_level_t levels[BOOK_PIECE];
    const gw_chain_t *chain = &writer.chains[topic];
    gw_books_one_t *one = gw_books_open(&books, topic, chain->generation);
    must(one != NULL, "gw_books_open");
    for (uint32_t i = 0; i < count; i++) levels[i] = book_level(from + i, qty + i % 97);
    const uint64_t seq = chain->seq + 1;
    const gw_book_refusal_t refusal = gw_book_apply(&one->book, &books.work, seq, levels, count);
    must(refusal == GW_BOOK_FINE, gw_book_refusal_text(refusal));
    gw_books_record(&books, one, topic, writer.cells_max);
    books.record->h.ts_event = books.record->h.ts_recv = gw_realtime_ns();
    books.record->h.ts_publish = stage_now_ns;
    gw_writer_publish(&writer, books.record);
}

static inline void books_feed(uint32_t count, uint64_t capacity) {
    char name[64];
    stage_book_levels = 2 * BOOKS * 2 * BOOK_SIDE;
    stage_plane(clients);
    stage_segment(capacity);
    must(!gw_books_init(&books, &writer.segment.books, 65536), "gw_books_init");
    for (uint32_t i = 0; i < count; i++) {
        must(gw_writer_topic_add(&writer, GW_BOOK, name, stage_name(name, sizeof name, i)) == i, "topic");
        for (uint32_t from = 0; from < 2 * BOOK_SIDE; from += BOOK_PIECE) book_say(i, from, BOOK_PIECE, 1000);
    }
    stage_run();
}

static inline void book_ask(uint32_t client, uint32_t topic, uint16_t variant) {
    char name[64];
    stage_name(name, sizeof name, topic);
    gw_item_t x = stage_item(1 + topic, name, 0);
    x.channel = GW_BOOK;
    x.variant = variant;
    x.priority = 1;
    x.snapshot = 1;
    stage_ask(client, GW_CMD_SUBSCRIBE, &x, 1);
}

static void book_first(spent_t *spent) {
    books_feed(BOOKS, 16u << 20);
    stage_connect(0);
    stage_run();
    for (uint32_t i = 0; i < BOOKS; i++) book_ask(0, i, BOOK_DEPTH_10);
    stage_spend(spent);
}

static void book_lapped(spent_t *spent) {
    books_feed(BOOKS, LAP_BYTES);
    stage_connect(0);
    for (uint32_t i = 0; i < BOOKS; i++) book_ask(0, i, BOOK_DEPTH_10);
    stage_run();
    for (uint32_t k = 0; k < LAP_RECORDS / 4; k++) book_say(k % BOOKS, k * 5 % BOOK_SIDE, 10, 2000 + k);
    stage_spend(spent);
}

static void book_states(spent_t *spent) {
    const uint32_t count = least(clients, 100);
    books_feed(1, 16u << 20);
    for (uint32_t i = 0; i < count; i++) stage_connect(i);
    book_ask(0, 0, BOOK_DEPTH_10);
    stage_run();
    for (uint32_t i = 0; i < count; i++) book_ask(i, 0, BOOK_DEPTH_ALL);
    stage_spend(spent);
}

static void book_batch(spent_t *spent) {
    books_feed(1, 16u << 20);
    for (uint32_t i = 0; i < clients; i++) stage_connect(i), book_ask(i, 0, BOOK_DEPTH_10);
    stage_run();
    for (uint32_t k = 0; k < 4096; k++) book_say(0, k % 20, 1, 2000 + k);
    stage_spend(spent);
}

#endif
