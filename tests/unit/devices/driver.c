#include "tests/unit/devices/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/bytes.h"

#define PATIENCE_SECONDS 20
#define VECTOR_CONFIG    0

enum { FEATURES_OK = 8, DRIVER_OK = 4, NEEDS_RESET = 64 };
enum { PACKED_AVAIL = 1 << 7, PACKED_USED = 1 << 15 };

static struct timespec deadline(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += PATIENCE_SECONDS;
    return t;
}

static void arrive(void *context, uint64_t address, uint32_t data)
{
    struct driver *d = context;
    (void)address;
    pthread_mutex_lock(&d->lock);
    if (data < PCI_MSIX_VECTORS)
        d->interrupts[data]++;
    pthread_mutex_unlock(&d->lock);
    pthread_cond_broadcast(&d->arrived);
}

uint64_t driver_read(struct driver *d, uint64_t address, unsigned len)
{
    uint64_t value;
    (void)bus_read(&d->mmio, address, len, &value);
    return value;
}

void driver_write(struct driver *d, uint64_t address, unsigned len, uint64_t value)
{
    (void)bus_write(&d->mmio, address, len, value);
}

uint32_t driver_config_read(struct driver *d, unsigned offset, unsigned len)
{
    return pci_config_read(&d->pci, d->slot, offset, len);
}

void driver_config_write(struct driver *d, unsigned offset, unsigned len, uint32_t value)
{
    pci_config_write(&d->pci, d->slot, offset, len, value);
}

static void find_structures(struct driver *d)
{
    uint32_t bar = driver_config_read(d, 0x10, 4);
    for (unsigned cap = driver_config_read(d, 0x34, 1); cap; cap = driver_config_read(d, cap + 1, 1)) {
        uint64_t where = bar + driver_config_read(d, cap + 8, 4);
        if (driver_config_read(d, cap, 1) == 0x11)
            d->msix = cap;
        if (driver_config_read(d, cap, 1) != 0x09)
            continue;
        switch (driver_config_read(d, cap + 3, 1)) {
        case 1:
            d->common = where;
            break;
        case 2:
            d->notify = where;
            d->notify_multiplier = driver_config_read(d, cap + 16, 4);
            break;
        case 3:
            d->isr = where;
            break;
        case 4:
            d->config = where;
            break;
        default:
            break;
        }
    }
    assert_true(d->common && d->notify && d->isr && d->config && d->msix);
}

/* Vector n sends data n. */
static void enable_msix(struct driver *d)
{
    unsigned vectors = (driver_config_read(d, d->msix + 2, 2) & 0x7ff) + 1;
    uint64_t table = (driver_config_read(d, 0x10, 4)) + (driver_config_read(d, d->msix + 4, 4) & ~7u);
    for (unsigned i = 0; i < vectors; i++) {
        driver_write(d, table + 16 * i, 8, 0xfee00000);
        driver_write(d, table + 16 * i + 8, 4, i);
        driver_write(d, table + 16 * i + 12, 4, 0);
    }
    driver_config_write(d, d->msix + 2, 2, 0x8000);
}

void driver_open(struct driver *d, struct virtio_device *device)
{
    struct cofre_err err = {""};
    *d = (struct driver){.device = device};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->arrived, NULL);
    d->memfd = memfd_create("guest", MFD_CLOEXEC);
    assert_int_equal(ftruncate(d->memfd, DRIVER_MEMORY), 0);
    d->memory = mmap(NULL, DRIVER_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, d->memfd, 0);
    assert_ptr_not_equal(d->memory, MAP_FAILED);
    assert_int_equal(guest_memory_add_file(&d->mem, DRIVER_GPA, DRIVER_MEMORY, d->memory, d->memfd, 0, NULL),
                     0);
    pci_bus_init(&d->pci, (struct pci_window){DRIVER_WINDOW, 0x100000}, (struct msi_sink){arrive, d});
    assert_int_equal(pci_bus_map_window(&d->pci, &d->mmio, NULL), 0);
    if (virtio_attach(device, &d->pci, &d->mem, &err) || virtio_start_threads(device, &err))
        fail_msg("%s", err.text);
    d->slot = 1;
    find_structures(d);
    driver_config_write(d, 0x04, 2, 6);
    enable_msix(d);
}

void driver_close(struct driver *d)
{
    virtio_free(d->device);
    pci_bus_destroy(&d->pci);
    pthread_cond_destroy(&d->arrived);
    pthread_mutex_destroy(&d->lock);
    munmap(d->memory, DRIVER_MEMORY);
    close(d->memfd);
}

uint8_t driver_status(struct driver *d)
{
    return (uint8_t)driver_read(d, d->common + 0x14, 1);
}

static void add_status(struct driver *d, uint8_t bits)
{
    driver_write(d, d->common + 0x14, 1, driver_status(d) | bits);
}

void driver_reset(struct driver *d)
{
    driver_write(d, d->common + 0x14, 1, 0);
    assert_int_equal(driver_status(d), 0);
}

