/* A request's head, as HTTP brought it, to the operation that it asks for. */
#ifndef COFRE_HOST_FRONT_REQUEST_H
#define COFRE_HOST_FRONT_REQUEST_H

#include <microhttpd.h>

#include "vmm/host/interface/message.h"
#include "vmm/host/page/page.h"

/* Why not. */
struct refusal {
    int status;
    const char *code;
    struct cofre_err why;
    char allow[64]; /* of 405: methods */
};

/* uri: as it came, query and all. Fills operation, parts, query, token and upload of *out, which the caller frees in any case; 0, or
 * -COFRE_NEGATIVE and *refusal. */
int request_head(struct message_request *out, struct MHD_Connection *connection, const char *method,
                 const char *version, const char *uri, struct refusal *refusal);
/* The same of a page for auditors: *out, which is the caller's to free. */
int request_page(struct page **out, struct MHD_Connection *connection, const char *method,
                 const char *version, const char *uri, struct refusal *refusal);
/* The body, whole, of a request whose head was good. */
int request_body(struct message_request *out, struct view body, struct refusal *refusal);

#endif
