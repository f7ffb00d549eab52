/* Status codes of the SEV-SNP firmware (56860, chapter 6; uapi psp-sev.h) and what each means to an operator. */
#ifndef COFRE_SEV_FW_STATUS_H
#define COFRE_SEV_FW_STATUS_H

#include <stdint.h>

#define SNP_FW_BAD_MEASUREMENT 0x0bu
#define SNP_FW_INVALID_PARAM   0x16u

struct snp_fw_status {
    uint32_t code;
    const char *name;    /* "POLICY_FAILURE" */
    const char *meaning; /* what is wrong */
    const char *remedy;  /* what to change; empty where nobody outside the firmware can say */
};

/* Never NULL: a code that the specification does not list gives an entry that says so. */
const struct snp_fw_status *snp_fw_status(uint32_t code);

#endif
