/* What a tenant has, and what more it may have. */
#include <inttypes.h>

#include "vmm/host/images/store.h"

static int take_sum(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(uint64_t *)context += (uint64_t)column[0].integer;
    return 0;
}

int images_used(uint64_t *out, const struct images *images, struct db *db, const char *tenant,
                struct cofre_err *err)
{
    *out = 0;
    int rc = DB_RUN(db, "SELECT CAST(COALESCE(SUM(charge), 0) AS BIGINT) FROM image WHERE tenant = $1",
                    take_sum, out, err, db_text(tenant));
    if (rc >= 0)
        rc = DB_RUN(db, "SELECT CAST(COALESCE(SUM(charge), 0) AS BIGINT) FROM guest_disk WHERE tenant = $1",
                    take_sum, out, err, db_text(tenant));
    *out += uploads_reserved(images, tenant);
    return rc < 0 ? rc : 0;
}

int images_count(uint64_t *out, const struct images *images, struct db *db, const char *tenant,
                 struct cofre_err *err)
{
    *out = 0;
    int rc = DB_RUN(db, "SELECT COUNT(*) FROM image WHERE tenant = $1", take_sum, out, err, db_text(tenant));
    *out += uploads_coming(images, tenant);
    return rc < 0 ? rc : 0;
}

/* Each sum is below 2^63: what came to it was below what was left of a quota. */
int store_room(const struct images *images, struct db *db, const char *tenant, uint64_t size, uint64_t quota,
               struct cofre_err *err)
{
    uint64_t used;
    int rc = images_used(&used, images, db, tenant, err);
    if (rc < 0)
        return rc;
    const uint64_t left = used < quota ? quota - used : 0;
    if (size <= INT64_MAX - BLOCK && charge_of(size) <= left)
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "the tenant's storage has room for %" PRIu64 " bytes, of %" PRIu64
                      ", and this needs %" PRIu64 ": delete images or guests, or ask for more",
                      left, quota, size <= INT64_MAX - BLOCK ? charge_of(size) : size);
}
