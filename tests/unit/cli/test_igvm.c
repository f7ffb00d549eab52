/* IGVM files, through the command line: what they measure, and what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sev/igvm.h"
#include "tests/unit/cli/run.h"
#include "tests/unit/igvm/made_igvm.h"

#define SNP 1u
#define TDX 2u

static struct made_igvm made;
static struct snp_vmsa vmsa;
static struct cofre_err err;

static int write_file(void **state)
{
    uint8_t page[4096];
    (void)state;
    memset(page, 0x5a, sizeof page);
    snp_vmsa_of_entry(&vmsa, 0x1000, SNP_FEATURE_ACTIVE);
    igvm_made_begin(&made, 1, 4096, 65536);
    const uint32_t data = igvm_made_data(&made, page, sizeof page),
                   context = igvm_made_data(&made, &vmsa, sizeof vmsa);
    igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    igvm_made_platform(&made, IGVM_TDX, TDX);
    igvm_made_policy(&made, SNP, 0x30000);
    igvm_made_area(&made, 3, 0x1000, 0);
    igvm_made_parameter(&made, IGVM_COMMAND_LINE, 3, 0x10);
    igvm_made_page(&made, SNP, 0x1000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x2000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x3000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x5000, 0, 0, IGVM_PAGE_CPUID);
    igvm_made_page(&made, SNP, 0x7000000, data, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_insert(&made, SNP, 0x6000, 3);
    igvm_made_context(&made, SNP, SNP_VMSA_GPA, context, 0);
    cli_write("guest.igvm", igvm_made_whole(&made));
    return 0;
}

static int free_file(void **state)
{
    (void)state;
    bytes_free(&made.file);
    return 0;
}

/* As snp_igvm_digest has it. */
static void digest_of(char text[98], unsigned cpus, bool as_qemu, const char *model)
{
    struct igvm_file file;
    struct snp_igvm igvm;
    struct snp_digest digest;
    struct snp_igvm_layout layout = {.cpus = cpus, .as_qemu = as_qemu, .guest_features = SNP_FEATURE_ACTIVE};
    assert_int_equal(snp_cpu_signature(&layout.cpu_signature, model, &err), 0);
    assert_int_equal(igvm_file_parse(&file, igvm_made_whole(&made), &err), 0);
    assert_int_equal(snp_igvm_build(&igvm, &file, NULL, &layout, &err), 0);
    assert_int_equal(snp_igvm_digest(&digest, &igvm, &err), 0);
    snp_igvm_free(&igvm);
    hex_encode(text, digest.value, sizeof digest.value);
    strcat(text, "\n");
}

static void prints(const char *command, const char *text)
{
    if (cli_run(command) != 0)
        fail_msg("%s", cli_output);
    assert_string_equal(cli_output, text);
}

static void a_file_has_its_digest_of_cofre_and_of_qemu(void **state)
{
    (void)state;
    char text[98];
    digest_of(text, 1, false, "EPYC-v4");
    prints("measure --tee snp --igvm guest.igvm", text);
    prints("measure --tee snp --igvm guest.igvm --memory 1G --cmdline debug", text);
    assert_int_equal(cli_run("measure --tee snp --igvm guest.igvm --json"), 0);
    text[96] = 0;
    assert_non_null(strstr(cli_output, text));
    digest_of(text, 3, false, "EPYC-Milan");
    prints("measure --tee snp --igvm guest.igvm --cpus 3 --cpu-model EPYC-Milan", text);
    digest_of(text, 3, true, "EPYC-v4");
    prints("measure --tee snp --vmm qemu --igvm guest.igvm --cpus 3", text);
}

static void says(const char *command, int code, const char *word)
{
    assert_int_equal(cli_run(command), code);
    if (!strstr(cli_output, word))
        fail_msg("\"%s\" is not about \"%s\"", cli_output, word);
}

