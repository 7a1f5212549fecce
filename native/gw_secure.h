/* Clients over TLS: who does what to what the plane has of them. */
#ifndef GW_SECURE_H
#define GW_SECURE_H
#include "gw_plane_internal.h"

/* gw_secure.c */
gw_secure_step_t *gw_secure_step(gw_plane_t *p); /* its `out` is empty */
void gw_secure_add(gw_plane_t *p, gw_client_t *c, gw_secure_t *s); /* takes it over */
void gw_secure_free(gw_plane_t *p, gw_client_t *c);
void gw_secure_drop(gw_plane_t *p, gw_client_t *c); /* its socket takes nothing any more */
int64_t gw_secure_oldest(const gw_client_t *c, int64_t oldest); /* when a frame of its sealed rest was taken, if before */
/* Keeps what the socket did not take of the step's bytes, behind what it has not taken before. */
int gw_secure_keep(gw_client_t *c, const uint8_t *bytes, size_t length);
/* A frame of the sealed record whose rest is kept. */
int gw_secure_stub(gw_client_t *c, const gw_stub_t *stub);
int gw_secure_stub_run(gw_plane_t *p, gw_client_t *c, const gw_log_t *log, uint64_t first, uint64_t count);
void gw_secure_delivered(gw_plane_t *p, gw_client_t *c); /* all of it has left */
void gw_secure_forget(gw_client_t *c, gw_link_t *l);     /* the link ends */
/* Has the socket watched for what is waited for: once, by the kernel's EPOLLONESHOT. 0 or errno. */
int gw_secure_watch(gw_plane_t *p, gw_client_t *c, unsigned wanted);

/* gw_secure_send.c: what gw_secure_send answers (gw_visit.h) */
int gw_secure_send_rest(gw_plane_t *p, gw_client_t *c);
int gw_secure_answer(gw_plane_t *p, gw_client_t *c); /* what was said in the step in hand, behind all of before */
int gw_secure_close(gw_plane_t *p, gw_client_t *c);  /* once */

/* gw_secure_read.c */
void gw_secure_reported(gw_plane_t *p, gw_client_t *c, uint32_t events);
void gw_secure_want(gw_plane_t *p, gw_client_t *c); /* the loop takes a record more */
int gw_secure_reads(gw_plane_t *p);                 /* a slice; whether there is more to read */

#endif
