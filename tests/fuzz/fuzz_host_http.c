/*
 * A client's bytes, through the parser of a connection as cofred runs it (libmicrohttpd, the tables, its messages), to the decider's side
 * of callers. Whatever is asked there must have been said: its method and path, its token and its length are in the bytes that came, nothing
 * comes behind an answer that ended the connection, and no message is one for which the decider would put its parser out.
 *
 * In an input 0xff and a byte that is not 0xff end a piece: the parser gets what came so far, comes to rest, and the byte says what the
 * decider answers then to a request that is open. 0xff twice is a byte 0xff.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/json.h"
#include "vmm/host/front/caller.h"
#include "vmm/host/front/document.h"
#include "vmm/host/front/pair.h"
#include "vmm/host/front/parser.h"
#include "vmm/host/page/page.h"

#define DIGEST     "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TURNS_MAX  20000
#define OUTPUT_MAX (4u << 20)

enum answer_kind {
    AS_JSON,
    AS_NOTHING,
    AS_PROBLEM,
    AS_BYTES,
    AS_EVENTS,
    AS_STREAM,
    AS_UPLOAD,
    AS_END,
    KINDS
};
#define LARGE 8 /* beside a kind: more than one message holds */

static struct {
    /* The client */
    const uint8_t *script;
    size_t len, at;
    int client;
    uint8_t said[2 * FUZZ_SEED_MAX], told[OUTPUT_MAX];
    size_t said_len, sent, told_len;
    bool closing, silent;
    /* The decider */
    struct event_base *base;
    struct caller *caller;
    struct event *upload;
    unsigned flags; /* of the operation that was asked for */
    uint64_t open, announced, uploaded;
    int answer; /* -1: none yet */
    unsigned turns;
} s;

/* What must hold of a request */

static bool ends_with(const uint8_t *end, const char *word)
{
    const size_t len = strlen(word);
    return (size_t)(end - s.said) >= len && strncasecmp((const char *)end - len, word, len) == 0;
}

/* The text, a space or more behind that word, and no part of a longer one. A zero ends either for libmicrohttpd. */
static bool is_said(const char *word, const char *text)
{
    static const char ends[] = " ?\t\r\n";
    const size_t len = strlen(text);
    const uint8_t *at = s.said, *end = s.said + s.said_len;
    for (; (at = memmem(at, (size_t)(end - at), text, len)); at++) {
        const uint8_t *back = at;
        if (at == s.said || at[-1] != ' ' || at + len == end || !memchr(ends, at[len], sizeof ends))
            continue;
        while (back > s.said && back[-1] == ' ')
            back--;
        if (ends_with(back, word))
            return true;
        for (; back > s.said && back[-1] != '\n'; back--)
            if (!back[-1] && ends_with(back - 1, word))
                return true;
    }
    return false;
}

static void write_path(char *out, const struct message_request *r)
{
    size_t part = 0;
    for (const char *c = r->operation->path; *c; c++)
        if (*c == '{') {
            out = stpcpy(out, r->part.text[part++]);
            c = strchr(c, '}');
        } else
            *out++ = *c;
    *out = 0;
}

/* A page asks several questions for one request, none of which changes anything. */
static bool is_of_a_page(const struct message_request *r)
{
    return !(r->operation->flags & (OPERATION_CHANGES | OPERATION_UPLOADS)) &&
           memmem(s.said, s.said_len, " /audit", 7);
}

static void check(const struct message_request *r)
{
    char path[512], length[24];
    write_path(path, r);
    FUZZ_CHECK(is_said(r->operation->method, path) || is_of_a_page(r));
    FUZZ_CHECK(!r->token || is_said("Bearer", r->token));
    (void)snprintf(length, sizeof length, "%llu", (unsigned long long)r->upload);
    FUZZ_CHECK(!r->upload || r->upload == MESSAGE_UPLOAD_OPEN ||
               memmem(s.said, s.said_len, length, strlen(length)));
    FUZZ_CHECK(!memmem(s.told, s.told_len, "\r\nConnection: close\r\n", 21));
}

/* The decider */

static void end_upload(void)
{
    if (!s.upload)
        return;
    close(event_get_fd(s.upload));
    event_free(s.upload);
    s.upload = NULL;
}

static void on_upload(evutil_socket_t fd, short what, void *context)
{
    static uint8_t buffer[65536];
    ssize_t len;
    (void)what, (void)context;
    while ((len = read(fd, buffer, sizeof buffer)) > 0)
        s.uploaded += (size_t)len;
    FUZZ_CHECK(s.announced == MESSAGE_UPLOAD_OPEN || s.uploaded <= s.announced);
    if (len == 0) {
        end_upload();
        caller_empty(s.caller, s.open, 204);
        s.open = 0;
    }
}

static void on_request(void *context, struct caller *caller, struct message_request *request)
{
    (void)context;
    check(request);
    s.caller = caller;
    s.open = request->id;
    s.flags = request->operation->flags;
    s.announced = request->upload;
    s.uploaded = 0;
}

