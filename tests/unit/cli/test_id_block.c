/* cofre id-block and cofre measure as a user calls them: the files they write, and how they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/cleanup.h"

#define DIGEST                                                                                               \
    "11570979c77a0adb515761a702527c8b9e11554e730552621d950988613a3a75c6ff1703f540bd22a9beede8fe7a97e3"

static int write_key(const char *name, const char *curve)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, name);
    EVP_PKEY *key = EVP_EC_gen(curve);
    CLEAN_FILE *f = fopen(path, "w");
    int ok = f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    EVP_PKEY_free(key);
    return ok ? 0 : -1;
}

static int make_keys(void **state)
{
    return cli_setup(state) == 0 && write_key("id.pem", "P-384") == 0 &&
                   write_key("author.pem", "P-384") == 0 && write_key("p256.pem", "P-256") == 0
               ? 0
               : -1;
}

static void what_is_written_says_what_was_asked_and_verifies(void **state)
{
    (void)state;
    CLEAN_BYTES raw_block = {0}, raw_auth = {0};
    struct snp_id_block block;
    struct snp_id_auth auth;
    uint8_t digest[48];
    char hex[97];
    assert_int_equal(
        cli_run("id-block --measurement " DIGEST " --id-key id.pem --author-key author.pem --guest-svn 7 "
                "--family-id 000102030405060708090a0b0c0d0e0f --image-id ffffffffffffffffffffffffffffff01 "
                "--policy smt,debug,abi=1.55 --id-block b --id-auth a"),
        0);
    cli_read(&raw_block, "b");
    cli_read(&raw_auth, "a");
    assert_int_equal(snp_id_block_parse(&block, bytes_view(&raw_block), NULL), 0);
    assert_int_equal(snp_id_auth_parse(&auth, bytes_view(&raw_auth), NULL), 0);
    assert_int_equal(snp_id_auth_verify(&auth, &block, true, NULL), 0);
    hex_encode(hex, block.launch_digest, 48);
    assert_string_equal(hex, DIGEST);
    assert_int_equal(block.guest_svn, 7);
    assert_int_equal(block.policy, 0xb0137);
    assert_int_equal(block.family_id[15], 0x0f);
    assert_int_equal(block.image_id[15], 0x01);
    snp_ecdsa_key_digest(digest, &auth.author_key, NULL);
    hex_encode(hex, digest, 48);
    assert_non_null(strstr(cli_output, hex));
}

static void without_options_svn_and_ids_are_zero(void **state)
{
    (void)state;
    CLEAN_BYTES raw = {0};
    assert_int_equal(
        cli_run("id-block --json --measurement " DIGEST " --id-key id.pem --id-block b --id-auth a"), 0);
    assert_non_null(strstr(cli_output, "\"id_key_digest\": \""));
    assert_null(strstr(cli_output, "author"));
    cli_read(&raw, "b");
    assert_true(bytes_are_zero(raw.data + 48, 32));
    assert_int_equal(le32(raw.data + 84), 0);
    assert_int_equal(le64(raw.data + 88), 0x30000);
}

static void a_wrong_call_says_why_and_writes_nothing(void **state)
{
    (void)state;
    const struct {
        const char *arguments;
        int rc;
        const char *sentence;
    } cases[] = {
        {"id-block --id-key id.pem --id-block x --id-auth y", 2, "--measurement is missing"},
        {"id-block --measurement " DIGEST " --id-block x --id-auth y", 2, "--id-key is missing"},
        {"id-block --measurement " DIGEST " --id-key id.pem --id-auth y", 2, "--id-block is missing"},
        {"id-block --measurement 00 --id-key id.pem --id-block x --id-auth y", 2, "96 hexadecimal digits"},
        {"id-block --measurement " DIGEST " --id-key p256.pem --id-block x --id-auth y", 3, "P-384"},
        {"id-block --measurement " DIGEST " --id-key id.pem --author-key p256.pem --id-block x --id-auth y",
         3, "P-384"},
        {"id-block --measurement " DIGEST " --id-key id.pem --id-block x --id-auth y --policy 0x10000", 2,
         "bit 17"},
        {"id-block --measurement " DIGEST " --id-key id.pem --id-block x --id-auth y --guest-svn 4294967296",
         2, "--guest-svn"},
        {"id-block --measurement " DIGEST " --id-key id.pem --id-block x --id-auth y --image-id 0", 2,
         "--image-id"},
        {"id-block --what", 2, "usage"},
        {"measure", 2, "--tee is missing"},
        {"measure --tee sev", 2, "--tee sev"},
        {"measure --tee snp", 2, "--kernel is missing"},
        {"measure --tee snp --vmm xen", 2, "--vmm xen"},
        {"measure --tee snp --vmm qemu", 2, "--firmware is missing"},
        {"measure --tee snp --vmm qemu --firmware id.pem --memory 1G", 2, "--memory"},
        {"measure --tee snp --vmm qemu --firmware id.pem --cmdline quiet", 2, "--kernel only"},
        {"measure --tee snp --vmm ec2 --firmware id.pem --kernel id.pem", 2, "--kernel"},
        {"measure --tee snp --vmm qemu --firmware id.pem --cpus 0", 2, "--cpus"},
        {"measure --tee snp --vmm qemu --firmware id.pem --cpu-model Z80", 2, "Z80"},
        {"measure --tee snp --vmm qemu --firmware id.pem", 3, "id.pem"},
        {"measure --tee snp --kernel id.pem --firmware id.pem", 3, "--firmware: "},
        {"measure --tee snp --kernel id.pem --memory 100", 2, "memory"},
        {"measure --tee snp --kernel id.pem", 3, "kernel"},
        {"measure --tee snp --kernel nowhere", 2, "nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc = cli_run(cases[i].arguments);
        if (rc != cases[i].rc || !strstr(cli_output, cases[i].sentence))
            fail_msg("cofre %s: exit code %d, %s", cases[i].arguments, rc, cli_output);
    }
    assert_int_equal(cli_run("--help > /dev/null; test ! -e x -a ! -e y"), 0);
}

static void help_has_an_example(void **state)
{
    (void)state;
    assert_int_equal(cli_run("measure --help"), 0);
    assert_non_null(strstr(cli_output, "example: cofre measure"));
    assert_int_equal(cli_run("id-block --help"), 0);
    assert_non_null(strstr(cli_output, "example: cofre id-block"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_says_what_was_asked_and_verifies),
        cmocka_unit_test(without_options_svn_and_ids_are_zero),
        cmocka_unit_test(a_wrong_call_says_why_and_writes_nothing),
        cmocka_unit_test(help_has_an_example),
    };
    return cmocka_run_group_tests(tests, make_keys, cli_teardown);
}
