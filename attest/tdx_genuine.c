/* Checks that need no policy: the quote is well formed, signed by a quoting enclave, and Intel vouches for the enclave's
 * platform. */
#include <openssl/evp.h>
#include <string.h>

#include "attest/tdx.h"
#include "tdx/collateral.h"

static int check_key_type(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    unsigned type = le16(c->quote.head->key_type);
    if (type != TDX_QUOTE_KEY_P256)
        return cofre_fail(why, COFRE_NEGATIVE, "attestation key type %u is not %d (ECDSA P-256 with SHA-256)",
                          type, TDX_QUOTE_KEY_P256);
    return say(why, 0, "ECDSA P-256 with SHA-256");
}

static int check_vendor(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (memcmp(c->quote.head->qe_vendor_id, tdx_quote_intel_qe, sizeof tdx_quote_intel_qe) != 0)
        return cofre_fail(why, COFRE_NEGATIVE, "the quoting enclave's vendor id is not Intel's");
    return say(why, 0, "the quoting enclave says that it is Intel's");
}

static int check_reserved(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct tdx_qe_report *qe = &c->quote.qe->report;
    if (!bytes_are_zero(c->quote.head->reserved, sizeof c->quote.head->reserved))
        return cofre_fail(why, COFRE_NEGATIVE, "reserved bytes of the quote's header are not zero");
    if (!bytes_are_zero(qe->reserved1, sizeof qe->reserved1) ||
        !bytes_are_zero(qe->reserved2, sizeof qe->reserved2) ||
        !bytes_are_zero(qe->reserved3, sizeof qe->reserved3) ||
        !bytes_are_zero(qe->reserved4, sizeof qe->reserved4))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the quoting enclave's report uses fields that it has no business with");
    return say(why, 0, "all reserved fields are zero");
}

static int check_trailing(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    struct view rest = c->quote.trailing;
    if (!bytes_are_zero(rest.data, rest.len))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "%zu bytes follow the quote that are not its, nor padding with zeros", rest.len);
    return rest.len ? say(why, 0, "%zu zeros follow the quote", rest.len)
                    : say(why, 0, "nothing follows the quote");
}

static int check_form(const uint8_t signature[TDX_P256_SIZE], const char *r, const char *s,
                      struct cofre_err *why)
{
    int rc = ecdsa_check_scalar(&ecdsa_p256, signature, r, why);
    return rc < 0 ? rc : ecdsa_check_scalar(&ecdsa_p256, signature + TDX_P256_SIZE / 2, s, why);
}

static int check_signature_form(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = check_form(c->quote.signature->signature, "R of the quote's signature",
                        "S of the quote's signature", why);
    if (rc == 0)
        rc = check_form(c->quote.qe->report_signature, "R of the QE report's signature",
                        "S of the QE report's signature", why);
    return rc < 0 ? rc : say(why, 0, "R and S of both signatures are scalars of P-256");
}

static int no_signature(struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "there is no well-formed signature to verify");
}

static int check_attestation_key(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->attestation_key)
        return cofre_fail(why, COFRE_NEGATIVE, "the attestation key is no point of P-256");
    return say(why, 0, "a point of P-256");
}

static int check_signature(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->attestation_key)
        return cofre_fail(why, COFRE_LACKING, "there is no attestation key to verify with");
    if (check_form(c->quote.signature->signature, "", "", NULL) < 0)
        return no_signature(why);
    int rc = ecdsa_verify(&ecdsa_p256, c->quote.signature->signature, c->attestation_key,
                          c->quote.signed_bytes, NULL);
    if (rc == -COFRE_NEGATIVE)
        return cofre_fail(
            why, COFRE_NEGATIVE,
            "the signature is not one of this quote by the attestation key: the quote was altered");
    return rc < 0 ? rc : say(why, 0, "made by the attestation key over header and body");
}

