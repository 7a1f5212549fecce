#include "gw_pattern.h"

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
