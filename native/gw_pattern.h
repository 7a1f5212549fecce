/* The glob of subscriptions: `*` is any run of characters, also none; everything else is itself. */
#ifndef GW_PATTERN_H
#define GW_PATTERN_H
#include <stdbool.h>
#include <stddef.h>

/* Whether the pattern covers the whole name. At most pattern_length * name_length steps, no
 * recursion. */
bool gw_pattern_match(const char *pattern, size_t pattern_length, const char *name,
                      size_t name_length);

#endif
