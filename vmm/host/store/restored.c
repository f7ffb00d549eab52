#include "vmm/host/store/restored.h"

#include <inttypes.h>
#include <stdio.h>

#include "attest/log/head.h"
#include "vmm/base/timestamp.h"

const char *const restored_schema =
    "CREATE TABLE restored (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), head BYTEA NOT NULL,"
    " made BIGINT NOT NULL, lost BIGINT NOT NULL);";

/* What a restore before this one had not told yet is in no log: it is this one's log that counts. */
int restored_keep(struct db *db, struct view head, int64_t made, int64_t lost, struct cofre_err *err)
{
    int rc = audit_end_log(db, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO restored (one, head, made, lost) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (one) DO UPDATE SET head = $2, made = $3, lost = $4",
                    NULL, NULL, err, db_integer(1), db_bytes(head), db_integer(made), db_integer(lost));
    return rc < 0 ? rc : 0;
}

static void say(char *to, size_t size, int64_t made, int64_t lost)
{
    char when[TIME_TEXT_SIZE];
    time_format(when, made);
    const int len = snprintf(to, size, "from a backup of %s", when);
    if (lost)
        (void)snprintf(to + len, size - (size_t)len,
                       "; %" PRId64 " entries that followed are known to be lost", lost);
}

static int tell(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct audit_turn *turn = context;
    struct log_head head;
    char id[2 * LOG_HASH_SIZE + 1], object[LOG_NAME_MAX + 1], detail[LOG_DETAIL_MAX + 1];
    (void)columns;
    int rc = log_head_read(&head, column[0].bytes, err);
    if (rc < 0)
        return rc;
    hex_encode(id, head.state.id.data, LOG_HASH_SIZE);
    (void)snprintf(object, sizeof object, "log %s of %" PRIu64 " entries", id, head.state.size);
    say(detail, sizeof detail, column[1].integer, column[2].integer);
    const struct audit_operation restore = {.outcome = LOG_OPERATION_DONE,
                                            .operation = "host.restore",
                                            .identity = "none",
                                            .object = object,
                                            .before = column[0].bytes,
                                            .detail = detail};
    return audit_operation(turn, &restore, NULL, err);
}

int restored_tell(struct audit_turn *turn, struct db *db, struct cofre_err *err)
{
    int rc = db_run(db, "SELECT head, made, lost FROM restored", NULL, 0, tell, turn, err);
    if (rc > 0)
        rc = db_run(db, "DELETE FROM restored", NULL, 0, NULL, NULL, err);
    return rc < 0 ? rc : 0;
}
