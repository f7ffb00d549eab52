/* The key that signs heads of the log of operations. */
#ifndef COFRE_HOST_LOG_KEY_H
#define COFRE_HOST_LOG_KEY_H

#include "vmm/base/error.h"

/* A new key of P-256 in the file, mode 0600, and its public half in FILE.pub, which auditors get; one that is there stays. */
int log_key_make(const char *file, struct cofre_err *err);

#endif
