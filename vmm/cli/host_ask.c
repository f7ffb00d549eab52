/* An operation of cofred's as a request, and its answer. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"

static int add_query(FILE *to, const json_t *query)
{
    const char *name;
    const json_t *value;
    char separator = '?';
    json_object_foreach((json_t *)query, name, value)
    {
        const char *text = json_string_value(value);
        char *plain = text ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        char *escaped = curl_easy_escape(NULL, text ? text : plain, 0);
        if (escaped)
            fprintf(to, "%c%s=%s", separator, name, escaped);
        free(plain);
        if (!escaped)
            return -1;
        curl_free(escaped);
        separator = '&';
    }
    return 0;
}

static int add_path(FILE *to, const struct host_run *run, const struct operation *o, const char *const *word,
                    struct cofre_err *err)
{
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    const char *at = o->path;
    for (size_t i = 0; operation_part(o, i, name, &check); i++) {
        const bool tenant = strcmp(name, "tenant") == 0 && !host_is_tenants(run->action);
        const char *text = tenant ? run->tenant : *word++;
        const size_t before = strcspn(at, "{");
        int rc = text ? schema_check_text(text, check, name, err)
                      : cofre_fail(err, COFRE_USAGE, "--%s is missing", name);
        if (rc < 0)
            return -COFRE_USAGE;
        fprintf(to, "%.*s%s", (int)before, at, text);
        at += before + strlen(name) + 2;
    }
    fputs(at, to);
    return 0;
}

int host_prepare(struct host_request *request, char **path, const struct host_run *run,
                 const struct operation *operation, const char *const *word, const json_t *query,
                 struct cofre_err *err)
{
    size_t size;
    *path = NULL;
    FILE *to = open_memstream(path, &size);
    if (!to)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    int rc = add_path(to, run, operation, word, err);
    if (rc == 0 && query && add_query(to, query) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    if (fclose(to) != 0 && rc == 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    request->method = operation->method;
    request->path = *path;
    return rc;
}

int host_ask(json_t **answer, const struct host_run *run, enum operation_number operation,
             const char *const *word, const json_t *query, const json_t *body, struct cofre_err *err)
{
    struct host_request request = {.upload = -1, .body = body};
    CLEAN_FREE char *path = NULL;
    *answer = NULL;
    int rc = host_prepare(&request, &path, run, &operations[operation], word, query, err);
    return rc < 0 ? rc : host_call(answer, &run->server, &request, err);
}

int host_digest(void *context, char out[static OPERATION_PART_MAX], const char *name, struct cofre_err *err)
{
    const struct host_run *run = context;
    CLEAN_JSON *image = NULL;
    int rc = host_ask(&image, run, OPERATION_IMAGE_SHOW, (const char *const[]){name}, NULL, NULL, err);
    const char *digest = json_string_value(json_object_get(image, "digest"));
    if (rc >= 0 && (!digest || schema_check_text(digest, SCHEMA_IS_DIGEST, "digest", NULL) < 0))
        rc = cofre_fail(err, COFRE_MALFORMED, "the service names no digest of image %s", name);
    if (rc >= 0)
        (void)snprintf(out, OPERATION_PART_MAX, "%s", digest);
    return rc < 0 ? rc : 0;
}

/* A list comes in pages. Without --limit all of them are asked for. */
static int ask_all(json_t **answer, struct host_run *run, struct cofre_err *err)
{
    const bool paged =
        host_has_member(run->operation->query, "after") && !json_object_get(run->query, "limit");
    int rc = host_ask(answer, run, run->action->operation, run->word, run->query, run->body, err);
    for (json_t *page = *answer; rc == 0 && paged;) {
        const char *next = json_string_value(json_object_get(page, "next"));
        CLEAN_JSON *more = NULL;
        if (!next)
            break;
        if (json_object_set_new(run->query, "after", json_string(next)) < 0)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
        rc = host_ask(&more, run, run->action->operation, run->word, run->query, run->body, err);
        if (rc == 0)
            rc = host_append(*answer, more, err);
    }
    return rc;
}

/* Accepted, and not done: an approval is what was answered. */
static int held(const json_t *answer, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_NEGATIVE,
                      "it waits for a second approver, and is not done yet: cofre approval give %.32s",
                      json_string_value(json_object_get(answer, "id")));
}

static bool is_approval(const json_t *answer)
{
    return json_is_string(json_object_get(answer, "id")) && json_object_get(answer, "operation");
}

int host_show(struct host_run *run, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = ask_all(&answer, run, err);
    if (rc == 1 && is_approval(answer))
        return held(answer, err);
    return rc < 0 ? rc : host_print(run, answer, err);
}
