#include "tests/fuzz/hostile_guest.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/bytes.h"

#define WINDOW    0xe0000000u
#define QUEUE     16
#define ROOM      0x400 /* before a request's writable part */
#define LINES_MAX 64    /* log lines that one input may cause */

static void discard_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

void hostile_plug(struct hostile *guest)
{
    struct virtio_device *device = guest->device;
    const int file = memfd_create("guest", MFD_CLOEXEC); /* a back end could have it, too */
    FUZZ_CHECK(file >= 0 && ftruncate(file, HOSTILE_MEMORY) == 0);
    guest->memory = mmap(NULL, HOSTILE_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pci_bus_init(&guest->pci, (struct pci_window){WINDOW, 0x100000},
                 (struct msi_sink){discard_message, NULL});
    FUZZ_CHECK(guest->memory != MAP_FAILED &&
               guest_memory_add_file(&guest->view, 0, HOSTILE_MEMORY, guest->memory, file, 0, NULL) == 0 &&
               virtio_attach(device, &guest->pci, &guest->view, NULL) == 0);
    memcpy(guest->config, device->pci.config, sizeof guest->config);
    memcpy(guest->entry, device->pci.entry, sizeof guest->entry);
}

void hostile_work(struct hostile *guest)
{
    struct virtio_device *device = guest->device;
    for (unsigned i = 0; i < device->threads; i++)
        for (unsigned n = 0; n < HOSTILE_WORK_MAX && loop_turn(&device->loop[i], 0); n++)
            continue;
}

static void set_back(struct hostile *guest)
{
    struct virtio_device *device = guest->device;
    pci_bar_write(&device->pci, BAR_COMMON + 0x14, 1, 0); /* reset */
    hostile_work(guest);
    memcpy(device->pci.config, guest->config, sizeof guest->config);
    memcpy(device->pci.entry, guest->entry, sizeof guest->entry);
    device->pci.pending = 0;
    device->complaints.said = 0;
    device->generation = 0;
    memset(guest->memory, 0, HOSTILE_MEMORY);
}

static void set_going(struct hostile *guest, unsigned how)
{
    struct virtio_device *device = guest->device;
    uint64_t left_out = (how & WITHOUT_EVENT_IDX ? 1ull << FEATURE_EVENT_IDX : 0) |
                        (how & WITHOUT_INDIRECT ? 1ull << FEATURE_INDIRECT : 0) |
                        (how & PACKED ? 0 : 1ull << FEATURE_RING_PACKED) |
                        (how & WITHOUT_OWN_FEATURES ? device->features : 0);
    pci_config_write(&guest->pci, 1, 0x04, 2, 6); /* memory decoding, bus master */
    virtio_lock(device);
    device->driver_features = virtio_offered(device) & ~left_out;
    virtio_set_status(device, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    for (unsigned i = 0; i < device->queues; i++) {
        uint64_t base = i % (HOSTILE_MEMORY / HOSTILE_RINGS) * HOSTILE_RINGS;
        device->queue[i].rings = (struct queue_rings){QUEUE, base, base + 0x1000, base + 0x2000};
        virtio_enable_queue(device, &device->queue[i]);
    }
    virtio_set_status(device, STATUS_DRIVER_OK);
    virtio_unlock(device);
}

static void act(struct hostile *guest, const uint8_t *record)
{
    struct virtio_device *device = guest->device;
    unsigned len = 1u << (record[1] & 3);
    uint16_t address = le16(record + 2);
    uint64_t value = le64(record + 4);
    switch (record[0] % HOSTILE_ACTIONS) {
    case CONFIG_WRITE:
        pci_config_write(&guest->pci, 1, address, len, (uint32_t)value);
        break;
    case CONFIG_READ:
        (void)pci_config_read(&guest->pci, 1, address, len);
        break;
    case BAR_WRITE:
        pci_bar_write(&device->pci, address % BAR_SIZE, len, value);
        break;
    case BAR_READ:
        (void)pci_bar_read(&device->pci, address % BAR_SIZE, len);
        break;
    case MEMORY_WRITE:
        if (address <= HOSTILE_MEMORY - 8)
            put_le64(guest->memory + address, value);
        break;
    case NOTIFY:
        virtio_notify(device, (unsigned)value & 31);
        break;
    case OTHER:
        if (guest->other)
            guest->other(record);
        break;
    default:
        hostile_work(guest);
        break;
    }
}

void hostile_play(struct hostile *guest, const uint8_t *data, size_t size)
{
    struct virtio_device *device = guest->device;
    const unsigned lines = fuzz_log_lines;
    set_back(guest);
    if (size == 0)
        return;
    if (!(data[0] & WITHOUT_DRIVER))
        set_going(guest, data[0]);
    for (size_t at = 1; at + HOSTILE_RECORD <= size; at += HOSTILE_RECORD)
        act(guest, data + at);
    FUZZ_CHECK(!(device->status & STATUS_DRIVER_OK) || (device->status & STATUS_FEATURES_OK));
    FUZZ_CHECK(!(device->status & STATUS_FEATURES_OK) ||
               !(device->driver_features & ~virtio_offered(device)));
    FUZZ_CHECK(fuzz_log_lines - lines <= LINES_MAX);
}

size_t hostile_put(uint8_t *out, size_t n, enum hostile_action what, unsigned width, uint16_t address,
                   uint64_t value)
{
    out[n] = (uint8_t)what;
    out[n + 1] = (uint8_t)width;
    put_le16(out + n + 2, address);
    put_le64(out + n + 4, value);
    return n + HOSTILE_RECORD;
}

enum { NEXT = 1, WRITE = 2, AVAILABLE = 1 << 7 };

/* Of the split ring: address, length, flags, next; of the packed: address, length, id, flags. */
static size_t put_descriptor(uint8_t *out, size_t n, uint16_t at, uint64_t address, uint32_t len,
                             uint16_t third, uint16_t fourth)
{
    n = hostile_put(out, n, MEMORY_WRITE, 3, at, address);
    return hostile_put(out, n, MEMORY_WRITE, 3, at + 8, len | (uint64_t)third << 32 | (uint64_t)fourth << 48);
}

static size_t put_split(uint8_t *out, size_t n, unsigned queue, unsigned nth, uint16_t buffer, uint32_t len,
                        uint32_t writable)
{
    const uint16_t base = (uint16_t)(queue * HOSTILE_RINGS), first = (uint16_t)(2 * nth % QUEUE);
    const uint16_t at = (uint16_t)(base + 16 * first);
    if (len)
        n = put_descriptor(out, n, at, buffer, len, writable ? NEXT : 0, first + 1);
    if (writable)
        n = put_descriptor(out, n, len ? at + 16 : at, buffer + ROOM, writable, WRITE, 0);
    /* The ring's entry, then its index: eight bytes are written where two count, over what is zero or of no use. */
    n = hostile_put(out, n, MEMORY_WRITE, 3, (uint16_t)(base + 0x1004 + 2 * nth), first);
    return hostile_put(out, n, MEMORY_WRITE, 3, base + 0x1000 - 4, (uint64_t)(nth + 1) << 48);
}

/* Each request has two descriptors in the ring, in its first round: the second of a request without one is empty. */
static size_t put_packed(uint8_t *out, size_t n, unsigned queue, unsigned nth, uint16_t buffer, uint32_t len,
                         uint32_t writable)
{
    const uint16_t at = (uint16_t)(queue * HOSTILE_RINGS + 32 * nth % (16 * QUEUE));
    if (!len)
        return put_descriptor(out, n, (uint16_t)(queue * HOSTILE_RINGS + 16 * nth), buffer + ROOM, writable,
                              (uint16_t)nth, AVAILABLE | WRITE);
    n = put_descriptor(out, n, at + 16, buffer + ROOM, writable, (uint16_t)nth,
                       AVAILABLE | (writable ? WRITE : 0));
    return put_descriptor(out, n, at, buffer, len, (uint16_t)nth, AVAILABLE | NEXT);
}

size_t hostile_put_request(uint8_t *out, size_t n, unsigned queue, unsigned nth, const void *readable,
                           uint32_t len, uint32_t writable)
{
    const uint16_t buffer = (uint16_t)(queue * HOSTILE_RINGS + 0x3000 + nth % 2 * 0x800);
    uint8_t bytes[ROOM + 8] = {0};
    FUZZ_CHECK(len <= ROOM);
    memcpy(bytes, readable, len);
    for (uint32_t at = 0; at < len; at += 8)
        n = hostile_put(out, n, MEMORY_WRITE, 3, (uint16_t)(buffer + at), le64(bytes + at));
    n = (out[0] & PACKED ? put_packed : put_split)(out, n, queue, nth, buffer, len, writable);
    n = hostile_put(out, n, NOTIFY, 0, 0, queue);
    return hostile_put(out, n, WORK, 0, 0, 0);
}

size_t hostile_put_housekeeping(uint8_t *out, size_t n)
{
    n = hostile_put(out, n, CONFIG_WRITE, 2, 0x10, UINT32_MAX);
    n = hostile_put(out, n, CONFIG_READ, 2, 0x98, 0);
    n = hostile_put(out, n, BAR_WRITE, 2, BAR_MSIX_TABLE + 12, 0);
    n = hostile_put(out, n, BAR_READ, 3, BAR_COMMON + 0x20, 0);
    n = hostile_put(out, n, BAR_READ, 2, BAR_CONFIG, 0);
    return hostile_put(out, n, BAR_WRITE, 0, BAR_COMMON + 0x14, 0);
}
