/* Options of the command line by an operation's tables: a member of its query or body is an option. */
#ifndef COFRE_CLI_HOST_FLAGS_H
#define COFRE_CLI_HOST_FLAGS_H

#include <stdio.h>

#include "vmm/host/interface/operation.h"

#define HOST_FLAGS_MAX  96
#define HOST_FLAG_DEPTH 3

/*
 * "limits": {"cpu_weight"} is --limit-cpu-weight; a list or map has one option for each of its values, in the singular: "disks" is
 * --disk NAME=VALUE,..., "labels" is --label NAME=VALUE.
 */
struct host_flag {
    char name[64];
    const struct schema_member *member[HOST_FLAG_DEPTH]; /* from the outermost; the last has the shape */
    size_t depth;
    bool query; /* else the body */
};

/* All of one operation but its member "tenant", which has an option of its own; the number of them. except: a member of the body that is told
 * otherwise; NULL. */
size_t host_flags(struct host_flag out[static HOST_FLAGS_MAX], const struct operation *operation,
                  const char *except);

/* Where a digest is asked for people may give a tag. */
struct host_resolver {
    int (*digest)(void *context, char out[static OPERATION_PART_MAX], const char *tag, struct cofre_err *err);
    void *context;
};

/* Puts what was said with the option into the query or body. -COFRE_USAGE with a sentence that names the option. */
int host_flag_put(json_t *object, const struct host_flag *flag, const char *text,
                  const struct host_resolver *resolver, struct cofre_err *err);

/* "  --limit-cpu-weight N    ..." of one, for the help. */
void host_flag_describe(FILE *to, const struct host_flag *flag);

#endif
