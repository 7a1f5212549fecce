/* The updates of tickgate.v1.sbe as gateway/codec/template.py compiles them, for the benches
 * (tests/native/test_template.py holds them against the compiler). */
#ifndef SBE_PROGRAMS_H
#define SBE_PROGRAMS_H
#include <stdint.h>

static const char sbe_trade_program[] =
    "\002\001\000\000\000\010\120\000\001\000\001\000\002\000\015\004\010\015\000\010\015\001\010\015"
    "\002\010\015\006\010\015\003\004\021\000\016\002\001\377\001\001\001\002\016\000\016\001\016\003";
static const char sbe_bbo_program[] =
    "\002\002\000\000\000\010\161\000\002\000\001\000\002\000\015\004\010\015\000\010\015\001\010\015"
    "\002\010\015\006\010\015\003\004\021\000\016\000\016\001\016\002\016\003";

#endif
