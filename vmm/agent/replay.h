/* cofre-agent --replay: does this guest's event log tell what its RTMRs hold? */
#ifndef COFRE_AGENT_REPLAY_H
#define COFRE_AGENT_REPLAY_H

#include <stdio.h>

#include "tdx/abi.h"
#include "vmm/base/bytes.h"

/* Prints a line for each RTMR. 0 when all are equal, -COFRE_NEGATIVE and a sentence that names the first which is not,
 * -COFRE_MALFORMED where the log is none. */
int replay_compare(FILE *out, struct view log, const struct tdx_td_info *td, struct cofre_err *err);

/* The same for the guest that this program runs in. */
int replay_here(FILE *out, struct cofre_err *err);

#endif
