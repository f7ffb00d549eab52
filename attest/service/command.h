/* What the program cofre-trust does: it serves, or prepares what it serves from. A file for each. */
#ifndef COFRE_ATTEST_SERVICE_COMMAND_H
#define COFRE_ATTEST_SERVICE_COMMAND_H

#include <stdbool.h>

#include "vmm/base/error.h"

/* What was asked; NULL where it was not given. */
struct command {
    const char *config;             /* a file */
    const char *directory;          /* that init fills */
    const char *host, *listen;      /* of a new service: its name for clients, its address */
    const char *to, *roles, *scope; /* of a new credential */
    const char *days;
    const char *out; /* where a copy goes */
    bool json;
};

int command_serve(const struct command *command, struct cofre_err *err);
int command_init(const struct command *command, struct cofre_err *err);
int command_log(const struct command *command, struct cofre_err *err);
int command_accept_keys(const struct command *command, struct cofre_err *err);
int command_grant(const struct command *command, struct cofre_err *err);

#endif
