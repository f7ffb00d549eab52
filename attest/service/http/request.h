/* One request to a service, until it is answered. */
#ifndef COFRE_ATTEST_SERVICE_HTTP_REQUEST_H
#define COFRE_ATTEST_SERVICE_HTTP_REQUEST_H

#include <jansson.h>
#include <openssl/types.h>

#include "vmm/base/bytes.h"

struct request;

/* What was asked; all of it lives as long as the request. */
const char *request_method(const struct request *request); /* "GET" */
const char *
request_path(const struct request *request); /* decoded, without the query; "/" where it was none */
const char *request_header(const struct request *request, const char *name); /* or NULL */
/* Of the query, decoded; NULL where it is not there. */
const char *request_parameter(const struct request *request, const char *name);
struct view request_body(const struct request *request);
/* That the client's end of TLS proved to have, and somebody vouches for; NULL where it has none. */
X509 *request_certificate(const struct request *request);
/* What evidence can be bound to: the exporter value (RFC 9266) of the connection, which is TLS 1.3, and the key of the client's
 * end of it as SubjectPublicKeyInfo, whoever vouches for it; NULL where the client has shown none. */
struct request_channel {
    uint8_t exporter[32];
    struct bytes key;
};
const struct request_channel *request_channel(const struct request *request);

/*
 * The answer, once, from any thread; the request is gone then. type is a media type; a body of length 0 and type NULL go
 * with a status that has none.
 */
void request_add_header(struct request *request, const char *name, const char *value); /* before */
void request_answer(struct request *request, int status, const char *type, struct view body);
/* Takes the object over; NULL is what the caller had no memory for. */
void request_answer_json(struct request *request, int status, json_t *object);
void request_answer_text(struct request *request, int status, const char *json); /* borrowed; NULL as above */
/* RFC 9457: the sentence as "detail", and a word for programs as "code". */
void request_problem(struct request *request, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
