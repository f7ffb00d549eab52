/* What a worker remembers from one request to the next: who signed what it has seen, and policies as they were read. All of it is bounded
 * and stays true: a database's policy has the same meaning while it has the same text. */
#ifndef COFRE_ATTEST_SERVICE_MEMORY_H
#define COFRE_ATTEST_SERVICE_MEMORY_H

#include "attest/policy.h"
#include "tdx/signer.h"
#include "vmm/base/x509_issued.h"

#define MEMORY_POLICIES 16

struct memory {
    struct x509_issued issued;
    struct tdx_signers signers;
    struct {
        uint8_t digest[32]; /* SHA-256 of its text */
        struct policy policy;
        bool used;
    } policy[MEMORY_POLICIES];
    size_t next;
};

void memory_free(struct memory *memory);

/* The policy of that text; it is the memory's, and there until the next call. *digest: SHA-256 of the text. */
int memory_policy(struct memory *memory, const struct policy **out, uint8_t digest[static 32],
                  struct view text, struct cofre_err *err);

#endif
