#include "vmm/devices/serial.h"

#include <string.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define LOG_ROOM "serial"

/* Registers by offset; at 0 and 1 the divisor's while LCR_DLAB is set. */
enum { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCRATCH = 7, REGISTERS = 8 };

enum { IER_RECEIVE = 1, IER_TRANSMIT = 2, IER_BITS = 0x0f };
enum { IIR_NONE = 1, IIR_TRANSMIT = 2, IIR_RECEIVE = 4, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVE = 2 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_BITS = 0x1f };
enum { LSR_DATA = 1, LSR_THR_EMPTY = 0x20, LSR_IDLE = 0x40 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

static unsigned cause(const struct serial *s)
{
    if ((s->ier & IER_RECEIVE) && s->count)
        return IIR_RECEIVE;
    if ((s->ier & IER_TRANSMIT) && s->thr_empty)
        return IIR_TRANSMIT;
    return IIR_NONE;
}

/* OUT2 gates the line in a PC, but not every driver sets it; as other machines do, it is not asked. */
static void update_line(struct serial *s)
{
    bool level = cause(s) != IIR_NONE;
    if (level != s->raised && s->irq.set)
        s->irq.set(s->irq.context, s->irq.pin, level);
    s->raised = level;
}

static size_t receive(struct serial *s, const uint8_t *data, size_t len)
{
    size_t n = 0;
    for (; n < len && s->count < SERIAL_FIFO; n++)
        s->fifo[(s->head + s->count++) % SERIAL_FIFO] = data[n];
    return n;
}

static void transmit(struct serial *s, uint8_t byte)
{
    if (s->mcr & MCR_LOOP)
        (void)receive(s, &byte, 1);
    else if (write(s->out, &byte, 1) < 0)
        log_debug("a byte of output could not be written");
    s->thr_empty = true; /* it is out already */
}

static uint8_t take(struct serial *s)
{
    uint8_t byte = s->fifo[s->head];
    if (s->count == 0)
        return 0;
    s->head = (s->head + 1) % SERIAL_FIFO;
    s->count--;
    return byte;
}

/* Reading the cause acknowledges "transmitter empty". */
static uint8_t identify(struct serial *s)
{
    unsigned why = cause(s);
    if (why == IIR_TRANSMIT)
        s->thr_empty = false;
    return (uint8_t)(why | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t modem_status(const struct serial *s)
{
    if (!(s->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t read_register(struct serial *s, uint64_t offset)
{
    if ((s->lcr & LCR_DLAB) && offset <= IER)
        return s->divisor[offset];
    switch (offset) {
    case DATA:
        return take(s);
    case IER:
        return s->ier;
    case IIR_FCR:
        return identify(s);
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        return (uint8_t)(LSR_THR_EMPTY | LSR_IDLE | (s->count ? LSR_DATA : 0));
    case MSR:
        return modem_status(s);
    default:
        return s->scratch;
    }
}

static void write_register(struct serial *s, uint64_t offset, uint8_t value)
{
    if ((s->lcr & LCR_DLAB) && offset <= IER) {
        s->divisor[offset] = value;
        return;
    }
    switch (offset) {
    case DATA:
        transmit(s, value);
        break;
    case IER: /* switching the interrupt on tells of an empty transmitter */
        s->thr_empty |= (value & ~s->ier & IER_TRANSMIT) != 0;
        s->ier = value & IER_BITS;
        break;
    case IIR_FCR:
        s->fcr = value;
        s->count = value & FCR_CLEAR_RECEIVE ? 0 : s->count;
        break;
    case LCR:
        s->lcr = value;
        break;
    case MCR:
        s->mcr = value & MCR_BITS;
        break;
    case SCRATCH:
        s->scratch = value;
        break;
    default:
        break;
    }
}

/* Registers are a byte wide; a wider access is its first byte's. */
static uint64_t serial_read(void *device, uint64_t offset, unsigned len)
{
    struct serial *s = device;
    (void)len;
    pthread_mutex_lock(&s->lock);
    uint8_t value = read_register(s, offset);
    update_line(s);
    pthread_mutex_unlock(&s->lock);
    return value;
}

static void serial_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct serial *s = device;
    (void)len;
    pthread_mutex_lock(&s->lock);
    write_register(s, offset, (uint8_t)value);
    update_line(s);
    pthread_mutex_unlock(&s->lock);
}

size_t serial_input(struct serial *serial, const void *data, size_t len)
{
    pthread_mutex_lock(&serial->lock);
    size_t n = receive(serial, data, len);
    update_line(serial);
    pthread_mutex_unlock(&serial->lock);
    return n;
}

void serial_init(struct serial *serial, int out, struct irq_line irq)
{
    *serial = (struct serial){.out = out, .irq = irq};
    pthread_mutex_init(&serial->lock, NULL);
}

void serial_destroy(struct serial *serial)
{
    pthread_mutex_destroy(&serial->lock);
}

int serial_map(struct serial *serial, struct bus *ports, uint64_t base, struct cofre_err *err)
{
    static const struct bus_ops ops = {serial_read, serial_write};
    return bus_add(ports, &(struct bus_range){"serial port", base, REGISTERS, &ops, serial}, err);
}
