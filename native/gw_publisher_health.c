/* The health of instruments: what was refused of them (gw_suspect.h) and their condition (gw_condition.h), as records. */
#include "gw_atomic.h"
#include "gw_clock.h"
#include "gw_publisher.h"

#include <string.h>

static const gw_text_t states[GW_HEALTH_STATES] = {{"ok", 2}, {"quiet", 5}, {"suspect", 7}, {"resync", 6},
                                            {"crossed", 7}, {"gap", 3}, {"stale", 5}};

static bool refused(const gw_publisher_t *p, const gw_condition_row_t *row) {
    return row->topics[GW_HEALTH] && gw_suspects_kinds(&p->suspects, row->topics[GW_HEALTH] - 1) != 0;
}

static gw_condition_t condition_of(const gw_publisher_t *p, const gw_condition_row_t *row, uint8_t kinds, int64_t now_ns) {
    if (row) return gw_condition_now(&p->conditions, row, kinds != 0, now_ns);
    return kinds ? GW_CONDITION_REFUSED : GW_CONDITION_OK;
}

void gw_publisher_health_count(gw_publisher_t *p) {
    if (p->stats == NULL) return;
    for (unsigned i = 0; i < GW_HEALTH_STATES; i++)
        GW_STORE_RELAXED(&p->stats->instrument_health[i], p->conditions.counts[i]);
}

static void told(gw_publisher_t *p, gw_condition_row_t *row, gw_condition_t condition) {
    uint64_t *counts = p->conditions.counts;
    counts[gw_condition_state((gw_condition_t)row->told)]--;
    counts[gw_condition_state(condition)]++;
    row->told = (uint8_t)condition;
    gw_publisher_health_count(p);
}

/* Publishes how an instrument is now; what made it so was received as `cause` says. */
static void health_publish(gw_publisher_t *p, uint32_t health, gw_condition_row_t *row, const gw_header_t *cause) {
    const uint8_t kinds = gw_suspects_kinds(&p->suspects, health);
    const gw_condition_t condition = condition_of(p, row, kinds, cause->ts_publish);
    const gw_text_t *state = &states[gw_condition_state(condition)];
    gw_record_t record = {.h = {.kind = GW_HEALTH,
                                .cells = GW_RECORD_CELLS,
                                .ts_event = cause->ts_recv,
                                .ts_recv = cause->ts_recv,
                                .ts_publish = cause->ts_publish,
                                .ingest_ns = cause->ingest_ns,
                                .topic = health}};
    gw_health_t *h = &record.u.health;
    h->suspect = kinds;
    h->troubled = condition != GW_CONDITION_OK;
    h->state_length = (uint8_t)state->length;
    memcpy(h->state, state->at, state->length);
    h->reason_length = (uint8_t)(condition == GW_CONDITION_REFUSED ? gw_suspects_reason(&p->suspects, health, h->reason)
                                 : row                             ? gw_condition_reason(row, condition, h->reason)
                                                                   : 0);
    gw_writer_publish(&p->writer, &record);
    if (p->stats != NULL) gw_hdr_add(&p->stats->published[GW_HEALTH], 1);
    if (row) told(p, row, condition);
}

/* When what is told began, as far as that is known: so that its age is that. */
static int64_t since(const gw_condition_row_t *row, gw_condition_t condition, int64_t real_ns, int64_t now_ns) {
    if (condition == GW_CONDITION_QUIET) return row->last_real;
    if (condition == GW_CONDITION_CROSSED && condition != row->doubt) return real_ns - (now_ns - row->crossed_ns);
    return condition != GW_CONDITION_OK && condition == row->doubt ? row->since_real : real_ns;
}

/* Tells the instrument's condition where it is another than it was. False: it has no topic for that yet. */
static bool change_tell(gw_publisher_t *p, gw_condition_row_t *row, int64_t now_ns) {
    const gw_condition_t condition = gw_condition_now(&p->conditions, row, refused(p, row), now_ns);
    if (condition == row->told) return true;
    if (!row->topics[GW_HEALTH]) return false;
    const gw_header_t cause = {.ts_recv = since(row, condition, gw_realtime_ns(), now_ns), .ts_publish = now_ns};
    health_publish(p, row->topics[GW_HEALTH] - 1, row, &cause);
    return true;
}

void gw_publisher_topic_begin(gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t like, uint8_t feed) {
    pthread_mutex_lock(&p->lock);
    gw_conditions_begin(&p->conditions, topic, kind, like, feed);
    gw_conditions_from(&p->conditions, topic, kind, p->writer.chains[topic].seq);
    gw_publisher_health_count(p);
    pthread_mutex_unlock(&p->lock);
}

