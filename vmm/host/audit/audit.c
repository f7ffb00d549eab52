#include "vmm/host/audit/audit.h"

#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/audit/about.h"

#define KEY_FILE_MAX 65536

const char *const audit_schema =
    "CREATE TABLE log_state (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), size BIGINT NOT NULL);"
    "INSERT INTO log_state (one, size) VALUES (1, 0);"
    "CREATE TABLE log_entry (number BIGINT NOT NULL PRIMARY KEY, entry BYTEA NOT NULL);"
    "CREATE TABLE log_hash (position BIGINT NOT NULL PRIMARY KEY, hash BYTEA NOT NULL);"
    "CREATE TABLE log_head (size BIGINT NOT NULL PRIMARY KEY, head BYTEA NOT NULL);";

struct audit {
    EVP_PKEY *key;
    char name[LOG_NAME_MAX + 1];
    int64_t second; /* of the callers who are not known: */
    unsigned told;  /* how many refusals have entries in it */
    int64_t counted;
    int64_t telling; /* of those, what the turn under way tells */
};

/* The key */

static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static int read_key(EVP_PKEY **out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES pem = {0};
    int rc = file_read(&pem, path, KEY_FILE_MAX, err);
    if (rc < 0)
        return rc;
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    CLEAN(pkey) EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    OPENSSL_cleanse(pem.data, pem.len);
    if (!key || !cose_alg_of_key(key))
        return cofre_fail(err, COFRE_MALFORMED,
                          "%s: no private key of P-256 or P-384 in PEM without a passphrase", path);
    *out = TAKE_PTR(key);
    return 0;
}

int audit_new(struct audit **out, const struct audit_config *config, struct cofre_err *err)
{
    const size_t len = strlen(config->name);
    if (len == 0 || len > LOG_NAME_MAX)
        return cofre_fail(err, COFRE_USAGE, "the log's name has 1 to %d bytes", LOG_NAME_MAX);
    struct audit *a = calloc(1, sizeof *a);
    if (!a)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    strcpy(a->name, config->name);
    int rc = read_key(&a->key, config->key, err);
    if (rc < 0) {
        audit_free(a);
        return cofre_within(err, rc, "the log's key");
    }
    *out = a;
    return 0;
}

void audit_free(struct audit *audit)
{
    if (audit)
        EVP_PKEY_free(audit->key);
    free(audit);
}

/* Turns */

int audit_write(struct audit_turn *turn, const struct log_entry *entry, int64_t *number,
                struct cofre_err *err)
{
    int rc = db_log_write(&turn->log, entry, number, err);
    return rc < 0 ? rc : about_add(turn->log.db, *number, entry, err);
}

static int tell_counted(struct audit_turn *turn, struct cofre_err *err)
{
    struct audit *a = turn->audit;
    a->telling = audit_has_to_tell(a, turn->now) ? a->counted : 0;
    if (!a->telling)
        return 0;
    const struct log_entry entry = {.kind = LOG_ENTRY_OPERATION,
                                    .time = turn->now,
                                    .outcome = LOG_OPERATION_REFUSED,
                                    .identity = "none",
                                    .count = a->telling,
                                    .detail = "refusals of callers who had not shown who they are"};
    int64_t number;
    return audit_write(turn, &entry, &number, err);
}

int audit_begin(struct audit_turn *turn, struct audit *audit, struct db *db, int64_t now,
                struct cofre_err *err)
{
    *turn = (struct audit_turn){.audit = audit, .now = now};
    int rc = db_log_open_to_append(&turn->log, db, err);
    turn->before = turn->log.tree.size;
    if (rc == 0)
        rc = db_log_begin(&turn->log, audit->name, now, err);
    return rc < 0 ? rc : tell_counted(turn, err);
}

int audit_sign(struct audit_turn *turn, struct cofre_err *err)
{
    if (turn->log.tree.size == turn->before)
        return 0;
    return db_log_sign(&turn->log, turn->audit->name, turn->audit->key, turn->now, err);
}

void audit_set_mark(struct audit_mark *out, const struct audit_turn *turn)
{
    out->tree = turn->log.tree;
}

void audit_go_back(struct audit_turn *turn, const struct audit_mark *mark)
{
    turn->log.tree = mark->tree;
}

void audit_end(struct audit_turn *turn)
{
    db_log_close(&turn->log);
}

void audit_kept(struct audit *audit)
{
    audit->counted -= audit->telling;
    audit->telling = 0;
}

/* Who is not known */

bool audit_may_tell(struct audit *audit, int64_t now)
{
    if (audit->second != now) {
        audit->second = now;
        audit->told = 0;
    }
    if (audit->told < AUDIT_UNKNOWN_A_SECOND) {
        audit->told++;
        return true;
    }
    audit->counted++;
    return false;
}

bool audit_has_to_tell(const struct audit *audit, int64_t now)
{
    return audit->counted > 0 && now != audit->second;
}

/* Operations */

static int hash(struct log_digest *out, struct view document, struct cofre_err *err)
{
    if (!document.data)
        return 0;
    out->len = sizeof out->data;
    return EVP_Digest(document.data, document.len, out->data, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

static void put(char *to, size_t size, const char *text)
{
    log_entry_text(to, size, text ? text : "");
}

int audit_operation(struct audit_turn *turn, const struct audit_operation *operation, int64_t *number,
                    struct cofre_err *err)
{
    struct log_entry e = {
        .kind = LOG_ENTRY_OPERATION, .time = turn->now, .outcome = operation->outcome, .count = 1};
    int64_t unwanted;
    put(e.operation, sizeof e.operation, operation->operation);
    put(e.request, sizeof e.request, operation->request);
    put(e.subject, sizeof e.subject, operation->subject);
    put(e.identity, sizeof e.identity, operation->identity);
    put(e.from, sizeof e.from, operation->from);
    put(e.tenant, sizeof e.tenant, operation->tenant);
    put(e.object_name, sizeof e.object_name, operation->object);
    put(e.detail, sizeof e.detail, operation->detail);
    int rc = hash(&e.before, operation->before, err);
    if (rc == 0)
        rc = hash(&e.after, operation->after, err);
    return rc < 0 ? rc : audit_write(turn, &e, number ? number : &unwanted, err);
}

int64_t audit_retain(struct audit_turn *turn, int64_t before, char object[static LOG_NAME_MAX + 1],
                     struct cofre_err *err)
{
    if (before < 2 || (uint64_t)before > turn->log.tree.size)
        return cofre_fail(err, COFRE_USAGE,
                          "entries before number 2 to %" PRIu64 " can be removed, but for the first one",
                          turn->log.tree.size);
    const int64_t removed = db_log_remove(turn->log.db, before, err);
    const int rc = removed < 0 ? (int)removed : about_remove(turn->log.db, before, err);
    (void)snprintf(object, LOG_NAME_MAX + 1, "entries 1 to %" PRId64, before - 1);
    return rc < 0 ? rc : removed;
}

int audit_end_log(struct db *db, struct cofre_err *err)
{
    int rc = db_log_end(db, err);
    return rc < 0 ? rc : about_remove(db, INT64_MAX, err);
}
