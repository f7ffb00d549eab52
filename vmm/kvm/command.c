#include "vmm/kvm/command.h"

#include <string.h>

const char *kvm_command_name(const struct kvm_command_name *names, uint32_t command)
{
    for (; names->name; names++)
        if (names->id == command)
            return names->name;
    return "KVM_MEMORY_ENCRYPT_OP";
}

int kvm_command_failed(struct cofre_err *err, const struct kvm_command_name *names,
                       const struct kvm_command_reason *reasons, uint32_t command, int error,
                       const char *detail)
{
    const char *name = kvm_command_name(names, command), *between = *detail ? "; " : "";
    for (; reasons->sentence; reasons++)
        if ((reasons->command == command || reasons->command == KVM_EVERY_COMMAND) && reasons->error == error)
            return cofre_fail(err, reasons->code, "%s: %s (%s%s%s)", name, reasons->sentence, strerror(error),
                              between, detail);
    return cofre_fail(err, COFRE_FAILED, "%s: %s%s%s", name, strerror(error), between, detail);
}
