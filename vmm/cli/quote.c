/* cofre quote: judges a TPM's quote, and says the name of the key that quotes are by. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/tpm_quote.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/judge_by.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre quote --ak F [--json]\n"
    "       cofre quote --ak F --ak-name HEX --message F --signature F --nonce HEX --pcr N=HEX...\n"
    "                   [--json]\n"
    "\n"
    "Says the name of a TPM's attestation key, for which tpm2_makecredential makes a credential, if it\n"
    "is a key that signs nothing but what the TPM says itself. With a quote: is it by the key of that\n"
    "name, over the nonce, of exactly these PCRs with exactly these values?\n"
    "\n"
    "  --ak F         the key's public part, as tpm2_createak -u writes it (TPM2B_PUBLIC)\n"
    "  --ak-name HEX  the name for which the TPM has opened a credential; another key is refused\n"
    "  --message F    the quote, as tpm2_quote -m writes it\n"
    "  --signature F  its signature, as tpm2_quote -s writes it\n"
    "  --nonce HEX    what the quote was asked for with (tpm2_quote -q), 1 to 64 bytes\n"
    "  --pcr N=HEX    a PCR and its value, of the bank SHA-256 or SHA-384; repeated for each\n"
    "  --json         prints one JSON object\n"
    "\n"
    "Exit code: 0 the key is one (and the quote as expected), 1 not, 2 wrong usage, 3 malformed input.\n"
    "\n"
    "example: cofre quote --ak ak.pub --ak-name $NAME --message quote.msg --signature quote.sig \\\n"
    "             --nonce $NONCE --pcr 0=$PCR0 --pcr 7=$PCR7\n";

struct inputs {
    struct tpm_public key;
    struct bytes name, message, signature, nonce;
    struct tpm_quote_pcrs pcrs;
    bool has_key, json;
    uint32_t given;
};

static void inputs_free(struct inputs *in)
{
    tpm_public_free(&in->key);
    bytes_free(&in->name);
    bytes_free(&in->message);
    bytes_free(&in->signature);
    bytes_free(&in->nonce);
}

static int read_key(struct inputs *in, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, TPM_PUBLIC_MAX, err);
    if (rc < 0)
        return rc;
    in->has_key = true;
    rc = tpm_public_read_sized(&in->key, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_part(struct bytes *out, const char *path, struct cofre_err *err)
{
    int rc = file_read(out, path, TPM_QUOTE_MAX, err);
    return rc == 0 && out->len == 0 ? cofre_fail(err, COFRE_MALFORMED, "%s is empty", path) : rc;
}

static int take_pcr(struct tpm_quote_pcrs *to, const char *text, struct cofre_err *err)
{
    char *end;
    CLEAN_BYTES value = {0};
    const unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '=' || number >= TPM_QUOTE_PCRS)
        return cofre_fail(err, COFRE_USAGE, "--pcr is a number from 0 to %d, = and a value, not \"%.40s\"",
                          TPM_QUOTE_PCRS - 1, text);
    if (to->given & 1u << number)
        return cofre_fail(err, COFRE_USAGE, "--pcr %lu is given twice", number);
    int rc = option_hex(&value, end + 1, "--pcr", 32, TPM_QUOTE_PCR_VALUE_MAX, err);
    if (rc < 0)
        return rc;
    if ((value.len != 32 && value.len != 48) || (to->given && value.len != to->size))
        return cofre_fail(err, COFRE_USAGE,
                          "--pcr: values are of 32 bytes, or all of 48; a quote is of one bank");
    to->size = value.len;
    memcpy(to->value[number], value.data, value.len);
    to->given |= 1u << number;
    return 0;
}

static int take_option(struct inputs *in, int o, const char *value, struct cofre_err *err)
{
    switch (o) {
    case 'a':
        return read_key(in, value, err);
    case 'n':
        return option_hex(&in->name, value, "--ak-name", 34, TPM_PUBLIC_NAME_MAX, err);
    case 'm':
        return read_part(&in->message, value, err);
    case 's':
        return read_part(&in->signature, value, err);
    case 'c':
        return option_hex(&in->nonce, value, "--nonce", 1, TPM_QUOTE_NONCE_MAX, err);
    case 'p':
        return take_pcr(&in->pcrs, value, err);
    default:
        in->json = true;
        return 0;
    }
}

/* All that a quote is judged by, or nothing of it: what is left out would not be compared. */
static int check_inputs(const struct inputs *in, bool *quote, struct cofre_err *err)
{
    const bool has[] = {in->message.len, in->signature.len, in->nonce.len, in->name.len, in->pcrs.given};
    size_t count = 0;
    for (size_t i = 0; i < sizeof has / sizeof *has; i++)
        count += has[i];
    *quote = count > 0;
    if (!in->has_key)
        return cofre_fail(err, COFRE_USAGE, "--ak is missing: there is no key to name or to verify by");
    return count == 0 || count == sizeof has / sizeof *has
               ? 0
               : cofre_fail(
                     err, COFRE_USAGE,
                     "a quote is judged by --message, --signature, --nonce, --ak-name and --pcr together");
}

