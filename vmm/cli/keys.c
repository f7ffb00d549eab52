/* cofre keys: the owner's side of the keys that a cofre-trust releases to guests. */
#include "vmm/cli/keys.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre keys list    SERVICE\n"
    "       cofre keys show    SERVICE --name KEY\n"
    "       cofre keys create  SERVICE --name KEY [--size N] [--quorum N] [--per-guest N] [--per-hour N]\n"
    "       cofre keys import  SERVICE --name KEY --in F [--quorum N] [--per-guest N] [--per-hour N]\n"
    "       cofre keys rotate  SERVICE --name KEY [--in F]\n"
    "       cofre keys retire  SERVICE --name KEY --version N\n"
    "       cofre keys disable|enable|destroy SERVICE --name KEY\n"
    "       cofre keys grant   SERVICE --name KEY --policy NAME [--version N] [--offline N]\n"
    "       cofre keys revoke  SERVICE --name KEY --policy NAME\n"
    "       cofre keys approve SERVICE --name KEY --guest HEX\n"
    "       cofre keys export  SERVICE --name KEY --key PEM --out F [--version N]\n"
    "       cofre keys open    --in F --key PEM --out F\n"
    "       cofre keys backup  SERVICE --out F\n"
    "       cofre keys restore SERVICE --in F [--as-they-were | --revive KEY]\n"
    "       cofre keys root-make       --root F [--passphrase-file F]\n"
    "       cofre keys root-open       --root F --out F WITH\n"
    "       cofre keys root-passphrase --root F --new-passphrase-file F WITH\n"
    "       cofre keys root-recovery   --root F WITH\n"
    "       cofre keys root-restore    --root F --in F\n"
    "       cofre keys root-tpm        --root F --tpm DEVICE --policy-key PEM --authorisation-file F\n"
    "                                  [--owner-password-file F] WITH (no TPM)\n"
    "       cofre keys pcr-policy      --policy-key PEM --pcrs LIST --out F --tpm DEVICE|--pcr-digest HEX\n"
    "\n"
    "SERVICE: --service URL --ca F --token-file F. Keys lie wrapped in the service's database and are "
    "released to\n"
    "guests whose evidence satisfies a version of a policy that they are granted to (cofre-agent key is the\n"
    "guest's side). Nothing here ever sends or gets a key but sealed. docs/keys.md says what follows.\n"
    "\n"
    "  --service URL    the service, https://HOST[:PORT]\n"
    "  --ca F           who vouches for its certificate, PEM\n"
    "  --token-file F   a credential of it with the role keys, or approve\n"
    "  --name KEY       the key\n"
    "  --size N         bytes of a new one; default 32\n"
    "  --quorum N       how many have to approve each release; default none\n"
    "  --per-guest N    releases to one guest within an hour, at most\n"
    "  --per-hour N     releases within an hour in all, at most\n"
    "  --offline N      seconds for which a guest may keep it, sealed, for starts without the service; "
    "default 0\n"
    "  --version N      of the key, or with grant of the policy (default: the active one)\n"
    "  --policy NAME    a policy of the service\n"
    "  --guest HEX      a guest that asks, as show has it\n"
    "  --key PEM        P-256 or X25519: to whom a key is sealed (public), or who opens it (private)\n"
    "  --in F           a key's bytes; with open what export wrote, with restore and root-restore what "
    "backup did\n"
    "  --out F          where it goes\n"
    "  --as-they-were   keys come with the states that they had; default: disabled, until they are enabled\n"
    "  --revive KEY     brings back this one alone, which is destroyed there; it comes disabled\n"
    "  --root F         the file in which the service's root lies sealed\n"
    "  --passphrase-file F      WITH: its passphrase, one line\n"
    "  --recovery-file F        WITH, instead: the recovery passphrase, which is shown once, when it is "
    "made\n"
    "  --tpm DEVICE             WITH, instead: the TPM that sealed it, as /dev/tpmrm0, with the next two\n"
    "  --authorisation-file F   what the TPM wants to hear, one line\n"
    "  --pcr-policy F           the states of the machine that were approved, as pcr-policy wrote them\n"
    "  --policy-key PEM         P-256: who approves of states, public with root-tpm, private with "
    "pcr-policy\n"
    "  --pcrs LIST              PCRs (SHA-256) that are to be as they are, or as --pcr-digest says: 7,11\n"
    "  --pcr-digest HEX         SHA-256 of their values one after another\n"
    "  --owner-password-file F  the password of the TPM's owner hierarchy, where it has one\n"
    "  --new-passphrase-file F  the passphrase that it is to have\n"
    "  --json           the answer as one JSON object\n"
    "\n"
    "example: cofre keys grant --service https://trust:8443 --ca ca.pem --token-file t --name disk --policy "
    "web\n";

