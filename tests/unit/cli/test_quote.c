/* cofre quote as a user calls it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tests/unit/attest/made_quote.h"
#include "tests/unit/cli/run.h"

#define NONCE "00112233445566778899aabbccddeeff"
#define PCR0  "4040404040404040404040404040404040404040404040404040404040404040"
#define PCR7  "4747474747474747474747474747474747474747474747474747474747474747"

static char name[2 * TPM_PUBLIC_NAME_MAX + 1];

static void write_key(const char *file, const TPMT_PUBLIC *area)
{
    TPM2B_PUBLIC sized = {.publicArea = *area};
    uint8_t data[TPM_PUBLIC_MAX];
    size_t len = 0;
    assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Marshal(&sized, data, sizeof data, &len), TSS2_RC_SUCCESS);
    cli_write(file, (struct view){data, len});
}

static int setup(void **state)
{
    CLEAN_TPM_PUBLIC public;
    struct made_key key;
    struct made_quote quote;
    struct tpm_quote_pcrs pcrs;
    TPMS_ATTEST said;
    uint8_t nonce[16];
    if (cli_setup(state) != 0)
        return -1;
    assert_true(hex_decode(nonce, sizeof nonce, NONCE));
    made_ak(&key, MADE_ECDSA_P256);
    made_ak_public(&public, &key);
    hex_encode(name, public.name, public.name_len);
    made_pcrs(&pcrs, 1u << 0 | 1u << 7, 32);
    made_attest(&said, (struct view){nonce, sizeof nonce}, &pcrs, MADE_ECDSA_P256);
    made_signed(&quote, &said, &key, MADE_ECDSA_P256);
    write_key("ak.pub", &key.area);
    cli_write("quote.msg", (struct view){quote.message, quote.message_len});
    cli_write("quote.sig", (struct view){quote.signature, quote.signature_len});
    key.area.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    write_key("loose.pub", &key.area);
    made_ak_free(&key);
    return 0;
}

/* With the key's own name where NAME stands. */
static void expect(int code, const char *arguments, const char *said)
{
    char all[1024];
    const char *at = strstr(arguments, "NAME");
    (void)snprintf(all, sizeof all, "%.*s%s%s", at ? (int)(at - arguments) : (int)strlen(arguments),
                   arguments, at ? name : "", at ? at + 4 : "");
    int found = cli_run(all);
    if (found != code || !strstr(cli_output, said))
        fail_msg("cofre %s: exit code %d, not %d, or does not say \"%s\": %s", all, found, code, said,
                 cli_output);
}

#define FILES "quote --ak ak.pub --ak-name NAME --message quote.msg --signature quote.sig"
#define PCRS  " --pcr 0=" PCR0 " --pcr 7=" PCR7
#define Q     FILES " --nonce " NONCE PCRS

static void the_key_s_name_is_told(void **state)
{
    (void)state;
    expect(0, "quote --ak ak.pub", name);
    expect(0, "quote --ak ak.pub --json", "\"key\": \"ECC P-256, SHA-256\"");
    expect(1, "quote --ak loose.pub", "FAIL: the key is no restricted signing key");
    expect(1, "quote --ak loose.pub --json", "\"verdict\": \"fail\"");
    expect(3, "quote --ak quote.msg", "quote.msg: ");
    expect(3, "quote --ak /dev/null", "/dev/null: ");
}

static void quotes_are_judged(void **state)
{
    (void)state;
    expect(0, Q, "PASS");
    expect(0, Q " --json", "\"verdict\": \"pass\"");
    expect(1, FILES " --nonce 01" NONCE PCRS, "not over the nonce");
    expect(1, FILES " --nonce " NONCE " --pcr 0=" PCR0 " --pcr 7=" PCR0, "other values");
    expect(1, FILES " --nonce " NONCE " --pcr 0=" PCR0, "of other PCRs (0x000081)");
    expect(1, Q " --pcr 8=" PCR0 " --json", "of other PCRs");
    expect(
        1,
        "quote --ak loose.pub --ak-name NAME --message quote.msg --signature quote.sig --nonce " NONCE PCRS,
        "another name than --ak-name");
    expect(3, "quote --ak ak.pub --ak-name NAME --message quote.msg --signature ak.pub --nonce " NONCE PCRS,
           "cofre quote: the signature is not one");
}

static void wrong_usage_is_2(void **state)
{
    (void)state;
    expect(2, "quote", "--ak is missing");
    expect(2, FILES " --nonce " NONCE, "together");
    expect(2, FILES PCRS, "together");
    expect(2, "quote --ak ak.pub --ak-name NAME", "together");
    expect(2, Q " --pcr 7=" PCR7, "--pcr 7 is given twice");
    expect(2, Q " --nonce 00", "--nonce is given twice");
    expect(2, FILES " --nonce " NONCE " --pcr 24=" PCR0, "0 to 23");
    expect(2, FILES " --nonce " NONCE " --pcr -1=" PCR0, "0 to 23");
    expect(2, FILES " --nonce " NONCE " --pcr =" PCR0, "0 to 23");
    expect(2, FILES " --nonce " NONCE " --pcr 7" PCR0, "0 to 23");
    expect(2, FILES " --nonce " NONCE " --pcr 18446744073709551617=" PCR0, "0 to 23");
    expect(2, FILES " --nonce " NONCE " --pcr 7=00", "--pcr");
    expect(2, FILES " --nonce " NONCE " --pcr 7=" PCR7 "00", "values are of 32 bytes");
    expect(2, FILES " --nonce " NONCE " --pcr 0=" PCR0 " --pcr 7=" PCR7 "00112233445566778899aabbccddeeff",
           "one bank");
    expect(2, "quote --ak ak.pub --ak-name 00", "--ak-name");
    expect(2, "quote --ak nowhere", "nowhere");
    expect(2, Q " rest", "rest");
    expect(0, "quote --help", "example: cofre quote");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_s_name_is_told),
        cmocka_unit_test(quotes_are_judged),
        cmocka_unit_test(wrong_usage_is_2),
    };
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
