#include "tests/unit/cli/fake_host.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct fake_host {
    const struct fake_answer *answers;
    bool given[32];
    pid_t process;
    FILE *log;
};

static const char *method_of(struct evhttp_request *r)
{
    switch (evhttp_request_get_command(r)) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "?";
    }
}

static void note(struct fake_host *host, struct evhttp_request *r, const char *asked)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(r);
    const char *who = evhttp_find_header(evhttp_request_get_input_headers(r), "Authorization");
    const size_t len = evbuffer_get_length(body);
    fprintf(host->log, "%s%s%s", asked, who ? " " : "", who ? who : "");
    if (len > 4000)
        fprintf(host->log, " %zu bytes", len);
    else if (len)
        fprintf(host->log, " %.*s", (int)len, (const char *)evbuffer_pullup(body, -1));
    fputc('\n', host->log);
    (void)fflush(host->log);
}

static void send_events(struct evhttp_request *r, const struct fake_answer *a)
{
    evhttp_send_reply_start(r, a->status, NULL);
    for (const char *at = a->body, *end; (end = strstr(at, "\n\n")); at = end + 2) {
        struct evbuffer *piece = evbuffer_new();
        evbuffer_add(piece, at, (size_t)(end + 2 - at));
        evhttp_send_reply_chunk(r, piece);
        evbuffer_free(piece);
    }
    evhttp_send_reply_end(r);
}

static void answer(struct evhttp_request *r, const struct fake_answer *a)
{
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(evhttp_request_get_output_headers(r), "Content-Type",
                      a->type ? a->type : "application/json");
    evbuffer_add(body, a->body, strlen(a->body));
    if (a->type && strcmp(a->type, "text/event-stream") == 0)
        send_events(r, a);
    else
        evhttp_send_reply(r, a->status, NULL, body);
    evbuffer_free(body);
}

static void handle(struct evhttp_request *r, void *context)
{
    struct fake_host *host = context;
    char asked[1024];
    (void)snprintf(asked, sizeof asked, "%s %s", method_of(r), evhttp_request_get_uri(r));
    note(host, r, asked);
    for (size_t i = 0; host->answers[i].request; i++)
        if (!host->given[i] && strcmp(host->answers[i].request, asked) == 0) {
            host->given[i] = true;
            answer(r, &host->answers[i]);
            return;
        }
    evhttp_send_reply(r, 500, NULL, NULL);
}

static void serve(struct fake_host *host, int listening)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    if (evhttp_accept_socket(http, listening) < 0)
        abort();
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |
                                         EVHTTP_REQ_DELETE);
    evhttp_set_gencb(http, handle, host);
    event_base_dispatch(base);
    abort();
}

/* A process of its own, whose socket is there before it is. */
struct fake_host *fake_host_start(const char *socket_path, const struct fake_answer *answers)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct fake_host *host = calloc(1, sizeof *host);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    unlink(socket_path);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!host || !(host->log = tmpfile()) ||
        bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 8) < 0)
        abort();
    host->answers = answers;
    host->process = fork();
    if (host->process == 0)
        serve(host, listening);
    if (host->process < 0)
        abort();
    close(listening);
    return host;
}

const char *fake_host_stop(struct fake_host *host)
{
    static char text[65536];
    kill(host->process, SIGKILL);
    waitpid(host->process, NULL, 0);
    rewind(host->log);
    text[fread(text, 1, sizeof text - 1, host->log)] = 0;
    fclose(host->log);
    free(host);
    return text;
}
