/* The program cofre, run as a user runs it, in a temporary directory. */
#ifndef COFRE_TESTS_CLI_RUN_H
#define COFRE_TESTS_CLI_RUN_H

#include <jansson.h>

#include "vmm/base/bytes.h"

/* For cmocka's group: makes the directory, and removes it with all that is in it. */
int cli_setup(void **state);
int cli_teardown(void **state);

/* Runs "cofre ARGUMENTS" by the shell in the directory; returns the exit code. cli_output has what it wrote, standard
 * output and error. */
int cli_run(const char *arguments);
extern char cli_output[65536];

/* What "cofre inspect NAME --json" says, which must succeed; the caller frees it. */
json_t *cli_inspected(const char *name);
const char *cli_text(const json_t *object, const char *key); /* "" where there is none */

#define CLI_PATH_SIZE 128
void cli_path(char path[CLI_PATH_SIZE], const char *name); /* of a file in the directory */
void cli_read(struct bytes *out, const char *name);
void cli_write(const char *name, struct view data);

#endif
