/* Who signed whom, and whether as AMD signs. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
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

static bool made_signature(X509 *cert, X509 *issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    bool made = is_ca_key(key) && X509_verify(cert, key) == 1;
    ERR_clear_error();
    return made;
}

static bool is_named_issuer(X509 *candidate, X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(candidate), X509_get_issuer_name(cert)) == 0;
}

/* Of several roots with one key (a real one, and one with an altered body) the one that signs itself is better. */
static bool fits(X509 *candidate, X509 *cert, bool is_root)
{
    return made_signature(cert, candidate) && (!is_root || made_signature(candidate, candidate));
}

/* By name; only where different certificates have the name do their signatures decide. */
static X509 *find_issuer(X509 *cert, const struct snp_certs *bags[2], bool is_root)
{
    X509 *found = NULL;
    bool settled = false;
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; bags[b] && i < bags[b]->count && !settled; i++) {
            X509 *candidate = bags[b]->cert[i];
            if (!is_named_issuer(candidate, cert) || (found && X509_cmp(found, candidate) == 0))
                continue;
            if (found && fits(found, cert, is_root))
                settled = true;
            else
                found = !found || fits(candidate, cert, is_root) ? candidate : found;
        }
    return found;
}

void snp_chain_build(struct snp_chain *out, X509 *leaf, const struct snp_certs *certs,
                     const struct snp_certs *trusted)
{
    const struct snp_certs *any[2] = {certs, NULL}, *roots[2] = {certs, trusted};
    *out = (struct snp_chain){.leaf = leaf};
    if (leaf)
        out->intermediate = find_issuer(leaf, any, false);
    if (out->intermediate)
        out->root = find_issuer(out->intermediate, roots, true);
}

bool snp_root_is_amd(X509 *root, enum snp_product product)
{
    uint8_t digest[48], *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(root), &der);
    bool hashed = len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha384(), NULL) == 1;
    OPENSSL_free(der);
    return hashed && product != SNP_PRODUCT_UNKNOWN &&
           memcmp(digest, snp_amd_ark_spki_sha384[product], sizeof digest) == 0;
}

static int check_extensions(X509 *cert, const char *name, struct cofre_err *err)
{
    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(X509_get_ext(cert, i));
        if (X509_get_ext_by_OBJ(cert, object, i) >= 0)
            return cofre_fail(err, COFRE_NEGATIVE, "%s has an extension twice", name);
    }
    uint32_t flags = X509_get_extension_flags(cert);
    if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
        return cofre_fail(err, COFRE_NEGATIVE, "%s has an extension that is %s", name,
                          flags & EXFLAG_INVALID ? "malformed" : "critical and not known");
    return X509_get_version(cert) == X509_VERSION_3
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "%s is not an X.509 version 3 certificate", name);
}

int snp_cert_check_ca(X509 *issuer, int path, struct cofre_err *err)
{
    char name[128];
    snp_cert_name(name, issuer);
    int rc = check_extensions(issuer, name, err);
    uint32_t flags = X509_get_extension_flags(issuer);
    if (rc < 0)
        return rc;
    if (!(flags & EXFLAG_BCONS) || !(flags & EXFLAG_CA))
        return cofre_fail(err, COFRE_NEGATIVE, "%s is not a CA by its basic constraints", name);
    if (!(flags & EXFLAG_KUSAGE) || !(X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN))
        return cofre_fail(err, COFRE_NEGATIVE, "%s may not sign certificates by its key usage", name);
    if (X509_get_pathlen(issuer) >= 0 && X509_get_pathlen(issuer) < path)
        return cofre_fail(err, COFRE_NEGATIVE, "%s may have no CA below it by its path length", name);
    if (!is_ca_key(X509_get0_pubkey(issuer)))
        return cofre_fail(err, COFRE_NEGATIVE, "%s has no RSA key of %d bits", name, CA_KEY_BITS);
    return 0;
}

