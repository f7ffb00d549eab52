/* What cofred answers, for people and for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"
#include "vmm/cli/host_table.h"

/* By the list's name in the answer. */
static const struct {
    const char *list;
    struct host_column column[HOST_COLUMNS_MAX];
} tables[] = {
    {"guests",
     {{"NAME", "name", HOST_TEXT},
      {"STATE", "state", HOST_TEXT},
      {"TEE", "definition.tee", HOST_TEXT},
      {"CPUS", "definition.cpus", HOST_NUMBER},
      {"MEMORY", "definition.memory", HOST_SIZE},
      {"VERSION", "version", HOST_NUMBER},
      {"STARTED", "started", HOST_TEXT},
      {"WHY", "why", HOST_TEXT}}},
    {"images",
     {{"DIGEST", "digest", HOST_DIGEST},
      {"SIZE", "size", HOST_SIZE},
      {"CREATED", "created", HOST_TEXT},
      {"TAGS", "tags", HOST_LIST},
      {"GUESTS", "guests", HOST_LIST}}},
    {"tenants",
     {{"NAME", "name", HOST_TEXT},
      {"GUESTS", "used.guests", HOST_NUMBER},
      {"RUNNING", "used.running", HOST_NUMBER},
      {"CPUS", "used.cpus", HOST_NUMBER},
      {"MEMORY", "used.memory", HOST_SIZE},
      {"STORAGE", "used.storage", HOST_SIZE},
      {"OF", "quotas.storage", HOST_SIZE}}},
    {"roles",
     {{"NAME", "name", HOST_TEXT},
      {"BUILT IN", "builtin", HOST_TEXT},
      {"OPERATIONS", "operations", HOST_LIST},
      {"HELP", "help", HOST_TEXT}}},
    {"grants",
     {{"ID", "id", HOST_NUMBER},
      {"IDENTITY", "identity", HOST_TEXT},
      {"ROLE", "role", HOST_TEXT},
      {"TENANT", "tenant", HOST_TEXT},
      {"DENIED", "deny", HOST_TEXT}}},
    {"approvals",
     {{"ID", "id", HOST_NUMBER},
      {"STATE", "state", HOST_TEXT},
      {"OPERATION", "operation", HOST_TEXT},
      {"TENANT", "tenant", HOST_TEXT},
      {"BY", "by", HOST_TEXT},
      {"UNTIL", "until", HOST_TEXT}}},
};
#define TABLES (sizeof tables / sizeof *tables)

static int whole(const char *what, struct cofre_err *err)
{
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "%s cannot be written", what);
}

/* Evidence goes into a file as cofre verify takes it. */
static int write_out(const struct host_run *run, const json_t *answer, struct cofre_err *err)
{
    const json_t *evidence = json_object_get(answer, "evidence");
    const bool alone = run->action->operation == OPERATION_GUEST_EVIDENCE && evidence;
    CLEAN_FREE char *text = json_dumps(alone ? evidence : answer, JSON_INDENT(2));
    return text ? file_write(run->out, (struct view){(const uint8_t *)text, strlen(text)}, 0644, err)
                : cofre_fail(err, COFRE_FAILED, "out of memory");
}

/* One page of a list is an answer in which the list is an array of that name; a guest has no such. */
static bool print_table(const json_t *answer)
{
    for (size_t i = 0; i < TABLES; i++) {
        const json_t *list = json_object_get(answer, tables[i].list);
        if (!json_is_array(list) || json_object_get(answer, "digest"))
            continue;
        host_table(stdout, list, tables[i].column);
        return true;
    }
    return false;
}

int host_print(const struct host_run *run, json_t *answer, struct cofre_err *err)
{
    if (!answer)
        return 0;
    if (run->out)
        return write_out(run, answer, err);
    if (run->json) {
        json_dumpf(answer, stdout, run->watch ? JSON_COMPACT : JSON_INDENT(2));
        fputc('\n', stdout);
    } else if (!print_table(answer)) {
        claims_print(answer, stdout);
    }
    return whole("standard output", err);
}

int host_append(json_t *answer, const json_t *page, struct cofre_err *err)
{
    const char *name;
    json_t *more;
    json_object_del(answer, "next");
    json_object_foreach((json_t *)page, name, more)
    {
        json_t *list = json_object_get(answer, name);
        const int rc = json_is_array(more) && json_is_array(list) ? json_array_extend(list, more)
                       : strcmp(name, "next") == 0                ? json_object_set(answer, name, more)
                                                                  : 0;
        if (rc < 0)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    return 0;
}
