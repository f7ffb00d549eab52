/* cofre policy test: judges evidence that was kept by two policies, and says where they differ. */
#include <dirent.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/judge_by.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre policy test --policy F [--old F] --evidence F|DIRECTORY... [OPTION]...\n"
    "\n"
    "Judges evidence that was kept by a policy that is to be, and by the one that is, with the same\n"
    "collateral at the same time, and says of each piece what both find and which checks differ. So it is "
    "seen\n"
    "what a policy would change before it is made active. Nonces are not compared: the evidence is old.\n"
    "\n"
    "  --policy F         the policy that is to be\n"
    "  --old F            the one that is; without it, the defaults of cofre verify\n"
    "  --evidence F       evidence, or a directory of it, whose other files are left out; may be given "
    "again\n"
    "  --cert F           as cofre verify has it, as the following are\n"
    "  --collateral F     may be given again: each quote is judged with that of its platform\n"
    "  --crl F            revocation lists\n"
    "  --trust-root F     trusts this root besides the vendors'\n"
    "  --reference F      reference values that policies name: a CoRIM\n"
    "  --reference-keys F only of CoRIMs that one of these keys signed\n"
    "  --at TIME          judges as of then (RFC 3339, UTC); without it, now\n"
    "  --json             the result as one JSON object\n"
    "\n"
    "Exit code: 0 no verdict would change, 1 one would, 2 wrong usage, 3 malformed files.\n"
    "\n"
    "example: cofre policy test --policy next.json --old active.json --evidence kept/ --collateral c.json\n";

#define PATHS_MAX       64
#define COLLATERALS_MAX 16

struct test {
    struct judge_by by; /* the policy that is to be, and what both are judged with */
    struct policy old;
    struct tdx_collateral collateral[COLLATERALS_MAX];
    size_t collaterals;
    bool has_old, has_at, json;
    uint32_t given; /* of the options that stand for one thing, by their letters */
    struct appraisal in;
    const char *path[PATHS_MAX];
    size_t paths;
    int64_t at;
    json_t *evidence, *left_out; /* what is told */
    size_t changed;
};

static void test_free(struct test *t)
{
    judge_by_free(&t->by);
    policy_free(&t->old);
    for (size_t i = 0; i < t->collaterals; i++)
        tdx_collateral_free(&t->collateral[i]);
    json_decref(t->evidence);
    json_decref(t->left_out);
}

/* Judging */

static int appraise_with(struct verdict *out, struct appraisal *in, const struct tdx_collateral *collateral,
                         struct cofre_err *err)
{
    in->collateral = collateral;
    return appraise(out, in, err);
}

/* The verdict without collateral says which platform a quote is of. */
static int judge(struct verdict *out, const struct test *t, const struct evidence *evidence,
                 const struct policy *policy, struct cofre_err *err)
{
    struct appraisal in = t->in;
    in.evidence = evidence;
    in.policy = policy;
    int rc = appraise_with(out, &in, NULL, err);
    for (size_t i = 0; rc == 0 && strcmp(evidence->tee, "tdx") == 0 && i < t->collaterals; i++) {
        const struct tdx_collateral *collateral = &t->collateral[i];
        char fmspc[2 * sizeof collateral->tcb.fmspc + 1];
        hex_encode(fmspc, collateral->tcb.fmspc, sizeof collateral->tcb.fmspc);
        if (strcmp(fmspc, out->product) != 0)
            continue;
        verdict_free(out);
        return appraise_with(out, &in, collateral, err);
    }
    return rc;
}

static const char *const outcome_words[] = {[CHECK_PASSED] = "pass",
                                            [CHECK_FAILED] = "fail",
                                            [CHECK_UNJUDGED] = "unjudged",
                                            [CHECK_SKIPPED] = "skipped"};

