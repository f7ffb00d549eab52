#include "attest/store/reference.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/json.h"

static int add_value(struct db *db, const struct reference_file *file, int64_t number,
                     const struct reference *r, struct cofre_err *err)
{
    CLEAN_JSON *object = reference_fields_json(r);
    char *fields = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (!fields)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    int rc =
        DB_RUN(db,
               "INSERT INTO reference (number, file, tee, name, version, fields, valid_from, valid_until,"
               " retired, retired_by, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', '')",
               NULL, NULL, err, db_integer(number), db_bytes(file->digest),
               db_text(reference_tee_names[r->tee]), db_text(r->name), db_integer((int64_t)r->version),
               db_text(fields), db_integer(r->from), db_integer(r->until));
    free(fields);
    return rc < 0 ? rc : 0;
}

int64_t stored_reference_add(struct db *db, const struct reference_file *f, const struct references *values,
                             struct cofre_err *err)
{
    int64_t number = 0;
    int rc = DB_RUN(db,
                    "INSERT INTO reference_file (digest, document, id, signer, issuer, imported, importer)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING",
                    NULL, NULL, err, db_bytes(f->digest), db_bytes(f->document), db_text(f->id),
                    db_bytes(f->signer), db_text(f->issuer), db_integer(f->imported), db_text(f->importer));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "that file was imported before");
    if (rc > 0) /* the row is locked until the end: of two that import at once one waits */
        rc = DB_RUN(db, "UPDATE reference_next SET number = number + $1 WHERE one = 1 RETURNING number",
                    db_take_integer, &number, err, db_integer((int64_t)values->count));
    number -= (int64_t)values->count;
    for (size_t i = 0; i < values->count && rc >= 0; i++)
        rc = add_value(db, f, number + (int64_t)i, &values->item[i], err);
    return rc < 0 ? rc : number;
}

struct taker {
    stored_reference_take take;
    void *context;
};

static int read_value(struct reference *out, const struct db_value *c, struct cofre_err *err)
{
    *out = (struct reference){.version = (uint64_t)c[3].integer,
                              .from = c[5].integer,
                              .until = c[6].integer,
                              .retired = c[7].integer};
    out->tee =
        strcmp(db_string(&c[1]), reference_tee_names[REFERENCE_TDX]) == 0 ? REFERENCE_TDX : REFERENCE_SNP;
    (void)snprintf(out->name, sizeof out->name, "%s", db_string(&c[2]));
    (void)snprintf(out->reason, sizeof out->reason, "%s", db_string(&c[9]));
    CLEAN_JSON *fields = json_loads(db_string(&c[4]), JSON_REJECT_DUPLICATES, NULL);
    return fields && reference_fields_read(out, fields, NULL) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "reference value %lld cannot be read back",
                            (long long)c[0].integer);
}

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    struct stored_reference stored = {.number = c[0].integer,
                                      .retirer = db_string(&c[8]),
                                      .file = {.digest = c[10].bytes,
                                               .id = db_string(&c[11]),
                                               .signer = c[12].bytes,
                                               .issuer = db_string(&c[13]),
                                               .imported = c[14].integer,
                                               .importer = db_string(&c[15])}};
    int rc = read_value(&stored.value, c, err);
    return rc < 0 ? rc : taker->take(taker->context, &stored, err);
}

#define SELECT                                                                                               \
    "SELECT r.number, r.tee, r.name, r.version, r.fields, r.valid_from, r.valid_until, r.retired,"           \
    " r.retired_by, r.reason, f.digest, f.id, f.signer, f.issuer, f.imported, f.importer"                    \
    " FROM reference r JOIN reference_file f ON f.digest = r.file "

int stored_reference_list(struct db *db, enum reference_tee tee, const char *name, stored_reference_take take,
                          void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db, SELECT "WHERE r.name = $1 AND r.tee = $2 ORDER BY r.number", take_row, &taker, err,
                  db_text(name), db_text(reference_tee_names[tee]));
}

int stored_reference_list_all(struct db *db, stored_reference_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return db_run(db, SELECT "ORDER BY r.number", NULL, 0, take_row, &taker, err);
}

static int found(int rc, int64_t number, struct cofre_err *err)
{
    return rc == 0  ? cofre_fail(err, COFRE_NEGATIVE, "there is no reference value %lld", (long long)number)
           : rc < 0 ? rc
                    : 0;
}

int stored_reference_find(struct db *db, int64_t number, stored_reference_take take, void *context,
                          struct cofre_err *err)
{
    struct taker taker = {take, context};
    return found(DB_RUN(db, SELECT "WHERE r.number = $1", take_row, &taker, err, db_integer(number)), number,
                 err);
}

int stored_reference_retire(struct db *db, int64_t number, int64_t at, const char *by, const char *reason,
                            struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "UPDATE reference SET retired = $2, retired_by = $3, reason = $4"
                    " WHERE number = $1 AND retired = 0",
                    NULL, NULL, err, db_integer(number), db_integer(at), db_text(by), db_text(reason));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "there is no reference value %lld that is not retired",
                          (long long)number);
    return rc < 0 ? rc : 0;
}

struct document_taker {
    reference_document_take take;
    void *context;
};

static int take_document(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct document_taker *taker = context;
    (void)columns;
    return taker->take(taker->context, c[0].bytes, err);
}

int stored_reference_document(struct db *db, int64_t number, reference_document_take take, void *context,
                              struct cofre_err *err)
{
    struct document_taker taker = {take, context};
    return found(DB_RUN(db,
                        "SELECT f.document FROM reference r JOIN reference_file f ON f.digest = r.file"
                        " WHERE r.number = $1",
                        take_document, &taker, err, db_integer(number)),
                 number, err);
}
