#include "gw_right.h"
#include <errno.h>

#define RULE_STEPS 4u /* what a rule costs beside the characters compared */

static int valid(const gw_rule_t *r) {
    return r->channels && r->list < GW_RULE_LISTS && r->length && r->length <= GW_INSTRUMENT_MAX;
}

/* A name's stars are themselves, as where topics are named. */
static void fill(gw_granted_t *out, const gw_rule_t *r) {
    out->channels = r->channels;
    out->allow = r->allow;
    out->list = r->list;
    for (size_t i = 0; i < r->length; i++)
        out->text[i] = !r->is_pattern && r->name[i] == '*' ? GW_LITERAL_STAR : r->name[i];
    gw_glob_compile(&out->glob, out->text, r->length);
    out->letters = gw_letters(out->text, r->length);
}

int gw_right_fill(gw_right_t *right, gw_granted_t *out, const gw_rule_t *rules, uint32_t count) {
    if (count > GW_RULES_MAX) return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (!valid(&rules[i])) return -EINVAL;
    *right = (gw_right_t){.count = count, .rules = out};
    for (uint32_t i = 0; i < count; i++) {
        fill(&out[i], &rules[i]);
        right->lists |= 1u << rules[i].list;
    }
    return 0;
}

int gw_right_decide(const gw_right_t *right, const gw_name_t *name, uint32_t found[GW_RULE_LISTS], uint32_t *steps) {
    uint32_t open = right->lists;
    int allow = open != 0;
    for (uint32_t i = 0; i < GW_RULE_LISTS; i++) found[i] = GW_RULE_NONE;
    for (uint32_t i = 0; i < right->count && open; i++) {
        const gw_granted_t *r = &right->rules[i];
        *steps += RULE_STEPS;
        if (!(open & 1u << r->list) || !(r->channels & 1u << name->channel)) continue;
        if (!gw_name_matches(&r->glob, r->letters, name->channel, name, steps)) continue;
        found[r->list] = i;
        allow &= r->allow != 0;
        open &= ~(1u << r->list);
    }
    return allow && !open;
}

uint32_t gw_right_count(const gw_right_t *right, const gw_name_t *names, uint32_t names_count, uint8_t channel,
                        const gw_glob_t *g, uint64_t *steps) {
    const uint64_t letters = gw_letters(g->text, g->length);
    uint32_t granted = 0, found[GW_RULE_LISTS];
    *steps = (uint64_t)names_count * GW_NAME_STEPS;
    for (uint32_t i = 0; i < names_count; i++) {
        uint32_t more = 0;
        if (gw_name_matches(g, letters, channel, &names[i], &more))
            granted += (uint32_t)gw_right_decide(right, &names[i], found, &more);
        *steps += more;
    }
    return granted;
}
