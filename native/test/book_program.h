/* A book's update as gateway/codec/template.py compiles it, for benches (tests/native/test_template.py holds it against the
 * compiler). */
#ifndef BOOK_PROGRAM_H
#define BOOK_PROGRAM_H
#include <stdint.h>

static const char book_program[] =
    "\002\003"
    "\013,\"skipped\":"
    "\001}"
    "\000,{\"channel\":\"book\",\"type\":\"update\",\"symbol\":\"\001"
    "\000\010\",\"seq\":\002"
    "\000\014,\"ts_event\":\003\000"
    "\000\013,\"ts_recv\":\003\001"
    "\000\013,\"ts_send\":\003\002"
    "\000\012,\"data\":[{"
    "\024\000\010\"bids\":[\001]"
    "\024\001\011,\"asks\":[\001]"
    "\024\002\011,\"depth\":\000"
    "\024\003\015,\"first_id\":\"\001\""
    "\024\004\014,\"last_id\":\"\001\""
    "\024\005\021,\"maybe_bad\":true\000"
    "\024\006\014,\"checksum\":\000"
    "\000\002}]"
    "\024\007\011,\"part\":[\001]";

#define BOOK_PROGRAM ((const uint8_t *)book_program)
#define BOOK_PROGRAM_SIZE (sizeof book_program - 1)

#endif
