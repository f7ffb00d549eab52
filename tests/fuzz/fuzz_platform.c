/*
 * A guest against what is no virtio device: serial port, I/O APIC, clock, PCI configuration space and a function with a BAR
 * and MSI-X, watchdog and panic device, through the buses that vCPUs use.
 */
#include <fcntl.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/pvpanic.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"
#include "vmm/devices/watchdog.h"

#define RECORD  12 /* what, width, where (2), value (8) */
#define ECAM    0xb0000000u
#define WINDOW  0xe0000000u
#define BAR     0x8000u
#define VECTORS 3

enum action { PORT_READ, PORT_WRITE, MMIO_READ, MMIO_WRITE, INPUT, PIN, EOI, RAISE, CLOCK, ACTIONS };

/* Where MMIO records point: the high bits of "where" choose. */
static const uint64_t bases[] = {IOAPIC_BASE, ECAM, ECAM + 0x8000, WINDOW, ECAM + 0x18000};

static unsigned messages, signs;

static void count_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
    messages++;
}

/* At the slowest, and with the longest counts: not much over half an hour. */
static void set_timer(void *context, uint64_t nanoseconds)
{
    (void)context;
    FUZZ_CHECK(nanoseconds < 1ull << 41);
    signs++;
}

static void take_event(void *context, enum pvpanic_event event)
{
    (void)context;
    FUZZ_CHECK(event == PVPANIC_PANICKED || event == PVPANIC_CRASH_LOADED || event == PVPANIC_SHUTDOWN);
    signs++;
}

static void keep_route(void *context, unsigned pin, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
    FUZZ_CHECK(pin < IOAPIC_PINS);
}

static uint64_t bar_read(void *device, uint64_t offset, unsigned len)
{
    FUZZ_CHECK(offset + len <= BAR);
    return (uintptr_t)device;
}

static void bar_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)device;
    FUZZ_CHECK(offset + len <= BAR && (len == 8 || value >> 8 * len == 0));
}

static const struct pci_identity identity = {0x1af4, 0x1042, 0x1af4, 2, 0x010000, 1};
static const struct pci_function_ops function_ops = {.bar = {bar_read, bar_write}};

static struct {
    struct bus ports, mmio;
    struct serial serial;
    struct ioapic ioapic;
    struct pci_bus pci;
    struct pci_function function;
    struct watchdog watchdog;
    struct pvpanic pvpanic;
} m;

static void set_up(void)
{
    static const uint8_t capability[10] = {1, 2, 3}, writable[10] = {[4] = 0xff, [9] = 0x0f};
    static int null_fd = -1;
    if (null_fd < 0)
        null_fd = open("/dev/null", O_WRONLY);
    memset(&m, 0, sizeof m);
    ioapic_init(&m.ioapic, &(struct ioapic_ops){.sink = {count_message, NULL}, .route = keep_route});
    serial_init(&m.serial, null_fd, ioapic_line(&m.ioapic, 4));
    pci_bus_init(&m.pci, (struct pci_window){WINDOW, 0x100000}, (struct msi_sink){count_message, NULL});
    pci_function_init(&m.function, "a function", &identity, BAR, &function_ops, &m);
    (void)pci_capability_add(&m.function, 9, capability, writable, sizeof capability);
    pci_msix_add(&m.function, VECTORS, 0x4000, 0x5000);
    FUZZ_CHECK(ioapic_map(&m.ioapic, &m.mmio, IOAPIC_BASE, NULL) == 0 &&
               serial_map(&m.serial, &m.ports, SERIAL_COM1, NULL) == 0 &&
               pci_bus_add(&m.pci, &m.function, NULL) == 0 &&
               watchdog_attach(&m.watchdog, &m.pci, (struct watchdog_timer){set_timer, NULL}, true, NULL) ==
                   0 &&
               pvpanic_attach(&m.pvpanic, &m.pci, take_event, NULL, NULL) == 0 &&
               pci_bus_map_window(&m.pci, &m.mmio, NULL) == 0 &&
               pci_bus_map_ecam(&m.pci, &m.mmio, ECAM, 1 << 20, NULL) == 0);
}

static void tear_down(void)
{
    pvpanic_destroy(&m.pvpanic);
    watchdog_destroy(&m.watchdog);
    pci_function_destroy(&m.function);
    pci_bus_destroy(&m.pci);
    serial_destroy(&m.serial);
    ioapic_destroy(&m.ioapic);
}

static void act(const uint8_t *record)
{
    unsigned len = 1u << (record[1] & 3), before = messages, signs_before = signs;
    uint16_t where = le16(record + 2);
    uint64_t value = le64(record + 4), got;
    uint64_t mmio = bases[(record[1] >> 2) % (sizeof bases / sizeof *bases)] + where;
    switch (record[0] % ACTIONS) {
    case PORT_READ:
        if (bus_read(&m.ports, SERIAL_COM1 + (where & 15), len, &got))
            FUZZ_CHECK(len == 8 || got >> 8 * len == 0);
        break;
    case PORT_WRITE:
        bus_write(&m.ports, SERIAL_COM1 + (where & 15), len, value);
        break;
    case MMIO_READ:
        if (bus_read(&m.mmio, mmio, len, &got))
            FUZZ_CHECK(len == 8 || got >> 8 * len == 0);
        break;
    case MMIO_WRITE:
        bus_write(&m.mmio, mmio, len, value);
        break;
    case INPUT:
        FUZZ_CHECK(serial_input(&m.serial, record + 4, where % 9) <= where % 9u);
        break;
    case PIN:
        ioapic_set_pin(&m.ioapic, where & 31, value & 1);
        break;
    case EOI:
        ioapic_eoi(&m.ioapic, (uint8_t)value);
        break;
    case RAISE:
        pci_msix_raise(&m.function, where & 7);
        break;
    default:
        (void)rtc_register((uint8_t)where, (time_t)(int32_t)value);
        break;
    }
    FUZZ_CHECK(messages - before <= IOAPIC_PINS); /* one access, one message for a pin or vector at most */
    FUZZ_CHECK(signs - signs_before <= 3);        /* and one for a bit that pvpanic knows */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    for (size_t at = 0; at + RECORD <= size; at += RECORD)
        act(data + at);
    tear_down();
    return 0;
}

