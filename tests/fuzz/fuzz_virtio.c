/*
 * A guest against the virtio devices: configuration space, BAR, rings and buffers as the input says. The device's
 * thread is not started; its work is done in between, so that an input always does the same.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/devices/no_io_uring.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"
#include "vmm/devices/console.h"
#include "vmm/devices/entropy.h"
#include "vmm/devices/virtio_pci.h"
#include "vmm/devices/vsock.h"

#define MEMORY (1u << 16)
#define WINDOW 0xe0000000u
#define RINGS  0x4000u /* of one queue: table, then available, then used ring */
#define RECORD 12      /* what, width, address (2), value (8) */
#define DISK   (64 * 512)
#define QUEUE  16

enum action { CONFIG_WRITE, CONFIG_READ, BAR_WRITE, BAR_READ, MEMORY_WRITE, WORK, ACTIONS };

static uint8_t *memory;
static char disk[64], directory[] = "/tmp/cofre-fuzz-XXXXXX", sockets[64];
static int disk_fd, null_fd;

static void remove_directory(void)
{
    (void)rmdir(directory);
}

static void prepare(void)
{
    no_io_uring(); /* so that a request has ended when its queue was served */
    memory = aligned_alloc(4096, MEMORY);
    disk_fd = memfd_create("disk", 0);
    null_fd = open("/dev/null", O_WRONLY);
    if (!memory || disk_fd < 0 || ftruncate(disk_fd, DISK) || null_fd < 0 || !mkdtemp(directory))
        abort();
    snprintf(disk, sizeof disk, "/proc/self/fd/%d", disk_fd);
    snprintf(sockets, sizeof sockets, "%s/vsock", directory);
    (void)atexit(remove_directory);
}

static struct virtio_device *new_device(uint8_t which)
{
    struct virtio_device *device = NULL;
    struct cofre_err err;
    int rc = 0;
    switch (which % 4) {
    case 0:
        rc = virtio_block_new(&device, disk, &err);
        break;
    case 1:
        rc = virtio_console_new(&device, -1, null_fd, &err);
        break;
    case 2:
        rc = virtio_entropy_new(&device, &err);
        break;
    default:
        rc = virtio_vsock_new(&device, 3, sockets, &err);
        break;
    }
    if (rc)
        abort();
    return device;
}

static void set_going(struct virtio_device *device, struct pci_bus *pci)
{
    pci_config_write(pci, 1, 0x04, 2, 6); /* memory decoding, bus master */
    device->driver_features = virtio_offered(device);
    virtio_set_status(device, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    for (unsigned i = 0; i < device->queues; i++) {
        uint64_t base = i * RINGS;
        device->queue[i].rings = (struct queue_rings){QUEUE, base, base + 0x1000, base + 0x2000};
        virtio_enable_queue(device, &device->queue[i]);
    }
    virtio_set_status(device, STATUS_DRIVER_OK);
}

static void discard_message(void *context, uint64_t address, uint32_t data)
{
    (void)context;
    (void)address;
    (void)data;
}

static void act(struct virtio_device *device, struct pci_bus *pci, const uint8_t *record)
{
    unsigned len = 1u << (record[1] & 3);
    uint16_t address = le16(record + 2);
    uint64_t value = le64(record + 4);
    switch (record[0] % ACTIONS) {
    case CONFIG_WRITE:
        pci_config_write(pci, 1, address, len, (uint32_t)value);
        break;
    case CONFIG_READ:
        (void)pci_config_read(pci, 1, address, len);
        break;
    case BAR_WRITE:
        pci_bar_write(&device->pci, address % BAR_SIZE, len, value);
        break;
    case BAR_READ:
        (void)pci_bar_read(&device->pci, address % BAR_SIZE, len);
        break;
    case MEMORY_WRITE:
        if (address <= MEMORY - 8)
            put_le64(memory + address, value);
        break;
    default:
        for (unsigned i = 0; i < device->queues; i++)
            if (value & 1u << i)
                device->queue[i].kick.ready(device->queue[i].kick.context, 0);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_memory mem = {0};
    struct pci_bus pci;
    struct stat st;
    if (size == 0)
        return 0;
    if (!memory)
        prepare();
    memset(memory, 0, MEMORY);
    struct virtio_device *device = new_device(data[0]);
    pci_bus_init(&pci, (struct pci_window){WINDOW, 0x100000}, (struct msi_sink){discard_message, NULL});
    if (guest_memory_add(&mem, 0, MEMORY, memory, NULL) || virtio_plug(device, &pci, &mem, NULL))
        abort();
    set_going(device, &pci);
    for (size_t at = 1; at + RECORD <= size; at += RECORD)
        act(device, &pci, data + at);
    FUZZ_CHECK(!(device->status & STATUS_DRIVER_OK) || (device->status & STATUS_FEATURES_OK));
    FUZZ_CHECK((virtio_offered(device) | device->driver_features) == virtio_offered(device) ||
               !(device->status & STATUS_FEATURES_OK));
    FUZZ_CHECK(fstat(disk_fd, &st) == 0 && st.st_size == DISK);
    virtio_free(device);
    pci_bus_destroy(&pci);
    return 0;
}

static size_t put_record(uint8_t *out, enum action what, unsigned width, uint16_t address, uint64_t value)
{
    out[0] = (uint8_t)what;
    out[1] = (uint8_t)width;
    put_le16(out + 2, address);
    put_le64(out + 4, value);
    return RECORD;
}

/* A request of a readable and a writable buffer in queue 0, and one in queue 1, both served; then each kind of access. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    size_t n = 1;
    if (index >= 4)
        return 0;
    out[0] = (uint8_t)index;
    for (uint16_t queue = 0; queue < 2; queue++) {
        uint16_t base = (uint16_t)(queue * RINGS), buffer = (uint16_t)(base + 0x3000);
        n += put_record(out + n, MEMORY_WRITE, 3, base, buffer);
        n += put_record(out + n, MEMORY_WRITE, 3, base + 8, 44 | 1ull << 32 | 1ull << 48);
        n += put_record(out + n, MEMORY_WRITE, 3, base + 16, buffer + 0x100);
        n += put_record(out + n, MEMORY_WRITE, 3, base + 24, 513 | 2ull << 32);
        n += put_record(out + n, MEMORY_WRITE, 3, buffer, 3);     /* vsock: source CID; block: unknown type */
        n += put_record(out + n, MEMORY_WRITE, 3, buffer + 8, 2); /* destination CID; sector */
        n += put_record(out + n, MEMORY_WRITE, 3, buffer + 28, 1 | 1ull << 16); /* a stream's request */
        n += put_record(out + n, MEMORY_WRITE, 3, base + 0x1000, 1ull << 16);
        n += put_record(out + n, WORK, 0, 0, 3);
    }
    n += put_record(out + n, MEMORY_WRITE, 3, 0x3000, 0); /* block: a read */
    n += put_record(out + n, MEMORY_WRITE, 3, 0x1000, 2ull << 16);
    n += put_record(out + n, WORK, 0, 0, 1);
    n += put_record(out + n, CONFIG_WRITE, 2, 0x10, UINT32_MAX);
    n += put_record(out + n, CONFIG_READ, 2, 0x98, 0);
    n += put_record(out + n, BAR_WRITE, 2, BAR_MSIX_TABLE + 12, 0);
    n += put_record(out + n, BAR_READ, 3, BAR_COMMON + 0x20, 0);
    return n + put_record(out + n, BAR_WRITE, 0, BAR_COMMON + 0x14, 0);
}
