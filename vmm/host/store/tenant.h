/* Tenants' rows. All of it runs within the caller's transaction. */
#ifndef COFRE_HOST_STORE_TENANT_H
#define COFRE_HOST_STORE_TENANT_H

#include <jansson.h>

#include "attest/store/db.h"

struct tenant {
    char name[64];
    json_t *quotas, *labels; /* owned */
    int64_t made;
};
void tenant_free(struct tenant *tenant);
#define CLEAN_TENANT __attribute__((cleanup(tenant_free))) struct tenant

/* 1: there is none. */
int tenant_find(struct tenant *out, struct db *db, const char *name, struct cofre_err *err);
/* -COFRE_USAGE: there is one of that name. */
int tenant_add(struct db *db, const struct tenant *tenant, const char *by, struct cofre_err *err);
int tenant_change(struct db *db, const struct tenant *tenant, struct cofre_err *err);
int tenant_remove(struct db *db, const char *name, struct cofre_err *err);

/* In the order of names, those after one ("": all). take's 1 ends it: enough; so does a negative value, which is the result. */
typedef int (*tenant_take)(void *context, const struct tenant *tenant, struct cofre_err *err);
int tenants_list(struct db *db, const char *after, tenant_take take, void *context, struct cofre_err *err);

/* {"name", "quotas", "labels", "created"}; the caller's; NULL: no memory. */
json_t *tenant_show(const struct tenant *tenant);

#endif