static void what_cannot_be_measured_is_refused(void **state)
{
    (void)state;
    says("measure --tee snp --igvm guest.igvm --firmware f", 2, "one of them");
    says("measure --tee snp --vmm ec2 --igvm guest.igvm", 2, "--igvm has no part");
    says("measure --tee tdx --vmm qemu --igvm guest.igvm", 2, "--igvm has no part");
    says("measure --tee tdx --igvm guest.igvm", 3, "0xfffffff0");
    says("measure --tee snp --igvm guest.igvm --kernel guest.igvm", 1, "would not stand for them");
    says("measure --tee snp --vmm qemu --igvm guest.igvm --kernel guest.igvm", 1, "would not stand for them");
    says("measure --tee snp --igvm guest.igvm --memory 128M", 0, "");
    says("measure --tee snp --igvm guest.igvm --initrd guest.igvm", 2, "--kernel");
    put_le64(made.file.data + made.last - 24 - 32 + 8, 128u << 20); /* the page that is not measured */
    cli_write("guest.igvm", igvm_made_whole(&made));
    says("measure --tee snp --igvm guest.igvm --memory 128M", 3, "--igvm: IGVM header 9 (page data");
    says("measure --tee snp --igvm guest.igvm", 0, "");
    made.file.data[made.last]++;
    says("measure --tee snp --vmm qemu --igvm guest.igvm", 0, "");
    cli_write("guest.igvm", (struct view){made.file.data, made.data});
    says("measure --tee snp --vmm qemu --igvm guest.igvm", 3,
         "guest.igvm: IGVM file: its headers have the checksum");
}

/* Two thousand headers that nobody knows, and may leave out. */
static void write_many(void)
{
    struct made_igvm many;
    igvm_made_begin(&many, 1, 2048 * 8, 0);
    igvm_made_platform(&many, IGVM_SEV_SNP, SNP);
    for (unsigned i = 0; i < 2000; i++)
        igvm_made_header(&many, 0x80000399, 0);
    cli_write("many.igvm", igvm_made_whole(&many));
    bytes_free(&many.file);
}

static void inspection_shows_what_headers_say(void **state)
{
    (void)state;
    json_t *all = cli_inspected("guest.igvm");
    assert_string_equal(cli_text(all, "kind"), "IGVM file");
    assert_int_equal(json_integer_value(json_object_get(all, "format_version")), 1);
    assert_int_equal(json_integer_value(json_object_get(all, "header_count")), 12);
    const json_t *platforms = json_object_get(all, "platforms"), *headers = json_object_get(all, "headers");
    assert_int_equal(json_array_size(platforms), 2);
    assert_string_equal(cli_text(json_array_get(platforms, 0), "name"), "AMD SEV-SNP");
    assert_string_equal(cli_text(json_array_get(platforms, 1), "mask"), "0x2");
    assert_int_equal(json_array_size(headers), made.last ? 11 : 0); /* two pages are one line */
    const json_t *policy = json_array_get(headers, 2), *pages = json_array_get(headers, 5),
                 *zeros = json_array_get(headers, 6), *cpuid = json_array_get(headers, 7),
                 *unmeasured = json_array_get(headers, 8), *context = json_array_get(headers, 10);
    assert_string_equal(cli_text(policy, "policy"), "0x30000");
    assert_string_equal(cli_text(pages, "name"), "page data");
    assert_string_equal(cli_text(pages, "address"), "0x1000");
    assert_string_equal(cli_text(pages, "size"), "0x2000");
    assert_string_equal(cli_text(pages, "contents"), "data");
    assert_true(json_is_true(json_object_get(pages, "measured")));
    assert_string_equal(cli_text(zeros, "contents"), "zeros");
    assert_string_equal(cli_text(cpuid, "contents"), "CPUID");
    assert_true(json_is_false(json_object_get(cpuid, "measured")));
    assert_true(json_is_false(json_object_get(unmeasured, "measured")));
    assert_int_equal(json_integer_value(json_object_get(context, "vcpu")), 0);
    assert_int_equal(json_integer_value(json_object_get(context, "header")), 11);
    json_decref(all);
    write_many();
    struct bytes text;
    assert_int_equal(cli_run("inspect many.igvm --json >many.json"), 0);
    cli_read(&text, "many.json");
    all = json_loadb((const char *)text.data, text.len, 0, NULL);
    bytes_free(&text);
    assert_int_equal(json_integer_value(json_object_get(all, "header_count")), 2001);
    assert_int_equal(json_array_size(json_object_get(all, "headers")), 1000);
    json_decref(all);
    put_le32(made.file.data + 20, 0);
    cli_write("guest.igvm", (struct view){made.file.data, made.data});
    says("inspect guest.igvm", 3, "looks like a IGVM file, but: IGVM file: its headers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, write_file, free_file)
        TEST(a_file_has_its_digest_of_cofre_and_of_qemu),
        TEST(what_cannot_be_measured_is_refused),
        TEST(inspection_shows_what_headers_say),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
