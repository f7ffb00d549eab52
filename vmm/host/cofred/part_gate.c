/* cofred-gate: the part that takes connections, and knows TLS and nothing of HTTP. */
#include <openssl/ssl.h>

#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/front/gate.h"

#define HANDSHAKE_SECONDS 10

static int run_gate(const struct config *config, struct cofre_err *err)
{
    struct gate_config gate = {.decider = PART_FIRST_FD,
                               .zygote = PART_FIRST_FD + 1,
                               .limits = {config->connections, config->of_one, HANDSHAKE_SECONDS},
                               .guests_first = config->hands.first_user,
                               .guests = config->hands.guests};
    SSL_CTX *tls = NULL;
    for (; gate.listeners < config->listeners; gate.listeners++) {
        gate.listener[gate.listeners].fd = PART_FIRST_FD + 2 + (int)gate.listeners;
        gate.listener[gate.listeners].tls = !config->listener[gate.listeners].unix_path;
    }
    int rc = config->certificate
                 ? gate_tls_new(&tls, config->certificate, config->key, config->client_ca, err)
                 : 0;
    gate.tls = tls;
    if (rc == 0) /* the key's file is root's */
        rc = confine(config->gate.uid, config->gate.gid, CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = gate_run(&gate, err);
    SSL_CTX_free(tls);
    return rc;
}

const struct part_here parts_here[] = {{PART_GATE, run_gate}, {PARTS, NULL}};
