/* What hands writes down of a guest, for the hands that comes after it. The file lies where only root can write, and is
 * taken strictly all the same: one that is not whole is none, and its guest is ended. So a hands of a later version goes on to
 * read the records of this one. */
#ifndef COFRE_HOST_HANDS_RECORD_H
#define COFRE_HOST_HANDS_RECORD_H

#include <sys/types.h>

#include "vmm/host/hands/hands.h"

struct record {
    uint32_t guest;
    uid_t user;
    pid_t pid;        /* 0: not started so far */
    uint64_t started; /* the process' start, in the kernel's ticks since boot (proc(5), stat, field 22) */
    uint8_t boot[16]; /* the kernel's boot id, by which the former says anything */
    int32_t status;   /* as in struct hands_ended; -1: not known */
    uint32_t ended;   /* 1: it was seen to end */
    uint32_t taps;    /* bit N: network N is a tap */
    uint32_t devices;
    dev_t device[HANDS_DISKS_MAX]; /* under the disks' images; 0: none that has limits */
    struct hands_limits limits;
};

/* Replaces the file record in the guest's directory. */
int record_write(int place, const struct record *record, struct cofre_err *err);
int record_read(struct record *out, int place, uint32_t guest, struct cofre_err *err);

/* A process' start, 0 where there is none. */
uint64_t process_started(pid_t pid);
int boot_id(uint8_t out[16], struct cofre_err *err);

#endif
