/* What a guest asks a verifier's service for on evidence: one challenge, evidence that is bound to it and to the connection, one answer. */
#ifndef COFRE_AGENT_TRUST_QUESTION_H
#define COFRE_AGENT_TRUST_QUESTION_H

#include "vmm/agent/trust_client.h"

struct trust_question {
    const char *path;
    const char *policy;          /* by which evidence is to be judged */
    struct view recipient, name; /* where it is a key: whom it is to be sealed to, and its name; else empty */
    json_t *more;                /* members that go beside policy, challenge and evidence */
    /* As struct channel_acts has it. */
    void *context;
    int (*evidence)(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err);
};

/* *answer is the caller's. A refusal is -COFRE_FAILED with the service's sentence. */
int trust_ask(json_t **answer, struct trust_client *client, const struct trust_question *question,
              struct cofre_err *err);

#endif
