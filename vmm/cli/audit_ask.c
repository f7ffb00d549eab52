/* cofre audit launches, operations, complete: what a record says. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/timestamp.h"
#include "vmm/cli/audit.h"
#include "vmm/cli/inspect.h"

int audit_open(struct log_file **out, struct log_checker *c, const struct audit_call *call, bool check_all,
               json_t *result, struct cofre_err *err)
{
    const struct log_call log = {{[LOG_OPT_LOG] = call->option[AUDIT_LOG],
                                  [LOG_OPT_KEYS] = call->option[AUDIT_KEYS],
                                  [LOG_OPT_ID] = call->option[AUDIT_ID],
                                  [LOG_OPT_HEAD] = call->option[AUDIT_HEAD],
                                  [LOG_OPT_WITNESSES] = call->option[AUDIT_WITNESSES],
                                  [LOG_OPT_WITNESS_KEYS] = call->option[AUDIT_WITNESS_KEYS],
                                  [LOG_OPT_MINIMUM] = call->option[AUDIT_MINIMUM],
                                  [LOG_OPT_TPM_KEYS] = call->option[AUDIT_TPM_KEYS]}};
    int rc = call->option[AUDIT_SERVER] ? audit_fetch(call, err) : 0;
    return rc < 0 ? rc : log_verify_copy(out, c, &log, check_all, result, err);
}

int audit_read(struct log_entry *out, struct bytes *bytes, struct log_file *f, uint64_t number,
               struct cofre_err *err)
{
    int rc = log_file_entry(f, number, bytes, err);
    if (rc == -COFRE_NEGATIVE || (rc == 0 && log_entry_read(out, bytes_view(bytes), NULL) < 0))
        return 1;
    return rc;
}

/* Rows */

