#include "vmm/host/interface/message.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/host/interface/message_parts.h"

static int malformed(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_MALFORMED, "a message between cofred's processes: %s", what);
}

static int take(struct bytes *out, struct cose_writer *w, struct cofre_err *err)
{
    const int rc = cose_take(out, w, err);
    if (rc < 0 || out->len <= MESSAGE_MAX)
        return rc;
    const size_t len = out->len;
    bytes_free(out);
    return cofre_fail(err, COFRE_USAGE, "a message of %zu bytes, and %d may be", len, MESSAGE_MAX);
}

/* A message is an array of a version and so many fields, in an order. */

struct fields {
    struct cose_doc doc;
    const struct cose_item *at;
    bool good;
};

static void fields_free(struct fields *f)
{
    cose_doc_free(&f->doc);
}
#define CLEAN_FIELDS __attribute__((cleanup(fields_free))) struct fields

static uint64_t next_number(struct fields *f, uint64_t max)
{
    const struct cose_item *item = f->at;
    f->at = cose_behind(item);
    if (item->kind == COSE_UINT && item->number <= max)
        return item->number;
    f->good = false;
    return 0;
}

/* A text of at most room - 1 bytes. */
static void next_text(struct fields *f, char *out, size_t room)
{
    const struct cose_item *item = f->at;
    f->at = cose_behind(item);
    *out = 0;
    if (item->kind != COSE_TEXT || item->data.len >= room) {
        f->good = false;
        return;
    }
    memcpy(out, item->data.data, item->data.len);
    out[item->data.len] = 0;
}

/* A text or null, the caller's. */
static char *next_own_text(struct fields *f, size_t max)
{
    const struct cose_item *item = f->at;
    f->at = cose_behind(item);
    if (item->kind == COSE_NULL)
        return NULL;
    char *text = item->kind == COSE_TEXT && item->data.len <= max
                     ? strndup((const char *)item->data.data, item->data.len)
                     : NULL;
    f->good = f->good && text;
    return text;
}

/* Anything, or null, the caller's. */
static json_t *next_json(struct fields *f)
{
    const struct cose_item *item = f->at;
    f->at = cose_behind(item);
    if (item->kind == COSE_NULL)
        return NULL;
    json_t *value = message_get_value(item, 0);
    f->good = f->good && value;
    return value;
}

static struct view next_bytes(struct fields *f, size_t max)
{
    const struct cose_item *item = f->at;
    f->at = cose_behind(item);
    if (item->kind == COSE_BYTES && item->data.len <= max)
        return item->data;
    f->good = f->good && item->kind == COSE_NULL;
    return (struct view){0};
}

static int fields_read(struct fields *f, struct view in, size_t count, struct cofre_err *err)
{
    if (in.len > MESSAGE_MAX)
        return malformed(err, "it is too long");
    const int rc = cose_read(&f->doc, in, err);
    if (rc < 0)
        return rc;
    if (f->doc.item->kind != COSE_ARRAY || f->doc.item->number != count)
        return malformed(err, "it has not the fields that it should");
    f->at = cose_first(f->doc.item);
    f->good = true;
    return next_number(f, UINT64_MAX) == MESSAGE_VERSION ? 0 : malformed(err, "it is of another version");
}

static void put_json_or_null(struct cose_writer *w, const json_t *value)
{
    if (value)
        message_put_value(w, value, 0);
    else
        cose_put_null(w);
}

/* Requests */

#define REQUEST_FIELDS 8

void message_request_free(struct message_request *request)
{
    json_decref(request->query);
    json_decref(request->body);
    if (request->token)
        explicit_bzero(request->token, strlen(request->token));
    free(request->token);
    *request = (struct message_request){0};
}

int message_request_write(struct bytes *out, const struct message_request *request, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    cose_put_uint(&w, MESSAGE_VERSION);
    cose_put_uint(&w, operation_number(request->operation));
    cose_put_uint(&w, request->id);
    cose_begin(&w);
    for (size_t i = 0; i < request->part.count; i++)
        cose_put_text(&w, request->part.text[i]);
    cose_end_array(&w);
    put_json_or_null(&w, request->query);
    put_json_or_null(&w, request->body);
    if (request->token)
        cose_put_text(&w, request->token);
    else
        cose_put_null(&w);
    cose_put_uint(&w, request->upload);
    cose_end_array(&w);
    return take(out, &w, err);
}

static int read_parts(struct operation_parts *out, struct fields *f, const struct operation *operation,
                      struct cofre_err *err)
{
    const struct cose_item *list = f->at, *behind = cose_behind(list);
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    int rc = 0;
    out->count = operation_part_count(operation);
    if (list->kind != COSE_ARRAY || list->number != out->count)
        return malformed(err, "its path has another number of parts");
    f->at = cose_first(list);
    for (size_t i = 0; rc == 0 && operation_part(operation, i, name, &check); i++) {
        next_text(f, out->text[i], OPERATION_PART_MAX);
        rc = schema_check_text(out->text[i], check, name, err);
    }
    f->at = behind;
    return rc;
}

