/*
 * Keys and certificates of a new service: an authority of its own, which clients pin, and a server's certificate by it, so that the
 * latter can be made anew without asking each client.
 */
#ifndef COFRE_ATTEST_SERVICE_IDENTITY_H
#define COFRE_ATTEST_SERVICE_IDENTITY_H

#include "vmm/base/error.h"

#define IDENTITY_CA_DAYS     3650
#define IDENTITY_SERVER_DAYS 825

/* A P-256 key as PEM, with mode 0600. */
int identity_write_key(const char *path, struct cofre_err *err);

struct identity_files {
    const char *ca, *ca_key, *certificate, *key; /* where they go: PEM, keys with mode 0600 */
};
/* The server is that name (of DNS, or an address), and localhost. */
int identity_write(const struct identity_files *files, const char *host, struct cofre_err *err);

#endif
