/* What the hostile driver does wrong, a row each. */
#ifndef COFRE_TESTS_LAB_HOSTILE_FAULTS_H
#define COFRE_TESTS_LAB_HOSTILE_FAULTS_H

#include "tests/lab/hostile/device.h"

struct fault {
    const char *name;
    enum { EITHER_RING, SPLIT, PACKED } format;
    /* OURS_GOES_ON: whoever else serves the device may die of what the driver gave it on the way. */
    enum { MUST_DIE, MAY_DIE, MUST_GO_ON, OURS_GOES_ON } then;
    /* WENT_ON: driver and device agree where they stand in the rings, and the next request has to be right. */
    enum outcome (*commit)(struct device *d);
};
extern const struct fault chain_faults[], transport_faults[];
extern const unsigned chain_faults_count, transport_faults_count;

#define SLOT 4u /* of the table, and an id: the first that only faults use */
/* Addresses: where no RAM is, or not so much of it; in the buffer of faults. */
uint64_t outside(uint32_t len);
uint64_t inside(void);

#endif