uint64_t driver_offered(struct driver *d)
{
    driver_write(d, d->common, 4, 0);
    uint64_t low = driver_read(d, d->common + 4, 4);
    driver_write(d, d->common, 4, 1);
    return low | driver_read(d, d->common + 4, 4) << 32;
}

bool driver_wants_packed(void)
{
    const char *rings = getenv("COFRE_RINGS");
    return rings && strcmp(rings, "packed") == 0;
}

bool driver_negotiate(struct driver *d, uint64_t features)
{
    if (driver_wants_packed() && features & FEATURES_NEEDED)
        features |= driver_offered(d) & FEATURE_PACKED;
    driver_reset(d);
    d->packed = features & FEATURE_PACKED;
    add_status(d, 1);
    add_status(d, 2);
    for (unsigned i = 0; i < 2; i++) {
        driver_write(d, d->common + 0x08, 4, i);
        driver_write(d, d->common + 0x0c, 4, (uint32_t)(features >> (32 * i)));
    }
    add_status(d, FEATURES_OK);
    return driver_status(d) & FEATURES_OK;
}

static void start_queue(struct driver *d, unsigned index)
{
    struct driver_queue *q = &d->queue[index];
    uint32_t base = index * 0x4000;
    driver_write(d, d->common + 0x16, 2, index);
    q->size = DRIVER_QUEUE;
    memset(d->memory + base, 0, 0x4000);
    q->desc = (struct desc *)(void *)(d->memory + base);
    q->avail = (uint16_t *)(void *)(d->memory + base + 0x1000);
    q->used = (uint16_t *)(void *)(d->memory + base + 0x2000);
    q->ring = (struct packed_desc *)(void *)(d->memory + base + 0x800);
    q->next_avail = q->next_used = 0;
    q->packed = q->avail_wrap = q->used_wrap = d->packed;
    driver_write(d, d->common + 0x18, 2, q->size);
    driver_write(d, d->common + 0x1a, 2, index + 1);
    driver_write(d, d->common + 0x20, 8, DRIVER_GPA + base + (q->packed ? 0x800 : 0));
    driver_write(d, d->common + 0x28, 4, (uint32_t)(DRIVER_GPA + base + 0x1000));
    driver_write(d, d->common + 0x2c, 4, 0);
    driver_write(d, d->common + 0x30, 8, DRIVER_GPA + base + 0x2000);
    driver_write(d, d->common + 0x1c, 2, 1);
    assert_int_equal(driver_read(d, d->common + 0x1c, 2), 1);
}

void driver_start(struct driver *d)
{
    unsigned queues = (unsigned)driver_read(d, d->common + 0x12, 2);
    driver_write(d, d->common + 0x10, 2, VECTOR_CONFIG);
    for (unsigned i = 0; i < queues; i++)
        start_queue(d, i);
    add_status(d, DRIVER_OK);
}

void driver_go(struct driver *d, uint64_t extra)
{
    assert_true(driver_negotiate(d, FEATURES_NEEDED | extra));
    driver_start(d);
}

void *at(struct driver *d, uint64_t gpa)
{
    assert_in_range(gpa, DRIVER_GPA, DRIVER_GPA + DRIVER_MEMORY - 1);
    return d->memory + (gpa - DRIVER_GPA);
}

void driver_notify(struct driver *d, unsigned queue)
{
    driver_write(d, d->notify + queue * d->notify_multiplier, 2, queue);
}

/* A copy, near the ring, of the table in the packed format: sequence instead of successors. */
static uint64_t packed_table(struct driver *d, unsigned queue, uint16_t head)
{
    const struct desc *table = &d->queue[queue].desc[head];
    uint32_t at_memory = queue * 0x4000 + 0x3000 + head * DRIVER_QUEUE * 16u;
    const struct desc *from = at(d, table->address);
    struct packed_desc *to = (struct packed_desc *)(void *)(d->memory + at_memory);
    assert_true(table->len <= DRIVER_QUEUE * sizeof *to);
    for (unsigned i = 0; i < table->len / sizeof *to; i++)
        to[i] = (struct packed_desc){from[i].address, from[i].len, 0, from[i].flags & DESC_WRITE};
    return DRIVER_GPA + at_memory;
}

static void put_packed(struct driver *d, unsigned queue, uint16_t head)
{
    struct driver_queue *q = &d->queue[queue];
    struct packed_desc *first = &q->ring[q->next_avail];
    uint16_t first_flags = 0, next = head;
    q->slots[head] = 0;
    for (bool more = true; more; q->slots[head]++) {
        const struct desc *from = &q->desc[next];
        struct packed_desc *to = &q->ring[q->next_avail];
        uint16_t flags = from->flags | (q->avail_wrap ? PACKED_AVAIL : PACKED_USED);
        assert_true(next < q->size && q->slots[head] < q->size);
        *to = (struct packed_desc){from->flags & DESC_INDIRECT ? packed_table(d, queue, head) : from->address,
                                   from->len, head, to->flags};
        if (to == first)
            first_flags = flags;
        else
            to->flags = flags;
        more = from->flags & DESC_NEXT;
        next = from->next;
        q->next_avail = (uint16_t)((q->next_avail + 1) % q->size);
        q->avail_wrap ^= q->next_avail == 0;
    }
    __atomic_store_n(&first->flags, first_flags, __ATOMIC_SEQ_CST);
}

