/*
 * The part of cofred that speaks to the TPM: shown a head of the log, it has the TPM sign it with its clock (vmm/tpm/clock.h). It signs
 * nothing else for anybody, and all that it has is the TPM and this socket. One record a message, between processes of one program.
 */
#ifndef COFRE_HOST_CLOCK_H
#define COFRE_HOST_CLOCK_H

#include "attest/log/head.h"
#include "vmm/tpm/clock.h"

#define CLOCK_MILLISECONDS 10000 /* that the TPM has for one question */

struct clock_question {
    uint64_t number; /* of the question, for its answer */
    struct log_state state;
};
struct clock_answer {
    uint64_t number;
    int32_t rc; /* 0, or an error, of which why is the sentence */
    struct tpm_clock clock;
    char why[256];
};

/* Answers at the socket until its other end is gone. The TPM is opened for each question: one that failed, or was not there, may be
 * there at the next. */
int clock_serve(int fd, const char *tpm, struct cofre_err *err);

#endif
