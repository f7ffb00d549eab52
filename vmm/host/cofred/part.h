/*
 * The parts of cofred: each is a program that is started, so that none has another's memory, with the descriptors that it needs and the
 * user that it works as. The supervisor knows them by this table, and nothing of what they do. Each is a program of its own, since what a
 * process maps costs memory: pages that the dynamic linker writes to for each library, called or not, and what its copies copy.
 */
#ifndef COFRE_HOST_PART_H
#define COFRE_HOST_PART_H

#include "vmm/base/error.h"
#include "vmm/host/cofred/config.h"

enum part {
    PART_HANDS,   /* given: to the decider */
    PART_ZYGOTE,  /* to the gate */
    PART_DECIDER, /* to hands, to the gate, to the supervisor: a byte when it serves, and one for each that comes; to the TPM's part, where there is one */
    PART_GATE,    /* to the decider, to the zygote, what is listened at */
    PART_KEYS,    /* to the supervisor: its end is the part's. Only where issuers' keys are fetched */
    PART_TPM,     /* to the decider. Only where a TPM vouches for the log */
    PARTS,
};

/* A sealed memory file with the configuration, so that all have the same; then what is given, in that order. */
#define PART_CONFIG_FD       3
#define PART_FIRST_FD        4
#define PART_DESCRIPTORS_MAX (3 + CONFIG_LISTENERS_MAX)

const char *part_name(enum part part);
/* The program's file, which lies beside this one's, opened to be executed; the caller's. -COFRE_LACKING names what is not there. */
int part_open(enum part part, struct cofre_err *err);

/* Of the program that this is, up to one without run. */
struct part_here {
    enum part part;
    int (*run)(const struct config *config, struct cofre_err *err);
};
extern const struct part_here parts_here[];

/* In a process of its own, as root: becomes who the part is, serves, and ends. */
__attribute__((noreturn)) void part_run(const char *name);

#endif
