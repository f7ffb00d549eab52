/*
 * What Intel says of a processor package in the certificate of its Provisioning Certification Key: extension
 * 1.2.840.113741.1.13.1 (Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, section 1.3.5).
 */
#ifndef COFRE_TDX_PCK_H
#define COFRE_TDX_PCK_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

struct tdx_pck {
    uint8_t ppid[16];
    uint8_t sgx[16]; /* SVNs of the TCB components */
    uint16_t pce_svn;
    uint8_t cpu_svn[16];
    uint8_t pce_id[2]; /* as it stands in the certificate: most significant byte first */
    uint8_t fmspc[6];
    unsigned sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
    bool has_platform_instance;
    uint8_t platform_instance[16];
    struct tdx_pck_flag { /* of a multi-package platform; given is false where the certificate does not say */
        bool given, set;
    } dynamic_platform, cached_keys, smt;
};

/* Strictly: DER in its one form, every member that must be there, none twice, none unknown, exactly 16 TCB components.
 * -COFRE_NEGATIVE names what is wrong. */
int tdx_pck_parse(struct tdx_pck *out, X509 *cert, struct cofre_err *err);

#endif
