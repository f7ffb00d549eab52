/*
 * The way to a TPM 2.0 for tpm2-tss (TCG TSS 2.0 TPM Command Transmission Interface 1.0): the kernel's device, or a unix socket at which
 * the same bytes are spoken, as swtpm does. tpm2-tss's own ways wait without end; of this one all waiting together ends at a moment
 * that is set when it is opened.
 */
#ifndef COFRE_TPM_LINK_H
#define COFRE_TPM_LINK_H

#include <tss2/tss2_tcti.h>

#include "vmm/base/bytes.h"

struct tpm_link;

/* -COFRE_LACKING: there is none at the path. */
int tpm_link_open(struct tpm_link **out, const char *path, unsigned milliseconds, struct cofre_err *err);
void tpm_link_close(struct tpm_link *link);
TSS2_TCTI_CONTEXT *tpm_link_tcti(struct tpm_link *link);
/* Why it is of no use any more, to stand after the TPM's name; NULL while it is. */
const char *tpm_link_why(const struct tpm_link *link);

#endif
