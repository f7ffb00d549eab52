/* cofre collateral: what a cofre-trust keeps of the vendors', out of its database into a file and back. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/collateral/parcel.h"
#include "attest/store/schema.h"
#include "attest/verdict.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/verb.h"

#define CERT_FILE_MAX (1u << 20)

static const char help[] =
    "usage: cofre collateral export --database D --out F\n"
    "       cofre collateral import --database D --in F [--trust-root F]...\n"
    "\n"
    "Carries what a cofre-trust has fetched from AMD and Intel to one that has no way to them: all that\n"
    "its database holds, as one file. What is imported is checked as if it had been fetched: signed by\n"
    "its vendor, what its name says, and not older than what is there. What has run out is left out.\n"
    "A running cofre-trust uses what was imported within a minute.\n"
    "\n"
    "  --database D     a file, or postgresql://..., as in the service's configuration\n"
    "  --out F          where export writes\n"
    "  --in F           what import reads\n"
    "  --trust-root F   a root certificate besides the vendors', for tests with an emulated platform\n"
    "  --json           the result as one JSON object\n"
    "\n"
    "example: cofre collateral import --database /var/lib/cofre/trust.db --in collateral.json\n";

struct collateral_call {
    const char *database, *out, *in;
    struct x509_certs roots;
    bool json;
};

/* A database that is made by a mistyped name would be an empty export. */
static int open_database(struct db **out, const char *name, struct cofre_err *err)
{
    if (!strstr(name, "://") && access(name, F_OK) != 0)
        return cofre_fail(err, COFRE_LACKING, "%s: there is no such database: cofre-trust makes it", name);
    int rc = db_open(out, name, err);
    return rc < 0 ? rc : schema_bring(*out, err);
}

static int export(const struct collateral_call *call, struct db *db, json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    size_t count;
    int rc = parcel_export(&file, &count, db, err);
    if (rc == 0)
        rc = file_write(call->out, bytes_view(&file), 0644, err);
    if (rc == 0)
        json_object_set_new(result, "exported", json_integer((json_int_t)count));
    return rc;
}

static int import(const struct collateral_call *call, struct db *db, json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    struct parcel_counts counts;
    int rc = file_read(&file, call->in, PARCEL_MAX, err);
    if (rc < 0)
        return rc;
    rc = parcel_import(&counts, db, bytes_view(&file), &call->roots, time(NULL), err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", call->in);
    json_object_set_new(result, "imported", json_integer((json_int_t)counts.kept));
    json_object_set_new(result, "older", json_integer((json_int_t)counts.older));
    json_object_set_new(result, "run_out", json_integer((json_int_t)counts.ran_out));
    return 0;
}

static int run(const struct collateral_call *call, struct cofre_err *err)
{
    struct db *db = NULL;
    CLEAN_JSON *result = json_object();
    int rc = open_database(&db, call->database, err);
    if (rc == 0)
        rc = call->out ? export(call, db, result, err) : import(call, db, result, err);
    db_close(db);
    if (rc < 0)
        return rc;
    if (call->json) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    } else
        claims_print(result, stdout);
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

static int add_root(struct collateral_call *call, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc == 0 && (rc = x509_certs_add(&call->roots, bytes_view(&file), err)) < 0)
        return cofre_within(err, rc, "%s", path);
    return rc;
}

/* 0; or an exit code, with what is to be said already said. */
static int read_options(struct collateral_call *call, int argc, char **argv, bool *helped)
{
    static const struct option options[] = {{"database", required_argument, NULL, 'd'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"in", required_argument, NULL, 'i'},
                                            {"trust-root", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct cofre_err err;
    int rc = 0;
    for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **text = o == 'd' ? &call->database : o == 'o' ? &call->out : o == 'i' ? &call->in : NULL;
        if (text && *text)
            rc = cofre_fail(&err, COFRE_USAGE, "an option is given twice");
        else if (text)
            *text = optarg;
        else if (o == 'r')
            rc = add_root(call, optarg, &err);
        else if (o == 'j')
            call->json = true;
        else {
            *helped = true;
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
    }
    if (rc < 0)
        fprintf(stderr, "cofre collateral: %s\n", err.text);
    return -rc;
}

static bool is_whole(const struct collateral_call *call, const char *action)
{
    if (strcmp(action, "export") == 0)
        return call->database && call->out && !call->in && call->roots.count == 0;
    return strcmp(action, "import") == 0 && call->database && call->in && !call->out;
}

int verb_collateral(int argc, char **argv)
{
    struct collateral_call call = {.database = NULL};
    struct cofre_err err;
    bool helped = false;
    int code = read_options(&call, argc, argv, &helped);
    if (code == 0 && !helped) {
        if (optind + 1 != argc || !is_whole(&call, argv[optind])) {
            fputs(help, stderr);
            code = COFRE_USAGE;
        } else if ((code = -run(&call, &err)))
            fprintf(stderr, "cofre collateral: %s\n", err.text);
    }
    x509_certs_free(&call.roots);
    return code;
}
