#include "tests/unit/attest/broken_tdx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/tdx/made_log.h"

/* --- what is done to a quote after it was signed --- */

/* The parts of the quote, to be written to. */
static struct tdx_quote parts_of(uint8_t *quote, size_t len)
{
    struct tdx_quote parts;
    assert_int_equal(tdx_quote_parse(&parts, (struct view){quote, len}, NULL), 0);
    return parts;
}
static void flip_mrtd(uint8_t *quote, size_t len)
{
    ((uint8_t *)parts_of(quote, len).body->mrtd)[47] ^= 1;
}
static void flip_user_data(uint8_t *quote, size_t len)
{
    ((uint8_t *)parts_of(quote, len).head->user_data)[0] ^= 1;
}
static void flip_last_of_body(uint8_t *quote, size_t len)
{
    struct view signed_bytes = parts_of(quote, len).signed_bytes;
    quote[signed_bytes.len - 1] ^= 0x80;
}
static void flip_mrenclave(uint8_t *quote, size_t len)
{
    ((uint8_t *)parts_of(quote, len).qe->report.mrenclave)[0] ^= 1;
}
static void flip_auth_data(uint8_t *quote, size_t len)
{
    ((uint8_t *)parts_of(quote, len).qe_auth_data.data)[31] ^= 1;
}
static uint8_t *scalar(uint8_t *quote, size_t len, unsigned which)
{
    struct tdx_quote parts = parts_of(quote, len);
    return (uint8_t *)(which < 2 ? parts.signature->signature : parts.qe->report_signature) +
           (which & 1) * 32;
}
#define SET_SCALAR(WHICH)                                                                                    \
    static void zero_scalar_##WHICH(uint8_t *quote, size_t len)                                              \
    {                                                                                                        \
        memset(scalar(quote, len, WHICH), 0, 32);                                                            \
    }                                                                                                        \
    static void set_scalar_##WHICH##_to_order(uint8_t *quote, size_t len)                                    \
    {                                                                                                        \
        assert_true(hex_decode(scalar(quote, len, WHICH), 32,                                                \
                               "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"));         \
    }
SET_SCALAR(0)
SET_SCALAR(1)
SET_SCALAR(2)
SET_SCALAR(3)
static void swap_r_and_s(uint8_t *quote, size_t len)
{
    uint8_t r[32];
    memcpy(r, scalar(quote, len, 0), 32);
    memcpy(scalar(quote, len, 0), scalar(quote, len, 1), 32);
    memcpy(scalar(quote, len, 1), r, 32);
}

/* The root is in the quote's chain and in the collateral's: what is done to one is done to all. */
static struct fake_cert *root_everywhere(struct fake_intel *f, void (*change)(struct fake_cert *root))
{
    change(&f->cert[FAKE_ROOT]);
    change(&f->collateral.tcb.root);
    change(&f->collateral.qe.root);
    return &f->cert[FAKE_ROOT];
}
static void forbid_intermediates(struct fake_cert *root)
{
    root->basic_constraints = "critical,CA:TRUE,pathlen:0";
}
static void forbid_certificates(struct fake_cert *root)
{
    root->key_usage = "critical,cRLSign";
}
static void alter_body(struct fake_cert *root)
{
    root->serial = 4242;
    root->issuer_key = fake_intel_keys.other;
}
static void rename_root(struct fake_cert *root)
{
    root->cn = root->issuer_cn = "Intel SGX Root CB";
}
static void expire(struct fake_cert *cert)
{
    cert->to = FAKE_NOW;
}

static const uint8_t other[64] = {0x99}, off_curve[64] = {[63] = 1};
#define H16 "99000000000000000000000000000000"
#define H48 H16 H16 H16

/* --- the list: number n makes f wrong, and returns the checks that must fail; NULL after the last --- */

#define FAILS(ID)                                                                                            \
    return id;                                                                                               \
    case __COUNTER__ - FIRST:                                                                                \
        id = ID;

