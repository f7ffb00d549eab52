/* cofre measure --corim, cofre inspect of what it wrote, and cofre verify by a policy that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sev/abi.h"
#include "tests/unit/cli/run.h"

/* A bzImage as its header says it, and something that stands for the shim: any is measured alike. */
static int setup(void **state)
{
    static uint8_t kernel[0x3001];
    static const uint8_t shim[100] = {0xfa, 0xfc};
    char path[CLI_PATH_SIZE];
    if (cli_setup(state) < 0)
        return -1;
    kernel[0x1f1] = 1;
    put_le16(kernel + 0x1fe, 0xaa55);
    kernel[0x201] = 0x6a;
    memcpy(kernel + 0x202, "HdrS", 4);
    put_le16(kernel + 0x206, 0x020f);
    kernel[0x211] = 1;
    put_le32(kernel + 0x22c, 0x7fffffff);
    put_le32(kernel + 0x230, 0x200000);
    kernel[0x234] = 1;
    put_le16(kernel + 0x236, 1);
    put_le32(kernel + 0x238, 2047);
    put_le64(kernel + 0x258, 16 << 20);
    put_le32(kernel + 0x260, 60 << 20);
    cli_write("kernel", (struct view){kernel, sizeof kernel});
    cli_write("shim", (struct view){shim, sizeof shim});
    cli_path(path, "shim");
    return setenv("COFRE_SHIM", path, 1);
}

static json_t *must_give(const char *arguments)
{
    if (cli_run(arguments) != 0)
        fail_msg("cofre %s: %s", arguments, cli_output);
    json_t *object = json_loads(cli_output, 0, NULL);
    assert_non_null(object);
    return object;
}

static const char *field(json_t *value, const char *name)
{
    return cli_text(json_object_get(json_object_get(value, "fields"), name), "value");
}

static void what_was_measured_is_in_the_corim(void **state)
{
    (void)state;
    static const struct {
        const char *tee, *printed[4], *field[4];
    } cases[] = {{"snp", {"launch_digest"}, {"measurement"}},
                 {"tdx", {"mrtd", "rtmr0", "rtmr1", "rtmr2"}, {"mrtd", "rtmr0", "rtmr1", "rtmr2"}}};
    for (size_t i = 0; i < 2; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments,
                 "measure --json --tee %s --kernel kernel --corim plain --corim-name 'web 1' --corim-until "
                 "2030-01-01T00:00:00Z",
                 cases[i].tee);
        json_t *measured = must_give(arguments), *said = cli_inspected("plain");
        json_t *value = json_array_get(json_object_get(said, "values"), 0);
        assert_string_equal(cli_text(said, "kind"), "reference values (CoRIM)");
        assert_string_equal(cli_text(said, "tee"), cases[i].tee);
        assert_string_equal(cli_text(said, "valid_until"), "2030-01-01T00:00:00Z");
        assert_true(json_is_false(json_object_get(said, "signed")));
        assert_string_equal(cli_text(value, "name"), "web 1");
        assert_int_equal(json_integer_value(json_object_get(value, "version")), 1);
        for (int f = 0; f < 4 && cases[i].field[f]; f++)
            assert_string_equal(field(value, cases[i].field[f]), cli_text(measured, cases[i].printed[f]));
        assert_string_equal(field(value, "rtmr3"), "");
        json_decref(measured);
        json_decref(said);
    }
}

static void expect(int code, const char *arguments, const char *said)
{
    int found = cli_run(arguments);
    if (found != code || !strstr(cli_output, said))
        fail_msg("cofre %s: exit code %d, not %d, or does not say \"%s\": %.2000s", arguments, found, code,
                 said, cli_output);
}

static void options_that_lack_another_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options, *why;
    } cases[] = {{"--corim-name web", "--corim is missing"},
                 {"--corim f", "--corim-name is missing"},
                 {"--corim f --corim-name a/b", "a name has 1 to 64 letters"},
                 {"--corim f --corim-name web --corim-key k", "go together"},
                 {"--corim f --corim-name web --corim-issuer k", "go together"},
                 {"--corim f --corim-name web --corim-version -1", "--corim-version"},
                 {"--corim f --corim-name web --corim-until soon", "--corim-until"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments, "measure --tee snp --kernel kernel %s", cases[i].options);
        expect(2, arguments, cases[i].why);
    }
}

/* A report of nobody's with that launch digest: what is judged of it here is one check. */
static void write_report(const char *digest)
{
    struct snp_report report = {.version = 3};
    assert_true(hex_decode(report.measurement, sizeof report.measurement, digest));
    cli_write("report", (struct view){(const uint8_t *)&report, sizeof report});
}

static void must_say(const char *options, const char *says)
{
    char arguments[256];
    snprintf(arguments, sizeof arguments, "verify --json --evidence report --policy policy %s", options);
    assert_int_equal(cli_run(arguments), 1);
    json_t *verdict = json_loads(cli_output, 0, NULL), *check;
    size_t i;
    assert_non_null(verdict);
    json_array_foreach(json_object_get(verdict, "checks"), i, check)
    {
        if (strcmp(cli_text(check, "id"), "snp.reference") == 0)
            assert_string_equal(cli_text(check, "why"), says);
    }
    json_decref(verdict);
}

static void openssl(const char *command)
{
    char line[512], path[CLI_PATH_SIZE];
    cli_path(path, "");
    snprintf(line, sizeof line, "cd '%s' && openssl %s 2>/dev/null", path, command);
    assert_int_equal(system(line), 0);
}

static void a_policy_names_what_a_signed_corim_brings(void **state)
{
    (void)state;
    static const char policy[] = "{\"snp\": {\"reference\": [\"web\"]}}";
    openssl("ecparam -name secp384r1 -genkey -noout -out key.pem");
    openssl("ec -in key.pem -pubout -out key.pub");
    openssl("ecparam -name secp384r1 -genkey -noout -out other.pem");
    openssl("ec -in other.pem -pubout -out other.pub");
    json_t *measured = must_give("measure --json --tee snp --kernel kernel --corim signed --corim-name web "
                                 "--corim-version 7 --corim-key key.pem --corim-issuer builder");
    write_report(cli_text(measured, "launch_digest"));
    json_decref(measured);
    cli_write("policy", (struct view){(const uint8_t *)policy, strlen(policy)});
    must_say("--reference signed", "it is the reference value \"web\", version 7");
    must_say("--reference signed --reference-keys key.pub", "it is the reference value \"web\", version 7");
    must_say("", "no reference value \"web\" is known for this kind of guest");
    expect(1, "verify --evidence report --reference signed --reference-keys other.pub",
           "signed: it is signed by none of the keys that are trusted for it");
    expect(2, "verify --evidence report --reference-keys other.pub", "--reference-keys is for --reference");
    expect(3, "verify --evidence report --reference kernel", "kernel: ");
    json_t *said = cli_inspected("signed");
    assert_string_equal(cli_text(said, "signer"), "builder");
    json_decref(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_measured_is_in_the_corim),
        cmocka_unit_test(options_that_lack_another_are_refused),
        cmocka_unit_test(a_policy_names_what_a_signed_corim_brings),
    };
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
