#include "tests/unit/attest/real_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/file.h"

bool real_file(struct bytes *out, const char *name)
{
    char path[4096];
    const char *evidence = getenv("COFRE_EVIDENCE"), *shared = getenv("COFRE_SHARED");
    if (evidence)
        (void)snprintf(path, sizeof path, "%s/%s", evidence, name);
    else
        (void)snprintf(path, sizeof path, "%s/evidence/%s", shared ? shared : "../shared", name);
    return file_read(out, path, 1u << 20, NULL) == 0;
}