static int check_qe_report_data(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const uint8_t *data = c->quote.qe->report.report_data;
    uint8_t digest[32];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool hashed = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                  EVP_DigestUpdate(md, c->quote.signature->attestation_key, TDX_P256_SIZE) == 1 &&
                  EVP_DigestUpdate(md, c->quote.qe_auth_data.data, c->quote.qe_auth_data.len) == 1 &&
                  EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (!hashed)
        return cofre_fail(why, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
    if (memcmp(data, digest, sizeof digest) != 0 || !bytes_are_zero(data + 32, 32))
        return cofre_fail(
            why, COFRE_NEGATIVE,
            "the quoting enclave's report vouches for another attestation key than the quote's");
    return say(why, 0, "the quoting enclave's report vouches for the attestation key");
}

static int no_pck(const struct tdx_case *c, struct cofre_err *why)
{
    return cofre_fail(
        why, COFRE_LACKING,
        "the PCK certificate is missing: the quote's certification data has type %u; give it in "
        "--collateral (pck_certificate_chain) or with --cert",
        c->quote.certification_type);
}

static int verify_qe_report(const struct tdx_case *c)
{
    EVP_PKEY *key = X509_get0_pubkey(c->chain.leaf);
    struct view report = {(const uint8_t *)&c->quote.qe->report, sizeof c->quote.qe->report};
    if (c->signer)
        return 0;
    return key ? ecdsa_verify(&ecdsa_p256, c->quote.qe->report_signature, key, report, NULL)
               : -COFRE_MALFORMED;
}

static int check_qe_signature(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_pck(c, why);
    if (check_form(c->quote.qe->report_signature, "", "", NULL) < 0)
        return no_signature(why);
    int rc = verify_qe_report(c);
    if (rc == -COFRE_MALFORMED)
        return cofre_fail(why, COFRE_LACKING, "the PCK certificate has no key of P-256 to verify with");
    if (rc == -COFRE_NEGATIVE)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the QE report's signature is not one by the PCK certificate's key: the report was "
                          "altered, or the certificate is another platform's");
    return rc < 0 ? rc : say(why, 0, "made by the PCK certificate's key over the QE's report");
}

/* Within the chain, which a remembered signer has as it is. */
static int check_issued(const struct tdx_case *c, X509 *cert, X509 *issuer, struct cofre_err *why)
{
    return c->signer ? 0 : tdx_check_issued(c->collateral, cert, issuer, why);
}

static int check_root(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    X509 *root = c->chain.root;
    char name[128];
    if (!c->chain.leaf)
        return no_pck(c, why);
    if (!root)
        return cofre_fail(why, COFRE_LACKING,
                          "the root certificate of the chain is missing: give it with --cert");
    x509_name(name, root);
    bool trusted = c->in->roots && x509_certs_have(c->in->roots, root);
    if (!trusted && !tdx_root_is_intel(root))
        return cofre_fail(why, COFRE_NEGATIVE, "the key of %s is not Intel's%s", name,
                          x509_is_emulated(root)
                              ? ": it is the emulated platform's, which --trust-root accepts for tests"
                              : "; the chain could be anybody's");
    int rc = x509_check_ca(&tdx_scheme, root, 1, why);
    if (rc == 0)
        rc = check_issued(c, root, root, why);
    return rc < 0 ? rc
                  : say(why, 0,
                        trusted ? "%s was given with --trust-root and signs itself"
                                : "%s has Intel's pinned key and signs itself",
                        name);
}

static int check_pck_ca(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_pck(c, why);
    if (!c->chain.intermediate || !c->chain.root)
        return cofre_fail(why, COFRE_LACKING, "the %s of the chain is missing: give it with --cert",
                          c->chain.intermediate ? "root certificate" : "PCK CA's certificate");
    int rc = x509_check_ca(&tdx_scheme, c->chain.intermediate, 0, why);
    if (rc == 0)
        rc = check_issued(c, c->chain.intermediate, c->chain.root, why);
    return rc < 0 ? rc : say(why, 0, "the root's key signed the PCK CA");
}

