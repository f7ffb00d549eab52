#include "tests/unit/host/audit/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "attest/log/receipt.h"
#include "tests/unit/log/made_log.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/audit/about.h"

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void make_key(struct record *r)
{
    struct cose_key *key = &r->keys.key[r->keys.count++];
    FILE *f = fopen(r->key, "we");
    key->key = EVP_EC_gen("P-256");
    key->alg = cose_alg_of_key(key->key);
    key->kid_len = COSE_THUMBPRINT_SIZE;
    assert_int_equal(cose_key_thumbprint(key->kid, key->key, NULL), 0);
    assert_true(f && PEM_write_PrivateKey(f, key->key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
}

void record_make(struct record *r)
{
    struct cofre_err err;
    *r = (struct record){.now = RECORD_TIME};
    assert_true(made_dir(r->folder));
    (void)snprintf(r->database, sizeof r->database, "%s/host.db", r->folder);
    (void)snprintf(r->key, sizeof r->key, "%s/log.pem", r->folder);
    (void)snprintf(r->copy, sizeof r->copy, "%s/copy", r->folder);
    make_key(r);
    const struct audit_config config = {.key = r->key, .name = "operations on a test"};
    must(audit_new(&r->audit, &config, &err), &err);
    must(db_open(&r->db, r->database, &err), &err);
    must(db_script(r->db, audit_schema, &err), &err);
    must(db_script(r->db, about_schema, &err), &err);
}

void record_free(struct record *r)
{
    char line[128];
    audit_free(r->audit);
    db_close(r->db);
    cose_keys_free(&r->keys);
    (void)snprintf(line, sizeof line, "rm -r '%s'", r->folder);
    assert_int_equal(system(line), 0);
}

struct growth {
    struct record *record;
    unsigned operations, first;
};

static int grow(struct db *db, void *context, struct cofre_err *err)
{
    const struct growth *g = context;
    CLEAN_AUDIT_TURN turn = {0};
    int rc = audit_begin(&turn, g->record->audit, db, g->record->now, err);
    for (unsigned i = 0; i < g->operations && rc == 0; i++) {
        char object[32];
        (void)snprintf(object, sizeof object, "guest/%u", g->first + i);
        const struct audit_operation operation = {.outcome = LOG_OPERATION_DONE,
                                                  .operation = "guest.start",
                                                  .request = "7c1d",
                                                  .subject = "uid:1000",
                                                  .identity = "socket",
                                                  .from = "pid 812",
                                                  .tenant = "acme",
                                                  .object = object};
        rc = audit_operation(&turn, &operation, NULL, err);
    }
    return rc < 0 ? rc : audit_sign(&turn, err);
}

void record_grow(struct record *r, unsigned operations, unsigned *next)
{
    struct cofre_err err;
    struct growth g = {r, operations, *next};
    must(db_atomically(r->db, grow, &g, &err), &err);
    audit_kept(r->audit);
    *next += operations;
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    struct log_head said;
    int rc = log_head_verify(&said, head, context, err);
    if (rc == 0 && memcmp(&said.state, state, sizeof *state) != 0)
        rc = cofre_fail(err, COFRE_NEGATIVE, "a head is of other entries");
    return rc;
}

struct log_file *record_copy(struct record *r)
{
    const struct log_heads heads = {.context = &r->keys, .check = check, .check_all = true};
    struct log_file *log = NULL;
    struct cofre_err err;
    FILE *to = fopen(r->copy, "w+e");
    assert_non_null(to);
    must(db_log_copy(r->db, to, &err), &err);
    assert_int_equal(fclose(to), 0);
    must(log_file_open(&log, r->copy, &heads, &err), &err);
    return log;
}
