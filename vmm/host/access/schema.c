#include "vmm/host/access/access.h"

/*
 * Times are seconds since 1970; until 0: without end. tenant '': the host, and every tenant. labels: JSON's object of texts, in
 * the order of its keys and without spaces; '{}': whatever labels it has.
 */
const char *const access_schema =
    "CREATE TABLE access_number (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), next BIGINT NOT NULL);"
    "INSERT INTO access_number (one, next) VALUES (1, 1);"

    /* Roles of one's own; those that are built in are in the program. operations: JSON's list of names and "noun.*". */
    "CREATE TABLE access_role (name TEXT NOT NULL PRIMARY KEY, operations TEXT NOT NULL, help TEXT NOT NULL,"
    " made BIGINT NOT NULL, made_by TEXT NOT NULL);"

    /* wide: who made it might do so in every tenant. */
    "CREATE TABLE access_grant (number BIGINT NOT NULL PRIMARY KEY, subject TEXT NOT NULL, role TEXT NOT "
    "NULL,"
    " tenant TEXT NOT NULL, labels TEXT NOT NULL, deny BIGINT NOT NULL, until BIGINT NOT NULL,"
    " wide BIGINT NOT NULL, made BIGINT NOT NULL, made_by TEXT NOT NULL);"
    "CREATE INDEX access_grant_subject ON access_grant (subject);"
    "CREATE INDEX access_grant_tenant ON access_grant (tenant);"
    "CREATE INDEX access_grant_role ON access_grant (role);"

    "CREATE TABLE access_constraint (tenant TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL,"
    " version BIGINT NOT NULL, made BIGINT NOT NULL, made_by TEXT NOT NULL);"

    /* What waits for a second approver. names: JSON's list of what the one who asked is called by, without groups. */
    "CREATE TABLE access_approval (number BIGINT NOT NULL PRIMARY KEY, digest BYTEA NOT NULL, operation TEXT "
    "NOT NULL,"
    " tenant TEXT NOT NULL, request TEXT NOT NULL, subject TEXT NOT NULL, names TEXT NOT NULL,"
    " made BIGINT NOT NULL, expires BIGINT NOT NULL, state TEXT NOT NULL, by_whom TEXT NOT NULL,"
    " decided BIGINT NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX access_approval_digest ON access_approval (digest);"
    "CREATE INDEX access_approval_subject ON access_approval (subject);"
    "CREATE INDEX access_approval_tenant ON access_approval (tenant);";

/* principals: JSON's list of all that the one who asked was, groups behind the names. result: JSON, of what
 * was carried out. */
const char *const access_approval_schema =
    "ALTER TABLE access_approval ADD COLUMN principals TEXT NOT NULL DEFAULT '[]';"
    "ALTER TABLE access_approval ADD COLUMN result TEXT NOT NULL DEFAULT '';";
