/*
 * The host's end of the agent's protocol (vmm/agent/request.h): one request, one answer, through the guest's vsock socket
 * (docs/vsock.md: "CONNECT port", "OK ...", then the guest's stream). Whatever the guest does, it ends in time.
 */
#ifndef COFRE_AGENT_CLIENT_H
#define COFRE_AGENT_CLIENT_H

#include "vmm/base/bytes.h"

#define AGENT_ANSWER_MAX (4u << 20)

/*
 * Asks the agent behind the socket; request is one JSON object, without a newline. *answer is its line, terminated, and
 * the caller's; what it says is the guest's word. COFRE_USAGE where the path is no socket's that somebody listens on;
 * COFRE_FAILED where no answer comes within so many seconds; COFRE_MALFORMED for one longer than AGENT_ANSWER_MAX.
 */
int agent_ask(struct bytes *answer, const char *socket_path, const char *request, unsigned seconds,
              struct cofre_err *err);
/* The same over a connection to such a socket that somebody else made; it stays the caller's. name is what sentences call it. */
int agent_ask_connected(struct bytes *answer, int fd, const char *name, const char *request, unsigned seconds,
                        struct cofre_err *err);

/* The request for evidence over these report data, which is what cofre-agent's answer to it is: vmm/agent/attest_answer.h.
 * service: "vtpm", "all", or NULL: the guest's own report. */
#define AGENT_EVIDENCE_SIZE 224
void agent_evidence_request(char out[static AGENT_EVIDENCE_SIZE], const uint8_t report_data[64],
                            const char *service);

#endif
