/* Who signed whom, and whether as the vendor signs. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "vmm/base/timestamp.h"
#include "vmm/base/x509.h"
#include "vmm/base/x509_issued.h"

static bool made_signature(const struct x509_scheme *scheme, X509 *cert, X509 *issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    bool made = scheme->is_key(key) && X509_verify(cert, key) == 1;
    ERR_clear_error();
    return made;
}

static bool is_named_issuer(X509 *candidate, X509 *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(candidate), X509_get_issuer_name(cert)) == 0;
}

/* Of several roots with one key (a real one, and one with an altered body) the one that signs itself is better. */
static bool fits(const struct x509_scheme *scheme, X509 *candidate, X509 *cert, bool is_root)
{
    return made_signature(scheme, cert, candidate) &&
           (!is_root || made_signature(scheme, candidate, candidate));
}

/* By name; only where different certificates have the name do their signatures decide. */
X509 *x509_find_issuer(const struct x509_scheme *scheme, X509 *cert, const struct x509_certs *bags[2],
                       bool is_root)
{
    X509 *found = NULL;
    bool settled = false;
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; bags[b] && i < bags[b]->count && !settled; i++) {
            X509 *candidate = bags[b]->cert[i];
            if (!is_named_issuer(candidate, cert) || (found && X509_cmp(found, candidate) == 0))
                continue;
            if (found && fits(scheme, found, cert, is_root))
                settled = true;
            else
                found = !found || fits(scheme, candidate, cert, is_root) ? candidate : found;
        }
    return found;
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

int x509_check_ca(const struct x509_scheme *scheme, X509 *issuer, int path, struct cofre_err *err)
{
    char name[128];
    x509_name(name, issuer);
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
    if (!scheme->is_key(X509_get0_pubkey(issuer)))
        return cofre_fail(err, COFRE_NEGATIVE, "%s has no %s", name, scheme->key);
    return 0;
}

int x509_check_issued(const struct x509_scheme *scheme, X509 *cert, X509 *issuer, struct cofre_err *err)
{
    char name[128], by[128];
    x509_name(name, cert);
    x509_name(by, issuer);
    if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s names an issuer other than %s", name, by);
    const ASN1_OCTET_STRING *wanted = X509_get0_authority_key_id(cert),
                            *has = X509_get0_subject_key_id(issuer);
    if (wanted && has && ASN1_OCTET_STRING_cmp(wanted, has) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s names an issuer's key other than %s's", name, by);
    const X509_ALGOR *algorithm;
    X509_get0_signature(NULL, &algorithm, cert);
    if (!scheme->is_algorithm(algorithm))
        return cofre_fail(err, COFRE_NEGATIVE, "%s is not signed by %s, as %s signs", name, scheme->algorithm,
                          scheme->vendor);
    if (!made_signature(scheme, cert, issuer))
        return cofre_fail(err, COFRE_NEGATIVE, "the signature of %s is not by the key of %s", name, by);
    return 0;
}

/* The key is on the curve by the curve's name, and the point is uncompressed: one form only, as the vendors write it. */
static bool is_plain_key(X509 *cert, const struct ecdsa_curve *curve)
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
           OBJ_obj2nid(parameter) == curve->nid && len == 1 + 2 * (int)curve->size &&
           point[0] == POINT_CONVERSION_UNCOMPRESSED && X509_get0_pubkey(cert);
}

int x509_check_end_entity(X509 *leaf, const struct ecdsa_curve *curve, struct cofre_err *err)
{
    char name[128];
    x509_name(name, leaf);
    int rc = check_extensions(leaf, name, err);
    if (rc < 0)
        return rc;
    if (X509_get_extension_flags(leaf) & EXFLAG_CA)
        return cofre_fail(err, COFRE_NEGATIVE, "%s is a CA, where an end entity is due", name);
    if (!(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE)) /* all of them where there is no such extension */
        return cofre_fail(err, COFRE_NEGATIVE, "%s may not sign data by its key usage", name);
    if (!is_plain_key(leaf, curve))
        return cofre_fail(err, COFRE_NEGATIVE, "%s has no %s key given as an uncompressed point", name,
                          curve->name);
    return 0;
}

int x509_check_time(X509 *cert, int64_t at, struct cofre_err *err)
{
    char name[128];
    time_t time = (time_t)at;
    x509_name(name, cert);
    if (X509_cmp_time(X509_get0_notBefore(cert), &time) >= 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s was not yet valid at the time of verification", name);
    if (X509_cmp_time(X509_get0_notAfter(cert), &time) <= 0)
        return cofre_fail(err, COFRE_NEGATIVE, "%s had expired at the time of verification", name);
    return 0;
}

bool x509_crl_is_by(const struct x509_scheme *scheme, X509_CRL *crl, X509 *issuer)
{
    const X509_ALGOR *algorithm;
    X509_CRL_get0_signature(crl, NULL, &algorithm);
    bool made = X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) == 0 &&
                scheme->is_algorithm(algorithm) && (X509_get_key_usage(issuer) & KU_CRL_SIGN) &&
                X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1;
    ERR_clear_error();
    return made;
}

static int has_run_out(const ASN1_TIME *next, struct cofre_err *err)
{
    char text[TIME_TEXT_SIZE];
    struct tm tm;
    if (!next || ASN1_TIME_to_tm(next, &tm) != 1)
        return cofre_fail(err, COFRE_LACKING, "the revocation list does not say until when it is good");
    time_format(text, timegm(&tm));
    return cofre_fail(err, COFRE_LACKING, "the revocation list had run out on %s; fetch a new one", text);
}

int x509_crl_check(const struct x509_scheme *scheme, X509_CRL *crl, X509 *cert, int64_t at,
                   struct cofre_err *err)
{
    X509_REVOKED *entry;
    time_t time = (time_t)at;
    char name[128];
    if (X509_CRL_get0_by_cert(crl, &entry, cert) != 0) {
        x509_name(name, cert);
        return cofre_fail(err, COFRE_NEGATIVE, "%s has revoked %s", scheme->vendor, name);
    }
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return cofre_fail(err, COFRE_LACKING,
                              "the revocation list has a limit of scope that is not known here");
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    if (X509_cmp_time(X509_CRL_get0_lastUpdate(crl), &time) >= 0)
        return cofre_fail(err, COFRE_LACKING, "the revocation list is from after the time of verification");
    if (!next || X509_cmp_time(next, &time) <= 0)
        return has_run_out(next, err);
    return 0;
}

int x509_check_revocation(const struct x509_scheme *scheme, X509 *cert, X509 *issuer,
                          const struct x509_crls *crls, struct x509_issued *issued, int64_t at,
                          struct cofre_err *err)
{
    bool current = false;
    char name[128];
    x509_name(name, issuer);
    int rc = cofre_fail(err, COFRE_LACKING, "none of the %zu revocation lists is %s's", crls->count, name);
    for (size_t i = 0; i < crls->count; i++) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(crls->crl[i]), X509_get_subject_name(issuer)) != 0)
            continue;
        rc = x509_issued_is_by(issued, scheme, crls->crl[i], issuer)
                 ? x509_crl_check(scheme, crls->crl[i], cert, at, err)
                 : cofre_fail(err, COFRE_NEGATIVE, "a revocation list in the name of %s is not signed by it",
                              name);
        if (rc == -COFRE_NEGATIVE)
            return rc;
        current |= rc == 0;
    }
    return current ? 0 : rc;
}