static const char *break_quote(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 4, TDX_BODY_10);
    switch (n) {
    default:
        FAILS("tdx.key_type")
        put_le16(f->head.key_type, 3);
        FAILS("tdx.key_type")
        put_le16(f->head.key_type, 0);
        FAILS("tdx.vendor")
        f->head.qe_vendor_id[15] ^= 1;
        FAILS("tdx.reserved")
        f->head.reserved[0] = 1;
        FAILS("tdx.reserved")
        f->head.reserved[3] = 1;
        FAILS("tdx.reserved")
        f->qe.reserved1[27] = 1;
        FAILS("tdx.reserved")
        f->qe.reserved2[0] = 1;
        FAILS("tdx.reserved")
        f->qe.reserved3[95] = 1;
        FAILS("tdx.reserved")
        f->qe.reserved4[0] = 1;
        FAILS("tdx.trailing")
        f->trailing = "x";
        FAILS("tdx.trailing")
        f->trailing = "and more behind the end";
        f->padding = 8;

        FAILS("tdx.signature_format")
        f->tamper = zero_scalar_0;
        FAILS("tdx.signature_format")
        f->tamper = zero_scalar_1;
        FAILS("tdx.signature_format")
        f->tamper = zero_scalar_2;
        FAILS("tdx.signature_format")
        f->tamper = zero_scalar_3;
        FAILS("tdx.signature_format")
        f->tamper = set_scalar_0_to_order;
        FAILS("tdx.signature_format")
        f->tamper = set_scalar_1_to_order;
        FAILS("tdx.signature_format")
        f->tamper = set_scalar_2_to_order;
        FAILS("tdx.signature_format")
        f->tamper = set_scalar_3_to_order;
        FAILS("tdx.attestation_key")
        f->raw_attestation_key = off_curve;
        FAILS("tdx.signature")
        f->tamper = flip_mrtd;
        FAILS("tdx.signature")
        f->tamper = flip_user_data;
        FAILS("tdx.signature") /* the fields that version 5 added are signed too */
        fake_intel_init(f, 5, TDX_BODY_15_EX);
        f->tamper = flip_last_of_body;
        FAILS("tdx.signature")
        f->tamper = swap_r_and_s;
        FAILS("tdx.signature")
        f->attestation_signer = fake_intel_keys.other;
        FAILS("tdx.signature") /* the PCK's key vouches for enclaves, not for quotes */
        f->attestation_signer = fake_intel_keys.pck;
        FAILS("tdx.qe_report_data")
        f->binding_flip = 1;
        FAILS("tdx.qe_report_data")
        f->binding_flip = 32;
        FAILS("tdx.qe_report_data") /* zeros follow the digest */
        f->binding_flip = 33;
        FAILS("tdx.qe_report_data")
        f->binding_flip = 64;
        FAILS("tdx.qe_report_data")
        f->tamper = flip_auth_data;
        FAILS("tdx.qe_signature")
        f->qe_signer = fake_intel_keys.other;
        FAILS("tdx.qe_signature") /* nor does the attestation key vouch for its own enclave */
        f->qe_signer = fake_intel_keys.attestation;
        FAILS("tdx.qe_signature")
        f->tamper = flip_mrenclave;
        return id;
    }
}

