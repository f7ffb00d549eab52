#include "vmm/image/initrd.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"

struct initrd {
    struct archive *archive;
    const char *path;
};

static void cleanup_archive(struct archive **a)
{
    archive_free(*a);
}
static void cleanup_entry(struct archive_entry **e)
{
    archive_entry_free(*e);
}

static int failed(const struct initrd *i, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s", i->path, archive_error_string(i->archive));
}

int initrd_make(struct initrd **out, const char *path, struct cofre_err *err)
{
    struct initrd *i = calloc(1, sizeof *i);
    *out = NULL;
    if (!i || !(i->archive = archive_write_new())) {
        free(i);
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    }
    i->path = path;
    int rc = archive_write_set_format_cpio_newc(i->archive) == ARCHIVE_OK &&
                     archive_write_open_filename(i->archive, path) == ARCHIVE_OK
                 ? 0
                 : failed(i, err);
    if (rc < 0) {
        archive_free(i->archive);
        free(i);
        return rc;
    }
    *out = i;
    return 0;
}

/* All are root's, and of 1970. (libarchive numbers the files itself.) */
static int add(struct initrd *i, const char *name, unsigned mode, struct view content, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_entry))) struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", i->path);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, mode);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_nlink(entry, S_ISDIR(mode) ? 2 : 1);
    archive_entry_set_size(entry, (int64_t)content.len);
    return archive_write_header(i->archive, entry) == ARCHIVE_OK &&
                   archive_write_data(i->archive, content.data, content.len) == (ssize_t)content.len
               ? 0
               : failed(i, err);
}

int initrd_add_directory(struct initrd *i, const char *name, struct cofre_err *err)
{
    return add(i, name, S_IFDIR | 0755, (struct view){(const uint8_t *)"", 0}, err);
}

int initrd_add_file(struct initrd *i, const char *name, unsigned mode, struct view content,
                    struct cofre_err *err)
{
    return add(i, name, S_IFREG | mode, content, err);
}

int initrd_finish(struct initrd *i, struct cofre_err *err)
{
    int rc = archive_write_close(i->archive) == ARCHIVE_OK ? 0 : failed(i, err);
    archive_free(i->archive);
    free(i);
    return rc;
}

static int read_all(struct archive *a, struct bytes *out, size_t max, const char *name, struct cofre_err *err)
{
    size_t room = 0, len = 0;
    for (ssize_t n = 1; n > 0; len += (size_t)n) {
        if (len == room) {
            uint8_t *grown = len > max ? NULL : realloc(out->data, room = 2 * room + 65536);
            if (!grown)
                return cofre_fail(err, COFRE_MALFORMED, "%s has more than %zu bytes", name, max);
            out->data = grown;
        }
        n = archive_read_data(a, out->data + len, room - len);
        if (n < 0)
            return cofre_fail(err, COFRE_MALFORMED, "%s: %s", name, archive_error_string(a));
    }
    out->len = len;
    return len <= max ? 0 : cofre_fail(err, COFRE_MALFORMED, "%s has more than %zu bytes", name, max);
}

int initrd_unpack(struct bytes *out, struct view packed, size_t max, const char *name, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_archive))) struct archive *a = archive_read_new();
    struct archive_entry *entry;
    CLEAN_BYTES data = {0};
    if (!a || archive_read_support_filter_all(a) < ARCHIVE_WARN ||
        archive_read_support_format_raw(a) != ARCHIVE_OK)
        return cofre_fail(err, COFRE_FAILED, "%s: libarchive unpacks nothing here", name);
    if (archive_read_open_memory(a, packed.data, packed.len) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) != ARCHIVE_OK)
        return cofre_fail(err, COFRE_MALFORMED, "%s: %s", name, archive_error_string(a));
    int rc = read_all(a, &data, max, name, err);
    if (rc == 0) {
        *out = data;
        data = (struct bytes){0};
    }
    return rc;
}
