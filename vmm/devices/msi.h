/* A message-signalled interrupt on its way out: the machine turns it into one for the guest (KVM_SIGNAL_MSI).
 */
#ifndef COFRE_DEVICES_MSI_H
#define COFRE_DEVICES_MSI_H

#include <stdint.h>

/* send is called from any thread, with a device's lock held: it must not call back into the device. */
struct msi_sink {
    void (*send)(void *context, uint64_t address, uint32_t data);
    void *context;
};

#endif
