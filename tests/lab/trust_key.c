/*
 * Puts a key into a cofre-trust's database, granted to a policy that is there, before the service starts:
 *   trust-key DATABASE ROOT-FILE NAME KEY-FILE POLICY POLICY-FILE [SECONDS]
 * SECONDS: for how long a guest may keep it.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/policy.h"
#include "attest/store/schema.h"
#include "keys/life.h"
#include "vmm/base/file.h"

struct job {
    const char *name, *policy, *offline;
    struct bytes root, value, document;
};

static void job_free(struct job *job)
{
    bytes_free(&job->root);
    bytes_free(&job->value);
    bytes_free(&job->document);
}

static int store(struct db *db, void *context, struct cofre_err *err)
{
    const struct job *job = context;
    const struct key_change change = {.db = db, .root = job->root.data, .now = time(NULL)};
    struct guest_key wish = {.maker = "lab"};
    struct key_grant grant = {.version = 1, .offline = job->offline ? atoll(job->offline) : 0};
    (void)snprintf(wish.name, sizeof wish.name, "%s", job->name);
    (void)snprintf(grant.policy, sizeof grant.policy, "%s", job->policy);
    if (EVP_Digest(job->document.data, job->document.len, grant.digest, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    int rc = key_create(&change, &wish, bytes_view(&job->value), 0, err);
    return rc < 0 ? rc : key_give_grant(&change, job->name, &grant, err);
}

static int run(char **argv, struct cofre_err *err)
{
    __attribute__((cleanup(job_free))) struct job job = {
        .name = argv[3], .policy = argv[5], .offline = argv[7]};
    struct db *db = NULL;
    int rc = file_read(&job.root, argv[2], KEY_ROOT_SIZE, err);
    if (rc == 0 && job.root.len != KEY_ROOT_SIZE)
        rc = cofre_fail(err, COFRE_USAGE, "%s: a root has %d bytes", argv[2], KEY_ROOT_SIZE);
    if (rc == 0)
        rc = file_read(&job.value, argv[4], KEY_VALUE_MAX, err);
    if (rc == 0)
        rc = file_read(&job.document, argv[6], POLICY_FILE_MAX, err);
    if (rc == 0)
        rc = db_open(&db, argv[1], err);
    if (rc < 0)
        return rc;
    rc = schema_bring(db, err);
    if (rc == 0)
        rc = db_atomically(db, store, &job, err);
    db_close(db);
    return rc;
}

int main(int argc, char **argv)
{
    struct cofre_err err = {"a database, a root, a key's name and file, a policy's name and file are due"};
    int rc = argc == 7 || argc == 8 ? run(argv, &err) : -COFRE_USAGE;
    if (rc < 0)
        fprintf(stderr, "trust-key: %s\n", err.text);
    return -rc;
}
