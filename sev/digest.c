#include "sev/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "vmm/base/bytes.h"

void snp_digest_init(struct snp_digest *digest)
{
    memset(digest, 0, sizeof *digest);
}

void snp_page_info_format(struct snp_page_info *out, const uint8_t digest_cur[SNP_DIGEST_SIZE],
                          enum snp_page_type type, uint64_t gpa, const uint8_t *contents)
{
    memset(out, 0, sizeof *out);
    memcpy(out->digest_cur, digest_cur, sizeof out->digest_cur);
    if (contents)
        memcpy(out->contents, contents, sizeof out->contents);
    put_le16(&out->length, sizeof *out);
    out->page_type = (uint8_t)type;
    put_le64(&out->gpa, gpa);
}

static int sha384(uint8_t out[SNP_DIGEST_SIZE], const void *data, size_t len, struct cofre_err *err)
{
    if (EVP_Digest(data, len, out, NULL, EVP_sha384(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "launch digest: SHA-384 is not available in this OpenSSL");
    return 0;
}

int snp_digest_page(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *contents,
                    struct cofre_err *err)
{
    uint8_t hash[SNP_DIGEST_SIZE];
    struct snp_page_info info;
    if (!contents != !snp_page_has_contents(type))
        return cofre_fail(err, COFRE_FAILED, "launch digest: a page of type %d at 0x%llx %s contents", type,
                          (unsigned long long)gpa, contents ? "has no place for" : "needs its");
    if (contents) {
        int rc = sha384(hash, contents, SNP_PAGE_SIZE, err);
        if (rc < 0)
            return rc;
    }
    snp_page_info_format(&info, digest->value, type, gpa, contents ? hash : NULL);
    return sha384(digest->value, &info, sizeof info, err);
}

int snp_digest_pages(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *data,
                     uint64_t len, struct cofre_err *err)
{
    if ((gpa | len) % SNP_PAGE_SIZE || gpa + len < gpa)
        return cofre_fail(err, COFRE_MALFORMED,
                          "launch digest: 0x%llx bytes at 0x%llx are not whole 4 KiB pages",
                          (unsigned long long)len, (unsigned long long)gpa);
    for (uint64_t at = 0; at < len; at += SNP_PAGE_SIZE) {
        int rc = snp_digest_page(digest, type, gpa + at, data ? (const uint8_t *)data + at : NULL, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
