/*
 * Every check of SEV-SNP evidence, broken alone: evidence that passes is changed in one respect, and then exactly one
 * check must fail. So a check that is switched off, or that looks at something else, fails here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attest/svsm.h"
#include "tests/unit/attest/fake_amd.h"
#include "tests/unit/attest/made_manifest.h"
#include "tests/unit/attest/outcomes.h"

static void judge(struct verdict *v, struct fake *f)
{
    struct cofre_err err = {""};
    if (fake_appraise(v, f, &err) != 0)
        fail_msg("not judged at all: %s", err.text);
}

static void must_pass(struct fake *f)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_pass(&v);
}

static void must_fail_only(struct fake *f, const char *ids)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_fail_only(&v, ids);
}

static void must_be_unjudged(struct fake *f, const char *id)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_be_unjudged(&v, id);
}

/* A reference value that is this report, but for one field of it (REFERENCE_FIELDS: for none). */
static struct reference value_of(const struct fake *f, enum reference_field but)
{
    struct reference r = {
        .name = "web", .version = 2, .tee = REFERENCE_SNP, .keys = REFERENCE_VCEK, .until = INT64_MAX};
    reference_set(&r, REFERENCE_MEASUREMENT, f->report.measurement);
    reference_set(&r, REFERENCE_HOST_DATA, f->report.host_data);
    reference_set(&r, REFERENCE_GUEST_POLICY, (const uint8_t *)&f->report.policy);
    reference_set(&r, REFERENCE_GUEST_SVN, (const uint8_t *)&f->report.guest_svn);
    reference_set(&r, REFERENCE_REPORTED_TCB, (const uint8_t *)&f->report.reported_tcb);
    if (but < REFERENCE_FIELDS)
        r.field[but].value[0] ^= 1;
    return r;
}

static const struct references *one_value(const struct fake *f, enum reference_field but)
{
    static struct reference value;
    static const struct references all = {&value, 1};
    value = value_of(f, but);
    return &all;
}

/* --- what is done to a report after it was signed --- */

static void flip_measurement(struct fake *f)
{
    f->report.measurement[5] ^= 1;
}
static void set_r_above_scalar(struct fake *f)
{
    f->report.signature.r[48] = 1;
}
static void set_s_last_byte(struct fake *f)
{
    f->report.signature.s[71] = 1;
}
static void set_after_s(struct fake *f)
{
    f->report.signature.reserved[367] = 1;
}
static void zero_r(struct fake *f)
{
    memset(f->report.signature.r, 0, sizeof f->report.signature.r);
}
static void zero_s(struct fake *f)
{
    memset(f->report.signature.s, 0, sizeof f->report.signature.s);
}
static void order(uint8_t out[72])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    assert_int_equal(BN_bn2lebinpad(EC_GROUP_get0_order(group), out, 72), 72);
    EC_GROUP_free(group);
}
static void set_r_to_order(struct fake *f)
{
    order(f->report.signature.r);
}
static void set_s_to_order(struct fake *f)
{
    order(f->report.signature.s);
}
/* A signature is malleable: -s verifies too, and is another report of the same contents. */
static void swap_r_and_s(struct fake *f)
{
    uint8_t r[72];
    memcpy(r, f->report.signature.r, 72);
    memcpy(f->report.signature.r, f->report.signature.s, 72);
    memcpy(f->report.signature.s, r, 72);
}

static const uint8_t other[64] = {0x99};

/* --- reports on an SVSM's services --- */

static const uint8_t asked_with[32] = "a nonce that the verifier chose";

/* SHA-512 of the nonce, zeros up to 64 bytes, and the manifest, as 58019 has it, beside the code that is tested. */
static void put_service_data(uint8_t out[64], struct view nonce, struct view manifest)
{
    uint8_t both[64 + MADE_MANIFEST_MAX] = {0};
    assert_true(manifest.len <= MADE_MANIFEST_MAX);
    memcpy(both, nonce.data, nonce.len);
    memcpy(both + 64, manifest.data, manifest.len);
    assert_int_equal(EVP_Digest(both, 64 + manifest.len, out, NULL, EVP_sha512(), NULL), 1);
}

/* The report of an SVSM whose vTPM has that key; the manifest lives until the next one. */
static struct made_manifest *serve(struct fake *f, const TPMT_PUBLIC *key, size_t services)
{
    static struct made_manifest made;
    static struct svsm_manifest read;
    struct made_manifest ek;
    TPMT_PUBLIC by_default;
    struct cofre_err err = {""};
    made_rsa(&by_default);
    made_ek(&ek, key ? key : &by_default);
    if (services)
        made_table(&made, &ek, services);
    else
        made = ek;
    svsm_manifest_free(&read);
    if (svsm_manifest_read(&read, made_view(&made), &err) != 0)
        fail_msg("%s", err.text);
    f->service = &read;
    f->nonce = (struct view){asked_with, sizeof asked_with};
    put_service_data(f->report.report_data, f->nonce, made_view(&made));
    return &made;
}

static const TPMT_PUBLIC *exportable(TPMA_OBJECT without)
{
    static TPMT_PUBLIC key;
    made_rsa(&key);
    key.objectAttributes &= ~without;
    return &key;
}

/* --- the list: number n makes f wrong, and returns the one check that must fail; NULL after the last --- */

#define FAILS(ID)                                                                                            \
    return id;                                                                                               \
    case __COUNTER__:                                                                                        \
        id = ID;

