/* A verb of cofred's clients called as main calls it, in this process, with streams that are files of a directory. */
#ifndef COFRE_TESTS_CLI_CALLED_H
#define COFRE_TESTS_CLI_CALLED_H

#include <stddef.h>

/* For cmocka's group: makes the directory, in which the process then is, and removes it with what is in it. */
int called_set_up(void **state);
int called_tear_down(void **state);

/* "guest list --tenant shop"; input: a file for standard input, or NULL. The exit code; called_output has what it wrote, standard output
 * and error. */
int called(const char *arguments, const char *input);
extern char called_output[1 << 20];

#endif
