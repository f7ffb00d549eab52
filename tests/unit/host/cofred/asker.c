#include "tests/unit/host/cofred/asker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void asker_send(struct asker *a, const char *text, size_t len)
{
    if (a->fd < 0) {
        assert_int_equal(seteuid(a->user), 0);
        a->fd = client_unix(a->socket);
        assert_int_equal(seteuid(0), 0);
    }
    send_text(a->fd, text, len);
}

void asker_hang_up(struct asker *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
}

bool asker_read(struct asker *a, struct answer *out)
{
    const bool is_there = read_answer(a->fd, out);
    if (!is_there)
        out->status = 0;
    if (!is_there || strstr(out->head, "Connection: close"))
        asker_hang_up(a);
    return is_there;
}

char *asker_request(const char *method, const char *path, const char *headers, const char *body)
{
    char *out = NULL;
    size_t size;
    FILE *to = open_memstream(&out, &size);
    (void)fprintf(to, "%s /v1%s HTTP/1.1\r\nHost: cofred\r\n%s", method, path, headers);
    if (body)
        (void)fprintf(to, "Content-Type: application/%s\r\nContent-Length: %zu\r\n",
                      *body == '{' || *body == '[' ? "json" : "octet-stream", strlen(body));
    (void)fprintf(to, "\r\n");
    for (const char *c = body; c && *c; c++)
        (void)fputc(*c == '\'' ? '"' : *c, to);
    (void)fclose(to);
    return out;
}
