/*
 * The one table of what cofred can be asked to do. Roles, the log, metrics, the OpenAPI document and the messages between its
 * processes all name operations by it. Numbers are the messages' and the log's: a new one is appended, none ever moves.
 */
#ifndef COFRE_HOST_OPERATION_H
#define COFRE_HOST_OPERATION_H

#include "vmm/host/interface/schema.h"

enum operation_number {
    OPERATION_TENANT_CREATE,
    OPERATION_TENANT_LIST,
    OPERATION_TENANT_SHOW,
    OPERATION_TENANT_UPDATE,
    OPERATION_TENANT_DELETE,
    OPERATION_GUEST_CREATE,
    OPERATION_GUEST_LIST,
    OPERATION_GUEST_SHOW,
    OPERATION_GUEST_UPDATE,
    OPERATION_GUEST_DELETE,
    OPERATION_GUEST_START,
    OPERATION_GUEST_STOP,
    OPERATION_GUEST_KILL,
    OPERATION_GUEST_RESTART,
    OPERATION_GUEST_PAUSE,
    OPERATION_GUEST_RESUME,
    OPERATION_GUEST_LIMIT,
    OPERATION_GUEST_WAIT,
    OPERATION_GUEST_CONSOLE,
    OPERATION_GUEST_INPUT,
    OPERATION_GUEST_LOGS,
    OPERATION_GUEST_EVIDENCE,
    OPERATION_GUEST_STATISTICS,
    OPERATION_IMAGE_ADD,
    OPERATION_IMAGE_LIST,
    OPERATION_IMAGE_SHOW,
    OPERATION_IMAGE_DELETE,
    OPERATION_IMAGE_TAG,
    OPERATION_ROLE_DEFINE,
    OPERATION_ROLE_LIST,
    OPERATION_ROLE_DELETE,
    OPERATION_GRANT_ADD,
    OPERATION_GRANT_LIST,
    OPERATION_GRANT_REMOVE,
    OPERATION_CONSTRAINT_SET,
    OPERATION_CONSTRAINT_SHOW,
    OPERATION_APPROVAL_LIST,
    OPERATION_APPROVAL_GIVE,
    OPERATION_APPROVAL_REFUSE,
    OPERATION_AUDIT_ENTRIES,
    OPERATION_AUDIT_HEAD,
    OPERATION_AUDIT_PROOF,
    OPERATION_AUDIT_CONSISTENCY,
    OPERATION_HOST_SHOW,
    OPERATION_HOST_METRICS,
    OPERATION_EVENT_STREAM,
    OPERATION_SESSION_SHOW,
    OPERATION_AUDIT_RETAIN,
    OPERATIONS,
};

/* Whose it is. */
enum operation_scope {
    OF_HOST,
    OF_TENANT, /* the path's {tenant}, its first part */
    OF_MEMBER, /* the tenant that the body's, else the query's, member "tenant" names; the host where there is none */
    OF_CALLER, /* nobody's but who asks: allowed to everybody who has shown who he is */
};

enum operation_flag {
    OPERATION_CHANGES = 1 << 0,
    OPERATION_STREAMS = 1 << 1,   /* the answer may go on: bytes, or events */
    OPERATION_UPLOADS = 1 << 2,   /* the request's body is bytes, not JSON */
    OPERATION_DANGEROUS = 1 << 3, /* a second approver may be asked for */
};

struct operation {
    const char *name;          /* "guest.create" */
    const char *method, *path; /* "POST", "/v1/tenants/{tenant}/guests" */
    enum operation_scope scope;
    const struct schema *query, *body, *answer; /* NULL: none; of answer: not JSON, or nothing */
    unsigned flags;
    int status;       /* of success: 200, 201, 202, 204 */
    const char *type; /* of the answer where it is not JSON: "text/event-stream" */
    const char *help; /* one sentence */
};

extern const struct operation operations[OPERATIONS];

const struct operation *operation_find(const char *name); /* NULL: there is none */
static inline enum operation_number operation_number(const struct operation *operation)
{
    return (enum operation_number)(operation - operations);
}

/* A path's parts, those in braces; each is of a kind, which says what it must look like. */
#define OPERATION_PARTS_MAX 3
#define OPERATION_PART_MAX  80 /* bytes, with the terminating zero */

struct operation_parts {
    char text[OPERATION_PARTS_MAX][OPERATION_PART_MAX];
    size_t count;
};

size_t operation_part_count(const struct operation *operation);
/* The name of the part ("tenant") and what it must be; NULL beyond the last. name is OPERATION_PART_MAX bytes. */
bool operation_part(const struct operation *operation, size_t index, char *name, enum schema_check *check);

enum operation_match {
    MATCH,
    MATCH_NO_PATH,   /* 404 */
    MATCH_NO_METHOD, /* 405: the path is there, for other methods */
    MATCH_BAD_PART,  /* 400: a part is not what it must be; the sentence says which */
};

/* path: as it came, percent-encoding and all; no part has a character that needs it, so whatever has one is not found. */
enum operation_match operation_match(const struct operation **out, struct operation_parts *parts,
                                     const char *method, const char *path, struct cofre_err *err);
/* The methods that the path has, "GET, PUT"; empty where it is not there. */
void operation_methods(char *out, size_t room, const char *path);

#endif