static const char *break_one(struct fake *f, unsigned n)
{
    const char *id = NULL;
    struct snp_report *r = &f->report;
    struct fake_cert *ark = &f->cert[FAKE_ARK], *ask = &f->cert[FAKE_ASK], *leaf = &f->cert[FAKE_LEAF];
    fake_init(f, SNP_PRODUCT_MILAN, 3);
    switch (n) {
    default:
        FAILS("snp.version")
        r->version = 6;
        FAILS("snp.version")
        r->version = 1;
        r->cpuid_fam_id = r->cpuid_mod_id = r->cpuid_step = 0;
        FAILS("snp.version")
        fake_init(f, SNP_PRODUCT_TURIN, 2);

        FAILS("snp.reserved")
        r->reserved_4c = 1;
        FAILS("snp.reserved")
        r->reserved_18b[20] = 1;
        FAILS("snp.reserved")
        r->reserved_1eb = 1;
        FAILS("snp.reserved")
        r->reserved_1ef = 1;
        FAILS("snp.reserved")
        r->reserved_208[151] = 0x80;
        FAILS("snp.reserved")
        r->flags |= 1u << 5;
        FAILS("snp.reserved")
        r->policy &= ~SNP_POLICY_RESERVED_ONE;
        FAILS("snp.reserved") /* version 4 has no mitigation vectors yet */
        r->version = 4;
        r->current_mit_vector = 1;
        FAILS("snp.reserved") /* version 2 has no CPUID yet */
        r->version = 2;

        FAILS("snp.unknown_bits")
        r->policy |= 1ull << 26;
        FAILS("snp.unknown_bits")
        r->policy |= 1ull << 63;
        FAILS("snp.unknown_bits")
        r->platform_info |= 1ull << 8;

        FAILS("snp.signature_algorithm")
        r->signature_algo = 2;
        FAILS("snp.signature_algorithm")
        r->signature_algo = 0;

        FAILS("snp.signature_format")
        f->tamper = set_r_above_scalar;
        FAILS("snp.signature_format")
        f->tamper = set_s_last_byte;
        FAILS("snp.signature_format")
        f->tamper = set_after_s;
        FAILS("snp.signature_format")
        f->tamper = zero_r;
        FAILS("snp.signature_format")
        f->tamper = zero_s;
        FAILS("snp.signature_format")
        f->tamper = set_r_to_order;
        FAILS("snp.signature_format")
        f->tamper = set_s_to_order;

        FAILS("snp.signature")
        f->tamper = flip_measurement;
        FAILS("snp.signature")
        f->tamper = swap_r_and_s;
        FAILS("snp.signature")
        f->signing_key = fake_keys.other_leaf;

        FAILS("snp.signing_key")
        r->flags |= SNP_SIGNING_KEY_NONE << 2;
        FAILS("snp.signing_key")
        r->flags |= 2 << 2;
        FAILS("snp.signing_key") /* a VCEK's chain for a report that a VLEK signed */
        r->flags |= SNP_SIGNING_KEY_VLEK << 2;
        FAILS("snp.signing_key") /* a VLEK's chain for a report that a VCEK signed */
        fake_use_vlek(f);
        r->flags = 0;
        FAILS("snp.signing_key")
        r->flags |= SNP_REPORT_MASK_CHIP_KEY;

        FAILS("snp.author_key_flag")
        r->flags |= SNP_REPORT_AUTHOR_KEY_EN;
        FAILS("snp.author_key_flag")
        r->author_key_digest[0] = 1;

        FAILS("snp.ark") /* a forged complete chain with AMD's names */
        f->trust_root = false;
        FAILS("snp.ark")
        ark->basic_constraints = NULL;
        FAILS("snp.ark")
        ark->basic_constraints = "critical,CA:FALSE";
        FAILS("snp.ark")
        ark->basic_constraints = "critical,CA:TRUE,pathlen:0";
        FAILS("snp.ark")
        ark->key_usage = "critical,cRLSign";
        FAILS("snp.ark")
        ark->pkcs1 = true;
        FAILS("snp.ark")
        ark->issuer_key = fake_keys.other; /* does not sign itself */
        FAILS("snp.ark")
        ark->twice = "1.2.3.4";

        FAILS("snp.ask")
        ask->issuer_key = fake_keys.other;
        FAILS("snp.ask")
        ask->basic_constraints = "critical,CA:FALSE";
        FAILS("snp.ask")
        ask->basic_constraints = NULL;
        FAILS("snp.ask")
        ask->key_usage = "critical,digitalSignature";
        FAILS("snp.ask")
        ask->key_usage = NULL;
        FAILS("snp.ask")
        ask->pkcs1 = true;
        FAILS("snp.ask")
        ask->digest = EVP_sha256();
        FAILS("snp.ask")
        ask->salt = 32;
        FAILS("snp.ask")
        ask->key_id_of_cn = "another";
        FAILS("snp.ask")
        ask->twice = "1.2.3.4";
        FAILS("snp.ask")
        ask->critical = "1.2.3.4";

        FAILS("snp.leaf") /* by another's key, in the ASK's name */
        leaf->issuer_key = fake_keys.other;
        FAILS("snp.leaf")
        leaf->pkcs1 = true;
        FAILS("snp.leaf")
        leaf->digest = EVP_sha512();
        FAILS("snp.leaf")
        leaf->key = fake_keys.p256;
        FAILS("snp.leaf")
        leaf->key = fake_keys.leaf_compressed;
        FAILS("snp.leaf")
        leaf->basic_constraints = "critical,CA:TRUE";
        FAILS("snp.leaf")
        leaf->key_id_of_cn = "another";
        FAILS("snp.leaf")
        leaf->twice = "1.2.3.4";
        FAILS("snp.leaf")
        leaf->critical = "1.2.3.4";

        FAILS("snp.names") /* certificates of the other product */
        ask->cn = leaf->issuer_cn = "SEV-Genoa";
        FAILS("snp.names")
        ark->cn = ark->issuer_cn = ask->issuer_cn = "ARK-Genoa";
        FAILS("snp.names")
        ark->cn = ark->issuer_cn = ask->issuer_cn = "CRK-Milan";
        FAILS("snp.names") /* VCEK under ASVK */
        ask->cn = leaf->issuer_cn = "SEV-VLEK-Milan";
        FAILS("snp.names") /* VLEK under ASK */
        fake_use_vlek(f);
        ask->cn = leaf->issuer_cn = "SEV-Milan";
        FAILS("snp.names")
        r->version = 2;
        r->cpuid_fam_id = r->cpuid_mod_id = r->cpuid_step = 0;
        f->leaf.product_name = "Genoa-B1";

        FAILS("snp.validity")
        leaf->to = FAKE_NOW;
        FAILS("snp.validity")
        leaf->from = FAKE_NOW + 1;
        FAILS("snp.validity")
        ask->to = FAKE_NOW - 1;
        FAILS("snp.validity")
        ark->from = FAKE_NOW + 60;

        FAILS("snp.revocation")
        f->crl.given = true;
        f->crl.revoked_serial = ask->serial;
        FAILS("snp.revocation") /* also where the list has run out */
        f->crl.given = true;
        f->crl.revoked_serial = ask->serial;
        f->crl.to = FAKE_NOW - 1;
        FAILS("snp.revocation")
        f->crl.given = true;
        f->crl.key = fake_keys.other;
        FAILS("snp.revocation")
        f->crl.given = true;
        f->crl.pkcs1 = true;
        FAILS("snp.revocation") /* the root may not sign lists */
        f->crl.given = true;
        ark->key_usage = "critical,keyCertSign";

        FAILS("snp.leaf_extensions")
        f->leaf.structure = 1;
        FAILS("snp.leaf_extensions")
        f->leaf.structure = -1;
        FAILS("snp.leaf_extensions")
        f->leaf.svn[7] = -1;
        FAILS("snp.leaf_extensions")
        f->leaf.svn[3] = 1;
        FAILS("snp.leaf_extensions") /* FMC is Turin's */
        f->leaf.svn[8] = 1;
        FAILS("snp.leaf_extensions")
        f->leaf.product_name = NULL;
        leaf->cn = "SEV-VCEK";
        FAILS("snp.leaf_extensions")
        f->leaf.product_name = "Rome-B0";
        FAILS("snp.leaf_extensions")
        f->leaf.hwid_len = 0;
        FAILS("snp.leaf_extensions")
        f->leaf.hwid_len = 63;
        FAILS("snp.leaf_extensions")
        f->leaf.hwid_len = 8;
        FAILS("snp.leaf_extensions")
        f->leaf.csp_id = "fake-csp";
        FAILS("snp.leaf_extensions")
        leaf->twice = NULL;
        f->leaf.svn[2] = 256;
        FAILS("snp.leaf_extensions")
        f->leaf.raw_oid = "1.3.6.1.4.1.3704.1.3.3"; /* negative */
        memcpy(f->leaf.raw_value, "\x02\x01\x98", 3);
        f->leaf.raw_len = 3;
        FAILS("snp.leaf_extensions")
        f->leaf.raw_oid = "1.3.6.1.4.1.3704.1.3.3"; /* not minimal */
        memcpy(f->leaf.raw_value, "\x02\x02\x00\x18", 4);
        f->leaf.raw_len = 4;
        FAILS("snp.leaf_extensions")
        f->leaf.raw_oid = "1.3.6.1.4.1.3704.1.3.3"; /* something after it */
        memcpy(f->leaf.raw_value, "\x02\x01\x18\x00", 4);
        f->leaf.raw_len = 4;
        FAILS("snp.leaf_extensions")
        f->leaf.raw_oid = "1.3.6.1.4.1.3704.1.3.3"; /* another type */
        memcpy(f->leaf.raw_value, "\x04\x01\x18", 3);
        f->leaf.raw_len = 3;
        FAILS("snp.leaf_extensions") /* a VLEK with a HWID */
        fake_use_vlek(f);
        f->leaf.hwid_len = 64;
        FAILS("snp.leaf_extensions") /* a VLEK without a CSP id */
        fake_use_vlek(f);
        f->leaf.csp_id = NULL;
        FAILS("snp.leaf_extensions") /* a Turin VCEK with a HWID of 64 bytes */
        fake_init(f, SNP_PRODUCT_TURIN, 3);
        f->leaf.hwid_len = 64;

        FAILS("snp.product")
        r->cpuid_mod_id = 0x11; /* Genoa's */
        FAILS("snp.product")
        r->cpuid_fam_id = 0x1b; /* nobody's */
        FAILS("snp.product")
        r->cpuid_mod_id = 0x20;

        FAILS("snp.leaf_tcb")
        f->leaf.svn[0]++;
        FAILS("snp.leaf_tcb")
        f->leaf.svn[1]--;
        FAILS("snp.leaf_tcb")
        f->leaf.svn[2]++;
        FAILS("snp.leaf_tcb")
        f->leaf.svn[7]--;
        FAILS("snp.leaf_tcb")
        fake_init(f, SNP_PRODUCT_TURIN, 3);
        f->leaf.svn[8]++;

        FAILS("snp.chip_id")
        f->leaf.hwid[0] ^= 1;
        FAILS("snp.chip_id")
        f->leaf.hwid[63] ^= 1;
        FAILS("snp.chip_id")
        fake_init(f, SNP_PRODUCT_TURIN, 3);
        r->chip_id[8] = 1;

        FAILS("snp.tcb_order") /* reported above current */
        r->current_tcb -= 1ull << 56;
        r->committed_tcb -= 1ull << 56;
        FAILS("snp.tcb_order") /* committed above current */
        r->committed_tcb += 1;
        FAILS("snp.tcb_order") /* a reserved byte */
        r->launch_tcb |= 1ull << 16;

        FAILS("snp.min_tcb.reported")
        f->policy = "{\"snp\": {\"min_tcb\": {\"Milan\": {\"microcode\": 213}}}}";
        r->reported_tcb -= 1ull << 56;
        f->leaf.svn[7]--;
        FAILS("snp.min_tcb.committed")
        f->policy = "{\"snp\": {\"min_tcb\": {\"Milan\": {\"boot_loader\": 4}}}}";
        r->committed_tcb -= 1;
        FAILS("snp.min_tcb.launch")
        f->policy = "{\"snp\": {\"min_tcb\": {\"Milan\": {\"tee\": 2, \"snp\": 24}}}}";
        r->launch_tcb -= 1 << 8;
        FAILS("snp.min_tcb.launch") /* one number would hide it: a later component is higher */
        f->policy = "{\"snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 24}}}}";
        r->launch_tcb += (1ull << 56) - (1ull << 48);
        FAILS("snp.min_tcb.current")
        f->policy = "{\"snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 24}}}}";
        r->current_tcb -= 1ull << 48;
        r->reported_tcb = r->committed_tcb = r->current_tcb;
        f->leaf.svn[2]--;
        id = "snp.min_tcb.reported snp.min_tcb.committed snp.min_tcb.current";

        FAILS("snp.provisional_firmware")
        r->current_build++;
        FAILS("snp.provisional_firmware")
        r->current_minor++;
        FAILS("snp.provisional_firmware")
        r->current_major++;

        FAILS("snp.mitigations")
        f->policy = "{\"snp\": {\"mitigations\": \"3\"}}";
        FAILS("snp.mitigations")
        fake_init(f, SNP_PRODUCT_MILAN, 5);
        f->policy = "{\"snp\": {\"mitigations\": \"0000000000000003\"}}";
        r->launch_mit_vector = 1;
        FAILS("snp.mitigations")
        fake_init(f, SNP_PRODUCT_MILAN, 5);
        f->policy = "{\"snp\": {\"mitigations\": \"03\"}}";
        r->current_mit_vector = 2;

        FAILS("snp.guest_policy.debug") /* by default */
        r->policy |= SNP_POLICY_DEBUG;
        FAILS("snp.guest_policy.migrate_ma")
        r->policy |= SNP_POLICY_MIGRATE_MA;
        FAILS("snp.guest_policy.abi")
        f->policy = "{\"snp\": {\"min_abi\": \"1.52\"}}";
        FAILS("snp.guest_policy.abi")
        f->policy = "{\"snp\": {\"min_abi\": \"2.0\"}}";

        FAILS("snp.vmpl")
        r->vmpl = 1;
        FAILS("snp.vmpl")
        f->policy = "{\"snp\": {\"max_vmpl\": 2}}";
        r->vmpl = 3;
        FAILS("snp.vmpl") /* the host's, whatever the policy */
        f->policy = "{\"snp\": {\"max_vmpl\": 3}}";
        r->vmpl = 0xffffffff;
        FAILS("snp.vmpl") /* compared unsigned */
        f->policy = "{\"snp\": {\"max_vmpl\": 3}}";
        r->vmpl = 0x80000000;

        FAILS("snp.measurement")
        f->measurement = (struct view){other, 48};
        FAILS("snp.measurement")
        f->policy =
            "{\"snp\": {\"measurement\": "
            "[\"99000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000\"]}}";
        FAILS("snp.measurement") /* the argument is right, the policy says otherwise */
        f->measurement = (struct view){r->measurement, 48};
        f->policy =
            "{\"snp\": {\"measurement\": "
            "[\"99000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000\"]}}";
        FAILS("snp.reference")
        f->references = one_value(f, REFERENCE_HOST_DATA);
        f->policy = "{\"snp\": {\"reference\": [\"web\"]}}";
        FAILS("snp.host_data")
        f->policy = "{\"snp\": {\"host_data\": "
                    "[\"9900000000000000000000000000000000000000000000000000000000000000\"]}}";
        FAILS("snp.family_id")
        f->policy = "{\"snp\": {\"family_id\": [\"99000000000000000000000000000000\"]}}";
        FAILS("snp.image_id")
        f->policy = "{\"snp\": {\"image_id\": [\"99000000000000000000000000000000\"]}}";
        FAILS("snp.report_id")
        f->policy = "{\"snp\": {\"report_id\": "
                    "[\"9900000000000000000000000000000000000000000000000000000000000000\"]}}";
        FAILS("snp.report_id_ma")
        f->policy = "{\"snp\": {\"report_id_ma\": "
                    "[\"9900000000000000000000000000000000000000000000000000000000000000\"]}}";
        FAILS("snp.guest_svn")
        f->policy = "{\"snp\": {\"min_guest_svn\": 8}}";

        FAILS("snp.report_data")
        f->report_data = (struct view){other, 64};
        FAILS("snp.report_data") /* all 64 bytes count */
        static uint8_t almost[64];
        memcpy(almost, r->report_data, 64);
        almost[63] = 1;
        f->report_data = (struct view){almost, 64};
        FAILS("snp.report_data")
        f->policy = "{\"snp\": {\"report_data\": "
                    "\"9900000000000000000000000000000000000000000000000000000000000000"
                    "0000000000000000000000000000000000000000000000000000000000000000\"}}";
        FAILS("snp.nonce")
        f->nonce = (struct view){other, 32};
        FAILS("snp.nonce") /* a prefix of it is not it */
        f->nonce = (struct view){
            (const uint8_t *)"\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22", 15};
        FAILS("snp.nonce") /* nothing but zeros after it */
        r->report_data[63] = 1;
        f->nonce =
            (struct view){(const uint8_t *)"\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"
                                           "\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22",
                          32};
        FAILS("snp.nonce") /* an empty report data */
        memset(r->report_data, 0, sizeof r->report_data);
        f->nonce = (struct view){other, 32};

        FAILS("snp.nonce") /* on services: another nonce */
        serve(f, NULL, 0);
        f->nonce = (struct view){other, 32};
        FAILS("snp.nonce") /* the nonce alone, as a guest at VMPL 0 asks */
        serve(f, NULL, 0);
        memset(r->report_data, 0, sizeof r->report_data);
        memcpy(r->report_data, asked_with, sizeof asked_with);
        FAILS("snp.nonce") /* on services, and nobody says so */
        serve(f, NULL, 0);
        f->service = NULL;
        FAILS("snp.nonce") /* one byte of the manifest */
        serve(f, NULL, 0)->data[300] ^= 1;
        FAILS("snp.nonce") /* of the table's head */
        serve(f, NULL, 3)->data[40] ^= 1;
        FAILS("snp.nonce") /* another service's manifest, which comes last */
        struct made_manifest *table = serve(f, NULL, 3);
        table->data[table->len - 1] ^= 1;
        FAILS("snp.nonce") /* without the zeros behind a short nonce */
        serve(f, NULL, 0);
        uint8_t short_of[32 + MADE_MANIFEST_MAX];
        memcpy(short_of, asked_with, 32);
        memcpy(short_of + 32, f->service->bytes.data, f->service->bytes.len);
        assert_int_equal(
            EVP_Digest(short_of, 32 + f->service->bytes.len, r->report_data, NULL, EVP_sha512(), NULL), 1);
        FAILS("snp.vmpl") /* a manifest is an SVSM's, whatever the policy lets guests be */
        serve(f, NULL, 0);
        f->policy = "{\"snp\": {\"max_vmpl\": 3}}";
        r->vmpl = 1;
        FAILS("snp.vmpl")
        serve(f, NULL, 0);
        f->policy = "{\"snp\": {\"max_vmpl\": 3}}";
        r->vmpl = 2;
        FAILS("snp.vmpl")
        serve(f, NULL, 2);
        f->policy = "{\"snp\": {\"max_vmpl\": 3}}";
        r->vmpl = 3;
        FAILS("snp.vtpm_key") /* one that may be taken out of the vTPM */
        serve(f, exportable(TPMA_OBJECT_FIXEDTPM), 0);
        FAILS("snp.vtpm_key")
        serve(f, exportable(TPMA_OBJECT_FIXEDPARENT), 2);
        FAILS("snp.vtpm_key") /* that somebody put into it */
        serve(f, exportable(TPMA_OBJECT_SENSITIVEDATAORIGIN), 0);
        FAILS("snp.vtpm_key") /* that decrypts for anybody */
        serve(f, exportable(TPMA_OBJECT_RESTRICTED), 0);

        FAILS("snp.id_key")
        f->policy =
            "{\"snp\": {\"id_key_digest\": "
            "[\"99000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000\"]}}";
        FAILS("snp.author_key") /* none was used */
        f->policy =
            "{\"snp\": {\"author_key_digest\": "
            "[\"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000\"]}}";
        FAILS("snp.author_key") /* another was used */
        r->flags |= SNP_REPORT_AUTHOR_KEY_EN;
        r->author_key_digest[0] = 0x88;
        f->policy =
            "{\"snp\": {\"author_key_digest\": "
            "[\"99000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000\"]}}";

        FAILS("snp.allowed_chip")
        f->policy = "{\"snp\": {\"chip_id\": [\"0102030405060708\"]}}"; /* the rest is not zero */
        FAILS("snp.allowed_chip")                                       /* masked: the certificate's */
        memset(r->chip_id, 0, sizeof r->chip_id);
        f->policy = "{\"snp\": {\"chip_id\": [\"0000000000000000\"]}}";
        FAILS("snp.allowed_csp")
        fake_use_vlek(f);
        f->policy = "{\"snp\": {\"csp_id\": [\"66616b652d637370ff\"]}}";
        FAILS("snp.allowed_csp") /* a VCEK names none */
        f->policy = "{\"snp\": {\"csp_id\": [\"66616b652d637370\"]}}";
        FAILS("snp.allowed_product")
        f->policy = "{\"snp\": {\"products\": [\"Genoa\", \"Turin\"]}}";
        return id;
    }
}

