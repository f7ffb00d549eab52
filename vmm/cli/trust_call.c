#include "vmm/cli/trust_call.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define ANSWER_MAX (8u << 20)
#define TOKEN_MAX  512
#define SECONDS    60L

static void cleanup_curl(CURL **c)
{
    curl_easy_cleanup(*c);
}
#define CLEAN_CURL __attribute__((cleanup(cleanup_curl))) CURL

struct answer {
    uint8_t *data;
    size_t len;
};

static size_t take(char *data, size_t one, size_t count, void *context)
{
    struct answer *a = context;
    const size_t len = one * count;
    if (len > ANSWER_MAX - a->len)
        return 0;
    uint8_t *more = realloc(a->data, a->len + len + 1);
    if (!more)
        return 0;
    a->data = more;
    memcpy(a->data + a->len, data, len);
    a->len += len;
    return len;
}

static int bearer(char out[static TOKEN_MAX + 32], const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, TOKEN_MAX, err);
    while (rc == 0 && file.len && (file.data[file.len - 1] == '\n' || file.data[file.len - 1] == '\r'))
        file.len--;
    if (rc == 0 && (file.len == 0 || memchr(file.data, '\n', file.len) || memchr(file.data, 0, file.len)))
        rc = cofre_fail(err, COFRE_USAGE, "%s: there is no token in it", path);
    if (rc == 0)
        (void)snprintf(out, TOKEN_MAX + 32, "Authorization: Bearer %.*s", (int)file.len,
                       (const char *)file.data);
    return rc;
}

/* The service's sentence, or what there is in its place. */
static int refused(long status, const struct answer *a, const struct trust_service *s, struct cofre_err *err)
{
    json_t *problem = NULL;
    (void)json_read(&problem, (struct view){a->data, a->len}, COFRE_MALFORMED, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const enum cofre_error code = status == 404 ? COFRE_NEGATIVE : status < 500 ? COFRE_USAGE : COFRE_FAILED;
    int rc =
        cofre_fail(err, code, "%s answers %ld: %.768s", s->url, status, detail ? detail : "without a reason");
    json_decref(problem);
    return rc;
}

static bool set_up(CURL *c, const struct trust_service *s, const char *method, const char *url,
                   const char *text, struct answer *a, char *why)
{
    return curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAINFO, s->ca) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
           (!text || curl_easy_setopt(c, CURLOPT_POSTFIELDS, text) == CURLE_OK) &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT, SECONDS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, a) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) == CURLE_OK;
}

static int exchange(long *status, struct answer *a, const struct trust_service *s, const char *method,
                    const char *path, const char *text, struct cofre_err *err)
{
    char url[1024], why[CURL_ERROR_SIZE] = "", token[TOKEN_MAX + 32];
    CLEAN_CURL *c = curl_easy_init();
    int rc = bearer(token, s->token_file, err);
    if (rc < 0)
        return rc;
    (void)snprintf(url, sizeof url, "%s%s", s->url, path);
    struct curl_slist *headers = curl_slist_append(NULL, token);
    if (headers && text && !curl_slist_append(headers, "Content-Type: application/json")) {
        curl_slist_free_all(headers);
        headers = NULL;
    }
    if (!c || !headers || !set_up(c, s, method, url, text, a, why) ||
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
        rc = cofre_fail(err, COFRE_FAILED, "libcurl: %s", *why ? why : "it cannot be set up");
    else if (curl_easy_perform(c) != CURLE_OK ||
             curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status) != CURLE_OK)
        rc = cofre_fail(err, COFRE_FAILED, "%s: %s", s->url, *why ? why : "there is no answer");
    curl_slist_free_all(headers);
    explicit_bzero(token, sizeof token);
    return rc;
}

int trust_call(json_t **answer, const struct trust_service *s, const char *method, const char *path,
               const json_t *body, struct cofre_err *err)
{
    struct answer a = {NULL, 0};
    long status = 0;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int rc = body && !text ? cofre_fail(err, COFRE_FAILED, "out of memory")
                           : exchange(&status, &a, s, method, path, text, err);
    free(text);
    if (rc == 0 && (status < 200 || status > 299))
        rc = refused(status, &a, s, err);
    else if (rc == 0) {
        rc = json_read(answer, (struct view){a.data, a.len}, COFRE_MALFORMED, err);
        if (rc < 0)
            rc = cofre_within(err, rc, "the answer of %s", s->url);
    }
    free(a.data);
    return rc;
}
