typedef int gw_ring_placeholder_t;
