/* A parser of cofred's that was taken over writes to the decider, and a decider to a parser: what is read has passed the table of
 * operations, and is written again as what it was. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/host/interface/message.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check_request(const struct message_request *r)
{
    CLEAN_BYTES once = {0}, twice = {0};
    CLEAN_MESSAGE_REQUEST back = {0};
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    FUZZ_CHECK(r->id && r->operation >= operations && r->operation < operations + OPERATIONS);
    FUZZ_CHECK(r->part.count == operation_part_count(r->operation));
    for (size_t i = 0; operation_part(r->operation, i, name, &check); i++)
        FUZZ_CHECK(schema_check_text(r->part.text[i], check, name, NULL) == 0);
    FUZZ_CHECK(!r->query == !r->operation->query && !r->body == !r->operation->body);
    FUZZ_CHECK(!r->query || schema_check(r->query, r->operation->query, NULL) == 0);
    FUZZ_CHECK(!r->body || schema_check(r->body, r->operation->body, NULL) == 0);
    FUZZ_CHECK(!r->upload || r->operation->flags & OPERATION_UPLOADS);
    FUZZ_CHECK(message_request_write(&once, r, NULL) == 0);
    FUZZ_CHECK(message_request_read(&back, bytes_view(&once), NULL) == 0);
    FUZZ_CHECK(message_request_write(&twice, &back, NULL) == 0);
    FUZZ_CHECK(view_equal(bytes_view(&once), bytes_view(&twice)));
}

static void check_answer(const struct message_answer *a)
{
    CLEAN_BYTES once = {0};
    CLEAN_MESSAGE_ANSWER back = {0};
    FUZZ_CHECK(a->id && a->kind < MESSAGE_KINDS && a->status < 600);
    FUZZ_CHECK(!strpbrk(a->code, "\r\n")); /* it may become a header */
    FUZZ_CHECK(message_answer_write(&once, a, NULL) == 0);
    FUZZ_CHECK(message_answer_read(&back, bytes_view(&once), NULL) == 0);
    FUZZ_CHECK(back.kind == a->kind && view_equal(back.data, a->data) && !back.json == !a->json);
    FUZZ_CHECK(!a->json || json_equal(back.json, a->json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_MESSAGE_REQUEST request = {0};
    CLEAN_MESSAGE_ANSWER answer = {0};
    struct cofre_err err = {""};
    const struct view in = {data, size};
    if (message_request_read(&request, in, &err) == 0)
        check_request(&request);
    else
        FUZZ_CHECK(*err.text && !request.operation && !request.body && !request.token);
    if (message_answer_read(&answer, in, &err) == 0)
        check_answer(&answer);
    else
        FUZZ_CHECK(*err.text && !answer.json);
    return 0;
}

static size_t put(const struct bytes *message, uint8_t out[FUZZ_SEED_MAX])
{
    memcpy(out, message->data, message->len);
    return message->len;
}

static const struct {
    enum operation_number operation;
    const char *part[2], *query, *body, *token;
} requests[] = {
    {OPERATION_GUEST_CREATE,
     {"red"},
     NULL,
     "{\"name\": \"web\", \"tee\": \"tdx\", \"cpus\": 2, \"memory\": 67108864, \"kernel\": \"" DIGEST "\", "
     "\"attributes\": \"0x1\", "
     "\"disks\": [{\"image\": \"" DIGEST
     "\", \"mode\": \"copy\"}, {\"size\": 1048576}], \"networks\": [{\"kind\": "
     "\"passt\"}], "
     "\"labels\": {\"a\": \"b\"}, \"limits\": {\"cpus\": \"0-3,6\", \"disk\": {\"read_bytes\": 5}}}",
     NULL},
    {OPERATION_ROLE_DEFINE, {"ops"}, NULL, "{\"operations\": [\"guest.*\", \"image.list\"]}", "a.b.c"},
    {OPERATION_GUEST_LIST, {"red"}, "{\"limit\": 5, \"state\": \"running\"}", NULL, NULL},
    {OPERATION_IMAGE_ADD, {"red", DIGEST}, NULL, NULL, NULL},
};
#define REQUESTS (sizeof requests / sizeof *requests)

static json_t *json(const char *text)
{
    return text ? json_loads(text, 0, NULL) : NULL;
}

static size_t seed_request(size_t index, uint8_t out[FUZZ_SEED_MAX])
{
    CLEAN_BYTES message = {0};
    CLEAN_MESSAGE_REQUEST r = {.id = 1,
                               .operation = &operations[requests[index].operation],
                               .query = json(requests[index].query),
                               .body = json(requests[index].body),
                               .token = requests[index].token ? strdup(requests[index].token) : NULL};
    r.upload = r.operation->flags & OPERATION_UPLOADS ? 4096 : 0;
    for (; r.part.count < 2 && requests[index].part[r.part.count]; r.part.count++)
        (void)snprintf(r.part.text[r.part.count], OPERATION_PART_MAX, "%s",
                       requests[index].part[r.part.count]);
    FUZZ_CHECK(message_request_write(&message, &r, NULL) == 0);
    return put(&message, out);
}

static size_t seed_answer(enum message_kind kind, uint8_t out[FUZZ_SEED_MAX])
{
    static const struct message_answer answers[MESSAGE_KINDS] = {
        [MESSAGE_JSON] = {.status = 200},
        [MESSAGE_EMPTY] = {.status = 204},
        [MESSAGE_PROBLEM] = {.status = 404, .code = "no-such-guest", .text = "there is none", .number = 3},
        [MESSAGE_BEGIN] = {.status = 200, .code = "text/event-stream"},
        [MESSAGE_CHUNK] = {.data = {(const uint8_t *)"bytes", 5}},
        [MESSAGE_EVENT] = {.code = "guest.state", .number = 7},
    };
    CLEAN_BYTES message = {0};
    CLEAN_MESSAGE_ANSWER a = answers[kind];
    a.id = 1;
    a.kind = kind;
    a.json = kind == MESSAGE_JSON || kind == MESSAGE_EVENT ? json("{\"a\": [1, true, null, {\"b\": \"c\"}]}")
                                                           : NULL;
    FUZZ_CHECK(message_answer_write(&message, &a, NULL) == 0);
    return put(&message, out);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (index < REQUESTS)
        return seed_request(index, out);
    return index < REQUESTS + MESSAGE_KINDS ? seed_answer(index - REQUESTS, out) : 0;
}
