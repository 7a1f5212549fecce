typedef int gw_plane_placeholder_t;
