/* PROTOCOL.md's bbo update as gateway/codec/template.py compiles it, for the C tests and benches
 * (tests/native/test_template.py holds it against the compiler). */
#ifndef BBO_PROGRAM_H
#define BBO_PROGRAM_H
#include <stdint.h>

static const char bbo_program[] =
    "\002\002"
    "\013,\"skipped\":"
    "\001}"
    "\000+{\"channel\":\"bbo\",\"type\":\"update\",\"symbol\":\"\001"
    "\000\010\",\"seq\":\002"
    "\000\014,\"ts_event\":\003\000"
    "\000\013,\"ts_recv\":\003\001"
    "\000\013,\"ts_send\":\003\002"
    "\000\021,\"data\":[{\"bid\":\"\010\000"
    "\000\015\",\"bid_qty\":\"\010\001"
    "\000\011\",\"ask\":\"\010\002"
    "\000\015\",\"ask_qty\":\"\010\003"
    "\000\003\"}]";

#define BBO_PROGRAM ((const uint8_t *)bbo_program)
#define BBO_PROGRAM_SIZE (sizeof bbo_program - 1)

#endif
