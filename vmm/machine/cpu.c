/* A vCPU: its registers at the start, and the thread that runs it. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/thread.h"
#include "vmm/machine/cpuid.h"
#include "vmm/machine/parts.h"

#define KICK_SIGNAL SIGRTMIN

/* 32-bit flat protected mode without paging, as image.h says. APs wait for INIT and SIPI, as after reset. */
static int plain_entry(struct kvm_vcpu *vcpu, uint32_t entry, struct cofre_err *err)
{
    struct kvm_sregs sregs;
    int rc = kvm_vcpu_get_sregs(vcpu, &sregs, err);
    if (rc)
        return rc;
    const struct kvm_segment code = {
        .limit = UINT32_MAX, .selector = 0x10, .type = 0xb, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_segment data = code;
    data.selector = 0x18;
    data.type = 0x3;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 = 0x11; /* PE, ET */
    const struct kvm_regs regs = {.rip = entry, .rflags = 2};
    rc = kvm_vcpu_set_sregs(vcpu, &sregs, err);
    return rc ? rc : kvm_vcpu_set_regs(vcpu, &regs, err);
}

static int plain_init(struct kvm_vcpu *vcpu, unsigned index, const struct kvm_cpuid2 *cpuid,
                      const struct launch_image *image, struct cofre_err *err)
{
    int rc = kvm_vcpu_set_cpuid(vcpu, cpuid, err);
    return rc || index || image->at_reset ? rc : plain_entry(vcpu, image->entry, err);
}

int machine_cpu_create(struct machine *machine, unsigned index, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    struct machine_cpu *cpu = &machine->cpu[index];
    cpu->machine = machine;
    int rc = kvm_vcpu_create(&cpu->vcpu, &machine->vm, index, err);
    if (rc)
        return rc;
    machine->cpus = index + 1;
    CLEAN_FREE struct kvm_cpuid2 *cpuid = NULL;
    rc = machine_cpuid_new(&cpuid, machine->host_cpuid, index, config->boot->cpus, err);
    if (rc)
        return rc;
    if (config->tee_ops)
        return config->tee_ops->vcpu_init(config->tee, &cpu->vcpu, index, cpuid, config->image, err);
    return plain_init(&cpu->vcpu, index, cpuid, config->image, err);
}

static void *run(void *context)
{
    struct machine_cpu *cpu = context;
    struct machine *machine = cpu->machine;
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    pthread_mutex_lock(&machine->gate);
    pthread_mutex_unlock(&machine->gate);
    while (!atomic_load(&machine->stopping)) {
        int error = kvm_vcpu_run(&cpu->vcpu);
        if (error == 0)
            machine_exit(cpu);
        else if (error == EAGAIN)
            sched_yield();
        else if (error != EINTR)
            machine_ended(machine, MACHINE_FAILED, COFRE_FAILED, "vCPU %u: KVM_RUN: %s", cpu->vcpu.id,
                          strerror(error));
    }
    return NULL;
}

static void woken(int signal)
{
    (void)signal; /* its delivery is all that is wanted: KVM_RUN returns */
}

int machine_cpu_start(struct machine_cpu *cpu, struct cofre_err *err)
{
    struct sigaction action = {.sa_handler = woken};
    sigaction(KICK_SIGNAL, &action, NULL);
    int rc = thread_start(&cpu->thread, "vcpu", run, cpu, err);
    cpu->started = rc == 0;
    return rc ? cofre_within(err, rc, "vCPU %u", cpu->vcpu.id) : 0;
}

/* immediate_exit comes first: a thread that is not in KVM_RUN yet will leave it at once, one that is gets the signal. */
void machine_cpu_kick(struct machine_cpu *cpu)
{
    __atomic_store_n(&cpu->vcpu.run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (cpu->started)
        pthread_kill(cpu->thread, KICK_SIGNAL);
}
