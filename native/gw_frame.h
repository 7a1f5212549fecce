/* WebSocket framing of what the server sends: FIN set, unmasked (RFC 6455 section 5.2). */
#ifndef GW_FRAME_H
#define GW_FRAME_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { GW_OP_TEXT = 1, GW_OP_BINARY = 2, GW_OP_CLOSE = 8, GW_OP_PING = 9, GW_OP_PONG = 10 };
#define GW_FRAME_HEADER_MAX 10u

/* Length of the header of a payload of this length. */
static inline size_t gw_frame_header_size(size_t length) {
    return length < 126 ? 2 : length <= 65535 ? 4 : 10;
}

/* Writes the header at `out`; its length. */
static inline size_t gw_frame_header(uint8_t opcode, size_t length, uint8_t *out) {
    out[0] = (uint8_t)(0x80u | opcode);
    if (length < 126) {
        out[1] = (uint8_t)length;
        return 2;
    }
    if (length <= 65535) {
        out[1] = 126;
        out[2] = (uint8_t)(length >> 8);
        out[3] = (uint8_t)length;
        return 4;
    }
    out[1] = 127;
    for (int i = 0; i < 8; i++) out[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
    return 10;
}

/* Puts the header in front of a payload at out + GW_FRAME_HEADER_MAX; the frame's length. */
static inline size_t gw_frame_close(uint8_t opcode, size_t payload, uint8_t *out) {
    size_t header = gw_frame_header(opcode, payload, out);
    memmove(out + header, out + GW_FRAME_HEADER_MAX, payload);
    return header + payload;
}

#endif
