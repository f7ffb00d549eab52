#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/interface/schema_parts.h"
#include "vmm/host/interface/schemas.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX16  "000102030405060708090a0b0c0d0e0f"
#define HEX48  HEX16 HEX16 HEX16

/* One member of each shape, and one within another. */
static const char *const words[] = {"red", "blue", NULL};
static const struct schema_shape text = {.type = SCHEMA_TEXT, .min = 1, .max = 3};
static const struct schema_member inner_members[] = {{"t", {.type = SCHEMA_TEXT, .max = 8}, true, "text"},
                                                     {0}};
static const struct schema inner = {"Inner", "within", inner_members, NULL};
static const struct schema_shape inner_shape = {.type = SCHEMA_OBJECT, .object = &inner};

static int even(const json_t *object, struct cofre_err *err)
{
    return member_unsigned(object, "number", 0) % 2 ? cofre_fail(err, COFRE_MALFORMED, "number: it is odd")
                                                    : 0;
}

#define OF_TEXT(c, ...)                                                                                      \
    {                                                                                                        \
        .type = SCHEMA_TEXT, .check = (c), __VA_ARGS__                                                       \
    }
static const struct schema_member members[] = {
    {"number", {.type = SCHEMA_UNSIGNED, .min = 2, .max = 10}, true, "a number"},
    {"text", {.type = SCHEMA_TEXT, .min = 1, .max = 3}, false, "a text"},
    {"lines", OF_TEXT(SCHEMA_IS_LINES), false, NULL},
    {"name", OF_TEXT(SCHEMA_IS_NAME), false, NULL},
    {"digest", OF_TEXT(SCHEMA_IS_DIGEST), false, NULL},
    {"image", OF_TEXT(SCHEMA_IS_IMAGE), false, NULL},
    {"hex", OF_TEXT(SCHEMA_IS_HEX, .min = 2, .max = 3), false, NULL},
    {"cpus", OF_TEXT(SCHEMA_IS_CPUS), false, NULL},
    {"base64", OF_TEXT(SCHEMA_IS_BASE64, .min = 1, .max = 4), false, NULL},
    {"time", OF_TEXT(SCHEMA_IS_TIME), false, NULL},
    {"digits", OF_TEXT(SCHEMA_IS_NUMBER), false, NULL},
    {"bits", OF_TEXT(SCHEMA_IS_BITS), false, NULL},
    {"operation", OF_TEXT(SCHEMA_IS_OPERATION), false, NULL},
    {"yes", {.type = SCHEMA_BOOLEAN}, false, NULL},
    {"word", {.type = SCHEMA_WORD, .words = words}, false, NULL},
    {"list", {.type = SCHEMA_LIST, .min = 1, .max = 2, .each = &text}, false, NULL},
    {"map", {.type = SCHEMA_MAP, .max = 2, .each = &text}, false, NULL},
    {"inner", {.type = SCHEMA_OBJECT, .object = &inner}, false, NULL},
    {"inners", {.type = SCHEMA_LIST, .max = 2, .each = &inner_shape}, false, NULL},
    {0},
};
static const struct schema outer = {"Outer", "for the test", members, even};

static int check(const struct schema *schema, const char *json, struct cofre_err *err)
{
    json_error_t why;
    CLEAN_JSON *value = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        fail_msg("%s: %s", json, why.text);
    return schema_check(value, schema, err);
}

