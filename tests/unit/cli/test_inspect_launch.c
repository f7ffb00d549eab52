/* cofre inspect of what goes into a launch: OVMF images, ID blocks, the shim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "sev/id_block.h"
#include "sev/policy.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/file.h"
#include "vmm/shim/abi.h"

static void an_id_block_and_its_authentication_are_described(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-384");
    struct snp_id_block block = {.version = 1, .guest_svn = 9, .policy = SNP_POLICY_DEFAULT};
    struct snp_id_auth auth;
    memset(block.launch_digest, 0xab, sizeof block.launch_digest);
    assert_int_equal(snp_id_auth_sign(&auth, &block, key, key, NULL), 0);
    EVP_PKEY_free(key);
    cli_write("block", (struct view){(const uint8_t *)&block, sizeof block});
    cli_write("auth", (struct view){(const uint8_t *)&auth, sizeof auth});
    auth.id_key_sig.r[0] ^= 1;
    cli_write("auth-of-another", (struct view){(const uint8_t *)&auth, sizeof auth});

    json_t *all = cli_inspected("block");
    assert_string_equal(cli_text(all, "kind"), "SEV-SNP ID block");
    assert_memory_equal(cli_text(all, "launch_digest"), "abababab", 8);
    assert_int_equal(json_integer_value(json_object_get(all, "guest_svn")), 9);
    assert_string_equal(cli_text(all, "policy"), "0x30000");
    assert_string_equal(cli_text(all, "policy_flags"), "smt");
    json_decref(all);

    all = cli_inspected("auth");
    assert_string_equal(cli_text(all, "kind"), "SEV-SNP ID authentication");
    assert_string_equal(cli_text(all, "id_key_digest"), cli_text(all, "author_key_digest"));
    assert_true(json_is_true(json_object_get(all, "author_signed_id_key")));
    json_decref(all);

    all = cli_inspected("auth-of-another");
    assert_true(json_is_false(json_object_get(all, "author_signed_id_key")));
    json_decref(all);
}

/* The shim of this build: what it adds to the digest is its whole room of pages. */
static void the_shim_says_what_it_adds_to_the_digest(void **state)
{
    (void)state;
    json_t *all = cli_inspected(getenv("COFRE_SHIM"));
    assert_string_equal(cli_text(all, "kind"), "boot shim");
    assert_string_equal(cli_text(all, "address"), "0x100000");
    assert_int_equal(json_integer_value(json_object_get(all, "measured_pages")), SHIM_MAX_SIZE / 4096);
    assert_int_equal(strlen(cli_text(all, "sha256")), 64);
    assert_int_equal(strlen(cli_text(all, "digest_after_shim")), 96);
    json_decref(all);
}

static void unpack_firmware(const char *name)
{
    const char *shared = getenv("COFRE_SHARED");
    char command[4200];
    (void)snprintf(command, sizeof command, "--help > /dev/null; xz -dc '%s/firmware/%s.xz' > fd",
                   shared ? shared : "../shared", name);
    if (cli_run(command) != 0) {
        print_message("# skipped: ../shared/firmware has no %s.xz, or xz is not here\n", name);
        skip();
    }
}

static void a_firmware_image_shows_its_sections(void **state)
{
    (void)state;
    unpack_firmware("debian-sid-OVMF.amdsev.fd");
    json_t *all = cli_inspected("fd");
    assert_string_equal(cli_text(all, "kind"), "OVMF firmware image");
    assert_string_equal(cli_text(all, "address"), "0xffc00000");
    assert_string_equal(cli_text(all, "sev_es_reset_address"), "0x80b004");
    assert_string_equal(cli_text(all, "kernel_hashes_address"), "0x810c00");
    assert_true(json_is_true(json_object_get(all, "starts_snp_guests")));
    assert_true(json_is_true(json_object_get(all, "checks_kernel_hashes")));
    const json_t *sections = json_object_get(all, "sev_sections"), *section;
    size_t i, cpuid = 0;
    json_array_foreach(sections, i, section) cpuid += strcmp(cli_text(section, "name"), "CPUID") == 0;
    assert_int_equal(cpuid, 1);
    json_decref(all);
    assert_int_equal(cli_run("inspect fd"), 0);
    assert_non_null(strstr(cli_output, "SEC memory"));
}

/* It has SEV metadata too, which nobody filled in. */
static void a_tdvf_image_shows_its_sections_and_its_mrtd(void **state)
{
    (void)state;
    unpack_firmware("debian-sid-OVMF.inteltdx.ms.fd");
    json_t *all = cli_inspected("fd");
    assert_true(json_is_true(json_object_get(all, "starts_tdx_guests")));
    assert_true(json_is_false(json_object_get(all, "starts_snp_guests")));
    assert_non_null(strstr(cli_text(all, "no_snp_guests_because"), "SEV metadata"));
    assert_int_equal(strlen(cli_text(all, "mrtd")), 96);
    const json_t *code = json_array_get(json_object_get(all, "tdx_sections"), 0);
    assert_string_equal(cli_text(code, "name"), "boot firmware volume");
    assert_string_equal(cli_text(code, "address"), "0xffc84000");
    assert_true(json_is_true(json_object_get(code, "measured")));
    json_decref(all);
}

static void a_broken_table_is_malformed(void **state)
{
    (void)state;
    static uint8_t image[4096];
    static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                       0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
    memcpy(image + 4096 - 48, footer, 16);
    cli_write("broken", (struct view){image, sizeof image});
    assert_int_equal(cli_run("inspect broken"), 3);
    assert_non_null(strstr(cli_output, "GUID table"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_block_and_its_authentication_are_described),
        cmocka_unit_test(the_shim_says_what_it_adds_to_the_digest),
        cmocka_unit_test(a_firmware_image_shows_its_sections),
        cmocka_unit_test(a_tdvf_image_shows_its_sections_and_its_mrtd),
        cmocka_unit_test(a_broken_table_is_malformed),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
