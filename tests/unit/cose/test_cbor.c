#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/cose/cbor.h"
#include "tests/unit/cose/hex.h"

static int read_hex(struct cose_doc *doc, struct bytes *bytes, const char *text, struct cofre_err *err)
{
    *bytes = from_hex(text);
    return cose_read(doc, bytes_view(bytes), err);
}

static void items_are_read_with_what_is_in_them(void **state)
{
    (void)state;
    CLEAN_COSE_DOC doc = {0};
    CLEAN_BYTES bytes = {0};
    int64_t number;
    /* {1: [1, -500, h'0102'], "a": 55799("x"), 2: true, 3: null, 4: 1.5} */
    assert_int_equal(read_hex(&doc, &bytes,
                              "a501830139"
                              "01f3"
                              "420102"
                              "6161"
                              "d9d9f76178"
                              "02f5"
                              "03f6"
                              "04f93e00",
                              NULL),
                     0);
    assert_int_equal(doc.item->kind, COSE_MAP);
    assert_int_equal(doc.item->number, 5);
    assert_int_equal(doc.item->whole.len, bytes.len);
    const struct cose_item *list = cose_at(doc.item, 1);
    assert_int_equal(list->kind, COSE_ARRAY);
    assert_int_equal(list->span, 4);
    const struct cose_item *at = cose_first(list);
    assert_true(cose_int(&number, at) && number == 1);
    at = cose_behind(at);
    assert_true(cose_int(&number, at) && number == -500);
    at = cose_behind(at);
    assert_int_equal(at->kind, COSE_BYTES);
    assert_hex(at->data, "0102");
    const struct cose_item *tag = cose_at_text(doc.item, "a");
    assert_int_equal(tag->kind, COSE_TAG);
    assert_int_equal(tag->number, 55799);
    assert_true(cose_is_text(tag + 1, "x"));
    assert_hex(tag->whole, "d9d9f76178");
    assert_int_equal(cose_at(doc.item, 2)->kind, COSE_BOOL);
    assert_int_equal(cose_at(doc.item, 2)->number, 1);
    assert_int_equal(cose_at(doc.item, 3)->kind, COSE_NULL);
    assert_int_equal(cose_at(doc.item, 4)->kind, COSE_OTHER);
    assert_null(cose_at(doc.item, 5));
    assert_null(cose_at_text(doc.item, "b"));
    assert_null(cose_at(list, 1));
    assert_null(cose_at(NULL, 1));
    assert_null(cose_first(at));
}

static void numbers_that_do_not_fit_are_no_integers(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fits;
        int64_t value;
    } cases[] = {
        {"1b7fffffffffffffff", true, INT64_MAX}, {"1b8000000000000000", false, 0},
        {"3b7fffffffffffffff", true, INT64_MIN}, {"3b8000000000000000", false, 0},
        {"3bffffffffffffffff", false, 0},        {"20", true, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COSE_DOC doc = {0};
        CLEAN_BYTES bytes = {0};
        int64_t value = 0;
        assert_int_equal(read_hex(&doc, &bytes, cases[i].hex, NULL), 0);
        assert_int_equal(cose_int(&value, doc.item), cases[i].fits);
        assert_true(value == cases[i].value);
    }
}

