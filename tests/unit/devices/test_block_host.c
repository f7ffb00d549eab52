/* What the host's files, file systems and block devices do to a disk. */
#include "tests/unit/devices/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/devices/no_io_uring.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"

static uint64_t block_size(struct disk *k)
{
    return driver_read(&k->d, k->d.config + 20, 4);
}

/* A disk in memory: a file system with direct I/O that says nothing of alignment, and no FALLOC_FL_ZERO_RANGE. */
static void memory_disk(struct disk *k, const char *options, uint64_t sectors)
{
    k->fd = memfd_create("disk", MFD_CLOEXEC);
    snprintf(k->path, sizeof k->path, "/proc/self/fd/%d", k->fd);
    assert_true(k->fd >= 0);
    for (uint64_t i = 0; i < sectors * 512; i += 512) {
        uint8_t sector[512];
        for (unsigned j = 0; j < 512; j++)
            sector[j] = disk_pattern(i + j);
        assert_int_equal(pwrite(k->fd, sector, 512, (off_t)i), 512);
    }
    disk_start(k, options, DISK_FLUSH);
}

static void data_are(struct disk *k, uint64_t gpa, uint64_t offset, uint64_t len)
{
    const uint8_t *data = at(&k->d, gpa);
    for (uint64_t i = 0; i < len; i++)
        assert_int_equal(data[i], disk_pattern(offset + i));
}

static void a_shrunken_file_is_an_error_for_the_guest(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, ",ro", 0);
    assert_int_equal(ftruncate(k.fd, 512), 0);
    assert_int_equal(disk_request(&k, READ, 0, 1024), IOERR);
    assert_int_equal(disk_request(&k, READ, 1, 512), IOERR);
    assert_int_equal(disk_request(&k, READ, 0, 512), OK);
    disk_close(&k);
}

/* Zeroes beyond the file's end are made, not only said to be. */
static void a_shrunken_file_grows_again_by_what_is_zeroed_or_written(void **state)
{
    struct disk k;
    (void)state;
    disk_open(&k, "", DISK_FLUSH);
    assert_int_equal(ftruncate(k.fd, 512), 0);
    disk_range(&k, 0, 8, 8, 0);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), OK);
    assert_int_equal(disk_request(&k, READ, 8, 8 * 512), OK);
    assert_int_equal(disk_request(&k, WRITE, 63, 512), OK);
    assert_int_equal(disk_request(&k, READ, 0, 64 * 512), OK);
    disk_close(&k);
}

/* The limit on a file's size stands for a full file system where nobody may mount one. */
static void a_file_that_cannot_grow_is_an_error_for_the_guest(void **state)
{
    struct disk k;
    struct rlimit before, now;
    (void)state;
    disk_file(&k, SECTORS);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    disk_start(&k, "", DISK_FLUSH);
    now = (struct rlimit){16 * 512, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    memset(at(&k.d, DISK_DATA), 0x42, 4 * 512);
    assert_int_equal(disk_request(&k, WRITE, 20, 512), IOERR);
    assert_int_equal(disk_request(&k, WRITE, 14, 4 * 512), IOERR); /* half of which could be written */
    assert_int_equal(disk_request(&k, WRITE, 15, 512), OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(disk_byte(&k, 16 * 512), disk_pattern(16 * 512));
    assert_int_equal(disk_request(&k, WRITE, 20, 512), OK);
    disk_close(&k);
}

static bool may_mount(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void a_full_file_system_is_an_error_until_there_is_room(void **state)
{
    struct disk k;
    char directory[] = "/tmp/cofre-full-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(directory));
    if (!may_mount() || mount("none", directory, "tmpfs", 0, "size=64k")) {
        rmdir(directory);
        print_message("# needs root, to mount a small file system\n");
        skip();
    }
    snprintf(k.path, sizeof k.path, "%s/disk", directory);
    k.fd = open(k.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(k.fd, 256 * 512), 0);
    disk_start(&k, "", DISK_FLUSH);
    unsigned written = 0;
    memset(at(&k.d, DISK_DATA), 0x42, 4096);
    while (written < 32 && disk_request(&k, WRITE, 8 * written, 4096) == OK)
        written++;
    assert_in_range(written, 1, 31);
    assert_int_equal(disk_request(&k, WRITE, 8 * written, 4096), IOERR);
    disk_range(&k, 0, 8 * 31, 8, 0);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), IOERR);
    assert_int_equal(disk_request(&k, READ, 0, 4096), OK);
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA))[4095], 0x42);
    disk_range(&k, 0, 0, 16, 0);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), OK);
    assert_int_equal(disk_request(&k, WRITE, 8 * written, 4096), OK);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    disk_close(&k);
    umount(directory);
    rmdir(directory);
}

