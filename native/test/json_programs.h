/* Templates of JSON messages for the records of tests' planes. */
#ifndef JSON_PROGRAMS_H
#define JSON_PROGRAMS_H
#include "check.h"
#include "gw_plane_internal.h"

#include <stdbool.h>
#include <string.h>

static inline uint8_t *program_text(uint8_t *out, const char *text) {
    *out++ = 0; /* LITERAL */
    *out++ = (uint8_t)strlen(text);
    memcpy(out, text, strlen(text));
    return out + strlen(text);
}

/* A message with the fields of PROTOCOL.md that matter here, and two decimals that name it. */
static inline gw_template_t *rig_template_of(uint8_t channel, const char *type, unsigned variant) {
    static const uint8_t splice[] = "\013,\"skipped\":\001}";
    uint8_t program[512], *at = program;
    char head[96];
    const bool replay = !strcmp(type, "replay");
    snprintf(head, sizeof head, "{\"channel\":\"%s\",\"type\":\"%s\",\"symbol\":\"",
             channel == GW_TRADE ? "trade" : "bbo", replay ? "update" : type);
    *at++ = 2;       /* version */
    *at++ = channel; /* kind of its records */
    memcpy(at, splice, sizeof splice - 1);
    at = program_text(at + sizeof splice - 1, head);
    *at++ = 1; /* SYMBOL */
    at = program_text(at, variant ? "\",\"variant\":1,\"seq\":" : "\",\"seq\":");
    *at++ = 2; /* SEQ */
    at = program_text(at, ",\"data\":[{\"price\":\"");
    *at++ = 8; /* FIELD: price, or bid */
    *at++ = 0;
    at = program_text(at, "\",\"qty\":\"");
    *at++ = 8; /* qty, or bid_qty */
    *at++ = 1;
    at = program_text(at, replay ? "\"}],\"replay\":true" : "\"}]");
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

static inline gw_template_t *rig_template(uint8_t channel, const char *type) { return rig_template_of(channel, type, 0); }

#endif
