#include "vmm/devices/virtio_pci.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/bytes.h"

#define VENDOR_VIRTIO     0x1af4
#define DEVICE_MODERN     0x1040 /* plus the virtio device ID (4.1.2) */
#define CAPABILITY_VENDOR 0x09

/* virtio 1.2, 4.1.4: what a capability points to. */
enum capability_type { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_ISR = 3, CFG_DEVICE = 4, CFG_PCI = 5 };

/* virtio 1.2, 4.1.4.3: struct virtio_pci_common_cfg. */
enum common_field {
    COMMON_DEVICE_FEATURE_SELECT = 0x00,
    COMMON_DEVICE_FEATURE = 0x04,
    COMMON_DRIVER_FEATURE_SELECT = 0x08,
    COMMON_DRIVER_FEATURE = 0x0c,
    COMMON_CONFIG_VECTOR = 0x10,
    COMMON_NUM_QUEUES = 0x12,
    COMMON_STATUS = 0x14,
    COMMON_GENERATION = 0x15,
    COMMON_QUEUE_SELECT = 0x16,
    COMMON_QUEUE_SIZE = 0x18,
    COMMON_QUEUE_VECTOR = 0x1a,
    COMMON_QUEUE_ENABLE = 0x1c,
    COMMON_QUEUE_NOTIFY_OFF = 0x1e,
    COMMON_QUEUE_DESC = 0x20,
    COMMON_QUEUE_DRIVER = 0x28,
    COMMON_QUEUE_DEVICE = 0x30,
    COMMON_SIZE = 0x38,
};

/* The capability's fields after its id and next pointer: cap_len, cfg_type, bar, id, padding, offset, length,
 * and for some more. Offsets here are from the capability's start. */
enum {
    CAP_LEN = 2,
    CAP_TYPE = 3,
    CAP_BAR = 4,
    CAP_OFFSET = 8,
    CAP_LENGTH = 12,
    CAP_EXTRA = 16,
    CAP_MAX = 20
};

static unsigned add_capability(struct virtio_device *virtio, enum capability_type type, uint32_t offset,
                               uint32_t length, unsigned len, const uint8_t *writable)
{
    uint8_t cap[CAP_MAX] = {0};
    cap[CAP_LEN] = (uint8_t)len;
    cap[CAP_TYPE] = (uint8_t)type;
    put_le32(cap + CAP_OFFSET, offset);
    put_le32(cap + CAP_LENGTH, length);
    if (type == CFG_NOTIFY)
        put_le32(cap + CAP_EXTRA, NOTIFY_MULTIPLIER);
    return pci_capability_add(&virtio->pci, CAPABILITY_VENDOR, cap + 2, writable ? writable + 2 : NULL,
                              len - 2);
}

static struct virtio_queue *selected(struct virtio_device *virtio)
{
    return virtio->queue_select < virtio->queues ? &virtio->queue[virtio->queue_select] : NULL;
}