static size_t put(uint8_t *out, size_t n, enum action what, unsigned width, uint16_t where, uint64_t value)
{
    out[n] = (uint8_t)what;
    out[n + 1] = (uint8_t)width;
    put_le16(out + n + 2, where);
    put_le64(out + n + 4, value);
    return n + RECORD;
}

enum {
    BYTE = 0,
    HALF = 1,
    WORD = 2,
    AT_IOAPIC = 0,
    AT_ECAM = 1 << 2,
    AT_SLOT_1 = 2 << 2,
    AT_BAR = 3 << 2,
    AT_SLOT_3 = 4 << 2,
    SLOT_2 = 0x8000, /* from slot 1 on */
    BAR_2 = 0x8000,  /* from the first BAR on */
    BAR_3 = 0x9000
};

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    size_t n = 0;
    switch (index) {
    case 0: /* a serial driver: interrupts on, FIFO, input, output, loopback */
        n = put(out, n, PORT_WRITE, BYTE, 1, 3);
        n = put(out, n, PORT_WRITE, BYTE, 2, 7);
        n = put(out, n, INPUT, 0, 8, 0x6162636465666768);
        n = put(out, n, PORT_READ, BYTE, 2, 0);
        n = put(out, n, PORT_READ, BYTE, 0, 0);
        n = put(out, n, PORT_WRITE, BYTE, 4, 0x1b);
        n = put(out, n, PORT_WRITE, BYTE, 0, 'x');
        n = put(out, n, PORT_READ, BYTE, 5, 0);
        return put(out, n, PORT_WRITE, BYTE, 3, 0x83);
    case 1: /* pin 4 level-triggered on vector 0x31, raised, ended */
        n = put(out, n, MMIO_WRITE, AT_IOAPIC | WORD, 0, 0x10 + 8);
        n = put(out, n, MMIO_WRITE, AT_IOAPIC | WORD, 0x10, 0x8031);
        n = put(out, n, PIN, 0, 4, 1);
        n = put(out, n, EOI, 0, 0, 0x31);
        n = put(out, n, MMIO_READ, AT_IOAPIC | WORD, 0x10, 0);
        return put(out, n, MMIO_WRITE, AT_IOAPIC | WORD, 0x40, 0x31);
    case 2: /* the function: sized, enabled, MSI-X on, a vector unmasked and raised */
        n = put(out, n, MMIO_READ, AT_SLOT_1 | WORD, 0, 0);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | WORD, 0x10, UINT32_MAX);
        n = put(out, n, MMIO_READ, AT_SLOT_1 | WORD, 0x10, 0);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | WORD, 0x10, WINDOW);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | HALF, 4, 6);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | HALF, 0x4e, 0x8000);
        n = put(out, n, MMIO_WRITE, AT_BAR | WORD, 0x4000, 0xfee00000);
        n = put(out, n, MMIO_WRITE, AT_BAR | WORD, 0x400c, 0);
        n = put(out, n, RAISE, 0, 0, 0);
        return put(out, n, MMIO_READ, AT_BAR | WORD, 0x5000, 0);
    case 3: /* the watchdog: unlocked, its first stage short, unlocked, started by both; the lock; then what it did before */
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | HALF, SLOT_2 + 4, 6);
        for (unsigned i = 0; i < 2; i++) {
            n = put(out, n, MMIO_WRITE, AT_BAR | HALF, BAR_2 + 0xc, 0x80);
            n = put(out, n, MMIO_WRITE, AT_BAR | HALF, BAR_2 + 0xc, 0x86);
            n = put(out, n, MMIO_WRITE, AT_BAR | WORD, BAR_2 + (i ? 0xc : 0), i ? 0x300 : 0x1ff);
        }
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | HALF, SLOT_2 + 0x60, 4);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | BYTE, SLOT_2 + 0x68, 3);
        n = put(out, n, MMIO_WRITE, AT_SLOT_1 | BYTE, SLOT_2 + 0x68, 0);
        return put(out, n, MMIO_READ, AT_BAR | HALF, BAR_2 + 0xc, 0);
    case 4: /* the panic device: what it knows, and every bit of it */
        n = put(out, n, MMIO_WRITE, AT_SLOT_3 | HALF, 4, 6);
        n = put(out, n, MMIO_READ, AT_BAR | BYTE, BAR_3, 0);
        return put(out, n, MMIO_WRITE, AT_BAR | BYTE, BAR_3, 0xff);
    default:
        return 0;
    }
}
