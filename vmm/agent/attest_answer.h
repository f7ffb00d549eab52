/* What an agent answers to a request for evidence (docs/agent.md): one line of JSON, and the guest's word. */
#ifndef COFRE_AGENT_ATTEST_ANSWER_H
#define COFRE_AGENT_ATTEST_ANSWER_H

#include "attest/evidence.h"

#define ATTEST_ANSWER_MANIFEST_MAX (64u << 10)

/* Into an empty *out, but the nonce; the caller frees it in any case. manifest: NULL, or the same for what a report on an SVSM's
 * services is on, which the answer then must have. What the agent says is taken as it is: the verifier
 * judges it. COFRE_FAILED with the agent's own words where it gives none; COFRE_MALFORMED for what is no answer. */
int attest_answer_parse(struct evidence *out, struct bytes *manifest, const char *line,
                        struct cofre_err *err);

#endif
