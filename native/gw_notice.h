/* What the plane tells clients beside records. What a notice says is here; how it says it is the format's template
 * (gw_template.h). */
#ifndef GW_NOTICE_H
#define GW_NOTICE_H
#include "gw_record.h"

typedef enum {
    GW_NOTICE_HEARTBEAT, /* n */
    GW_NOTICE_EPOCH,     /* the epoch */
    GW_NOTICE_LAPPED,    /* of a topic: from, to */
    GW_NOTICE_REFUSED,   /* of a topic */
    GW_NOTICE_MISSED,    /* of a topic: lost, of the venue's own numbers */
    GW_NOTICE_RESET,     /* of a topic */
    GW_NOTICE_RETIRED,   /* of a topic */
    GW_NOTICE_LIMIT,     /* the limit, the string asked for; its value */
    GW_NOTICE_LIMITS,    /* value, and how many limits were met that had no notice of their own */
    GW_NOTICE_SLOW,      /* the action; level, was, interval_ms, age_ms, and the action's number from 1 on */
    /* A message of several parts: the classes that changed, how many; then each, all but the first as MORE; END. */
    GW_NOTICE_CONFLATION, /* how many */
    GW_NOTICE_CLASS,      /* class, interval_ms or null, was_ms or null, step */
    GW_NOTICE_CLASS_MORE, /* the same */
    GW_NOTICE_CONFLATION_END,
    GW_NOTICE_SHUTDOWN, /* reconnect_after_ms; the loop's thread says it */
    GW_NOTICE_TOPIC, /* of a topic: its number, in formats whose records name it so */
    GW_NOTICE_REPLAYED,         /* the channel, the string asked for; from, to, the channel's number */
    GW_NOTICE_REPLAYED_PATTERN, /* the same, without from and to */
    GW_NOTICE_AUTH_EXPIRING,    /* expires_at; the loop's thread says it */
    GW_NOTICES
} gw_notice_kind_t;

#define GW_NOTICE_KIND 0x80u /* a template of notice n has the kind GW_NOTICE_KIND + n */
#define GW_NOTICE_NUMBERS 5u
#define GW_NOTICE_WORDS 2u
#define GW_NOTICE_WORD_MAX (2u * GW_INSTRUMENT_MAX) /* bytes: a name with each character escaped */
#define GW_NOTICE_MAX 1024u /* bytes of a frame of one */

typedef struct {
    uint64_t numbers[GW_NOTICE_NUMBERS]; /* in the order above; UINT64_MAX: null */
    gw_text_t words[GW_NOTICE_WORDS];
    uint8_t channel; /* whose interval is told, where it is of no topic */
} gw_notice_t;

#endif
