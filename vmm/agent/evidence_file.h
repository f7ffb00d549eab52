/* Evidence of this guest as a file (attest/evidence.h), for whoever judges it himself. */
#ifndef COFRE_AGENT_EVIDENCE_FILE_H
#define COFRE_AGENT_EVIDENCE_FILE_H

#include "vmm/base/bytes.h"

/* For struct channel_acts. context points at a provider's get (struct evidence_provider), or is NULL: what this guest has. */
int evidence_file(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err);

#endif
