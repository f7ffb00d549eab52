/* The cases of shared/evidence/measure/snp-expected.json: another calculator's launch digests of real firmware. */
#ifndef COFRE_TESTS_EXPECTED_H
#define COFRE_TESTS_EXPECTED_H

#include <jansson.h>

#include "vmm/base/bytes.h"

/* Runs body once for each case, which is *state; one test each. Returns the program's exit code. */
int expected_run(void (*body)(void **state));

/* What a case needs, checked against the file's SHA-256; all empty but the command line where it has none. */
struct expected_inputs {
    struct bytes firmware, kernel;
    const char *kernel_path;
    char initrd[256];
    const char *cmdline; /* NULL: none */
};
/* NULL, or what is not on this machine. The caller frees with expected_free in either case. */
const char *expected_read(struct expected_inputs *out, const json_t *test);
void expected_free(struct expected_inputs *inputs);

const char *expected_text(const json_t *test, const char *key);
unsigned expected_vcpus(const json_t *test);

#endif
