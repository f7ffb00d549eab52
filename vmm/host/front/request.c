#include "vmm/host/front/request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/parser.h"

static int refuse(struct refusal *r, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(struct refusal *r, int status, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->why.text, sizeof r->why.text, format, args);
    va_end(args);
    r->status = status;
    r->code = code;
    return -COFRE_NEGATIVE;
}

/* Headers */

/* Each of these once at most: where there are two, two readers may differ in which one they believe. */
static const char *const single[] = {"Host",         "Content-Length", "Transfer-Encoding",
                                     "Content-Type", "Authorization",  "Expect"};
#define SINGLE (sizeof single / sizeof *single)

struct headers {
    unsigned count[SINGLE];
    const char *value[SINGLE];
    bool odd; /* one with a zero in it, or whose name is none */
};
enum { HOST, LENGTH, ENCODING, TYPE, AUTHORIZATION };

/* A token of RFC 9110, section 5.6.2. libmicrohttpd takes a line that goes on in the next one ("Content-Length: 1", " 0") for one of another
 * name, "Content-Length0": so a name that only begins as one of these is not taken for another header, either. */
static bool is_name(const char *name, size_t len)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++)
        if (!((name[i] | 32) >= 'a' && (name[i] | 32) <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            (!name[i] || !strchr(marks, name[i])))
            return false;
    for (size_t i = 0; i < SINGLE; i++) {
        const size_t known = strlen(single[i]);
        if (len > known && strncasecmp(name, single[i], known) == 0)
            return false;
    }
    return len > 0;
}

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t len)
{
    struct headers *h = context;
    (void)kind;
    h->odd = h->odd || !is_name(name, name_len) || (value && strlen(value) != len);
    for (size_t i = 0; i < SINGLE; i++)
        if (strcasecmp(name, single[i]) == 0) {
            h->count[i]++;
            h->value[i] = value ? value : "";
        }
    return MHD_YES;
}

static bool is_length(const char *text)
{
    return schema_check_text(text, SCHEMA_IS_NUMBER, "", NULL) == 0;
}

static int check_headers(const struct headers *h, const char *version, struct refusal *r)
{
    if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0)
        return refuse(r, 505, "version", "this service speaks HTTP/1.1");
    for (size_t i = 0; i < SINGLE; i++)
        if (h->count[i] > 1)
            return refuse(r, 400, "malformed", "the request has %s %u times", single[i], h->count[i]);
    if (h->odd || !h->count[HOST])
        return refuse(r, 400, "malformed",
                      h->odd ? "a header of the request is none" : "the request has no Host");
    if (h->count[LENGTH] && h->count[ENCODING])
        return refuse(r, 400, "malformed", "the request has both Content-Length and Transfer-Encoding");
    if (h->count[ENCODING] && strcmp(h->value[ENCODING], "chunked") != 0)
        return refuse(r, 400, "malformed", "the request's Transfer-Encoding is not chunked");
    if (h->count[LENGTH] && !is_length(h->value[LENGTH]))
        return refuse(r, 400, "malformed", "the request's Content-Length is no number");
    return 0;
}

/* The query */

struct query {
    const struct schema *schema;
    json_t *out;
    struct cofre_err why;
    bool bad;
};

static int take_parameter(struct query *q, const char *name, size_t name_len, const char *value, size_t len)
{
    const struct schema_member *member;
    json_t *made;
    if (strlen(name) != name_len || (value && strlen(value) != len))
        return cofre_fail(&q->why, COFRE_MALFORMED, "the query has a zero in it");
    if (!q->schema || !(member = schema_find(q->schema, name)))
        return cofre_fail(&q->why, COFRE_MALFORMED, "%.64s: there is no such parameter here", name);
    if (json_object_get(q->out, name))
        return cofre_fail(&q->why, COFRE_MALFORMED, "%s: it is there twice", name);
    const int rc = schema_from_text(&made, value ? value : "", member, &q->why);
    return rc < 0 || json_object_set_new(q->out, name, made) == 0
               ? rc
               : cofre_fail(&q->why, COFRE_FAILED, "no memory");
}

static enum MHD_Result note_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t len)
{
    struct query *q = context;
    (void)kind;
    q->bad = q->bad || take_parameter(q, name, name_len, value, len) < 0;
    return q->bad ? MHD_NO : MHD_YES;
}

static int read_query(struct message_request *out, struct MHD_Connection *connection, struct refusal *r)
{
    struct query q = {.schema = out->operation->query, .out = json_object()};
    (void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, note_parameter, &q);
    if (!q.bad && q.schema)
        q.bad = schema_check(q.out, q.schema, &q.why) < 0;
    if (q.bad || !q.schema)
        json_decref(q.out);
    else
        out->query = q.out;
    return q.bad ? refuse(r, 400, "malformed", "%s", q.why.text) : 0;
}

/* What is asked for */

static int read_token(struct message_request *out, const struct headers *h, struct refusal *r)
{
    static const char scheme[] = "Bearer ";
    const char *value = h->value[AUTHORIZATION];
    if (!h->count[AUTHORIZATION])
        return 0;
    if (strncasecmp(value, scheme, strlen(scheme)) != 0 || !value[strlen(scheme)])
        return refuse(r, 401, "authorization", "the request's Authorization is no Bearer token");
    value += strlen(scheme);
    if (strlen(value) > MESSAGE_TOKEN_MAX)
        return refuse(r, 401, "authorization", "the token has more than %d bytes", MESSAGE_TOKEN_MAX);
    for (const char *c = value; *c; c++)
        if (*c <= ' ' || *c > '~')
            return refuse(r, 401, "authorization", "the token has a character that no token has");
    out->token = strdup(value);
    return out->token ? 0 : refuse(r, 503, "busy", "there is no memory left");
}

