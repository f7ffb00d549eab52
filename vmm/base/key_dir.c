#include "vmm/base/key_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define DEFAULT_DIR "/var/lib/cofre/emulated"
#define FILE_MAX    (64 * 1024)
#define HEX_MAX     1024 /* bytes in a hexadecimal file */

const char *key_dir_emulated(const char *dir)
{
    if (!dir)
        dir = getenv("COFRE_EMULATED_DIR");
    return dir && *dir ? dir : DEFAULT_DIR;
}

static int path_in(char path[PATH_MAX], const char *dir, const char *name, struct cofre_err *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", dir);
    return 0;
}

int key_dir_damaged(const char *dir, const char *name, const char *why, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED,
                      "%s/%s: %s; remove the directory and the emulated platform makes itself a new chip",
                      dir, name, why);
}

static bool has(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return path_in(path, dir, name, NULL) == 0 && stat(path, &st) == 0;
}

static int make_directories(const char *dir, struct cofre_err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(path, 0755); /* whether it could be made shows below */
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cofre_fail(
            err, COFRE_LACKING,
            "%s: cannot be made for the emulated platform's certificates: %s; COFRE_EMULATED_DIR names "
            "another place",
            dir, strerror(errno));
    return 0;
}

int key_dir_once(const char *dir, const char *last,
                 int (*make)(const char *dir, void *context, struct cofre_err *err), void *context,
                 struct cofre_err *err)
{
    char path[PATH_MAX];
    if (has(dir, last))
        return 0;
    int rc = make_directories(dir, err);
    if (rc == 0)
        rc = path_in(path, dir, "lock", err);
    if (rc < 0)
        return rc;
    CLEAN_FD lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return cofre_fail(err, COFRE_LACKING,
                          "%s: cannot be written for the emulated platform's certificates: %s", path,
                          strerror(errno));
    while (flock(lock, LOCK_EX) < 0)
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "%s: cannot be locked: %s", path, strerror(errno));
    return has(dir, last) ? 0 : make(dir, context, err);
}

int key_dir_read(struct bytes *out, const char *dir, const char *name, struct cofre_err *err)
{
    char path[PATH_MAX];
    int rc = path_in(path, dir, name, err);
    return rc < 0 ? rc : file_read(out, path, FILE_MAX, err);
}

int key_dir_write(const char *dir, const char *name, struct view data, struct cofre_err *err)
{
    char path[PATH_MAX];
    int rc = path_in(path, dir, name, err);
    return rc < 0 ? rc : file_write(path, data, 0600, err);
}

enum kind { CERT, CRL, KEY };

static int read_pem(void *out, enum kind kind, const char *dir, const char *name, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = key_dir_read(&text, dir, name, err);
    if (rc < 0)
        return rc;
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    void *got = !bio           ? NULL
                : kind == CERT ? (void *)PEM_read_bio_X509(bio, NULL, NULL, NULL)
                : kind == CRL  ? (void *)PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)
                               : (void *)PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (!got)
        return key_dir_damaged(dir, name, "not what it should be", err);
    *(void **)out = got;
    return 0;
}

static int write_pem(const char *dir, const char *name, enum kind kind, void *object, struct cofre_err *err)
{
    char *data;
    CLEAN(bio) BIO *bio = BIO_new(kind == KEY ? BIO_s_secmem() : BIO_s_mem());
    int done = !bio           ? 0
               : kind == CERT ? PEM_write_bio_X509(bio, object)
               : kind == CRL  ? PEM_write_bio_X509_CRL(bio, object)
                              : PEM_write_bio_PrivateKey(bio, object, NULL, NULL, 0, NULL, NULL);
    if (done != 1)
        return cofre_fail(err, COFRE_FAILED, "%s/%s: OpenSSL could not write it", dir, name);
    long len = BIO_get_mem_data(bio, &data);
    return key_dir_write(dir, name, (struct view){(uint8_t *)data, (size_t)len}, err);
}

int key_dir_read_cert(X509 **out, const char *dir, const char *name, struct cofre_err *err)
{
    return read_pem(out, CERT, dir, name, err);
}

int key_dir_read_crl(X509_CRL **out, const char *dir, const char *name, struct cofre_err *err)
{
    return read_pem(out, CRL, dir, name, err);
}

int key_dir_read_key(EVP_PKEY **out, const char *dir, const char *name, struct cofre_err *err)
{
    return read_pem(out, KEY, dir, name, err);
}

int key_dir_write_cert(const char *dir, const char *name, X509 *cert, struct cofre_err *err)
{
    return write_pem(dir, name, CERT, cert, err);
}

int key_dir_write_crl(const char *dir, const char *name, X509_CRL *crl, struct cofre_err *err)
{
    return write_pem(dir, name, CRL, crl, err);
}

int key_dir_write_key(const char *dir, const char *name, EVP_PKEY *key, struct cofre_err *err)
{
    return write_pem(dir, name, KEY, key, err);
}

int key_dir_read_hex(uint8_t *out, size_t len, const char *dir, const char *name, struct cofre_err *err)
{
    char digits[2 * HEX_MAX + 2] = {0}, why[64];
    CLEAN_BYTES text = {0};
    int rc = key_dir_read(&text, dir, name, err);
    if (rc < 0)
        return rc;
    bool ok = len <= HEX_MAX && text.len == 2 * len + 1 && text.data[2 * len] == '\n';
    if (ok)
        memcpy(digits, text.data, 2 * len);
    ok = ok && hex_decode(out, len, digits);
    OPENSSL_cleanse(digits, sizeof digits);
    snprintf(why, sizeof why, "not %zu hexadecimal digits", 2 * len);
    return ok ? 0 : key_dir_damaged(dir, name, why, err);
}

int key_dir_write_hex(const char *dir, const char *name, const uint8_t *data, size_t len,
                      struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = bytes_alloc(&text, 2 * len + 1, err);
    if (rc < 0)
        return rc;
    hex_encode((char *)text.data, data, len);
    text.data[2 * len] = '\n';
    return key_dir_write(dir, name, bytes_view(&text), err);
}
