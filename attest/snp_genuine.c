/* Checks that need no policy: the report is well formed, signed by a chip's key, and the key is vouched for by AMD. */
#include <inttypes.h>
#include <string.h>

#include "attest/snp.h"
#include "vmm/base/x509_issued.h"

#include <openssl/x509.h>

static int check_version(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = snp_report_check_version(&c->report, c->product, why);
    return rc < 0 ? rc : say(why, 0, "version %" PRIu32 " is known", c->report.version);
}

static int check_reserved(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = snp_report_check_reserved(&c->report, why);
    return rc < 0 ? rc : say(why, 0, "all reserved fields are zero");
}

static int check_unknown_bits(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->unknown_bits == POLICY_ANY)
        return say(why, CHECK_SKIP, "the policy allows bits that are not known here");
    int rc = snp_report_check_unknown_bits(&c->report, why);
    if (c->policy->unknown_bits == POLICY_REQUIRED)
        return rc < 0 ? say(why, 0, "bits that are not known here are set, as the policy requires")
                      : say(why, -COFRE_NEGATIVE, "the policy requires unknown bits, and none is set");
    return rc < 0 ? rc : say(why, 0, "guest policy and platform information have known bits only");
}

static int check_signature_algorithm(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->report.signature_algo != SNP_ALGO_ECDSA_P384_SHA384)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "signature algorithm %" PRIu32 " is not 1 (ECDSA P-384 with SHA-384)",
                          c->report.signature_algo);
    return say(why, 0, "ECDSA P-384 with SHA-384");
}

static int check_signature_form(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = snp_report_check_signature_form(&c->report, why);
    return rc < 0 ? rc : say(why, 0, "R and S are scalars of P-384, and the bytes around them zero");
}

static int no_leaf(const struct snp_case *c, struct cofre_err *why)
{
    const char *lacking = c->in->lacking;
    return cofre_fail(why, COFRE_LACKING, "the certificate of the signing key (VCEK or VLEK) is missing: %s",
                      lacking && *lacking ? lacking : "give it with --cert");
}

static int check_signature(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_leaf(c, why);
    if (snp_report_check_signature_form(&c->report, NULL) < 0)
        return cofre_fail(why, COFRE_LACKING, "there is no well-formed signature to verify");
    EVP_PKEY *key = X509_get0_pubkey(c->chain.leaf);
    int rc = key ? snp_report_check_signature(&c->report, key, NULL) : -COFRE_MALFORMED;
    if (rc == -COFRE_MALFORMED)
        return cofre_fail(why, COFRE_LACKING, "the certificate has no key of P-384 to verify with");
    if (rc == -COFRE_NEGATIVE)
        return cofre_fail(
            why, COFRE_NEGATIVE,
            "the signature is not one of this report by the certificate's key: the report was altered, "
            "or the certificate is another chip's or another TCB's");
    return rc < 0 ? rc : say(why, 0, "made by the certificate's key over this report");
}

static int check_signing_key(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    static const enum snp_cert_role role_of_key[] = {
        [SNP_SIGNING_KEY_VCEK] = SNP_ROLE_VCEK, [SNP_SIGNING_KEY_VLEK] = SNP_ROLE_VLEK};
    uint32_t key = SNP_REPORT_SIGNING_KEY(c->report.flags);
    if (key == SNP_SIGNING_KEY_NONE)
        return cofre_fail(why, COFRE_NEGATIVE, "the report says that no key signed it");
    if (key > SNP_SIGNING_KEY_VLEK)
        return cofre_fail(why, COFRE_NEGATIVE, "signing key %" PRIu32 " is neither VCEK (0) nor VLEK (1)",
                          key);
    if (key == SNP_SIGNING_KEY_VCEK && (c->report.flags & SNP_REPORT_MASK_CHIP_KEY))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the host masks the chip's key, yet the report says that it signed");
    if (!c->chain.leaf)
        return no_leaf(c, why);
    enum snp_cert_role role = snp_cert_role(c->chain.leaf, NULL);
    if (role != role_of_key[key])
        return cofre_fail(why, COFRE_NEGATIVE, "the report says that a %s signed it; the certificate is a %s",
                          snp_cert_role_name(role_of_key[key]), snp_cert_role_name(role));
    return say(why, 0, "the report names a %s, and the certificate is one", snp_cert_role_name(role));
}

