/*
 * A guest against a device that a back end serves, which behaves: a disk of two queues by vhost-user. The records OTHER are the back
 * end's two events. No guest can make the front end say something that the back end must not hear, or lose it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fuzz/hostile_guest.h"
#include "tests/unit/devices/back_end.h"
#include "vmm/devices/vhost_user_device.h"

#define QUEUES   2
#define UNSHARED 0x20000u /* a page that no back end gets */

static struct back_end back_end;
static struct hostile guest;

/* All that the back end was told of a ring lies in what it was given. */
static void check_rings(void)
{
    const struct vhost_user_device *d = guest.device->device;
    FUZZ_CHECK(d->back_end.fd >= 0);
    for (unsigned i = 0; i < QUEUES; i++) {
        const struct back_end_ring *ring = &back_end.ring[i];
        FUZZ_CHECK((d->started >> i & 1) == ring->started);
        FUZZ_CHECK(!ring->started || (ring->desc < HOSTILE_MEMORY && ring->avail < HOSTILE_MEMORY &&
                                      ring->used < HOSTILE_MEMORY && ring->num <= QUEUE_SIZE_MAX));
    }
}

/* They are the back end's to close; it does so when the front end says something, and that waits for an answer. */
static void signal_event(const uint8_t record[HOSTILE_RECORD])
{
    const struct back_end_ring *ring = &back_end.ring[record[1] >> 1 & 1];
    const int fd = record[1] & 1 ? ring->error : ring->call;
    check_rings();
    if (fd >= 0)
        (void)eventfd_write(fd, 1);
}

static void connect_device(void)
{
    static _Alignas(4096) uint8_t page[4096];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/cofre-fuzz-XXXXXX", spec[160];
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(mkdtemp(dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", dir);
    snprintf(spec, sizeof spec, "block,socket=%s,queues=%d", address.sun_path, QUEUES);
    FUZZ_CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    back_end_init(&back_end);
    back_end_start_at(&back_end, listener);
    FUZZ_CHECK(virtio_vhost_user_new(&guest.device, spec, NULL) == 0);
    FUZZ_CHECK(unlink(address.sun_path) == 0 && rmdir(dir) == 0);
    FUZZ_CHECK(guest_memory_add(&guest.view, UNSHARED, sizeof page, page, NULL) == 0);
    guest.other = signal_event;
    hostile_plug(&guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!guest.device)
        connect_device();
    hostile_play(&guest, data, size);
    check_rings();
    return 0;
}

/* A driver's own start, with a ring where it says. */
static size_t put_start(uint8_t *out, size_t n, uint64_t desc, uint64_t used)
{
    const struct {
        uint16_t at, width;
        uint64_t value;
    } steps[] = {
        {0x14, 0, 3},    {0x08, 2, 1},      {0x0c, 2, 3},    {0x14, 0, 11}, {0x16, 1, 1},  {0x18, 1, 16},
        {0x20, 3, desc}, {0x28, 3, 0x1000}, {0x30, 3, used}, {0x1c, 1, 1},  {0x14, 0, 15},
    };
    n = hostile_put(out, n, CONFIG_WRITE, 1, 0x04, 6);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        n = hostile_put(out, n, BAR_WRITE, steps[i].width, BAR_COMMON + steps[i].at, steps[i].value);
    return n;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t header[16] = {0};
    size_t n = 1;
    out[0] = index < 2 ? (uint8_t)(index * WITHOUT_OWN_FEATURES) : WITHOUT_DRIVER;
    switch (index) {
    case 0:
    case 1:
        n = hostile_put_request(out, n, 0, 0, header, sizeof header, 513);
        n = hostile_put(out, n, OTHER, 0, 0, 0);
        n = hostile_put(out, n, OTHER, 3, 0, 0);
        n = hostile_put(out, n, WORK, 0, 0, 0);
        break;
    case 2:
        n = put_start(out, n, 0, 0x2000);
        n = hostile_put(out, n, NOTIFY, 0, 0, 1);
        break;
    case 3:
        return put_start(out, n, 0, UNSHARED);
    default:
        return 0;
    }
    return hostile_put_housekeeping(out, n);
}
