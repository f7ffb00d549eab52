#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/log/file_parts.h"
#include "vmm/base/cleanup.h"

/* The tree's list, in a file without a name */

static int read_hash(void *context, uint64_t position, struct log_hash *out, struct cofre_err *err)
{
    struct log_file *f = context;
    return growing_file_read(&f->hashes, position * LOG_HASH_SIZE, out, sizeof *out, err);
}

static int append_hashes(void *context, uint64_t position, const struct log_hash *hash, size_t count,
                         struct cofre_err *err)
{
    (void)position;
    struct log_file *f = context;
    return growing_file_append(&f->hashes, (struct view){hash->data, count * sizeof *hash}, err);
}

/* On the log's disk where that can be written, so that it costs no memory. */
static int open_nameless(struct growing_file *out, const char *path, struct cofre_err *err)
{
    CLEAN_FREE char *copy = strdup(path);
    if (!copy)
        return cofre_fail(err, COFRE_FAILED, "no memory for its name");
    CLEAN_FD fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("cofre-log", MFD_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_FAILED, "no file for its hashes: %s", strerror(errno));
    return growing_file_open(out, TAKE_FD(fd), err);
}

static int make(struct log_file **out, const char *path, const struct log_heads *heads, struct cofre_err *err)
{
    struct log_file *f = *out = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path)))
        return cofre_fail(err, COFRE_FAILED, "no memory for the log");
    f->heads = *heads;
    f->items.fd = f->hashes.fd = f->places.fd = -1;
    int rc = open_nameless(&f->hashes, path, err);
    if (rc == 0)
        rc = open_nameless(&f->places, path, err);
    struct log_hash_list list = {f, read_hash, append_hashes};
    return rc < 0 ? rc : log_tree_open(&f->tree, &list, 0, err);
}

static int lock(int fd, struct cofre_err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return cofre_fail(err, COFRE_FAILED, "another process writes to it");
    return cofre_fail(err, COFRE_FAILED, "it cannot be locked: %s", strerror(errno));
}

/* Before the file's length is asked for, which is then not less than what was committed, though another process writes. */
static int read_header(struct log_file *f, int fd, struct cofre_err *err)
{
    uint8_t header[LOG_HEADER_SIZE];
    ssize_t n = pread(fd, header, sizeof header, 0);
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "it cannot be read: %s", strerror(errno));
    if (!log_header_read(&f->committed, (struct view){header, (size_t)n}))
        return cofre_fail(err, COFRE_MALFORMED, "it is no log");
    return 0;
}

static int open_items(struct log_file *f, struct cofre_err *err)
{
    CLEAN_FD fd = open(f->path, (f->heads.sign ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, errno == ENOENT ? COFRE_USAGE : COFRE_FAILED, "%s", strerror(errno));
    int rc = f->heads.sign ? lock(fd, err) : 0;
    if (rc == 0)
        rc = read_header(f, fd, err);
    return rc < 0 ? rc : growing_file_open(&f->items, TAKE_FD(fd), err);
}

int log_file_open(struct log_file **out, const char *path, const struct log_heads *heads,
                  struct cofre_err *err)
{
    CLEAN_LOG_FILE *f = NULL;
    int rc = make(&f, path, heads, err);
    if (rc == 0)
        rc = open_items(f, err);
    if (rc == 0)
        rc = log_file_replay(f, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    *out = TAKE_PTR(f);
    return 0;
}

void log_file_close(struct log_file *f)
{
    if (!f)
        return;
    log_tree_close(&f->tree);
    growing_file_close(&f->items);
    growing_file_close(&f->hashes);
    growing_file_close(&f->places);
    bytes_free(&f->head);
    free(f->path);
    free(f);
}

/* Creation: under another name until all of it is on the disk */

static int sync_directory(const char *path, struct cofre_err *err)
{
    CLEAN_FREE char *copy = strdup(path);
    CLEAN_FD fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0 || fsync(fd) < 0)
        return cofre_fail(err, COFRE_FAILED, "its directory cannot be written to the disk: %s",
                          strerror(errno));
    return 0;
}

struct filler {
    int (*fill)(void *context, struct log_file *f, struct cofre_err *err);
    void *context;
};

static int append_genesis(void *context, struct log_file *f, struct cofre_err *err)
{
    return log_file_append(f, *(const struct view *)context, NULL, err);
}

static int write_first(struct log_file *f, const struct filler *filler, struct cofre_err *err)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, 0);
    int rc = growing_file_append(&f->items, (struct view){header, sizeof header}, err);
    if (rc == 0)
        rc = filler->fill(filler->context, f, err);
    return rc < 0 ? rc : log_file_commit(f, err);
}

static int create_as(struct log_file *f, const char *name, int fd, const char *path,
                     const struct filler *filler, struct cofre_err *err)
{
    int rc = growing_file_open(&f->items, fd, err);
    if (rc == 0 && fchmod(f->items.fd, 0640) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "it cannot be given its mode: %s", strerror(errno));
    if (rc == 0)
        rc = write_first(f, filler, err);
    if (rc == 0)
        rc = growing_file_sync(&f->items, err);
    if (rc == 0 && link(name, path) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "it cannot be created: %s", strerror(errno));
    return rc < 0 ? rc : sync_directory(path, err);
}

int log_file_create_copy(const char *path, const struct log_heads *heads,
                         int (*fill)(void *context, struct log_file *f, struct cofre_err *err), void *context,
                         struct cofre_err *err)
{
    const struct filler filler = {fill, context};
    CLEAN_LOG_FILE *f = NULL;
    char name[PATH_MAX];
    if ((size_t)snprintf(name, sizeof name, "%s.XXXXXX", path) >= sizeof name)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", path);
    int rc = make(&f, path, heads, err);
    int fd = rc == 0 ? mkostemp(name, O_CLOEXEC) : -1;
    if (rc == 0 && fd < 0)
        rc = cofre_fail(err, COFRE_FAILED, "it cannot be created: %s", strerror(errno));
    if (rc == 0)
        rc = create_as(f, name, fd, path, &filler, err);
    if (fd >= 0)
        (void)unlink(name);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int log_file_create(const char *path, struct view genesis, const struct log_heads *heads,
                    struct cofre_err *err)
{
    return log_file_create_copy(path, heads, append_genesis, &genesis, err);
}
