/* cofre-trust log: the log of verdicts out of the database into a file, as cofre log reads it (attest/log/item.h). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/log/item.h"
#include "attest/service/command.h"
#include "attest/service/offline.h"
#include "attest/store/verdict_log.h"
#include "vmm/base/cleanup.h"

struct copy {
    FILE *to;
    enum log_item_kind kind;
    uint64_t length;
};

static int put(void *context, struct view content, struct cofre_err *err)
{
    struct copy *c = context;
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    const size_t len = log_item_prefix(prefix, c->kind, content.len);
    c->length += len + content.len;
    return fwrite(prefix, 1, len, c->to) == len && fwrite(content.data, 1, content.len, c->to) == content.len
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the copy cannot be written: %s", strerror(errno));
}

static int put_header(struct copy *c, uint64_t committed, struct cofre_err *err)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, committed);
    return fseeko(c->to, 0, SEEK_SET) == 0 && fwrite(header, 1, sizeof header, c->to) == sizeof header
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the copy cannot be written: %s", strerror(errno));
}

static int keep(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

/* Each head behind the entries that it is over. What is appended meanwhile may come along or not. */
static int put_all(struct copy *c, struct db *db, struct cofre_err *err)
{
    int64_t entries = 0, size;
    int rc;
    for (;;) {
        CLEAN_BYTES head = {0};
        rc = verdict_log_next_head(db, entries, &size, keep, &head, err);
        if (rc < 0)
            break;
        c->kind = LOG_ITEM_ENTRY;
        for (; entries < size && rc == 0; entries++)
            rc = verdict_log_entry(db, entries, put, c, err);
        c->kind = LOG_ITEM_HEAD;
        if (rc == 0)
            rc = put(c, bytes_view(&head), err);
        if (rc < 0)
            return rc;
    }
    return rc == -COFRE_NEGATIVE && entries ? 0 : rc;
}

int command_log(const struct command *command, struct cofre_err *err)
{
    CLEAN_OFFLINE offline = {0};
    CLEAN_FILE *to = NULL;
    char part[PATH_MAX];
    int rc = offline_open(&offline, command->config, err);
    if (rc < 0)
        return rc;
    if ((size_t)snprintf(part, sizeof part, "%s.part", command->out) >= sizeof part ||
        !(to = fopen(part, "w+e")))
        return cofre_fail(err, COFRE_LACKING, "%s.part cannot be made: %s", command->out, strerror(errno));
    struct copy copy = {.to = to, .length = LOG_HEADER_SIZE};
    rc = put_header(&copy, 0, err);
    if (rc == 0)
        rc = put_all(&copy, offline.db, err);
    if (rc == 0)
        rc = put_header(&copy, copy.length, err);
    if (rc == 0 && (fflush(to) != 0 || fsync(fileno(to)) < 0 || rename(part, command->out) < 0))
        rc = cofre_fail(err, COFRE_FAILED, "%s cannot be written: %s", command->out, strerror(errno));
    if (rc < 0)
        (void)unlink(part);
    return rc;
}
