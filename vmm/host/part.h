/* The parts of cofred, each a process: what the supervisor gives them, and who they are. */
#ifndef COFRE_HOST_PART_H
#define COFRE_HOST_PART_H

#include "vmm/base/error.h"
#include "vmm/host/config.h"

enum part {
    PART_HANDS,   /* to the decider */
    PART_ZYGOTE,  /* to the gate */
    PART_DECIDER, /* to hands, to the gate, to the supervisor: one byte, when it serves */
    PART_GATE,    /* to the decider, to the zygote, what is listened at */
    PARTS,
};

/* Descriptors come in that order, from this one on. */
#define PART_FIRST_FD        3
#define PART_DESCRIPTORS_MAX (2 + CONFIG_LISTENERS_MAX)

const char *part_name(enum part part);
/* Becomes who the part is, and serves. */
int part_run(const char *name, const char *config, unsigned descriptors, struct cofre_err *err);

#endif
