/*
 * ATTESTATION_REPORT (sev/abi.h; 56860, 7.3), versions 2 to 5: what can be said of its bytes alone. Version 4 is laid
 * out like 3; 3 added the CPUID family, model and stepping, 5 the mitigation vectors.
 */
#ifndef COFRE_SEV_REPORT_H
#define COFRE_SEV_REPORT_H

#include <openssl/types.h>

#include "sev/abi.h"
#include "sev/product.h"
#include "sev/tcb.h"
#include "vmm/base/bytes.h"

#define SNP_REPORT_VERSION_MIN  2
#define SNP_REPORT_VERSION_MAX  5
#define SNP_REPORT_HAS_CPUID    3 /* from this version on */
#define SNP_REPORT_HAS_VECTORS  5
#define SNP_REPORT_SIGNED_BYTES offsetof(struct snp_report, signature)
#define SNP_VMPL_HOST           0xffffffffu /* the host asked for the report, not the guest */

/* Bits that a name in sev/abi.h exists for. */
#define SNP_POLICY_KNOWN   0x3ffffffull
#define SNP_PLATFORM_KNOWN 0xffull

/* Copies the report; -COFRE_MALFORMED unless raw has exactly its size. Nothing else is checked here. */
int snp_report_parse(struct snp_report *out, struct view raw, struct cofre_err *err);

/* From CPUID family and model; UNKNOWN before version 3. */
enum snp_product snp_report_product(const struct snp_report *report);

/* -COFRE_NEGATIVE and a sentence, for each of the following: */
/* The version is one that is known, and unambiguous on this product (2 is not on Turin). */
int snp_report_check_version(const struct snp_report *report, enum snp_product product,
                             struct cofre_err *err);
/* Every field that the report's version reserves is zero, and policy bit 17 is one. */
int snp_report_check_reserved(const struct snp_report *report, struct cofre_err *err);
/* Guest policy and platform information have no bits that this code does not know. */
int snp_report_check_unknown_bits(const struct snp_report *report, struct cofre_err *err);
/* R and S are in [1, n-1] and all bytes around them zero. */
int snp_report_check_signature_form(const struct snp_report *report, struct cofre_err *err);
/* The signature is the key's over the report's signed bytes. */
int snp_report_check_signature(const struct snp_report *report, EVP_PKEY *key, struct cofre_err *err);

#endif