static int check_pck(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!c->chain.leaf)
        return no_pck(c, why);
    int rc = x509_check_end_entity(c->chain.leaf, &ecdsa_p256, why);
    if (rc < 0)
        return rc;
    if (!c->chain.intermediate)
        return cofre_fail(why, COFRE_LACKING, "the PCK CA's certificate is missing: give it with --cert");
    rc = check_issued(c, c->chain.leaf, c->chain.intermediate, why);
    return rc < 0 ? rc : say(why, 0, "the PCK CA's key signed the PCK certificate");
}

/* A key of one role must not stand in for another: all of them are Intel's. */
static int check_names(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct tdx_chain *chain = &c->chain;
    if (!chain->leaf || !chain->intermediate || !chain->root)
        return cofre_fail(why, COFRE_LACKING, "the chain is not whole");
    enum tdx_role leaf = tdx_cert_role(chain->leaf), middle = tdx_cert_role(chain->intermediate),
                  root = tdx_cert_role(chain->root);
    if (leaf != TDX_ROLE_PCK)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the QE's report is signed by the key of a certificate that is by its "
                          "name no PCK's but: %s",
                          tdx_role_name(leaf));
    if (middle != TDX_ROLE_PLATFORM_CA && middle != TDX_ROLE_PROCESSOR_CA)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the PCK certificate's issuer is by its name no PCK CA but: %s",
                          tdx_role_name(middle));
    if (root != TDX_ROLE_ROOT)
        return cofre_fail(why, COFRE_NEGATIVE, "the chain's root is by its name not the %s",
                          tdx_role_name(TDX_ROLE_ROOT));
    return say(why, 0, "%s, %s, %s", tdx_role_name(root), tdx_role_name(middle), tdx_role_name(leaf));
}

static int check_validity(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    X509 *const chain[] = {c->chain.leaf, c->chain.intermediate, c->chain.root};
    return judge_validity(chain, 3, c->in->at, why);
}

enum revoked { PCK_CA, PCK };
static int check_revocation(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    X509 *cert = arg == PCK ? c->chain.leaf : c->chain.intermediate;
    X509 *issuer = arg == PCK ? c->chain.intermediate : c->chain.root;
    if (!cert || !issuer)
        return cofre_fail(why, COFRE_LACKING, "the chain is not whole");
    int rc = tdx_case_check_revocation(c, cert, issuer, why);
    return rc < 0 ? rc
                  : say(why, 0, "a current list, signed by the %s, does not name the %s",
                        arg == PCK ? "PCK CA" : "root", arg == PCK ? "PCK certificate" : "PCK CA");
}

static int check_pck_extensions(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    char fmspc[13];
    if (c->pck_rc < 0)
        return cofre_fail(why, (enum cofre_error) - c->pck_rc, "%s", c->pck_why.text);
    hex_encode(fmspc, c->pck.fmspc, sizeof c->pck.fmspc);
    return say(why, 0, "the PCK certificate is for FMSPC %s", fmspc);
}

const struct tdx_check tdx_genuine_checks[] = {
    {"tdx.key_type", check_key_type, 0},
    {"tdx.vendor", check_vendor, 0},
    {"tdx.reserved", check_reserved, 0},
    {"tdx.trailing", check_trailing, 0},
    {"tdx.signature_format", check_signature_form, 0},
    {"tdx.attestation_key", check_attestation_key, 0},
    {"tdx.signature", check_signature, 0},
    {"tdx.qe_report_data", check_qe_report_data, 0},
    {"tdx.qe_signature", check_qe_signature, 0},
    {"tdx.root", check_root, 0},
    {"tdx.pck_ca", check_pck_ca, 0},
    {"tdx.pck", check_pck, 0},
    {"tdx.names", check_names, 0},
    {"tdx.validity", check_validity, 0},
    {"tdx.revocation.pck_ca", check_revocation, PCK_CA},
    {"tdx.revocation.pck", check_revocation, PCK},
    {"tdx.pck_extensions", check_pck_extensions, 0},
    {NULL, NULL, 0},
};
