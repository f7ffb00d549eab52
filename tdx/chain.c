#include "tdx/chain.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

static const uint8_t intel_root_key_sha384[48] = {
    0x3c, 0xdf, 0x1f, 0xeb, 0x4e, 0x5e, 0xac, 0x62, 0x91, 0x70, 0xf1, 0x76, 0x25, 0x64, 0x8d, 0xa4,
    0xa1, 0x6e, 0xff, 0xa2, 0x2a, 0xe2, 0xbc, 0xca, 0x03, 0x0b, 0x43, 0x58, 0xa8, 0x96, 0x1c, 0x1b,
    0xf2, 0x6c, 0xf5, 0x4a, 0x95, 0x98, 0xcd, 0x6a, 0x2d, 0x4a, 0x9c, 0xbb, 0x62, 0x37, 0x7d, 0x22,
};

static bool is_p256_key(EVP_PKEY *key)
{
    return ecdsa_is_key(&ecdsa_p256, key);
}

/* ecdsa-with-SHA256 without parameters (RFC 5758, 3.2). */
static bool is_ecdsa_sha256(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;
    int type;
    X509_ALGOR_get0(&object, &type, NULL, algorithm);
    return OBJ_obj2nid(object) == NID_ecdsa_with_SHA256 && type == V_ASN1_UNDEF;
}

const struct x509_scheme tdx_scheme = {"Intel", "EC key of P-256", "ECDSA with SHA-256", is_p256_key,
                                       is_ecdsa_sha256};

static const char *const role_names[] = {
    [TDX_ROLE_OTHER] = "other certificate",
    [TDX_ROLE_ROOT] = "Intel SGX Root CA",
    [TDX_ROLE_PLATFORM_CA] = "Intel SGX PCK Platform CA",
    [TDX_ROLE_PROCESSOR_CA] = "Intel SGX PCK Processor CA",
    [TDX_ROLE_PCK] = "Intel SGX PCK Certificate",
    [TDX_ROLE_TCB_SIGNING] = "Intel SGX TCB Signing",
};
#define ROLES (sizeof role_names / sizeof *role_names)

const char *tdx_role_name(enum tdx_role role)
{
    return role_names[role];
}

enum tdx_role tdx_cert_role(X509 *cert)
{
    char name[128];
    x509_common_name(name, cert);
    for (size_t i = TDX_ROLE_ROOT; i < ROLES; i++)
        if (strcmp(name, role_names[i]) == 0)
            return (enum tdx_role)i;
    return TDX_ROLE_OTHER;
}

bool tdx_root_is_intel(X509 *root)
{
    uint8_t digest[48];
    return x509_key_digest(digest, root) && memcmp(digest, intel_root_key_sha384, sizeof digest) == 0;
}

void tdx_chain_build(struct tdx_chain *out, X509 *leaf, const struct x509_certs *certs,
                     const struct x509_certs *trusted)
{
    const struct x509_certs *any[2] = {certs, NULL}, *roots[2] = {certs, trusted};
    *out = (struct tdx_chain){.leaf = leaf};
    if (leaf)
        out->intermediate = x509_find_issuer(&tdx_scheme, leaf, any, false);
    if (out->intermediate)
        out->root = x509_find_issuer(&tdx_scheme, out->intermediate, roots, true);
}