static void errors_of_the_host_are_logged_so_often_and_no_more(void **state)
{
    struct disk k;
    char line[512], log[] = "/tmp/cofre-test-log-XXXXXX";
    int lines = 0, fd = mkstemp(log), before = dup(2);
    (void)state;
    assert_true(fd >= 0 && before >= 0);
    disk_open(&k, "", 0);
    assert_int_equal(ftruncate(k.fd, 512), 0);
    (void)fflush(stderr);
    dup2(fd, 2);
    for (unsigned i = 0; i < 50; i++)
        (void)disk_request(&k, READ, 8, 512);
    dup2(before, 2);
    FILE *f = fdopen(fd, "r");
    assert_non_null(f);
    rewind(f);
    while (fgets(line, sizeof line, f))
        lines++;
    assert_int_equal(lines, 16);
    assert_non_null(strstr(line, "left out"));
    (void)fclose(f);
    close(before);
    unlink(log);
    disk_close(&k);
}

static void discarded_room_is_the_hosts_again(void **state)
{
    struct disk k;
    struct stat before, after;
    (void)state;
    disk_open(&k, "", DISK_FLUSH);
    assert_int_equal(fsync(k.fd), 0);
    assert_int_equal(fstat(k.fd, &before), 0);
    disk_range(&k, 0, 0, 32, 0);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), OK);
    disk_range(&k, 0, 32, 16, 1);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), OK);
    assert_int_equal(fstat(k.fd, &after), 0);
    assert_in_range(after.st_blocks, 0, before.st_blocks - 48);
    assert_int_equal(after.st_size, before.st_size);
    disk_close(&k);
}

/* Zeroes that are to keep their room, where the file system cannot make them: from a buffer, 64 KiB and more. */
static void zeroes_are_written_where_the_host_cannot_make_them(void **state)
{
    struct disk k;
    (void)state;
    memory_disk(&k, "", 1024);
    disk_range(&k, 0, 3, 700, 0);
    disk_range(&k, 1, 720, 0, 0);
    disk_range(&k, 2, 800, 1, 1);
    assert_int_equal(disk_request(&k, ZEROES, 0, 48), OK);
    for (uint64_t i = 3 * 512; i < 703 * 512; i++)
        assert_int_equal(disk_byte(&k, i), 0);
    assert_int_equal(disk_byte(&k, 3 * 512 - 1), disk_pattern(3 * 512 - 1));
    assert_int_equal(disk_byte(&k, 703 * 512 + 1), disk_pattern(703 * 512 + 1));
    assert_int_equal(disk_byte(&k, 800 * 512 + 1), 0);
    assert_int_equal(disk_byte(&k, 801 * 512 + 1), disk_pattern(801 * 512 + 1));
    disk_close(&k);
}

static void direct_reads_and_writes_go_to_the_file(void **state)
{
    struct disk k;
    (void)state;
    disk_file(&k, SECTORS);
    assert_int_equal(fsync(k.fd), 0);
    disk_start(&k, ",direct", DISK_FLUSH);
    uint32_t block = (uint32_t)block_size(&k);
    assert_true(block == 512 || block == 4096);
    assert_int_equal(disk_request(&k, READ, 8, 16 * 512), OK);
    data_are(&k, DISK_DATA, 8 * 512, 16 * 512);
    memset(at(&k.d, DISK_DATA), 0x5a, 8 * 512);
    assert_int_equal(disk_request(&k, WRITE, 56, 8 * 512), OK);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(disk_byte(&k, 56 * 512), 0x5a);
    assert_int_equal(disk_byte(&k, 64 * 512 - 1), 0x5a);
    disk_close(&k);
}

/* Odd addresses, and more than one buffer of ours holds. */
static void what_the_guest_did_not_align_is_copied(void **state)
{
    struct disk k;
    (void)state;
    memory_disk(&k, ",direct", 512);
    assert_int_equal(block_size(&k), 4096);
    assert_int_equal(disk_request_at(&k, READ, 8, DISK_DATA + 1, 200 * 1024), OK);
    data_are(&k, DISK_DATA + 1, 4096, 200 * 1024);
    for (unsigned i = 0; i < 200 * 1024; i++)
        ((uint8_t *)at(&k.d, DISK_DATA + 3))[i] = (uint8_t)(i * 13 + i / 4096);
    assert_int_equal(disk_request_at(&k, WRITE, 0, DISK_DATA + 3, 200 * 1024), OK);
    for (unsigned i = 0; i < 200 * 1024; i += 97)
        assert_int_equal(disk_byte(&k, i), (uint8_t)(i * 13 + i / 4096));
    assert_int_equal(disk_byte(&k, 200 * 1024), disk_pattern(200 * 1024));
    disk_close(&k);
}

