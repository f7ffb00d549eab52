#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/cose/cbor.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/interface/message.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_t *json(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

/* Requests: what is asked, or is not let through. */

static const struct asked {
    enum operation_number operation;
    const char *part[2], *query, *body, *token;
    uint64_t upload;
} requests[] = {
    {OPERATION_TENANT_CREATE,
     {NULL},
     NULL,
     "{\"name\": \"red\", \"quotas\": {\"cpus\": 8}, \"labels\": {\"a\": \"\"}}",
     NULL,
     0},
    {OPERATION_GUEST_LIST, {"red"}, "{\"limit\": 10}", NULL, "a.b.c", 0},
    {OPERATION_GUEST_START, {"red", "web"}, NULL, NULL, NULL, 0},
    {OPERATION_GUEST_STOP, {"red", "web"}, NULL, "{}", NULL, 0},
    {OPERATION_IMAGE_ADD, {"red", DIGEST}, NULL, NULL, NULL, 1ULL << 40},
    {OPERATION_IMAGE_ADD, {"red", DIGEST}, NULL, NULL, NULL, MESSAGE_UPLOAD_OPEN},
    {OPERATION_SESSION_SHOW, {NULL}, NULL, NULL, "t", 0},
};

static struct bytes written(const struct asked *a, uint64_t id)
{
    struct bytes out = {0};
    struct cofre_err err;
    CLEAN_MESSAGE_REQUEST r = {.id = id,
                               .operation = &operations[a->operation],
                               .query = json(a->query),
                               .body = json(a->body),
                               .token = a->token ? strdup(a->token) : NULL,
                               .upload = a->upload};
    for (; r.part.count < 2 && a->part[r.part.count]; r.part.count++)
        (void)snprintf(r.part.text[r.part.count], OPERATION_PART_MAX, "%s", a->part[r.part.count]);
    if (message_request_write(&out, &r, &err) < 0)
        fail_msg("%s", err.text);
    return out;
}

static void a_request_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const struct asked *a = &requests[i];
        CLEAN_BYTES message = written(a, i + 1);
        CLEAN_MESSAGE_REQUEST r = {0};
        struct cofre_err err;
        if (message_request_read(&r, bytes_view(&message), &err) < 0)
            fail_msg("request %zu: %s", i, err.text);
        CLEAN_JSON *query = json(a->query), *body = json(a->body);
        assert_int_equal(r.id, i + 1);
        assert_ptr_equal(r.operation, &operations[a->operation]);
        assert_true(query ? json_equal(r.query, query) : !r.query);
        assert_true(body ? json_equal(r.body, body) : !r.body);
        assert_true(a->token ? strcmp(r.token, a->token) == 0 : !r.token);
        assert_int_equal(r.upload, a->upload);
        for (size_t k = 0; k < 2; k++)
            assert_true(a->part[k] ? k < r.part.count && strcmp(r.part.text[k], a->part[k]) == 0
                                   : r.part.count <= k);
    }
}

