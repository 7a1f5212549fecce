/* Message templates: literal bytes and fields, compiled in Python (gateway/codec/template.py) to a small
 * program that runs here, per record. A new dialect is a new program, not new C. */
#ifndef GW_TEMPLATE_H
#define GW_TEMPLATE_H
#include "gw_book_pool.h"
#include "gw_notice.h"
#include "gw_record.h"

#define GW_SPLICE_MAX 64u /* room for a splice */
#define GW_FRAME_MAX (8u << 10) /* the longest frame of a record: a visit to a client has room for it */

#define GW_BOOK_FRAME_MAX (16u << 10) /* the longest frame of a book: more are parts */
#define GW_BOOK_LEVELS_BYTES (GW_BOOK_FRAME_MAX - 1024u) /* of it, what its levels may take */
#define GW_BOOK_AROUND 8u /* bytes of a level besides its texts */

typedef struct gw_template gw_template_t;

/* What is shown of a book (gw_book_render.h). */
typedef struct {
    const gw_book_row_t *rows;     /* bids, then asks */
    uint32_t count[GW_BOOK_SIDES]; /* their texts, with GW_BOOK_AROUND each, have GW_BOOK_LEVELS_BYTES at most; so have
                                    * they in binary (gw_sbe_book_fit) */
    unsigned scale;
    uint32_t depth;       /* of the window; 0: all */
    uint32_t part, parts; /* which one of how many; 0: it is whole */
    uint32_t checksum;
    bool summed;          /* whether it has one */
    bool maybe_bad;
    gw_text_t first, last; /* the venue's numbers of what is shown; empty: there are none */
} gw_book_view_t;

typedef struct {
    const gw_record_t *record; /* NULL: of a notice */
    const char *symbol; /* already escaped for JSON */
    size_t symbol_length;
    int64_t ts_send; /* REALTIME ns */
    uint32_t topic;  /* its number in messages that name it so */
    uint8_t channel;
    const gw_notice_t *notice; /* NULL: of a record */
    const gw_book_view_t *book; /* of a record of GW_BOOK; else NULL */
} gw_encode_t;

/* Loads and checks a program (every length against `size`). -EINVAL, -ENOMEM; -EMSGSIZE: it could make a
 * frame longer than GW_FRAME_MAX, or GW_BOOK_FRAME_MAX. */
int gw_template_load(const uint8_t *program, size_t size, gw_template_t **out);
void gw_template_free(gw_template_t *t);
/* The kind of record that it encodes, or GW_NOTICE_KIND + the notice. */
uint8_t gw_template_kind(const gw_template_t *t);
/* Of its messages (gw_frame.h). */
uint8_t gw_template_opcode(const gw_template_t *t);
/* Room to give `gw_template_encode` for a symbol of this length: the longest payload, without what tells that
 * updates were skipped, and some slack behind it that the writers may touch. */
size_t gw_template_size_max(const gw_template_t *t, size_t symbol_length);
/* Room for any of its frames: header, payload, splice. */
size_t gw_template_frame_max(const gw_template_t *t);
/* Writes the payload of a record, or of a notice, of the template's kind; its length. `out` has gw_template_size_max
 * bytes. */
size_t gw_template_encode(const gw_template_t *t, const gw_encode_t *in, char *out);
/* Makes a payload tell how many updates of its topic were skipped before it; its length now. GW_SPLICE_MAX bytes are
 * free behind it. */
size_t gw_template_tell(const gw_template_t *t, uint64_t skipped, char *payload, size_t length);

#endif
