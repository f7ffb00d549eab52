#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "sev/digest.h"
#include "vmm/base/bytes.h"

static const uint8_t page[SNP_PAGE_SIZE] = {1, 2, 3};

static struct snp_digest after(enum snp_page_type type, uint64_t gpa, const void *contents)
{
    struct snp_digest d;
    struct cofre_err err;
    snp_digest_init(&d);
    assert_int_equal(snp_digest_page(&d, type, gpa, contents, &err), 0);
    return d;
}

/* The 112 bytes written out by hand, so that a wrong offset in the structure shows. */
static void a_page_extends_by_the_hash_of_its_page_info(void **state)
{
    (void)state;
    uint8_t info[0x70] = {0}, expected[48];
    EVP_Digest(page, sizeof page, info + 0x30, NULL, EVP_sha384(), NULL);
    info[0x60] = 0x70;
    info[0x62] = 1;
    info[0x68] = 0x00, info[0x69] = 0x50, info[0x6a] = 0x34, info[0x6b] = 0x12;
    EVP_Digest(info, sizeof info, expected, NULL, EVP_sha384(), NULL);
    struct snp_digest d = after(SNP_PAGE_NORMAL, 0x12345000, page);
    assert_memory_equal(d.value, expected, 48);

    memcpy(info, d.value, 48);
    memset(info + 0x30, 0, 48);
    info[0x62] = 6;
    EVP_Digest(info, sizeof info, expected, NULL, EVP_sha384(), NULL);
    assert_int_equal(snp_digest_page(&d, SNP_PAGE_CPUID, 0x12345000, NULL, NULL), 0);
    assert_memory_equal(d.value, expected, 48);
}

static void type_address_and_contents_each_change_the_digest(void **state)
{
    (void)state;
    uint8_t other[SNP_PAGE_SIZE] = {1, 2, 3};
    other[SNP_PAGE_SIZE - 1] = 1;
    struct snp_digest d = after(SNP_PAGE_NORMAL, 0x1000, page);
    assert_memory_not_equal(d.value, after(SNP_PAGE_VMSA, 0x1000, page).value, 48);
    assert_memory_not_equal(d.value, after(SNP_PAGE_NORMAL, 0x2000, page).value, 48);
    assert_memory_not_equal(d.value, after(SNP_PAGE_NORMAL, 0x1000, other).value, 48);
    assert_memory_not_equal(after(SNP_PAGE_ZERO, 0, NULL).value, after(SNP_PAGE_UNMEASURED, 0, NULL).value,
                            48);
}

/* As few as one thread hashes, and as many as several share, also where they do not share evenly. */
static void a_run_of_pages_is_its_pages(void **state)
{
    (void)state;
    static const size_t pages[] = {1, 3, 127, 128, 1027};
    static uint8_t run[1027 * SNP_PAGE_SIZE];
    for (size_t i = 0; i < sizeof run; i++)
        run[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t n = 0; n < sizeof pages / sizeof pages[0]; n++) {
        struct snp_digest a, b;
        snp_digest_init(&a);
        snp_digest_init(&b);
        assert_int_equal(snp_digest_pages(&a, SNP_PAGE_NORMAL, 0x8000, run, pages[n] * SNP_PAGE_SIZE, NULL),
                         0);
        for (size_t i = 0; i < pages[n]; i++)
            assert_int_equal(snp_digest_page(&b, SNP_PAGE_NORMAL, 0x8000 + i * SNP_PAGE_SIZE,
                                             run + i * SNP_PAGE_SIZE, NULL),
                             0);
        assert_memory_equal(a.value, b.value, 48);
    }
}

static void what_the_firmware_cannot_be_given_is_refused(void **state)
{
    (void)state;
    struct snp_digest d, before;
    snp_digest_init(&d);
    before = d;
    assert_true(snp_digest_page(&d, SNP_PAGE_NORMAL, 0, NULL, NULL) < 0);
    assert_true(snp_digest_page(&d, SNP_PAGE_ZERO, 0, page, NULL) < 0);
    assert_true(snp_digest_pages(&d, SNP_PAGE_NORMAL, 0, NULL, sizeof page, NULL) < 0);
    assert_true(snp_digest_pages(&d, SNP_PAGE_ZERO, 0x800, NULL, 0x1000, NULL) < 0);
    assert_true(snp_digest_pages(&d, SNP_PAGE_ZERO, 0x1000, NULL, 0x1001, NULL) < 0);
    assert_true(snp_digest_pages(&d, SNP_PAGE_ZERO, 0xfffffffffffff000, NULL, 0x2000, NULL) < 0);
    assert_memory_equal(d.value, before.value, 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_extends_by_the_hash_of_its_page_info),
        cmocka_unit_test(type_address_and_contents_each_change_the_digest),
        cmocka_unit_test(a_run_of_pages_is_its_pages),
        cmocka_unit_test(what_the_firmware_cannot_be_given_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
