#include "vmm/devices/ioapic.h"

/* The memory-mapped registers, and what can be selected through them. */
enum { IOREGSEL = 0x00, IOWIN = 0x10, EOI = 0x40, MAPPED = 0x1000 };
enum { REGISTER_ID = 0x00, REGISTER_VERSION = 0x01, REGISTER_ARBITRATION = 0x02, REGISTER_ENTRIES = 0x10 };

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)
#define ID_BITS 0x0f000000u

/* A redirection entry. */
#define ENTRY_VECTOR      0xffull
#define ENTRY_DELIVERY    (7ull << 8)
#define ENTRY_LOGICAL     (1ull << 11)
#define ENTRY_SENDING     (1ull << 12) /* read-only; never set, as a message is gone at once */
#define ENTRY_REMOTE_IRR  (1ull << 14) /* read-only: a level interrupt waits for its EOI */
#define ENTRY_LEVEL       (1ull << 15)
#define ENTRY_MASKED      (1ull << 16)
#define ENTRY_DESTINATION (0xffull << 56)
#define ENTRY_READ_ONLY   (ENTRY_SENDING | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE    (ENTRY_DESTINATION | 0x1ffffull)

/* Intel SDM volume 3, 11.11: address and data of a message. */
#define MSI_ADDRESS     0xfee00000ull
#define MSI_DESTINATION 12
#define MSI_LOGICAL     (1ull << 2)
#define MSI_ASSERT      (1u << 14)

static uint64_t message_address(uint64_t entry)
{
    return MSI_ADDRESS | entry >> 56 << MSI_DESTINATION | (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0);
}

static uint32_t message_data(uint64_t entry)
{
    return (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY | ENTRY_LEVEL)) |
           (entry & ENTRY_LEVEL ? MSI_ASSERT : 0);
}

static void deliver(struct ioapic *io, unsigned pin)
{
    uint64_t *entry = &io->entry[pin];
    uint32_t bit = 1u << pin;
    bool level = *entry & ENTRY_LEVEL;
    bool due = level ? (io->level & bit) && !(*entry & ENTRY_REMOTE_IRR) : io->pending & bit;
    if (!due || (*entry & ENTRY_MASKED))
        return;
    io->pending &= ~bit;
    *entry |= level ? ENTRY_REMOTE_IRR : 0;
    io->ops.sink.send(io->ops.sink.context, message_address(*entry), message_data(*entry));
}

static void entry_write(struct ioapic *io, unsigned pin, bool high, uint32_t value)
{
    uint64_t old = io->entry[pin], shift = high ? 32 : 0;
    uint64_t written = (old & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
    uint64_t entry = (written & ENTRY_WRITABLE & ~ENTRY_READ_ONLY) | (old & ENTRY_READ_ONLY);
    if (!(entry & ENTRY_LEVEL))
        entry &= ~ENTRY_REMOTE_IRR; /* how drivers of older versions end an interrupt: to edge and back */
    io->entry[pin] = entry;
    bool changed = message_address(entry) != message_address(old) || message_data(entry) != message_data(old);
    if (changed && io->ops.route)
        io->ops.route(io->ops.context, pin, message_address(entry), message_data(entry));
    deliver(io, pin);
}

static uint32_t register_read(const struct ioapic *io)
{
    unsigned index = io->select - REGISTER_ENTRIES;
    if (io->select == REGISTER_VERSION)
        return VERSION;
    if (io->select == REGISTER_ID || io->select == REGISTER_ARBITRATION)
        return io->id;
    return index < 2 * IOAPIC_PINS ? (uint32_t)(io->entry[index / 2] >> (index % 2 * 32)) : UINT32_MAX;
}

static void register_write(struct ioapic *io, uint32_t value)
{
    unsigned index = io->select - REGISTER_ENTRIES;
    if (io->select == REGISTER_ID)
        io->id = value & ID_BITS;
    else if (index < 2 * IOAPIC_PINS)
        entry_write(io, index / 2, index % 2, value);
}

static void end_of_interrupt(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &io->entry[pin];
        if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & ENTRY_VECTOR) != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        deliver(io, pin);
    }
}

static uint64_t ioapic_read(void *device, uint64_t offset, unsigned len)
{
    struct ioapic *io = device;
    (void)len;
    pthread_mutex_lock(&io->lock);
    uint32_t value = offset == IOREGSEL ? io->select : offset == IOWIN ? register_read(io) : 0;
    pthread_mutex_unlock(&io->lock);
    return value;
}

static void ioapic_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct ioapic *io = device;
    pthread_mutex_lock(&io->lock);
    if (offset == IOREGSEL)
        io->select = (uint8_t)value;
    else if (offset == IOWIN && len == 4)
        register_write(io, (uint32_t)value);
    else if (offset == EOI)
        end_of_interrupt(io, (uint8_t)value);
    pthread_mutex_unlock(&io->lock);
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level)
{
    if (pin >= IOAPIC_PINS)
        return;
    uint32_t bit = 1u << pin;
    pthread_mutex_lock(&ioapic->lock);
    if (level && !(ioapic->level & bit) && !(ioapic->entry[pin] & ENTRY_LEVEL))
        ioapic->pending |= bit;
    ioapic->level = level ? ioapic->level | bit : ioapic->level & ~bit;
    deliver(ioapic, pin);
    pthread_mutex_unlock(&ioapic->lock);
}

static void line_set(void *context, unsigned pin, bool level)
{
    ioapic_set_pin(context, pin, level);
}

struct irq_line ioapic_line(struct ioapic *ioapic, unsigned pin)
{
    return (struct irq_line){line_set, ioapic, pin};
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
    pthread_mutex_lock(&ioapic->lock);
    end_of_interrupt(ioapic, vector);
    pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops)
{
    *ioapic = (struct ioapic){.ops = *ops};
    pthread_mutex_init(&ioapic->lock, NULL);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->entry[pin] = ENTRY_MASKED;
}

void ioapic_destroy(struct ioapic *ioapic)
{
    pthread_mutex_destroy(&ioapic->lock);
}

int ioapic_map(struct ioapic *ioapic, struct bus *mmio, uint64_t base, struct cofre_err *err)
{
    static const struct bus_ops ops = {ioapic_read, ioapic_write};
    return bus_add(mmio, &(struct bus_range){"I/O APIC", base, MAPPED, &ops, ioapic}, err);
}