static void what_is_as_it_should_be_passes(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"number\": 2}",
        "{\"number\": 10, \"text\": \"abc\", \"yes\": false, \"word\": \"blue\"}",
        "{\"number\": 4, \"text\": \"\\u00e4\"}",
        "{\"number\": 4, \"lines\": \"a\\n\\tb\", \"name\": \"a-0\", \"digest\": \"" DIGEST "\"}",
        "{\"number\": 4, \"image\": \"" DIGEST "\", \"hex\": \"0a0b\"}",
        "{\"number\": 4, \"image\": \"newest\", \"hex\": \"0a0b0c\", \"base64\": \"AAAAAA==\"}",
        "{\"number\": 4, \"cpus\": \"0\"}",
        "{\"number\": 4, \"cpus\": \"0-3,6,8191\", \"time\": \"2026-01-31T12:00:00Z\", \"digits\": \"0\"}",
        "{\"number\": 4, \"digits\": \"9223372036854775807\", \"bits\": \"0x3\"}",
        "{\"number\": 4, \"operation\": \"*\"}",
        "{\"number\": 4, \"operation\": \"guest.*\"}",
        "{\"number\": 4, \"operation\": \"guest.start\", \"bits\": \"0xffffffffffffffff\"}",
        "{\"number\": 4, \"list\": [\"a\", \"b\"], \"map\": {}, \"inners\": []}",
        "{\"number\": 4, \"map\": {\"a\": \"b\", \"c-1\": \"d\"}, \"inner\": {\"t\": \"\"}}",
    };
    struct cofre_err err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (check(&outer, good[i], &err) != 0)
            fail_msg("%s: %s", good[i], err.text);
}

/* In all that is a text of a few characters and one that is any: at each place, and behind each number of digits. */
static void base64_is_what_decodes(void **state)
{
    static const struct schema_shape shape = {
        .type = SCHEMA_TEXT, .check = SCHEMA_IS_BASE64, .min = 1, .max = 4};
    static const char *const before[] = {"",       "A",       "AA", "AAA", "AAAA", "AAAAA",
                                         "AAAAAA", "AAAAAAA", "=",  "AA=", "+/"};
    static const char *const behind[] = {"",    "=",  "==",  "===", "A",  "AA",
                                         "AAA", "A=", "A==", "=A",  "\n", "AAAA"};
    size_t good = 0;
    (void)state;
    for (size_t b = 0; b < sizeof before / sizeof *before; b++)
        for (size_t e = 0; e < sizeof behind / sizeof *behind; e++)
            for (int c = 1; c < 256; c++) {
                char one[16];
                struct bytes data = {0};
                const int len = snprintf(one, sizeof one, "%s%c%s", before[b], c, behind[e]);
                const bool decodes = len <= 8 && base64_decode(&data, 4, one, NULL) == 0 && data.len >= 1,
                           passes = text_check((struct view){(uint8_t *)one, (size_t)len}, &shape, NULL) == 0;
                bytes_free(&data);
                if (decodes != passes)
                    fail_msg("\"%s\" %s, and %s", one, decodes ? "decodes" : "does not decode",
                             passes ? "passes" : "does not pass");
                good += passes;
            }
    assert_true(good > 500);
}

