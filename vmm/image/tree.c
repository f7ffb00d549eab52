#include "vmm/image/tree.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"

/* Where the contents of the entry at hand come from. */
struct tree_source {
    const char *name;        /* of folder or archive, for sentences */
    struct archive *archive; /* of an archive; or */
    int fd;                  /* a folder's file, opened when it is first read */
    const char *file;
};

static void cleanup_archive(struct archive **a)
{
    archive_free(*a);
}
static void cleanup_entry(struct archive_entry **e)
{
    archive_entry_free(*e);
}
static void cleanup_fts(FTS **fts)
{
    if (*fts)
        fts_close(*fts);
}

ssize_t tree_read(const struct tree_entry *entry, void *out, size_t len, struct cofre_err *err)
{
    struct tree_source *s = entry->source;
    if (s->archive) {
        ssize_t n = archive_read_data(s->archive, out, len);
        return n < 0 ? cofre_fail(err, COFRE_MALFORMED, "%s: %s: %s", s->name, entry->path,
                                  archive_error_string(s->archive))
                     : n;
    }
    if (s->fd < 0)
        s->fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = s->fd < 0 ? -1 : read(s->fd, out, len);
    return n < 0 ? cofre_fail(err, COFRE_USAGE, "%s: cannot be read: %s", s->file, strerror(errno)) : n;
}

int tree_read_all(const struct tree_entry *entry, struct bytes *out, size_t max, struct cofre_err *err)
{
    size_t size = (size_t)archive_entry_size(entry->meta), len = 0;
    if (size > max)
        return cofre_fail(err, COFRE_MALFORMED, "%s: %s has more than %zu bytes", entry->source->name,
                          entry->path, max);
    int rc = bytes_alloc(out, size, err);
    while (rc == 0 && len < size) {
        ssize_t n = tree_read(entry, out->data + len, size - len, err);
        if (n <= 0)
            return n < 0 ? (int)n
                         : cofre_fail(err, COFRE_MALFORMED, "%s: %s became shorter while it was read",
                                      entry->source->name, entry->path);
        len += (size_t)n;
    }
    return rc;
}

/* What an archive calls its entries: "./usr/bin/", "/usr/bin" and "usr/bin" are one. The result is in text itself. */
static char *plain_path(char *text)
{
    for (;;)
        if (*text == '/')
            text++;
        else if (text[0] == '.' && (text[1] == '/' || !text[1]))
            text++;
        else
            break;
    for (size_t len = strlen(text); len && text[len - 1] == '/'; len--)
        text[len - 1] = '\0';
    return text;
}

static bool is_outside(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")); at += 2)
        if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
            return true;
    return false;
}

static int visit_archived(struct tree_source *s, struct archive_entry *meta, tree_visitor *visitor,
                          void *context, struct cofre_err *err)
{
    const char *path = archive_entry_pathname(meta), *link = archive_entry_hardlink(meta);
    if (!path)
        return cofre_fail(err, COFRE_MALFORMED, "%s: an entry without a name", s->name);
    CLEAN_FREE char *own = strdup(path), *own_link = link ? strdup(link) : NULL;
    if (!own || (link && !own_link))
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", s->name);
    if (is_outside(own) || (link && is_outside(own_link)))
        return cofre_fail(err, COFRE_MALFORMED, "%s: \"%s\" leads out of the root file system", s->name, own);
    const struct tree_entry entry = {
        .path = plain_path(own), .meta = meta, .hardlink = link ? plain_path(own_link) : NULL, .source = s};
    return visitor(context, &entry, err);
}

