/* An image that comes in: announced, written beside what is there, compared with its digest, named. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/images/store.h"

#define UPLOADS_MAX        64 /* at once */
#define UPLOADS_TENANT_MAX 8

enum state { COMING, FINISHED, KEPT, BROKEN };

struct image_upload {
    struct images *images;
    struct image_upload *next;
    char tenant[TENANT_NAME_MAX + 1];
    struct image_digest digest;
    uint64_t size, at; /* announced, come */
    atomic_int state;  /* enum state: another thread may be at it */
    int fd;
    char name[STORED_NAME_SIZE]; /* in incoming; "": there is none */
    EVP_MD_CTX *hash;
    struct bytes verity;
};

uint64_t uploads_reserved(const struct images *images, const char *tenant)
{
    uint64_t sum = 0;
    for (const struct image_upload *u = images->uploads; u; u = u->next)
        if (u->state != KEPT && strcmp(u->tenant, tenant) == 0)
            sum += charge_of(u->size);
    return sum;
}

uint64_t uploads_coming(const struct images *images, const char *tenant)
{
    uint64_t count = 0;
    for (const struct image_upload *u = images->uploads; u; u = u->next)
        count += u->state != KEPT && strcmp(u->tenant, tenant) == 0;
    return count;
}

/* A tenant is told of its own number only. */
static int count(const struct images *images, const char *tenant, struct cofre_err *err)
{
    unsigned all = 0, own = 0;
    for (const struct image_upload *u = images->uploads; u; u = u->next) {
        all++;
        own += strcmp(u->tenant, tenant) == 0;
    }
    if (own >= UPLOADS_TENANT_MAX)
        return cofre_fail(err, COFRE_LACKING, "the tenant has %u uploads going on: wait for one to end", own);
    return all < UPLOADS_MAX ? 0 : cofre_fail(err, COFRE_LACKING, "the host is busy with uploads: try again");
}

/* 1: the tenant has it. */
static int may_begin(const struct images *images, struct db *db, const char *tenant,
                     const struct image_digest *digest, uint64_t size, uint64_t quota, struct cofre_err *err)
{
    int rc = store_tenant(tenant, err);
    if (rc == 0)
        rc = image_has_row(db, tenant, digest, err);
    if (rc != 0)
        return rc;
    if (size == 0)
        return cofre_fail(err, COFRE_USAGE, "an image has at least one byte");
    rc = count(images, tenant, err);
    return rc < 0 ? rc : store_room(images, db, tenant, size, quota, err);
}

static int open_file(struct image_upload *u, struct cofre_err *err)
{
    u->hash = EVP_MD_CTX_new();
    if (!u->hash || EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL has no SHA-256");
    u->fd = store_incoming(u->images, u->name, err);
    return u->fd < 0 ? u->fd : 0;
}

int image_upload_begin(struct image_upload **out, struct images *images, struct db *db, const char *tenant,
                       const struct image_digest *digest, uint64_t size, uint64_t quota,
                       struct cofre_err *err)
{
    *out = NULL;
    int rc = may_begin(images, db, tenant, digest, size, quota, err);
    if (rc != 0)
        return rc;
    struct image_upload *u = malloc(sizeof *u);
    if (!u)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    *u = (struct image_upload){
        .images = images, .next = images->uploads, .digest = *digest, .size = size, .fd = -1};
    (void)snprintf(u->tenant, sizeof u->tenant, "%s", tenant);
    images->uploads = u;
    rc = open_file(u, err);
    if (rc < 0)
        image_upload_free(u);
    else
        *out = u;
    return rc;
}

/* One run of bytes after another that are not zero; blocks that are stay holes. */
static int put(const struct image_upload *u, struct view v, struct cofre_err *err)
{
    uint64_t at = u->at, from = 0, end = 0; /* the run is v[from, end) */
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < v.len;) {
        const uint64_t block = BLOCK - (at + i) % BLOCK, n = block < v.len - i ? block : v.len - i;
        if (!bytes_are_zero(v.data + i, n)) {
            from = end == i ? from : i;
            end = i + n;
        }
        if (end > from && (end != i + n || i + n == v.len)) {
            rc = store_write(u->fd, (struct view){v.data + from, end - from}, at + from, "the image", err);
            from = end;
        }
        i += n;
    }
    return rc;
}

static int broken(struct image_upload *u, int rc)
{
    u->state = BROKEN;
    return rc;
}

static int must_be(const struct image_upload *u, enum state state, struct cofre_err *err)
{
    return u->state == (int)state ? 0
                                  : cofre_fail(err, COFRE_FAILED,
                                               u->state == BROKEN ? "the upload failed before"
                                                                  : "the upload is over, or is not yet");
}

