/* An interrupt line between a device and its controller. */
#ifndef COFRE_DEVICES_IRQ_H
#define COFRE_DEVICES_IRQ_H

#include <stdbool.h>

/* set is called from any thread, with the device's lock held; a line keeps its level until it is set again.
 */
struct irq_line {
    void (*set)(void *context, unsigned pin, bool level);
    void *context;
    unsigned pin;
};

#endif
