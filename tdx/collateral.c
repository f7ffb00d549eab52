#include "tdx/collateral.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/chain.h"
#include "vmm/base/json.h"

#define CRL_MAX (1u << 20) /* bytes of DER */

bool tdx_answer_split(struct view answer, const char *member, struct view *object, uint8_t signature[64])
{
    static const char before_signature[] = ",\"signature\":\"", end[] = "\"}";
    size_t len = answer.len, name = strlen(member),
           after = sizeof before_signature - 1 + 128 + sizeof end - 1;
    char digits[129] = {0};
    while (len && isspace(answer.data[len - 1]))
        len--;
    if (len <= 4 + name + after)
        return false;
    const char *text = (const char *)answer.data, *tail = text + len - after;
    memcpy(digits, tail + sizeof before_signature - 1, 128);
    *object = (struct view){answer.data + 4 + name, len - after - 4 - name};
    return memcmp(text, "{\"", 2) == 0 && memcmp(text + 2, member, name) == 0 &&
           memcmp(text + 2 + name, "\":", 2) == 0 &&
           memcmp(tail, before_signature, sizeof before_signature - 1) == 0 &&
           memcmp(text + len - 2, end, 2) == 0 && hex_decode(signature, 64, digits);
}

static int text_member(const json_t *file, const char *name, struct view *out, struct cofre_err *err)
{
    const json_t *value = json_object_get(file, name);
    *out = (struct view){0};
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value) || json_string_length(value) == 0)
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not a string with something in it", name);
    *out = (struct view){(const uint8_t *)json_string_value(value), json_string_length(value)};
    return 0;
}

/* Certificates that are in several chains become one object, found to be the same by its address. */
static int read_certs(const json_t *file, const char *name, struct x509_certs *out,
                      const struct tdx_collateral *all, struct cofre_err *err)
{
    const struct x509_certs *const known[] = {&all->tcb_signed.issuers, &all->qe_signed.issuers,
                                              &all->pck_crl_issuers, NULL};
    struct view text;
    int rc = text_member(file, name, &text, err);
    if (rc == 0 && text.len)
        rc = x509_certs_add_known(out, text, known, err);
    return rc < 0 ? cofre_within(err, rc, "\"%s\"", name) : 0;
}

/* DER in hexadecimal digits or base64, which DER's first bytes tell apart: 3082 is "MII" there. */
static int decode_der(struct bytes *out, const char *text, struct cofre_err *err)
{
    return text[strspn(text, "0123456789abcdefABCDEF")] == 0 ? hex_decode_some(out, CRL_MAX, text, err)
                                                             : base64_decode(out, CRL_MAX, text, err);
}

static int read_crl(const json_t *file, const char *name, struct tdx_crl *out, struct cofre_err *err)
{
    struct view text;
    CLEAN_CRLS crls = {0};
    CLEAN_BYTES der = {0};
    int rc = text_member(file, name, &text, err);
    if (rc < 0 || !text.data)
        return rc;
    if (memmem(text.data, text.len, "-----BEGIN", 10))
        rc = x509_crls_add(&crls, text, err);
    else if ((rc = decode_der(&der, (const char *)text.data, err)) == 0)
        rc = x509_crls_add(&crls, bytes_view(&der), err);
    if (rc == 0 && crls.count != 1)
        rc = cofre_fail(err, COFRE_MALFORMED, "more than one revocation list");
    if (rc < 0)
        return cofre_within(err, rc, "\"%s\"", name);
    out->crl = crls.crl[0];
    crls.count = 0;
    return 0;
}

/* The names that one document goes by. */
struct document {
    const char *text, *signature, *issuers; /* members of the file */
    const char *in_answer;                  /* member of the service's answer */
};
static const struct document tcb_info = {"tcb_info", "tcb_info_signature", "tcb_info_issuer_chain",
                                         "tcbInfo"};
static const struct document qe_identity = {"qe_identity", "qe_identity_signature",
                                            "qe_identity_issuer_chain", "enclaveIdentity"};

static int read_signature(const json_t *file, const char *name, struct tdx_signed *out, struct cofre_err *err)
{
    struct view text;
    int rc = text_member(file, name, &text, err);
    if (rc < 0 || text.len == 0)
        return rc;
    if (!hex_decode(out->signature, sizeof out->signature, (const char *)text.data))
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not 64 bytes in hexadecimal digits", name);
    out->has_signature = true;
    return 0;
}

static int read_signed(const json_t *file, const struct document *names, struct tdx_signed *out,
                       const struct tdx_collateral *all, struct cofre_err *err)
{
    struct view text, object;
    int rc = text_member(file, names->text, &text, err);
    if (rc == 0)
        rc = read_certs(file, names->issuers, &out->issuers, all, err);
    if (rc == 0)
        rc = read_signature(file, names->signature, out, err);
    if (rc < 0)
        return rc;
    uint8_t signature[64];
    if (tdx_answer_split(text, names->in_answer, &object, signature)) {
        if (out->has_signature && memcmp(out->signature, signature, sizeof signature) != 0)
            return cofre_fail(err, COFRE_MALFORMED, "\"%s\" and \"%s\" have different signatures",
                              names->text, names->signature);
        memcpy(out->signature, signature, sizeof signature);
        out->has_signature = true;
        text = object;
    }
    return bytes_copy(&out->text, text, err);
}

