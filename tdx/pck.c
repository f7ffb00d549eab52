#include "tdx/pck.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define SGX_ARC "1.2.840.113741.1.13.1"

/* A member: a pair of its OID's last number and a value. What the value must be follows from the ASN.1 type. */
struct member {
    const char *name;
    int type; /* V_ASN1_... */
    uint32_t
        limit; /* bytes of an OCTET STRING, or the greatest number, or the count of a SEQUENCE's members */
    size_t at; /* in struct tdx_pck */
    bool optional;
    const struct member *members; /* of a SEQUENCE, numbered from 1 */
};

#define AT(FIELD) offsetof(struct tdx_pck, FIELD)
#define COMPONENT(N)                                                                                         \
    {                                                                                                        \
        "TCB component " #N, V_ASN1_INTEGER, 255, AT(sgx) + (N)-1, false, NULL                               \
    }
#define BYTES(NAME, FIELD)                                                                                   \
    {                                                                                                        \
        NAME, V_ASN1_OCTET_STRING, sizeof((struct tdx_pck *)0)->FIELD, AT(FIELD), false, NULL                \
    }
#define FLAG(NAME, FIELD)                                                                                    \
    {                                                                                                        \
        NAME, V_ASN1_BOOLEAN, 0, AT(FIELD), true, NULL                                                       \
    }
#define COUNT(MEMBERS) (sizeof(MEMBERS) / sizeof *(MEMBERS))

static const struct member tcb[] = {
    COMPONENT(1),
    COMPONENT(2),
    COMPONENT(3),
    COMPONENT(4),
    COMPONENT(5),
    COMPONENT(6),
    COMPONENT(7),
    COMPONENT(8),
    COMPONENT(9),
    COMPONENT(10),
    COMPONENT(11),
    COMPONENT(12),
    COMPONENT(13),
    COMPONENT(14),
    COMPONENT(15),
    COMPONENT(16),
    {"PCESVN", V_ASN1_INTEGER, 65535, AT(pce_svn), false, NULL},
    BYTES("CPUSVN", cpu_svn),
};
static const struct member configuration[] = {
    FLAG("dynamic platform", dynamic_platform),
    FLAG("cached keys", cached_keys),
    FLAG("SMT enabled", smt),
};
static const struct member top[] = {
    BYTES("PPID", ppid),
    {"TCB", V_ASN1_SEQUENCE, COUNT(tcb), 0, false, tcb},
    BYTES("PCE id", pce_id),
    BYTES("FMSPC", fmspc),
    {"SGX type", V_ASN1_ENUMERATED, 2, AT(sgx_type), false, NULL},
    {"platform instance id", V_ASN1_OCTET_STRING, 16, AT(platform_instance), true, NULL},
    {"configuration", V_ASN1_SEQUENCE, COUNT(configuration), 0, true, configuration},
};

static void cleanup_any(ASN1_SEQUENCE_ANY **p)
{
    sk_ASN1_TYPE_pop_free(*p, ASN1_TYPE_free);
}
#define CLEAN_ANY __attribute__((cleanup(cleanup_any))) ASN1_SEQUENCE_ANY

/* The elements of one SEQUENCE and nothing behind it; NULL where it is no DER. */
static ASN1_SEQUENCE_ANY *elements(const uint8_t *der, long len)
{
    const uint8_t *p = der;
    uint8_t *again = NULL;
    ASN1_SEQUENCE_ANY *found = d2i_ASN1_SEQUENCE_ANY(NULL, &p, len);
    int again_len = found ? i2d_ASN1_SEQUENCE_ANY(found, &again) : 0;
    if (!found || again_len != len || memcmp(again, der, (size_t)len) != 0) {
        sk_ASN1_TYPE_pop_free(found, ASN1_TYPE_free);
        found = NULL;
    }
    OPENSSL_free(again);
    ERR_clear_error();
    return found;
}

static int wrong(const struct member *m, struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_NEGATIVE, "the PCK certificate's %s %s", m->name, what);
}

static int read_number(uint8_t *to, const struct member *m, const ASN1_TYPE *value, struct cofre_err *err)
{
    int64_t n = -1;
    bool read = m->type == V_ASN1_INTEGER ? ASN1_INTEGER_get_int64(&n, value->value.integer) == 1
                                          : ASN1_ENUMERATED_get_int64(&n, value->value.enumerated) == 1;
    ERR_clear_error();
    if (!read || n < 0 || n > m->limit)
        return wrong(m, err, "is out of its range");
    if (m->type == V_ASN1_ENUMERATED)
        *(unsigned *)(void *)to = (unsigned)n;
    else if (m->limit > 255)
        *(uint16_t *)(void *)to = (uint16_t)n;
    else
        *to = (uint8_t)n;
    return 0;
}

