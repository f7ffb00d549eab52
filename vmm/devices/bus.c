#include "vmm/devices/bus.h"

#include <inttypes.h>

int bus_add(struct bus *bus, const struct bus_range *range, struct cofre_err *err)
{
    if (bus->count == BUS_RANGES_MAX)
        return cofre_fail(err, COFRE_FAILED, "%s: more than %d ranges on one bus", range->name,
                          BUS_RANGES_MAX);
    if (range->len == 0 || range->base + range->len < range->base)
        return cofre_fail(err, COFRE_FAILED, "%s: no range at 0x%" PRIx64 " of 0x%" PRIx64 " bytes",
                          range->name, range->base, range->len);
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_range *other = &bus->range[i];
        if (range->base < other->base + other->len && other->base < range->base + range->len)
            return cofre_fail(err, COFRE_FAILED, "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64, range->name,
                              range->base, other->name, other->base);
    }
    bus->range[bus->count++] = *range;
    return 0;
}

static const struct bus_range *answering(const struct bus *bus, uint64_t address, unsigned len)
{
    if (len != 1 && len != 2 && len != 4 && len != 8)
        return NULL;
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_range *range = &bus->range[i];
        if (address >= range->base && len <= range->len && address - range->base <= range->len - len)
            return range;
    }
    return NULL;
}

static uint64_t low_bytes(uint64_t value, unsigned len)
{
    return len == 8 ? value : value & ((1ull << (8 * len)) - 1);
}

bool bus_read(const struct bus *bus, uint64_t address, unsigned len, uint64_t *value)
{
    const struct bus_range *range = answering(bus, address, len);
    *value = UINT64_MAX;
    if (!range)
        return false;
    *value = low_bytes(range->ops->read(range->device, address - range->base, len), len);
    return true;
}

bool bus_write(const struct bus *bus, uint64_t address, unsigned len, uint64_t value)
{
    const struct bus_range *range = answering(bus, address, len);
    if (!range)
        return false;
    range->ops->write(range->device, address - range->base, len, low_bytes(value, len));
    return true;
}
