/*
 * What one caller holds: the grants and denials that are in effect for any of its principals, read once. What follows from them
 * is pure: deny wins, and what nothing grants is refused.
 */
#ifndef COFRE_HOST_ACCESS_HELD_H
#define COFRE_HOST_ACCESS_HELD_H

#include "vmm/host/access/access.h"
#include "vmm/host/access/role.h"

struct held_grant {
    int64_t number;
    role_set set;
    char tenant[64]; /* "": the host and every tenant */
    json_t *labels;  /* owned; all of them must be the guest's */
    bool deny, wide;
    int64_t until; /* 0: without end */
};
struct held {
    struct held_grant *grant;
    size_t count;
};
void held_free(struct held *held);
#define CLEAN_HELD __attribute__((cleanup(held_free))) struct held

/* Of the caller, at that time. */
int held_load(struct held *out, struct db *db, const struct access_caller *caller, int64_t now,
              struct cofre_err *err);

/* Where something is to be done. tenant NULL: on the host, where only what is granted for all tenants counts. labels NULL: it has
 * none, as a list has, a tenant or an image. */
struct held_place {
    const char *tenant;
    const json_t *labels;
};
/* 0 where it is granted and not denied. Negative otherwise, with a sentence for the log. *number: the grant that decided, or 0. */
int held_may(const struct held *held, enum operation_number operation, const struct held_place *place,
             int64_t *number, struct cofre_err *err);
/* Anything at all of what tenants have. */
bool held_sees(const struct held *held, const char *tenant);
bool held_sees_guest(const struct held *held, const char *tenant, const json_t *labels);

/* Everything of set that means something there, for whatever has these labels, until then: what one may hand on. -COFRE_NEGATIVE
 * names what is lacking. */
int held_covers(const struct held *held, role_set set, const char *tenant, const json_t *labels,
                int64_t until, struct cofre_err *err);

/* Every pair of the one is in the other. */
bool labels_within(const json_t *selector, const json_t *labels);

#endif
