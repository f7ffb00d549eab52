#include "vmm/image/luks.h"

#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"

static void cleanup_crypt(struct crypt_device **cd)
{
    crypt_free(*cd);
}
static void cleanup_cipher(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}
/* Drawn here, and gone with the call. */
struct volume_key {
    uint8_t data[LUKS_VOLUME_KEY_SIZE];
};
static void cleanup_key(struct volume_key *key)
{
    OPENSSL_cleanse(key->data, sizeof key->data);
}

static int make_header(const char *path, const char *uuid, const struct volume_key *volume,
                       const uint8_t *key, struct cofre_err *err)
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
        rc = crypt_format(cd, CRYPT_LUKS2, LUKS_CIPHER, LUKS_MODE, uuid, (const char *)volume->data,
                          sizeof volume->data, &params);
    if (rc == 0)
        rc = crypt_keyslot_add_by_volume_key(cd, 0, (const char *)volume->data, sizeof volume->data,
                                             (const char *)key, LUKS_KEY_SIZE);
    return rc < 0
               ? cofre_fail(err, COFRE_FAILED, "%s: libcryptsetup makes no header: %s", path, strerror(-rc))
               : 0;
}

/* dm-crypt's plain64: the number of the sector, of 512 bytes even where sectors are larger, as 64 bits, little-endian. */
static bool encrypt_sector(EVP_CIPHER_CTX *ctx, uint8_t sector[LUKS_SECTOR_SIZE], uint64_t number)
{
    uint8_t iv[16] = {0};
    int len = 0;
    put_le64(iv, number * (LUKS_SECTOR_SIZE / 512));
    return EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) &&
           EVP_EncryptUpdate(ctx, sector, &len, sector, LUKS_SECTOR_SIZE) && len == LUKS_SECTOR_SIZE;
}

#define PIECE (64u * LUKS_SECTOR_SIZE)

static int encrypt(int to, int from, EVP_CIPHER_CTX *ctx, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES piece = {0};
    int rc = bytes_alloc(&piece, PIECE, err);
    uint64_t at = 0;
    for (ssize_t n = 1; rc == 0 && n > 0; at += (uint64_t)n) {
        n = pread(from, piece.data, PIECE, (off_t)at);
        if (n < 0 || n % LUKS_SECTOR_SIZE)
            return cofre_fail(err, COFRE_FAILED, "%s: the file system under it: %s", path,
                              n < 0 ? strerror(errno) : "no whole sectors");
        for (ssize_t i = 0; i < n; i += LUKS_SECTOR_SIZE)
            if (!encrypt_sector(ctx, piece.data + i, (at + (uint64_t)i) / LUKS_SECTOR_SIZE))
                return cofre_fail(err, COFRE_FAILED, "%s: OpenSSL encrypts no sector", path);
        if (pwrite(to, piece.data, (size_t)n, (off_t)(LUKS_DATA_OFFSET + at)) != n)
            return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    }
    return rc;
}

static int make_data(const char *path, int from, const struct volume_key *volume, struct cofre_err *err)
{
    CLEAN_FD to = open(path, O_WRONLY | O_CLOEXEC);
    __attribute__((cleanup(cleanup_cipher))) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (to < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    if (!ctx || !EVP_EncryptInit_ex2(ctx, EVP_aes_256_xts(), volume->data, NULL, NULL))
        return cofre_fail(err, COFRE_FAILED, "%s: OpenSSL has no AES-XTS", path);
    return encrypt(to, from, ctx, path, err);
}

/* As long as it will be: libcryptsetup looks whether header and data fit. */
static int make_file(const char *path, int from, struct cofre_err *err)
{
    struct stat st;
    CLEAN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || fstat(from, &st) < 0 || ftruncate(fd, (off_t)LUKS_DATA_OFFSET + st.st_size) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    return 0;
}

int luks_make(const char *path, const char *plain, const char uuid[ROOT_UUID_SIZE],
              const uint8_t key[LUKS_KEY_SIZE], struct cofre_err *err)
{
    __attribute__((cleanup(cleanup_key))) struct volume_key volume;
    CLEAN_FD from = open(plain, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", plain, strerror(errno));
    if (RAND_priv_bytes(volume.data, sizeof volume.data) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s: no random bytes for its key", path);
    int rc = make_file(path, from, err);
    if (rc == 0)
        rc = make_header(path, uuid, &volume, key, err);
    return rc < 0 ? rc : make_data(path, from, &volume, err);
}
