/* The change log of a book: a ring of what became of which price, at which seq; of a message at most one change of a
 * price. It doubles as the book gets more levels, and never shrinks: a book that was deep once may be so again. */
#include "gw_book_internal.h"

#include <errno.h>
#include <stdlib.h>

int gw_book_log_init(gw_book_log_t *log) {
    *log = (gw_book_log_t){.ring = malloc(GW_BOOK_LOG_MIN * sizeof *log->ring), .capacity = GW_BOOK_LOG_MIN};
    return log->ring ? 0 : -ENOMEM;
}

void gw_book_log_free(gw_book_log_t *log) {
    free(log->ring);
    *log = (gw_book_log_t){0};
}

void gw_book_log_grow(gw_book_log_t *log, uint64_t levels) {
    uint32_t capacity = log->capacity;
    if (capacity == 0) return;
    while (capacity < GW_BOOK_LOG_MAX && capacity < 2 * levels) capacity *= 2;
    if (capacity == log->capacity) return;
    gw_book_change_t *ring = malloc(capacity * sizeof *ring);
    if (ring == NULL) return;
    uint64_t from = log->head > log->capacity ? log->head - log->capacity : 0;
    for (uint64_t i = from; i < log->head; i++) ring[i - from] = *gw_book_log_at(log, i);
    free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    log->head -= from;
}

void gw_book_log_put(gw_book_log_t *log, const gw_book_row_t *row, uint64_t seq) {
    if (log->capacity == 0) return;
    gw_book_change_t *c = &log->ring[log->head & (log->capacity - 1)];
    if (log->head >= log->capacity) log->floor = gw_book_change_seq(c);
    *c = (gw_book_change_t){
        row->key, (uint64_t)row->side << 62 | (uint64_t)row->kind << 60 | (uint64_t)row->had << 54 | seq};
    log->head++;
}

void gw_book_log_clear(gw_book_log_t *log, uint64_t seq) {
    log->head = 0;
    log->floor = seq;
}

uint64_t gw_book_log_from(const gw_book_log_t *log, uint64_t since) {
    uint64_t low = log->head > log->capacity ? log->head - log->capacity : 0, high = log->head;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (gw_book_change_seq(gw_book_log_at(log, middle)) <= since) low = middle + 1;
        else high = middle;
    }
    return low;
}
