/*
 * Ways between the guest and an eventfd that the machine lays past this process where its KVM can: a doorbell turns the
 * guest's write to a place in a BAR into a readable eventfd, a call turns a readable eventfd into the message of an MSI-X
 * vector. They follow what the guest does to BAR, command register, table and masks. Without them everything works the
 * same, a step slower: the write reaches the function's BAR, and the eventfd its other reader, who raises the vector.
 */
#ifndef COFRE_DEVICES_PCI_SHORTCUT_H
#define COFRE_DEVICES_PCI_SHORTCUT_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_SHORTCUTS_MAX 17 /* of each sort, of one function */

/* What the machine gives to a bus; functions that it lacks are NULL. Called with a function's lock held, from any
 * thread. False: not this time, and nothing has changed. */
struct pci_shortcut_ops {
    void *context;
    bool (*doorbell)(void *context, uint64_t gpa, int fd, bool on);
    /* A second call for an fd that is on replaces its message. The machine reads the eventfd before anybody else. */
    bool (*message)(void *context, int fd, bool on, uint64_t address, uint32_t data);
};

struct pci_doorbell {
    int fd;
    uint32_t offset;
    uint64_t gpa;
    bool on;
};

struct pci_call {
    int fd;
    unsigned vector;
    uint64_t address;
    uint32_t data;
    bool on;
};

struct pci_shortcuts {
    struct pci_doorbell doorbell[PCI_SHORTCUTS_MAX];
    struct pci_call call[PCI_SHORTCUTS_MAX];
    unsigned doorbells, calls;
};

struct pci_function;

/* fd belongs to the caller and stays open until it is taken back. */
void pci_doorbell_add(struct pci_function *fn, uint32_t offset, int fd);
void pci_doorbells_clear(struct pci_function *fn);
/* fd's vector from now on; one that does not exist is fine. The caller reads fd too, and raises the vector then. */
void pci_call_set(struct pci_function *fn, int fd, unsigned vector);
void pci_call_clear(struct pci_function *fn, int fd);

/* For pci.c, with the function's lock held: something changed that they follow. */
void pci_shortcuts_update(struct pci_function *fn);

#endif