static char covered[4096];

static void each_check_fails_alone_for_its_reason(void **state)
{
    (void)state;
    struct fake f;
    const char *ids;
    unsigned n = 0;
    for (; (ids = break_one(&f, n)); n++) {
        print_message("# %u %s\n", n, ids);
        must_fail_only(&f, ids);
        strncat(covered, ids, sizeof covered - strlen(covered) - 1);
        strncat(covered, " ", sizeof covered - strlen(covered) - 1);
    }
    assert_true(n > 120);
}

/* Bits of guest policy and platform information: each against what it is not. */
static void bits(const char *section, const struct policy_named_bit *bit, size_t count, size_t offset)
{
    for (size_t i = 0; i < 2 * count; i++) {
        struct fake f;
        char policy[160], id[80];
        uint64_t raw;
        bool set = i % 2;
        fake_init(&f, SNP_PRODUCT_GENOA, 3);
        memcpy(&raw, (char *)&f.report + offset, sizeof raw);
        raw = set ? raw | bit[i / 2].mask : raw & ~bit[i / 2].mask;
        memcpy((char *)&f.report + offset, &raw, sizeof raw);
        (void)snprintf(id, sizeof id, "snp.%s.%s", section, bit[i / 2].name);
        (void)snprintf(policy, sizeof policy, "{\"snp\": {\"%s\": {\"%s\": \"%s\"}}}", section,
                       bit[i / 2].name, set ? "forbidden" : "required");
        f.policy = policy;
        must_fail_only(&f, id);
        (void)snprintf(policy, sizeof policy, "{\"snp\": {\"%s\": {\"%s\": \"%s\"}}}", section,
                       bit[i / 2].name, set ? "required" : "forbidden");
        must_pass(&f);
        (void)snprintf(policy, sizeof policy, "{\"snp\": {\"%s\": {\"%s\": \"any\"}}}", section,
                       bit[i / 2].name);
        must_pass(&f);
        strncat(covered, id, sizeof covered - strlen(covered) - 1);
        strncat(covered, " ", sizeof covered - strlen(covered) - 1);
    }
}