int image_upload_write(struct image_upload *u, struct view bytes, struct cofre_err *err)
{
    int rc = must_be(u, COMING, err);
    if (rc < 0)
        return rc;
    if (bytes.len > u->size - u->at)
        return broken(u, cofre_fail(err, COFRE_MALFORMED,
                                    "more bytes came than the %" PRIu64 " that were announced", u->size));
    rc = EVP_DigestUpdate(u->hash, bytes.data, bytes.len) == 1
             ? put(u, bytes, err)
             : cofre_fail(err, COFRE_FAILED, "OpenSSL: SHA-256 failed");
    u->at += bytes.len;
    return rc < 0 ? broken(u, rc) : 0;
}

static int compare(struct image_upload *u, struct cofre_err *err)
{
    struct image_digest came;
    char text[IMAGE_DIGEST_TEXT];
    if (u->at != u->size)
        return cofre_fail(err, COFRE_MALFORMED,
                          "%" PRIu64 " bytes came of the %" PRIu64 " that were announced", u->at, u->size);
    if (EVP_DigestFinal_ex(u->hash, came.sha256, NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL: SHA-256 failed");
    image_digest_text(text, &came);
    return memcmp(came.sha256, u->digest.sha256, sizeof came.sha256) == 0
               ? 0
               : cofre_fail(err, COFRE_MALFORMED,
                            "the bytes that came are %s, not what they were announced as", text);
}

/* Nobody writes to it any more: who has it open to write keeps fs-verity away. */
static int seal(struct image_upload *u, struct cofre_err *err)
{
    if (ftruncate(u->fd, (off_t)u->size) < 0 || fchmod(u->fd, 0400) < 0 || fsync(u->fd) < 0)
        return cofre_fail(err, errno == ENOSPC ? COFRE_LACKING : COFRE_FAILED,
                          "the image: it cannot be brought to the disk: %s", strerror(errno));
    close(u->fd);
    u->fd = store_open(u->images->incoming, u->name, O_RDONLY, 0);
    if (u->fd < 0)
        return cofre_fail(err, COFRE_FAILED, "the image: %s", strerror(-u->fd));
    int rc = verity_enable(u->fd, &u->verity, err);
    if (rc == 0 && u->verity.len && fsync(u->fd) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "the image: fs-verity: %s", strerror(errno));
    return rc;
}

int image_upload_finish(struct image_upload *u, struct cofre_err *err)
{
    int rc = must_be(u, COMING, err);
    if (rc == 0)
        rc = compare(u, err);
    if (rc == 0)
        rc = seal(u, err);
    if (rc < 0)
        return broken(u, rc);
    u->state = FINISHED;
    return 0;
}

static int name_it(struct image_upload *u, struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    digest_name(name, &u->digest);
    int rc = store_touch(u->images, u->tenant, name, err);
    if (rc < 0)
        return rc;
    CLEAN_FD folder = store_folder(u->images->tenants, u->tenant, true);
    if (folder < 0)
        return cofre_fail(err, COFRE_FAILED, "the storage of images: the tenant's folder: %s",
                          strerror(-folder));
    return store_name(u->images, u->name, folder, name, err);
}

/* The row, which the end of the transaction makes true, first: it tells whether another came before. */
int image_upload_keep(struct image_upload *u, struct db *db, int64_t added, const char *by,
                      struct cofre_err *err)
{
    int rc = must_be(u, FINISHED, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO image (tenant, digest, size, charge, verity, added, added_by)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                    NULL, NULL, err, db_text(u->tenant),
                    db_bytes((struct view){u->digest.sha256, sizeof u->digest.sha256}),
                    db_integer((int64_t)u->size), db_integer((int64_t)charge_of(u->size)),
                    db_bytes(bytes_view(&u->verity)), db_integer(added), db_text(by));
    if (rc == 0)
        return 1;
    if (rc > 0)
        rc = name_it(u, err);
    if (rc < 0)
        return broken(u, rc);
    u->state = KEPT;
    u->name[0] = 0;
    return 0;
}

void image_upload_free(struct image_upload *u)
{
    if (!u)
        return;
    for (struct image_upload **at = &u->images->uploads; *at; at = &(*at)->next)
        if (*at == u) {
            *at = u->next;
            break;
        }
    if (u->name[0])
        (void)unlinkat(u->images->incoming, u->name, 0);
    if (u->fd >= 0)
        close(u->fd);
    EVP_MD_CTX_free(u->hash);
    bytes_free(&u->verity);
    free(u);
}
