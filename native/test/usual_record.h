/* A record without a tail, as it lies in a ring: the step of an array that takes no other. */
#ifndef USUAL_RECORD_H
#define USUAL_RECORD_H
#include "gw_record.h"

typedef struct {
    gw_header_t h;
    union {
        gw_trade_t trade;
        gw_bbo_t bbo;
    } u;
} usual_t;

#endif
