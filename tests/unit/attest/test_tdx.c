/*
 * Every check of TDX evidence, broken alone: evidence that passes is changed in one respect, and then exactly one check must
 * fail, or those that the same fact breaks. So a check that is switched off, or that looks at something else, fails here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/attest/fake_intel.h"
#include "tests/unit/attest/outcomes.h"

static void judge(struct verdict *v, struct fake_intel *f)
{
    struct cofre_err err = {""};
    if (fake_intel_appraise(v, f, &err) != 0)
        fail_msg("not judged at all: %s", err.text);
}

static void must_pass(struct fake_intel *f)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_pass(&v);
}

static void every_form_of_quote_passes(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        enum tdx_quote_body_type body;
    } forms[] = {{4, TDX_BODY_10}, {5, TDX_BODY_10}, {5, TDX_BODY_15}, {5, TDX_BODY_15_EX}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct fake_intel f;
        fake_intel_init(&f, forms[i].version, forms[i].body);
        must_pass(&f);
    }
}

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

static void without(struct fake_intel *f, const char *path)
{
    fake_intel_member(f, path)->times = 0;
}

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
        FAILS("tdx.root tdx.tcb_info_signer tdx.qe_identity_signer") /* a whole forged chain with Intel's names */
        f->trust_root = false;
        FAILS("tdx.root")
        root_everywhere(f, forbid_intermediates);
        FAILS("tdx.root tdx.tcb_info_signer tdx.qe_identity_signer") /* the right key in a body of somebody else's */
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
        FAILS("tdx.revocation.pck_ca")
        collateral->root_crl.revoked_serial = ca->serial;
        FAILS("tdx.revocation.pck_ca")
        collateral->root_crl.revoked_serial = ca->serial;
        f->crls_by_option = true;
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
        FAILS("tdx.pck tdx.pck_extensions")
        f->extension_times = 2;
        FAILS("tdx.pck_extensions")
        without(f, "1");
        FAILS("tdx.pck_extensions") /* 15 components */
        without(f, "2.16");
        FAILS("tdx.pck_extensions")
        without(f, "2.1");
        FAILS("tdx.pck_extensions")
        without(f, "2.17");
        FAILS("tdx.pck_extensions")
        without(f, "2.18");
        FAILS("tdx.pck_extensions")
        without(f, "3");
        FAILS("tdx.pck_extensions")
        without(f, "4");
        FAILS("tdx.pck_extensions")
        without(f, "5");
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
        without(f, "2.4");
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
        without(f, "6");
        f->policy = "{\"tdx\": {\"platform_instance\": [\"00000000000000000000000000000000\"]}}";
        FAILS("tdx.platform.dynamic_platform")
        f->policy = "{\"tdx\": {\"platform\": {\"dynamic_platform\": \"forbidden\"}}}";
        FAILS("tdx.platform.cached_keys")
        f->policy = "{\"tdx\": {\"platform\": {\"cached_keys\": \"required\"}}}";
        FAILS("tdx.platform.smt")
        f->policy = "{\"tdx\": {\"platform\": {\"smt\": \"forbidden\"}}}";
        FAILS("tdx.platform.smt") /* the certificate does not say */
        without(f, "7.3");
        f->policy = "{\"tdx\": {\"platform\": {\"smt\": \"forbidden\"}}}";
        return id;
    }
}

static char covered[8192];

static void note(const char *ids)
{
    strncat(covered, ids, sizeof covered - strlen(covered) - 1);
    strncat(covered, " ", sizeof covered - strlen(covered) - 1);
}

static void each_check_fails_alone_for_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *(*break_one)(struct fake_intel *f, unsigned n);
        unsigned least;
    } lists[] = {{break_quote, 30}, {break_chain, 35}, {break_extension, 25}, {break_acceptance, 38}};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        struct fake_intel f;
        const char *ids;
        unsigned n = 0;
        for (; (ids = lists[l].break_one(&f, n)); n++) {
            CLEAN_VERDICT v = {0};
            print_message("# %zu.%u %s\n", l, n, ids);
            judge(&v, &f);
            verdict_must_fail_only(&v, ids);
            note(ids);
        }
        assert_true(n >= lists[l].least);
    }
}

