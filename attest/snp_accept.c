/* Checks against the policy and the verifier's arguments. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/snp.h"
#include "attest/svsm.h"
#include "vmm/base/clean_openssl.h"

static int check_tcb_order(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    enum snp_tcb_component low;
    if (c->product == SNP_PRODUCT_UNKNOWN)
        return cofre_fail(why, COFRE_LACKING, "without the product the TCB versions cannot be decoded");
    if (!c->tcb_decoded)
        return cofre_fail(why, COFRE_NEGATIVE, "a TCB version has bytes set that %s reserves",
                          snp_product_name(c->product));
    if (!snp_tcb_at_least(&c->current, &c->reported, &low))
        return cofre_fail(why, COFRE_NEGATIVE, "the reported TCB is above the current one in %s",
                          snp_tcb_component_name(low));
    if (!snp_tcb_at_least(&c->current, &c->committed, &low))
        return cofre_fail(why, COFRE_NEGATIVE, "the committed TCB is above the current one in %s",
                          snp_tcb_component_name(low));
    return say(why, 0, "the reported and the committed TCB are not above the current one");
}

static int check_min_tcb(const struct snp_case *c, int arg, struct cofre_err *why)
{
    const struct snp_tcb *const tcbs[] = {&c->reported, &c->committed, &c->launch, &c->current};
    const struct snp_tcb *minimum = &c->policy->min_tcb[c->product].tcb;
    enum snp_tcb_component low;
    if (!c->policy->has_min_tcb)
        return say(why, CHECK_SKIP, "the policy sets no minimum");
    if (c->product == SNP_PRODUCT_UNKNOWN)
        return cofre_fail(why, COFRE_LACKING, "without the product the TCB versions cannot be decoded");
    if (!c->policy->min_tcb[c->product].given)
        return cofre_fail(why, COFRE_NEGATIVE, "the policy has minima, but none for %s",
                          snp_product_name(c->product));
    if (!snp_tcb_at_least(tcbs[arg], minimum, &low))
        return cofre_fail(why, COFRE_NEGATIVE, "%s is %u, below the policy's %u", snp_tcb_component_name(low),
                          tcbs[arg]->svn[low], minimum->svn[low]);
    return say(why, 0, "every component is at least the policy's");
}

static int check_provisional(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct snp_report *r = &c->report;
    bool provisional = r->current_major != r->committed_major || r->current_minor != r->committed_minor ||
                       r->current_build != r->committed_build;
    if (c->policy->provisional_firmware == POLICY_FORBIDDEN && provisional)
        return cofre_fail(
            why, COFRE_NEGATIVE,
            "firmware %u.%u.%u runs provisionally: %u.%u.%u is committed, to which the host can go back",
            r->current_major, r->current_minor, r->current_build, r->committed_major, r->committed_minor,
            r->committed_build);
    return judge_bit(c->policy->provisional_firmware, provisional, "provisional firmware", why);
}

static int check_mitigations(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    uint64_t mask = c->policy->mitigations;
    const struct snp_report *r = &c->report;
    if (!mask)
        return say(why, CHECK_SKIP, "the policy asks for no mitigations");
    if (r->version < SNP_REPORT_HAS_VECTORS)
        return cofre_fail(why, COFRE_NEGATIVE, "reports before version 5 do not tell their mitigations");
    if ((r->launch_mit_vector & mask) != mask || (r->current_mit_vector & mask) != mask)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "mitigations %#" PRIx64 " at launch and %#" PRIx64
                          " now lack some of the policy's %#" PRIx64,
                          r->launch_mit_vector, r->current_mit_vector, mask);
    return say(why, 0, "the policy's mitigations were in force at launch and are now");
}

static int check_guest_policy(const struct snp_case *c, int arg, struct cofre_err *why)
{
    const struct policy_named_bit *bit = &policy_snp_guest_bits[arg];
    return judge_bit(c->policy->guest_policy[arg], c->report.policy & bit->mask, bit->name, why);
}

static int check_abi(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    uint16_t abi = (uint16_t)c->report.policy, minimum = c->policy->min_abi;
    if (!minimum)
        return say(why, CHECK_SKIP, "the policy sets no minimum (the guest asks for %u.%u)", abi >> 8,
                   abi & 0xff);
    if (abi < minimum)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the guest asks for firmware ABI %u.%u, below the policy's %u.%u", abi >> 8,
                          abi & 0xff, minimum >> 8, minimum & 0xff);
    return say(why, 0, "the guest asks for firmware ABI %u.%u", abi >> 8, abi & 0xff);
}

static int check_platform_info(const struct snp_case *c, int arg, struct cofre_err *why)
{
    const struct policy_named_bit *bit = &policy_snp_platform_bits[arg];
    return judge_bit(c->policy->platform_info[arg], c->report.platform_info & bit->mask, bit->name, why);
}

static int check_vmpl(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->report.vmpl == SNP_VMPL_HOST)
        return cofre_fail(why, COFRE_NEGATIVE, "the host asked for this report, not the guest");
    if (c->in->service && c->report.vmpl != 0)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "asked for at VMPL %" PRIu32
                          ", where no SVSM is: whoever is there could have put any manifest's hash into it",
                          c->report.vmpl);
    if (c->report.vmpl > c->policy->max_vmpl)
        return cofre_fail(why, COFRE_NEGATIVE, "VMPL %" PRIu32 " is above the policy's %" PRIu32,
                          c->report.vmpl, c->policy->max_vmpl);
    if (c->in->service)
        return say(why, 0, "asked for at VMPL 0, by what was launched there: the launch digest says what");
    return say(why, 0, "asked for at VMPL %" PRIu32, c->report.vmpl);
}

static int check_measurement(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = judge_expected(c->in->measurement, "--measurement", &c->policy->measurement,
                            VIEW(c->report.measurement), "the launch digest", why);
    return judge_by_reference(&c->reference, REFERENCE_MEASUREMENT, rc, why);
}

static int check_reference(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    *why = c->reference.why;
    return c->reference.rc;
}

static int check_report_data(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    return judge_expected(c->in->report_data, "--report-data", &c->policy->report_data,
                          VIEW(c->report.report_data), "the report data", why);
}

/* What an SVSM puts into a report on its services: SHA-512 of the nonce that the guest gave, zeros after it, and the manifest. */
static bool service_data(uint8_t out[64], struct view nonce, struct view manifest)
{
    const uint8_t zeros[SVSM_NONCE_SIZE] = {0};
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    return md && EVP_DigestInit_ex(md, EVP_sha512(), NULL) == 1 &&
           EVP_DigestUpdate(md, nonce.data, nonce.len) == 1 &&
           EVP_DigestUpdate(md, zeros, sizeof zeros - nonce.len) == 1 &&
           EVP_DigestUpdate(md, manifest.data, manifest.len) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1;
}