static void each_bit_can_be_required_or_forbidden(void **state)
{
    (void)state;
    bits("guest_policy", policy_snp_guest_bits, POLICY_SNP_GUEST_BITS, offsetof(struct snp_report, policy));
    bits("platform_info", policy_snp_platform_bits, POLICY_SNP_PLATFORM_BITS,
         offsetof(struct snp_report, platform_info));
}

/* After the two above. */
static void no_check_is_without_a_negative_test(void **state)
{
    (void)state;
    struct fake f;
    CLEAN_VERDICT v = {0};
    fake_init(&f, SNP_PRODUCT_MILAN, 5);
    judge(&v, &f);
    assert_true(v.count > 50);
    for (size_t i = 0; i < v.count; i++) {
        char id[80];
        (void)snprintf(id, sizeof id, "%s ", v.check[i].id);
        if (!strstr(covered, id))
            fail_msg("%s has no negative test", id);
    }
}

static void passes_every_product_version_and_key(void **state)
{
    (void)state;
    for (enum snp_product product = SNP_PRODUCT_MILAN; product <= SNP_PRODUCT_TURIN; product++)
        for (uint32_t version = product == SNP_PRODUCT_TURIN ? 3 : 2; version <= 5; version++)
            for (int vlek = 0; vlek < 2; vlek++) {
                struct fake f;
                fake_init(&f, product, version);
                if (vlek)
                    fake_use_vlek(&f);
                must_pass(&f);
            }
}