int snp_cert_check_issued(X509 *cert, X509 *issuer, struct cofre_err *err)
{
    char name[128], by[128];
    snp_cert_name(name, cert);
    snp_cert_name(by, issuer);
    if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s names an issuer other than %s", name, by);
    const ASN1_OCTET_STRING *wanted = X509_get0_authority_key_id(cert),
                            *has = X509_get0_subject_key_id(issuer);
    if (wanted && has && ASN1_OCTET_STRING_cmp(wanted, has) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s names an issuer's key other than %s's", name, by);
    const X509_ALGOR *algorithm;
    X509_get0_signature(NULL, &algorithm, cert);
    if (!is_pss_sha384(algorithm))
        return cofre_fail(err, COFRE_NEGATIVE, "%s is not signed by RSA-PSS with SHA-384, as AMD signs",
                          name);
    if (!made_signature(cert, issuer))
        return cofre_fail(err, COFRE_NEGATIVE, "the signature of %s is not by the key of %s", name, by);
    return 0;
}

/* The key is on P-384 by the curve's name, and the point is uncompressed: one form only, as AMD writes it. */
static bool is_plain_p384(X509 *cert)
{
    ASN1_OBJECT *algorithm;
    const uint8_t *point;
    int len, type;
    const void *parameter;
    X509_ALGOR *key_algorithm;
    if (X509_PUBKEY_get0_param(&algorithm, &point, &len, &key_algorithm, X509_get_X509_PUBKEY(cert)) != 1)
        return false;
    X509_ALGOR_get0(NULL, &type, &parameter, key_algorithm);
    return OBJ_obj2nid(algorithm) == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT &&
           OBJ_obj2nid(parameter) == NID_secp384r1 && len == 97 &&
           point[0] == POINT_CONVERSION_UNCOMPRESSED && X509_get0_pubkey(cert);
}

int snp_cert_check_leaf(X509 *leaf, struct cofre_err *err)
{
    char name[128];
    snp_cert_name(name, leaf);
    int rc = check_extensions(leaf, name, err);
    if (rc < 0)
        return rc;
    if (X509_get_extension_flags(leaf) & EXFLAG_CA)
        return cofre_fail(err, COFRE_NEGATIVE, "%s is a CA; the key that signs reports is not one", name);
    if (!is_plain_p384(leaf))
        return cofre_fail(err, COFRE_NEGATIVE, "%s has no P-384 key given as an uncompressed point", name);
    return 0;
}

int snp_cert_check_time(X509 *cert, int64_t at, struct cofre_err *err)
{
    char name[128];
    time_t time = (time_t)at;
    snp_cert_name(name, cert);
    if (X509_cmp_time(X509_get0_notBefore(cert), &time) >= 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s was not yet valid at the time of verification", name);
    if (X509_cmp_time(X509_get0_notAfter(cert), &time) <= 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s had expired at the time of verification", name);
    return 0;
}

/* 0: current, signed, and does not name the intermediate. */
static int check_crl(X509_CRL *crl, const struct snp_chain *chain, int64_t at, struct cofre_err *err)
{
    const X509_ALGOR *algorithm;
    X509_REVOKED *entry;
    time_t time = (time_t)at;
    char name[128];
    snp_cert_name(name, chain->intermediate);
    X509_CRL_get0_signature(crl, NULL, &algorithm);
    bool is_signed = is_pss_sha384(algorithm) && (X509_get_key_usage(chain->root) & KU_CRL_SIGN) &&
                     X509_CRL_verify(crl, X509_get0_pubkey(chain->root)) == 1;
    ERR_clear_error();
    if (!is_signed)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "a revocation list in the root's name is not signed by the root");
    if (X509_CRL_get0_by_cert(crl, &entry, chain->intermediate) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "AMD has revoked %s", name);
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return cofre_fail(err, COFRE_LACKING,
                              "the revocation list has a limit of scope that is not known here");
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    if (X509_cmp_time(X509_CRL_get0_lastUpdate(crl), &time) >= 0)
        return cofre_fail(err, COFRE_LACKING, "the revocation list is from after the time of verification");
    if (!next || X509_cmp_time(next, &time) <= 0)
        return cofre_fail(err, COFRE_LACKING,
                          "the revocation list had run out at the time of verification; fetch a new one");
    return 0;
}

int snp_chain_check_revocation(const struct snp_chain *chain, const struct snp_crls *crls, int64_t at,
                               struct cofre_err *err)
{
    bool current = false;
    char name[128];
    snp_cert_name(name, chain->root);
    int rc = cofre_fail(err, COFRE_LACKING, "none of the %zu revocation lists is %s's", crls->count, name);
    for (size_t i = 0; i < crls->count; i++) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(crls->crl[i]), X509_get_subject_name(chain->root)) != 0)
            continue;
        rc = check_crl(crls->crl[i], chain, at, err);
        if (rc == -COFRE_NEGATIVE)
            return rc;
        current |= rc == 0;
    }
    return current ? 0 : rc;
}