static uint32_t half(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

/* The whole structure as it reads now; a driver's access takes its part. */
static void common_image(struct virtio_device *virtio, uint8_t image[COMMON_SIZE])
{
    const struct virtio_queue *q = selected(virtio);
    memset(image, 0, COMMON_SIZE);
    put_le32(image + COMMON_DEVICE_FEATURE_SELECT, virtio->device_feature_select);
    put_le32(image + COMMON_DEVICE_FEATURE, half(virtio_offered(virtio), virtio->device_feature_select));
    put_le32(image + COMMON_DRIVER_FEATURE_SELECT, virtio->driver_feature_select);
    put_le32(image + COMMON_DRIVER_FEATURE, half(virtio->driver_features, virtio->driver_feature_select));
    put_le16(image + COMMON_CONFIG_VECTOR, virtio->config_vector);
    put_le16(image + COMMON_NUM_QUEUES, (uint16_t)virtio->queues);
    image[COMMON_STATUS] = virtio->status;
    image[COMMON_GENERATION] = virtio->generation;
    put_le16(image + COMMON_QUEUE_SELECT, virtio->queue_select);
    if (!q)
        return;
    put_le16(image + COMMON_QUEUE_SIZE, q->rings.size);
    put_le16(image + COMMON_QUEUE_VECTOR, q->vector);
    put_le16(image + COMMON_QUEUE_ENABLE, q->enabled);
    put_le16(image + COMMON_QUEUE_NOTIFY_OFF, virtio->queue_select);
    put_le64(image + COMMON_QUEUE_DESC, q->rings.desc);
    put_le64(image + COMMON_QUEUE_DRIVER, q->rings.avail);
    put_le64(image + COMMON_QUEUE_DEVICE, q->rings.used);
}

static void set_driver_feature(struct virtio_device *virtio, uint32_t value)
{
    uint32_t select = virtio->driver_feature_select;
    if (select > 1 || (virtio->status & STATUS_FEATURES_OK))
        return;
    virtio->driver_features &= ~(0xffffffffull << (32 * select));
    virtio->driver_features |= (uint64_t)value << (32 * select);
}

static uint16_t vector_or_none(const struct virtio_device *virtio, uint16_t vector)
{
    return vector < virtio->pci.msix_vectors ? vector : NO_VECTOR;
}

/* Fields of the device as a whole; each is written in its own width (4.1.3.1). */
static void write_device_field(struct virtio_device *virtio, unsigned offset, uint32_t value)
{
    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        virtio->device_feature_select = value;
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        virtio->driver_feature_select = value;
        break;
    case COMMON_DRIVER_FEATURE:
        set_driver_feature(virtio, value);
        break;
    case COMMON_CONFIG_VECTOR:
        virtio->config_vector = vector_or_none(virtio, (uint16_t)value);
        break;
    case COMMON_STATUS:
        virtio_set_status(virtio, (uint8_t)value);
        break;
    case COMMON_QUEUE_SELECT:
        virtio->queue_select = (uint16_t)value;
        break;
    default:
        break;
    }
}

/* Sizes and addresses are checked when the queue is enabled; from then on they stay. */
static void write_queue_field(struct virtio_device *virtio, struct virtio_queue *q, unsigned offset,
                              uint32_t value)
{
    uint64_t *address[] = {&q->rings.desc, &q->rings.avail, &q->rings.used};
    if (offset == COMMON_QUEUE_VECTOR)
        virtio_set_vector(virtio, q, vector_or_none(virtio, (uint16_t)value));
    else if (offset == COMMON_QUEUE_ENABLE && value == 1)
        virtio_enable_queue(virtio, q);
    else if (offset == COMMON_QUEUE_SIZE && !q->enabled && value <= virtio->ops->queue_size)
        q->rings.size = (uint16_t)value;
    else if (offset >= COMMON_QUEUE_DESC && !q->enabled)
        memcpy((uint8_t *)address[(offset - COMMON_QUEUE_DESC) / 8] + offset % 8, &value, 4);
}

static unsigned width_of(unsigned offset)
{
    if (offset < COMMON_CONFIG_VECTOR || offset >= COMMON_QUEUE_DESC)
        return 4;
    return offset == COMMON_STATUS || offset == COMMON_GENERATION ? 1 : 2;
}

static void common_write(struct virtio_device *virtio, unsigned offset, unsigned len, uint64_t value)
{
    struct virtio_queue *q = selected(virtio);
    if (len == 8 && offset >= COMMON_QUEUE_DESC) { /* a driver may write an address at once */
        common_write(virtio, offset, 4, (uint32_t)value);
        common_write(virtio, offset + 4, 4, value >> 32);
        return;
    }
    unsigned width = width_of(offset);
    if (len != width || offset % width || offset + len > COMMON_SIZE)
        return;
    write_device_field(virtio, offset, (uint32_t)value);
    if (q && offset >= COMMON_QUEUE_SIZE)
        write_queue_field(virtio, q, offset, (uint32_t)value);
}

/* len bytes at offset of a structure of size bytes; what lies beyond reads as zero. */
static uint64_t part(const uint8_t *image, size_t size, uint64_t offset, unsigned len)
{
    uint64_t value = 0;
    if (offset < size)
        memcpy(&value, image + offset, len < size - offset ? len : size - offset);
    return value;
}

