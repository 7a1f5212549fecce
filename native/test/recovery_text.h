/* What a reply says of one subscription's `from`. */
#ifndef RECOVERY_TEXT_H
#define RECOVERY_TEXT_H
#include "check.h"
#include "gw_plane.h"
#include "gw_replay.h"
#include <string.h>

/* GW_RECOVERY_*, of the GW_FILL_RECOVERY_WIDTH characters there; in `reach` how far, where it says so: to, or oldest. */
static inline int recovery_read(const char *at, unsigned long long *reach) {
    char one[GW_FILL_RECOVERY_WIDTH + 1] = "";
    memcpy(one, at, GW_FILL_RECOVERY_WIDTH);
    if (strspn(one, " ") == GW_FILL_RECOVERY_WIDTH) return GW_RECOVERY_NONE;
    const bool replays = strstr(one, ",\"recovery\":\"replaying\"") == one;
    CHECK(replays || strstr(one, ",\"recovery\":\"insufficient_state\"") == one);
    const char *told = strstr(one, replays ? ",\"to\":" : ",\"oldest\":");
    if (told) *reach = strtoull(strchr(told, ':') + 1, NULL, 10);
    return replays ? GW_RECOVERY_REPLAYING : GW_RECOVERY_INSUFFICIENT;
}

#endif
