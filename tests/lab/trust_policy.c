/* trust-policy DATABASE NAME FILE: the policy of that file is the active one of that name, in a database of cofre-trust's that may not
 * be there yet. What an administrator does through the service, for lab tests, which have no client of it. */
#include <stdio.h>
#include <time.h>

#include "attest/policy.h"
#include "attest/store/db.h"
#include "attest/store/policy.h"
#include "attest/store/schema.h"
#include "vmm/base/file.h"

struct job {
    const char *name, *document;
};

static int store(struct db *db, void *context, struct cofre_err *err)
{
    const struct job *job = context;
    int version = stored_policy_add(db, job->name, job->document, time(NULL), "lab", err);
    return version < 0 ? version : stored_policy_activate(db, job->name, version, time(NULL), "lab", err);
}

static int run(char **argv, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_POLICY policy;
    char document[POLICY_FILE_MAX + 1];
    struct db *db = NULL;
    int rc = file_read(&file, argv[3], POLICY_FILE_MAX, err);
    policy_init(&policy);
    if (rc == 0)
        rc = policy_parse(&policy, bytes_view(&file), err);
    if (rc == 0)
        rc = db_open(&db, argv[1], err);
    if (rc < 0)
        return rc;
    (void)snprintf(document, sizeof document, "%.*s", (int)file.len, (const char *)file.data);
    rc = schema_bring(db, err);
    if (rc == 0)
        rc = db_atomically(db, store, &(struct job){argv[2], document}, err);
    db_close(db);
    return rc;
}

int main(int argc, char **argv)
{
    struct cofre_err err = {"a database, a name and a file are due"};
    int rc = argc == 4 ? run(argv, &err) : -COFRE_USAGE;
    if (rc < 0)
        fprintf(stderr, "trust-policy: %s\n", err.text);
    return -rc;
}
