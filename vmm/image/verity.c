#include "vmm/image/verity.h"

#include <errno.h>
#include <libcryptsetup.h>
#include <string.h>
#include <sys/stat.h>

static void cleanup_crypt(struct crypt_device **cd)
{
    crypt_free(*cd);
}

int verity_make(struct root_verity *out, const char *path, const uint8_t salt[ROOT_HASH_SIZE],
                struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_crypt))) struct crypt_device *cd = NULL;
    struct stat st;
    if (stat(path, &st) < 0 || st.st_size < ROOT_BLOCK || st.st_size % ROOT_BLOCK)
        return cofre_fail(err, COFRE_FAILED, "%s: is no file of whole blocks", path);
    out->blocks = (uint64_t)st.st_size / ROOT_BLOCK;
    memcpy(out->salt, salt, sizeof out->salt);
    struct crypt_params_verity params = {
        .hash_name = "sha256",
        .data_device = path,
        .salt = (const char *)salt,
        .salt_size = ROOT_HASH_SIZE,
        .hash_type = 1,
        .data_block_size = ROOT_BLOCK,
        .hash_block_size = ROOT_BLOCK,
        .data_size = out->blocks,
        .hash_area_offset = (uint64_t)st.st_size,
        .flags = CRYPT_VERITY_CREATE_HASH | CRYPT_VERITY_NO_HEADER,
    };
    size_t len = sizeof out->hash;
    int rc = crypt_init(&cd, path);
    if (rc == 0)
        rc = crypt_format(cd, CRYPT_VERITY, NULL, NULL, NULL, NULL, 0, &params);
    if (rc == 0)
        rc = crypt_volume_key_get(cd, CRYPT_ANY_SLOT, (char *)out->hash, &len, NULL, 0);
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "%s: libcryptsetup makes no tree of hashes: %s", path,
                               strerror(-rc))
                  : 0;
}