static const char *break_chain(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    struct fake_cert *ca = &f->cert[FAKE_CA], *pck = &f->cert[FAKE_PCK];
    struct fake_collateral *collateral = &f->collateral;
    fake_intel_init(f, 4, TDX_BODY_10);
    switch (n) {
    default:
        FAILS(
            "tdx.root tdx.tcb_info_signer tdx.qe_identity_signer") /* a whole forged chain with Intel's names */
        f->trust_root = false;
        FAILS("tdx.root")
        root_everywhere(f, forbid_intermediates);
        FAILS("tdx.root tdx.tcb_info_signer tdx.qe_identity_signer")
        root_everywhere(f, forbid_certificates);
        FAILS(
            "tdx.root tdx.tcb_info_signer tdx.qe_identity_signer") /* the right key in a body of somebody else's */
        root_everywhere(f, alter_body);
        FAILS("tdx.pck_ca")
        ca->basic_constraints = "critical,CA:FALSE";
        FAILS("tdx.pck_ca")
        ca->basic_constraints = NULL;
        FAILS("tdx.pck_ca")
        ca->key_usage = "critical,digitalSignature,cRLSign";
        FAILS("tdx.pck_ca")
        ca->issuer_key = fake_intel_keys.other;
        FAILS("tdx.pck_ca") /* signed by the key that signs collateral */
        ca->issuer_key = fake_intel_keys.intel.tcb_signing;
        FAILS("tdx.pck_ca")
        ca->digest = EVP_sha384();
        FAILS("tdx.pck_ca")
        ca->twice = "1.2.3.4";
        FAILS("tdx.pck_ca")
        ca->critical = "1.2.3.4";
        FAILS("tdx.pck_ca")
        ca->key_id_of_cn = "another root";
        FAILS("tdx.pck")
        pck->basic_constraints = "critical,CA:TRUE";
        FAILS("tdx.pck")
        pck->issuer_key = fake_intel_keys.other;
        FAILS("tdx.pck") /* the root's key does not sign PCK certificates */
        pck->issuer_key = fake_intel_keys.intel.root;
        FAILS("tdx.pck")
        pck->digest = EVP_sha384();
        FAILS("tdx.pck")
        pck->key = fake_intel_keys.pck_compressed;
        FAILS("tdx.pck")
        pck->key = fake_intel_keys.p384;
        FAILS("tdx.pck")
        pck->key = fake_intel_keys.rsa;
        FAILS("tdx.pck")
        pck->key_usage = "critical,keyAgreement";
        FAILS("tdx.pck")
        pck->twice = "1.2.3.4";
        FAILS("tdx.pck")
        pck->critical = "1.2.3.4";
        FAILS("tdx.pck")
        pck->key_id_of_cn = "another CA";
        FAILS("tdx.names")
        pck->cn = "Intel SGX TCB Signing";
        FAILS("tdx.names")
        pck->cn = "Somebody";
        FAILS("tdx.names")
        ca->cn = pck->issuer_cn = collateral->pck_crl.issuer_cn = "Intel SGX Other CA";
        FAILS("tdx.names tdx.tcb_info_signer tdx.qe_identity_signer")
        root_everywhere(f, rename_root);
        ca->issuer_cn = collateral->ca.issuer_cn = collateral->root_crl.issuer_cn = f->cert[FAKE_ROOT].cn;
        collateral->tcb.signer.issuer_cn = collateral->qe.signer.issuer_cn = f->cert[FAKE_ROOT].cn;
        FAILS("tdx.validity")
        expire(pck);
        FAILS("tdx.validity")
        pck->from = FAKE_NOW + 1;
        FAILS("tdx.validity")
        expire(ca);
        FAILS("tdx.validity")
        ca->from = FAKE_NOW + 1;
        FAILS("tdx.validity tdx.tcb_info_signer tdx.qe_identity_signer")
        root_everywhere(f, expire);
        FAILS("tdx.revocation.pck_ca")
        collateral->root_crl.revoked_serial = ca->serial;
        FAILS("tdx.revocation.pck_ca")
        collateral->root_crl.revoked_serial = ca->serial;
        f->crls_by_option = true;
        FAILS("tdx.revocation.pck_ca tdx.tcb_info_signer tdx.qe_identity_signer") /* a list of nobody's */
        collateral->root_crl.key = fake_intel_keys.other;
        FAILS("tdx.revocation.pck_ca tdx.tcb_info_signer tdx.qe_identity_signer") /* nor of the CA below */
        collateral->root_crl.key = fake_intel_keys.intel.ca;
        FAILS("tdx.revocation.pck")
        collateral->pck_crl.revoked_serial = pck->serial;
        FAILS("tdx.revocation.pck")
        collateral->pck_crl.key = fake_intel_keys.other;
        FAILS("tdx.revocation.pck") /* the root does not speak for the CA below it */
        collateral->pck_crl.key = fake_intel_keys.intel.root;
        FAILS("tdx.revocation.pck")
        collateral->pck_crl.revoked_serial = pck->serial;
        f->crls_by_option = true;
        return id;
    }
}

