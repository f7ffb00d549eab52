#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "vmm/machine/memory_limit.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct memory_limits none = {
    .address_bits = 48, .address_space = UINT64_MAX, .file_size = UINT64_MAX};

static void refused(struct memory_limits limits, uint64_t size, const char *words)
{
    struct cofre_err err = {{0}};
    assert_int_equal(memory_limits_check(&limits, size, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, words));
}

static void each_limit_is_named_and_holds_to_the_byte(void **state)
{
    (void)state;
    struct cofre_err err;
    struct memory_limits limits = none;
    limits.address_bits = 36; /* 64 GiB, of which 1 GiB below 4 GiB is no RAM */
    assert_int_equal(memory_limits_check(&limits, 63 * GIB, &err), 0);
    refused(limits, 63 * GIB + 2 * MIB, "addresses end at 65536 MiB");
    limits = none;
    limits.address_space = 512 * MIB;
    assert_int_equal(memory_limits_check(&limits, 512 * MIB, &err), 0);
    refused(limits, 514 * MIB, "RLIMIT_AS, ulimit -v) leaves 512 MiB");
    limits = none;
    limits.file_size = 512 * MIB;
    assert_int_equal(memory_limits_check(&limits, 512 * MIB, &err), 0);
    refused(limits, 514 * MIB, "RLIMIT_FSIZE, ulimit -f) is 512 MiB");
}

static void memory_that_is_not_available_is_no_refusal(void **state)
{
    (void)state;
    struct cofre_err err;
    struct memory_limits limits = none;
    limits.available = 100 * MIB;
    assert_int_equal(memory_limits_check(&limits, 512 * MIB, &err), 0);
}

static struct kvm_cpuid2 *cpuid_with(uint32_t function, uint32_t eax)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + sizeof cpuid->entries[0]);
    assert_non_null(cpuid);
    cpuid->nent = 1;
    cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = function, .eax = eax};
    return cpuid;
}

static void addresses_are_as_wide_as_kvm_says(void **state)
{
    (void)state;
    static const struct {
        uint32_t function, eax;
        unsigned bits;
    } cases[] = {
        {0x80000008, 0x3030, 48}, {0x80000008, 0x2e3034, 46}, {0x80000008, 0x343030, 48}, {1, 0x3030, 36}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kvm_cpuid2 *cpuid = cpuid_with(cases[i].function, cases[i].eax);
        struct memory_limits limits;
        memory_limits_read(&limits, cpuid);
        assert_int_equal(limits.address_bits, cases[i].bits);
        assert_true(limits.available > 0);
        free(cpuid);
    }
}

static void a_limit_of_this_process_is_read(void **state)
{
    (void)state;
    struct kvm_cpuid2 *cpuid = cpuid_with(0x80000008, 48);
    struct memory_limits limits;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit){256 * MIB, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    memory_limits_read(&limits, cpuid);
    assert_int_equal(limits.file_size, 256 * MIB);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    /* What is mapped already counts. (A sanitizer maps more than any limit that one could set.) */
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    low = (struct rlimit){1ull << 46, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    memory_limits_read(&limits, cpuid);
    assert_true(limits.address_space < 1ull << 46);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    free(cpuid);
}

static void huge_pages_that_others_reserved_are_not_free(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
    } files[] = {{"nr_hugepages", "100\n"}, {"free_hugepages", "90\n"}, {"resv_hugepages", "26\n"}};
    char folder[] = "/tmp/cofre-huge-XXXXXX", path[128];
    struct huge_pages pages;
    struct cofre_err err = {{0}};
    assert_non_null(mkdtemp(folder));
    huge_pages_read(&pages, folder, 2 * MIB);
    assert_int_equal(pages.all, 0);
    assert_int_equal(huge_pages_check(&pages, 2 * MIB, 2 * MIB, &err), -COFRE_LACKING);
    snprintf(path, sizeof path, "%s/hugepages-2048kB", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/hugepages-2048kB/%s", folder, files[i].file);
        FILE *file = fopen(path, "w");
        assert_true(file && fputs(files[i].text, file) >= 0 && fclose(file) == 0);
    }
    huge_pages_read(&pages, folder, 2 * MIB);
    assert_int_equal(pages.all, 100);
    assert_int_equal(pages.free, 64);
    assert_int_equal(huge_pages_check(&pages, 2 * MIB, 128 * MIB, &err), 0);
    assert_int_equal(huge_pages_check(&pages, 2 * MIB, 130 * MIB, &err), -COFRE_LACKING);
    assert_non_null(
        strstr(err.text, "a guest of 130 MiB needs 65 huge pages of 2 MiB, and the host has 64 of 100 left"));
    assert_int_equal(huge_pages_check(&pages, 0, 130 * MIB, &err), 0);
    snprintf(path, sizeof path, "rm -r %s", folder);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_is_named_and_holds_to_the_byte),
        cmocka_unit_test(memory_that_is_not_available_is_no_refusal),
        cmocka_unit_test(addresses_are_as_wide_as_kvm_says),
        cmocka_unit_test(a_limit_of_this_process_is_read),
        cmocka_unit_test(huge_pages_that_others_reserved_are_not_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
