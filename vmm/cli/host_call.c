#include "vmm/cli/host_call.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define ANSWER_MAX (64u << 20)
#define TOKEN_MAX  16384
#define SECONDS    60L /* until a connection is there, or without a byte of an upload */

static void cleanup_curl(CURL **c)
{
    curl_easy_cleanup(*c);
}
static void cleanup_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}
#define CLEAN_CURL __attribute__((cleanup(cleanup_curl))) CURL
#define CLEAN_LIST __attribute__((cleanup(cleanup_list))) struct curl_slist

struct call {
    CURL *curl;
    const struct host_server *server;
    const struct host_request *request;
    struct bytes answer; /* whole, unless it is taken as it comes */
    size_t room;
    long status;
    int taken; /* what take said */
    int shown; /* percent of the upload */
    struct cofre_err *err;
};

/* The answer. */

static bool keep(struct call *c, const char *data, size_t len)
{
    if (len > ANSWER_MAX - c->answer.len)
        return false;
    if (c->answer.len + len > c->room) {
        const size_t room = 2 * (c->answer.len + len);
        uint8_t *more = realloc(c->answer.data, room);
        if (!more)
            return false;
        c->answer.data = more;
        c->room = room;
    }
    memcpy(c->answer.data + c->answer.len, data, len);
    c->answer.len += len;
    return true;
}

static bool well(long status)
{
    return status >= 200 && status <= 299;
}

static size_t take(char *data, size_t one, size_t count, void *context)
{
    struct call *c = context;
    const size_t len = one * count;
    if (curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status) != CURLE_OK)
        return 0;
    if (!c->request->take || !well(c->status))
        return keep(c, data, len) ? len : 0;
    c->taken = c->request->take(c->request->context, (struct view){(const uint8_t *)data, len}, c->err);
    return c->taken < 0 ? 0 : len;
}

/* The empty line after the headers. */
static size_t begin(char *data, size_t one, size_t count, void *context)
{
    struct call *c = context;
    const size_t len = one * count;
    long status = 0;
    if (len == 2 && data[0] == '\r' && c->request->take &&
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && well(status))
        c->taken = c->request->take(c->request->context, (struct view){NULL, 0}, c->err);
    return c->taken < 0 ? 0 : len;
}

/* The upload. */

static size_t give(char *to, size_t one, size_t count, void *context)
{
    const struct call *c = context;
    for (;;) {
        const ssize_t n = read(c->request->upload, to, one * count);
        if (n >= 0)
            return (size_t)n;
        if (errno != EINTR)
            return CURL_READFUNC_ABORT;
    }
}

#define BAR 40

static int show(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct call *c = context;
    const uint64_t size = c->request->upload_size;
    const int percent = size ? (int)((double)up / (double)size * 100) : 100;
    (void)down_total;
    (void)down;
    (void)up_total;
    if (percent == c->shown)
        return 0;
    c->shown = percent;
    fprintf(stderr, "\r[%.*s%*s] %3d %% of %" PRIu64 " MiB%s", percent * BAR / 100,
            "########################################", BAR - percent * BAR / 100, "", percent, size >> 20,
            percent == 100 ? "\n" : "");
    return 0;
}

/* The request. */

static int unix_path(const char **out, const struct host_server *s, struct cofre_err *err)
{
    static const char prefix[] = "unix:";
    *out = strncmp(s->url, prefix, strlen(prefix)) == 0 ? s->url + strlen(prefix) : NULL;
    if (*out && (!**out || strlen(*out) >= sizeof((struct sockaddr_un *)0)->sun_path))
        return cofre_fail(err, COFRE_USAGE, "--server: \"%s\" names no socket", s->url);
    if (*out)
        return s->ca || s->cert ? cofre_fail(err, COFRE_USAGE,
                                             "--server: over a socket the service sees which user you are; "
                                             "--ca, --cert and --key go with https")
                                : 0;
    if (strncmp(s->url, "https://", 8) != 0)
        return cofre_fail(err, COFRE_USAGE, "--server: \"%s\" is neither unix:PATH nor https://HOST[:PORT]",
                          s->url);
    return s->ca ? 0 : cofre_fail(err, COFRE_USAGE, "--ca is missing: who vouches for %s", s->url);
}

static int add_header(struct curl_slist **list, const char *header, struct cofre_err *err)
{
    struct curl_slist *more = curl_slist_append(*list, header);
    if (!more)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    *list = more;
    return 0;
}

static int add_token(struct curl_slist **list, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    char *header = NULL;
    int rc = file_read(&file, path, TOKEN_MAX, err);
    while (rc == 0 && file.len && (file.data[file.len - 1] == '\n' || file.data[file.len - 1] == '\r'))
        file.len--;
    if (rc == 0 && (file.len == 0 || memchr(file.data, '\n', file.len) || memchr(file.data, 0, file.len)))
        rc = cofre_fail(err, COFRE_USAGE, "%s: there is no token in it", path);
    if (rc < 0)
        return rc;
    int n = asprintf(&header, "Authorization: Bearer %.*s", (int)file.len, (const char *)file.data);
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    rc = add_header(list, header, err);
    explicit_bzero(header, (size_t)n);
    free(header);
    return rc;
}

static int headers(struct curl_slist **list, const struct call *c, struct cofre_err *err)
{
    int rc = c->server->token_file ? add_token(list, c->server->token_file, err) : 0;
    if (rc == 0 && (c->request->body || c->request->upload >= 0))
        rc = add_header(list,
                        c->request->body ? "Content-Type: application/json"
                                         : "Content-Type: application/octet-stream",
                        err);
    return rc;
}

#define SET(option, value) (curl_easy_setopt(c->curl, (option), (value)) == CURLE_OK)

