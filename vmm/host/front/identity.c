#include "vmm/host/front/identity.h"

#include <string.h>

bool identity_is_good(const struct identity *identity)
{
    return identity->version == IDENTITY_VERSION && identity->kind < IDENTITY_KINDS &&
           memchr(identity->subject, 0, sizeof identity->subject) &&
           memchr(identity->address, 0, sizeof identity->address) &&
           (identity->kind == IDENTITY_CERTIFICATE) == (identity->subject[0] != 0);
}
