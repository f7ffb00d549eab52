/*
 * MRTD and RTMRs. The figures are of Python's hashlib:
 *   add = lambda g: b'MEM.PAGE.ADD'.ljust(16, b'\0') + g.to_bytes(8, 'little').ljust(112, b'\0')
 *   ext = lambda g, c: b'MR.EXTEND'.ljust(16, b'\0') + g.to_bytes(8, 'little').ljust(112, b'\0') + c
 *   sha384(add(0x100000))                                                          one_added
 *   page = bytes(range(256)) * 16
 *   sha384(b''.join(add(p) + b''.join(ext(p + i, page[i:i + 256]) for i in range(0, 4096, 256))
 *          for p in (0xffffe000, 0xfffff000)))                                     two_measured
 *   sha384(bytes(48) + sha384(b'kernel').digest()), then again with b'initrd'      rtmr_once, rtmr_twice
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "tdx/mrtd.h"
#include "vmm/base/bytes.h"

static const char nothing[] = "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da"
                              "274edebfe76f65fbd51ad2f14898b95b";
static const char one_added[] = "30739fc015b6f3734f7684e90531f2d634cff74b38357fd6094b6d8a5c578924"
                                "1d55fcfc6410d564e659255bc2d89805";
static const char two_measured[] = "a6d8f259830e661e1259865270122afb3672513880c1840aaa3c7699e59aed49"
                                   "fcef317ee0c3b7b09f8acab9341fd56b";
static const char rtmr_once[] = "1eeb6482aa8e9f78d63bfcc444355072a3fbcfa80a234dfe66e86de8fe768831"
                                "fc5e909fd47f40c2f803b321778f52f8";
static const char rtmr_twice[] = "bc361fbf90567467bb9414eaeba85169f55c7ee668475bee8e6bc88090dca42c"
                                 "f319b760af2e4303f3b0d0fd01d61f2d";

static struct tdx_mrtd *mrtd;
static uint8_t pages[2 * TDX_PAGE_SIZE]; /* each byte is its address's lowest one */
static struct cofre_err err;

static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pages; i++)
        pages[i] = (uint8_t)i;
    return tdx_mrtd_new(&mrtd, &err);
}

static int end(void **state)
{
    (void)state;
    tdx_mrtd_free(mrtd);
    return 0;
}

static const char *value(void)
{
    static char text[2 * TDX_DIGEST_SIZE + 1];
    uint8_t digest[TDX_DIGEST_SIZE];
    assert_int_equal(tdx_mrtd_value(mrtd, digest, &err), 0);
    hex_encode(text, digest, sizeof digest);
    return text;
}

static void restart(void)
{
    end(NULL);
    assert_int_equal(begin(NULL), 0);
}

static void a_td_of_no_pages_is_the_hash_of_nothing(void **state)
{
    (void)state;
    assert_string_equal(value(), nothing);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x1000, NULL, 0, true, &err), 0);
    assert_string_equal(value(), nothing);
}

static void a_page_that_is_not_measured_leaves_its_address(void **state)
{
    (void)state;
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x100000, pages, TDX_PAGE_SIZE, false, &err), 0);
    assert_string_equal(value(), one_added);
    restart();
    pages[0] ^= 1;
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x100000, pages, TDX_PAGE_SIZE, false, &err), 0);
    assert_string_equal(value(), one_added);
    restart();
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x101000, pages, TDX_PAGE_SIZE, false, &err), 0);
    assert_string_not_equal(value(), one_added);
}

static void measured_pages_interleave_adding_and_extending(void **state)
{
    (void)state;
    assert_int_equal(tdx_mrtd_pages(mrtd, 0xffffe000, pages, sizeof pages, true, &err), 0);
    assert_string_equal(value(), two_measured);
}

