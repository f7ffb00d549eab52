#include "vmm/host/front/identity.h"

#include <stdio.h>
#include <string.h>

bool identity_is_good(const struct identity *identity)
{
    return identity->version == IDENTITY_VERSION && identity->kind < IDENTITY_KINDS &&
           memchr(identity->subject, 0, sizeof identity->subject) &&
           memchr(identity->address, 0, sizeof identity->address) &&
           (identity->kind == IDENTITY_CERTIFICATE) == (identity->subject[0] != 0);
}

void identity_name(char out[IDENTITY_NAME_MAX], const struct identity *identity)
{
    if (identity->kind == IDENTITY_UNIX)
        (void)snprintf(out, IDENTITY_NAME_MAX, "unix:%u", identity->uid);
    else if (identity->kind == IDENTITY_CERTIFICATE)
        (void)snprintf(out, IDENTITY_NAME_MAX, "certificate:%s", identity->subject);
    else
        (void)snprintf(out, IDENTITY_NAME_MAX, "anybody");
}