static void passes_what_is_in_the_field(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* a HWID in an OCTET STRING of its own */
    f.leaf.hwid_tagged = true;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_TURIN, 3);
    f.leaf.hwid_tagged = true;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_GENOA, 3); /* no stepping; reserved components left out */
    f.leaf.product_name = "Genoa";
    f.leaf.svn[3] = f.leaf.svn[4] = f.leaf.svn[5] = f.leaf.svn[6] = -1;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_GENOA, 3); /* Siena and Bergamo */
    f.report.cpuid_mod_id = 0xa1;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* a masked CHIP_ID */
    memset(f.report.chip_id, 0, sizeof f.report.chip_id);
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* a VLEK where the chip's key is masked */
    fake_use_vlek(&f);
    f.report.flags |= SNP_REPORT_MASK_CHIP_KEY;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* a component above 127 is padded in DER */
    fake_set_tcb(&f, &(struct snp_tcb){{0, 128, 255, 127, 200}});
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* current above what is reported */
    f.report.current_tcb += 1ull << 56;
    must_pass(&f);
}

static void passes_what_the_policy_relaxes(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.report.policy |= 1ull << 40;
    f.report.platform_info |= 1ull << 40;
    f.policy = "{\"snp\": {\"unknown_bits\": \"any\"}}";
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.report.current_build++;
    f.policy = "{\"snp\": {\"provisional_firmware\": \"any\"}}";
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.report.vmpl = 2;
    f.policy = "{\"snp\": {\"max_vmpl\": 2}}";
    must_pass(&f);
}