/* A parser that was taken over writes what it likes: each of these is well-formed CBOR, and none is a request. */
static void what_no_parser_of_ours_sends_is_refused(void **state)
{
    (void)state;
    static const struct asked bad[] = {
        {OPERATION_TENANT_CREATE, {NULL}, NULL, NULL, NULL, 0}, /* no body */
        {OPERATION_TENANT_CREATE,
         {NULL},
         "{}",
         "{\"name\": \"a\"}",
         NULL,
         0}, /* a query that it does not have */
        {OPERATION_TENANT_CREATE, {NULL}, NULL, "{\"name\": \"A\"}", NULL, 0},
        {OPERATION_TENANT_CREATE, {NULL}, NULL, "{\"name\": \"a\", \"path\": \"/\"}", NULL, 0},
        {OPERATION_TENANT_CREATE, {"a"}, NULL, "{\"name\": \"a\"}", NULL, 0},
        {OPERATION_TENANT_CREATE, {NULL}, NULL, "[]", NULL, 0},
        {OPERATION_TENANT_CREATE, {NULL}, NULL, "3", NULL, 0},
        {OPERATION_GUEST_LIST, {"red"}, NULL, NULL, NULL, 0}, /* no query */
        {OPERATION_GUEST_LIST, {"red"}, "{\"limit\": 0}", NULL, NULL, 0},
        {OPERATION_GUEST_START, {"red"}, NULL, NULL, NULL, 0},
        {OPERATION_GUEST_START, {"red", ".."}, NULL, NULL, NULL, 0},
        {OPERATION_GUEST_START, {"red", "a/b"}, NULL, NULL, NULL, 0},
        {OPERATION_GUEST_START, {"red", ""}, NULL, NULL, NULL, 0},
        {OPERATION_GUEST_START, {"red", "web"}, NULL, "{}", NULL, 0},
        {OPERATION_GUEST_START, {"red", "web"}, NULL, NULL, NULL, 1}, /* uploads nothing */
        {OPERATION_IMAGE_ADD, {"red", "newest"}, NULL, NULL, NULL, 1},
        {OPERATION_IMAGE_ADD, {"red", "sha256:../../etc"}, NULL, NULL, NULL, 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEAN_BYTES message = written(&bad[i], 1);
        CLEAN_MESSAGE_REQUEST r = {0};
        if (message_request_read(&r, bytes_view(&message), NULL) != -COFRE_MALFORMED)
            fail_msg("request %zu was read", i);
        assert_null(r.operation);
    }
    CLEAN_BYTES zero = written(&requests[0], 0);
    CLEAN_MESSAGE_REQUEST r = {0};
    assert_int_equal(message_request_read(&r, bytes_view(&zero), NULL), -COFRE_MALFORMED);
}

/* The fields of a message of eight, one of them another than it should be. */
static struct bytes fields(size_t odd, const char *hex, size_t count)
{
    static const char *const good[] = {"01", NULL, "05", "80", "f6", "f6", "f6", "00", "00", "00"};
    CLEAN_COSE_WRITER w = {0};
    struct bytes out = {0};
    cose_begin(&w);
    for (size_t i = 0; i < count; i++) {
        CLEAN_BYTES field = {0};
        if (i == 1 && i != odd)
            cose_put_uint(&w, OPERATION_SESSION_SHOW);
        else if (hex_decode_some(&field, 64, i == odd ? hex : good[i], NULL) == 0)
            cose_put_encoded(&w, bytes_view(&field));
    }
    cose_end_array(&w);
    assert_int_equal(cose_take(&out, &w, NULL), 0);
    return out;
}

static void each_field_is_checked(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *hex;
    } bad[] = {
        {0, "02"},
        {0, "6131"},
        {0, "20"},
        {1, "182f"},
        {1, "1903e8"},
        {1, "20"},
        {1, "1bffffffffffffffff"},
        {1, "f6"},
        {2, "00"},
        {2, "f6"},
        {2, "20"},
        {3, "f6"},
        {3, "a0"},
        {3, "816161"},
        {3, "8101"},
        {4, "a0"},
        {4, "01"},
        {5, "a0"},
        {5, "fb3ff0000000000000"},
        {6, "00"},
        {6, "4161"},
        {7, "01"},
        {7, "f6"},
    };
    CLEAN_MESSAGE_REQUEST r = {0};
    CLEAN_BYTES good = fields(99, NULL, 8);
    assert_int_equal(message_request_read(&r, bytes_view(&good), NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEAN_MESSAGE_REQUEST none = {0};
        CLEAN_BYTES message = fields(bad[i].at, bad[i].hex, 8);
        if (message_request_read(&none, bytes_view(&message), NULL) != -COFRE_MALFORMED)
            fail_msg("field %zu may be %s", bad[i].at, bad[i].hex);
    }
    for (size_t count = 0; count < 11; count++) {
        CLEAN_MESSAGE_REQUEST none = {0};
        CLEAN_BYTES message = fields(99, NULL, count < 10 ? count : 10);
        assert_int_equal(message_request_read(&none, bytes_view(&message), NULL),
                         count == 8 ? 0 : -COFRE_MALFORMED);
    }
}

static void a_request_that_is_cut_off_or_goes_on_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        CLEAN_BYTES whole = written(&requests[i], 7), more = {0};
        CLEAN_MESSAGE_REQUEST r = {0};
        for (size_t len = 0; len < whole.len; len++)
            assert_int_equal(message_request_read(&r, (struct view){whole.data, len}, NULL),
                             -COFRE_MALFORMED);
        assert_int_equal(bytes_alloc(&more, whole.len + 1, NULL), 0);
        memcpy(more.data, whole.data, whole.len);
        assert_int_equal(message_request_read(&r, bytes_view(&more), NULL), -COFRE_MALFORMED);
    }
}

