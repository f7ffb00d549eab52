/* What somebody who has taken a process over might try, beside what stands around the process to be tried upon. */
#ifndef TESTS_MACHINE_ATTACK_H
#define TESTS_MACHINE_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Made by the test, outside of the jail, and inherited by the attacker with its descriptors. */
struct scene {
    pid_t bystander, parent;
    char directory[64], file[96], unix_path[96];
    char abstract[32]; /* without its leading zero */
    uint16_t tcp_port, udp_port;
    int root;                               /* the host's root directory */
    int read_only;                          /* file, opened for reading */
    int lock;                               /* file, with flock(2)'s lock on it */
    int program;                            /* /bin/true */
    int mount_namespace, bystander_process; /* of nsfs; a pidfd */
    int pair;                               /* one end of a socket pair */
    int terminal, kvm;                      /* -1: none here */
    int vm, vcpu;                           /* the attacker's own, made before it is confined: prepare_vm */
    struct io_uring *ring;                  /* the attacker's: prepare_ring */
    char *page;                             /* anonymous memory of the attacker's */
};

#define UNTRIED (-1) /* it cannot be tried here */

struct attack {
    const char *name;
    int (*attempt)(const struct scene *scene); /* 0: it succeeded; an errno; UNTRIED */
    const char *duty;   /* kinds of thread that have this on their list, between blanks; NULL: none has */
    unsigned duty_with; /* of enum jail_with: only in such machines; 0: in all */
    bool net_duty;      /* kind net in a machine with a network has it, too */
    bool needs_vm, needs_ring;
    bool filter_only; /* nothing but the list of system calls stands in its way */
};

extern const struct attack attacks[];
extern const size_t attack_count;

/* A virtual machine and a vCPU of the calling process's; false where there is no KVM. */
bool prepare_vm(struct scene *scene);
/* An io_uring, as any or as a disk of the machine has it; false where there is none to be had. */
bool prepare_ring(struct scene *scene, bool of_a_disk);

#endif