static int check_service_nonce(const struct snp_case *c, struct cofre_err *why)
{
    uint8_t due[64];
    const struct view nonce = c->in->nonce;
    if (nonce.len == 0)
        return cofre_fail(why, COFRE_LACKING,
                          "what a report on services is over is not known without the nonce (--nonce)");
    if (nonce.len > SVSM_NONCE_SIZE)
        return cofre_fail(why, COFRE_NEGATIVE, "the nonce is longer than a guest can give");
    if (!service_data(due, nonce, c->in->service->bytes))
        return cofre_fail(why, COFRE_FAILED, "SHA-512 failed");
    if (memcmp(due, c->report.report_data, sizeof due) != 0)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the report data is not SHA-512 of the nonce and the manifest: the report answers "
                          "another question, or is on other services");
    return say(why, 0,
               "the report data is SHA-512 of the nonce and the manifest: the report was made after it");
}

static int check_nonce(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->in->service)
        return check_service_nonce(c, why);
    return judge_nonce(c->in->nonce, VIEW(c->report.report_data), why);
}

static int check_vtpm_key(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct svsm_ek *ek = c->in->service ? &c->in->service->ek : NULL;
    if (!ek)
        return say(why, CHECK_SKIP, "no manifest of services was given (--service-manifest)");
    if (!ek->key)
        return say(why, CHECK_SKIP, "the manifest has no vTPM's key");
    if (ek->unfit)
        return cofre_fail(why, COFRE_NEGATIVE, "the vTPM's endorsement key %s", ek->unfit);
    return say(why, 0,
               "the vTPM's endorsement key is a restricted decryption key that the TPM made and keeps");
}

/* Fields that a list of the policy is compared with, and nothing else. */
enum listed { HOST_DATA, FAMILY_ID, IMAGE_ID, REPORT_ID, REPORT_ID_MA };
static int check_listed(const struct snp_case *c, int arg, struct cofre_err *why)
{
    const struct {
        const struct policy_list *list;
        struct view value;
    } fields[] = {
        [HOST_DATA] = {&c->policy->host_data, VIEW(c->report.host_data)},
        [FAMILY_ID] = {&c->policy->family_id, VIEW(c->report.family_id)},
        [IMAGE_ID] = {&c->policy->image_id, VIEW(c->report.image_id)},
        [REPORT_ID] = {&c->policy->report_id, VIEW(c->report.report_id)},
        [REPORT_ID_MA] = {&c->policy->report_id_ma, VIEW(c->report.report_id_ma)},
    };
    return judge_list(fields[arg].list, fields[arg].value, why);
}

static int check_guest_svn(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->min_guest_svn == 0)
        return say(why, CHECK_SKIP, "the policy sets no minimum (it is %" PRIu32 ")", c->report.guest_svn);
    if (c->report.guest_svn < c->policy->min_guest_svn)
        return cofre_fail(why, COFRE_NEGATIVE, "guest SVN %" PRIu32 " is below the policy's %" PRIu32,
                          c->report.guest_svn, c->policy->min_guest_svn);
    return say(why, 0, "guest SVN %" PRIu32 " is at least the policy's", c->report.guest_svn);
}