static void passes_a_report_on_services_and_says_on_which(void **state)
{
    (void)state;
    for (size_t services = 0; services < 4; services++) {
        struct fake f;
        CLEAN_VERDICT v = {0};
        char name[2 * SVSM_EK_NAME_MAX + 1];
        fake_init(&f, SNP_PRODUCT_MILAN, 3);
        f.policy = "{\"snp\": {\"max_vmpl\": 3}}";
        serve(&f, NULL, services);
        judge(&v, &f);
        verdict_must_pass(&v);
        assert_string_equal(v.title, "AMD SEV-SNP report on an SVSM's services");
        const json_t *said = json_object_get(v.claims, "service"), *vtpm = json_object_get(said, "vtpm");
        assert_string_equal(json_string_value(json_object_get(said, "manifest")),
                            services ? "all services" : "the vTPM alone");
        assert_int_equal(json_array_size(json_object_get(said, "guids")), services ? services : 1);
        assert_string_equal(json_string_value(json_array_get(json_object_get(said, "guids"), 0)),
                            "c476f1eb-0123-45a5-9641-b4e7dde5bfe3");
        hex_encode(name, f.service->ek.name, f.service->ek.name_len);
        assert_string_equal(json_string_value(json_object_get(vtpm, "endorsement_key_name")), name);
        assert_string_equal(json_string_value(json_object_get(vtpm, "endorsement_key")),
                            "RSA-2048, SHA-256, AES-128-CFB");
    }
}

static void a_report_on_services_without_a_nonce_is_unjudged(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    serve(&f, NULL, 0);
    f.nonce = (struct view){0};
    must_be_unjudged(&f, "snp.nonce");
}

/* A service whose manifest is empty is there all the same; a table may have no vTPM. */
static void services_without_a_vtpm_have_no_key_to_judge(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    struct made_manifest *table = serve(&f, NULL, 2);
    struct svsm_manifest read;
    table->data[24] ^= 1;
    assert_int_equal(svsm_manifest_read(&read, made_view(table), NULL), 0);
    put_service_data(f.report.report_data, f.nonce, made_view(table));
    f.service = &read;
    CLEAN_VERDICT v = {0};
    judge(&v, &f);
    verdict_must_pass(&v);
    assert_int_equal(verdict_check(&v, "snp.vtpm_key")->outcome, CHECK_SKIPPED);
    assert_null(json_object_get(json_object_get(v.claims, "service"), "vtpm"));
    svsm_manifest_free(&read);
}

