/*
 * The emulated quoting enclave: a TDREPORT of this processor becomes a quote (tdx/quote.h), signed by the attestation key,
 * for which the enclave's own report vouches, which the PCK's key signs.
 */
#include "tdx/model/enclave.h"

#include <openssl/sha.h>
#include <string.h>

#include "tdx/quote.h"
#include "tdx/report.h"
#include "vmm/base/ecdsa.h"

#define QE_ATTRIBUTES_FLAGS 0x15ull /* initialised, 64-bit, with provisioning key */
#define QE_ATTRIBUTES_XFRM  0xe7ull

/* Of Intel's enclave they are 32 bytes without a meaning. */
static const char auth_data[] = "EMULATED quoting enclave: Cofre.";
#define AUTH_DATA_SIZE (sizeof auth_data - 1)
static_assert(AUTH_DATA_SIZE == 32, "authentication data");

static void named(uint8_t digest[32], const char *text)
{
    SHA256((const uint8_t *)text, strlen(text), digest);
}

void tdx_emulated_qe_signer(uint8_t mrsigner[32])
{
    named(mrsigner, "EMULATED by Cofre: signer of the quoting enclave");
}

static int check_report(const struct tdx_platform *platform, const struct tdx_report *report,
                        struct cofre_err *err)
{
    if (!tdx_platform_made(platform, &report->mac))
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the TDREPORT was not made by this emulated processor: its MAC differs");
    return tdx_report_check(report, err);
}

static void fill_body(struct tdx_quote_body *body, const struct tdx_report *report)
{
    *body = (struct tdx_quote_body){0};
#define COPY(to, from) memcpy(body->to, report->from, sizeof body->to)
    COPY(tee_tcb_svn, tcb.tee_tcb_svn);
    COPY(mrseam, tcb.mrseam);
    COPY(mrsignerseam, tcb.mrsignerseam);
    COPY(seam_attributes, tcb.attributes);
    COPY(td_attributes, td.attributes);
    COPY(xfam, td.xfam);
    COPY(mrtd, td.mrtd);
    COPY(mrconfigid, td.mrconfigid);
    COPY(mrowner, td.mrowner);
    COPY(mrownerconfig, td.mrownerconfig);
    COPY(rtmr, td.rtmr);
    COPY(report_data, mac.report_data);
    COPY(tee_tcb_svn_2, tcb.tee_tcb_svn_2);
    COPY(mrservicetd, td.servtd_hash);
#undef COPY
}

/* Header, descriptor (version 5) and body; the number of their bytes. */
static size_t write_signed(uint8_t *out, const struct tdx_platform *platform, const struct tdx_report *report)
{
    struct tdx_quote_head head = {0};
    struct tdx_quote_body_desc desc;
    struct tdx_quote_body body;
    bool v5 = platform->quote_version == 5;
    size_t size = tdx_quote_body_size(v5 ? TDX_BODY_15 : TDX_BODY_10), len = sizeof head;
    put_le16(head.version, (uint16_t)platform->quote_version);
    put_le16(head.key_type, TDX_QUOTE_KEY_P256);
    put_le32(head.tee_type, TDX_TEE_TYPE);
    memcpy(head.qe_vendor_id, tdx_quote_intel_qe, sizeof head.qe_vendor_id); /* verifiers take no other */
    memcpy(head.user_data, platform->pki.processor.qe_id, sizeof platform->pki.processor.qe_id);
    memcpy(out, &head, sizeof head);
    if (v5) {
        put_le16(desc.type, TDX_BODY_15);
        put_le32(desc.size, (uint32_t)size);
        memcpy(out + len, &desc, sizeof desc);
        len += sizeof desc;
    }
    fill_body(&body, report);
    memcpy(out + len, &body, size);
    return len + size;
}

