/* What a message of our own protocol says to a load test: its kind, topic, seq and stamps. Here are JSON's. */
#ifndef GW_SWARM_FIELDS_H
#define GW_SWARM_FIELDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gw_swarm_json.h"

enum {
    GW_SWARM_UPDATE,
    GW_SWARM_SNAPSHOT,
    GW_SWARM_HEARTBEAT,
    GW_SWARM_CONTROL,  /* replies, notices, other channels */
    GW_SWARM_UNSTAMPED, /* a topic's record without seq or ts_event, or none of our messages */
    GW_SWARM_NOTHING    /* what JSON has no message for */
};

/* What a `system` notice is about, where that is counted. */
enum { GW_SWARM_NOTICE_NONE, GW_SWARM_NOTICE_SLOW, GW_SWARM_NOTICE_CONFLATION, GW_SWARM_NOTICE_GAP };

typedef struct {
    uint8_t kind, notice;
    bool resync; /* an ack or a new epoch: the next record of a topic has no one before it */
    bool failed; /* a reply that refuses something */
    uint64_t topic, seq, skipped;       /* topic: a hash of channel and symbol */
    uint64_t lost;                      /* records that a notice of a gap names */
    int64_t ts_event, ts_recv, ts_send; /* 0: absent */
} gw_swarm_fields_t;

/* Reads any JSON text, whatever the order of its members; of a member that stands twice the first. */
void gw_swarm_fields_scan(const char *text, size_t length, gw_swarm_fields_t *f);
/* Reads records laid out as the gateway writes them, several times faster; false: not such a one, use
 * gw_swarm_fields_scan, which gives the same of those too. `data` is not looked into: "skipped" is
 * the last member, as the protocol has it. */
bool gw_swarm_fields_fast(const char *text, size_t length, gw_swarm_fields_t *f);
/* The hash of a topic, in every format. */
uint64_t gw_swarm_fields_topic(gw_swarm_span_t channel, gw_swarm_span_t symbol);

#endif
