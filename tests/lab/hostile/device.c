#include "tests/lab/hostile/device.h"

#include "vmm/shim/abi.h"

#define PATIENCE   200000u /* looks at a device that neither answers nor dies: some 20 seconds and more */
#define IMPATIENCE 2000u   /* the same, where it may do neither */

bool packed_rings, served_by_others;

static volatile void *config_at(const struct device *d, unsigned offset)
{
    return (volatile void *)(uintptr_t)(PCI_ECAM_BASE + (d->slot << 15) + offset);
}

static void store(volatile void *at, unsigned len, uint64_t value)
{
    switch (len) {
    case 1:
        *(volatile uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)at = value;
    }
}

uint32_t config_read(const struct device *d, unsigned offset)
{
    return *(volatile uint32_t *)config_at(d, offset);
}

void config_write(const struct device *d, unsigned offset, unsigned len, uint32_t value)
{
    store(config_at(d, offset), len, value);
}

void bar_write(const struct device *d, uint32_t offset, unsigned len, uint64_t value)
{
    store((volatile void *)(uintptr_t)(d->bar + offset), len, value);
}

uint64_t bar_read(const struct device *d, uint32_t offset, unsigned len)
{
    volatile void *at = (volatile void *)(uintptr_t)(d->bar + offset);
    switch (len) {
    case 1:
        return *(volatile uint8_t *)at;
    case 2:
        return *(volatile uint16_t *)at;
    case 4:
        return *(volatile uint32_t *)at;
    default:
        return *(volatile uint64_t *)at;
    }
}

enum outcome wrong(struct device *d, const char *why)
{
    d->why = why;
    return WRONG;
}

bool device_dead(struct device *d)
{
    return bar_read(d, d->common + STATUS, 1) & NEEDS_RESET;
}

/* PCI */

/* MSI-X and virtio's structures (virtio 1.2, 4.1.4); where the device's own configuration is. */
static uint32_t read_capabilities(struct device *d)
{
    uint32_t config = 0;
    for (unsigned at = config_read(d, 0x34) & 0xfc, n = 0; at && n < 16; n++) {
        const uint32_t head = config_read(d, at), offset = config_read(d, at + 8);
        const unsigned id = head & 0xff, type = head >> 24;
        if (id == 0x11)
            d->msix = at;
        else if (id == 0x09 && type == 1)
            d->common = offset;
        else if (id == 0x09 && type == 2)
            d->doorbells = offset;
        else if (id == 0x09 && type == 4)
            config = offset;
        at = head >> 8 & 0xfc;
    }
    return config;
}

bool device_find(struct device *d, unsigned slot)
{
    *d = (struct device){.slot = slot};
    const uint32_t id = config_read(d, 0);
    for (unsigned i = 0; i < KINDS; i++)
        if (id == (0x10401af4u + ((uint32_t)kinds[i].id << 16)))
            d->kind = &kinds[i];
    if (!d->kind)
        return false;
    d->others = served_by_others && d->kind->by != OURS;
    d->bar = config_read(d, 0x10) & ~0xfu;
    const uint32_t config = read_capabilities(d);
    device_repair(d);
    d->config = bar_read(d, config, 8);
    for (uint32_t half = 0; half < 2; half++) {
        bar_write(d, d->common + FEATURE_SELECT, 4, half);
        d->offered |= bar_read(d, d->common + FEATURE, 4) << (32 * half);
    }
    return true;
}

void device_repair(struct device *d)
{
    config_write(d, 0x10, 4, d->bar);
    config_write(d, 0x04, 2, 6); /* memory, bus master */
    config_write(d, d->msix + 2, 2, 0);
}

/* Setting up */

enum outcome device_reset(struct device *d)
{
    bar_write(d, d->common + STATUS, 1, 0);
    for (unsigned n = 0; n < PATIENCE; n++)
        if (bar_read(d, d->common + STATUS, 1) == 0)
            return WENT_ON;
    return wrong(d, "its reset does not end");
}

bool device_negotiate(struct device *d)
{
    const uint64_t wanted = 1ull << FEATURE_INDIRECT | 1ull << FEATURE_VERSION_1 |
                            1ull << FEATURE_ACCESS_PLATFORM | (uint64_t)packed_rings << FEATURE_RING_PACKED;
    const uint64_t taken = wanted & d->offered;
    bar_write(d, d->common + STATUS, 1, ACKNOWLEDGE | DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, half);
        bar_write(d, d->common + DRIVER_FEATURE, 4, (uint32_t)(taken >> (32 * half)));
    }
    bar_write(d, d->common + STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    return bar_read(d, d->common + STATUS, 1) & FEATURES_OK;
}

void device_queue_place(struct device *d, unsigned queue, uint64_t desc, uint64_t avail, uint64_t used,
                        uint16_t size)
{
    bar_write(d, d->common + QUEUE_SELECT, 2, queue);
    bar_write(d, d->common + QUEUE_SIZE, 2, size);
    bar_write(d, d->common + QUEUE_DESC, 8, desc);
    bar_write(d, d->common + QUEUE_DRIVER, 8, avail);
    bar_write(d, d->common + QUEUE_DEVICE, 8, used);
    bar_write(d, d->common + QUEUE_ENABLE, 2, 1);
}

static void set_up_queue(struct device *d, unsigned index)
{
    struct ring *r = &d->ring[index];
    ring_place(r, index, packed_rings);
    device_queue_place(d, index, r->gpa[0], r->gpa[1], r->gpa[2], QUEUE);
}

enum outcome device_set_up(struct device *d)
{
    d->to_fill = false;
    if (device_reset(d) != WENT_ON)
        return WRONG;
    if (!device_negotiate(d))
        return wrong(d, "it refuses its own features");
    for (unsigned i = 0; i < d->kind->queues; i++)
        set_up_queue(d, i);
    bar_write(d, d->common + STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    for (uint16_t i = 0; d->kind->receive >= 0 && i < RECEIVED; i++)
        post_receive(d, i);
    return device_dead(d) ? DEAD : WENT_ON;
}

/* Requests */

struct ring *request_ring(struct device *d)
{
    return &d->ring[d->kind->request];
}

void notify_device(struct device *d, unsigned queue)
{
    bar_write(d, d->doorbells + 4 * queue, 2, queue);
}

void post(struct device *d, unsigned queue, uint16_t id, const struct buffer *buffers, unsigned count)
{
    ring_offer(&d->ring[queue], id, buffers, count);
    notify_device(d, queue);
}

void post_receive(struct device *d, uint16_t id)
{
    const struct buffer buffer = {ANSWERS + id * ANSWER, ANSWER, WRITE};
    post(d, (unsigned)d->kind->receive, id, &buffer, 1);
}

enum outcome wait_used(struct device *d, unsigned queue, uint16_t *id, uint32_t *written)
{
    uint16_t unnamed;
    uint32_t uncounted;
    for (unsigned look = 0; look < (d->impatient ? IMPATIENCE : PATIENCE); look++) {
        for (unsigned n = 0; n < 500; n++) {
            if (ring_take(&d->ring[queue], id ? id : &unnamed, written ? written : &uncounted))
                return WENT_ON;
            __asm__ volatile("pause");
        }
        if (device_dead(d))
            return DEAD;
    }
    return d->impatient ? SILENT : wrong(d, "neither an answer nor a request for a reset");
}
