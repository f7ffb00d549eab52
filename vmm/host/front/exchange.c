#include "vmm/host/front/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/pair.h"
#include "vmm/host/front/problem.h"

#define DOCUMENT_PATH "/v1/openapi.json"
#define HELD_ROOM     (PARSER_HELD_MAX + 2 * MESSAGE_MAX)

int64_t exchange_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct exchange *exchange_new(const char *uri)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->upload = -1;
    x->uri = strdup(uri);
    if (x->uri)
        return x;
    free(x);
    return NULL;
}

void exchange_free(struct exchange *x)
{
    message_request_free(&x->request);
    message_answer_free(&x->answer);
    page_free(x->page);
    bytes_free(&x->body);
    bytes_free(&x->held);
    if (x->upload >= 0)
        close(x->upload);
    free(x->uri);
    free(x);
}

/* libmicrohttpd does nothing with the connection until resume. */
static enum MHD_Result suspend(struct parser *p, struct exchange *x)
{
    MHD_suspend_connection(p->http);
    x->suspended = true;
    return MHD_YES;
}

static void resume(struct parser *p, struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(p->http);
}

/* Answers */

static enum MHD_Result queue(struct parser *p, struct exchange *x, int status, const char *type,
                             struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    if (type)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    const enum MHD_Result queued = MHD_queue_response(p->http, (unsigned)status, response);
    MHD_destroy_response(response);
    x->stage = STAGE_ANSWERED;
    p->deadline = 0;
    return queued;
}

static struct MHD_Response *of_text(char *text)
{
    return text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
}

/* Whoever's bytes could not be read as HTTP should be, has none read any more. */
static enum MHD_Result answer_refusal(struct parser *p, struct exchange *x, const struct refusal *r)
{
    struct MHD_Response *response = of_text(problem_text(r->status, r->code, r->why.text));
    if (response && *r->allow)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
    if (response && (r->status == 400 || r->status == 413 || r->status == 505))
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return queue(p, x, r->status, PROBLEM_TYPE, response);
}

static enum MHD_Result answer_problem(struct parser *p, struct exchange *x)
{
    const struct message_answer *a = &x->answer;
    struct MHD_Response *response = of_text(problem_text(a->status, a->code, a->text));
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)a->number);
    if (response && a->number)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    return queue(p, x, a->status, PROBLEM_TYPE, response);
}

struct reader {
    struct parser *parser;
    struct exchange *exchange;
};

static ssize_t read_stream(void *context, uint64_t at, char *out, size_t room)
{
    struct reader *reader = context;
    struct exchange *x = reader->exchange;
    size_t len = x->held_len - x->held_at;
    (void)at;
    if (len == 0 && x->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (len == 0) {
        (void)suspend(reader->parser, x);
        return 0;
    }
    len = len < room ? len : room;
    memcpy(out, x->held.data + x->held_at, len);
    x->held_at += len;
    if (x->held_at == x->held_len)
        x->held_at = x->held_len = 0;
    return (ssize_t)len;
}

static enum MHD_Result answer_stream(struct parser *p, struct exchange *x)
{
    struct reader *reader = malloc(sizeof *reader);
    if (!reader)
        return MHD_NO;
    *reader = (struct reader){p, x};
    return queue(p, x, x->answer.status, x->answer.code,
                 MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, reader, free));
}

