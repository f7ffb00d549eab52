#include <stddef.h>

#include "vmm/base/log.h"

const char *log_allow(struct log_allowance *allowance)
{
    if (atomic_load(&allowance->said) >= LOG_ALLOWED) /* so that it never wraps around */
        return NULL;
    const unsigned nth = atomic_fetch_add(&allowance->said, 1) + 1;
    return nth < LOG_ALLOWED ? "" : nth == LOG_ALLOWED ? " (more such lines are left out)" : NULL;
}
