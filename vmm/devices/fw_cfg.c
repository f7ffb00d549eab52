#include "vmm/devices/fw_cfg.h"

#include <assert.h>
#include <string.h>

/* Ports, from FW_CFG_PORT on. */
enum { SELECTOR = 0, DATA = 1, COMMAND_HIGH = 4, COMMAND_LOW = 8, PORTS = 12 };

enum { WITH_PORTS = 1 << 0, WITH_COMMANDS = 1 << 1 };

/* A command in guest memory; its numbers are big-endian. The first says in its upper half which item, and it is where the
 * outcome is written: zero, or COMMAND_FAILED. */
struct command {
    uint32_t control, len;
    uint64_t address;
};
static_assert(sizeof(struct command) == 16, "fw_cfg's command");
enum {
    COMMAND_FAILED = 1 << 0,
    COMMAND_READ = 1 << 1,
    COMMAND_SKIP = 1 << 2,
    COMMAND_SELECT = 1 << 3,
    COMMAND_WRITE = 1 << 4,
};

/* An entry of the directory. */
struct file {
    uint32_t size;
    uint16_t key, reserved;
    char name[FW_CFG_NAME_SIZE];
};
static_assert(sizeof(struct file) == 64, "fw_cfg's directory");

static uint32_t be32(uint32_t v)
{
    return __builtin_bswap32(v);
}

void fw_cfg_init(struct fw_cfg *f, const struct guest_memory *memory)
{
    static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
    static const uint8_t interfaces[4] = {WITH_PORTS | WITH_COMMANDS};
    *f = (struct fw_cfg){.memory = memory};
    pthread_mutex_init(&f->lock, NULL);
    fw_cfg_add(f, FW_CFG_SIGNATURE, (struct view){signature, sizeof signature});
    fw_cfg_add(f, FW_CFG_INTERFACES, (struct view){interfaces, sizeof interfaces});
    fw_cfg_add(f, FW_CFG_DIRECTORY, (struct view){f->directory, sizeof f->directory});
}

void fw_cfg_destroy(struct fw_cfg *f)
{
    pthread_mutex_destroy(&f->lock);
}

static const struct fw_cfg_item *find(const struct fw_cfg *f, unsigned key)
{
    for (unsigned i = 0; i < f->items; i++)
        if (f->item[i].key == key)
            return &f->item[i];
    return NULL;
}

void fw_cfg_add(struct fw_cfg *f, enum fw_cfg_key key, struct view data)
{
    assert(f->items < FW_CFG_ITEMS_MAX && !find(f, key));
    f->item[f->items++] = (struct fw_cfg_item){(uint16_t)key, data};
}

void fw_cfg_add_file(struct fw_cfg *f, const char *name, struct view data)
{
    struct file file = {.size = be32((uint32_t)data.len),
                        .key = __builtin_bswap16((uint16_t)(FW_CFG_FIRST_FILE + f->files))};
    assert(f->files < FW_CFG_FILES_MAX && strlen(name) < sizeof file.name && data.len <= UINT32_MAX);
    memcpy(file.name, name, strlen(name));
    fw_cfg_add(f, FW_CFG_FIRST_FILE + f->files, data);
    memcpy(f->directory + 4 + f->files++ * sizeof file, &file, sizeof file);
    const uint32_t count = be32(f->files);
    memcpy(f->directory, &count, sizeof count);
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
    const struct fw_cfg_item *item = find(f, key);
    f->selected = item ? item->data : (struct view){0};
    f->offset = 0;
}

/* Goes on by len bytes, and gives as many of them as the item has from here on. */
static struct view take(struct fw_cfg *f, uint32_t len)
{
    struct view rest = {0};
    if (f->offset < f->selected.len) {
        uint64_t left = f->selected.len - f->offset;
        rest = (struct view){f->selected.data + f->offset, left < len ? left : len};
    }
    f->offset += len; /* 64 bits, and 2^32 at a time: no guest lives to see it wrap */
    return rest;
}

/* Beyond an item's end there are zeros. */
static bool read_into(struct fw_cfg *f, uint64_t gpa, uint32_t len)
{
    uint8_t *to = guest_memory_at(f->memory, gpa, len);
    if (!to)
        return len == 0;
    struct view from = take(f, len);
    if (from.len)
        guest_copy(to, from.data, from.len);
    memset(to + from.len, 0, len - from.len);
    return true;
}

/* What a command asks for is done in this order, and no item can be written. */
static bool execute(struct fw_cfg *f, uint32_t control, uint32_t len, uint64_t address)
{
    if (control & COMMAND_SELECT)
        select_item(f, (uint16_t)(control >> 16));
    if (control & COMMAND_READ)
        return read_into(f, address, len);
    if (control & COMMAND_WRITE)
        return false;
    if (control & COMMAND_SKIP)
        take(f, len);
    return true;
}

/* A command that does not lie in memory has no place for its failure either. */
static void run_command(struct fw_cfg *f, uint64_t gpa)
{
    struct command command;
    if (!guest_memory_read(f->memory, gpa, &command, sizeof command))
        return;
    bool done = execute(f, be32(command.control), be32(command.len), __builtin_bswap64(command.address));
    const uint32_t outcome = be32(done ? 0 : COMMAND_FAILED);
    guest_memory_write(f->memory, gpa, &outcome, sizeof outcome);
}

/* Data is read a byte at a time; the command's address reads as a signature. */
static uint64_t port_read(void *device, uint64_t offset, unsigned len)
{
    struct fw_cfg *f = device;
    static const uint8_t signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
    uint64_t value = 0;
    if (offset >= COMMAND_HIGH)
        memcpy(&value, signature + (offset - COMMAND_HIGH), len);
    if (offset != DATA || len != 1)
        return value;
    pthread_mutex_lock(&f->lock);
    struct view byte = take(f, 1);
    pthread_mutex_unlock(&f->lock);
    return byte.len ? *byte.data : 0;
}

static void port_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct fw_cfg *f = device;
    pthread_mutex_lock(&f->lock);
    if (offset == SELECTOR && len == 2) {
        select_item(f, (uint16_t)value);
    } else if (offset == COMMAND_HIGH && len == 4) {
        f->command_high = be32((uint32_t)value);
    } else if (offset == COMMAND_LOW && len == 4) {
        run_command(f, (uint64_t)f->command_high << 32 | be32((uint32_t)value));
        f->command_high = 0;
    }
    pthread_mutex_unlock(&f->lock);
}

int fw_cfg_map(struct fw_cfg *f, struct bus *ports, struct cofre_err *err)
{
    static const struct bus_ops ops = {port_read, port_write};
    return bus_add(ports, &(struct bus_range){"firmware configuration", FW_CFG_PORT, PORTS, &ops, f}, err);
}