/* Each makes the PCK's extension wrong; what needs it cannot be judged then. */
static const char *break_extension(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 4, TDX_BODY_10);
    struct fake_member *extra = &f->member[FAKE_MEMBERS - 1];
    switch (n) {
    default:
        FAILS("tdx.pck_extensions")
        f->extension_times = 0;
        FAILS("tdx.pck_extensions") /* there, and of no bytes */
        f->extension_times = 0;
        f->extension_empty = true;
        FAILS("tdx.pck tdx.pck_extensions")
        f->extension_times = 2;
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "1");
        FAILS("tdx.pck_extensions") /* 15 components */
        fake_intel_leave_out(f, "2.16");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "2.1");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "2.17");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "2.18");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "3");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "4");
        FAILS("tdx.pck_extensions")
        fake_intel_leave_out(f, "5");
        FAILS("tdx.pck_extensions") /* one too many */
        extra->path = "2.19";
        extra->times = 1;
        FAILS("tdx.pck_extensions")
        extra->path = "8";
        extra->times = 1;
        FAILS("tdx.pck_extensions")
        extra->path = "7.4";
        extra->times = 1;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "4")->times = 2;
        FAILS("tdx.pck_extensions") /* 16 pairs, but one component twice and one not at all */
        fake_intel_member(f, "2.3")->times = 2;
        fake_intel_leave_out(f, "2.4");
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "7.1")->times = 2;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "4")->len = 5;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "4")->len = 7;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "3")->tag = 2;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "2.5")->tag = 4;
        FAILS("tdx.pck_extensions")
        fake_intel_set_integer(f, "2.2", 256);
        FAILS("tdx.pck_extensions") /* -1 */
        fake_intel_member(f, "2.2")->value[0] = 0xff;
        FAILS("tdx.pck_extensions") /* padded more than DER allows */
        *fake_intel_member(f, "2.2") =
            (struct fake_member){.path = "2.2", .tag = 2, .len = 2, .value = {0, 3}, .times = 1};
        FAILS("tdx.pck_extensions") /* 2^64 and 3 */
        *fake_intel_member(f, "2.2") =
            (struct fake_member){.path = "2.2", .tag = 2, .len = 9, .value = {1, [8] = 3}, .times = 1};
        FAILS("tdx.pck_extensions")
        *fake_intel_member(f, "2.17") =
            (struct fake_member){.path = "2.17", .tag = 2, .len = 3, .value = {1, 0, 13}, .times = 1};
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "5")->value[0] = 3;
        FAILS("tdx.pck_extensions")
        fake_intel_member(f, "6")->len = 15;
        FAILS("tdx.pck_extensions") /* TRUE is 0xff in DER */
        fake_intel_member(f, "7.2")->value[0] = 1;
        return id;
    }
}

static const struct references *another_td(void)
{
    static const uint8_t mrtd[48] = {0x99};
    static struct reference value = {.name = "web", .tee = REFERENCE_TDX, .until = INT64_MAX};
    static const struct references all = {&value, 1};
    reference_set(&value, REFERENCE_MRTD, mrtd);
    return &all;
}

