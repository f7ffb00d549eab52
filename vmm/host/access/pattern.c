#include <string.h>

#include "vmm/host/access/role.h"

bool role_pattern_covers(const char *pattern, const char *operation)
{
    const size_t len = strlen(pattern);
    if (strcmp(pattern, "*") == 0)
        return true;
    if (len > 2 && strcmp(pattern + len - 2, ".*") == 0)
        return strncmp(pattern, operation, len - 1) == 0;
    return strcmp(pattern, operation) == 0;
}

role_set role_pattern_set(const char *pattern)
{
    role_set set = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        if (role_pattern_covers(pattern, operations[i].name))
            set |= ROLE_SET_OF(i);
    return set;
}
