/*
 * cofre-trust as a process, on a fixture's folder and configuration. Its listening socket is the test's: whoever comes while the
 * process is dead waits in the kernel's queue for its next life, and no port is ever another's.
 */
#ifndef TESTS_UNIT_SERVICE_PROCESS_H
#define TESTS_UNIT_SERVICE_PROCESS_H

#include <sys/types.h>

#include "tests/unit/service/fixture.h"

struct process {
    pid_t pid; /* 0: it does not run */
    int listening, notified;
    uint16_t port;
    char config[96], notify[96], log[96];
};

/* name: of its files in the folder. The program is $COFRE_TRUST. */
void process_new(struct process *p, const struct fixture *f, const char *name);
/* Does not wait. What it says when it is ready comes to notified. */
void process_begin(struct process *p);
/* Returns when it says that it is ready. */
void process_start(struct process *p);
/* By SIGKILL; fails where it had ended by itself. */
void process_kill(struct process *p);
/* By SIGTERM; fails where that is not the end of what went well, with sanitizers' word on what it left. */
void process_end(struct process *p);
void process_free(struct process *p);

/* What it holds now; false where it is about to be gone. */
struct process_size {
    size_t resident; /* KiB */
    unsigned descriptors;
};
bool process_size(struct process_size *out, const struct process *p);

/* For tests of processes: the database beside them, with a token for each role, the policy "web", and a connection to this one. */
void process_populate(struct fixture *f, const struct process *p);
void process_leave(struct fixture *f);

#endif