static int add_row(json_t *rows, const struct audit_filter *f, const struct log_entry *e, uint64_t number,
                   struct view bytes, struct cofre_err *err)
{
    json_t *row = NULL;
    const char *what;
    int rc = inspect_log_entry.describe(&row, bytes, err);
    if (rc < 0)
        return rc;
    const struct audit_digest *listed = audit_filter_listed(f, e, &what);
    json_object_set_new(row, "number", json_integer((json_int_t)number));
    if (e->kind == LOG_ENTRY_LAUNCH)
        json_object_set_new(row, "differs", json_boolean(audit_differs(e)));
    if (listed)
        json_object_set_new(row, "listed", json_sprintf("%s %s", what, listed->name));
    return json_array_append_new(rows, row) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int ask(const struct audit_call *call, unsigned kinds, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    CLEAN_AUDIT_FILTER filter = {0};
    json_t *rows = json_array();
    json_object_set_new(result, "entries", rows);
    int rc = audit_open(&f, &c, call, false, result, err);
    if (rc == 0)
        rc = audit_filter_read(&filter, call, log_file_state(f)->size, err);
    for (uint64_t n = filter.first; rc == 0 && n <= filter.last; n++) {
        CLEAN_BYTES bytes = {0};
        struct log_entry e;
        rc = audit_read(&e, &bytes, f, n, err);
        if (rc == 0 && kinds >> e.kind & 1 && audit_filter_takes(&filter, &e))
            rc = add_row(rows, &filter, &e, n, bytes_view(&bytes), err);
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}

int audit_launches(const struct audit_call *call, json_t *result, struct cofre_err *err)
{
    return ask(call, 1u << LOG_ENTRY_LAUNCH, result, err);
}

int audit_operations(const struct audit_call *call, json_t *result, struct cofre_err *err)
{
    return ask(call, 1u << LOG_ENTRY_OPERATION | 1u << LOG_ENTRY_CHANGE, result, err);
}

/* complete */

struct account {
    uint64_t entries, removed;
    uint64_t announced;    /* up to which number an entry says that entries were removed */
    uint64_t last_removed; /* the highest number of one that was */
    uint64_t open,
        counted; /* operations that began and of which no end is there; refusals without an entry of their own */
    uint64_t backwards; /* entries that are older than the one before */
    int64_t time;
    struct begun {
        char request[LOG_LABEL_MAX + 1];
        char operation[LOG_LABEL_MAX + 1];
    } * begun;
    size_t begun_room;
};

static int note_begun(struct account *a, const struct log_entry *e, struct cofre_err *err)
{
    if (a->open == a->begun_room) {
        const size_t room = a->begun_room ? 2 * a->begun_room : 64;
        struct begun *more = realloc(a->begun, room * sizeof *more);
        if (!more)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
        a->begun = more;
        a->begun_room = room;
    }
    struct begun *b = &a->begun[a->open++];
    strcpy(b->request, e->request);
    strcpy(b->operation, e->operation);
    return 0;
}

static void note_end(struct account *a, const struct log_entry *e)
{
    for (size_t i = 0; i < a->open; i++)
        if (strcmp(a->begun[i].request, e->request) == 0 &&
            strcmp(a->begun[i].operation, e->operation) == 0) {
            a->begun[i] = a->begun[--a->open];
            return;
        }
}

/* "entries 1 to 499", by who wrote the log. */
static void note_removal(struct account *a, const struct log_entry *e)
{
    uint64_t last;
    int end = 0;
    if (strcmp(e->operation, "audit.retain") == 0 && e->outcome == LOG_OPERATION_DONE &&
        sscanf(e->object_name, "entries 1 to %" SCNu64 "%n", &last, &end) == 1 && e->object_name[end] == 0 &&
        last > a->announced)
        a->announced = last;
}

static int note(struct account *a, const struct log_entry *e, bool inside, struct cofre_err *err)
{
    note_removal(a, e);
    if (!inside || e->kind != LOG_ENTRY_OPERATION)
        return 0;
    a->counted += e->count > 1 ? (uint64_t)e->count : 0;
    if (e->outcome == LOG_OPERATION_ALLOWED)
        return note_begun(a, e, err);
    note_end(a, e);
    return 0;
}

/* All entries are read, since a later one may say that earlier ones were removed. */
static int take_account(struct account *a, struct log_file *f, const struct audit_filter *filter,
                        struct cofre_err *err)
{
    int rc = 0;
    for (uint64_t n = 0; n < log_file_state(f)->size && rc >= 0; n++) {
        CLEAN_BYTES bytes = {0};
        struct log_entry e;
        rc = audit_read(&e, &bytes, f, n, err);
        const bool removed = rc > 0 && !bytes.data;
        const bool inside = n >= filter->first && n <= filter->last &&
                            (removed || (rc == 0 && e.time >= filter->since && e.time <= filter->until));
        a->entries += inside && !removed;
        a->removed += inside && removed;
        a->last_removed = removed ? n : a->last_removed;
        if (rc != 0)
            continue;
        a->backwards += inside && e.time < a->time;
        a->time = e.time;
        rc = note(a, &e, inside, err);
    }
    return rc < 0 ? rc : 0;
}

static void put_count(json_t *result, const char *name, uint64_t count)
{
    json_object_set_new(result, name, json_integer((json_int_t)count));
}

int audit_complete(const struct audit_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_LOG_CHECKER c = {0};
    CLEAN_LOG_FILE *f = NULL;
    CLEAN_AUDIT_FILTER filter = {0};
    struct account a = {0};
    int rc = audit_open(&f, &c, call, true, result, err);
    if (rc == 0)
        rc = audit_filter_read(&filter, call, log_file_state(f)->size, err);
    if (rc == 0)
        rc = take_account(&a, f, &filter, err);
    free(a.begun);
    if (rc < 0)
        return rc;
    put_count(result, "entries", a.entries);
    put_count(result, "removed", a.removed);
    put_count(result, "unfinished", a.open);
    put_count(result, "refusals_only_counted", a.counted);
    put_count(result, "clock_set_back", a.backwards);
    return a.last_removed <= a.announced
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "entry %" PRIu64
                            " was removed, and no entry says so: they say so up to number %" PRIu64,
                            a.last_removed, a.announced);
}
