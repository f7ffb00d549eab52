/* cofre-agent result: a verifier's result on this guest, over a connection to which the guest's evidence is bound. */
#ifndef COFRE_AGENT_RESULT_H
#define COFRE_AGENT_RESULT_H

#include "vmm/agent/trust_client.h"

struct agent_result_request {
    struct trust_client *client;
    const char *policy;
    /* As struct channel_acts has it. */
    void *context;
    int (*evidence)(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err);
};

/* The service's answer, the caller's, whatever its outcome is. */
int agent_result_fetch(json_t **out, const struct agent_result_request *request, struct cofre_err *err);

/* The command, from its name on; an exit code. */
int agent_result_command(int argc, char **argv);

#endif
