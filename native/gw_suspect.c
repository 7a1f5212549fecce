#include "gw_suspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gw_suspects_init(gw_suspects_t *s, uint32_t topics_max) {
    *s = (gw_suspects_t){0};
    s->topics = calloc(topics_max, sizeof *s->topics);
    s->members = calloc(topics_max, sizeof *s->members);
    if (s->topics != NULL && s->members != NULL) return 0;
    gw_suspects_free(s);
    return -ENOMEM;
}

void gw_suspects_free(gw_suspects_t *s) {
    free(s->topics);
    free(s->members);
    *s = (gw_suspects_t){0};
}

/* The kinds of the instrument's suspect topics, a bit each. */
static uint8_t kinds_of(const gw_suspects_t *s, uint32_t health) {
    uint8_t kinds = 0;
    for (unsigned kind = 0; kind < GW_CHANNELS; kind++)
        kinds |= (uint8_t)((s->members[health][kind] != 0) << kind);
    return kinds;
}

bool gw_suspects_add(gw_suspects_t *s, uint32_t topic, uint8_t kind, uint32_t health,
                     gw_text_t reason) {
    gw_suspect_t *t = &s->topics[topic];
    if (t->suspect) return false;
    if (kinds_of(s, health) == 0) s->instruments++;
    t->suspect = 1;
    t->health = health;
    t->reason_length = (uint8_t)(reason.length < GW_REASON_MAX ? reason.length : GW_REASON_MAX);
    for (size_t i = 0; i < t->reason_length; i++) /* it goes into messages as it is */
        t->reason[i] = reason.at[i] >= ' ' && reason.at[i] <= '~' ? reason.at[i] : '?';
    s->members[health][kind] = topic + 1;
    s->count++;
    return true;
}

void gw_suspects_remove(gw_suspects_t *s, uint32_t topic, uint8_t kind) {
    gw_suspect_t *t = &s->topics[topic];
    t->suspect = 0;
    s->members[t->health][kind] = 0;
    s->count--;
    if (kinds_of(s, t->health) == 0) s->instruments--;
}

void gw_suspects_fill(const gw_suspects_t *s, uint32_t health, gw_record_t *record) {
    static const gw_text_t states[] = {{"ok", 2}, {"suspect", 7}};
    gw_health_t *h = &record->u.health;
    record->h.kind = GW_HEALTH;
    record->h.cells = GW_RECORD_CELLS;
    *h = (gw_health_t){.suspect = kinds_of(s, health)};
    const gw_text_t *state = &states[h->suspect != 0];
    h->state_length = (uint8_t)state->length;
    memcpy(h->state, state->at, state->length);
    for (unsigned kind = 0; kind < GW_CHANNELS && h->reason_length == 0; kind++) {
        if (s->members[health][kind] == 0) continue;
        const gw_suspect_t *t = &s->topics[s->members[health][kind] - 1];
        h->reason_length = t->reason_length;
        memcpy(h->reason, t->reason, t->reason_length);
    }
}