void driver_put(struct driver *d, unsigned queue, uint16_t head)
{
    struct driver_queue *q = &d->queue[queue];
    if (q->packed) {
        put_packed(d, queue, head);
        return;
    }
    q->avail[2 + q->next_avail++ % q->size] = head;
    __atomic_store_n(&q->avail[1], q->next_avail, __ATOMIC_SEQ_CST);
}

void driver_post(struct driver *d, unsigned queue, uint16_t head)
{
    driver_put(d, queue, head);
    driver_notify(d, queue);
}

#define EVENT_WRAP 0x8000

bool driver_should_notify(struct driver *d, unsigned queue)
{
    const struct driver_queue *q = &d->queue[queue];
    if (!q->packed)
        return q->used[2 + 4 * q->size] == (uint16_t)(q->next_avail - 1);
    unsigned last = (q->next_avail + q->size - 1u) % q->size;
    bool wrap = q->avail_wrap ^ (q->next_avail == 0);
    return q->used[1] != 2 || q->used[0] == (last | (wrap ? EVENT_WRAP : 0));
}

void driver_interrupt_at(struct driver *d, unsigned queue, unsigned nth)
{
    struct driver_queue *q = &d->queue[queue];
    unsigned place = q->next_used + nth;
    if (!q->packed) {
        q->avail[2 + q->size] = (uint16_t)place;
        return;
    }
    bool wrap = q->used_wrap ^ (place >= q->size);
    q->avail[0] = (uint16_t)(place % q->size | (wrap ? EVENT_WRAP : 0));
    q->avail[1] = 2;
}

static bool came_back(struct driver_queue *q)
{
    if (q->packed) {
        uint16_t flags = __atomic_load_n(&q->ring[q->next_used].flags, __ATOMIC_SEQ_CST);
        return !!(flags & PACKED_AVAIL) == q->used_wrap && !!(flags & PACKED_USED) == q->used_wrap;
    }
    return __atomic_load_n(&q->used[1], __ATOMIC_SEQ_CST) != q->next_used;
}

bool driver_came_back(struct driver *d, unsigned queue)
{
    return came_back(&d->queue[queue]);
}

static uint32_t take_packed(struct driver_queue *q, uint16_t *head)
{
    const struct packed_desc *used = &q->ring[q->next_used];
    uint16_t id = used->id;
    assert_true(id < q->size && q->slots[id] > 0);
    uint16_t next = (uint16_t)(q->next_used + q->slots[id]);
    q->used_wrap ^= next >= q->size;
    q->next_used = next % q->size;
    q->slots[id] = 0;
    if (head)
        *head = id;
    return used->len;
}

uint32_t driver_wait(struct driver *d, unsigned queue, uint16_t *head)
{
    struct driver_queue *q = &d->queue[queue];
    struct timespec until = deadline();
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    while (!came_back(q) && rc == 0)
        rc = pthread_cond_timedwait(&d->arrived, &d->lock, &until);
    pthread_mutex_unlock(&d->lock);
    if (!came_back(q))
        fail_msg("queue %u: no request came back", queue);
    if (q->packed)
        return take_packed(q, head);
    const uint8_t *element = (const uint8_t *)q->used + 4 + 8 * (q->next_used++ % q->size);
    if (head)
        *head = (uint16_t)le32(element);
    return le32(element + 4);
}

void driver_wait_interrupts(struct driver *d, unsigned vector, unsigned count)
{
    struct timespec until = deadline();
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    while (d->interrupts[vector] < count && rc == 0)
        rc = pthread_cond_timedwait(&d->arrived, &d->lock, &until);
    unsigned came = d->interrupts[vector];
    pthread_mutex_unlock(&d->lock);
    if (came < count)
        fail_msg("vector %u: %u interrupts, expected %u", vector, came, count);
}

void driver_wait_broken(struct driver *d)
{
    driver_wait_interrupts(d, VECTOR_CONFIG, ++d->config_changes);
    assert_true(driver_status(d) & NEEDS_RESET);
}

uint32_t driver_ask(struct driver *d, unsigned queue, uint64_t out, uint32_t out_len, uint64_t in,
                    uint32_t in_len)
{
    struct desc *desc = d->queue[queue].desc;
    uint16_t n = 0;
    if (out_len)
        desc[n++] = (struct desc){out, out_len, in_len ? DESC_NEXT : 0, 1};
    if (in_len)
        desc[n++] = (struct desc){in, in_len, DESC_WRITE, 0};
    driver_post(d, queue, 0);
    return driver_wait(d, queue, NULL);
}
