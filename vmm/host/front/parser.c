#include "vmm/host/front/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/front/exchange.h"
#include "vmm/host/front/pair.h"

/* Of a body whose bytes come, turns without one of them: chunks' extensions that are longer than what libmicrohttpd holds are never read,
 * and it would look at them again and again. */
#define FRUITLESS_MAX 1000

/* libmicrohttpd's calls */

static void *on_uri(void *context, const char *uri, struct MHD_Connection *http)
{
    struct parser *p = context;
    p->http = http;
    return p->now = exchange_new(uri);
}

static enum MHD_Result on_step(void *context, struct MHD_Connection *http, const char *url,
                               const char *method, const char *version, const char *data, size_t *len,
                               void **own)
{
    (void)url, (void)http;
    ((struct parser *)context)->fruitless = 0;
    return *own ? exchange_step(context, *own, method, version, data, len) : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *http, void **own,
                         enum MHD_RequestTerminationCode how)
{
    struct parser *p = context;
    (void)http;
    if (*own)
        exchange_free(*own);
    *own = p->now = NULL;
    p->over = p->over || how != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    p->deadline = exchange_now() + p->limits->idle_seconds * 1000;
}

static void on_connection(void *context, struct MHD_Connection *http, void **own,
                          enum MHD_ConnectionNotificationCode what)
{
    struct parser *p = context;
    (void)http, (void)own;
    p->over = p->over || what == MHD_CONNECTION_NOTIFY_CLOSED;
}

/* Its own lines would go to nobody. */
static void say_nothing(void *context, const char *format, va_list args)
{
    (void)context, (void)format, (void)args;
}

/* The decider's messages */

static void on_decider(struct parser *p)
{
    static uint8_t message[MESSAGE_MAX + 1];
    struct message_answer answer = {0};
    struct cofre_err err;
    int fd;
    const ssize_t len = pair_receive(p->decider, message, sizeof message, &fd, 1);
    if (len == -EAGAIN)
        return;
    const bool good =
        len > 0 && message_answer_read(&answer, (struct view){message, (size_t)len}, &err) == 0 && p->now;
    if (good)
        p->broken = !exchange_told(p, p->now, &answer, fd);
    else {
        p->broken = len != 0; /* 0: the decider is gone, or wants no more of this connection */
        p->over = true;
        if (len > 0 && fd >= 0)
            close(fd);
    }
    message_answer_free(&answer);
    p->over = p->over || p->broken;
}

/* The loop */

/* Milliseconds until something is due; -1: only what comes. */
static int timeout(struct parser *p)
{
    MHD_UNSIGNED_LONG_LONG http;
    const int64_t now = exchange_now();
    int64_t due = INT64_MAX;
    if (MHD_get_timeout(p->daemon, &http) == MHD_YES)
        due = now + (int64_t)http;
    if (p->deadline && p->deadline < due)
        due = p->deadline;
    if (p->now && p->now->events && p->now->beat < due)
        due = p->now->beat;
    const int64_t wait = due > now ? due - now : 0;
    return due == INT64_MAX ? -1 : wait < INT_MAX ? (int)wait : INT_MAX;
}

static void turn(struct parser *p, int http)
{
    const bool room = !p->now || p->now->held_len - p->now->held_at <= PARSER_HELD_MAX;
    const bool gone_matters = p->now && p->now->suspended; /* else libmicrohttpd sees it */
    struct pollfd fds[] = {{.fd = http, .events = POLLIN},
                           {.fd = room ? p->decider : -1, .events = POLLIN},
                           {.fd = gone_matters ? p->connection : -1, .events = POLLRDHUP}};
    if (poll(fds, 3, timeout(p)) < 0 && errno != EINTR)
        p->broken = p->over = true;
    if (fds[1].revents)
        on_decider(p);
    if (fds[2].revents)
        p->over = true;
    if (p->now)
        exchange_beat(p, p->now);
    if (p->deadline && exchange_now() >= p->deadline)
        p->over = true;
    if (p->now && (p->now->stage == STAGE_BODY || p->now->stage == STAGE_UPLOAD) &&
        ++p->fruitless > FRUITLESS_MAX)
        p->over = true;
    if (!p->over && MHD_run(p->daemon) != MHD_YES)
        p->broken = p->over = true;
}

static struct MHD_Daemon *start(struct parser *p)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_step, p, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
        p, MHD_OPTION_NOTIFY_COMPLETED, on_completed, p, MHD_OPTION_NOTIFY_CONNECTION, on_connection, p,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT, 1U, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)PARSER_HEADERS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, p->limits->idle_seconds, MHD_OPTION_END);
}

struct parser *parser_new(const struct parser_limits *limits, const char *document, size_t len)
{
    struct parser *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct parser){.limits = limits, .document = document, .document_len = len};
    p->daemon = start(p);
    if (p->daemon)
        return p;
    free(p);
    return NULL;
}

int parser_serve(struct parser *p, int connection, int decider)
{
    const struct sockaddr nobody = {.sa_family = AF_UNIX};
    p->deadline = exchange_now() + p->limits->request_seconds * 1000;
    p->decider = decider;
    p->connection = fcntl(connection, F_DUPFD_CLOEXEC, 3);
    if (p->connection < 0 || MHD_add_connection(p->daemon, connection, &nobody, sizeof nobody) != MHD_YES)
        return 1;
    const int http = MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    while (!p->over)
        turn(p, http);
    return p->broken;
}

void parser_free(struct parser *p)
{
    if (p->now && p->now->suspended) /* libmicrohttpd would end the process */
        MHD_resume_connection(p->http);
    MHD_stop_daemon(p->daemon);
    close(p->connection);
    close(p->decider);
    free(p);
}
