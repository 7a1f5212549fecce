/* Which topics are suspect: their newest input was refused, so what was published last may not be
 * taken for what the venue says now. A good record of the topic ends it.
 *
 * An instrument's health is a record of kind GW_HEALTH on a topic of its own, made when its first
 * topic becomes suspect (or gw_condition.h has something to say) and published at each change: so subscribers, snapshots, patterns and laps
 * of the ring are the plane's usual business. Under the publisher's lock, as the writer is. */
#ifndef GW_SUSPECT_H
#define GW_SUSPECT_H
#include "gw_record.h"

#include <stdbool.h>

/* Instruments of one epoch that may have a topic of health, beside `ring.topics_max`: each of which there was ever
 * something to say has one, so that of a feed that is down all do. 12 MB of the segment, touched on use. */
#define GW_HEALTH_TOPICS_MAX 32768u

/* One topic of a feed. */
typedef struct {
    uint32_t health; /* its instrument's topic of health; right while it is suspect */
    uint8_t suspect, reason_length;
    char reason[GW_REASON_MAX];
} gw_suspect_t;

typedef struct {
    gw_suspect_t *topics;              /* by topic */
    uint32_t (*members)[GW_CHANNELS];  /* by topic of health: its suspect topics by kind, plus 1 */
    uint64_t count;                    /* suspect topics now */
} gw_suspects_t;

/* 0 or -ENOMEM. Pages are touched as topics become suspect. */
int gw_suspects_init(gw_suspects_t *s, uint32_t topics_max);
void gw_suspects_free(gw_suspects_t *s);
/* Whether a good record of this topic changes anything: one load while nothing is suspect. */
static inline bool gw_suspects_has(const gw_suspects_t *s, uint32_t topic) {
    return s->count > 0 && s->topics[topic].suspect != 0;
}
/* A topic of this kind becomes suspect, and `reason` (cut at GW_REASON_MAX) says why. False: it is
 * so already, and the reason stays that of the run's first refusal. */
bool gw_suspects_add(gw_suspects_t *s, uint32_t topic, uint8_t kind, uint32_t health, gw_text_t reason);
/* It no longer is. */
void gw_suspects_remove(gw_suspects_t *s, uint32_t topic, uint8_t kind);
/* The kinds of the instrument's suspect topics, a bit each. */
uint8_t gw_suspects_kinds(const gw_suspects_t *s, uint32_t health);
/* Why the first of them is; at most GW_REASON_MAX bytes. */
size_t gw_suspects_reason(const gw_suspects_t *s, uint32_t health, char *out);

/* Copies at most GW_REASON_MAX bytes, as printable ASCII. How many. */
size_t gw_reason_copy(gw_text_t reason, char *out);

#endif
