#include "attest/service/http/request.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/channel/binding.h"
#include "attest/service/http/server_parts.h"

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {{EVHTTP_REQ_GET, "GET"},        {EVHTTP_REQ_POST, "POST"}, {EVHTTP_REQ_PUT, "PUT"},
               {EVHTTP_REQ_DELETE, "DELETE"},  {EVHTTP_REQ_HEAD, "HEAD"}, {EVHTTP_REQ_PATCH, "PATCH"},
               {EVHTTP_REQ_OPTIONS, "OPTIONS"}};

static const char *method_name(const struct evhttp_request *http)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (evhttp_request_get_command(http) == methods[i].type)
            return methods[i].name;
    return "";
}

static void request_free(struct request *r)
{
    evhttp_clear_headers(&r->query);
    free(r->path);
    free(r->type);
    bytes_free(&r->answer);
    free(r);
}

/* What was asked, taken apart; -COFRE_MALFORMED where it cannot be. */
static int parse(struct request *r, struct cofre_err *err)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->http);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;
    size_t len = 0;
    r->method = method_name(r->http);
    r->path = evhttp_uridecode(path && *path ? path : "/", 0, &len);
    if (!r->path || strlen(r->path) != len)
        return cofre_fail(err, COFRE_MALFORMED, "the request's path cannot be decoded");
    if (query && evhttp_parse_query_str(query, &r->query) < 0)
        return cofre_fail(err, COFRE_MALFORMED, "the request's query cannot be decoded");
    struct evbuffer *body = evhttp_request_get_input_buffer(r->http);
    r->body.len = evbuffer_get_length(body);
    r->body.data = r->body.len ? evbuffer_pullup(body, -1) : NULL;
    if (r->body.len > r->loop->server->limits.body)
        return cofre_fail(err, COFRE_USAGE, "the request's body has %zu bytes, and may have %zu", r->body.len,
                          r->loop->server->limits.body);
    return 0;
}

/* Here, in the loop's thread, because the connection's TLS is its own. What cannot be had leaves the connection without. */
static void note_channel(struct connection *c)
{
    SSL *ssl = bufferevent_openssl_get_ssl(c->events);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!c->noted && certificate && channel_exporter(c->channel.exporter, ssl, NULL) == 0)
        (void)channel_key_of(&c->channel.key, certificate, NULL);
    c->noted = true;
}

void request_arrives(struct evhttp_request *http, void *context)
{
    struct loop *loop = context;
    struct server *server = loop->server;
    struct request *r = calloc(1, sizeof *r);
    struct cofre_err err;
    if (!r) {
        evhttp_send_error(http, 503, NULL);
        return;
    }
    *r = (struct request){.loop = loop, .http = http, .connection = connection_of(http)};
    TAILQ_INIT(&r->query);
    r->connection->working = true;
    note_channel(r->connection);
    atomic_fetch_add(&server->requests, 1);
    const unsigned pending = atomic_fetch_add(&server->pending, 1);
    int rc = parse(r, &err);
    if (http->major != 1) { /* evhttp takes version 0, too, and would answer in it */
        http->major = http->minor = 1;
        request_add_header(r, "Connection", "close");
        request_problem(r, 505, "version", "this service speaks HTTP/1.1");
    } else if (rc == -COFRE_USAGE)
        request_problem(r, 413, "too-large", "%s", err.text);
    else if (rc < 0)
        request_problem(r, 400, "malformed", "%s", err.text);
    else if (pending >= server->limits.pending) {
        atomic_fetch_add(&server->refused, 1);
        request_add_header(r, "Retry-After", "1");
        request_problem(r, 503, "busy", "there are %u requests at work, which is as many as there may be",
                        server->limits.pending);
    } else
        server->handle(server->context, r);
}

const char *request_method(const struct request *r)
{
    return r->method;
}

const char *request_path(const struct request *r)
{
    return r->path;
}

const char *request_header(const struct request *r, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(r->http), name);
}