static int read_sequence(struct tdx_pck *out, const struct member *members, size_t count, const uint8_t *der,
                         long len, const char *name, const char *arc, struct cofre_err *err);

static int read_value(struct tdx_pck *out, const struct member *m, const ASN1_TYPE *value, const char *oid,
                      struct cofre_err *err)
{
    uint8_t *to = (uint8_t *)out + m->at;
    if (value->type != m->type)
        return wrong(m, err, "has another ASN.1 type than it should");
    const ASN1_STRING *string = value->value.asn1_string;
    switch (m->type) {
    case V_ASN1_INTEGER:
    case V_ASN1_ENUMERATED:
        return read_number(to, m, value, err);
    case V_ASN1_BOOLEAN:
        if (value->value.boolean != 0 && value->value.boolean != 0xff)
            return wrong(m, err, "is neither TRUE nor FALSE");
        *(struct tdx_pck_flag *)(void *)to = (struct tdx_pck_flag){true, value->value.boolean != 0};
        return 0;
    case V_ASN1_SEQUENCE:
        return read_sequence(out, m->members, m->limit, ASN1_STRING_get0_data(string),
                             ASN1_STRING_length(string), m->name, oid, err);
    default:
        if (ASN1_STRING_length(string) != (int)m->limit)
            return wrong(m, err, "has another length than it should");
        memcpy(to, ASN1_STRING_get0_data(string), m->limit);
        return 0;
    }
}

/* The one or two digits by which an OID lies directly below an arc; 0 where it does not. */
static size_t number_below(const char *oid, const char *arc)
{
    size_t len = strlen(arc);
    const char *digits = oid + len + 1;
    if (strncmp(oid, arc, len) != 0 || oid[len] != '.' || strlen(digits) > 2 ||
        digits[strspn(digits, "0123456789")] != 0)
        return 0;
    return strtoul(digits, NULL, 10);
}

/* A pair (OID, value): which member it is, and the value. */
static int read_pair(const struct member **m, struct tdx_pck *out, uint32_t *seen,
                     const struct member *members, size_t count, const ASN1_TYPE *pair, const char *arc,
                     struct cofre_err *err)
{
    const ASN1_STRING *der = pair->value.sequence;
    CLEAN_ANY *parts =
        pair->type == V_ASN1_SEQUENCE ? elements(ASN1_STRING_get0_data(der), ASN1_STRING_length(der)) : NULL;
    const ASN1_TYPE *id = parts && sk_ASN1_TYPE_num(parts) == 2 ? sk_ASN1_TYPE_value(parts, 0) : NULL;
    char oid[64] = "";
    if (id && id->type == V_ASN1_OBJECT)
        OBJ_obj2txt(oid, sizeof oid, id->value.object, 1);
    size_t i = number_below(oid, arc);
    if (i == 0 || i > count)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the PCK certificate has a member \"%s\" that is not known here", oid);
    *m = &members[i - 1];
    if (*seen & 1u << (i - 1))
        return wrong(*m, err, "is there twice");
    *seen |= 1u << (i - 1);
    return read_value(out, *m, sk_ASN1_TYPE_value(parts, 1), oid, err);
}

static int read_sequence(struct tdx_pck *out, const struct member *members, size_t count, const uint8_t *der,
                         long len, const char *name, const char *arc, struct cofre_err *err)
{
    CLEAN_ANY *pairs = elements(der, len);
    const struct member *m = NULL;
    uint32_t seen = 0;
    if (!pairs)
        return cofre_fail(err, COFRE_NEGATIVE, "the PCK certificate's %s is no SEQUENCE in DER", name);
    for (int i = 0; i < sk_ASN1_TYPE_num(pairs); i++) {
        int rc = read_pair(&m, out, &seen, members, count, sk_ASN1_TYPE_value(pairs, i), arc, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < count; i++)
        if (!members[i].optional && !(seen & 1u << i))
            return wrong(&members[i], err, "is missing");
    if (members == top)
        out->has_platform_instance = seen & 1u << 5;
    return 0;
}

int tdx_pck_parse(struct tdx_pck *out, X509 *cert, struct cofre_err *err)
{
    *out = (struct tdx_pck){0};
    ASN1_OBJECT *object = OBJ_txt2obj(SGX_ARC, 1);
    if (!object)
        return cofre_fail(err, COFRE_FAILED, "no memory for an object identifier");
    int at = X509_get_ext_by_OBJ(cert, object, -1);
    int second = at < 0 ? -1 : X509_get_ext_by_OBJ(cert, object, at);
    ASN1_OBJECT_free(object);
    if (at < 0 || second >= 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the extension " SGX_ARC " is %s",
                          at < 0 ? "missing: this is no PCK certificate" : "there twice");
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    return read_sequence(out, top, COUNT(top), ASN1_STRING_get0_data(data), ASN1_STRING_length(data),
                         "SGX extension", SGX_ARC, err);
}
