/* cofre measure --corim: what was measured, as a reference value in a CoRIM. */
#ifndef COFRE_CLI_MEASURE_CORIM_H
#define COFRE_CLI_MEASURE_CORIM_H

#include "vmm/machine/tee.h"

/* As given; NULL where not. */
struct measure_corim {
    const char *file, *name, *version, *until, *key, *issuer;
};

/* Before anything is measured: options that lack another, or go without --corim. */
int measure_corim_check(const struct measure_corim *c, struct cofre_err *err);
/* Writes the file. */
int measure_corim_write(const struct measure_corim *c, const char *tee, const struct tee_measurement *value,
                        int count, struct cofre_err *err);

#endif
