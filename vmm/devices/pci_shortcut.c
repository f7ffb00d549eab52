#include "vmm/devices/pci_shortcut.h"

#include <assert.h>

#include "vmm/devices/pci.h"

static void update_doorbell(const struct pci_shortcut_ops *ops, struct pci_doorbell *bell, bool decoded,
                            uint64_t gpa)
{
    if (bell->on && !(decoded && bell->gpa == gpa))
        bell->on = !ops->doorbell(ops->context, bell->gpa, bell->fd, false);
    if (decoded && !bell->on) {
        bell->gpa = gpa;
        bell->on = ops->doorbell(ops->context, gpa, bell->fd, true);
    }
}

static void update_call(const struct pci_shortcut_ops *ops, struct pci_call *call,
                        const struct pci_msix_entry *entry)
{
    bool same = entry && entry->address == call->address && entry->data == call->data;
    if (call->on && !entry)
        call->on = !ops->message(ops->context, call->fd, false, 0, 0);
    if (!entry || (call->on && same))
        return;
    call->address = entry->address;
    call->data = entry->data;
    call->on = ops->message(ops->context, call->fd, true, entry->address, entry->data);
}

void pci_shortcuts_update(struct pci_function *fn)
{
    struct pci_shortcuts *s = &fn->shortcuts;
    uint64_t base;
    if (!fn->bus)
        return;
    const struct pci_shortcut_ops *ops = &fn->bus->shortcuts;
    bool decoded = pci_bar_decoded(fn, &base);
    for (unsigned i = 0; ops->doorbell && i < s->doorbells; i++)
        update_doorbell(ops, &s->doorbell[i], decoded, base + s->doorbell[i].offset);
    for (unsigned i = 0; ops->message && i < s->calls; i++)
        update_call(ops, &s->call[i], pci_msix_open(fn, s->call[i].vector));
}

void pci_doorbell_add(struct pci_function *fn, uint32_t offset, int fd)
{
    struct pci_shortcuts *s = &fn->shortcuts;
    pthread_mutex_lock(&fn->lock);
    assert(s->doorbells < PCI_SHORTCUTS_MAX && offset < fn->bar_size);
    s->doorbell[s->doorbells++] = (struct pci_doorbell){.fd = fd, .offset = offset};
    pci_shortcuts_update(fn);
    pthread_mutex_unlock(&fn->lock);
}

void pci_doorbells_clear(struct pci_function *fn)
{
    struct pci_shortcuts *s = &fn->shortcuts;
    pthread_mutex_lock(&fn->lock);
    while (s->doorbells) {
        struct pci_doorbell *bell = &s->doorbell[--s->doorbells];
        if (bell->on)
            update_doorbell(&fn->bus->shortcuts, bell, false, 0);
    }
    pthread_mutex_unlock(&fn->lock);
}

static struct pci_call *find_call(struct pci_shortcuts *s, int fd)
{
    for (unsigned i = 0; i < s->calls; i++)
        if (s->call[i].fd == fd)
            return &s->call[i];
    return NULL;
}

void pci_call_set(struct pci_function *fn, int fd, unsigned vector)
{
    struct pci_shortcuts *s = &fn->shortcuts;
    pthread_mutex_lock(&fn->lock);
    struct pci_call *call = find_call(s, fd);
    if (!call) {
        assert(s->calls < PCI_SHORTCUTS_MAX);
        call = &s->call[s->calls++];
        *call = (struct pci_call){.fd = fd};
    }
    call->vector = vector;
    pci_shortcuts_update(fn);
    pthread_mutex_unlock(&fn->lock);
}

void pci_call_clear(struct pci_function *fn, int fd)
{
    struct pci_shortcuts *s = &fn->shortcuts;
    pthread_mutex_lock(&fn->lock);
    struct pci_call *call = find_call(s, fd);
    if (call) {
        if (call->on)
            update_call(&fn->bus->shortcuts, call, NULL);
        *call = s->call[--s->calls];
    }
    pthread_mutex_unlock(&fn->lock);
}
