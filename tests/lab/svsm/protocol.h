/*
 * The protocols that the guest calls (AMD 58019, "Secure VM Service Module for SEV-SNP Guests", revision 1.00): RAX names protocol
 * and call and takes the result, the other registers what each call says. Each function has the call's number and its registers.
 */
#ifndef TESTS_LAB_SVSM_PROTOCOL_H
#define TESTS_LAB_SVSM_PROTOCOL_H

#include <stdint.h>

#include "sev/abi.h"

enum svsm_result {
    SVSM_SUCCESS = 0,
    SVSM_ERR_UNSUPPORTED_PROTOCOL = 0x80000001,
    SVSM_ERR_UNSUPPORTED_CALL = 0x80000002,
    SVSM_ERR_INVALID_ADDRESS = 0x80000003,
    SVSM_ERR_INVALID_PARAMETER = 0x80000005,
    SVSM_ERR_INVALID_REQUEST = 0x80000006,
    SVSM_ERR_PROTOCOL_BASE = 0x80001000,
};

/* Protocol 0: the guest's memory, and which protocols there are. (Its one vCPU exists: calls 2 to 5 and 7 are not served.) */
uint32_t core_call(uint32_t call, struct snp_vmsa *registers);
/* Protocol 1: a report of VMPL 0 whose data are SHA-512(nonce, manifest). */
uint32_t attest_call(uint32_t call, struct snp_vmsa *registers);
/* Protocol 2: the TPM. */
uint32_t vtpm_call(uint32_t call, struct snp_vmsa *registers);

#define PROTOCOLS 3

/* attest.c: the page of the firmware's secrets that is VMPL 0's alone. */
void attest_open(const struct snp_secrets_page *secrets);

#endif
