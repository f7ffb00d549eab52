/* A call of cofred's interface (docs/cofred.md), by libcurl: over its unix socket, or HTTPS with TLS 1.3 and a service that a CA of the caller's vouches
 * for. */
#ifndef COFRE_CLI_HOST_CALL_H
#define COFRE_CLI_HOST_CALL_H

#include <jansson.h>

#include "vmm/base/bytes.h"

#define HOST_SERVER_DEFAULT "unix:/run/cofred/api.sock"

struct host_server {
    const char *url;        /* unix:PATH, or https://HOST[:PORT] */
    const char *ca;         /* file, PEM: who vouches for the service. With https */
    const char *cert, *key; /* files, PEM: the caller's certificate. NULL: none */
    const char *token_file; /* with a bearer token, and nothing else but the line's end. NULL: none */
};

/* Bytes of an answer that is not read whole, as they come: first none, when it begins. A negative result ends the call and is its own. */
typedef int (*host_take)(void *context, struct view bytes, struct cofre_err *err);

struct host_request {
    const char *method, *path;
    const json_t *body; /* NULL: none */
    int upload;         /* >= 0: a file whose bytes are the body, upload_size of them; -1: none */
    uint64_t upload_size;
    bool progress;  /* show how far the upload is, on standard error */
    host_take take; /* NULL: the answer is one JSON object, for *answer */
    void *context;
};

/*
 * *answer is the caller's, and NULL where there is none (status 204, or take). What the service refuses has the service's own sentence, and
 * the code that belongs to its status: -COFRE_NEGATIVE it is not there, not allowed, or not possible now; -COFRE_USAGE the request is wrong;
 * -COFRE_LACKING there is no room, or it is to be tried later; -COFRE_FAILED all else. 1: it was accepted (202), and goes on
 * without us.
 */
int host_call(json_t **answer, const struct host_server *server, const struct host_request *request,
              struct cofre_err *err);

#endif
