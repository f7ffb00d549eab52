#include "vmm/devices/pci.h"

#include <assert.h>
#include <string.h>

#include "vmm/base/bytes.h"

/* PCI Local Bus 3.0, 6.1: header type 0. */
enum {
    CONFIG_VENDOR = 0x00,
    CONFIG_DEVICE = 0x02,
    CONFIG_COMMAND = 0x04,
    CONFIG_STATUS = 0x06,
    CONFIG_REVISION = 0x08,
    CONFIG_CLASS = 0x09,
    CONFIG_BAR0 = 0x10,
    CONFIG_SUBSYSTEM_VENDOR = 0x2c,
    CONFIG_SUBSYSTEM = 0x2e,
    CONFIG_CAPABILITIES = 0x34,
    CONFIG_INTERRUPT_LINE = 0x3c,
    CONFIG_HEADER_END = 0x40,
};

enum {
    COMMAND_MEMORY = 1 << 1,
    COMMAND_MASTER = 1 << 2,
    COMMAND_INTX_OFF = 1 << 10,
    STATUS_CAPABILITIES = 1 << 4
};

#define CAPABILITY_MSIX 0x11
enum {
    MSIX_CONTROL = 2,
    MSIX_MASK_ALL = 1 << 14,
    MSIX_ENABLE = 1 << 15,
    MSIX_ENTRY_MASKED = 1,
    MSIX_ENTRY_SIZE = 16
};

void pci_function_init(struct pci_function *fn, const char *name, const struct pci_identity *identity,
                       uint32_t bar_size, const struct pci_function_ops *ops, void *device)
{
    assert((bar_size & (bar_size - 1)) == 0);
    *fn = (struct pci_function){.name = name,
                                .ops = ops,
                                .device = device,
                                .bar_size = bar_size,
                                .last_capability = CONFIG_CAPABILITIES - 1,
                                .capability_end = CONFIG_HEADER_END};
    pthread_mutex_init(&fn->lock, NULL);
    put_le16(fn->config + CONFIG_VENDOR, identity->vendor);
    put_le16(fn->config + CONFIG_DEVICE, identity->device);
    put_le32(fn->config + CONFIG_REVISION, identity->class_code << 8 | identity->revision);
    put_le16(fn->config + CONFIG_SUBSYSTEM_VENDOR, identity->subsystem_vendor);
    put_le16(fn->config + CONFIG_SUBSYSTEM, identity->subsystem);
    put_le16(fn->writable + CONFIG_COMMAND, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF);
    fn->writable[CONFIG_INTERRUPT_LINE] = 0xff;
    if (bar_size)
        put_le32(fn->writable + CONFIG_BAR0,
                 ~(bar_size - 1)); /* so the size shows when all ones are written */
}

void pci_function_destroy(struct pci_function *fn)
{
    pthread_mutex_destroy(&fn->lock);
}

unsigned pci_capability_add(struct pci_function *fn, uint8_t id, const void *body, const void *writable,
                            unsigned len)
{
    unsigned offset = fn->capability_end;
    assert(offset + 2 + len <= PCI_CONFIG_SIZE);
    fn->config[offset] = id;
    memcpy(fn->config + offset + 2, body, len);
    if (writable)
        memcpy(fn->writable + offset + 2, writable, len);
    fn->config[fn->last_capability + 1] = (uint8_t)offset;
    put_le16(fn->config + CONFIG_STATUS, STATUS_CAPABILITIES);
    fn->last_capability = offset;
    fn->capability_end = (offset + 2 + len + 3) & ~3u;
    return offset;
}

void pci_config_allow(struct pci_function *fn, unsigned offset, uint8_t writable)
{
    assert(offset >= fn->capability_end && offset < PCI_CONFIG_SIZE);
    fn->writable[offset] = writable;
}

void pci_msix_add(struct pci_function *fn, unsigned vectors, uint32_t table, uint32_t pba)
{
    assert(vectors > 0 && vectors <= PCI_MSIX_VECTORS);
    uint8_t body[10],
        writable[10] = {0}; /* control, table and PBA; the BAR indicator in their low bits is 0 */
    put_le16(body, (uint16_t)(vectors - 1));
    put_le32(body + 2, table);
    put_le32(body + 6, pba);
    put_le16(writable, MSIX_ENABLE | MSIX_MASK_ALL);
    fn->msix = pci_capability_add(fn, CAPABILITY_MSIX, body, writable, sizeof body);
    fn->msix_vectors = vectors;
    fn->msix_table = table;
    fn->msix_pba = pba;
    for (unsigned i = 0; i < vectors; i++)
        fn->entry[i].control = MSIX_ENTRY_MASKED;
}

/* A message is a write to memory, so it needs a master. */
const struct pci_msix_entry *pci_msix_open(const struct pci_function *fn, unsigned vector)
{
    if (vector >= fn->msix_vectors)
        return NULL;
    uint16_t control = le16(fn->config + fn->msix + MSIX_CONTROL);
    bool master = le16(fn->config + CONFIG_COMMAND) & COMMAND_MASTER;
    bool open = master && (control & MSIX_ENABLE) && !(control & MSIX_MASK_ALL) &&
                !(fn->entry[vector].control & MSIX_ENTRY_MASKED);
    return open ? &fn->entry[vector] : NULL;
}

