/*
 * A guest against a disk, served by io_uring or, where the first byte says so, without: then a request has ended when its
 * queue was served. The disk keeps its size.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/hostile_guest.h"
#include "tests/unit/devices/no_io_uring.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"

#define DISK         (64 * 512)
#define WITHOUT_RING 0x10

static int make_disk(void)
{
    int fd = memfd_create("disk", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, DISK) == 0);
    return fd;
}

static void plug(struct hostile *guest, int fd)
{
    char spec[64];
    snprintf(spec, sizeof spec, "/proc/self/fd/%d", fd);
    FUZZ_CHECK(virtio_block_new(&guest->device, spec, NULL) == 0);
    hostile_plug(guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hostile with_ring, without;
    static int disk[2] = {-1, -1};
    struct stat st;
    if (disk[0] < 0) {
        plug(&with_ring, disk[0] = make_disk());
        no_io_uring();
        plug(&without, disk[1] = make_disk());
    }
    const bool other = size && data[0] & WITHOUT_RING;
    hostile_play(other ? &without : &with_ring, data, size);
    FUZZ_CHECK(fstat(disk[other], &st) == 0 && st.st_size == DISK);
    return 0;
}

/* virtio 1.2, 5.2.6: type, reserved, sector; then data, and a byte for the status. */
static size_t put_request(uint8_t *out, size_t n, unsigned nth, uint32_t type, uint64_t sector,
                          const void *data, uint32_t len, uint32_t writable)
{
    uint8_t readable[16 + 512] = {0};
    put_le32(readable, type);
    put_le64(readable + 8, sector);
    memcpy(readable + 16, data, len);
    return hostile_put_request(out, n, 0, nth, readable, 16 + len, writable);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t sector[512] = "a sector", range[16] = {1, [8] = 8};
    size_t n = 1;
    const uint8_t rings = index % 2 ? PACKED : 0;
    index /= 2;
    out[0] = (uint8_t)(rings | ((index == 1   ? WITHOUT_EVENT_IDX | WITHOUT_INDIRECT
                                 : index == 2 ? WITHOUT_OWN_FEATURES
                                              : 0) |
                                (index > 2 ? WITHOUT_RING : 0)));
    switch (index) {
    case 0:
    case 2:
    case 3:
        n = put_request(out, n, 0, 0, 1, "", 0, 513);     /* in */
        n = put_request(out, n, 1, 1, 2, sector, 512, 1); /* out */
        n = put_request(out, n, 2, 4, 0, "", 0, 1);       /* flush */
        n = put_request(out, n, 3, 8, 0, "", 0, 21);      /* its name */
        return hostile_put_housekeeping(out, n);
    case 1:
    case 4:
        n = put_request(out, n, 0, 11, 0, range, 16, 1); /* discard */
        n = put_request(out, n, 1, 13, 0, range, 16, 1); /* write zeroes */
        n = put_request(out, n, 2, 0, 63, "", 0, 1025);  /* beyond its end */
        n = put_request(out, n, 3, 99, 0, "", 0, 1);     /* no such request */
        return hostile_put_housekeeping(out, n);
    default:
        return 0;
    }
}
