/* What the hostile driver does wrong, a row each. */
#ifndef COFRE_TESTS_LAB_HOSTILE_FAULTS_H
#define COFRE_TESTS_LAB_HOSTILE_FAULTS_H

#include "tests/lab/hostile/device.h"

struct fault {
    const char *name;
    /* WENT_ON: driver and device agree where they stand in the rings, and the next request has to be right. */
    enum outcome (*commit)(struct device *d);
    enum { MUST_DIE, MUST_GO_ON, EITHER } then;
};
extern const struct fault faults[];
extern const unsigned faults_count;

#endif
