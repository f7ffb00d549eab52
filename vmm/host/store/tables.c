#include "vmm/host/store/tables.h"

#include "attest/store/schema.h"
#include "vmm/host/access/access.h"
#include "vmm/host/audit/about.h"
#include "vmm/host/images/images.h"
#include "vmm/host/store/restored.h"

/*
 * Times are seconds since 1970; 0: never. Documents are JSON.
 *
 * guest.number names a guest for ever; guest.run is hands' number of its last start, 0 before the first. version: of the newest
 * definition; started_version: of the one that it was started with. asked: it was asked to end, so that an end is no reason to
 * start it again. tee, cpus, memory, networks, huge_page: of the definition that it was
 * last started with, for sums. early: starts in a row after which it soon ended by itself.
 */
static const char own[] =
    "CREATE TABLE tenant (name TEXT NOT NULL PRIMARY KEY, quotas TEXT NOT NULL, labels TEXT NOT NULL,"
    " made BIGINT NOT NULL, made_by TEXT NOT NULL);"

    "CREATE TABLE guest (number BIGINT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,"
    " state TEXT NOT NULL, version BIGINT NOT NULL, started_version BIGINT NOT NULL DEFAULT 0,"
    " run BIGINT NOT NULL DEFAULT 0, launches BIGINT NOT NULL DEFAULT 0, asked BIGINT NOT NULL DEFAULT 0,"
    " again BIGINT NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '', labels TEXT NOT NULL,"
    " made BIGINT NOT NULL, made_by TEXT NOT NULL, started BIGINT NOT NULL DEFAULT 0,"
    " ended BIGINT NOT NULL DEFAULT 0, expected TEXT NOT NULL DEFAULT '',"
    " measurement TEXT NOT NULL DEFAULT '', request TEXT NOT NULL DEFAULT '',"
    " tee TEXT NOT NULL DEFAULT '', cpus BIGINT NOT NULL DEFAULT 0, memory BIGINT NOT NULL DEFAULT 0,"
    " networks BIGINT NOT NULL DEFAULT 0, early BIGINT NOT NULL DEFAULT 0,"
    " UNIQUE (tenant, name), FOREIGN KEY (tenant) REFERENCES tenant (name));"
    "CREATE INDEX guest_state ON guest (state);"
    "CREATE INDEX guest_run ON guest (run);"

    "CREATE TABLE guest_version (guest BIGINT NOT NULL, version BIGINT NOT NULL, definition TEXT NOT NULL,"
    " made BIGINT NOT NULL, made_by TEXT NOT NULL, PRIMARY KEY (guest, version));"

    /* Numbers of guests and of runs, none of which is given twice. */
    "CREATE TABLE host_number (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), guest BIGINT NOT NULL,"
    " run BIGINT NOT NULL);"
    "INSERT INTO host_number (one, guest, run) VALUES (1, 1, 1);";

static const char huge_pages[] = "ALTER TABLE guest ADD COLUMN huge_page BIGINT NOT NULL DEFAULT 0;";

int tables_bring(struct db *db, struct cofre_err *err)
{
    const char *const steps[] = {audit_schema,    access_schema, images_schema,          own,
                                 restored_schema, about_schema,  access_approval_schema, huge_pages};
    return schema_bring_steps(db, steps, sizeof steps / sizeof *steps, err);
}