const char *request_parameter(const struct request *r, const char *name)
{
    const struct evkeyval *pair;
    TAILQ_FOREACH(pair, &r->query, next)
    {
        if (strcmp(pair->key, name) == 0)
            return pair->value;
    }
    return NULL;
}

struct view request_body(const struct request *r)
{
    return r->body;
}

X509 *request_certificate(const struct request *r)
{
    const SSL *ssl = bufferevent_openssl_get_ssl(r->connection->events);
    return SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;
}

const struct request_channel *request_channel(const struct request *r)
{
    return r->connection->channel.key.len ? &r->connection->channel : NULL;
}

/* The answer. evhttp is the loop's thread's alone; another thread leaves the request there and wakes it. */

void request_add_header(struct request *r, const char *name, const char *value)
{
    (void)evhttp_add_header(evhttp_request_get_output_headers(r->http), name, value);
}

void request_send(struct request *r)
{
    struct loop *loop = r->loop;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(r->http);
    struct evbuffer *body = evhttp_request_get_output_buffer(r->http);
    if (r->type)
        (void)evhttp_add_header(headers, "Content-Type", r->type);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    if (atomic_load(&loop->server->draining))
        (void)evhttp_add_header(headers, "Connection", "close");
    if (evhttp_request_get_command(r->http) != EVHTTP_REQ_HEAD)
        (void)evbuffer_add(body, r->answer.data, r->answer.len);
    connection_answered(r->connection);
    struct evhttp_request *http = r->http;
    const int status = r->status;
    request_free(r);
    evhttp_send_reply(http, status, NULL, NULL);
    atomic_fetch_sub(&loop->server->pending, 1);
}

static void answer(struct request *r)
{
    struct loop *loop = r->loop;
    if (pthread_equal(pthread_self(), loop->self)) {
        request_send(r);
        return;
    }
    pthread_mutex_lock(&loop->lock);
    const bool first = TAILQ_EMPTY(&loop->answered);
    TAILQ_INSERT_TAIL(&loop->answered, r, entry);
    pthread_mutex_unlock(&loop->lock);
    if (first)
        event_active(loop->wake, EV_READ, 0);
}

void request_answer(struct request *r, int status, const char *type, struct view body)
{
    r->status = status;
    r->type = type ? strdup(type) : NULL;
    if ((type && !r->type) || (body.len && bytes_copy(&r->answer, body, NULL) < 0))
        r->status = 503;
    answer(r);
}

static void answer_text(struct request *r, int status, const char *type, const char *text)
{
    if (text)
        request_answer(r, status, type, (struct view){(const uint8_t *)text, strlen(text)});
    else
        request_answer(r, 503, NULL, (struct view){NULL, 0});
}

static void answer_object(struct request *r, int status, const char *type, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    answer_text(r, status, type, text);
    free(text);
}

void request_answer_text(struct request *r, int status, const char *text)
{
    answer_text(r, status, "application/json", text);
}

void request_answer_json(struct request *r, int status, json_t *object)
{
    answer_object(r, status, "application/json", object);
}

static const char *title(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {{400, "Bad Request"},
                  {401, "Unauthorized"},
                  {403, "Forbidden"},
                  {404, "Not Found"},
                  {405, "Method Not Allowed"},
                  {409, "Conflict"},
                  {413, "Content Too Large"},
                  {415, "Unsupported Media Type"},
                  {422, "Unprocessable Content"},
                  {429, "Too Many Requests"},
                  {500, "Internal Server Error"},
                  {503, "Service Unavailable"},
                  {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

void request_problem(struct request *r, int status, const char *code, const char *format, ...)
{
    char detail[1200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    json_t *object = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", title(status),
                               "status", status, "code", code, "detail", detail);
    if (!object) /* a detail that is not UTF-8 is not repeated */
        object = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title(status), "status",
                           status, "code", code);
    answer_object(r, status, "application/problem+json", object);
}
