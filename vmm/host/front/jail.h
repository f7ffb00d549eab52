/*
 * What the gate, the zygote and its parsers may still do: system calls by a list (seccomp), nothing that opens a file, makes a socket of the
 * network, or starts another program. Any other call ends the process.
 */
#ifndef COFRE_HOST_FRONT_JAIL_H
#define COFRE_HOST_FRONT_JAIL_H

#include <linux/filter.h>

#include "vmm/base/error.h"

/* A parser's list, ready to be put on without any preparation. */
struct jail {
    struct sock_fprog program; /* owned */
};

/* Closes what is not to be had, sets limits, and puts on the zygote's list. keep: the one descriptor beside 0 to 2. */
int jail_zygote(struct jail *parsers, int keep, struct cofre_err *err);
/* In a new process of the zygote's: -1 and errno, and nothing may be read from outside then. */
int jail_parser(const struct jail *parsers);
void jail_free(struct jail *parsers);

/* The gate's list, which has connections and no files: where its loop is made, and nothing of anybody's has been read. No new privileges are
 * set, too. */
int jail_gate(struct cofre_err *err);

#endif