/* Each bit of the TD's attributes against what it is not. */
static void each_attribute_can_be_required_or_forbidden(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * POLICY_TDX_ATTRIBUTES; i++) {
        const struct policy_named_bit *bit = &policy_tdx_attributes[i / 2];
        static const char *const words[] = {"required", "forbidden", "any"};
        for (size_t w = 0; w < 3; w++) {
            struct fake_intel f;
            CLEAN_VERDICT v = {0};
            char policy[160], id[80];
            bool set = i % 2;
            fake_intel_init(&f, 4, TDX_BODY_10);
            uint64_t raw = le64(f.body.td_attributes);
            put_le64(f.body.td_attributes, set ? raw | (bit->mask & -bit->mask) : raw & ~bit->mask);
            (void)snprintf(policy, sizeof policy, "{\"tdx\": {\"td_attributes\": {\"%s\": \"%s\"}}}",
                           bit->name, words[w]);
            (void)snprintf(id, sizeof id, "tdx.td_attributes.%s", bit->name);
            f.policy = policy;
            judge(&v, &f);
            if (w == 2 || set == (w == 0)) {
                verdict_must_pass(&v);
            } else {
                verdict_must_fail_only(&v, id);
                note(id);
            }
        }
    }
}

static void what_the_policy_lists_passes(void **state)
{
    (void)state;
    struct fake_intel f;
#define X16(B) B B B B B B B B B B B B B B B B
#define X48(B) X16(B) X16(B) X16(B)
    static const char policy[] =
        "{\"tdx\": {\"mrtd\": [\"" X48("00") "\", \"" X48("11") "\"], \"rtmr0\": [\"" X48(
            "20") "\"],"
                  "\"rtmr1\": [\"" X48("21") "\"], \"rtmr2\": [\"" X48("22") "\"], \"rtmr3\": [\"" X48(
                      "23") "\"],"
                            "\"mrconfigid\": [\"" X48("12") "\"], \"mrowner\": [\"" X48(
                                "13") "\"],"
                                      "\"mrownerconfig\": [\"" X48("14") "\"], \"mrseam\": [\"" X48(
                                          "5e") "\"],"
                                                "\"mrsignerseam\": [\"" X48(
                                                    "00") "\"], \"mrservicetd\": "
                                                          "[\"" X48("77") "\"],"
                                                                          "\"platform_"
                                                                          "instance\": "
                                                                          "[\"" X16("06") "\"], "
                                                                                          "\"min_"
                                                                                          "tee_"
                                                                                          "tcb_"
                                                                                          "svn\":"
                                                                                          " \"060"
                                                                                          "103000"
                                                                                          "000000"
                                                                                          "000000"
                                                                                          "000000"
                                                                                          "00000"
                                                                                          "\","
                                                                                          "\"xfam"
                                                                                          "\": "
                                                                                          "{\"mas"
                                                                                          "k\": "
                                                                                          "\"ff\""
                                                                                          ", "
                                                                                          "\"valu"
                                                                                          "e\": "
                                                                                          "\"E7\""
                                                                                          "},"
                                                                                          "\"plat"
                                                                                          "form\""
                                                                                          ": "
                                                                                          "{\"dyn"
                                                                                          "amic_"
                                                                                          "platfo"
                                                                                          "rm\": "
                                                                                          "\"requ"
                                                                                          "ired\""
                                                                                          ", "
                                                                                          "\"cach"
                                                                                          "ed_"
                                                                                          "keys\""
                                                                                          ": "
                                                                                          "\"forb"
                                                                                          "idden"
                                                                                          "\", "
                                                                                          "\"smt"
                                                                                          "\": "
                                                                                          "\"requ"
                                                                                          "ired\""
                                                                                          "}}}";
    fake_intel_init(&f, 5, TDX_BODY_15_EX);
    memset(f.body.mrservicetd, 0x77, 48);
    memset(f.body.init_servtd_hash, 0x77, 48);
    memset(f.body.servtd_hash, 0x77, 48);
    f.policy = policy;
    f.nonce = (struct view){f.body.report_data, 32};
    f.report_data = (struct view){f.body.report_data, 64};
    f.measurement = (struct view){f.body.mrtd, 48};
    must_pass(&f);
}