static const char *break_acceptance(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    struct tdx_quote_body *body = &f->body;
    fake_intel_init(f, 4, TDX_BODY_10);
    switch (n) {
    default:
        FAILS("tdx.td_attributes.debug")
        put_le64(body->td_attributes, TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_DEBUG);
        FAILS("tdx.td_attributes.debug") /* any bit of the byte that is not for production */
        put_le64(body->td_attributes, TDX_ATTR_SEPT_VE_DISABLE | 0x80);
        FAILS("tdx.unknown_bits")
        put_le64(body->td_attributes, TDX_ATTR_SEPT_VE_DISABLE | 1ull << 40);
        FAILS("tdx.unknown_bits")
        put_le64(body->td_attributes, TDX_ATTR_SEPT_VE_DISABLE | 1ull << 8);
        FAILS("tdx.unknown_bits")
        put_le64(body->xfam, 0xe7 | 1ull << 63);
        FAILS("tdx.unknown_bits")
        f->policy = "{\"tdx\": {\"unknown_bits\": \"required\"}}";
        FAILS("tdx.xfam")
        put_le64(body->xfam, 0xe6);
        FAILS("tdx.xfam")
        put_le64(body->xfam, 0xe5);
        FAILS("tdx.xfam")
        f->policy = "{\"tdx\": {\"xfam\": {\"mask\": \"60000\", \"value\": \"60000\"}}}";
        FAILS("tdx.xfam")
        f->policy = "{\"tdx\": {\"xfam\": {\"mask\": \"e0\", \"value\": \"0\"}}}";
        FAILS("tdx.mrseam")
        f->policy = "{\"tdx\": {\"mrseam\": [\"" H48 "\"]}}";
        FAILS("tdx.mrsignerseam")
        f->policy = "{\"tdx\": {\"mrsignerseam\": [\"" H48 "\"]}}";
        FAILS("tdx.min_tee_tcb_svn") /* {6, 1, 3} */
        f->policy = "{\"tdx\": {\"min_tee_tcb_svn\": \"07010300000000000000000000000000\"}}";
        FAILS("tdx.min_tee_tcb_svn") /* others that are higher do not make up for it */
        f->policy = "{\"tdx\": {\"min_tee_tcb_svn\": \"00000000000000000000000000000001\"}}";
        FAILS("tdx.min_tee_tcb_svn")
        f->policy = "{\"tdx\": {\"min_tee_tcb_svn\": \"05010400000000000000000000000000\"}}";
        FAILS("tdx.mrservicetd")
        fake_intel_init(f, 5, TDX_BODY_15);
        body->mrservicetd[47] = 1;
        FAILS("tdx.mrservicetd")
        fake_intel_init(f, 5, TDX_BODY_15);
        f->policy = "{\"tdx\": {\"mrservicetd\": [\"" H48 "\"]}}";
        FAILS("tdx.mrservicetd") /* of a form that names none */
        f->policy = "{\"tdx\": {\"mrservicetd\": [\"" H48 "\"]}}";
        FAILS("tdx.mrservicetd")
        fake_intel_init(f, 5, TDX_BODY_15_EX);
        body->init_servtd_hash[0] = 1;
        FAILS("tdx.mrservicetd")
        fake_intel_init(f, 5, TDX_BODY_15_EX);
        body->servtd_hash[0] = 1;
        FAILS("tdx.mrtd")
        f->measurement = (struct view){other, 48};
        FAILS("tdx.mrtd")
        f->policy = "{\"tdx\": {\"mrtd\": [\"" H48 "\"]}}";
        FAILS("tdx.mrtd") /* the argument does not make the policy's list good */
        f->measurement = (struct view){body->mrtd, 48};
        f->policy = "{\"tdx\": {\"mrtd\": [\"" H48 "\"]}}";
        FAILS("tdx.reference")
        f->references = another_td();
        f->policy = "{\"tdx\": {\"reference\": [\"web\"]}}";
        FAILS("tdx.rtmr0")
        f->policy = "{\"tdx\": {\"rtmr0\": [\"" H48 "\"]}}";
        FAILS("tdx.rtmr1")
        f->policy = "{\"tdx\": {\"rtmr1\": [\"" H48 "\"]}}";
        FAILS("tdx.rtmr2")
        f->policy = "{\"tdx\": {\"rtmr2\": [\"" H48 "\"]}}";
        FAILS("tdx.rtmr3")
        f->policy = "{\"tdx\": {\"rtmr3\": [\"" H48 "\"]}}";
        FAILS("tdx.mrconfigid")
        f->policy = "{\"tdx\": {\"mrconfigid\": [\"" H48 "\"]}}";
        FAILS("tdx.mrowner")
        f->policy = "{\"tdx\": {\"mrowner\": [\"" H48 "\"]}}";
        FAILS("tdx.mrownerconfig")
        f->policy = "{\"tdx\": {\"mrownerconfig\": [\"" H48 "\"]}}";
        FAILS("tdx.report_data")
        f->report_data = (struct view){other, 64};
        FAILS("tdx.report_data")
        f->policy = "{\"tdx\": {\"report_data\": \"" H48 H16 "\"}}";
        FAILS("tdx.nonce")
        f->nonce = (struct view){other, 32};
        FAILS("tdx.nonce") /* a prefix of it is not it */
        f->nonce = (struct view){body->report_data, 15};
        FAILS("tdx.nonce") /* nothing but zeros after it */
        body->report_data[63] = 1;
        f->nonce = (struct view){body->report_data, 32};
        FAILS("tdx.nonce") /* an empty report data */
        memset(body->report_data, 0, sizeof body->report_data);
        f->nonce = (struct view){other, 32};
        FAILS("tdx.platform_instance")
        f->policy = "{\"tdx\": {\"platform_instance\": [\"" H16 "\"]}}";
        FAILS("tdx.platform_instance") /* the certificate names none */
        fake_intel_leave_out(f, "6");
        f->policy = "{\"tdx\": {\"platform_instance\": [\"00000000000000000000000000000000\"]}}";
        FAILS("tdx.platform.dynamic_platform")
        f->policy = "{\"tdx\": {\"platform\": {\"dynamic_platform\": \"forbidden\"}}}";
        FAILS("tdx.platform.cached_keys")
        f->policy = "{\"tdx\": {\"platform\": {\"cached_keys\": \"required\"}}}";
        FAILS("tdx.platform.smt")
        f->policy = "{\"tdx\": {\"platform\": {\"smt\": \"forbidden\"}}}";
        FAILS("tdx.platform.smt") /* the certificate does not say */
        fake_intel_leave_out(f, "7.3");
        f->policy = "{\"tdx\": {\"platform\": {\"smt\": \"forbidden\"}}}";
        return id;
    }
}

