#include "attest/service/memory.h"

#include <openssl/evp.h>
#include <string.h>

static void forget(struct memory *m, size_t i)
{
    if (m->policy[i].used)
        policy_free(&m->policy[i].policy);
    m->policy[i].used = false;
}

void memory_free(struct memory *m)
{
    for (size_t i = 0; i < MEMORY_POLICIES; i++)
        forget(m, i);
    x509_issued_free(&m->issued);
    tdx_signers_free(&m->signers);
}

int memory_policy(struct memory *m, const struct policy **out, uint8_t digest[static 32], struct view text,
                  struct cofre_err *err)
{
    if (EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    for (size_t i = 0; i < MEMORY_POLICIES; i++)
        if (m->policy[i].used && memcmp(m->policy[i].digest, digest, 32) == 0) {
            *out = &m->policy[i].policy;
            return 0;
        }
    const size_t at = m->next++ % MEMORY_POLICIES;
    forget(m, at);
    int rc = policy_parse(&m->policy[at].policy, text, err);
    if (rc < 0)
        return rc;
    memcpy(m->policy[at].digest, digest, 32);
    m->policy[at].used = true;
    *out = &m->policy[at].policy;
    return 0;
}
