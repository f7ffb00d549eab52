#include "tests/unit/log/memory_list.h"

#include <stdlib.h>
#include <string.h>

static int read_hash(void *context, uint64_t position, struct log_hash *out, struct cofre_err *err)
{
    struct memory_list *list = context;
    list->reads++;
    if (list->fails || position >= list->count)
        return cofre_fail(err, COFRE_FAILED, "no such hash");
    *out = list->hash[position];
    return 0;
}

static int append_hashes(void *context, uint64_t position, const struct log_hash *hash, size_t count,
                         struct cofre_err *err)
{
    struct memory_list *list = context;
    list->appends++;
    if (list->fails || position != list->count)
        return cofre_fail(err, COFRE_FAILED, "not the end of the list");
    if (list->room < list->count + count) {
        list->room = 2 * (list->count + count);
        list->hash = realloc(list->hash, list->room * sizeof *list->hash);
        if (!list->hash)
            abort();
    }
    memcpy(list->hash + list->count, hash, count * sizeof *hash);
    list->count += count;
    return 0;
}

struct log_hash_list memory_list_functions(struct memory_list *list)
{
    return (struct log_hash_list){list, read_hash, append_hashes};
}

void memory_list_free(struct memory_list *list)
{
    free(list->hash);
    *list = (struct memory_list){0};
}