static bool set_identity(const struct call *c, const char *path)
{
    const struct host_server *s = c->server;
    if (path)
        return SET(CURLOPT_UNIX_SOCKET_PATH, path) && SET(CURLOPT_PROTOCOLS_STR, "http");
    return SET(CURLOPT_PROTOCOLS_STR, "https") && SET(CURLOPT_CAINFO, s->ca) && SET(CURLOPT_CAPATH, NULL) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3) &&
           (!s->cert || (SET(CURLOPT_SSLCERT, s->cert) && SET(CURLOPT_SSLKEY, s->key ? s->key : s->cert)));
}

static bool set_body(struct call *c, const char *text)
{
    const struct host_request *r = c->request;
    if (text)
        return SET(CURLOPT_POSTFIELDS, text);
    if (r->upload < 0)
        return true;
    return SET(CURLOPT_UPLOAD, 1L) && SET(CURLOPT_READFUNCTION, give) && SET(CURLOPT_READDATA, c) &&
           SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload_size) && SET(CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           SET(CURLOPT_LOW_SPEED_TIME, SECONDS) && SET(CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20) &&
           (!r->progress || (SET(CURLOPT_NOPROGRESS, 0L) && SET(CURLOPT_XFERINFOFUNCTION, show) &&
                             SET(CURLOPT_XFERINFODATA, c)));
}

static bool set_up(struct call *c, const char *url, const char *path, const char *text,
                   struct curl_slist *list, char *why)
{
    return SET(CURLOPT_URL, url) && set_identity(c, path) && set_body(c, text) &&
           SET(CURLOPT_CUSTOMREQUEST, c->request->method) && SET(CURLOPT_HTTPHEADER, list) &&
           SET(CURLOPT_CONNECTTIMEOUT, SECONDS) && SET(CURLOPT_NOPROXY, "*") && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_WRITEFUNCTION, take) && SET(CURLOPT_WRITEDATA, c) &&
           SET(CURLOPT_HEADERFUNCTION, begin) && SET(CURLOPT_HEADERDATA, c) && SET(CURLOPT_ERRORBUFFER, why);
}

static int exchange(struct call *c, const char *text, struct cofre_err *err)
{
    char url[2048], why[CURL_ERROR_SIZE] = "";
    const char *path;
    CLEAN_LIST *list = NULL;
    CLEAN_CURL *curl = c->curl = curl_easy_init();
    int rc = unix_path(&path, c->server, err);
    if (rc == 0)
        rc = headers(&list, c, err);
    if (rc < 0)
        return rc;
    if (snprintf(url, sizeof url, "%s%s", path ? "http://cofred" : c->server->url, c->request->path) >=
        (int)sizeof url)
        return cofre_fail(err, COFRE_USAGE, "--server: the address is too long");
    if (!curl || !set_up(c, url, path, text, list, why))
        return cofre_fail(err, COFRE_FAILED, "libcurl: %s", *why ? why : "it cannot be set up");
    const CURLcode code = curl_easy_perform(curl);
    if (c->taken < 0)
        return c->taken;
    if (code != CURLE_OK && !c->status) /* an answer that comes before all was sent is an answer */
        return cofre_fail(err, COFRE_FAILED, "%s: %s", c->server->url, *why ? why : curl_easy_strerror(code));
    if (code != CURLE_OK && well(c->status))
        return cofre_fail(err, COFRE_FAILED, "%s: the answer ends early: %s", c->server->url,
                          *why ? why : curl_easy_strerror(code));
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &c->status) == CURLE_OK
               ? 0
               : cofre_fail(err, COFRE_FAILED, "%s: there is no answer", c->server->url);
}

/* The result. */

static enum cofre_error code_of(long status)
{
    static const struct {
        long status;
        enum cofre_error code;
    } codes[] = {{403, COFRE_NEGATIVE}, {404, COFRE_NEGATIVE}, {409, COFRE_NEGATIVE},
                 {429, COFRE_LACKING},  {503, COFRE_LACKING},  {507, COFRE_LACKING}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return status >= 400 && status < 500 ? COFRE_USAGE : COFRE_FAILED;
}

/* The service's sentence as it is (RFC 9457), or what there is in its place. */
static int refused(const struct call *c, struct cofre_err *err)
{
    CLEAN_JSON *problem = NULL;
    if (c->answer.len)
        (void)json_read(&problem, bytes_view(&c->answer), COFRE_MALFORMED, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    if (detail || title)
        return cofre_fail(err, code_of(c->status), "%.900s", detail ? detail : title);
    return cofre_fail(err, code_of(c->status), "%s answers %ld, without a reason", c->server->url, c->status);
}

static int read_answer(json_t **answer, const struct call *c, struct cofre_err *err)
{
    if (!well(c->status))
        return refused(c, err);
    if (c->request->take || c->answer.len == 0)
        return 0;
    int rc = json_read(answer, bytes_view(&c->answer), COFRE_MALFORMED, err);
    return rc < 0 ? cofre_within(err, rc, "the answer of %s", c->server->url) : c->status == 202;
}

int host_call(json_t **answer, const struct host_server *server, const struct host_request *request,
              struct cofre_err *err)
{
    struct call c = {.server = server, .request = request, .shown = -1, .err = err};
    char *text = request->body ? json_dumps(request->body, JSON_COMPACT) : NULL;
    *answer = NULL;
    int rc =
        request->body && !text ? cofre_fail(err, COFRE_FAILED, "out of memory") : exchange(&c, text, err);
    free(text);
    if (c.shown >= 0 && c.shown < 100)
        fputc('\n', stderr);
    if (rc == 0)
        rc = read_answer(answer, &c, err);
    bytes_free(&c.answer);
    return rc;
}
