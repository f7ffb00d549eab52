/* The extensions of a VCEK or VLEK (57230, table "VCEK Certificate Extensions"), decoded strictly. */
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "sev/certs.h"

#define AMD_ARC "1.3.6.1.4.1.3704.1."

/* The contents of the one extension of that OID; NULL where there is none. */
static int find(const ASN1_OCTET_STRING **out, X509 *cert, const char *suffix, struct cofre_err *err)
{
    char oid[64];
    (void)snprintf(oid, sizeof oid, AMD_ARC "%s", suffix);
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    if (!object)
        return cofre_fail(err, COFRE_FAILED, "no memory for an object identifier");
    int at = X509_get_ext_by_OBJ(cert, object, -1);
    int second = at < 0 ? -1 : X509_get_ext_by_OBJ(cert, object, at);
    ASN1_OBJECT_free(object);
    *out = at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(cert, at));
    return second < 0 ? 0 : cofre_fail(err, COFRE_NEGATIVE, "extension %s is there twice", oid);
}

/* An INTEGER from 0 to 255 in DER: two bytes of header and one of value, with a zero before one above 127. */
static bool decode_byte(uint8_t *out, const ASN1_OCTET_STRING *in)
{
    const uint8_t *der = ASN1_STRING_get0_data(in), *p = der;
    long len = ASN1_STRING_length(in);
    int64_t value = -1;
    uint8_t *again = NULL;
    ASN1_INTEGER *number = d2i_ASN1_INTEGER(NULL, &p, len);
    int again_len = number ? i2d_ASN1_INTEGER(number, &again) : 0;
    bool ok = number && p == der + len && again_len == len && memcmp(again, der, (size_t)len) == 0 &&
              ASN1_INTEGER_get_int64(&value, number) == 1 && value >= 0 && value <= 255;
    OPENSSL_free(again);
    ASN1_INTEGER_free(number);
    *out = ok ? (uint8_t)value : 0;
    return ok;
}

/* *present tells; an extension that must be there and is not is the caller's matter. */
static int read_byte(uint8_t *out, bool *present, X509 *cert, const char *suffix, struct cofre_err *err)
{
    const ASN1_OCTET_STRING *data;
    int rc = find(&data, cert, suffix, err);
    *out = 0;
    *present = data != NULL;
    if (rc < 0 || !data)
        return rc;
    return decode_byte(out, data)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "extension " AMD_ARC "%s is not an INTEGER from 0 to 255",
                            suffix);
}

/* An IA5String of printable characters. */
static int read_text(char *out, size_t room, bool *present, X509 *cert, const char *suffix,
                     struct cofre_err *err)
{
    const ASN1_OCTET_STRING *data;
    int rc = find(&data, cert, suffix, err);
    out[0] = 0;
    *present = data != NULL;
    if (rc < 0 || !data)
        return rc;
    const uint8_t *der = ASN1_STRING_get0_data(data), *p = der;
    long len = ASN1_STRING_length(data);
    ASN1_IA5STRING *text = d2i_ASN1_IA5STRING(NULL, &p, len);
    bool ok = text && p == der + len && len == 2 + ASN1_STRING_length(text) && ASN1_STRING_length(text) > 0 &&
              (size_t)ASN1_STRING_length(text) < room;
    for (int i = 0; ok && i < ASN1_STRING_length(text); i++) {
        uint8_t c = ASN1_STRING_get0_data(text)[i];
        ok = c >= ' ' && c <= '~';
        out[i] = (char)c;
        out[i + 1] = 0;
    }
    ASN1_IA5STRING_free(text);
    return ok ? 0
              : cofre_fail(err, COFRE_NEGATIVE, "extension " AMD_ARC "%s is not a short printable IA5String",
                           suffix);
}

static const struct {
    const char *suffix;
    int component; /* or RESERVED, which must be zero */
} svns[] = {
#define RESERVED (-1)
    {"3.1", SNP_TCB_BOOT_LOADER},
    {"3.2", SNP_TCB_TEE},
    {"3.3", SNP_TCB_SNP},
    {"3.4", RESERVED},
    {"3.5", RESERVED},
    {"3.6", RESERVED},
    {"3.7", RESERVED},
    {"3.8", SNP_TCB_MICROCODE},
    {"3.9", SNP_TCB_FMC},
};