static enum MHD_Result answer(struct parser *p, struct exchange *x)
{
    switch (x->answer.kind) {
    case MESSAGE_JSON:
        return queue(p, x, x->answer.status, "application/json",
                     of_text(json_dumps(x->answer.json, JSON_COMPACT | JSON_ENCODE_ANY)));
    case MESSAGE_EMPTY:
        return queue(p, x, x->answer.status, NULL,
                     MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    case MESSAGE_PROBLEM:
        return answer_problem(p, x);
    default:
        return answer_stream(p, x);
    }
}

/* Pages */

/* What a browser is told of each of them, besides what all answers have. */
static void add_policy(struct MHD_Response *response)
{
    static const char *const headers[][2] = {{"Content-Security-Policy", PAGE_POLICY},
                                             {"X-Content-Type-Options", "nosniff"},
                                             {"Referrer-Policy", "no-referrer"},
                                             {"Cross-Origin-Resource-Policy", "same-origin"}};
    for (size_t i = 0; response && i < sizeof headers / sizeof *headers; i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

static enum MHD_Result answer_page(struct parser *p, struct exchange *x)
{
    int status = 503;
    struct MHD_Response *response = of_text(page_text(x->page, &status));
    add_policy(response);
    return queue(p, x, status, PAGE_TYPE, response);
}

static enum MHD_Result refuse_page(struct parser *p, struct exchange *x, const struct refusal *r)
{
    struct MHD_Response *response = of_text(page_refusal(r->status, r->why.text));
    add_policy(response);
    if (response && *r->allow)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
    if (response && (r->status == 400 || r->status == 505))
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return queue(p, x, r->status, PAGE_TYPE, response);
}

static enum MHD_Result ask(struct parser *p, struct exchange *x, enum stage then);

/* The page's next question, or the page. */
static enum MHD_Result go_on(struct parser *p, struct exchange *x)
{
    if (x->answered) {
        page_take(x->page, &x->answer);
        message_answer_free(&x->answer);
        x->answer = (struct message_answer){0};
        x->answered = false;
    }
    return page_ask(x->page, &x->request) ? ask(p, x, STAGE_ASKED) : answer_page(p, x);
}

static enum MHD_Result on_page(struct parser *p, struct exchange *x, const char *method, const char *version)
{
    struct refusal r;
    if (request_page(&x->page, p->http, method, version, x->uri, &r) < 0)
        return refuse_page(p, x, &r);
    x->stage = STAGE_BODY;
    return MHD_YES;
}

/* The request */

static enum MHD_Result ask(struct parser *p, struct exchange *x, enum stage then)
{
    CLEAN_BYTES message = {0};
    struct refusal r = {.status = 413, .code = "too-large"};
    x->request.id = ++p->id;
    if (message_request_write(&message, &x->request, &r.why) < 0)
        return answer_refusal(p, x, &r);
    if (pair_send(p->decider, bytes_view(&message), NULL, 0) < 0)
        return MHD_NO;
    x->stage = then;
    p->deadline = 0;
    message_request_free(&x->request);
    return suspend(p, x);
}

static bool is_of_page(const char *uri)
{
    char path[8] = "";
    (void)snprintf(path, sizeof path, "%.*s", (int)strcspn(uri, "?"), uri);
    return page_is(path);
}

static enum MHD_Result answer_style(struct parser *p, struct exchange *x)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(page_style), (void *)page_style, MHD_RESPMEM_PERSISTENT);
    add_policy(response);
    return queue(p, x, 200, "text/css; charset=utf-8", response);
}

static enum MHD_Result on_head(struct parser *p, struct exchange *x, const char *method, const char *version)
{
    struct refusal r;
    if (strcmp(x->uri, DOCUMENT_PATH) == 0 && strcmp(method, "GET") == 0)
        return queue(
            p, x, 200, "application/json",
            MHD_create_response_from_buffer(p->document_len, (void *)p->document, MHD_RESPMEM_PERSISTENT));
    if (strcmp(x->uri, PAGE_STYLE_PATH) == 0 && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0))
        return answer_style(p, x);
    if (is_of_page(x->uri))
        return on_page(p, x, method, version);
    if (request_head(&x->request, p->http, method, version, x->uri, &r) < 0)
        return answer_refusal(p, x, &r);
    if (x->request.operation->flags & OPERATION_UPLOADS)
        return ask(p, x, STAGE_PERMITTED);
    x->stage = STAGE_BODY;
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t *len)
{
    if (!x->body.data && bytes_alloc(&x->body, PARSER_BODY_MAX, NULL) < 0)
        return MHD_NO;
    x->too_large = x->too_large || *len > PARSER_BODY_MAX - x->body_len;
    if (!x->too_large) {
        memcpy(x->body.data + x->body_len, data, *len);
        x->body_len += *len;
    }
    *len = 0;
    return MHD_YES;
}

static enum MHD_Result on_whole(struct parser *p, struct exchange *x)
{
    struct refusal r = {.status = 413, .code = "too-large"};
    if (x->page)
        return go_on(p, x);
    if (x->too_large) {
        (void)cofre_fail(&r.why, COFRE_USAGE, "the body has more than %d bytes", PARSER_BODY_MAX);
        return answer_refusal(p, x, &r);
    }
    if (request_body(&x->request, (struct view){x->body.data, x->body_len}, &r) < 0)
        return answer_refusal(p, x, &r);
    return ask(p, x, STAGE_ASKED);
}

/* Waits for the decider to take what it has: the client waits the meantime. What it does not want any more goes nowhere; its answer
 * says why. */
static enum MHD_Result on_upload(struct parser *p, struct exchange *x, const char *data, size_t *len)
{
    struct pollfd room = {.fd = x->upload, .events = POLLOUT};
    while (x->upload >= 0 && *len) {
        const ssize_t sent = send(x->upload, data, *len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data += sent;
            *len -= (size_t)sent;
        } else if (sent < 0 && errno == EAGAIN) {
            if (poll(&room, 1, (int)p->limits->idle_seconds * 1000) <= 0)
                return MHD_NO;
        } else if (sent < 0 && errno != EINTR) {
            close(x->upload);
            x->upload = -1;
        }
    }
    *len = 0;
    return MHD_YES;
}

static enum MHD_Result on_uploaded(struct parser *p, struct exchange *x)
{
    if (x->upload >= 0)
        close(x->upload);
    x->upload = -1;
    x->stage = STAGE_ASKED;
    return x->answered ? answer(p, x) : suspend(p, x);
}

