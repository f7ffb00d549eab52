/* Where the service listens: what systemd hands over, or the addresses of the configuration. */
#ifndef COFRE_ATTEST_SERVICE_LISTEN_H
#define COFRE_ATTEST_SERVICE_LISTEN_H

#include <stddef.h>

#include "vmm/base/error.h"

/* Sockets that listen, at most max; the caller closes them. Addresses are "127.0.0.1:8443", "[::1]:8443", ":8443". */
int listen_open(int *fd, size_t max, size_t *count, char *const *address, size_t addresses,
                struct cofre_err *err);

#endif