static int check_author_key_flag(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    bool flag = c->report.flags & SNP_REPORT_AUTHOR_KEY_EN;
    bool digest = !bytes_are_zero(c->report.author_key_digest, sizeof c->report.author_key_digest);
    if (flag != digest)
        return cofre_fail(why, COFRE_NEGATIVE, "AUTHOR_KEY_EN is %d, but the author key's digest is %szero",
                          flag, digest ? "not " : "");
    return say(why, 0, flag ? "an author key signed the ID key" : "no author key was used");
}

static int check_ark(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    X509 *root = c->chain.root;
    enum snp_product line;
    char name[128];
    if (!c->chain.leaf)
        return no_leaf(c, why);
    if (!root)
        return cofre_fail(why, COFRE_LACKING,
                          "the root certificate (ARK) of the chain is missing: give it with --cert");
    x509_name(name, root);
    snp_cert_role(root, &line);
    bool trusted = c->in->roots && x509_certs_have(c->in->roots, root);
    if (!trusted && !snp_root_is_amd(root, line))
        return cofre_fail(why, COFRE_NEGATIVE, "the key of %s is not AMD's%s", name,
                          x509_is_emulated(root)
                              ? ": it is the emulated platform's, which --trust-root accepts for tests"
                              : "; the chain could be anybody's");
    int rc = x509_check_ca(&snp_scheme, root, 1, why);
    if (rc == 0)
        rc = x509_issued_check(c->in->issued, &snp_scheme, root, root, why);
    return rc < 0 ? rc
                  : say(why, 0,
                        trusted ? "%s was given with --trust-root and signs itself"
                                : "%s has AMD's pinned key and signs itself",
                        name);
}

static int check_ask(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_leaf(c, why);
    if (!c->chain.intermediate || !c->chain.root)
        return cofre_fail(why, COFRE_LACKING, "the %s is missing: give it with --cert",
                          c->chain.intermediate ? "root certificate (ARK) of the chain"
                                                : "intermediate certificate (ASK or ASVK) of the chain");
    int rc = x509_check_ca(&snp_scheme, c->chain.intermediate, 0, why);
    if (rc == 0)
        rc = x509_issued_check(c->in->issued, &snp_scheme, c->chain.intermediate, c->chain.root, why);
    return rc < 0 ? rc : say(why, 0, "the root's key signed the intermediate");
}

static int check_leaf(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_leaf(c, why);
    int rc = x509_check_end_entity(c->chain.leaf, &ecdsa_p384, why);
    if (rc < 0)
        return rc;
    if (!c->chain.intermediate)
        return cofre_fail(
            why, COFRE_LACKING,
            "the intermediate certificate (ASK or ASVK) of the chain is missing: give it with --cert");
    rc = x509_issued_check(c->in->issued, &snp_scheme, c->chain.leaf, c->chain.intermediate, why);
    return rc < 0 ? rc
                  : say(why, 0, "the intermediate's key signed the %s",
                        snp_cert_role_name(snp_cert_role(c->chain.leaf, NULL)));
}

static int check_names(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct snp_chain *chain = &c->chain;
    if (!chain->leaf || !chain->intermediate || !chain->root)
        return cofre_fail(why, COFRE_LACKING, "the chain is not whole");
    enum snp_product of_root, of_intermediate;
    enum snp_cert_role leaf = snp_cert_role(chain->leaf, NULL);
    enum snp_cert_role middle = snp_cert_role(chain->intermediate, &of_intermediate);
    if (snp_cert_role(chain->root, &of_root) != SNP_ROLE_ARK)
        return cofre_fail(why, COFRE_NEGATIVE, "the chain's root is no ARK by its name");
    if (middle != (leaf == SNP_ROLE_VLEK ? SNP_ROLE_ASVK : SNP_ROLE_ASK))
        return cofre_fail(why, COFRE_NEGATIVE, "the %s's issuer is by its name no %s but: %s",
                          snp_cert_role_name(leaf), leaf == SNP_ROLE_VLEK ? "ASVK" : "ASK",
                          snp_cert_role_name(middle));
    if (of_root != of_intermediate)
        return cofre_fail(why, COFRE_NEGATIVE, "an intermediate of %s is under the root of %s",
                          snp_product_name(of_intermediate), snp_product_name(of_root));
    if (c->leaf_rc == 0 && c->leaf.product != of_root)
        return cofre_fail(why, COFRE_NEGATIVE, "a %s of %s is under the root of %s", snp_cert_role_name(leaf),
                          snp_product_name(c->leaf.product), snp_product_name(of_root));
    return say(why, 0, "ARK, %s and %s, all of %s", snp_cert_role_name(middle), snp_cert_role_name(leaf),
               snp_product_name(of_root));
}