enum { JSON = KEYS_OPTIONS, HELP };
static const struct option options[] = {
    {"service", required_argument, NULL, KEYS_SERVICE},
    {"ca", required_argument, NULL, KEYS_CA},
    {"token-file", required_argument, NULL, KEYS_TOKEN_FILE},
    {"name", required_argument, NULL, KEYS_NAME},
    {"version", required_argument, NULL, KEYS_VERSION},
    {"policy", required_argument, NULL, KEYS_POLICY},
    {"guest", required_argument, NULL, KEYS_GUEST},
    {"size", required_argument, NULL, KEYS_SIZE},
    {"quorum", required_argument, NULL, KEYS_QUORUM},
    {"per-guest", required_argument, NULL, KEYS_PER_GUEST},
    {"per-hour", required_argument, NULL, KEYS_PER_HOUR},
    {"offline", required_argument, NULL, KEYS_OFFLINE},
    {"in", required_argument, NULL, KEYS_IN},
    {"key", required_argument, NULL, KEYS_KEY},
    {"out", required_argument, NULL, KEYS_OUT},
    {"root", required_argument, NULL, KEYS_ROOT},
    {"passphrase-file", required_argument, NULL, KEYS_PASSPHRASE_FILE},
    {"recovery-file", required_argument, NULL, KEYS_RECOVERY_FILE},
    {"new-passphrase-file", required_argument, NULL, KEYS_NEW_PASSPHRASE_FILE},
    {"revive", required_argument, NULL, KEYS_REVIVE},
    {"as-they-were", no_argument, NULL, KEYS_AS_THEY_WERE},
    {"tpm", required_argument, NULL, KEYS_TPM},
    {"authorisation-file", required_argument, NULL, KEYS_AUTHORISATION_FILE},
    {"pcr-policy", required_argument, NULL, KEYS_PCR_POLICY},
    {"policy-key", required_argument, NULL, KEYS_POLICY_KEY},
    {"pcrs", required_argument, NULL, KEYS_PCRS},
    {"pcr-digest", required_argument, NULL, KEYS_PCR_DIGEST},
    {"owner-password-file", required_argument, NULL, KEYS_OWNER_PASSWORD_FILE},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

#define BIT(option) (1u << KEYS_##option)
#define SERVICE     (BIT(SERVICE) | BIT(CA) | BIT(TOKEN_FILE))
#define KEY         (SERVICE | BIT(NAME))
#define WORDS       (BIT(PASSPHRASE_FILE) | BIT(RECOVERY_FILE))
#define BY_TPM      (BIT(TPM) | BIT(AUTHORISATION_FILE) | BIT(PCR_POLICY))
#define WITH        (WORDS | BY_TPM)
#define LIMITS      (BIT(QUORUM) | BIT(PER_GUEST) | BIT(PER_HOUR))

/* Of a path: after it the key's name, then what comes below it, then another option's value. */
static const struct action {
    const char *name;
    unsigned needs, takes;      /* options, BIT */
    const char *method, *below; /* below: NULL without a name */
    enum keys_option part;      /* KEYS_NAME: nothing more */
    const char *state;          /* what state the body asks for */
    int (*run)(const struct keys_call *call, json_t **answer, struct cofre_err *err); /* instead */
} actions[] = {
    {"list", SERVICE, 0, "GET", NULL, KEYS_NAME, NULL, NULL},
    {"show", KEY, 0, "GET", "", KEYS_NAME, NULL, NULL},
    {"create", KEY, BIT(SIZE) | LIMITS, "POST", "", KEYS_NAME, NULL, NULL},
    {"import", KEY | BIT(IN), LIMITS, "POST", "", KEYS_NAME, NULL, NULL},
    {"rotate", KEY, BIT(IN), "POST", "/versions", KEYS_NAME, NULL, NULL},
    {"retire", KEY | BIT(VERSION), 0, "DELETE", "/versions/", KEYS_VERSION, NULL, NULL},
    {"disable", KEY, 0, "PUT", "/state", KEYS_NAME, "disabled", NULL},
    {"enable", KEY, 0, "PUT", "/state", KEYS_NAME, "active", NULL},
    {"destroy", KEY, 0, "PUT", "/state", KEYS_NAME, "destroyed", NULL},
    {"grant", KEY | BIT(POLICY), BIT(VERSION) | BIT(OFFLINE), "PUT", "/grants/", KEYS_POLICY, NULL, NULL},
    {"revoke", KEY | BIT(POLICY), 0, "DELETE", "/grants/", KEYS_POLICY, NULL, NULL},
    {"approve", KEY | BIT(GUEST), 0, "POST", "/approvals", KEYS_NAME, NULL, NULL},
    {"export", KEY | BIT(KEY) | BIT(OUT), BIT(VERSION), NULL, NULL, KEYS_NAME, NULL, keys_export},
    {"open", BIT(IN) | BIT(KEY) | BIT(OUT), 0, NULL, NULL, KEYS_NAME, NULL, keys_open},
    {"backup", SERVICE | BIT(OUT), 0, NULL, NULL, KEYS_NAME, NULL, keys_backup},
    {"restore", SERVICE | BIT(IN), BIT(AS_THEY_WERE) | BIT(REVIVE), NULL, NULL, KEYS_NAME, NULL,
     keys_restore},
    {"root-make", BIT(ROOT), BIT(PASSPHRASE_FILE), NULL, NULL, KEYS_NAME, NULL, keys_root_make},
    {"root-open", BIT(ROOT) | BIT(OUT), WITH, NULL, NULL, KEYS_NAME, NULL, keys_root_open},
    {"root-passphrase", BIT(ROOT) | BIT(NEW_PASSPHRASE_FILE), WITH, NULL, NULL, KEYS_NAME, NULL,
     keys_root_passphrase},
    {"root-recovery", BIT(ROOT), WITH, NULL, NULL, KEYS_NAME, NULL, keys_root_recovery},
    {"root-restore", BIT(ROOT) | BIT(IN), 0, NULL, NULL, KEYS_NAME, NULL, keys_root_restore},
    {"root-tpm", BIT(ROOT) | BIT(TPM) | BIT(POLICY_KEY) | BIT(AUTHORISATION_FILE),
     WORDS | BIT(OWNER_PASSWORD_FILE), NULL, NULL, KEYS_NAME, NULL, keys_root_tpm},
    {"pcr-policy", BIT(POLICY_KEY) | BIT(PCRS) | BIT(OUT), BIT(TPM) | BIT(PCR_DIGEST), NULL, NULL, KEYS_NAME,
     NULL, keys_pcr_policy},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

/* Names go into a path: what has another meaning there is none. */
static int check_options(const struct action *action, const struct keys_call *call, struct cofre_err *err)
{
    static const enum keys_option names[] = {KEYS_NAME, KEYS_POLICY, KEYS_VERSION};
    for (unsigned i = 0; i < KEYS_OPTIONS; i++) {
        if (action->needs >> i & 1 && !call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s: --%s is missing", action->name, options[i].name);
        if (!((action->needs | action->takes) >> i & 1) && call->option[i])
            return cofre_fail(err, COFRE_USAGE, "%s takes no --%s", action->name, options[i].name);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = call->option[names[i]];
        if (name && (!*name || strlen(name) > 64 || strpbrk(name, "/?#% \t\r\n") || *name == '.'))
            return cofre_fail(err, COFRE_USAGE, "--%s: \"%.64s\" is no name", options[names[i]].name, name);
    }
    return 0;
}

/* Options that are numbers of the body, by the body's names. */
static int put_numbers(const struct action *action, const struct keys_call *call, json_t *body,
                       struct cofre_err *err)
{
    static const struct {
        enum keys_option option;
        const char *member;
    } numbers[] = {{KEYS_SIZE, "size"},         {KEYS_QUORUM, "quorum"},   {KEYS_PER_GUEST, "per_guest"},
                   {KEYS_PER_HOUR, "per_hour"}, {KEYS_OFFLINE, "offline"}, {KEYS_VERSION, "version"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const char *text = call->option[numbers[i].option];
        uint64_t value;
        if (!text || action->part == numbers[i].option)
            continue;
        int rc = number_parse(&value, text, numbers[i].member, 0, INT32_MAX, err);
        if (rc < 0)
            return rc;
        json_object_set_new(body, numbers[i].member, json_integer((json_int_t)value));
    }
    return 0;
}

static int fill_body(const struct action *action, const struct keys_call *call, json_t *body,
                     struct cofre_err *err)
{
    if (action->state)
        json_object_set_new(body, "state", json_string(action->state));
    if (call->option[KEYS_GUEST])
        json_object_set_new(body, "guest", json_string(call->option[KEYS_GUEST]));
    int rc = put_numbers(action, call, body, err);
    return rc == 0 && call->option[KEYS_IN] ? keys_put_import(call, body, err) : rc;
}

static int ask(const struct action *action, const struct keys_call *call, json_t **answer,
               struct cofre_err *err)
{
    char path[256];
    const bool bare = strcmp(action->method, "GET") == 0 || strcmp(action->method, "DELETE") == 0;
    CLEAN_JSON *body = bare ? NULL : json_object();
    const char *part = action->part == KEYS_NAME ? "" : call->option[action->part];
    if (action->below)
        (void)snprintf(path, sizeof path, "/v1/keys/%s%s%s", call->option[KEYS_NAME], action->below, part);
    else
        (void)snprintf(path, sizeof path, "/v1/keys");
    int rc = bare ? 0 : fill_body(action, call, body, err);
    return rc < 0 ? rc : trust_call(answer, &call->service, action->method, path, body, err);
}

int keys_tell(const struct keys_call *call, json_t *answer, struct cofre_err *err)
{
    const char *out = call->option[KEYS_OUT];
    FILE *to = out && strcmp(out, "-") == 0 ? stderr : stdout;
    if (call->json) {
        json_dumpf(answer, to, JSON_INDENT(2));
        fputc('\n', to);
    } else {
        claims_print(answer, to);
    }
    return fflush(to) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

static int run(const struct action *action, struct keys_call *call, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = check_options(action, call, err);
    call->service = (struct trust_service){call->option[KEYS_SERVICE], call->option[KEYS_CA],
                                           call->option[KEYS_TOKEN_FILE]};
    if (rc == 0)
        rc = action->run ? action->run(call, &answer, err) : ask(action, call, &answer, err);
    return rc < 0 || !answer ? rc : keys_tell(call, answer, err);
}

int verb_keys(int argc, char **argv)
{
    struct keys_call call = {.option = {NULL}};
    struct cofre_err err;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        if (o == JSON) {
            call.json = true;
        } else if (call.option[o]) {
            fprintf(stderr, "cofre keys: --%s is given twice\n", options[o].name);
            return COFRE_USAGE;
        } else {
            call.option[o] = optarg ? optarg : "";
        }
    }
    const struct action *action = optind + 1 == argc ? find_action(argv[optind]) : NULL;
    if (!action) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    int rc = run(action, &call, &err);
    if (rc < 0)
        fprintf(stderr, "cofre keys: %s\n", err.text);
    return -rc;
}