static void a_message_is_bounded(void **state)
{
    (void)state;
    CLEAN_BYTES out = {0};
    CLEAN_JSON *list = json_array();
    for (int i = 0; i < 20000; i++)
        assert_int_equal(json_array_append_new(list, json_integer(70000)), 0);
    struct message_answer answer = {.id = 1, .kind = MESSAGE_JSON, .status = 200, .json = list};
    assert_int_equal(message_answer_write(&out, &answer, NULL), -COFRE_USAGE);
    assert_null(out.data);
    CLEAN_BYTES long_one = {0};
    assert_int_equal(bytes_alloc(&long_one, MESSAGE_MAX + 1, NULL), 0);
    CLEAN_MESSAGE_REQUEST r = {0};
    CLEAN_MESSAGE_ANSWER a = {0};
    assert_int_equal(message_request_read(&r, bytes_view(&long_one), NULL), -COFRE_MALFORMED);
    assert_int_equal(message_answer_read(&a, bytes_view(&long_one), NULL), -COFRE_MALFORMED);
}

/* JSON */

static void json_comes_back(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "\"\"",
        "\"\\u00e4\\n\"",
        "[]",
        "{}",
        "[1, [2, [3, {\"a\": [{\"b\": {}}]}]]]",
        "{\"a\": 1, \"aa\": 2, \"b\": null}",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        CLEAN_BYTES bytes = {0};
        json_t *is = NULL;
        CLEAN_JSON *value = json(values[i]);
        assert_int_equal(message_put_json(&bytes, value, NULL), 0);
        assert_int_equal(message_get_json(&is, bytes_view(&bytes), NULL), 0);
        assert_true(json_equal(is, value));
        json_decref(is);
    }
}

static void what_is_no_json_is_neither_written_nor_read(void **state)
{
    (void)state;
    static const char *const values[] = {"1.5", "[[[[[[[[[[1]]]]]]]]]]"};
    static const char *const cbor[] = {
        "f97e00",
        "c101",
        "41ff",
        "a10101",
        "a1616101ff",
        "1b8000000000000000",
        "3b8000000000000000",
        "f7",
        "9f01ff",
        "61ff",
        "a2616101616102",
        "8181818181818181818101",
        "e0",
        "00f6",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        CLEAN_BYTES bytes = {0};
        CLEAN_JSON *value = json(values[i]);
        assert_true(message_put_json(&bytes, value, NULL) < 0);
    }
    for (size_t i = 0; i < sizeof cbor / sizeof *cbor; i++) {
        CLEAN_BYTES bytes = {0};
        json_t *is = NULL;
        assert_int_equal(hex_decode_some(&bytes, 64, cbor[i], NULL), 0);
        if (message_get_json(&is, bytes_view(&bytes), NULL) != -COFRE_MALFORMED || is)
            fail_msg("%s was read", cbor[i]);
    }
}

/* Answers */

