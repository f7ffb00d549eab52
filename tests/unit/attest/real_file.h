/* The files of real hardware in shared/evidence, for tests of any room. */
#ifndef COFRE_TESTS_REAL_FILE_H
#define COFRE_TESTS_REAL_FILE_H

#include "vmm/base/bytes.h"

/* False where the folder has no such file. */
bool real_file(struct bytes *out, const char *name);
/* Skips the test, with a sentence. */
#define NEED_REAL(out, name)                                                                                 \
    do {                                                                                                     \
        if (!real_file(out, name)) {                                                                         \
            print_message("# skipped: %s is not there; COFRE_EVIDENCE names the folder\n", name);            \
            skip();                                                                                          \
        }                                                                                                    \
    } while (0)

#endif
