/* Files without a row go: of one transaction when it is over, and of all that a crash left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/images/folder.h"
#include "vmm/host/images/store.h"

#define LOG_ROOM "images"
#include "vmm/base/log.h"

int store_touch(struct images *images, const char *tenant, const char *name, struct cofre_err *err)
{
    struct touched *more = realloc(images->touched, (images->touched_count + 1) * sizeof *more);
    if (!more)
        return cofre_fail(err, COFRE_FAILED, "the storage of images: out of memory");
    images->touched = more;
    struct touched *t = &more[images->touched_count++];
    (void)snprintf(t->tenant, sizeof t->tenant, "%s", tenant);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    return 0;
}

/* A name that is none of ours has no row. 1 or 0. */

static int image_named(struct db *db, const char *tenant, const char *name, struct cofre_err *err)
{
    struct image_digest digest;
    char again[STORED_NAME_SIZE];
    if (store_tenant(tenant, NULL) < 0 || !hex_decode(digest.sha256, sizeof digest.sha256, name))
        return 0;
    digest_name(again, &digest); /* upper-case digits are another name */
    return strcmp(again, name) == 0 ? image_has_row(db, tenant, &digest, err) : 0;
}

static int disk_named(struct db *db, const char *name, struct cofre_err *err)
{
    char again[STORED_NAME_SIZE];
    uint32_t guest;
    unsigned place;
    if (sscanf(name, "%8x-%2u", &guest, &place) != 2)
        return 0;
    disk_name(again, guest, place);
    return strcmp(again, name) == 0 ? disk_has_row(db, guest, place, err) : 0;
}

/* 1 where it went. One that will not go is logged, and keeps no host from starting. */
static int remove_unnamed(int folder, struct db *db, const char *tenant, const char *name,
                          struct cofre_err *err)
{
    int row = *tenant ? image_named(db, tenant, name, err) : disk_named(db, name, err);
    if (row != 0)
        return row < 0 ? row : 0;
    if (unlinkat(folder, name, 0) == 0)
        return 1;
    if (errno != ENOENT)
        log_warn("the storage of images: %s cannot be removed: %s", name, strerror(errno));
    return 0;
}

/* A tenant without images has no folder; where there is something in it, it stays. */
static void drop_folder(const struct images *images, const char *tenant)
{
    (void)unlinkat(images->tenants, tenant, AT_REMOVEDIR);
}

static int settle(const struct images *images, struct db *db, const struct touched *t, struct cofre_err *err)
{
    if (!*t->tenant)
        return remove_unnamed(images->disks, db, "", t->name, err);
    CLEAN_FD folder = store_folder(images->tenants, t->tenant, false);
    if (folder < 0)
        return 0;
    int rc = remove_unnamed(folder, db, t->tenant, t->name, err);
    if (rc == 1)
        drop_folder(images, t->tenant);
    return rc;
}

int images_settle(struct images *images, struct db *db, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < images->touched_count; i++) {
        int one = settle(images, db, &images->touched[i], rc < 0 ? NULL : err);
        rc = rc < 0 || one >= 0 ? rc : one;
    }
    images->touched_count = 0;
    return rc;
}

static int sweep_folder(int folder, struct db *db, const char *tenant, struct cofre_err *err)
{
    struct folder_names names;
    int gone = 0, rc = folder_list(&names, folder, err);
    for (size_t i = 0; rc >= 0 && i < names.count; i++) {
        rc = remove_unnamed(folder, db, tenant, names.name[i], err);
        gone += rc == 1;
    }
    folder_free(&names);
    return rc < 0 ? rc : gone;
}

static int sweep_tenant(const struct images *images, struct db *db, const char *tenant, struct cofre_err *err)
{
    CLEAN_FD folder = store_folder(images->tenants, tenant, false);
    if (folder < 0 || store_tenant(tenant, NULL) < 0) {
        log_warn("the storage of images: images/%s is no tenant's folder, and stays", tenant);
        return 0;
    }
    int gone = sweep_folder(folder, db, tenant, err);
    drop_folder(images, tenant);
    return gone;
}

int images_sweep(struct images *images, struct db *db, struct cofre_err *err)
{
    struct folder_names tenants = {0};
    int gone = 0, rc = store_belongs(images, db, err);
    if (rc == 0)
        rc = gone = sweep_folder(images->disks, db, "", err);
    if (rc >= 0)
        rc = folder_list(&tenants, images->tenants, err);
    for (size_t i = 0; rc >= 0 && i < tenants.count; i++) {
        rc = sweep_tenant(images, db, tenants.name[i], err);
        gone += rc > 0 ? rc : 0;
    }
    folder_free(&tenants);
    return rc < 0 ? rc : gone;
}
