/* KVM's side of the shortcuts that PCI functions ask for (vmm/devices/pci_shortcut.h): doorbells are ioeventfds, calls are
 * irqfds with a route each. */
#ifndef COFRE_MACHINE_SHORTCUT_H
#define COFRE_MACHINE_SHORTCUT_H

#include <pthread.h>

#include "vmm/devices/pci_shortcut.h"
#include "vmm/kvm/vm.h"

#define SHORTCUT_MESSAGES_MAX 512

struct shortcuts {
    struct kvm_vm *vm;
    pthread_mutex_t lock; /* of what follows; a leaf */
    uint32_t first_gsi;
    unsigned used;                 /* no entry from here on has a message */
    int fd[SHORTCUT_MESSAGES_MAX]; /* whose message an entry is; -1: nobody's */
    struct kvm_msi_route route[SHORTCUT_MESSAGES_MAX];
};

/* first_gsi: the first interrupt number that no other interrupt controller has. The virtual machine, and the shortcuts,
 * outlive the bus that gets *ops, in which what this KVM cannot do is NULL. */
void shortcuts_init(struct shortcuts *s, struct kvm_vm *vm, uint32_t first_gsi, struct pci_shortcut_ops *ops);
void shortcuts_destroy(struct shortcuts *s);

#endif
