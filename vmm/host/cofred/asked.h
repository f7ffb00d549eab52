/* What cofred's command line asks for. The decider's program, which cofred becomes for what is done with the database, reads it alike. */
#ifndef COFRE_HOST_ASKED_H
#define COFRE_HOST_ASKED_H

#include <stdbool.h>

struct asked {
    const char *config, *copy, *backup, *restore, *head;
    bool checks, accept_loss;
};

/* -1: it is in *out. Else it is over with this exit code, and what there was to say is said. */
int asked_read(struct asked *out, int argc, char **argv);

/* Whether it is something that is done with the database, and is over then. */
static inline bool asked_of_database(const struct asked *a)
{
    return a->copy || a->backup || a->restore;
}

#endif
