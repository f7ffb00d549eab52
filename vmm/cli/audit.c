/* cofre audit: questions to a record of operations and launches, and bundles that prove the answers to others. */
#include "vmm/cli/audit.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre audit launches   --log F --keys F [SELECTION] [--csv|--json]\n"
    "       cofre audit operations --log F --keys F [SELECTION] [--csv|--json]\n"
    "       cofre audit complete   --log F --keys F [SELECTION] [--head HEAD] [--witnesses F ...]\n"
    "       cofre audit bundle     --log F --keys F [SELECTION] [--from HEAD] [--file F ...] --out BUNDLE\n"
    "       cofre audit retain ...\n"
    "       cofre audit verify BUNDLE --keys F [--witness-keys F [--minimum N]] [--tpm-keys F] [--out "
    "DIRECTORY]\n"
    "\n"
    "The record is a copy of a log, as cofred keeps it of operations and launches; nothing of it is "
    "believed\n"
    "that a signed head does not cover. launches and operations (and changes, of cofre-trust's log) say "
    "what\n"
    "is in it. complete judges whether nothing of it is missing between two times or numbers. bundle\n"
    "writes entries with their proofs into one file, which verify checks on any machine by the public key\n"
    "alone. Exit code 1: it is not so.\n"
    "\n"
    "  retain           has a running cofred remove what old entries say: cofre audit retain --help\n"
    "\n"
    "  --log F          the log, or a copy of it\n"
    "  --server ADDRESS a running cofred, unix:PATH or https://HOST[:PORT]: the copy is first brought up to\n"
    "                   date from it, or made; what it sends is believed no more than the copy is\n"
    "  --ca F           with https: who vouches for its certificate, PEM\n"
    "  --cert F         with https: your certificate, PEM\n"
    "  --key F          its key, PEM; not needed where it is in the same file\n"
    "  --token-file F   a bearer token, instead of a certificate or the socket's user\n"
    "  --keys F         public keys that may have signed: PEM, or a COSE key or key set\n"
    "  --id HEX         the log must be the one with this id\n"
    "  --head HEAD      a head that somebody else was given: the log must be the one that it is of\n"
    "  --witnesses F    signatures of witnesses, one or several behind one another\n"
    "  --witness-keys F public keys of the witnesses that count\n"
    "  --minimum N      how many of them must have signed (default: 1)\n"
    "  --tpm-keys F     public keys of the host's TPM: it must vouch for the log, up to its last minutes; "
    "or,\n"
    "                   of verify, for the bundle's head or an older one\n"
    "selection, of entries for which all of it holds:\n"
    "  --first N        from this number on\n"
    "  --last N         up to this number\n"
    "  --on DATE        of this day (2026-11-28, UTC)\n"
    "  --since TIME     from this time on (2026-11-28T00:00:00Z)\n"
    "  --until TIME     up to this time\n"
    "  --tenant NAME    of this tenant\n"
    "  --guest NAME     of this guest, by its name or its number\n"
    "  --who TEXT       by this caller\n"
    "  --operation NAME \"guest.start\"\n"
    "  --object TEXT    of this object\n"
    "  --measurement HEX launches that were reported as this measurement\n"
    "  --differing      launches whose measurements are not all the same\n"
    "  --digests F      launches that used one of these: a list of SHA-256, each on a line with a name "
    "behind it\n"
    "  --evidence F     the launch that this evidence is of\n"
    "bundle and verify:\n"
    "  --from HEAD      an older head, out of which the log must have grown\n"
    "  --file F         put in as well: evidence, collateral; several times\n"
    "  --out F          where the bundle goes; or, of verify, the directory for the files in it\n"
    "  --csv            entries as CSV\n"
    "  --json           the result as one JSON object\n"
    "\n"
    "example: cofre audit launches --log copy --keys log.pub --on 2026-11-28 --differing\n";

