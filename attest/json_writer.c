#include "attest/json_writer.h"

#include <string.h>
#include <yajl/yajl_gen.h>

#include "vmm/base/json.h"

void writer_free(struct json_writer *w)
{
    if (w->gen)
        yajl_gen_free(w->gen);
}

struct json_writer writer_new(void)
{
    struct json_writer w = {.gen = yajl_gen_alloc(NULL)};
    w.bad = !w.gen || !yajl_gen_config(w.gen, yajl_gen_validate_utf8, 1);
    return w;
}

static void note(struct json_writer *w, yajl_gen_status status)
{
    w->bad |= status != yajl_gen_status_ok && status != yajl_gen_generation_complete;
}

void writer_open_object(struct json_writer *w)
{
    note(w, yajl_gen_map_open(w->gen));
}

void writer_close_object(struct json_writer *w)
{
    note(w, yajl_gen_map_close(w->gen));
}

void writer_open_list(struct json_writer *w)
{
    note(w, yajl_gen_array_open(w->gen));
}

void writer_close_list(struct json_writer *w)
{
    note(w, yajl_gen_array_close(w->gen));
}

void writer_text(struct json_writer *w, const char *text)
{
    note(w,
         text ? yajl_gen_string(w->gen, (const unsigned char *)text, strlen(text)) : yajl_gen_null(w->gen));
}

void writer_pair(struct json_writer *w, const char *name, const char *text)
{
    writer_text(w, name);
    writer_text(w, text);
}

void writer_number(struct json_writer *w, const char *name, int64_t number)
{
    writer_text(w, name);
    note(w, yajl_gen_integer(w->gen, number));
}

void writer_truth(struct json_writer *w, const char *name, bool truth)
{
    writer_text(w, name);
    note(w, yajl_gen_bool(w->gen, truth));
}

static void put_value(struct json_writer *w, const json_t *value);

static void put_members(struct json_writer *w, const json_t *object)
{
    const char *name;
    json_t *value;
    writer_open_object(w);
    json_object_foreach((json_t *)object, name, value)
    {
        writer_text(w, name);
        put_value(w, value);
    }
    writer_close_object(w);
}

static void put_items(struct json_writer *w, const json_t *array)
{
    size_t i;
    json_t *value;
    writer_open_list(w);
    json_array_foreach(array, i, value)
    {
        put_value(w, value);
    }
    writer_close_list(w);
}

static void put_value(struct json_writer *w, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_members(w, value);
        break;
    case JSON_ARRAY:
        put_items(w, value);
        break;
    case JSON_STRING:
        writer_text(w, json_string_value(value));
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

void writer_value(struct json_writer *w, const char *name, const json_t *value)
{
    writer_text(w, name);
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

char *writer_take(const struct json_writer *w)
{
    const unsigned char *text;
    size_t len;
    return !w->bad && yajl_gen_get_buf(w->gen, &text, &len) == yajl_gen_status_ok &&
                   is_good((const char *)text, len)
               ? strndup((const char *)text, len)
               : NULL;
}
