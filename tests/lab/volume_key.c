/* volume-key DISK KEY-FILE OUT: the key that a LUKS2 disk is encrypted with, for who looks for it. */
#include <libcryptsetup.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/init/luks_header.h"

static void cleanup_crypt(struct crypt_device **cd)
{
    crypt_free(*cd);
}

static int take(char **argv, struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_crypt))) struct crypt_device *cd = NULL;
    CLEAN_BYTES key = {0};
    char volume[LUKS_VOLUME_KEY_MAX];
    size_t len = sizeof volume;
    int rc = file_read(&key, argv[2], 512, err);
    (void)crypt_metadata_locking(NULL, 0);
    if (rc == 0 &&
        (crypt_init(&cd, argv[1]) < 0 || crypt_load(cd, CRYPT_LUKS2, NULL) < 0 ||
         crypt_volume_key_get(cd, CRYPT_ANY_SLOT, volume, &len, (const char *)key.data, key.len) < 0))
        rc = cofre_fail(err, COFRE_NEGATIVE, "%s: the key does not open it", argv[1]);
    return rc < 0 ? rc : file_write(argv[3], (struct view){(const uint8_t *)volume, len}, 0600, err);
}

int main(int argc, char **argv)
{
    struct cofre_err err = {"a disk, a key's file and where the volume key goes are due"};
    int rc = argc == 4 ? take(argv, &err) : -COFRE_USAGE;
    if (rc < 0)
        fprintf(stderr, "volume-key: %s\n", err.text);
    return -rc;
}
