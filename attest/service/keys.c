/* The keys that verify the service's tokens and its log, as both kinds of reader want them. */
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"

static void publish(struct call *call, bool jwks, const char *type)
{
    CLEAN_BYTES set = {0};
    struct cofre_err err;
    int rc = signer_publish(call->trust->signer, &set, jwks, call->now, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer(call->request, 200, type, bytes_view(&set));
}

void keys_jwks(struct call *call)
{
    publish(call, true, "application/jwk-set+json");
}

void keys_cose(struct call *call)
{
    publish(call, false, "application/cose-key-set");
}
