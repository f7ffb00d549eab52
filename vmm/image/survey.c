#include "vmm/image/survey.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/image/ext4.h"
#include "vmm/image/initrd.h"

/* What follows lib/modules/ in a path, where /usr is merged and where it is not; NULL: no such path. */
static const char *below_modules(const char *path)
{
    static const char *const before[] = {"lib/modules/", "usr/lib/modules/"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (strncmp(path, before[i], strlen(before[i])) == 0)
            return path + strlen(before[i]);
    return NULL;
}

/* What follows "VERSION/" there. */
static const char *below_version(const char *path, const char *version)
{
    const char *below = below_modules(path);
    size_t len = strlen(version);
    return below && strncmp(below, version, len) == 0 && below[len] == '/' ? below + len + 1 : NULL;
}

/* First visit: which kernel. */

static int see_kernel(void *context, const struct tree_entry *entry, struct cofre_err *err)
{
    static const char before[] = "boot/vmlinuz-";
    struct survey *s = context;
    if (strncmp(entry->path, before, strlen(before)) != 0 || archive_entry_filetype(entry->meta) != S_IFREG)
        return 0;
    if (s->version)
        return cofre_fail(
            err, COFRE_USAGE,
            "the root file system has more than one kernel: of %s and of %s; leave the one that is to run",
            s->version, entry->path + strlen(before));
    s->version = strdup(entry->path + strlen(before));
    return s->version ? tree_read_all(entry, &s->kernel, SURVEY_KERNEL_MAX, err)
                      : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* Second visit: what it all is. */

struct view_of {
    struct survey *survey;
    EVP_MD_CTX *md;
    int64_t time;
};

static void digest_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void digest_number(EVP_MD_CTX *md, int64_t n)
{
    uint8_t le[8];
    put_le64(le, (uint64_t)n);
    EVP_DigestUpdate(md, le, sizeof le);
}

static void digest_meta(EVP_MD_CTX *md, const struct tree_entry *entry, int64_t mtime)
{
    const int64_t numbers[] = {
        archive_entry_mode(entry->meta),
        archive_entry_uid(entry->meta),
        archive_entry_gid(entry->meta),
        mtime,
        archive_entry_filetype(entry->meta) == S_IFREG ? archive_entry_size(entry->meta) : 0,
        (int64_t)archive_entry_rdev(entry->meta)};
    const char *name;
    const void *value;
    size_t len;
    digest_text(md, entry->path);
    digest_text(md, entry->hardlink);
    if (entry->hardlink) /* the rest is the first name's */
        return;
    digest_text(md, archive_entry_symlink(entry->meta));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        digest_number(md, numbers[i]);
    digest_number(md, archive_entry_xattr_reset(entry->meta));
    while (archive_entry_xattr_next(entry->meta, &name, &value, &len) == ARCHIVE_OK) {
        digest_text(md, name);
        digest_number(md, (int64_t)len);
        EVP_DigestUpdate(md, value, len);
    }
}

static int digest_content(EVP_MD_CTX *md, const struct tree_entry *entry, struct bytes *keep,
                          struct cofre_err *err)
{
    uint8_t piece[1 << 16];
    if (keep) {
        bytes_free(keep);
        int rc = tree_read_all(entry, keep, SURVEY_MODULE_MAX, err);
        EVP_DigestUpdate(md, keep->data, keep->len);
        return rc;
    }
    for (ssize_t n = 1; n > 0; EVP_DigestUpdate(md, piece, (size_t)n))
        if ((n = tree_read(entry, piece, sizeof piece, err)) < 0)
            return (int)n;
    return 0;
}

static struct bytes *kept(struct survey *s, const char *path)
{
    const char *name = below_version(path, s->version);
    if (!name)
        return NULL;
    return strcmp(name, "modules.dep") == 0       ? &s->dep
           : strcmp(name, "modules.builtin") == 0 ? &s->builtin
                                                  : NULL;
}

static int see_all(void *context, const struct tree_entry *entry, struct cofre_err *err)
{
    const struct view_of *v = context;
    struct survey *s = v->survey;
    int64_t mtime = archive_entry_mtime(entry->meta);
    mtime = mtime > v->time ? v->time : mtime;
    s->entries++;
    if (!entry->hardlink && mtime > s->newest)
        s->newest = mtime;
    digest_meta(v->md, entry, mtime);
    if (archive_entry_filetype(entry->meta) != S_IFREG || entry->hardlink)
        return 0;
    s->content += ((uint64_t)archive_entry_size(entry->meta) + EXT4_BLOCK - 1) / EXT4_BLOCK * EXT4_BLOCK;
    return digest_content(v->md, entry, kept(s, entry->path), err);
}

int survey_make(struct survey *out, const char *rootfs, int64_t time, struct cofre_err *err)
{
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    struct view_of v = {out, md, time};
    *out = (struct survey){0};
    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
        return cofre_fail(err, COFRE_FAILED, "SHA-256 is not to be had");
    int rc = tree_visit(rootfs, see_kernel, out, err);
    if (rc == 0 && !out->version)
        return cofre_fail(err, COFRE_USAGE, "%s has no kernel: boot/vmlinuz-VERSION is missing", rootfs);
    if (rc == 0)
        rc = tree_visit(rootfs, see_all, &v, err);
    if (rc == 0 && !out->dep.data)
        return cofre_fail(
            err, COFRE_USAGE,
            "%s has no lib/modules/%s/modules.dep: its kernel's modules are missing, or depmod has not seen "
            "them",
            rootfs, out->version);
    if (rc == 0 && !EVP_DigestFinal_ex(md, out->digest, NULL))
        return cofre_fail(err, COFRE_FAILED, "SHA-256 is not to be had");
    return rc;
}

void survey_free(struct survey *survey)
{
    free(survey->version);
    bytes_free(&survey->kernel);
    bytes_free(&survey->dep);
    bytes_free(&survey->builtin);
}

/* Another visit: the modules' files. */

struct wanted_files {
    struct bytes *out;
    const struct modules *modules;
    const struct survey *survey;
};

static int see_module(void *context, const struct tree_entry *entry, struct cofre_err *err)
{
    const struct wanted_files *w = context;
    const char *name = below_version(entry->path, w->survey->version);
    for (size_t i = 0; name && i < w->modules->count; i++)
        if (!w->out[i].data && strcmp(name, w->modules->path[i]) == 0) {
            CLEAN_BYTES packed = {0};
            int rc = tree_read_all(entry, &packed, SURVEY_MODULE_MAX, err);
            return rc < 0
                       ? rc
                       : initrd_unpack(&w->out[i], bytes_view(&packed), SURVEY_MODULE_MAX, entry->path, err);
        }
    return 0;
}

int survey_modules(struct bytes out[MODULES_MAX], const struct modules *modules, const struct survey *survey,
                   const char *rootfs, struct cofre_err *err)
{
    struct wanted_files wanted = {out, modules, survey};
    int rc = tree_visit(rootfs, see_module, &wanted, err);
    for (size_t i = 0; rc == 0 && i < modules->count; i++)
        if (!out[i].data)
            rc = cofre_fail(err, COFRE_USAGE, "%s has no lib/modules/%s/%s, which its modules.dep names",
                            rootfs, survey->version, modules->path[i]);
    return rc;
}