/* Collateral as a test changes it; a platform that Intel knows too little good of. */
static const char *break_collateral(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 5, TDX_BODY_15);
    struct fake_collateral *c = &f->collateral;
    struct fake_document *tcb = &c->tcb, *qe = &c->qe;
    switch (n) {
    default:
        FAILS("tdx.tcb_info_signature")
        tcb->key = fake_intel_keys.other;
        FAILS("tdx.tcb_info_signature")
        tcb->was_then = "\"UpToDate\"";
        tcb->is_then = "\"UpToDate\" ";
        FAILS("tdx.qe_identity_signature")
        qe->key = fake_intel_keys.other;
        FAILS("tdx.qe_identity_signature")
        qe->was_then = "\"isvprodid\":2";
        qe->is_then = "\"isvprodid\": 2";
        FAILS("tdx.tcb_info_signer") /* a PCK's key must not sign collateral */
        tcb->signer = f->cert[FAKE_PCK];
        tcb->signer.issuer_key = fake_intel_keys.intel.root;
        tcb->signer.issuer_cn = f->cert[FAKE_ROOT].cn;
        tcb->key = fake_intel_keys.pck;
        FAILS("tdx.qe_identity_signer") /* nor the root's */
        qe->signer = f->cert[FAKE_ROOT];
        qe->key = fake_intel_keys.intel.root;
        FAILS("tdx.tcb_info_signer") /* nor anybody's with the right name */
        tcb->signer.issuer_key = fake_intel_keys.other;
        FAILS("tdx.qe_identity_signer")
        qe->signer.key = qe->key = fake_intel_keys.other;
        qe->signer.issuer_key = qe->root.key = qe->root.issuer_key = fake_intel_keys.other;
        FAILS("tdx.tcb_info_signer")
        tcb->signer.to = FAKE_NOW;
        FAILS("tdx.tcb_info_signer tdx.qe_identity_signer")
        c->root_crl.revoked_serial = tcb->signer.serial;
        FAILS("tdx.tcb_info_evaluation_number")
        qe->evaluation_number = 18;
        f->policy = "{\"tdx\": {\"min_evaluation_data_number\": 18}}";
        FAILS("tdx.qe_identity_evaluation_number")
        tcb->evaluation_number = 18;
        f->policy = "{\"tdx\": {\"min_evaluation_data_number\": 18}}";
        FAILS("tdx.fmspc")
        fake_intel_member(f, "4")->value[5] = 1;
        FAILS("tdx.pce_id")
        fake_intel_member(f, "3")->value[1] ^= 1;
        FAILS("tdx.qe_mrsigner")
        f->qe.mrsigner[31] ^= 1;
        FAILS("tdx.qe_product")
        f->qe.isv_prod_id[0] = 1; /* SGX's quoting enclave */
        FAILS("tdx.qe_miscselect")
        f->qe.miscselect[3] ^= 1;
        FAILS("tdx.qe_attributes") /* a debuggable enclave */
        f->qe.attributes[0] |= 2;
        FAILS("tdx.module_signer")
        f->body.mrsignerseam[0] = 1;
        FAILS("tdx.module_attributes tdx.seam_attributes")
        f->body.seam_attributes[7] = 0x80;
        return id;
    }
}

static void set_statuses(struct fake_intel *f, const char *platform, const char *module, const char *enclave)
{
    f->collateral.level[0].status = platform;
    f->collateral.module[0].status = module;
    f->collateral.enclave[0].status = enclave;
}