enum { FILE_IN = AUDIT_OPTIONS, DIFFERING, CSV, JSON, HELP };
static const struct option options[] = {
    {"log", required_argument, NULL, AUDIT_LOG},
    {"keys", required_argument, NULL, AUDIT_KEYS},
    {"id", required_argument, NULL, AUDIT_ID},
    {"head", required_argument, NULL, AUDIT_HEAD},
    {"witnesses", required_argument, NULL, AUDIT_WITNESSES},
    {"witness-keys", required_argument, NULL, AUDIT_WITNESS_KEYS},
    {"minimum", required_argument, NULL, AUDIT_MINIMUM},
    {"tpm-keys", required_argument, NULL, AUDIT_TPM_KEYS},
    {"first", required_argument, NULL, AUDIT_FIRST},
    {"last", required_argument, NULL, AUDIT_LAST},
    {"on", required_argument, NULL, AUDIT_ON},
    {"since", required_argument, NULL, AUDIT_SINCE},
    {"until", required_argument, NULL, AUDIT_UNTIL},
    {"tenant", required_argument, NULL, AUDIT_TENANT},
    {"guest", required_argument, NULL, AUDIT_GUEST},
    {"who", required_argument, NULL, AUDIT_WHO},
    {"operation", required_argument, NULL, AUDIT_OPERATION},
    {"object", required_argument, NULL, AUDIT_OBJECT},
    {"measurement", required_argument, NULL, AUDIT_MEASUREMENT},
    {"digests", required_argument, NULL, AUDIT_DIGESTS},
    {"evidence", required_argument, NULL, AUDIT_EVIDENCE},
    {"from", required_argument, NULL, AUDIT_FROM},
    {"out", required_argument, NULL, AUDIT_OUT},
    {"server", required_argument, NULL, AUDIT_SERVER},
    {"ca", required_argument, NULL, AUDIT_CA},
    {"cert", required_argument, NULL, AUDIT_CERT},
    {"key", required_argument, NULL, AUDIT_KEY},
    {"token-file", required_argument, NULL, AUDIT_TOKEN_FILE},
    {"file", required_argument, NULL, FILE_IN},
    {"differing", no_argument, NULL, DIFFERING},
    {"csv", no_argument, NULL, CSV},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

#define BIT(option) (1u << AUDIT_##option)
#define RUNNING     (BIT(SERVER) | BIT(CA) | BIT(CERT) | BIT(KEY) | BIT(TOKEN_FILE))
#define TRUST                                                                                                \
    (BIT(ID) | BIT(HEAD) | BIT(WITNESSES) | BIT(WITNESS_KEYS) | BIT(MINIMUM) | BIT(TPM_KEYS) | RUNNING)
#define INTERVAL     (BIT(FIRST) | BIT(LAST) | BIT(ON) | BIT(SINCE) | BIT(UNTIL))
#define OF_LAUNCHES  (BIT(TENANT) | BIT(GUEST) | BIT(MEASUREMENT) | BIT(DIGESTS) | BIT(EVIDENCE))
#define OF_OPERATION (BIT(TENANT) | BIT(WHO) | BIT(OPERATION) | BIT(OBJECT))

static const struct action {
    const char *name;
    unsigned needs, takes; /* options, BIT */
    bool differing, files, judges, rows;
    int (*run)(const struct audit_call *call, json_t *result, struct cofre_err *err);
} actions[] = {
    {"launches", BIT(LOG) | BIT(KEYS), TRUST | INTERVAL | OF_LAUNCHES, true, false, false, true,
     audit_launches},
    {"operations", BIT(LOG) | BIT(KEYS), TRUST | INTERVAL | OF_OPERATION, false, false, false, true,
     audit_operations},
    {"complete", BIT(LOG) | BIT(KEYS), TRUST | INTERVAL, false, false, true, false, audit_complete},
    {"bundle", BIT(LOG) | BIT(KEYS) | BIT(OUT), TRUST | INTERVAL | OF_LAUNCHES | OF_OPERATION | BIT(FROM),
     true, true, false, false, audit_make_bundle},
    {"verify", BIT(KEYS), BIT(ID) | BIT(WITNESS_KEYS) | BIT(MINIMUM) | BIT(TPM_KEYS) | BIT(OUT), false, false,
     true, true, audit_verify_bundle},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int check_options(const struct action *action, const struct audit_call *call, bool csv,
                         struct cofre_err *err)
{
    for (unsigned i = AUDIT_CA; i <= AUDIT_TOKEN_FILE; i++)
        if (call->option[i] && !call->option[AUDIT_SERVER])
            return cofre_fail(err, COFRE_USAGE, "%s: --%s goes with --server", action->name, options[i].name);
    for (unsigned i = 0; i < AUDIT_OPTIONS; i++) {
        if (action->needs >> i & 1 && !call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s: --%s is missing", action->name, options[i].name);
        if (!((action->needs | action->takes) >> i & 1) && call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s takes no --%s", action->name, options[i].name);
    }
    if ((call->differing && !action->differing) || (call->files && !action->files) || (csv && !action->rows))
        return cofre_fail(err, COFRE_USAGE, "%s takes no --%s", action->name,
                          csv && !action->rows ? "csv"
                          : call->files        ? "file"
                                               : "differing");
    return 0;
}

enum output { TEXT_OUT, CSV_OUT, JSON_OUT };

static int print(const json_t *result, enum output output, struct cofre_err *err)
{
    if (output == JSON_OUT) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (output == CSV_OUT) {
        audit_print_csv(result, stdout);
    } else {
        audit_print_table(result, stdout);
    }
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

static int run(const struct action *action, const struct audit_call *call, enum output output,
               struct cofre_err *err)
{
    CLEAN_JSON *result = action->judges ? json_pack("{s:s}", "verdict", "fail") : json_object();
    int rc = check_options(action, call, output == CSV_OUT, err);
    if (rc == 0)
        rc = action->run(call, result, err);
    if (action->judges && rc == 0)
        json_object_set_new(result, "verdict", json_string("pass"));
    if (action->judges && rc == -COFRE_NEGATIVE && output == JSON_OUT)
        json_object_set_new(result, "why", json_string(err->text));
    else if (rc < 0)
        return rc;
    int printed = print(result, output, err);
    return rc < 0 ? rc : printed;
}

/* False: what was given is no call. */
static bool take(struct audit_call *call, enum output *output, int option)
{
    if (option == JSON || option == CSV)
        *output = option == JSON ? JSON_OUT : CSV_OUT;
    else if (option == DIFFERING)
        call->differing = true;
    else if (option == FILE_IN && call->files < LOG_BUNDLE_FILES_MAX)
        call->file[call->files++] = optarg;
    else if (option == FILE_IN || call->option[option])
        return false;
    else
        call->option[option] = optarg;
    return true;
}

int verb_audit(int argc, char **argv)
{
    if (argc > 1 && host_has_action(argv[0], argv[1]))
        return verb_host(argc, argv);
    struct audit_call call = {0};
    enum output output = TEXT_OUT;
    struct cofre_err err;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        if (!take(&call, &output, o)) {
            fprintf(stderr, "cofre audit: --%s is given too often\n",
                    o == FILE_IN ? "file" : options[o].name);
            return COFRE_USAGE;
        }
    }
    const struct action *action = optind < argc ? find_action(argv[optind]) : NULL;
    const int words = action && action->run == audit_verify_bundle ? 2 : 1;
    if (!action || optind + words != argc) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    call.bundle = argv[argc - 1];
    int rc = run(action, &call, output, &err);
    if (rc < 0)
        fprintf(stderr, "cofre audit: %s\n", err.text);
    return -rc;
}
