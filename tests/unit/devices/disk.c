#include "tests/unit/devices/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/devices/block.h"

uint8_t disk_pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 512);
}

void disk_file(struct disk *k, uint64_t sectors)
{
    strcpy(k->path, "/tmp/cofre-test-disk-XXXXXX");
    k->fd = mkstemp(k->path);
    assert_true(k->fd >= 0);
    size_t size = sectors * 512;
    CLEAN_FREE uint8_t *bytes = malloc(size);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = disk_pattern(i);
    assert_int_equal(pwrite(k->fd, bytes, size, 0), size);
}

void disk_start(struct disk *k, const char *options, uint64_t features)
{
    struct virtio_device *device;
    struct cofre_err err;
    char spec[128];
    snprintf(spec, sizeof spec, "%s%s", k->path, options);
    if (virtio_block_new(&device, spec, &err))
        fail_msg("%s", err.text);
    driver_open(&k->d, device);
    driver_go(&k->d, features);
}

void disk_open(struct disk *k, const char *options, uint64_t features)
{
    disk_file(k, SECTORS);
    disk_start(k, options, features);
}

void disk_close(struct disk *k)
{
    driver_close(&k->d);
    close(k->fd);
    unlink(k->path);
}

uint8_t disk_request_at(struct disk *k, uint32_t type, uint64_t sector, uint64_t data, uint32_t len)
{
    struct desc *desc = k->d.queue[0].desc;
    bool to_guest = type == READ || type == GET_ID;
    put_le32(at(&k->d, DISK_HEADER), type);
    put_le64((uint8_t *)at(&k->d, DISK_HEADER) + 8, sector);
    *(uint8_t *)at(&k->d, DISK_STATUS) = NOT_WRITTEN;
    desc[0] = (struct desc){DISK_HEADER, 16, DESC_NEXT, 1};
    desc[1] = (struct desc){data, len, (to_guest ? DESC_WRITE : 0) | DESC_NEXT, 2};
    desc[2] = (struct desc){DISK_STATUS, 1, DESC_WRITE, 0};
    driver_post(&k->d, 0, 0);
    uint32_t written = driver_wait(&k->d, 0, NULL);
    uint8_t status = *(uint8_t *)at(&k->d, DISK_STATUS);
    assert_int_equal(written, status == OK && type == READ ? len + 1
                              : type == GET_ID             ? (len < 20 ? len : 20) + 1
                                                           : 1);
    return status;
}

uint8_t disk_request(struct disk *k, uint32_t type, uint64_t sector, uint32_t len)
{
    return disk_request_at(k, type, sector, DISK_DATA, len);
}

void disk_range(struct disk *k, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    uint8_t *p = (uint8_t *)at(&k->d, DISK_DATA) + 16 * i;
    put_le64(p, sector);
    put_le32(p + 8, sectors);
    put_le32(p + 12, flags);
}

uint8_t disk_byte(struct disk *k, uint64_t offset)
{
    uint8_t byte;
    assert_int_equal(pread(k->fd, &byte, 1, (off_t)offset), 1);
    return byte;
}

void disk_refused(const char *spec, int code, const char *why)
{
    struct virtio_device *device = NULL;
    struct cofre_err err;
    assert_int_equal(virtio_block_new(&device, spec, &err), -code);
    assert_null(device);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
}
