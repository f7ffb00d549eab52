/* Why a vCPU left the guest, and what the machine does about it. */
#include <errno.h>
#include <string.h>

#include "vmm/kvm/trace.h"
#define LOG_ROOM "machine"
#include "vmm/base/log.h"
#include "vmm/machine/parts.h"

/* A port access of count items; the data lies in the run area, where the guest cannot reach it. */
static void exit_io(struct machine_cpu *cpu, struct kvm_run *run)
{
    const struct bus *ports = &cpu->machine->platform.ports;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint64_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_IN) {
            bus_read(ports, run->io.port, size, &value);
            memcpy(data, &value, size);
        } else {
            memcpy(&value, data, size);
            bus_write(ports, run->io.port, size, value);
        }
    }
}

static void exit_mmio(struct machine_cpu *cpu, struct kvm_run *run)
{
    const struct bus *mmio = &cpu->machine->platform.mmio;
    uint64_t value = 0;
    bool answered;
    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, run->mmio.len);
        answered = bus_write(mmio, run->mmio.phys_addr, run->mmio.len, value);
    } else {
        answered = bus_read(mmio, run->mmio.phys_addr, run->mmio.len, &value);
        memcpy(run->mmio.data, &value, run->mmio.len);
    }
    if (!answered)
        log_debug("vCPU %u: nobody answers %s of %#llx", cpu->vcpu.id,
                  run->mmio.is_write ? "a write" : "a read", (unsigned long long)run->mmio.phys_addr);
}

static void complain(struct machine_cpu *cpu, const struct cofre_err *err)
{
    const char *rest = log_allow(&cpu->machine->complaints);
    if (rest)
        log_warn("vCPU %u: %s%s", cpu->vcpu.id, err->text, rest);
}

/* What the guest cannot ask for is refused and the guest goes on; what the host cannot do ends it. */
static void exit_hypercall(struct machine_cpu *cpu, struct kvm_run *run)
{
    uint64_t gpa = run->hypercall.args[0], pages = run->hypercall.args[1],
             attributes = run->hypercall.args[2];
    run->hypercall.ret = EINVAL;
    if (run->hypercall.nr != KVM_HC_MAP_GPA_RANGE || pages > UINT64_MAX >> 12)
        return;
    struct cofre_err err;
    int rc = machine_memory_convert(&cpu->machine->memory, gpa, pages << 12,
                                    attributes & UAPI_MAP_GPA_PRIVATE, &err);
    if (rc == 0)
        run->hypercall.ret = 0;
    else if (rc == -COFRE_MALFORMED)
        complain(cpu, &err);
    else
        machine_ended(cpu->machine, MACHINE_FAILED, -rc, "%s", err.text);
}

/* The guest touched a page as private that shows its shared side, or the reverse: it is converted as it is touched. */
static void exit_memory_fault(struct machine_cpu *cpu, struct kvm_run *run)
{
    const struct uapi_exit_memory_fault *fault = uapi_exit_memory_fault(run);
    bool to_private = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;
    struct cofre_err err;
    int rc =
        machine_memory_convert(&cpu->machine->memory, fault->gpa & ~0xfffull, fault->size, to_private, &err);
    if (rc)
        machine_ended(cpu->machine, MACHINE_FAILED, COFRE_FAILED,
                      "the guest touched %#llx as %s memory, which it does not have there",
                      (unsigned long long)fault->gpa, to_private ? "private" : "shared");
}

static void exit_to_tee(struct machine_cpu *cpu, struct kvm_run *run)
{
    struct machine *machine = cpu->machine;
    const struct machine_config *config = machine->config;
    int code = COFRE_FAILED;
    struct cofre_err err = {{0}};
    enum tee_exit_action action = TEE_EXIT_UNKNOWN;
    if (config->tee_ops)
        action = config->tee_ops->exit(config->tee, &machine->memory.view, &cpu->vcpu, &code, &err);
    if (action == TEE_EXIT_CONTINUE)
        return;
    char words[256];
    kvm_exit_describe(words, sizeof words, run);
    if (action == TEE_EXIT_STOP)
        machine_ended(machine, MACHINE_FAILED, code < 0 ? -code : code, "%s", err.text);
    else
        machine_ended(machine, MACHINE_FAILED, COFRE_FAILED,
                      "vCPU %u: the guest did what this machine does not know (%s)", cpu->vcpu.id, words);
}

static void exit_system_event(struct machine_cpu *cpu, struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        machine_ended(cpu->machine, MACHINE_POWER_OFF, 0, NULL);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        machine_ended(cpu->machine, MACHINE_RESET, 0, NULL);
        break;
    default:
        exit_to_tee(cpu, run);
    }
}

static void exit_shutdown(struct machine_cpu *cpu, struct kvm_run *run)
{
    (void)run;
    machine_ended(cpu->machine, MACHINE_FAILED, COFRE_FAILED,
                  "the guest died of a triple fault on vCPU %u: an exception that it could not handle",
                  cpu->vcpu.id);
}

static void exit_fail_entry(struct machine_cpu *cpu, struct kvm_run *run)
{
    machine_ended(cpu->machine, MACHINE_FAILED, COFRE_FAILED,
                  "the processor refused to enter the guest on vCPU %u (hardware reason %#llx)", cpu->vcpu.id,
                  (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
}

static void exit_internal_error(struct machine_cpu *cpu, struct kvm_run *run)
{
    struct kvm_regs regs = {0};
    struct cofre_err err;
    atomic_store(&cpu->machine->gave_up, true);
    bool known = kvm_vcpu_get_regs(&cpu->vcpu, &regs, &err) == 0; /* not of a confidential guest */
    machine_ended(cpu->machine, MACHINE_FAILED, COFRE_FAILED,
                  "KVM gave up on vCPU %u (suberror %u) at instruction %#llx%s", cpu->vcpu.id,
                  run->internal.suberror, (unsigned long long)regs.rip, known ? "" : " (not known)");
}

static void exit_nothing(struct machine_cpu *cpu, struct kvm_run *run)
{
    (void)cpu;
    (void)run;
}

static const struct {
    uint32_t reason;
    void (*handle)(struct machine_cpu *cpu, struct kvm_run *run);
} handlers[] = {
    {KVM_EXIT_IO, exit_io},
    {KVM_EXIT_MMIO, exit_mmio},
    {KVM_EXIT_HYPERCALL, exit_hypercall},
    {KVM_EXIT_MEMORY_FAULT, exit_memory_fault},
    {KVM_EXIT_SYSTEM_EVENT, exit_system_event},
    {KVM_EXIT_SHUTDOWN, exit_shutdown},
    {KVM_EXIT_FAIL_ENTRY, exit_fail_entry},
    {KVM_EXIT_INTERNAL_ERROR, exit_internal_error},
    {KVM_EXIT_INTR, exit_nothing},
};

void machine_exit(struct machine_cpu *cpu)
{
    struct kvm_run *run = cpu->vcpu.run;
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (handlers[i].reason == run->exit_reason) {
            handlers[i].handle(cpu, run);
            return;
        }
    exit_to_tee(cpu, run);
}
