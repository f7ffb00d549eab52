/*
 * cofre-unlock: in an image's initrd, opens the LUKS2 root with the key that it reads from standard input. A program of its own,
 * because Debian has libcryptsetup as a shared library only. The key is in locked memory here, and nowhere else that lasts.
 */
#include <errno.h>
#include <libcryptsetup.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/init/luks_header.h"
#include "vmm/init/root.h"

#define CMDLINE_MAX 4096

static void cleanup_crypt(struct crypt_device **cd)
{
    crypt_free(*cd);
}

/* A page that is not swapped, not dumped, and not another process's. */
struct key {
    uint8_t *page;
    size_t size;
};
static void cleanup_key(struct key *key)
{
    if (!key->page)
        return;
    explicit_bzero(key->page, key->size);
    (void)munmap(key->page, key->size);
}

static int key_page(struct key *out, struct cofre_err *err)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return cofre_fail(err, COFRE_FAILED, "no memory for the key: %s", strerror(errno));
    *out = (struct key){page, size};
    return mlock(page, size) < 0 || madvise(page, size, MADV_DONTDUMP) < 0 ||
                   madvise(page, size, MADV_WIPEONFORK) < 0
               ? cofre_fail(err, COFRE_FAILED, "no locked memory for the key: %s", strerror(errno))
               : 0;
}

/* Exactly so many bytes, and then the end. */
static int read_key(const struct key *key, struct cofre_err *err)
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len <= LUKS_KEY_SIZE; len += (size_t)n) {
        n = read(STDIN_FILENO, key->page + len, LUKS_KEY_SIZE + 1 - len);
        if (n < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "the key cannot be read: %s", strerror(errno));
        n = n < 0 ? 0 : n;
    }
    return len == LUKS_KEY_SIZE ? 0
           : len == 0           ? cofre_fail(err, COFRE_LACKING, "there is no key")
                      : cofre_fail(err, COFRE_NEGATIVE, "what came is no key of %d bytes", LUKS_KEY_SIZE);
}

static int load(struct crypt_device **cd, const char *disk, const struct root *root, struct cofre_err *err)
{
    const char *json;
    int rc = crypt_init(cd, disk);
    if (rc < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", disk, strerror(-rc));
    if (crypt_load(*cd, CRYPT_LUKS2, NULL) < 0 || crypt_dump_json(*cd, &json, 0) < 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the disk has no LUKS2 header that can be read; it is not opened");
    if (!crypt_get_uuid(*cd) || strcmp(crypt_get_uuid(*cd), root->uuid) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the disk is another one: its UUID is not cofre.root's");
    return luks_header_check((struct view){(const uint8_t *)json, strlen(json)}, root->integrity, err);
}

static int unlock(const char *disk, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_crypt))) struct crypt_device *cd = NULL;
    __attribute__((cleanup(cleanup_key))) struct key key = {0};
    struct bytes cmdline = {0};
    struct root root;
    int rc = file_read(&cmdline, "/proc/cmdline", CMDLINE_MAX, err);
    if (rc == 0)
        rc = root_parse(&root, bytes_view(&cmdline), err);
    bytes_free(&cmdline);
    if (rc == 0)
        rc = key_page(&key, err);
    if (rc == 0)
        rc = read_key(&key, err);
    if (rc == 0)
        rc = load(&cd, disk, &root, err);
    if (rc < 0)
        return rc;
    rc = crypt_activate_by_passphrase(cd, "root", CRYPT_ANY_SLOT, (const char *)key.page, LUKS_KEY_SIZE, 0);
    if (rc == -EPERM)
        return cofre_fail(err, COFRE_NEGATIVE, "the key does not open the disk");
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "the disk cannot be opened: %s", strerror(-rc)) : 0;
}

/* libcryptsetup's own words are for who works on this; the sentence is for the console. */
static void quiet(int level, const char *text, void *context)
{
    (void)level;
    (void)text;
    (void)context;
}

int main(int argc, char **argv)
{
    struct cofre_err err;
    if (argc != 2) {
        fprintf(stderr, "usage: cofre-unlock DISK <KEY\n");
        return COFRE_USAGE;
    }
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    crypt_set_log_callback(NULL, quiet, NULL);
    (void)crypt_metadata_locking(NULL, 0); /* there is no other program */
    int rc = unlock(argv[1], &err);
    if (rc < 0)
        fprintf(stderr, "cofre-unlock: %s\n", err.text);
    return -rc;
}
