/* cofre verify: judges evidence, or a verifier's result on it. The files are read here; attest/ decides. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/svsm.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/judge_by.h"
#include "vmm/cli/verb.h"
#include "vmm/cli/verify_token.h"

static const char help[] =
    "usage: cofre verify --evidence F [--cert F]... [--collateral F] [--crl F]... [--trust-root F]...\n"
    "                    [--policy F] [--reference F]... [--reference-keys F] [--nonce HEX]\n"
    "                    [--report-data HEX] [--measurement HEX] [--service-manifest F]\n"
    "                    [--vtpm-ek-out F] [--at TIME] [--json]\n"
    "       cofre verify --token F --keys F [--nonce HEX] [--at TIME] [--json]\n"
    "\n"
    "Judges an SEV-SNP report or a TDX quote: is it genuine, and does it satisfy the policy? Kind and\n"
    "version are recognised from the evidence. Every check is made and reported, also after one fails.\n"
    "\n"
    "  --evidence F       what cofre attest wrote, or a raw report or quote, or one as hexadecimal text\n"
    "  --cert F           certificates, DER or PEM, one or many, in any order, or SEV-SNP's table of them\n"
    "                     (configfs-tsm's auxblob). AMD's own ARK, ASK and ASVK are built in and used\n"
    "                     where no CA's certificate is given; quotes mostly bring theirs\n"
    "  --collateral F     Intel's collateral, which a quote cannot be judged without: TCB info, QE\n"
    "                     identity and revocation lists in one JSON file; SEV-SNP evidence has none\n"
    "  --crl F            revocation lists, DER or PEM; without any, revocation of SEV-SNP's\n"
    "                     certificates is not checked\n"
    "  --trust-root F     trusts this root besides the vendors', as for the emulated platform\n"
    "  --policy F         what is accepted (see cofre(1)); without it debugging, migration, unknown\n"
    "                     bits, provisional firmware and VMPLs above 0 are refused, and so is every\n"
    "                     TCB status but UpToDate\n"
    "  --reference F      reference values that the policy may name: a CoRIM, plain or signed\n"
    "  --reference-keys F only of CoRIMs that one of these keys signed: PEM, a COSE key or key set\n"
    "  --nonce HEX        the report data must be these bytes (1 to 64), then zeros\n"
    "  --report-data HEX  the report data must be these 64 bytes\n"
    "  --measurement HEX  the launch digest or MRTD must be this one (cofre measure prints it)\n"
    "  --service-manifest F\n"
    "                     the report is an SVSM's on its services, made at VMPL 0 over --nonce and this\n"
    "                     manifest (configfs-tsm's manifestblob): the vTPM's endorsement key, or the table\n"
    "                     of all services\n"
    "  --vtpm-ek-out F    where that key goes if the verdict is good, PEM, as openssl and\n"
    "                     tpm2_makecredential -G take it; only of an SVSM that is named by\n"
    "                     --measurement or in the policy\n"
    "  --token F          instead of evidence, a verifier's result on it (EAR, as JWT or CWT): is it signed\n"
    "                     by one of --keys, of now, for the nonce of --nonce, and a good one?\n"
    "  --keys F           with --token: the verifier's published keys, a JWKS or a COSE key set\n"
    "  --at TIME          judges as of then (RFC 3339, UTC); without it, now\n"
    "  --json             prints the verdict as one JSON object\n"
    "\n"
    "Exit code: 0 verified, 1 not (or not to be judged for want of something, which is named), 2 wrong\n"
    "usage, 3 malformed evidence, certificates or collateral.\n"
    "\n"
    "example: cofre verify --evidence evidence.json --nonce $NONCE --measurement $DIGEST\n";

/* Everything that the options name, read. */
struct inputs {
    struct evidence evidence;
    struct judge_by by;
    struct bytes nonce, report_data;
    struct bytes manifest_file;
    struct svsm_manifest manifest;
    const char *manifest_path, *ek_path; /* NULL: not asked for */
    struct bytes token;
    const char *token_path;
    struct cose_keys keys; /* who may have signed it */
    bool has_evidence, has_at, json;
    uint32_t given; /* of the options that stand for one thing, by their letters */
    int64_t at;
};

