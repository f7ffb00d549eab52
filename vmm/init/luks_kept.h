/*
 * What a guest keeps of the key of its root for a start without the service (vmm/agent/kept.h): sealed by the agent, it lies as the one
 * token of the disk's LUKS2 header, and in the initrd as a file, from which the agent takes it and to which it writes. The
 * header is the host's: luks_header.h says what form a token may have, and the agent opens nothing that it did not seal.
 */
#ifndef COFRE_INIT_LUKS_KEPT_H
#define COFRE_INIT_LUKS_KEPT_H

#include <libcryptsetup.h>

#include "vmm/base/error.h"

/* From a header that was checked to the file; where there is no token, no file is made. */
int luks_kept_take(struct crypt_device *cd, const char *file, struct cofre_err *err);

/* The token becomes what is in the file; where there is no file, it goes. 1: it was another before; 0: it was that already. */
int luks_kept_put(struct crypt_device *cd, const char *file, struct cofre_err *err);

#endif
