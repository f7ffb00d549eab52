/*
 * By libcryptsetup, without a device mapper. It formats a disk with integrity only by one, because it has the kernel write dm-integrity's
 * superblock. So a disk with integrity gets a header without, and in its slot a key that is no segment's, of any length. Then
 * the header's JSON is changed: the segment is the other one, and that key is the segment's.
 */
#include "vmm/image/luks_format.h"

#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <openssl/sha.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

static void cleanup_crypt(struct crypt_device **cd)
{
    crypt_free(*cd);
}

static int by_library(const char *path, const struct root *root, const uint8_t *volume,
                      const uint8_t key[LUKS_KEY_SIZE], struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_crypt))) struct crypt_device *cd = NULL;
    const struct crypt_pbkdf_type kdf = {.type = CRYPT_KDF_PBKDF2,
                                         .hash = LUKS_HASH,
                                         .iterations = LUKS_ITERATIONS,
                                         .flags = CRYPT_PBKDF_NO_BENCHMARK};
    struct crypt_params_luks2 params = {.pbkdf = &kdf, .sector_size = LUKS_SECTOR_SIZE};
    (void)crypt_metadata_locking(NULL, 0); /* nobody else knows the file yet; the locks' folder is root's */
    int rc = crypt_init(&cd, path);
    if (rc == 0)
        rc = crypt_set_data_offset(cd, LUKS_DATA_OFFSET / 512);
    if (rc == 0)
        rc = crypt_format(cd, CRYPT_LUKS2, LUKS_CIPHER, LUKS_MODE, root->uuid, (const char *)volume,
                          LUKS_CIPHER_KEY_SIZE, &params);
    if (rc == 0)
        rc = crypt_keyslot_add_by_key(cd, 0, (const char *)volume, luks_volume_key_size(root->integrity),
                                      (const char *)key, LUKS_KEY_SIZE,
                                      root->integrity ? CRYPT_VOLUME_KEY_NO_SEGMENT : 0);
    return rc < 0
               ? cofre_fail(err, COFRE_FAILED, "%s: libcryptsetup makes no header: %s", path, strerror(-rc))
               : 0;
}

/*
 * The header on the disk (LUKS2 on-disk format 1.1.2, section 2): twice, one behind the other, each a block that begins with the
 * fields below, and JSON up to the header's end, filled up with zeros. The two have salts of their own.
 */
#define HEADER_SIZE   16384u /* what libcryptsetup makes of itself */
#define HEADERS       2u
#define AT_JSON       4096u
#define AT_SIZE       8u   /* big-endian */
#define AT_CHECKSUM   448u /* SHA-256 of the header in which this field is zero */
#define CHECKSUM_SIZE 64u

static void put_checksum(uint8_t header[HEADER_SIZE])
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    memset(header + AT_CHECKSUM, 0, CHECKSUM_SIZE);
    SHA256(header, HEADER_SIZE, sum);
    memcpy(header + AT_CHECKSUM, sum, sizeof sum);
}

/* Digest 0 is of the key that the header was made with, digest 1 of the one in the slot. */
static bool change(json_t *header)
{
    json_t *segment = json_object_get(json_object_get(header, "segments"), "0"),
           *digests = json_object_get(header, "digests"), *digest = json_object_get(digests, "1");
    return json_object_set_new(segment, "encryption", json_string(LUKS_CIPHER "-" LUKS_INTEGRITY_MODE)) ==
               0 &&
           json_object_set_new(segment, "integrity",
                               json_pack("{s:s, s:s, s:s}", "type", LUKS_INTEGRITY, "journal_encryption",
                                         "none", "journal_integrity", "none")) == 0 &&
           json_object_set_new(digest, "segments", json_pack("[s]", "0")) == 0 &&
           json_object_set(digests, "0", digest) == 0 && json_object_del(digests, "1") == 0;
}

static bool change_header(uint8_t header[HEADER_SIZE])
{
    const char *text = (const char *)header + AT_JSON;
    const size_t room = HEADER_SIZE - AT_JSON;
    CLEAN_JSON *json = json_loadb(text, strnlen(text, room), 0, NULL);
    CLEAN_FREE char *changed = json && change(json) ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!changed || strlen(changed) >= room)
        return false;
    memset(header + AT_JSON, 0, room);
    memcpy(header + AT_JSON, changed, strlen(changed));
    put_checksum(header);
    return true;
}

static int with_integrity(const char *path, struct cofre_err *err)
{
    static const uint8_t size[8] = {[6] = HEADER_SIZE >> 8};
    uint8_t header[HEADER_SIZE];
    CLEAN_FD fd = open(path, O_RDWR | O_CLOEXEC);
    for (unsigned i = 0; i < HEADERS; i++) {
        const off_t at = (off_t)(i * HEADER_SIZE);
        if (fd < 0 || pread(fd, header, sizeof header, at) != (ssize_t)sizeof header)
            return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
        if (memcmp(header + AT_SIZE, size, sizeof size) != 0 || !change_header(header))
            return cofre_fail(err, COFRE_FAILED, "%s: libcryptsetup's header is not one that can be changed",
                              path);
        if (pwrite(fd, header, sizeof header, at) != (ssize_t)sizeof header)
            return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    }
    return 0;
}

int luks_format(const char *path, const struct root *root, const uint8_t *volume,
                const uint8_t key[LUKS_KEY_SIZE], struct cofre_err *err)
{
    int rc = by_library(path, root, volume, key, err);
    return rc == 0 && root->integrity ? with_integrity(path, err) : rc;
}