static void an_answer_is_read_as_it_was_written(void **state)
{
    (void)state;
    CLEAN_JSON *object = json("{\"a\": [1]}");
    const struct view data = {(const uint8_t *)"bytes", 5};
    const struct message_answer answers[] = {
        {.id = 1, .kind = MESSAGE_JSON, .status = 200, .json = object},
        {.id = 2, .kind = MESSAGE_EMPTY, .status = 204},
        {.id = 3,
         .kind = MESSAGE_PROBLEM,
         .status = 404,
         .code = "no-such-guest",
         .text = "there is none",
         .number = 5},
        {.id = 4, .kind = MESSAGE_UPLOAD},
        {.id = 5, .kind = MESSAGE_BEGIN, .status = 200, .code = "text/event-stream"},
        {.id = 6, .kind = MESSAGE_CHUNK, .data = data},
        {.id = 7, .kind = MESSAGE_EVENT, .code = "guest.state", .number = 9, .json = object},
        {.id = UINT64_MAX, .kind = MESSAGE_END},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        CLEAN_BYTES message = {0};
        CLEAN_MESSAGE_ANSWER is = {0};
        assert_int_equal(message_answer_write(&message, &answers[i], NULL), 0);
        assert_int_equal(message_answer_read(&is, bytes_view(&message), NULL), 0);
        assert_int_equal(is.id, answers[i].id);
        assert_int_equal(is.kind, answers[i].kind);
        assert_int_equal(is.status, answers[i].status);
        assert_string_equal(is.code, answers[i].code);
        assert_string_equal(is.text, answers[i].text);
        assert_int_equal(is.number, answers[i].number);
        assert_true(answers[i].json ? json_equal(is.json, answers[i].json) : !is.json);
        assert_true(view_equal(is.data, answers[i].data));
        for (size_t len = 0; len < message.len; len++) {
            CLEAN_MESSAGE_ANSWER none = {0};
            assert_int_equal(message_answer_read(&none, (struct view){message.data, len}, NULL),
                             -COFRE_MALFORMED);
        }
    }
}

static void an_answer_has_what_its_kind_has(void **state)
{
    (void)state;
    CLEAN_JSON *object = json_object();
    const struct view data = {(const uint8_t *)"x", 1};
    const struct message_answer bad[] = {
        {.id = 0, .kind = MESSAGE_EMPTY, .status = 204},
        {.id = 1, .kind = MESSAGE_EMPTY, .status = 0},
        {.id = 1, .kind = MESSAGE_EMPTY, .status = 199},
        {.id = 1, .kind = MESSAGE_EMPTY, .status = 600},
        {.id = 1, .kind = MESSAGE_EMPTY, .status = 204, .json = object},
        {.id = 1, .kind = MESSAGE_JSON, .status = 200},
        {.id = 1, .kind = MESSAGE_JSON, .status = 200, .json = object, .text = "a"},
        {.id = 1, .kind = MESSAGE_PROBLEM, .status = 200, .code = "a", .text = "b"},
        {.id = 1, .kind = MESSAGE_PROBLEM, .status = 400, .text = "b"},
        {.id = 1, .kind = MESSAGE_PROBLEM, .status = 400, .code = "a\nb", .text = "b"},
        {.id = 1, .kind = MESSAGE_BEGIN, .status = 200},
        {.id = 1, .kind = MESSAGE_BEGIN, .status = 200, .code = "text/plain\r\nSet-Cookie: a"},
        {.id = 1, .kind = MESSAGE_CHUNK},
        {.id = 1, .kind = MESSAGE_CHUNK, .status = 200, .data = data},
        {.id = 1, .kind = MESSAGE_EVENT, .code = "a"},
        {.id = 1, .kind = MESSAGE_EVENT, .code = "a\nb", .json = object},
        {.id = 1, .kind = MESSAGE_END, .number = 1},
        {.id = 1, .kind = MESSAGE_UPLOAD, .code = "a"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEAN_BYTES message = {0};
        if (message_answer_write(&message, &bad[i], NULL) != -COFRE_MALFORMED)
            fail_msg("answer %zu was written", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_as_it_was_written),
        cmocka_unit_test(what_no_parser_of_ours_sends_is_refused),
        cmocka_unit_test(each_field_is_checked),
        cmocka_unit_test(a_request_that_is_cut_off_or_goes_on_is_refused),
        cmocka_unit_test(a_message_is_bounded),
        cmocka_unit_test(json_comes_back),
        cmocka_unit_test(what_is_no_json_is_neither_written_nor_read),
        cmocka_unit_test(an_answer_is_read_as_it_was_written),
        cmocka_unit_test(an_answer_has_what_its_kind_has),
    };
    return cmocka_run_group_tests_name("host/message", tests, NULL, NULL);
}