static const char *break_tcb(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 5, TDX_BODY_15);
    switch (n) {
    default:
        FAILS("tdx.tcb_level") /* below every level */
        fake_intel_set_integer(f, "2.1", 1);
        FAILS("tdx.tcb_level")
        fake_intel_set_integer(f, "2.8", 4);
        FAILS("tdx.tcb_level")
        fake_intel_set_integer(f, "2.17", 10);
        FAILS("tdx.tcb_level")
        f->body.tee_tcb_svn[2] = f->body.tee_tcb_svn_2[2] = 1;
        FAILS("tdx.tcb_level")
        f->body.tee_tcb_svn[0] = f->body.tee_tcb_svn_2[0] = 3;
        FAILS("tdx.tcb_level")
        put_le16(f->qe.isv_svn, 1);
        FAILS(
            "tdx.module_signer tdx.module_attributes tdx.tcb_level") /* a module that the collateral does not know */
        f->body.tee_tcb_svn[1] = f->body.tee_tcb_svn_2[1] = 7;
        FAILS("tdx.tcb_status") /* the second level */
        fake_intel_set_integer(f, "2.1", 2);
        FAILS("tdx.tcb_status")
        fake_intel_set_integer(f, "2.17", 12);
        FAILS("tdx.tcb_status")
        put_le16(f->qe.isv_svn, 3);
        FAILS("tdx.tcb_status")
        f->body.tee_tcb_svn[0] = f->body.tee_tcb_svn_2[0] = 5;
        FAILS("tdx.tcb_status") /* a module that is up to date does not make up for the platform */
        set_statuses(f, "OutOfDate", "UpToDate", "UpToDate");
        FAILS("tdx.tcb_status")
        set_statuses(f, "UpToDate", "OutOfDate", "UpToDate");
        FAILS("tdx.tcb_status")
        set_statuses(f, "UpToDate", "UpToDate", "OutOfDate");
        FAILS("tdx.tcb_status")
        set_statuses(f, "SWHardeningNeeded", "UpToDate", "UpToDate");
        FAILS("tdx.tcb_status")
        set_statuses(f, "ConfigurationNeeded", "UpToDate", "UpToDate");
        FAILS("tdx.tcb_status") /* nothing makes it acceptable */
        set_statuses(f, "Revoked", "UpToDate", "UpToDate");
        f->policy = "{\"tdx\": {\"grace_days\": 36500, \"tcb_status\": [\"UpToDate\", \"OutOfDate\"]}}";
        FAILS("tdx.tcb_status")
        set_statuses(f, "UpToDate", "Revoked", "UpToDate");
        FAILS("tdx.tcb_status")
        set_statuses(f, "UpToDate", "UpToDate", "Revoked");
        FAILS("tdx.tcb_status") /* not among those that the policy accepts */
        f->policy = "{\"tdx\": {\"tcb_status\": [\"OutOfDate\"]}}";
        FAILS("tdx.tcb_status") /* the days of grace are over: 2023-08-09 and 97 days */
        set_statuses(f, "OutOfDate", "UpToDate", "UpToDate");
        f->policy = "{\"tdx\": {\"grace_days\": 97}}";
        FAILS("tdx.tcb_date")
        f->policy = "{\"tdx\": {\"min_tcb_date\": \"2023-08-09T00:00:01Z\"}}";
        FAILS("tdx.advisories")
        f->collateral.enclave[0].advisories = "\"INTEL-SA-00002\",\"INTEL-SA-00001\"";
        f->policy = "{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-00001\"]}}";
        return id;
    }
}

/* A log whose second event is of `measured`, and the RTMRs that it comes to. */
static void set_log(struct fake_intel *f, const char *measured)
{
    static struct made_log log;
    struct tdx_event_log parsed;
    log.len = 0;
    made_header(&log, made_sha384, 1);
    made_event(&log, 1, TDX_EV_SEPARATOR, "\0\0\0\0", 4, "\0\0\0\0", 4);
    made_event(&log, 2, TDX_EV_SEPARATOR, "\0\0\0\0", 4, measured, 4);
    f->event_log = made_view(&log);
    assert_int_equal(tdx_event_log_parse(&parsed, f->event_log, NULL), 0);
    tdx_event_log_replay(&parsed, f->body.rtmr);
    tdx_event_log_free(&parsed);
}

static const char *break_event_log(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 4, TDX_BODY_10);
    switch (n) {
    default:
        FAILS("tdx.event_log")
        f->event_log = (struct view){other, sizeof other};
        FAILS("tdx.event_log")
        set_log(f, "\0\0\0\0");
        f->event_log.len--;
        FAILS("tdx.event_log")
        f->policy = "{\"tdx\": {\"event_log\": \"required\"}}";
        FAILS("tdx.event_log")
        set_log(f, "\0\0\0\0");
        f->policy = "{\"tdx\": {\"event_log\": \"forbidden\"}}";
        FAILS("tdx.event_log_replay")
        set_log(f, "\0\0\0\0");
        f->body.rtmr[0][47] ^= 1;
        FAILS("tdx.event_log_replay")
        set_log(f, "\0\0\0\0");
        f->body.rtmr[1][0] ^= 1;
        FAILS("tdx.event_log_replay")
        set_log(f, "\0\0\0\0");
        f->body.rtmr[2][0] ^= 1;
        FAILS("tdx.event_data") /* a payload that was not measured */
        set_log(f, "else");
        FAILS("tdx.events")
        f->policy = "{\"tdx\": {\"events\": [{\"rtmr\": 1, \"digest\": [\"" H48 "\"]}]}}";
        FAILS("tdx.events")
        set_log(f, "\0\0\0\0");
        f->policy = "{\"tdx\": {\"events\": [{\"rtmr\": 1, \"digest\": [\"" H48 "\"]}]}}";
        FAILS("tdx.events") /* it was measured, but into another register */
        set_log(f, "\0\0\0\0");
        f->policy = "{\"tdx\": {\"events\": [{\"rtmr\": 2, \"digest\": "
                    "[\"394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e"
                    "1ad9f1289f0\"]}]}}";
        return id;
    }
}

