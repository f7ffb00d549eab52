#include "attest/service/change.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/service/signer.h"
#include "attest/store/db_log.h"

/* As much of the text as has room, and no half of a letter. */
static void put(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text ? text : "", size);
    if (len == size)
        for (len = size - 1; len > 0 && (text[len] & 0xc0) == 0x80; len--)
            ;
    (void)snprintf(to, size, "%.*s", (int)len, text ? text : "");
}

int change_entry(struct log_entry *entry, const struct change *change, int64_t now, struct cofre_err *err)
{
    *entry = (struct log_entry){.kind = LOG_ENTRY_CHANGE, .time = now};
    put(entry->action, sizeof entry->action, change->action);
    put(entry->object, sizeof entry->object, change->object);
    put(entry->object_name, sizeof entry->object_name, change->name);
    put(entry->actor, sizeof entry->actor, change->actor);
    put(entry->detail, sizeof entry->detail, change->detail);
    entry->object_version = change->version;
    if (change->digest.len == sizeof entry->digest.data) {
        memcpy(entry->digest.data, change->digest.data, sizeof entry->digest.data);
        return 0;
    }
    return EVP_Digest(change->content.data, change->content.len, entry->digest.data, NULL, EVP_sha256(),
                      NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

int change_log(const struct trust *trust, struct db *db, const struct change *change, struct cofre_err *err)
{
    CLEAN_DB_LOG log = {0};
    int64_t number;
    struct log_entry entry;
    int rc = change_entry(&entry, change, trust->clock(), err);
    if (rc == 0)
        rc = db_log_open_to_append(&log, db, err);
    if (rc == 0)
        rc = db_log_begin(&log, trust->config->name, entry.time, err);
    if (rc == 0)
        rc = db_log_write(&log, &entry, &number, err);
    return rc < 0 ? rc : signer_sign_head(trust->signer, &log, trust->config->name, entry.time, err);
}
