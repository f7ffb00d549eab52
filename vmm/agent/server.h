/*
 * The agent's server: one thread, one request at a time, because the firmware throttles. What waits is
 * bounded: at most SERVER_PEERS_MAX connections (more wait in the kernel's backlog, which is bounded too),
 * one request line and one answer each; a peer that is silent or does not read for SERVER_IDLE_SECONDS is
 * dropped.
 */
#ifndef COFRE_AGENT_SERVER_H
#define COFRE_AGENT_SERVER_H

#include "vmm/agent/request.h"
#include "vmm/base/error.h"

#define SERVER_PEERS_MAX    32
#define SERVER_IDLE_SECONDS 30

/* Serves a listening socket until stop_fd becomes readable. */
int server_run(int listener, int stop_fd, const struct agent_actions *actions, struct cofre_err *err);

#endif
