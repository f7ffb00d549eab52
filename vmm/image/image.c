#include "vmm/image/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/image/ext4.h"
#include "vmm/image/initrd.h"
#include "vmm/image/libraries.h"
#include "vmm/image/luks.h"
#include "vmm/image/programs.h"
#include "vmm/image/survey.h"
#include "vmm/image/verity.h"

#define LIBRARY_MAX (64u << 20)

/* One making. */
struct making {
    const struct image_spec *spec;
    struct image *out;
    struct survey survey;
    struct modules modules;
    struct bytes module[MODULES_MAX];
    struct root root;
    char *plain; /* of an encrypted root: the file system before, removed at the end */
};

static void making_free(struct making *m)
{
    if (m->plain)
        (void)unlink(m->plain);
    free(m->plain);
    survey_free(&m->survey);
    modules_free(&m->modules);
    for (size_t i = 0; i < MODULES_MAX; i++)
        bytes_free(&m->module[i]);
}

int image_path(char **out, const char *folder, const char *name, struct cofre_err *err)
{
    if (asprintf(out, "%s/%s", folder, name) >= 0)
        return 0;
    *out = NULL;
    return cofre_fail(err, COFRE_FAILED, "%s/%s: out of memory", folder, name);
}

static int make_folder(struct image *out, const char *folder, struct cofre_err *err)
{
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_USAGE, "%s: %s", folder, strerror(errno));
    int rc = image_path(&out->kernel, folder, "kernel", err);
    if (rc == 0)
        rc = image_path(&out->initrd, folder, "initrd", err);
    return rc < 0 ? rc : image_path(&out->disk, folder, "disk.img", err);
}

/* The file system. What others draw by lot comes from what is put into it. */

static int add_to(void *fs, const struct tree_entry *entry, struct cofre_err *err)
{
    return ext4_add(fs, entry, err);
}

