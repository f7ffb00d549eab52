/* The first process of cofred: opens what the parts share, starts them, and starts all of them again where one ends; guests go on meanwhile.
 * It stays root for that, and reads nothing but the configuration. */
#ifndef COFRE_HOST_SUPERVISOR_H
#define COFRE_HOST_SUPERVISOR_H

#include "vmm/base/error.h"

/* Until SIGTERM: 0. Negative where a part ends before all serve, or too often afterwards. SIGHUP: the configuration is read again, and where
 * it is good the parts are started again with it. */
int supervise(const char *config_path, struct cofre_err *err);

#endif