static void passes_what_the_policy_lists(void **state)
{
    (void)state;
    struct fake f;
    static const char policy[] =
        "{\"snp\": {\"host_data\": [\"3333333333333333333333333333333333333333333333333333333333333333\"],"
        "\"family_id\": [\"00000000000000000000000000000000\", \"66666666666666666666666666666666\"],"
        "\"image_id\": [\"77777777777777777777777777777777\"], \"products\": [\"Turin\"],"
        "\"chip_id\": [\"0102030405060708\"], \"min_guest_svn\": 7, \"min_abi\": \"1.51\", \"mitigations\": "
        "\"2\","
        "\"min_tcb\": {\"Turin\": {\"fmc\": 1, \"boot_loader\": 4, \"tee\": 2, \"snp\": 24, \"microcode\": "
        "213}}}}";
    fake_init(&f, SNP_PRODUCT_TURIN, 5);
    f.policy = policy;
    f.nonce = (struct view){f.report.report_data, 32};
    f.report_data = (struct view){f.report.report_data, 64};
    f.measurement = (struct view){f.report.measurement, 48};
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    fake_use_vlek(&f);
    f.policy = "{\"snp\": {\"csp_id\": [\"66616b652d637370\"]}}";
    must_pass(&f);
}

/* Judged by a policy that names these values: what the check says, and the outcome of the launch digest's. */
static void must_say(struct fake *f, const struct references *values, enum check_outcome outcome,
                     const char *says)
{
    CLEAN_VERDICT v = {0};
    f->references = values;
    f->policy = "{\"snp\": {\"reference\": [\"db\", \"web\"]}}";
    judge(&v, f);
    const struct check_result *c = verdict_check(&v, "snp.reference");
    assert_string_equal(c->why, says);
    assert_int_equal(c->outcome, outcome);
    assert_int_equal(verdict_check(&v, "snp.measurement")->outcome,
                     outcome == CHECK_PASSED ? CHECK_PASSED : CHECK_SKIPPED);
    assert_int_equal(verdict_outcome(&v), outcome);
}

static void a_policy_may_name_reference_values(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    struct reference value[2] = {value_of(&f, REFERENCE_MEASUREMENT), value_of(&f, REFERENCE_FIELDS)};
    struct references all = {value, 2};
    strcpy(value[0].name, "db");
    must_say(&f, &all, CHECK_PASSED, "it is the reference value \"web\", version 2");
    all.count = 1;
    must_say(&f, &all, CHECK_FAILED,
             "it is none of the 1 reference value of the policy's names: \"db\", version 2, has another "
             "measurement");
    strcpy(value[0].name, "other");
    must_say(&f, &all, CHECK_UNJUDGED,
             "no reference value \"db\", nor of the policy's other names, is known for this kind of guest");
    value[0] = value[1];
    value[0].keys = REFERENCE_VLEK;
    must_say(&f, &all, CHECK_FAILED,
             "it is none of the 1 reference value of the policy's names: \"web\", version 2, has another "
             "kind of signing key");
}

static void a_value_is_good_for_its_time(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    struct reference value = value_of(&f, REFERENCE_FIELDS);
    const struct references all = {&value, 1};
    value.from = 1893456000;
    must_say(&f, &all, CHECK_FAILED,
             "it is the reference value \"web\", version 2, which is not valid before 2030-01-01T00:00:00Z");
    value.from = 0;
    value.until = 1577836800;
    must_say(&f, &all, CHECK_FAILED,
             "it is the reference value \"web\", version 2, whose validity ended at 2020-01-01T00:00:00Z");
    value.until = INT64_MAX;
    value.retired = 1577836800;
    strcpy(value.reason, "its kernel has a hole");
    must_say(&f, &all, CHECK_FAILED,
             "it is the reference value \"web\", version 2, which was retired at 2020-01-01T00:00:00Z: its "
             "kernel has a hole");
    value.retired = f.at + 1; /* not yet */
    must_say(&f, &all, CHECK_PASSED, "it is the reference value \"web\", version 2");
}

/* One number for the whole TCB would hide a component that is too low behind a later one. */
static void a_minimal_tcb_is_one_of_each_component(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    struct reference value = value_of(&f, REFERENCE_FIELDS);
    const struct references all = {&value, 1};
    struct reference_datum *tcb = &value.field[REFERENCE_REPORTED_TCB];
    tcb->at_least = true;
    tcb->value[7]--;
    must_say(&f, &all, CHECK_PASSED, "it is the reference value \"web\", version 2");
    tcb->value[0]++;
    must_say(&f, &all, CHECK_FAILED,
             "it is none of the 1 reference value of the policy's names: \"web\", version 2, has another "
             "reported_tcb");
    *tcb = (struct reference_datum){0};
    value.field[REFERENCE_GUEST_SVN].at_least = true;
    value.field[REFERENCE_GUEST_SVN].value[0]--;
    must_say(&f, &all, CHECK_PASSED, "it is the reference value \"web\", version 2");
    value.field[REFERENCE_GUEST_SVN].value[1]++;
    must_say(&f, &all, CHECK_FAILED,
             "it is none of the 1 reference value of the policy's names: \"web\", version 2, has another "
             "guest_svn");
}

static void a_trusted_author_vouches_for_an_id_key(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.report.flags |= SNP_REPORT_AUTHOR_KEY_EN;
    memset(f.report.author_key_digest, 0x88, sizeof f.report.author_key_digest);
    f.policy = "{\"snp\": {\"id_key_digest\": "
               "[\"990000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000\"], \"author_key_digest\": "
               "[\"8888888888888888888888888888888888888888888888"
               "88888888888888888888888888888888888888888888888888\"]}}";
    must_pass(&f);
}

