/*
 * Where streams come from and go to, by name:
 *   HOST:PORT, [IPv6]:PORT   TCP; to listen, HOST is a numeric address
 *   vsock:CID:PORT           a virtual machine's socket, by the kernel; vsock:PORT to listen
 *   PATH:PORT                with a slash in it: a guest's vsock socket of cofre run (docs/vsock.md); to connect only
 */
#ifndef COFRE_ATTEST_CHANNEL_ADDRESS_H
#define COFRE_ATTEST_CHANNEL_ADDRESS_H

#include <stdbool.h>

#include "vmm/base/error.h"

/* A connected stream, within so many seconds, or a failure: -COFRE_USAGE for what is no address, -COFRE_FAILED. names: HOST may be
 * a name, for which the resolver is asked; a static program has none. */
int address_connect(const char *address, bool names, unsigned seconds, struct cofre_err *err);
/* A socket that listens. */
int address_listen(const char *address, struct cofre_err *err);

#endif