enum MHD_Result exchange_step(struct parser *p, struct exchange *x, const char *method, const char *version,
                              const char *data, size_t *len)
{
    switch (x->stage) {
    case STAGE_HEAD:
        return on_head(p, x, method, version);
    case STAGE_BODY:
        return *len ? on_body(x, data, len) : on_whole(p, x);
    case STAGE_PERMITTED:
        if (x->answered)
            return answer(p, x);
        x->stage = STAGE_UPLOAD;
        return x->permitted ? MHD_YES : MHD_NO;
    case STAGE_UPLOAD:
        return *len ? on_upload(p, x, data, len) : on_uploaded(p, x);
    case STAGE_ASKED:
        return !x->answered ? suspend(p, x) : x->page ? go_on(p, x) : answer(p, x);
    case STAGE_ANSWERED:
        break;
    }
    return MHD_NO;
}

/* What the decider says */

/* The pair is not read while more than PARSER_HELD_MAX is held, so there is room for what one message brings. */
static bool hold(struct exchange *x, const void *data, size_t len)
{
    if (!x->held.data && bytes_alloc(&x->held, HELD_ROOM, NULL) < 0)
        return false;
    if (x->held_at && x->held_len + len > x->held.len) {
        memmove(x->held.data, x->held.data + x->held_at, x->held_len - x->held_at);
        x->held_len -= x->held_at;
        x->held_at = 0;
    }
    if (len > x->held.len - x->held_len)
        return false;
    memcpy(x->held.data + x->held_len, data, len);
    x->held_len += len;
    return true;
}

static bool hold_event(struct exchange *x, const struct message_answer *a)
{
    char head[128];
    CLEAN_FREE char *text = json_dumps(a->json, JSON_COMPACT | JSON_ENCODE_ANY);
    const int len =
        snprintf(head, sizeof head, "id: %llu\nevent: %s\ndata: ", (unsigned long long)a->number, a->code);
    return text && hold(x, head, (size_t)len) && hold(x, text, strlen(text)) && hold(x, "\n\n", 2);
}

static bool on_permission(struct parser *p, struct exchange *x, int fd)
{
    if (x->stage != STAGE_PERMITTED || x->permitted || fd < 0)
        return false;
    x->permitted = true;
    x->upload = fd;
    resume(p, x);
    return true;
}

/* The answer to a page's question, of which no message held the whole. */
static bool take_whole(struct exchange *x)
{
    struct cofre_err err;
    const struct view text = {x->held.data, x->held_len};
    x->held_len = 0;
    x->ended = false;
    x->answer.kind = MESSAGE_JSON;
    return text.len && json_read(&x->answer.json, text, COFRE_MALFORMED, &err) == 0;
}

static bool on_more(struct parser *p, struct exchange *x, const struct message_answer *a)
{
    if (!x->answered || x->answer.kind != MESSAGE_BEGIN || x->ended)
        return false;
    if (x->page && (x->events || x->held_len > PARSER_HELD_MAX))
        return false;
    if (a->kind == MESSAGE_END)
        x->ended = true;
    else if ((a->kind == MESSAGE_EVENT) != x->events)
        return false;
    else if (a->kind == MESSAGE_CHUNK ? !hold(x, a->data.data, a->data.len) : !hold_event(x, a))
        return false;
    if (x->page && x->ended && !take_whole(x))
        return false;
    x->beat = exchange_now() + p->limits->beat_seconds * 1000;
    if (!x->page || x->answer.kind != MESSAGE_BEGIN)
        resume(p, x);
    return true;
}

bool exchange_told(struct parser *p, struct exchange *x, struct message_answer *a, int fd)
{
    const bool permission = a->kind == MESSAGE_UPLOAD;
    if (a->id != p->id || permission != (fd >= 0)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (permission) {
        if (on_permission(p, x, fd))
            return true;
        close(fd);
        return false;
    }
    if (a->kind == MESSAGE_CHUNK || a->kind == MESSAGE_EVENT || a->kind == MESSAGE_END)
        return on_more(p, x, a);
    if (x->answered || x->stage < STAGE_PERMITTED)
        return false;
    x->answer = *a; /* its JSON too */
    a->json = NULL;
    x->answered = true;
    x->events = a->kind == MESSAGE_BEGIN && strcmp(a->code, "text/event-stream") == 0;
    x->beat = exchange_now() + p->limits->beat_seconds * 1000;
    if (!x->page || a->kind != MESSAGE_BEGIN)
        resume(p, x);
    return true;
}

void exchange_beat(struct parser *p, struct exchange *x)
{
    static const char comment[] = ":\n\n";
    if (!x->events || x->page || !x->suspended || exchange_now() < x->beat)
        return;
    if (hold(x, comment, strlen(comment)))
        resume(p, x);
    x->beat = exchange_now() + p->limits->beat_seconds * 1000;
}
