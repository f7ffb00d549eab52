/* A call of cofre-trust's interface (docs/trust.md), by libcurl: HTTPS, TLS 1.3, the service vouched for by a CA of the caller's. */
#ifndef COFRE_CLI_TRUST_CALL_H
#define COFRE_CLI_TRUST_CALL_H

#include <jansson.h>

#include "vmm/base/error.h"

struct trust_service {
    const char *url;        /* https://HOST[:PORT] */
    const char *ca;         /* file: PEM */
    const char *token_file; /* with the caller's token, and nothing else but the line's end */
};

/* body may be NULL. *answer is the caller's. What the service refuses is -COFRE_NEGATIVE (404), -COFRE_USAGE (its other 4xx) or
 * -COFRE_FAILED, with the service's own sentence. */
int trust_call(json_t **answer, const struct trust_service *service, const char *method, const char *path,
               const json_t *body, struct cofre_err *err);

#endif