static bool author_is_trusted(const struct snp_case *c)
{
    return (c->report.flags & SNP_REPORT_AUTHOR_KEY_EN) &&
           policy_list_has(&c->policy->author_key_digest, VIEW(c->report.author_key_digest));
}

static int check_id_key(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->id_key_digest.count && author_is_trusted(c))
        return say(why, 0, "a trusted author key vouches for it");
    return judge_list(&c->policy->id_key_digest, VIEW(c->report.id_key_digest), why);
}

static int check_author_key(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->author_key_digest.count && !(c->report.flags & SNP_REPORT_AUTHOR_KEY_EN))
        return cofre_fail(why, COFRE_NEGATIVE, "the policy trusts author keys, and none was used at launch");
    return judge_list(&c->policy->author_key_digest, VIEW(c->report.author_key_digest), why);
}

/* A masked CHIP_ID leaves the HWID of the certificate, which is signed by AMD. */
static int check_allowed_chip(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    bool masked = bytes_are_zero(c->report.chip_id, sizeof c->report.chip_id);
    bool has_hwid = c->leaf_rc == 0 && c->leaf.role == SNP_ROLE_VCEK;
    return judge_list(&c->policy->chip_id, masked && has_hwid ? VIEW(c->leaf.hwid) : VIEW(c->report.chip_id),
                      why);
}

static int check_allowed_csp(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const char *csp = c->leaf_rc == 0 ? c->leaf.csp_id : "";
    if (c->policy->csp_id.count && !*csp)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the policy lists CSP ids, and there is no VLEK that names one");
    return judge_list(&c->policy->csp_id, (struct view){(const uint8_t *)csp, strlen(csp)}, why);
}

static int check_allowed_product(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->policy->has_products)
        return say(why, CHECK_SKIP, "the policy does not compare it");
    if (!c->policy->product[c->product])
        return cofre_fail(why, COFRE_NEGATIVE, "%s is not among the policy's products",
                          snp_product_name(c->product));
    return say(why, 0, "%s is among the policy's products", snp_product_name(c->product));
}

const struct snp_check snp_policy_checks[] = {
    {"snp.tcb_order", check_tcb_order, 0},
    {"snp.min_tcb.reported", check_min_tcb, 0},
    {"snp.min_tcb.committed", check_min_tcb, 1},
    {"snp.min_tcb.launch", check_min_tcb, 2},
    {"snp.min_tcb.current", check_min_tcb, 3},
    {"snp.provisional_firmware", check_provisional, 0},
    {"snp.mitigations", check_mitigations, 0},
    {"snp.guest_policy.debug", check_guest_policy, 0}, /* in the order of policy_snp_guest_bits */
    {"snp.guest_policy.migrate_ma", check_guest_policy, 1},
    {"snp.guest_policy.smt", check_guest_policy, 2},
    {"snp.guest_policy.single_socket", check_guest_policy, 3},
    {"snp.guest_policy.cxl", check_guest_policy, 4},
    {"snp.guest_policy.aes_256_xts", check_guest_policy, 5},
    {"snp.guest_policy.rapl_disable", check_guest_policy, 6},
    {"snp.guest_policy.ciphertext_hiding", check_guest_policy, 7},
    {"snp.guest_policy.page_swap_disable", check_guest_policy, 8},
    {"snp.guest_policy.abi", check_abi, 0},
    {"snp.platform_info.smt", check_platform_info, 0}, /* in the order of policy_snp_platform_bits */
    {"snp.platform_info.tsme", check_platform_info, 1},
    {"snp.platform_info.ecc", check_platform_info, 2},
    {"snp.platform_info.rapl_disabled", check_platform_info, 3},
    {"snp.platform_info.ciphertext_hiding", check_platform_info, 4},
    {"snp.platform_info.alias_check", check_platform_info, 5},
    {"snp.platform_info.iommu_write_safe", check_platform_info, 6},
    {"snp.platform_info.tio", check_platform_info, 7},
    {"snp.vmpl", check_vmpl, 0},
    {"snp.measurement", check_measurement, 0},
    {"snp.reference", check_reference, 0},
    {"snp.host_data", check_listed, HOST_DATA},
    {"snp.family_id", check_listed, FAMILY_ID},
    {"snp.image_id", check_listed, IMAGE_ID},
    {"snp.guest_svn", check_guest_svn, 0},
    {"snp.report_data", check_report_data, 0},
    {"snp.nonce", check_nonce, 0},
    {"snp.vtpm_key", check_vtpm_key, 0},
    {"snp.report_id", check_listed, REPORT_ID},
    {"snp.report_id_ma", check_listed, REPORT_ID_MA},
    {"snp.id_key", check_id_key, 0},
    {"snp.author_key", check_author_key, 0},
    {"snp.allowed_chip", check_allowed_chip, 0},
    {"snp.allowed_csp", check_allowed_csp, 0},
    {"snp.allowed_product", check_allowed_product, 0},
    {NULL, NULL, 0},
};
