/*
 * The launch digest: a fold over the pages that the firmware is given, in their order. Each page of each type
 * extends it by a PAGE_INFO (sev/abi.h): the digest so far, the page's contents where the type measures them,
 * type, address.
 */
#ifndef COFRE_SEV_DIGEST_H
#define COFRE_SEV_DIGEST_H

#include "sev/abi.h"
#include "vmm/base/error.h"

struct snp_digest {
    uint8_t value[SNP_DIGEST_SIZE];
};

/* The digest before the first page: zeros. */
void snp_digest_init(struct snp_digest *digest);

/* Extends the digest by one page. contents is the 4 KiB of a NORMAL or VMSA page, and NULL for every other
 * type. All VMPL permissions are zero, as KVM passes them. */
int snp_digest_page(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *contents,
                    struct cofre_err *err);

/* Extends the digest by len / 4096 pages from gpa on; len and gpa are whole pages. data is NULL, or has len
 * bytes. Many pages are hashed by as many threads as the caller may run on, 8 at most; they end before it returns. */
int snp_digest_pages(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *data,
                     uint64_t len, struct cofre_err *err);

/* True for the page types whose contents are measured. */
static inline int snp_page_has_contents(enum snp_page_type type)
{
    return type == SNP_PAGE_NORMAL || type == SNP_PAGE_VMSA;
}

/* The PAGE_INFO alone, for who keeps a digest of his own. contents is a SHA-384, or NULL for zeros. */
void snp_page_info_format(struct snp_page_info *out, const uint8_t digest_cur[SNP_DIGEST_SIZE],
                          enum snp_page_type type, uint64_t gpa, const uint8_t *contents);

#endif