static void as_uuid(uint8_t uuid[16])
{
    uuid[6] = (uuid[6] & 0x0f) | 0x80; /* RFC 9562: version 8, variant 10 */
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static int make_file_system(struct making *m, struct cofre_err *err)
{
    struct ext4 *fs;
    const struct survey *s = &m->survey;
    const bool written_to = m->spec->root != ROOT_VERITY;
    struct ext4_plan plan = {.path = m->plain ? m->plain : m->out->disk,
                             .size = m->spec->size / EXT4_BLOCK * EXT4_BLOCK,
                             .inodes = s->entries + s->entries / 8 + 64,
                             .journal = written_to,
                             .identity.time = m->spec->time == INT64_MAX ? s->newest : m->spec->time};
    if (!plan.size)
        plan.size = ext4_room(s->content, s->entries, plan.journal);
    memcpy(plan.identity.uuid, s->digest, 16);
    memcpy(plan.identity.hash_seed, s->digest + 16, 16);
    as_uuid(plan.identity.uuid);
    int rc = ext4_make(&fs, &plan, err);
    if (rc < 0)
        return rc;
    rc = tree_visit(m->spec->rootfs, add_to, fs, err);
    int finished = ext4_finish(fs, rc < 0 ? NULL : err);
    return rc < 0 ? rc : finished;
}

/* 32 bytes, drawn where there is no such file. */
static int read_key(struct bytes *key, const char *path, struct cofre_err *err)
{
    int rc = 0;
    if (access(path, F_OK) < 0) {
        uint8_t fresh[LUKS_KEY_SIZE];
        rc = RAND_priv_bytes(fresh, sizeof fresh) == 1
                 ? file_write(path, (struct view){fresh, sizeof fresh}, 0600, err)
                 : cofre_fail(err, COFRE_FAILED, "%s: no random bytes", path);
        OPENSSL_cleanse(fresh, sizeof fresh);
    }
    if (rc == 0)
        rc = file_read(key, path, LUKS_KEY_SIZE, err);
    return rc == 0 && key->len != LUKS_KEY_SIZE
               ? cofre_fail(err, COFRE_MALFORMED, "%s: is no key: it has %zu bytes, not %d", path, key->len,
                            LUKS_KEY_SIZE)
               : rc;
}

static int make_luks(struct making *m, struct cofre_err *err)
{
    CLEAN_BYTES key = {0};
    int rc = read_key(&key, m->spec->key, err);
    return rc < 0 ? rc : luks_make(m->out->disk, m->plain, &m->root, key.data, err);
}

/* An encrypted one's UUID is another than the file system's in it: whoever sees the one is told nothing of the other's input. */
static int identify(struct making *m, struct cofre_err *err)
{
    uint8_t uuid[32];
    m->root.kind = m->spec->root;
    m->root.integrity = m->spec->integrity;
    if (m->root.kind != ROOT_LUKS)
        return 0;
    SHA256(m->survey.digest, sizeof m->survey.digest, uuid);
    as_uuid(uuid);
    ext4_uuid_text(m->root.uuid, uuid);
    return image_path(&m->plain, m->spec->folder, "disk.plain", err);
}

static int make_root(struct making *m, struct cofre_err *err)
{
    return m->root.kind == ROOT_VERITY ? verity_make(&m->root.verity, m->out->disk, m->survey.digest, err)
                                       : make_luks(m, err);
}

/* The initrd. */

static int add_program(struct initrd *initrd, const char *name, const char *program, struct cofre_err *err)
{
    CLEAN_BYTES content = {0};
    int rc = program_read(&content, program, err);
    return rc < 0 ? rc : initrd_add_file(initrd, name, 0755, bytes_view(&content), err);
}

static int add_modules(struct initrd *initrd, const struct making *m, struct cofre_err *err)
{
    char order[MODULES_MAX * (MODULE_NAME_SIZE + 4)], name[MODULE_NAME_SIZE], path[MODULE_NAME_SIZE + 16];
    size_t len = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->modules.count; i++) {
        const char *file = m->modules.path[i];
        if (!module_name(name, (struct view){(const uint8_t *)file, strlen(file)}))
            return cofre_fail(err, COFRE_MALFORMED, "modules.dep: %s is no module's name", file);
        len += (size_t)snprintf(order + len, sizeof order - len, "%s.ko\n", name);
        (void)snprintf(path, sizeof path, "modules/%s.ko", name);
        rc = initrd_add_file(initrd, path, 0644, bytes_view(&m->module[i]), err);
    }
    return rc < 0 ? rc
                  : initrd_add_file(initrd, "modules/order", 0644, (struct view){(const uint8_t *)order, len},
                                    err);
}

/* What opens an encrypted root: a program, its libraries, and who vouches for the service that has the key. */
static int add_file(struct initrd *initrd, const char *name, unsigned mode, const char *path,
                    struct cofre_err *err)
{
    CLEAN_BYTES content = {0};
    int rc = file_read(&content, path, LIBRARY_MAX, err);
    return rc < 0 ? rc : initrd_add_file(initrd, name, mode, bytes_view(&content), err);
}

static int add_libraries(struct initrd *initrd, const char *program, struct cofre_err *err)
{
    __attribute__((cleanup(libraries_free))) struct libraries libraries;
    int rc = libraries_of(&libraries, program, err);
    for (size_t i = 0; rc == 0 && i < libraries.count; i++) {
        char name[300];
        (void)snprintf(name, sizeof name, "lib/x86_64-linux-gnu%s", strrchr(libraries.path[i], '/'));
        rc = add_file(initrd, name, 0644, libraries.path[i], err);
    }
    return rc < 0 ? rc : add_file(initrd, LIBRARIES_LINKER + 1, 0755, LIBRARIES_LINKER, err);
}