static void what_is_not_strict_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why;
    } cases[] = {
        {"", "there is no CBOR"},
        {"0000", "bytes follow"},
        {"8001", "bytes follow"},
        {"1801", "shortest form"},   /* 1 in two bytes */
        {"190018", "shortest form"}, /* 24 in three */
        {"1a0000ffff", "shortest form"},
        {"1b00000000ffffffff", "shortest form"},
        {"3817", "shortest form"},   /* -24 in two */
        {"580161", "shortest form"}, /* a byte string's length */
        {"780161", "shortest form"},
        {"980101", "shortest form"},
        {"b8010101", "shortest form"},
        {"d80601", "shortest form"},
        {"5f4101ff", "definite length"},
        {"7f6161ff", "definite length"},
        {"9f01ff", "definite length"},
        {"bf0101ff", "definite length"},
        {"ff", "definite length"},
        {"81ff", "definite length"},
        {"81", "ends within"},
        {"a101", "ends within"},
        {"c1", "ends within"},
        {"4201", "ends within"},
        {"6261", "ends within"},
        {"19ff", "ends within"},
        {"5bffffffffffffffff", "ends within"},
        {"7bffffffffffffffff", "ends within"},
        {"9bffffffffffffffff", "ends within"},
        {"bbffffffffffffffff01", "ends within"},
        {"bb800000000000000001", "ends within"},
        {"9a00ffffff00", "ends within"}, /* refused before memory is taken for it */
        {"a201010101", "key twice"},
        {"a3010102010101", "key twice"},
        {"a2616101616102", "key twice"},
        {"81a1"
         "01a220012001",
         "key twice"},
        {"a1410001", "neither an integer nor text"},
        {"a18001", "neither an integer nor text"},
        {"a1f501", "neither an integer nor text"},
        {"61ff", "UTF-8"},
        {"62c080", "UTF-8"},
        {"6161"
         "00",
         "bytes follow"},
        {"626100", "UTF-8"},
        {"1c", "begins no item"},
        {"f8ff", "begins no item"},
        {"e0", "begins no item"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COSE_DOC doc = {0};
        CLEAN_BYTES bytes = {0};
        struct cofre_err err = {""};
        if (read_hex(&doc, &bytes, cases[i].hex, &err) != -COFRE_MALFORMED)
            fail_msg("%s was read", cases[i].hex);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\" is not \"%s\"", cases[i].hex, err.text, cases[i].why);
        assert_null(doc.item);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    uint8_t deep[COSE_DEPTH_MAX + 2];
    struct cofre_err err;
    CLEAN_COSE_DOC good = {0}, bad = {0};
    memset(deep, 0x81, sizeof deep);
    deep[COSE_DEPTH_MAX] = 0x01;
    assert_int_equal(cose_read(&good, (struct view){deep, COSE_DEPTH_MAX + 1}, NULL), 0);
    memset(deep, 0xc1, sizeof deep);
    deep[COSE_DEPTH_MAX + 1] = 0x01;
    assert_int_equal(cose_read(&bad, (struct view){deep, COSE_DEPTH_MAX + 2}, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "nested deeper"));
}

static void the_number_of_items_is_bounded(void **state)
{
    (void)state;
    CLEAN_BYTES many = {0};
    CLEAN_COSE_DOC doc = {0};
    struct cofre_err err;
    assert_int_equal(bytes_alloc(&many, 5 + COSE_ITEMS_MAX, NULL), 0);
    memcpy(many.data, (uint8_t[]){0x9a, 0x00, 0x01, 0xff, 0xff}, 5);
    assert_int_equal(cose_read(&doc, (struct view){many.data, 5 + 0x1ffff}, NULL), 0);
    cose_doc_free(&doc);
    memcpy(many.data, (uint8_t[]){0x9a, 0x00, 0x02, 0x00, 0x00}, 5);
    assert_int_equal(cose_read(&doc, bytes_view(&many), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "more than 131072 items"));
}

/* Sorting, not comparing each with each: a map of 60,000 keys in descending order is read at once. */
static void a_large_map_costs_no_square_of_its_keys(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    CLEAN_COSE_DOC doc = {0};
    enum { FROM = 256, TO = 60000 };
    size_t at = 3;
    assert_int_equal(bytes_alloc(&bytes, 3 + 4 * (TO - FROM), NULL), 0);
    memcpy(bytes.data, (uint8_t[]){0xb9, (TO - FROM) >> 8, (TO - FROM) & 0xff}, 3);
    for (unsigned key = TO - 1; key >= FROM; key--, at += 4)
        memcpy(bytes.data + at, (uint8_t[]){0x19, (uint8_t)(key >> 8), (uint8_t)key, 0x00}, 4);
    assert_int_equal(cose_read(&doc, bytes_view(&bytes), NULL), 0);
    assert_non_null(cose_at(doc.item, FROM));
    memcpy(bytes.data + at - 4, bytes.data + 3, 3);
    cose_doc_free(&doc);
    assert_int_equal(cose_read(&doc, bytes_view(&bytes), NULL), -COFRE_MALFORMED);
}

