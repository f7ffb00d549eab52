#include "tests/unit/host/front/client.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/unix_socket.h"

#define WAIT_SECONDS 20

/* Connections */

void client_patience(int fd)
{
    const struct timeval t = {.tv_sec = WAIT_SECONDS};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
}

int client_unix(const char *path)
{
    struct sockaddr_un address;
    assert_true(unix_address(&address, path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    client_patience(fd);
    return fd;
}

/* Answers */

void answer_free(struct answer *answer)
{
    free(answer->head);
    free(answer->body);
    *answer = (struct answer){0};
}

struct source {
    int fd;
    SSL *ssl;
};

static size_t read_part(const struct source *s, char *out, size_t len)
{
    const ssize_t got = s->ssl ? SSL_read(s->ssl, out, (int)len) : recv(s->fd, out, len, 0);
    return got > 0 ? (size_t)got : 0;
}

static size_t peek_part(const struct source *s, char *out, size_t len)
{
    const ssize_t got = s->ssl ? SSL_peek(s->ssl, out, (int)len) : recv(s->fd, out, len, MSG_PEEK);
    return got > 0 ? (size_t)got : 0;
}

/* Not a byte beyond the line's end. */
static bool read_line(const struct source *s, char *out, size_t room)
{
    for (size_t len = 0, got; len < room - 1 && (got = peek_part(s, out + len, room - 1 - len));) {
        const char *end = memchr(out + len, '\n', got);
        got = read_part(s, out + len, end ? (size_t)(end - (out + len)) + 1 : got);
        len += got;
        if (got && end) {
            out[len] = 0;
            return true;
        }
    }
    return false;
}

static bool read_head(const struct source *s, struct answer *out)
{
    char line[2048];
    size_t len = 0;
    out->head = calloc(1, 8192);
    while (read_line(s, line, sizeof line)) {
        if (strcmp(line, "\r\n") == 0)
            return true;
        assert_true(len + strlen(line) < 8192);
        len += (size_t)sprintf(out->head + len, "%s", line);
    }
    return false;
}

static bool read_some(const struct source *s, struct answer *out, size_t len)
{
    out->body = realloc(out->body, out->body_len + len + 1);
    assert_non_null(out->body);
    for (size_t got; len; len -= got) {
        got = read_part(s, out->body + out->body_len, len);
        if (!got)
            return false;
        out->body_len += got;
    }
    out->body[out->body_len] = 0;
    return true;
}

static bool read_chunks(const struct source *s, struct answer *out)
{
    char line[64];
    size_t len;
    do {
        if (!read_line(s, line, sizeof line))
            return false;
        len = strtoull(line, NULL, 16);
        if (!read_some(s, out, len) || !read_line(s, line, sizeof line))
            return false;
    } while (len);
    return true;
}

static bool read_from(const struct source *s, struct answer *out)
{
    *out = (struct answer){0};
    do {
        free(out->head);
        if (!read_head(s, out))
            return false;
        out->status = atoi(out->head + strlen("HTTP/1.1 "));
    } while (out->status == 100);
    const char *length = strcasestr(out->head, "\nContent-Length:");
    if (strcasestr(out->head, "\nTransfer-Encoding: chunked"))
        return read_chunks(s, out);
    return read_some(s, out, length ? strtoull(length + strlen("\nContent-Length:"), NULL, 10) : 0);
}

bool read_answer(int fd, struct answer *out)
{
    return read_from(&(struct source){.fd = fd}, out);
}

bool read_answer_tls(SSL *ssl, struct answer *out)
{
    return read_from(&(struct source){.ssl = ssl}, out);
}

/* Whoever is refused in the middle of what it sends may find the connection closed. */
void send_text(int fd, const char *text, size_t len)
{
    while (len) {
        const ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        len -= (size_t)sent;
    }
}