/* Both have the same checks in the same order: which those are is the TEE's affair, and no policy's. */
static json_t *differences(const struct verdict *before, const struct verdict *after)
{
    json_t *list = json_array();
    for (size_t i = 0; i < after->count && i < before->count; i++) {
        const struct check_result *a = &before->check[i], *b = &after->check[i];
        if (a->outcome != b->outcome)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "id", b->id, "old",
                                                  outcome_words[a->outcome], "new", outcome_words[b->outcome],
                                                  "why", b->why));
    }
    return list;
}

static int test_evidence(struct test *t, const char *path, const struct evidence *evidence,
                         struct cofre_err *err)
{
    CLEAN_VERDICT before = {0}, after = {0};
    int rc = judge(&before, t, evidence, &t->old, err);
    if (rc == 0)
        rc = judge(&after, t, evidence, &t->by.policy, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    const enum check_outcome was = verdict_outcome(&before), is = verdict_outcome(&after);
    t->changed += was != is;
    json_t *one =
        json_pack("{s:s, s:s, s:s, s:s, s:o*}", "file", path, "tee", evidence->tee, "old", outcome_words[was],
                  "new", outcome_words[is], "checks", differences(&before, &after));
    return json_array_append_new(t->evidence, one) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int test_file(struct test *t, const char *path, bool within_directory, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_EVIDENCE evidence = {0};
    int rc = file_read(&file, path, EVIDENCE_FILE_MAX, within_directory ? NULL : err);
    if (within_directory && (rc == -COFRE_MALFORMED || (rc == 0 && !evidence_recognises(bytes_view(&file)))))
        return json_array_append_new(t->left_out, json_string(path)) == 0
                   ? 0
                   : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc < 0)
        return within_directory ? cofre_fail(err, COFRE_FAILED, "%s cannot be read", path) : rc;
    rc = evidence_parse(&evidence, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : test_evidence(t, path, &evidence, err);
}

static int is_no_hidden_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int test_directory(struct test *t, const char *path, struct cofre_err *err)
{
    struct dirent **entry;
    int rc = 0, count = scandir(path, &entry, is_no_hidden_file, alphasort);
    if (count < 0)
        return cofre_fail(err, COFRE_FAILED, "%s cannot be read", path);
    for (int i = 0; i < count; i++) {
        CLEAN_FREE char *name = NULL;
        struct stat what;
        if (rc == 0 && asprintf(&name, "%s/%s", path, entry[i]->d_name) < 0)
            rc = cofre_fail(err, COFRE_FAILED, "out of memory");
        if (rc == 0 && stat(name, &what) == 0 && S_ISREG(what.st_mode))
            rc = test_file(t, name, true, err);
        free(entry[i]);
    }
    free(entry);
    return rc;
}

static int test_all(struct test *t, struct cofre_err *err)
{
    t->in.at = t->has_at ? t->at : time(NULL);
    int rc = judge_by_finish(&t->by, &t->in, err);
    for (size_t i = 0; rc == 0 && i < t->paths; i++) {
        struct stat what;
        bool directory = stat(t->path[i], &what) == 0 && S_ISDIR(what.st_mode);
        rc = directory ? test_directory(t, t->path[i], err) : test_file(t, t->path[i], false, err);
    }
    if (rc == 0 && json_array_size(t->evidence) == 0)
        rc = cofre_fail(err, COFRE_MALFORMED, "there is no evidence in what --evidence names");
    return rc;
}

/* Telling */

static void print_text(const struct test *t)
{
    size_t i, j;
    json_t *one, *check, *path;
    const char *file, *was, *is, *id, *from, *to, *why;
    json_array_foreach(t->evidence, i, one)
    {
        json_unpack(one, "{s:s, s:s, s:s}", "file", &file, "old", &was, "new", &is);
        printf("%s: %s -> %s%s\n", file, was, is, strcmp(was, is) != 0 ? "  CHANGES" : "");
        json_array_foreach(json_object_get(one, "checks"), j, check)
        {
            json_unpack(check, "{s:s, s:s, s:s, s:s}", "id", &id, "old", &from, "new", &to, "why", &why);
            printf("  %-34s  %s -> %s: %s\n", id, from, to, why);
        }
    }
    json_array_foreach(t->left_out, i, path)
    {
        printf("%s: no evidence, left out\n", json_string_value(path));
    }
    printf("%zu of %zu verdicts would change.\n", t->changed, json_array_size(t->evidence));
}

static int print_result(const struct test *t, struct cofre_err *err)
{
    if (t->json) {
        CLEAN_JSON *object = json_pack("{s:O, s:O, s:I}", "evidence", t->evidence, "left_out", t->left_out,
                                       "changed", (json_int_t)t->changed);
        if (!object || json_dumpf(object, stdout, JSON_INDENT(2)) < 0)
            return cofre_fail(err, COFRE_FAILED, "the result could not be written");
        putchar('\n');
    } else {
        print_text(t);
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        return cofre_fail(err, COFRE_FAILED, "the result could not be written");
    return t->changed ? -COFRE_NEGATIVE : 0;
}

/* Options */

static int read_collateral(struct test *t, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = t->collaterals == COLLATERALS_MAX
                 ? cofre_fail(err, COFRE_USAGE, "--collateral: at most %d files", COLLATERALS_MAX)
                 : file_read(&file, path, TDX_COLLATERAL_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = tdx_collateral_parse(&t->collateral[t->collaterals], bytes_view(&file), err);
    t->collaterals += rc == 0;
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int take_option(struct test *t, int o, const char *value, struct cofre_err *err)
{
    switch (o) {
    case 'u':
        t->has_old = true;
        return judge_by_read_policy(&t->old, value, err);
    case 'e':
        if (t->paths == PATHS_MAX)
            return cofre_fail(err, COFRE_USAGE, "--evidence: at most %d; a directory may have more",
                              PATHS_MAX);
        t->path[t->paths++] = value;
        return 0;
    case 'o':
        return read_collateral(t, value, err);
    case 'a':
        t->has_at = true;
        return time_parse(&t->at, value, "--at", err);
    case 'j':
        t->json = true;
        return 0;
    default:
        return judge_by_take(&t->by, o, value, err);
    }
}

static int check_options(struct test *t, int argc, char **argv, struct cofre_err *err)
{
    if (optind + 1 != argc || strcmp(argv[optind], "test") != 0)
        return cofre_fail(err, COFRE_USAGE,
                          "the one thing that is done with policies here is: cofre policy test");
    if (!t->by.has_policy || !t->paths)
        return cofre_fail(err, COFRE_USAGE, "--%s is missing", t->by.has_policy ? "evidence" : "policy");
    if (!t->has_old)
        policy_init(&t->old);
    t->evidence = json_array();
    t->left_out = json_array();
    return 0;
}

int verb_policy(int argc, char **argv)
{
    static const struct option options[] = {
        {"policy", required_argument, NULL, 'p'},
        {"old", required_argument, NULL, 'u'},
        {"evidence", required_argument, NULL, 'e'},
        {"cert", required_argument, NULL, 'c'},
        {"crl", required_argument, NULL, 'l'},
        {"trust-root", required_argument, NULL, 't'},
        {"collateral", required_argument, NULL, 'o'},
        {"reference", required_argument, NULL, 'r'},
        {"reference-keys", required_argument, NULL, 's'},
        {"at", required_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    __attribute__((cleanup(test_free))) struct test t = {0};
    struct cofre_err err = {""};
    int rc = 0, which = 0;
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, &which)) != -1;) {
        if (o == 'h' || o == '?') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
        rc = option_once(&t.given, "pasu", o, options[which].name, &err);
        if (rc == 0)
            rc = take_option(&t, o, optarg, &err);
    }
    if (rc == 0)
        rc = check_options(&t, argc, argv, &err);
    if (rc == 0)
        rc = test_all(&t, &err);
    if (rc == 0)
        rc = print_result(&t, &err);
    if (rc < 0 && *err.text)
        fprintf(stderr, "cofre policy: %s\n", err.text);
    return -rc;
}
