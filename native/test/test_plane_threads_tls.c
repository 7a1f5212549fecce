/* The same over TLS: a connection goes from the loop's thread to the plane's (pthread_create: the thread checker's). */
#define RIG_SECURE 1
#include "test_plane_threads.c"
