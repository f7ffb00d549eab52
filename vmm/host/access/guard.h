/*
 * Failures to say who one is, counted for each place that they come from: an IPv4 address, an IPv6 network of 64 bits, a user
 * of this host. A place has GUARD_BURST of them and gets one back every GUARD_INTERVAL seconds; without any left nothing that
 * comes from there is looked at. The table has a fixed size, and nobody can choose which entries share a row of it.
 */
#ifndef COFRE_HOST_ACCESS_GUARD_H
#define COFRE_HOST_ACCESS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/host/access/identity.h"

#define GUARD_BURST    10
#define GUARD_INTERVAL 10 /* seconds */
#define GUARD_ROWS     512
#define GUARD_WAYS     4

struct guard {
    uint8_t seed[16];
    struct guard_place {
        uint64_t place; /* 0: free */
        int64_t since;  /* when left was counted, seconds */
        unsigned left;
    } row[GUARD_ROWS][GUARD_WAYS];
};

/* False without random bytes. */
bool guard_begin(struct guard *guard);
bool guard_lets(const struct guard *guard, const struct identity *identity, int64_t now);
/* Another one failed. Of a full row the place goes that has the most left. */
void guard_failed(struct guard *guard, const struct identity *identity, int64_t now);

#endif