static int check_validity(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    X509 *const chain[] = {c->chain.leaf, c->chain.intermediate, c->chain.root};
    return judge_validity(chain, 3, c->in->at, why);
}

static int check_revocation(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->in->crls || c->in->crls->count == 0)
        return say(why, CHECK_SKIP, "no revocation list was given (--crl)");
    if (!c->chain.intermediate || !c->chain.root)
        return cofre_fail(why, COFRE_LACKING, "the chain is not whole");
    int rc = x509_check_revocation(&snp_scheme, c->chain.intermediate, c->chain.root, c->in->crls,
                                   c->in->issued, c->in->at, why);
    return rc < 0 ? rc : say(why, 0, "a current list, signed by the root, does not name the intermediate");
}

static int check_leaf_extensions(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->leaf_rc < 0)
        return cofre_fail(why, (enum cofre_error) - c->leaf_rc, "%s", c->leaf_why.text);
    return say(why, 0, "the %s is for \"%s\"", snp_cert_role_name(c->leaf.role), c->leaf.product_name);
}

static int undecoded_leaf(struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "the signing key's certificate is missing or could not be decoded");
}

static int check_product(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->report.version < SNP_REPORT_HAS_CPUID)
        return say(why, CHECK_SKIP, "reports of version 2 do not name the processor");
    enum snp_product product = snp_report_product(&c->report);
    if (product == SNP_PRODUCT_UNKNOWN)
        return cofre_fail(why, COFRE_NEGATIVE, "CPUID family %#x model %#x is no product known here",
                          c->report.cpuid_fam_id, c->report.cpuid_mod_id);
    if (c->leaf_rc < 0)
        return undecoded_leaf(why);
    if (product != c->leaf.product)
        return cofre_fail(why, COFRE_NEGATIVE, "the report's CPUID is a %s's, the certificate a %s's",
                          snp_product_name(product), snp_product_name(c->leaf.product));
    return say(why, 0, "the report's CPUID and the certificate both say %s", snp_product_name(product));
}

static int check_leaf_tcb(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->leaf_rc < 0)
        return undecoded_leaf(why);
    for (int i = 0; i < SNP_TCB_COMPONENTS; i++)
        if (c->leaf.tcb.svn[i] != c->reported.svn[i])
            return cofre_fail(why, COFRE_NEGATIVE, "the certificate is for %s %u, the reported TCB has %u",
                              snp_tcb_component_name(i), c->leaf.tcb.svn[i], c->reported.svn[i]);
    return say(why, 0, "every component of the reported TCB is the certificate's");
}

static int check_chip_id(const struct snp_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->leaf_rc < 0)
        return undecoded_leaf(why);
    if (c->leaf.role == SNP_ROLE_VLEK)
        return say(why, CHECK_SKIP, "a VLEK names no chip");
    if (bytes_are_zero(c->report.chip_id, sizeof c->report.chip_id))
        return say(why, CHECK_SKIP, "the host masks CHIP_ID; the certificate alone names the chip");
    if (memcmp(c->leaf.hwid, c->report.chip_id, sizeof c->report.chip_id) != 0)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the certificate is another chip's: its HWID is not the CHIP_ID");
    return say(why, 0, "the certificate's HWID is the report's CHIP_ID");
}

const struct snp_check snp_genuine_checks[] = {
    {"snp.version", check_version, 0},
    {"snp.reserved", check_reserved, 0},
    {"snp.unknown_bits", check_unknown_bits, 0},
    {"snp.signature_algorithm", check_signature_algorithm, 0},
    {"snp.signature_format", check_signature_form, 0},
    {"snp.signature", check_signature, 0},
    {"snp.signing_key", check_signing_key, 0},
    {"snp.author_key_flag", check_author_key_flag, 0},
    {"snp.ark", check_ark, 0},
    {"snp.ask", check_ask, 0},
    {"snp.leaf", check_leaf, 0},
    {"snp.names", check_names, 0},
    {"snp.validity", check_validity, 0},
    {"snp.revocation", check_revocation, 0},
    {"snp.leaf_extensions", check_leaf_extensions, 0},
    {"snp.product", check_product, 0},
    {"snp.leaf_tcb", check_leaf_tcb, 0},
    {"snp.chip_id", check_chip_id, 0},
    {NULL, NULL, 0},
};