static void what_is_written_is_canonical(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES out = {0};
    cose_put_tag(&w, 61);
    cose_begin(&w);
    cose_put_text(&w, "aa");
    cose_put_bool(&w, true);
    cose_put_int(&w, -1);
    cose_put_null(&w);
    cose_put_int(&w, 1000);
    cose_begin(&w);
    cose_put_int(&w, 24);
    cose_put_tag(&w, 1);
    cose_begin(&w);
    cose_put_bytes(&w, (struct view){(const uint8_t *)"\1\2", 2});
    cose_end_array(&w);
    cose_begin(&w);
    cose_end_map(&w);
    cose_end_array(&w);
    cose_put_text(&w, "b");
    cose_put_int(&w, INT64_MIN);
    cose_put_int(&w, 10);
    cose_put_encoded(&w, (struct view){(const uint8_t *)"\x80", 1});
    cose_end_map(&w);
    assert_int_equal(cose_take(&out, &w, NULL), 0);
    /* keys by their encodings: 10, 1000, -1, "b", "aa" */
    assert_hex(bytes_view(&out), "d83da5"
                                 "0a80"
                                 "1903e883"
                                 "1818"
                                 "c181420102"
                                 "a0"
                                 "20f6"
                                 "61623b7fffffffffffffff"
                                 "626161f5");
    CLEAN_COSE_DOC doc = {0};
    assert_int_equal(cose_read(&doc, bytes_view(&out), NULL), 0);
}

static void an_empty_container_is_written_by_a_writer_that_has_nothing_else(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER array = {0}, map = {0};
    CLEAN_BYTES of_array = {0}, of_map = {0};
    cose_begin(&array);
    assert_non_null(array.data); /* an offset is added to it at the end */
    cose_end_array(&array);
    cose_begin(&map);
    cose_end_map(&map);
    assert_int_equal(cose_take(&of_array, &array, NULL), 0);
    assert_int_equal(cose_take(&of_map, &map, NULL), 0);
    assert_hex(bytes_view(&of_array), "80");
    assert_hex(bytes_view(&of_map), "a0");
}

static void a_map_that_cannot_be_is_not_written(void **state)
{
    (void)state;
    struct {
        int keys[3], count;
        bool good;
    } cases[] = {{{1, 0, 2}, 3, false}, {{1, 0}, 2, true}, {{1, 0, 1}, 3, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COSE_WRITER w = {0};
        CLEAN_BYTES out = {0};
        cose_begin(&w);
        for (int k = 0; k < cases[i].count; k++)
            cose_put_int(&w, cases[i].keys[k]);
        cose_end_map(&w);
        assert_int_equal(cose_take(&out, &w, NULL), cases[i].good ? 0 : -COFRE_FAILED);
    }
    CLEAN_COSE_WRITER twice = {0}, open = {0}, nested = {0};
    CLEAN_BYTES out = {0};
    cose_begin(&twice);
    for (int i = 0; i < 4; i++)
        cose_put_int(&twice, 7);
    cose_end_map(&twice);
    assert_int_equal(cose_take(&out, &twice, NULL), -COFRE_FAILED);
    cose_begin(&open);
    assert_int_equal(cose_take(&out, &open, NULL), -COFRE_FAILED);
    cose_end_array(&nested);
    assert_int_equal(cose_take(&out, &nested, NULL), -COFRE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_read_with_what_is_in_them),
        cmocka_unit_test(numbers_that_do_not_fit_are_no_integers),
        cmocka_unit_test(what_is_not_strict_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_number_of_items_is_bounded),
        cmocka_unit_test(a_large_map_costs_no_square_of_its_keys),
        cmocka_unit_test(what_is_written_is_canonical),
        cmocka_unit_test(an_empty_container_is_written_by_a_writer_that_has_nothing_else),
        cmocka_unit_test(a_map_that_cannot_be_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
