#include "gw_books.h"

#include <errno.h>
#include <stdlib.h>

int gw_books_init(gw_books_t *b, const gw_book_pool_t *pool, uint32_t topics_max) {
    *b = (gw_books_t){.pool = *pool};
    int error = -pthread_mutex_init(&b->lock, NULL);
    if (error < 0 || pool->sizes.books == 0) return error;
    b->books = calloc(pool->sizes.books, sizeof *b->books); /* pages are touched on use */
    b->left = calloc(pool->sizes.books, sizeof *b->left);
    b->places = calloc(topics_max, sizeof *b->places);
    b->quotes = calloc(topics_max, sizeof *b->quotes);
    b->record = malloc(GW_RECORD_CELLS_MAX * (size_t)GW_CELL);
    if (b->books && b->left && b->places && b->quotes && b->record && gw_book_work_init(&b->work) == 0) return 0;
    gw_books_free(b);
    pthread_mutex_destroy(&b->lock);
    return -ENOMEM;
}

void gw_books_free(gw_books_t *b) {
    for (uint32_t i = 0; i < b->made; i++) free(b->books[i].sum);
    free(b->books);
    free(b->left);
    free(b->places);
    free(b->quotes);
    free(b->record);
    gw_book_work_free(&b->work);
    b->books = NULL;
    b->left = b->places = b->quotes = NULL;
    b->record = NULL;
    b->made = b->left_count = 0;
}

gw_books_one_t *gw_books_find(const gw_books_t *b, uint32_t topic) {
    return b->places && b->places[topic] ? &b->books[b->places[topic] - 1] : NULL;
}

gw_books_one_t *gw_books_open(gw_books_t *b, uint32_t topic, uint16_t generation) {
    gw_books_one_t *one = gw_books_find(b, topic);
    if (one || !b->places) return one;
    uint32_t place = b->made;
    if (b->left_count > 0) place = b->left[--b->left_count];
    else if (b->made < b->pool.sizes.books) b->made++;
    else return NULL;
    one = &b->books[place];
    *one = (gw_books_one_t){0};
    /* What the writer alone opens is closed there, and a book without a log needs no memory. */
    if (gw_book_open(&one->book, &b->pool, place, 0, false) < 0) return NULL;
    gw_book_own(&one->book, gw_book_owner(topic, generation));
    b->places[topic] = place + 1;
    return one;
}

void gw_books_close(gw_books_t *b, uint32_t topic) {
    gw_books_one_t *one = gw_books_find(b, topic);
    if (!one) return;
    gw_book_close(&one->book);
    free(one->sum);
    one->sum = NULL;
    b->left[b->left_count++] = b->places[topic] - 1;
    b->places[topic] = 0;
}

void gw_books_record(gw_books_t *b, const gw_books_one_t *one, uint32_t topic, uint32_t cells_max) {
    const gw_book_work_t *w = &b->work;
    gw_record_t *r = b->record;
    bool whole = !w->reset && w->count <= GW_BOOK_RECORD_ROWS_MAX && gw_book_record_cells(w->count) <= cells_max;
    r->h = (gw_header_t){.topic = topic, .kind = GW_BOOK};
    r->h.cells = gw_book_record_cells(whole ? w->count : 0);
    gw_book_message_t *m = gw_book_message(r);
    *m = (gw_book_message_t){.count = whole ? (uint16_t)w->count : 0,
                             .scale = (uint8_t)gw_book_scale(&one->book),
                             .what = whole ? 0 : GW_BOOK_RECORD_RESET,
                             .book = one->book.number};
    size_t size = m->count * sizeof *w->rows;
    uint8_t *rows = (uint8_t *)gw_book_message_rows(r);
    memcpy(rows, w->rows, size);
    memset(rows + size, 0, (r->h.cells - GW_RECORD_CELLS) * (size_t)GW_CELL - size);
}

bool gw_books_best(const gw_books_one_t *one, unsigned side, gw_book_row_t *row) {
    gw_book_cursor_t cursor = gw_book_best(&one->book, side);
    const uint32_t at = gw_book_next(&cursor);
    if (at == GW_BOOK_NONE) return false;
    gw_book_row(&one->book, cursor.chunk, at, side, row);
    return true;
}

bool gw_books_crossed(const gw_books_one_t *one) {
    gw_book_row_t bid, ask;
    return gw_books_best(one, GW_BOOK_BID, &bid) && gw_books_best(one, GW_BOOK_ASK, &ask) &&
           bid.key + ask.key >= 0; /* of asks minus the price */
}
