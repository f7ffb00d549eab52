#include "attest/store/schema.h"

/*
 * Each step brings the database from the version of its index to the next. A step that was released is never edited.
 * Times are seconds since 1970. What has an index beside its key is looked for by something else in answers to
 * requests; tests/unit/store/test_plans.c has the database say that each is found so.
 */
static const char *const steps[] = {
    /* A nonce that was given out and has not come back; it goes when it does. */
    "CREATE TABLE challenge (nonce BYTEA NOT NULL PRIMARY KEY, expires BIGINT NOT NULL);"
    "CREATE INDEX challenge_expires ON challenge (expires);"

    /* A verdict that was given. request: what tells a repeated request from a new one. */
    "CREATE TABLE result (id TEXT NOT NULL PRIMARY KEY, request BYTEA NOT NULL UNIQUE, made BIGINT NOT NULL,"
    " tee TEXT NOT NULL, outcome TEXT NOT NULL, policy TEXT NOT NULL, policy_version BIGINT NOT NULL,"
    " evidence BYTEA NOT NULL, submitter TEXT NOT NULL, verdict TEXT NOT NULL, cwt BYTEA NOT NULL,"
    " jwt TEXT NOT NULL, log_index BIGINT NOT NULL);"
    "CREATE INDEX result_made ON result (made);"
    "CREATE INDEX result_evidence ON result (evidence);"

    /* A policy's versions, none of which is ever edited, and which of them judges. */
    "CREATE TABLE policy (name TEXT NOT NULL, version BIGINT NOT NULL, document TEXT NOT NULL, made BIGINT "
    "NOT NULL,"
    " made_by TEXT NOT NULL, PRIMARY KEY (name, version));"
    "CREATE TABLE policy_active (name TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, since BIGINT NOT "
    "NULL,"
    " by_whom TEXT NOT NULL, FOREIGN KEY (name, version) REFERENCES policy (name, version));"

    /* What somebody shows to be let in: SHA-256 of a bearer token, or of a certificate. */
    "CREATE TABLE credential (digest BYTEA NOT NULL PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL,"
    " scope TEXT NOT NULL, made BIGINT NOT NULL, made_by TEXT NOT NULL, expires BIGINT NOT NULL);"
    "CREATE INDEX credential_name ON credential (name);"

    /* The log of verdicts: its size, its entries, the hashes of its tree (attest/log/tree.h), its signed heads. */
    "CREATE TABLE log_state (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), size BIGINT NOT NULL);"
    "INSERT INTO log_state (one, size) VALUES (1, 0);"
    "CREATE TABLE log_entry (number BIGINT NOT NULL PRIMARY KEY, entry BYTEA NOT NULL);"
    "CREATE TABLE log_hash (position BIGINT NOT NULL PRIMARY KEY, hash BYTEA NOT NULL);"
    "CREATE TABLE log_head (size BIGINT NOT NULL PRIMARY KEY, head BYTEA NOT NULL);",

    /* Reference values, which are never deleted, and the CoRIMs that they came in. retired: 0 where one is not. */
    "CREATE TABLE reference_file (digest BYTEA NOT NULL PRIMARY KEY, document BYTEA NOT NULL, id TEXT NOT "
    "NULL,"
    " signer BYTEA NOT NULL, issuer TEXT NOT NULL, imported BIGINT NOT NULL, importer TEXT NOT NULL);"
    "CREATE TABLE reference (number BIGINT NOT NULL PRIMARY KEY, file BYTEA NOT NULL, tee TEXT NOT NULL,"
    " name TEXT NOT NULL, version BIGINT NOT NULL, fields TEXT NOT NULL, valid_from BIGINT NOT NULL,"
    " valid_until BIGINT NOT NULL, retired BIGINT NOT NULL, retired_by TEXT NOT NULL, reason TEXT NOT NULL,"
    " FOREIGN KEY (file) REFERENCES reference_file (digest));"
    "CREATE INDEX reference_name ON reference (name, tee);"
    "CREATE TABLE reference_next (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), number BIGINT NOT NULL);"
    "INSERT INTO reference_next (one, number) VALUES (1, 1);",

    /* What vendors publish. body NULL: it was asked for, and was not to be had. */
    "CREATE TABLE collateral (name TEXT NOT NULL PRIMARY KEY, body BYTEA, chain BYTEA,"
    " issued BIGINT NOT NULL DEFAULT 0, until BIGINT NOT NULL DEFAULT 0, fetched BIGINT NOT NULL DEFAULT 0,"
    " next_try BIGINT NOT NULL, failures BIGINT NOT NULL DEFAULT 0, trouble TEXT,"
    " trouble_at BIGINT NOT NULL DEFAULT 0, absent BIGINT NOT NULL DEFAULT 0);"
    "CREATE INDEX collateral_next_try ON collateral (next_try);",

    /* Keys that are released to guests (keys/guest_key.h): what each is released by, to whom, its values, which are wrapped. */
    "CREATE TABLE guest_key (name TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, current BIGINT NOT NULL,"
    " quorum BIGINT NOT NULL, per_guest BIGINT NOT NULL, per_hour BIGINT NOT NULL, made BIGINT NOT NULL,"
    " maker TEXT NOT NULL);"
    "CREATE TABLE guest_key_grant (name TEXT NOT NULL, policy TEXT NOT NULL, version BIGINT NOT NULL,"
    " digest BYTEA NOT NULL, PRIMARY KEY (name, policy), FOREIGN KEY (name) REFERENCES guest_key (name));"
    "CREATE TABLE guest_key_version (name TEXT NOT NULL, version BIGINT NOT NULL, made BIGINT NOT NULL,"
    " wrapped BYTEA NOT NULL, PRIMARY KEY (name, version), FOREIGN KEY (name) REFERENCES guest_key (name));"
    "CREATE TABLE guest_key_generation (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), number BIGINT NOT "
    "NULL,"
    " mac BYTEA NOT NULL);"
    "INSERT INTO guest_key_generation (one, number, mac) VALUES (1, 0, '');"
    /* Who got which version when, and who still may, because somebody approved. */
    "CREATE TABLE guest_key_release (result TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, version BIGINT "
    "NOT "
    "NULL,"
    " guest BYTEA NOT NULL, policy TEXT NOT NULL, policy_version BIGINT NOT NULL, at BIGINT NOT NULL,"
    " FOREIGN KEY (name) REFERENCES guest_key (name));"
    "CREATE INDEX guest_key_release_name ON guest_key_release (name, at);"
    "CREATE TABLE guest_key_request (name TEXT NOT NULL, guest BYTEA NOT NULL, result TEXT NOT NULL,"
    " at BIGINT NOT NULL, PRIMARY KEY (name, guest), FOREIGN KEY (name) REFERENCES guest_key (name));"
    "CREATE TABLE guest_key_approval (name TEXT NOT NULL, guest BYTEA NOT NULL, approver TEXT NOT NULL,"
    " expires BIGINT NOT NULL, mac BYTEA NOT NULL, PRIMARY KEY (name, guest, approver),"
    " FOREIGN KEY (name) REFERENCES guest_key (name));",

    /* Nothing is looked for by it. */
    "DROP INDEX result_made;",

    /* How often one guest had a key. */
    "CREATE INDEX guest_key_release_guest ON guest_key_release (name, guest, at);",

    /* What a counter outside of the database stands at when these are the keys (keys/generation.h); empty: there is none. */
    "ALTER TABLE guest_key_generation ADD COLUMN counter BYTEA NOT NULL DEFAULT '';",

    /* What a guest may keep of a key for starts without the service. */
    "ALTER TABLE guest_key_grant ADD COLUMN offline BIGINT NOT NULL DEFAULT 0;",
};

