/* Threads that face a guest. Each has a kind by name ("vcpu", "block"), takes no signals, and begins with what its
 * process has every such thread begin with: its confinement. */
#ifndef COFRE_BASE_THREAD_H
#define COFRE_BASE_THREAD_H

#include <pthread.h>

#include "vmm/base/error.h"

/* From now on each thread begins with this call, which gets its kind. A thread whose call fails does not run. Before the
 * first thread_start; NULL: nothing. */
void thread_begin_with(int (*confine)(const char *kind, struct cofre_err *err));

/* Returns when the thread has begun, confined. The kind's text outlives it. */
int thread_start(pthread_t *out, const char *kind, void *(*run)(void *context), void *context,
                 struct cofre_err *err);

#endif