/* The enclave's report, which binds the attestation key, under the PCK's signature. */
static int certify(struct tdx_qe_certification *out, const struct tdx_platform *platform,
                   const uint8_t attestation_key[TDX_P256_SIZE], struct cofre_err *err)
{
    uint8_t bound[TDX_P256_SIZE + AUTH_DATA_SIZE];
    struct tdx_qe_report *report = &out->report;
    *out = (struct tdx_qe_certification){0};
    memcpy(report->cpu_svn, tdx_emulated_cpu_svn, sizeof report->cpu_svn);
    put_le64(report->attributes, QE_ATTRIBUTES_FLAGS);
    put_le64(report->attributes + 8, QE_ATTRIBUTES_XFRM);
    named(report->mrenclave, "EMULATED by Cofre: quoting enclave");
    tdx_emulated_qe_signer(report->mrsigner);
    put_le16(report->isv_prod_id, TDX_EMULATED_QE_PROD_ID);
    put_le16(report->isv_svn, TDX_EMULATED_QE_SVN);
    memcpy(bound, attestation_key, TDX_P256_SIZE);
    memcpy(bound + TDX_P256_SIZE, auth_data, AUTH_DATA_SIZE);
    SHA256(bound, sizeof bound, report->report_data);
    return ecdsa_sign(out->report_signature, &ecdsa_p256, platform->pki.pck_key,
                      (struct view){(const uint8_t *)report, sizeof *report}, err);
}

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

static uint8_t *put_certification_head(uint8_t *at, enum tdx_certification_type type, size_t size)
{
    struct tdx_certification_head head;
    put_le16(head.type, (uint16_t)type);
    put_le32(head.size, (uint32_t)size);
    return put(at, &head, sizeof head);
}

/* signed_len bytes of out are there already. */
static int assemble(struct bytes *out, size_t signed_len, const struct tdx_platform *platform,
                    struct view chain, size_t section, struct cofre_err *err)
{
    struct tdx_quote_signature signature;
    struct tdx_qe_certification qe;
    uint8_t size[4], auth_size[2];
    size_t qe_data = section - sizeof signature - sizeof(struct tdx_certification_head);
    int rc = ecdsa_key_export(signature.attestation_key, &ecdsa_p256, platform->pki.attestation_key, err);
    if (rc == 0)
        rc = ecdsa_sign(signature.signature, &ecdsa_p256, platform->pki.attestation_key,
                        (struct view){out->data, signed_len}, err);
    if (rc == 0)
        rc = certify(&qe, platform, signature.attestation_key, err);
    if (rc < 0)
        return rc;
    put_le32(size, (uint32_t)section);
    put_le16(auth_size, AUTH_DATA_SIZE);
    uint8_t *at = put(out->data + signed_len, size, sizeof size);
    at = put(at, &signature, sizeof signature);
    at = put_certification_head(at, TDX_CERTIFICATION_QE_REPORT, qe_data);
    at = put(at, &qe, sizeof qe);
    at = put(at, auth_size, sizeof auth_size);
    at = put(at, auth_data, AUTH_DATA_SIZE);
    at = put_certification_head(at, TDX_CERTIFICATION_PCK_CHAIN, chain.len);
    (void)put(at, chain.data, chain.len);
    return 0;
}

int tdx_platform_quote(const struct tdx_platform *platform, const struct tdx_report *report,
                       struct bytes *out, struct cofre_err *err)
{
    uint8_t covered[sizeof(struct tdx_quote_head) + sizeof(struct tdx_quote_body_desc) +
                    sizeof(struct tdx_quote_body)];
    CLEAN_BYTES chain = {0};
    CLEAN_BYTES quote = {0};
    X509 *const certificates[] = {platform->pki.pck, platform->pki.platform_ca, platform->pki.root};
    int rc = check_report(platform, report, err);
    if (rc == 0)
        rc = tdx_pem_chain(&chain, certificates, sizeof certificates / sizeof *certificates, err);
    if (rc < 0)
        return rc;
    size_t covered_len = write_signed(covered, platform, report);
    size_t section = sizeof(struct tdx_quote_signature) + sizeof(struct tdx_certification_head) +
                     sizeof(struct tdx_qe_certification) + 2 + AUTH_DATA_SIZE +
                     sizeof(struct tdx_certification_head) + chain.len;
    rc = bytes_alloc(&quote, covered_len + 4 + section, err);
    if (rc < 0)
        return rc;
    memcpy(quote.data, covered, covered_len);
    rc = assemble(&quote, covered_len, platform, bytes_view(&chain), section, err);
    if (rc == 0) {
        *out = quote;
        quote = (struct bytes){0};
    }
    return rc;
}
