/* What hands does among files that a guest's user can make, it does as that user: it reaches by them what the guest's process
 * reaches, and nothing else, whatever names and links lie there. */
#ifndef COFRE_HOST_HANDS_AS_USER_H
#define COFRE_HOST_HANDS_AS_USER_H

#include <sys/types.h>

#include "vmm/base/error.h"

/* The effective user and group, until as_ourselves; no capability meanwhile. */
int as_user(uid_t user, struct cofre_err *err);
/* A process that cannot come back ends: it would do everything else as the wrong user. */
void as_ourselves(void);

#endif
