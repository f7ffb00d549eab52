/* Certificates, revocation lists and certificate tables, described. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "attest/tdx.h"
#include "sev/certs.h"
#include "tdx/chain.h"
#include "tdx/pck.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/inspect.h"

json_t *inspect_time(const ASN1_TIME *time)
{
    struct tm tm;
    char text[TIME_TEXT_SIZE];
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return json_null();
    time_format(text, (int64_t)timegm(&tm));
    return json_string(text);
}

/* RFC 2253 with everything but printable ASCII escaped: the name is somebody else's text. */
static json_t *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(bio);
        return json_null();
    }
    long len = BIO_get_mem_data(bio, &text);
    json_t *made = json_stringn(text, (size_t)len);
    BIO_free(bio);
    return made;
}

static json_t *serial_text(const ASN1_INTEGER *serial)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
    char *text = number ? BN_bn2hex(number) : NULL;
    json_t *made = text ? json_string(text) : json_null();
    OPENSSL_free(text);
    BN_free(number);
    return made;
}

static json_t *key_text(X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    ERR_clear_error();
    if (!key)
        return json_string("unreadable");
    const char *type = EVP_PKEY_get0_type_name(key);
    return json_sprintf("%s, %d bits", type ? type : "unknown", EVP_PKEY_get_bits(key));
}

static json_t *fingerprint(X509 *cert)
{
    uint8_t digest[32];
    char text[2 * sizeof digest + 1];
    unsigned len = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != sizeof digest)
        return json_null();
    hex_encode(text, digest, sizeof digest);
    return json_string(text);
}

/* AMD's extensions of a VCEK or VLEK, or why they cannot be read. */
static json_t *leaf_object(X509 *cert)
{
    struct snp_leaf leaf;
    struct cofre_err why;
    if (snp_leaf_parse(&leaf, cert, &why) < 0)
        return json_pack("{s:s}", "malformed", why.text);
    json_t *object =
        json_pack("{s:i, s:s}", "structure_version", (int)leaf.structure, "product_name", leaf.product_name);
    for (int i = 0; i < SNP_TCB_COMPONENTS; i++)
        if (snp_tcb_byte(leaf.product, i) >= 0)
            json_object_set_new(object, snp_tcb_component_name(i), json_integer(leaf.tcb.svn[i]));
    char hwid[2 * sizeof leaf.hwid + 1];
    hex_encode(hwid, leaf.hwid, leaf.hwid_len);
    if (leaf.role == SNP_ROLE_VCEK)
        json_object_set_new(object, "hwid", json_string(hwid));
    else
        json_object_set_new(object, "csp_id", json_string(leaf.csp_id));
    return object;
}

/* Intel's extension of a PCK certificate, or why it cannot be read. */
static json_t *pck_object(X509 *cert)
{
    struct tdx_pck pck;
    struct cofre_err why;
    return tdx_pck_parse(&pck, cert, &why) < 0 ? json_pack("{s:s}", "malformed", why.text)
                                               : tdx_pck_claims(&pck);
}

/* By its name, as the chain has to bear out. */
static const char *role_name(X509 *cert)
{
    enum snp_product product;
    enum tdx_role intel = tdx_cert_role(cert);
    return intel != TDX_ROLE_OTHER ? tdx_role_name(intel) : snp_cert_role_name(snp_cert_role(cert, &product));
}

static json_t *cert_object(X509 *cert)
{
    enum snp_product product;
    enum snp_cert_role role = snp_cert_role(cert, &product);
    const X509_ALGOR *algorithm;
    const ASN1_OBJECT *object;
    char signed_by[80];
    X509_get0_signature(NULL, &algorithm, cert);
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    OBJ_obj2txt(signed_by, sizeof signed_by, object, 0);
    json_t *made = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "role", role_name(cert), "subject",
        name_text(X509_get_subject_name(cert)), "issuer", name_text(X509_get_issuer_name(cert)), "serial",
        serial_text(X509_get0_serialNumber(cert)), "not_before", inspect_time(X509_get0_notBefore(cert)),
        "not_after", inspect_time(X509_get0_notAfter(cert)), "key", key_text(cert), "signature_algorithm",
        signed_by, "sha256", fingerprint(cert));
    if (snp_role_is_leaf(role))
        json_object_set_new(made, "amd", leaf_object(cert));
    if (role == SNP_ROLE_ARK)
        json_object_set_new(made, "amd_root_key", json_boolean(snp_root_is_amd(cert, product)));
    if (tdx_cert_role(cert) == TDX_ROLE_PCK)
        json_object_set_new(made, "intel", pck_object(cert));
    if (tdx_cert_role(cert) == TDX_ROLE_ROOT)
        json_object_set_new(made, "intel_root_key", json_boolean(tdx_root_is_intel(cert)));
    if (x509_is_emulated(cert))
        json_object_set_new(made, "emulated",
                            json_string("EMULATED platform: reports under it give no confidentiality"));
    return made;
}