static int add_unlocking(struct initrd *initrd, const struct making *m, struct cofre_err *err)
{
    static const char *const folders[] = {"etc", "etc/cofre", "lib", "lib/x86_64-linux-gnu", "lib64"};
    CLEAN_FREE char *program = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof *folders; i++)
        rc = initrd_add_directory(initrd, folders[i], err);
    if (rc == 0)
        rc = add_file(initrd, "etc/cofre/ca.pem", 0644, m->spec->ca, err);
    if (rc == 0)
        rc = add_program(initrd, "bin/cofre-unlock", "cofre-unlock", err);
    if (rc == 0)
        rc = program_path(&program, "cofre-unlock", err);
    return rc < 0 ? rc : add_libraries(initrd, program, err);
}

static int fill_initrd(struct initrd *initrd, const struct making *m, struct cofre_err *err)
{
    static const char *const folders[] = {"bin", "dev", "modules", "proc", "root", "run", "sys"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof *folders; i++)
        rc = initrd_add_directory(initrd, folders[i], err);
    if (rc == 0)
        rc = add_program(initrd, "init", "cofre-init", err);
    if (rc == 0)
        rc = add_program(initrd, "bin/cofre-agent", "cofre-agent", err);
    if (rc == 0 && m->root.kind == ROOT_LUKS)
        rc = add_unlocking(initrd, m, err);
    return rc < 0 ? rc : add_modules(initrd, m, err);
}

static int make_initrd(struct making *m, struct cofre_err *err)
{
    struct initrd *initrd;
    const unsigned for_root = m->root.kind == ROOT_VERITY ? MODULES_VERITY
                              : m->root.integrity         ? MODULES_LUKS | MODULES_INTEGRITY
                                                          : MODULES_LUKS;
    int rc = modules_choose(&m->modules, bytes_view(&m->survey.dep), bytes_view(&m->survey.builtin),
                            MODULES_ALWAYS | for_root, m->spec->rootfs, err);
    if (rc == 0)
        rc = survey_modules(m->module, &m->modules, &m->survey, m->spec->rootfs, err);
    if (rc == 0)
        rc = initrd_make(&initrd, m->out->initrd, err);
    if (rc < 0)
        return rc;
    rc = fill_initrd(initrd, m, err);
    int finished = initrd_finish(initrd, rc < 0 ? NULL : err);
    return rc < 0 ? rc : finished;
}

/* What the kernel gets: what was asked for, and where the root is. */
static int make_cmdline(struct making *m, struct cofre_err *err)
{
    char word[ROOT_WORD_SIZE];
    const char *given = m->spec->cmdline;
    CLEAN_FREE char *path = NULL;
    root_format(word, &m->root);
    if (asprintf(&m->out->cmdline, "%s%s%s", given, *given ? " " : "", word) < 0) {
        m->out->cmdline = NULL;
        return cofre_fail(err, COFRE_FAILED, "the command line: out of memory");
    }
    struct root check;
    const struct view cmdline = {(const uint8_t *)m->out->cmdline, strlen(m->out->cmdline)};
    int rc = root_parse(&check, cmdline, err);
    if (rc == 0)
        rc = image_path(&path, m->spec->folder, "cmdline", err);
    return rc < 0 ? rc : file_write(path, cmdline, 0644, err);
}

int image_build(struct image *out, const struct image_spec *spec, struct cofre_err *err)
{
    __attribute__((cleanup(making_free))) struct making m = {.spec = spec, .out = out};
    *out = (struct image){0};
    int rc = survey_make(&m.survey, spec->rootfs, spec->time, err);
    if (rc == 0)
        rc = make_folder(out, spec->folder, err);
    if (rc == 0)
        rc = identify(&m, err);
    if (rc == 0)
        rc = make_initrd(&m, err);
    if (rc == 0)
        rc = make_file_system(&m, err);
    if (rc == 0)
        rc = make_root(&m, err);
    if (rc == 0)
        rc = make_cmdline(&m, err);
    return rc < 0 ? rc : file_write(out->kernel, bytes_view(&m.survey.kernel), 0644, err);
}

void image_free(struct image *image)
{
    free(image->kernel);
    free(image->initrd);
    free(image->disk);
    free(image->cmdline);
    *image = (struct image){0};
}