/* Under the lock: sends what is pending and no longer masked. */
static void msix_deliver(struct pci_function *fn)
{
    for (unsigned i = 0; fn->pending && i < fn->msix_vectors; i++) {
        const struct pci_msix_entry *entry = fn->pending & 1ull << i ? pci_msix_open(fn, i) : NULL;
        if (!entry)
            continue;
        fn->pending &= ~(1ull << i);
        fn->bus->sink.send(fn->bus->sink.context, entry->address, entry->data);
    }
}

void pci_msix_raise(struct pci_function *fn, unsigned vector)
{
    if (vector >= fn->msix_vectors)
        return;
    pthread_mutex_lock(&fn->lock);
    if (le16(fn->config + fn->msix + MSIX_CONTROL) & MSIX_ENABLE) {
        fn->pending |= 1ull << vector;
        msix_deliver(fn);
    }
    pthread_mutex_unlock(&fn->lock);
}

/* Table and PBA take whole doublewords and quadwords, aligned (PCI Local Bus 3.0, 6.8.2). */
static bool msix_access(const struct pci_function *fn, uint64_t offset, unsigned len, uint32_t base,
                        uint64_t size)
{
    return fn->msix_vectors && offset >= base && offset < base + size && (len == 4 || len == 8) &&
           offset % len == 0;
}

static uint64_t table_read(struct pci_function *fn, uint64_t offset, unsigned len)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)fn->entry + offset, len);
    return value;
}

static void table_write(struct pci_function *fn, uint64_t offset, unsigned len, uint64_t value)
{
    memcpy((uint8_t *)fn->entry + offset, &value, len);
    fn->entry[offset / MSIX_ENTRY_SIZE].control &= MSIX_ENTRY_MASKED;
    pci_shortcuts_update(fn);
    msix_deliver(fn);
}
static_assert(sizeof(struct pci_msix_entry) == MSIX_ENTRY_SIZE, "PCI Local Bus 3.0, 6.8.2");
static_assert(PCI_MSIX_VECTORS <= 64, "the PBA is one quadword");

uint64_t pci_bar_read(struct pci_function *fn, uint64_t offset, unsigned len)
{
    uint64_t value;
    pthread_mutex_lock(&fn->lock);
    bool table = msix_access(fn, offset, len, fn->msix_table, fn->msix_vectors * MSIX_ENTRY_SIZE);
    bool pba = msix_access(fn, offset, len, fn->msix_pba, sizeof fn->pending);
    if (table)
        value = table_read(fn, offset - fn->msix_table, len);
    else
        value = fn->pending >> (offset % 8 * 8);
    pthread_mutex_unlock(&fn->lock);
    return table || pba ? value : fn->ops->bar.read(fn->device, offset, len);
}

void pci_bar_write(struct pci_function *fn, uint64_t offset, unsigned len, uint64_t value)
{
    pthread_mutex_lock(&fn->lock);
    bool table = msix_access(fn, offset, len, fn->msix_table, fn->msix_vectors * MSIX_ENTRY_SIZE);
    if (table)
        table_write(fn, offset - fn->msix_table, len, value);
    pthread_mutex_unlock(&fn->lock);
    if (!table)
        fn->ops->bar.write(fn->device, offset, len, value);
}

void pci_config_peek(struct pci_function *fn, unsigned offset, void *out, unsigned len)
{
    pthread_mutex_lock(&fn->lock);
    memcpy(out, fn->config + offset, len);
    pthread_mutex_unlock(&fn->lock);
}

void pci_config_poke(struct pci_function *fn, unsigned offset, const void *data, unsigned len)
{
    pthread_mutex_lock(&fn->lock);
    memcpy(fn->config + offset, data, len);
    pthread_mutex_unlock(&fn->lock);
}

static struct pci_function *function_at(const struct pci_bus *pci, unsigned slot, unsigned offset,
                                        unsigned len)
{
    bool whole = (len == 1 || len == 2 || len == 4) && offset % 4 + len <= 4 && offset < PCI_CONFIG_SIZE;
    return whole && slot < PCI_SLOTS ? pci->slot[slot] : NULL;
}

uint32_t pci_config_read(struct pci_bus *pci, unsigned slot, unsigned offset, unsigned len)
{
    struct pci_function *fn = function_at(pci, slot, offset, len);
    uint32_t value = 0;
    if (!fn)
        return UINT32_MAX;
    if (fn->ops && fn->ops->config_access)
        fn->ops->config_access(fn->device, offset, len, false);
    pci_config_peek(fn, offset, &value, len);
    return value;
}

