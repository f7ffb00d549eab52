/* A disk on a file of its own, for tests of the block device with driver.h. */
#ifndef COFRE_TESTS_DISK_H
#define COFRE_TESTS_DISK_H

#include "tests/unit/devices/driver.h"

#define SECTORS       64
#define DISK_HEADER   (DRIVER_GPA + DRIVER_BUFFER)
#define DISK_STATUS   (DISK_HEADER + 0x800)
#define DISK_DATA     (DISK_HEADER + 0x1000)
#define DISK_FLUSH    (1ull << 9)
#define DISK_QUEUES   (1ull << 12)
#define DISK_INDIRECT (1ull << 28)

enum { READ = 0, WRITE = 1, DO_FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPPORTED = 2, NOT_WRITTEN = 0xee };

struct disk {
    struct driver d;
    char path[64];
    int fd; /* the test's own, read and write */
};

/* What byte i of a new disk is. */
uint8_t disk_pattern(uint64_t i);
/* Only the file. */
void disk_file(struct disk *k, uint64_t sectors);
/* The device on k->path, and the driver going with these features besides those needed. */
void disk_start(struct disk *k, const char *options, uint64_t features);
/* Both, with SECTORS sectors. */
void disk_open(struct disk *k, const char *options, uint64_t features);
void disk_close(struct disk *k);

/* A request of three descriptors, header, data (of queue 0, at DISK_DATA or elsewhere), status; returns its status. */
uint8_t disk_request(struct disk *k, uint32_t type, uint64_t sector, uint32_t len);
uint8_t disk_request_at(struct disk *k, uint32_t type, uint64_t sector, uint64_t data, uint32_t len);
/* The ith range of DISCARD or ZEROES, at DISK_DATA. */
void disk_range(struct disk *k, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags);
/* As the file has it now. */
uint8_t disk_byte(struct disk *k, uint64_t offset);

/* virtio_block_new fails with this code and a sentence that has why. */
void disk_refused(const char *spec, int code, const char *why);

#endif
