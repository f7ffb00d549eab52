#include "tdx/mrtd.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"

#define BLOCK_SIZE 128u /* an operation's name, its address at byte 16, zeros */

struct tdx_mrtd {
    EVP_MD_CTX *sha384;
};

static int no_hash(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "SHA-384 of the launch: OpenSSL refused");
}

int tdx_mrtd_new(struct tdx_mrtd **out, struct cofre_err *err)
{
    struct tdx_mrtd *mrtd = calloc(1, sizeof *mrtd);
    if (mrtd)
        mrtd->sha384 = EVP_MD_CTX_new();
    if (!mrtd || !mrtd->sha384 || EVP_DigestInit_ex(mrtd->sha384, EVP_sha384(), NULL) != 1) {
        tdx_mrtd_free(mrtd);
        return no_hash(err);
    }
    *out = mrtd;
    return 0;
}

void tdx_mrtd_free(struct tdx_mrtd *mrtd)
{
    if (!mrtd)
        return;
    EVP_MD_CTX_free(mrtd->sha384);
    free(mrtd);
}

static void block(uint8_t out[BLOCK_SIZE], const char *operation, uint64_t gpa)
{
    memset(out, 0, BLOCK_SIZE);
    memcpy(out, operation, strlen(operation));
    put_le64(out + 16, gpa);
}

int tdx_mrtd_page_add(struct tdx_mrtd *mrtd, uint64_t gpa, struct cofre_err *err)
{
    uint8_t b[BLOCK_SIZE];
    block(b, "MEM.PAGE.ADD", gpa);
    return EVP_DigestUpdate(mrtd->sha384, b, sizeof b) == 1 ? 0 : no_hash(err);
}

/* A block, and the chunk that it is about. */
#define EXTENSION_SIZE (BLOCK_SIZE + TDX_EXTEND_CHUNK)

static void extension(uint8_t out[EXTENSION_SIZE], uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK])
{
    block(out, "MR.EXTEND", gpa);
    memcpy(out + BLOCK_SIZE, chunk, TDX_EXTEND_CHUNK);
}

int tdx_mrtd_extend(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK],
                    struct cofre_err *err)
{
    uint8_t b[EXTENSION_SIZE];
    extension(b, gpa, chunk);
    return EVP_DigestUpdate(mrtd->sha384, b, sizeof b) == 1 ? 0 : no_hash(err);
}

/* All that one page adds to the measurement, in one piece: hashing is what prediction costs. */
static int add_page(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t *data, bool measured,
                    struct cofre_err *err)
{
    static const uint8_t zeros[TDX_EXTEND_CHUNK];
    uint8_t all[BLOCK_SIZE + TDX_PAGE_SIZE / TDX_EXTEND_CHUNK * EXTENSION_SIZE], *end = all + BLOCK_SIZE;
    block(all, "MEM.PAGE.ADD", gpa);
    for (unsigned i = 0; measured && i < TDX_PAGE_SIZE; i += TDX_EXTEND_CHUNK, end += EXTENSION_SIZE)
        extension(end, gpa + i, data ? data + i : zeros);
    return EVP_DigestUpdate(mrtd->sha384, all, (size_t)(end - all)) == 1 ? 0 : no_hash(err);
}

int tdx_mrtd_pages(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t *data, uint64_t len, bool measured,
                   struct cofre_err *err)
{
    if ((gpa | len) % TDX_PAGE_SIZE)
        return cofre_fail(err, COFRE_USAGE, "%#llx bytes at %#llx are not whole pages",
                          (unsigned long long)len, (unsigned long long)gpa);
    int rc = 0;
    for (uint64_t page = 0; page < len && rc == 0; page += TDX_PAGE_SIZE)
        rc = add_page(mrtd, gpa + page, data ? data + page : NULL, measured, err);
    return rc;
}

int tdx_mrtd_value(const struct tdx_mrtd *mrtd, uint8_t out[TDX_DIGEST_SIZE], struct cofre_err *err)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool done =
        copy && EVP_MD_CTX_copy_ex(copy, mrtd->sha384) == 1 && EVP_DigestFinal_ex(copy, out, NULL) == 1;
    EVP_MD_CTX_free(copy);
    return done ? 0 : no_hash(err);
}