static void what_is_not_is_named_by_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *json, *begins;
    } bad[] = {
        {"[]", "the body: "},
        {"{}", "number: it must be there"},
        {"{\"number\": 1}", "number: it is 1, and must be from 2 to 10"},
        {"{\"number\": 11}", "number: it is 11"},
        {"{\"number\": 3}", "number: it is odd"},
        {"{\"number\": -2}", "number: "},
        {"{\"number\": 2.0}", "number: "},
        {"{\"number\": \"2\"}", "number: "},
        {"{\"number\": null}", "number: "},
        {"{\"number\": 2, \"numbers\": 3}", "numbers: there is no such member"},
        {"{\"number\": 2, \"text\": \"\"}", "text: it has 0 bytes"},
        {"{\"number\": 2, \"text\": \"abcd\"}", "text: it has 4 bytes"},
        {"{\"number\": 2, \"text\": \"a\\nb\"}", "text: it must be one line"},
        {"{\"number\": 2, \"text\": \"\\u007f\"}", "text: "},
        {"{\"number\": 2, \"text\": 5}", "text: it must be a text"},
        {"{\"number\": 2, \"lines\": \"a\\rb\"}", "lines: "},
        {"{\"number\": 2, \"name\": \"\"}", "name: it must be a name"},
        {"{\"number\": 2, \"name\": \"A\"}", "name: "},
        {"{\"number\": 2, \"name\": \"a_b\"}", "name: "},
        {"{\"number\": 2, \"name\": \"a/b\"}", "name: "},
        {"{\"number\": 2, \"name\": \"..\"}", "name: "},
        {"{\"number\": 2, \"name\": \"-\"}", "name: "},
        {"{\"number\": 2, \"name\": \"a-\"}", "name: "},
        {"{\"number\": 2, \"digest\": \"sha256:00\"}", "digest: "},
        {"{\"number\": 2, \"digest\": "
         "\"sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
         "digest: "},
        {"{\"number\": 2, \"digest\": "
         "\"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"}",
         "digest: "},
        {"{\"number\": 2, \"image\": \"sha256:\"}", "image: "},
        {"{\"number\": 2, \"hex\": \"0a\"}", "hex: "},
        {"{\"number\": 2, \"hex\": \"0a0b0c0d\"}", "hex: "},
        {"{\"number\": 2, \"hex\": \"0a0b0\"}", "hex: "},
        {"{\"number\": 2, \"hex\": \"0A0B\"}", "hex: "},
        {"{\"number\": 2, \"cpus\": \"\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"1,\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \",1\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"1,1\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"3-2\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"3-3\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"5,3\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"8192\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"01\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"1-\"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"1 \"}", "cpus: "},
        {"{\"number\": 2, \"cpus\": \"99999999999999999999999\"}", "cpus: "},
        {"{\"number\": 2, \"base64\": \"\"}", "base64: "},
        {"{\"number\": 2, \"base64\": \"AAAAAAA=\"}", "base64: "},
        {"{\"number\": 2, \"base64\": \"AB==\"}", "base64: "},
        {"{\"number\": 2, \"time\": \"2026-01-31\"}", "time: "},
        {"{\"number\": 2, \"digits\": \"\"}", "digits: "},
        {"{\"number\": 2, \"digits\": \"01\"}", "digits: "},
        {"{\"number\": 2, \"digits\": \"9223372036854775808\"}", "digits: "},
        {"{\"number\": 2, \"bits\": \"3\"}", "bits: "},
        {"{\"number\": 2, \"bits\": \"0x\"}", "bits: "},
        {"{\"number\": 2, \"bits\": \"0x00000000000000001\"}", "bits: "},
        {"{\"number\": 2, \"operation\": \"guest\"}", "operation: "},
        {"{\"number\": 2, \"operation\": \"guests.*\"}", "operation: "},
        {"{\"number\": 2, \"operation\": \".*\"}", "operation: "},
        {"{\"number\": 2, \"operation\": \"g.*\"}", "operation: "},
        {"{\"number\": 2, \"yes\": 1}", "yes: it must be true or false"},
        {"{\"number\": 2, \"word\": \"green\"}", "word: it must be one of red, blue"},
        {"{\"number\": 2, \"word\": 1}", "word: "},
        {"{\"number\": 2, \"list\": {}}", "list: it must be a list"},
        {"{\"number\": 2, \"list\": []}", "list: it has 0, and must have from 1 to 2"},
        {"{\"number\": 2, \"list\": [\"a\", \"b\", \"c\"]}", "list: it has 3"},
        {"{\"number\": 2, \"list\": [\"a\", \"\"]}", "list[1]: "},
        {"{\"number\": 2, \"map\": []}", "map: it must be an object"},
        {"{\"number\": 2, \"map\": {\"A\": \"b\"}}", "map: it must be a name"},
        {"{\"number\": 2, \"map\": {\"a\": 1}}", "map.a: it must be a text"},
        {"{\"number\": 2, \"map\": {\"a\": \"b\", \"b\": \"b\", \"c\": \"b\"}}", "map: it has 3"},
        {"{\"number\": 2, \"inner\": {}}", "inner.t: it must be there"},
        {"{\"number\": 2, \"inner\": {\"t\": \"\", \"u\": 1}}", "inner.u: there is no such member"},
        {"{\"number\": 2, \"inners\": [{\"t\": \"\"}, {\"t\": 3}]}", "inners[1].t: it must be a text"},
        {"{\"number\": 2, \"inners\": [{\"t\": \"\"}, 3]}", "inners[1]: it must be an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cofre_err err = {""};
        if (check(&outer, bad[i].json, &err) != -COFRE_MALFORMED)
            fail_msg("%s passes", bad[i].json);
        if (strncmp(err.text, bad[i].begins, strlen(bad[i].begins)) != 0)
            fail_msg("%s: \"%s\" does not begin with \"%s\"", bad[i].json, err.text, bad[i].begins);
    }
}

