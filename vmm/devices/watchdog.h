/*
 * The watchdog timer of Intel's 6300ESB (Intel 300641-004; Linux's driver is i6300esb): the guest
 * starts it and sets it back in time, or it expires. Its two stages are one here: the first raises an interrupt, which this
 * function does not have, the second is the expiry.
 */
#ifndef COFRE_DEVICES_WATCHDOG_H
#define COFRE_DEVICES_WATCHDOG_H

#include "vmm/devices/pci.h"

/* What the device asks of its machine; any vCPU's thread, with the device's lock held. */
struct watchdog_timer {
    void (*set)(void *context, uint64_t nanoseconds); /* expire then, instead of when it was; 0: never */
    void *context;
};

struct watchdog {
    struct pci_function function;
    struct watchdog_timer timer;
    pthread_mutex_t lock;
    unsigned unlocked;   /* how much of the sequence before a write was there: 0 to 2 */
    uint32_t preload[2]; /* ticks */
    uint16_t config;
    uint8_t control;
    bool expired_before;
};

/* Adds it to the bus; it stays where it is until watchdog_destroy. expired_before: it ended the guest's last launch. */
int watchdog_attach(struct watchdog *watchdog, struct pci_bus *pci, struct watchdog_timer timer,
                    bool expired_before, struct cofre_err *err);
void watchdog_destroy(struct watchdog *watchdog);

#endif