static void less_than_a_block_is_an_error(void **state)
{
    struct disk k;
    (void)state;
    memory_disk(&k, ",direct", 64);
    assert_int_equal(disk_request(&k, READ, 0, 512), IOERR);
    assert_int_equal(disk_request(&k, READ, 1, 4096), IOERR);
    assert_int_equal(disk_request(&k, WRITE, 8, 4096 + 512), IOERR);
    disk_range(&k, 0, 1, 8, 0);
    assert_int_equal(disk_request(&k, ZEROES, 0, 16), IOERR);
    disk_range(&k, 0, 8, 7, 0);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), IOERR);
    assert_int_equal(disk_request(&k, READ, 8, 4096), OK);
    data_are(&k, DISK_DATA, 4096, 4096);
    disk_close(&k);
}

static void a_size_that_direct_io_cannot_have_is_refused(void **state)
{
    char spec[64];
    int fd = memfd_create("disk", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(ftruncate(fd, 4096 + 512), 0);
    snprintf(spec, sizeof spec, "/proc/self/fd/%d,direct", fd);
    disk_refused(spec, COFRE_USAGE, "multiple of 4096");
    close(fd);
}

static void a_disk_in_use_is_refused_unless_all_only_read(void **state)
{
    struct disk k;
    struct virtio_device *first, *second;
    char read_only[80];
    (void)state;
    disk_file(&k, SECTORS);
    snprintf(read_only, sizeof read_only, "%s,ro", k.path);
    assert_int_equal(virtio_block_new(&first, k.path, NULL), 0);
    disk_refused(k.path, COFRE_LACKING, "another guest uses it");
    disk_refused(read_only, COFRE_LACKING, "another guest uses it");
    virtio_free(first);
    assert_int_equal(virtio_block_new(&first, read_only, NULL), 0);
    assert_int_equal(virtio_block_new(&second, read_only, NULL), 0);
    disk_refused(k.path, COFRE_LACKING, "another guest uses it");
    virtio_free(first);
    virtio_free(second);
    assert_int_equal(virtio_block_new(&first, k.path, NULL), 0);
    virtio_free(first);
    close(k.fd);
    unlink(k.path);
}

static int lock_byte(int fd, int how, off_t byte, int type)
{
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    assert_int_equal(fcntl(fd, how, &lock), 0);
    return lock.l_type;
}

/* The bytes that QEMU locks: 100 on for what it does (0 reads, 1 writes, 3 resizes), 200 on for what others may not. */
static void guests_of_qemu_keep_off_and_are_kept_off(void **state)
{
    struct disk k;
    struct virtio_device *device;
    char read_only[80];
    (void)state;
    disk_file(&k, SECTORS);
    snprintf(read_only, sizeof read_only, "%s,ro", k.path);
    const struct {
        off_t byte;
        bool hinders_writer, hinders_reader;
    } held[] = {{100, false, false}, {101, true, true},  {103, true, true},
                {200, true, true},   {201, true, false}, {203, false, false}};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        (void)lock_byte(k.fd, F_OFD_SETLK, held[i].byte, F_RDLCK);
        for (unsigned reads = 0; reads < 2; reads++) {
            int rc = virtio_block_new(&device, reads ? read_only : k.path, NULL);
            assert_int_equal(rc,
                             (reads ? held[i].hinders_reader : held[i].hinders_writer) ? -COFRE_LACKING : 0);
            if (rc == 0)
                virtio_free(device);
        }
        (void)lock_byte(k.fd, F_OFD_SETLK, held[i].byte, F_UNLCK);
    }
    assert_int_equal(virtio_block_new(&device, k.path, NULL), 0);
    for (off_t byte = 100; byte < 204; byte++)
        assert_int_equal(lock_byte(k.fd, F_OFD_GETLK, byte, F_WRLCK),
                         byte == 100 || byte == 101 || byte == 201 || byte == 203 ? F_RDLCK : F_UNLCK);
    virtio_free(device);
    close(k.fd);
    unlink(k.path);
}

