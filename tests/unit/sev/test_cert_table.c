#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sev/cert_table.h"

static const uint8_t vcek[] = "the VCEK", ark[] = "the ARK", unknown[] = "who knows";

static void build(struct bytes *out)
{
    const struct snp_cert_entry entries[] = {
        {.kind = SNP_CERT_VCEK, .data = {vcek, sizeof vcek}},
        {.kind = SNP_CERT_ARK, .data = {ark, sizeof ark}},
        {.kind = SNP_CERT_OTHER, .guid = {1, 2, 3}, .data = {unknown, sizeof unknown}},
    };
    assert_int_equal(snp_cert_table_build(out, entries, 3, NULL), 0);
}

static void a_built_table_is_read_back(void **state)
{
    (void)state;
    CLEAN_BYTES table = {0};
    struct snp_cert_table parsed;
    build(&table);
    assert_memory_equal(table.data, "\x63\xda\x75\x8d\xe6\x64\x45\x64", 8); /* the GUID as it is printed */
    assert_int_equal(snp_cert_table_parse(&parsed, bytes_view(&table), NULL), 0);
    assert_int_equal(parsed.count, 3);
    assert_int_equal(parsed.entry[0].kind, SNP_CERT_VCEK);
    assert_int_equal(parsed.entry[1].kind, SNP_CERT_ARK);
    assert_int_equal(parsed.entry[2].kind, SNP_CERT_OTHER);
    assert_int_equal(parsed.entry[2].guid[2], 3);
    assert_true(view_equal(parsed.entry[1].data, (struct view){ark, sizeof ark}));
}

static void pages_of_zeros_after_it_are_no_harm(void **state)
{
    (void)state;
    CLEAN_BYTES table = {0}, padded = {0};
    struct snp_cert_table parsed;
    build(&table);
    assert_int_equal(bytes_alloc(&padded, 4096, NULL), 0);
    memcpy(padded.data, table.data, table.len);
    assert_int_equal(snp_cert_table_parse(&parsed, bytes_view(&padded), NULL), 0);
    assert_int_equal(parsed.count, 3);
    memset(padded.data, 0, padded.len);
    assert_int_equal(snp_cert_table_parse(&parsed, bytes_view(&padded), NULL), 0);
    assert_int_equal(parsed.count, 0);
}

/* One field of the first entry, and what it must not be. */
static void lying_offsets_and_lengths_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
    } lies[] = {
        {16, 0},          {16, 95},         {16, 24}, /* into the header, which ends at 96 */
        {16, 0xffffffff}, {16, 0x80000000}, {20, 0},  {20, 0xffffffff}, {20, 200},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        CLEAN_BYTES table = {0};
        struct snp_cert_table parsed;
        struct cofre_err err = {""};
        build(&table);
        put_le32(table.data + lies[i].at, lies[i].value);
        assert_int_equal(snp_cert_table_parse(&parsed, bytes_view(&table), &err), -COFRE_MALFORMED);
        assert_int_equal(parsed.count, 0);
        assert_non_null(strstr(err.text, "certificate table"));
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    CLEAN_BYTES table = {0};
    struct snp_cert_table parsed;
    build(&table);
    for (size_t len = 0; len < table.len; len++) {
        uint8_t *copy = malloc(len ? len : 1); /* of exactly that length, for the sanitizer */
        memcpy(copy, table.data, len);
        assert_int_equal(snp_cert_table_parse(&parsed, (struct view){copy, len}, NULL), -COFRE_MALFORMED);
        free(copy);
    }
    assert_int_equal(snp_cert_table_parse(&parsed, (struct view){0}, NULL), -COFRE_MALFORMED);
}

static void a_guid_twice_and_too_many_entries_are_refused(void **state)
{
    (void)state;
    CLEAN_BYTES table = {0};
    struct snp_cert_table parsed;
    uint8_t many[18 * 24 + 1] = {0};
    build(&table);
    memcpy(table.data + 24, table.data, 16);
    assert_int_equal(snp_cert_table_parse(&parsed, bytes_view(&table), NULL), -COFRE_MALFORMED);
    for (unsigned count = 16; count <= 17; count++) {
        for (unsigned i = 0; i < count; i++) {
            many[24 * i] = (uint8_t)(i + 1);
            put_le32(many + 24 * i + 16, 18 * 24);
            put_le32(many + 24 * i + 20, 1);
        }
        assert_int_equal(snp_cert_table_parse(&parsed, (struct view){many, sizeof many}, NULL),
                         count == 16 ? 0 : -COFRE_MALFORMED);
    }
}

static void nothing_is_built_of_empty_or_too_many_certificates(void **state)
{
    (void)state;
    CLEAN_BYTES out = {0};
    struct snp_cert_entry entries[17] = {{.kind = SNP_CERT_VCEK}};
    assert_int_equal(snp_cert_table_build(&out, entries, 1, NULL), -COFRE_MALFORMED);
    assert_int_equal(snp_cert_table_build(&out, entries, 17, NULL), -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_built_table_is_read_back),
        cmocka_unit_test(pages_of_zeros_after_it_are_no_harm),
        cmocka_unit_test(lying_offsets_and_lengths_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(a_guid_twice_and_too_many_entries_are_refused),
        cmocka_unit_test(nothing_is_built_of_empty_or_too_many_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