static void a_product_without_a_minimum_fails(void **state)
{
    (void)state;
    struct fake f;
    CLEAN_VERDICT v = {0};
    char failed[1024];
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.policy = "{\"snp\": {\"min_tcb\": {\"Genoa\": {\"snp\": 0}}}}";
    judge(&v, &f);
    verdict_list(&v, CHECK_FAILED, failed);
    assert_string_equal(failed,
                        "snp.min_tcb.reported snp.min_tcb.committed snp.min_tcb.launch snp.min_tcb.current ");
}

static void says_what_is_missing_or_stale(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.left_out[FAKE_LEAF] = true;
    must_be_unjudged(&f, "snp.signature");
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.left_out[FAKE_ASK] = true;
    must_be_unjudged(&f, "snp.leaf");
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.left_out[FAKE_ARK] = true;
    f.trust_root = false;
    must_be_unjudged(&f, "snp.ark");
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* the trusted root completes the chain */
    f.left_out[FAKE_ARK] = true;
    must_pass(&f);
}

static void lists_must_be_current_and_the_roots(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.crl.given = true;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* names another certificate */
    f.crl.given = true;
    f.crl.revoked_serial = 77;
    must_pass(&f);
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.crl.given = true;
    f.crl.to = FAKE_NOW;
    must_be_unjudged(&f, "snp.revocation");
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.crl.given = true;
    f.crl.from = FAKE_NOW + 60;
    must_be_unjudged(&f, "snp.revocation");
    fake_init(&f, SNP_PRODUCT_MILAN, 3); /* of the other issuer */
    f.crl.given = true;
    f.crl.issuer_cn = "ARK-Genoa";
    must_be_unjudged(&f, "snp.revocation");
}

static void the_emulated_platform_is_named_in_every_verdict(void **state)
{
    (void)state;
    struct fake f;
    CLEAN_VERDICT trusted = {0}, pinned = {0};
    char failed[1024];
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    for (int i = 0; i < FAKE_CERTS; i++)
        f.cert[i].organisation = "EMULATED by Cofre";
    judge(&trusted, &f);
    assert_int_equal(verdict_outcome(&trusted), CHECK_PASSED);
    assert_true(trusted.emulated);
    assert_string_equal(trusted.root, "--trust-root");
    f.trust_root = false;
    judge(&pinned, &f);
    verdict_list(&pinned, CHECK_FAILED, failed);
    assert_string_equal(failed, "snp.ark ");
    assert_true(pinned.emulated);
    json_t *json = verdict_json(&pinned);
    assert_true(json_is_true(json_object_get(json, "emulated")));
    assert_string_equal(json_string_value(json_object_get(json, "verdict")), "fail");
    json_decref(json);
}

static void the_json_has_what_the_contract_names(void **state)
{
    (void)state;
    struct fake f;
    CLEAN_VERDICT v = {0};
    fake_init(&f, SNP_PRODUCT_TURIN, 5);
    f.left_out[FAKE_LEAF] = true;
    judge(&v, &f);
    json_t *json = verdict_json(&v);
    static const char *const members[] = {"verdict", "outcome", "tee",        "version",    "product",
                                          "checks",  "claims",  "tcb_status", "advisories", "emulated"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_non_null(json_object_get(json, members[i]));
    assert_string_equal(json_string_value(json_object_get(json, "verdict")), "fail");
    assert_string_equal(json_string_value(json_object_get(json, "outcome")), "unjudged");
    assert_string_equal(json_string_value(json_object_get(json, "product")), "Turin");
    json_t *checks = json_object_get(json, "checks");
    assert_int_equal(json_array_size(checks), v.count);
    for (size_t i = 0; i < v.count; i++) {
        json_t *check = json_array_get(checks, i), *ok = json_object_get(check, "ok");
        enum check_outcome outcome = v.check[i].outcome;
        assert_true(json_is_string(json_object_get(check, "id")) &&
                    json_is_string(json_object_get(check, "why")));
        assert_int_equal(json_is_true(ok), outcome == CHECK_PASSED);
        assert_int_equal(json_is_false(ok), outcome == CHECK_FAILED);
        assert_int_equal(json_is_true(json_object_get(check, "skipped")), outcome == CHECK_SKIPPED);
        assert_int_equal(json_is_true(json_object_get(check, "unjudged")), outcome == CHECK_UNJUDGED);
    }
    json_decref(json);
}

static int make_keys(void **state)
{
    (void)state;
    fake_keys_make();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    fake_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_every_product_version_and_key),
        cmocka_unit_test(passes_what_is_in_the_field),
        cmocka_unit_test(passes_what_the_policy_relaxes),
        cmocka_unit_test(passes_a_report_on_services_and_says_on_which),
        cmocka_unit_test(a_report_on_services_without_a_nonce_is_unjudged),
        cmocka_unit_test(services_without_a_vtpm_have_no_key_to_judge),
        cmocka_unit_test(passes_what_the_policy_lists),
        cmocka_unit_test(a_policy_may_name_reference_values),
        cmocka_unit_test(a_value_is_good_for_its_time),
        cmocka_unit_test(a_minimal_tcb_is_one_of_each_component),
        cmocka_unit_test(a_trusted_author_vouches_for_an_id_key),
        cmocka_unit_test(each_check_fails_alone_for_its_reason),
        cmocka_unit_test(each_bit_can_be_required_or_forbidden),
        cmocka_unit_test(no_check_is_without_a_negative_test),
        cmocka_unit_test(a_product_without_a_minimum_fails),
        cmocka_unit_test(says_what_is_missing_or_stale),
        cmocka_unit_test(lists_must_be_current_and_the_roots),
        cmocka_unit_test(the_emulated_platform_is_named_in_every_verdict),
        cmocka_unit_test(the_json_has_what_the_contract_names),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
