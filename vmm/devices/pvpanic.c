#include "vmm/devices/pvpanic.h"

#define EVENTS   (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN)
#define BAR_SIZE 4096

static uint64_t bar_read(void *device, uint64_t offset, unsigned len)
{
    (void)device;
    (void)len;
    return offset == 0 ? EVENTS : 0;
}

static void bar_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    const struct pvpanic *p = device;
    (void)len;
    if (offset != 0)
        return;
    for (unsigned bit = 1; bit & EVENTS; bit <<= 1)
        if (value & bit)
            p->event(p->context, bit);
}

static const struct pci_function_ops function_ops = {.bar = {bar_read, bar_write}};
static const struct pci_identity identity = {
    .vendor = 0x1b36, .device = 0x0011, .class_code = 0x088000, .revision = 1}; /* other system peripheral */

int pvpanic_attach(struct pvpanic *p, struct pci_bus *pci,
                   void (*event)(void *context, enum pvpanic_event event), void *context,
                   struct cofre_err *err)
{
    p->event = event;
    p->context = context;
    pci_function_init(&p->function, "pvpanic", &identity, BAR_SIZE, &function_ops, p);
    return pci_bus_add(pci, &p->function, err);
}

void pvpanic_destroy(struct pvpanic *p)
{
    pci_function_destroy(&p->function);
}
