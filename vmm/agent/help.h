#ifndef COFRE_AGENT_HELP_H
#define COFRE_AGENT_HELP_H

#include <stdbool.h>

/* The program's help, on standard output where it was asked for; the exit code that goes with it. */
int agent_help(bool asked_for);

#endif
