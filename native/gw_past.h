/* What a recording begins with: the states of topics before its first record, and the books. */
#ifndef GW_PAST_H
#define GW_PAST_H
#include "gw_book_record.h"
#include "gw_locate.h"

/* The topic's newest record that is not in such a recording, where its kind has a state in one record: of trades there is
 * none. 1, or -ENOENT: there is none, or the ring no longer has it; -EAGAIN: the slot is torn for good. */
int gw_reader_state_before(const gw_reader_t *r, uint32_t topic, const gw_start_t *start, gw_record_t *out);

/* Whose book is at a place of the segment's pool, and at which seq it is; false: nobody's. Only a hint. */
bool gw_reader_book_peek(const gw_segment_t *s, uint32_t place, uint64_t *owner, uint64_t *seq);
/* Copies that book with its topic's record of the same seq: the first GW_RECORD_CELLS cells of it, in `last`. -ENOENT:
 * there is none; -ENOBUFS: `out->count` rows would be needed; -EAGAIN: it is written all the while, or its writer died. */
int gw_reader_book_at(const gw_segment_t *s, uint32_t place, gw_record_t *last, gw_book_copy_t *out);

#endif
