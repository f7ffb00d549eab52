/* Images that are there: their rows, tags and users. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/images/store.h"

const char images_schema[] =
    "CREATE TABLE image_store (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), id BYTEA NOT NULL);"
    /* verity: what the kernel checks the file by; empty where the file system does not. */
    "CREATE TABLE image (tenant TEXT NOT NULL, digest BYTEA NOT NULL, size BIGINT NOT NULL,"
    " charge BIGINT NOT NULL, verity BYTEA NOT NULL, added BIGINT NOT NULL, added_by TEXT NOT NULL,"
    " PRIMARY KEY (tenant, digest));"
    "CREATE TABLE image_tag (tenant TEXT NOT NULL, tag TEXT NOT NULL, digest BYTEA NOT NULL,"
    " moved BIGINT NOT NULL, PRIMARY KEY (tenant, tag),"
    " FOREIGN KEY (tenant, digest) REFERENCES image (tenant, digest));"
    "CREATE INDEX image_tag_digest ON image_tag (tenant, digest);"
    "CREATE TABLE image_use (tenant TEXT NOT NULL, digest BYTEA NOT NULL, guest BIGINT NOT NULL,"
    " guest_name TEXT NOT NULL, PRIMARY KEY (tenant, digest, guest),"
    " FOREIGN KEY (tenant, digest) REFERENCES image (tenant, digest));"
    "CREATE INDEX image_use_guest ON image_use (guest);"
    "CREATE TABLE guest_disk (guest BIGINT NOT NULL, place BIGINT NOT NULL, tenant TEXT NOT NULL,"
    " image BYTEA, size BIGINT NOT NULL, charge BIGINT NOT NULL, made BIGINT NOT NULL,"
    " PRIMARY KEY (guest, place));"
    "CREATE INDEX guest_disk_tenant ON guest_disk (tenant);";

static struct db_value of(const struct image_digest *digest)
{
    return db_bytes((struct view){digest->sha256, sizeof digest->sha256});
}

/* Names. */

#define PREFIX "sha256:"

int image_digest_parse(struct image_digest *out, const char *text, struct cofre_err *err)
{
    char again[IMAGE_DIGEST_TEXT];
    if (strncmp(text, PREFIX, strlen(PREFIX)) == 0 &&
        hex_decode(out->sha256, sizeof out->sha256, text + strlen(PREFIX))) {
        image_digest_text(again, out);
        if (strcmp(again, text) == 0)
            return 0;
    }
    return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no digest: sha256: and 64 digits, lower-case", text);
}

void image_digest_text(char out[static IMAGE_DIGEST_TEXT], const struct image_digest *digest)
{
    memcpy(out, PREFIX, strlen(PREFIX));
    hex_encode(out + strlen(PREFIX), digest->sha256, sizeof digest->sha256);
}

static int no_image(const char *name, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_NEGATIVE, "there is no image %.80s", name);
}

static int no_image_of(const struct image_digest *digest, struct cofre_err *err)
{
    char text[IMAGE_DIGEST_TEXT];
    image_digest_text(text, digest);
    return no_image(text, err);
}

static int take_digest(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct image_digest *digest = context;
    (void)columns;
    if (column[0].bytes.len != sizeof digest->sha256)
        return cofre_fail(err, COFRE_MALFORMED, "the database: a digest of %zu bytes", column[0].bytes.len);
    memcpy(digest->sha256, column[0].bytes.data, sizeof digest->sha256);
    return 0;
}

int image_has_row(struct db *db, const char *tenant, const struct image_digest *digest, struct cofre_err *err)
{
    return DB_RUN(db, "SELECT 1 FROM image WHERE tenant = $1 AND digest = $2", NULL, NULL, err,
                  db_text(tenant), of(digest));
}

int image_resolve(struct image_digest *out, struct db *db, const char *tenant, const char *name,
                  struct cofre_err *err)
{
    int rc = image_digest_parse(out, name, NULL) == 0
                 ? image_has_row(db, tenant, out, err)
                 : DB_RUN(db, "SELECT digest FROM image_tag WHERE tenant = $1 AND tag = $2", take_digest, out,
                          err, db_text(tenant), db_text(name));
    return rc == 0 ? no_image(name, err) : rc < 0 ? rc : 0;
}

/* What is said of one. */