static void inputs_free(struct inputs *in)
{
    evidence_free(&in->evidence);
    judge_by_free(&in->by);
    bytes_free(&in->nonce);
    bytes_free(&in->report_data);
    svsm_manifest_free(&in->manifest);
    bytes_free(&in->manifest_file);
    bytes_free(&in->token);
    cose_keys_free(&in->keys);
}

static int read_evidence(struct inputs *in, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, EVIDENCE_FILE_MAX, err);
    if (rc < 0)
        return rc;
    in->has_evidence = true;
    rc = evidence_parse(&in->evidence, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_token(struct inputs *in, const char *path, struct cofre_err *err)
{
    in->token_path = path;
    int rc = file_read(&in->token, path, EAR_TOKEN_MAX, err);
    return rc == 0 && in->token.len == 0 ? cofre_fail(err, COFRE_MALFORMED, "%s is empty", path) : rc;
}

static int read_manifest(struct inputs *in, const char *path, struct cofre_err *err)
{
    in->manifest_path = path;
    int rc = file_read(&in->manifest_file, path, SVSM_MANIFEST_MAX, err);
    if (rc < 0)
        return rc;
    rc = svsm_manifest_read(&in->manifest, bytes_view(&in->manifest_file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_keys(struct inputs *in, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, KEY_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = keys_read(&in->keys, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int take_option(struct inputs *in, int o, const char *value, struct cofre_err *err)
{
    switch (o) {
    case 'e':
        return read_evidence(in, value, err);
    case 'n':
        return option_hex(&in->nonce, value, "--nonce", 1, 64, err);
    case 'd':
        return option_hex(&in->report_data, value, "--report-data", 64, 64, err);
    case 'a':
        in->has_at = true;
        return time_parse(&in->at, value, "--at", err);
    case 'w':
        return read_token(in, value, err);
    case 'k':
        return read_keys(in, value, err);
    case 'g':
        return read_manifest(in, value, err);
    case 'u':
        in->ek_path = value;
        return 0;
    case 'j':
        in->json = true;
        return 0;
    default:
        return judge_by_take(&in->by, o, value, err);
    }
}

/* What a report on services is over is the nonce and the manifest, and nothing else. */
static int check_manifest(const struct inputs *in, struct cofre_err *err)
{
    if (in->ek_path && !in->manifest_path)
        return cofre_fail(err, COFRE_USAGE, "--vtpm-ek-out is for --service-manifest, which has the key");
    if (in->ek_path && strcmp(in->ek_path, "-") == 0)
        return cofre_fail(err, COFRE_USAGE, "--vtpm-ek-out: standard output has the verdict");
    if (!in->manifest_path)
        return 0;
    if (in->nonce.len == 0)
        return cofre_fail(err, COFRE_USAGE,
                          "--service-manifest needs --nonce: the report is over both, and else nothing says "
                          "that it is on this manifest");
    if (in->report_data.len)
        return cofre_fail(err, COFRE_USAGE,
                          "--report-data does not go with --service-manifest: what is due there follows from "
                          "--nonce and the manifest");
    return in->ek_path && !in->manifest.ek.key
               ? cofre_fail(err, COFRE_MALFORMED, "%s has no vTPM's endorsement key for --vtpm-ek-out",
                            in->manifest_path)
               : 0;
}

static int check_inputs(struct inputs *in, struct cofre_err *err)
{
    if (!in->has_evidence)
        return cofre_fail(err, COFRE_USAGE, "--evidence, or --token, is missing: there is nothing to judge");
    if (in->keys.count)
        return cofre_fail(err, COFRE_USAGE, "--keys is for --token");
    if (in->by.has_collateral && strcmp(in->evidence.tee, "snp") == 0)
        return cofre_fail(
            err, COFRE_USAGE,
            "--collateral is for TDX; certificates and revocation lists of SEV-SNP go into --cert "
            "and --crl");
    if (!in->has_at)
        in->at = time(NULL);
    return check_manifest(in, err);
}

static int print_verdict(const struct verdict *verdict, bool json, struct cofre_err *err)
{
    if (!json) {
        verdict_print(verdict, stdout, isatty(STDOUT_FILENO));
    } else {
        CLEAN_JSON *object = verdict_json(verdict);
        if (!object || json_dumpf(object, stdout, JSON_INDENT(2)) < 0)
            return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
        putchar('\n');
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        return cofre_fail(err, COFRE_FAILED, "the verdict could not be written");
    return verdict_outcome(verdict) == CHECK_PASSED ? 0 : -COFRE_NEGATIVE;
}

/* Whoever is launched at VMPL 0 can have any key in such a report: the key is a vTPM's by what was launched. */
static int check_launch(const struct policy_snp *policy, const struct appraisal *in, struct cofre_err *err)
{
    return in->measurement.len || policy->measurement.count || policy->reference.count ||
                   policy->id_key_digest.count || policy->author_key_digest.count
               ? 0
               : cofre_fail(
                     err, COFRE_USAGE,
                     "--vtpm-ek-out: say which SVSM may be launched, by --measurement or in the policy; "
                     "anything else at VMPL 0 could name any key");
}

static int write_ek(const struct inputs *in, struct cofre_err *err)
{
    CLEAN_BYTES pem = {0};
    int rc = svsm_ek_pem(&pem, &in->manifest.ek, err);
    return rc < 0 ? rc : file_write(in->ek_path, bytes_view(&pem), 0644, err);
}

static int verify(struct inputs *in, struct cofre_err *err)
{
    int rc = check_inputs(in, err);
    if (rc < 0)
        return rc;
    struct appraisal appraisal = {.evidence = &in->evidence,
                                  .nonce = bytes_view(&in->nonce),
                                  .report_data = bytes_view(&in->report_data),
                                  .service = in->manifest_path ? &in->manifest : NULL,
                                  .at = in->at};
    rc = judge_by_finish(&in->by, &appraisal, err);
    if (rc == 0 && in->ek_path)
        rc = check_launch(&in->by.policy.snp, &appraisal, err);
    if (rc < 0)
        return rc;
    CLEAN_VERDICT verdict = {0};
    rc = appraise(&verdict, &appraisal, err);
    if (rc == 0)
        rc = print_verdict(&verdict, in->json, err);
    return rc == 0 && in->ek_path ? write_ek(in, err) : rc;
}

/* A verifier has judged the evidence by its own policy, roots and lists; only the token is left to judge. */
static int verify_result(struct inputs *in, struct cofre_err *err)
{
    const struct judge_by *by = &in->by;
    if (in->has_evidence || by->has_policy || by->has_collateral || by->certs.count || by->roots.count ||
        by->crls.count || in->report_data.len || in->manifest_path || in->ek_path || by->measurement.len ||
        by->reference_files || by->reference_keys.count)
        return cofre_fail(err, COFRE_USAGE, "--token goes with --keys, --nonce and --at only");
    if (in->keys.count == 0)
        return cofre_fail(err, COFRE_USAGE, "--keys is missing: anybody can write a token");
    int rc = verify_token(bytes_view(&in->token), &in->keys, bytes_view(&in->nonce),
                          in->has_at ? in->at : time(NULL), in->json, err);
    return rc < 0 && *err->text ? cofre_within(err, rc, "%s", in->token_path) : rc;
}

int verb_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"evidence", required_argument, NULL, 'e'},
        JUDGE_BY_OPTIONS,
        {"nonce", required_argument, NULL, 'n'},
        {"report-data", required_argument, NULL, 'd'},
        {"at", required_argument, NULL, 'a'},
        {"token", required_argument, NULL, 'w'},
        {"keys", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},
        {"service-manifest", required_argument, NULL, 'g'},
        {"vtpm-ek-out", required_argument, NULL, 'u'},
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
        rc = option_once(&in.given, "endawkgu" JUDGE_BY_ONCE, o, options[which].name, &err);
        if (rc == 0)
            rc = take_option(&in, o, optarg, &err);
    }
    if (rc == 0 && optind != argc)
        rc = cofre_fail(&err, COFRE_USAGE, "\"%s\" is no option; cofre verify --help lists them",
                        argv[optind]);
    if (rc == 0)
        rc = in.token.len ? verify_result(&in, &err) : verify(&in, &err);
    if (rc < 0 && *err.text)
        fprintf(stderr, "cofre verify: %s\n", err.text);
    return -rc;
}
