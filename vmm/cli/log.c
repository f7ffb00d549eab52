/* cofre log: a log of verdicts, or of anything, that only grows; and proofs about it for who was not there. */
#include "vmm/cli/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/json.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre log create --log F --key PEM --name TEXT\n"
    "       cofre log append --log F --key PEM --entry F [--out RECEIPT]\n"
    "       cofre log head   --log F --keys F [--out HEAD]\n"
    "       cofre log show   --log F --keys F [--index N]\n"
    "       cofre log prove  --log F --keys F --index N|--from HEAD --out RECEIPT [--entry-out F]\n"
    "       cofre log verify --keys F --log F [--head HEAD] [--witnesses F --witness-keys F [--minimum N]]\n"
    "                        [--tpm-keys F]\n"
    "       cofre log verify --keys F --receipt F --entry F|--from HEAD [--witnesses F ...]\n"
    "       cofre log witness --state F --key PEM --name TEXT --keys F --log F --out SIGNATURE\n"
    "       cofre log witness --state F --key PEM --name TEXT --keys F --head HEAD --receipt F --out "
    "SIGNATURE\n"
    "       cofre log witness --state F --key PEM --name TEXT --keys F --server ADDRESS --out SIGNATURE\n"
    "\n"
    "A log is one file, to which entries are appended and in which none is changed; a copy of it, made\n"
    "at any time, is the log too. Signed heads and receipts let others check it, offline: verify says\n"
    "whether a whole log is what its heads say, an entry is in a log, or a log grew out of an older\n"
    "one. A witness is a second party, who signs heads that it has seen grow out of the last one that it\n"
    "saw, and refuses a log that is forked or has become shorter. Exit code 1: it is not so. docs/log.md "
    "says what follows from that, and what does not.\n"
    "The key is an EC key of P-256 or P-384 (openssl ecparam -name prime256v1 -genkey -noout -out log.pem).\n"
    "\n"
    "  --log F          the log, or a copy of it\n"
    "  --key PEM        private key that signs heads\n"
    "  --keys F         public keys that may have signed: PEM, or a COSE key or key set\n"
    "  --name TEXT      what a new log is called\n"
    "  --entry F        the entry, of any kind, up to 1M; create makes the first one itself\n"
    "  --receipt F      receipt of an entry, or of growth\n"
    "  --head HEAD      a head that somebody else was given: the log must be the one that it is of\n"
    "  --from HEAD      a head that is known; prove makes, and verify checks, a receipt of growth from it\n"
    "  --id HEX         the log must be the one with this id\n"
    "  --index N        which entry to prove, or to show entries from; the first is 0\n"
    "  --out F          where the receipt or the head goes\n"
    "  --entry-out F    where prove puts the entry itself\n"
    "  --state F        the head that a witness saw last; for a log that it never saw, --id says which\n"
    "  --witnesses F    signatures of witnesses, one or several behind one another\n"
    "  --witness-keys F public keys of the witnesses that count\n"
    "  --minimum N      how many of them must have signed (default: 1)\n"
    "  --server ADDRESS a running cofred, unix:PATH or https://HOST[:PORT]: the witness asks it for its "
    "head, and\n"
    "                   for a proof of growth\n"
    "  --ca F           with https: who vouches for its certificate, PEM\n"
    "  --cert F         with https: your certificate, with its key behind it, PEM\n"
    "  --token-file F   a bearer token, instead of a certificate or the socket's user\n"
    "  --tpm-keys F     public keys of the keeper's TPM: it must vouch for the log, up to its last minutes\n"
    "  --json           the result as one JSON object\n"
    "\n"
    "example: cofre log verify --keys log.pub --receipt verdict.receipt --entry verdict.json\n";