static void on_gone(void *context, struct caller *caller)
{
    (void)context, (void)caller;
    end_upload();
    s.caller = NULL;
    s.open = 0;
}

static void permit_upload(void)
{
    int fd;
    if (caller_upload(s.caller, s.open, &fd, NULL) < 0) {
        caller_problem(s.caller, s.open, 409, 0, "no-upload", "there is none");
        s.open = 0;
        return;
    }
    s.upload = event_new(s.base, fd, EV_READ | EV_PERSIST, on_upload, NULL);
    FUZZ_CHECK(s.upload && event_add(s.upload, NULL) == 0);
}

static void answer_stream(enum answer_kind kind, const json_t *json, bool large)
{
    static const uint8_t bytes[100000];
    caller_begin(s.caller, s.open, 200, kind == AS_BYTES ? "application/octet-stream" : "text/event-stream");
    for (unsigned i = 1; i < 3; i++)
        caller_event(s.caller, s.open, "guest.state", i, json);
    caller_chunk(s.caller, s.open, (struct view){bytes, large ? sizeof bytes : 7});
    if (kind != AS_STREAM)
        caller_end(s.caller, s.open);
}

static json_t *some_json(bool large)
{
    json_t *out = json_pack("{s:s, s:[]}", "text", "b\r\nConnection: close\r\n", "list");
    for (int i = 0; large && i < 4000; i++)
        (void)json_array_append_new(json_object_get(out, "list"), json_string("one value among many"));
    return out;
}

static void answer(int how)
{
    const bool large = how & LARGE;
    enum answer_kind kind = how & (KINDS - 1);
    if (kind >= AS_BYTES && kind <= AS_STREAM && !(s.flags & OPERATION_STREAMS))
        kind = AS_JSON; /* its answer is one thing */
    CLEAN_JSON *json = some_json(large && kind == AS_JSON);
    switch (kind) {
    case AS_JSON:
        caller_answer(s.caller, s.open, 200, json);
        break;
    case AS_NOTHING:
        caller_empty(s.caller, s.open, 204);
        break;
    case AS_PROBLEM:
        caller_problem(s.caller, s.open, large ? 401 : 409, large ? 7 : 0, "not-so", "it is %s", "not\r\nso");
        break;
    case AS_UPLOAD:
        if (!s.upload)
            permit_upload();
        return; /* the answer comes with its end */
    case AS_END:
        caller_close(s.caller);
        break;
    default:
        answer_stream(kind, json, large);
    }
    s.open = 0;
}

/* The client */

static void listen_to_answers(void)
{
    ssize_t len;
    while (s.client >= 0 &&
           (len = recv(s.client, s.told + s.told_len, OUTPUT_MAX - s.told_len, MSG_DONTWAIT)) > 0)
        s.told_len += (size_t)len;
    FUZZ_CHECK(s.told_len < OUTPUT_MAX);
    FUZZ_CHECK(s.told_len < 9 || memcmp(s.told, "HTTP/1.", 7) == 0);
}

static void say_piece(void)
{
    while (s.at < s.len) {
        const uint8_t byte = s.script[s.at++];
        if (byte != 0xff || s.at == s.len)
            s.said[s.said_len++] = byte;
        else if (s.script[s.at] == 0xff)
            s.said[s.said_len++] = s.script[s.at++];
        else {
            s.answer = s.script[s.at++];
            break;
        }
    }
}

static void send_said(void)
{
    const ssize_t len = send(s.client, s.said + s.sent, s.said_len - s.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len > 0)
        s.sent += (size_t)len;
    else /* the parser reads no more */
        s.sent = s.said_len;
}

/* The parser would sleep. */
static void go_on(void)
{
    if (s.sent < s.said_len)
        send_said();
    else if (s.open && s.answer >= 0) {
        answer(s.answer);
        s.answer = -1;
    } else if (s.at < s.len) {
        say_piece();
        send_said();
    } else if (!s.silent) {
        (void)shutdown(s.client, SHUT_WR);
        s.silent = true;
    } else {
        FUZZ_CHECK(s.client >= 0); /* else it does not end, whoever goes */
        close(s.client);
        s.client = -1;
    }
}

/* Stands before the C library's: the parser sleeps in it alone, and all others have their turn there. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    FUZZ_CHECK(++s.turns < TURNS_MAX);
    listen_to_answers();
    (void)event_base_loop(s.base, EVLOOP_NONBLOCK);
    const int ready = (int)syscall(SYS_poll, fds, count, 0);
    if (ready != 0 || timeout == 0)
        return ready;
    go_on();
    (void)event_base_loop(s.base, EVLOOP_NONBLOCK);
    return (int)syscall(SYS_poll, fds, count, 0);
}

/* One connection */

static struct callers *begin(int gate[2], int *parser)
{
    static const struct callers_handler handler = {.request = on_request, .gone = on_gone};
    static const struct callers_limits limits = {.waiting = 1u << 20};
    const struct identity identity = {.version = IDENTITY_VERSION, .kind = IDENTITY_UNIX, .address = "unix"};
    struct callers *callers;
    int pair[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, gate) == 0);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    FUZZ_CHECK(callers_new(&callers, s.base, gate[1], &handler, &limits, NULL) == 0);
    FUZZ_CHECK(pair_send(gate[0], (struct view){(const uint8_t *)&identity, sizeof identity}, &pair[0], 1) ==
               0);
    close(pair[0]);
    *parser = pair[1];
    return callers;
}

