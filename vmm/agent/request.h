/*
 * The agent's protocol: one JSON object a line in, one a line out, over a stream (vsock port AGENT_PORT).
 *   {"op": "evidence", "report_data": "128 hex digits"}
 *     -> {"ok": true, "tee": "snp" or "tdx", "provider": "configfs-tsm", "report": HEX, "certificates": HEX,
 *         "event_log": HEX}; the last two may be empty
 *   {"op": "evidence", "report_data": "128 hex digits", "service": "vtpm" or "all"}
 *     -> the same, of the SVSM beneath the guest on its services, with "manifest": HEX: what the report is on
 *   {"op": "poweroff"} -> {"ok": true}, and the guest's own poweroff command is started
 *   {"op": "ping"}     -> {"ok": true, "agent": VERSION}
 *   anything else      -> {"ok": false, "error": SENTENCE}
 * The asker is the host, which the guest does not trust: it learns only what a report tells anyone, and it
 * could end the guest anyway.
 */
#ifndef COFRE_AGENT_REQUEST_H
#define COFRE_AGENT_REQUEST_H

#include <stddef.h>

#define AGENT_PORT        4050
#define AGENT_REQUEST_MAX 1024 /* bytes of a request line, without its newline */

struct agent_actions; /* what requests can do; a double in tests */
struct agent_evidence;
struct cofre_err;

enum agent_service { SERVICE_VTPM, SERVICE_ALL }; /* of an SVSM's, what a report is to be on */

struct agent_actions {
    int (*evidence)(const unsigned char report_data[64], struct agent_evidence *out, struct cofre_err *err);
    int (*poweroff)(struct cofre_err *err);
    int (*services)(enum agent_service service, const unsigned char report_data[64],
                    struct agent_evidence *out, struct cofre_err *err);
};

/* Answers one line (len bytes, not terminated). The caller frees the result; it ends in a newline. NULL: no
 * memory. */
char *agent_answer(const struct agent_actions *actions, const char *line, size_t len);

#endif
