/* Trades, quotes and announcements are gw_sbe.c's to read. Of all else only the length is needed, and what little
 * is counted of it. */
#include "gw_swarm_sbe.h"

#include "gw_little.h"
#include "gw_sbe.h"

#include <string.h>

enum { HEARTBEAT = 17, GAP = 32, EPOCH, RETIRED, REPLAY_COMPLETED, SLOW, CONFLATION, LIMIT, AUTH_EXPIRING, SHUTDOWN };
#define DIMENSIONS 4u   /* bytes a row, rows */
#define ROW_LEAST 13u   /* of a conflation */
#define ABSENT UINT64_MAX

/* Of the other messages: the block's least length, and the texts behind it. */
typedef struct {
    uint16_t template_id;
    uint8_t block, texts;
    bool rows;
} layout_t;

static const layout_t LAYOUTS[] = {
    {HEARTBEAT, 16, 0, false}, {GAP, 26, 1, false},  {EPOCH, 1, 2, false},     {RETIRED, 1, 1, false},
    {REPLAY_COMPLETED, 17, 1, false}, {SLOW, 15, 0, false}, {CONFLATION, 0, 0, true}, {LIMIT, 16, 2, false},
    {AUTH_EXPIRING, 8, 0, false}, {SHUTDOWN, 4, 0, false},
};

static const layout_t *layout(uint32_t template_id) {
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof *LAYOUTS; i++)
        if (LAYOUTS[i].template_id == template_id) return &LAYOUTS[i];
    return NULL;
}

/* The message's length; 0: it is cut short. */
static size_t length(const layout_t *l, const uint8_t *at, size_t size, uint32_t block) {
    size_t used = GW_SBE_HEADER + block;
    if (l->rows) {
        if (size - used < DIMENSIONS) return 0;
        uint32_t row = gw_little_load16(at + used), rows = gw_little_load16(at + used + 2);
        used += DIMENSIONS;
        if ((rows && row < ROW_LEAST) || size - used < (size_t)row * rows) return 0;
        used += (size_t)row * rows;
    }
    for (unsigned i = 0; i < l->texts; i++) {
        if (size - used < 1 || size - used - 1 < at[used]) return 0;
        used += 1u + at[used];
    }
    return used;
}

static size_t notice(const uint8_t *at, size_t size, gw_swarm_fields_t *f) {
    uint32_t block = gw_little_load16(at), template_id = gw_little_load16(at + 2);
    const layout_t *l = layout(template_id);
    f->kind = GW_SWARM_CONTROL;
    if (!l) return 0;
    size_t used = block < l->block ? 0 : length(l, at, size, block);
    if (!used) {
        f->kind = GW_SWARM_UNSTAMPED;
        return 0;
    }
    if (template_id == HEARTBEAT) f->kind = GW_SWARM_HEARTBEAT;
    if (template_id == EPOCH) f->resync = true;
    if (template_id == SLOW) f->notice = GW_SWARM_NOTICE_SLOW;
    if (template_id == CONFLATION) f->notice = GW_SWARM_NOTICE_CONFLATION;
    if (template_id == GAP) {
        const char *numbers = (const char *)at + GW_SBE_HEADER;
        uint64_t from = gw_swarm_load8(numbers), to = gw_swarm_load8(numbers + 8);
        f->notice = GW_SWARM_NOTICE_GAP;
        if (from && from != ABSENT && to != ABSENT && to >= from) f->lost = to - from + 1;
    }
    return used;
}

static bool announce(const gw_sbe_message_t *m, gw_swarm_numbers_t *numbers, gw_hash_key_t key) {
    const char *channel = m->channel == GW_SBE_TRADE ? "trade" : m->channel == GW_SBE_BBO ? "bbo" : "";
    uint64_t topic = gw_swarm_fields_topic((gw_swarm_span_t){channel, channel + strlen(channel)},
                                           (gw_swarm_span_t){m->text, m->text + m->text_length});
    return gw_swarm_numbers_put(numbers, key, (gw_swarm_number_t){topic, m->topic, m->channel});
}

/* False: its topic was not announced, or it has no stamp. */
static bool record(const gw_sbe_message_t *m, gw_swarm_numbers_t *numbers, gw_hash_key_t key, gw_swarm_fields_t *f) {
    const gw_swarm_number_t *n = gw_swarm_numbers_get(numbers, key, m->topic);
    if (!n || n->channel != m->kind || m->ts_event <= 0) return false;
    f->kind = m->flags & GW_SBE_FLAG_SNAPSHOT ? GW_SWARM_SNAPSHOT : GW_SWARM_UPDATE;
    f->topic = n->topic;
    f->seq = m->seq;
    f->skipped = m->skipped;
    f->ts_event = m->ts_event;
    f->ts_recv = m->ts_recv > 0 ? m->ts_recv : 0;
    f->ts_send = m->ts_send > 0 ? m->ts_send : 0;
    return true;
}

size_t gw_swarm_sbe_read(const uint8_t *at, size_t size, gw_swarm_numbers_t *numbers, gw_hash_key_t key,
                         gw_swarm_fields_t *f) {
    gw_sbe_message_t m;
    gw_sbe_fault_t fault = gw_sbe_read(at, size, &m);
    memset(f, 0, sizeof *f);
    if (fault == GW_SBE_OTHER) return notice(at, size, f);
    f->kind = GW_SWARM_UNSTAMPED;
    if (fault) return 0;
    if (m.kind == GW_SBE_TOPIC) {
        if (announce(&m, numbers, key)) f->kind = GW_SWARM_NOTHING;
    } else {
        (void)record(&m, numbers, key, f);
    }
    return m.size;
}