/* The order of an older KVM: all pages of a region added, and then measured. */
static void the_order_of_operations_counts(void **state)
{
    (void)state;
    tdx_mrtd_page_add(mrtd, 0xffffe000, &err);
    tdx_mrtd_page_add(mrtd, 0xfffff000, &err);
    for (unsigned i = 0; i < sizeof pages; i += TDX_EXTEND_CHUNK)
        tdx_mrtd_extend(mrtd, 0xffffe000 + i, pages + i, &err);
    assert_string_not_equal(value(), two_measured);
    restart();
    for (unsigned page = 0; page < sizeof pages; page += TDX_PAGE_SIZE) {
        tdx_mrtd_page_add(mrtd, 0xffffe000 + page, &err);
        for (unsigned i = page; i < page + TDX_PAGE_SIZE; i += TDX_EXTEND_CHUNK)
            tdx_mrtd_extend(mrtd, 0xffffe000 + i, pages + i, &err);
    }
    assert_string_equal(value(), two_measured);
}

static void every_byte_of_a_measured_page_counts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof pages; i += 255) {
        restart();
        pages[i] ^= 0x80;
        assert_int_equal(tdx_mrtd_pages(mrtd, 0xffffe000, pages, sizeof pages, true, &err), 0);
        assert_string_not_equal(value(), two_measured);
    }
}

static void no_data_is_a_page_of_zeros(void **state)
{
    (void)state;
    char zeros[2 * TDX_DIGEST_SIZE + 1];
    memset(pages, 0, sizeof pages);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x1000, pages, sizeof pages, true, &err), 0);
    strcpy(zeros, value());
    restart();
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x1000, NULL, sizeof pages, true, &err), 0);
    assert_string_equal(value(), zeros);
}

static void parts_of_pages_are_refused_and_leave_no_trace(void **state)
{
    (void)state;
    const struct {
        uint64_t gpa, len;
    } bad[] = {{0x1001, 0x1000}, {0x1100, 0x1000}, {0x1000, 0x100}, {0x1000, 0xfff}, {0x1000, 0x1001}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tdx_mrtd_pages(mrtd, bad[i].gpa, pages, bad[i].len, true, &err), -COFRE_USAGE);
    assert_string_equal(value(), nothing);
}

static void asking_for_the_value_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(tdx_mrtd_pages(mrtd, 0xffffe000, pages, TDX_PAGE_SIZE, true, &err), 0);
    assert_string_not_equal(value(), two_measured);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0xfffff000, pages + TDX_PAGE_SIZE, TDX_PAGE_SIZE, true, &err), 0);
    assert_string_equal(value(), two_measured);
    assert_string_equal(value(), two_measured);
}

static void an_rtmr_is_extended_by_digests_in_their_order(void **state)
{
    (void)state;
    uint8_t rtmr[TDX_DIGEST_SIZE] = {0}, kernel[TDX_DIGEST_SIZE], initrd[TDX_DIGEST_SIZE];
    char text[2 * TDX_DIGEST_SIZE + 1];
    SHA384((const uint8_t *)"kernel", 6, kernel);
    SHA384((const uint8_t *)"initrd", 6, initrd);
    tdx_rtmr_extend(rtmr, kernel);
    hex_encode(text, rtmr, sizeof rtmr);
    assert_string_equal(text, rtmr_once);
    tdx_rtmr_extend(rtmr, initrd);
    hex_encode(text, rtmr, sizeof rtmr);
    assert_string_equal(text, rtmr_twice);
    memset(rtmr, 0, sizeof rtmr);
    tdx_rtmr_extend(rtmr, initrd);
    tdx_rtmr_extend(rtmr, kernel);
    hex_encode(text, rtmr, sizeof rtmr);
    assert_string_not_equal(text, rtmr_twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_td_of_no_pages_is_the_hash_of_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_page_that_is_not_measured_leaves_its_address, begin, end),
        cmocka_unit_test_setup_teardown(measured_pages_interleave_adding_and_extending, begin, end),
        cmocka_unit_test_setup_teardown(the_order_of_operations_counts, begin, end),
        cmocka_unit_test_setup_teardown(every_byte_of_a_measured_page_counts, begin, end),
        cmocka_unit_test_setup_teardown(no_data_is_a_page_of_zeros, begin, end),
        cmocka_unit_test_setup_teardown(parts_of_pages_are_refused_and_leave_no_trace, begin, end),
        cmocka_unit_test_setup_teardown(asking_for_the_value_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(an_rtmr_is_extended_by_digests_in_their_order, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