static int take_text(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    return json_array_append_new(context, json_string(db_string(&column[0]))) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int take_image(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    json_t **out = context;
    (void)columns;
    *out = json_pack("{s:I, s:o, s:s, s:[], s:[]}", "size", (json_int_t)c[0].integer, "created",
                     json_time(c[1].integer), "created_by", db_string(&c[2]), "tags", "guests");
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int show(json_t **out, struct db *db, const char *tenant, const struct image_digest *digest,
                struct cofre_err *err)
{
    char text[IMAGE_DIGEST_TEXT];
    int rc = DB_RUN(db, "SELECT size, added, added_by FROM image WHERE tenant = $1 AND digest = $2",
                    take_image, out, err, db_text(tenant), of(digest));
    if (rc == 0)
        return no_image_of(digest, err);
    if (rc > 0)
        rc = DB_RUN(db, "SELECT tag FROM image_tag WHERE tenant = $1 AND digest = $2 ORDER BY tag", take_text,
                    json_object_get(*out, "tags"), err, db_text(tenant), of(digest));
    if (rc >= 0)
        rc = DB_RUN(db,
                    "SELECT guest_name FROM image_use WHERE tenant = $1 AND digest = $2 ORDER BY guest_name",
                    take_text, json_object_get(*out, "guests"), err, db_text(tenant), of(digest));
    image_digest_text(text, digest);
    if (rc >= 0 && json_object_set_new(*out, "digest", json_string(text)) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    return rc < 0 ? rc : 0;
}

int image_show(json_t **out, struct db *db, const char *tenant, const struct image_digest *digest,
               struct cofre_err *err)
{
    CLEAN_JSON *image = NULL;
    int rc = show(&image, db, tenant, digest, err);
    if (rc == 0)
        *out = json_incref(image);
    return rc;
}

struct digests {
    struct image_digest *digest;
    size_t count;
};

static int collect(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct digests *all = context;
    struct image_digest *more = realloc(all->digest, (all->count + 1) * sizeof *more);
    if (!more)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    all->digest = more;
    return take_digest(&more[all->count++], column, columns, err);
}

static int append(json_t *list, struct db *db, const char *tenant, const struct image_digest *digest,
                  struct cofre_err *err)
{
    CLEAN_JSON *image = NULL;
    int rc = show(&image, db, tenant, digest, err);
    return rc == 0 && json_array_append(list, image) < 0 ? cofre_fail(err, COFRE_FAILED, "out of memory")
                                                         : rc;
}

int image_list(json_t **out, struct db *db, const char *tenant, const struct image_digest *after,
               int64_t limit, struct cofre_err *err)
{
    struct digests all = {0};
    CLEAN_JSON *list = json_array();
    const struct db_value from = after ? of(after) : db_bytes((struct view){0});
    int rc = DB_RUN(db, "SELECT digest FROM image WHERE tenant = $1 AND digest > $2 ORDER BY digest LIMIT $3",
                    collect, &all, err, db_text(tenant), from, db_integer(limit));
    for (size_t i = 0; rc >= 0 && i < all.count; i++)
        rc = append(list, db, tenant, &all.digest[i], err);
    free(all.digest);
    if (rc < 0)
        return rc;
    *out = json_incref(list);
    return 0;
}

/* The file. */

struct expected {
    uint64_t size;
    struct bytes verity;
};

static int take_expected(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct expected *e = context;
    (void)columns;
    e->size = (uint64_t)c[0].integer;
    return bytes_copy(&e->verity, c[1].bytes, err);
}

/* Whose it is and its size, which cost nothing; and where the kernel vouches for the bytes, that it does so by what they were when they were added. */
static int check_file(int fd, const struct expected *e, struct cofre_err *err)
{
    CLEAN_BYTES verity = {0};
    if (!store_is_ours(fd, e->size))
        return cofre_fail(err, COFRE_FAILED, "its file is not the one that was added");
    int rc = e->verity.len ? verity_measure(fd, &verity, err) : 0;
    if (rc == 0 && e->verity.len && !view_equal(bytes_view(&verity), bytes_view(&e->verity)))
        rc = cofre_fail(err, COFRE_FAILED, "its file is not the one that was added, as fs-verity says");
    return rc;
}

static int open_file(int *fd, const struct images *images, const char *tenant,
                     const struct image_digest *digest, const struct expected *expected,
                     struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    digest_name(name, digest);
    CLEAN_FD folder = store_folder(images->tenants, tenant, false);
    CLEAN_FD file = folder < 0 ? folder : store_open(folder, name, O_RDONLY | O_NONBLOCK, 0);
    if (file < 0)
        return cofre_fail(err, COFRE_FAILED, "its file cannot be opened: %s", strerror(-file));
    int rc = check_file(file, expected, err);
    if (rc == 0 && fcntl(file, F_SETFL, 0) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "its file: %s", strerror(errno));
    if (rc == 0)
        *fd = TAKE_FD(file);
    return rc;
}

int image_open(int *fd, const struct images *images, struct db *db, const char *tenant,
               const struct image_digest *digest, struct cofre_err *err)
{
    char text[IMAGE_DIGEST_TEXT];
    struct expected expected = {0};
    int rc = DB_RUN(db, "SELECT size, verity FROM image WHERE tenant = $1 AND digest = $2", take_expected,
                    &expected, err, db_text(tenant), of(digest));
    if (rc == 0)
        return no_image_of(digest, err);
    if (rc > 0)
        rc = open_file(fd, images, tenant, digest, &expected, err);
    bytes_free(&expected.verity);
    image_digest_text(text, digest);
    return rc < 0 ? cofre_within(err, rc, "image %s", text) : 0;
}

/* What goes. */

static int take_user(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    char text[IMAGE_DIGEST_TEXT];
    (void)columns;
    image_digest_text(text, context);
    return cofre_fail(err, COFRE_USAGE,
                      "image %s is used by guest %s: delete the guest first, or have it use another", text,
                      db_string(&column[0]));
}

int image_delete(struct images *images, struct db *db, const char *tenant, const struct image_digest *digest,
                 struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    struct image_digest found = *digest;
    int rc = image_has_row(db, tenant, digest, err);
    if (rc == 0)
        return no_image_of(digest, err);
    if (rc > 0)
        rc = DB_RUN(db,
                    "SELECT guest_name FROM image_use WHERE tenant = $1 AND digest = $2"
                    " ORDER BY guest_name LIMIT 1",
                    take_user, &found, err, db_text(tenant), of(digest));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM image_tag WHERE tenant = $1 AND digest = $2", NULL, NULL, err,
                    db_text(tenant), of(digest));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM image WHERE tenant = $1 AND digest = $2", NULL, NULL, err,
                    db_text(tenant), of(digest));
    digest_name(name, digest);
    return rc < 0 ? rc : store_touch(images, tenant, name, err);
}

/* Tags. */

int image_tag(struct db *db, const char *tenant, const char *tag, const struct image_digest *digest,
              int64_t moved, struct cofre_err *err)
{
    if (store_tenant(tag, NULL) < 0) /* the same form */
        return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no tag: a-z, 0-9 and \"-\" within, at most 63",
                          tag);
    int rc = image_has_row(db, tenant, digest, err);
    if (rc == 0)
        return no_image_of(digest, err);
    if (rc > 0)
        rc = DB_RUN(db,
                    "INSERT INTO image_tag (tenant, tag, digest, moved) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (tenant, tag) DO UPDATE SET digest = $3, moved = $4",
                    NULL, NULL, err, db_text(tenant), db_text(tag), of(digest), db_integer(moved));
    return rc < 0 ? rc : 0;
}

