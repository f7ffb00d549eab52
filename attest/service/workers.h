/* Threads that do what a request asks, each with a connection to the database of its own. */
#ifndef COFRE_ATTEST_SERVICE_WORKERS_H
#define COFRE_ATTEST_SERVICE_WORKERS_H

#include "attest/service/trust.h"

/* Opens the databases first, whose failure is the caller's to report. */
int workers_start(struct workers **out, struct trust *trust, unsigned count, struct cofre_err *err);
/* Any thread; never blocks. How many there can be is bounded by the server, which has each of them pending. */
void workers_give(struct workers *workers, struct request *request);
/* What was given is answered first. */
void workers_free(struct workers *workers);

#endif