static void what_is_in_the_field_passes(void **state)
{
    (void)state;
    struct fake_intel f;
    fake_intel_init(&f, 4, TDX_BODY_10); /* padded with zeros */
    f.padding = 3065;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* a component above 127 is padded in DER */
    fake_intel_set_integer(&f, "2.1", 200);
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* a processor that is a platform of its own */
    f.cert[FAKE_CA].cn = f.cert[FAKE_PCK].issuer_cn = f.collateral.pck_crl.issuer_cn = f.collateral.ca.cn =
        "Intel SGX PCK Processor CA";
    without(&f, "6");
    without(&f, "7.1");
    without(&f, "7.2");
    without(&f, "7.3");
    fake_intel_member(&f, "5")->value[0] = 0;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* lists given by hand */
    f.crls_by_option = true;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10);
    put_le64(f.body.td_attributes, TDX_ATTR_SEPT_VE_DISABLE | 1ull << 40);
    f.policy = "{\"tdx\": {\"unknown_bits\": \"any\"}}";
    must_pass(&f);
}

static void a_chain_may_come_with_the_collateral(void **state)
{
    (void)state;
    static const unsigned types[] = {1, 2, 3, TDX_CERTIFICATION_PCK_LEAF, 7};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct fake_intel f;
        fake_intel_init(&f, 4, TDX_BODY_10);
        f.certification_type = types[i];
        must_pass(&f);
    }
}

static void says_what_is_missing_or_stale(void **state)
{
    (void)state;
    struct fake_intel f;
    CLEAN_VERDICT pck = {0}, ca = {0}, lists = {0}, old = {0}, early = {0}, foreign = {0};
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.left_out[FAKE_PCK] = true;
    judge(&pck, &f);
    verdict_must_be_unjudged(&pck, "tdx.qe_signature");
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.left_out[FAKE_CA] = true;
    judge(&ca, &f);
    verdict_must_be_unjudged(&ca, "tdx.pck");
    fake_intel_init(&f, 4, TDX_BODY_10); /* the trusted root completes the chain */
    f.left_out[FAKE_ROOT] = true;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.no_collateral = true;
    judge(&lists, &f);
    verdict_must_be_unjudged(&lists, "tdx.revocation.pck");
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.collateral.pck_crl.to = FAKE_NOW;
    judge(&old, &f);
    verdict_must_be_unjudged(&old, "tdx.revocation.pck");
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.collateral.pck_crl.from = FAKE_NOW + 60;
    judge(&early, &f);
    verdict_must_be_unjudged(&early, "tdx.revocation.pck");
    fake_intel_init(&f, 4, TDX_BODY_10); /* of the other issuer */
    f.collateral.pck_crl.issuer_cn = "Intel SGX PCK Processor CA";
    f.crls_by_option = true;
    judge(&foreign, &f);
    verdict_must_be_unjudged(&foreign, "tdx.revocation.pck");
}

static void the_emulated_platform_is_named_in_every_verdict(void **state)
{
    (void)state;
    struct fake_intel f;
    CLEAN_VERDICT v = {0};
    fake_intel_init(&f, 4, TDX_BODY_10);
    struct fake_collateral *c = &f.collateral;
    const char **organisations[] = {&f.cert[FAKE_ROOT].organisation, &f.cert[FAKE_CA].organisation,
                                    &f.cert[FAKE_PCK].organisation,  &c->tcb.signer.organisation,
                                    &c->tcb.root.organisation,       &c->qe.signer.organisation,
                                    &c->qe.root.organisation,        &c->ca.organisation,
                                    &c->pck_crl.organisation,        &c->root_crl.organisation};
    for (size_t i = 0; i < sizeof organisations / sizeof *organisations; i++)
        *organisations[i] = "EMULATED by Cofre";
    judge(&v, &f);
    verdict_must_pass(&v);
    assert_true(v.emulated);
    assert_string_equal(v.root, "--trust-root");
    assert_string_equal(v.product, "90c06f000000");
    CLEAN_VERDICT pinned = {0};
    f.trust_root = false;
    judge(&pinned, &f);
    assert_int_equal(verdict_check(&pinned, "tdx.root")->outcome, CHECK_FAILED);
    assert_true(pinned.emulated);
    assert_string_equal(pinned.root, "none");
}

static int make_keys(void **state)
{
    (void)state;
    fake_intel_keys_make();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    fake_intel_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_quote_passes),
        cmocka_unit_test(what_is_in_the_field_passes),
        cmocka_unit_test(what_the_policy_lists_passes),
        cmocka_unit_test(a_chain_may_come_with_the_collateral),
        cmocka_unit_test(each_check_fails_alone_for_its_reason),
        cmocka_unit_test(each_attribute_can_be_required_or_forbidden),
        cmocka_unit_test(says_what_is_missing_or_stale),
        cmocka_unit_test(the_emulated_platform_is_named_in_every_verdict),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
