/* The guest policy (sev/abi.h, SNP_POLICY_*) as people write it: names or a number. */
#ifndef COFRE_SEV_POLICY_H
#define COFRE_SEV_POLICY_H

#include "sev/abi.h"
#include "vmm/base/error.h"

/* SMT allowed, nothing else; any ABI version. */
#define SNP_POLICY_DEFAULT (SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT)

/*
 * Reads a number ("0x30000", "196608"), which stands for itself, or names with commas between them. Names are
 * what the policy allows or demands, and nothing is set that is not named: smt, migrate-ma, debug,
 * single-socket, cxl, aes-256-xts, rapl-disable, ciphertext-hiding, page-swap-disable, abi=MAJOR.MINOR, and
 * none for a policy that sets no other. Bit 17, which must be one, is set for names and demanded of a number;
 * bits that the specification reserves are refused.
 */
int snp_policy_parse(uint64_t *out, const char *text, struct cofre_err *err);

/* Refuses bit 17 clear and bits above 25. */
int snp_policy_check(uint64_t policy, struct cofre_err *err);

#define SNP_POLICY_TEXT_SIZE 192
/* Writes the names, or a number where bits have no name; snp_policy_parse reads it back. */
void snp_policy_format(char out[SNP_POLICY_TEXT_SIZE], uint64_t policy);

#endif