#define PLAIN "\"tee\": \"none\", \"cpus\": 1, \"memory\": 67108864, \"kernel\": \"" DIGEST "\""
#define SNP   "\"tee\": \"snp\", \"cpus\": 1, \"memory\": 67108864, \"kernel\": \"" DIGEST "\""

static void definitions_are_had_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *begins; /* NULL: it passes */
    } definitions[] = {
        {"{\"name\": \"a\", " PLAIN "}", NULL},
        {"{\"name\": \"a\", " SNP ", \"policy\": \"0x30000\", \"expect\": {\"measurement\": \"" HEX48 "\"}}",
         NULL},
        {"{\"name\": \"a\", " PLAIN ", \"disks\": [{\"image\": \"" DIGEST
         "\", \"mode\": \"copy\"}, {\"size\": 1048576}]}",
         NULL},
        {"{\"name\": \"a\", " PLAIN
         ", \"networks\": [{\"kind\": \"passt\"}, {\"kind\": \"tap\", \"bridge\": \"br0\"}]}",
         NULL},
        {"{" PLAIN "}", "name: it must be there"},
        {"{\"name\": \"a\", " PLAIN ", \"kernel_path\": \"/boot/vmlinuz\"}",
         "kernel_path: there is no such member"},
        {"{\"name\": \"a\", " PLAIN ", \"initrd\": \"/boot/initrd\"}", "initrd: it must be sha256:"},
        {"{\"name\": \"a\", " PLAIN ", \"policy\": \"0x30000\"}", "policy: it is for tee snp"},
        {"{\"name\": \"a\", " SNP ", \"mrowner\": \"" HEX48 "\"}", "mrowner: it is for tee tdx"},
        {"{\"name\": \"a\", " SNP ", \"id_block\": \"" DIGEST "\"}", "id_block, id_auth: "},
        {"{\"name\": \"a\", " SNP ", \"expect\": {\"rtmr\": [\"" HEX48 "\"]}}",
         "expect.rtmr: it is for tee tdx"},
        {"{\"name\": \"a\", " PLAIN ", \"expect\": {}}", "expect: "},
        {"{\"name\": \"a\", " PLAIN ", \"emulated\": true}", "emulated: "},
        {"{\"name\": \"a\", " PLAIN ", \"disks\": [{}]}", "disks[0]: either image or size"},
        {"{\"name\": \"a\", " PLAIN ", \"disks\": [{\"size\": 1048576, \"mode\": \"copy\"}]}",
         "disks[0]: mode: it goes with image"},
        {"{\"name\": \"a\", " PLAIN ", \"disks\": [{\"size\": 1048576, \"path\": \"/dev/sda\"}]}",
         "disks[0].path: there is no such member"},
        {"{\"name\": \"a\", " PLAIN ", \"networks\": [{\"kind\": \"tap\"}]}",
         "networks[0]: bridge: a tap needs one"},
        {"{\"name\": \"a\", " PLAIN ", \"networks\": [{\"kind\": \"passt\", \"bridge\": \"br0\"}]}",
         "networks[0]: bridge: "},
        {"{\"name\": \"a\", " PLAIN ", \"memory_pages\": \"2M\", \"memory_locked\": true}", NULL},
        {"{\"name\": \"a\", " PLAIN ", \"memory_pages\": \"4K\"}", "memory_pages: "},
        {"{\"name\": \"a\", " PLAIN ", \"memory_locked\": 1}", "memory_locked: "},
        {"{\"name\": \"a\", " SNP ", \"memory_locked\": true}", NULL},
        {"{\"name\": \"a\", " SNP ", \"memory_pages\": \"2M\"}", "memory_pages: it is for tee none"},
        {"{\"name\": \"a\", " PLAIN ", \"limits\": {\"disk\": {\"read_bytes\": -1}}}",
         "limits.disk.read_bytes: "},
        {"{\"name\": \"a\", " PLAIN ", \"limits\": {\"cpu_quota\": 0, \"memory\": 0, \"processes\": 0}}",
         NULL},
        {"{\"name\": \"a\", " PLAIN ", \"limits\": {\"cpu_quota\": 10, \"memory\": 16777216}}", NULL},
        {"{\"name\": \"a\", " PLAIN ", \"limits\": {\"cpu_quota\": 9}}",
         "limits: cpu_quota: it must be 0 for no limit, or at least 10"},
        {"{\"name\": \"a\", " PLAIN ", \"limits\": {\"memory\": 16777215}}",
         "limits: memory: it must be 0 for no limit, or at least 16777216"},
    };
    for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
        struct cofre_err err = {""};
        const char *begins = definitions[i].begins;
        const int rc = check(&schema_definition, definitions[i].json, &err);
        if (begins ? rc != -COFRE_MALFORMED || strncmp(err.text, begins, strlen(begins)) != 0 : rc != 0)
            fail_msg("%s: %d %s", definitions[i].json, rc, err.text);
    }
}

