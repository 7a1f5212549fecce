/* A topic's book, by way of its last record: that says which place in the pool it has, and the place whose it is. Both are
 * memory that somebody else writes: what they say is held against each other before the copy counts. */
#include "gw_book_record.h"
#include "gw_ring.h"

#include <errno.h>

int gw_reader_book(const gw_segment_t *s, uint32_t topic, gw_book_copy_t *out) {
    gw_record_t last;
    out->count = 0;
    int got = gw_table_read(s, topic, &last, NULL);
    if (got == 0) return -ENOENT;
    if (got == -EAGAIN) return got;
    uint32_t generation = (uint32_t)(gw_directory_version(s, topic) / 4);
    if (last.h.kind != GW_BOOK || last.h.flags & GW_FLAG_RETIRED || !gw_record_is_of(&last, generation)) return -ENOENT;
    int error = gw_book_copy(&s->books, gw_book_message(&last)->book, out);
    if (error == 0 && out->owner != gw_book_owner(topic, last.h.generation)) error = -ENOENT;
    if (error < 0 && error != -ENOBUFS) out->count = 0;
    return error;
}
