#include "tests/unit/host/images/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void fixture_make(struct fixture *f, const char *parent)
{
    char path[160];
    struct cofre_err err;
    *f = (struct fixture){.db = NULL};
    if (!parent)
        parent = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    (void)snprintf(f->folder, sizeof f->folder, "%s/cofre-images-XXXXXX", parent);
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(path, sizeof path, "%s/store", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/db", f->folder);
    if (db_open(&f->db, path, &err) < 0 || db_script(f->db, images_schema, &err) < 0)
        fail_msg("%s", err.text);
    db_close(f->db);
    f->db = NULL;
    fixture_open(f);
}

void fixture_open(struct fixture *f)
{
    char path[160];
    struct cofre_err err;
    (void)snprintf(path, sizeof path, "%s/store", f->folder);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    (void)snprintf(path, sizeof path, "%s/db", f->folder);
    if (images_open(&f->images, folder, &err) < 0 || db_open(&f->db, path, &err) < 0 ||
        images_sweep(f->images, f->db, &err) < 0)
        fail_msg("%s", err.text);
}

void fixture_close(struct fixture *f)
{
    images_close(f->images);
    db_close(f->db);
    f->images = NULL;
    f->db = NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void fixture_remove(struct fixture *f)
{
    fixture_close(f);
    assert_int_equal(nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static unsigned files;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    files += type != FTW_D && type != FTW_DP && strcmp(path + at->base, "database") != 0;
    return 0;
}

unsigned fixture_files(const struct fixture *f)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/store", f->folder);
    files = 0;
    assert_int_equal(nftw(path, count_one, 8, FTW_PHYS), 0);
    return files;
}

struct image_digest fixture_digest(struct view bytes)
{
    struct image_digest digest;
    assert_int_equal(EVP_Digest(bytes.data, bytes.len, digest.sha256, NULL, EVP_sha256(), NULL), 1);
    return digest;
}

struct keeping {
    struct image_upload *upload;
};

static int keep(struct db *db, void *context, struct cofre_err *err)
{
    const struct keeping *k = context;
    return image_upload_keep(k->upload, db, 1700000000, "ann", err);
}

int fixture_keep(struct fixture *f, struct image_upload *upload, struct cofre_err *err)
{
    struct keeping k = {upload};
    int rc = db_atomically(f->db, keep, &k, err);
    assert_int_equal(images_settle(f->images, f->db, NULL), 0);
    return rc;
}

int fixture_add(struct fixture *f, const char *tenant, struct view bytes, uint64_t quota,
                struct cofre_err *err)
{
    const struct image_digest digest = fixture_digest(bytes);
    struct image_upload *upload;
    int rc = image_upload_begin(&upload, f->images, f->db, tenant, &digest, bytes.len, quota, err);
    if (rc == 0)
        rc = image_upload_write(upload, bytes, err);
    if (rc == 0)
        rc = image_upload_finish(upload, err);
    if (rc == 0)
        rc = fixture_keep(f, upload, err);
    image_upload_free(upload);
    return rc;
}

struct planning {
    struct fixture *f;
    const char *tenant;
    uint32_t guest;
    const struct image_digest *image;
    uint64_t size, quota;
};

static int plan(struct db *db, void *context, struct cofre_err *err)
{
    const struct planning *p = context;
    return guest_disk_plan(p->f->images, db, p->tenant, p->guest, 0, p->image, p->size, p->quota, err);
}

static int made(struct db *db, void *context, struct cofre_err *err)
{
    return guest_disk_made(db, context, err);
}

int fixture_disk(struct fixture *f, const char *tenant, uint32_t guest, const struct image_digest *image,
                 uint64_t size, uint64_t quota, struct cofre_err *err)
{
    struct planning p = {f, tenant, guest, image, size, quota};
    struct guest_disk disk;
    int from = -1, rc = 0;
    if (guest_disk_find(&disk, f->db, guest, 0, NULL) < 0)
        rc = db_atomically(f->db, plan, &p, err);
    if (rc == 0)
        rc = images_settle(f->images, f->db, err);
    if (rc == 0)
        rc = guest_disk_find(&disk, f->db, guest, 0, err);
    if (rc == 0 && disk.copy)
        rc = image_open(&from, f->images, f->db, tenant, &disk.image, err);
    if (rc == 0)
        rc = guest_disk_make(f->images, &disk, from, err);
    if (from >= 0)
        close(from);
    return rc < 0 ? rc : db_atomically(f->db, made, &disk, err);
}
