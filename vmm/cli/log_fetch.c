#include "vmm/cli/log_fetch.h"

#include "vmm/base/json.h"
#include "vmm/base/number.h"

int log_fetch(json_t **out, struct host_run *server, enum operation_number operation, const json_t *query,
              struct cofre_err *err)
{
    static const char *const no_words[HOST_WORDS_MAX] = {NULL};
    int rc = host_ask(out, server, operation, no_words, query, NULL, err);
    return rc == 0 && !*out ? cofre_fail(err, COFRE_MALFORMED, "%s sends no object", server->server.url) : rc;
}

int log_fetch_head(struct bytes *message, struct log_head *head, struct host_run *server,
                   const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_JSON *shown = NULL;
    int rc = log_fetch(&shown, server, OPERATION_AUDIT_HEAD, NULL, err);
    if (rc < 0)
        return rc;
    const char *text = json_string_value(json_object_get(shown, "head"));
    rc = text ? base64_decode(message, LOG_HEAD_MAX, text, err)
              : cofre_fail(err, COFRE_MALFORMED, "there is none");
    if (rc == 0)
        rc = log_head_verify(head, bytes_view(message), keys, err);
    return rc < 0 ? cofre_within(err, rc, "the head that %s shows", server->server.url) : 0;
}

static int read_path(struct log_path *out, const json_t *list)
{
    const json_t *one;
    size_t i;
    *out = (struct log_path){0};
    if (!json_is_array(list) || json_array_size(list) > LOG_PATH_MAX)
        return -COFRE_MALFORMED;
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        if (!text || !hex_decode(out->hash[out->count++].data, LOG_HASH_SIZE, text))
            return -COFRE_MALFORMED;
    }
    return 0;
}

int log_fetch_growth(struct log_consistency *proof, struct host_run *server, struct cofre_err *err)
{
    CLEAN_JSON *query = json_pack("{s:I, s:I}", "first", (json_int_t)proof->size1, "second",
                                  (json_int_t)proof->size2),
               *shown = NULL;
    int rc = log_fetch(&shown, server, OPERATION_AUDIT_CONSISTENCY, query, err);
    if (rc < 0)
        return rc;
    return read_path(&proof->path, json_object_get(shown, "path")) == 0
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "%s shows growth by what is no list of hashes",
                            server->server.url);
}
