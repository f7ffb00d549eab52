/*
 * A way for connections that libevent cannot make: it knows TCP only, and a guest before its network is up has vsock. A process beside
 * this one listens on a port of the loopback interface and carries what comes there to and fro, as it is: who stands between is
 * seen by TLS, which is not spoken here.
 */
#ifndef COFRE_AGENT_RELAY_H
#define COFRE_AGENT_RELAY_H

#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct relay {
    pid_t process; /* 0: none */
    uint16_t port; /* on 127.0.0.1 */
};

/* To that address (attest/channel/address.h), which is connected to anew for each connection; it ends with this process. */
int relay_start(struct relay *out, const char *address, struct cofre_err *err);
void relay_stop(struct relay *relay);

#endif
