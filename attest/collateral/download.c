#include "attest/collateral/download.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"

#define HEADERS_MAX (64u << 10) /* bytes of an answer's headers, with a chain of certificates in one */

struct transfer {
    const struct download_order *order;
    uint8_t *data;
    size_t len, room, headers;
    bool too_much;
};

static void cleanup_curl(CURL **curl)
{
    curl_easy_cleanup(*curl);
}
static void cleanup_url(CURLU **url)
{
    curl_url_cleanup(*url);
}
#define CLEAN_CURL __attribute__((cleanup(cleanup_curl))) CURL
#define CLEAN_URL  __attribute__((cleanup(cleanup_url))) CURLU

int download_prepare(struct cofre_err *err)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? 0
               : cofre_fail(err, COFRE_FAILED, "libcurl could not be prepared");
}

static bool is_this_machine(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0;
}

int download_check_address(const char *address, struct cofre_err *err)
{
    CLEAN_URL *url = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool is_url = url && curl_url_set(url, CURLUPART_URL, address, 0) == CURLUE_OK &&
                  curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                  curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                  curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
    bool allowed =
        is_url && (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_this_machine(host)));
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    return allowed
               ? 0
               : cofre_fail(err, COFRE_USAGE,
                            "\"%.128s\" is no https address, nor an http address of this machine", address);
}

static size_t take_body(char *data, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t len = one * count;
    if (len > t->order->limits.body - t->len) {
        t->too_much = true;
        return 0;
    }
    if (t->len + len > t->room) {
        size_t room = 2 * (t->len + len);
        uint8_t *more = realloc(t->data, room);
        if (!more)
            return 0;
        t->data = more;
        t->room = room;
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
    return len;
}

static size_t count_header(char *data, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    (void)data;
    t->headers += one * count;
    t->too_much |= t->headers > HEADERS_MAX;
    return t->too_much ? 0 : one * count;
}

static int look_up(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    const struct transfer *t = context;
    (void)total, (void)now, (void)up_total, (void)up_now;
    return t->order->is_over && t->order->is_over(t->order->context);
}

static bool set_up(CURL *curl, struct transfer *t)
{
    const struct download_order *o = t->order;
    return curl_easy_setopt(curl, CURLOPT_URL, o->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, o->limits.connect_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, o->limits.whole_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "cofre-trust") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, count_header) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

static int explain(const struct transfer *t, CURLcode code, struct cofre_err *err)
{
    if (t->too_much)
        return cofre_fail(err, COFRE_LACKING, "the answer has more than %zu bytes",
                          t->headers > HEADERS_MAX ? (size_t)HEADERS_MAX : t->order->limits.body);
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return cofre_fail(err, COFRE_LACKING, "there was no whole answer within %ld ms",
                          t->order->limits.whole_ms);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return cofre_fail(err, COFRE_LACKING, "the answer broke off after %zu bytes", t->len);
    case CURLE_COULDNT_CONNECT:
        return cofre_fail(err, COFRE_LACKING, "it cannot be connected to");
    case CURLE_ABORTED_BY_CALLBACK:
        return cofre_fail(err, COFRE_LACKING, "the question was given up");
    default:
        return cofre_fail(err, COFRE_LACKING, "%s", curl_easy_strerror(code));
    }
}

static int take_header(struct download *out, CURL *curl, const char *name, struct cofre_err *err)
{
    struct curl_header *header;
    int len = 0;
    if (!name || curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return 0;
    char *text = curl_easy_unescape(curl, header->value, 0, &len);
    int rc = text ? bytes_copy(&out->header, (struct view){(const uint8_t *)text, (size_t)len}, err)
                  : cofre_fail(err, COFRE_FAILED, "out of memory");
    curl_free(text);
    return rc;
}

static int take_answer(struct download *out, CURL *curl, const struct transfer *t, struct cofre_err *err)
{
    struct curl_header *header;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (curl_easy_header(curl, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        strlen(header->value) < sizeof out->retry_after)
        strcpy(out->retry_after, header->value);
    int rc = bytes_copy(&out->body, (struct view){t->data, t->len}, err);
    return rc < 0 ? rc : take_header(out, curl, t->order->header, err);
}

int download(struct download *out, const struct download_order *order, struct cofre_err *err)
{
    struct transfer t = {.order = order};
    *out = (struct download){0};
    int rc = download_check_address(order->url, err);
    if (rc < 0)
        return rc;
    CLEAN_CURL *curl = curl_easy_init();
    if (!curl || !set_up(curl, &t))
        return cofre_fail(err, COFRE_FAILED, "libcurl could not be set up");
    CURLcode code = curl_easy_perform(curl);
    rc = code == CURLE_OK ? take_answer(out, curl, &t, err) : explain(&t, code, err);
    free(t.data);
    if (rc < 0)
        download_free(out);
    return rc;
}

void download_free(struct download *d)
{
    bytes_free(&d->body);
    bytes_free(&d->header);
}
