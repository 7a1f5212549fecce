typedef int gw_stats_placeholder_t;