enum { JSON = LOG_OPTIONS, HELP };
static const struct option options[] = {
    {"log", required_argument, NULL, LOG_OPT_LOG},
    {"key", required_argument, NULL, LOG_OPT_KEY},
    {"keys", required_argument, NULL, LOG_OPT_KEYS},
    {"name", required_argument, NULL, LOG_OPT_NAME},
    {"entry", required_argument, NULL, LOG_OPT_ENTRY},
    {"receipt", required_argument, NULL, LOG_OPT_RECEIPT},
    {"head", required_argument, NULL, LOG_OPT_HEAD},
    {"from", required_argument, NULL, LOG_OPT_FROM},
    {"id", required_argument, NULL, LOG_OPT_ID},
    {"index", required_argument, NULL, LOG_OPT_INDEX},
    {"out", required_argument, NULL, LOG_OPT_OUT},
    {"entry-out", required_argument, NULL, LOG_OPT_ENTRY_OUT},
    {"state", required_argument, NULL, LOG_OPT_STATE},
    {"witnesses", required_argument, NULL, LOG_OPT_WITNESSES},
    {"witness-keys", required_argument, NULL, LOG_OPT_WITNESS_KEYS},
    {"minimum", required_argument, NULL, LOG_OPT_MINIMUM},
    {"server", required_argument, NULL, LOG_OPT_SERVER},
    {"ca", required_argument, NULL, LOG_OPT_CA},
    {"cert", required_argument, NULL, LOG_OPT_CERT},
    {"token-file", required_argument, NULL, LOG_OPT_TOKEN_FILE},
    {"tpm-keys", required_argument, NULL, LOG_OPT_TPM_KEYS},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

#define BIT(option) (1u << LOG_OPT_##option)

static const struct action {
    const char *name;
    unsigned needs, takes; /* options, BIT */
    int (*run)(const struct log_call *call, json_t *result, struct cofre_err *err);
    bool judges; /* a negative answer is a result too */
} actions[] = {
    {"create", BIT(LOG) | BIT(KEY) | BIT(NAME), 0, log_create, false},
    {"append", BIT(LOG) | BIT(KEY) | BIT(ENTRY), BIT(OUT), log_append, false},
    {"head", BIT(LOG) | BIT(KEYS), BIT(ID) | BIT(OUT), log_print_head, false},
    {"show", BIT(LOG) | BIT(KEYS), BIT(ID) | BIT(INDEX), log_show, false},
    {"prove", BIT(LOG) | BIT(KEYS) | BIT(OUT), BIT(ID) | BIT(INDEX) | BIT(FROM) | BIT(ENTRY_OUT), log_prove,
     false},
    {"verify", BIT(KEYS),
     BIT(ID) | BIT(LOG) | BIT(HEAD) | BIT(RECEIPT) | BIT(ENTRY) | BIT(FROM) | BIT(WITNESSES) |
         BIT(WITNESS_KEYS) | BIT(MINIMUM) | BIT(TPM_KEYS),
     log_verify, true},
    {"witness", BIT(STATE) | BIT(KEY) | BIT(NAME) | BIT(KEYS) | BIT(OUT),
     BIT(ID) | BIT(LOG) | BIT(HEAD) | BIT(RECEIPT) | BIT(SERVER) | BIT(CA) | BIT(CERT) | BIT(TOKEN_FILE),
     log_witness, true},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int check_options(const struct action *action, const struct log_call *call, struct cofre_err *err)
{
    for (unsigned i = 0; i < LOG_OPTIONS; i++) {
        if (action->needs >> i & 1 && !call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s: --%s is missing", action->name, options[i].name);
        if (!((action->needs | action->takes) >> i & 1) && call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s takes no --%s", action->name, options[i].name);
    }
    return 0;
}

static int run(const struct action *action, const struct log_call *call, bool json, struct cofre_err *err)
{
    CLEAN_JSON *result = action->judges ? json_pack("{s:s}", "verdict", "fail") : json_object();
    int rc = check_options(action, call, err);
    if (rc == 0)
        rc = action->run(call, result, err);
    if (action->judges && rc == 0)
        json_object_set_new(result, "verdict", json_string("pass"));
    if (action->judges && rc == -COFRE_NEGATIVE && json)
        json_object_set_new(result, "why", json_string(err->text));
    else if (rc < 0)
        return rc;
    if (json) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        claims_print(result, stdout);
    }
    if (fflush(stdout) != 0)
        return cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
    return rc;
}

int verb_log(int argc, char **argv)
{
    struct log_call call = {{NULL}};
    struct cofre_err err;
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        if (o == JSON) {
            json = true;
        } else if (call.option[o]) {
            fprintf(stderr, "cofre log: --%s is given twice\n", options[o].name);
            return COFRE_USAGE;
        } else {
            call.option[o] = optarg;
        }
    }
    const struct action *action = optind + 1 == argc ? find_action(argv[optind]) : NULL;
    if (!action) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    int rc = run(action, &call, json, &err);
    if (rc < 0)
        fprintf(stderr, "cofre log: %s\n", err.text);
    return -rc;
}
