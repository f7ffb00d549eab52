/* Which database's the folder is: a number that both have, drawn when they came together. Whoever gives an empty database to a full folder is
 * told, before the sweep takes every file for one that a crash left. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/images/store.h"

#define ID_SIZE 16
#define ID_FILE "database"

static int take_id(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    if (column[0].bytes.len != ID_SIZE)
        return cofre_fail(err, COFRE_MALFORMED, "the database: its number of the storage of images is none");
    memcpy(context, column[0].bytes.data, ID_SIZE);
    return 0;
}

static int row_of(uint8_t id[static ID_SIZE], struct db *db, struct cofre_err *err)
{
    return db_run(db, "SELECT id FROM image_store", NULL, 0, take_id, id, err);
}

/* 1, or 0: it has none. */
static int file_of(uint8_t id[static ID_SIZE], const struct images *images, struct cofre_err *err)
{
    CLEAN_FD fd = store_open(images->folder, ID_FILE, O_RDONLY | O_NONBLOCK, 0);
    if (fd == -ENOENT)
        return 0;
    return fd >= 0 && read(fd, id, ID_SIZE) == ID_SIZE
               ? 1
               : cofre_fail(err, COFRE_MALFORMED,
                            "the storage of images: its file " ID_FILE " does not say whose it is");
}

static int write_file(struct images *images, const uint8_t id[static ID_SIZE], struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    CLEAN_FD fd = store_incoming(images, name, err);
    int rc = fd < 0 ? fd : store_write(fd, (struct view){id, ID_SIZE}, 0, "the storage of images", err);
    if (rc == 0 && fsync(fd) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "the storage of images: %s", strerror(errno));
    return rc < 0 ? rc : store_name(images, name, images->folder, ID_FILE, err);
}

/* Kept before the folder has it: a crash in between leaves a folder that is nobody's, which it was before. */
static int draw(struct db *db, void *context, struct cofre_err *err)
{
    if (RAND_bytes(context, ID_SIZE) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL draws no random number");
    int rc = DB_RUN(db, "INSERT INTO image_store (one, id) VALUES (1, $1)", NULL, NULL, err,
                    db_bytes((struct view){context, ID_SIZE}));
    return rc < 0 ? rc : 0;
}

int store_belongs(struct images *images, struct db *db, struct cofre_err *err)
{
    uint8_t row[ID_SIZE], file[ID_SIZE];
    int has_file = file_of(file, images, err);
    int has_row = has_file < 0 ? has_file : row_of(row, db, err);
    if (has_row < 0)
        return has_row;
    if (has_file && (!has_row || memcmp(row, file, ID_SIZE) != 0))
        return cofre_fail(
            err, COFRE_USAGE,
            "the storage of images is another database's: its files would be taken for nobody's. "
            "Give it that database, or an empty folder to this one");
    int rc = has_row ? 0 : db_atomically(db, draw, row, err);
    return rc < 0 || has_file ? rc : write_file(images, row, err);
}