/* Signer and root, each by what it must be; whether the root is to be trusted is not decided here. */
static int check_chain(struct tdx_signed *s, const struct document *names, struct cofre_err *err)
{
    const struct x509_certs *bags[2] = {&s->issuers, NULL};
    if (s->issuers.count == 0)
        return cofre_fail(err, COFRE_LACKING, "\"%s\" is missing in the collateral", names->issuers);
    s->signer = s->issuers.cert[0];
    s->root = x509_find_issuer(&tdx_scheme, s->signer, bags, true);
    if (tdx_cert_role(s->signer) != TDX_ROLE_TCB_SIGNING) {
        char name[128];
        x509_name(name, s->signer);
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s is not the certificate that signs collateral (Intel SGX TCB Signing)", name);
    }
    int rc = x509_check_end_entity(s->signer, &ecdsa_p256, err);
    if (rc < 0)
        return rc;
    if (!s->root)
        return cofre_fail(err, COFRE_LACKING, "the root certificate is missing in \"%s\"", names->issuers);
    if (tdx_cert_role(s->root) != TDX_ROLE_ROOT)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the signer's issuer is by its name not the Intel SGX Root CA");
    if ((rc = x509_check_ca(&tdx_scheme, s->root, 0, err)) < 0 ||
        (rc = x509_check_issued(&tdx_scheme, s->root, s->root, err)) < 0)
        return rc;
    return x509_check_issued(&tdx_scheme, s->signer, s->root, err);
}

static int check_signature(const struct tdx_signed *s, const struct document *names, struct cofre_err *err)
{
    if (s->text.len == 0 || !s->has_signature)
        return cofre_fail(err, COFRE_LACKING, "\"%s\" is missing in the collateral",
                          s->text.len ? names->signature : names->text);
    if (!s->signer)
        return cofre_fail(err, COFRE_LACKING, "\"%s\" is missing in the collateral", names->issuers);
    EVP_PKEY *key = X509_get0_pubkey(s->signer);
    int rc = key ? ecdsa_verify(&ecdsa_p256, s->signature, key, bytes_view(&s->text), err) : -COFRE_MALFORMED;
    if (rc == -COFRE_MALFORMED)
        return cofre_fail(err, COFRE_NEGATIVE, "the signer has no key of P-256");
    if (rc == -COFRE_NEGATIVE)
        return cofre_fail(err, COFRE_NEGATIVE, "\"%s\" is not signed by the key of its signer's certificate",
                          names->text);
    return rc;
}

static void judge_signed(struct tdx_signed *s, const struct document *names)
{
    s->chain_found.rc = check_chain(s, names, &s->chain_found.why);
    s->signature_found.rc = check_signature(s, names, &s->signature_found.why);
}

static void judge_crl(struct tdx_crl *crl, const struct tdx_collateral *c)
{
    const struct x509_certs *bags[] = {&c->pck_crl_issuers, &c->tcb_signed.issuers, &c->qe_signed.issuers,
                                       &c->pck_chain};
    for (size_t b = 0; crl->crl && b < sizeof bags / sizeof *bags; b++)
        for (size_t i = 0; i < bags[b]->count && !crl->signer; i++)
            if (x509_crl_is_by(&tdx_scheme, crl->crl, bags[b]->cert[i]))
                crl->signer = bags[b]->cert[i];
}

static void judge_issued(struct tdx_collateral *c, const struct x509_certs *chain)
{
    size_t count = chain->count < TDX_ISSUED_MAX ? chain->count : TDX_ISSUED_MAX; /* a chain has three */
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count && c->issued_count < TDX_ISSUED_MAX; j++)
            if (x509_check_issued(&tdx_scheme, chain->cert[i], chain->cert[j], NULL) == 0)
                c->issued[c->issued_count++] = (struct tdx_issued){chain->cert[i], chain->cert[j]};
}

static int read_pck_chain(const json_t *file, struct tdx_collateral *out, struct cofre_err *err)
{
    static const char name[] = "pck_certificate_chain";
    struct view text;
    int rc = read_certs(file, name, &out->pck_chain, out, err);
    if (rc == 0)
        rc = text_member(file, name, &text, err);
    if (rc == 0)
        rc = bytes_copy(&out->pck_chain_text, text, err);
    for (size_t i = 0; i < out->pck_chain.count && !out->pck_cert; i++)
        if (tdx_pck_parse(&out->pck, out->pck_chain.cert[i], NULL) == 0)
            out->pck_cert = out->pck_chain.cert[i];
    return rc;
}

