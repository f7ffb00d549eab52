/* What a running cofred shows of its log: asked for, and believed no more than a file of anybody's. */
#ifndef COFRE_CLI_LOG_FETCH_H
#define COFRE_CLI_LOG_FETCH_H

#include "vmm/cli/host.h"
#include "vmm/cli/log.h"

/* Its answer to one of the operations audit.*; an object. */
int log_fetch(json_t **out, struct host_run *server, enum operation_number operation, const json_t *query,
              struct cofre_err *err);
/* The head that it shows, as one of the keys signed it. */
int log_fetch_head(struct bytes *message, struct log_head *head, struct host_run *server,
                   const struct cose_keys *keys, struct cofre_err *err);
/* The path of a proof of growth between its two sizes, which is the caller's to compute. */
int log_fetch_growth(struct log_consistency *proof, struct host_run *server, struct cofre_err *err);

#endif
