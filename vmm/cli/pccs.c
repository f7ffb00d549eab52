#include "vmm/cli/pccs.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define CONNECT_MS 2000

/* Comments become spaces; one within a string is none. */
static void blank_comments(uint8_t *text, size_t len)
{
    bool in_string = false, in_comment = false;
    for (size_t i = 0; i < len; i++) {
        if (in_comment)
            in_comment = text[i] != '\n';
        else if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && text[i] == '/' && i + 1 < len && text[i + 1] == '/')
            in_comment = true;
        if (in_comment)
            text[i] = ' ';
    }
}

/* https://HOST[:PORT]/..., HOST perhaps in brackets. */
static bool split_url(struct pccs *out, const char *url)
{
    static const char scheme[] = "https://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *host = url + sizeof scheme - 1, *end = host + strcspn(host, "/?#");
    const char *rest = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : host + strcspn(host, ":/?#");
    if (!rest)
        return false;
    size_t len = (size_t)(rest - host);
    if (*host == '[') {
        host++;
        len--;
        rest++;
    }
    size_t digits = *rest == ':' ? strspn(rest + 1, "0123456789") : 0;
    if (len == 0 || len >= sizeof out->host || digits >= sizeof out->port ||
        (*rest == ':' ? rest + 1 + digits : rest) != end)
        return false;
    snprintf(out->host, sizeof out->host, "%.*s", (int)len, host);
    snprintf(out->port, sizeof out->port, "%.*s", digits ? (int)digits : 3, digits ? rest + 1 : "443");
    return true;
}

int pccs_read(struct pccs *out, struct view config, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_JSON *object = NULL;
    int rc = bytes_copy(&text, config, err);
    if (rc < 0)
        return rc;
    blank_comments(text.data, text.len);
    if ((rc = json_read(&object, bytes_view(&text), COFRE_MALFORMED, err)) < 0)
        return rc;
    const char *url = json_string_value(json_object_get(object, "pccs_url"));
    if (!url)
        return cofre_fail(err, COFRE_MALFORMED, "it has no \"pccs_url\"");
    if (!split_url(out, url))
        return cofre_fail(err, COFRE_MALFORMED, "\"%.128s\" is no https address", url);
    return 0;
}

/* 0, or an errno. */
static int try_address(const struct addrinfo *a)
{
    CLEAN_FD fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (poll(&ready, 1, CONNECT_MS) <= 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

int pccs_connect(const struct pccs *pccs, struct cofre_err *err)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(pccs->host, pccs->port, &wanted, &found);
    if (rc)
        return cofre_fail(err, COFRE_LACKING, "%s port %s: %s", pccs->host, pccs->port, gai_strerror(rc));
    int error = ENOENT;
    for (const struct addrinfo *a = found; a && error; a = a->ai_next)
        error = try_address(a);
    freeaddrinfo(found);
    return error ? cofre_fail(err, COFRE_LACKING, "%s port %s: %s", pccs->host, pccs->port, strerror(error))
                 : 0;
}
