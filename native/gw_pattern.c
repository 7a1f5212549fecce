#include "gw_pattern.h"
#include <errno.h>

/* Only the last star seen ever needs to take one more character: whatever an earlier star could
 * still take, the later one can take as well. So one place to return to is enough. */
bool gw_pattern_match(const char *pattern, size_t pattern_length, const char *name,
                      size_t name_length) {
    size_t p = 0, n = 0, after_star = 0, star_end = 0;
    bool star = false;
    while (n < name_length) {
        if (p < pattern_length && pattern[p] == '*') {
            star = true;
            after_star = ++p;
            star_end = n;
        } else if (p < pattern_length && pattern[p] == name[n]) {
            p++;
            n++;
        } else if (star) {
            p = after_star;
            n = ++star_end;
        } else {
            return false;
        }
    }
    while (p < pattern_length && pattern[p] == '*') p++;
    return p == pattern_length;
}

int gw_glob_compile(gw_glob_t *g, const char *text, size_t length) {
    if (length > GW_GLOB_MAX) return -EINVAL;
    size_t head = 0, tail = 0, stars = 0;
    for (size_t i = 0; i < length; i++) stars += text[i] == '*';
    while (head < length && text[head] != '*') head++;
    while (stars && text[length - 1 - tail] != '*') tail++;
    size_t least = length - stars;
    *g = (gw_glob_t){.text = text, .length = (uint8_t)length, .head = (uint8_t)head,
                     .tail = (uint8_t)tail, .least = (uint8_t)least};
    g->kind = !stars ? GW_GLOB_NAME : least == head + tail ? GW_GLOB_ENDS : GW_GLOB_MIDDLES;
    return 0;
}

bool gw_glob_middles(const gw_glob_t *g, const char *name, size_t name_length, uint32_t *steps) {
    const char *at = g->text + g->head;
    const char *last = g->text + g->length - g->tail; /* behind the last star */
    const char *from = name + g->head, *end = name + name_length - g->tail;
    size_t left = (size_t)g->least - g->head - g->tail; /* bytes of literals not found yet */
    for (;;) {
        while (at < last && *at == '*') at++;
        if (at == last) return true;
        size_t length = 1;
        while (at[length] != '*') length++; /* a star ends the last one, too */
        for (;; from++) {
            if ((size_t)(end - from) < left) return false;
            size_t same = 0;
            while (same < length && from[same] == at[same]) same++;
            *steps += (uint32_t)same + 1;
            if (same == length) break;
        }
        from += length;
        at += length;
        left -= length;
    }
}
