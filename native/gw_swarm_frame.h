/* The header of a WebSocket frame as a client reads it (RFC 6455 section 5.2). */
#ifndef GW_SWARM_FRAME_H
#define GW_SWARM_FRAME_H
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gw_frame.h"

enum { GW_OP_CONTINUATION = 0 };
#define GW_CONTROL_BYTES_MAX 125u

typedef struct {
    uint64_t length; /* of the payload */
    uint8_t opcode, header_size;
    bool fin;
} gw_swarm_frame_t;

/* 1: the header is whole. 0: more bytes are needed. -EPROTO: no server may send this: reserved bits or
 * opcodes, a mask, a length that is not the shortest form or has its highest bit, a control frame
 * that is long or in fragments. */
static inline int gw_swarm_frame_parse(const uint8_t *p, size_t n, gw_swarm_frame_t *f) {
    if (n < 2) return 0;
    f->fin = p[0] >> 7;
    f->opcode = p[0] & 15;
    bool control = f->opcode >= GW_OP_CLOSE;
    if ((p[0] & 0x70) || (p[1] & 0x80)) return -EPROTO;
    if (control ? f->opcode > GW_OP_PONG || !f->fin : f->opcode > GW_OP_BINARY) return -EPROTO;
    f->length = p[1];
    f->header_size = 2;
    if (p[1] <= GW_CONTROL_BYTES_MAX) return 1;
    if (control) return -EPROTO;
    if (p[1] == 126) {
        if (n < 4) return 0;
        f->length = (uint64_t)p[2] << 8 | p[3];
        f->header_size = 4;
        return f->length < 126 ? -EPROTO : 1;
    }
    if (n < 10) return 0;
    f->length = 0;
    for (int i = 2; i < 10; i++) f->length = f->length << 8 | p[i];
    f->header_size = 10;
    return f->length <= 65535 || f->length >> 63 ? -EPROTO : 1;
}

#endif
