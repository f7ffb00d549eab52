/*
 * What systemd is told of a service, as sd_notify(3) describes: a datagram to the socket that NOTIFY_SOCKET names. Not by libsystemd, which
 * brings six libraries and 0.85 MiB to the process that stays root.
 */
#ifndef COFRE_HOST_NOTIFY_H
#define COFRE_HOST_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* "READY=1" and the like. False: nobody is told, since nobody wants to know or can be reached. */
bool notify(const char *what);

/* Microseconds within which systemd wants to hear of this process (WATCHDOG_USEC, WATCHDOG_PID); 0: it does not. */
uint64_t notify_watchdog(void);

#endif