int tdx_collateral_pck(struct tdx_pck *out, const struct tdx_collateral *c, X509 *cert, struct cofre_err *err)
{
    if (!c || cert != c->pck_cert)
        return tdx_pck_parse(out, cert, err);
    *out = c->pck;
    return 0;
}

int tdx_check_issued(const struct tdx_collateral *c, X509 *cert, X509 *issuer, struct cofre_err *err)
{
    for (size_t i = 0; c && i < c->issued_count; i++)
        if (c->issued[i].cert == cert && c->issued[i].issuer == issuer)
            return 0;
    return x509_check_issued(&tdx_scheme, cert, issuer, err);
}

static int read_members(struct tdx_collateral *out, const json_t *file, struct cofre_err *err)
{
    int rc;
    if ((rc = read_signed(file, &tcb_info, &out->tcb_signed, out, err)) < 0 ||
        (rc = read_signed(file, &qe_identity, &out->qe_signed, out, err)) < 0 ||
        (rc = read_certs(file, "pck_crl_issuer_chain", &out->pck_crl_issuers, out, err)) < 0 ||
        (rc = read_pck_chain(file, out, err)) < 0 ||
        (rc = read_crl(file, "pck_crl", &out->pck_crl, err)) < 0 ||
        (rc = read_crl(file, "root_ca_crl", &out->root_ca_crl, err)) < 0)
        return rc;
    if (out->tcb_signed.text.len &&
        (rc = tdx_tcb_info_parse(&out->tcb, bytes_view(&out->tcb_signed.text), err)) < 0)
        return rc;
    return out->qe_signed.text.len ? tdx_qe_identity_parse(&out->qe, bytes_view(&out->qe_signed.text), err)
                                   : 0;
}

int tdx_collateral_parse(struct tdx_collateral *out, struct view file, struct cofre_err *err)
{
    *out = (struct tdx_collateral){0};
    if (file.len > TDX_COLLATERAL_FILE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "collateral: %zu bytes are more than %u", file.len,
                          TDX_COLLATERAL_FILE_MAX);
    CLEAN_JSON *object = NULL;
    int rc = json_read(&object, file, COFRE_MALFORMED, err);
    if (rc == 0)
        rc = read_members(out, object, err);
    if (rc < 0) {
        tdx_collateral_free(out);
        return cofre_within(err, rc, "collateral");
    }
    judge_signed(&out->tcb_signed, &tcb_info);
    judge_signed(&out->qe_signed, &qe_identity);
    judge_issued(out, &out->pck_chain);
    judge_issued(out, &out->pck_crl_issuers);
    judge_crl(&out->pck_crl, out);
    judge_crl(&out->root_ca_crl, out);
    return 0;
}

void tdx_collateral_free(struct tdx_collateral *c)
{
    bytes_free(&c->tcb_signed.text);
    bytes_free(&c->qe_signed.text);
    x509_certs_free(&c->tcb_signed.issuers);
    x509_certs_free(&c->qe_signed.issuers);
    x509_certs_free(&c->pck_crl_issuers);
    x509_certs_free(&c->pck_chain);
    bytes_free(&c->pck_chain_text);
    X509_CRL_free(c->pck_crl.crl);
    X509_CRL_free(c->root_ca_crl.crl);
    tdx_tcb_info_free(&c->tcb);
    tdx_qe_identity_free(&c->qe);
    *c = (struct tdx_collateral){0};
}

bool tdx_collateral_recognises(struct view file)
{
    static const char *const members[] = {"\"tcb_info\"", "\"qe_identity\"", "\"pck_crl\"",
                                          "\"root_ca_crl\""};
    size_t i = 0;
    while (i < file.len && isspace(file.data[i]))
        i++;
    if (i == file.len || file.data[i] != '{')
        return false;
    for (size_t m = 0; m < sizeof members / sizeof *members; m++)
        if (memmem(file.data, file.len, members[m], strlen(members[m])))
            return true;
    return false;
}

static bool is_same_issuer(X509 *a, X509 *b)
{
    return a == b || (X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 &&
                      (X509_get_key_usage(b) & KU_CRL_SIGN) && X509_get0_pubkey(a) && X509_get0_pubkey(b) &&
                      EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1);
}

int tdx_crl_check(const struct tdx_crl *crl, const char *member, X509 *issuer, X509 *cert, int64_t at,
                  struct cofre_err *err)
{
    char name[128];
    if (!crl->crl)
        return cofre_fail(err, COFRE_LACKING, "\"%s\" is missing in the collateral", member);
    bool made =
        (crl->signer && is_same_issuer(crl->signer, issuer)) || x509_crl_is_by(&tdx_scheme, crl->crl, issuer);
    if (!made) {
        x509_name(name, issuer);
        return cofre_fail(err, COFRE_NEGATIVE, "\"%s\" is not a revocation list of %s", member, name);
    }
    int rc = x509_crl_check(&tdx_scheme, crl->crl, cert, at, err);
    return rc < 0 ? cofre_within(err, rc, "\"%s\"", member) : 0;
}
