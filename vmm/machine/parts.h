/* Between the machine's own files: its parts, and how the guest's end is told. */
#ifndef COFRE_MACHINE_PARTS_H
#define COFRE_MACHINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/base/log.h"
#include "vmm/devices/bus.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/memory.h"
#include "vmm/machine/platform.h"

/* What machine_wait does when its time has come. */
enum machine_alarm { ALARM_PANIC, ALARM_WATCHDOG, ALARMS };

struct machine_cpu {
    struct machine *machine;
    struct kvm_vcpu vcpu;
    pthread_t thread;
    bool started;
};

struct machine {
    const struct machine_config *config;
    struct kvm kvm;
    struct kvm_vm vm;
    struct kvm_cpuid2 *host_cpuid; /* what KVM supports */
    struct machine_memory memory;
    struct platform platform;
    struct machine_cpu *cpu; /* boot->cpus of them */
    unsigned cpus;           /* created so far */

    _Atomic uint64_t alarm[ALARMS];  /* nanoseconds of CLOCK_MONOTONIC; 0: not set */
    int alarm_fd;                    /* an eventfd: one is earlier than machine_wait knew */
    struct log_allowance complaints; /* about the guest's conversions */
    atomic_bool stopping;
    atomic_bool gave_up;  /* KVM, on a vCPU */
    pthread_mutex_t gate; /* held by the thread that built the machine until vCPUs may run */
    bool gate_open;
    int end_fd;
    pthread_mutex_t end_lock;
    struct machine_end end;
};

/* Tells how the guest ended and stops every vCPU. The first end counts. Any thread; format may be NULL. */
void machine_ended(struct machine *machine, enum machine_ending how, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A byte that the guest wrote to SHIM_PORT. */
void machine_shim_says(struct machine *machine, uint8_t byte);

/* alarm.c. Nanoseconds from now; 0 unsets it. Any thread. */
void machine_alarm_set(struct machine *machine, enum machine_alarm alarm, uint64_t nanoseconds);
/* Callbacks of the devices; the context is the machine. */
void machine_panicked(void *machine, enum pvpanic_event event);
void machine_watchdog_set(void *machine, uint64_t nanoseconds);

/* cpu.c. A TEE's vCPU is set up by the TEE. */
int machine_cpu_create(struct machine *machine, unsigned index, struct cofre_err *err);
int machine_cpu_start(struct machine_cpu *cpu, struct cofre_err *err);
void machine_cpu_kick(struct machine_cpu *cpu); /* leaves KVM_RUN and looks at machine->stopping */
/* exit.c: what the vCPU's last KVM_RUN left in its run area. */
void machine_exit(struct machine_cpu *cpu);

#endif
