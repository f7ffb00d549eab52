#include "attest/service/result_text.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

/* What cannot be written makes the whole bad: who puts members need not ask after each. */
struct writer {
    yajl_gen gen;
    bool bad;
};

static void writer_free(struct writer *w)
{
    if (w->gen)
        yajl_gen_free(w->gen);
}
#define CLEAN_WRITER __attribute__((cleanup(writer_free))) struct writer

static struct writer writer_new(void)
{
    struct writer w = {.gen = yajl_gen_alloc(NULL)};
    w.bad = !w.gen || !yajl_gen_config(w.gen, yajl_gen_validate_utf8, 1);
    return w;
}

static void note(struct writer *w, yajl_gen_status status)
{
    w->bad |= status != yajl_gen_status_ok && status != yajl_gen_generation_complete;
}

static void put_text(struct writer *w, const char *text)
{
    note(w,
         text ? yajl_gen_string(w->gen, (const unsigned char *)text, strlen(text)) : yajl_gen_null(w->gen));
}

static void put_pair(struct writer *w, const char *name, const char *text)
{
    put_text(w, name);
    put_text(w, text);
}

static void put_number(struct writer *w, const char *name, int64_t number)
{
    put_text(w, name);
    note(w, yajl_gen_integer(w->gen, number));
}

static void put_truth(struct writer *w, const char *name, bool truth)
{
    put_text(w, name);
    note(w, yajl_gen_bool(w->gen, truth));
}

static void put_value(struct writer *w, const json_t *value);

static void put_members(struct writer *w, const json_t *object)
{
    const char *name;
    json_t *value;
    note(w, yajl_gen_map_open(w->gen));
    json_object_foreach((json_t *)object, name, value)
    {
        put_text(w, name);
        put_value(w, value);
    }
    note(w, yajl_gen_map_close(w->gen));
}

static void put_items(struct writer *w, const json_t *array)
{
    size_t i;
    json_t *value;
    note(w, yajl_gen_array_open(w->gen));
    json_array_foreach(array, i, value)
    {
        put_value(w, value);
    }
    note(w, yajl_gen_array_close(w->gen));
}

static void put_value(struct writer *w, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_members(w, value);
        break;
    case JSON_ARRAY:
        put_items(w, value);
        break;
    case JSON_STRING:
        put_text(w, json_string_value(value));
        break;
    case JSON_INTEGER:
        note(w, yajl_gen_integer(w->gen, json_integer_value(value)));
        break;
    case JSON_REAL:
        note(w, yajl_gen_double(w->gen, json_real_value(value)));
        break;
    case JSON_NULL:
        note(w, yajl_gen_null(w->gen));
        break;
    default:
        note(w, yajl_gen_bool(w->gen, json_is_true(value)));
    }
}

static void put_json(struct writer *w, const char *name, const json_t *value)
{
    put_text(w, name);
    if (value)
        put_value(w, value);
    else
        w->bad = true;
}

/* yajl takes more for UTF-8 than is, which is why what is not ASCII is read here, before a client does. */
static bool is_good(const char *text, size_t len)
{
    uint8_t all = 0;
    for (size_t i = 0; i < len; i++)
        all |= (uint8_t)text[i];
    CLEAN_JSON *read = all & 0x80 ? json_loadb(text, len, 0, NULL) : NULL;
    return !(all & 0x80) || read;
}

/* The caller frees it. */
static char *take_text(const struct writer *w)
{
    const unsigned char *text;
    size_t len;
    return !w->bad && yajl_gen_get_buf(w->gen, &text, &len) == yajl_gen_status_ok
               ? strndup((const char *)text, len)
               : NULL;
}

static void put_check(struct writer *w, const struct check_result *c)
{
    note(w, yajl_gen_map_open(w->gen));
    put_pair(w, "id", c->id);
    if (c->outcome == CHECK_PASSED || c->outcome == CHECK_FAILED)
        put_truth(w, "ok", c->outcome == CHECK_PASSED);
    else
        put_pair(w, "ok", NULL);
    put_pair(w, "why", c->why);
    if (c->outcome == CHECK_SKIPPED)
        put_truth(w, "skipped", true);
    if (c->outcome == CHECK_UNJUDGED)
        put_truth(w, "unjudged", true);
    note(w, yajl_gen_map_close(w->gen));
}

static void put_checks(struct writer *w, const struct verdict *v)
{
    put_text(w, "checks");
    note(w, yajl_gen_array_open(w->gen));
    for (size_t i = 0; i < v->count; i++)
        put_check(w, &v->check[i]);
    note(w, yajl_gen_array_close(w->gen));
}

char *verdict_text(const struct verdict *v)
{
    CLEAN_WRITER w = writer_new();
    if (w.bad)
        return NULL;
    note(&w, yajl_gen_map_open(w.gen));
    put_pair(&w, "verdict", verdict_outcome(v) == CHECK_PASSED ? "pass" : "fail");
    put_pair(&w, "outcome", verdict_outcome_word(v));
    put_pair(&w, "tee", v->tee);
    put_number(&w, "version", v->version);
    put_pair(&w, "product", v->product);
    put_truth(&w, "emulated", v->emulated);
    put_pair(&w, "root", v->root);
    put_checks(&w, v);
    put_json(&w, "claims", v->claims);
    put_pair(&w, "tcb_status", v->tcb_status);
    put_json(&w, "advisories", v->advisories);
    if (v->reference)
        put_json(&w, "reference", v->reference);
    note(&w, yajl_gen_map_close(w.gen));
    char *text = take_text(&w);
    if (text && is_good(text, strlen(text)))
        return text;
    free(text);
    return NULL;
}

static void put_policy(struct writer *w, const struct result *r)
{
    put_text(w, "policy");
    note(w, yajl_gen_map_open(w->gen));
    put_pair(w, "name", r->policy);
    put_number(w, "version", r->policy_version);
    note(w, yajl_gen_map_close(w->gen));
}

/* All but the verdict, and the brace at its end. */
static char *describe(const struct result *r, const char *cwt)
{
    CLEAN_WRITER w = writer_new();
    char made[TIME_TEXT_SIZE];
    if (w.bad)
        return NULL;
    time_format(made, r->made);
    note(&w, yajl_gen_map_open(w.gen));
    put_pair(&w, "id", r->id);
    put_pair(&w, "made", made);
    put_pair(&w, "outcome", r->outcome);
    put_pair(&w, "tee", r->tee);
    put_policy(&w, r);
    put_number(&w, "log_entry", r->log_index);
    put_pair(&w, "cwt", cwt);
    if (*r->jwt)
        put_pair(&w, "jwt", r->jwt);
    return take_text(&w);
}

char *result_text(const struct result *r)
{
    CLEAN_FREE char *cwt = NULL;
    CLEAN_FREE char *most = base64_encode(&cwt, r->cwt, NULL) == 0 ? describe(r, cwt) : NULL;
    char *text = NULL;
    return most && asprintf(&text, "%s,\"verdict\":%s}", most, r->verdict) >= 0 ? text : NULL;
}

json_t *result_json(const struct result *r)
{
    CLEAN_FREE char *text = result_text(r);
    return text ? json_loads(text, 0, NULL) : NULL;
}
