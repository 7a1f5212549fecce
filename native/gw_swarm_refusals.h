/* What servers refused: handshakes by status and body, requests by code and message, connections by close code and
 * reason. A bounded table whatever a server says: messages that differ only in their numbers are one row (the first
 * is kept as it came), a code has at most GW_SWARM_REFUSAL_MESSAGES of them, and what finds no room is counted
 * by code, then by kind alone. Every refusal is in exactly one row. */
#ifndef GW_SWARM_REFUSALS_H
#define GW_SWARM_REFUSALS_H
#include "gw_swarm.h"
#include "gw_swarm_json.h"

#define GW_SWARM_REFUSAL_MESSAGES 8u /* of one code */

typedef struct {
    gw_swarm_refusal_t rows[GW_SWARM_REFUSALS_MAX];
    uint64_t hashes[GW_SWARM_REFUSALS_MAX]; /* of kind, code and message, each number as one digit */
    uint32_t count;
    gw_swarm_refusal_t rest[GW_SWARM_REFUSAL_KINDS]; /* what had no room at all */
} gw_swarm_refusals_t;

/* One more. `number`: errno, HTTP status or close code; `code`: that of a reply; both may be long and
 * hold anything. */
void gw_swarm_refusals_note(gw_swarm_refusals_t *t, uint8_t kind, uint32_t number, gw_swarm_span_t code,
                            gw_swarm_span_t message);
/* The same of each error that a reply to a request holds: its own, or those of its results; without any it is one
 * that says nothing. */
void gw_swarm_refusals_reply(gw_swarm_refusals_t *t, const char *bytes, size_t n);

#endif
