/* The same over TLS: what is sealed is pending until its record has left. */
#define RIG_SECURE 1
#define SEEDS 60
#include "test_plane_model.c"
