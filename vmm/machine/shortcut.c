#include "vmm/machine/shortcut.h"

#include <string.h>

#define LOG_ROOM "machine"
#include "vmm/base/log.h"

static bool done(int rc, const struct cofre_err *err)
{
    if (rc)
        log_debug("%s", err->text);
    return rc == 0;
}

static bool doorbell(void *context, uint64_t gpa, int fd, bool on)
{
    struct shortcuts *s = context;
    struct cofre_err err;
    return done(kvm_vm_ioeventfd(s->vm, gpa, fd, on, &err), &err);
}

/* The entry of that descriptor's, or of nobody. */
static unsigned entry_of(const struct shortcuts *s, int fd)
{
    unsigned i = 0;
    while (i < s->used && s->fd[i] != fd)
        i++;
    return i;
}

/* KVM takes the whole table or leaves the one it has; an entry without an irqfd does nothing in it. */
static bool set_route(struct shortcuts *s, unsigned entry, uint64_t address, uint32_t data)
{
    const struct kvm_msi_route before = s->route[entry];
    unsigned count = entry < s->used ? s->used : entry + 1;
    struct cofre_err err;
    s->route[entry] = (struct kvm_msi_route){s->first_gsi + entry, address, data};
    if (done(kvm_vm_set_msi_routes(s->vm, s->route, count, &err), &err))
        return true;
    s->route[entry] = before;
    return false;
}

static bool message_on(struct shortcuts *s, int fd, uint64_t address, uint32_t data)
{
    struct cofre_err err;
    unsigned entry = entry_of(s, fd);
    if (entry < s->used)
        return set_route(s, entry, address, data);
    entry = entry_of(s, -1);
    if (entry == SHORTCUT_MESSAGES_MAX || !set_route(s, entry, address, data) ||
        !done(kvm_vm_irqfd(s->vm, fd, s->first_gsi + entry, true, &err), &err))
        return false;
    s->fd[entry] = fd;
    s->used += entry == s->used;
    return true;
}

static bool message_off(struct shortcuts *s, int fd)
{
    struct cofre_err err;
    unsigned entry = entry_of(s, fd);
    if (entry == s->used || !done(kvm_vm_irqfd(s->vm, fd, s->first_gsi + entry, false, &err), &err))
        return false;
    s->fd[entry] = -1;
    return true;
}

static bool message(void *context, int fd, bool on, uint64_t address, uint32_t data)
{
    struct shortcuts *s = context;
    pthread_mutex_lock(&s->lock);
    bool ok = on ? message_on(s, fd, address, data) : message_off(s, fd);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void shortcuts_init(struct shortcuts *s, struct kvm_vm *vm, uint32_t first_gsi, struct pci_shortcut_ops *ops)
{
    memset(s, 0, sizeof *s);
    s->vm = vm;
    s->first_gsi = first_gsi;
    pthread_mutex_init(&s->lock, NULL);
    *ops = (struct pci_shortcut_ops){.context = s};
    if (kvm_check_extension(vm->kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH))
        ops->doorbell = doorbell;
    if (kvm_check_extension(vm->kvm, KVM_CAP_IRQFD) && kvm_check_extension(vm->kvm, KVM_CAP_IRQ_ROUTING))
        ops->message = message;
}

void shortcuts_destroy(struct shortcuts *s)
{
    pthread_mutex_destroy(&s->lock);
}
