/* PROTOCOL.md's trade update as gateway/codec/template.py compiles it, for the C tests and benches
 * (tests/native/test_template.py holds it against the compiler). */
#ifndef TRADE_PROGRAM_H
#define TRADE_PROGRAM_H
#include <stdint.h>

static const char trade_program[] =
    "\002\001"
    "\013,\"skipped\":"
    "\001}"
    "\000-{\"channel\":\"trade\",\"type\":\"update\",\"symbol\":\"\001"
    "\000\010\",\"seq\":\002"
    "\000\014,\"ts_event\":\003\000"
    "\000\013,\"ts_recv\":\003\001"
    "\000\013,\"ts_send\":\003\002"
    "\000\020,\"data\":[{\"id\":\"\010\003"
    "\000\013\",\"price\":\"\010\000"
    "\000\011\",\"qty\":\"\010\001"
    "\000\011\",\"side\":\010\002\004null\005\"buy\"\006\"sell\""
    "\000\002}]";

#define TRADE_PROGRAM ((const uint8_t *)trade_program)
#define TRADE_PROGRAM_SIZE (sizeof trade_program - 1)

#endif
