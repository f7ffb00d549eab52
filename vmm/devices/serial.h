/*
 * A 16550A serial port (PC16550D data sheet), as much as Linux's 8250 driver and its early console use:
 * output at once, input through the FIFO, interrupts, loopback. Speed and line settings are kept and mean
 * nothing.
 */
#ifndef COFRE_DEVICES_SERIAL_H
#define COFRE_DEVICES_SERIAL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/irq.h"

#define SERIAL_COM1 0x3f8 /* interrupt 4 */
#define SERIAL_FIFO 16

struct serial {
    pthread_mutex_t lock;
    int out;
    struct irq_line irq;
    bool raised, thr_empty; /* the line's level; whether "transmitter empty" waits to be told */
    uint8_t ier, fcr, lcr, mcr, scratch, divisor[2];
    uint8_t fifo[SERIAL_FIFO];
    unsigned head, count;
};

/* Output goes to the descriptor out, which stays the caller's, from the vCPU that writes it. irq.set may be
 * NULL. The port stays where it is from here to serial_destroy. */
void serial_init(struct serial *serial, int out, struct irq_line irq);
void serial_destroy(struct serial *serial);
int serial_map(struct serial *serial, struct bus *ports, uint64_t base, struct cofre_err *err);

/* Gives the guest input; returns how many bytes there was room for. From any thread. */
size_t serial_input(struct serial *serial, const void *data, size_t len);

#endif
