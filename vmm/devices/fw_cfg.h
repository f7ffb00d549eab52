/*
 * The firmware configuration device of QEMU's machines (QEMU, docs/specs/fw_cfg.rst): how OVMF gets what its host has to
 * say. Numbered items, some with names in a directory, all to be read only: through a selector and a data port, byte by byte,
 * or by a command that lies in shared guest memory ("DMA"). The bytes are the host's word; docs/security.md says what
 * that means for each item.
 */
#ifndef COFRE_DEVICES_FW_CFG_H
#define COFRE_DEVICES_FW_CFG_H

#include <pthread.h>

#include "vmm/base/bytes.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/memory.h"

#define FW_CFG_PORT 0x510

/* The items with numbers of their own; integers in them are little-endian. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_INTERFACES = 0x01,
    FW_CFG_CPUS = 0x05, /* 16 bits */
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_DIRECTORY = 0x19,
    FW_CFG_FIRST_FILE = 0x20,
};

#define FW_CFG_NAME_SIZE 56 /* of a file, with its final zero */
#define FW_CFG_FILES_MAX 8
#define FW_CFG_ITEMS_MAX (16 + FW_CFG_FILES_MAX)

struct fw_cfg {
    pthread_mutex_t lock; /* of the four that follow the items */
    const struct guest_memory *memory;
    struct fw_cfg_item {
        uint16_t key;
        struct view data;
    } item[FW_CFG_ITEMS_MAX];
    unsigned items, files;
    uint8_t directory[4 + FW_CFG_FILES_MAX * 64];
    struct view selected;  /* empty for an item that there is not */
    uint64_t offset;       /* in it; may be beyond its end */
    uint32_t command_high; /* of the address of the next command */
};

/* It stays where it is from here to fw_cfg_destroy, and so does the memory. */
void fw_cfg_init(struct fw_cfg *fw_cfg, const struct guest_memory *memory);
void fw_cfg_destroy(struct fw_cfg *fw_cfg);

/* Before vCPUs run; the bytes outlive the device. An item is given once, and there is room: both are decided when the machine
 * is written. */
void fw_cfg_add(struct fw_cfg *fw_cfg, enum fw_cfg_key key, struct view data);
void fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, struct view data);

int fw_cfg_map(struct fw_cfg *fw_cfg, struct bus *ports, struct cofre_err *err);

#endif
