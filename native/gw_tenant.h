/* Tenants: whose clients share the plane's visits by weight (gw_tenant.c). */
#ifndef GW_TENANT_H
#define GW_TENANT_H
#include "gw_stats.h"
#include <stddef.h>
#include <stdint.h>

/* A tenant's clients wait in a list of its own, GW_TURN_TENANTS and its number. */
typedef struct {
    int64_t credit;      /* what it may still cost before the next tenant's turn; less than 0: it owes that */
    uint32_t round_last; /* the last place in its list that this round still visits; the list's sentinel: none */
} gw_tenant_t;

struct gw_plane;
struct gw_client;

int gw_tenants_valid(uint32_t count, const uint16_t *weights);
void gw_tenants_init(struct gw_plane *p);
/* One visit, of the client that is next by its tenant's weight: the bytes that it offered to the kernel. Sets `over` where it
 * ended the round. */
size_t gw_tenants_visit(struct gw_plane *p, int *over);
/* A visit of another list, at the cost of the client's tenant. */
size_t gw_tenant_flush(struct gw_plane *p, struct gw_client *c, size_t room);
/* The client is another tenant's from now on. */
void gw_tenant_move(struct gw_plane *p, struct gw_client *c, uint32_t tenant);
/* Since when the oldest news wait, if before `since`. */
int64_t gw_tenants_oldest(const struct gw_plane *p, int64_t since);

#endif
