#include "vmm/host/hands/as_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void as_ourselves(void)
{
    if (seteuid(getuid()) < 0 || setegid(getgid()) < 0)
        abort();
}

int as_user(uid_t user, struct cofre_err *err)
{
    if (setegid(user) == 0 && seteuid(user) == 0)
        return 0;
    int error = errno;
    as_ourselves();
    return cofre_fail(err, COFRE_FAILED, "becoming user %u: %s", user, strerror(error));
}