#define VERSION ((int)(sizeof steps / sizeof *steps))

int schema_version(void)
{
    return VERSION;
}

struct list {
    const char *const *step;
    int count;
};

/* The row is locked by whoever comes first. */
static int bring(struct db *db, void *context, struct cofre_err *err)
{
    const struct list *list = context;
    int64_t version = 0;
    int rc = DB_RUN(db, "UPDATE schema_version SET version = version WHERE one = $1 RETURNING version",
                    db_take_integer, &version, err, db_integer(1));
    if (rc < 0)
        return rc;
    if (version > list->count)
        return cofre_fail(
            err, COFRE_LACKING,
            "the database has tables of version %lld, and this program knows them up to %d: use a newer one",
            (long long)version, list->count);
    for (int64_t at = version; at < list->count; at++) {
        rc = db_script(db, list->step[at], err);
        if (rc < 0)
            return cofre_within(err, rc, "its tables of version %lld", (long long)at + 1);
    }
    rc = version == list->count
             ? 0
             : DB_RUN(db, "UPDATE schema_version SET version = $1", NULL, NULL, err, db_integer(list->count));
    return rc < 0 ? rc : 0;
}

static int make_version_table(struct db *db, void *context, struct cofre_err *err)
{
    (void)context;
    int rc = db_script(db,
                       "CREATE TABLE IF NOT EXISTS schema_version"
                       " (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)",
                       err);
    if (rc == 0)
        rc = DB_RUN(db, "INSERT INTO schema_version (one, version) VALUES ($1, 0) ON CONFLICT DO NOTHING",
                    NULL, NULL, err, db_integer(1));
    return rc < 0 ? rc : 0;
}

int schema_bring_steps(struct db *db, const char *const *step, size_t count, struct cofre_err *err)
{
    struct list list = {step, (int)count};
    int rc = db_atomically(db, make_version_table, NULL, err);
    if (rc < 0) /* of two that make a table at once PostgreSQL lets one fail, which then finds it there */
        rc = db_atomically(db, make_version_table, NULL, err);
    return rc < 0 ? rc : db_atomically(db, bring, &list, err);
}

int schema_bring(struct db *db, struct cofre_err *err)
{
    return schema_bring_steps(db, steps, VERSION, err);
}