int image_untag(struct db *db, const char *tenant, const char *tag, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM image_tag WHERE tenant = $1 AND tag = $2", NULL, NULL, err,
                    db_text(tenant), db_text(tag));
    return rc == 0 ? cofre_fail(err, COFRE_NEGATIVE, "there is no tag %.80s", tag) : rc < 0 ? rc : 0;
}

/* Users. */

static int use(struct db *db, const char *tenant, uint32_t guest, const char *guest_name,
               const struct image_digest *digest, struct cofre_err *err)
{
    int rc = image_has_row(db, tenant, digest, err);
    if (rc == 0)
        return no_image_of(digest, err);
    if (rc > 0)
        rc = DB_RUN(db,
                    "INSERT INTO image_use (tenant, digest, guest, guest_name) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT DO NOTHING",
                    NULL, NULL, err, db_text(tenant), of(digest), db_integer(guest), db_text(guest_name));
    return rc < 0 ? rc : 0;
}

int images_use(struct db *db, const char *tenant, uint32_t guest, const char *guest_name,
               const struct image_digest *digest, size_t digests, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM image_use WHERE guest = $1", NULL, NULL, err, db_integer(guest));
    for (size_t i = 0; rc >= 0 && i < digests; i++)
        rc = use(db, tenant, guest, guest_name, &digest[i], err);
    return rc < 0 ? rc : 0;
}