/* Every component that the product has is there, and no other. */
static int read_tcb(struct snp_leaf *out, X509 *cert, struct cofre_err *err)
{
    for (size_t i = 0; i < sizeof svns / sizeof *svns; i++) {
        uint8_t value;
        bool present;
        int component = svns[i].component;
        int rc = read_byte(&value, &present, cert, svns[i].suffix, err);
        if (rc < 0)
            return rc;
        bool wanted = component != RESERVED && snp_tcb_byte(out->product, component) >= 0;
        if (wanted && !present)
            return cofre_fail(err, COFRE_NEGATIVE, "extension " AMD_ARC "%s (%s) is missing", svns[i].suffix,
                              snp_tcb_component_name(component));
        if (!wanted && value)
            return cofre_fail(err, COFRE_NEGATIVE,
                              "extension " AMD_ARC "%s is %u; %s has no such TCB component", svns[i].suffix,
                              value, snp_product_name(out->product));
        if (wanted)
            out->tcb.svn[component] = value;
    }
    return 0;
}

/* Raw bytes, or those in an OCTET STRING of their own: both are in the field. */
static int read_hwid(struct snp_leaf *out, X509 *cert, struct cofre_err *err)
{
    const ASN1_OCTET_STRING *data;
    int rc = find(&data, cert, "4", err);
    if (rc < 0 || !data)
        return rc;
    size_t expected = out->product == SNP_PRODUCT_TURIN ? 8 : sizeof out->hwid;
    const uint8_t *bytes = ASN1_STRING_get0_data(data);
    size_t len = (size_t)ASN1_STRING_length(data);
    if (len == expected + 2 && bytes[0] == V_ASN1_OCTET_STRING && bytes[1] == expected) {
        bytes += 2;
        len -= 2;
    }
    if (len != expected)
        return cofre_fail(err, COFRE_NEGATIVE, "the HWID (extension " AMD_ARC "4) has %zu bytes; %s has %zu",
                          len, snp_product_name(out->product), expected);
    memcpy(out->hwid, bytes, len);
    out->hwid_len = len;
    return 0;
}

static int read_identity(struct snp_leaf *out, X509 *cert, struct cofre_err *err)
{
    bool has_csp;
    int rc = read_hwid(out, cert, err);
    if (rc == 0)
        rc = read_text(out->csp_id, sizeof out->csp_id, &has_csp, cert, "5", err);
    if (rc < 0)
        return rc;
    if (out->role == SNP_ROLE_VCEK && (out->hwid_len == 0 || has_csp))
        return cofre_fail(err, COFRE_NEGATIVE, "a VCEK has a HWID and no CSP id; this one has %s",
                          has_csp ? "a CSP id" : "no HWID");
    if (out->role == SNP_ROLE_VLEK && (out->hwid_len || !has_csp))
        return cofre_fail(err, COFRE_NEGATIVE, "a VLEK has a CSP id and no HWID; this one has %s",
                          out->hwid_len ? "a HWID" : "no CSP id");
    return 0;
}

int snp_leaf_parse(struct snp_leaf *out, X509 *cert, struct cofre_err *err)
{
    *out = (struct snp_leaf){.role = snp_cert_role(cert, NULL)};
    uint8_t structure;
    bool has_structure, has_name;
    if (!snp_role_is_leaf(out->role))
        return cofre_fail(err, COFRE_NEGATIVE, "neither a VCEK nor a VLEK by its name");
    int rc = read_byte(&structure, &has_structure, cert, "1", err);
    if (rc == 0)
        rc = read_text(out->product_name, sizeof out->product_name, &has_name, cert, "2", err);
    if (rc < 0)
        return rc;
    if (!has_structure || !has_name)
        return cofre_fail(err, COFRE_NEGATIVE, "extension " AMD_ARC "%s is missing",
                          has_structure ? "2 (product name)" : "1 (structure version)");
    out->structure = structure;
    out->product = snp_product_named(out->product_name, strcspn(out->product_name, "-"));
    if (out->product == SNP_PRODUCT_UNKNOWN)
        return cofre_fail(err, COFRE_NEGATIVE, "the product \"%s\" is not one that is known here",
                          out->product_name);
    if (structure != (out->product == SNP_PRODUCT_TURIN))
        return cofre_fail(err, COFRE_NEGATIVE, "structure version %u is not %s's", structure,
                          snp_product_name(out->product));
    rc = read_tcb(out, cert, err);
    return rc < 0 ? rc : read_identity(out, cert, err);
}