const struct broken_list broken_tdx[] = {
    {break_quote, 30},      {break_chain, 39}, {break_extension, 26}, {break_acceptance, 38},
    {break_collateral, 20}, {break_tcb, 20},   {break_event_log, 10}, {NULL, 0}};

#define LACKS(ID) FAILS(ID)

const char *lacking_tdx(struct fake_intel *f, unsigned n)
{
    enum { FIRST = __COUNTER__ + 1 };
    const char *id = NULL;
    fake_intel_init(f, 4, TDX_BODY_10);
    struct fake_collateral *c = &f->collateral;
    switch (n) {
    default:
        LACKS("tdx.qe_signature")
        f->left_out[FAKE_PCK] = true;
        LACKS("tdx.pck")
        f->left_out[FAKE_CA] = true;
        LACKS("tdx.root")
        f->certification_type = TDX_CERTIFICATION_PPID;
        f->no_collateral = true;
        LACKS("tdx.tcb_status")
        f->no_collateral = true;
        LACKS("tdx.tcb_level")
        c->left_out[0] = "tcb_info";
        LACKS("tdx.qe_mrsigner")
        c->left_out[0] = "qe_identity";
        LACKS("tdx.tcb_info_signer")
        c->left_out[0] = "tcb_info_issuer_chain";
        LACKS("tdx.qe_identity_signature")
        c->left_out[0] = "qe_identity_signature";
        LACKS("tdx.revocation.pck_ca")
        c->root_crl.given = false;
        LACKS("tdx.revocation.pck")
        c->pck_crl.given = false;
        LACKS("tdx.revocation.pck")
        c->pck_crl.to = FAKE_NOW;
        LACKS("tdx.revocation.pck")
        c->pck_crl.from = FAKE_NOW + 60;
        LACKS("tdx.revocation.pck") /* of the other issuer */
        c->pck_crl.issuer_cn = "Intel SGX PCK Processor CA";
        f->crls_by_option = true;
        LACKS("tdx.revocation.pck") /* of user certificates alone, which is not known here */
        c->pck_crl.scoped = true;
        LACKS("tdx.revocation.pck_ca")
        c->root_crl.scoped = true;
        LACKS("tdx.tcb_info_signer") /* the signer of collateral can be revoked too */
        c->root_crl.to = FAKE_NOW;
        LACKS("tdx.tcb_info_window") /* old, with fresh lists */
        c->tcb.next_update = FAKE_NOW - 1;
        LACKS("tdx.tcb_info_window")
        c->tcb.issued = FAKE_NOW + 1;
        LACKS("tdx.qe_identity_window")
        c->qe.next_update = FAKE_NOW - 1;
        LACKS("tdx.qe_identity_window") /* a day more than the policy's grace */
        c->qe.next_update = FAKE_NOW - 3 * 86400 - 1;
        f->policy = "{\"tdx\": {\"grace_days\": 3}}";
        LACKS("tdx.qe_identity_window")
        c->qe.issued = FAKE_NOW + 1;
        LACKS("tdx.tcb_info_window") /* good for long yet, and older than the policy likes */
        c->tcb.issued = FAKE_NOW - 7 * 86400 - 1;
        f->policy = "{\"tdx\": {\"max_collateral_age_days\": 7}}";
        LACKS("tdx.qe_identity_window")
        c->qe.issued = FAKE_NOW - 7 * 86400 - 1;
        f->policy = "{\"tdx\": {\"max_collateral_age_days\": 7, \"grace_days\": 30}}";
        return id;
    }
}