static int visit_archive(const char *path, tree_visitor *visitor, void *context, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_archive))) struct archive *a = archive_read_new();
    struct tree_source source = {.name = path, .archive = a, .fd = -1};
    struct archive_entry *meta;
    int rc = 0, got = ARCHIVE_FATAL;
    if (!a || archive_read_support_filter_all(a) < ARCHIVE_WARN ||
        archive_read_support_format_tar(a) != ARCHIVE_OK)
        return cofre_fail(err, COFRE_FAILED, "%s: libarchive reads no tar here", path);
    if (access(path, R_OK) < 0)
        return cofre_fail(err, COFRE_USAGE, "%s: %s", path, strerror(errno));
    if (archive_read_open_filename(a, path, 1 << 16) == ARCHIVE_OK)
        got = ARCHIVE_OK;
    while (rc == 0 && got == ARCHIVE_OK && (got = archive_read_next_header(a, &meta)) == ARCHIVE_OK)
        rc = visit_archived(&source, meta, visitor, context, err);
    return rc == 0 && got != ARCHIVE_EOF
               ? cofre_fail(err, COFRE_MALFORMED, "%s: is no tar archive that can be read: %s", path,
                            archive_error_string(a))
               : rc;
}

/* The first name of each file that has several, by device and inode. */
struct names {
    struct name {
        dev_t dev;
        ino_t ino;
        char *path;
    } * at;
    size_t count;
};

static void cleanup_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i].path);
    free(names->at);
}

/* *first is NULL where this is the first one, or the only. */
static int first_name(const char **first, struct names *names, const struct stat *st, const char *path,
                      struct cofre_err *err)
{
    *first = NULL;
    if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
        return 0;
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i].dev == st->st_dev && names->at[i].ino == st->st_ino) {
            *first = names->at[i].path;
            return 0;
        }
    struct name *grown = realloc(names->at, (names->count + 1) * sizeof *grown);
    char *own = strdup(path);
    if (grown)
        names->at = grown;
    if (!grown || !own) {
        free(own);
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    }
    names->at[names->count++] = (struct name){st->st_dev, st->st_ino, own};
    return 0;
}

static int visit_file(struct tree_source *s, struct archive *disk, struct names *names, const FTSENT *f,
                      tree_visitor *visitor, void *context, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_entry))) struct archive_entry *meta = archive_entry_new();
    if (!meta)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", s->name);
    archive_entry_copy_pathname(meta, f->fts_path);
    archive_entry_copy_sourcepath(meta, f->fts_path);
    if (archive_read_disk_entry_from_file(disk, meta, -1, f->fts_statp) < ARCHIVE_WARN)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", f->fts_path, archive_error_string(disk));
    const char *path = f->fts_path + strlen(s->name);
    struct tree_entry entry = {.path = path + (*path == '/'), .meta = meta, .source = s};
    int rc = first_name(&entry.hardlink, names, f->fts_statp, entry.path, err);
    if (rc < 0)
        return rc;
    s->file = f->fts_path;
    rc = visitor(context, &entry, err);
    cleanup_close(&s->fd);
    s->fd = -1;
    return rc;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int visit_folder(char *path, tree_visitor *visitor, void *context, struct cofre_err *err)
{
    char *const roots[] = {path, NULL};
    __attribute__((cleanup(cleanup_fts))) FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    __attribute__((cleanup(cleanup_archive))) struct archive *disk = archive_read_disk_new();
    __attribute__((cleanup(cleanup_names))) struct names names = {0};
    struct tree_source source = {.name = path, .fd = -1};
    if (!fts || !disk)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    archive_read_disk_set_symlink_physical(disk);
    archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS);
    int rc = 0;
    for (const FTSENT *f; rc == 0 && (f = fts_read(fts));) {
        if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS)
            rc = cofre_fail(err, COFRE_USAGE, "%s: cannot be read: %s", f->fts_path, strerror(f->fts_errno));
        else if (f->fts_info != FTS_DP)
            rc = visit_file(&source, disk, &names, f, visitor, context, err);
    }
    return rc;
}

int tree_visit(const char *path, tree_visitor *visitor, void *context, struct cofre_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return cofre_fail(err, COFRE_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return visit_archive(path, visitor, context, err);
    CLEAN_FREE char *folder = strdup(path);
    if (!folder)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    for (size_t len = strlen(folder); len > 1 && folder[len - 1] == '/'; len--)
        folder[len - 1] = '\0';
    return visit_folder(folder, visitor, context, err);
}
