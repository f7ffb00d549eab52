/* The side of the test: a folder whose disk fails, and the power that is cut. */
#ifndef TESTS_UNIT_SERVICE_FAULTS_POWER_H
#define TESTS_UNIT_SERVICE_FAULTS_POWER_H

#include <stdint.h>

#include "tests/unit/service/faults/faults.h"

struct power {
    struct faults *faults;
    char folder[96], shadow[96];
};

void power_new(struct power *p, const char *folder);
void power_free(struct power *p);
/* What is in the folder is on the disk. Nothing of it runs. */
void power_settle(struct power *p);
/* The process is dead: of what it had not synced, sector by sector, some is there and some is not, as draw() says (0 or 1). */
void power_cut(struct power *p, uint64_t (*draw)(uint64_t below));

/* For programs that are started from here on, until power_leave(): preloads the library, $COFRE_FAULTS. broken: FAULTS_BREAK, or NULL. */
void power_enter(const struct power *p, const char *broken);
void power_leave(void);
void power_arm(struct power *p, enum fault_action action, enum fault_call call, const char *suffix,
               unsigned left);

#endif