json_t *inspect_certs_list(const struct x509_certs *certs)
{
    json_t *list = json_array();
    for (size_t i = 0; i < certs->count; i++)
        json_array_append_new(list, cert_object(certs->cert[i]));
    return list;
}

static bool begins_der(struct view file)
{
    return file.len > 4 && file.data[0] == 0x30 && file.data[1] == 0x82;
}

/* In a text file: a quote carries PEM too, between bytes of its own. */
static bool has_text(struct view file, const char *text)
{
    return file.data && !memchr(file.data, 0, file.len) && memmem(file.data, file.len, text, strlen(text));
}

static bool recognises_certs(struct view file)
{
    return has_text(file, "-----BEGIN CERTIFICATE-----") || begins_der(file);
}

static int describe_certs(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_CERTS certs = {0};
    int rc = x509_certs_add(&certs, file, err);
    if (rc == 0)
        *out = json_pack("{s:o}", "certificates", inspect_certs_list(&certs));
    return rc;
}

static bool recognises_crl(struct view file)
{
    CLEAN_CRLS crls = {0};
    return has_text(file, "-----BEGIN X509 CRL-----") ||
           (begins_der(file) && x509_crls_add(&crls, file, NULL) == 0);
}

static json_t *crl_object(X509_CRL *crl)
{
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    json_t *serials = json_array();
    for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++)
        json_array_append_new(serials,
                              serial_text(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i))));
    return json_pack("{s:o, s:o, s:o, s:o}", "issuer", name_text(X509_CRL_get_issuer(crl)), "this_update",
                     inspect_time(X509_CRL_get0_lastUpdate(crl)), "next_update",
                     inspect_time(X509_CRL_get0_nextUpdate(crl)), "revoked_serials", serials);
}

static int describe_crl(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_CRLS crls = {0};
    int rc = x509_crls_add(&crls, file, err);
    json_t *list = json_array();
    for (size_t i = 0; rc == 0 && i < crls.count; i++)
        json_array_append_new(list, crl_object(crls.crl[i]));
    if (rc == 0)
        *out = json_pack("{s:O}", "lists", list);
    json_decref(list);
    return rc;
}

int inspect_describe_table(json_t **out, struct view table, struct cofre_err *err)
{
    struct snp_cert_table parsed;
    int rc = snp_cert_table_parse(&parsed, table, err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *list = json_array();
    for (size_t i = 0; i < parsed.count; i++) {
        const struct snp_cert_entry *e = &parsed.entry[i];
        CLEAN_CERTS certs = {0};
        json_t *entry =
            json_pack("{s:s, s:I}", "entry", snp_cert_kind_name(e->kind), "bytes", (json_int_t)e->data.len);
        if (e->kind != SNP_CERT_OTHER && e->kind != SNP_CERT_CRL) {
            rc = x509_certs_add(&certs, e->data, err);
            json_object_set_new(entry, "certificates", inspect_certs_list(&certs));
        }
        json_array_append_new(list, entry);
        if (rc < 0)
            return cofre_within(err, rc, "certificate table: the %s", snp_cert_kind_name(e->kind));
    }
    *out = json_incref(list);
    return 0;
}

static int describe_table(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *list = NULL;
    int rc = inspect_describe_table(&list, file, err);
    if (rc == 0)
        *out = json_pack("{s:o}", "entries", list);
    return rc;
}

const struct artefact_kind inspect_certificates = {"certificate", recognises_certs, describe_certs};
const struct artefact_kind inspect_crl = {"certificate revocation list", recognises_crl, describe_crl};
const struct artefact_kind inspect_cert_table = {"certificate table", snp_cert_table_recognises,
                                                 describe_table};