void gw_publisher_recover(gw_publisher_t *p, const gw_header_t *good) {
    const uint32_t health = p->suspects.topics[good->topic].health;
    gw_suspects_remove(&p->suspects, good->topic, good->kind);
    health_publish(p, health, gw_conditions_row(&p->conditions, health), good);
}

bool gw_publisher_suspect(gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t health,
                          gw_text_t reason, int64_t ts_recv, int64_t mono_recv) {
    pthread_mutex_lock(&p->lock);
    bool added = gw_suspects_add(&p->suspects, topic, kind, health, reason);
    if (added) {
        gw_header_t cause = {.ts_recv = ts_recv, .ts_publish = mono_recv};
        gw_publisher_stamp(&cause, gw_monotonic_ns());
        health_publish(p, health, gw_conditions_row(&p->conditions, health), &cause);
    }
    if (kind == GW_TRADE) gw_candles_refused(&p->candles, topic);
    pthread_mutex_unlock(&p->lock);
    return added;
}

void gw_publisher_doubt(gw_publisher_t *p, uint32_t topic, gw_condition_t doubt, gw_text_t reason, int64_t real_ns) {
    pthread_mutex_lock(&p->lock);
    gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    if (row) {
        gw_condition_doubt(row, doubt, reason, real_ns);
        change_tell(p, row, gw_monotonic_ns());
    }
    pthread_mutex_unlock(&p->lock);
}

void gw_publisher_lost(gw_publisher_t *p, uint32_t topic, uint32_t lost) {
    pthread_mutex_lock(&p->lock);
    gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    if (row) {
        const int64_t now_ns = gw_monotonic_ns();
        gw_condition_lose(row, lost, now_ns);
        change_tell(p, row, now_ns);
    }
    pthread_mutex_unlock(&p->lock);
}

void gw_publisher_differs(gw_publisher_t *p, uint32_t topic, bool differs) {
    pthread_mutex_lock(&p->lock);
    gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    if (row) {
        row->differs = differs;
        change_tell(p, row, gw_monotonic_ns());
    }
    pthread_mutex_unlock(&p->lock);
}

void gw_publisher_crosses(gw_publisher_t *p, uint32_t topic, bool crosses) {
    pthread_mutex_lock(&p->lock);
    gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    if (row) gw_condition_crosses(row, crosses, gw_monotonic_ns());
    pthread_mutex_unlock(&p->lock);
}

void gw_publisher_heartbeat(gw_publisher_t *p, uint32_t feed, int64_t interval_ns) {
    pthread_mutex_lock(&p->lock);
    p->conditions.feeds[feed % GW_CONDITION_FEEDS].interval_ns = interval_ns;
    p->conditions.feeds[feed % GW_CONDITION_FEEDS].heard_ns = gw_monotonic_ns();
    pthread_mutex_unlock(&p->lock);
}

bool gw_publisher_trading(gw_publisher_t *p, uint32_t topic) {
    pthread_mutex_lock(&p->lock);
    const gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    const bool trading = !row || gw_condition_trading(row, &p->writer.segment);
    pthread_mutex_unlock(&p->lock);
    return trading;
}

static uint32_t any_topic(const gw_condition_row_t *row) {
    unsigned kind = 0;
    while (kind < GW_CONDITION_KINDS - 1 && !row->topics[kind]) kind++;
    return row->topics[kind] - 1;
}

uint32_t gw_publisher_conditions_step(gw_publisher_t *p, uint64_t down, uint32_t *wants, uint8_t *left) {
    gw_conditions_t *c = &p->conditions;
    uint32_t wanted = 0, tellings = 0;
    pthread_mutex_lock(&p->lock);
    const int64_t now_ns = gw_monotonic_ns();
    c->down = down;
    if (c->cursor == 0) gw_conditions_round(c, now_ns);
    for (uint32_t i = 0; i < GW_CONDITION_LOOKS && c->cursor < c->made && tellings + wanted < GW_CONDITION_TOLD; i++) {
        gw_condition_row_t *row = &c->rows[c->cursor++];
        if (row->feed == UINT8_MAX) continue;
        gw_condition_look(c, row, &p->writer, now_ns);
        const uint8_t before = row->told;
        if (!change_tell(p, row, now_ns) && !row->mute) wants[wanted++] = any_topic(row);
        tellings += row->told != before;
    }
    *left = c->cursor < c->made;
    if (!*left) c->cursor = 0;
    pthread_mutex_unlock(&p->lock);
    return wanted;
}

void gw_publisher_condition_tell(gw_publisher_t *p, uint32_t topic) {
    pthread_mutex_lock(&p->lock);
    gw_condition_row_t *row = gw_conditions_row(&p->conditions, topic);
    if (row) row->mute = !change_tell(p, row, gw_monotonic_ns());
    pthread_mutex_unlock(&p->lock);
}