static uint64_t bar_read(void *device, uint64_t offset, unsigned len)
{
    struct virtio_device *virtio = device;
    uint8_t image[COMMON_SIZE];
    uint64_t value = 0;
    if (offset < BAR_ISR) {
        virtio_lock(virtio);
        common_image(virtio, image);
        virtio_unlock(virtio);
        value = part(image, COMMON_SIZE, offset, len);
    } else if (offset == BAR_ISR) {
        value = atomic_exchange(&virtio->isr, 0); /* reading acknowledges (4.1.4.5) */
    } else if (offset >= BAR_CONFIG && offset < BAR_NOTIFY) {
        pthread_mutex_lock(&virtio->config_lock);
        value = part(virtio->config, virtio->config_len, offset - BAR_CONFIG, len);
        pthread_mutex_unlock(&virtio->config_lock);
    }
    return value;
}

static void bar_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct virtio_device *virtio = device;
    (void)value;
    if (offset >= BAR_NOTIFY && offset < BAR_MSIX_TABLE) {
        virtio_notify(virtio, (unsigned)(offset - BAR_NOTIFY) / NOTIFY_MULTIPLIER);
    } else if (offset < BAR_ISR) {
        virtio_lock(virtio);
        common_write(virtio, (unsigned)offset, len, value);
        virtio_unlock(virtio);
    }
}

/* The window capability: its data field is the BAR at the offset and of the length that it holds (4.1.4.9).
 */
static void window_access(void *device, unsigned offset, unsigned len, bool write)
{
    struct virtio_device *virtio = device;
    uint8_t cap[CAP_MAX];
    unsigned data = virtio->window + CAP_EXTRA;
    if (offset != data)
        return;
    pci_config_peek(&virtio->pci, virtio->window, cap, sizeof cap);
    uint32_t at = le32(cap + CAP_OFFSET);
    if (le32(cap + CAP_LENGTH) != len || cap[CAP_BAR] != 0 || at % len || at >= BAR_SIZE)
        return;
    if (write) {
        pci_bar_write(&virtio->pci, at, len, part(cap + CAP_EXTRA, 4, 0, len));
        return;
    }
    uint64_t value = pci_bar_read(&virtio->pci, at, len);
    pci_config_poke(&virtio->pci, data, &value, len);
}

void virtio_pci_init(struct virtio_device *virtio)
{
    static const struct pci_function_ops ops = {{bar_read, bar_write}, window_access};
    static const uint8_t window_writable[CAP_MAX] = {
        [CAP_BAR] = 0xff,
        [CAP_OFFSET] = 0xff,
        0xff,
        0xff,
        0xff,
        [CAP_LENGTH] = 0xff,
        0xff,
        0xff,
        0xff,
        [CAP_EXTRA] = 0xff,
        0xff,
        0xff,
        0xff,
    };
    uint16_t id = (uint16_t)virtio->ops->id;
    const struct pci_identity identity = {VENDOR_VIRTIO,           (uint16_t)(DEVICE_MODERN + id),
                                          VENDOR_VIRTIO,           (uint16_t)(DEVICE_MODERN + id),
                                          virtio->ops->class_code, 1};
    unsigned queues = virtio->queues;
    pci_function_init(&virtio->pci, virtio->ops->name, &identity, BAR_SIZE, &ops, virtio);
    pci_msix_add(&virtio->pci, queues + 1, BAR_MSIX_TABLE,
                 BAR_MSIX_PBA); /* one for changes of configuration */
    add_capability(virtio, CFG_COMMON, BAR_COMMON, COMMON_SIZE, CAP_EXTRA, NULL);
    add_capability(virtio, CFG_NOTIFY, BAR_NOTIFY, queues * NOTIFY_MULTIPLIER, CAP_MAX, NULL);
    add_capability(virtio, CFG_ISR, BAR_ISR, 1, CAP_EXTRA, NULL);
    add_capability(virtio, CFG_DEVICE, BAR_CONFIG, VIRTIO_CONFIG_MAX, CAP_EXTRA, NULL);
    virtio->window = add_capability(virtio, CFG_PCI, 0, 0, CAP_MAX, window_writable);
}
