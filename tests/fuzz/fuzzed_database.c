#include "tests/fuzz/fuzzed_database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static struct db *db;
static char *set_back; /* a script */
static char *claims;   /* of the guest whose evidence passes */
static int64_t changes, version;

static int64_t ask_number(const char *sql)
{
    int64_t n = 0;
    FUZZ_CHECK(db_run(db, sql, NULL, 0, db_take_integer, &n, NULL) >= 0);
    return n;
}

/* By this connection, and by others. */
static bool is_changed(void)
{
    return ask_number("SELECT total_changes()") != changes || ask_number("PRAGMA data_version") != version;
}

static void note_state(void)
{
    changes = ask_number("SELECT total_changes()");
    version = ask_number("PRAGMA data_version");
}

struct scripts {
    FILE *set_back, *differs; /* a script that brings the tables back; a view of which have other rows */
};

static int write_table(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const struct scripts *to = context;
    const char *name = db_string(&column[0]);
    (void)columns, (void)err;
    fprintf(to->set_back, "DELETE FROM main.%s; INSERT INTO main.%s SELECT * FROM was.%s;", name, name, name);
    fprintf(to->differs,
            "%s SELECT '%s' AS name WHERE EXISTS (SELECT * FROM main.%s EXCEPT SELECT * FROM was.%s)"
            " OR EXISTS (SELECT * FROM was.%s EXCEPT SELECT * FROM main.%s)",
            ftell(to->differs) ? " UNION ALL" : "CREATE TEMP VIEW differs AS", name, name, name, name, name);
    return 0;
}

/* A copy of all tables, beside them. */
void fuzzed_database_remember(struct db *of, const char *folder)
{
    char line[160], *differs = NULL;
    size_t len[2];
    struct scripts to = {open_memstream(&set_back, &len[0]), open_memstream(&differs, &len[1])};
    db = of;
    FUZZ_CHECK(to.set_back && to.differs);
    (void)snprintf(line, sizeof line, "VACUUM INTO '%s/was'; ATTACH '%s/was' AS was", folder, folder);
    FUZZ_CHECK(db_script(db, line, NULL) == 0);
    fprintf(to.set_back, "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE;");
    FUZZ_CHECK(db_run(db, "SELECT name FROM main.sqlite_schema WHERE type = 'table'", NULL, 0, write_table,
                      &to, NULL) > 5);
    fprintf(to.set_back, "COMMIT; PRAGMA foreign_keys = ON");
    fclose(to.set_back);
    fclose(to.differs);
    FUZZ_CHECK(db_script(db, differs, NULL) == 0);
    free(differs);
    note_state();
}

void fuzzed_database_set_back(void)
{
    if (!is_changed())
        return;
    FUZZ_CHECK(db_script(db, set_back, NULL) == 0);
    note_state();
}

static int take_name(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct fuzzed_changes *changed = context;
    (void)columns, (void)err;
    FUZZ_CHECK(changed->count < FUZZED_TABLES);
    (void)snprintf(changed->table[changed->count++], sizeof changed->table[0], "%s", db_string(&column[0]));
    return 0;
}

struct fuzzed_changes fuzzed_database_changes(void)
{
    struct fuzzed_changes changed = {.count = 0};
    if (is_changed())
        FUZZ_CHECK(db_run(db, "SELECT name FROM differs", NULL, 0, take_name, &changed, NULL) >= 0);
    return changed;
}

static int take_claims(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)context, (void)columns, (void)err;
    FUZZ_CHECK(!claims && (claims = strdup(db_string(&column[0]))));
    return 0;
}

void fuzzed_database_learn_claims(void)
{
    FUZZ_CHECK(db_run(db, "SELECT json_extract(verdict, '$.claims') FROM result WHERE outcome = 'pass'", NULL,
                      0, take_claims, NULL, NULL) == 1);
}

bool fuzzed_database_has_passed_others(void)
{
    int64_t n = 0;
    FUZZ_CHECK(DB_RUN(db,
                      "SELECT count(*) FROM result WHERE outcome = 'pass'"
                      " AND json_extract(verdict, '$.claims') <> $1",
                      db_take_integer, &n, NULL, db_text(claims)) == 1);
    return n > 0;
}