static void parameters_are_text_that_becomes_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *json; /* NULL: it is refused */
    } parameters[] = {
        {"number", "7", "7"},       {"number", "07", NULL},    {"number", "0x7", NULL},
        {"number", "", NULL},       {"number", "11", NULL},    {"number", "-1", NULL},
        {"yes", "true", "true"},    {"yes", "false", "false"}, {"yes", "1", NULL},
        {"text", "abc", "\"abc\""}, {"text", "abcd", NULL},    {"text", "\xff", NULL},
        {"word", "red", "\"red\""}, {"word", "Red", NULL},     {"list", "a", NULL},
        {"digits", "12", "\"12\""}, {"digits", "1 2", NULL},   {"name", "a b", NULL},
    };
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        json_t *is = NULL;
        const struct schema_member *member = schema_find(&outer, parameters[i].name);
        const int rc = schema_from_text(&is, parameters[i].text, member, NULL);
        CLEAN_JSON *due = parameters[i].json ? json_loads(parameters[i].json, JSON_DECODE_ANY, NULL) : NULL;
        if (rc != (due ? 0 : -COFRE_MALFORMED) || !json_equal(is, due) != !due)
            fail_msg("%s=%s: %d", parameters[i].name, parameters[i].text, rc);
        json_decref(is);
    }
}

static void what_is_not_there_is_what_was_said(void **state)
{
    (void)state;
    CLEAN_JSON *object = json_pack("{s:s, s:i, s:b, s:n}", "text", "a", "number", 7, "yes", 1, "null");
    assert_string_equal(member_text(object, "text", "z"), "a");
    assert_string_equal(member_text(object, "number", "z"), "z");
    assert_string_equal(member_text(NULL, "text", "z"), "z");
    assert_int_equal(member_unsigned(object, "number", 3), 7);
    assert_int_equal(member_unsigned(object, "text", 3), 3);
    assert_true(member_boolean(object, "yes", false));
    assert_true(member_boolean(object, "no", true));
    assert_null(member_at(object, "null"));
}

static void a_table_is_its_own_document(void **state)
{
    (void)state;
    CLEAN_JSON *is = schema_document(&inner);
    CLEAN_JSON *due =
        json_loads("{\"type\": \"object\", \"description\": \"within\", \"additionalProperties\": false,"
                   " \"required\": [\"t\"], \"properties\": {\"t\": {\"type\": \"string\", \"maxLength\": 8,"
                   " \"pattern\": \"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\", \"description\": \"text\"}}}",
                   0, NULL);
    assert_non_null(due);
    assert_true(json_equal(is, due));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_as_it_should_be_passes),
        cmocka_unit_test(base64_is_what_decodes),
        cmocka_unit_test(what_is_not_is_named_by_its_path),
        cmocka_unit_test(definitions_are_had_or_refused),
        cmocka_unit_test(parameters_are_text_that_becomes_values),
        cmocka_unit_test(what_is_not_there_is_what_was_said),
        cmocka_unit_test(a_table_is_its_own_document),
    };
    return cmocka_run_group_tests_name("host/schema", tests, NULL, NULL);
}
