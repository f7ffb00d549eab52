#include "sev/report.h"

#include <inttypes.h>
#include <string.h>

#include "sev/ecdsa.h"

int snp_report_parse(struct snp_report *out, struct view raw, struct cofre_err *err)
{
    if (raw.len != sizeof *out)
        return cofre_fail(err, COFRE_MALFORMED, "the report has %zu bytes; an SEV-SNP report has %zu",
                          raw.len, sizeof *out);
    memcpy(out, raw.data, sizeof *out);
    return 0;
}

enum snp_product snp_report_product(const struct snp_report *report)
{
    return report->version < SNP_REPORT_HAS_CPUID
               ? SNP_PRODUCT_UNKNOWN
               : snp_product_of_cpuid(report->cpuid_fam_id, report->cpuid_mod_id);
}

int snp_report_check_version(const struct snp_report *report, enum snp_product product, struct cofre_err *err)
{
    if (report->version < SNP_REPORT_VERSION_MIN || report->version > SNP_REPORT_VERSION_MAX)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the report has version %" PRIu32 "; versions %d to %d are known", report->version,
                          SNP_REPORT_VERSION_MIN, SNP_REPORT_VERSION_MAX);
    if (report->version < SNP_REPORT_HAS_CPUID && product == SNP_PRODUCT_TURIN)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the report has version 2, in which Turin's TCB versions are ambiguous; the firmware of "
            "that host is too old");
    return 0;
}

/* Where a reserved range begins and ends, and in which versions it is one. */
static const struct {
    size_t from, to;
    uint32_t first_version, last_version;
} reserved[] = {
    {offsetof(struct snp_report, reserved_4c), offsetof(struct snp_report, report_data), 0, UINT32_MAX},
    {offsetof(struct snp_report, cpuid_fam_id), offsetof(struct snp_report, reserved_18b), 0,
     SNP_REPORT_HAS_CPUID - 1},
    {offsetof(struct snp_report, reserved_18b), offsetof(struct snp_report, chip_id), 0, UINT32_MAX},
    {offsetof(struct snp_report, reserved_1eb), offsetof(struct snp_report, committed_build), 0, UINT32_MAX},
    {offsetof(struct snp_report, reserved_1ef), offsetof(struct snp_report, launch_tcb), 0, UINT32_MAX},
    {offsetof(struct snp_report, launch_mit_vector), offsetof(struct snp_report, reserved_208), 0,
     SNP_REPORT_HAS_VECTORS - 1},
    {offsetof(struct snp_report, reserved_208), offsetof(struct snp_report, signature), 0, UINT32_MAX},
};

int snp_report_check_reserved(const struct snp_report *report, struct cofre_err *err)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (report->version >= reserved[i].first_version && report->version <= reserved[i].last_version &&
            !bytes_are_zero((const uint8_t *)report + reserved[i].from, reserved[i].to - reserved[i].from))
            return cofre_fail(err, COFRE_NEGATIVE,
                              "bytes %#zx to %#zx, which version %" PRIu32 " reserves, are not zero",
                              reserved[i].from, reserved[i].to - 1, report->version);
    if (report->flags >> 5)
        return cofre_fail(err, COFRE_NEGATIVE, "reserved bits of the flags at 0x48 are set (%#" PRIx32 ")",
                          report->flags);
    if (!(report->policy & SNP_POLICY_RESERVED_ONE))
        return cofre_fail(err, COFRE_NEGATIVE, "bit 17 of the guest policy, which is always one, is zero");
    return 0;
}

int snp_report_check_unknown_bits(const struct snp_report *report, struct cofre_err *err)
{
    if (report->policy & ~SNP_POLICY_KNOWN)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the guest policy %#" PRIx64 " has bits that are not known here", report->policy);
    if (report->platform_info & ~SNP_PLATFORM_KNOWN)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the platform information %#" PRIx64 " has bits that are not known here",
                          report->platform_info);
    return 0;
}

int snp_report_check_signature_form(const struct snp_report *report, struct cofre_err *err)
{
    int rc = snp_ecdsa_check_scalar(report->signature.r, "the signature's R", err);
    if (rc == 0)
        rc = snp_ecdsa_check_scalar(report->signature.s, "the signature's S", err);
    if (rc == 0 && !bytes_are_zero(report->signature.reserved, sizeof report->signature.reserved))
        rc = cofre_fail(err, COFRE_NEGATIVE, "bytes after the signature's S are not zero");
    return rc;
}

int snp_report_check_signature(const struct snp_report *report, EVP_PKEY *key, struct cofre_err *err)
{
    return snp_ecdsa_verify(&report->signature, key,
                            (struct view){(const uint8_t *)report, SNP_REPORT_SIGNED_BYTES}, err);
}