static int judge(const struct inputs *in, bool quote, struct cofre_err *why)
{
    const struct view name = {in->key.name, in->key.name_len};
    if (!quote)
        return tpm_quote_check_key(&in->key, why);
    if (!view_equal(bytes_view(&in->name), name))
        return cofre_fail(why, COFRE_NEGATIVE, "the key has another name than --ak-name");
    return tpm_quote_check(&in->key, bytes_view(&in->message), bytes_view(&in->signature),
                           bytes_view(&in->nonce), &in->pcrs, why);
}

static int print(const struct inputs *in, int rc, bool quote, const char *why, struct cofre_err *err)
{
    char name[2 * TPM_PUBLIC_NAME_MAX + 1];
    const char *good = quote ? "the TPM whose key this is says that the PCRs have these values"
                             : "the key signs nothing but what its TPM says itself";
    hex_encode(name, in->key.name, in->key.name_len);
    if (in->json) {
        CLEAN_JSON *object = json_pack("{s:s, s:s, s:s, s:s}", "verdict", rc == 0 ? "pass" : "fail", "why",
                                       rc == 0 ? good : why, "key", in->key.kind, "name", name);
        if (!object || json_dumpf(object, stdout, JSON_INDENT(2)) < 0)
            return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
        putchar('\n');
    } else {
        printf("%s\nname %s\nVerdict: %s: %s.\n", in->key.kind, name, rc == 0 ? "PASS" : "FAIL",
               rc == 0 ? good : why);
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
    return rc;
}

static int quote_verb(struct inputs *in, struct cofre_err *err)
{
    bool quote;
    struct cofre_err why = {""};
    int rc = check_inputs(in, &quote, err);
    if (rc < 0)
        return rc;
    rc = judge(in, quote, &why);
    if (rc < 0 && rc != -COFRE_NEGATIVE)
        return cofre_fail(err, (enum cofre_error) - rc, "%s", why.text);
    return print(in, rc, quote, why.text, err);
}

int verb_quote(int argc, char **argv)
{
    static const struct option options[] = {
        {"ak", required_argument, NULL, 'a'},
        {"ak-name", required_argument, NULL, 'n'},
        {"message", required_argument, NULL, 'm'},
        {"signature", required_argument, NULL, 's'},
        {"nonce", required_argument, NULL, 'c'},
        {"pcr", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    __attribute__((cleanup(inputs_free))) struct inputs in = {0};
    struct cofre_err err = {""};
    int rc = 0, which = 0;
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, &which)) != -1;) {
        if (o == 'h' || o == '?') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
        rc = option_once(&in.given, "anmsc", o, options[which].name, &err);
        if (rc == 0)
            rc = take_option(&in, o, optarg, &err);
    }
    if (rc == 0 && optind != argc)
        rc =
            cofre_fail(&err, COFRE_USAGE, "\"%s\" is no option; cofre quote --help lists them", argv[optind]);
    if (rc == 0)
        rc = quote_verb(&in, &err);
    if (rc < 0 && *err.text)
        fprintf(stderr, "cofre quote: %s\n", err.text);
    return -rc;
}
