/* PROTOCOL.md's notices as gateway/codec/template.py compiles them, for the C tests and benches
 * (tests/native/test_template.py holds them against the compiler). */
#ifndef NOTICE_PROGRAMS_H
#define NOTICE_PROGRAMS_H
#include "gw_plane.h"

#include <stdlib.h>

static const char notice_heartbeat[] =
    "\002\200"
    "\000"
    "\000"
    "\000\033{\"channel\":\"heartbeat\",\"n\":\011\000"
    "\000\013,\"ts_send\":\003\002"
    "\000\001}";

static const char notice_epoch[] =
    "\002\201"
    "\000"
    "\000"
    "\0005{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"\013\000"
    "\000\004\"}]}";

static const char notice_lapped[] =
    "\002\202"
    "\000"
    "\000"
    "\0005{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"\014"
    "\000\014\",\"symbol\":\"\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\010,\"from\":\011\000"
    "\000\006,\"to\":\011\001"
    "\000\025,\"reason\":\"lapped\"}]}";

static const char notice_refused[] =
    "\002\203"
    "\000"
    "\000"
    "\0005{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"\014"
    "\000\014\",\"symbol\":\"\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\026,\"reason\":\"refused\"}]}";

static const char notice_missed[] =
    "\002\204"
    "\000"
    "\000"
    "\0005{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"\014"
    "\000\014\",\"symbol\":\"\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\010,\"lost\":\011\000"
    "\000\023,\"reason\":\"feed\"}]}";

static const char notice_reset[] =
    "\002\205"
    "\000"
    "\000"
    "\0005{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{\"channel\":\"\014"
    "\000\014\",\"symbol\":\"\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\024,\"reason\":\"reset\"}]}";

static const char notice_retired[] =
    "\002\206"
    "\000"
    "\000"
    "\0009{\"channel\":\"system\",\"type\":\"retired\",\"data\":[{\"channel\":\"\014"
    "\000\014\",\"symbol\":\"\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\003}]}";

static const char notice_limit[] =
    "\002\207"
    "\000"
    "\000"
    "\000>{\"channel\":\"system\",\"type\":\"limit_exceeded\",\"data\":[{\"limit\":\"\013\000"
    "\000\012\",\"value\":\011\000"
    "\000\021,\"subscription\":\"\013\001"
    "\000\004\"}]}";

static const char notice_limits[] =
    "\002\210"
    "\000"
    "\000"
    "\000O{\"channel\":\"system\",\"type\":\"limit_exceeded\",\"data\":[{\"limit\":\"notices\",\"value\":\011\000"
    "\000\013,\"refused\":\011\001"
    "\000\003}]}";

static const char notice_slow[] =
    "\002\211"
    "\000"
    "\000"
    "\0003{\"channel\":\"system\",\"type\":\"slow\",\"data\":[{\"level\":\011\000"
    "\000\007,\"was\":\011\001"
    "\000\013,\"action\":\"\013\000"
    "\000\020\",\"interval_ms\":\011\002"
    "\000\012,\"age_ms\":\011\003"
    "\000\003}]}";

static const char notice_conflation[] =
    "\002\212"
    "\000"
    "\000"
    "\0000{\"channel\":\"system\",\"type\":\"conflation\",\"data\":[";

static const char notice_class[] =
    "\002\213"
    "\000"
    "\000"
    "\000\011{\"class\":\011\000"
    "\000\017,\"interval_ms\":\012\001"
    "\000\012,\"was_ms\":\012\002"
    "\000\010,\"step\":\011\003"
    "\000\001}";

static const char notice_class_more[] =
    "\002\214"
    "\000"
    "\000"
    "\000\012,{\"class\":\011\000"
    "\000\017,\"interval_ms\":\012\001"
    "\000\012,\"was_ms\":\012\002"
    "\000\010,\"step\":\011\003"
    "\000\001}";

static const char notice_conflation_end[] =
    "\002\215"
    "\000"
    "\000"
    "\000\002]}";

static const char notice_shutdown[] =
    "\002\216"
    "\000"
    "\000"
    "\000D{\"channel\":\"system\",\"type\":\"shutdown\",\"data\":[{\"reconnect_after_ms\":\011\000"
    "\000\003}]}";

static const char notice_replayed[] =
    "\002\220"
    "\000"
    "\000"
    "\000B{\"channel\":\"system\",\"type\":\"replay_completed\",\"data\":[{\"channel\":\"\013\000"
    "\000\014\",\"symbol\":\"\013\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\010,\"from\":\011\000"
    "\000\006,\"to\":\011\001"
    "\000\003}]}";

static const char notice_replayed_pattern[] =
    "\002\221"
    "\000"
    "\000"
    "\000B{\"channel\":\"system\",\"type\":\"replay_completed\",\"data\":[{\"channel\":\"\013\000"
    "\000\014\",\"symbol\":\"\013\001"
    "\000\001\"\023\015,\"interval\":\"\001\""
    "\000\003}]}";

static const char notice_auth_expiring[] =
    "\002\222"
    "\000"
    "\000"
    "\000A{\"channel\":\"system\",\"type\":\"auth_expiring\",\"data\":[{\"expires_at\":\011\000\000\003}]}";

typedef struct {
    const char *at;
    size_t size;
} notice_program_t;
#define NOTICE_PROGRAM(text) {text, sizeof text - 1}

static const notice_program_t notice_programs[GW_NOTICES] = {
    [GW_NOTICE_HEARTBEAT] = NOTICE_PROGRAM(notice_heartbeat),
    [GW_NOTICE_EPOCH] = NOTICE_PROGRAM(notice_epoch),
    [GW_NOTICE_LAPPED] = NOTICE_PROGRAM(notice_lapped),
    [GW_NOTICE_REFUSED] = NOTICE_PROGRAM(notice_refused),
    [GW_NOTICE_MISSED] = NOTICE_PROGRAM(notice_missed),
    [GW_NOTICE_RESET] = NOTICE_PROGRAM(notice_reset),
    [GW_NOTICE_RETIRED] = NOTICE_PROGRAM(notice_retired),
    [GW_NOTICE_LIMIT] = NOTICE_PROGRAM(notice_limit),
    [GW_NOTICE_LIMITS] = NOTICE_PROGRAM(notice_limits),
    [GW_NOTICE_SLOW] = NOTICE_PROGRAM(notice_slow),
    [GW_NOTICE_CONFLATION] = NOTICE_PROGRAM(notice_conflation),
    [GW_NOTICE_CLASS] = NOTICE_PROGRAM(notice_class),
    [GW_NOTICE_CLASS_MORE] = NOTICE_PROGRAM(notice_class_more),
    [GW_NOTICE_CONFLATION_END] = NOTICE_PROGRAM(notice_conflation_end),
    [GW_NOTICE_SHUTDOWN] = NOTICE_PROGRAM(notice_shutdown),
    [GW_NOTICE_REPLAYED] = NOTICE_PROGRAM(notice_replayed),
    [GW_NOTICE_REPLAYED_PATTERN] = NOTICE_PROGRAM(notice_replayed_pattern),
    [GW_NOTICE_AUTH_EXPIRING] = NOTICE_PROGRAM(notice_auth_expiring),
};

static inline void notices_load(gw_format_t *format) {
    for (unsigned i = 0; i < GW_NOTICES; i++)
        if (notice_programs[i].at && gw_template_load((const uint8_t *)notice_programs[i].at, notice_programs[i].size, &format->notices[i])) abort();
}

#endif
