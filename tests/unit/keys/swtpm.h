/* A TPM of this test's own, by swtpm, and somebody on the bus before it, who keeps what goes over it, and may cut it off. */
#ifndef TESTS_UNIT_KEYS_SWTPM_H
#define TESTS_UNIT_KEYS_SWTPM_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "vmm/base/bytes.h"

enum bus_fault {
    BUS_WHOLE,
    BUS_SILENT,      /* the TPM gets the command, and no answer comes */
    BUS_DEAF,        /* the connection ends before the TPM has the command */
    BUS_CUT,         /* it ends when the TPM has done it */
    BUS_HALF,        /* it ends in the middle of the answer */
    BUS_HALF_SILENT, /* the first half of the answer, and no more */
    BUS_CLOSED,      /* it ends after the answer */
    BUS_NONSENSE,    /* the answer says that it is longer than any */
    BUS_FAULTS
};

struct swtpm {
    pid_t pid;
    char dir[64];
    char device[96]; /* where the TPM is to be asked: the bus */
    int socket, listening;
    pthread_t bus;
    _Atomic enum bus_fault fault;
    atomic_uint at;       /* the command that has it, from 1 on; 0: none */
    atomic_uint commands; /* since it was last set to 0 */
    uint32_t codes[256];  /* of these, by their numbers */
    pthread_mutex_t lock;
    uint8_t *seen; /* all bytes of both directions */
    size_t seen_len;
};

/* False: there is no swtpm. */
bool swtpm_is_there(void);
void swtpm_new(struct swtpm *t);
void swtpm_free(struct swtpm *t);
/* As a machine that starts anew: PCRs are zero. */
void swtpm_restart(struct swtpm *t);
/* PCR 7 gets another value. */
void swtpm_extend(struct swtpm *t);
/* As from the firmware's menu: storage keys, objects below them and the owner's indexes are gone. */
void swtpm_clear(struct swtpm *t);
/* The TPM's clock is put forward to this. */
void swtpm_set_clock(struct swtpm *t, uint64_t milliseconds);
/* The owner hierarchy has this password from now on. */
void swtpm_take_ownership(struct swtpm *t, const char *password);
/* The owner takes away what lies at an index. */
void swtpm_undefine(struct swtpm *t, uint32_t index);

/* A key at the place of the storage key: it, or another. What is there goes. */
void swtpm_keep_key(struct swtpm *t, bool storage);
/* How many NV indexes there are of those that counters are made at. */
size_t swtpm_indexes(struct swtpm *t);

/* Of the commands from now on; no client is on the bus. */
void swtpm_fault(struct swtpm *t, enum bus_fault fault, unsigned at);
/* Which of the commands it was; the last with that code. */
unsigned swtpm_number(const struct swtpm *t, uint32_t code);
void swtpm_forget(struct swtpm *t);
bool swtpm_saw(struct swtpm *t, const void *data, size_t len);

#endif
