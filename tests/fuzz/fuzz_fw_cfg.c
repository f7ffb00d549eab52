/* A guest's firmware against what it alone has: fw_cfg's ports and commands, and the chipset's ports. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/devices/chipset.h"
#include "vmm/devices/fw_cfg.h"

#define RECORD 12 /* what, width, where (2), value (8) */
#define MEMORY 0x8000u
#define GUARD  64u

enum action { PORT_READ, PORT_WRITE, POKE, ACTIONS };

/* Where port records point. */
static const uint16_t ports[] = {FW_CFG_PORT, 0xcf8, 0x600, 0x60};

static const uint8_t item[] = "what the machine has to say", file[300] = {1, 2, 3};
static unsigned ends;

static void no_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

static void end(void *context)
{
    (void)context;
    ends++;
}

static struct {
    uint8_t memory[MEMORY + GUARD]; /* the guard belongs to nobody */
    struct guest_memory view;
    struct bus bus;
    struct pci_bus pci;
    struct chipset chipset;
    struct fw_cfg fw_cfg;
} m;

static void set_up(void)
{
    memset(&m, 0, sizeof m);
    memset(m.memory + MEMORY, 0xa5, GUARD);
    m.chipset = (struct chipset){.power_off = end, .reset = end};
    pci_bus_init(&m.pci, (struct pci_window){CHIPSET_PCI_LOW, 1 << 20}, (struct msi_sink){no_message, NULL});
    fw_cfg_init(&m.fw_cfg, &m.view);
    fw_cfg_add(&m.fw_cfg, FW_CFG_KERNEL_DATA, (struct view){item, sizeof item});
    fw_cfg_add_file(&m.fw_cfg, "etc/file", (struct view){file, sizeof file});
    FUZZ_CHECK(guest_memory_add(&m.view, 0, MEMORY, m.memory, NULL) == 0 &&
               chipset_attach(&m.chipset, &m.pci, &m.bus, NULL) == 0 &&
               fw_cfg_map(&m.fw_cfg, &m.bus, NULL) == 0);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < GUARD; i++)
        FUZZ_CHECK(m.memory[MEMORY + i] == 0xa5);
    fw_cfg_destroy(&m.fw_cfg);
    chipset_destroy(&m.chipset);
    pci_bus_destroy(&m.pci);
}

static void act(const uint8_t *record)
{
    const unsigned len = 1u << (record[1] & 3), before = ends;
    const uint16_t where = le16(record + 2);
    const uint16_t port = (uint16_t)(ports[(record[1] >> 2) % (sizeof ports / sizeof *ports)] + where % 16);
    uint64_t value = le64(record + 4), got;
    switch (record[0] % ACTIONS) {
    case PORT_READ:
        if (bus_read(&m.bus, port, len, &got))
            FUZZ_CHECK(len == 8 || got >> 8 * len == 0);
        break;
    case PORT_WRITE:
        bus_write(&m.bus, port, len, value);
        break;
    default:
        memcpy(m.memory + where % (MEMORY - 8), &value, 8);
    }
    FUZZ_CHECK(ends - before <= 1);
    FUZZ_CHECK(m.fw_cfg.selected.len <= sizeof m.fw_cfg.directory);
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
    AT_PCI = 1 << 2,
    AT_POWER = 2 << 2,
    AT_KEYBOARD = 3 << 2,
    COMMAND = 0x1000
};

static uint64_t big(uint32_t first, uint32_t second)
{
    return __builtin_bswap32(first) | (uint64_t)__builtin_bswap32(second) << 32;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    size_t n = 0;
    switch (index) {
    case 0: /* the signature and the directory, byte by byte */
        n = put(out, n, PORT_WRITE, HALF, 0, FW_CFG_SIGNATURE);
        for (unsigned i = 0; i < 5; i++)
            n = put(out, n, PORT_READ, BYTE, 1, 0);
        n = put(out, n, PORT_WRITE, HALF, 0, FW_CFG_DIRECTORY);
        return put(out, n, PORT_READ, BYTE, 1, 0);
    case 1: /* a command that selects the file and reads it, up to the memory's last byte; one that skips; one that writes */
        for (unsigned i = 0; i < 3; i++) {
            const uint32_t control[] = {FW_CFG_FIRST_FILE << 16 | 8 | 2, 4,
                                        FW_CFG_KERNEL_DATA << 16 | 8 | 16};
            n = put(out, n, POKE, 0, COMMAND, big(control[i], 256));
            n = put(out, n, POKE, 0, COMMAND + 8, big(0, MEMORY - 256));
            n = put(out, n, PORT_WRITE, WORD, 4, 0);
            n = put(out, n, PORT_WRITE, WORD, 8, __builtin_bswap32(COMMAND));
        }
        return n;
    case 2: /* the chipset as OVMF sets it up */
        n = put(out, n, PORT_WRITE, AT_PCI | WORD, 0, 0x80000000);
        n = put(out, n, PORT_READ, AT_PCI | HALF, 6, 0);
        n = put(out, n, PORT_WRITE, AT_PCI | WORD, 0, 0x8000f840);
        n = put(out, n, PORT_WRITE, AT_PCI | WORD, 4, 0x601);
        n = put(out, n, PORT_READ, AT_POWER | WORD, 8, 0);
        n = put(out, n, PORT_WRITE, AT_POWER | HALF, 4, 0x2000);
        n = put(out, n, PORT_WRITE, AT_PCI | BYTE, 1, 6);
        return put(out, n, PORT_WRITE, AT_KEYBOARD | BYTE, 4, 0xfe);
    default:
        return 0;
    }
}