/* One that is there is there exactly where the operation has one. */
static int check_object(const json_t *object, const struct schema *schema, const char *what,
                        struct cofre_err *err)
{
    if (!object != !schema)
        return cofre_fail(err, COFRE_MALFORMED, "a message between cofred's processes: its %s is %s", what,
                          object ? "there, and should not be" : "not there");
    return schema ? schema_check(object, schema, err) : 0;
}

static int read_request(struct message_request *out, struct fields *f, struct cofre_err *err)
{
    const uint64_t number = next_number(f, OPERATIONS - 1);
    if (!f->good)
        return malformed(err, "there is no such operation");
    out->operation = &operations[number];
    out->id = next_number(f, UINT64_MAX);
    int rc = read_parts(&out->part, f, out->operation, err);
    if (rc < 0)
        return rc;
    out->query = next_json(f);
    out->body = next_json(f);
    out->token = next_own_text(f, MESSAGE_TOKEN_MAX);
    out->upload = next_number(f, UINT64_MAX);
    if (!f->good || out->id == 0)
        return malformed(err, "a field is not what it should be");
    if (out->upload && !(out->operation->flags & OPERATION_UPLOADS))
        return malformed(err, "the operation takes no upload");
    rc = check_object(out->query, out->operation->query, "query", err);
    return rc < 0 ? rc : check_object(out->body, out->operation->body, "body", err);
}

int message_request_read(struct message_request *out, struct view in, struct cofre_err *err)
{
    CLEAN_FIELDS f = {0};
    *out = (struct message_request){0};
    int rc = fields_read(&f, in, REQUEST_FIELDS, err);
    if (rc == 0)
        rc = read_request(out, &f, err);
    if (rc < 0)
        message_request_free(out);
    return rc;
}

/* Answers */

#define ANSWER_FIELDS 9

/* What each kind has; the others of its fields are empty. */
enum {
    STATUS = 1 << 0,
    JSON = 1 << 1,
    CODE = 1 << 2,
    SENTENCE = 1 << 3,
    NUMBER = 1 << 4,
    DATA = 1 << 5,
};
static const unsigned has[MESSAGE_KINDS] = {
    [MESSAGE_JSON] = STATUS | JSON,
    [MESSAGE_EMPTY] = STATUS,
    [MESSAGE_PROBLEM] = STATUS | CODE | SENTENCE | NUMBER,
    [MESSAGE_UPLOAD] = 0,
    [MESSAGE_BEGIN] = STATUS | CODE,
    [MESSAGE_CHUNK] = DATA,
    [MESSAGE_EVENT] = JSON | CODE | NUMBER,
    [MESSAGE_END] = 0,
};

void message_answer_free(struct message_answer *answer)
{
    json_decref(answer->json);
    *answer = (struct message_answer){0};
}

/* Neither end sends or takes one that has what its kind has not. */
static int check_answer(const struct message_answer *a, struct cofre_err *err)
{
    const unsigned fields = has[a->kind];
    const bool status = a->status >= 200 && a->status <= 599;
    if ((fields & STATUS) ? !status : a->status != 0)
        return malformed(err, "its status is none");
    if (!(fields & JSON) != !a->json || !(fields & CODE) != !*a->code || !(fields & DATA) != !a->data.len)
        return malformed(err, "it has not what its kind has");
    if ((!(fields & SENTENCE) && *a->text) || (!(fields & NUMBER) && a->number) || a->id == 0)
        return malformed(err, "it has what its kind has not");
    for (const char *c = a->code; *c; c++)
        if (*c < ' ' || *c > '~')
            return malformed(err, "a word of it is no word");
    return a->kind != MESSAGE_PROBLEM || a->status >= 400 ? 0 : malformed(err, "its status is no problem's");
}

int message_answer_write(struct bytes *out, const struct message_answer *answer, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    const int rc = check_answer(answer, err);
    if (rc < 0)
        return rc;
    cose_begin(&w);
    cose_put_uint(&w, MESSAGE_VERSION);
    cose_put_uint(&w, answer->id);
    cose_put_uint(&w, answer->kind);
    cose_put_uint(&w, (uint64_t)answer->status);
    cose_put_text(&w, answer->code);
    cose_put_text(&w, answer->text);
    cose_put_uint(&w, answer->number);
    put_json_or_null(&w, answer->json);
    if (answer->data.len)
        cose_put_bytes(&w, answer->data);
    else
        cose_put_null(&w);
    cose_end_array(&w);
    return take(out, &w, err);
}

int message_answer_read(struct message_answer *out, struct view in, struct cofre_err *err)
{
    CLEAN_FIELDS f = {0};
    *out = (struct message_answer){0};
    int rc = fields_read(&f, in, ANSWER_FIELDS, err);
    if (rc < 0)
        return rc;
    out->id = next_number(&f, UINT64_MAX);
    out->kind = (enum message_kind)next_number(&f, MESSAGE_KINDS - 1);
    out->status = (int)next_number(&f, 599);
    next_text(&f, out->code, sizeof out->code);
    next_text(&f, out->text, sizeof out->text);
    out->number = next_number(&f, UINT64_MAX);
    out->json = next_json(&f);
    out->data = next_bytes(&f, MESSAGE_CHUNK_MAX);
    rc = f.good ? check_answer(out, err) : malformed(err, "a field is not what it should be");
    if (rc < 0)
        message_answer_free(out);
    return rc;
}
