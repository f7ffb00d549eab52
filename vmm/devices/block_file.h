/*
 * What stands behind a disk: a raw file or block device of the host, opened, locked and measured.
 *
 * Against a second writer it is locked as QEMU locks its images: open file description locks (fcntl(2), F_OFD_SETLK) on
 * single bytes from 100 on for what the holder does (100 reads, 101 writes, 103 resizes) and from 200 on for what it
 * lets nobody else do. So guests of Cofre, of QEMU and qemu-img keep off each other's disks. A block device that is
 * written is opened exclusively besides (O_EXCL): not while it is mounted, nor mounted afterwards.
 */
#ifndef COFRE_DEVICES_BLOCK_FILE_H
#define COFRE_DEVICES_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define BLOCK_SECTOR    512u  /* virtio's unit, whatever the block is */
#define BLOCK_ALIGN_MAX 4096u /* no block or alignment is more */

struct block_file {
    char *
        path; /* heap, or "fd=N" (file_open_named): then O_EXCL was for who opened it; set before block_file_open, as are the next two */
    bool read_only, direct; /* direct: past the host's page cache */
    bool is_device;
    int fd;         /* -1: not open */
    uint64_t size;  /* bytes, a multiple of block */
    uint32_t block; /* the least that can be read or written: 512 or 4096 */
    uint32_t align; /* of buffers in memory; 1 where any will do */
};

/* COFRE_LACKING, COFRE_USAGE; block_file_close in any case. */
int block_file_open(struct block_file *file, struct cofre_err *err);
void block_file_close(struct block_file *file);

#endif
