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

int tdx_mrtd_extend(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK],
                    struct cofre_err *err)
{
    uint8_t b[BLOCK_SIZE + TDX_EXTEND_CHUNK];
    block(b, "MR.EXTEND", gpa);
    memcpy(b + BLOCK_SIZE, chunk, TDX_EXTEND_CHUNK);
    return EVP_DigestUpdate(mrtd->sha384, b, sizeof b) == 1 ? 0 : no_hash(err);
}

int tdx_mrtd_pages(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t *data, uint64_t len, bool measured,
                   struct cofre_err *err)
{
    static const uint8_t zeros[TDX_EXTEND_CHUNK];
    if ((gpa | len) % TDX_PAGE_SIZE)
        return cofre_fail(err, COFRE_USAGE, "%#llx bytes at %#llx are not whole pages",
                          (unsigned long long)len, (unsigned long long)gpa);
    int rc = 0;
    for (uint64_t page = 0; page < len && rc == 0; page += TDX_PAGE_SIZE) {
        rc = tdx_mrtd_page_add(mrtd, gpa + page, err);
        for (uint64_t i = page; measured && i < page + TDX_PAGE_SIZE && rc == 0; i += TDX_EXTEND_CHUNK)
            rc = tdx_mrtd_extend(mrtd, gpa + i, data ? data + i : zeros, err);
    }
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
