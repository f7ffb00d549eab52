/* What a client of cofred's sees of it: a server at a unix socket that notes each request, and answers as it was told. */
#ifndef TESTS_UNIT_CLI_FAKE_HOST_H
#define TESTS_UNIT_CLI_FAKE_HOST_H

#include "vmm/base/bytes.h"

struct fake_host;

struct fake_answer {
    const char *request; /* "GET /v1/tenants": method and path, with the query */
    int status;
    const char *type; /* NULL: application/json */
    const char *body; /* "": none. An answer of "text/event-stream" is sent in pieces, one for each "\n\n" */
};

/* answers end with one without a request. Each is given once, in any order; a request that is not among them is answered 500. */
struct fake_host *fake_host_start(const char *socket, const struct fake_answer *answers);
/* What was asked: for each request a line "METHOD PATH AUTHORIZATION BODY", a body of more than 4000 bytes by its length and "bytes". Valid until
 * the next is stopped. */
const char *fake_host_stop(struct fake_host *host);

#endif
