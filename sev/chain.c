/* How AMD signs, and whose certificates make the chain. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "sev/amd_certs.h"
#include "sev/certs.h"

#define CA_KEY_BITS 4096
#define PSS_SALT    48

static bool is_sha384(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object = NULL;
    if (algorithm)
        X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    return object && OBJ_obj2nid(object) == NID_sha384;
}

/* RSASSA-PSS with SHA-384, MGF1 over SHA-384, a salt of 48 bytes and the only trailer there is (RFC 8017, A.2.3). */
static bool is_pss_sha384(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;
    const void *value;
    int type;
    X509_ALGOR_get0(&object, &type, &value, algorithm);
    if (OBJ_obj2nid(object) != NID_rsassaPss || type != V_ASN1_SEQUENCE)
        return false;
    RSA_PSS_PARAMS *pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    if (!pss)
        return false;
    X509_ALGOR *mask_hash = NULL;
    const ASN1_OBJECT *mask = NULL;
    if (pss->maskGenAlgorithm) {
        X509_ALGOR_get0(&mask, &type, &value, pss->maskGenAlgorithm);
        if (OBJ_obj2nid(mask) == NID_mgf1 && type == V_ASN1_SEQUENCE)
            mask_hash = ASN1_item_unpack(value, ASN1_ITEM_rptr(X509_ALGOR));
    }
    bool ok = is_sha384(pss->hashAlgorithm) && is_sha384(mask_hash) && pss->saltLength &&
              ASN1_INTEGER_get(pss->saltLength) == PSS_SALT &&
              (!pss->trailerField || ASN1_INTEGER_get(pss->trailerField) == 1);
    X509_ALGOR_free(mask_hash);
    RSA_PSS_PARAMS_free(pss);
    return ok;
}

static bool is_ca_key(EVP_PKEY *key)
{
    return key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) == CA_KEY_BITS;
}

const struct x509_scheme snp_scheme = {"AMD", "RSA key of 4096 bits", "RSA-PSS with SHA-384", is_ca_key,
                                       is_pss_sha384};

void snp_chain_build(struct snp_chain *out, X509 *leaf, const struct x509_certs *certs,
                     const struct x509_certs *trusted)
{
    const struct x509_certs *any[2] = {certs, NULL}, *roots[2] = {certs, trusted};
    *out = (struct snp_chain){.leaf = leaf};
    if (leaf)
        out->intermediate = x509_find_issuer(&snp_scheme, leaf, any, false);
    if (out->intermediate)
        out->root = x509_find_issuer(&snp_scheme, out->intermediate, roots, true);
}

bool snp_root_is_amd(X509 *root, enum snp_product product)
{
    uint8_t digest[48];
    return product != SNP_PRODUCT_UNKNOWN && x509_key_digest(digest, root) &&
           memcmp(digest, snp_amd_ark_spki_sha384[product], sizeof digest) == 0;
}
