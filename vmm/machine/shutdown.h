/* An orderly end: the guest's own poweroff command, started by the agent in it. There is no ACPI button, because the
 * host supplies no AML to an unmodified kernel. */
#ifndef COFRE_MACHINE_SHUTDOWN_H
#define COFRE_MACHINE_SHUTDOWN_H

#include "vmm/base/error.h"

/* How long a guest that was asked may take before it is stopped as if its power was cut. */
#define SHUTDOWN_SECONDS 20

/* Asks through the guest's vsock socket and returns at once: the guest's end shows whether it did. Fails where no agent
 * answers within two seconds. */
int shutdown_ask(const char *socket_path, struct cofre_err *err);

#endif
