/*
 * POST /v1/keys-backup: all keys as one sealed document (keys/backup.h).
 * POST /v1/keys-restore {"backup": {...}, "as_they_were": true, "revive": NAME}: keys from one (keys/restore.h), all or none.
 * Policies are in neither: a grant that comes back names a version of a policy by its digest, which the policies' managers have to
 * have put there.
 */
#include <stdio.h>
#include <string.h>

#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/keys/keyring.h"
#include "keys/restore.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "trust"

/* Both, from the call to its entry in the log. */
struct deed {
    struct call *call;
    json_t *root, *document; /* the root's file as a backup has it, and the backup */
    struct key_backup backup;
    struct key_restore how;
    char detail[LOG_DETAIL_MAX + 1];
};

static int log_deed(const struct deed *d, struct db *db, const char *action, struct cofre_err *err)
{
    const struct change change = {.action = action,
                                  .object = "keys",
                                  .name = d->backup.id,
                                  .version = d->backup.generation,
                                  .actor = d->call->caller.name,
                                  .digest = {d->backup.digest, sizeof d->backup.digest},
                                  .detail = d->detail};
    return change_log(d->call->trust, db, &change, err);
}

static struct key_change change_of(const struct deed *d, struct db *db)
{
    return (struct key_change){db, keyring_root(d->call->trust->keyring), d->call->now};
}

/* Out */

static int back_up(struct db *db, void *context, struct cofre_err *err)
{
    struct deed *d = context;
    const struct key_change c = change_of(d, db);
    json_decref(d->document);
    key_backup_free(&d->backup);
    int rc = key_backup_make(&d->backup, &d->document, &c, d->call->trust->config->name, d->root, err);
    if (rc < 0)
        return rc;
    (void)snprintf(d->detail, sizeof d->detail, "%zu keys%s", json_array_size(d->backup.keys),
                   d->root ? "; with the root's recovery slot" : "");
    return log_deed(d, db, "backed up", err);
}

void guest_keys_back_up(struct call *call)
{
    struct cofre_err err;
    struct deed d = {.call = call};
    const struct keyring *keyring = call_keyring(call);
    if (!keyring)
        return;
    int rc = keyring_recovery(keyring, &d.root, &err);
    if (rc == 0)
        rc = db_atomically(call->db, back_up, &d, &err);
    if (rc == 0) {
        log_info("keys backed up as %s by %s", d.backup.id, call->caller.name);
        request_answer_json(call->request, 200, json_incref(d.document));
    } else
        call_fail(call, rc, &err);
    json_decref(d.root);
    json_decref(d.document);
    key_backup_free(&d.backup);
}

/* In */

static int restore(struct db *db, void *context, struct cofre_err *err)
{
    struct deed *d = context;
    const struct key_change c = change_of(d, db);
    char made[TIME_TEXT_SIZE];
    int rc = key_restore(&c, &d->backup, &d->how, err);
    if (rc < 0)
        return rc;
    time_format(made, d->backup.made);
    if (d->how.revive)
        (void)snprintf(d->detail, sizeof d->detail, "of %s; revived %.64s, disabled", made, d->how.revive);
    else
        (void)snprintf(d->detail, sizeof d->detail, "of %s; %zu keys, %s; %zu stay destroyed", made,
                       d->how.brought, d->how.as_they_were ? "as they were" : "disabled",
                       json_array_size(d->how.left));
    return log_deed(d, db, "restored", err);
}

static int read_wish(struct deed *d, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    int as_they_were = 0;
    json_t *document;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:o, s?b, s?s}", "backup", &document, "as_they_were",
                       &as_they_were, "revive", &d->how.revive) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    d->how.as_they_were = as_they_were;
    if (as_they_were && d->how.revive)
        return cofre_fail(err, COFRE_USAGE, "the body: a key that is revived is disabled, not as it was");
    return key_backup_read(&d->backup, document, keyring_root(d->call->trust->keyring), err);
}

static int restore_and_count(struct deed *d, struct cofre_err *err)
{
    struct key_counter *counter = keyring_counter(d->call->trust->keyring);
    int rc = key_counter_begin(counter, d->call->db, err);
    if (rc < 0)
        return rc;
    rc = db_atomically(d->call->db, restore, d, err);
    key_counter_end(counter, d->call->db);
    return rc;
}

void guest_keys_restore(struct call *call)
{
    struct cofre_err err;
    struct deed d = {.call = call};
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    d.how.left = json_array();
    int rc = d.how.left ? read_wish(&d, body, &err) : cofre_fail(&err, COFRE_FAILED, "out of memory");
    if (rc == 0)
        rc = restore_and_count(&d, &err);
    if (rc == 0)
        log_warn("keys of backup %s restored by %s: %s", d.backup.id, call->caller.name, d.detail);
    if (rc == 0)
        rc = db_forget(call->db, &err);
    if (rc == 0)
        request_answer_json(call->request, 200,
                            json_pack("{s:s, s:o, s:I, s:I, s:O}", "backup", d.backup.id, "made",
                                      json_time(d.backup.made), "generation", (json_int_t)d.how.generation,
                                      "brought", (json_int_t)d.how.brought, "stay_destroyed", d.how.left));
    else
        call_fail(call, rc, &err);
    json_decref(d.how.left);
    key_backup_free(&d.backup);
}
