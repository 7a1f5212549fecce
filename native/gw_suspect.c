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

size_t gw_reason_copy(gw_text_t reason, char *out) {
    const size_t length = reason.length < GW_REASON_MAX ? reason.length : GW_REASON_MAX;
    for (size_t i = 0; i < length; i++) /* it goes into messages as it is */
        out[i] = reason.at[i] >= ' ' && reason.at[i] <= '~' ? reason.at[i] : '?';
    return length;
}

uint8_t gw_suspects_kinds(const gw_suspects_t *s, uint32_t health) {
    uint8_t kinds = 0;
    for (unsigned kind = 0; kind < GW_CHANNELS; kind++)
        kinds |= (uint8_t)((s->members[health][kind] != 0) << kind);
    return kinds;
}

bool gw_suspects_add(gw_suspects_t *s, uint32_t topic, uint8_t kind, uint32_t health,
                     gw_text_t reason) {
    gw_suspect_t *t = &s->topics[topic];
    if (t->suspect) return false;
    t->suspect = 1;
    t->health = health;
    t->reason_length = (uint8_t)gw_reason_copy(reason, t->reason);
    s->members[health][kind] = topic + 1;
    s->count++;
    return true;
}

void gw_suspects_remove(gw_suspects_t *s, uint32_t topic, uint8_t kind) {
    gw_suspect_t *t = &s->topics[topic];
    t->suspect = 0;
    s->members[t->health][kind] = 0;
    s->count--;
}

size_t gw_suspects_reason(const gw_suspects_t *s, uint32_t health, char *out) {
    for (unsigned kind = 0; kind < GW_CHANNELS; kind++) {
        if (s->members[health][kind] == 0) continue;
        const gw_suspect_t *t = &s->topics[s->members[health][kind] - 1];
        return gw_reason_copy((gw_text_t){t->reason, t->reason_length}, out);
    }
    return 0;
}