/* How the device itself has the file open. */
static void a_read_only_disk_is_opened_for_reading(void **state)
{
    struct disk k;
    unsigned seen = 0;
    (void)state;
    disk_open(&k, ",ro", 0);
    for (int fd = 3; fd < 64; fd++) {
        char name[32], target[80] = "";
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (fd == k.fd || readlink(name, target, sizeof target - 1) < 0 || strcmp(target, k.path) != 0)
            continue;
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        seen++;
    }
    assert_int_equal(seen, 1);
    disk_close(&k);
}

/* A loop device of 4096-byte blocks on the file; its name takes the place of k->path. */
static bool loop_device(struct disk *k, char file[64], uint64_t sectors)
{
    struct loop_config config = {.block_size = 4096, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (control >= 0)
        close(control);
    disk_file(k, sectors);
    strcpy(file, k->path);
    config.fd = (uint32_t)k->fd;
    snprintf(k->path, sizeof k->path, "/dev/loop%d", number);
    int loop = number < 0 ? -1 : open(k->path, O_RDWR | O_CLOEXEC);
    if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
        close(k->fd);
        k->fd = loop;
        return true;
    }
    if (loop >= 0)
        close(loop);
    close(k->fd);
    unlink(file);
    print_message("# needs root and loop devices\n");
    return false;
}

static void a_block_device_has_its_own_blocks_discards_and_errors(void **state)
{
    struct disk k;
    struct stat before, after;
    char file[64];
    (void)state;
    if (!loop_device(&k, file, 4096))
        skip();
    disk_start(&k, ",direct", DISK_FLUSH);
    assert_int_equal(block_size(&k), 4096);
    assert_int_equal(driver_read(&k.d, k.d.config, 8), 4096);
    disk_refused(k.path, COFRE_LACKING, "another guest uses it");
    assert_int_equal(disk_request(&k, READ, 8, 65536), OK);
    data_are(&k, DISK_DATA, 4096, 65536);
    assert_int_equal(disk_request(&k, READ, 1, 4096), IOERR);
    memset(at(&k.d, DISK_DATA), 0x5a, 8 * 512);
    assert_int_equal(disk_request(&k, WRITE, 16, 4096), OK);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(stat(file, &before), 0);
    disk_range(&k, 0, 32, 2048, 0);
    assert_int_equal(disk_request(&k, DISCARD, 0, 16), OK);
    disk_range(&k, 0, 3000 / 8 * 8, 8, 0);
    disk_range(&k, 1, 3072, 1024, 1);
    assert_int_equal(disk_request(&k, ZEROES, 0, 32), OK);
    assert_int_equal(disk_request(&k, DO_FLUSH, 0, 0), OK);
    assert_int_equal(stat(file, &after), 0);
    assert_in_range(after.st_blocks, 0, before.st_blocks - 2048 - 1024);
    assert_int_equal(disk_request(&k, READ, 3000 / 8 * 8, 4096), OK);
    assert_int_equal(((uint8_t *)at(&k.d, DISK_DATA))[7], 0);
    assert_int_equal(truncate(file, 4096), 0); /* what is behind the device is gone */
    assert_int_equal(disk_request(&k, READ, 2400, 4096), IOERR);
    strcpy(k.path, file); /* which disk_close removes */
    disk_close(&k);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shrunken_file_is_an_error_for_the_guest),
        cmocka_unit_test(a_shrunken_file_grows_again_by_what_is_zeroed_or_written),
        cmocka_unit_test(a_file_that_cannot_grow_is_an_error_for_the_guest),
        cmocka_unit_test(a_full_file_system_is_an_error_until_there_is_room),
        cmocka_unit_test(errors_of_the_host_are_logged_so_often_and_no_more),
        cmocka_unit_test(discarded_room_is_the_hosts_again),
        cmocka_unit_test(zeroes_are_written_where_the_host_cannot_make_them),
        cmocka_unit_test(direct_reads_and_writes_go_to_the_file),
        cmocka_unit_test(what_the_guest_did_not_align_is_copied),
        cmocka_unit_test(less_than_a_block_is_an_error),
        cmocka_unit_test(a_size_that_direct_io_cannot_have_is_refused),
        cmocka_unit_test(a_disk_in_use_is_refused_unless_all_only_read),
        cmocka_unit_test(guests_of_qemu_keep_off_and_are_kept_off),
        cmocka_unit_test(a_read_only_disk_is_opened_for_reading),
        cmocka_unit_test(a_block_device_has_its_own_blocks_discards_and_errors),
    };
    no_io_uring_if_asked(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
