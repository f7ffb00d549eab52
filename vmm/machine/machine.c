#include "vmm/machine/machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/cpuid.h"
#include "vmm/machine/memory_limit.h"
#include "vmm/machine/parts.h"

/* The end */

static const char *const ending_names[] = {
    [MACHINE_RUNNING] = "running", [MACHINE_POWER_OFF] = "power-off", [MACHINE_RESET] = "reset",
    [MACHINE_STOPPED] = "stopped", [MACHINE_FAILED] = "failed",
};

const char *machine_ending_name(enum machine_ending how)
{
    return ending_names[how];
}

void machine_ended(struct machine *machine, enum machine_ending how, int code, const char *format, ...)
{
    pthread_mutex_lock(&machine->end_lock);
    if (machine->end.how == MACHINE_RUNNING) {
        machine->end.how = how;
        machine->end.code = code;
        va_list args;
        va_start(args, format);
        if (format)
            (void)vsnprintf(machine->end.why.text, sizeof machine->end.why.text, format, args);
        va_end(args);
        phases_reach(machine->config->phases, PHASE_ENDED);
    }
    atomic_store(&machine->stopping, true);
    for (unsigned i = 0; i < machine->cpus; i++)
        machine_cpu_kick(&machine->cpu[i]);
    pthread_mutex_unlock(&machine->end_lock);
    (void)eventfd_write(machine->end_fd, 1);
}

void machine_stop(struct machine *machine)
{
    machine_ended(machine, MACHINE_STOPPED, 0, NULL);
}

int machine_end_fd(const struct machine *machine)
{
    return machine->end_fd;
}

/* The shim */

static void shim_terminated(struct machine *machine, unsigned code)
{
    const char *sentence = boot_shim_sentence(code);
    machine_ended(machine, MACHINE_FAILED, sentence ? COFRE_NEGATIVE : COFRE_FAILED,
                  "cofre-shim refused to start the guest: %s",
                  sentence ? sentence : "its reason is not known here");
}

void machine_shim_says(struct machine *machine, uint8_t byte)
{
    struct phases *phases = machine->config->phases;
    struct cofre_err err;
    switch (byte) {
    case SHIM_PHASE_START:
        phases_reach(phases, PHASE_SHIM);
        break;
    case SHIM_PHASE_ACCEPTED:
        phases_reach(phases, PHASE_ACCEPTED);
        break;
    case SHIM_PHASE_VERIFIED:
        phases_reach(phases, PHASE_VERIFIED);
        if (machine_memory_unstage(&machine->memory, &err))
            machine_ended(machine, MACHINE_FAILED, COFRE_FAILED, "%s", err.text);
        break;
    case SHIM_PHASE_ENTER:
        phases_reach(phases, PHASE_LINUX);
        break;
    default:
        if (byte & SHIM_PHASE_TERM)
            shim_terminated(machine, byte & ~SHIM_PHASE_TERM);
    }
}

/* The launch */

static int create_vm(struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    int rc = kvm_open(&machine->kvm, config->backend, err);
    if (rc == 0)
        rc = kvm_require(&machine->kvm, KVM_CAP_SPLIT_IRQCHIP, "the split interrupt controller", err);
    if (rc == 0)
        rc = kvm_require(&machine->kvm, KVM_CAP_IMMEDIATE_EXIT, "immediate exits", err);
    if (rc == 0)
        rc = kvm_vm_create(&machine->vm, &machine->kvm,
                           config->tee_ops ? config->tee_ops->vm_type : KVM_X86_DEFAULT_VM, err);
    if (rc == 0)
        rc = kvm_supported_cpuid(&machine->kvm, &machine->host_cpuid, err);
    return rc ? rc : kvm_vm_split_irqchip(&machine->vm, IOAPIC_PINS, err);
}

static int begin_tee(struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    CLEAN_FREE struct kvm_cpuid2 *cpuid = NULL;
    if (!config->tee_ops)
        return 0;
    int rc = machine_cpuid_new(&cpuid, machine->host_cpuid, 0, config->boot->cpus, err);
    if (rc)
        return rc;
    return config->tee_ops->vm_init(config->tee, &machine->kvm, &machine->vm, cpuid, config->boot->cpus, err);
}

static int check_huge_pages(const struct machine_config *config, struct cofre_err *err)
{
    struct huge_pages pages;
    huge_pages_read(&pages, "/sys/kernel/mm/hugepages", config->memory.huge);
    return huge_pages_check(&pages, config->memory.huge, config->boot->memory, err);
}

static int create_memory(struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    struct machine_memory *mem = &machine->memory;
    struct memory_limits limits;
    memory_limits_read(&limits, machine->host_cpuid);
    int rc = memory_limits_check(&limits, config->boot->memory, err);
    if (rc == 0)
        rc = check_huge_pages(config, err);
    if (rc == 0)
        rc = machine_memory_init(mem, &machine->vm, config->boot->memory, config->tee_ops, &config->memory,
                                 err);
    if (rc == 0)
        rc = machine_numa_bind(&config->numa, mem->host, mem->size, err);
    if (rc == 0)
        rc = machine_memory_take(mem, err);
    if (rc == 0)
        rc = machine_memory_add_beside(mem, config->image, err);
    return rc || config->boot->firmware.len ? rc : machine_memory_stage(mem, config->boot, err);
}