static char *document;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct parser_limits limits = {60, 60, 60};
    int gate[2], parser, connection[2];
    const unsigned lines = fuzz_log_lines;
    if (!document) {
        json_object_seed(1);
        document = document_text();
        FUZZ_CHECK(document && page_prepare(NULL) == 0);
        s.base = event_base_new();
    }
    if (size > sizeof s.said)
        return 0;
    s.script = data;
    s.len = size;
    s.at = s.said_len = s.sent = s.told_len = s.turns = 0;
    s.silent = false;
    s.open = 0;
    s.answer = -1;
    struct callers *callers = begin(gate, &parser);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, connection) == 0);
    s.client = connection[0];
    struct parser *const p = parser_new(&limits, document, strlen(document));
    FUZZ_CHECK(p && parser_serve(p, connection[1], parser) == 0);
    parser_free(p);
    listen_to_answers();
    if (s.client >= 0)
        close(s.client);
    callers_free(callers);
    close(gate[0]);
    FUZZ_CHECK(fuzz_log_lines == lines); /* the decider had nothing to complain of */
    return 0;
}

/* Seeds */

#define HOST       "Host: a\r\n"
#define GUESTS     "/v1/tenants/red/guests"
#define REST(kind) "\xff" kind /* comes to rest, and is answered */
#define SEED(text)                                                                                           \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }
static const struct view seeds[] = {
    SEED("GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Bearer a.b.c\r\n\r\n" REST("\x00")
             REST("\x02") "GET " GUESTS "?limit=5&state=running HTTP/1.1\r\n" HOST "\r\n" REST("\x08")),
    SEED("POST /v1/tenants HTTP/1.1\r\n" HOST
         "Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"name\":\"red\"}" REST("\x00")),
    SEED("POST " GUESTS " HTTP/1.1\r\n" HOST
         "Content-Length: 174\r\n\r\n{\"name\":\"web\",\"tee\":\"none\",\"cpus\":1,"
         "\"memory\":67108864,\"kernel\":\"" DIGEST
         "\",\"cmdline\":\"quiet\",\"labels\":{\"a\":\"b\"}}" REST("\x0a")),
    SEED("PUT /v1/tenants/red/images/" DIGEST " HTTP/1.1\r\n" HOST
         "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n" REST("\x06") "bytes" REST("\x00")),
    SEED("PUT /v1/tenants/red/images/" DIGEST " HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" REST(
        "\x06") "3\r\nabc\r\n0\r\n\r\n" REST("\x00") "GET /v1/host HTTP/1.1\r\n" HOST "\r\n" REST("\x02")),
    SEED("GET " GUESTS "/web/console?follow=true HTTP/1.1\r\n" HOST "\r\n" REST("\x0b")),
    SEED("GET /v1/events HTTP/1.1\r\n" HOST "\r\n" REST("\x05") REST("\x05")),
    SEED("GET /v1/events?after=3 HTTP/1.1\r\n" HOST "\r\n" REST("\x04")),
    SEED("GET /audit HTTP/1.1\r\n" HOST "\r\n" REST("\x00") REST("\x00") REST("\x00") REST("\x02")),
    SEED("GET /audit/entries/3 HTTP/1.1\r\n" HOST "\r\n" REST("\x02") "GET /audit/style.css HTTP/1.1\r\n" HOST
                                                                      "\r\n"),
    SEED("POST /v1/tenants HTTP/1.1\r\n" HOST
         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/host HTTP/1.1\r\n" HOST
         "\r\n" REST("\x00")),
    SEED("POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\nE;a=b\r\n{\"name\":\"red\"}\r\n0\r\n\r\n"
         "DELETE /v1/tenants/red HTTP/1.1\r\n" HOST "\r\n" REST("\x00") REST("\x01")),
    SEED("GET /v1/session HTTP/1.1\r\n" HOST
         "Authorization: Bearer a\r\n b\r\nContent-Length: 1\r\n 0\r\n\r\n" REST("\x00")),
    SEED("GET /v1/openapi.json HTTP/1.1\r\n" HOST "\r\nDELETE /v1/tenants/red HTTP/1.1\r\n" HOST
         "\r\n" REST("\x07")),
};

/* An extension that is longer than libmicrohttpd's memory, which it kept looking at. */
static size_t seed_extension(uint8_t out[FUZZ_SEED_MAX])
{
    static const char head[] = "POST /v1/tenants HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2;";
    const size_t len = sizeof head - 1;
    memcpy(out, head, len);
    memset(out + len, 'a', PARSER_HEADERS_MAX);
    return len + PARSER_HEADERS_MAX;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (index == sizeof seeds / sizeof *seeds)
        return seed_extension(out);
    if (index > sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index].data, seeds[index].len);
    return seeds[index].len;
}
