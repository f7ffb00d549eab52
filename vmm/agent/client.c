#include "vmm/agent/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "vmm/agent/request.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"

#define GREETING_MAX 256

struct stream {
    int fd;
    const char *path;
    unsigned seconds;
    int64_t deadline; /* milliseconds */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int no_answer(const struct stream *s, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "%s: no answer from the guest within %u seconds", s->path,
                      s->seconds);
}

/* error 0: the stream has ended. */
static int lost(const struct stream *s, int error, struct cofre_err *err)
{
    if (error && error != EPIPE && error != ECONNRESET)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", s->path, strerror(error));
    return cofre_fail(err, COFRE_FAILED, "%s: closed before it answered; does cofre-agent run in the guest?",
                      s->path);
}

/* Reads what is there, at most max bytes, or waits for it until the deadline. */
static ssize_t read_some(const struct stream *s, void *out, size_t max, struct cofre_err *err)
{
    for (;;) {
        int64_t left = s->deadline - now_ms();
        struct pollfd fd = {.fd = s->fd, .events = POLLIN};
        int ready = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready == 0)
            return no_answer(s, err);
        ssize_t n = ready < 0 ? -1 : recv(s->fd, out, max, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        return n > 0 ? n : lost(s, n < 0 ? errno : 0, err);
    }
}

/* Reads up to the first newline, which it replaces, in steps of so many bytes: 1 where more follows for somebody else. */
static int read_line(const struct stream *s, struct bytes *line, size_t max, size_t step,
                     struct cofre_err *err)
{
    int rc = bytes_alloc(line, max, err);
    if (rc < 0)
        return rc;
    for (size_t len = 0; len < max;) {
        ssize_t n = read_some(s, line->data + len, step < max - len ? step : max - len, err);
        if (n < 0)
            return (int)n;
        uint8_t *newline = memchr(line->data + len, '\n', (size_t)n);
        len += (size_t)n;
        if (newline) {
            *newline = 0;
            return 0;
        }
    }
    return cofre_fail(err, COFRE_MALFORMED, "%s: answers with more than %zu bytes in one line", s->path, max);
}

static int send_text(const struct stream *s, const char *text, struct cofre_err *err)
{
    for (size_t len = strlen(text); len;) {
        ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return no_answer(s, err);
        if (n < 0)
            return lost(s, errno, err);
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static int connect_to(struct stream *s, struct cofre_err *err)
{
    struct sockaddr_un address;
    if (!unix_address(&address, s->path))
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long for a socket", s->path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = s->seconds};
    if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return cofre_fail(err, COFRE_USAGE, "%s: no guest answers there: %s", s->path,
                          errno == EAGAIN ? "not in time" : strerror(errno));
    return 0;
}

static int greet(const struct stream *s, struct cofre_err *err)
{
    char hello[32];
    snprintf(hello, sizeof hello, "CONNECT %d\n", AGENT_PORT);
    CLEAN_BYTES greeting = {0};
    int rc = send_text(s, hello, err);
    if (rc == 0)
        rc = read_line(s, &greeting, GREETING_MAX, 1, err);
    if (rc == 0 && strncmp((char *)greeting.data, "OK", 2) != 0)
        rc = cofre_fail(err, COFRE_FAILED,
                        "%s: nothing listens on the guest's port %d (\"%s\"); start cofre-agent in it",
                        s->path, AGENT_PORT, (char *)greeting.data);
    return rc;
}

static void hang_up(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
}

/* A whole exchange on a connection that is there. */
static int exchange(struct bytes *answer, const struct stream *s, const char *request, struct cofre_err *err)
{
    int rc = greet(s, err);
    if (rc == 0)
        rc = send_text(s, request, err);
    if (rc == 0)
        rc = send_text(s, "\n", err);
    if (rc == 0)
        rc = read_line(s, answer, AGENT_ANSWER_MAX, AGENT_ANSWER_MAX, err);
    if (rc < 0)
        bytes_free(answer);
    return rc;
}

int agent_ask_connected(struct bytes *answer, int fd, const char *name, const char *request, unsigned seconds,
                        struct cofre_err *err)
{
    const struct stream s = {
        .fd = fd, .path = name, .seconds = seconds, .deadline = now_ms() + 1000 * (int64_t)seconds};
    const struct timeval limit = {.tv_sec = seconds};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", name, strerror(errno));
    return exchange(answer, &s, request, err);
}

void agent_evidence_request(char out[static AGENT_EVIDENCE_SIZE], const uint8_t report_data[64],
                            const char *service)
{
    char hex[2 * 64 + 1];
    hex_encode(hex, report_data, 64);
    (void)snprintf(out, AGENT_EVIDENCE_SIZE, "{\"op\": \"evidence\", \"report_data\": \"%s\"%s%s%s}", hex,
                   service ? ", \"service\": \"" : "", service ? service : "", service ? "\"" : "");
}

int agent_ask(struct bytes *answer, const char *socket_path, const char *request, unsigned seconds,
              struct cofre_err *err)
{
    __attribute__((cleanup(hang_up))) struct stream s = {
        .fd = -1, .path = socket_path, .seconds = seconds, .deadline = now_ms() + 1000 * (int64_t)seconds};
    int rc = connect_to(&s, err);
    return rc < 0 ? rc : exchange(answer, &s, request, err);
}