static int create_cpus(struct machine *machine, struct cofre_err *err)
{
    unsigned cpus = machine->config->boot->cpus;
    machine->cpu = calloc(cpus, sizeof *machine->cpu);
    if (!machine->cpu)
        return cofre_fail(err, COFRE_FAILED, "vCPUs: out of memory");
    int rc = 0;
    for (unsigned i = 0; i < cpus && rc == 0; i++)
        rc = machine_cpu_create(machine, i, err);
    return rc;
}

static int load(struct machine *machine, struct tee_measurement *measurement, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    const struct tee_ops *ops = config->tee_ops;
    if (!ops)
        return machine_memory_load(&machine->memory, config->image, err);
    int rc = machine_memory_all_private(&machine->memory, err);
    if (rc == 0)
        rc = ops->load(config->tee, config->image, err);
    return rc ? rc : ops->finish(config->tee, measurement, err);
}

static int build(struct machine *machine, struct tee_measurement *measurement, struct cofre_err *err)
{
    machine->end_fd = eventfd(0, EFD_CLOEXEC);
    machine->alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0 || machine->alarm_fd < 0)
        return cofre_fail(err, COFRE_FAILED, "eventfd: %s", strerror(errno));
    int rc = machine_numa_place(&machine->config->numa, err);
    if (rc == 0)
        rc = create_vm(machine, err);
    if (rc == 0)
        rc = begin_tee(machine, err);
    if (rc == 0)
        rc = create_memory(machine, err);
    if (rc == 0)
        rc = platform_init(&machine->platform, machine, err);
    if (rc == 0)
        rc = create_cpus(machine, err);
    if (rc)
        return rc;
    phases_reach(machine->config->phases, PHASE_CREATED);
    rc = load(machine, measurement, err);
    if (rc == 0)
        phases_reach(machine->config->phases, PHASE_LAUNCHED);
    return rc;
}

int machine_create(struct machine **out, const struct machine_config *config,
                   struct tee_measurement *measurement, struct cofre_err *err)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (!machine) {
        if (config->tee_ops)
            config->tee_ops->free(config->tee);
        return cofre_fail(err, COFRE_FAILED, "the machine: out of memory");
    }
    machine->config = config;
    machine->kvm.fd = machine->vm.fd = machine->end_fd = machine->alarm_fd = -1;
    pthread_mutex_init(&machine->end_lock, NULL);
    pthread_mutex_init(&machine->gate, NULL);
    pthread_mutex_lock(&machine->gate);
    int rc = build(machine, measurement, err);
    if (rc) {
        machine_free(machine);
        return rc;
    }
    *out = machine;
    return 0;
}

int machine_start(struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    int rc = platform_start(&machine->platform, err);
    if (rc == 0 && config->tee_ops && config->tee_ops->start)
        rc = config->tee_ops->start(config->tee, &machine->memory.view, err);
    for (unsigned i = 0; i < machine->cpus && rc == 0; i++)
        rc = machine_cpu_start(&machine->cpu[i], err);
    return rc;
}

void machine_go(struct machine *machine)
{
    if (!machine->gate_open)
        pthread_mutex_unlock(&machine->gate);
    machine->gate_open = true;
}

void machine_join(struct machine *machine, struct machine_end *end)
{
    machine_go(machine);
    for (unsigned i = 0; i < machine->cpus; i++)
        if (machine->cpu[i].started)
            pthread_join(machine->cpu[i].thread, NULL);
    for (unsigned i = 0; i < machine->cpus; i++)
        machine->cpu[i].started = false;
    platform_free(&machine->platform);
    *end = machine->end;
    end->gave_up = atomic_load(&machine->gave_up);
}

void machine_free(struct machine *machine)
{
    if (!machine)
        return;
    const struct machine_config *config = machine->config;
    platform_free(&machine->platform);
    if (config->tee_ops)
        config->tee_ops->free(config->tee);
    for (unsigned i = 0; i < machine->cpus; i++)
        kvm_vcpu_close(&machine->cpu[i].vcpu);
    free(machine->cpu);
    free(machine->host_cpuid);
    machine_memory_free(&machine->memory);
    cleanup_close(&machine->end_fd);
    cleanup_close(&machine->alarm_fd);
    if (machine->vm.kvm)
        kvm_vm_close(&machine->vm);
    if (machine->kvm.backend)
        kvm_close(&machine->kvm);
    machine_go(machine);
    pthread_mutex_destroy(&machine->gate);
    pthread_mutex_destroy(&machine->end_lock);
    free(machine);
}
