#include "gw_stats.h"

#define GW_STATS_INFO(name, length)                                                                \
    {#name, (uint32_t)(offsetof(gw_stats_t, name) / sizeof(uint64_t)), (uint32_t)(length)},

const gw_stat_info_t gw_stat_infos[] = {GW_STATS_ALL(GW_STATS_INFO)};
const uint32_t gw_stat_infos_count = sizeof gw_stat_infos / sizeof gw_stat_infos[0];
