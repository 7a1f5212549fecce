/* The same over TLS. */
#define RIG_SECURE 1
#include "test_plane_f40.c"