void pci_config_write(struct pci_bus *pci, unsigned slot, unsigned offset, unsigned len, uint32_t value)
{
    struct pci_function *fn = function_at(pci, slot, offset, len);
    if (!fn)
        return;
    pthread_mutex_lock(&fn->lock);
    for (unsigned i = 0; i < len; i++) {
        uint8_t mask = fn->writable[offset + i], byte = (uint8_t)(value >> (8 * i));
        fn->config[offset + i] = (uint8_t)((fn->config[offset + i] & ~mask) | (byte & mask));
    }
    pci_shortcuts_update(fn);
    msix_deliver(fn); /* the write may have unmasked */
    pthread_mutex_unlock(&fn->lock);
    if (fn->ops && fn->ops->config_access)
        fn->ops->config_access(fn->device, offset, len, true);
}

void pci_bus_init(struct pci_bus *pci, struct pci_window window, struct msi_sink sink)
{
    /* The generic host bridge that 1b36 (Red Hat) gives to virtual machines: Linux knows no quirks for it. */
    static const struct pci_identity host_bridge = {0x1b36, 0x0008, 0, 0, 0x060000, 0};
    *pci = (struct pci_bus){.window = window, .next_free = window.base, .sink = sink};
    pci_function_init(&pci->host_bridge, "host bridge", &host_bridge, 0, NULL, NULL);
    pci->slot[0] = &pci->host_bridge;
}

void pci_bus_destroy(struct pci_bus *pci)
{
    pci_function_destroy(&pci->host_bridge);
}

int pci_bus_add(struct pci_bus *pci, struct pci_function *fn, struct cofre_err *err)
{
    unsigned slot = 0;
    while (slot < PCI_SLOTS && pci->slot[slot])
        slot++;
    if (slot == PCI_SLOTS)
        return cofre_fail(err, COFRE_FAILED, "%s: all %d slots of the PCI bus are taken", fn->name,
                          PCI_SLOTS);
    uint64_t mask = fn->bar_size ? fn->bar_size - 1 : 0;
    uint64_t base = (pci->next_free + mask) & ~mask;
    if (base + fn->bar_size > (uint64_t)pci->window.base + pci->window.len)
        return cofre_fail(err, COFRE_FAILED, "%s: no room for %u bytes in the PCI window", fn->name,
                          fn->bar_size);
    if (fn->bar_size)
        put_le32(fn->config + CONFIG_BAR0, (uint32_t)base);
    pci->next_free = (uint32_t)(base + fn->bar_size);
    fn->bus = pci;
    pci->slot[slot] = fn;
    return 0;
}

/* The guest may move a BAR, also to where the bus has no window, or switch its decoding off. */
bool pci_bar_decoded(const struct pci_function *fn, uint64_t *base)
{
    const struct pci_window *window = &fn->bus->window;
    *base = le32(fn->config + CONFIG_BAR0);
    return fn->bar_size && (le16(fn->config + CONFIG_COMMAND) & COMMAND_MEMORY) && *base >= window->base &&
           *base + fn->bar_size <= (uint64_t)window->base + window->len;
}

/* So the function is looked up at each access. */
static struct pci_function *function_decoding(struct pci_bus *pci, uint64_t address, unsigned len,
                                              uint64_t *offset)
{
    for (unsigned i = 0; i < PCI_SLOTS; i++) {
        struct pci_function *fn = pci->slot[i];
        uint64_t base;
        if (!fn || !fn->bar_size)
            continue;
        pthread_mutex_lock(&fn->lock);
        bool decoded = pci_bar_decoded(fn, &base);
        pthread_mutex_unlock(&fn->lock);
        *offset = address - base;
        if (decoded && address >= base && *offset < fn->bar_size && len <= fn->bar_size - *offset)
            return fn;
    }
    return NULL;
}

static uint64_t window_read(void *device, uint64_t offset, unsigned len)
{
    struct pci_bus *pci = device;
    struct pci_function *fn = function_decoding(pci, pci->window.base + offset, len, &offset);
    return fn ? pci_bar_read(fn, offset, len) : UINT64_MAX;
}

static void window_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct pci_bus *pci = device;
    struct pci_function *fn = function_decoding(pci, pci->window.base + offset, len, &offset);
    if (fn)
        pci_bar_write(fn, offset, len, value);
}

int pci_bus_map_window(struct pci_bus *pci, struct bus *mmio, struct cofre_err *err)
{
    static const struct bus_ops ops = {window_read, window_write};
    return bus_add(mmio, &(struct bus_range){"PCI window", pci->window.base, pci->window.len, &ops, pci},
                   err);
}

/* An ECAM offset names bus, device, function and offset. Only function 0 of bus 0's devices can exist. */
static unsigned ecam_slot(uint64_t offset)
{
    return offset >> 12 & 7 || offset >> 20 ? PCI_SLOTS : (unsigned)(offset >> 15 & 31);
}

static uint64_t ecam_read(void *device, uint64_t offset, unsigned len)
{
    return pci_config_read(device, ecam_slot(offset), offset & 0xfff, len);
}

static void ecam_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    pci_config_write(device, ecam_slot(offset), offset & 0xfff, len, (uint32_t)value);
}

int pci_bus_map_ecam(struct pci_bus *pci, struct bus *mmio, uint64_t base, uint64_t len,
                     struct cofre_err *err)
{
    static const struct bus_ops ops = {ecam_read, ecam_write};
    return bus_add(mmio, &(struct bus_range){"PCI configuration space", base, len, &ops, pci}, err);
}
