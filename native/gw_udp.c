typedef int gw_udp_placeholder_t;