static int find_operation(struct message_request *out, const char *method, const char *uri, struct refusal *r)
{
    CLEAN_FREE char *path = strndup(uri, strcspn(uri, "?"));
    if (!path)
        return refuse(r, 503, "busy", "there is no memory left");
    switch (operation_match(&out->operation, &out->part, method, path, &r->why)) {
    case MATCH:
        return 0;
    case MATCH_NO_PATH:
        return refuse(r, 404, "no-such-path", "there is nothing at this path");
    case MATCH_NO_METHOD:
        operation_methods(r->allow, sizeof r->allow, path);
        return refuse(r, 405, "method", "the path takes %s", r->allow);
    case MATCH_BAD_PART:
        break;
    }
    r->status = 400;
    r->code = "malformed";
    return -COFRE_NEGATIVE;
}

static int check_body(struct message_request *out, const struct headers *h, struct refusal *r)
{
    const uint64_t length = h->count[LENGTH] ? strtoull(h->value[LENGTH], NULL, 10) : 0;
    const bool any = length || h->count[ENCODING];
    if (out->operation->flags & OPERATION_UPLOADS) {
        out->upload = h->count[ENCODING] ? MESSAGE_UPLOAD_OPEN : length;
        return 0;
    }
    if (any && !out->operation->body)
        return refuse(r, 400, "malformed", "%s takes no body", out->operation->name);
    if (length > PARSER_BODY_MAX)
        return refuse(r, 413, "too-large", "the body has %" PRIu64 " bytes, and may have %d", length,
                      PARSER_BODY_MAX);
    if (any && h->count[TYPE] && strcasecmp(h->value[TYPE], "application/json") != 0 &&
        strcasecmp(h->value[TYPE], "application/json; charset=utf-8") != 0)
        return refuse(r, 415, "media-type", "the body must be application/json");
    return 0;
}

int request_head(struct message_request *out, struct MHD_Connection *connection, const char *method,
                 const char *version, const char *uri, struct refusal *r)
{
    struct headers h = {0};
    *r = (struct refusal){0};
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, note_header, &h);
    int rc = check_headers(&h, version, r);
    if (rc == 0)
        rc = find_operation(out, method, uri, r);
    if (rc == 0)
        rc = read_token(out, &h, r);
    if (rc == 0)
        rc = read_query(out, connection, r);
    return rc < 0 ? rc : check_body(out, &h, r);
}

/* Pages */

struct page_query {
    json_t *out;
    bool bad;
};

/* A form sends what was left empty, too. */
static enum MHD_Result note_text(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t len)
{
    struct page_query *q = context;
    (void)kind;
    if (strlen(name) != name_len || (value && strlen(value) != len) || json_object_get(q->out, name))
        q->bad = true;
    else if (value && *value)
        q->bad = json_object_set_new(q->out, name, json_string(value)) < 0;
    return q->bad ? MHD_NO : MHD_YES;
}

static int new_page(struct page **out, struct MHD_Connection *connection, const char *uri, const char *token,
                    struct refusal *r)
{
    struct page_query q = {.out = json_object()};
    CLEAN_FREE char *path = strndup(uri, strcspn(uri, "?"));
    CLEAN_JSON *query = q.out;
    if (!path || !query)
        return refuse(r, 503, "busy", "there is no memory left");
    (void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, note_text, &q);
    if (q.bad)
        return refuse(r, 400, "malformed", "the query has a parameter twice, or one that is no text");
    const int rc = page_new(out, path, query, token, &r->why);
    r->status = rc == -COFRE_NEGATIVE ? 404 : rc == -COFRE_MALFORMED ? 400 : 503;
    return rc < 0 ? -COFRE_NEGATIVE : 0;
}

int request_page(struct page **out, struct MHD_Connection *connection, const char *method,
                 const char *version, const char *uri, struct refusal *r)
{
    struct headers h = {0};
    CLEAN_MESSAGE_REQUEST token = {0};
    *r = (struct refusal){0};
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, note_header, &h);
    int rc = check_headers(&h, version, r);
    if (rc == 0 && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        strcpy(r->allow, "GET, HEAD");
        rc = refuse(r, 405, "method", "a page can be looked at, and nothing else");
    }
    if (rc == 0 && (h.count[ENCODING] || (h.count[LENGTH] && strcmp(h.value[LENGTH], "0") != 0)))
        rc = refuse(r, 400, "malformed", "a page takes no body");
    if (rc == 0)
        rc = read_token(&token, &h, r);
    return rc < 0 ? rc : new_page(out, connection, uri, token.token, r);
}

int request_body(struct message_request *out, struct view body, struct refusal *r)
{
    const struct schema *schema = out->operation->body;
    struct cofre_err why;
    if (!schema)
        return 0;
    /* No body is an empty object, which is refused where a member must be there. */
    out->body = body.len ? NULL : json_object();
    if ((body.len && json_read(&out->body, body, COFRE_MALFORMED, &why) < 0) ||
        schema_check(out->body, schema, &why) < 0)
        return refuse(r, 400, "malformed", "%s", why.text);
    return 0;
}
